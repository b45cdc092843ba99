package commands

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// A plan that only ends pairs is not nothing: it is in the note and in the summary.
func TestPlanCountsWhatIsUnlinked(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	for i := range 3 {
		h.crm.CreateItem("c-ann", mapping.Fields{"LastName": {fmt.Sprintf("Person%d", i)}, "Email": {fmt.Sprintf("p%d@example.org", i)}})
	}
	h.run(exitOK, "sync", "enable", "--all")
	h.run(exitOK, "sync", "run")
	_, errs := h.run(exitOK, "sync", "plan", "ann@example.com")
	if !strings.Contains(errs, "ann@example.com: nothing to do") {
		t.Fatalf("after a cycle it says\n%s", errs)
	}
	items := h.mail.Items(h.mail.Folder("m-ann", roster.FolderName))
	for _, it := range items[:2] {
		h.mail.DeleteItem(it.ID)
	}
	_, errs = h.run(exitOK, "sync", "plan", "ann@example.com")
	if !strings.Contains(errs, "ann@example.com: 2 unlinked; no deletes, no mails\n") {
		t.Errorf("it says\n%s", errs)
	}
	out, errs := h.run(exitOK, "sync", "plan", "--all", "--summary", "--fields", "user,unlinked,deletedCrm")
	if !strings.Contains(out, "ann@example.com\t2\t0\n") || !strings.Contains(errs, "2 users: 2 unlinked; no deletes, no mails\n") {
		t.Errorf("summary\n%s%s", out, errs)
	}
	out, _ = h.run(exitOK, "sync", "force", "ann@example.com", "--dry-run", "--fields", "user,result")
	if !strings.Contains(out, "ann@example.com\tdone") {
		t.Errorf("a dry run of it prints\n%s", out)
	}
}

// Withheld is more than what was born in the mailbox, so the note does not say born.
func TestPlanNotesWhatIsWithheld(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.sumPlans([]engine.UserPlan{{User: "ann@example.com", Plan: reconcile.Plan{Findings: []reconcile.Finding{
		{Code: reconcile.NotAllowed}, {Code: reconcile.NotAllowed}, {Code: reconcile.OnHold},
	}}}}, true)
	if want := `2 changes from the mailbox are withheld from the CRM`; !strings.Contains(b.err.String(), want) {
		t.Errorf("it says\n%s", b.err)
	}
}

// A run that fails, or a plan that cannot be made, says why and what to do, once for all
// users with that cause.
func TestFailuresAreAdvisedOnOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.run(exitOK, "sync", "enable", "--all")
	h.silent = true
	for _, verb := range []string{"plan", "run"} {
		_, errs := h.run(exitPartial, "sync", verb, "--all")
		for _, want := range []string{"error[CS2204]: 2 users (ann@example.com, bob@example.com): ", "the feed is silent"} {
			if !strings.Contains(errs, want) {
				t.Errorf("sync %s does not say %q:\n%s", verb, want, errs)
			}
		}
		for _, line := range []string{"error[", "  why: ", "  do:  ", "  try: "} {
			if n := strings.Count(errs, line); n != 1 {
				t.Errorf("sync %s says %q %d times:\n%s", verb, line, n, errs)
			}
		}
	}
}

// The limit is one of those who are due, also where nobody is selected.
func TestLimitOfARun(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.run(exitOK, "sync", "enable", "--all")
	for _, want := range []string{"ann@example.com", "bob@example.com"} {
		if out, _ := h.run(exitOK, "sync", "run", "--limit", "1", "--fields", "user"); out != "user\n"+want+"\n" {
			t.Errorf("it ran %q, want %s alone", out, want)
		}
	}
	if out, _ := h.run(exitOK, "sync", "run", "--limit", "1", "--fields", "user"); out != "user\n" {
		t.Errorf("it ran %q, and nobody is due", out)
	}
}
