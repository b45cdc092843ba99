package faulty

import (
	"context"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// collection decorates a collection. What makes no request is passed on.
type collection struct {
	remote.Collection
	p       *Plan
	side    record.Side
	mailbox string
}

func wrapCollection(c remote.Collection, p *Plan, side record.Side, mailbox string) remote.Collection {
	if c == nil {
		return nil
	}
	return &collection{Collection: c, p: p, side: side, mailbox: mailbox}
}

func (c *collection) as(method string, items int) Call {
	return Call{Side: c.side, Method: method, Mailbox: c.mailbox, Items: items}
}

func (c *collection) Changes(ctx context.Context, q remote.Query) (feed remote.Feed, err error) {
	_, fault := c.p.call(ctx, c.as("changes", 0), func(ctx context.Context) { feed, err = c.Collection.Changes(ctx, q) })
	if fault != nil {
		return remote.Feed{}, fault
	}
	return feed, err
}

func (c *collection) FindStamped(ctx context.Context, stamps []record.Stamp) (items []remote.Item, err error) {
	_, fault := c.p.call(ctx, c.as("find", len(stamps)), func(ctx context.Context) { items, err = c.Collection.FindStamped(ctx, stamps) })
	if fault != nil {
		return nil, fault
	}
	return items, err
}

func (c *collection) Get(ctx context.Context, ids []string) []remote.ItemResult {
	var out []remote.ItemResult
	f, fault := c.p.call(ctx, c.as("get", len(ids)), func(ctx context.Context) { out = c.Collection.Get(ctx, ids) })
	if fault != nil {
		out = make([]remote.ItemResult, len(ids))
		for i := range out {
			out[i].Err = fault
		}
		return out
	}
	if err := f.item(); err != nil && len(out) > 0 {
		out[f.Item%len(out)] = remote.ItemResult{Err: err}
	}
	return out
}

func (c *collection) Apply(ctx context.Context, writes []remote.Write) []remote.WriteResult {
	var out []remote.WriteResult
	sent := writes
	call := c.as("apply", len(writes))
	call.Writes = true
	refused := -1
	f, fault := c.p.callWith(ctx, call, func(f Fault) func(context.Context) {
		switch {
		case f.Kind == Partly:
			sent = writes[:min(f.Item, len(writes))]
		case f.item() != nil && len(writes) > 0:
			refused = f.Item % len(writes)
			sent = slices.Delete(slices.Clone(writes), refused, refused+1)
		}
		return func(ctx context.Context) {
			out = c.Collection.Apply(ctx, sent)
			for range f.repeats() {
				c.again(ctx, sent, out)
			}
		}
	})
	if fault != nil {
		failed := make([]remote.WriteResult, len(writes))
		for i, w := range writes {
			failed[i] = remote.WriteResult{ID: w.ID, Err: fault}
		}
		return failed
	}
	if refused >= 0 {
		out = slices.Insert(out, refused, remote.WriteResult{ID: writes[refused].ID, Err: f.item()})
	}
	if f.Kind == WrongVersion {
		for i := range out {
			if out[i].Version != "" {
				out[i].Version = "wrong-" + out[i].Version
			}
		}
	}
	return out
}

// item is what a fault does to one item; nil if it does not concern one.
func (f Fault) item() error {
	switch f.Kind {
	case OneItem:
		return &remote.Error{Class: remote.ClassItem, Status: 400, Code: string(f.Kind), Message: "the item was refused"}
	case Conflict:
		return &remote.Error{Class: remote.ClassConflict, Status: 412, Code: string(f.Kind), Message: "the item has changed since it was read"}
	}
	return nil
}

// repeats is how often a write is delivered besides the first time.
func (f Fault) repeats() int {
	return map[Kind]int{Twice: 1, Thrice: 2}[f.Kind]
}

// again delivers writes once more, but for creates, and puts the new answers in place.
func (c *collection) again(ctx context.Context, writes []remote.Write, out []remote.WriteResult) {
	var again []remote.Write
	var at []int
	for i, w := range writes {
		if w.Kind != remote.Create {
			again, at = append(again, w), append(at, i)
		}
	}
	for i, res := range c.Collection.Apply(ctx, again) {
		out[at[i]] = res
	}
}
