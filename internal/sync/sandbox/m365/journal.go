package m365

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Journal gets the server's changes as they happen.
type Journal interface {
	// Append keeps one change. The change takes effect, and its answer is sent, only if
	// it returns nil. It is called under the server's lock, one at a time and in order,
	// and must not call the server. To survive the end of the process it has to hand the
	// line to the operating system; to survive the end of the machine, to the disk.
	Append(json.RawMessage) error
}

// change is what one operation changed: the whole new record of every object that it
// touched. A snapshot has the same form and holds all objects there are.
type change struct {
	// N numbers the changes of a server without gaps; in a snapshot it is that of the
	// last change within.
	N          uint64        `json:"n"`
	Users      []userRec     `json:"users,omitempty"`
	Folders    []folderRec   `json:"folders,omitempty"`
	Contacts   []*contactRec `json:"contacts,omitempty"`
	Tombs      []tombRec     `json:"tombs,omitempty"`
	Categories []categoryRec `json:"categories,omitempty"`
	Apps       []app         `json:"apps,omitempty"`
	Installs   []installRec  `json:"installs,omitempty"`
}

// commit writes a change to the journal and then applies it.
func (s *Server) commit(c *change) error {
	c.N = s.changes + 1
	if s.opt.Journal != nil {
		line, err := json.Marshal(c)
		if err == nil {
			err = s.opt.Journal.Append(line)
		}
		if err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	return s.apply(c)
}

var errForeign = errors.New("the change belongs to no mailbox of this server")

// apply puts the records of a change in place. Deleted folders, categories and
// installations go; deleted contacts stay, so that their owner can restore them.
func (s *Server) apply(c *change) error {
	for _, u := range c.Users {
		s.putUser(u)
	}
	for _, r := range c.Folders {
		m := s.users[key(r.Mailbox)]
		if m == nil {
			return errForeign
		}
		m.putFolder(r)
		m.bump(r.Seq)
	}
	for _, t := range c.Tombs {
		m := s.users[key(t.Mailbox)]
		if m == nil || m.folders[t.Folder] == nil {
			return errForeign
		}
		m.putTomb(t)
		m.bump(t.Seq)
	}
	for _, r := range c.Contacts {
		m := s.users[key(r.Mailbox)]
		if m == nil || m.folders[r.Folder] == nil {
			return errForeign
		}
		m.putContact(r)
		m.bump(r.Seq)
	}
	for _, r := range c.Categories {
		m := s.users[key(r.Mailbox)]
		if m == nil {
			return errForeign
		}
		if m.categories[r.ID] = r; r.Deleted {
			delete(m.categories, r.ID)
		}
		m.bump(r.Seq)
	}
	for _, a := range c.Apps {
		s.putApp(a)
	}
	for _, r := range c.Installs {
		m := s.users[key(r.Mailbox)]
		if m == nil {
			return errForeign
		}
		if m.installs[r.ID] = r; r.Deleted {
			delete(m.installs, r.ID)
		}
		m.bump(r.Seq)
	}
	s.changes = c.N
	return nil
}

func (m *mailbox) bump(seq int64) { m.user.Seq = max(m.user.Seq, seq) }

func key(id string) string { return strings.ToLower(id) }

func (s *Server) putUser(u userRec) {
	m := s.users[key(u.ID)]
	if m == nil {
		m = newMailbox(u)
		s.users[key(u.ID)] = m
		s.order = append(s.order, m)
	}
	delete(s.byUPN, strings.ToLower(m.user.UserPrincipalName))
	seq := m.user.Seq
	m.user = u
	m.bump(seq)
	s.byUPN[strings.ToLower(u.UserPrincipalName)] = m
}

func (s *Server) putApp(a app) {
	if i := slices.IndexFunc(s.apps, func(b app) bool { return b.ID == a.ID }); i >= 0 {
		s.apps[i] = a
		return
	}
	s.apps = append(s.apps, a)
}

// Changes returns how many changes there have been. Whoever stores the data can compare
// it with what it was at the last Snapshot.
func (s *Server) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// Snapshot returns all data as JSON, for Restore. Tokens, faults and counters are not
// part of it.
func (s *Server) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := change{N: s.changes, Apps: s.apps}
	for _, m := range s.order {
		all.Users = append(all.Users, m.user)
		var folders []*folder
		for _, f := range m.folders {
			folders = append(folders, f)
		}
		slices.SortFunc(folders, func(a, b *folder) int { return strings.Compare(a.ID, b.ID) })
		for _, f := range folders {
			all.Folders = append(all.Folders, f.folderRec)
			for _, e := range f.log {
				if !e.dead && e.contact == nil {
					all.Tombs = append(all.Tombs, e.tomb)
				}
			}
		}
		var contacts []*contactRec
		for _, c := range m.contacts {
			contacts = append(contacts, c)
		}
		slices.SortFunc(contacts, byNum)
		all.Contacts = append(all.Contacts, contacts...)
		all.Categories = append(all.Categories, m.categoryList()...)
		all.Installs = append(all.Installs, m.installList()...)
	}
	return json.Marshal(all)
}

// Restore replaces all data with a snapshot. Delta links made before it go on working.
func (s *Server) Restore(snapshot []byte) error {
	var all change
	if err := json.Unmarshal(snapshot, &all); err != nil {
		return fmt.Errorf("read the snapshot: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	if err := s.apply(&all); err != nil {
		return err
	}
	for _, m := range s.order {
		for _, f := range m.folders {
			slices.SortFunc(f.log, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
		}
	}
	return nil
}

// Replay applies one line of the journal, in the order in which they were appended. A
// line that is older than the snapshot before it is passed over, so the journal may be
// cut at leisure after a snapshot was written.
func (s *Server) Replay(line json.RawMessage) error {
	var c change
	if err := json.Unmarshal(line, &c); err != nil {
		return fmt.Errorf("read a line of the journal: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.N <= s.changes:
		return nil
	case c.N != s.changes+1:
		return fmt.Errorf("the journal jumps from change %d to %d", s.changes, c.N)
	}
	return s.apply(&c)
}
