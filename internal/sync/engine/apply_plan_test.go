package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// plan makes everybody's plan.
func (w *world) plan(change ...func(*engine.Options)) []engine.UserPlan {
	w.t.Helper()
	o := engine.Options{Parallel: 2, AllowCreateInCRM: true, AsOf: w.clock.Now()}
	for _, u := range w.users {
		o.Users = append(o.Users, u.ID)
	}
	for _, f := range change {
		f(&o)
	}
	plans, err := w.engine().Plan(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return plans
}

// keep makes everybody's plan and returns what makes a run carry it out.
func (w *world) keep() func(*engine.Options) {
	w.t.Helper()
	made := w.clock.Now()
	kept := map[int64]engine.Kept{}
	for _, p := range w.plan() {
		if p.Err != nil {
			w.t.Fatalf("%s: %v", p.User, p.Err)
		}
		kept[p.UserID] = engine.Kept{Accounts: p.Accounts, Steps: p.Steps()}
	}
	return func(o *engine.Options) {
		o.Trigger, o.Kept, o.AsOf = engine.TriggerApply, kept, made
	}
}

// A plan that was kept and carried out does what it said, also a first sync's, and a
// second time there is nothing left of it.
func TestAppliedPlanDoesWhatItSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 30)
	apply := w.keep()
	if s := w.ok(apply); s.CreatedMailbox != 30 || s.Trigger != engine.TriggerApply {
		t.Fatalf("%s %+v", s.Trigger, s.Counts)
	}
	w.equal()
	s := w.run(apply)[0]
	if s.Result != engine.ResultRefused || s.Code != engine.CodePlanChanged || !strings.Contains(s.Message, "nothing is left to do") {
		t.Fatalf("a second time: %s %s: %s", s.Result, s.Code, s.Message)
	}
	w.quiet()

	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CEO")})
	w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"jobTitle": record.Text("CFO")})
	w.crm.DeleteItem(ids[2])
	w.mail.DeleteItem(w.copyOf(0, ids[3]).ID)
	w.mail.CreateItem(w.folder(0), card("New", "Comer"))
	s = w.ok(w.keep())
	want := engine.Counts{CreatedCRM: 1, UpdatedCRM: 1, UpdatedMailbox: 1, DeletedMailbox: 1, Requests: s.Requests}
	if d := cmp.Diff(want, s.Counts); d != "" {
		t.Fatal(d)
	}
	w.quiet()
}

// A plan is made of its inputs alone: made twice it is the same to the byte, whatever
// time it is.
func TestSamePlanTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	w.seed(0, 40)
	w.seed(1, 40)
	check := func() {
		t.Helper()
		first := w.plan()
		w.clock.pass(time.Hour)
		for i, p := range w.plan() {
			if d := cmp.Diff(first[i].Steps(), p.Steps()); d != "" {
				t.Fatal(d)
			}
			if len(p.Steps()) == 0 || first[i].Accounts != p.Accounts {
				t.Fatal("empty, or other accounts")
			}
		}
	}
	check()
	w.ok()
	for _, it := range w.crm.Items() {
		w.crm.EditItem(it.ID, mapping.Fields{"Title": record.Text("x"), "MailingCity": record.Text("y")})
	}
	check()
}

// What happens on either side between the plan and its application is named, and
// nothing of that user is written. The other user goes on.
func TestPlanIsRefusedWhenTheWorldChanged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(w *world, ids []string)
		want   string // part of a difference
	}{
		{"an edit of another record in the CRM", func(w *world, ids []string) {
			w.crm.EditItem(ids[1], mapping.Fields{"Title": record.Text("x")})
		}, `new: update of "First1 Last0-1" in the mailbox`},
		{"an edit of another record in the mailbox", func(w *world, ids []string) {
			w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"jobTitle": record.Text("x")})
		}, `new: update of "First1 Last0-1" in the CRM`},
		{"another value of the same edit", func(w *world, ids []string) {
			w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CTO")})
		}, `changed: update of "First0 Last0-0" in the mailbox`},
		{"another version of what is written to", func(w *world, ids []string) {
			w.mail.Touch(w.copyOf(0, ids[0]).ID)
		}, `changed: update of "First0 Last0-0" in the mailbox`},
		{"the edit was taken back", func(w *world, ids []string) {
			w.crm.EditItem(ids[0], mapping.Fields{"Title": nil})
		}, `no longer wanted: update of "First0 Last0-0" in the mailbox`},
		{"a delete in the CRM", func(w *world, ids []string) { w.crm.DeleteItem(ids[0]) },
			`new: delete of "First0 Last0-0" in the mailbox`},
		{"a delete in the mailbox", func(w *world, ids []string) { w.mail.DeleteItem(w.copyOf(0, ids[0]).ID) },
			`new: create of "First0 Last0-0" in the mailbox`},
		{"another owner", func(w *world, ids []string) { w.crm.ChangeOwner(ids[0], "u9") },
			`new: delete of "First0 Last0-0" in the mailbox`},
		{"a conflict", func(w *world, ids []string) {
			w.mail.EditItem(w.copyOf(0, ids[0]).ID, mapping.Fields{"jobTitle": record.Text("x")})
		}, `new: conflict of "First0 Last0-0"`},
		{"a new record", func(w *world, _ []string) { w.crm.CreateItem("u0", contact("Da", "Vid")) },
			`new: create of "Da Vid" in the mailbox`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, memory.Options{}, memory.Options{})
			ids, others := w.seed(0, 3), w.seed(1, 3)
			w.ok()
			w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CEO")})
			w.crm.EditItem(others[0], mapping.Fields{"Title": record.Text("CEO")})
			apply := w.keep()
			tt.change(w, ids)
			before := snapshot(w, 0)
			sessions := w.run(apply)
			slices.SortFunc(sessions, func(a, b engine.Session) int { return strings.Compare(a.User, b.User) })
			s := sessions[0]
			if s.Result != engine.ResultRefused || s.Code != engine.CodePlanChanged || s.UpdatedMailbox+s.UpdatedCRM != 0 {
				t.Fatalf("%s %s: %s %+v", s.Result, s.Code, s.Message, s.Counts)
			}
			var named []string
			for _, d := range s.Differences {
				named = append(named, d.String())
			}
			if !strings.Contains(strings.Join(named, "\n"), tt.want) {
				t.Errorf("the differences are\n%s\nwant %s", strings.Join(named, "\n"), tt.want)
			}
			if strings.Contains(s.Log+s.Message, "First") || strings.Contains(s.Log+s.Message, "Da Vid") {
				t.Errorf("the session names a record: %s\n%s", s.Message, s.Log)
			}
			if d := cmp.Diff(before, snapshot(w, 0)); d != "" {
				t.Errorf("something was written:\n%s", d)
			}
			if other := sessions[1]; other.Result != engine.ResultDone || other.UpdatedMailbox != 1 {
				t.Errorf("the other user: %s %s", other.Result, other.Message)
			}
			w.ok()
			w.quiet()
		})
	}
}

// snapshot is everything that both sides hold of a user.
func snapshot(w *world, user int) []string {
	var out []string
	for _, it := range append(w.crm.Items(), w.mail.Items(w.folder(user))...) {
		out = append(out, it.ID+" "+it.Version)
	}
	return out
}

// A lost cursor alone is no change of the world: everything is read again, and the same
// is to be done.
func TestPlanOutlivesALostCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 5)
	w.ok()
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CEO")})
	apply := w.keep()
	w.crm.ExpireCursors()
	w.mail.ExpireCursors()
	if s := w.ok(apply); s.UpdatedMailbox != 1 {
		t.Fatalf("%+v", s.Counts)
	}
	w.equal()
	w.quiet()
}

// A mailbox is not prepared for a plan that does not hold any more.
func TestNoPreparingForAChangedPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 3)
	apply := w.keep()
	w.seed(0, 1)
	s := w.run(apply)[0]
	if s.Code != engine.CodePlanChanged || len(s.Differences) != 1 {
		t.Fatalf("%s %s: %v", s.Result, s.Message, s.Differences)
	}
	if w.folder(0) != "" {
		t.Error("the mailbox was prepared")
	}
}

// An issue whose time comes after the plan was made is no part of it; one whose time had
// come is.
func TestPlanRetriesWhatWasDueThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 2)
	w.ok()
	w.mail.CreateItem(w.folder(0), mapping.Fields{"givenName": record.Text("No")}) // the CRM demands a last name
	if s := w.ok(); s.Issues != 1 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	w.crm.EditItem(ids[1], mapping.Fields{"Title": record.Text("CFO")})
	apply := w.keep()
	w.clock.pass(2 * time.Hour) // the issue has come due since
	if s := w.ok(apply); s.UpdatedMailbox != 1 || s.Issues != 0 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	if s := w.ok(w.keep()); s.Issues != 1 {
		t.Fatalf("the plan leaves out what was due: %+v\n%s", s.Counts, s.Log)
	}
}

// A record that changes between reading and writing is left for the next cycle.
func TestPlanDoesNotDecideAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 2)
	w.ok()
	for _, id := range ids {
		w.crm.EditItem(id, mapping.Fields{"Title": record.Text("CEO")})
	}
	apply := w.keep()
	target := w.copyOf(0, ids[0]).ID
	w.faults.Set(func(c faulty.Call) faulty.Fault {
		if c.Method != "apply" {
			return faulty.Fault{}
		}
		return faulty.Fault{Before: func() {
			w.faults.Set(nil)
			w.mail.EditItem(target, mapping.Fields{"personalNotes": record.Text("mine")})
		}}
	})
	s := w.run(apply)[0]
	if s.Result != engine.ResultDone || s.UpdatedMailbox != 1 || s.UpdatedCRM != 0 || s.Issues != 1 {
		t.Fatalf("%s %s: %+v\n%s", s.Result, s.Message, s.Counts, s.Log)
	}
	issues, err := w.store.OpenIssues(t.Context(), w.users[0].ID, record.Contacts)
	if err != nil || len(issues) != 1 || !strings.Contains(issues[0].Cause, "left for the next cycle") {
		t.Fatalf("%+v, %v", issues, err)
	}
	if s := w.ok(); s.UpdatedMailbox != 1 || s.UpdatedCRM != 1 {
		t.Fatalf("%+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A plan whose application dies is settled by the next run; what is left of the plan is
// refused, and the open writes are named.
func TestPlanThatDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{BatchSize: 5})
	w.seed(0, 20)
	apply := w.keep()
	calls := 0
	w.faults.Set(func(c faulty.Call) faulty.Fault {
		if c.Method != "apply" {
			return faulty.Fault{}
		}
		if calls++; calls == 2 {
			return faulty.Fault{Kind: faulty.Lost}
		}
		return faulty.Fault{}
	})
	w.run(apply)
	w.faults.Set(nil)
	s := w.run(apply)[0]
	if s.Code != engine.CodePlanChanged || !strings.Contains(s.Message, "5 writes of an earlier cycle had no clear answer") {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
	w.ok()
	w.equal()
	w.quiet()
}

// A user who was tied to another mailbox since is refused, even if there is nothing to
// do in it.
func TestPlanOfOtherAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	apply := w.keep()
	w.mail.AddPerson(remote.Person{ID: "box9", Email: "user9@example.com"})
	u := w.users[0]
	u.MailboxID = "box9"
	if err := w.store.Admin().UpdateUsers(t.Context(), []roster.User{u}, nil); err != nil {
		t.Fatal(err)
	}
	s := w.run(apply)[0]
	if s.Code != engine.CodePlanChanged || !strings.Contains(s.Message, "other accounts") {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
	if w.mail.Folder("box9", roster.FolderName) != "" {
		t.Error("the other mailbox was prepared")
	}
}

// A user who is promised something and is not active is refused, not passed over, and a
// refusal leaves his next cycle when it was.
func TestRefusalsOfAPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 1)
	w.ok()
	due := func() time.Time {
		members, err := w.store.Users(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return members[0].User.NextDue
	}
	apply, was := w.keep(), due()
	w.seed(0, 1)
	if s := w.run(apply)[0]; s.Code != engine.CodePlanChanged {
		t.Fatalf("%s %s", s.Code, s.Message)
	}
	if now := due(); !now.Equal(was) {
		t.Errorf("due at %s, was %s", now, was)
	}
	u := w.users[0]
	u.Sync = roster.Disabled
	if err := w.store.Admin().UpdateUsers(t.Context(), []roster.User{u}, nil); err != nil {
		t.Fatal(err)
	}
	only := func(o *engine.Options) { o.Users = []int64{u.ID} }
	if s := w.run(apply, only)[0]; s.Result != engine.ResultRefused || s.Code != engine.CodeIneffective {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
}

// The others follow only if those who go first end well.
func TestCanary(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(w *world, ids []string)
		runs  bool
		why   string
	}{
		{"all is well", func(*world, []string) {}, true, ""},
		{"nothing to do", func(w *world, _ []string) { w.ok() }, true, ""},
		{"a failure", func(w *world, _ []string) { w.mail.Revoke("box0") }, false, "user0@example.com went first and did not end well: failed"},
		{"held deletes", func(w *world, ids []string) {
			w.ok()
			for _, id := range ids[:11] {
				w.crm.DeleteItem(id)
			}
		}, false, "user0@example.com went first and has deletes that the guard holds"},
		{"an open outcome", func(w *world, _ []string) {
			w.faults.Set(onMethod("apply", faulty.Fault{Kind: faulty.Lost}))
		}, false, "user0@example.com went first and"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3, memory.Options{}, memory.Options{})
			ids := w.seed(0, 40)
			w.seed(1, 1)
			w.seed(2, 1)
			tt.spoil(w, ids)
			sessions := w.run(func(o *engine.Options) {
				o.Canary, o.Parallel = 1, 1
				for _, u := range w.users {
					o.Users = append(o.Users, u.ID)
				}
			})
			slices.SortFunc(sessions, func(a, b engine.Session) int { return strings.Compare(a.User, b.User) })
			for _, s := range sessions[1:] {
				began := s.Result == engine.ResultDone || s.Result == engine.ResultUnchanged
				if began != tt.runs || !tt.runs && (s.Result != engine.ResultNotStarted || s.Code != engine.CodeCanary || !strings.Contains(s.Message, tt.why)) {
					t.Errorf("%s: %s %s: %s", s.User, s.Result, s.Code, s.Message)
				}
			}
		})
	}
}
