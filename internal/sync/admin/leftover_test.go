package admin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// op is the id of the n-th operation of a user.
func op(name string, n int) record.OpID { return record.OpID(fmt.Sprintf("%x%026x", name, n)) }

// landed writes an item into a user's folder as a cycle does, with a stamp, and makes
// no link to it.
func (w *world) landed(name, install string, op record.OpID) string {
	w.t.Helper()
	folder := w.mail.Folder("m-"+name, roster.FolderName)
	in := w.mail.Mailbox("m-"+name).Collection(record.Contacts, remote.Container{ID: folder})
	got := in.Apply(w.t.Context(), []remote.Write{{
		Kind: remote.Create, Set: mapping.Fields{"surname": {"Late"}},
		Stamp: record.Stamp{Install: install, Entity: record.Contacts, Op: op, Other: "003" + string(op)},
	}})
	w.ok(got[0].Err)
	return got[0].ID
}

// killed leaves a user as a cycle does that was killed: one item whose create was
// never settled, one whose create was given up before it landed. It returns their ids.
func (w *world) killed(name string) []string {
	w.t.Helper()
	intents := []engine.Intent{
		{Op: op(name, 1), Side: record.Mailbox, Kind: reconcile.Create, CRMID: "003a", Created: w.now},
		{Op: op(name, 2), Side: record.Mailbox, Kind: reconcile.Create, CRMID: "003b", Created: w.now},
	}
	w.leased(name, func(l engine.Lease) { w.ok(w.state.Intend(w.t.Context(), l, record.Contacts, intents)) })
	w.settle(name, engine.Settlement{Expired: []record.OpID{op(name, 2)}, Now: w.now})
	return []string{w.landed(name, w.Install, op(name, 1)), w.landed(name, w.Install, op(name, 2))}
}

func (w *world) inFolder(name string) []string {
	var ids []string
	for _, it := range w.mail.Items(w.mail.Folder("m-"+name, roster.FolderName)) {
		ids = append(ids, it.ID)
	}
	return ids
}

func TestForceDeleteWaitsForARunningSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 2)
	take := func(holder string) {
		if _, ok, err := w.state.AcquireLease(ctx, engine.Lease{User: w.user("ann").ID, Holder: holder}, w.now); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	take("cycle")
	for _, dry := range []bool{true, false} {
		got := w.ForceDelete(ctx, w.only("ann"), admin.Bulk{DryRun: dry})
		if admin.KindOf(got[0].Err) != admin.Locked || admin.CodeOf(got[0].Err) != admin.CodeRunning {
			t.Errorf("dry run %v while a cycle runs: %+v", dry, got)
		}
	}
	if n := len(w.users()); n != 3 {
		t.Errorf("%d users are left", n)
	}
	w.ok(w.state.ReleaseLease(ctx, engine.Lease{User: w.user("ann").ID, Holder: "cycle"}))
	t.Log("a process that has died keeps nobody")
	take("dead")
	w.results(w.ForceDelete(ctx, w.only("ann"), admin.Bulk{DryRun: true}), engine.ResultDone)
	t.Log("no cycle begins while it works")
	m := &watchedMail{Mail: w.mail, looked: func() {
		if holder, err := w.Store.Lease(ctx, w.user("ann").ID, w.now); !strings.HasPrefix(holder, "me (run ") || err != nil {
			t.Errorf("the lease is held by %q (%v)", holder, err)
		}
	}}
	w.systems.mail["m365"] = m
	w.results(w.ForceDelete(ctx, w.only("ann"), admin.Bulk{}), engine.ResultDone)
	if n := len(w.users()); n != 2 || !m.seen {
		t.Errorf("%d users are left; looked into the mailbox: %v", n, m.seen)
	}
}

// watchedMail is a mail system that tells when somebody looks into a mailbox.
type watchedMail struct {
	remote.Mail
	looked func()
	seen   bool
}

func (m *watchedMail) Mailbox(id string) remote.Mailbox { return &watchedBox{m.Mail.Mailbox(id), m} }

type watchedBox struct {
	remote.Mailbox
	m *watchedMail
}

func (b *watchedBox) Inspect(ctx context.Context, want remote.Customization) ([]remote.Artefact, error) {
	b.m.seen = true
	b.m.looked()
	return b.Mailbox.Inspect(ctx, want)
}

func TestWhatAKilledCycleLeftIsOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()

	t.Log("a reset takes it out")
	w.synced("ann", 3)
	w.killed("ann")
	got := w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{})
	w.results(got, engine.ResultDone)
	if !strings.Contains(got[0].Message, "removed 5 copies, contact folder CRM") || w.mail.Folder("m-ann", roster.FolderName) != "" {
		t.Errorf("message %q; in the folder %q", got[0].Message, w.inFolder("ann"))
	}

	t.Log("so does the reset of an orphan")
	w.synced("bob", 3)
	w.killed("bob")
	w.results(w.ForceDelete(ctx, w.only("bob"), admin.Bulk{}), engine.ResultDone)
	got = w.ResetOrphans(ctx, []string{"bob@example.com"}, admin.ResetOptions{})
	w.results(got, engine.ResultDone)
	if !strings.Contains(got[0].Message, "removed 5 copies") || w.mail.Folder("m-bob", roster.FolderName) != "" {
		t.Errorf("message %q; in the folder %q", got[0].Message, w.inFolder("bob"))
	}
}

func TestAPersonsCopyStaysWhateverItsStamp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 1)
	late := w.killed("ann")
	linked := w.landed("ann", w.Install, op("ann", 3))
	w.settle("ann", engine.Settlement{Now: w.now, Links: []reconcile.Link{{
		CRM: reconcile.Half{ID: "003c"}, Mailbox: reconcile.Half{ID: linked}, State: reconcile.Linked, Since: w.now,
	}}})
	stay := []string{
		w.mail.CopyItem(linked),
		// Copied before the linked item was written again: it bears an operation of its own.
		w.landed("ann", w.Install, op("ann", 4)),
		w.landed("ann", "another installation", op("ann", 5)),
		// Which of the two the person made nobody can tell.
		late[0], w.mail.CopyItem(late[0]),
	}
	slices.Sort(stay)
	w.results(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{}), engine.ResultDone)
	if got := w.inFolder("ann"); !slices.Equal(got, stay) {
		t.Errorf("left %q, want %q", got, stay)
	}
}

func TestADryRunSpeaksOfWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	dry := admin.Bulk{DryRun: true}
	ids := w.synced("ann", 4)
	w.mail.DeleteItem(ids[0])
	says := func(got []admin.Outcome, want string) {
		t.Helper()
		w.results(got, engine.ResultDone)
		if got[0].Message != want {
			t.Errorf("it says %q,\nwant %q", got[0].Message, want)
		}
	}
	const all = "would remove 3 copies, contact folder CRM, category CRM"
	says(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{Bulk: dry}), all)
	says(w.ReapplyMailbox(ctx, w.only("ann"), false, dry), all+"; would initialize; synchronization disabled now, would be enabled")
	says(w.ForceDelete(ctx, w.only("ann"), dry), "would delete; would leave behind: contact folder CRM (3 items), category CRM")
	says(w.InitMailbox(ctx, w.only("bob"), false, dry), "would initialize; would create folder CRM for contacts")
	says(w.Delete(ctx, w.only("bob"), dry), "would delete")

	t.Log("where a person has put something into the folder, the folder stays")
	w.mail.CreateItem(w.mail.Folder("m-ann", roster.FolderName), mapping.Fields{"surname": {"Mine"}})
	const some = " 3 copies, category CRM"
	const rest = " contact folder CRM (1 item): it holds items that are not ours"
	says(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{Bulk: dry}), "would remove"+some+"; would leave:"+rest)
	w.results(w.ForceDelete(ctx, w.only("ann"), admin.Bulk{}), engine.ResultDone)
	says(w.ResetOrphans(ctx, []string{"ann@example.com"}, admin.ResetOptions{Bulk: dry}), "would remove"+some+"; would leave:"+rest)
	says(w.ResetOrphans(ctx, []string{"ann@example.com"}, admin.ResetOptions{}), "removed"+some+"; left:"+rest)
}

func TestInitStartsAfreshWhereTheFolderWasDeleted(t *testing.T) {
	t.Parallel()
	for verb, again := range map[string]func(*world) []admin.Outcome{
		"init": func(w *world) []admin.Outcome {
			return w.InitMailbox(w.t.Context(), w.only("ann"), false, admin.Bulk{})
		},
		"reapply": func(w *world) []admin.Outcome {
			return w.ReapplyMailbox(w.t.Context(), w.only("ann"), false, admin.Bulk{})
		},
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ctx := t.Context()
			w.everybody()
			w.synced("ann", 2)
			id := w.user("ann").ID
			w.mail.DeleteContainer(w.mail.Folder("m-ann", roster.FolderName))
			w.settle("ann", engine.Settlement{Now: w.now, Replica: &engine.Replica{Off: "the folder was deleted"}})
			if w.user("ann").Off == "" {
				t.Fatal("nothing is switched off")
			}
			dry := w.InitMailbox(ctx, w.only("ann"), false, admin.Bulk{DryRun: true})
			w.results(dry, engine.ResultDone)
			if u := w.user("ann"); u.Off == "" {
				t.Error("a dry run has switched it on")
			}
			t.Log("a mailbox that is refused forgets nothing")
			w.systems.broken["m365"] = &remote.Error{Class: remote.ClassTransient, Message: "no answer"}
			w.results(again(w), engine.ResultFailed)
			if n, err := w.Copies(ctx, w.only("ann")); err != nil || n != 2 {
				t.Errorf("%d links are left (%v)", n, err)
			}
			delete(w.systems.broken, "m365")

			got := again(w)
			w.results(got, engine.ResultDone)
			if u := w.user("ann"); u.Off != "" || u.Mailbox != roster.Initialized {
				t.Errorf("after it: %+v", u)
			}
			if rep, err := w.state.Replica(ctx, id, record.Contacts); err != nil || rep != (engine.Replica{}) {
				t.Errorf("the next cycle goes on with %+v (%v)", rep, err)
			}
			if n, err := w.Copies(ctx, w.only("ann")); err != nil || n != 0 {
				t.Errorf("%d links are left (%v)", n, err)
			}
			if w.mail.Folder("m-ann", roster.FolderName) == "" {
				t.Error("there is no folder")
			}
			if verb == "init" && !strings.Contains(got[0].Message, "was switched off (contacts: the folder was deleted)") {
				t.Errorf("message %q", got[0].Message)
			}
			w.results(w.InitMailbox(ctx, w.only("ann"), false, admin.Bulk{}), engine.ResultUnchanged)
		})
	}
}

func TestNobodyOfThatAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.AddUsers(t.Context(), []admin.NewUser{{Key: "ghost@example.com"}}, admin.AddOptions{})
	w.results(got, engine.ResultFailed)
	var e *admin.Error
	if !errors.As(got[0].Err, &e) || e.Fix != "crmsync users import --from directory --dry-run" {
		t.Errorf("the advice is %+v", got[0].Err)
	}
}

func TestAddingAndCheckingStopAfterSoManyFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	limit := func(n int) admin.Bulk { return admin.Bulk{Parallel: 1, MaxFailures: n} }
	keys := func(names ...string) (list []admin.NewUser) {
		for _, n := range names {
			list = append(list, admin.NewUser{Key: n + "@example.com"})
		}
		return list
	}
	w.results(w.AddUsers(ctx, keys("ghost", "ann", "dora", "bob"), admin.AddOptions{Bulk: limit(2)}),
		engine.ResultFailed, engine.ResultDone, engine.ResultFailed, engine.ResultNotStarted)
	if users := w.users(); len(users) != 1 || users[0].Email != "ann@example.com" {
		t.Errorf("added %+v", users)
	}

	t.Log("failures of the check count together with those before")
	w.mail.Revoke("m-bob")
	w.results(w.AddUsers(ctx, keys("ghost", "bob", "cid"), admin.AddOptions{Bulk: limit(2), Check: true}),
		engine.ResultFailed, engine.ResultFailed, engine.ResultNotStarted)
	if n := len(w.users()); n != 1 {
		t.Errorf("%d users", n)
	}

	w.everybody()
	checks, err := w.Checks(ctx, w.users()[1:], []string{admin.CheckMailbox}, limit(1))
	w.ok(err)
	if checks[0].Result != admin.CheckFailed || checks[1].Result != admin.CheckSkipped {
		t.Errorf("checks %+v", checks)
	}
}
