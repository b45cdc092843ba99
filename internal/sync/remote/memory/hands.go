package memory

import (
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// hands are what people do to their own data. They panic for an id that never was:
// the test is wrong.
type hands struct{ space *space }

func (h hands) edit(id string, do func(*item)) {
	h.space.mu.Lock()
	defer h.space.mu.Unlock()
	it := h.space.items[id]
	if it == nil {
		panic(fmt.Sprintf("memory: there never was an item %q", id))
	}
	do(it)
}

// EditItem changes the given fields of an item; an empty value clears.
func (h hands) EditItem(id string, fields mapping.Fields) {
	h.edit(id, func(it *item) {
		h.space.set(it, fields)
		it.imported = false
		h.space.touch(it)
	})
}

// Touch gives an item a new version without changing it, as automation does.
func (h hands) Touch(id string) { h.edit(id, h.space.touch) }

// Untell makes the feed never tell what has happened to an item so far, as a server's
// does that loses a change.
func (h hands) Untell(id string) {
	h.edit(id, func(it *item) {
		for _, c := range h.space.containers {
			for i := range c.log {
				c.log[i].untold = c.log[i].untold || c.log[i].id == id
			}
		}
	})
}

// DeleteItem puts an item into the bin.
func (h hands) DeleteItem(id string) {
	h.edit(id, func(it *item) {
		if !it.deleted {
			h.space.remove(it)
		}
	})
}

// RestoreItem takes an item out of the bin, to where it was.
func (h hands) RestoreItem(id string) {
	h.edit(id, func(it *item) {
		if it.deleted && !it.in.gone {
			h.space.restore(it)
		}
	})
}

// CopyItem makes a copy of an item beside it, the stamp included, and returns the
// copy's id.
func (h hands) CopyItem(id string) string {
	var made string
	h.edit(id, func(it *item) {
		c := h.space.add(it.in, it.fields)
		c.owner = it.owner
		if it.stamp != nil {
			stamp := *it.stamp
			c.stamp = &stamp
		}
		h.space.touch(c)
		made = c.id
	})
	return made
}

// ExpireCursors makes every cursor given so far unreadable.
func (h hands) ExpireCursors() {
	h.space.mu.Lock()
	defer h.space.mu.Unlock()
	h.space.generation++
}

// Item returns an item that exists, wherever it is, with its stamp.
func (h hands) Item(id string) (remote.Item, bool) {
	h.space.mu.Lock()
	defer h.space.mu.Unlock()
	it := h.space.items[id]
	if it == nil || it.deleted {
		return remote.Item{}, false
	}
	return h.space.view(it, true), true
}

// TotalRequests returns how many requests were made to the system through all handles.
func (h hands) TotalRequests() int {
	h.space.mu.Lock()
	defer h.space.mu.Unlock()
	return h.space.requests
}

// in returns what is in a container, in the order of the ids.
func (h hands) in(c *container) []remote.Item {
	h.space.mu.Lock()
	defer h.space.mu.Unlock()
	if c == nil {
		return nil
	}
	ids := c.sorted()
	out := make([]remote.Item, 0, len(ids))
	for _, id := range ids {
		out = append(out, h.space.view(c.items[id], true))
	}
	return out
}
