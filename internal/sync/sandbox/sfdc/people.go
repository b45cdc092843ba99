package sfdc

import (
	"errors"
	"fmt"
	"time"
)

// What people do in the organization's own user interface. Their edits pass the
// duplicate rule, as a person passes it with a click; validation rules hold for them
// too. They are journaled before the method returns.

// Fields are values under their API names. An empty value clears.
type Fields map[string]string

func (f Fields) raw() fields {
	in := make(fields, len(f))
	for k, v := range f {
		in[k] = v
	}
	return in
}

// User is a person with a licence.
type User struct {
	// ID is given by the organization if it is empty.
	ID        string `json:"id"`
	Username  string `json:"username"`
	Email     string `json:"email"`
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName"`
	Active    bool   `json:"active"`
	// Type is the UserType; the default is Standard.
	Type string `json:"type,omitempty"`
}

// Contact is a contact as a person sees it.
type Contact struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
	Name  string `json:"name"`
	// Account is the name of the contact's account.
	Account string `json:"account,omitempty"`
	// Fields are those that are not empty and that the server does not set itself.
	Fields Fields `json:"fields"`
	// Deleted contacts are in the recycle bin; a merge put them there if MergedInto is
	// not empty.
	Deleted    bool   `json:"deleted,omitempty"`
	MergedInto string `json:"mergedInto,omitempty"`
	// Hidden contacts cannot be seen through the API.
	Hidden   bool      `json:"hidden,omitempty"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
	// Stamp is SystemModstamp.
	Stamp time.Time `json:"stamp"`
}

// act runs a change as one transaction.
func (s *Server) act(change func(w write) *failure) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitDue()
	t := &tx{s: s}
	if f := change(write{tx: t, user: s.runAs, at: s.now()}); f != nil {
		t.undo(0)
		return f
	}
	if f := s.settle(t); f != nil {
		return f
	}
	return nil
}

// AddUser adds a user and returns the id.
func (s *Server) AddUser(u User) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &tx{s: s}
	id, err := s.addUser(t, u)
	if err != nil {
		return "", err
	}
	if f := t.commit(); f != nil {
		return "", f
	}
	return id, nil
}

func (s *Server) addUser(t *tx, u User) (string, error) {
	kind := u.Type
	if kind == "" {
		kind = "Standard"
	}
	id, f := s.insert(write{tx: t, at: s.now()}, s.tables["User"].schema, fields{
		"Username": u.Username, "Email": u.Email, "FirstName": u.FirstName, "LastName": u.LastName,
		"IsActive": u.Active, "UserType": kind, "TimeZoneSidKey": "UTC",
	})
	if f != nil {
		t.undo(0)
		return "", f
	}
	return id, nil
}

// SetUserActive activates or deactivates a user.
func (s *Server) SetUserActive(id string, active bool) error {
	return s.act(func(w write) *failure {
		return s.update(w, s.tables["User"].schema, id, fields{"IsActive": active})
	})
}

// Users returns all users, in the order in which they were added.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables["User"]
	out := make([]User, 0, len(t.ids))
	for _, id := range t.ids {
		r := t.rows[id]
		out = append(out, User{
			ID: id, Username: r.get("Username"), Email: r.get("Email"), FirstName: r.get("FirstName"),
			LastName: r.get("LastName"), Active: r.get("IsActive") == "true", Type: r.get("UserType"),
		})
	}
	return out
}

// RunAs is the id of the user that the integration runs as.
func (s *Server) RunAs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runAs
}

// OrgID is the id of the organization.
func (s *Server) OrgID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.org
}

// CreateAccount adds an account and returns its id.
func (s *Server) CreateAccount(name string) (string, error) {
	var id string
	err := s.act(func(w write) (f *failure) {
		id, f = s.insert(w, s.tables["Account"].schema, fields{"Name": name})
		return f
	})
	return id, err
}

// Account returns the id of the first account with a name, or "".
func (s *Server) Account(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables["Account"]
	for _, id := range t.ids {
		if r := t.rows[id]; !r.deleted() && r.get("Name") == name {
			return id
		}
	}
	return ""
}

// RenameAccount changes the name of an account. The contacts of the account show the
// new name, but none of them is stamped.
func (s *Server) RenameAccount(id, name string) error {
	return s.act(func(w write) *failure {
		return s.update(w, s.tables["Account"].schema, id, fields{"Name": name})
	})
}

// CreateContact adds a contact that owner created and owns, and returns its id.
func (s *Server) CreateContact(owner string, f Fields) (string, error) {
	var id string
	err := s.act(func(w write) (bad *failure) {
		in := f.raw()
		if owner != "" {
			in["OwnerId"], w.user = owner, owner
		}
		id, bad = s.insert(w, s.contacts().schema, in)
		return bad
	})
	return id, err
}

// UpdateContact changes fields of a contact.
func (s *Server) UpdateContact(id string, f Fields) error {
	return s.act(func(w write) *failure { return s.update(w, s.contacts().schema, id, f.raw()) })
}

// AutomateContact changes fields of a contact as automation does: SystemModstamp
// moves, LastModifiedDate does not.
func (s *Server) AutomateContact(id string, f Fields) error {
	return s.act(func(w write) *failure {
		w.automation = true
		return s.update(w, s.contacts().schema, id, f.raw())
	})
}

// ChangeOwner gives a contact to another user.
func (s *Server) ChangeOwner(id, owner string) error {
	return s.UpdateContact(id, Fields{"OwnerId": owner})
}

// DeleteContact puts a contact into the recycle bin.
func (s *Server) DeleteContact(id string) error {
	return s.act(func(w write) *failure { return s.remove(w, s.contacts().schema, id, "") })
}

// UndeleteContact takes a contact out of the recycle bin.
func (s *Server) UndeleteContact(id string) error {
	return s.act(func(w write) *failure {
		cid, _ := canonicalID(id)
		r := s.lookup(cid)
		if r == nil || !r.deleted() {
			return notFound()
		}
		r = r.clone()
		r.vals[fDeleted], r.deletedAt = "false", ""
		r.set("MasterRecordId", "")
		if f := s.check(w, r, r); f != nil {
			return f
		}
		s.touch(w, r)
		w.tx.put(r)
		return nil
	})
}

// PurgeContact takes a deleted contact out of the recycle bin for good. Only the list
// of deletions remembers it.
func (s *Server) PurgeContact(id string) error {
	return s.act(func(w write) *failure {
		cid, _ := canonicalID(id)
		r := s.lookup(cid)
		if r == nil || !r.deleted() {
			return notFound()
		}
		r = r.clone()
		r.purged = true
		w.tx.put(r)
		return nil
	})
}

// Merge merges up to two contacts into a third: they go to the recycle bin with
// MasterRecordId, and what the winner lacks it takes from them.
func (s *Server) Merge(winner string, losers ...string) error {
	return s.act(func(w write) *failure {
		if len(losers) == 0 || len(losers) > 2 {
			return badRequest("INVALID_NUM_RECORDS", "one or two records are merged into another")
		}
		sc := s.contacts().schema
		old, f := s.target(w, sc, winner)
		if f != nil {
			return f
		}
		r := old.clone()
		for _, id := range losers {
			l, f := s.target(w, sc, id)
			if f != nil {
				return f
			}
			for _, fl := range sc.fields {
				if !fl.readOnly && !fl.unique && r.vals[fl.idx] == "" {
					r.vals[fl.idx] = l.vals[fl.idx]
				}
			}
			if f := s.remove(w, sc, id, old.id()); f != nil {
				return f
			}
		}
		s.touch(w, r)
		s.compute(r)
		w.tx.put(r)
		return nil
	})
}

func (s *Server) contacts() *table { return s.tables["Contact"] }

// Contacts returns all contacts that are not purged, in the order in which they were
// created.
func (s *Server) Contacts() []Contact {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitDue()
	t := s.contacts()
	out := make([]Contact, 0, len(t.ids))
	for _, id := range t.ids {
		if r := t.rows[id]; !s.gone(r) {
			out = append(out, s.contact(r))
		}
	}
	return out
}

// Contact returns one contact; false if there is none or it is purged.
func (s *Server) Contact(id string) (Contact, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitDue()
	cid, ok := canonicalID(id)
	if !ok || cid[:3] != s.contacts().schema.prefix {
		return Contact{}, false
	}
	r := s.lookup(cid)
	if r == nil {
		return Contact{}, false
	}
	return s.contact(r), true
}

func (s *Server) contact(r *row) Contact {
	c := Contact{
		ID: r.id(), Owner: r.get("OwnerId"), Name: r.get("Name"), Fields: make(Fields),
		Deleted: r.deleted(), MergedInto: r.get("MasterRecordId"), Hidden: s.hidden[r.id()],
		Created: timeOf(r.vals[fCreated]), Modified: timeOf(r.vals[fModified]), Stamp: timeOf(r.vals[fStamp]),
	}
	for i, f := range r.schema.fields {
		if v := r.vals[i]; v != "" && v != "false" && !f.readOnly && f.name != "OwnerId" && f.name != "AccountId" {
			c.Fields[f.name] = v
		}
	}
	if a := s.tables["Account"].rows[r.get("AccountId")]; a != nil {
		c.Account = a.get("Name")
	}
	return c
}

func timeOf(stamp string) time.Time {
	t, err := time.Parse(stampLayout, stamp)
	if err != nil {
		return time.Time{}
	}
	return t
}

// errClosed is returned for a transaction that was committed or rolled back.
var errClosed = errors.New("sfdc: the transaction is over")

// Transaction is a long transaction of a person or of automation: its rows carry the
// time at which they were written, and nobody sees them before Commit. Until then
// the rows that it changed are locked, and latestDateCovered stays at its start.
type Transaction struct {
	s       *Server
	started time.Time
	// due is when the transaction commits by itself; zero for never.
	due  time.Time
	rows []*row
	over bool
}

// Begin starts a transaction.
func (s *Server) Begin() *Transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &Transaction{s: s, started: s.now()}
	s.inFlight = append(s.inFlight, t)
	return t
}

// CreateContact adds a contact and returns the id that it will have.
func (t *Transaction) CreateContact(owner string, f Fields) (string, error) {
	var id string
	err := t.stage(func(w write) (bad *failure) {
		in := f.raw()
		if owner != "" {
			in["OwnerId"], w.user = owner, owner
		}
		id, bad = t.s.insert(w, t.s.contacts().schema, in)
		return bad
	})
	return id, err
}

// UpdateContact changes a contact.
func (t *Transaction) UpdateContact(id string, f Fields) error {
	return t.stage(func(w write) *failure { return t.s.update(w, t.s.contacts().schema, id, f.raw()) })
}

// DeleteContact deletes a contact.
func (t *Transaction) DeleteContact(id string) error {
	return t.stage(func(w write) *failure { return t.s.remove(w, t.s.contacts().schema, id, "") })
}

// stage runs a change and takes its rows out of sight again.
func (t *Transaction) stage(change func(w write) *failure) error {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitDue()
	if t.over {
		return errClosed
	}
	x := &tx{s: s}
	if f := change(write{tx: x, user: s.runAs, at: s.now()}); f != nil {
		x.undo(0)
		return f
	}
	t.hold(x)
	return nil
}

// hold moves the changes of x into the transaction.
func (t *Transaction) hold(x *tx) {
	for _, c := range x.changes {
		t.rows = append(t.rows, c.row)
		t.s.locked[c.row.id()]++
	}
	x.undo(0)
}

// Commit makes the changes visible.
func (t *Transaction) Commit() error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.over {
		return errClosed
	}
	return t.end(true)
}

// Rollback forgets the changes.
func (t *Transaction) Rollback() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if !t.over {
		_ = t.end(false)
	}
}

func (t *Transaction) end(commit bool) error {
	s := t.s
	t.over = true
	rest := s.inFlight[:0]
	for _, o := range s.inFlight {
		if o != t {
			rest = append(rest, o)
		}
	}
	s.inFlight = rest
	for _, r := range t.rows {
		if s.locked[r.id()]--; s.locked[r.id()] <= 0 {
			delete(s.locked, r.id())
		}
	}
	if !commit {
		return nil
	}
	x := &tx{s: s}
	for _, r := range t.rows {
		x.put(r)
	}
	if f := x.commit(); f != nil {
		return fmt.Errorf("commit: %w", f)
	}
	return nil
}

// settle commits a person's change, at once or as late as the knob says.
func (s *Server) settle(x *tx) *failure {
	if s.lateCommit <= 0 {
		return x.commit()
	}
	now := s.now()
	t := &Transaction{s: s, started: now, due: now.Add(s.lateCommit)}
	t.hold(x)
	s.inFlight = append(s.inFlight, t)
	return nil
}

// commitDue commits the transactions whose time has come.
func (s *Server) commitDue() {
	now := s.now()
	for i := 0; i < len(s.inFlight); {
		t := s.inFlight[i]
		if t.due.IsZero() || t.due.After(now) {
			i++
			continue
		}
		// A journal that fails loses the transaction, as a crash before its commit does.
		_ = t.end(true)
	}
}
