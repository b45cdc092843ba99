package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// set sets keys of contacts, given with their values, for a user.
func (w *world) set(user int, pairs ...string) {
	w.t.Helper()
	var all []settings.Setting
	for i := 0; i+1 < len(pairs); i += 2 {
		value, err := settings.Parse("contacts."+pairs[i], pairs[i+1])
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, settings.Setting{
			Level: settings.User, Subject: settings.UserSubject(w.users[user].ID), Key: "contacts." + pairs[i], Value: value,
		})
	}
	if err := w.store.SetSettings(w.t.Context(), all); err != nil {
		w.t.Fatal(err)
	}
}

// asSet leaves what may be created in the CRM to the settings.
func asSet(o *engine.Options) { o.AllowCreateInCRM = false }

// versions returns what a side holds, to see later that nothing was written.
func versions(items []remote.Item) map[string]string {
	v := map[string]string{}
	for _, it := range items {
		v[it.ID] = it.Version
	}
	return v
}

func (w *world) title(crmID string) (crm, mailbox string) {
	w.t.Helper()
	it, _ := w.crm.Item(crmID)
	return it.Fields["Title"].First(), w.copyOf(0, crmID).Fields["jobTitle"].First()
}

// editBoth edits the title of a record on both sides, in the mailbox so much later.
func (w *world) editBoth(crmID string, later time.Duration) {
	w.t.Helper()
	w.crm.EditItem(crmID, mapping.Fields{"Title": record.Text("CFO")})
	w.clock.pass(later)
	w.mail.EditItem(w.copyOf(0, crmID).ID, mapping.Fields{"jobTitle": record.Text("CTO")})
}

func (w *world) issues(code engine.Code) []engine.Issue {
	w.t.Helper()
	all, err := w.store.Admin().Issues(w.t.Context(), w.users[0].ID, false)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(i engine.Issue) bool { return i.Code != code })
}

// A user whose contacts are switched off is left alone, and catches up once they are on.
func TestSettingEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.seed(1, 2)
	w.ok()
	w.set(0, "enabled", "false")
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CEO")})
	w.crm.DeleteItem(ids[1])
	mine := w.mail.CreateItem(w.folder(0), card("Born", "Here"))
	before := versions(w.mail.Items(w.folder(0)))
	w.seed(1, 1)
	s := w.ok()
	if s.Result != engine.ResultUnchanged || !strings.Contains(s.Message, "switched off by a setting") || s.Requests != 0 || w.last[1].CreatedMailbox != 1 {
		t.Fatalf("%+v\n%s", s, w.logs())
	}
	if now := versions(w.mail.Items(w.folder(0))); len(now) != len(before) || now[mine] != before[mine] {
		t.Fatalf("the mailbox changed: %v, then %v", before, now)
	}
	plans, err := w.engine().Plan(t.Context(), engine.Options{})
	if err != nil || plans[0].Err == nil || plans[1].Err != nil {
		t.Fatalf("plans %+v, %v", plans, err)
	}
	w.set(0, "enabled", "true")
	if s := w.ok(); s.UpdatedMailbox != 1 || s.DeletedMailbox != 1 || s.CreatedCRM != 1 {
		t.Fatalf("%+v\n%s", s.Counts, w.logs())
	}
	w.equal()
	w.quiet()
}

// A suspended user resumes when both sides answer, although his contacts are switched off.
func TestSettingEnabledOfNobodyActive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.set(0, "enabled", "false")
	if s := w.ok(); s.Message == "" || w.folder(0) != "" {
		t.Fatalf("%+v, folder %q", s, w.folder(0))
	}
}

// To the mailbox: whatever happens there, nothing is written to the CRM.
func TestSettingDirectionToMailbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 5)
	w.set(0, "direction", "to-mailbox", "create_in_crm", "true", "deletes.from_mailbox", "propagate", "conflict", "mailbox")
	w.ok()
	w.mail.EditItem(w.copyOf(0, ids[0]).ID, mapping.Fields{"jobTitle": record.Text("CTO")})
	w.mail.DeleteItem(w.copyOf(0, ids[1]).ID)
	w.mail.CreateItem(w.folder(0), card("Born", "Here"))
	w.editBoth(ids[2], time.Hour)
	w.mail.EditItem(w.copyOf(0, ids[3]).ID, mapping.Fields{"jobTitle": record.Text("CTO")})
	w.crm.DeleteItem(ids[3])
	before := versions(w.crm.Items())
	s := w.ok()
	if s.CreatedCRM+s.UpdatedCRM+s.DeletedCRM != 0 || s.Conflicts != 1 || s.UpdatedMailbox != 1 {
		t.Fatalf("%+v\n%s", s.Counts, w.logs())
	}
	after := versions(w.crm.Items())
	for id, v := range before {
		if after[id] != v {
			t.Errorf("%s was written", id)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d records, then %d", len(before), len(after))
	}
	if c, m := w.title(ids[0]); c != "" || m != "CTO" {
		t.Errorf("the edit did not stay: %q, %q", c, m)
	}
	if c, m := w.title(ids[2]); c != "CFO" || m != "CFO" {
		t.Errorf("the leading side did not win: %q, %q", c, m)
	}
	if got := w.issues(engine.CodeOneWay); len(got) != 1 {
		t.Errorf("what was born there is not named: %+v", got)
	}
	w.quiet()
	w.set(0, "direction", "both")
	// Everything is compared again: the edit that outlived its record goes along.
	if s := w.ok(); s.CreatedCRM != 2 || len(w.issues(engine.CodeOneWay)) != 0 {
		t.Fatalf("both ways: %+v\n%s", s.Counts, w.logs())
	}
	w.quiet()
}

// To the CRM: whatever happens there, nothing is written to the mailbox.
func TestSettingDirectionToCRM(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 5)
	w.ok()
	w.set(0, "direction", "to-crm", "create_in_crm", "true", "deletes.from_mailbox", "recreate")
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CFO")})
	w.crm.DeleteItem(ids[1])
	w.mail.DeleteItem(w.copyOf(0, ids[2]).ID)
	w.editBoth(ids[3], time.Hour)
	w.crm.CreateItem("u0", contact("Born", "There"))
	w.mail.CreateItem(w.folder(0), card("Born", "Here"))
	before := versions(w.mail.Items(w.folder(0)))
	s := w.ok()
	if s.CreatedMailbox+s.UpdatedMailbox+s.DeletedMailbox != 0 || s.CreatedCRM != 1 || s.UpdatedCRM != 1 || s.Conflicts != 1 {
		t.Fatalf("%+v\n%s", s.Counts, w.logs())
	}
	after := versions(w.mail.Items(w.folder(0)))
	for id, v := range before {
		if after[id] != v {
			t.Errorf("%s was written", id)
		}
	}
	if it, _ := w.crm.Item(ids[3]); it.Fields["Title"].First() != "CTO" {
		t.Errorf("the leading side did not win: %v", it.Fields)
	}
	if got := w.issues(engine.CodeOneWay); len(got) != 1 {
		t.Errorf("what was born there is not named: %+v", got)
	}
	w.quiet()
	// The record that was named is found when its partner turns up: no duplicate.
	w.mail.CreateItem(w.folder(0), card("Born", "There"))
	if s := w.ok(); s.CreatedCRM != 0 || s.Linked != 1 || len(w.issues(engine.CodeOneWay)) != 0 {
		t.Fatalf("%+v\n%s", s.Counts, w.logs())
	}
	w.quiet()
}

// What an organization allows counts for its users, but for one who has his own value.
func TestSettingCreateInCRM(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	w.seed(0, 1)
	w.seed(1, 1)
	w.ok(asSet)
	for i := range w.users {
		w.mail.CreateItem(w.folder(i), card("Born", "Here"))
	}
	err := w.store.SetSettings(t.Context(), []settings.Setting{{Level: settings.Org, Subject: "ACME", Key: "contacts.create_in_crm", Value: "true"}})
	if err != nil {
		t.Fatal(err)
	}
	w.set(1, "create_in_crm", "false")
	w.ok(asSet)
	if w.last[0].CreatedCRM != 1 || w.last[1].CreatedCRM != 0 || w.last[1].Issues != 1 {
		t.Fatal(w.logs())
	}
	w.set(1, "create_in_crm", "true")
	if w.ok(asSet); w.last[1].CreatedCRM != 1 {
		t.Fatal(w.logs())
	}
	w.equal()
}

func TestSettingInitialLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 5)
	w.set(0, "initial_limit", "3")
	if s := w.ok(); s.CreatedMailbox != 3 || len(w.issues(engine.CodeOverLimit)) != 2 {
		t.Fatalf("%+v\n%s", s.Counts, w.logs())
	}
	w.quiet()
}

func TestSettingConflict(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		policy []string
		later  time.Duration
		want   string
	}{
		{nil, time.Hour, "CFO"},
		{[]string{"conflict", "crm"}, time.Hour, "CFO"},
		{[]string{"conflict", "mailbox"}, 0, "CTO"},
		{[]string{"conflict", "newest"}, time.Hour, "CTO"},
		{[]string{"conflict", "newest"}, time.Minute, "CFO"},
		{[]string{"conflict", "newest"}, -time.Hour, "CFO"},
		{[]string{"conflict.job_title", "mailbox"}, 0, "CTO"},
		{[]string{"conflict", "mailbox", "conflict.job_title", "crm"}, time.Hour, "CFO"},
		{[]string{"conflict.notes", "mailbox"}, time.Hour, "CFO"},
	} {
		t.Run(strings.Join(x.policy, " ")+" "+x.later.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			id := w.seed(0, 1)[0]
			w.ok()
			w.clock.pass(2 * time.Hour)
			w.set(0, x.policy...)
			w.editBoth(id, x.later)
			if s := w.ok(); s.Conflicts != 1 {
				t.Fatalf("%+v", s.Counts)
			}
			if c, m := w.title(id); c != x.want || m != x.want {
				t.Errorf("%q in the CRM, %q in the mailbox", c, m)
			}
			w.quiet()
		})
	}
}

// onHold demands that the titles are as two people left them, that one conflict is named as
// on hold, and that a cycle with nothing new asks for nothing but the two feeds.
func (w *world) onHold(id, crm, mailbox string) {
	w.t.Helper()
	if c, m := w.title(id); c != crm || m != mailbox {
		w.t.Fatalf("%q in the CRM, %q in the mailbox\n%s", c, m, w.logs())
	}
	all, err := w.store.Admin().Conflicts(w.t.Context(), w.users[0].ID)
	if err != nil || len(all) != 1 || all[0].Winner != "" || all[0].Kept.First() != crm || all[0].Lost.First() != mailbox {
		w.t.Fatalf("conflicts %+v, %v", all, err)
	}
	if len(w.issues(engine.CodeOnHold)) != 1 {
		w.t.Fatal("no issue says that it is on hold")
	}
	w.quiet()
	if n := w.last[0].Requests; n > 2 {
		w.t.Fatalf("%d requests in a cycle with nothing to do\n%s", n, w.logs())
	}
}

// A conflict on hold waits: neither side is written, whatever else happens to the record,
// until a person or another policy decides.
func TestSettingHold(t *testing.T) {
	t.Parallel()
	edit := func(w *world, id, crm, mailbox string) {
		if crm != "" {
			w.crm.EditItem(id, mapping.Fields{"Title": record.Text(crm)})
		}
		if mailbox != "" {
			w.mail.EditItem(w.copyOf(0, id).ID, mapping.Fields{"jobTitle": record.Text(mailbox)})
		}
	}
	for _, x := range []struct {
		name   string
		decide func(w *world, id string)
		want   string
		lost   []string
	}{
		{"a person makes the CRM agree", func(w *world, id string) { edit(w, id, "CTO", "") }, "CTO", nil},
		{"a person makes the mailbox agree", func(w *world, id string) { edit(w, id, "", "CFO") }, "CFO", nil},
		{"a person gives both a third value", func(w *world, id string) { edit(w, id, "CIO", "CIO") }, "CIO", nil},
		{"a person takes his edit in the CRM back", func(w *world, id string) {
			w.crm.EditItem(id, mapping.Fields{"Title": nil})
		}, "CTO", nil},
		{"the policy becomes the mailbox's", func(w *world, _ string) { w.set(0, "conflict.job_title", "mailbox") }, "CTO", []string{"CFO"}},
		{"the policy becomes the CRM's", func(w *world, _ string) { w.set(0, "conflict.job_title", "crm") }, "CFO", []string{"CTO"}},
		{"the policy becomes the newest", func(w *world, _ string) { w.set(0, "conflict.job_title", "newest") }, "CTO", []string{"CFO"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			id := w.seed(0, 1)[0]
			w.ok()
			w.set(0, "conflict.job_title", "hold")
			w.editBoth(id, time.Hour)
			if s := w.ok(); s.Conflicts != 1 || s.UpdatedCRM+s.UpdatedMailbox != 0 {
				t.Fatalf("%+v\n%s", s.Counts, w.logs())
			}
			w.onHold(id, "CFO", "CTO")

			// Another field goes on, and neither edit is forgotten.
			w.crm.EditItem(id, mapping.Fields{"Department": record.Text("Sales")})
			if s := w.ok(); s.UpdatedMailbox != 1 {
				t.Fatalf("%+v\n%s", s.Counts, w.logs())
			}
			if w.ok(); w.copyOf(0, id).Fields["department"].First() != "Sales" {
				t.Fatal("the other field did not travel")
			}
			w.onHold(id, "CFO", "CTO")
			w.mail.EditItem(w.copyOf(0, id).ID, mapping.Fields{"jobTitle": record.Text("CTO")})
			w.ok()
			w.onHold(id, "CFO", "CTO")

			x.decide(w, id)
			w.ok()
			if c, m := w.title(id); c != x.want || m != x.want {
				t.Fatalf("%q in the CRM, %q in the mailbox\n%s", c, m, w.logs())
			}
			all, err := w.store.Admin().Conflicts(t.Context(), w.users[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			var lost []string
			for _, c := range all {
				if c.Winner == "" {
					t.Errorf("still on hold: %+v", c)
				}
				lost = append(lost, c.Lost.First())
			}
			if !slices.Equal(lost, x.lost) || len(w.issues(engine.CodeOnHold)) != 0 {
				t.Errorf("lost %v, issues %v", lost, w.issues(engine.CodeOnHold))
			}
			w.equal()
			w.quiet()
		})
	}
}

// A delete on one side does not take an edit along that is held on the other.
func TestSettingHoldAndDelete(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name   string
		delete func(w *world, id string)
		want   string
	}{
		{"in the mailbox", func(w *world, id string) { w.mail.DeleteItem(w.copyOf(0, id).ID) }, "CFO"},
		{"in the CRM", func(w *world, id string) { w.crm.DeleteItem(id) }, "CTO"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			id := w.seed(0, 1)[0]
			w.ok()
			w.set(0, "conflict", "hold", "deletes.from_mailbox", "propagate")
			w.editBoth(id, time.Hour)
			w.ok()
			x.delete(w, id)
			w.ok()
			items, copies := w.crm.Items(), w.mail.Items(w.folder(0))
			if len(items) != 1 || len(copies) != 1 || items[0].Fields["Title"].First() != x.want || copies[0].Fields["jobTitle"].First() != x.want {
				t.Fatalf("CRM %+v\nmailbox %+v\n%s", items, copies, w.logs())
			}
			w.quiet()
		})
	}
}

func TestSettingDeletesFromMailbox(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		policy          string
		records, copies int
	}{{"unlink", 1, 0}, {"propagate", 0, 0}, {"recreate", 1, 1}} {
		t.Run(x.policy, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			id := w.seed(0, 1)[0]
			w.ok()
			w.set(0, "deletes.from_mailbox", x.policy)
			w.mail.DeleteItem(w.copyOf(0, id).ID)
			w.ok()
			if r, c := len(w.crm.Items()), len(w.mail.Items(w.folder(0))); r != x.records || c != x.copies {
				t.Errorf("%d records, %d copies\n%s", r, c, w.logs())
			}
			w.quiet()
		})
	}
}

func TestSettingGuard(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		guard string
		held  int
	}{{"10 5% 250", 0}, {"2 5% 250", 3}, {"2 80% 2", 3}, {"2 80% 3", 0}} {
		t.Run(x.guard, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			ids := w.seed(0, 5)
			w.ok()
			w.set(0, "guard", x.guard)
			for _, id := range ids[:3] {
				w.crm.DeleteItem(id)
			}
			if s := w.ok(); s.Held != x.held || s.DeletedMailbox != 3-x.held {
				t.Errorf("%+v\n%s", s.Counts, w.logs())
			}
		})
	}
}

// A value that cannot be used stops its user, before anything is done, and nobody else.
func TestSettingThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	w.seed(0, 1)
	w.seed(1, 1)
	bad := settings.Setting{Level: settings.User, Subject: settings.UserSubject(w.users[0].ID), Key: "contacts.conflict", Value: "whoever"}
	if err := w.store.SetSettings(t.Context(), []settings.Setting{bad}); err != nil {
		t.Fatal(err)
	}
	s := w.run()
	if s[0].Result != engine.ResultFailed || s[0].Code != engine.CodeState || !strings.Contains(s[0].Message, "contacts.conflict") || w.folder(0) != "" {
		t.Errorf("%+v", s[0])
	}
	if s[1].CreatedMailbox != 1 {
		t.Errorf("%+v", s[1])
	}
}
