package store

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// A delete that is held again keeps its number, its beginning, its label and what a
// person decided of it; its label is not in the state in clear.
func TestHeldDeletes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	u := staff(t, s, 2)
	ctx := t.Context()
	key := func(n string) reconcile.DeleteKey {
		return reconcile.DeleteKey{Side: record.Mailbox, CRMID: "c" + n, MailboxID: "m" + n}
	}
	hold := func(user int64, now time.Time, held ...engine.HeldDelete) {
		t.Helper()
		settle(t, s, user, engine.Settlement{Held: held, Session: 7, Now: now})
	}
	hold(u[0].ID, t0,
		engine.HeldDelete{DeleteKey: key("1"), Label: "Ann Secret", Reason: "deleted", By: reconcile.HeldByUser},
		engine.HeldDelete{DeleteKey: key("2"), Reason: "deleted", By: reconcile.HeldByRun})
	hold(u[1].ID, t0, engine.HeldDelete{DeleteKey: key("1"), Reason: "deleted", By: reconcile.HeldByRules})
	first, err := s.Held(ctx, u[0].ID, record.Contacts)
	must(t, err)
	if len(first) != 2 || first[0].Label != "Ann Secret" || first[0].Session != 7 || !first[0].Since.Equal(t0) {
		t.Fatalf("%+v", first)
	}
	var label []byte
	must(t, s.writer.QueryRowContext(ctx, `SELECT label FROM held WHERE id = ?`, first[0].ID).Scan(&label))
	if bytes.Contains(label, []byte("Secret")) {
		t.Error("the label is in clear")
	}

	settle(t, s, u[0].ID, engine.Settlement{Now: t0, Issues: []engine.Issue{
		{IssueKey: engine.IssueKey{Direction: engine.ToMailbox, CRMID: "x"}, State: engine.IssueInfo, Code: engine.CodeOnHold},
		{IssueKey: engine.IssueKey{Direction: engine.ToMailbox, CRMID: "y"}, State: engine.IssueIgnored, Code: engine.CodeOnHold},
		{IssueKey: engine.IssueKey{Direction: engine.ToMailbox, CRMID: "z"}, State: engine.IssueInfo, Code: engine.CodeNotAllowed},
	}})
	users, err := s.Admin().Users(ctx)
	must(t, err)
	if users[0].OnHold != 1 || users[1].OnHold != 0 || users[0].Held != 2 {
		t.Errorf("on hold %d and %d, held %d", users[0].OnHold, users[1].OnHold, users[0].Held)
	}
	users[0].Sync, users[0].NextDue = roster.Enabled, t0.Add(time.Hour)
	must(t, s.UpdateUsers(ctx, users, nil))
	left, err := s.DecideHeld(ctx, []int64{first[0].ID, 999}, engine.Allow, engine.Activity{Time: t0, Type: "deletes.allowed"})
	if err != nil || !slices.Equal(left, []int64{first[0].ID}) {
		t.Fatalf("%v, %v", left, err)
	}
	users, err = s.Admin().Users(ctx)
	must(t, err)
	if !users[0].Queued || !users[0].NextDue.IsZero() || users[0].Held != 1 || users[1].Queued || users[1].Held != 1 {
		t.Errorf("%+v", users)
	}
	later := t0.Add(time.Hour)
	hold(u[0].ID, later, engine.HeldDelete{DeleteKey: key("1"), Reason: "out of scope", By: reconcile.HeldByRun})
	again, err := s.Held(ctx, u[0].ID, record.Contacts)
	must(t, err)
	want := first[0]
	want.Decision, want.Reason, want.By, want.Checked = engine.Allow, "out of scope", reconcile.HeldByRun, later
	same(t, "held again", again[0], want)

	settle(t, s, u[0].ID, engine.Settlement{Unheld: []reconcile.DeleteKey{key("1")}, Now: later})
	all, err := s.HeldDeletes(ctx, 0)
	must(t, err)
	if len(all) != 2 || all[0].User != u[1].Email || all[1].CRMID != "c2" {
		t.Errorf("%+v", all)
	}
}
