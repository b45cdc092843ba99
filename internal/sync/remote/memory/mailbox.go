package memory

import (
	"context"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// mailbox is a handle on one person's mailbox.
type mailbox struct {
	m        *Mail
	id       string
	requests *int
}

func (b *mailbox) Requests() int {
	b.m.space.mu.Lock()
	defer b.m.space.mu.Unlock()
	return *b.requests
}

// Calls is the same: the memory has no batches.
func (b *mailbox) Calls() int { return b.Requests() }

// begin locks the mail system and counts a round trip.
func (b *mailbox) begin(ctx context.Context) (unlock func(), err error) {
	b.m.space.mu.Lock()
	if err = b.m.space.request(ctx, b.requests); err == nil {
		err = b.m.reach(b.id)
	}
	return b.m.space.mu.Unlock, err
}

func (b *mailbox) Prepare(ctx context.Context, want remote.Customization) (remote.Prepared, error) {
	unlock, err := b.begin(ctx)
	defer unlock()
	if err != nil {
		return remote.Prepared{}, err
	}
	p := remote.Prepared{Containers: map[record.Entity]remote.Container{}, Created: map[record.Entity]bool{}}
	if slices.Contains(want.Entities, record.Contacts) {
		c := b.m.ours(b.id, want)
		if c == nil {
			c = b.m.newFolder(b.id, want.Folder)
			p.Created[record.Contacts] = true
		}
		claim := want.Claim
		c.claim = &claim
		p.Containers[record.Contacts] = remote.Container{ID: c.id, Name: c.name}
	}
	if want.Category != "" && !slices.Contains(b.m.categories[b.id], want.Category) {
		b.m.categories[b.id] = append(b.m.categories[b.id], want.Category)
	}
	return p, nil
}

func (b *mailbox) Claim(ctx context.Context, want remote.Customization) (*remote.Claim, error) {
	unlock, err := b.begin(ctx)
	defer unlock()
	if err != nil {
		return nil, err
	}
	c := b.m.ours(b.id, want)
	if c == nil || c.claim == nil {
		return nil, nil
	}
	claim := *c.claim
	return &claim, nil
}

func (b *mailbox) Inspect(ctx context.Context, want remote.Customization) ([]remote.Artefact, error) {
	unlock, err := b.begin(ctx)
	defer unlock()
	if err != nil {
		return nil, err
	}
	return b.artefacts(want), nil
}

func (b *mailbox) artefacts(want remote.Customization) []remote.Artefact {
	var out []remote.Artefact
	if c := b.m.ours(b.id, want); c != nil {
		out = append(out, remote.Artefact{Kind: "contact folder", Name: c.name, ID: c.id, Count: len(c.items)})
		if c.claim != nil {
			out = append(out, remote.Artefact{Kind: "claim", Name: c.claim.Install, ID: c.id})
		}
	}
	if want.Category != "" && slices.Contains(b.m.categories[b.id], want.Category) {
		out = append(out, remote.Artefact{Kind: "category", Name: want.Category, ID: want.Category})
	}
	return out
}

func (b *mailbox) Remove(ctx context.Context, have remote.Customization, ids []string) ([]remote.Artefact, error) {
	unlock, err := b.begin(ctx)
	defer unlock()
	if err != nil {
		return nil, err
	}
	b.m.categories[b.id] = slices.DeleteFunc(b.m.categories[b.id], func(s string) bool { return s == have.Category })
	c := b.m.ours(b.id, have)
	if c == nil {
		return nil, nil
	}
	for chunk := range slices.Chunk(ids, b.m.space.opts.BatchSize) {
		if err := b.m.space.request(ctx, b.requests); err != nil {
			return nil, err
		}
		for _, id := range chunk {
			if it := c.items[id]; it != nil {
				b.m.space.remove(it)
			}
		}
	}
	c.claim = nil
	if n := len(c.items); n > 0 {
		return []remote.Artefact{{Kind: "contact folder", Name: c.name, ID: c.id, Count: n, Left: "it holds items that are not ours"}}, nil
	}
	b.m.space.dropContainer(c)
	return nil, nil
}

func (b *mailbox) Collection(e record.Entity, c remote.Container) remote.Collection {
	if e != record.Contacts {
		return nil
	}
	return &collection{
		s: b.m.space, caps: b.m.space.capabilities(), requests: new(int), parent: b.requests,
		find:    func() *container { return b.m.within(b.id, c.ID) },
		allowed: func() error { return b.m.reach(b.id) },
	}
}
