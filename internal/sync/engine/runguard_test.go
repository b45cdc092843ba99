package engine_test

import (
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// sum adds the counts of the last run.
func (w *world) sum() (c engine.Counts) {
	for _, s := range w.last {
		c.DeletedCRM += s.DeletedCRM
		c.DeletedMailbox += s.DeletedMailbox
		c.Held += s.Held
	}
	return c
}

// setAll sets a key for everybody.
func (w *world) setAll(key, value string) {
	w.t.Helper()
	if err := w.store.SetSettings(w.t.Context(), []settings.Setting{{Level: settings.All, Key: key, Value: value}}); err != nil {
		w.t.Fatal(err)
	}
}

// A few deletes for each of many users are too many for the run: nobody's is done.
func TestRunHoldsWhatTheFeedTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6, memory.Options{}, memory.Options{})
	var ids [][]string
	for n := range w.users {
		ids = append(ids, w.seed(n, 20))
	}
	w.ok()
	for n := range w.users {
		for _, id := range ids[n][:9] {
			w.crm.DeleteItem(id)
		}
	}
	w.ok()
	if c := w.sum(); c.DeletedMailbox != 0 || c.Held != 54 {
		t.Fatalf("%+v", c)
	}
	for id, d := range w.held(3) {
		if d.By != reconcile.HeldByRun || d.Label == "" {
			t.Fatalf("%s: %+v", id, d)
		}
	}
	w.say(3, engine.Allow, ids[3][:9]...)
	w.ok()
	if c := w.sum(); c.DeletedMailbox != 9 || c.Held != 45 {
		t.Fatalf("%+v", c)
	}
}

// What no shared feed tells is counted plan by plan, and what does not fit is held.
func TestRunHoldsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7, memory.Options{}, memory.Options{})
	w.setAll("contacts.deletes.from_mailbox", "propagate")
	for n := range w.users {
		w.seed(n, 20)
	}
	w.ok()
	for n := range w.users {
		for _, it := range w.mail.Items(w.folder(n))[:9] {
			w.mail.DeleteItem(it.ID)
		}
	}
	w.run()
	if c := w.sum(); c.DeletedCRM != 45 || c.Held != 18 {
		t.Fatalf("%+v", c)
	}
	w.run()
	if c := w.sum(); c.DeletedCRM != 0 || c.Held != 18 {
		t.Fatalf("later: %+v", c)
	}
}

// Within the limit the run does everything, and counts the links of all users once it
// could be beyond.
func TestRunLimitGrowsWithTheLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 60, memory.Options{}, memory.Options{})
	var ids [][]string
	for n := range w.users {
		ids = append(ids, w.seed(n, 100))
	}
	w.ok()
	for n := range w.users {
		w.crm.DeleteItem(ids[n][0])
	}
	w.ok()
	if c := w.sum(); c.DeletedMailbox != 60 || c.Held != 0 {
		t.Fatalf("1 %%: %+v", c)
	}
	for n := range w.users {
		w.crm.DeleteItem(ids[n][1])
	}
	w.crm.DeleteItem(ids[0][2])
	w.ok()
	if c := w.sum(); c.DeletedMailbox != 0 || c.Held != 61 {
		t.Fatalf("more than 1 %%: %+v", c)
	}
}

// A plan shows what the run would hold, whoever was planned first.
func TestPlanHoldsAsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7, memory.Options{}, memory.Options{})
	w.setAll("contacts.deletes.from_mailbox", "propagate")
	for n := range w.users {
		w.seed(n, 20)
	}
	w.ok()
	for n := range w.users {
		for _, it := range w.mail.Items(w.folder(n))[:9] {
			w.mail.DeleteItem(it.ID)
		}
	}
	for range 3 {
		plans, err := w.engine().Plan(t.Context(), engine.Options{Parallel: 4})
		if err != nil {
			t.Fatal(err)
		}
		for n, p := range plans {
			if held := len(p.Plan.Held); p.Err != nil || held != map[bool]int{true: 9}[n >= 5] {
				t.Fatalf("%s: %d held, %v", p.User, held, p.Err)
			}
		}
	}
}
