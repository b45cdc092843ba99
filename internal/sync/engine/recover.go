package engine

import (
	"context"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// recover finds out what became of the writes that a cycle sent and never settled. An
// item that bears the operation's id was written by it: the link moves as it would
// have. Otherwise the operation is given up, its id is remembered in case the write
// still lands, and its record is decided anew, because the cursors never passed it.
func (c *cycle) recover(ctx context.Context) error {
	intents, err := c.e.State.Intents(ctx, c.m.User.ID, c.entity)
	if err != nil {
		return stateFault("reading the intents", err)
	}
	c.recovered = len(intents)
	if len(intents) == 0 {
		return nil
	}
	if err := c.load(ctx, intents); err != nil {
		return err
	}
	var s Settlement
	moved := map[string]reconcile.Link{}
	for _, side := range sides {
		mine := slices.DeleteFunc(slices.Clone(intents), func(i Intent) bool { return i.Side != side })
		if len(mine) == 0 {
			continue
		}
		landed, err := c.landed(ctx, side, mine)
		if err != nil {
			return remoteFault(side, "finding out what became of earlier writes to the "+sideName(side), err)
		}
		for n, i := range mine {
			if landed[n] == nil {
				s.Expired = append(s.Expired, i.Op)
				continue
			}
			s.Settled = append(s.Settled, i.Op)
			s.Written = append(s.Written, Written{Op: i.Op, ID: landed[n].ID})
			if i.Link.State == "" {
				continue // a second item of a late write: it has no link
			}
			if l := c.links[i.CRMID]; i.Kind != reconcile.Create && l.Half(i.Side).ID != i.target() {
				continue // the item has another link by now
			}
			// Both sides of one record may have been written: its link moves by both.
			l := c.moved(i.operation(), i.Op, *landed[n])
			c.links[l.CRM.ID], moved[l.CRM.ID] = l, l
		}
	}
	s.Links = sortedLinks(moved)
	c.log.add("recovered %d writes of an earlier cycle: %d had been applied", len(intents), len(s.Settled))
	return c.settle(ctx, s)
}

// load brings the links that intents are about into memory.
func (c *cycle) load(ctx context.Context, intents []Intent) error {
	var ids []string
	for _, i := range intents {
		if i.CRMID != "" {
			ids = append(ids, i.CRMID)
		}
	}
	links, err := c.e.State.LinksByID(ctx, c.m.User.ID, c.entity, record.CRM, ids)
	if err != nil {
		return stateFault("reading the links", err)
	}
	for _, l := range links {
		c.links[l.CRM.ID] = l
	}
	return nil
}

// operation returns the part of an operation that an intent remembers.
func (i Intent) operation() reconcile.Operation {
	return reconcile.Operation{
		Kind: i.Kind, Side: i.Side, CRMID: i.CRMID, MailboxID: i.MailboxID,
		Link: i.Link, MoveCRM: i.MoveCRM, MoveMailbox: i.MoveMailbox,
	}
}

// landed returns for each intent what its write made of the item, or nil if it was
// not applied.
func (c *cycle) landed(ctx context.Context, side record.Side, intents []Intent) ([]*remote.WriteResult, error) {
	out := make([]*remote.WriteResult, len(intents))
	var stamps []record.Stamp
	var ids []string
	for _, i := range intents {
		if i.Kind == reconcile.Create {
			stamps = append(stamps, c.stamp(i.operation(), i.Op))
		} else {
			ids = append(ids, i.target())
		}
	}
	created := map[record.OpID]remote.Item{}
	if len(stamps) > 0 {
		items, err := c.side(side).FindStamped(ctx, stamps)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			if it.Stamp != nil {
				created[it.Stamp.Op] = it
			}
		}
	}
	existing := map[string]remote.ItemResult{}
	if len(ids) > 0 {
		for n, got := range c.side(side).Get(ctx, ids) {
			if got.Err != nil && !remote.Is(got.Err, remote.ClassGone) {
				return nil, got.Err
			}
			existing[ids[n]] = got
		}
	}
	for n, i := range intents {
		switch i.Kind {
		case reconcile.Create:
			if it, ok := created[i.Op]; ok {
				out[n] = &remote.WriteResult{ID: it.ID, Version: it.Version}
			}
		case reconcile.Delete:
			if remote.Is(existing[i.target()].Err, remote.ClassGone) {
				out[n] = &remote.WriteResult{ID: i.target()}
			}
		default:
			got := existing[i.target()]
			if got.Err == nil && c.bears(side, got.Item, i) {
				out[n] = &remote.WriteResult{ID: i.target(), Version: got.Item.Version}
			}
		}
	}
	return out, nil
}

// bears tells whether an item was written by an intent's update. A side without
// stamps is judged by what the update would have made of the fields.
func (c *cycle) bears(side record.Side, it remote.Item, i Intent) bool {
	if c.side(side).Capabilities().Stamps {
		return it.Stamp != nil && it.Stamp.Op == i.Op
	}
	have := c.hasher.Record(c.read1(side, it))
	for f, want := range i.move(side) {
		if !slices.Equal(have[f], want) {
			return false
		}
	}
	return true
}

// Leaves returns what the write leaves in the item, as far as the intent knows: all
// fields of a created one, the changed fields of an updated one.
func (i Intent) Leaves() record.Hashes {
	if i.Kind == reconcile.Create {
		return i.Link.Half(i.Side).Base
	}
	return i.move(i.Side)
}

// target returns the id of the item that the intent writes to.
func (i Intent) target() string {
	if i.Side == record.CRM {
		return i.CRMID
	}
	return i.MailboxID
}

func (i Intent) move(s record.Side) record.Hashes {
	if s == record.CRM {
		return i.MoveCRM
	}
	return i.MoveMailbox
}

// read1 returns the canonical record of an item, without what the other side cannot
// hold.
func (c *cycle) read1(side record.Side, it remote.Item) record.Record {
	return project(c.policy, c.side(side).Capabilities().Mapping.Read(it.Fields))
}

func sideName(s record.Side) string {
	if s == record.CRM {
		return "CRM"
	}
	return "mailbox"
}
