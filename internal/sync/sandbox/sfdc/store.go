package sfdc

import (
	"slices"
	"strings"
	"time"
)

// stampLayout is how times are kept: of fixed width and in UTC, so that they compare
// as texts. Salesforce keeps whole seconds.
const stampLayout = "2006-01-02T15:04:05Z"

// binLife is how long a deleted row stays in the recycle bin, and how long
// getDeleted remembers it.
const binLife = 15 * 24 * time.Hour

func stampOf(t time.Time) string { return t.UTC().Format(stampLayout) }

// row is one version of a record. Its values are by field index; an empty one is
// null. A row is never changed after it was put.
type row struct {
	schema *schema
	vals   []string
	// deletedAt is when the row went to the recycle bin, purged that it left it.
	deletedAt string
	purged    bool
}

func (r *row) id() string { return r.vals[fID] }

func (r *row) get(name string) string {
	if f := r.schema.byName[strings.ToLower(name)]; f != nil {
		return r.vals[f.idx]
	}
	return ""
}

func (r *row) set(name, value string) {
	r.vals[r.schema.byName[strings.ToLower(name)].idx] = value
}

func (r *row) deleted() bool { return r.vals[fDeleted] == "true" }

func (r *row) clone() *row {
	c := *r
	c.vals = slices.Clone(r.vals)
	return &c
}

// table holds the rows of one object with what finds them.
type table struct {
	schema *schema
	rows   map[string]*row
	// ids are sorted, which is the order in which they were given out.
	ids []string
	// unique maps the lower-case value of each unique field to the live row.
	unique map[int]map[string]string
	// alike maps what the duplicate rule compares to the live rows that have it.
	alike map[string][]string
}

func newTable(s *schema) *table {
	t := &table{schema: s, rows: make(map[string]*row), unique: make(map[int]map[string]string), alike: make(map[string][]string)}
	for _, f := range s.fields {
		if f.unique {
			t.unique[f.idx] = make(map[string]string)
		}
	}
	return t
}

// put makes r the current version and returns the one before, or nil.
func (t *table) put(r *row) *row {
	old := t.rows[r.id()]
	if old != nil {
		t.unindex(old)
	} else if n := len(t.ids); n == 0 || t.ids[n-1] < r.id() {
		t.ids = append(t.ids, r.id())
	} else if i, found := slices.BinarySearch(t.ids, r.id()); !found {
		t.ids = slices.Insert(t.ids, i, r.id())
	}
	t.rows[r.id()] = r
	t.index(r)
	return old
}

// drop takes a row away as if it had never been.
func (t *table) drop(id string) {
	if r := t.rows[id]; r != nil {
		t.unindex(r)
		delete(t.rows, id)
		if i, found := slices.BinarySearch(t.ids, id); found {
			t.ids = slices.Delete(t.ids, i, i+1)
		}
	}
}

func (t *table) index(r *row) {
	if r.deleted() {
		return
	}
	for i, m := range t.unique {
		if v := r.vals[i]; v != "" {
			m[strings.ToLower(v)] = r.id()
		}
	}
	if k := likeness(r); k != "" {
		t.alike[k] = append(t.alike[k], r.id())
	}
}

func (t *table) unindex(r *row) {
	if r.deleted() {
		return
	}
	for i, m := range t.unique {
		if k := strings.ToLower(r.vals[i]); m[k] == r.id() {
			delete(m, k)
		}
	}
	if k := likeness(r); k != "" {
		rest := slices.DeleteFunc(t.alike[k], func(id string) bool { return id == r.id() })
		if t.alike[k] = rest; len(rest) == 0 {
			delete(t.alike, k)
		}
	}
}

// likeness is what the duplicate rule compares: e-mail address and last name.
func likeness(r *row) string {
	if r.schema.name != "Contact" {
		return ""
	}
	email, last := r.get("Email"), r.get("LastName")
	if email == "" {
		return ""
	}
	return strings.ToLower(email) + "\x00" + strings.ToLower(last)
}

// tx is a set of changes that is acknowledged as one. Changes are seen at once by
// what runs inside the same request; undo takes back those after a mark.
type tx struct {
	s       *Server
	changes []change
}

type change struct {
	table *table
	row   *row
	old   *row
}

func (t *tx) put(r *row) {
	tab := t.s.tables[r.schema.name]
	t.changes = append(t.changes, change{table: tab, row: r, old: tab.put(r)})
	t.s.bump(r.id())
}

func (t *tx) undo(mark int) {
	for i := len(t.changes) - 1; i >= mark; i-- {
		c := t.changes[i]
		if c.old == nil {
			c.table.drop(c.row.id())
		} else {
			c.table.put(c.old)
		}
	}
	t.changes = t.changes[:mark]
}

// commit hands the changes to the journal. If that fails they are undone.
func (t *tx) commit() *failure {
	if len(t.changes) == 0 {
		return nil
	}
	e := entry{}
	for _, c := range t.changes {
		e.Rows = append(e.Rows, savedRow(c.row))
	}
	if err := t.s.log(e); err != nil {
		t.undo(0)
		return fail(503, "SERVER_UNAVAILABLE", "the change could not be stored: %v", err)
	}
	t.changes = nil
	return nil
}

// bump keeps the counter of an object's ids above those in use.
func (s *Server) bump(id string) {
	if n := number(id); n >= s.next[id[:3]] {
		s.next[id[:3]] = n + 1
	}
}

func (s *Server) newID(sc *schema) string {
	n := s.next[sc.prefix]
	s.next[sc.prefix] = n + 1
	return newID(sc.prefix, s.instance, n)
}

// lookup returns a row that was not purged, seen or not.
func (s *Server) lookup(id string) *row {
	if len(id) != 18 {
		return nil
	}
	t := s.byPrefix[id[:3]]
	if t == nil {
		return nil
	}
	if r := t.rows[id]; r != nil && !s.gone(r) {
		return r
	}
	return nil
}

// gone reports whether a deleted row has left the recycle bin.
func (s *Server) gone(r *row) bool {
	return r.purged || r.deletedAt != "" && r.deletedAt < stampOf(s.now().Add(-binLife))
}
