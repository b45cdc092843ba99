package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// region changes the organization's.
func (w *world) region(code string) {
	w.t.Helper()
	a := w.store.Admin()
	o, err := a.Organization(w.t.Context(), "ACME")
	if err != nil {
		w.t.Fatal(err)
	}
	o.Region = code
	if err := a.UpdateOrganization(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

// settleAs stores a settlement, as a cycle of a user would.
func (w *world) settleAs(user int, s engine.Settlement) {
	w.t.Helper()
	ctx := w.t.Context()
	l := engine.Lease{User: w.users[user].ID, Holder: "test"}
	current, ok, err := w.store.AcquireLease(ctx, l, w.clock.Now())
	if err != nil || !ok {
		w.t.Fatalf("%q holds the lease, %v", current, err)
	}
	s.Now = w.clock.Now()
	if err := w.store.Settle(ctx, l, record.Contacts, s); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.ReleaseLease(ctx, l); err != nil {
		w.t.Fatal(err)
	}
}

// Under other rules both sides are compared in full, once, and no delete is done before
// a person has decided, however few.
func TestNewRulesHoldEveryDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 20)
	w.ok()
	w.setAll("contacts.direction", "to-mailbox")
	w.crm.DeleteItem(ids[4])
	w.crm.EditItem(ids[5], mapping.Fields{"Title": record.Text("CEO")})
	s := w.ok()
	if s.DeletedMailbox != 0 || s.Held != 1 || s.UpdatedMailbox != 1 || s.CreatedMailbox != 0 ||
		!strings.Contains(s.Message, "the rules have changed") || !strings.Contains(s.Message, "1 deletes are held") {
		t.Fatalf("%s %+v\n%s", s.Message, s.Counts, s.Log)
	}
	for _, line := range []string{"read all 19 records of the CRM", "read all 20 items of the mailbox"} {
		if !strings.Contains(s.Log, line) {
			t.Fatalf("not %s:\n%s", line, s.Log)
		}
	}
	if d := w.held(0)[ids[4]]; d.By != reconcile.HeldByRules {
		t.Fatalf("%+v", d)
	}
	if s := w.ok(); s.Message != "" || s.Held != 1 || s.Result != engine.ResultUnchanged {
		t.Fatalf("%s: %s %+v", s.Result, s.Message, s.Counts)
	}
	w.crm.DeleteItem(ids[6]) // an ordinary one again
	if s := w.ok(); s.DeletedMailbox != 1 || s.Held != 1 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	w.say(0, engine.Allow, ids[4])
	w.ok()
	w.equal()
	w.quiet()
}

// What wins a conflict, or how much the guard lets pass, is no part of the rules.
func TestSettingsThatAreNoRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 20)
	w.ok()
	w.setAll("contacts.conflict", "mailbox")
	w.setAll("contacts.guard", "2, 5%, 250")
	w.setAll("contacts.deletes.from_mailbox", "propagate")
	w.crm.DeleteItem(ids[0])
	if s := w.ok(); s.DeletedMailbox != 1 || s.Message != "" {
		t.Fatalf("%s: %+v", s.Message, s.Counts)
	}
	for _, id := range ids[1:4] {
		w.crm.DeleteItem(id)
	}
	if s := w.ok(); s.DeletedMailbox != 0 || s.Held != 3 {
		t.Fatalf("%+v", s.Counts)
	}
}

// A state that does not know its rules takes them for the ones of now, and reads nothing
// for it.
func TestUnknownRulesAreAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 20)
	w.ok()
	rep, err := w.store.Replica(t.Context(), w.users[0].ID, record.Contacts)
	if err != nil || rep.Rules == "" {
		t.Fatalf("%+v, %v", rep, err)
	}
	now := rep.Rules
	rep.Rules = ""
	w.settleAs(0, engine.Settlement{Replica: &rep})
	w.crm.DeleteItem(ids[0])
	if s := w.ok(); s.DeletedMailbox != 1 || strings.Contains(s.Log, "read all") {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	if rep, err = w.store.Replica(t.Context(), w.users[0].ID, record.Contacts); err != nil || rep.Rules != now {
		t.Fatalf("%+v, %v", rep, err)
	}
}

// Another region makes other numbers of what is typed, but no duplicates, no writes and
// no conflicts; an edit that nobody has seen yet arrives, also where it is of a number.
func TestRegionChange(t *testing.T) {
	t.Parallel()
	for _, way := range [][2]string{{"", "DE"}, {"DE", ""}, {"DE", "US"}, {"US", "DE"}} {
		t.Run(fmt.Sprintf("%s to %s", way[0], way[1]), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			w.region(way[0])
			var ids []string
			for n := range 12 {
				ids = append(ids, w.crm.CreateItem("u0", contact("A", fmt.Sprint("B", n),
					"Phone", fmt.Sprintf("030 12345%02d", n), "MobilePhone", fmt.Sprintf("(212) 555-01%02d", n))))
			}
			w.ok()
			w.region(way[1])
			w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"mobilePhone": record.Text("030 777")})
			w.mail.EditItem(w.copyOf(0, ids[2]).ID, mapping.Fields{"businessPhones": {"030 1234502", "030 888"}})
			w.crm.EditItem(ids[3], mapping.Fields{"Phone": record.Text("030 999")})
			w.crm.EditItem(ids[4], mapping.Fields{"Phone": nil})
			s := w.ok()
			if s.CreatedCRM+s.CreatedMailbox+s.DeletedMailbox+s.Conflicts+s.Issues != 0 || s.UpdatedCRM > 2 || s.UpdatedMailbox != 2 {
				t.Fatalf("%+v\n%s", s.Counts, s.Log)
			}
			for id, want := range map[string][2]string{
				ids[1]: {"MobilePhone", "030 777"}, ids[3]: {"Phone", "030 999"}, ids[4]: {"Phone", ""}, ids[5]: {"Phone", "030 1234505"},
			} {
				it, _ := w.crm.Item(id)
				if got := it.Fields[want[0]].First(); got != want[1] {
					t.Errorf("%s: %s is %q in the CRM, not %q", id, want[0], got, want[1])
				}
			}
			if phones := w.copyOf(0, ids[4]).Fields["businessPhones"]; len(phones) != 0 {
				t.Errorf("the number that was cleared is %v", phones)
			}
			w.quiet()
			w.mail.EditItem(w.copyOf(0, ids[6]).ID, mapping.Fields{"mobilePhone": record.Text("030 666")})
			w.crm.Touch(ids[6])
			if s := w.ok(); s.Conflicts != 0 || s.UpdatedCRM != 1 {
				t.Errorf("an edit afterwards: %+v\n%s", s.Counts, s.Log)
			}
		})
	}
}

// A region that changes while edits wait, again and again and with faults, loses none.
func TestRegionChangeUnderFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := w.crm.CreateItem("u0", contact("A", "B", "Phone", "030 1", "MobilePhone", "(212) 555-0100"))
	w.ok()
	for n, region := range []string{"DE", "US", "", "DE"} {
		w.region(region)
		number := fmt.Sprintf("030 77%d", n)
		w.mail.EditItem(w.copyOf(0, id).ID, mapping.Fields{"mobilePhone": record.Text(number)})
		w.faults.Set(onMethod("apply", faulty.Fault{Kind: faulty.Lost}))
		w.run()
		w.faults.Set(nil)
		w.run()
		w.ok()
		if it, _ := w.crm.Item(id); it.Fields["MobilePhone"].First() != number {
			t.Fatalf("the edit under %q is %v\n%s", region, it.Fields, w.logs())
		}
		if c, err := w.store.Admin().Conflicts(t.Context(), 0); err != nil || len(c) != 0 {
			t.Fatalf("conflicts %+v, %v", c, err)
		}
		w.quiet()
	}
}
