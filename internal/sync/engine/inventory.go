package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// reading returns a user's cycle that can look at everything and writes nothing.
func (e *Engine) reading(ctx context.Context, user int64) (*cycle, error) {
	r, err := e.runner(ctx, Options{Parallel: 1})
	if err != nil {
		return nil, err
	}
	found := selected(r.members, []int64{user})
	if len(found) == 0 {
		return nil, &Fault{Code: CodeUnresolvable, Doing: "the user is not in the state"}
	}
	reading := New(e.Config)
	reading.State = readOnly{e.State}
	c := r.newCycle(reading, found[0])
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	_, err = c.find(ctx)
	return c, err
}

// inventory is everything that both sides hold of a user's entity, in the order of the
// ids: his records in the CRM, and what lies in our folder in his mailbox.
type inventory struct {
	items map[record.Side][]remote.Item
}

// inventory reads both sides from the beginning.
func (c *cycle) inventory(ctx context.Context) (inventory, error) {
	inv := inventory{items: map[record.Side][]remote.Item{}}
	for _, side := range sides {
		items, err := c.everything(ctx, side)
		if err != nil {
			return inv, err
		}
		inv.items[side] = items
	}
	return inv, nil
}

// everything reads all of the user's items of a side, with their stamps, in the order of
// their ids. It moves no cursor.
func (c *cycle) everything(ctx context.Context, side record.Side) ([]remote.Item, error) {
	q := remote.Query{Stamps: true, Progress: func(n int) { c.e.Reporter.Reading(c.m.User.Email, side, n) }}
	if side == record.CRM {
		q.Owners = []string{c.m.User.CRMUser}
	}
	feed, err := c.side(side).Changes(ctx, q)
	if err != nil {
		return nil, remoteFault(side, "reading the "+sideName(side), err)
	}
	byID := make(map[string]remote.Change, len(feed.Changes)) // a feed may repeat an item
	for _, ch := range feed.Changes {
		byID[ch.Item.ID] = ch
	}
	items := make([]remote.Item, 0, len(byID))
	for _, ch := range byID {
		if ch.Kind == remote.Present && (side == record.Mailbox || ch.Item.Owner == c.m.User.CRMUser) {
			items = append(items, ch.Item)
		}
	}
	slices.SortFunc(items, func(a, b remote.Item) int { return strings.Compare(a.ID, b.ID) })
	return items, nil
}

// without returns the items of a side that have no link.
func (inv inventory) without(side record.Side, links []reconcile.Link) []remote.Item {
	linked := make(map[string]bool, len(links))
	for _, l := range links {
		linked[l.Half(side).ID] = true
	}
	var out []remote.Item
	for _, it := range inv.items[side] {
		if !linked[it.ID] {
			out = append(out, it)
		}
	}
	return out
}
