package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// story is a first sync with matches, then edits, deletes, creates and a conflict on
// both sides, then another cycle: every kind of operation is in it. What a person could
// not do, because the first cycle had not got that far, he does not do; done has the
// names of the contacts that were edited or deleted in the mailbox.
func story(w *world, cycle func()) {
	ids := w.seed(0, 6)
	folder := w.mail.AddFolder("box0", "CRM")
	w.mail.CreateItem(folder, mapping.Fields{
		"givenName": {"First0"}, "surname": {"Last0-0"}, "emailAddresses": {"c0-0@example.net"}, "personalNotes": {"known before"},
	})
	w.mail.CreateItem(folder, card("Only", "Here"))
	cycle()
	if w.folder(0) == "" {
		return
	}
	items := w.mail.Items(w.folder(0))
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CEO")})
	w.crm.EditItem(ids[1], mapping.Fields{"Title": record.Text("CFO"), "Email": nil})
	w.crm.DeleteItem(ids[2])
	w.crm.CreateItem("u0", contact("Late", "Comer"))
	for _, it := range items {
		switch it.Fields["surname"].First() {
		case "Last0-1":
			w.done["Last0-1"] = true
			w.mail.EditItem(it.ID, mapping.Fields{"jobTitle": record.Text("Boss")})
		case "Last0-3":
			w.done["Last0-3"] = true
			w.mail.EditItem(it.ID, mapping.Fields{"mobilePhone": record.Text("+1 212 555 0000")})
		case "Last0-4":
			// A create whose answer was lost, and whose item was deleted before anybody
			// looked, cannot be told from one that never arrived: it is made again.
			w.done["Last0-4"] = w.linked(it.ID)
			w.mail.DeleteItem(it.ID)
		}
	}
	w.mail.CreateItem(folder, card("Also", "Here"))
	cycle()
}

// linked tells whether the state knows a mailbox item.
func (w *world) linked(id string) bool {
	w.t.Helper()
	links, err := w.store.LinksByID(w.t.Context(), w.users[0].ID, record.Contacts, record.Mailbox, []string{id})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(links) > 0
}

// settle runs undisturbed cycles until the engine says that everything is settled, and
// demands that this does not take long.
func (w *world) settle() {
	w.t.Helper()
	w.faults.Set(nil)
	w.faults.Land()
	for range 4 {
		w.clock.pass(2 * time.Hour)
		s := w.run()[0]
		if s.Result == engine.ResultUnchanged {
			return
		}
	}
	w.t.Fatalf("not settled after four cycles\n%s", w.logs())
}

// survivors demands what must hold after any story: the sides are equal but for what
// was unlinked, no record is there twice, and nothing that a person typed is gone.
func (w *world) survivors() {
	w.t.Helper()
	count := map[string]int{}
	for _, it := range w.crm.Items() {
		count["crm "+it.Fields["FirstName"].First()+it.Fields["LastName"].First()]++
	}
	for _, it := range w.mail.Items(w.folder(0)) {
		count["box "+it.Fields["givenName"].First()+it.Fields["surname"].First()]++
	}
	for name, n := range count {
		if n > 1 {
			w.t.Fatalf("%s is there %d times\n%s", name, n, w.logs())
		}
	}
	want := map[string]bool{}
	for _, n := range []string{"First0Last0-0", "First1Last0-1", "First3Last0-3", "First5Last0-5", "OnlyHere", "AlsoHere", "LateComer"} {
		want["crm "+n], want["box "+n] = true, true
	}
	want["crm First4Last0-4"] = true
	if !w.done["Last0-4"] { // else deleted in the mailbox: unlinked
		want["box First4Last0-4"] = true
	}
	for n := range want {
		if count[n] == 0 {
			w.t.Fatalf("%s is gone\n%s", n, w.logs())
		}
	}
	for n := range count {
		if !want[n] {
			w.t.Fatalf("%s should not be there\n%s", n, w.logs())
		}
	}
	for _, it := range w.crm.Items() {
		switch it.Fields["LastName"].First() {
		case "Last0-0":
			if it.Fields["Description"].First() != "known before" || it.Fields["Title"].First() != "CEO" {
				w.t.Fatalf("lost edits: %v", it.Fields)
			}
		case "Last0-1":
			if it.Fields["Title"].First() != "CFO" {
				w.t.Fatalf("the conflict was lost by the winner: %v", it.Fields)
			}
		case "Last0-3":
			if w.done["Last0-3"] && it.Fields["MobilePhone"].First() != "+1 212 555 0000" {
				w.t.Fatalf("lost edit: %v", it.Fields)
			}
		}
	}
	got, err := w.store.Admin().Conflicts(w.t.Context(), w.users[0].ID)
	if err != nil || w.done["Last0-1"] && (len(got) == 0 || got[0].Lost.First() != "Boss") {
		w.t.Fatalf("the loser of the conflict was not kept: %+v, %v", got, err)
	}
	if err := w.store.Check(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// calls returns how many remote calls the undisturbed story makes.
func calls(t *testing.T) int {
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	story(w, func() { w.run() })
	n := len(w.faults.Calls())
	w.settle()
	w.survivors()
	return n
}

// Every remote call of the story fails in every way, once; a normal run afterwards
// ends as an undisturbed one.
func TestEveryCallFailsInEveryWay(t *testing.T) {
	t.Parallel()
	n := calls(t)
	if n < 10 {
		t.Fatalf("the story makes only %d calls", n)
	}
	for _, kind := range faulty.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			for k := 1; k <= n+1; k++ {
				t.Run(fmt.Sprint(k), func(t *testing.T) {
					w := newWorld(t, 1, memory.Options{}, memory.Options{})
					w.faults.Set(faulty.At(k, faulty.Fault{Kind: kind, After: 2, Item: 1}))
					story(w, func() { w.run() })
					w.settle()
					w.survivors()
				})
			}
		})
	}
}

// ways are the ways in which a call may fail, in the words of docs/reliability.md. What is
// slow and given up may have been applied, and may be applied later.
var ways = map[string]faulty.Kind{
	"refused":                   faulty.Refused,
	"reset before send":         faulty.Reset,
	"reset after commit":        faulty.Lost,
	"429":                       faulty.Throttled,
	"503":                       faulty.Unavailable,
	"500 with HTML":             faulty.ServerError,
	"504":                       faulty.GatewayTimeout,
	"slow":                      faulty.Late,
	"truncated body":            faulty.Truncated,
	"item failure inside a 200": faulty.OneItem,
	"precondition refused":      faulty.Conflict,
	"wrong etag":                faulty.WrongVersion,
	"403":                       faulty.Denied,
	"a part of a batch":         faulty.Partly,
	"delivered twice":           faulty.Twice,
	"delivered three times":     faulty.Thrice,
}

// Every remote call of the story and all after it fail in every way, until it is over;
// normal runs afterwards end as undisturbed ones.
func TestEveryCallFailsFromThenOn(t *testing.T) {
	t.Parallel()
	n := calls(t)
	for name, kind := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for k := 1; k <= n+1; k++ {
				t.Run(fmt.Sprint(k), func(t *testing.T) {
					w := newWorld(t, 1, memory.Options{}, memory.Options{})
					w.faults.Set(faulty.From(k, faulty.Fault{Kind: kind, After: 2, Item: 1}))
					story(w, func() { w.run() })
					w.settle()
					w.survivors()
				})
			}
		})
	}
}

// The process dies at every remote call, before or after the server applied it.
func TestDiesAtEveryCall(t *testing.T) {
	t.Parallel()
	n := calls(t)
	for _, applied := range []bool{false, true} {
		for k := 1; k <= n; k++ {
			t.Run(fmt.Sprint(k, applied), func(t *testing.T) {
				w := newWorld(t, 1, memory.Options{}, memory.Options{})
				w.faults.Set(faulty.DieAt(k, applied))
				cycles := 0
				story(w, func() {
					if cycles++; cycles == 2 {
						w.faults.Set(nil) // it was started again before the second cycle
						w.clock.pass(2 * time.Hour)
						w.settleQuietly()
					}
					w.run()
				})
				w.settle()
				w.survivors()
			})
		}
	}
}

// settleQuietly brings the first half of a story to its end, if there is one.
func (w *world) settleQuietly() {
	w.run()
	w.run()
}
