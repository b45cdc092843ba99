package memory

import (
	"context"
	"slices"
	"strconv"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// collection is a handle on a container.
type collection struct {
	s *space
	// find returns the container; nil if there is none of that id.
	find func() *container
	// allowed says why the caller may not reach the container; nil if he may. The
	// space is locked.
	allowed func() error
	// caps is filled in when the handle is made.
	caps     remote.Capabilities
	requests *int
	parent   *int
}

func (c *collection) Capabilities() remote.Capabilities { return c.caps }

func (c *collection) Requests() int {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return *c.requests
}

// request counts a round trip. The space is locked.
func (c *collection) request(ctx context.Context) error {
	if err := c.s.request(ctx, c.requests, c.parent); err != nil {
		return err
	}
	return c.allowed()
}

func (c *collection) Changes(ctx context.Context, q remote.Query) (remote.Feed, error) {
	feed := remote.Feed{Complete: true, Cursor: c.s.rewind(q.Cursor)}
	for n, done := 1, false; !done; n++ {
		var page []remote.Change
		var err error
		if c.s.opts.OnPage != nil {
			if err := c.s.opts.OnPage(n); err != nil {
				return remote.Feed{}, err
			}
		}
		page, feed.Cursor, done, err = c.page(ctx, feed.Cursor, q, n == 1)
		if err != nil {
			return remote.Feed{}, err
		}
		feed.Changes = append(feed.Changes, page...)
		if q.Progress != nil {
			q.Progress(len(feed.Changes))
		}
	}
	if c.s.side == record.CRM && c.s.opts.NoTombstones {
		feed.Changes = append(feed.Changes, c.missing(q.Known)...)
	}
	return feed, nil
}

// page reads one page. The space is free between two: people go on working.
func (c *collection) page(ctx context.Context, cursor string, q remote.Query, first bool) ([]remote.Change, string, bool, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.request(ctx); err != nil {
		return nil, "", false, err
	}
	if first {
		c.s.reads++
	}
	return c.s.page(c.find(), cursor, q)
}

// rewind moves a cursor back by the changes that are to be repeated.
func (s *space) rewind(text string) string {
	at, ok := parseCursor(text)
	if !ok || at.scan || s.opts.Repeat == 0 {
		return text
	}
	at.place = max(0, at.place-s.opts.Repeat)
	return at.String()
}

// missing reports the known ids that are not in the collection.
func (c *collection) missing(known []string) []remote.Change {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var out []remote.Change
	for _, id := range known {
		if it := c.s.items[id]; it == nil || it.deleted || it.hidden {
			out = append(out, remote.Change{Kind: remote.Removed, Item: remote.Item{ID: id}})
		}
	}
	return out
}

func (c *collection) Get(ctx context.Context, ids []string) []remote.ItemResult {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	out := make([]remote.ItemResult, 0, len(ids))
	for chunk := range slices.Chunk(ids, c.s.opts.BatchSize) {
		err := c.request(ctx)
		for _, id := range chunk {
			if err != nil {
				out = append(out, remote.ItemResult{Err: err})
				continue
			}
			out = append(out, c.get(id))
		}
	}
	return out
}

func (c *collection) get(id string) remote.ItemResult {
	it := c.s.items[id]
	switch {
	case it == nil || it.deleted:
		return remote.ItemResult{Err: fault(remote.ClassGone, "gone", "the item does not exist any more")}
	case it.hidden:
		return remote.ItemResult{Item: remote.Item{ID: id}, Elsewhere: true}
	}
	if at := c.find(); at != nil && it.in.mailbox != at.mailbox {
		return remote.ItemResult{Err: fault(remote.ClassGone, "gone", "this mailbox has no such item")}
	}
	return remote.ItemResult{Item: c.s.view(it, true), Elsewhere: it.in != c.find()}
}

func (c *collection) FindStamped(ctx context.Context, stamps []record.Stamp) ([]remote.Item, error) {
	if len(stamps) == 0 || c.s.opts.NoStamps {
		return nil, nil
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.reads++
	for range slices.Chunk(stamps, c.s.opts.BatchSize) {
		if err := c.request(ctx); err != nil {
			return nil, err
		}
	}
	in := c.find()
	if in == nil || in.gone {
		return nil, fault(remote.ClassContainerGone, "container-gone", "the container does not exist any more")
	}
	var out []remote.Item
	for _, id := range in.sorted() {
		it := in.items[id]
		if it.stamp != nil && !it.hidden && !c.s.late(it.stamped) && slices.Contains(stamps, *it.stamp) {
			out = append(out, c.s.view(it, true))
		}
	}
	return out, nil
}

func (c *collection) Apply(ctx context.Context, writes []remote.Write) []remote.WriteResult {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	out := make([]remote.WriteResult, 0, len(writes))
	var stop error
	for chunk := range slices.Chunk(writes, c.s.opts.BatchSize) {
		if stop == nil {
			stop = c.request(ctx)
		}
		for _, w := range chunk {
			if stop != nil {
				out = append(out, remote.WriteResult{ID: w.ID, Err: stop})
				continue
			}
			out = append(out, c.apply(w))
		}
	}
	return out
}

func (c *collection) apply(w remote.Write) remote.WriteResult {
	refuse := func(class remote.Class, code, message string) remote.WriteResult {
		return remote.WriteResult{ID: w.ID, Err: fault(class, code, message)}
	}
	in := c.find()
	switch {
	case c.s.opts.ReadOnly:
		return refuse(remote.ClassSetup, "read-only", "the collection is read-only")
	case in == nil || in.gone:
		return refuse(remote.ClassContainerGone, "container-gone", "the container does not exist any more")
	case w.Kind == remote.Create:
		return c.create(in, w)
	}
	it := c.s.items[w.ID]
	switch {
	case it == nil || it.deleted:
		return refuse(remote.ClassGone, "gone", "the item does not exist any more")
	case it.hidden || it.in != in:
		return refuse(remote.ClassItem, "elsewhere", "the item is not in the collection")
	case w.Version != "" && w.Version != it.version && !c.s.opts.NoConditions:
		return refuse(remote.ClassConflict, "conflict", "the item has changed since it was read")
	case w.Kind == remote.Delete:
		c.s.remove(it)
		return remote.WriteResult{ID: it.id}
	case w.Kind != remote.Update:
		return refuse(remote.ClassItem, "kind", "there is no write of kind "+strconv.Quote(string(w.Kind)))
	}
	if err := c.s.check(w, it); err != nil {
		return remote.WriteResult{ID: w.ID, Err: err}
	}
	return c.written(it, w)
}

func (c *collection) create(in *container, w remote.Write) remote.WriteResult {
	if err := c.s.check(w, nil); err != nil {
		return remote.WriteResult{Err: err}
	}
	if c.s.opts.Duplicate != nil {
		var like []string
		for _, id := range in.sorted() {
			if c.s.opts.Duplicate(in.items[id].fields, w.Set) {
				like = append(like, id)
			}
		}
		if len(like) > 0 {
			return remote.WriteResult{Duplicates: like, Err: fault(remote.ClassDuplicate, "DUPLICATES_DETECTED", "the system holds a record that it takes for the same")}
		}
	}
	it := c.s.add(in, nil)
	it.owner = w.Owner
	return c.written(it, w)
}

// written carries a write out and answers it.
func (c *collection) written(it *item, w remote.Write) remote.WriteResult {
	c.s.set(it, w.Set)
	if w.Stamp != (record.Stamp{}) && !c.s.opts.NoStamps {
		stamp := w.Stamp
		it.stamp, it.stamped = &stamp, c.s.reads
	}
	it.imported = false
	c.s.touch(it)
	if c.s.opts.Terse {
		return remote.WriteResult{ID: it.id}
	}
	return remote.WriteResult{ID: it.id, Version: it.version, Fields: cloneFields(it.fields)}
}
