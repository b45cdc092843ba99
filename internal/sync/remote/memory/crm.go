package memory

import (
	"context"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// OrganizationID is the id of every CRM organization in memory.
const OrganizationID = "00D000000000001"

// CRM is a CRM in memory.
type CRM struct {
	hands
	people
	all *container
}

var _ remote.CRM = (*CRM)(nil)

// NewCRM returns an empty CRM without users.
func NewCRM(o Options) *CRM {
	s := newSpace(record.CRM, "c", o.withDefaults(CRMTable(), []string{"LastName"}, 200, 2000))
	return &CRM{hands: hands{s}, people: people{s: s}, all: s.addContainer("", "", "all")}
}

// Organization returns OrganizationID.
func (c *CRM) Organization(ctx context.Context) (string, error) {
	c.space.mu.Lock()
	defer c.space.mu.Unlock()
	return OrganizationID, c.space.request(ctx)
}

// Collection returns all contacts; nil for any other entity.
func (c *CRM) Collection(e record.Entity) remote.Collection {
	if e != record.Contacts {
		return nil
	}
	caps := c.space.capabilities()
	caps.Tombstones = !c.space.opts.NoTombstones
	return &collection{
		s: c.space, caps: caps, requests: new(int), parent: new(int),
		find:    func() *container { return c.all },
		allowed: func() error { return nil },
	}
}

// CreateItem adds a record as a person does in the CRM, and returns its id.
func (c *CRM) CreateItem(owner string, fields mapping.Fields) string {
	c.space.mu.Lock()
	defer c.space.mu.Unlock()
	it := c.space.add(c.all, fields)
	it.owner = owner
	c.space.touch(it)
	return it.id
}

// Import adds a record as an import or migration does.
func (c *CRM) Import(owner string, fields mapping.Fields) string {
	id := c.CreateItem(owner, fields)
	c.edit(id, func(it *item) { it.imported = true })
	return id
}

// ChangeOwner gives a record to another user.
func (c *CRM) ChangeOwner(id, owner string) {
	c.edit(id, func(it *item) { it.owner = owner; c.space.touch(it) })
}

// Hide takes the permission to see a record away; the feed says nothing of it.
func (c *CRM) Hide(id string) { c.edit(id, func(it *item) { it.hidden = true }) }

// Show undoes Hide; as with a change of sharing, the feed does not notice.
func (c *CRM) Show(id string) { c.edit(id, func(it *item) { it.hidden = false }) }

// Merge merges the record loser into the record winner.
func (c *CRM) Merge(loser, winner string) {
	c.edit(loser, func(it *item) { it.mergedInto = winner; c.space.remove(it) })
	c.edit(winner, c.space.touch)
}

// Items returns all records that exist, in the order of their ids.
func (c *CRM) Items() []remote.Item { return c.in(c.all) }

// capabilities are those that the options leave.
func (s *space) capabilities() remote.Capabilities {
	return remote.Capabilities{
		Mapping: s.opts.Mapping, BatchSize: s.opts.BatchSize,
		ConditionalWrite: !s.opts.NoConditions, VersionResolution: s.opts.VersionResolution,
		Stamps: !s.opts.NoStamps, SoftDelete: true, ReadOnly: s.opts.ReadOnly,
	}
}

// people are the users of a CRM or the owners of mailboxes, and what both systems
// have in common.
type people struct {
	s    *space
	list []remote.Person
	lost map[string]bool
}

// AddPerson adds a user of the CRM, or a mailbox.
func (p *people) AddPerson(person remote.Person) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.list = append(p.list, person)
}

// Revoke takes the permission to reach a person's data away; Permit gives it back.
func (p *people) Revoke(id string) { p.setLost(id, true) }

// Permit undoes Revoke.
func (p *people) Permit(id string) { p.setLost(id, false) }

func (p *people) setLost(id string, lost bool) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.lost == nil {
		p.lost = map[string]bool{}
	}
	p.lost[id] = lost
}

// reach says whether a person's data can be reached. The space is locked.
func (p *people) reach(id string) error {
	i := slices.IndexFunc(p.list, func(x remote.Person) bool { return x.ID == id })
	switch {
	case i < 0:
		return fault(remote.ClassAuthorization, "unknown-user", "there is no such user")
	case p.lost[id] || p.list[i].Unusable != "":
		return fault(remote.ClassAuthorization, "access-denied", "the user's data may not be reached")
	}
	return nil
}

// Check answers.
func (p *people) Check(ctx context.Context) error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return p.s.request(ctx)
}

// CheckUser answers if the person exists and was not revoked.
func (p *people) CheckUser(ctx context.Context, id string) error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if err := p.s.request(ctx); err != nil {
		return err
	}
	return p.reach(id)
}

// People returns who was added, in that order.
func (p *people) People(ctx context.Context) ([]remote.Person, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if err := p.s.request(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(p.list), nil
}

// Usage counts the requests made so far.
func (p *people) Usage() remote.Usage {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return remote.Usage{Used: p.s.requests, Limit: p.s.opts.RequestLimit}
}
