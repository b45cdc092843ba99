package engine

import (
	"context"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Before an item is written, it is looked at for the last time, unless it was read in
// this cycle anyway: what it holds is kept as the image from which the write can be
// taken back, it completes what a side replaces as a whole, and an item that is not as
// the plan took it to be is not written at all. A delete always has its last look, since
// its image is of the whole item, not only of what travels. So has every write where
// the version alone does not tell that an item has changed.

// ImagesKept is for how long a write can be taken back.
const ImagesKept = 30 * 24 * time.Hour

// attempt is an operation on its way to its side.
type attempt struct {
	op     reconcile.Operation
	intent Intent
	// held is what the item holds before the write; nil for a create.
	held record.Record
	// sent says that the write was tried; res is what came of it, or why it was not.
	sent bool
	res  remote.WriteResult
}

// see remembers the items that a plan is about to write, as they were read for it.
func (c *cycle) see(plan reconcile.Plan, in reconcile.Input) {
	c.seen = map[record.Side]map[string]reconcile.Change{record.CRM: {}, record.Mailbox: {}}
	for _, o := range plan.Ops {
		if o.Writes() && o.Kind != reconcile.Create {
			c.seen[o.Side][targetOf(o)] = reconcile.Change{} // without an id until it is found
		}
	}
	for side, changes := range map[record.Side][]reconcile.Change{record.CRM: in.CRM, record.Mailbox: in.Mailbox} {
		for _, ch := range changes {
			if _, ok := c.seen[side][ch.ID]; ok && ch.Kind == reconcile.Present {
				c.seen[side][ch.ID] = ch
			}
		}
	}
}

// look returns the operations of a batch with what their items hold. What must not be
// written has the reason in its result.
func (c *cycle) look(ctx context.Context, side record.Side, ops []reconcile.Operation) []attempt {
	caps := c.side(side).Capabilities()
	certain := caps.ConditionalWrite && caps.VersionResolution == 0
	out := make([]attempt, len(ops))
	var ids []string
	var places []int
	for i, o := range ops {
		out[i].op = o
		seen := c.seen[side][targetOf(o)]
		switch {
		case o.Kind == reconcile.Create:
		case o.Kind == reconcile.Update && certain && seen.ID != "" && seen.Version == o.Version:
			out[i].held = seen.Record
		default:
			ids, places = append(ids, targetOf(o)), append(places, i)
		}
	}
	if len(ids) == 0 {
		return out
	}
	for n, got := range c.side(side).Get(ctx, ids) {
		c.examine(&out[places[n]], got)
	}
	return out
}

// examine compares an item with what the plan took it to be.
func (c *cycle) examine(a *attempt, got remote.ItemResult) {
	side, id := a.op.Side, targetOf(a.op)
	if got.Err != nil {
		a.res.Err = got.Err
		return
	}
	now, err := c.proven(side, id, got)
	if err != nil {
		a.res.Err = err
		return
	}
	var expected record.Hashes
	if seen := c.seen[side][id]; seen.ID != "" {
		expected = c.hasher.Record(seen.Record)
	} else {
		c.mu.Lock()
		l := c.links[a.op.CRMID]
		expected = l.Half(side).Base
		c.mu.Unlock()
	}
	if now.Kind != reconcile.Present || c.policy.Changed(c.hasher.Record(now.Record), expected) {
		a.res.Err = &remote.Error{Class: remote.ClassConflict, Code: "changed", Message: "the item has changed since it was read"}
		return
	}
	a.op.Version = now.Version
	a.held = c.side(side).Capabilities().Mapping.Read(got.Item.Fields)
}

// whole returns what the item will hold once it is written, as far as it is mapped.
func (a attempt) whole() record.Record {
	if a.op.Kind == reconcile.Create {
		return a.op.Set
	}
	whole := a.held.Clone()
	for f, v := range a.op.Set {
		whole[f] = v
	}
	return whole
}

// image returns what it takes to take the write back.
func (c *cycle) image(a attempt, op record.OpID) reconcile.Image {
	o := a.op
	i := reconcile.Image{
		Op: op, Time: c.e.Now(), Side: o.Side, Kind: o.Kind, CRMID: o.CRMID, MailboxID: o.MailboxID, Label: o.Label,
	}
	switch o.Kind {
	case reconcile.Delete:
		i.Before = a.held
	case reconcile.Update:
		i.Before = record.Record{}
		for f := range o.Set {
			if v := a.held[f]; len(v) > 0 {
				i.Before[f] = v
			}
		}
		fallthrough
	default:
		i.Left = c.leaves(o)
	}
	return i
}

// leaves returns what an operation is meant to leave in the fields that it writes.
func (c *cycle) leaves(o reconcile.Operation) record.Hashes {
	out := make(record.Hashes, len(o.Set))
	move := o.MoveCRM
	if o.Side == record.Mailbox {
		move = o.MoveMailbox
	}
	for f, v := range o.Set {
		h, ok := move[f]
		if !ok {
			h, ok = o.Joint[f]
		}
		if !ok {
			h = c.hasher.Value(f, v)
		}
		out[f] = h
	}
	return out
}

// left returns what a write left in its fields, where the server's answer tells.
func (c *cycle) left(a attempt) record.Hashes {
	if a.res.Fields == nil || a.op.Kind == reconcile.Delete {
		return nil
	}
	now := c.hasher.Record(c.read1(a.op.Side, remote.Item{Fields: a.res.Fields}))
	left, same := c.leaves(a.op), true
	for f, h := range left {
		same = same && slices.Equal(now[f], h)
		left[f] = now[f]
	}
	if same {
		return nil
	}
	return left
}

// targetOf returns the id of the item that an operation writes to.
func targetOf(o reconcile.Operation) string {
	if o.Side == record.CRM {
		return o.CRMID
	}
	return o.MailboxID
}
