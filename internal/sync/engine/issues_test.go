package engine_test

import (
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// issue returns the one issue there is.
func (w *world) issue() engine.Issue {
	w.t.Helper()
	list, err := w.store.Issues(w.t.Context(), 0, true)
	if err != nil || len(list) != 1 {
		w.t.Fatalf("issues: %+v, %v", list, err)
	}
	return list[0]
}

// refuseItems lets the mailbox refuse one record of each batch, as a validation does.
func refuseItems(c faulty.Call) faulty.Fault {
	if c.Side == record.Mailbox && c.Method == "apply" {
		return faulty.Fault{Kind: faulty.OneItem}
	}
	return faulty.Fault{}
}

// A record that a side refuses is tried again after the ladder's pauses and then parked;
// a person can have it tried at once, and a change of it does that by itself.
func TestTheLadderOfAnIssue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := w.seed(0, 1)[0]
	w.faults.Set(refuseItems)
	w.ok()
	pauses := []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}
	for n := 1; n < 10; n++ {
		i := w.issue()
		pause := 24 * time.Hour
		if n <= len(pauses) {
			pause = pauses[n-1]
		}
		if i.Attempts != n || i.State != engine.IssueOpen || !i.NextRetry.Equal(w.clock.Now().Add(pause)) {
			t.Fatalf("after %d attempts: %+v", n, i)
		}
		if pause > time.Minute {
			w.clock.pass(pause - 2*time.Minute)
			w.ok() // a minute early
			if again := w.issue(); again.Attempts != n {
				t.Fatalf("tried too early: %+v", again)
			}
		}
		w.ok()
	}
	parked := w.issue()
	if parked.State != engine.IssueParked || parked.Attempts != 10 {
		t.Fatalf("after ten attempts: %+v", parked)
	}
	w.clock.pass(12 * 24 * time.Hour)
	w.ok()
	if i := w.issue(); i.Attempts != 10 {
		t.Fatalf("parked, and tried: %+v", i)
	}

	t.Log("a person asks for another try")
	left, err := w.store.DecideIssues(t.Context(), []int64{parked.ID}, engine.IssueOpen)
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	if s := w.run(func(o *engine.Options) { o.Due = true }); len(s) != 1 {
		t.Fatal("the user is not due")
	}
	if i := w.issue(); i.Attempts != 1 || i.State != engine.IssueOpen {
		t.Fatalf("asked for: %+v", i)
	}

	t.Log("the record changes")
	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("CEO")})
	w.ok()
	if i := w.issue(); i.Attempts != 2 {
		t.Fatalf("after a change: %+v", i)
	}
	w.faults.Set(nil)
	w.clock.pass(5 * time.Minute)
	w.ok()
	if i := w.issue(); i.State != engine.IssueResolved {
		t.Fatalf("in the end: %+v", i)
	}
	w.equal()
}

// An issue that is ignored is neither tried nor counted, until its record changes.
func TestAnIgnoredIssue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := w.seed(0, 1)[0]
	w.faults.Set(refuseItems)
	w.ok()
	if _, err := w.store.DecideIssues(t.Context(), []int64{w.issue().ID}, engine.IssueIgnored); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(time.Hour)
	w.mail.CreateItem(w.folder(0), card("Some", "Body")) // who might be its partner
	w.faults.Set(nil)
	w.ok()
	if i := w.issue(); i.State != engine.IssueIgnored || i.Attempts != 0 {
		t.Fatalf("ignored: %+v", i)
	}
	users, err := w.store.Admin().Users(t.Context())
	if err != nil || users[0].Issues != 0 {
		t.Fatalf("%d issues are counted, %v", users[0].Issues, err)
	}
	w.faults.Set(refuseItems)
	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("CEO")})
	w.ok()
	if i := w.issue(); i.State != engine.IssueOpen || i.Attempts != 1 {
		t.Fatalf("changed: %+v", i)
	}
	w.faults.Set(nil)
	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("CFO")})
	w.ok()
	if i := w.issue(); i.State != engine.IssueResolved {
		t.Fatalf("in the end: %+v", i)
	}
	w.equal()
}
