package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// decide makes the plan: reconciled, with everything read that it turned out to need,
// and guarded.
func (c *cycle) decide(ctx context.Context, in *reconcile.Input) (reconcile.Plan, error) {
	plan, err := c.reconcile(ctx, in)
	if err != nil {
		return plan, err
	}
	plan = c.withoutCRMWrites(plan, in.First)
	if !in.First {
		plan.Findings = slices.DeleteFunc(plan.Findings, c.waitsStill)
	}
	deletes := 0
	for _, o := range plan.Ops {
		if o.Kind == reconcile.Delete {
			deletes++
		}
	}
	if deletes == 0 {
		return plan, nil // counting the links would be work that grows with the records
	}
	linked, err := c.e.State.CountLinks(ctx, c.m.User.ID, c.entity)
	if err != nil {
		return plan, stateFault("counting the links", err)
	}
	plan = reconcile.Guard(plan, reconcile.Guarded{
		Links: linked, Limits: c.policy.Guard, Waiting: c.holds.waiting, Allowed: c.holds.decided(Allow),
		NewRules: c.newRules,
	})
	if !c.r.planning {
		if plan, err = c.r.guard.hold(ctx, c.entity, plan, c.holds.decided(Allow)); err != nil {
			return plan, err
		}
	}
	c.name(ctx, plan.Held)
	return plan, nil
}

// name gives held deletes the labels of their items where the feeds told nothing of
// them: the person who is to decide needs them.
func (c *cycle) name(ctx context.Context, held []reconcile.Held) {
	nameless := map[record.Side]map[string]*reconcile.Held{record.CRM: {}, record.Mailbox: {}}
	for i, o := range held {
		if id := o.DeleteKey().ID(o.Side); o.Label == "" {
			nameless[o.Side][id] = &held[i]
		}
	}
	for side, of := range nameless {
		ids := slices.Sorted(maps.Keys(of))
		if len(ids) == 0 {
			continue
		}
		for n, got := range c.side(side).Get(ctx, ids) {
			if got.Err == nil { // one that cannot be read has no name until it can
				of[ids[n]].Label = c.read1(side, got.Item).Label()
			}
		}
	}
}

// waitsStill tells whether a finding is of a record that a first sync left out and that
// waits for an edit as it did before. Its issue stays as it is: nothing has happened.
func (c *cycle) waitsStill(f reconcile.Finding) bool {
	if f.Code != reconcile.LeftOut && f.Code != reconcile.OverLimit {
		return false
	}
	c.raised[IssueKey{Direction: ToMailbox, CRMID: f.ID}] = true
	return true
}

// maxRereads bounds how often reconcile may ask for more; it needs one round.
const maxRereads = 3

// reconcile calls reconcile.Reconcile until it has seen all items that it needs.
func (c *cycle) reconcile(ctx context.Context, in *reconcile.Input) (reconcile.Plan, error) {
	for round := 0; ; round++ {
		if err := c.complete(ctx, in); err != nil {
			return reconcile.Plan{}, err
		}
		plan := reconcile.Reconcile(*in)
		if len(plan.Reread) == 0 {
			return plan, nil
		}
		if round == maxRereads {
			return plan, &Fault{Code: CodeRestless, Doing: fmt.Sprintf("%d items would have to be read again and again to be decided", len(plan.Reread))}
		}
		ids := map[record.Side][]string{}
		for _, r := range plan.Reread {
			ids[r.Side] = append(ids[r.Side], r.ID)
		}
		for _, s := range sides {
			changes, err := c.lookUp(ctx, s, ids[s])
			if err != nil {
				return plan, err
			}
			if s == record.CRM {
				in.CRM = replaced(in.CRM, changes)
			} else {
				in.Mailbox = replaced(in.Mailbox, changes)
			}
		}
	}
}

// replaced returns changes with newer ones in place of those for the same items.
func replaced(changes, newer []reconcile.Change) []reconcile.Change {
	fresh := map[string]bool{}
	for _, ch := range newer {
		fresh[ch.ID] = true
	}
	out := make([]reconcile.Change, 0, len(changes)+len(newer))
	for _, ch := range changes {
		if !fresh[ch.ID] {
			out = append(out, ch)
		}
	}
	return append(out, newer...)
}

// withoutCRMWrites takes what a first sync may not do out of a plan: nothing goes from
// the mailbox to the CRM before that was allowed. Each such record is named by a finding,
// and waits until then, in later cycles too: our own write to its other side comes back
// through the feed and is nobody's leave.
func (c *cycle) withoutCRMWrites(p reconcile.Plan, first bool) reconcile.Plan {
	if c.policy.CreateInCRM {
		return p
	}
	ops := p.Ops[:0:0]
	for _, o := range p.Ops {
		if o.Side != record.CRM || !first && !c.awaitsLeave(o) {
			ops = append(ops, o)
			continue
		}
		f := reconcile.Finding{
			Code: reconcile.NotAllowed, Side: record.Mailbox, ID: o.MailboxID, Label: o.Label,
			Reason: "a first sync writes nothing to the CRM until that is allowed: " + o.Reason,
		}
		if o.MailboxID == "" {
			f.Side, f.ID = record.CRM, o.CRMID
		}
		p.Findings = append(p.Findings, f)
	}
	p.Ops = ops
	return p
}

// awaitsLeave tells whether an update of the CRM is one that the first sync left out.
func (c *cycle) awaitsLeave(o reconcile.Operation) bool {
	i, ok := c.known[IssueKey{Direction: ToCRM, MailboxID: o.MailboxID}]
	return ok && o.Kind == reconcile.Update && i.Code == CodeNotAllowed
}
