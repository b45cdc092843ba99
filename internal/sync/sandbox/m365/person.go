package m365

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What follows is not Graph: it is what the people who own the mailboxes do in Outlook,
// and what their administrator does. A user is named by id, userPrincipalName or mail, a
// folder by its name, where "" stands for the default one, and a contact by either id.

// ErrNotFound says that there is no such user, folder or contact.
var ErrNotFound = errors.New("not found")

// person finds a user by any of his names.
func (s *Server) person(user string) (*mailbox, error) {
	if m := s.users[key(user)]; m != nil {
		return m, nil
	}
	if m := s.byUPN[strings.ToLower(user)]; m != nil {
		return m, nil
	}
	for _, m := range s.order {
		if user != "" && strings.EqualFold(m.user.Mail, user) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("user %q: %w", user, ErrNotFound)
}

func (m *mailbox) named(name string) (*folder, error) {
	d := m.defaultFolder()
	if name == "" || strings.EqualFold(name, d.Name) {
		return d, nil
	}
	for _, f := range m.below(d) {
		if f.ID == name || strings.EqualFold(f.Name, name) {
			return f, nil
		}
	}
	return nil, fmt.Errorf("folder %q: %w", name, ErrNotFound)
}

func (m *mailbox) owned(id string) (*contactRec, error) {
	if r := m.contact(id); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("contact: %w", ErrNotFound)
}

// in runs f on a user's mailbox under the lock.
func (s *Server) in(user string, f func(m *mailbox) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.person(user)
	if err != nil {
		return err
	}
	return f(m)
}

// The categories that every new mailbox has.
var firstCategories = []struct{ name, color string }{
	{"Red category", "preset0"}, {"Orange category", "preset1"}, {"Yellow category", "preset3"},
	{"Green category", "preset4"}, {"Blue category", "preset7"}, {"Purple category", "preset8"},
}

// AddUser adds an account with a new mailbox and returns it with what was made up: the id
// and, from Mail or the display name, the userPrincipalName. An account whose id or
// userPrincipalName exists already is refused.
func (s *Server) AddUser(u User) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.UserPrincipalName == "" {
		u.UserPrincipalName = u.Mail
	}
	if u.UserPrincipalName == "" {
		u.UserPrincipalName = strings.ToLower(strings.Join(strings.Fields(u.DisplayName), ".")) + "@" + s.opt.Domain
	}
	if u.ID == "" {
		u.ID = guid(s.opt.Seed, "user", strings.ToLower(u.UserPrincipalName))
	}
	if s.users[key(u.ID)] != nil || s.byUPN[strings.ToLower(u.UserPrincipalName)] != nil {
		return u, fmt.Errorf("user %q exists already", u.UserPrincipalName)
	}
	m := newMailbox(userRec{User: u})
	root := folderRec{Mailbox: u.ID, Name: "Contacts", Seq: 1, Default: true}
	root.ID = itemID(regularPrefix, u.ID, s.opt.Seed, "folder", "contacts")
	root.Parent = itemID(regularPrefix, u.ID, s.opt.Seed, "folder", "root")
	c := &change{Users: []userRec{{User: u, State: MailboxReady, Seq: 1}}, Folders: []folderRec{root}}
	for i, f := range firstCategories {
		c.Categories = append(c.Categories, s.newCategory(m, int64(2+i), f.name, f.color))
	}
	return u, s.commit(c)
}

// Users returns all accounts in the order in which they were added.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []User{}
	for _, m := range s.order {
		out = append(out, m.user.User)
	}
	return out
}

// SetMailboxState changes what a user's mailbox is like.
func (s *Server) SetMailboxState(user string, state MailboxState) error {
	return s.in(user, func(m *mailbox) error {
		switch state {
		case "":
			state = MailboxReady
		case MailboxReady, MailboxUnlicensed, MailboxDenied, MailboxFull, MailboxNamesFull, MailboxMoving, MailboxEmpty:
		default:
			return fmt.Errorf("unknown mailbox state %q", state)
		}
		u := m.user
		u.State = state
		return s.commit(&change{Users: []userRec{u}})
	})
}

// MailboxState returns what a user's mailbox is like.
func (s *Server) MailboxState(user string) (state MailboxState, err error) {
	err = s.in(user, func(m *mailbox) error { state = m.state(); return nil })
	return state, err
}

// Folder is a contact folder as its owner sees it.
type Folder struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Contacts int    `json:"contacts"`
	Default  bool   `json:"default,omitempty"`
}

// Folders returns a user's contact folders, the default one first.
func (s *Server) Folders(user string) (out []Folder, err error) {
	err = s.in(user, func(m *mailbox) error {
		for _, f := range m.below(m.defaultFolder()) {
			out = append(out, Folder{ID: f.ID, Name: f.Name, Contacts: len(f.items), Default: f.Default})
		}
		return nil
	})
	return out, err
}

// CreateFolder adds a contact folder and returns its id.
func (s *Server) CreateFolder(user, name string) (id string, err error) {
	err = s.in(user, func(m *mailbox) error {
		f, err := s.newFolder(m, m.defaultFolder(), name, nil)
		if err == nil {
			id = f.ID
		}
		return err
	})
	return id, err
}

// RenameFolder gives a contact folder another name.
func (s *Server) RenameFolder(user, name, to string) error {
	return s.in(user, func(m *mailbox) error {
		f, err := m.named(name)
		if err != nil {
			return err
		}
		return s.changeFolder(m, f, &to, nil)
	})
}

// DeleteFolder moves a contact folder, with all that is in it, to Deleted Items.
func (s *Server) DeleteFolder(user, name string) error {
	return s.in(user, func(m *mailbox) error {
		f, err := m.named(name)
		if err != nil {
			return err
		}
		return s.dropFolder(m, f)
	})
}

// typed checks what a person types with the rules that Graph's requests are checked with.
func typed(fields map[string]any) (contactBody, error) {
	b, err := json.Marshal(fields)
	if err != nil {
		return contactBody{}, err
	}
	o, err := object(b)
	if err != nil {
		return contactBody{}, err
	}
	return parseContact(o)
}

// CreateContact adds a contact and returns its immutable id. Fields are in Graph's form.
func (s *Server) CreateContact(user, folder string, fields map[string]any) (id string, err error) {
	err = s.in(user, func(m *mailbox) error {
		f, err := m.named(folder)
		if err != nil {
			return err
		}
		b, err := typed(fields)
		if err != nil {
			return err
		}
		r, err := s.newContact(m, f, b)
		id = r.ID
		return err
	})
	return id, err
}

// UpdateContact changes the fields that it is given; nil clears one.
func (s *Server) UpdateContact(user, id string, fields map[string]any) error {
	return s.in(user, func(m *mailbox) error {
		r, err := m.owned(id)
		if err != nil {
			return err
		}
		b, err := typed(fields)
		if err != nil {
			return err
		}
		_, err = s.changeContact(m, r, b)
		return err
	})
}

// DeleteContact moves a contact to Deleted Items.
func (s *Server) DeleteContact(user, id string) error {
	return s.in(user, func(m *mailbox) error {
		r, err := m.owned(id)
		if err != nil {
			return err
		}
		return s.dropContact(m, r)
	})
}

// RestoreContact moves a contact back from Deleted Items, into the folder it came from or,
// where that is gone, the default one. It keeps its immutable id.
func (s *Server) RestoreContact(user, id string) error {
	return s.in(user, func(m *mailbox) error {
		r := m.contacts[id]
		if r == nil || !r.Deleted {
			return fmt.Errorf("deleted contact: %w", ErrNotFound)
		}
		f := m.folder(r.Folder)
		if f == nil {
			f = m.defaultFolder()
		}
		return s.moveContact(m, r, f)
	})
}

// MoveContact puts a contact into another folder.
func (s *Server) MoveContact(user, id, folder string) error {
	return s.in(user, func(m *mailbox) error {
		r, err := m.owned(id)
		if err != nil {
			return err
		}
		f, err := m.named(folder)
		if err != nil || f.ID == r.Folder {
			return err
		}
		return s.moveContact(m, r, f)
	})
}

// CopyContact puts a copy of a contact, with its extended properties, into a folder and
// returns the immutable id of the copy.
func (s *Server) CopyContact(user, id, folder string) (copied string, err error) {
	err = s.in(user, func(m *mailbox) error {
		r, err := m.owned(id)
		if err != nil {
			return err
		}
		f, err := m.named(folder)
		if err != nil {
			return err
		}
		b := contactBody{fields: maps.Clone(r.Fields), props: map[string]*string{}}
		for _, p := range r.Props {
			b.props[p.ID] = &p.Value
		}
		n, err := s.newContact(m, f, b)
		copied = n.ID
		return err
	})
	return copied, err
}

// Contacts returns the contacts in a folder as Graph shows them, with immutable ids and
// all extended properties, by age.
func (s *Server) Contacts(user, folder string) (out []map[string]any, err error) {
	err = s.in(user, func(m *mailbox) error {
		f, err := m.named(folder)
		if err != nil {
			return err
		}
		out = m.shown(f.items)
		return nil
	})
	return out, err
}

// Deleted returns the contacts in Deleted Items, by age.
func (s *Server) Deleted(user string) (out []map[string]any, err error) {
	err = s.in(user, func(m *mailbox) error {
		var gone []*contactRec
		for _, r := range m.contacts {
			if r.Deleted {
				gone = append(gone, r)
			}
		}
		slices.SortFunc(gone, byNum)
		out = m.shown(gone)
		return nil
	})
	return out, err
}

func (m *mailbox) shown(items []*contactRec) []map[string]any {
	out := []map[string]any{}
	for _, r := range items {
		var ids []string
		for _, p := range r.Props {
			ids = append(ids, p.ID)
		}
		out = append(out, withProperties(m.view(r, true), r.Props, ids))
	}
	return out
}

// Categories returns the names of a user's categories.
func (s *Server) Categories(user string) (out []string, err error) {
	err = s.in(user, func(m *mailbox) error {
		for _, c := range m.categoryList() {
			out = append(out, c.Name)
		}
		return nil
	})
	return out, err
}

// Installed returns the external ids of the apps that are installed for a user.
func (s *Server) Installed(user string) (out []string, err error) {
	err = s.in(user, func(m *mailbox) error {
		for _, i := range m.installList() {
			a, _ := s.app(i.App)
			out = append(out, a.ExternalID)
		}
		return nil
	})
	return out, err
}
