package reconcile_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Whatever people do on both sides, and whichever writes fail on the way: once
// everything works again, both sides are equal, the next plan is empty, the bases say
// what is there, no edit was lost without a policy, nothing was deleted that somebody
// had touched, and there was a conflict only where both sides changed a field
// differently. The last three are checked in every plan on the way.
func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(r, drawPolicy(r))
		w.answers = func() bool { return rapid.IntRange(0, 3).Draw(r, "answers") > 0 }
		for range rapid.IntRange(1, 2).Draw(r, "records") {
			w.create(rapid.SampledFrom([]record.Side{record.CRM, record.Mailbox}).Draw(r, "born"))
		}
		faulty := rapid.Bool().Draw(r, "faults")
		for range rapid.IntRange(1, 14).Draw(r, "steps") {
			w.step(r, faulty)
		}
		w.settle(6)
	})
}

func drawPolicy(r *rapid.T) reconcile.Policy {
	rooms := rapid.SampledFrom([][2]int{{1, 3}, {3, 1}, {1, 1}, {2, 3}, {3, 3}}).Draw(r, "room")
	p := policy(rooms[0], rooms[1])
	p.Conflict = rapid.SampledFrom([]reconcile.Winner{reconcile.CRMWins, reconcile.MailboxWins, reconcile.NewestWins, reconcile.Hold}).Draw(r, "conflict")
	p.DeletesFromMailbox = rapid.SampledFrom([]reconcile.DeletePolicy{reconcile.Unlink, reconcile.Propagate, reconcile.Recreate}).Draw(r, "deletes")
	p.CreateInCRM = rapid.Bool().Draw(r, "create in CRM")
	return p
}

func (w *world) step(r *rapid.T, faulty bool) {
	side := rapid.SampledFrom([]record.Side{record.CRM, record.Mailbox}).Draw(r, "side")
	alive := w.alive(side)
	action := rapid.SampledFrom([]string{"edit", "edit", "edit", "add", "replace", "replace", "take", "clear", "delete", "same", "run", "run", "run", "new"}).Draw(r, "action")
	switch action {
	case "run":
		w.fails = func() bool { return faulty && rapid.Bool().Draw(r, "fails") }
		w.run()
		return
	case "new":
		w.create(side)
		return
	}
	if len(alive) == 0 {
		return
	}
	x := rapid.SampledFrom(alive).Draw(r, "item")
	switch action {
	case "edit":
		f := rapid.SampledFrom(scalars).Draw(r, "field")
		w.typed(side, x, f, fmt.Sprintf("%d %s", w.next(), f))
	case "clear":
		w.typed(side, x, rapid.SampledFrom(scalars).Draw(r, "field"), "")
	case "add":
		w.add(side, x)
	case "replace":
		w.replace(side, x, rapid.IntRange(0, 2).Draw(r, "at"))
	case "take":
		w.take(side, x, rapid.IntRange(0, 2).Draw(r, "at"))
	case "delete":
		w.remove(side, x)
	case "same":
		// Two people enter the same on both sides.
		if y := w.of(side.Other(), x.who); y != nil {
			text := fmt.Sprintf("%d %s", w.next(), notes)
			w.typed(side, x, notes, text)
			w.typed(side.Other(), y, notes, text)
		}
	}
}

// One clean cycle is enough, and the one after it has nothing to do, not even in the
// state, if the servers tell what they stored.
func TestOneCycleSettles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		p := drawPolicy(r)
		p.DeletesFromMailbox, p.CreateInCRM = reconcile.Unlink, true
		w := newWorld(r, p)
		w.create(record.CRM)
		w.create(record.Mailbox)
		w.run()
		if p := w.plan(); len(p.Ops) > 0 {
			r.Fatalf("after the first cycle: %+v", p.Ops)
		}
		for range rapid.IntRange(1, 10).Draw(r, "steps") {
			side := rapid.SampledFrom([]record.Side{record.CRM, record.Mailbox}).Draw(r, "side")
			x := rapid.SampledFrom(w.alive(side)).Draw(r, "item")
			switch f := rapid.SampledFrom([]record.Field{plain, short, loud, dashed, notes, list}).Draw(r, "field"); {
			case f != list:
				w.typed(side, x, f, rapid.SampledFrom([]string{"", fmt.Sprintf("%d %s", w.next(), f)}).Draw(r, "text"))
			case rapid.Bool().Draw(r, "replace"):
				w.replace(side, x, rapid.IntRange(0, 2).Draw(r, "at"))
			default:
				w.add(side, x)
			}
		}
		w.run()
		if p := w.plan(); len(p.Ops) > 0 {
			r.Fatalf("after the edits: %+v", p.Ops)
		}
		w.settle(1)
	})
}

// Edits of different fields on both sides both survive, and of the same field one does
// and the other is kept: all 64 sets of fields on each side, all 4,096 pairs of sets.
func TestEverySetOfEdits(t *testing.T) {
	t.Parallel()
	fields := []record.Field{plain, short, loud, dashed, notes, list}
	for inCRM := range 1 << len(fields) {
		for inMailbox := range 1 << len(fields) {
			w := newWorld(t, policy(1, 3))
			c := w.create(record.CRM)
			w.run()
			m := w.of(record.Mailbox, c.who)
			conflicts := 0
			for i, f := range fields {
				for _, x := range []struct {
					side record.Side
					*thing
					set int
				}{{record.CRM, c, inCRM}, {record.Mailbox, m, inMailbox}} {
					switch {
					case x.set&(1<<i) == 0:
					case f == list:
						w.replace(x.side, x.thing, 0)
					default:
						w.typed(x.side, x.thing, f, fmt.Sprintf("%d %s", w.next(), f))
					}
				}
				if f != list && inCRM&inMailbox&(1<<i) != 0 {
					conflicts++
				}
			}
			p := w.run()
			if len(p.Conflicts) != conflicts {
				t.Fatalf("%06b and %06b: %d conflicts instead of %d", inCRM, inMailbox, len(p.Conflicts), conflicts)
			}
			w.settle(1)
			for i, f := range fields {
				if f == list {
					continue
				}
				bit := 1 << i
				if inMailbox&bit != 0 && inCRM&bit == 0 && canon(f, c.rec[f].First()) != canon(f, m.rec[f].First()) {
					t.Fatalf("%06b and %06b: the mailbox's edit of %s did not arrive", inCRM, inMailbox, f)
				}
			}
		}
	}
}
