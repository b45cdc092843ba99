package m365

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"
)

// MailboxState is what a mailbox is like.
type MailboxState string

// The states of a mailbox.
const (
	// MailboxReady is a mailbox that works; the zero value is the same.
	MailboxReady MailboxState = "ready"
	// MailboxUnlicensed has no licence, is hosted elsewhere or was deleted softly: 404
	// with the codes MailboxNotEnabledForRESTAPI and ResourceNotFound by turns, as one
	// user was seen to get (contrib#4341).
	MailboxUnlicensed MailboxState = "unlicensed"
	// MailboxDenied is out of the application's reach: 403 ErrorAccessDenied.
	// D/concepts/auth-limit-mailbox-access.md
	MailboxDenied MailboxState = "denied"
	// MailboxFull refuses what would grow it: 507 QuotaExceededException (docs#6546).
	MailboxFull MailboxState = "full"
	// MailboxNamesFull has no named property left for an extended property: 403
	// ErrorQuotaExceeded (MicrosoftDocs/OfficeDocs-O365ServiceDescriptions#527).
	MailboxNamesFull MailboxState = "names-full"
	// MailboxMoving is being moved to another database: 503 ErrorMailboxMoveInProgress.
	MailboxMoving MailboxState = "moving"
	// MailboxEmpty answers every list and every delta as if there were no contact, with
	// 200: a fault that a client must not read as a deletion of everything.
	MailboxEmpty MailboxState = "empty"
)

// The records are what is kept. One that was put is never changed: a change puts a new
// one in its place.

type userRec struct {
	User
	State MailboxState `json:"state,omitempty"`
	// Seq is the number of the last change in the mailbox.
	Seq int64 `json:"seq"`
	// Epoch says which delta tokens are still honoured; Chains how many were begun.
	Epoch  int `json:"epoch,omitempty"`
	Chains int `json:"chains,omitempty"`
}

type folderRec struct {
	Mailbox string     `json:"mailbox"`
	ID      string     `json:"id"`
	Parent  string     `json:"parent"`
	Name    string     `json:"name"`
	Seq     int64      `json:"seq"`
	Default bool       `json:"default,omitempty"`
	Deleted bool       `json:"deleted,omitempty"`
	Props   []property `json:"props,omitempty"`
}

// property is a single-value extended property.
type property struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

type contactRec struct {
	Mailbox string `json:"mailbox"`
	// Num orders contacts by creation.
	Num int64 `json:"num"`
	// ID is immutable; Regular is the one that a move changes.
	ID      string `json:"id"`
	Regular string `json:"regular"`
	// Folder is where the contact is, or was when it was deleted.
	Folder  string `json:"folder"`
	Deleted bool   `json:"deleted,omitempty"`
	// Seq is the number of the change that made this record, Left that with which the
	// contact had left this folder before it came back; it is forgotten at the next change.
	Seq      int64          `json:"seq"`
	Left     int64          `json:"left,omitempty"`
	Created  time.Time      `json:"created"`
	Modified time.Time      `json:"modified"`
	Fields   map[string]any `json:"fields"`
	Props    []property     `json:"props,omitempty"`
}

// tombRec says that a contact is no longer in a folder.
type tombRec struct {
	Mailbox string `json:"mailbox"`
	Folder  string `json:"folder"`
	ID      string `json:"id"`
	Regular string `json:"regular"`
	Seq     int64  `json:"seq"`
}

type categoryRec struct {
	Mailbox string `json:"mailbox"`
	ID      string `json:"id"`
	Name    string `json:"name"`
	Color   string `json:"color"`
	Seq     int64  `json:"seq"`
	Deleted bool   `json:"deleted,omitempty"`
}

type installRec struct {
	Mailbox string `json:"mailbox"`
	ID      string `json:"id"`
	App     string `json:"app"`
	Seq     int64  `json:"seq"`
	Deleted bool   `json:"deleted,omitempty"`
}

// mailbox is the records of one user with what finds them quickly.
type mailbox struct {
	user       userRec
	folders    map[string]*folder
	contacts   map[string]*contactRec // by immutable id; deleted ones too
	regular    map[string]*contactRec // by regular id
	byProperty map[property]map[string]bool
	categories map[string]categoryRec
	installs   map[string]installRec

	// What follows is not kept.
	chains  map[int]int // the newest generation of each delta chain
	evicted int         // chains up to this number are forgotten
	lag     lag
	pressed pressure
	asked   int // how often an unlicensed mailbox was asked for
}

// folder is a contact folder: the contacts in it and the log of what became of them.
type folder struct {
	folderRec
	items []*contactRec     // by Num
	last  map[string]*entry // the newest entry of each regular id
	log   []*entry          // by Seq
	stale int
	left  map[string]int64 // immutable id → when it left last
}

// entry is the latest thing that happened to one contact in a folder.
type entry struct {
	seq     int64
	contact *contactRec // nil if it is gone
	tomb    tombRec
	dead    bool
}

func newMailbox(u userRec) *mailbox {
	return &mailbox{
		user: u, folders: map[string]*folder{}, contacts: map[string]*contactRec{}, regular: map[string]*contactRec{},
		byProperty: map[property]map[string]bool{}, categories: map[string]categoryRec{}, installs: map[string]installRec{},
		chains: map[int]int{},
	}
}

func (m *mailbox) state() MailboxState { return m.user.State }

func (m *mailbox) putFolder(r folderRec) {
	f := m.folders[r.ID]
	if f == nil {
		f = &folder{last: map[string]*entry{}, left: map[string]int64{}}
		m.folders[r.ID] = f
	}
	f.folderRec = r
}

func (m *mailbox) putContact(r *contactRec) {
	if old := m.contacts[r.ID]; old != nil {
		m.forget(old)
	}
	m.contacts[r.ID] = r
	if r.Deleted {
		return
	}
	m.regular[r.Regular] = r
	for _, p := range r.Props {
		k := foldProperty(p)
		if m.byProperty[k] == nil {
			m.byProperty[k] = map[string]bool{}
		}
		m.byProperty[k][r.ID] = true
	}
	f := m.folders[r.Folder]
	i, _ := slices.BinarySearchFunc(f.items, r.Num, func(c *contactRec, n int64) int { return cmp.Compare(c.Num, n) })
	f.items = slices.Insert(f.items, i, r)
	f.note(r.Regular, &entry{seq: r.Seq, contact: r})
}

// forget takes a contact out of everything that finds it, but for the folder's log.
func (m *mailbox) forget(r *contactRec) {
	if r.Deleted {
		return
	}
	delete(m.regular, r.Regular)
	for _, p := range r.Props {
		k := foldProperty(p)
		delete(m.byProperty[k], r.ID)
		if len(m.byProperty[k]) == 0 {
			delete(m.byProperty, k)
		}
	}
	f := m.folders[r.Folder]
	if i, ok := slices.BinarySearchFunc(f.items, r.Num, func(c *contactRec, n int64) int { return cmp.Compare(c.Num, n) }); ok {
		f.items = slices.Delete(f.items, i, i+1)
	}
}

func (m *mailbox) putTomb(t tombRec) {
	f := m.folders[t.Folder]
	f.left[t.ID] = t.Seq
	f.note(t.Regular, &entry{seq: t.Seq, tomb: t})
}

// note puts an entry at the end of the log; the one it replaces is dropped later, with
// all others, once they outweigh the rest.
func (f *folder) note(regular string, e *entry) {
	if old := f.last[regular]; old != nil {
		old.dead = true
		f.stale++
	}
	f.last[regular] = e
	f.log = append(f.log, e)
	if f.stale > 64 && f.stale > len(f.log)/2 {
		f.log = slices.DeleteFunc(f.log, func(e *entry) bool { return e.dead })
		f.stale = 0
	}
}

// after returns the entries with from < seq <= to, oldest first, at most n of those that
// pass keep, and whether there are more.
func (f *folder) after(from, to int64, n int, keep func(*entry) bool) (out []*entry, more bool) {
	i := sort.Search(len(f.log), func(i int) bool { return f.log[i].seq > from })
	for ; i < len(f.log) && f.log[i].seq <= to; i++ {
		e := f.log[i]
		if e.dead || !keep(e) {
			continue
		}
		if len(out) == n {
			return out, true
		}
		out = append(out, e)
	}
	return out, false
}

// foldProperty is the form in which an extended property is looked up: its id with case,
// its value without.
func foldProperty(p property) property { return property{p.ID, strings.ToLower(p.Value)} }

// contact finds a contact that is not deleted by either of its ids. Both are accepted
// whatever the request prefers.
func (m *mailbox) contact(id string) *contactRec {
	if c := m.contacts[id]; c != nil && !c.Deleted {
		return c
	}
	return m.regular[id]
}

// defaultFolder is the one that is called Contacts.
func (m *mailbox) defaultFolder() *folder {
	for _, f := range m.folders {
		if f.Default {
			return f
		}
	}
	return nil
}

// folder finds a folder that is not deleted by its id or its well-known name.
func (m *mailbox) folder(id string) *folder {
	if strings.EqualFold(id, "contacts") {
		return m.defaultFolder()
	}
	if f := m.folders[id]; f != nil && !f.Deleted {
		return f
	}
	return nil
}

// children are the folders directly below one, by age.
func (m *mailbox) children(parent string) []*folder {
	var out []*folder
	for _, f := range m.folders {
		if !f.Default && !f.Deleted && f.Parent == parent {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *folder) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// below is a folder with all that lie in it, however deep.
func (m *mailbox) below(f *folder) []*folder {
	out := []*folder{f}
	for _, c := range m.children(f.ID) {
		out = append(out, m.below(c)...)
	}
	return out
}

func (m *mailbox) categoryList() []categoryRec {
	var out []categoryRec
	for _, c := range m.categories {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b categoryRec) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

func (m *mailbox) installList() []installRec {
	var out []installRec
	for _, i := range m.installs {
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b installRec) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}
