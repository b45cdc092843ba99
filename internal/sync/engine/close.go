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
	// maxPressure is for how long servers may do nothing but ask for patience, and also
	// the longest pause between two cycles.
	maxPressure = 24 * time.Hour
	// probeInterval is how often a suspended user is probed.
	probeInterval = time.Hour
)

// close turns the end of a cycle into its session and into what it means for the user.
func (c *cycle) close(err error) Outcome {
	c.session.Held = len(c.holds.waiting)
	c.closeSession(err)
	return verdict(c.m, c.session, err, c.e.Now())
}

// closeSession writes into the session how it ended.
func (c *cycle) closeSession(err error) {
	s := &c.session
	s.Ended = c.e.Now()
	if c.box != nil {
		s.Requests += c.box.Requests()
	}
	if c.records != nil {
		s.Requests += c.records.Requests()
	}
	if c.first != nil {
		s.Requests++ // the batch that probed this mailbox and others
	}
	if err != nil {
		var f *Fault
		s.Code, s.Message = CodeTransient, err.Error()
		if errors.As(err, &f) {
			s.Code = f.Code
		}
		c.log.add("%s: %s", s.Code, s.Message)
	}
	switch {
	case s.Code == CodeInterrupted:
		s.Result = ResultInterrupted
	case s.Code == CodeClaimed, s.Code == CodeGuarded, s.Code == CodeIneffective, s.Code == CodePlanChanged:
		s.Result = ResultRefused
	case err != nil && s.Code != CodeUnsettled:
		s.Result = ResultFailed
	case c.idle() && c.ended == 0:
		s.Result = ResultUnchanged
	default:
		s.Result = ResultDone
	}
	if err == nil && c.missed > 0 {
		s.Message = fmt.Sprintf("the audit found %d records that had changed without a word of the change feeds", c.missed)
	}
	if err == nil && c.parted > 0 && c.results == nil {
		s.Message = fmt.Sprintf("%d links ended: what was deleted in the mailbox stays in the CRM", c.parted)
		c.log.add("%s", s.Message)
	}
	c.log.add("%s: created %d/%d, updated %d/%d, deleted %d/%d (CRM/mailbox), %d linked, %d conflicts, %d held, %d issues, %d requests",
		s.Result, s.CreatedCRM, s.CreatedMailbox, s.UpdatedCRM, s.UpdatedMailbox, s.DeletedCRM, s.DeletedMailbox,
		s.Linked, s.Conflicts, s.Held, s.Issues, s.Requests)
	s.Log = c.log.String()
}

// idle tells whether the cycle had nothing to do.
func (c *cycle) idle() bool {
	n := c.session.Counts
	n.Requests = 0
	n.Held = min(n.Held, c.holds.fresh) // what was held before is not this cycle's work
	return n == Counts{}
}

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
	case CodeInterrupted, CodeConnection, CodeClaimed, CodeContainer, CodeLeaseLost, CodeState, CodeSetup, CodeMapping:
		// Not the user's doing: an administrator is told by the run itself.
		if s.Code == CodeInterrupted {
			o.NextDue = now
		}
	default:
		o.Failures++
		o.PressureSince = time.Time{}
		if o.Failures >= maxFailedCycles {
			o.suspend(m, now, roster.CauseOther, s.Message)
		}
	}
	if u.Sync == roster.Suspended && u.Cause != roster.CauseAuthorization {
		o.NextDue = now.Add(probeInterval)
	}
	return o
}

// suspend stops a user's synchronization; one who is suspended for the same cause
// stays so without a word.
func (o *Outcome) suspend(m Member, now time.Time, cause roster.Cause, reason string) {
	if m.User.Sync == roster.Suspended && m.User.Cause == cause {
		return
	}
	o.Suspend = &Suspension{Cause: cause, Reason: reason}
	o.Activities = append(o.Activities, activity(m, now, "sync.disabled."+string(cause), reason))
}

// pressure makes the pauses longer, from the usual interval up to a day. It is not a
// failure: only a day of nothing else suspends.
func (o *Outcome) pressure(m Member, err error, now time.Time, reason string) {
	if o.PressureSince.IsZero() {
		o.PressureSince = now
	}
	o.Failures++
	pause := Interval
	for range min(o.Failures, 10) {
		pause *= 2
	}
	var e *remote.Error
	if errors.As(err, &e) {
		pause = max(pause, e.RetryAfter)
	}
	o.NextDue = now.Add(min(pause, maxPressure))
	if now.Sub(o.PressureSince) >= maxPressure {
		o.suspend(m, now, roster.CauseThrottling, fmt.Sprintf("nothing but pressure since %s: %s", o.PressureSince.UTC().Format(time.RFC3339), reason))
	}
}

func activity(m Member, now time.Time, kind, details string) Activity {
	return Activity{Time: now, Actor: "engine", Type: kind, User: m.User.Email, Org: m.Org.Name, Details: details}
}
