package engine_test

import (
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// held returns the deletes that are held for a user, by the CRM id.
func (w *world) held(user int) map[string]engine.HeldDelete {
	w.t.Helper()
	list, err := w.store.Admin().HeldDeletes(w.t.Context(), w.users[user].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]engine.HeldDelete{}
	for _, d := range list {
		out[d.CRMID] = d
	}
	return out
}

// say decides held deletes, by the CRM ids.
func (w *world) say(user int, d engine.Decision, crmIDs ...string) {
	w.t.Helper()
	held := w.held(user)
	var ids []int64
	for _, id := range crmIDs {
		ids = append(ids, held[id].ID)
	}
	if n, err := w.store.DecideHeld(w.t.Context(), ids, d); len(n) != len(ids) || err != nil {
		w.t.Fatalf("%d of %d decided, %v", n, len(ids), err)
	}
}

// massDelete makes a world where so many of 40 records were deleted in the CRM and
// their deletes are held.
func massDelete(t *testing.T, n int) (*world, []string) {
	t.Helper()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 40)
	w.ok()
	for _, id := range ids[:n] {
		w.crm.DeleteItem(id)
	}
	if s := w.ok(); s.DeletedMailbox != 0 || s.Held != n {
		t.Fatalf("counts: %+v", s.Counts)
	}
	return w, ids
}

// A delete that is held says what and why, and costs an idle cycle nothing.
func TestHeldDeletesAreListed(t *testing.T) {
	t.Parallel()
	w, ids := massDelete(t, 11)
	held := w.held(0)
	d := held[ids[3]]
	if len(held) != 11 || d.Side != record.Mailbox || d.Label == "" || d.Reason == "" || d.By != reconcile.HeldByUser ||
		d.Since.IsZero() || d.Session == 0 || d.Decision != engine.Undecided || d.User != w.users[0].Email {
		t.Fatalf("%d held: %+v", len(held), d)
	}
	if issues, err := w.store.Admin().Issues(t.Context(), 0, true); err != nil || len(issues) != 0 {
		t.Fatalf("issues %+v, %v", issues, err)
	}
	before := w.ok().Requests
	s := w.ok()
	if s.Result != engine.ResultUnchanged || s.Held != 11 || s.Requests != before {
		t.Fatalf("%s %+v, %d requests before", s.Result, s.Counts, before)
	}
	// Once a day they are looked at again, and stay.
	w.clock.pass(25 * time.Hour)
	if s := w.ok(); s.Held != 11 || s.Requests <= before {
		t.Fatalf("%+v", s.Counts)
	}
	if again := w.held(0)[ids[3]]; again.ID != d.ID || !again.Since.Equal(d.Since) || !again.Checked.After(d.Checked) {
		t.Fatalf("%+v became %+v", d, again)
	}
	if s := w.ok(); s.Requests != before {
		t.Fatalf("%+v", s.Counts)
	}
}

// Only what was allowed is deleted; the rest stays held, however few are left.
func TestAllowOneHeldDelete(t *testing.T) {
	t.Parallel()
	w, ids := massDelete(t, 12)
	gone := w.copyOf(0, ids[2]).ID
	w.say(0, engine.Allow, ids[2])
	if s := w.ok(); s.DeletedMailbox != 1 || s.Held != 11 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	if _, there := w.mail.Item(gone); there {
		t.Fatal("the allowed one is still there")
	}
	w.say(0, engine.Allow, ids[0], ids[1])
	if s := w.ok(); s.DeletedMailbox != 2 || s.Held != 9 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	w.clock.pass(25 * time.Hour)
	if s := w.ok(); s.DeletedMailbox != 0 || s.Held != 9 || len(w.held(0)) != 9 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	w.say(0, engine.Allow, ids[3:12]...)
	if s := w.ok(); s.DeletedMailbox != 9 || s.Held != 0 || len(w.held(0)) != 0 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// What was discarded is created in the CRM again, although nobody else may do that.
func TestDiscardADeleteInTheCRM(t *testing.T) {
	t.Parallel()
	w, ids := massDelete(t, 11)
	forbid := func(o *engine.Options) { o.AllowCreateInCRM = false }
	w.say(0, engine.Discard, ids[:11]...)
	s := w.ok(forbid)
	if s.CreatedCRM != 11 || s.DeletedMailbox != 0 || s.Held != 0 || len(w.held(0)) != 0 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	if n := len(w.crm.Items()); n != 40 {
		t.Fatalf("%d records", n)
	}
	w.equal()
	w.quiet()
}

// An out-of-scope record that somebody wants to keep is unlinked: both stay.
func TestDiscardOutOfScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 40)
	w.ok()
	for _, id := range ids[:11] {
		w.crm.ChangeOwner(id, "u9")
	}
	if s := w.ok(); s.Held != 11 {
		t.Fatalf("%+v", s.Counts)
	}
	w.say(0, engine.Discard, ids[:11]...)
	if s := w.ok(); s.CreatedCRM != 0 || s.DeletedMailbox != 0 || s.Held != 0 || len(w.held(0)) != 0 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	if n := len(w.mail.Items(w.folder(0))); n != 40 {
		t.Fatalf("%d copies", n)
	}
	w.quiet()
}

// A delete that is no longer wanted drops out by itself: the record is back, or the copy
// was edited, or deleted by its owner.
func TestHeldDeletesDropOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 40)
	w.ok()
	for _, id := range ids[:13] {
		w.crm.ChangeOwner(id, "u9")
	}
	w.ok()
	w.crm.ChangeOwner(ids[0], "u0")
	w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"jobTitle": record.Text("CEO")})
	w.mail.DeleteItem(w.copyOf(0, ids[2]).ID)
	s := w.ok()
	held := w.held(0)
	if s.Held != 10 || len(held) != 10 || s.DeletedMailbox != 0 {
		t.Fatalf("%d held, %+v\n%s", len(held), s.Counts, s.Log)
	}
	for _, id := range ids[:3] {
		if _, ok := held[id]; ok {
			t.Fatalf("%s is still held", id)
		}
	}
}

// What a person decided outlives a write that fails.
func TestDecisionOutlivesAFailure(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{
		"refused": {Kind: faulty.OneItem}, "lost": {Kind: faulty.Lost}, "reset": {Kind: faulty.Reset}, "changed": {Kind: faulty.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, ids := massDelete(t, 13)
			forbid := func(o *engine.Options) { o.AllowCreateInCRM = false }
			w.say(0, engine.Allow, ids[0])
			w.say(0, engine.Discard, ids[1])
			w.faults.Set(onMethod("apply", fault))
			w.run(forbid)
			w.faults.Set(nil)
			if n := len(w.held(0)); n < 11 {
				t.Fatalf("%d held", n)
			}
			for range 3 {
				w.clock.pass(time.Hour)
				w.ok(forbid)
			}
			if n := len(w.held(0)); n != 11 {
				t.Fatalf("%d held\n%s", n, w.logs())
			}
			if c, m := len(w.crm.Items()), len(w.mail.Items(w.folder(0))); c != 28 || m != 39 {
				t.Fatalf("%d records, %d copies\n%s", c, m, w.logs())
			}
		})
	}
}
