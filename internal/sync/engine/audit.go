package engine

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// The audit looks for what the feeds never told, in two ways. Every day it compares a
// thirtieth of a user's links with their items: a 1/1440 for each half-hourly cycle, in
// a forty-eighth of the requests. And every month it lists all records, which also finds
// those that have no link.
//
// What a comparison finds may only be news that the feeds are about to tell. So it
// becomes an issue first. The next cycle reads the feeds again; what they still do not
// mention was missed, is decided like any other change, and is reported: in the session,
// its log and the list of activities. Nothing is mended in silence.

const (
	auditEvery = 24 * time.Hour
	// auditRound is the time in which every link is compared once.
	auditRound = 30 * auditEvery
	// listEvery is how often all records are listed. A user's number adds up to a week,
	// so that users who began together do not list together for good.
	listEvery = 30 * 24 * time.Hour
	// auditMax bounds what one cycle compares, after a long pause.
	auditMax = 1000
)

// audit is a comparison of some links: what to compare, where the next one goes on, and
// what the CRM holds of them. The CRM is asked for many users at a time.
type audit struct {
	links []reconcile.Link
	next  string
	crm   []remote.ItemResult
}

// auditShare returns how many of a user's links are to be compared after a time without
// a comparison.
func auditShare(linked int, since time.Duration) int {
	share := math.Ceil(float64(linked) * float64(min(since, auditRound)) / float64(auditRound))
	return min(int(share), auditMax)
}

// auditDue tells whether it is time to compare links, and listDue to list all records.
// A clock that was set back does not put either off.
func (r Replica) auditDue(now time.Time) bool {
	return r.FirstDone && r.Off == "" && now.Sub(r.Audited).Abs() >= auditEvery
}

func (r Replica) listDue(user int64, now time.Time) bool {
	return r.FirstDone && !r.Listed.IsZero() && now.Sub(r.Listed).Abs() >= listEvery+time.Duration(user%7)*24*time.Hour
}

// pickAudits chooses what the cycles of a batch of users compare, and reads it from
// their CRM, all users of a connection together. An audit that cannot be prepared waits
// for the next cycle: it is not what the cycle is for.
func (r *runner) pickAudits(ctx context.Context, jobs []job) {
	now := r.e.Now()
	picked := map[string][]*audit{} // by CRM connection
	for i, j := range jobs {
		u := j.member.User
		rep, err := r.e.State.Replica(ctx, u.ID, record.Contacts)
		if err != nil || !rep.auditDue(now) {
			continue
		}
		linked, err := r.e.State.CountLinks(ctx, u.ID, record.Contacts)
		if err != nil {
			continue
		}
		a := &audit{}
		since := now.Sub(rep.Audited).Abs()
		if a.links, a.next, err = r.e.State.LinksAfter(ctx, u.ID, record.Contacts, rep.AuditAfter, auditShare(linked, since)); err != nil {
			continue
		}
		jobs[i].audit = a
		picked[j.member.Org.CRM] = append(picked[j.member.Org.CRM], a)
	}
	for _, conn := range slices.Sorted(maps.Keys(picked)) {
		audits := picked[conn]
		var ids []string
		for _, a := range audits {
			for _, l := range a.links {
				ids = append(ids, l.CRM.ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		crm, err := r.openCRM(ctx, conn)
		if err != nil {
			continue // each cycle meets the same error and says so
		}
		got := crm.Collection(record.Contacts).Get(ctx, ids)
		for _, a := range audits {
			a.crm, got = got[:len(a.links)], got[len(a.links):]
		}
	}
}

// compare compares the audited links with their items. What differs, though neither
// feed has told of it, becomes an issue that the next cycle decides.
func (c *cycle) compare(ctx context.Context, a *audit) error {
	if a == nil {
		return nil
	}
	var ids []string
	for _, l := range a.links {
		ids = append(ids, l.Mailbox.ID)
	}
	var copies []remote.ItemResult
	if len(ids) > 0 {
		copies = c.copies.Get(ctx, ids)
	}
	var s Settlement
	for n, l := range a.links {
		if _, decided := c.links[l.CRM.ID]; decided || n >= len(a.crm) {
			continue
		}
		results := map[record.Side]remote.ItemResult{record.CRM: a.crm[n], record.Mailbox: copies[n]}
		for _, side := range sides {
			if c.differs(side, *l.Half(side), results[side]) {
				s.Issues = append(s.Issues, c.suspect(side, l))
			}
		}
	}
	rep := c.replica
	rep.AuditAfter, rep.Audited = a.next, c.e.Now()
	s.Replica, c.replica = &rep, rep
	c.log.add("audit: compared %d links, %d differ", len(a.links), len(s.Issues))
	return c.settle(ctx, s)
}

// differs tells whether an item is not as its side's base says. What could not be read
// tells nothing.
func (c *cycle) differs(side record.Side, h reconcile.Half, got remote.ItemResult) bool {
	switch {
	case remote.Is(got.Err, remote.ClassGone):
		return true
	case got.Err != nil:
		return false
	case got.Elsewhere, side == record.CRM && got.Item.Owner != c.m.User.CRMUser:
		return true
	}
	return c.policy.Changed(c.hasher.Record(c.read1(side, got.Item)), h.Base)
}

// suspect returns the issue of a link whose item differs without a word of its feed.
func (c *cycle) suspect(side record.Side, l reconcile.Link) Issue {
	now := c.e.Now()
	return Issue{
		IssueKey: IssueKey{Direction: DirectionTo(side.Other()), CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID},
		User:     c.m.User.Email, Entity: c.entity, Session: c.session.ID,
		Code: CodeUntold, Cause: "the audit found that it has changed in the " + sideName(side) + ", of which the change feed has not told yet; the next cycle decides",
		FirstSeen: now, NextRetry: now, State: IssueOpen,
	}
}

// untell notes an item that is decided though its side's feed did not mention it.
func (c *cycle) untell(side record.Side, id string) {
	if c.untold[side] == nil {
		c.untold[side] = map[string]bool{}
	}
	c.untold[side][id] = true
}

// reportMissed says what a plan does because of changes that the feeds never told.
func (c *cycle) reportMissed(plan reconcile.Plan) {
	missed := map[string]bool{}
	for _, o := range plan.Ops {
		for _, side := range sides {
			id := o.CRMID
			if side == record.Mailbox {
				id = o.MailboxID
			}
			// What is written to a side comes from the other one.
			if o.Kind != reconcile.Settle && o.Side != side && c.untold[side][id] {
				missed[o.CRMID+"\x00"+o.MailboxID] = true
			}
		}
	}
	if len(missed) == 0 {
		return
	}
	c.missed = len(missed)
	c.log.add("audit: %d records had changed without a word of the change feeds", c.missed)
}

// missedActivity is what the audit puts on record about changes that were missed.
func (c *cycle) missedActivity() Activity {
	return activity(c.m, c.e.Now(), "audit.missed", fmt.Sprintf("%s: %d records had changed without a word of the change feeds; they were decided like any other", c.entity, c.missed))
}
