package reconcile_test

import (
	"testing"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// A list of which the CRM holds one element and the mailbox three, unless said
// otherwise. Each case gives the bases and what both hold now; "-" is not reported.
func TestLists(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name             string
		rooms            [2]int
		policy           reconcile.Winner
		crmBase, boxBase string
		crmNow, boxNow   string
		want             string
	}{
		{name: "the CRM replaces its one", crmBase: "a", boxBase: "a,b", crmNow: "x", boxNow: "a,b", want: "update mailbox emails=x,b"},
		{name: "the CRM replaces its one, the mailbox's others are not known", crmBase: "a", boxBase: "a,b", crmNow: "x", boxNow: "-", want: "reread mailbox m1"},
		{name: "the CRM replaces its one, and there are no others", crmBase: "a", boxBase: "a", crmNow: "x", boxNow: "-", want: "update mailbox emails=x"},
		{name: "the mailbox adds one", crmBase: "a", boxBase: "a,b", crmNow: "-", boxNow: "a,b,c", want: "settle"},
		{name: "the mailbox replaces the first", crmBase: "a", boxBase: "a,b", crmNow: "-", boxNow: "n,b", want: "update crm emails=n"},
		{name: "the mailbox replaces another", crmBase: "a", boxBase: "a,b", crmNow: "-", boxNow: "a,n", want: "settle"},
		{name: "the mailbox removes the first: the next moves up", crmBase: "a", boxBase: "a,b", crmNow: "-", boxNow: "b", want: "update crm emails=b"},
		{name: "the mailbox removes all", crmBase: "a", boxBase: "a,b", crmNow: "-", boxNow: "", want: "update crm emails="},
		{name: "the CRM clears its one: the next moves up", crmBase: "a", boxBase: "a,b", crmNow: "", boxNow: "a,b",
			want: lines("update crm emails=b", "update mailbox emails=b")},
		{name: "the CRM puts in what only the mailbox had", crmBase: "a", boxBase: "a,b", crmNow: "b", boxNow: "a,b", want: "update mailbox emails=b"},
		{name: "order alone is no change", rooms: [2]int{3, 3}, crmBase: "a,b", boxBase: "a,b", crmNow: "b,a", boxNow: "b,a", want: ""},
		{name: "order and another one", rooms: [2]int{3, 3}, crmBase: "a,b", boxBase: "a,b", crmNow: "b,a,c", boxNow: "-", want: "update mailbox emails=a,c,b"},
		{name: "what is added takes the place of what is removed", rooms: [2]int{3, 3}, crmBase: "a,b", boxBase: "a,b", crmNow: "b,x", boxNow: "-", want: "update mailbox emails=x,b"},
		{name: "both replace the same one", crmBase: "a", boxBase: "a,b", crmNow: "x", boxNow: "y,b", want: "update mailbox emails=x,y,b"},
		{name: "both replace the same one by the same", crmBase: "a", boxBase: "a,b", crmNow: "x", boxNow: "x,b", want: "settle"},
		{name: "both replace the same one and the mailbox is full", crmBase: "a", boxBase: "a,b,c", crmNow: "x", boxNow: "y,b,c",
			want: lines("update mailbox emails=x,b,c", "conflict emails: crm keeps x, lost y", "finding too-many crm c1")},
		{name: "the same, the mailbox wins", policy: reconcile.MailboxWins, crmBase: "a", boxBase: "a,b,c", crmNow: "x", boxNow: "y,b,c",
			want: lines("update crm emails=y", "conflict emails: mailbox keeps y, lost x", "finding too-many crm c1")},
		{name: "the same, on hold", policy: reconcile.Hold, crmBase: "a", boxBase: "a,b,c", crmNow: "x", boxNow: "y,b,c",
			want: lines("conflict emails:  keeps x, lost y", "finding on-hold crm c1")},
		{name: "one each, both replace it", rooms: [2]int{1, 1}, crmBase: "a", boxBase: "a", crmNow: "x", boxNow: "y",
			want: lines("update mailbox emails=x", "conflict emails: crm keeps x, lost y", "finding too-many crm c1")},
		{name: "each side adds one", rooms: [2]int{3, 3}, crmBase: "a", boxBase: "a", crmNow: "a,x", boxNow: "a,y",
			want: lines("update crm emails=a,x,y", "update mailbox emails=a,x,y")},
		{name: "one removes, the other adds", rooms: [2]int{3, 3}, crmBase: "a,b", boxBase: "a,b", crmNow: "b", boxNow: "a,b,c",
			want: lines("update crm emails=b,c", "update mailbox emails=b,c")},
		{name: "both remove the same", rooms: [2]int{3, 3}, crmBase: "a,b", boxBase: "a,b", crmNow: "b", boxNow: "b", want: "settle"},
		{name: "one removes what the other keeps", rooms: [2]int{3, 3}, crmBase: "a,b,c", boxBase: "a,b,c", crmNow: "-", boxNow: "a,c", want: "update crm emails=a,c"},
		{name: "the CRM holds more", rooms: [2]int{0, 1}, crmBase: "a,b", boxBase: "a", crmNow: "a,b", boxNow: "x", want: "update crm emails=x,b"},
		{name: "the CRM holds more and is not at hand", rooms: [2]int{0, 1}, crmBase: "a,b", boxBase: "a", crmNow: "-", boxNow: "x", want: "reread crm c1"},
		{name: "case is no change", crmBase: "a", boxBase: "a,b", crmNow: "A", boxNow: "a,B", want: ""},
		{name: "no base, one each", crmNow: "x", boxNow: "y", want: "update mailbox emails=x,y"},
		{name: "no base, the mailbox has more", crmNow: "x", boxNow: "y,z", want: "update mailbox emails=x,y,z"},
		{name: "no base, too many", crmNow: "x", boxNow: "y,z,v",
			want: lines("update mailbox emails=x,y,z", "conflict emails: crm keeps x, lost v", "finding too-many crm c1")},
		{name: "no base, the CRM has none", crmNow: "", boxNow: "y,z", want: "update crm emails=y"},
		{name: "no base, the mailbox has none", crmNow: "x", boxNow: "", want: "update mailbox emails=x"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			if x.rooms == [2]int{} {
				x.rooms = [2]int{1, 3}
			}
			p := contacts()
			if x.policy != "" {
				p.Conflict = x.policy
			}
			fp := fieldOf(&p, record.EmailAddresses)
			if x.rooms[0] > 0 {
				fp.FitCRM = cut(x.rooms[0])
			}
			fp.FitMailbox = cut(x.rooms[1])
			base := with(ann(), emails, "")
			in := reconcile.Input{Policy: p, Hasher: hasher, Links: []reconcile.Link{linkOf(with(base, emails, x.crmBase), with(base, emails, x.boxBase))}}
			if x.crmNow != "-" {
				in.CRM = []reconcile.Change{present("c1", with(base, emails, x.crmNow))}
			}
			if x.boxNow != "-" {
				in.Mailbox = []reconcile.Change{present("m1", with(base, emails, x.boxNow))}
			}
			if got := words(reconcile.Reconcile(in)); got != x.want {
				t.Errorf("got\n%s\nwant\n%s", got, x.want)
			}
		})
	}
}

// A server that respells the elements: the pairs of both bases are still one element.
func TestRespelledList(t *testing.T) {
	t.Parallel()
	p := contacts()
	c, m := with(ann(), string(record.Categories), "Red,Blue"), with(ann(), string(record.Categories), "color:red,color:blue")
	in := reconcile.Input{Policy: p, Hasher: hasher, Links: []reconcile.Link{linkOf(c, m)},
		CRM: []reconcile.Change{present("c1", with(c, string(record.Categories), "Red,Green"))}, Mailbox: []reconcile.Change{present("m1", m)}}
	if got := words(reconcile.Reconcile(in)); got != "update mailbox categories=color:red,Green" {
		t.Error(got)
	}
	in.CRM, in.Mailbox = nil, []reconcile.Change{present("m1", with(m, string(record.Categories), "color:blue"))}
	if got := words(reconcile.Reconcile(in)); got != "reread crm c1" {
		t.Error(got)
	}
}

// A server that shortens the elements, in another order: what is the shortened form of
// what is known by that, not by its place.
func TestShortenedList(t *testing.T) {
	t.Parallel()
	p := contacts()
	fieldOf(&p, record.Categories).FitMailbox = shorten(3)
	c, m := with(ann(), string(record.Categories), "Redder,Blueish"), with(ann(), string(record.Categories), "Blu,Red")
	in := reconcile.Input{Policy: p, Hasher: hasher, Links: []reconcile.Link{linkOf(c, m)},
		CRM: []reconcile.Change{present("c1", with(c, string(record.Categories), "Blueish,Green"))}, Mailbox: []reconcile.Change{present("m1", m)}}
	if got := words(reconcile.Reconcile(in)); got != "update mailbox categories=Gre,Blu" {
		t.Error(got)
	}
}

// Both sides write the same list. Whichever write fails, nothing is lost and nothing
// that was removed comes back; where both succeed, Join brings the bases to an end.
func TestBothSidesOfAList(t *testing.T) {
	t.Parallel()
	for _, edits := range []func(w *world, c, m *thing){
		func(w *world, c, m *thing) { w.add(record.CRM, c); w.add(record.Mailbox, m) },
		func(w *world, c, m *thing) { w.take(record.CRM, c, 0); w.add(record.Mailbox, m) },
		func(w *world, c, m *thing) { w.add(record.CRM, c); w.take(record.Mailbox, m, 0) },
		func(w *world, c, m *thing) { w.take(record.CRM, c, 0); w.take(record.Mailbox, m, 1) },
		func(w *world, c, m *thing) { w.replace(record.CRM, c, 0); w.replace(record.Mailbox, m, 1) },
	} {
		for _, fails := range []string{"", "first", "second"} {
			p := policy(5, 5)
			w := newWorld(t, p)
			c := w.create(record.CRM)
			w.add(record.CRM, c)
			w.run()
			w.run()
			edits(w, c, w.of(record.Mailbox, c.who))
			n := 0
			w.fails = func() bool {
				n++
				return n == 1 && fails == "first" || n == 2 && fails == "second"
			}
			plan := w.run()
			if n != 2 {
				t.Fatalf("%d writes: %s", n, words(plan))
			}
			if fails == "" {
				w.settle(1)
			} else {
				w.settle(2)
			}
		}
	}
}

func TestPhoneNumbersAsList(t *testing.T) {
	t.Parallel()
	p := contacts()
	base := with(ann(), phones, "202 224 3441,425 303 0114")
	in := reconcile.Input{Policy: p, Hasher: hasher, Links: []reconcile.Link{linkOf(base, base)},
		Mailbox: []reconcile.Change{present("m1", with(base, phones, "(202) 224-3441,425.303.0114"))}}
	if got := words(reconcile.Reconcile(in)); got != "" {
		t.Errorf("spelling is an edit: %s", got)
	}
	in.Mailbox = []reconcile.Change{present("m1", with(base, phones, "(202) 224-3441,425.303.9999"))}
	if got := words(reconcile.Reconcile(in)); got != "update crm business_phones=(202) 224-3441,425.303.9999" {
		t.Error(got)
	}
}
