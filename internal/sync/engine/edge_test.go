package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// A record that was merged into one that may not be seen takes its copy out of scope,
// and nothing else with it.
func TestMergeIntoTheUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	heir := w.crm.CreateItem("u9", contact("No", "Body"))
	w.crm.Merge(ids[0], heir)
	w.crm.Hide(heir)
	w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"jobTitle": record.Text("x")})
	w.crm.EditItem(ids[2], mapping.Fields{"Title": record.Text("y")})
	s := w.ok()
	if s.CreatedCRM != 0 || s.UpdatedCRM != 1 || s.UpdatedMailbox != 1 || s.DeletedMailbox != 1 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A link follows its record through several merges to the record that remains.
func TestMergesInARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 2)
	w.ok()
	second, third := w.crm.CreateItem("u0", contact("Se", "Cond")), w.crm.CreateItem("u0", contact("Th", "Ird"))
	w.crm.Merge(ids[0], second)
	w.crm.Merge(second, third)
	s := w.ok()
	if s.DeletedMailbox != 0 || s.CreatedMailbox != 0 || s.CreatedCRM != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A folder that is deleted while the outcome of a write to it is open switches the
// entity off like any other, and leaves nothing open.
func TestContainerGoneWithOpenWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 3)
	w.ok()
	w.seed(0, 2)
	w.faults.Set(onMethod("apply", faulty.Fault{Kind: faulty.Lost}))
	w.run()
	w.faults.Set(nil)
	w.mail.DeleteContainer(w.folder(0))
	if s := w.run()[0]; s.Code != engine.CodeContainer {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
	rep, err := w.store.Replica(t.Context(), w.users[0].ID, record.Contacts)
	if err != nil || rep.Off == "" {
		t.Fatalf("not switched off: %+v, %v", rep, err)
	}
	if open, err := w.store.Intents(t.Context(), w.users[0].ID, record.Contacts); err != nil || len(open) != 0 {
		t.Fatalf("%d writes are open, %v", len(open), err)
	}
	w.quiet()
}

// onMethod puts a fault on every call of a method.
func onMethod(method string, f faulty.Fault) faulty.Decide {
	return func(c faulty.Call) faulty.Fault {
		if c.Method == method {
			return f
		}
		return faulty.Fault{}
	}
}

// Where the answers of both writes to one record were lost, both move its link: an edit
// that follows is no conflict.
func TestBothAnswersLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 1)
	w.ok()
	c := w.copyOf(0, ids[0]).ID
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CEO")})
	w.mail.EditItem(c, mapping.Fields{"mobilePhone": record.Text("+1 212 555 0001")})
	w.faults.Set(onMethod("apply", faulty.Fault{Kind: faulty.Lost}))
	w.run()
	w.faults.Set(nil)
	w.mail.EditItem(c, mapping.Fields{"mobilePhone": record.Text("+1 212 555 0002")})
	if s := w.ok(); s.Conflicts != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	if it, _ := w.crm.Item(ids[0]); it.Fields["MobilePhone"].First() != "+1 212 555 0002" || it.Fields["Title"].First() != "CEO" {
		t.Fatalf("lost edit: %v", it.Fields)
	}
	w.quiet()
}

// Two runs over different users of one connection at once: what the second one read
// beyond the first does not pass the first one's users by.
func TestRunsSideBySide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	ids := w.seed(0, 2)
	w.seed(1, 2)
	w.ok()
	w.mail.EditItem(w.copyOf(0, ids[0]).ID, mapping.Fields{"jobTitle": record.Text("x")})
	only := func(n int) func(*engine.Options) {
		return func(o *engine.Options) { o.Users = []int64{w.users[n].ID} }
	}
	w.faults.Set(func(c faulty.Call) faulty.Fault {
		if c.Side != record.CRM || c.Method != "apply" {
			return faulty.Fault{}
		}
		return faulty.Fault{Before: func() {
			w.faults.Set(nil)
			w.crm.EditItem(ids[1], mapping.Fields{"Title": record.Text("y")})
			w.ok(only(1))
		}}
	})
	w.ok(only(0))
	w.ok()
	w.equal()
	w.quiet()
}

// An interrupt ends a cycle that waits for an answer to a question, closes its session
// as interrupted and gives up all leases.
func TestInterruptedWhileReading(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"changes", "prefetch", "get"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3, memory.Options{}, memory.Options{})
			ids := w.seed(0, 3)
			w.ok()
			w.mail.DeleteItem(w.copyOf(0, ids[0]).ID) // to be looked up
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w.faults.Set(onMethod(method, faulty.Fault{Kind: faulty.Slow, Before: cancel}))
			w.clock.pass(time.Minute)
			sessions, err := w.engine().Run(ctx, engine.Options{Trigger: engine.TriggerForce, Parallel: 1})
			if err != nil {
				t.Fatal(err)
			}
			for n, s := range sessions {
				if s.Code != engine.CodeInterrupted {
					t.Errorf("%s: %s %s %s", s.User, s.Result, s.Code, s.Message)
				}
				if holder, err := w.store.Lease(t.Context(), w.users[n].ID, w.clock.Now()); err != nil || holder != "" {
					t.Errorf("%s: %q holds the lease, %v", s.User, holder, err)
				}
			}
			w.faults.Set(nil)
			w.ok()
			w.quiet()
		})
	}
}

// A user whose reset was cut short is left alone, also while he is suspended.
func TestResettingIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 1)
	w.ok()
	u := w.users[0]
	u.Sync, u.Cause, u.Mailbox = roster.Suspended, roster.CauseOther, roster.Resetting
	if err := w.store.Admin().UpdateUsers(t.Context(), []roster.User{u}, nil); err != nil {
		t.Fatal(err)
	}
	if s := w.run(func(o *engine.Options) { o.Users = []int64{u.ID} })[0]; s.Result != engine.ResultSkipped {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
}

// An item whose stamp names a record out of scope is named once, and not in each cycle.
func TestStampOfARecordOutOfScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	w.loseState()
	w.crm.ChangeOwner(ids[0], "u9")
	if s := w.ok(); s.Issues != 1 || s.CreatedCRM != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.quiet()
	w.crm.ChangeOwner(ids[0], "u0")
	w.ok()
	w.equal()
	w.quiet()
}

// An issue of a record without a link goes when the record goes.
func TestIssuesGoWithTheirRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 2)
	left := w.crm.Import("u0", contact("Im", "Ported"))
	forbid := func(o *engine.Options) { o.AllowCreateInCRM = false }
	w.ok(forbid)
	waiting := w.mail.CreateItem(w.folder(0), card("Wai", "Ting"))
	if s := w.ok(forbid); s.Issues != 1 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.mail.DeleteItem(waiting)
	w.crm.DeleteItem(left)
	w.ok(forbid)
	if issues, err := w.store.Admin().Issues(t.Context(), w.users[0].ID, false); err != nil || len(issues) != 0 {
		t.Fatalf("issues left: %+v, %v", issues, err)
	}
}

// Deletes that the guard holds stay held together, whatever happens to one of them.
func TestHeldDeletesStayTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 40)
	w.ok()
	for _, id := range ids[:11] {
		w.crm.DeleteItem(id)
	}
	w.ok()
	for range 4 {
		w.mail.Touch(w.copyOf(0, ids[0]).ID)
		if s := w.ok(); s.DeletedMailbox != 0 {
			t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
		}
	}
	if n := len(w.mail.Items(w.folder(0))); n != 40 {
		t.Fatalf("%d copies left", n)
	}
}

// A probe that failed for a passing reason is made again by the user's own cycle. How
// long a server wants to be left alone before that is kept below the engine.
func TestProbeIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []faulty.Kind{faulty.Reset, faulty.Throttled} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, memory.Options{}, memory.Options{})
			w.seed(0, 2)
			w.ok()
			w.faults.Set(onMethod("prefetch", faulty.Fault{Kind: kind}))
			w.quiet()
		})
	}
}

// replaying is a mail system whose feed reports an item again as it once was.
type replaying struct {
	remote.Mail
	again []remote.Change
}

func (r replaying) Prefetch(ctx context.Context, feeds []remote.MailFeed) []remote.FeedResult {
	out := r.Mail.Prefetch(ctx, feeds)
	for i := range out {
		out[i].Feed.Changes = append(out[i].Feed.Changes, r.again...)
	}
	return out
}

// A feed that replays an item that is gone brings nobody back to life.
func TestReplayOfADeletedItem(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(w *world, id string){
		"deleted in the CRM":     func(w *world, id string) { w.crm.DeleteItem(id) },
		"deleted in the mailbox": func(w *world, id string) { w.mail.DeleteItem(w.copyOf(0, id).ID) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			ids := w.seed(0, 2)
			w.ok()
			old := w.copyOf(0, ids[0])
			old.Stamp, old.HasStamp = nil, false
			remove(w, ids[0])
			w.ok()
			w.through = func(m remote.Mail) remote.Mail {
				return replaying{m, []remote.Change{{Item: old}}}
			}
			w.quiet()
			w.through = nil
			if len(w.mail.Items(w.folder(0))) != 1 {
				t.Fatalf("back in the mailbox\n%s", w.logs())
			}
			w.quiet()
		})
	}
}

// What was moved out of our folder was not deleted: the policy to make copies again does
// not make a second one, and the item is linked again when it is moved back.
func TestMovedAwayIsNotRecreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.set(0, "deletes.from_mailbox", "recreate")
	ids := w.seed(0, 3)
	w.ok()
	away := w.copyOf(0, ids[0]).ID
	w.mail.MoveItem(away, w.mail.Folder("box0", memory.DefaultFolder))
	w.ok()
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("x")})
	if s := w.ok(); s.CreatedMailbox != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.mail.MoveItem(away, w.folder(0))
	w.ok()
	w.equal()
	w.quiet()
}
