package graph

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// collection is the contacts in one folder.
type collection struct {
	g      *Graph
	m      *mailbox
	h      *transport.Handle
	folder remote.Container
}

func (c *collection) Capabilities() remote.Capabilities {
	return remote.Capabilities{
		Mapping: c.g.cfg.Mapping, BatchSize: batchSize, ConditionalWrite: true, Stamps: true, SoftDelete: true,
		// Tombstones: no. An item that was moved away and back is reported as removed
		// and not again (https://github.com/microsoftgraph/microsoft-graph-docs/issues/21752).
	}
}

func (c *collection) Requests() int { return c.h.Requests() }

func (c *collection) contacts() string {
	return path("users", c.m.id, "contactFolders", c.folder.ID, "contacts")
}

// feed is the call that begins or goes on with the delta feed of a folder. The
// parameters of the first call live on in the links.
func (g *Graph) feed(mailbox, folder, cursor string) (call, error) {
	c := call{method: http.MethodGet, page: g.cfg.PageSize, scope: inContainer}
	if cursor == "" {
		c.path = path("users", mailbox, "contactFolders", folder, "contacts", "delta")
		c.query = query{"$select": strings.Join(selected(g.cfg.Mapping), ",")}
		return c, nil
	}
	c.link = cursor
	if _, err := g.relative(c); err != nil {
		return call{}, &remote.Error{Class: remote.ClassCursorLost, Message: "the cursor belongs to another service"}
	}
	return c, nil
}

// Changes reads the delta feed of the folder
// (https://learn.microsoft.com/graph/api/contact-delta). The feed cannot show the
// stamps: expanding a delta fails
// (https://github.com/microsoftgraph/microsoft-graph-docs/issues/2270).
func (c *collection) Changes(ctx context.Context, q remote.Query) (remote.Feed, error) {
	first, err := c.g.feed(c.m.id, c.folder.ID, q.Cursor)
	if err != nil {
		return remote.Feed{}, err
	}
	f := remote.Feed{Complete: true}
	names := c.g.cfg.Mapping.Native()
	var partial []int
	f.Cursor, err = pages(ctx, c.g, c.h, first, func(items []contact) error {
		partial = append(partial, changes(items, names, &f)...)
		if q.Progress != nil {
			q.Progress(len(f.Changes))
		}
		return nil
	})
	switch {
	case err != nil && q.Cursor == "" && remote.Is(err, remote.ClassCursorLost):
		// There is no cursor to lose: the feed broke off between two pages.
		e := detail(err)
		e.Class = remote.ClassTransient
		return remote.Feed{}, &e
	case err != nil:
		return remote.Feed{}, err
	case f.Cursor == "":
		return remote.Feed{}, malformed(false)
	}
	if q.Cursor != "" {
		if err := c.complete(ctx, &f, partial); err != nil {
			return remote.Feed{}, err
		}
	}
	if q.Stamps {
		if err := c.addStamps(ctx, &f); err != nil {
			return remote.Feed{}, err
		}
	}
	return f, nil
}

// changes appends a page to a feed and returns the places of the items of which the
// page does not tell everything.
func changes(items []contact, names []string, f *remote.Feed) (partial []int) {
	for i := range items {
		if items[i].ID == "" {
			continue
		}
		if items[i].Removed != nil {
			f.Changes = append(f.Changes, remote.Change{Kind: remote.Removed, Item: remote.Item{ID: items[i].ID}})
			continue
		}
		it, complete := items[i].item(names)
		if !complete {
			partial = append(partial, len(f.Changes))
		}
		f.Changes = append(f.Changes, remote.Change{Kind: remote.Present, Item: it})
	}
	return partial
}

// complete reads the items whose changes came without the rest. In a feed read from
// the start, what is not there is empty.
func (c *collection) complete(ctx context.Context, f *remote.Feed, partial []int) error {
	ids := make([]string, len(partial))
	for n, i := range partial {
		ids[n] = f.Changes[i].Item.ID
	}
	for n, r := range c.Get(ctx, ids) {
		ch := &f.Changes[partial[n]]
		switch {
		case remote.Is(r.Err, remote.ClassGone), r.Err == nil && r.Elsewhere:
			*ch = remote.Change{Kind: remote.Removed, Item: remote.Item{ID: ids[n]}}
		case r.Err != nil:
			return r.Err
		default:
			ch.Item = r.Item
		}
	}
	return nil
}

// addStamps lists the folder with its stamps. What came after the feed was read is
// read by its id.
func (c *collection) addStamps(ctx context.Context, f *remote.Feed) error {
	stamps := map[string]*record.Stamp{}
	list := call{
		method: http.MethodGet, path: c.contacts(), page: c.g.cfg.PageSize, scope: inContainer,
		query: query{"$select": "id", "$expand": expand(stampProperty), "$top": strconv.Itoa(c.g.cfg.PageSize)},
	}
	type stamped struct {
		ID         string     `json:"id"`
		Properties []property `json:"singleValueExtendedProperties"`
	}
	if _, err := pages(ctx, c.g, c.h, list, func(items []stamped) error {
		for _, it := range items {
			stamps[it.ID] = stampOf(it.Properties)
		}
		return nil
	}); err != nil {
		return err
	}
	var late []int
	for i := range f.Changes {
		ch := &f.Changes[i]
		if ch.Kind != remote.Present || ch.Item.HasStamp {
			continue
		}
		if s, ok := stamps[ch.Item.ID]; ok {
			ch.Item.Stamp, ch.Item.HasStamp = s, true
		} else {
			late = append(late, i)
		}
	}
	return c.complete(ctx, f, late)
}

// Get reads items wherever in the mailbox they are.
func (c *collection) Get(ctx context.Context, ids []string) []remote.ItemResult {
	out := make([]remote.ItemResult, len(ids))
	calls := make([]call, len(ids))
	for i, id := range ids {
		calls[i] = call{
			method: http.MethodGet, path: path("users", c.m.id, "contacts", id), scope: onItem,
			query: query{"$select": strings.Join(selected(c.g.cfg.Mapping), ","), "$expand": expand(stampProperty)},
		}
	}
	names := c.g.cfg.Mapping.Native()
	for i, r := range c.g.ask(ctx, c.h, calls) {
		var got contact
		if err := r.decode(&got, false); err != nil {
			out[i].Err = err
			continue
		}
		it, _ := got.item(names)
		it.Stamp, it.HasStamp = stampOf(got.Properties), true
		out[i] = remote.ItemResult{Item: it, Elsewhere: got.Folder != c.folder.ID}
		if out[i].Elsewhere && got.Folder == c.m.bin(ctx) {
			out[i] = remote.ItemResult{Err: &remote.Error{Class: remote.ClassGone, Code: "deleted-items", Message: "the item was deleted"}}
		}
	}
	return out
}

// FindStamped asks for each stamp by its value. The service compares without case
// and its answer does not show the property, so what it finds is read again.
func (c *collection) FindStamped(ctx context.Context, stamps []record.Stamp) ([]remote.Item, error) {
	calls := make([]call, len(stamps))
	for i, s := range stamps {
		calls[i] = call{
			method: http.MethodGet, path: c.contacts(), scope: inContainer, page: c.g.cfg.PageSize,
			query: query{
				"$select": "id",
				"$filter": "singleValueExtendedProperties/Any(ep: ep/id eq " + quote(stampProperty) + " and ep/value eq " + quote(s.String()) + ")",
			},
		}
	}
	var ids []string
	for i, r := range c.g.ask(ctx, c.h, calls) {
		p := page[contact]{}
		if err := r.decode(&p, false); err != nil {
			return nil, err
		}
		collect := func(items []contact) error {
			for _, it := range items {
				if it.ID != "" && !slices.Contains(ids, it.ID) {
					ids = append(ids, it.ID)
				}
			}
			return nil
		}
		_ = collect(p.Value)
		if p.Next != "" {
			next := call{method: http.MethodGet, link: p.Next, page: calls[i].page, scope: inContainer}
			if _, err := pages(ctx, c.g, c.h, next, collect); err != nil {
				return nil, err
			}
		}
	}
	var out []remote.Item
	for _, r := range c.Get(ctx, ids) {
		switch {
		case remote.Is(r.Err, remote.ClassGone), r.Err == nil && r.Elsewhere:
		case r.Err != nil:
			return nil, r.Err
		case r.Item.Stamp != nil && slices.Contains(stamps, *r.Item.Stamp):
			out = append(out, r.Item)
		}
	}
	return out, nil
}
