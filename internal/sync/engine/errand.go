package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// An errand is work on one user that is not a cycle: something is taken back, restored
// or merged, because a person asked for it by name. It keeps all of a cycle's promises:
// it runs under the user's lease and has a session, first settles what an earlier
// process left open, plans, is guarded, and sends each write as a cycle would. It
// differs in this:
//
//   - It reads what its plan asks for, not the feeds, and moves no cursor. What it wrote
//     comes back to the next cycle as an echo.
//   - A record that changed between its reading and its writing is refused, and not
//     decided again: what was asked for is no longer what would be done. Nor does
//     anything that fails become an issue: the person is told, and may ask again.
//   - The guard refuses the errand as a whole, before anything is written.
//   - It means nothing for the user: not when he is due, not whether he is suspended. A
//     user may be disabled or suspended; his mailbox must be initialized.

// Planner makes the plan of an errand from what it reads. Its operations must say all
// that those of reconcile say: above all Version, Link and the moved parts of the bases.
// Operations of one side go out in the plan's order, a batch at a time; the two sides
// go side by side.
type Planner func(ctx context.Context, v *View) (reconcile.Plan, error)

// ErrandOptions say what an errand does.
type ErrandOptions struct {
	User    int64
	Trigger Trigger
	// Plan says what is to be done. Then, if not nil, says what may only follow once
	// that was tried, given what became of it.
	Plan Planner
	Then func(ctx context.Context, v *View, done []OpResult) (reconcile.Plan, error)
	// ExpectDeletes lets the guard pass a plan with exactly so many deletes. Limits
	// replaces the guard's limits; nil for the built-in ones.
	ExpectDeletes int
	Limits        *reconcile.Limits
	// DryRun plans, without the lease and Then, and writes nothing anywhere.
	DryRun bool
	// Finish, if not nil, returns what else the end of the errand stores. It is called
	// once all results are known, and not if nothing was tried.
	Finish func(ErrandReport) Settlement
}

// ErrandReport is what became of an errand.
type ErrandReport struct {
	// Session tells how it ended, as that of a cycle does. Its ID is 0 if none was
	// opened.
	Session Session
	// Plan is what was to be done at first. If the guard refused it, the deletes are in
	// Held.
	Plan reconcile.Plan
	// Done tells for each operation that was tried what became of it.
	Done []OpResult
}

// OpResult is what became of an operation.
type OpResult struct {
	Op reconcile.Operation
	// ID is that of the item that was written.
	ID string
	// Code and Message say why it was not done; empty if it was.
	Code    Code
	Message string
}

// Errand runs an errand. The error is for what kept it from having a session at all, for
// example a user who is not known; what befell it is in the session.
func (e *Engine) Errand(ctx context.Context, o ErrandOptions) (ErrandReport, error) {
	r, err := e.runner(ctx, Options{Trigger: o.Trigger, Limits: o.Limits})
	if err != nil {
		return ErrandReport{}, err
	}
	if r.leases, err = newLeaseKeeper(e); err != nil {
		return ErrandReport{}, stateFault("starting the errand", err)
	}
	m, err := r.member(ctx, o.User)
	if err != nil {
		return ErrandReport{}, err
	}
	if o.DryRun {
		return r.rehearse(ctx, m, o), nil
	}
	holder, err := r.leases.take(ctx, o.User)
	if err != nil {
		return ErrandReport{}, stateFault("taking the lease", err)
	}
	if holder != "" {
		rep := ErrandReport{Session: r.newCycle(e, m).session}
		r.refuse(&rep.Session, &Fault{Code: CodeLocked, Doing: "another run holds the lease: " + holder})
		return rep, nil
	}
	defer func() {
		// A lease that could not be given up runs out by itself.
		_ = r.leases.drop(context.WithoutCancel(ctx), o.User)
	}()
	defer r.leases.start(ctx)()
	if m, err = r.member(ctx, o.User); err != nil { // he may have changed before the lease was ours
		return ErrandReport{}, err
	}
	return r.errand(ctx, m, o)
}

func (r *runner) member(ctx context.Context, user int64) (Member, error) {
	members, err := r.e.State.Users(ctx, []int64{user})
	if err != nil {
		return Member{}, stateFault("reading the user", err)
	}
	if len(members) == 0 {
		return Member{}, &Fault{Code: CodeState, Doing: "there is no user number " + strconv.FormatInt(user, 10)}
	}
	return members[0], nil
}

// rehearse plans an errand and writes nothing.
func (r *runner) rehearse(ctx context.Context, m Member, o ErrandOptions) ErrandReport {
	reading := New(r.e.Config)
	reading.State = readOnly{r.e.State}
	c := r.newCycle(reading, m)
	err := c.setOut(ctx, false)
	var rep ErrandReport
	if err == nil {
		rep.Plan, err = c.planErrand(ctx, o)
	}
	rep.Session = c.endErrand(err, nil)
	return rep
}

// errand runs an errand under the user's lease.
func (r *runner) errand(ctx context.Context, m Member, o ErrandOptions) (ErrandReport, error) {
	c := r.newCycle(r.e, m)
	c.results, c.lease = &results{}, r.leases.lease(m.User.ID)
	work, cancel := r.leases.watch(context.WithoutCancel(ctx), m.User.ID)
	defer cancel()
	id, err := r.e.State.OpenSession(work, c.lease, c.session)
	if err != nil {
		return ErrandReport{}, stateFault("opening the session", err)
	}
	c.session.ID = id
	r.e.Reporter.CycleStarted(m.User.Email)
	rep, err := c.runErrand(work, ctx, o)
	if isLeaseLost(context.Cause(work)) && err != nil {
		err = &Fault{Code: CodeLeaseLost, Doing: "the errand was stopped", Err: ErrLeaseLost}
	}
	rep.Session = c.endErrand(err, rep.Done)
	end := Outcome{Session: rep.Session, Errand: true}
	if err := r.e.State.CloseSession(context.WithoutCancel(ctx), c.lease, end); err != nil && rep.Session.Result != ResultFailed {
		rep.Session.Result, rep.Session.Code, rep.Session.Message = ResultFailed, CodeState, "closing the session: "+err.Error()
	}
	r.e.Reporter.CycleEnded(m.User.Email, rep.Session)
	return rep, nil
}

// runErrand is an errand from recovery to its last settlement. When the run is
// interrupted, reading stops at once and writing after its batch.
func (c *cycle) runErrand(ctx, run context.Context, o ErrandOptions) (rep ErrandReport, err error) {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(run, cancel)()
	defer func() {
		if err != nil && run.Err() != nil {
			err = &Fault{Code: CodeInterrupted, Doing: "the run was interrupted", Err: err}
		}
	}()
	if err = c.setOut(reading, true); err != nil {
		return rep, err
	}
	if rep.Plan, err = c.planErrand(reading, o); err != nil {
		return rep, err
	}
	err = c.carryOut(ctx, run.Done(), rep.Plan)
	if err == nil && o.Then != nil {
		err = c.carryOn(ctx, reading, run.Done(), o)
	}
	rep.Done = c.results.list
	if o.Finish != nil {
		if ferr := c.settle(ctx, o.Finish(rep)); err == nil {
			err = ferr
		}
	}
	return rep, err
}

// carryOn plans what follows on the first plan, and carries it out.
func (c *cycle) carryOn(ctx, reading context.Context, quit <-chan struct{}, o ErrandOptions) error {
	plan, err := o.Then(reading, &View{c}, c.results.list)
	if err != nil {
		return err
	}
	if plan, err = c.guardErrand(reading, plan, o); err != nil {
		return err
	}
	return c.carryOut(ctx, quit, plan)
}

// setOut opens both sides and, unless the errand is only rehearsed, finds out what
// became of the writes that an earlier process left open.
func (c *cycle) setOut(ctx context.Context, recover bool) error {
	switch {
	case !c.m.Org.Enabled:
		eff := roster.EffectiveOf(c.m.User, c.m.Org)
		return &Fault{Code: CodeIneffective, Doing: eff.State + ": " + eff.Fix}
	case c.m.User.Mailbox != roster.Initialized:
		return &Fault{Code: CodeIneffective, Doing: "the mailbox is not initialized: crmsync mailbox init " + c.m.User.Email}
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	switch {
	case c.newRules:
		return &Fault{Code: CodeIneffective, Doing: "the rules have changed since the last cycle: first crmsync sync run " + c.m.User.Email}
	case c.replica.Off != "":
		return &Fault{Code: CodeContainer, Doing: string(c.entity) + " are switched off: " + c.replica.Off}
	case !c.isPrepared():
		return &Fault{Code: CodeIneffective, Doing: "the user's mailbox was not synchronized yet: crmsync sync run " + c.m.User.Email}
	case recover:
		return c.recover(ctx)
	}
	return nil
}

// planErrand makes an errand's plan and guards it.
func (c *cycle) planErrand(ctx context.Context, o ErrandOptions) (reconcile.Plan, error) {
	plan, err := o.Plan(ctx, &View{c})
	if err != nil {
		return plan, err
	}
	return c.guardErrand(ctx, plan, o)
}

// guardErrand refuses a plan that deletes too much, unless just so many deletes were
// expected. It counts the first plan's deletes and those of what follows each by itself.
func (c *cycle) guardErrand(ctx context.Context, plan reconcile.Plan, o ErrandOptions) (reconcile.Plan, error) {
	deletes := 0
	for _, op := range plan.Ops {
		if op.Kind == reconcile.Delete {
			deletes++
		}
	}
	if deletes == 0 || deletes == o.ExpectDeletes {
		return plan, nil
	}
	linked, err := c.e.State.CountLinks(ctx, c.m.User.ID, c.entity)
	if err != nil {
		return plan, stateFault("counting the links", err)
	}
	if plan = reconcile.Guard(plan, reconcile.Guarded{Links: linked, Limits: c.policy.Guard}); len(plan.Held) > 0 {
		c.session.Held = len(plan.Held)
		return plan, &Fault{Code: CodeGuarded, Doing: fmt.Sprintf("it would delete %d records, more than the guard lets through; nothing was deleted", deletes)}
	}
	return plan, nil
}

// carryOut stores and sends what a plan says, once.
func (c *cycle) carryOut(ctx context.Context, quit <-chan struct{}, plan reconcile.Plan) error {
	c.again, c.joint = map[string]reconcile.Operation{}, map[string]reconcile.Operation{}
	c.count(plan)
	if err := c.applyState(ctx, plan, reconcile.Input{}); err != nil {
		return err
	}
	for _, o := range plan.Ops {
		if !o.Writes() {
			c.results.add(OpResult{Op: o})
		}
	}
	if err := c.applyWrites(ctx, quit, plan); err != nil {
		return err
	}
	return errors.Join(c.stop[record.CRM], c.stop[record.Mailbox])
}

// endErrand turns the end of an errand into its session.
func (c *cycle) endErrand(err error, done []OpResult) Session {
	c.closeSession(err)
	refused := 0
	for _, d := range done {
		if d.Code != "" {
			refused++
		}
	}
	if s := &c.session; err == nil && refused > 0 {
		s.Message = fmt.Sprintf("%d of %d refused", refused, len(done))
		if refused == len(done) {
			s.Result = ResultRefused
		}
	}
	return c.session
}

// results collects what becomes of an errand's operations. It is used under the cycle's
// lock, or while nothing is being written.
type results struct{ list []OpResult }

func (r *results) add(o OpResult) { r.list = append(r.list, o) }

// resultOf puts the answer to a write into words.
func resultOf(o reconcile.Operation, id string, err error) OpResult {
	res := OpResult{Op: o, ID: id}
	f := faultOf(err)
	switch {
	case err == nil:
	case f != nil:
		res.Code, res.Message = f.Code, f.Doing
	case remote.Is(err, remote.ClassConflict):
		res.Code, res.Message = CodeChanged, "it changed while it was to be written"
	case remote.Is(err, remote.ClassGone):
		res.Code, res.Message = CodeChanged, "it does not exist any more"
	case remote.IsUnclear(err):
		res.Code, res.Message = CodeUnsettled, "the outcome is unknown until the next cycle: "+err.Error()
	default:
		res.Code, res.Message = codeOfClass[remote.ClassOf(err)], err.Error()
	}
	return res
}

// View is what an errand's plan is made from. It reads and writes nothing.
type View struct{ c *cycle }

// Member returns the user whose errand it is.
func (v *View) Member() Member { return v.c.m }

// Policy returns how the entity travels; CreateInCRM in it binds cycles, not errands.
func (v *View) Policy() reconcile.Policy { return v.c.policy }

// Hasher returns the hasher of the bases.
func (v *View) Hasher() record.Hasher { return v.c.hasher }

// Links returns the links of items of both sides, each once, in the order of their CRM
// ids; items that have none are left out.
func (v *View) Links(ctx context.Context, crmIDs, mailboxIDs []string) ([]reconcile.Link, error) {
	links, err := v.c.linksByID(ctx, crmIDs, mailboxIDs)
	v.remember(links)
	return links, err
}

// AllLinks returns all links in the order of their CRM ids, those that ended included.
func (v *View) AllLinks(ctx context.Context) ([]reconcile.Link, error) {
	links, err := v.c.e.State.Links(ctx, v.c.m.User.ID, v.c.entity)
	v.remember(links)
	return links, stateFault("reading the links", err)
}

func (v *View) remember(links []reconcile.Link) {
	for _, l := range links {
		v.c.links[l.CRM.ID] = l
	}
}

// Items reads items of a side now, with their stamps, and returns what is proven of each
// by its id. One that its server does not hand out is left out.
func (v *View) Items(ctx context.Context, side record.Side, ids []string) (map[string]reconcile.Change, error) {
	out := make(map[string]reconcile.Change, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	for n, got := range v.c.side(side).Get(ctx, ids) {
		if remote.Is(got.Err, remote.ClassItem) {
			continue
		}
		ch, err := v.c.proven(side, ids[n], got)
		if err != nil {
			return nil, err
		}
		out[ids[n]] = ch
		v.see(side, ch)
	}
	return out, nil
}

func (v *View) see(side record.Side, ch reconcile.Change) {
	if v.c.seen == nil {
		v.c.seen = map[record.Side]map[string]reconcile.Change{record.CRM: {}, record.Mailbox: {}}
	}
	if ch.Kind == reconcile.Present {
		v.c.seen[side][ch.ID] = ch
	}
}

// All reads all of the user's items of a side, with their stamps.
func (v *View) All(ctx context.Context, side record.Side) ([]reconcile.Change, error) {
	q := remote.Query{Stamps: true}
	if side == record.CRM {
		q.Owners = []string{v.c.m.User.CRMUser}
	}
	feed, err := v.c.side(side).Changes(ctx, q)
	if err != nil {
		return nil, remoteFault(side, "reading the "+sideName(side), err)
	}
	out := make([]reconcile.Change, 0, len(feed.Changes))
	for _, ch := range feed.Changes {
		if ch.Kind == remote.Present {
			out = append(out, v.c.change(side, ch.Item))
			v.see(side, out[len(out)-1])
		}
	}
	return out, nil
}
