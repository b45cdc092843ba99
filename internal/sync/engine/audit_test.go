package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// looked counts the items that were read by their ids on a side, from the n-th call on.
func (w *world) looked(side record.Side, from int) int {
	n := 0
	for _, c := range w.faults.Calls()[from:] {
		if c.Side == side && c.Method == "get" {
			n += c.Items
		}
	}
	return n
}

// missed returns what the audit put on record.
func (w *world) missed() []string {
	w.t.Helper()
	list, err := w.store.Activities(w.t.Context(), "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, a := range list {
		if a.Type == "audit.missed" {
			out = append(out, a.Details)
		}
	}
	return out
}

// Every link is compared once in thirty days, on both sides, a share of them once a day.
func TestAuditComparesEveryLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	w.seed(0, 60)
	w.seed(1, 3)
	w.ok(oneByOne)
	start := len(w.faults.Calls())
	for range 30 {
		w.clock.pass(25 * time.Hour)
		from := len(w.faults.Calls())
		w.quiet()
		if c, m := w.looked(record.CRM, from), w.looked(record.Mailbox, from); c != m || c > 4 {
			t.Fatalf("a day's audit looked at %d records and %d copies of 63", c, m)
		}
		from = len(w.faults.Calls())
		w.quiet()
		if n := w.looked(record.CRM, from) + w.looked(record.Mailbox, from); n > 0 {
			t.Fatalf("a second cycle of the day looked at %d items", n)
		}
	}
	// A share is rounded up, for each user; a round that ends short begins anew.
	if n := w.looked(record.CRM, start); n < 63 || n > 63+60 {
		t.Errorf("looked at %d records in a month", n)
	}
	if got := w.missed(); got != nil {
		t.Errorf("missed: %v", got)
	}
}

// A change that a feed never tells is found by the audit, carried over by the usual
// rules, and reported.
func TestAuditFindsWhatTheFeedsNeverTold(t *testing.T) {
	t.Parallel()
	type change struct {
		name string
		do   func(w *world, crm, box string)
	}
	for _, tt := range []change{
		{"edited in the CRM", func(w *world, crm, _ string) {
			w.crm.EditItem(crm, mapping.Fields{"Title": record.Text("Boss")})
			w.crm.Untell(crm)
		}},
		{"edited in the mailbox", func(w *world, _, box string) {
			w.mail.EditItem(box, mapping.Fields{"jobTitle": record.Text("Boss")})
			w.mail.Untell(box)
		}},
		{"deleted in the CRM", func(w *world, crm, _ string) {
			w.crm.DeleteItem(crm)
			w.crm.Untell(crm)
		}},
		{"given to somebody else", func(w *world, crm, _ string) {
			w.crm.ChangeOwner(crm, "u9")
			w.crm.Untell(crm)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			ids := w.seed(0, 4)
			w.ok()
			tt.do(w, ids[2], w.copyOf(0, ids[2]).ID)
			w.quiet() // nobody knows yet
			for day := 0; w.missed() == nil; day++ {
				if day > 6 { // a link a day is compared, long before all records are listed
					t.Fatalf("not found in a week\n%s", w.logs())
				}
				w.clock.pass(24 * time.Hour)
				w.ok()
				w.ok()
			}
			if got := w.missed(); len(got) != 1 || !strings.Contains(got[0], "1 records") {
				t.Errorf("reported: %q", got)
			}
			w.equal()
			issues, err := w.store.Issues(t.Context(), 0, false)
			if err != nil || len(issues) > 0 {
				t.Errorf("issues are left: %+v %v", issues, err)
			}
			w.quiet()
		})
	}
}

// What has no link is not compared, but listed once a month.
func TestListingFindsWhatTheFeedsNeverTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 3)
	w.ok()
	fresh := w.crm.CreateItem("u0", contact("Un", "Told"))
	w.crm.Untell(fresh)
	own := w.mail.CreateItem(w.folder(0), card("Un", "Said"))
	w.mail.Untell(own)
	w.quiet()
	var s engine.Session
	for day := 0; w.missed() == nil; day++ {
		if day > 40 {
			t.Fatal("not found in forty days")
		}
		w.clock.pass(24 * time.Hour)
		s = w.ok()
	}
	if s.CreatedMailbox != 1 || s.CreatedCRM != 1 || !strings.Contains(s.Message, "2 records") {
		t.Errorf("%+v %q", s.Counts, s.Message)
	}
	w.equal()
	w.clock.pass(24 * time.Hour)
	w.quiet()
}

// A change that the feed tells a moment later is no news for the audit.
func TestAuditLeavesToTheFeedWhatIsTheFeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 1)
	w.ok()
	w.clock.pass(24 * time.Hour)
	// The record is edited after the feeds were read, before it is compared.
	w.faults.Set(func(c faulty.Call) faulty.Fault {
		if c.Side == record.Mailbox && c.Method == "get" {
			return faulty.Fault{Before: func() {
				w.mail.EditItem(w.copyOf(0, ids[0]).ID, mapping.Fields{"jobTitle": record.Text("Boss")})
			}}
		}
		return faulty.Fault{}
	})
	w.ok()
	w.faults.Set(nil)
	if s := w.ok(); s.UpdatedCRM != 1 || s.Message != "" {
		t.Errorf("%+v %q", s.Counts, s.Message)
	}
	if got := w.missed(); got != nil {
		t.Errorf("reported as missed: %q", got)
	}
	w.equal()
	w.quiet()
}
