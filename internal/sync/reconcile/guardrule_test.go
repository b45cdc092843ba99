package reconcile_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Whatever waits, is allowed or is new: nothing is lost from a plan; what was allowed
// passes; what waits stays; under other rules all else stays too; and of what is new on
// a side either all passes or none, as the limit says of it together with what waits.
func TestGuardKeepsItsRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		g := reconcile.Guarded{
			Links: rapid.IntRange(0, 400).Draw(r, "links"), Limits: reconcile.DefaultLimits(record.Contacts),
			Waiting: map[reconcile.DeleteKey]reconcile.HeldBy{}, Allowed: map[reconcile.DeleteKey]bool{},
			NewRules: rapid.Bool().Draw(r, "new rules"),
		}
		var p reconcile.Plan
		fresh, counted := map[record.Side]int{}, map[record.Side]int{}
		for n := range rapid.IntRange(0, 40).Draw(r, "deletes") {
			side := rapid.SampledFrom([]record.Side{record.CRM, record.Mailbox}).Draw(r, "side")
			o := reconcile.Operation{Kind: reconcile.Delete, Side: side, CRMID: fmt.Sprint("c", n), MailboxID: fmt.Sprint("m", n)}
			what := rapid.SampledFrom([]string{"new", "new", "waits", "waits unplanned", "allowed"}).Draw(r, "what")
			switch what {
			case "new":
				fresh[side]++
				counted[side]++
			case "waits", "waits unplanned":
				g.Waiting[o.DeleteKey()] = reconcile.HeldByRun
				counted[side]++
			case "allowed":
				g.Allowed[o.DeleteKey()] = true
			}
			if what != "waits unplanned" {
				p.Ops = append(p.Ops, o)
			}
		}
		got := reconcile.Guard(p, g)
		if len(got.Ops)+len(got.Held) != len(p.Ops) {
			r.Fatalf("%d pass and %d are held of %d", len(got.Ops), len(got.Held), len(p.Ops))
		}
		passed := map[record.Side]int{}
		for _, o := range got.Ops {
			if g.Waiting[o.DeleteKey()] != "" {
				r.Fatalf("%v waits and passes", o)
			}
			if !g.Allowed[o.DeleteKey()] {
				passed[o.Side]++
			}
		}
		for _, o := range got.Held {
			if g.Allowed[o.DeleteKey()] || o.By == "" || g.Waiting[o.DeleteKey()] != "" && o.By != reconcile.HeldByRun {
				r.Fatalf("%v is held", o)
			}
		}
		for side, n := range fresh {
			want := n
			if c := counted[side]; g.NewRules || c > 10 && (c*100 > 5*g.Links || c > 250) {
				want = 0
			}
			if passed[side] != want {
				r.Fatalf("%s: %d of %d new ones pass, want %d", side, passed[side], n, want)
			}
		}
	})
}

// After bases were moved to another region, what was edited on either side is still
// edited there, unless the two now mean the same, and what was not is not.
func TestRehashTellsTheSameEdits(t *testing.T) {
	t.Parallel()
	numbers := []string{"030 1", "030 2", "+49 30 1", "(212) 555-0100", "+1 212 555 0100", "7"}
	regions := []string{"", "DE", "US"}
	hashers := map[string]record.Hasher{}
	for _, region := range regions {
		h, err := record.NewHasher(make([]byte, record.KeySize), region)
		if err != nil {
			t.Fatal(err)
		}
		hashers[region] = h
	}
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string) record.Record {
			rec := record.Record{}
			if v := rapid.SliceOfNDistinct(rapid.SampledFrom(numbers), 0, 3, rapid.ID).Draw(r, name); len(v) > 0 {
				rec[record.BusinessPhones] = v
			}
			return rec
		}
		from, to := hashers[rapid.SampledFrom(regions).Draw(r, "from")], hashers[rapid.SampledFrom(regions).Draw(r, "to")]
		was := draw("was")
		now := [2]record.Record{was, was}
		for i := range now {
			if rapid.Bool().Draw(r, "edited") {
				now[i] = draw("now")
			}
		}
		link := reconcile.Link{State: reconcile.Linked}
		link.CRM = reconcile.Half{ID: "c1", Base: from.Record(was)}
		link.Mailbox = reconcile.Half{ID: "m1", Base: from.Record(was)}
		in := reconcile.Input{
			Policy: reconcile.Policy{Entity: record.Contacts, Fields: []reconcile.FieldPolicy{{Field: record.BusinessPhones}}},
			Hasher: from, Links: []reconcile.Link{link},
			CRM:     []reconcile.Change{{ID: "c1", Record: now[0]}},
			Mailbox: []reconcile.Change{{ID: "m1", Record: now[1]}},
		}
		links, _ := reconcile.Rehash(in, to)
		for i, h := range []reconcile.Half{links[0].CRM, links[0].Mailbox} {
			before, after := changedPhones(from, link.CRM.Base, now[i]), changedPhones(to, h.Base, now[i])
			respelt := !changedPhones(to, to.Record(was), now[i])
			if before != after && (!before || !respelt) {
				r.Fatalf("side %d: edited %t, then %t: %v and now %v", i, before, after, was, now)
			}
		}
	})
}

func changedPhones(h record.Hasher, base record.Hashes, rec record.Record) bool {
	now := h.Value(record.BusinessPhones, rec[record.BusinessPhones])
	if len(now) != len(base[record.BusinessPhones]) {
		return true
	}
	for _, x := range now {
		found := false
		for _, b := range base[record.BusinessPhones] {
			found = found || b == x
		}
		if !found {
			return true
		}
	}
	return false
}
