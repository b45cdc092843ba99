package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// DefaultFolder is the name of the folder that every mailbox has and that is the
// person's own.
const DefaultFolder = "Contacts"

// Mail is a mail system in memory.
type Mail struct {
	hands
	people
	folders    int
	categories map[string][]string // by mailbox
	addIns     map[string]bool
}

var _ remote.Mail = (*Mail)(nil)

// NewMail returns a mail system without mailboxes.
func NewMail(o Options) *Mail {
	s := newSpace(record.Mailbox, "m", o.withDefaults(MailTable(), []string{}, 20, 500))
	return &Mail{hands: hands{s}, people: people{s: s}, categories: map[string][]string{}, addIns: map[string]bool{}}
}

// AddPerson adds a mailbox with its default folder.
func (m *Mail) AddPerson(p remote.Person) {
	m.people.AddPerson(p)
	m.AddFolder(p.ID, DefaultFolder)
}

// AddFolder adds a contact folder to a mailbox and returns its id.
func (m *Mail) AddFolder(mailbox, name string) string {
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	return m.newFolder(mailbox, name).id
}

func (m *Mail) newFolder(mailbox, name string) *container {
	m.folders++
	return m.space.addContainer(fmt.Sprintf("f%04d", m.folders), mailbox, name)
}

// Folder returns the id of a folder of a mailbox by its name; "" if there is none.
func (m *Mail) Folder(mailbox, name string) string {
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	if c := m.folder(mailbox, name); c != nil {
		return c.id
	}
	return ""
}

// folder returns the oldest folder of that name; nil if there is none.
func (m *Mail) folder(mailbox, name string) *container {
	var found *container
	for _, c := range m.space.containers {
		if c.mailbox == mailbox && c.name == name && !c.gone && (found == nil || c.id < found.id) {
			found = c
		}
	}
	return found
}

// Ours returns the id of the folder of a mailbox that bears a claim, whatever its name, or
// else of that name; "" if there is none.
func (m *Mail) Ours(mailbox, name string) string {
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	if c := m.ours(mailbox, remote.Customization{Folder: name}); c != nil {
		return c.id
	}
	return ""
}

// ours returns the folder that a customization means; nil if there is none.
func (m *Mail) ours(mailbox string, want remote.Customization) *container {
	var found *container
	best := 0
	for _, c := range m.space.containers {
		if c.mailbox != mailbox || c.gone {
			continue
		}
		rank := want.Rank(c.name, c.claim)
		if rank > best || rank > 0 && rank == best && c.id < found.id {
			found, best = c, rank
		}
	}
	return found
}

// Categories returns the names of a mailbox's categories.
func (m *Mail) Categories(mailbox string) []string {
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	return slices.Clone(m.categories[mailbox])
}

// CreateItem adds a contact to a folder as its owner does, and returns its id.
func (m *Mail) CreateItem(folder string, fields mapping.Fields) string {
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	it := m.space.add(m.space.containers[folder], fields)
	m.space.touch(it)
	return it.id
}

// MoveItem moves a contact to another folder; its id stays.
func (m *Mail) MoveItem(id, folder string) {
	m.edit(id, func(it *item) { m.space.move(it, m.space.containers[folder]) })
}

// RenameFolder gives a folder another name; its id stays.
func (m *Mail) RenameFolder(folder, name string) {
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	m.space.containers[folder].name = name
}

// DeleteContainer deletes a folder with all that is in it.
func (m *Mail) DeleteContainer(folder string) {
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	m.space.dropContainer(m.space.containers[folder])
}

// Items returns what is in a folder, in the order of the ids.
func (m *Mail) Items(folder string) []remote.Item {
	m.space.mu.Lock()
	c := m.space.containers[folder]
	m.space.mu.Unlock()
	return m.in(c)
}

// Mailbox returns a handle with a count of its own.
func (m *Mail) Mailbox(id string) remote.Mailbox { return &mailbox{m: m, id: id, requests: new(int)} }

// Prefetch reads first pages, as many to a round trip as a batch carries.
func (m *Mail) Prefetch(ctx context.Context, feeds []remote.MailFeed) []remote.FeedResult {
	m.space.mu.Lock()
	defer m.space.mu.Unlock()
	m.space.reads++
	out := make([]remote.FeedResult, 0, len(feeds))
	for chunk := range slices.Chunk(feeds, m.space.opts.BatchSize) {
		err := m.space.request(ctx)
		for _, f := range chunk {
			if err != nil {
				out = append(out, remote.FeedResult{Err: err})
				continue
			}
			out = append(out, m.prefetch(f))
		}
	}
	return out
}

func (m *Mail) prefetch(f remote.MailFeed) remote.FeedResult {
	if err := m.reach(f.Mailbox); err != nil {
		return remote.FeedResult{Err: err}
	}
	changes, next, done, err := m.space.page(m.within(f.Mailbox, f.Container.ID), m.space.rewind(f.Cursor), remote.Query{})
	if err != nil {
		return remote.FeedResult{Err: err}
	}
	return remote.FeedResult{Feed: remote.Feed{Changes: changes, Cursor: next, Complete: done}}
}

// within returns a container of a mailbox; nil if there is none of that id.
func (m *Mail) within(mailbox, id string) *container {
	if c := m.space.containers[id]; c != nil && c.mailbox == mailbox {
		return c
	}
	return nil
}

// AddIns remembers where an add-in was installed.
func (m *Mail) AddIns() remote.AddIns { return addIns{m} }

type addIns struct{ m *Mail }

func (a addIns) Status(ctx context.Context, mailbox string) (bool, error) {
	a.m.space.mu.Lock()
	defer a.m.space.mu.Unlock()
	if err := a.m.space.request(ctx); err != nil {
		return false, err
	}
	return a.m.addIns[mailbox], a.m.reach(mailbox)
}

func (a addIns) Install(ctx context.Context, mailbox string) error { return a.set(ctx, mailbox, true) }

func (a addIns) Remove(ctx context.Context, mailbox string) error { return a.set(ctx, mailbox, false) }

func (a addIns) set(ctx context.Context, mailbox string, installed bool) error {
	a.m.space.mu.Lock()
	defer a.m.space.mu.Unlock()
	if err := a.m.space.request(ctx); err != nil {
		return err
	}
	if err := a.m.reach(mailbox); err != nil {
		return err
	}
	a.m.addIns[mailbox] = installed
	return nil
}
