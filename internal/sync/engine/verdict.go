package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

const (
	// maxFailedCycles is how many cycles in a row may fail for a passing reason before
	// the user is suspended.
	maxFailedCycles = 10
	// maxPressure is for how long servers may do nothing but ask for patience.
	maxPressure = maxPause
	// probeInterval is how often a user is probed who is suspended because of pressure or
	// of failures.
	probeInterval = time.Hour
)

// verdict decides what the end of a cycle means for the user: when the next one is
// due, and whether synchronization is suspended or resumed. It is pure.
func verdict(m Member, s Session, err error, now time.Time) Outcome {
	u := m.User
	o := Outcome{Session: s, NextDue: s.Started.Add(Interval)}
	o.Success = s.Result == ResultDone || s.Result == ResultUnchanged
	if o.Success {
		o.Resume = u.Sync == roster.Suspended
		if o.Resume {
			o.Activities = append(o.Activities, activity(m, now, "sync.resumed", "both sides answer again"))
		}
		return o
	}
	o.Failures, o.PressureSince = u.Failures, u.PressureSince
	switch s.Code {
	case CodePlanChanged:
		o.NextDue = u.NextDue // his own cycle has nothing to do with it
	case CodeAccess:
		o.suspend(m, now, roster.CauseAuthorization, s.Message)
	case CodePressure:
		o.pressure(m, err, now, s.Message)
	case CodeInterrupted:
		o.NextDue = now
	case CodeBudget:
		o.NextDue = now.Add(max(Interval, asked(err)))
	case CodeConnection, CodeClaimed, CodeContainer, CodeLeaseLost, CodeState, CodeSetup, CodeMapping,
		CodeGuarded, CodeIneffective:
		// Not the user's doing: an administrator is told by the run itself.
	default:
		o.Failures++
		o.PressureSince = time.Time{}
		if o.Failures >= maxFailedCycles {
			o.suspend(m, now, roster.CauseOther, s.Message)
		}
	}
	switch o.cause(u) {
	case "":
	case roster.CauseAuthorization:
		o.NextDue = now // a right may be given at any time: each run probes
	default:
		o.NextDue = now.Add(max(probeInterval, asked(err)))
	}
	return o
}

// cause is why the user is suspended from now on; "" if he is not.
func (o *Outcome) cause(u roster.User) roster.Cause {
	switch {
	case o.Suspend != nil:
		return o.Suspend.Cause
	case u.Sync == roster.Suspended:
		return u.Cause
	}
	return ""
}

// suspend stops a user's synchronization. One who is suspended already stays so without
// a word, unless it turns out that he lacks a right: that somebody must give.
func (o *Outcome) suspend(m Member, now time.Time, cause roster.Cause, reason string) {
	if m.User.Sync == roster.Suspended && (m.User.Cause == cause || cause != roster.CauseAuthorization) {
		return
	}
	o.Suspend = &Suspension{Cause: cause, Reason: reason}
	o.Activities = append(o.Activities, activity(m, now, "sync.disabled."+string(cause), reason))
}

// pressure makes the pauses longer: each is as long as all before it, up to a day. It is
// not a failure: only a day of nothing else suspends.
func (o *Outcome) pressure(m Member, err error, now time.Time, reason string) {
	if o.PressureSince.IsZero() || o.PressureSince.After(now) {
		o.PressureSince = now
	}
	lasts := now.Sub(o.PressureSince)
	if lasts >= maxPressure {
		o.suspend(m, now, roster.CauseThrottling, fmt.Sprintf("nothing but pressure since %s: %s", o.PressureSince.UTC().Format(time.RFC3339), reason))
	}
	pause := lasts + 2*Interval
	// Those who were sent away together do not come back together.
	pause += pause / 64 * time.Duration(m.User.ID%16)
	if left := maxPressure - lasts; left > 0 {
		pause = min(pause, left)
	}
	o.NextDue = now.Add(min(max(pause, asked(err)), maxPause))
}

// asked is how long a server asks to be left alone, a day at most; 0 if it does not say.
func asked(err error) time.Duration {
	var e *remote.Error
	if !errors.As(err, &e) {
		return 0
	}
	return min(e.RetryAfter, maxPause)
}

func activity(m Member, now time.Time, kind, details string) Activity {
	return Activity{Time: now, Actor: "engine", Type: kind, User: m.User.Email, Org: m.Org.Name, Details: details}
}
