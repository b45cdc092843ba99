package store

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func TestLease(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	ctx := t.Context()
	minute := t0.Add(time.Minute)
	lease := func(holder string) engine.Lease { return engine.Lease{User: user, Holder: holder} }
	acquire := func(holder string, now time.Time, current string, ok bool) {
		t.Helper()
		c, o, err := s.AcquireLease(ctx, lease(holder), now)
		if err != nil || c != current || o != ok {
			t.Errorf("%s at %s: %q %v %v, want %q %v", holder, now, c, o, err, current, ok)
		}
	}
	acquire("a", t0, "a", true)
	acquire("b", t0.Add(engine.LeaseTime-1), "a", false)
	// One run does not take one user twice.
	acquire("a", t0, "a", false)
	wants(t, "renewing another's", s.RenewLease(ctx, lease("b"), t0), engine.ErrLeaseLost)
	must(t, s.RenewLease(ctx, lease("a"), minute))
	acquire("b", t0.Add(engine.LeaseTime), "a", false)
	must(t, s.ReleaseLease(ctx, lease("b")))
	if h, err := s.Lease(ctx, user, minute); h != "a" || err != nil {
		t.Errorf("held by %q, %v", h, err)
	}
	// It has expired: its holder may be dead.
	expiry := minute.Add(engine.LeaseTime)
	if h, err := s.Lease(ctx, user, expiry); h != "" || err != nil {
		t.Errorf("held by %q, %v", h, err)
	}
	must(t, s.RenewLease(ctx, lease("a"), minute)) // but nobody has taken it
	acquire("b", expiry, "b", true)
	wants(t, "renewing what was taken over", s.RenewLease(ctx, lease("a"), expiry), engine.ErrLeaseLost)
	must(t, s.ReleaseLease(ctx, lease("a")))
	must(t, s.ReleaseLease(ctx, lease("b")))
	acquire("c", t0, "c", true)
	_, _, err := s.AcquireLease(ctx, engine.Lease{User: 999, Holder: "a"}, t0)
	wants(t, "nobody's lease", err, admin.ErrNotFound)
}

// What a run writes for a user whom another has taken over is refused, whatever the
// clock says, and nothing of it is stored.
func TestTheFence(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	ctx := t.Context()
	mine := held(t, s, user)
	session := engine.Session{UserID: user, Trigger: engine.TriggerForce, Started: t0}
	var err error
	session.ID, err = s.OpenSession(ctx, mine, session)
	must(t, err)
	other := engine.Lease{User: user, Holder: "other"}
	if _, ok, err := s.AcquireLease(ctx, other, t0.Add(engine.LeaseTime)); !ok || err != nil {
		t.Fatal("not taken over", err)
	}
	write := map[string]func(engine.Lease) error{
		"renew": func(l engine.Lease) error { return s.RenewLease(ctx, l, t0) },
		"intend": func(l engine.Lease) error {
			return s.Intend(ctx, l, record.Contacts, []engine.Intent{{Op: op(1), Side: record.CRM, Kind: reconcile.Create, MailboxID: "m", Created: t0}})
		},
		"settle": func(l engine.Lease) error {
			return s.Settle(ctx, l, record.Contacts, engine.Settlement{Links: contacts(1, 5), Now: t0})
		},
		"mark":   func(l engine.Lease) error { return s.MarkMailbox(ctx, l, roster.Resetting) },
		"forget": func(l engine.Lease) error { return s.ForgetMailbox(ctx, l, roster.NotInitialized) },
		"delete": func(l engine.Lease) error { return s.DeleteUser(ctx, l) },
		"open": func(l engine.Lease) error {
			_, err := s.OpenSession(ctx, l, session)
			return err
		},
	}
	before, was := rows(t, s), mustFind(t, s, person(0).Email)
	for name, write := range write {
		wants(t, name, write(mine), engine.ErrLeaseLost)
	}
	same(t, "rows", rows(t, s), before)

	// The session may say how it ended; what that means for the user is not its to say.
	session.Ended, session.Result, session.Code = t0, engine.ResultFailed, engine.CodeLeaseLost
	must(t, s.CloseSession(ctx, mine, engine.Outcome{
		Session: session, NextDue: t0.Add(time.Hour), Failures: 7,
		Suspend:    &engine.Suspension{Cause: roster.CauseOther},
		Activities: []engine.Activity{{Time: t0, Type: "x"}},
	}))
	got, err := s.Session(ctx, session.ID)
	must(t, err)
	if got.Code != engine.CodeLeaseLost {
		t.Errorf("the session ended with %q", got.Code)
	}
	same(t, "user", mustFind(t, s, person(0).Email), was)

	for _, name := range []string{"renew", "intend", "settle", "mark", "open", "forget", "delete"} {
		must(t, write[name](other))
	}
}

// A lease that a wrong clock wrote keeps nobody out once the clock is right.
func TestLeaseOfAClockThatJumped(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{-24 * time.Hour, -time.Hour, time.Hour, 24 * time.Hour, 100 * 365 * 24 * time.Hour} {
		s, user := withUser(t)
		ctx := t.Context()
		wrong := engine.Lease{User: user, Holder: "wrong"}
		if _, ok, err := s.AcquireLease(ctx, wrong, t0.Add(jump)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if h, err := s.Lease(ctx, user, t0); h != "" || err != nil {
			t.Errorf("%s: held by %q, %v", jump, h, err)
		}
		if _, ok, err := s.AcquireLease(ctx, engine.Lease{User: user, Holder: "right"}, t0); !ok || err != nil {
			t.Errorf("%s: locked out, %v", jump, err)
		}
		wants(t, "what goes on under a wrong clock", s.Settle(ctx, wrong, record.Contacts, engine.Settlement{Links: contacts(1, 1)}), engine.ErrLeaseLost)
	}
}

// Two handles on one file stand for two processes. Of those who race for a lease,
// exactly one gets it.
func TestLeaseRace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	stores := []*Store{openAt(t, path), openAt(t, path)}
	office(t, stores[0])
	user := staff(t, stores[0], 1)[0].ID
	for race := range 100 {
		now := t0.Add(time.Duration(race) * time.Hour)
		var wg sync.WaitGroup
		won := make([]bool, 4)
		errs := make([]error, 4)
		for i := range won {
			wg.Go(func() {
				_, won[i], errs[i] = stores[i%2].AcquireLease(t.Context(), engine.Lease{User: user, Holder: fmt.Sprint("holder ", i)}, now)
			})
		}
		wg.Wait()
		must(t, errors.Join(errs...))
		n := 0
		for _, w := range won {
			if w {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("race %d: %d got the lease", race, n)
		}
	}
}

func TestIntentsAreSettledOrExpired(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	ctx := t.Context()
	link := contact(1, 1, 20)
	link.Mailbox.Base = maps.Clone(link.Mailbox.Base)
	link.Mailbox.Base[record.Notes] = []record.Hash{1, 2}
	intents := []engine.Intent{
		{
			Op: op(1), Side: record.CRM, Kind: reconcile.Update, CRMID: link.CRM.ID, MailboxID: link.Mailbox.ID, Link: link,
			MoveCRM:     record.Hashes{record.GivenName: {7}, record.EmailAddresses: {8, 9}, record.Birthday: {}},
			MoveMailbox: record.Hashes{record.Company: {}, "a_field_of_tomorrow": {3}},
			Created:     t0.Add(2),
		},
		{Op: op(2), Side: record.CRM, Kind: reconcile.Create, MailboxID: "m", Link: reconcile.Link{State: reconcile.Linked}, Created: t0.Add(1)},
		{Op: op(3), Side: record.Mailbox, Kind: reconcile.Delete, CRMID: "c", MailboxID: "m", Link: reconcile.Link{State: reconcile.Ended}, Created: t0.Add(2)},
	}
	must(t, s.Intend(ctx, held(t, s, user), record.Contacts, intents))
	got, err := s.Intents(ctx, user, record.Contacts)
	must(t, err)
	same(t, "intents, oldest first", got, []engine.Intent{intents[1], intents[0], intents[2]})
	if got, err := s.Intents(ctx, user, record.Events); len(got) != 0 || err != nil {
		t.Errorf("of another entity: %v, %v", got, err)
	}

	if err := s.Intend(ctx, held(t, s, user), record.Contacts, []engine.Intent{{Op: op(4), Side: record.CRM, Kind: reconcile.Create, Created: t0}, intents[0]}); err == nil {
		t.Error("an operation was intended twice")
	}
	for name, bad := range map[string]engine.Intent{
		"a create of what has an id":      {Op: op(5), Side: record.CRM, Kind: reconcile.Create, CRMID: "c", MailboxID: "m"},
		"an update of what has none":      {Op: op(5), Side: record.Mailbox, Kind: reconcile.Update, CRMID: "c"},
		"an operation that writes nobody": {Op: op(5), Kind: reconcile.LinkUp, CRMID: "c", MailboxID: "m"},
		"an operation without an id":      {Side: record.CRM, Kind: reconcile.Update, CRMID: "c"},
	} {
		if err := s.Intend(ctx, held(t, s, user), record.Contacts, []engine.Intent{bad}); err == nil {
			t.Errorf("%s was stored", name)
		}
	}

	settle(t, s, user, engine.Settlement{Settled: []record.OpID{op(1)}, Expired: []record.OpID{op(2)}, Now: t0})
	got, err = s.Intents(ctx, user, record.Contacts)
	must(t, err)
	same(t, "what is left", got, intents[2:])
	ops, err := s.ExpiredOps(ctx, user, record.Contacts, []record.OpID{op(1), op(2), op(3)})
	must(t, err)
	same(t, "expired", ops, map[record.OpID]record.Hashes{op(2): intents[1].Leaves()})
}

// What a settlement stores is stored wholly or not at all.
func TestSettleIsOneTransaction(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	ctx := t.Context()
	must(t, s.Intend(ctx, held(t, s, user), record.Contacts, []engine.Intent{{Op: op(1), Side: record.CRM, Kind: reconcile.Create, Created: t0}}))
	before := rows(t, s)
	err := s.Settle(ctx, held(t, s, user), record.Contacts, engine.Settlement{
		Settled: []record.OpID{op(1)}, Expired: []record.OpID{op(2)}, Links: contacts(1, 5),
		Issues:     []engine.Issue{{IssueKey: engine.IssueKey{Direction: engine.ToCRM, CRMID: "c"}, State: engine.IssueOpen}},
		Conflicts:  []reconcile.Conflict{{CRMID: "c", Field: record.Notes}},
		Replica:    &engine.Replica{MailboxCursor: "next"},
		Activities: []engine.Activity{{Time: t0, Type: ""}}, // refused, last of all
		Now:        t0,
	})
	if err == nil {
		t.Fatal("an activity without a type was stored")
	}
	same(t, "rows", rows(t, s), before)
	r, err := s.Replica(ctx, user, record.Contacts)
	must(t, err)
	same(t, "replica", r, engine.Replica{})
}

func TestReplica(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	want := engine.Replica{
		Container: remote.Container{ID: "id", Name: "CRM"}, MailboxCursor: "https://graph/delta?x=1", CRMCursor: "2026", FirstDone: true, Off: "why",
		Rules: "r", AuditAfter: "a", Audited: t0, Listed: t0.Add(time.Hour),
	}
	settle(t, s, user, engine.Settlement{Replica: &want, Rides: &engine.Ride{Connection: "sf", To: "2026"}})
	settle(t, s, user, engine.Settlement{Replica: &want}) // leaves the CRM's cursor as it is
	settle(t, s, user, engine.Settlement{})               // leaves it as it is
	got, err := s.Replica(t.Context(), user, record.Contacts)
	must(t, err)
	same(t, "replica", got, want)
}

func TestSharedCursorLeavesRidersBehind(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	must(t, s.AddConnection(ctx, roster.Connection{Name: "sf2", Kind: "salesforce"}))
	must(t, s.AddOrganization(ctx, roster.Organization{Name: "US", CRM: "sf2", Mail: "m365", Access: roster.Application}))
	u := staff(t, s, 5)
	u[4].Org = "US"
	must(t, s.UpdateUsers(ctx, u, nil))
	for i, r := range []engine.Replica{
		{FirstDone: true},                   // rides, and is behind
		{FirstDone: true},                   // rides, and is not
		{FirstDone: true, CRMCursor: "own"}, // was behind already
		{},                                  // was never read
		{FirstDone: true},                   // rides with another feed
	} {
		settle(t, s, u[i].ID, engine.Settlement{Replica: &r, Rides: &engine.Ride{Connection: "sf", To: r.CRMCursor}})
	}
	cursor := func(want string) {
		t.Helper()
		if c, err := s.SharedCursor(ctx, "sf", record.Contacts); c != want || err != nil {
			t.Errorf("shared cursor is %q, %v; want %q", c, err, want)
		}
	}
	cursor("")
	must(t, s.MoveSharedCursor(ctx, "sf", record.Contacts, "", "1", nil))
	cursor("1")
	behind := map[int64]string{u[0].ID: "1", u[2].ID: "1", u[3].ID: "1", u[4].ID: "1", 999: "1"}
	must(t, s.MoveSharedCursor(ctx, "sf", record.Contacts, "1", "2", behind))
	cursor("2")
	for i, want := range []string{"1", "", "own", "", ""} {
		r, err := s.Replica(ctx, u[i].ID, record.Contacts)
		must(t, err)
		if r.CRMCursor != want {
			t.Errorf("user %d has the cursor %q, want %q", i, r.CRMCursor, want)
		}
	}
	// Another run has been faster: nothing moves, and nobody is left behind.
	must(t, s.MoveSharedCursor(ctx, "sf", record.Contacts, "1", "3", map[int64]string{u[1].ID: "1"}))
	must(t, s.MoveSharedCursor(ctx, "sf", record.Contacts, "", "3", map[int64]string{u[1].ID: "1"}))
	cursor("2")
	own := func(i int, ride engine.Ride, want string) {
		t.Helper()
		settle(t, s, u[i].ID, engine.Settlement{Rides: &ride})
		r, err := s.Replica(ctx, u[i].ID, record.Contacts)
		must(t, err)
		if r.CRMCursor != want {
			t.Errorf("user %d, %+v: the cursor is %q, want %q", i, ride, r.CRMCursor, want)
		}
	}
	own(1, engine.Ride{Connection: "sf", From: "1", To: "9"}, "9") // the shared one has gone on
	own(1, engine.Ride{Connection: "sf", From: "2", To: "9"}, "")
	own(2, engine.Ride{Connection: "sf", From: "2", To: "9"}, "")
	own(0, engine.Ride{Connection: "sf", From: "", To: "9"}, "9") // never with a run that began anew
	own(4, engine.Ride{Connection: "sf2", From: "", To: "9"}, "9")
	if c, err := s.SharedCursor(ctx, "sf2", record.Contacts); c != "" || err != nil {
		t.Errorf("the other connection's cursor is %q, %v", c, err)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	u := staff(t, s, 2)
	dead, err := s.OpenSession(ctx, held(t, s, u[0].ID), engine.Session{UserID: u[0].ID, Trigger: engine.TriggerSchedule, Started: t0})
	must(t, err)
	if l := mustFind(t, s, u[0].Email).LastStart; !l.Equal(t0) {
		t.Errorf("last start is %v", l)
	}
	other, err := s.OpenSession(ctx, held(t, s, u[1].ID), engine.Session{UserID: u[1].ID, Trigger: engine.TriggerSchedule, Started: t0})
	must(t, err)
	later := t0.Add(time.Hour)
	want := engine.Session{
		UserID: u[0].ID, User: u[0].Email, Trigger: engine.TriggerForce, Started: later, Ended: later.Add(time.Minute),
		Result: engine.ResultFailed, Code: "CS1", Message: "why",
		Counts: engine.Counts{
			CreatedCRM: 1, CreatedMailbox: 2, UpdatedCRM: 3, UpdatedMailbox: 4, DeletedCRM: 5, DeletedMailbox: 6,
			Linked: 7, Conflicts: 8, Held: 9, Issues: 10, Requests: 11,
		},
		Log: "line 1\nline 2\n",
	}
	want.ID, err = s.OpenSession(ctx, held(t, s, want.UserID), want)
	must(t, err)
	running, err := s.Session(ctx, want.ID)
	must(t, err)
	same(t, "while it runs", running, engine.Session{ID: want.ID, UserID: u[0].ID, User: u[0].Email, Trigger: engine.TriggerForce, Started: later})
	must(t, s.CloseSession(ctx, held(t, s, want.UserID), engine.Outcome{Session: want}))
	got, err := s.Session(ctx, want.ID)
	must(t, err)
	same(t, "closed", got, want)

	interrupted := engine.Session{
		ID: dead, UserID: u[0].ID, User: u[0].Email, Trigger: engine.TriggerSchedule, Started: t0, Ended: later, Result: engine.ResultInterrupted,
	}
	listed := want
	listed.Log = ""
	mine, err := s.Sessions(ctx, u[0].ID, 0)
	must(t, err)
	same(t, "of one user", mine, []engine.Session{listed, interrupted})
	newest, err := s.Sessions(ctx, 0, 2)
	must(t, err)
	if len(newest) != 2 || newest[0].ID != want.ID || newest[1].ID != other || newest[1].Result != "" {
		t.Errorf("the newest two are %v", newest)
	}

	// The one who was taken over finds out, and changes nothing.
	before := mustFind(t, s, u[0].Email)
	late := interrupted
	late.Result = engine.ResultDone
	wants(t, "closing what was interrupted", s.CloseSession(ctx, held(t, s, late.UserID), engine.Outcome{Session: late, Success: true, NextDue: later}), engine.ErrLeaseLost)
	same(t, "user", mustFind(t, s, u[0].Email), before)
	_, err = s.Session(ctx, 999)
	wants(t, "no session", err, admin.ErrNotFound)
	_, err = s.OpenSession(ctx, held(t, s, 999), engine.Session{UserID: 999, Trigger: engine.TriggerForce, Started: t0})
	wants(t, "nobody's session", err, engine.ErrLeaseLost)

	no := want
	no.ID, err = s.OpenSession(ctx, held(t, s, want.UserID), want)
	must(t, err)
	no.Result = ""
	if err := s.CloseSession(ctx, held(t, s, no.UserID), engine.Outcome{Session: no}); err == nil {
		t.Error("a session ended without a result")
	}
}

func TestOutcomeOfACycle(t *testing.T) {
	t.Parallel()
	auth := &engine.Suspension{Cause: roster.CauseAuthorization, Reason: "access was withdrawn"}
	for _, tt := range []struct {
		name    string
		user    roster.User
		outcome engine.Outcome
		want    roster.User
	}{
		{
			"success",
			roster.User{Sync: roster.Enabled, Failures: 3, Queued: true, ForcedAt: t0},
			engine.Outcome{Success: true, NextDue: t0.Add(time.Hour)},
			roster.User{Sync: roster.Enabled, LastSuccess: t0.Add(1), NextDue: t0.Add(time.Hour), ForcedAt: t0},
		},
		{
			"failure",
			roster.User{Sync: roster.Enabled},
			engine.Outcome{NextDue: t0.Add(time.Hour), Failures: 4, PressureSince: t0},
			roster.User{Sync: roster.Enabled, NextDue: t0.Add(time.Hour), Failures: 4, PressureSince: t0},
		},
		{
			"suspended",
			roster.User{Sync: roster.Enabled},
			engine.Outcome{Suspend: auth},
			roster.User{Sync: roster.Suspended, Cause: auth.Cause, Reason: auth.Reason},
		},
		{
			"not suspended, for he was disabled meanwhile",
			roster.User{Sync: roster.Disabled},
			engine.Outcome{Suspend: auth},
			roster.User{Sync: roster.Disabled},
		},
		{
			"resumed",
			roster.User{Sync: roster.Suspended, Cause: auth.Cause, Reason: auth.Reason},
			engine.Outcome{Resume: true},
			roster.User{Sync: roster.Enabled},
		},
		{
			"not resumed, for he was disabled meanwhile",
			roster.User{Sync: roster.Disabled, Reason: "left"},
			engine.Outcome{Resume: true},
			roster.User{Sync: roster.Disabled, Reason: "left"},
		},
		{
			"forced again while it ran",
			roster.User{Sync: roster.Enabled, Queued: true, ForcedAt: t0.Add(1)},
			engine.Outcome{NextDue: t0.Add(time.Hour)},
			roster.User{Sync: roster.Enabled, NextDue: t0.Add(time.Hour), Queued: true, ForcedAt: t0.Add(1)},
		},
		{
			"it was asked for by a clock that ran ahead",
			roster.User{Sync: roster.Enabled, Queued: true, ForcedAt: t0.Add(24 * time.Hour)},
			engine.Outcome{NextDue: t0.Add(time.Hour)},
			roster.User{Sync: roster.Enabled, NextDue: t0.Add(time.Hour), ForcedAt: t0.Add(24 * time.Hour)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			office(t, s)
			ctx := t.Context()
			u := staff(t, s, 1)[0]
			id, err := s.OpenSession(ctx, held(t, s, u.ID), engine.Session{UserID: u.ID, Trigger: engine.TriggerForce, Started: t0})
			must(t, err)
			now := u
			now.Sync, now.Cause, now.Reason = tt.user.Sync, tt.user.Cause, tt.user.Reason
			now.Failures, now.Queued, now.ForcedAt = tt.user.Failures, tt.user.Queued, tt.user.ForcedAt
			must(t, s.UpdateUsers(ctx, []roster.User{now}, nil))

			tt.outcome.Session = engine.Session{ID: id, UserID: u.ID, Started: t0, Ended: t0.Add(1), Result: engine.ResultDone}
			tt.outcome.Activities = []engine.Activity{{Time: t0, Type: "x", User: u.Email}}
			must(t, s.CloseSession(ctx, held(t, s, u.ID), tt.outcome))
			want := tt.want
			want.ID, want.Email, want.Name, want.Org, want.CRMUser, want.MailboxID = u.ID, u.Email, u.Name, u.Org, u.CRMUser, u.MailboxID
			want.Mailbox, want.AddIn, want.LastStart = u.Mailbox, u.AddIn, t0
			same(t, "user", mustFind(t, s, u.Email), want)
			if a, err := s.Activities(ctx, u.Email, 0); len(a) != 1 || err != nil {
				t.Errorf("audit: %v, %v", a, err)
			}
		})
	}
}

func TestIssues(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	ctx := t.Context()
	k := func(c, m string) engine.IssueKey {
		return engine.IssueKey{Direction: engine.ToCRM, CRMID: c, MailboxID: m}
	}
	first := engine.Issue{
		IssueKey: k("c1", "m1"), Label: "Ann Example (Acme)", Code: "CS1", Cause: "too long",
		Attempts: 1, FirstSeen: t0, NextRetry: t0.Add(time.Minute), State: engine.IssueOpen,
	}
	info := engine.Issue{IssueKey: k("", "m2"), Code: "CS2", State: engine.IssueInfo}
	settle(t, s, user, engine.Settlement{Issues: []engine.Issue{first, info}, Session: 1, Now: t0.Add(time.Second)})

	again := first
	again.Label, again.Cause, again.Attempts, again.FirstSeen, again.NextRetry, again.State = "", "still too long", 0, t0.Add(time.Hour), t0.Add(2*time.Hour), engine.IssueParked
	other := first
	other.Direction = engine.ToMailbox // the same item, the other way
	settle(t, s, user, engine.Settlement{Issues: []engine.Issue{again, other}, Session: 2, Now: t0.Add(time.Hour)})

	got, err := s.OpenIssues(ctx, user, record.Contacts)
	must(t, err)
	email := person(0).Email
	want := []engine.Issue{first, info, other}
	want[0].Cause, want[0].Attempts, want[0].NextRetry, want[0].State, want[0].Session = "still too long", 2, t0.Add(2*time.Hour), engine.IssueParked, 2
	want[1].FirstSeen, want[1].Session = t0.Add(time.Second), 1
	want[2].Session = 2
	for i := range want {
		want[i].ID, want[i].User, want[i].Entity = got[i].ID, email, record.Contacts
	}
	same(t, "open issues", got, want)
	// What is only information is no record that cannot be synchronized.
	if n := mustFind(t, s, email).Issues; n != 2 {
		t.Errorf("the user has %d issues, want 2", n)
	}

	settle(t, s, user, engine.Settlement{Resolved: []engine.IssueKey{first.IssueKey, k("c1", ""), k("no", "no")}})
	got, err = s.Issues(ctx, user, false)
	must(t, err)
	same(t, "not resolved, newest first", got, []engine.Issue{want[2], want[1]})
	all, err := s.Issues(ctx, 0, true)
	must(t, err)
	if len(all) != 3 || all[2].State != engine.IssueResolved || !all[2].NextRetry.IsZero() {
		t.Errorf("all issues: %+v", all)
	}
	// What comes back after it was resolved is a new issue.
	settle(t, s, user, engine.Settlement{Issues: []engine.Issue{first}, Now: t0})
	got, err = s.OpenIssues(ctx, user, record.Contacts)
	must(t, err)
	if last := got[len(got)-1]; len(got) != 3 || last.ID == want[0].ID || last.Attempts != 1 {
		t.Errorf("raised anew: %+v", got)
	}
	one, err := s.Issue(ctx, want[2].ID)
	must(t, err)
	same(t, "one issue", one, want[2])
	_, err = s.Issue(ctx, 999)
	wants(t, "no issue", err, admin.ErrNotFound)
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	c := []reconcile.Conflict{
		{CRMID: "c1", MailboxID: "m1", Field: record.EmailAddresses, Winner: record.CRM, Lost: record.Value{"a@example.com", "b@example.com"}, Kept: record.Text("c@example.com")},
		{CRMID: "c1", MailboxID: "m1", Field: record.Notes, Lost: nil, Kept: record.Text("kept")},
	}
	settle(t, s, user, engine.Settlement{Conflicts: c, Session: 7, Now: t0})
	got, err := s.Conflicts(t.Context(), 0)
	must(t, err)
	var want []admin.StoredConflict
	for i := range c {
		want = append(want, admin.StoredConflict{
			ID: int64(2 - i), User: person(0).Email, Entity: record.Contacts, Session: 7, Time: t0, Conflict: c[1-i],
		})
	}
	same(t, "conflicts, newest first", got, want)

	// A cycle that died before it wrote meets the same conflict again; another value is
	// another conflict.
	other := c[0]
	other.Lost = record.Text("d@example.com")
	settle(t, s, user, engine.Settlement{Conflicts: []reconcile.Conflict{c[0], other}, Session: 8, Now: t0.Add(1)})
	want[1].Session, want[1].Time = 8, t0.Add(1)
	third := admin.StoredConflict{ID: 3, User: person(0).Email, Entity: record.Contacts, Session: 8, Time: t0.Add(1), Conflict: other}
	got, err = s.Conflicts(t.Context(), 0)
	must(t, err)
	same(t, "conflicts, one of them met again", got, append([]admin.StoredConflict{third}, want...))

	// What was on hold and was decided for the mailbox has kept the mailbox's value.
	settle(t, s, user, engine.Settlement{Restored: []engine.Restored{{ID: 2, Keep: record.Mailbox}}, Session: 9, Now: t0.Add(2)})
	got, err = s.Conflicts(t.Context(), user)
	must(t, err)
	if d := got[1]; d.Winner != record.Mailbox || d.Kept != nil || d.Lost.First() != "kept" || d.Restored != 9 {
		t.Errorf("decided for the mailbox: %+v", d)
	}

	if got, err := s.Conflicts(t.Context(), 999); len(got) != 0 || err != nil {
		t.Errorf("nobody's conflicts: %v, %v", got, err)
	}
}

func TestActivitiesAreAChainThatCannotBeChanged(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	a := []engine.Activity{
		{Time: t0, Actor: "root", Type: "user.added", User: "Ann@example.com", Org: "EMEA", Details: "d"},
		{Time: t0, Actor: "root", Type: "user.added", User: "bob@example.com"},
		{Time: t0.Add(1), Actor: "engine", Type: "sync.enabled", User: "ann@example.com"},
	}
	must(t, s.Record(ctx, a[0]))
	must(t, s.Record(ctx, a[1:]...))
	got, err := s.Activities(ctx, "", 0)
	must(t, err)
	if len(got) != 3 {
		t.Fatalf("%d lines", len(got))
	}
	for i := range got {
		if len(got[i].Hash) != 64 {
			t.Errorf("hash is %q", got[i].Hash)
		}
		got[i].Hash = ""
	}
	same(t, "newest first", got, []engine.Activity{a[2], a[1], a[0]})
	if of, err := s.Activities(ctx, "ANN@example.com", 1); len(of) != 1 || of[0].Type != "sync.enabled" || err != nil {
		t.Errorf("of one user: %v, %v", of, err)
	}
	must(t, s.VerifyActivities(ctx))

	for _, sql := range []string{
		`UPDATE activities SET details = 'x' WHERE id = 2`, `DELETE FROM activities WHERE id = 3`, `DELETE FROM activities`,
	} {
		if _, err := s.writer.ExecContext(ctx, sql); err == nil {
			t.Errorf("%s was done", sql)
		}
	}
	must(t, s.VerifyActivities(ctx))

	// Someone who owns the file can take the triggers off, but not the chain.
	for _, sql := range []string{
		`UPDATE activities SET user = 'x' WHERE id = 2`,
		`UPDATE activities SET actor = 'roo', type = 'tuser.added' WHERE id = 1`,
		`DELETE FROM activities WHERE id = 2`,
		`DELETE FROM activities WHERE id = 1`,
		`INSERT INTO activities SELECT 4, time, actor, type, user, org, details, hash FROM activities WHERE id = 3`,
	} {
		tx, err := s.writer.BeginTx(ctx, nil)
		must(t, err)
		_, err = tx.ExecContext(ctx, `DROP TRIGGER activities_not_changed; DROP TRIGGER activities_not_removed; `+sql)
		must(t, err)
		if err := verifyActivities(ctx, tx); !errors.Is(err, ErrAltered) {
			t.Errorf("after %s: %v", sql, err)
		}
		must(t, tx.Rollback())
	}
}

// What is known of a connection changes wholly, with what is told of it, or not at all.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	name := "sf"
	put := func(h engine.Health, told ...engine.Activity) error {
		return s.UpdateHealth(ctx, name, func(was engine.Health) (engine.Health, []engine.Activity) {
			if was.Connection != name {
				t.Errorf("it is called %q", was.Connection)
			}
			h.Connection = name
			return h, told
		})
	}
	known := func() []engine.Health {
		t.Helper()
		h, err := s.Health(ctx)
		must(t, err)
		return h
	}
	must(t, put(engine.Health{}))
	if h := known(); len(h) != 0 {
		t.Errorf("nothing is known, and stored: %+v", h)
	}
	want := engine.Health{
		Connection: name, Code: "CS1", Message: "why", Since: t0,
		Usage: remote.Usage{Used: 1, Limit: 2, Reserve: 3, At: t0.Add(1)},
	}
	must(t, put(want, engine.Activity{Type: "x"}))
	same(t, "health", known(), []engine.Health{want})
	if put(engine.Health{}, engine.Activity{Type: ""}) == nil {
		t.Error("an activity without a type was stored")
	}
	same(t, "health", known(), []engine.Health{want})
	must(t, put(engine.Health{}))
	same(t, "health", known(), []engine.Health{{Connection: name}})
	if a, err := s.Activities(ctx, "", 0); len(a) != 1 || err != nil {
		t.Errorf("told %+v, %v", a, err)
	}
}

// What sessions requested of mailboxes is told within a stretch of time, and not what a
// clock that ran ahead has dated later.
func TestMailboxCalls(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	u := staff(t, s, 2)
	for n, at := range []time.Duration{0, time.Minute, 2 * time.Minute, 24 * time.Hour} {
		for _, u := range u {
			o := engine.Session{UserID: u.ID, Trigger: engine.TriggerSchedule, Started: t0}
			id, err := s.OpenSession(ctx, held(t, s, u.ID), o)
			must(t, err)
			o.ID, o.Ended, o.Result, o.MailboxCalls = id, t0.Add(at), engine.ResultDone, 10*n+int(u.ID)
			must(t, s.CloseSession(ctx, held(t, s, u.ID), engine.Outcome{Session: o}))
		}
	}
	got, err := s.MailboxCalls(ctx, "m365", t0, t0.Add(time.Hour))
	must(t, err)
	want := map[string][]remote.Spending{}
	for _, u := range u {
		want[u.MailboxID] = []remote.Spending{
			{At: t0.Add(time.Minute), Requests: 10 + int(u.ID)}, {At: t0.Add(2 * time.Minute), Requests: 20 + int(u.ID)},
		}
	}
	same(t, "calls", got, want)
	if got, err := s.MailboxCalls(ctx, "another", t0, t0.Add(time.Hour)); len(got) != 0 || err != nil {
		t.Errorf("of another connection: %v, %v", got, err)
	}
}
