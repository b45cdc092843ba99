package sfdc

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// parseDateTime returns the stored form of a time, cut to the second: SOQL ignores
// milliseconds when it compares.
func parseDateTime(s string) (string, bool) {
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return stampOf(t), true
		}
	}
	return "", false
}

func parseDate(s string) (string, bool) {
	_, err := time.Parse(time.DateOnly, s)
	return s, err == nil
}

// column reads one value of a row, along relationships.
type column struct {
	field *field
	via   []*field
}

func (s *Server) read(c column, r *row) string {
	for _, ref := range c.via {
		t := s.tables[ref.refTo].rows[r.vals[ref.idx]]
		if t == nil {
			return ""
		}
		r = t
	}
	return r.vals[c.field.idx]
}

// resolve finds the column that a path means.
func (s *Server) resolve(sc *schema, alias string, p path) (column, *failure) {
	if len(p) > 1 && (strings.EqualFold(p[0], alias) || strings.EqualFold(p[0], sc.name)) && sc.byRel[lower(p[0])] == nil {
		p = p[1:]
	}
	var c column
	for _, rel := range p[:len(p)-1] {
		f := sc.byRel[lower(rel)]
		if f == nil || f.removed {
			return c, badRequest("INVALID_FIELD", "Didn't understand relationship '%s' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", rel)
		}
		c.via = append(c.via, f)
		sc = s.tables[f.refTo].schema
	}
	name := p[len(p)-1]
	if c.field = sc.field(name); c.field == nil {
		return c, badRequest("INVALID_FIELD", "No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", name, sc.name)
	}
	return c, nil
}

// query is a statement that is bound to the organization's schema.
type query struct {
	s       *Server
	table   *table
	tree    *selection
	accept  func(*row) bool
	order   []boundOrdering
	st      *selectStatement
	onlyIDs []string
}

type boundOrdering struct {
	column
	ordering
}

func (s *Server) bind(st *selectStatement) (*query, *failure) {
	t := s.byName[lower(st.object)]
	if t == nil {
		return nil, badRequest("INVALID_TYPE", "sObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.", st.object)
	}
	q := &query{s: s, table: t, st: st, tree: &selection{}}
	seen := make(map[string]bool)
	for _, p := range st.fields {
		c, f := s.resolve(t.schema, st.alias, p)
		if f != nil {
			return nil, f
		}
		if !q.tree.add(c) || seen[lower(p.String())] {
			return nil, malformed("duplicate field selected: %s", p)
		}
		seen[lower(p.String())] = true
	}
	for _, o := range st.order {
		c, f := s.resolve(t.schema, st.alias, o.field)
		if f != nil {
			return nil, f
		}
		if c.field.unfilterable {
			return nil, malformed("field '%s' can not be sorted in a query call", c.field.name)
		}
		q.order = append(q.order, boundOrdering{c, o})
	}
	var f *failure
	if q.accept, f = s.condition(t.schema, st.alias, st.where); f != nil {
		return nil, f
	}
	q.onlyIDs = idsOf(st.where)
	return q, nil
}

// idsOf returns the ids that the condition restricts the rows to, or nil.
func idsOf(c condition) []string {
	switch c := c.(type) {
	case *both:
		if c.or {
			return nil
		}
		for _, t := range c.terms {
			if ids := idsOf(t); ids != nil {
				return ids
			}
		}
	case *comparison:
		if len(c.field) == 1 && strings.EqualFold(c.field[0], "Id") && (c.op == "=" || c.op == "in") {
			ids := make([]string, 0, len(c.values))
			for _, v := range c.values {
				if id, ok := canonicalID(v.text); ok {
					ids = append(ids, id)
				}
			}
			slices.Sort(ids)
			return slices.Compact(ids)
		}
	}
	return nil
}

// condition compiles a WHERE clause.
func (s *Server) condition(sc *schema, alias string, c condition) (func(*row) bool, *failure) {
	switch c := c.(type) {
	case *both:
		terms := make([]func(*row) bool, 0, len(c.terms))
		for _, t := range c.terms {
			g, f := s.condition(sc, alias, t)
			if f != nil {
				return nil, f
			}
			terms = append(terms, g)
		}
		return func(r *row) bool {
			for _, t := range terms {
				if t(r) == c.or {
					return c.or
				}
			}
			return !c.or
		}, nil
	case *negated:
		g, f := s.condition(sc, alias, c.term)
		return func(r *row) bool { return !g(r) }, f
	case *comparison:
		return s.comparison(sc, alias, c)
	}
	return func(*row) bool { return true }, nil
}

func (s *Server) comparison(sc *schema, alias string, c *comparison) (func(*row) bool, *failure) {
	col, f := s.resolve(sc, alias, c.field)
	if f != nil {
		return nil, f
	}
	if col.field.unfilterable {
		return nil, badRequest("INVALID_FIELD", "field '%s' can not be filtered in a query call", col.field.name)
	}
	values := make([]string, 0, len(c.values))
	for _, l := range c.values {
		v, f := literalFor(col.field, c.op, l)
		if f != nil {
			return nil, f
		}
		values = append(values, v)
	}
	fold := folder(col.field)
	one := values[0]
	switch c.op {
	case "=":
		return func(r *row) bool { return fold(s.read(col, r)) == one }, nil
	case "!=":
		return func(r *row) bool { return fold(s.read(col, r)) != one }, nil
	case "in", "notin":
		set := make(map[string]bool, len(values))
		for _, v := range values {
			set[v] = true
		}
		in := c.op == "in"
		return func(r *row) bool { return set[fold(s.read(col, r))] == in }, nil
	case "like":
		return func(r *row) bool { return like(fold(s.read(col, r)), one) }, nil
	}
	return func(r *row) bool {
		v := fold(s.read(col, r))
		if v == "" || one == "" { // nothing is less or more than null
			return false
		}
		switch c.op {
		case "<":
			return v < one
		case "<=":
			return v <= one
		case ">":
			return v > one
		}
		return v >= one
	}, nil
}

// folder returns how values of a field are compared: texts without case, ids and
// times as they are.
func folder(f *field) func(string) string {
	switch f.kind {
	case kID, kReference, kDate, kDateTime, kBoolean:
		return func(s string) string { return s }
	}
	return strings.ToLower
}

// literalFor returns the value that a field is compared with.
func literalFor(f *field, op string, l literal) (string, *failure) {
	mismatch := func(want string) *failure {
		return badRequest("INVALID_FIELD", "value of filter criterion for field '%s' must be of type %s and should %sbe enclosed in quotes",
			f.name, want, map[bool]string{true: "", false: "not "}[want == "string" || want == "id"])
	}
	if op == "like" && f.kind != kString && f.kind != kEmail && f.kind != kPhone && f.kind != kURL && f.kind != kPicklist && f.kind != kTextArea {
		return "", badRequest("INVALID_FIELD", "invalid operator on %s field", f.kind)
	}
	if l.kind == litNull {
		return "", nil
	}
	switch f.kind {
	case kBoolean:
		if l.kind != litBool {
			return "", mismatch("boolean")
		}
		if op != "=" && op != "!=" {
			return "", badRequest("INVALID_FIELD", "invalid operator on boolean field")
		}
		return l.text, nil
	case kDate:
		if l.kind != litDate {
			return "", mismatch("date")
		}
		return l.text, nil
	case kDateTime:
		if l.kind != litDateTime {
			return "", mismatch("dateTime")
		}
		return l.text, nil
	case kID, kReference:
		if l.kind != litString {
			return "", mismatch("id")
		}
		if l.text == "" {
			return "", nil
		}
		id, ok := canonicalID(l.text)
		if !ok {
			return "", badRequest("INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: %s", l.text)
		}
		return id, nil
	}
	if l.kind != litString {
		return "", mismatch("string")
	}
	if op == "like" {
		return strings.ToLower(l.text), nil
	}
	return strings.ToLower(strings.NewReplacer(`\%`, "%", `\_`, "_").Replace(l.text)), nil
}

// like matches a text with a pattern of % and _, both in lower case.
func like(s, pattern string) bool {
	type part struct {
		r       rune
		literal bool
	}
	var ps []part
	escaped := false
	for _, r := range pattern {
		if r == '\\' && !escaped {
			escaped = true
			continue
		}
		ps = append(ps, part{r, escaped || r != '%' && r != '_'})
		escaped = false
	}
	text := []rune(s)
	// The usual greedy match: remember the last % and how much it has eaten.
	ti, pi, star, mark := 0, 0, -1, 0
	for ti < len(text) {
		switch {
		case pi < len(ps) && !ps[pi].literal && ps[pi].r == '%':
			star, mark = pi, ti
			pi++
		case pi < len(ps) && (ps[pi].literal && ps[pi].r == text[ti] || !ps[pi].literal && ps[pi].r == '_'):
			ti++
			pi++
		case star >= 0:
			mark++
			ti, pi = mark, star+1
		default:
			return false
		}
	}
	for pi < len(ps) && !ps[pi].literal && ps[pi].r == '%' {
		pi++
	}
	return pi == len(ps)
}

// run returns the ids of the rows that the query selects, in order.
func (q *query) run(all bool) []string {
	s := q.s
	var found []*row
	consider := func(id string) {
		r := q.table.rows[id]
		if r == nil || s.hidden[id] || s.gone(r) || r.deleted() && !all || !q.accept(r) {
			return
		}
		found = append(found, r)
	}
	ids := q.table.ids
	if q.onlyIDs != nil {
		ids = q.onlyIDs
	}
	for _, id := range ids {
		consider(id)
	}
	keep := len(found)
	if q.st.limit >= 0 {
		keep = min(keep, q.st.limit+q.st.offset)
	}
	found = q.first(found, keep)
	found = found[min(q.st.offset, len(found)):]
	out := make([]string, len(found))
	for i, r := range found {
		out[i] = r.id()
	}
	return out
}

// first returns the first n rows in the order of the query. For a small n it does
// not sort all rows: a keyset reader asks for one page of many.
func (q *query) first(rows []*row, n int) []*row {
	if n < len(rows)/2 && len(q.order) > 0 {
		h := &rowHeap{less: func(a, b *row) bool { return q.compare(a, b) > 0 }}
		for _, r := range rows {
			switch {
			case len(h.rows) < n:
				heap.Push(h, r)
			case n > 0 && q.compare(r, h.rows[0]) < 0:
				h.rows[0] = r
				heap.Fix(h, 0)
			}
		}
		rows = h.rows
	}
	if len(q.order) > 0 {
		slices.SortFunc(rows, q.compare)
	}
	return rows[:n]
}

// compare orders two rows; what the query leaves open is decided by the id.
func (q *query) compare(a, b *row) int {
	for _, o := range q.order {
		fold := folder(o.column.field)
		x, y := fold(q.s.read(o.column, a)), fold(q.s.read(o.column, b))
		if x == y {
			continue
		}
		if x == "" || y == "" {
			if (x == "") != o.nullsLast {
				return -1
			}
			return 1
		}
		c := strings.Compare(x, y)
		if o.desc {
			c = -c
		}
		return c
	}
	return cmp.Compare(a.id(), b.id())
}

type rowHeap struct {
	rows []*row
	less func(a, b *row) bool
}

func (h *rowHeap) Len() int           { return len(h.rows) }
func (h *rowHeap) Less(i, j int) bool { return h.less(h.rows[i], h.rows[j]) }
func (h *rowHeap) Swap(i, j int)      { h.rows[i], h.rows[j] = h.rows[j], h.rows[i] }
func (h *rowHeap) Push(x any)         { h.rows = append(h.rows, x.(*row)) }
func (h *rowHeap) Pop() any {
	r := h.rows[len(h.rows)-1]
	h.rows = h.rows[:len(h.rows)-1]
	return r
}

// selection is the tree of the selected fields: those of the row itself and those
// of the rows that its relationships lead to.
type selection struct {
	fields []*field
	below  []*branch
}

type branch struct {
	ref  *field
	tree *selection
}

// add reports whether the column was new.
func (t *selection) add(c column) bool {
	for _, ref := range c.via {
		i := slices.IndexFunc(t.below, func(b *branch) bool { return b.ref == ref })
		if i < 0 {
			i = len(t.below)
			t.below = append(t.below, &branch{ref, &selection{}})
		}
		t = t.below[i].tree
	}
	if slices.Contains(t.fields, c.field) {
		return false
	}
	t.fields = append(t.fields, c.field)
	return true
}

// appendRow writes the selected part of a row as JSON.
func (s *Server) appendRow(b []byte, version string, r *row, t *selection) []byte {
	b = append(b, `{"attributes":{"type":"`...)
	b = append(b, r.schema.name...)
	b = append(b, `","url":"`...)
	b = append(b, rowURL(version, r.schema.name, r.id())...)
	b = append(b, `"}`...)
	for _, f := range t.fields {
		b = append(b, `,"`...)
		b = append(b, f.name...)
		b = append(b, `":`...)
		b = appendValue(b, f, r.vals[f.idx])
	}
	for _, below := range t.below {
		b = append(b, `,"`...)
		b = append(b, below.ref.rel...)
		b = append(b, `":`...)
		if to := s.tables[below.ref.refTo].rows[r.vals[below.ref.idx]]; to != nil {
			b = s.appendRow(b, version, to, below.tree)
		} else {
			b = append(b, "null"...)
		}
	}
	return append(b, '}')
}

func appendValue(b []byte, f *field, v string) []byte {
	switch {
	case v == "":
		return append(b, "null"...)
	case f.kind == kBoolean:
		return append(b, v...)
	case f.kind == kDateTime:
		b = append(b, '"')
		b = append(b, apiTime(v)...)
		return append(b, '"')
	}
	quoted, err := json.Marshal(v)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return append(b, quoted...)
}

// apiTime is how the API writes a stored time.
func apiTime(stamp string) string { return strings.TrimSuffix(stamp, "Z") + ".000+0000" }

func rowURL(version, object, id string) string {
	if version == "" {
		version = defaultVersion
	}
	return "/services/data/" + version + "/sobjects/" + object + "/" + id
}
