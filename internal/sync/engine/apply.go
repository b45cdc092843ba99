package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

const (
	// stateBatch is how many operations on the state alone share a transaction.
	stateBatch = 500
	// maxRounds is how often a record that changes under our hands is decided again in
	// one cycle.
	maxRounds = 3
)

// apply carries a plan out. What changed between the read and the write is read and
// decided again, a few times.
func (c *cycle) apply(ctx context.Context, quit <-chan struct{}, plan reconcile.Plan, in reconcile.Input) error {
	for round := 0; ; round++ {
		c.again, c.joint = map[string]reconcile.Operation{}, map[string]reconcile.Operation{}
		c.see(plan, in)
		c.count(plan)
		if err := c.applyState(ctx, plan, in); err != nil {
			return err
		}
		if err := c.applyWrites(ctx, quit, plan); err != nil {
			return err
		}
		if len(c.again) == 0 || c.stopped(record.CRM) || c.stopped(record.Mailbox) {
			return nil
		}
		if round == maxRounds {
			return c.giveUp(ctx, "the record changed again and again while it was being synchronized")
		}
		if c.kept != nil {
			return c.giveUp(ctx, "the record changed while the plan was carried out: left for the next cycle")
		}
		var err error
		if in, err = c.readAgain(ctx, in); err != nil {
			return err
		}
		if plan, err = c.decide(ctx, &in); err != nil {
			return err
		}
	}
}

// readAgain reads both sides of the records whose writes were refused because they had
// changed.
func (c *cycle) readAgain(ctx context.Context, before reconcile.Input) (reconcile.Input, error) {
	ids := map[record.Side][]string{}
	have := map[record.Side]map[string]bool{record.CRM: {}, record.Mailbox: {}}
	want := func(side record.Side, id string) {
		if id != "" && !have[side][id] {
			have[side][id] = true
			ids[side] = append(ids[side], id)
		}
	}
	for _, o := range c.again {
		want(record.CRM, o.CRMID)
		want(record.Mailbox, o.MailboxID)
	}
	in := reconcile.Input{
		Policy: before.Policy, Hasher: before.Hasher, Install: before.Install, First: before.First,
		Discarded: before.Discarded, LeftOut: before.LeftOut,
	}
	var err error
	if in.Links, err = c.linksByID(ctx, ids[record.CRM], ids[record.Mailbox]); err != nil {
		return in, err
	}
	// An item that is to be created again has a link with the one that has gone.
	for _, l := range in.Links {
		want(record.CRM, l.CRM.ID)
		want(record.Mailbox, l.Mailbox.ID)
	}
	if in.CRM, err = c.lookUp(ctx, record.CRM, ids[record.CRM]); err != nil {
		return in, err
	}
	if in.Mailbox, err = c.lookUp(ctx, record.Mailbox, ids[record.Mailbox]); err != nil {
		return in, err
	}
	c.log.add("%d records changed while they were being written: read again", len(c.again))
	return in, nil
}

// giveUp raises an issue for each record that would not hold still.
func (c *cycle) giveUp(ctx context.Context, cause string) error {
	var issues []Issue
	for _, o := range c.again {
		c.holds.failed(o)
		issues = append(issues, c.issue(o, CodeRestless, cause))
	}
	return c.settle(ctx, Settlement{Issues: issues})
}

// applyState stores what a plan says about the state alone: links, conflicts and
// findings. The losers of conflicts are safe before the winners are written.
func (c *cycle) applyState(ctx context.Context, plan reconcile.Plan, in reconcile.Input) error {
	var links []reconcile.Link
	decided := map[string]bool{}
	for _, o := range plan.Ops {
		decided[o.CRMID] = true
		if o.Kind == reconcile.End {
			c.ended++
			if o.Link.State == reconcile.Unlinked {
				c.parted++
			}
			o.Link.Since = c.e.Now()
		}
		if !o.Writes() {
			c.links[o.Link.CRM.ID] = o.Link
			links = append(links, o.Link)
		}
	}
	links = append(links, c.newVersions(in, decided)...)
	first := Settlement{
		Held: c.holds.hold(plan.Held), Decided: c.heldAnew(in), Conflicts: plan.Conflicts,
		Issues: append(c.findings(plan), c.unread...),
	}
	c.unread = nil
	for len(links) > 0 || len(first.Held) > 0 || first.Decided != nil || first.Conflicts != nil || first.Issues != nil {
		n := min(len(links), stateBatch)
		first.Links, links = links[:n], links[n:]
		if err := c.settle(ctx, first); err != nil {
			return err
		}
		first = Settlement{}
	}
	return nil
}

// heldAnew returns the CRM ids of the records among the input that had a conflict on hold.
func (c *cycle) heldAnew(in reconcile.Input) []string {
	var ids []string
	present := idSet(in.CRM)
	for _, i := range c.issues {
		if i.Code == CodeOnHold && c.touched[i.IssueKey] && present[i.CRMID] {
			ids = append(ids, i.CRMID)
		}
	}
	return ids
}

// newVersions returns the links of items that are as they were, but for their version:
// the echoes of our own writes.
func (c *cycle) newVersions(in reconcile.Input, decided map[string]bool) []reconcile.Link {
	version := map[record.Side]map[string]string{record.CRM: {}, record.Mailbox: {}}
	for _, ch := range in.CRM {
		if ch.Kind == reconcile.Present {
			version[record.CRM][ch.ID] = ch.Version
		}
	}
	for _, ch := range in.Mailbox {
		if ch.Kind == reconcile.Present {
			version[record.Mailbox][ch.ID] = ch.Version
		}
	}
	var out []reconcile.Link
	for _, l := range in.Links {
		if l.State != reconcile.Linked || decided[l.CRM.ID] {
			continue
		}
		moved := false
		for _, s := range sides {
			h := l.Half(s)
			if v, ok := version[s][h.ID]; ok && v != h.Version {
				h.Version, moved = v, true
			}
		}
		if moved {
			c.links[l.CRM.ID] = l
			out = append(out, l)
		}
	}
	return out
}

// findings turns what a plan could not do into issues.
func (c *cycle) findings(plan reconcile.Plan) []Issue {
	var out []Issue
	for _, f := range plan.Findings {
		i := Issue{
			IssueKey: IssueKey{Direction: DirectionTo(f.Side.Other())},
			Label:    f.Label, Code: codeOfFinding[f.Code], Cause: f.Reason, State: IssueInfo,
		}
		if f.Code == reconcile.NotAllowed && c.policy.CreateInCRM {
			i.State = IssueParked // leave is not what it waits for
		}
		if f.Code == reconcile.LateTwin && c.policy.Writes(f.Side) {
			i.State = IssueOpen // the second item goes once its edits are in the linked one
		}
		if f.Code == reconcile.LeftOut || f.Code == reconcile.OverLimit {
			i.Version = f.Version
		}
		if len(f.Candidates) > 0 {
			i.Cause += ": " + strings.Join(f.Candidates, ", ")
		}
		if f.Side == record.CRM {
			i.CRMID = f.ID
		} else {
			i.MailboxID = f.ID
		}
		out = append(out, c.raise(i))
	}
	return out
}

// issue returns an issue about an operation.
func (c *cycle) issue(o reconcile.Operation, code Code, cause string) Issue {
	return c.raise(Issue{
		IssueKey: IssueKey{Direction: DirectionTo(o.Side), CRMID: o.CRMID, MailboxID: o.MailboxID},
		Label:    o.Label, Code: code, Cause: cause, State: IssueOpen,
	})
}

// raise completes an issue with what is known of earlier attempts.
func (c *cycle) raise(i Issue) Issue {
	now := c.e.Now()
	i.User, i.Entity, i.FirstSeen, i.Session, i.Attempts = c.m.User.Email, c.entity, now, c.session.ID, 1
	if old, ok := c.known[i.IssueKey]; ok {
		i.Attempts, i.FirstSeen = old.Attempts+1, old.FirstSeen
	}
	if i.State == IssueOpen {
		next, parked := nextRetry(now, i.Attempts)
		i.NextRetry = next
		if parked {
			i.State = IssueParked
		}
	}
	c.mu.Lock()
	c.raised[i.IssueKey] = true
	c.session.Issues++
	c.mu.Unlock()
	return i
}

// count adds a plan to the session's counts. Writes count when they are applied.
func (c *cycle) count(p reconcile.Plan) {
	c.session.Conflicts += len(p.Conflicts)
	writes := 0
	for _, o := range p.Ops {
		if o.Kind == reconcile.LinkUp {
			c.session.Linked++
		}
		if o.Writes() {
			writes++
		}
	}
	c.e.Reporter.Applying(c.m.User.Email, writes)
}

// applyWrites sends the writes of both sides, side by side, a batch at a time. A run
// that is not parallel writes one side after the other, so that it can be repeated call
// for call.
func (c *cycle) applyWrites(ctx context.Context, quit <-chan struct{}, plan reconcile.Plan) error {
	ops := map[record.Side][]reconcile.Operation{}
	for _, o := range plan.Ops {
		if o.Writes() {
			ops[o.Side] = append(ops[o.Side], o)
		}
	}
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for n, side := range sides {
		write := func() { errs[n] = c.writeSide(ctx, quit, side, ops[side]) }
		if c.r.opts.Parallel > 1 {
			wg.Go(write)
		} else {
			write()
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// writeSide sends the writes of one side until they are done, the side says stop, or
// the run is interrupted.
func (c *cycle) writeSide(ctx context.Context, quit <-chan struct{}, side record.Side, ops []reconcile.Operation) error {
	defer func() {
		for _, o := range ops {
			c.tell(o, "", &Fault{Code: CodeNotStarted, Doing: "the session ended before its turn"})
		}
	}()
	size := max(c.side(side).Capabilities().BatchSize, 1)
	for len(ops) > 0 {
		select {
		case <-quit:
			c.stopSide(side, &Fault{Code: CodeInterrupted, Doing: "the run was interrupted"})
			return nil
		default:
		}
		n := min(len(ops), size)
		batch := ops[:n]
		ops = ops[n:]
		if err := c.writeBatch(ctx, side, batch); err != nil {
			return err
		}
		if c.stopped(side) {
			return nil
		}
		c.e.Reporter.Applied(c.m.User.Email, n)
	}
	return nil
}

func (c *cycle) stopSide(side record.Side, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop[side] == nil {
		c.stop[side] = err
	}
}

func (c *cycle) stopped(side record.Side) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop[side] != nil
}

// writeBatch looks at the items of one batch, intends, sends and settles it.
func (c *cycle) writeBatch(ctx context.Context, side record.Side, ops []reconcile.Operation) error {
	batch := c.look(ctx, side, ops)
	var intents []Intent
	var writes []remote.Write
	now := c.e.Now()
	for i := range batch {
		a := &batch[i]
		if a.res.Err != nil {
			continue
		}
		op, err := record.NewOpID(c.e.Random)
		if err != nil {
			return stateFault("drawing an operation id", err)
		}
		image := c.image(*a, op)
		a.sent, a.intent = true, Intent{
			Op: op, Side: side, Kind: a.op.Kind, CRMID: a.op.CRMID, MailboxID: a.op.MailboxID,
			Link: a.op.Link, MoveCRM: a.op.MoveCRM, MoveMailbox: a.op.MoveMailbox, Created: now,
			Session: c.session.ID, Image: &image, Undoes: a.op.Undoes,
		}
		intents, writes = append(intents, a.intent), append(writes, c.write(*a))
	}
	if len(writes) > 0 {
		if err := c.e.State.Intend(ctx, c.lease, c.entity, intents); err != nil {
			return stateFault("noting what is about to be written", err)
		}
		results := c.side(side).Apply(ctx, writes)
		for i := range batch {
			if batch[i].sent {
				batch[i].res, results = results[0], results[1:]
			}
		}
	}
	return c.settleBatch(ctx, side, batch)
}

// write returns what is sent for an operation.
func (c *cycle) write(a attempt) remote.Write {
	o := a.op
	table := c.side(o.Side).Capabilities().Mapping
	w := remote.Write{Kind: remote.WriteKind(o.Kind), Version: o.Version, Stamp: c.stamp(o, a.intent.Op)}
	if o.Kind != reconcile.Create {
		w.ID = targetOf(o)
	}
	if o.Kind != reconcile.Delete {
		w.Set, w.Whole = table.Write(o.Set), table.Write(a.whole())
	}
	if o.Kind == reconcile.Create && o.Side == record.CRM {
		w.Owner = c.m.User.CRMUser
	}
	return w
}

// stamp returns the stamp that an operation leaves in the item that it writes.
func (c *cycle) stamp(o reconcile.Operation, op record.OpID) record.Stamp {
	s := record.Stamp{Install: c.e.Install, Entity: c.entity, Op: op, Other: o.CRMID}
	if o.Side == record.CRM {
		s.Other = o.MailboxID
	}
	return s
}

// settleBatch stores what became of a batch. Both sides settle one at a time, because
// a record that is written on both has one link.
func (c *cycle) settleBatch(ctx context.Context, side record.Side, batch []attempt) error {
	var s Settlement
	var ended, failed []reconcile.Operation
	done := map[reconcile.OpKind]int{}
	links := map[string]bool{}
	down := c.down(side, batch)
	for _, a := range batch {
		o, res, op := a.op, a.res, a.intent.Op
		err := res.Err
		if o.Kind == reconcile.Delete && a.sent && remote.Is(err, remote.ClassGone) {
			err = nil // somebody else was faster
		}
		if a.sent && !remote.IsUnclear(err) {
			s.Settled = append(s.Settled, op)
		}
		switch {
		case err == nil:
			if res.ID == "" {
				res.ID = a.intent.target()
			}
			s.Written = append(s.Written, Written{Op: op, ID: res.ID, Left: c.left(a)})
			done[o.Kind]++
			c.tell(o, res.ID, nil)
			ended = append(ended, o)
			if o.Link.State == "" {
				continue // a second item of a late write: it has no link
			}
			c.mu.Lock()
			l := c.moved(o, op, res)
			if o.Joint != nil {
				if other, ok := c.joint[o.CRMID]; ok && other.Side != o.Side {
					l.Join(o, other)
				}
				c.joint[o.CRMID] = o
			}
			c.links[l.CRM.ID], links[l.CRM.ID] = l, true
			c.mu.Unlock()
		case c.results != nil:
			c.tell(o, res.ID, err)
		case down: // its side is stopped, so the cursors stay where they are
		case remote.Is(err, remote.ClassConflict), remote.Is(err, remote.ClassGone):
			c.mu.Lock()
			c.again[o.CRMID+"\x00"+o.MailboxID] = o
			c.mu.Unlock()
		case remote.IsUnclear(err):
			failed = append(failed, o)
			// The issue names the record, so the cursors may pass it: the next cycle
			// first finds out what became of the write, then decides the record anew.
			s.Issues = append(s.Issues, c.issue(o, CodeUnsettled, "the outcome is unknown until the next cycle: "+err.Error()))
		default:
			failed = append(failed, o)
			s.Issues = append(s.Issues, c.issue(o, codeOfClass[remote.ClassOf(err)], err.Error()))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally(side, done)
	s.Unheld = c.holds.ended(ended)
	c.holds.failed(failed...)
	for id := range links {
		s.Links = append(s.Links, c.links[id]) // the other side may have moved it meanwhile
	}
	slices.SortFunc(s.Links, func(a, b reconcile.Link) int { return strings.Compare(a.CRM.ID, b.CRM.ID) })
	return c.settle(ctx, s)
}

// tell notes what became of an errand's write.
func (c *cycle) tell(o reconcile.Operation, id string, err error) {
	if c.results == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results.add(resultOf(o, id, err))
}

// patience is after how many failed cycles a side on which every write of a batch fails
// is no longer taken to be down: the writes themselves may be what it cannot digest.
const patience = 2

// down tells whether the answers to a batch mean that a side takes no more writes in
// this cycle, and stops writing to it if so.
func (c *cycle) down(side record.Side, batch []attempt) bool {
	failed := 0
	for _, a := range batch {
		err := a.res.Err
		switch remote.ClassOf(err) {
		case remote.ClassPressure, remote.ClassAuthorization, remote.ClassConnection, remote.ClassSetup, remote.ClassContainerGone:
			c.stopSide(side, remoteFault(side, "writing to the "+sideName(side), err))
			return true
		case remote.ClassTransient:
			if err != nil {
				failed++
			}
		}
	}
	if failed < len(batch) || c.m.User.Failures >= patience {
		return false
	}
	c.stopSide(side, remoteFault(side, "writing to the "+sideName(side), batch[0].res.Err))
	return true
}

// tally adds applied writes to the session's counts.
func (c *cycle) tally(side record.Side, done map[reconcile.OpKind]int) {
	n := &c.session.Counts
	if side == record.CRM {
		n.CreatedCRM += done[reconcile.Create]
		n.UpdatedCRM += done[reconcile.Update]
		n.DeletedCRM += done[reconcile.Delete]
		return
	}
	n.CreatedMailbox += done[reconcile.Create]
	n.UpdatedMailbox += done[reconcile.Update]
	n.DeletedMailbox += done[reconcile.Delete]
}

// moved returns the link of an operation as it stands now that the write was applied.
// It starts from the newest link, because the other side may have been written in the
// same cycle.
func (c *cycle) moved(o reconcile.Operation, op record.OpID, res remote.WriteResult) reconcile.Link {
	l, ok := c.links[o.CRMID]
	was := l.State
	if !ok || o.Kind == reconcile.Create {
		l = o.Link
	}
	l.State, l.Since = o.Link.State, o.Link.Since
	if l.Since.IsZero() || was != l.State {
		l.Since = c.e.Now()
	}
	l = l.Moved(o)
	other, seen := l.Half(o.Side.Other()), o.Link
	if other.Op == seen.Half(o.Side.Other()).Op {
		other.Version = seen.Half(o.Side.Other()).Version
	}
	h := l.Half(o.Side)
	h.ID, h.Version, h.Op = res.ID, res.Version, op
	if o.Kind == reconcile.Delete {
		h.Version = o.Link.Half(o.Side).Version // no answer tells the version of what is gone
	}
	if res.Fields != nil {
		// The server may have kept something other than it was sent.
		now := c.hasher.Record(c.read1(o.Side, remote.Item{Fields: res.Fields}))
		move := o.MoveCRM
		if o.Side == record.Mailbox {
			move = o.MoveMailbox
		}
		for f := range move {
			h.Base[f] = now[f]
			if len(now[f]) == 0 {
				delete(h.Base, f)
			}
		}
	}
	return l
}
