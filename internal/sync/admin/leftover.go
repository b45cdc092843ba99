package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// contents is what of ours stands in a mailbox now.
type contents struct {
	artefacts []remote.Artefact
	// ours are the items that links name, wherever they are, and those that a cycle
	// created and did not live to link.
	ours map[record.Entity][]string
	// there is how many of ours are in their containers; a person may have deleted or
	// moved the rest.
	there int
}

// look reads what of ours is in a mailbox, of which links name the items known. It
// changes nothing.
func (a *Admin) look(ctx context.Context, u roster.User, box remote.Mailbox, known map[record.Entity][]string) (contents, error) {
	artefacts, err := box.Inspect(ctx, found())
	if err != nil {
		return contents{}, fmt.Errorf("looking into the mailbox: %w", err)
	}
	c := contents{artefacts: artefacts, ours: map[record.Entity][]string{}}
	for e, ids := range known {
		c.ours[e] = slices.Clone(ids)
	}
	for _, x := range artefacts {
		if x.Kind != remote.ContactFolder {
			continue
		}
		items, err := present(ctx, box.Collection(record.Contacts, remote.Container{ID: x.ID, Name: x.Name}))
		if err != nil {
			return contents{}, fmt.Errorf("listing folder %s: %w", x.Name, err)
		}
		late, err := a.unlinked(ctx, u, record.Contacts, items, known[record.Contacts])
		if err != nil {
			return contents{}, err
		}
		c.ours[record.Contacts] = append(c.ours[record.Contacts], late...)
		for _, id := range c.ours[record.Contacts] {
			if _, ok := items[id]; ok {
				c.there++
			}
		}
	}
	return c, nil
}

// present lists what is in a container, by id, with the stamps.
func present(ctx context.Context, in remote.Collection) (map[string]remote.Item, error) {
	feed, err := in.Changes(ctx, remote.Query{Stamps: in.Capabilities().Stamps})
	if err != nil {
		return nil, err
	}
	items := make(map[string]remote.Item, len(feed.Changes))
	for _, ch := range feed.Changes {
		if ch.Kind == remote.Present {
			items[ch.Item.ID] = ch.Item
		} else {
			delete(items, ch.Item.ID)
		}
	}
	return items, nil
}

// unlinked finds the items that our creates made and no link names, because a cycle
// was killed or the answer was lost. That an item bears a stamp of ours proves
// nothing: a person who copies one copies its stamp. The proof is the operation: one
// that was never settled, or was given up, and that no other item bears.
func (a *Admin) unlinked(ctx context.Context, u roster.User, e record.Entity, items map[string]remote.Item, known []string) ([]string, error) {
	bearers := map[record.OpID][]string{}
	for id, it := range items {
		if it.Stamp != nil && it.Stamp.Install == a.Install && it.Stamp.Entity == e {
			bearers[it.Stamp.Op] = append(bearers[it.Stamp.Op], id)
		}
	}
	linked := make(map[string]bool, len(known))
	for _, id := range known {
		linked[id] = true
	}
	var ops []record.OpID
	for op, ids := range bearers {
		if len(ids) == 1 && !linked[ids[0]] {
			ops = append(ops, op)
		}
	}
	if len(ops) == 0 {
		return nil, nil
	}
	intents, err := a.Store.Intents(ctx, u.ID, e)
	if err != nil {
		return nil, err
	}
	expired, err := a.Store.ExpiredOps(ctx, u.ID, e, ops)
	if err != nil {
		return nil, err
	}
	ours := map[record.OpID]bool{}
	for op := range expired {
		ours[op] = true
	}
	for _, i := range intents {
		if i.Side == record.Mailbox && i.Kind == reconcile.Create {
			ours[i.Op] = true
		}
	}
	var late []string
	for _, op := range ops {
		if ours[op] {
			late = append(late, bearers[op][0])
		}
	}
	slices.Sort(late)
	return late, nil
}

// stays tells what a removal would leave in the mailbox.
func (c contents) stays() []remote.Artefact {
	var left []remote.Artefact
	for _, x := range c.artefacts {
		if x.Kind == remote.ContactFolder && x.Count > c.there {
			left = append(left, remote.Artefact{
				Kind: x.Kind, Name: x.Name, ID: x.ID, Count: x.Count - c.there, Left: "it holds items that are not ours",
			})
		}
	}
	return left
}

// removal says in words what was removed and what is left, or would be.
func (c contents) removal(left []remote.Artefact, dry bool) string {
	gone := slices.DeleteFunc(slices.Clone(c.artefacts), func(x remote.Artefact) bool {
		return slices.ContainsFunc(left, func(l remote.Artefact) bool { return l.Kind == x.Kind && l.ID == x.ID })
	})
	words := append([]string{count(c.there, "copy", "copies")}, things(gone)...)
	message := either(dry, "would remove ", "removed ") + strings.Join(words, ", ")
	if len(left) > 0 {
		message += either(dry, "; would leave: ", "; left: ") + strings.Join(describe(left), ", ")
	}
	return message
}

// flat returns the ids of all entities.
func (c contents) flat() []string {
	var ids []string
	for _, e := range engine.Entities {
		ids = append(ids, c.ours[e]...)
	}
	return ids
}

// either picks the words of a dry run, or those of what was done.
func either(dry bool, would, did string) string {
	if dry {
		return would
	}
	return did
}
