package engine

import (
	"testing"
	"time"

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
		"pressure is not a failure, and does not take one back": {
			user:    func(u *roster.User) { u.Failures = 9 },
			session: failed(CodePressure),
			check:   func(o Outcome) bool { return o.Suspend == nil && o.Failures == 9 },
		},
		"each pause is as long as all before it": {
			user:    func(u *roster.User) { u.PressureSince = epoch.Add(-3 * time.Hour) },
			session: failed(CodePressure),
			check:   func(o Outcome) bool { return o.NextDue.Equal(epoch.Add(4*time.Hour)) && o.Suspend == nil },
		},
		"the last try before a suspension comes after a day": {
			user:    func(u *roster.User) { u.PressureSince = epoch.Add(-20 * time.Hour) },
			session: failed(CodePressure),
			check:   func(o Outcome) bool { return o.NextDue.Equal(epoch.Add(4*time.Hour)) && o.Suspend == nil },
		},
		"no server is left alone for more than a day": {
			session: failed(CodePressure),
			err:     &remote.Error{Class: remote.ClassPressure, RetryAfter: 1000 * time.Hour},
			check:   func(o Outcome) bool { return o.NextDue.Equal(epoch.Add(24 * time.Hour)) },
		},
		"those who were sent away together do not come back together": {
			user:    func(u *roster.User) { u.ID = 17 },
			session: failed(CodePressure),
			check:   func(o Outcome) bool { return o.NextDue.Equal(epoch.Add(time.Hour + time.Hour/64)) },
		},
		"a day of nothing but pressure suspends, and is probed hourly": {
			user:    func(u *roster.User) { u.PressureSince = epoch.Add(-24 * time.Hour) },
			session: failed(CodePressure),
			check: func(o Outcome) bool {
				return o.Suspend != nil && o.Suspend.Cause == roster.CauseThrottling && o.NextDue.Equal(epoch.Add(time.Hour))
			},
		},
		"a failure ends the day of pressure": {
			user:    func(u *roster.User) { u.PressureSince = epoch.Add(-24 * time.Hour) },
			session: failed(CodeTransient),
			check:   func(o Outcome) bool { return o.Suspend == nil && o.PressureSince.IsZero() && o.Failures == 1 },
		},
		"pressure that a wrong clock saw begins anew": {
			user:    func(u *roster.User) { u.PressureSince = epoch.Add(24 * time.Hour) },
			session: failed(CodePressure),
			check:   func(o Outcome) bool { return o.PressureSince.Equal(epoch) && o.NextDue.Equal(epoch.Add(time.Hour)) },
		},
		"who lacks a right is probed at each run": {
			session: failed(CodeAccess),
			check:   func(o Outcome) bool { return o.NextDue.Equal(epoch) },
		},
		"a suspension that goes on is not told again": {
			user:    func(u *roster.User) { u.Sync, u.Cause = roster.Suspended, roster.CauseAuthorization },
			session: failed(CodeAccess),
			check:   func(o Outcome) bool { return o.Suspend == nil && len(o.Activities) == 0 },
		},
		"a suspended user who turns out to lack a right is told of it": {
			user:    func(u *roster.User) { u.Sync, u.Cause = roster.Suspended, roster.CauseOther },
			session: failed(CodeAccess),
			check: func(o Outcome) bool {
				return o.Suspend != nil && o.Suspend.Cause == roster.CauseAuthorization && len(o.Activities) == 1
			},
		},
		"a suspended user whose probe fails otherwise stays as he is": {
			user:    func(u *roster.User) { u.Sync, u.Cause, u.Failures = roster.Suspended, roster.CauseAuthorization, 30 },
			session: failed(CodeTransient),
			check:   func(o Outcome) bool { return o.Suspend == nil && len(o.Activities) == 0 },
		},
		"the budget of a connection is no user's fault": {
			user:    func(u *roster.User) { u.Failures = 9 },
			session: failed(CodeBudget),
			err:     &remote.Error{Class: remote.ClassPressure, Whole: true, RetryAfter: time.Hour},
			check: func(o Outcome) bool {
				return o.Suspend == nil && o.Failures == 9 && o.PressureSince.IsZero() && o.NextDue.Equal(epoch.Add(time.Hour))
			},
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
