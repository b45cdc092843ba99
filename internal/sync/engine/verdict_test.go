package engine

import (
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

var epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func failed(code Code) Session {
	return Session{Started: epoch, Result: ResultFailed, Code: code, Message: "cause"}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	enabled := Member{User: roster.User{Email: "a@example.com", Sync: roster.Enabled}}
	tests := map[string]struct {
		user    func(*roster.User)
		session Session
		err     error
		check   func(Outcome) bool
	}{
		"a good cycle is followed by one half an hour after its start": {
			session: Session{Started: epoch, Result: ResultDone},
			check:   func(o Outcome) bool { return o.Success && o.NextDue.Equal(epoch.Add(Interval)) && o.Failures == 0 },
		},
		"a good cycle resumes a suspended user": {
			user:    func(u *roster.User) { u.Sync, u.Cause = roster.Suspended, roster.CauseOther },
			session: Session{Started: epoch, Result: ResultUnchanged},
			check:   func(o Outcome) bool { return o.Resume && len(o.Activities) == 1 },
		},
		"refused access suspends at once": {
			session: failed(CodeAccess),
			check: func(o Outcome) bool {
				return o.Suspend != nil && o.Suspend.Cause == roster.CauseAuthorization && o.Activities[0].Type == "sync.disabled.authorization"
			},
		},
		"the ninth failure does not suspend": {
			user:    func(u *roster.User) { u.Failures = 8 },
			session: failed(CodeTransient),
			check:   func(o Outcome) bool { return o.Suspend == nil && o.Failures == 9 },
		},
		"the tenth failure suspends": {
			user:    func(u *roster.User) { u.Failures = 9 },
			session: failed(CodeTransient),
			check:   func(o Outcome) bool { return o.Suspend != nil && o.Suspend.Cause == roster.CauseOther },
		},
		"pressure makes the pause longer": {
			session: failed(CodePressure),
			check: func(o Outcome) bool {
				return o.Suspend == nil && o.NextDue.Equal(epoch.Add(time.Hour)) && o.PressureSince.Equal(epoch)
			},
		},
		"a server that asks for two hours gets them": {
			session: failed(CodePressure),
			err:     &remote.Error{Class: remote.ClassPressure, RetryAfter: 2 * time.Hour},
			check:   func(o Outcome) bool { return o.NextDue.Equal(epoch.Add(2 * time.Hour)) },
		},
		"the pause never exceeds a day": {
			user:    func(u *roster.User) { u.Failures, u.PressureSince = 50, epoch.Add(-time.Hour) },
			session: failed(CodePressure),
			check:   func(o Outcome) bool { return o.NextDue.Equal(epoch.Add(24*time.Hour)) && o.Suspend == nil },
		},
		"a day of nothing but pressure suspends": {
			user:    func(u *roster.User) { u.Failures, u.PressureSince = 5, epoch.Add(-24*time.Hour) },
			session: failed(CodePressure),
			check:   func(o Outcome) bool { return o.Suspend != nil && o.Suspend.Cause == roster.CauseThrottling },
		},
		"a connection that refuses everyone is no user's fault": {
			user:    func(u *roster.User) { u.Failures = 9 },
			session: failed(CodeConnection),
			check:   func(o Outcome) bool { return o.Suspend == nil && o.Failures == 9 },
		},
		"a user suspended for another cause is probed hourly": {
			user: func(u *roster.User) {
				u.Sync, u.Cause, u.Failures = roster.Suspended, roster.CauseOther, 12
			},
			session: failed(CodeTransient),
			check:   func(o Outcome) bool { return o.Suspend == nil && o.NextDue.Equal(epoch.Add(time.Hour)) },
		},
		"an interrupted cycle is due at once": {
			session: Session{Started: epoch.Add(-time.Minute), Result: ResultInterrupted, Code: CodeInterrupted},
			check:   func(o Outcome) bool { return o.NextDue.Equal(epoch) && o.Failures == 0 },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := enabled
			if tt.user != nil {
				tt.user(&m.User)
			}
			if o := verdict(m, tt.session, tt.err, epoch); !tt.check(o) {
				t.Fatalf("got %+v", o)
			}
		})
	}
}

func TestNextRetry(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{
		1: time.Minute, 2: 5 * time.Minute, 3: 30 * time.Minute, 4: 2 * time.Hour, 5: 24 * time.Hour, 9: 24 * time.Hour,
	} {
		next, parked := nextRetry(epoch, attempts)
		if parked || !next.Equal(epoch.Add(want)) {
			t.Errorf("attempt %d: %v, parked %v", attempts, next, parked)
		}
	}
	if _, parked := nextRetry(epoch, 10); !parked {
		t.Error("not parked after ten attempts")
	}
}

// Only the connection that refuses everyone is taken for broken: the users of the other
// go on.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	org := roster.Organization{CRM: "sf", Mail: "m365"}
	refuses := &remote.Error{Class: remote.ClassConnection}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"the CRM refuses":             {remoteFault(record.CRM, "reading", refuses), "sf"},
		"the mail system refuses":     {remoteFault(record.Mailbox, "reading", refuses), "m365"},
		"one mailbox refuses":         {remoteFault(record.Mailbox, "reading", &remote.Error{Class: remote.ClassAuthorization}), ""},
		"the state cannot be written": {stateFault("settling", refuses), ""},
		"nothing went wrong":          {nil, ""},
	} {
		if got := brokenConnection(org, tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
