package commands

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

func TestIssuesAreRetriedAndIgnored(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.run(exitOK, "sync", "enable", "--all")
	h.with(func(ctx context.Context, st State) {
		for _, name := range []string{"ann", "bob"} {
			l := engine.Lease{User: h.user(name).ID, Holder: "a cycle"}
			_, _, err := st.Engine().AcquireLease(ctx, l, noon)
			var issues []engine.Issue
			for _, id := range []string{"1", "2"} {
				issues = append(issues, engine.Issue{
					IssueKey: engine.IssueKey{Direction: engine.ToMailbox, CRMID: id}, State: engine.IssueParked,
					Code: engine.CodeItemRefused, Cause: "too long", Attempts: 10,
				})
			}
			err = errors.Join(err, st.Engine().Settle(ctx, l, record.Contacts, engine.Settlement{Issues: issues, Now: noon}), st.Engine().ReleaseLease(ctx, l))
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	states := func(want string) {
		t.Helper()
		out, _ := h.run(exitOK, "issues", "list", "--all", "--fields", "issue,state,attempts", "-o", "tsv")
		if got := strings.Join(strings.Fields(out)[3:], " "); got != want {
			t.Errorf("issues: %s, want %s", got, want)
		}
	}
	states("4 parked 10 3 parked 10 2 parked 10 1 parked 10")

	h.run(exitEmpty, "issues", "retry")
	h.run(exitUsage, "issues", "retry", "ann@example.com")
	h.run(exitUsage, "issues", "retry", "1", "--user", "ann@example.com")
	h.run(exitUsage, "issues", "list", "--state", "sad")
	h.run(exitOK, "issues", "retry", "--all", "--dry-run")
	states("4 parked 10 3 parked 10 2 parked 10 1 parked 10")

	h.prints("issue\tuser\tresult\tcode\tmessage\n1\tann@example.com\tdone\t\tthe next cycle tries it again\n", "issues", "retry", "1")
	h.prints("issue\tuser\tresult\tcode\tmessage\n3\tbob@example.com\tdone\t\tignored until the record changes\n4\tbob@example.com\tdone\t\tignored until the record changes\n",
		"issues", "ignore", "--user", "bob@example.com", "--match", `state == "parked"`)
	states("4 ignored 0 3 ignored 0 2 parked 10 1 open 0")
	if out, _ := h.run(exitOK, "issues", "list", "--all", "--state", "ignored", "--fields", "issue", "-o", "tsv"); strings.Join(strings.Fields(out), " ") != "issue 4 3" {
		t.Errorf("ignored:\n%s", out)
	}
	// What one command lists the next one takes: those rows, and no others of their users.
	for _, format := range []string{"csv", "tsv", "json", "jsonl"} {
		rows, _ := h.run(exitOK, "issues", "list", "bob@example.com", "--last", "1", "-o", format)
		file := filepath.Join(t.TempDir(), "rows."+format)
		if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
			t.Fatal(err)
		}
		h.prints("issue\tuser\tresult\tcode\tmessage\n4\tbob@example.com\tunchanged\t\tignored already\n", "issues", "ignore", "--from", file)
		h.run(exitUsage, "issues", "ignore", "--from", file, "--org", "EMEA")
	}
	if u := h.user("ann"); !u.Queued || u.Issues != 2 {
		t.Errorf("ann: %+v", u)
	}
	if u := h.user("bob"); u.Queued || u.Issues != 0 {
		t.Errorf("bob: %+v", u)
	}
	h.prints("issue\tuser\tresult\tcode\tmessage\n3\tbob@example.com\tunchanged\t\tignored already\n", "issues", "ignore", "3")
	h.run(exitPartial, "issues", "retry", "3", "99")
	states("4 ignored 0 3 open 0 2 parked 10 1 open 0")
	out, _ := h.run(exitOK, "activity", "list", "--fields", "type,user,details", "-o", "tsv")
	for _, want := range []string{"issues.retried\tann@example.com\t1 issue\n", "issues.ignored\tbob@example.com\t2 issues\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the audit lacks %q:\n%s", want, out)
		}
	}
}
