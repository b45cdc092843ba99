package engine_test

import (
	"fmt"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// kept returns the conflicts of the first user.
func (w *world) kept() []engine.KeptConflict {
	w.t.Helper()
	list, err := w.store.Admin().Conflicts(w.t.Context(), w.users[0].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []engine.KeptConflict
	for _, c := range list {
		out = append(out, engine.KeptConflict{ID: c.ID, Conflict: c.Conflict})
	}
	return out
}

func (w *world) restoreLosers(conflicts ...engine.KeptConflict) engine.RestoreReport {
	w.t.Helper()
	rep, err := w.engine().Restore(w.t.Context(), engine.RestoreOptions{User: w.users[0].ID, Conflicts: conflicts, Actor: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

// quarrel makes conflicts: two fields of a record, and an address of which the CRM holds
// one only.
func quarrel(w *world) (id string) {
	id = w.seed(0, 2)[0]
	w.ok()
	w.quiet()
	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("CRM"), "Description": record.Text("CRM note")})
	w.mail.EditItem(w.copyOf(0, id).ID, mapping.Fields{"jobTitle": record.Text("Box"), "personalNotes": record.Text("Box note")})
	w.ok()
	w.quiet()
	return id
}

// The loser is put back on both sides, and stays there.
func TestRestoreConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := quarrel(w)
	list := w.kept()
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	rep := w.restoreLosers(list...)
	if len(rep.Refused) > 0 || rep.Session.UpdatedCRM != 1 || rep.Session.UpdatedMailbox != 1 {
		t.Fatalf("%+v %+v", rep.Refused, rep.Session)
	}
	if it, _ := w.crm.Item(id); it.Fields["Title"].First() != "Box" || it.Fields["Description"].First() != "Box note" {
		t.Errorf("%v", it.Fields)
	}
	w.quiet()
	w.equal()
	stored, err := w.store.Admin().Conflicts(t.Context(), 0)
	if err != nil || stored[0].Restored != rep.Session.ID || stored[0].How != "lost" {
		t.Errorf("%+v %v", stored, err)
	}
	if rep = w.restoreLosers(list...); len(rep.Done) != 0 || len(rep.Refused) != 0 {
		t.Errorf("a second time: %+v", rep)
	}
	// It can be taken back like any session.
	w.undone(stored[0].Restored)
	w.quiet()
	w.equal()

	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("Third")})
	rep = w.restoreLosers(list...)
	if len(rep.Refused) != 1 || rep.Session.UpdatedCRM != 1 {
		t.Errorf("what changed since is not refused, or the other field was: %+v %+v", rep.Refused, rep.Session)
	}
	w.ok()
	w.quiet()
	w.equal()
}

// Wherever it dies, the next cycle, or asking again, completes it.
func TestRestoreSurvivesCrashes(t *testing.T) {
	t.Parallel()
	for k := 1; k <= 8; k++ {
		for _, applied := range []bool{false, true} {
			for _, again := range []bool{false, true} {
				t.Run(fmt.Sprintf("call %d, applied %v, asked again %v", k, applied, again), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, 1, memory.Options{}, memory.Options{})
					id := quarrel(w)
					list := w.kept()
					w.faults.Set(faulty.DieAt(len(w.faults.Calls())+k, applied))
					w.restoreLosers(list...)
					w.faults.Set(nil)
					if again {
						if rep := w.restoreLosers(list...); len(rep.Refused) > 0 {
							t.Fatalf("%+v", rep.Refused)
						}
						if it, _ := w.crm.Item(id); it.Fields["Title"].First() != "Box" {
							t.Errorf("%v", it.Fields)
						}
					} else {
						w.ok()
					}
					w.ok()
					w.quiet()
					w.equal()
				})
			}
		}
	}
}
