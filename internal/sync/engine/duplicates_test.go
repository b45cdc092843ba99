package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

func withoutLeave(o *engine.Options) { o.AllowCreateInCRM = false }

// named is a card of a person with an address.
func named(first, last, email string, more ...string) mapping.Fields {
	f := card(first, last, more...)
	f["emailAddresses"] = record.Value{email}
	return f
}

func (w *world) merge(o engine.MergeOptions) (engine.Session, []engine.MergeResult) {
	w.t.Helper()
	o.User, o.Actor = w.users[0].ID, "tester"
	s, results, err := w.engine().Merge(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, results
}

// A linked item takes over what its duplicates hold, they go to Deleted Items, and the
// next cycle carries what was added to the CRM.
func TestMergeDuplicates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := w.crm.CreateItem("u0", contact("Ann", "Lee", "Email", "ann@example.net", "Title", "CTO"))
	w.seed(0, 3)
	w.ok()
	kept := w.copyOf(0, id).ID
	one := w.mail.CreateItem(w.folder(0), named("Ann", "Lee", "ANN@example.net", "jobTitle", "Boss", "mobilePhone", "+1 212 555 9999"))
	two := w.mail.CreateItem(w.folder(0), named("Ann", "Lee", "ann@example.net", "personalNotes", "met in Rome"))
	w.ok(withoutLeave)
	before := w.snapshot()
	groups, err := w.engine().Duplicates(t.Context(), w.users[0].ID, record.CRM, record.Mailbox)
	if err != nil || len(groups) != 1 || len(groups[0].Members) != 3 || groups[0].Side != record.Mailbox {
		t.Fatalf("%+v, %v", groups, err)
	}
	if s, results := w.merge(engine.MergeOptions{DryRun: true}); s.ID != 0 || len(results) != 1 || results[0].Kept != kept ||
		!slices.Equal(results[0].Away, []string{one, two}) || w.snapshot() != before {
		t.Fatalf("dry run: %+v %+v", s, results)
	}
	s, results := w.merge(engine.MergeOptions{})
	if s.Result != engine.ResultDone || s.UpdatedMailbox != 1 || s.DeletedMailbox != 2 || len(results) != 1 || results[0].Result != engine.ResultDone || results[0].Lost != 1 {
		t.Fatalf("%+v\n%+v", s, results)
	}
	for _, gone := range []string{one, two} {
		if _, there := w.mail.Item(gone); there {
			t.Errorf("%s is still there", gone)
		}
	}
	w.ok()
	w.equal()
	it, _ := w.crm.Item(id)
	if it.Fields["MobilePhone"].First() != "+1 212 555 9999" || it.Fields["Description"].First() != "met in Rome" || it.Fields["Title"].First() != "CTO" {
		t.Errorf("the CRM has %v", it.Fields)
	}
	conflicts, err := w.store.Admin().Conflicts(t.Context(), w.users[0].ID)
	if err != nil || len(conflicts) != 1 || conflicts[0].Lost.First() != "Boss" || conflicts[0].MailboxID != kept {
		t.Errorf("conflicts: %+v, %v", conflicts, err)
	}
	audit, err := w.store.Admin().Activities(t.Context(), w.users[0].Email, 1)
	if err != nil || len(audit) != 1 || audit[0].Type != "duplicates.merged" || audit[0].Actor != "tester" || audit[0].Details != "groups merged: 1, items put into Deleted Items: 2" {
		t.Errorf("audit: %+v, %v", audit, err)
	}
	w.quiet()
	if _, results := w.merge(engine.MergeOptions{}); len(results) != 0 {
		t.Errorf("once more: %+v", results)
	}
}

// Of items that nobody has linked the oldest stays.
func TestMergeKeepsTheOldest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 1)
	w.ok()
	old := w.mail.CreateItem(w.folder(0), named("Ann", "Lee", "ann@example.net"))
	w.clock.pass(1)
	w.mail.CreateItem(w.folder(0), named("Ann", "Lee", "ann@example.net", "jobTitle", "CTO"))
	w.ok(withoutLeave)
	if _, results := w.merge(engine.MergeOptions{}); len(results) != 1 || results[0].Kept != old || results[0].Result != engine.ResultDone {
		t.Fatalf("%+v", results)
	}
	if it, _ := w.mail.Item(old); it.Fields["jobTitle"].First() != "CTO" {
		t.Errorf("it lacks the title: %v", it.Fields)
	}
	if s := w.ok(); s.CreatedCRM != 1 {
		t.Errorf("created %+v", s.Counts)
	}
	w.equal()
	w.quiet()
}

// What is not sure, or linked twice, or of the CRM, is refused with the reason, and
// nothing is written.
func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	for range 2 {
		w.crm.CreateItem("u0", contact("Twice", "Linked", "Email", "twice@example.net"))
	}
	w.ok()
	w.mail.CreateItem(w.folder(0), named("Bob", "Smith", "smith@example.net"))
	w.mail.CreateItem(w.folder(0), named("Robert", "Smith", "smith@example.net"))
	w.ok(withoutLeave)
	before := w.snapshot()
	_, results := w.merge(engine.MergeOptions{})
	reasons := map[string]string{}
	for _, r := range results {
		if r.Result != engine.ResultRefused || r.Code != engine.CodeUnmergeable {
			t.Errorf("%s: %s %s", r.Members[0].Record.Label(), r.Result, r.Message)
		}
		reasons[r.Members[0].Record[record.FamilyName].First()] = r.Message
	}
	if !strings.HasPrefix(reasons["Linked"], "2 of them are linked") || !strings.HasPrefix(reasons["Smith"], "they are likely") {
		t.Errorf("reasons: %v", reasons)
	}
	groups, err := w.engine().Duplicates(t.Context(), w.users[0].ID, record.CRM)
	if err != nil || len(groups) != 1 {
		t.Fatalf("in the CRM: %+v, %v", groups, err)
	}
	if _, results := w.merge(engine.MergeOptions{Groups: []string{groups[0].ID}}); len(results) != 1 || !strings.HasPrefix(results[0].Message, "records of the CRM are merged in the CRM") {
		t.Errorf("a group of the CRM: %+v", results)
	}
	if after := w.snapshot(); after != before {
		t.Errorf("something was written")
	}
}

// Where the kept item cannot be written, or changes meanwhile, nothing is put away.
func TestMergeKeepsAllUntilTheFoldIsDone(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(w *world, kept, other string){
		"the kept item changes": func(w *world, kept, _ string) {
			w.mail.EditItem(kept, mapping.Fields{"jobTitle": record.Text("CEO")})
		},
		"the other changes": func(w *world, _, other string) {
			w.mail.EditItem(other, mapping.Fields{"department": record.Text("Sales")})
		},
		"the kept item goes": func(w *world, kept, _ string) { w.mail.DeleteItem(kept) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			id := w.crm.CreateItem("u0", contact("Ann", "Lee", "Email", "ann@example.net"))
			w.ok()
			kept := w.copyOf(0, id).ID
			other := w.mail.CreateItem(w.folder(0), named("Ann", "Lee", "ann@example.net", "mobilePhone", "+1 212 555 9999"))
			w.ok(withoutLeave)
			spoiled := false
			w.through = func(m remote.Mail) remote.Mail {
				return &spoiler{Mail: m, before: func() {
					if !spoiled {
						spoiled = true
						spoil(w, kept, other)
					}
				}}
			}
			s, results := w.merge(engine.MergeOptions{})
			if !spoiled || s.DeletedMailbox != 0 || len(results) != 1 || results[0].Result != engine.ResultRefused || results[0].Code != engine.CodeChanged {
				t.Fatalf("%+v\n%+v", s, results)
			}
			if _, there := w.mail.Item(other); !there {
				t.Fatal("the other was put away")
			}
			w.through = nil
			w.ok()
		})
	}
}

// A stamp may be all that tells whose copy an item is, and before the first cycle has
// come to its end nobody knows what is linked: then nothing is merged.
func TestMergeNeedsToKnowTheLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := w.crm.CreateItem("u0", contact("Ann", "Lee", "Email", "ann@example.net"))
	w.seed(0, 2)
	w.ok()
	w.mail.CreateItem(w.folder(0), named("Ann", "Lee", "ann@example.net", "jobTitle", "CTO"))
	w.crm.ChangeOwner(id, "u9")
	w.loseState()
	w.faults.Set(onMethod("changes", faulty.Fault{Kind: faulty.Reset}))
	w.run()
	w.faults.Set(nil)
	if s, results := w.merge(engine.MergeOptions{}); s.Code != engine.CodeIneffective || len(results) != 0 {
		t.Fatalf("after a first cycle that failed: %+v %+v", s, results)
	}
	w.ok(withoutLeave)
	s, results := w.merge(engine.MergeOptions{})
	if s.UpdatedMailbox+s.DeletedMailbox != 0 || len(results) != 1 || results[0].Code != engine.CodeUnmergeable || !strings.HasPrefix(results[0].Message, "one of them bears the stamp") {
		t.Fatalf("%+v\n%+v", s, results)
	}
}

// A server's refusal is told as such.
func TestMergeRefusedByTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.crm.CreateItem("u0", contact("Ann", "Lee", "Email", "ann@example.net"))
	w.ok()
	w.mail.CreateItem(w.folder(0), named("Ann", "Lee", "ann@example.net", "jobTitle", "CTO"))
	w.ok(withoutLeave)
	w.faults.Set(onMethod("apply", faulty.Fault{Kind: faulty.OneItem}))
	if s, results := w.merge(engine.MergeOptions{}); s.DeletedMailbox != 0 || len(results) != 1 || results[0].Result != engine.ResultFailed || results[0].Code != engine.CodeItemRefused {
		t.Fatalf("%+v\n%+v", s, results)
	}
}

// More than a normal day's deletes pass only if a person has seen the number.
func TestMergeIsGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 20)
	w.ok()
	for _, id := range ids {
		w.mail.CopyItem(w.copyOf(0, id).ID)
	}
	w.ok(withoutLeave)
	s, results := w.merge(engine.MergeOptions{})
	if s.Code != engine.CodeGuarded || s.DeletedMailbox != 0 || len(results) != 20 || results[0].Code != engine.CodeGuarded {
		t.Fatalf("%+v\n%+v", s, results)
	}
	if s, _ = w.merge(engine.MergeOptions{ExpectDeletes: 20}); s.DeletedMailbox != 20 {
		t.Fatalf("%+v", s)
	}
	w.ok()
	w.equal()
	w.quiet()
}

// spoiler lets a person do something right before the first write to a mailbox.
type spoiler struct {
	remote.Mail
	before func()
}

func (s *spoiler) Mailbox(id string) remote.Mailbox {
	return &spoilerBox{Mailbox: s.Mail.Mailbox(id), before: s.before}
}

type spoilerBox struct {
	remote.Mailbox
	before func()
}

func (b *spoilerBox) Collection(e record.Entity, at remote.Container) remote.Collection {
	return &spoilerItems{Collection: b.Mailbox.Collection(e, at), before: b.before}
}

type spoilerItems struct {
	remote.Collection
	before func()
}

func (c *spoilerItems) Apply(ctx context.Context, writes []remote.Write) []remote.WriteResult {
	c.before()
	return c.Collection.Apply(ctx, writes)
}
