package graph

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// mailbox is the handle of one mailbox.
type mailbox struct {
	g  *Graph
	id string
	h  *transport.Handle

	mu     sync.Mutex
	binned bool
	binID  string
}

func (m *mailbox) Requests() int { return m.h.Requests() }

func (m *mailbox) Calls() int { return m.h.Calls() }

func (m *mailbox) Collection(entity record.Entity, c remote.Container) remote.Collection {
	if entity != record.Contacts {
		return nil
	}
	return m.collection(c)
}

func (m *mailbox) collection(c remote.Container) *collection {
	return &collection{g: m.g, m: m, h: m.h.Sub(), folder: c}
}

// bin returns the id of the Deleted Items folder; "" if the app may not know it. It
// needs Mail.ReadBasic, which contacts do not: without it, an item in that folder
// counts as moved elsewhere.
func (m *mailbox) bin(ctx context.Context) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.binned {
		return m.binID
	}
	var folder struct {
		ID string `json:"id"`
	}
	err := m.g.send(ctx, m.h, call{
		method: http.MethodGet, path: path("users", m.id, "mailFolders", "deleteditems"),
		query: query{"$select": "id"}, scope: inMailbox,
	}, &folder)
	switch remote.ClassOf(err) {
	case remote.ClassPressure, remote.ClassTransient, remote.ClassConnection:
		m.binned = err == nil
	default:
		m.binned = true
	}
	m.binID = folder.ID
	return m.binID
}

// folder is a contact folder as it comes.
type folder struct {
	ID         string     `json:"id"`
	Name       string     `json:"displayName"`
	Properties []property `json:"singleValueExtendedProperties"`
}

// category is a category of the mailbox
// (https://learn.microsoft.com/graph/api/resources/outlookcategory).
type category struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"displayName"`
	// Color is one of 25 presets; preset7 is blue.
	Color string `json:"color,omitempty"`
}

func (m *mailbox) folders() call {
	return call{
		method: http.MethodGet, path: path("users", m.id, "contactFolders"), scope: inMailbox,
		query: query{"$select": "id,displayName", "$expand": expand(claimProperty), "$top": "100"},
	}
}

func (m *mailbox) categories() call {
	return call{method: http.MethodGet, path: path("users", m.id, "outlook", "masterCategories"), scope: inMailbox, query: query{"$top": "100"}}
}

// found is what of a customization is in the mailbox.
type found struct {
	folder   *folder
	category *category
}

// look reads the folders and the categories in one round trip, or in a few if there
// are very many.
func (m *mailbox) look(ctx context.Context, want remote.Customization) (found, error) {
	calls := []call{m.folders()}
	if want.Category != "" {
		calls = append(calls, m.categories())
	}
	replies := m.g.ask(ctx, m.h, calls)
	folders, err := rest[folder](ctx, m, replies[0], calls[0])
	if err != nil {
		return found{}, err
	}
	f := found{folder: ours(folders, want)}
	if want.Category != "" {
		categories, err := rest[category](ctx, m, replies[1], calls[1])
		if err != nil {
			return found{}, err
		}
		if i := slices.IndexFunc(categories, func(c category) bool { return strings.EqualFold(c.Name, want.Category) }); i >= 0 {
			f.category = &categories[i]
		}
	}
	return f, nil
}

// rest decodes a first page and reads those after it.
func rest[T any](ctx context.Context, m *mailbox, r reply, c call) ([]T, error) {
	var p page[T]
	if err := r.decode(&p, false); err != nil {
		return nil, err
	}
	all := p.Value
	if p.Next == "" {
		return all, nil
	}
	_, err := pages(ctx, m.g, m.h, call{method: http.MethodGet, link: p.Next, scope: c.scope}, func(items []T) error {
		all = append(all, items...)
		return nil
	})
	return all, err
}

// ours returns the folder that a customization means; nil if there is none.
func ours(folders []folder, want remote.Customization) *folder {
	var found *folder
	best := 0
	for i, f := range folders {
		if rank := want.Rank(f.Name, claimOf(f.Properties)); rank > best {
			found, best = &folders[i], rank
		}
	}
	return found
}

func (m *mailbox) Prepare(ctx context.Context, want remote.Customization) (remote.Prepared, error) {
	p := remote.Prepared{Containers: map[record.Entity]remote.Container{}, Created: map[record.Entity]bool{}}
	have, err := m.look(ctx, want)
	if err != nil {
		return p, err
	}
	if slices.Contains(want.Entities, record.Contacts) {
		created := have.folder == nil
		if have.folder, err = m.claim(ctx, have.folder, want); err != nil {
			return p, err
		}
		p.Containers[record.Contacts] = remote.Container{ID: have.folder.ID, Name: have.folder.Name, Category: want.Category}
		if created {
			p.Created[record.Contacts] = true
		}
	}
	if want.Category != "" && have.category == nil {
		err := m.g.send(ctx, m.h, call{
			method: http.MethodPost, path: path("users", m.id, "outlook", "masterCategories"), scope: inMailbox,
			body: category{Name: want.Category, Color: "preset7"},
		}, nil)
		if err != nil && detail(err).Status != http.StatusConflict { // somebody else made it: as well
			return p, err
		}
	}
	return p, nil
}

// claim writes our claim into the folder, which it creates if there is none.
func (m *mailbox) claim(ctx context.Context, have *folder, want remote.Customization) (*folder, error) {
	properties, err := claimValue(want.Claim)
	if err != nil {
		return nil, err
	}
	if have != nil {
		return have, m.g.send(ctx, m.h, call{
			method: http.MethodPatch, path: path("users", m.id, "contactFolders", have.ID), scope: inContainer,
			body: body{"singleValueExtendedProperties": properties},
		}, nil)
	}
	var made folder
	err = m.g.send(ctx, m.h, call{
		method: http.MethodPost, path: path("users", m.id, "contactFolders"), scope: inMailbox,
		body: body{"displayName": want.Folder, "singleValueExtendedProperties": properties},
	}, &made)
	if detail(err).Status == http.StatusConflict {
		// Made by somebody else since we looked: adopt it.
		now, lookErr := m.look(ctx, remote.Customization{Folder: want.Folder, Claim: want.Claim})
		if lookErr != nil {
			return nil, lookErr
		}
		if now.folder != nil {
			return m.claim(ctx, now.folder, want)
		}
	}
	if err == nil && made.ID == "" {
		err = malformed(true)
	}
	return &made, err
}

func (m *mailbox) Claim(ctx context.Context, want remote.Customization) (*remote.Claim, error) {
	have, err := m.look(ctx, remote.Customization{Folder: want.Folder, Claim: want.Claim})
	if err != nil || have.folder == nil {
		return nil, err
	}
	return claimOf(have.folder.Properties), nil
}

func (m *mailbox) Inspect(ctx context.Context, want remote.Customization) ([]remote.Artefact, error) {
	have, err := m.look(ctx, want)
	if err != nil {
		return nil, err
	}
	var out []remote.Artefact
	if f := have.folder; f != nil {
		ids, err := m.items(ctx, f.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, remote.Artefact{Kind: remote.ContactFolder, Name: f.Name, ID: f.ID, Count: len(ids)})
		if c := claimOf(f.Properties); c != nil {
			out = append(out, remote.Artefact{Kind: remote.ClaimKind, Name: c.Install, ID: f.ID})
		}
	}
	if c := have.category; c != nil {
		out = append(out, remote.Artefact{Kind: remote.CategoryKind, Name: c.Name, ID: c.ID})
	}
	return out, nil
}

// items lists the ids of what is in a folder. A list of bare ids may have the
// largest page that there is.
func (m *mailbox) items(ctx context.Context, folder string) (map[string]bool, error) {
	ids := map[string]bool{}
	const most = 999
	_, err := pages(ctx, m.g, m.h, call{
		method: http.MethodGet, path: path("users", m.id, "contactFolders", folder, "contacts"), scope: inContainer, page: most,
		query: query{"$select": "id", "$top": strconv.Itoa(most)},
	}, func(items []struct {
		ID string `json:"id"`
	}) error {
		for _, it := range items {
			ids[it.ID] = true
		}
		return nil
	})
	return ids, err
}

func (m *mailbox) Remove(ctx context.Context, have remote.Customization, ids []string) ([]remote.Artefact, error) {
	now, err := m.look(ctx, have)
	if err != nil {
		return nil, err
	}
	if now.category != nil {
		err := m.g.send(ctx, m.h, call{
			method: http.MethodDelete, path: path("users", m.id, "outlook", "masterCategories", now.category.ID), scope: onItem,
		}, nil)
		if err != nil && !remote.Is(err, remote.ClassGone) {
			return nil, err
		}
	}
	if now.folder == nil {
		return nil, nil
	}
	if err := m.empty(ctx, now.folder, ids); err != nil {
		return nil, err
	}
	left, err := m.items(ctx, now.folder.ID) // read anew: the person may have added one
	if err != nil {
		return nil, err
	}
	if len(left) == 0 {
		err := m.g.send(ctx, m.h, call{
			method: http.MethodDelete, path: path("users", m.id, "contactFolders", now.folder.ID), scope: inContainer,
		}, nil)
		if err != nil && !remote.Is(err, remote.ClassContainerGone) {
			return nil, err
		}
		return nil, nil
	}
	if claimOf(now.folder.Properties) != nil {
		if err := m.g.send(ctx, m.h, call{
			method: http.MethodPatch, path: path("users", m.id, "contactFolders", now.folder.ID), scope: inContainer,
			body: body{"singleValueExtendedProperties": []property{{ID: claimProperty, Value: noClaim}}},
		}, nil); err != nil {
			return nil, err
		}
	}
	return []remote.Artefact{{
		Kind: remote.ContactFolder, Name: now.folder.Name, ID: now.folder.ID, Count: len(left), Left: "it holds items that are not ours",
	}}, nil
}

// empty deletes those of the items that are still in the folder.
func (m *mailbox) empty(ctx context.Context, f *folder, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	in, err := m.items(ctx, f.ID)
	if err != nil {
		return err
	}
	var deletes []remote.Write
	for _, id := range ids {
		if in[id] {
			delete(in, id)
			deletes = append(deletes, remote.Write{Kind: remote.Delete, ID: id})
		}
	}
	for _, r := range m.collection(remote.Container{ID: f.ID, Name: f.Name}).Apply(ctx, deletes) {
		if r.Err != nil && !remote.Is(r.Err, remote.ClassGone) {
			return r.Err
		}
	}
	return nil
}
