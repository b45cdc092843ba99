package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// stuck is a state in which the shared cursor does not move: the process dies before.
type stuck struct{ engine.State }

func (stuck) MoveSharedCursor(context.Context, string, record.Entity, string, string, map[int64]string) error {
	return errors.New("killed")
}

// Two runs overlap. The one that began later reads on, moves the shared cursor and notes
// that a user of the other has changes that he has not seen. The other, which has not
// seen them, must not wipe that note out, even if it dies right after.
func TestOverlappingRunsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		w := newWorld(t, 2, memory.Options{}, memory.Options{})
		ids := w.seed(0, 3)
		w.seed(1, 1)
		w.ok(oneByOne)
		w.quiet()

		w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("first")})
		w.mail.EditItem(w.copyOf(0, ids[2]).ID, mapping.Fields{"jobTitle": record.Text("third")})
		overlapped := false
		w.faults.Set(func(c faulty.Call) faulty.Fault {
			if overlapped || c.Method != "apply" {
				return faulty.Fault{}
			}
			overlapped = true
			return faulty.Fault{Before: func() {
				w.crm.EditItem(ids[1], mapping.Fields{"Title": record.Text("second")})
				if _, err := w.engine().Run(t.Context(), engine.Options{Users: []int64{w.users[1].ID}, Parallel: 1, Trigger: engine.TriggerForce}); err != nil {
					t.Error(err)
				}
			}}
		})
		e := w.engine()
		if dies {
			e.State = stuck{e.State}
		}
		_, err := e.Run(t.Context(), engine.Options{Users: []int64{w.users[0].ID}, Parallel: 1, Trigger: engine.TriggerForce})
		if !overlapped || (err != nil) != dies {
			t.Fatalf("the runs did not overlap as they should: %v", err)
		}
		w.faults.Set(nil)
		w.ok()
		w.equal()
		w.ok() // he rides with the others again
		w.quiet()
	}
}
