package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// DuplicateGroup are items of one side that are probably the same person.
type DuplicateGroup struct {
	// ID is made of the members' ids: it stays as long as they do.
	ID   string
	User string
	reconcile.Group
}

// Duplicates reads all of a user's items of the given sides and groups those that are
// probably the same person. Nothing is written.
func (e *Engine) Duplicates(ctx context.Context, user int64, of ...record.Side) ([]DuplicateGroup, error) {
	c, err := e.reading(ctx, user)
	if err != nil {
		return nil, err
	}
	var out []DuplicateGroup
	for _, side := range of {
		groups, err := c.duplicates(ctx, side)
		if err != nil {
			return nil, err
		}
		out = append(out, groups...)
	}
	return out, nil
}

// duplicates groups what one side holds.
func (c *cycle) duplicates(ctx context.Context, side record.Side) ([]DuplicateGroup, error) {
	items, err := c.everything(ctx, side)
	if err != nil {
		return nil, err
	}
	links, err := c.e.State.Links(ctx, c.m.User.ID, c.entity)
	if err != nil {
		return nil, stateFault("reading the links", err)
	}
	return c.grouped(side, items, links), nil
}

// grouped finds the duplicates among items of a side, of which links are known.
func (c *cycle) grouped(side record.Side, items []remote.Item, links []reconcile.Link) []DuplicateGroup {
	linked := make(map[string]*reconcile.Link, len(links))
	for n, l := range links {
		if id := l.Half(side).ID; id != "" && l.State != reconcile.Ended {
			linked[id] = &links[n]
		}
	}
	candidates := make([]reconcile.Candidate, len(items))
	for n, it := range items {
		candidates[n] = reconcile.Candidate{Change: c.entire(side, it), Created: it.Created, Link: linked[it.ID]}
	}
	var out []DuplicateGroup
	for _, g := range reconcile.Duplicates(c.alone(side), side, candidates) {
		out = append(out, DuplicateGroup{ID: groupID(g), User: c.m.User.Email, Group: g})
	}
	return out
}

// alone returns what reconcile needs to look at one side by itself: all fields that the
// side holds, whether the other can hold them or not.
func (c *cycle) alone(side record.Side) reconcile.Input {
	p := reconcile.Policy{Entity: c.entity}
	table := c.side(side).Capabilities().Mapping
	for _, spec := range record.Specs(c.entity) {
		if e, ok := table.Entry(spec.Field); ok {
			p.Fields = append(p.Fields, reconcile.FieldPolicy{Field: spec.Field, ToCRM: true, ToMailbox: true, FitCRM: e.Fit, FitMailbox: e.Fit})
		}
	}
	return reconcile.Input{Policy: p, Hasher: c.hasher, Install: c.e.Install}
}

// entire returns an item with all that its side holds, also what the other cannot.
func (c *cycle) entire(side record.Side, it remote.Item) reconcile.Change {
	ch := c.change(side, it)
	ch.Record = c.side(side).Capabilities().Mapping.Read(it.Fields)
	return ch
}

// groupID names a group by its members.
func groupID(g reconcile.Group) string {
	var ids []string
	for _, m := range g.Members {
		ids = append(ids, m.ID)
	}
	sum := sha256.Sum256([]byte(string(g.Side) + "\x00" + strings.Join(ids, "\x00")))
	return hex.EncodeToString(sum[:5])
}
