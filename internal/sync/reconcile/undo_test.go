package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// writes are what a session wrote to one item, as the state would remember it.
type writes struct {
	images []reconcile.Image // newest first
	now    record.Record     // nil if the item is not there
	n      int
}

func (w *writes) add(kind reconcile.OpKind, set record.Record) {
	w.n++
	i := reconcile.Image{
		Op: record.OpID(fmt.Sprint("op", w.n)), Side: record.Mailbox, Kind: kind, CRMID: "c1", MailboxID: "m1", Label: "Ann Lee",
	}
	switch kind {
	case reconcile.Delete:
		i.Before, w.now = w.now, nil
	case reconcile.Create:
		w.now, i.Left = set.Clone(), hasher.Record(set)
	default:
		i.Before, i.Left = record.Record{}, record.Hashes{}
		w.now = w.now.Clone()
		for f, v := range set {
			if len(w.now[f]) > 0 {
				i.Before[f] = w.now[f]
			}
			i.Left[f] = hasher.Value(f, v)
			if w.now[f] = v; len(v) == 0 {
				delete(w.now, f)
			}
		}
	}
	w.images = append([]reconcile.Image{i}, w.images...)
}

// item returns the change that reading the item would give.
func (w *writes) item() reconcile.Change {
	if w.now == nil {
		return reconcile.Change{Kind: reconcile.Deleted, ID: "m1"}
	}
	return present("m1", w.now)
}

func (w *writes) input(links ...reconcile.Link) reconcile.UndoInput {
	return reconcile.UndoInput{
		Policy: contacts(), Hasher: hasher, Images: w.images, Links: links,
		Items: map[reconcile.Ref]reconcile.Change{{Side: record.Mailbox, ID: "m1"}: w.item()},
	}
}

// Whatever a session did to an item, taking it back leads to what it held before, and
// the base of that side to the same; after a person's edit of what was written, nothing
// is touched.
func TestUndoLeadsBack(t *testing.T) {
	t.Parallel()
	fields := []record.Field{record.JobTitle, record.Notes, record.EmailAddresses, record.Department}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		start := ann()
		w := &writes{now: start}
		if r.IntN(4) == 0 {
			start, w.now = nil, nil
		}
		value := func() record.Value {
			return []record.Value{nil, {"a@example.com"}, {"b@example.com"}, {"c@example.com"}}[r.IntN(4)]
		}
		for range 1 + r.IntN(4) {
			switch {
			case w.now == nil:
				w.add(reconcile.Create, with(ann(), title, fmt.Sprint("t", r.IntN(9))))
			case r.IntN(4) == 0:
				w.add(reconcile.Delete, nil)
			default:
				set := record.Record{}
				for range 1 + r.IntN(3) {
					set[fields[r.IntN(len(fields))]] = value()
				}
				w.add(reconcile.Update, set)
			}
		}
		l := linkOf(ann(), ann())
		if w.now != nil {
			l.Mailbox.Base = hasher.Record(w.now)
		} else {
			l.State = reconcile.Ended
		}
		in := w.input(l)
		p := reconcile.Undo(in)
		if again := reconcile.Undo(in); !reflect.DeepEqual(p, again) {
			t.Fatalf("seed %d: not the same plan twice", seed)
		}
		if len(p.Refused) > 0 || len(p.Ops) > 1 {
			t.Fatalf("seed %d: %+v", seed, p)
		}
		end := w.now
		if len(p.Ops) == 1 {
			o := p.Ops[0]
			switch o.Kind {
			case reconcile.Delete:
				end = nil
				if o.Link.State != reconcile.Unlinked {
					t.Fatalf("seed %d: the link of a deleted copy is %s", seed, o.Link.State)
				}
			case reconcile.Create:
				end = o.Set
			case reconcile.Update:
				end = w.now.Clone()
				for f, v := range o.Set {
					if end[f] = v; len(v) == 0 {
						delete(end, f)
					}
				}
				moved := o.Link.Moved(o)
				if !reflect.DeepEqual(moved.CRM.Base, l.CRM.Base) || contactsChanged(moved.Mailbox.Base, end) {
					t.Fatalf("seed %d: the bases after it: %+v", seed, moved)
				}
			}
			if len(o.Undoes) != len(w.images) || o.Reason == "" || o.Label == "" {
				t.Fatalf("seed %d: %+v", seed, o)
			}
		}
		if (end == nil) != (start == nil) || contactsChanged(hasher.Record(end), start) {
			t.Fatalf("seed %d: ends in %v instead of %v", seed, end, start)
		}
		if w.now == nil {
			continue
		}
		newest := w.images[0]
		for f := range newest.Left {
			w.now = with(w.now, string(f), "typed@example.com")
			break
		}
		if p = reconcile.Undo(w.input(l)); len(p.Ops) != 0 || len(p.Refused) != 1 {
			t.Fatalf("seed %d: an edit since would be lost: %+v", seed, p)
		}
	}
}

func contactsChanged(base record.Hashes, r record.Record) bool {
	p := contacts()
	return p.Changed(hasher.Record(r), base)
}

func TestUndoRefusals(t *testing.T) {
	t.Parallel()
	updated := &writes{now: ann()}
	updated.add(reconcile.Update, record.Record{record.JobTitle: {"Boss"}})
	deleted := &writes{now: ann()}
	deleted.add(reconcile.Delete, nil)
	m1 := reconcile.Ref{Side: record.Mailbox, ID: "m1"}
	twin := linkOf(ann(), ann())
	twin.Mailbox.ID = "m2"
	for name, c := range map[string]struct {
		in     reconcile.UndoInput
		change func(*reconcile.UndoInput)
		want   string
	}{
		"unreadable":      {updated.input(), func(in *reconcile.UndoInput) { delete(in.Items, m1) }, "cannot be read"},
		"out of scope":    {updated.input(), func(in *reconcile.UndoInput) { in.Items[m1] = reconcile.Change{Kind: reconcile.OutOfScope} }, "out of scope"},
		"gone":            {updated.input(), func(in *reconcile.UndoInput) { in.Items[m1] = reconcile.Change{Kind: reconcile.Deleted} }, "does not exist"},
		"changed":         {updated.input(), func(in *reconcile.UndoInput) { in.Items[m1] = present("m1", with(ann(), title, "Own")) }, "changed since"},
		"back already":    {deleted.input(), func(in *reconcile.UndoInput) { in.Items[m1] = present("m1", ann()) }, "exists again"},
		"linked anew":     {deleted.input(twin), func(*reconcile.UndoInput) {}, "another item"},
		"a late twin":     {deleted.input(), func(in *reconcile.UndoInput) { in.Images[0].CRMID = "" }, "duplicate"},
		"undone already":  {updated.input(), func(in *reconcile.UndoInput) { in.Images[0].Undone = "x" }, ""},
		"nothing changed": {updated.input(), func(*reconcile.UndoInput) {}, ""},
	} {
		in := c.in
		in.Images = append([]reconcile.Image(nil), in.Images...)
		c.change(&in)
		p := reconcile.Undo(in)
		switch {
		case c.want == "":
			if len(p.Refused) > 0 {
				t.Errorf("%s: %+v", name, p.Refused)
			}
		case len(p.Ops) > 0 || len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Reason, c.want) || p.Refused[0].Label != "Ann Lee":
			t.Errorf("%s: %+v", name, p)
		}
	}
}
