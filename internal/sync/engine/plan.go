package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// UserPlan is what one user's next cycle would do, or why that cannot be told.
type UserPlan struct {
	UserID int64
	User   string
	Entity record.Entity
	Plan   reconcile.Plan
	// First says that it would be the first sync; Prepare that the mailbox would be
	// prepared before it.
	First   bool
	Prepare bool
	// Unsettled is how many earlier writes have no clear answer yet: the plan may
	// change once they are looked up.
	Unsettled int
	// Waiting is how many deletes stay held that the cycle would not decide anew.
	Waiting int
	// Accounts is a digest of who the user is at both systems.
	Accounts string
	// Differences are those from the plan that Options.Kept has for the user. If there
	// are any, Err says so.
	Differences []Difference
	Err         error

	hasher  record.Hasher
	allowed map[reconcile.DeleteKey]bool
}

// Plan tells what Run would do for the same options, and writes nothing anywhere.
func (e *Engine) Plan(ctx context.Context, opts Options) ([]UserPlan, error) {
	r, err := e.runner(ctx, opts)
	if err != nil {
		return nil, err
	}
	r.planning = true
	members := selected(r.members, opts.Users)
	plans := make([]UserPlan, len(members))
	var wg sync.WaitGroup
	places := make(chan struct{}, max(opts.Parallel, 1))
	for i, m := range members {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			plans[i] = r.plan(ctx, m)
		})
	}
	wg.Wait()
	for i := range plans {
		if p := &plans[i]; p.Err == nil {
			p.Plan, p.Err = r.guard.hold(ctx, p.Entity, p.Plan, p.allowed)
			r.compare(p)
		}
	}
	return plans, ctx.Err()
}

// compare compares a plan with the one that was kept, if one was.
func (r *runner) compare(p *UserPlan) {
	if kept, ok := r.opts.Kept[p.UserID]; ok && p.Err == nil {
		if diffs, fault := p.since(kept); fault != nil {
			p.Differences, p.Err = diffs, fault
		}
	}
}

func (r *runner) plan(ctx context.Context, m Member) UserPlan {
	p := UserPlan{UserID: m.User.ID, User: m.User.Email, Entity: record.Contacts}
	_, kept := r.opts.Kept[m.User.ID]
	if why := ineffective(m); why != nil && (kept || !m.Org.Enabled) {
		p.Err = why
		return p
	}
	reading := New(r.e.Config)
	reading.State = readOnly{r.e.State}
	c := r.newCycle(reading, m)
	if p.Err = c.connect(ctx); p.Err != nil {
		return p
	}
	if !c.rules.Enabled {
		p.Err = &Fault{Code: CodeIneffective, Doing: c.disabled()}
		return p
	}
	if c.replica.Off != "" {
		p.Err = &Fault{Code: CodeContainer, Doing: string(c.entity) + " are switched off: " + c.replica.Off}
		return p
	}
	intents, err := c.e.State.Intents(ctx, m.User.ID, c.entity)
	if err != nil {
		p.Err = stateFault("reading the intents", err)
		return p
	}
	p = c.planned(reconcile.Plan{})
	p.Unsettled = len(intents)
	if p.Prepare, p.Err = c.find(ctx); p.Err != nil {
		return p
	}
	in, _, err := c.read(ctx)
	if err != nil {
		p.Err = err
		return p
	}
	p.Plan, p.Err = c.decide(ctx, &in)
	p.Waiting, p.allowed = c.holds.standing(), c.holds.decided(Allow)
	return p
}

// planned returns a plan as that of the cycle's user.
func (c *cycle) planned(p reconcile.Plan) UserPlan {
	u, o := c.m.User, c.m.Org
	return UserPlan{
		UserID: u.ID, User: u.Email, Entity: c.entity, Plan: p, First: !c.replica.FirstDone, hasher: c.hasher,
		Accounts: digest(c.hasher, "accounts", []any{u.ID, u.CRMUser, u.MailboxID, o.Name, o.CRM, o.Mail}),
	}
}

// foresee makes the plan before the mailbox is prepared for it: a mailbox is left as it
// is where the plan that was kept does not hold any more.
func (c *cycle) foresee(ctx context.Context) error {
	if c.kept == nil || c.isPrepared() {
		return nil
	}
	p := c.r.plan(ctx, c.m)
	c.r.compare(&p)
	c.session.Differences = p.Differences
	return p.Err
}

// agree refuses to carry a plan out that is not the one that was kept, if one was.
func (c *cycle) agree(p UserPlan) error {
	if c.kept == nil {
		return nil
	}
	diffs, fault := p.since(*c.kept)
	if fault == nil {
		return nil
	}
	c.session.Differences = diffs
	for _, d := range diffs {
		d.Step.Label = "" // no record content in the log
		c.log.add("%s", d)
	}
	return fault
}

// find looks our container up where it was not prepared yet, and tells whether the
// cycle would prepare the mailbox. Without a container the mailbox holds nothing.
func (c *cycle) find(ctx context.Context) (bool, error) {
	if c.isPrepared() {
		return false, nil
	}
	have, err := c.box.Inspect(ctx, Customization("", c.e.Install, c.e.Now()))
	if err != nil {
		return true, remoteFault(record.Mailbox, "looking at the mailbox", err)
	}
	for _, a := range have {
		if a.Kind == remote.ContactFolder {
			c.useContainer(remote.Container{ID: a.ID, Name: a.Name})
			return true, nil
		}
	}
	c.copies = nothing{c.copies}
	return true, nil
}

// nothing is a collection whose container does not exist yet.
type nothing struct{ remote.Collection }

func (nothing) Changes(context.Context, remote.Query) (remote.Feed, error) {
	return remote.Feed{Complete: true}, nil
}

// errPlanning says that a plan tried to write: a mistake in the engine.
var errPlanning = errors.New("a plan writes nothing")

// readOnly is a state that refuses every write of a cycle, for planning. Remapping a
// merged record is the one thing that reading settles; a plan does it in memory.
type readOnly struct{ State }

func (readOnly) Settle(context.Context, Lease, record.Entity, Settlement) error { return nil }

func (readOnly) Intend(context.Context, Lease, record.Entity, []Intent) error { return errPlanning }

func (readOnly) MarkMailbox(context.Context, Lease, roster.MailboxState) error { return errPlanning }
