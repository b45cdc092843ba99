package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// errand runs an errand for the first user.
func (w *world) errand(o engine.ErrandOptions) engine.ErrandReport {
	w.t.Helper()
	o.User = w.users[0].ID
	if o.Trigger == "" {
		o.Trigger = engine.TriggerUndo
	}
	rep, err := w.engine().Errand(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

// retitle plans to write a title into the mailbox copies of records, as if it had always
// been there.
func retitle(title string, crmIDs ...string) engine.Planner {
	return func(ctx context.Context, v *engine.View) (p reconcile.Plan, err error) {
		links, err := v.Links(ctx, crmIDs, nil)
		if err != nil {
			return p, err
		}
		var ids []string
		for _, l := range links {
			ids = append(ids, l.Mailbox.ID)
		}
		items, err := v.Items(ctx, record.Mailbox, ids)
		for _, l := range links {
			it := items[l.Mailbox.ID]
			set := record.Record{record.JobTitle: record.Text(title)}
			p.Ops = append(p.Ops, reconcile.Operation{
				Kind: reconcile.Update, Side: record.Mailbox, CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID,
				Version: it.Version, Set: set, Link: l, MoveMailbox: v.Hasher().Record(set),
			})
		}
		return p, err
	}
}

// discard plans to delete the mailbox copies of all records.
func discard(ctx context.Context, v *engine.View) (p reconcile.Plan, err error) {
	links, err := v.AllLinks(ctx)
	for _, l := range links {
		l.State = reconcile.Unlinked
		p.Ops = append(p.Ops, reconcile.Operation{
			Kind: reconcile.Delete, Side: record.Mailbox, CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID, Version: l.Mailbox.Version, Link: l,
		})
	}
	return p, err
}

// What an errand writes is no change to the next cycle, and a person's later edit is.
func TestErrand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	cycled := w.clock.Now()
	w.clock.pass(time.Minute)
	rep := w.errand(engine.ErrandOptions{Plan: retitle("Boss", ids[0])})
	if rep.Session.Result != engine.ResultDone || len(rep.Done) != 1 || rep.Done[0].Code != "" || rep.Session.UpdatedMailbox != 1 {
		t.Fatalf("%+v", rep)
	}
	if m, err := w.store.Users(t.Context(), nil); err != nil || !m[0].User.LastSuccess.Equal(cycled) {
		t.Errorf("the errand counts as a cycle: %v %v", m[0].User.LastSuccess, err)
	}
	w.quiet()
	if got := w.copyOf(0, ids[0]).Fields["jobTitle"].First(); got != "Boss" {
		t.Fatalf("the title is %q", got)
	}
	if it, _ := w.crm.Item(ids[0]); it.Fields["Title"].First() != "" {
		t.Fatalf("the CRM was written: %v", it.Fields)
	}
	w.mail.EditItem(w.copyOf(0, ids[0]).ID, mapping.Fields{"jobTitle": record.Text("Chief")})
	w.ok()
	if it, _ := w.crm.Item(ids[0]); it.Fields["Title"].First() != "Chief" {
		t.Fatalf("a person's edit did not reach the CRM: %v", it.Fields)
	}
}

// A record that changes between reading and writing is refused, and the others go on.
func TestErrandMeetsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	rep := w.errand(engine.ErrandOptions{Plan: func(ctx context.Context, v *engine.View) (reconcile.Plan, error) {
		p, err := retitle("Boss", ids...)(ctx, v)
		w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"mobilePhone": record.Text("+1 212 555 9999")})
		return p, err
	}})
	refused := 0
	for _, d := range rep.Done {
		if d.Code != "" {
			refused++
			if d.Code != engine.CodeChanged || d.Op.CRMID != ids[1] {
				t.Errorf("%+v", d)
			}
		}
	}
	if refused != 1 || rep.Session.UpdatedMailbox != 2 || rep.Session.Result != engine.ResultDone {
		t.Fatalf("%d refused: %+v", refused, rep.Session)
	}
	w.ok()
	if it, _ := w.crm.Item(ids[1]); it.Fields["MobilePhone"].First() == "" {
		t.Error("the person's edit is lost")
	}
}

// The guard refuses an errand as a whole, unless just so many deletes were expected.
func TestErrandIsGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 20)
	w.ok()
	calls := len(w.faults.Calls())
	for _, expect := range []int{0, 19, 21} {
		rep := w.errand(engine.ErrandOptions{Plan: discard, ExpectDeletes: expect})
		if rep.Session.Result != engine.ResultRefused || rep.Session.Code != engine.CodeGuarded || len(rep.Plan.Held) != 20 {
			t.Fatalf("expecting %d: %+v", expect, rep.Session)
		}
	}
	for _, c := range w.faults.Calls()[calls:] {
		if c.Writes {
			t.Fatalf("a refused errand wrote: %s", c)
		}
	}
	rep := w.errand(engine.ErrandOptions{Plan: discard, ExpectDeletes: 20})
	if rep.Session.DeletedMailbox != 20 {
		t.Fatalf("%+v", rep.Session)
	}
	w.quiet()
}

// A dry run writes nothing anywhere, the state included.
func TestErrandDryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	calls := len(w.faults.Calls())
	rep := w.errand(engine.ErrandOptions{Plan: retitle("Boss", ids...), DryRun: true})
	if len(rep.Plan.Ops) != 3 || rep.Session.ID != 0 {
		t.Fatalf("%+v", rep)
	}
	for _, c := range w.faults.Calls()[calls:] {
		if c.Writes {
			t.Fatalf("a dry run wrote: %s", c)
		}
	}
	w.quiet()
}

// What follows an errand's plan is planned from what became of it.
func TestErrandThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	rep := w.errand(engine.ErrandOptions{
		Plan: retitle("Boss", ids[0]),
		Then: func(ctx context.Context, v *engine.View, done []engine.OpResult) (reconcile.Plan, error) {
			if len(done) != 1 || done[0].ID == "" {
				t.Errorf("%+v", done)
			}
			return retitle("Chief", ids[1])(ctx, v)
		},
	})
	if rep.Session.UpdatedMailbox != 2 || len(rep.Done) != 2 {
		t.Fatalf("%+v", rep)
	}
	w.quiet()
}
