package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// cycle is one user's cycle for one entity.
type cycle struct {
	r       *runner
	e       *Engine
	m       Member
	lease   Lease
	entity  record.Entity
	hasher  record.Hasher
	rules   settings.Rules
	policy  reconcile.Policy
	crm     remote.CRM
	mail    remote.Mail
	box     remote.Mailbox
	records remote.Collection // the CRM's
	copies  remote.Collection // the mailbox's
	feed    *crmFeed
	first   *remote.FeedResult
	audit   *audit
	replica Replica
	created bool // the container was made by this cycle, so it is empty
	// kept, if not nil, is the plan that this cycle carries out or refuses.
	kept *Kept
	// recovered is how many writes of an earlier cycle had no clear answer.
	recovered int
	session   Session
	log       sessionLog

	// issues are the ones that were open when the cycle began, known the same by item.
	issues []Issue
	known  map[IssueKey]Issue
	// touched are the open issues whose records were decided anew.
	touched map[IssueKey]bool
	raised  map[IssueKey]bool
	// ruleset names the rules by which records are compared now; newRules says that they
	// are others than in the last cycle.
	ruleset  string
	newRules bool
	// holds are the deletes that the guard holds.
	holds holds
	// unread are the issues of items that could not be read, until they are stored.
	unread []Issue
	// untold are the items that are decided though their side's feed did not mention
	// them, and missed is how many records were written or unlinked because of that.
	untold map[record.Side]map[string]bool
	missed int

	// seen are the items that are about to be written, as far as they were read. It does
	// not change while something is written.
	seen map[record.Side]map[string]reconcile.Change

	mu     sync.Mutex // guards what both sides' writers change
	links  map[string]reconcile.Link
	ended  int                            // links that ended without a write
	parted int                            // those of them whose items both stay as they are
	again  map[string]reconcile.Operation // operations whose record must be read and decided again
	joint  map[string]reconcile.Operation // applied operations whose twin on the other side completes the link
	// stop is why no more is written to a side. The cursors then stay where they are.
	stop map[record.Side]error
	// results, if not nil, makes the cycle an errand.
	results *results
}

// newCycle returns a user's cycle that has not begun.
func (r *runner) newCycle(e *Engine, m Member) *cycle {
	c := &cycle{
		r: r, e: e, m: m, entity: record.Contacts,
		session: Session{UserID: m.User.ID, User: m.User.Email, Trigger: r.opts.Trigger, Started: e.Now()},
		log:     sessionLog{now: e.Now},
		touched: map[IssueKey]bool{}, raised: map[IssueKey]bool{},
		links: map[string]reconcile.Link{}, stop: map[record.Side]error{},
		untold: map[record.Side]map[string]bool{},
	}
	if kept, ok := r.opts.Kept[m.User.ID]; ok {
		c.kept = &kept
	}
	return c
}

// cycle runs a user's cycle and closes its session.
func (r *runner) cycle(ctx context.Context, j job) Session {
	u := j.member.User
	defer func() {
		// A lease that could not be given up runs out by itself.
		_ = r.leases.drop(context.WithoutCancel(ctx), u.ID)
	}()
	c := r.newCycle(r.e, j.member)
	c.first, c.audit, c.lease = j.first, j.audit, r.leases.lease(u.ID)

	if f := r.stopped(ctx, j.member); f != nil {
		r.refuse(&c.session, f)
		return c.session
	}
	// The cycle finishes its batch when the run is interrupted, and ends at once when
	// it loses its lease.
	work, cancel := r.leases.watch(context.WithoutCancel(ctx), u.ID)
	defer cancel()

	id, err := r.e.State.OpenSession(work, c.lease, c.session)
	if err != nil {
		r.refuse(&c.session, faultOf(stateFault("opening the session", err)))
		return c.session
	}
	c.session.ID = id
	r.e.Reporter.CycleStarted(u.Email)
	err = c.run(work, ctx)
	if cause := context.Cause(work); err != nil && isLeaseLost(cause) {
		err = &Fault{Code: CodeLeaseLost, Doing: "the cycle was stopped", Err: cause}
	}
	o := c.close(err)
	if err := r.e.State.CloseSession(context.WithoutCancel(ctx), c.lease, o); err != nil && o.Session.Result != ResultFailed {
		o.Session.Result, o.Session.Code, o.Session.Message = ResultFailed, CodeState, "closing the session: "+err.Error()
	}
	r.note(j.member.Org, o, err)
	r.e.Reporter.CycleEnded(u.Email, o.Session)
	return o.Session
}

// run is the cycle from recovery to the last settlement. When the run is interrupted,
// which ends its context, reading stops at once and writing after its batch.
func (c *cycle) run(ctx, run context.Context) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(run, cancel)()
	interrupted := func(err error) error {
		if err != nil && run.Err() != nil {
			return &Fault{Code: CodeInterrupted, Doing: "the run was interrupted", Err: err}
		}
		return err
	}
	if err := c.begin(reading); err != nil {
		return interrupted(err)
	}
	if !c.rules.Enabled {
		c.session.Message = c.disabled()
		c.log.add("%s", c.session.Message)
		return c.agree(c.planned(reconcile.Plan{}))
	}
	if c.replica.Off != "" {
		c.log.add("%s are switched off: %s", c.entity, c.replica.Off)
		return c.agree(c.planned(reconcile.Plan{}))
	}
	if err := c.foresee(reading); err != nil {
		return interrupted(err)
	}
	prepare := !c.isPrepared()
	if err := c.prepare(ctx); err != nil {
		return err
	}
	in, to, err := c.read(reading)
	if err != nil {
		return c.containerGone(ctx, interrupted(err))
	}
	plan, err := c.decide(reading, &in)
	if err != nil {
		return interrupted(err)
	}
	now := c.planned(plan)
	now.Prepare, now.Unsettled = prepare, c.recovered
	if err := c.agree(now); err != nil {
		return err
	}
	c.reportMissed(plan)
	if err := c.apply(ctx, run.Done(), plan, in); err != nil {
		return err
	}
	if err := c.commit(ctx, to); err != nil {
		return err
	}
	return c.compare(ctx, c.audit)
}

// begin finds out where the user stands: can he be reached again, and what became of
// the writes of a cycle that died.
func (c *cycle) begin(ctx context.Context) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	if c.m.User.Sync == roster.Suspended {
		if err := c.wake(ctx); err != nil {
			return err
		}
	}
	if c.replica.Off != "" {
		return nil
	}
	return c.containerGone(ctx, c.recover(ctx))
}

// disabled says why nothing is done for the user.
func (c *cycle) disabled() string {
	return string(c.entity) + " are switched off by a setting: nothing is read or written, and nothing was removed; to see where: crmsync settings show " +
		settings.Enabled(c.entity) + " " + c.m.User.Email + " --origin"
}

// connect opens both sides and loads where the user stands.
func (c *cycle) connect(ctx context.Context) error {
	var err error
	if c.m.User.CRMUser == "" || c.m.User.MailboxID == "" {
		return &Fault{Code: CodeUnresolvable, Doing: "the user has no CRM user id or no mailbox id"}
	}
	if c.crm, err = c.r.openCRM(ctx, c.m.Org.CRM); err != nil {
		return err
	}
	if c.mail, err = c.r.openMail(ctx, c.m.Org.Mail); err != nil {
		return err
	}
	if c.rules, err = c.r.rules(c.m, c.entity); err != nil {
		return err
	}
	c.rules.CreateInCRM = c.rules.CreateInCRM || c.r.opts.AllowCreateInCRM
	c.box = c.mail.Mailbox(c.m.User.MailboxID)
	c.records = c.crm.Collection(c.entity)
	c.feed = c.r.feed(c.crm, c.m.Org.CRM, c.entity)
	if c.replica, err = c.e.State.Replica(ctx, c.m.User.ID, c.entity); err != nil {
		return stateFault("reading where the user stands", err)
	}
	if c.issues, err = c.e.State.OpenIssues(ctx, c.m.User.ID, c.entity); err != nil {
		return stateFault("reading the issues", err)
	}
	c.known = make(map[IssueKey]Issue, len(c.issues))
	for _, i := range c.issues {
		c.known[i.IssueKey] = i
	}
	held, err := c.e.State.Held(ctx, c.m.User.ID, c.entity)
	if err != nil {
		return stateFault("reading the deletes that are held", err)
	}
	c.holds = newHolds(held)
	c.useContainer(c.replica.Container)
	if err := c.startAnew(ctx); err != nil {
		return err
	}
	c.newRules = c.replica.newRules(c.ruleset)
	if c.hasher, err = c.e.Hasher(c.region()); err != nil {
		return stateFault("reading the key", err)
	}
	return nil
}

// useContainer sets the cycle to work on a container of the mailbox.
func (c *cycle) useContainer(at remote.Container) {
	at.Category = roster.CategoryName
	c.replica.Container = at
	c.copies = c.box.Collection(c.entity, at)
	c.policy = policyFor(c.entity, c.records.Capabilities().Mapping, c.copies.Capabilities().Mapping, c.rules)
	c.ruleset = rulesOf(c.policy, c.records.Capabilities().Mapping, c.copies.Capabilities().Mapping, c.m.Org.Region)
	if c.r.opts.Limits != nil {
		c.policy.Guard = *c.r.opts.Limits
	}
}

// side returns the collection of a side.
func (c *cycle) side(s record.Side) remote.Collection {
	if s == record.CRM {
		return c.records
	}
	return c.copies
}

// wake probes a suspended user with one cheap call to each side.
func (c *cycle) wake(ctx context.Context) error {
	if err := c.crm.CheckUser(ctx, c.m.User.CRMUser); err != nil {
		return remoteFault(record.CRM, "probing the CRM user", err)
	}
	if err := c.mail.CheckUser(ctx, c.m.User.MailboxID); err != nil {
		return remoteFault(record.Mailbox, "probing the mailbox", err)
	}
	c.log.add("both sides answer again: resumed")
	return nil
}

// isPrepared tells whether our containers are in the mailbox, as far as we know.
func (c *cycle) isPrepared() bool {
	return c.m.User.Mailbox == roster.Initialized && c.replica.Container.ID != ""
}

// prepare makes sure that our containers are in the mailbox.
func (c *cycle) prepare(ctx context.Context) error {
	if c.isPrepared() {
		return nil
	}
	org, err := c.crm.Organization(ctx)
	if err != nil {
		return remoteFault(record.CRM, "asking the CRM for its organization", err)
	}
	want := Customization(org, c.e.Install, c.e.Now())
	if err := c.claim(ctx, want); err != nil {
		return err
	}
	got, err := c.box.Prepare(ctx, want)
	if err != nil {
		return remoteFault(record.Mailbox, "preparing the mailbox", err)
	}
	c.created = got.Created[c.entity]
	c.useContainer(got.Containers[c.entity])
	rep := c.replica
	rep.MailboxID = c.m.User.MailboxID
	if err := c.settle(ctx, Settlement{Replica: &rep}); err != nil {
		return err
	}
	if err := c.e.State.MarkMailbox(ctx, c.lease, roster.Initialized); err != nil {
		return stateFault("noting the mailbox as initialized", err)
	}
	c.log.add("mailbox prepared, folder %s", map[bool]string{true: "created", false: "adopted"}[c.created])
	return nil
}

// claim refuses a mailbox that is claimed for another CRM organization, and warns of
// another installation that is still at work.
func (c *cycle) claim(ctx context.Context, want remote.Customization) error {
	have, err := c.box.Claim(ctx, want)
	if err != nil {
		return remoteFault(record.Mailbox, "reading the mailbox's claim", err)
	}
	switch {
	case have == nil:
	case have.Organization != want.Claim.Organization:
		return &Fault{Code: CodeClaimed, Doing: "the mailbox is claimed for CRM organization " + have.Organization}
	case have.Install != want.Claim.Install && c.e.Now().Sub(have.LastCycle) < 2*Interval:
		c.e.Reporter.Notice(c.m.User.Email, "another installation has synchronized this mailbox within the last hour; it is ours now")
		c.log.add("mailbox adopted from another installation, which synchronized it at %s", have.LastCycle.UTC().Format(time.RFC3339))
	}
	return nil
}

// containerGone switches the entity off when our container is not there any more: the
// person deleted it. Nothing is deleted in the CRM.
func (c *cycle) containerGone(ctx context.Context, err error) error {
	if !remote.Is(err, remote.ClassContainerGone) {
		return err
	}
	links, lerr := c.e.State.Links(ctx, c.m.User.ID, c.entity)
	if lerr != nil {
		return stateFault("reading the links", lerr)
	}
	intents, ierr := c.e.State.Intents(ctx, c.m.User.ID, c.entity)
	if ierr != nil {
		return stateFault("reading the intents", ierr)
	}
	var given []record.OpID
	for _, i := range intents {
		given = append(given, i.Op)
	}
	now := c.e.Now()
	for i := range links {
		links[i].State, links[i].Since = reconcile.Ended, now
	}
	rep := Replica{Off: "the folder was deleted in the mailbox"}
	serr := c.settle(ctx, Settlement{
		Expired: given, Links: links, Unheld: slices.Collect(maps.Keys(c.holds.known)), Replica: &rep,
		Activities: []Activity{{
			Time: now, Actor: "engine", Type: "entity.disabled", User: c.m.User.Email, Org: c.m.Org.Name,
			Details: string(c.entity) + ": " + rep.Off,
		}},
	})
	if serr != nil {
		return serr
	}
	c.feed.done(c.m.User.ID)
	c.log.add("%s switched off: %s", c.entity, rep.Off)
	return &Fault{Code: CodeContainer, Doing: "our folder is gone from the mailbox; " + string(c.entity) +
		" are switched off for this user, and nothing was deleted in the CRM; to have them again: crmsync mailbox reapply " + c.m.User.Email}
}

// settle stores a settlement under the cycle's session.
func (c *cycle) settle(ctx context.Context, s Settlement) error {
	s.Session, s.Now = c.session.ID, c.e.Now()
	return stateFault("settling", c.e.State.Settle(ctx, c.lease, c.entity, s))
}

// commit ends the cycle: the cursors move and the issues of what was decided anew are
// closed, unless a side was stopped before all was written.
func (c *cycle) commit(ctx context.Context, read readTo) error {
	err := errors.Join(c.stop[record.CRM], c.stop[record.Mailbox])
	if err != nil {
		return err
	}
	s := Settlement{Unheld: c.holds.over()}
	for _, i := range c.issues {
		if c.touched[i.IssueKey] && !c.raised[i.IssueKey] {
			s.Resolved = append(s.Resolved, i.IssueKey)
		}
	}
	rep := c.replica
	rep.MailboxCursor, rep.FirstDone, rep.Rules = read.mailbox, true, c.ruleset
	rep.CRMUser, rep.MailboxID = c.m.User.CRMUser, c.m.User.MailboxID
	rep.ConflictPolicy = c.policy.ConflictWords()
	if now := c.e.Now(); read.listed || rep.Listed.IsZero() {
		rep.Listed = now
		if rep.Audited.IsZero() {
			rep.Audited = now // all that was just read is as fresh as can be
		}
	}
	if c.missed > 0 {
		s.Activities = append(s.Activities, c.missedActivity())
	}
	if rep != c.replica || rep.CRMCursor != "" {
		ride := c.feed.ride()
		s.Replica, s.Rides = &rep, &ride
	}
	if s.Replica != nil || s.Resolved != nil || s.Unheld != nil || s.Activities != nil {
		if err := c.settle(ctx, s); err != nil {
			return err
		}
	}
	c.replica = rep
	c.holds.forget(s.Unheld)
	c.feed.done(c.m.User.ID)
	return nil
}

// sessionLog collects what is worth knowing of a cycle, without record content.
type sessionLog struct {
	now func() time.Time
	mu  sync.Mutex
	b   strings.Builder
}

func (l *sessionLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.b, "%s %s\n", l.now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}

func (l *sessionLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
