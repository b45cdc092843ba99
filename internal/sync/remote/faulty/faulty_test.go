package faulty_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

func creates(names ...string) []remote.Write {
	var w []remote.Write
	for _, n := range names {
		w = append(w, remote.Write{Kind: remote.Create, Set: mapping.Fields{"LastName": record.Text(n)}})
	}
	return w
}

// Each kind of fault applies what it says, and its error says what is known.
func TestApplyUnderEachKind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault   faulty.Fault
		applied int
		class   remote.Class // of the results that failed
		unclear bool
		failed  int
	}{
		{faulty.Fault{}, 3, "", false, 0},
		{faulty.Fault{Kind: faulty.Refused}, 0, remote.ClassTransient, false, 3},
		{faulty.Fault{Kind: faulty.Reset}, 0, remote.ClassTransient, true, 3},
		{faulty.Fault{Kind: faulty.Lost}, 3, remote.ClassTransient, true, 3},
		{faulty.Fault{Kind: faulty.GatewayTimeout}, 3, remote.ClassTransient, true, 3},
		{faulty.Fault{Kind: faulty.Truncated}, 3, remote.ClassTransient, true, 3},
		{faulty.Fault{Kind: faulty.ServerError}, 0, remote.ClassTransient, true, 3},
		{faulty.Fault{Kind: faulty.Throttled}, 0, remote.ClassPressure, false, 3},
		{faulty.Fault{Kind: faulty.Unavailable}, 0, remote.ClassPressure, false, 3},
		{faulty.Fault{Kind: faulty.Denied}, 0, remote.ClassAuthorization, false, 3},
		{faulty.Fault{Kind: faulty.Late, After: 9}, 0, remote.ClassTransient, true, 3},
		{faulty.Fault{Kind: faulty.Partly, Item: 2}, 2, remote.ClassTransient, true, 3},
		{faulty.Fault{Kind: faulty.OneItem, Item: 1}, 2, remote.ClassItem, false, 1},
		{faulty.Fault{Kind: faulty.Conflict, Item: 4}, 2, remote.ClassConflict, false, 1},
		{faulty.Fault{Kind: faulty.WrongVersion}, 3, "", false, 0},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault.Kind), func(t *testing.T) {
			t.Parallel()
			inner := memory.NewCRM(memory.Options{})
			plan := faulty.NewPlan(faulty.At(1, tt.fault))
			out := plan.CRM(inner).Collection(record.Contacts).Apply(context.Background(), creates("A", "B", "C"))
			if len(out) != 3 {
				t.Fatalf("%d results, want 3", len(out))
			}
			if n := len(inner.Items()); n != tt.applied {
				t.Errorf("%d writes arrived, want %d", n, tt.applied)
			}
			failed := 0
			for _, r := range out {
				if r.Err == nil {
					continue
				}
				failed++
				if !remote.Is(r.Err, tt.class) || remote.IsUnclear(r.Err) != tt.unclear {
					t.Errorf("error %v has class %s, unclear %v; want %s, %v", r.Err, remote.ClassOf(r.Err), remote.IsUnclear(r.Err), tt.class, tt.unclear)
				}
			}
			if failed != tt.failed {
				t.Errorf("%d results failed, want %d", failed, tt.failed)
			}
		})
	}
}

// The result that is refused stands in its own place.
func TestOneItemKeepsTheOrder(t *testing.T) {
	t.Parallel()
	inner := memory.NewCRM(memory.Options{})
	plan := faulty.NewPlan(faulty.At(1, faulty.Fault{Kind: faulty.OneItem, Item: 1}))
	out := plan.CRM(inner).Collection(record.Contacts).Apply(context.Background(), creates("A", "B", "C"))
	for i, name := range []string{"A", "", "C"} {
		item, ok := inner.Item(out[i].ID)
		if ok != (name != "") || item.Fields["LastName"].First() != name {
			t.Errorf("result %d is of %q, want %q", i, item.Fields["LastName"].First(), name)
		}
	}
}

// A late write arrives when its call comes, and by Land.
func TestLateWritesLand(t *testing.T) {
	t.Parallel()
	inner := memory.NewCRM(memory.Options{})
	plan := faulty.NewPlan(func(c faulty.Call) faulty.Fault {
		return map[int]faulty.Fault{1: {Kind: faulty.Late, After: 2}, 2: {Kind: faulty.Late, After: 100}}[c.Number]
	})
	crm := plan.CRM(inner)
	c := crm.Collection(record.Contacts)
	c.Apply(context.Background(), creates("A"))
	c.Apply(context.Background(), creates("B"))
	if n := len(inner.Items()); n != 0 {
		t.Fatalf("%d writes arrived at once", n)
	}
	if err := crm.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(inner.Items()); n != 1 {
		t.Errorf("%d writes arrived by the third call, want 1", n)
	}
	plan.Land()
	if n := len(inner.Items()); n != 2 {
		t.Errorf("%d writes arrived in the end, want 2", n)
	}
}

// A slow call ends with its context, and nobody knows what became of its writes.
func TestSlowEndsWithTheContext(t *testing.T) {
	t.Parallel()
	plan := faulty.NewPlan(faulty.At(1, faulty.Fault{Kind: faulty.Slow}))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out := plan.CRM(memory.NewCRM(memory.Options{})).Collection(record.Contacts).Apply(ctx, creates("A"))
	if !remote.IsUnclear(out[0].Err) {
		t.Errorf("error = %v, want an unclear one", out[0].Err)
	}
}

// Hooks run on both sides of the call.
func TestHooks(t *testing.T) {
	t.Parallel()
	inner := memory.NewCRM(memory.Options{})
	before, after := -1, -1
	plan := faulty.NewPlan(faulty.At(1, faulty.Fault{
		Before: func() { before = len(inner.Items()) }, Done: func() { after = len(inner.Items()) },
	}))
	plan.CRM(inner).Collection(record.Contacts).Apply(context.Background(), creates("A"))
	if before != 0 || after != 1 {
		t.Errorf("the hooks saw %d and %d items, want 0 and 1", before, after)
	}
}

// Every method of both systems that makes a request is counted once, in one order.
func TestEveryCallIsCounted(t *testing.T) {
	t.Parallel()
	inner := memory.NewMail(memory.Options{})
	inner.AddPerson(remote.Person{ID: "anna"})
	plan := faulty.NewPlan(nil)
	crm, mail := plan.CRM(memory.NewCRM(memory.Options{})), plan.Mail(inner)
	box := mail.Mailbox("anna")
	ctx := context.Background()
	want := remote.Customization{Folder: "F", Category: "F", Entities: []record.Entity{record.Contacts}}

	_ = crm.Check(ctx)
	_ = crm.CheckUser(ctx, "x")
	_, _ = crm.People(ctx)
	_, _ = crm.Organization(ctx)
	_ = mail.Check(ctx)
	_ = mail.CheckUser(ctx, "anna")
	_, _ = mail.People(ctx)
	p, _ := box.Prepare(ctx, want)
	_, _ = box.Claim(ctx, want)
	_, _ = box.Inspect(ctx, want)
	c := box.Collection(record.Contacts, p.Containers[record.Contacts])
	_, _ = c.Changes(ctx, remote.Query{})
	c.Get(ctx, []string{"m"})
	_, _ = c.FindStamped(ctx, []record.Stamp{{}})
	c.Apply(ctx, []remote.Write{{Kind: remote.Create}})
	mail.Prefetch(ctx, []remote.MailFeed{{Mailbox: "anna"}})
	_, _ = box.Remove(ctx, want, nil)
	_, _ = mail.AddIns().Status(ctx, "anna")
	_ = mail.AddIns().Install(ctx, "anna")
	_ = mail.AddIns().Remove(ctx, "anna")

	var got []string
	for _, call := range plan.Calls() {
		got = append(got, call.String())
	}
	wantCalls := []string{
		"1 crm check", "2 crm check user", "3 crm people", "4 crm organization",
		"5 mailbox check", "6 mailbox check user", "7 mailbox people",
		"8 mailbox prepare anna", "9 mailbox claim anna", "10 mailbox inspect anna",
		"11 mailbox changes anna", "12 mailbox get anna ×1", "13 mailbox find anna ×1", "14 mailbox apply anna ×1",
		"15 mailbox prefetch ×1", "16 mailbox remove anna",
		"17 mailbox add-in status anna", "18 mailbox add-in install anna", "19 mailbox add-in remove anna",
	}
	if !slices.Equal(got, wantCalls) {
		t.Errorf("calls:\n%q\nwant\n%q", got, wantCalls)
	}
}

// Every method passes the failure of its call on.
func TestEveryMethodFails(t *testing.T) {
	t.Parallel()
	plan := faulty.NewPlan(faulty.From(1, faulty.Fault{Kind: faulty.Throttled, RetryAfter: time.Minute}))
	crm, mail := plan.CRM(memory.NewCRM(memory.Options{})), plan.Mail(memory.NewMail(memory.Options{}))
	box := mail.Mailbox("anna")
	c := crm.Collection(record.Contacts)
	ctx := context.Background()
	errs := map[string]error{"check": crm.Check(ctx), "check user": mail.CheckUser(ctx, "anna"), "install": mail.AddIns().Install(ctx, "anna")}
	_, errs["people"] = mail.People(ctx)
	_, errs["organization"] = crm.Organization(ctx)
	_, errs["prepare"] = box.Prepare(ctx, remote.Customization{})
	_, errs["claim"] = box.Claim(ctx, remote.Customization{})
	_, errs["inspect"] = box.Inspect(ctx, remote.Customization{})
	_, errs["remove"] = box.Remove(ctx, remote.Customization{}, nil)
	_, errs["changes"] = c.Changes(ctx, remote.Query{})
	_, errs["find"] = c.FindStamped(ctx, []record.Stamp{{}})
	errs["get"] = c.Get(ctx, []string{"a"})[0].Err
	errs["prefetch"] = mail.Prefetch(ctx, []remote.MailFeed{{}})[0].Err
	for method, err := range errs {
		if !remote.Is(err, remote.ClassPressure) {
			t.Errorf("%s: error = %v, want pressure", method, err)
		}
	}
}

// What a seed does to a call depends on the call's number alone, and different seeds
// differ.
func TestSeeded(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) (kinds []faulty.Kind, faults int) {
		d := faulty.Seeded(seed, 0.1)
		for k := range 1000 {
			f := d(faulty.Call{Number: k + 1})
			kinds = append(kinds, f.Kind)
			if f.Kind != faulty.None {
				faults++
			}
		}
		return kinds, faults
	}
	a, faults := draw(1)
	b, _ := draw(1)
	c, _ := draw(2)
	if !slices.Equal(a, b) {
		t.Error("the same seed gives different faults")
	}
	if slices.Equal(a, c) {
		t.Error("different seeds give the same faults")
	}
	if faults < 50 || faults > 150 {
		t.Errorf("%d faults in 1000 calls at a share of 0.1", faults)
	}
}

// After the process has died, nothing arrives any more.
func TestDieAt(t *testing.T) {
	t.Parallel()
	for applied, want := range map[bool]int{false: 1, true: 2} {
		inner := memory.NewCRM(memory.Options{})
		c := faulty.NewPlan(faulty.DieAt(2, applied)).CRM(inner).Collection(record.Contacts)
		for range 4 {
			c.Apply(context.Background(), creates("A"))
		}
		if n := len(inner.Items()); n != want {
			t.Errorf("applied %v: %d writes arrived, want %d", applied, n, want)
		}
	}
}
