package engine

import (
	"errors"
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/roster"
)

// close turns the end of a cycle into its session and into what it means for the user.
func (c *cycle) close(err error) Outcome {
	c.session.Held = len(c.holds.waiting)
	c.closeSession(err)
	o := verdict(c.m, c.session, err, c.e.Now())
	if s := &o.Session; s.Result == ResultFailed && c.m.User.Sync == roster.Suspended && o.Suspend == nil && s.Trigger == TriggerSchedule {
		// A suspension is told once: that it goes on is no news to whoever reads the run.
		s.Result, s.Code, s.Message = ResultSkipped, CodeSuspended, "still suspended: "+s.Message
	}
	return o
}

// closeSession writes into the session how it ended.
func (c *cycle) closeSession(err error) {
	s := &c.session
	s.Ended = c.e.Now()
	if c.box != nil {
		s.Requests += c.box.Requests()
		s.MailboxCalls += c.box.Calls()
	}
	if c.records != nil {
		s.Requests += c.records.Requests()
	}
	if c.first != nil {
		s.Requests++ // the batch that probed this mailbox and others
		s.MailboxCalls++
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
	case err != nil:
		s.Result = ResultFailed
	case c.idle() && c.ended == 0:
		s.Result = ResultUnchanged
	default:
		s.Result = ResultDone
	}
	if err == nil && c.newRules {
		s.Message = c.ruled()
		c.log.add("%s", s.Message)
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
