package engine_test

import (
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// untouched demands that a cycle wrote nothing to either side.
func (w *world) untouched(s engine.Session) {
	w.t.Helper()
	n := s.Counts
	if n.CreatedCRM+n.CreatedMailbox+n.UpdatedCRM+n.UpdatedMailbox+n.DeletedCRM+n.DeletedMailbox+n.Held+n.Issues != 0 {
		w.t.Fatalf("counts: %+v\n%s", n, s.Log)
	}
}

// Whoever loses the state gets it back from the stamps: 10,000 contacts are linked
// again and not one is created, written or deleted. Whether the CRM has a place for a
// stamp makes no difference, nor how alike the contacts are.
func TestLostStateOfTenThousand(t *testing.T) {
	t.Parallel()
	for name, crm := range map[string]memory.Options{
		"stamps on both sides": {},
		"no stamp in the CRM":  {NoStamps: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 10_000
			if testing.Short() {
				n = 1_000
			}
			w := newWorld(t, 1, crm, memory.Options{BatchSize: 500}) // fewer commits to wait for
			for range n / 100 {
				w.seed(0, 100) // each of the hundred as often
			}
			if s := w.ok(); s.CreatedMailbox != n {
				t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
			}
			w.loseState()
			s := w.ok()
			w.untouched(s)
			if s.Linked != n {
				t.Fatalf("%d linked of %d\n%s", s.Linked, n, s.Log)
			}
			w.quiet()
		})
	}
}

// An older state is put back: what happened since is found by the stamps and by the
// items themselves. Nothing is doubled, and nothing deleted that nobody deleted.
func TestOlderStateRestored(t *testing.T) {
	t.Parallel()
	for name, crm := range map[string]memory.Options{
		"stamps on both sides": {},
		"no stamp in the CRM":  {NoStamps: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, crm, memory.Options{})
			ids := w.seed(0, 40)
			w.ok()
			old := w.backup()
			w.open()
			copies := map[string]string{}
			for _, id := range ids {
				copies[id] = w.copyOf(0, id).ID
			}
			// Everything that may happen between two backups, synchronized.
			for i := range 10 {
				w.crm.CreateItem("u0", contact("Later", string(rune('A'+i))+"son"))
				w.mail.CreateItem(w.folder(0), card("Born", string(rune('A'+i))+"berg"))
				w.crm.EditItem(ids[i], mapping.Fields{"Title": record.Text("CEO")})
				w.mail.EditItem(copies[ids[10+i]], mapping.Fields{"jobTitle": record.Text("Boss")})
			}
			for _, id := range ids[20:24] {
				w.crm.DeleteItem(id)
			}
			w.ok()
			w.equal()
			records, items := len(w.crm.Items()), len(w.mail.Items(w.folder(0)))

			if err := w.store.Close(); err != nil {
				t.Fatal(err)
			}
			w.restore(old)
			s := w.ok()
			if n := s.Counts; n.CreatedCRM+n.CreatedMailbox+n.UpdatedCRM+n.UpdatedMailbox+n.DeletedCRM+n.DeletedMailbox != 0 || n.Linked != 20 {
				t.Fatalf("counts: %+v\n%s", n, s.Log)
			}
			if r, i := len(w.crm.Items()), len(w.mail.Items(w.folder(0))); r != records || i != items {
				t.Fatalf("%d records and %d items, before %d and %d", r, i, records, items)
			}
			w.equal()
			w.quiet()
		})
	}
}

// Switched off and on again, and prepared anew, a user has what he had.
func TestOffAndOnAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 30)
	w.ok()
	w.sync(roster.Disabled)
	w.clock.pass(60 * 24 * time.Hour)
	if s := w.run(); len(s) != 0 {
		t.Fatalf("a disabled user ran: %+v", s)
	}
	w.sync(roster.Enabled)
	w.untouched(w.ok())
	// The links are forgotten, the folder stays: as after a reset that left it behind.
	lease := engine.Lease{User: w.users[0].ID, Holder: "reset"}
	if _, ok, err := w.store.AcquireLease(t.Context(), lease, w.clock.Now()); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := w.store.Admin().ForgetMailbox(t.Context(), lease, roster.NotInitialized); err != nil {
		t.Fatal(err)
	}
	if err := w.store.ReleaseLease(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	s := w.ok()
	w.untouched(s)
	if s.Linked != 30 {
		t.Fatalf("%d linked\n%s", s.Linked, s.Log)
	}
	w.equal()
	w.quiet()
}

// sync sets the state of the first user's synchronization.
func (w *world) sync(state roster.Sync) {
	w.t.Helper()
	users, err := w.store.Admin().Users(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	users[0].Sync = state
	if err := w.store.Admin().UpdateUsers(w.t.Context(), users[:1], nil); err != nil {
		w.t.Fatal(err)
	}
}
