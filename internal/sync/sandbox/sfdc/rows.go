package sfdc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sobjects answers what lies below /sobjects: the list of objects, describe, single
// rows, and the replication calls.
func (s *Server) sobjects(c *call, rest []string) *reply {
	if len(rest) == 0 {
		s.stats.Describes++
		return s.describeGlobal(c)
	}
	t := s.byName[lower(rest[0])]
	if t == nil {
		return failed(notFound())
	}
	switch {
	case len(rest) == 1:
		if c.method == http.MethodGet {
			s.stats.Describes++
			return answer(http.StatusOK, map[string]any{"objectDescribe": objectInfo(c, t.schema), "recentItems": []any{}})
		}
		s.stats.RowWrites++
		return s.createRow(c, t)
	case len(rest) == 2 && rest[1] == "describe":
		s.stats.Describes++
		return s.describe(c, t.schema)
	case len(rest) == 2 && rest[1] == "updated":
		s.stats.Updated++
		return s.updated(c, t)
	case len(rest) == 2 && rest[1] == "deleted":
		s.stats.Deleted++
		return s.deletedRows(c, t)
	case len(rest) == 2:
		return s.rowCall(c, t, rest[1])
	case len(rest) == 3:
		return s.externalRow(c, t, rest[1], rest[2])
	}
	return failed(notFound())
}

// writing is the context of a write through the API.
func (s *Server) writing(c *call) write {
	w := write{tx: c.tx, user: c.user, at: s.now(), api: true}
	for part := range strings.SplitSeq(c.header.Get("Sforce-Duplicate-Rule-Header"), ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(k, "allowSave") && strings.EqualFold(v, "true") {
			w.allowDuplicates = true
		}
	}
	return w
}

func (s *Server) writable(t *table) *failure {
	if t.schema.readOnly {
		return badRequest("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "entity type %s cannot be changed here", t.schema.name)
	}
	return nil
}

func (s *Server) createRow(c *call, t *table) *reply {
	if c.method != http.MethodPost {
		return methodNotAllowed(c)
	}
	if f := s.writable(t); f != nil {
		return failed(f)
	}
	var in fields
	if f := decode(c.body, &in); f != nil {
		return failed(f)
	}
	return s.created(c, t, in)
}

func (s *Server) created(c *call, t *table, in fields) *reply {
	id, f := s.insert(s.writing(c), t.schema, in)
	if f != nil {
		s.stats.Rejected++
		return failed(f)
	}
	s.stats.Created++
	rep := answer(http.StatusCreated, map[string]any{"id": id, "success": true, "errors": []any{}})
	rep.header = http.Header{"Location": {rowURL(c.version, t.schema.name, id)}}
	return rep
}

// find returns a row that may be read, or why not.
func (s *Server) find(t *table, id string) (*row, *failure) {
	cid, ok := canonicalID(id)
	if !ok || cid[:3] != t.schema.prefix {
		return nil, notFound()
	}
	r := s.lookup(cid)
	switch {
	case r == nil, s.hidden[cid]:
		return nil, notFound()
	case r.deleted():
		return nil, isDeleted()
	}
	return r, nil
}

func (s *Server) rowCall(c *call, t *table, id string) *reply {
	switch c.method {
	case http.MethodGet, http.MethodHead:
		s.stats.RowReads++
		r, f := s.find(t, id)
		if f != nil {
			return failed(f)
		}
		return s.showRow(c, r)
	case http.MethodPatch:
		s.stats.RowWrites++
		var in fields
		if f := decode(c.body, &in); f != nil {
			return failed(f)
		}
		if f := s.writable(t); f != nil {
			return failed(f)
		}
		return s.updateRow(c, t, id, in, answer(http.StatusNoContent, nil))
	case http.MethodDelete:
		s.stats.RowWrites++
		if f := s.writable(t); f != nil {
			return failed(f)
		}
		return s.deleteRow(c, t, id)
	}
	return methodNotAllowed(c)
}

func (s *Server) updateRow(c *call, t *table, id string, in fields, done *reply) *reply {
	if cid, ok := canonicalID(id); ok {
		if r := s.lookup(cid); r != nil && !r.deleted() && !s.hidden[cid] {
			if rep := precondition(c, r); rep != nil {
				s.stats.Rejected++
				return rep
			}
		}
	}
	if f := s.update(s.writing(c), t.schema, id, in); f != nil {
		s.stats.Rejected++
		return failed(f)
	}
	s.stats.Changed++
	return done
}

func (s *Server) deleteRow(c *call, t *table, id string) *reply {
	if f := s.remove(s.writing(c), t.schema, id, ""); f != nil {
		s.stats.Rejected++
		return failed(f)
	}
	s.stats.Removed++
	return answer(http.StatusNoContent, nil)
}

// precondition checks If-Unmodified-Since and If-Modified-Since against the last
// modified date of the row, in whole seconds: a weak check ("Conditional Request
// Headers"). What automation changed moves SystemModstamp alone and is not seen.
// It returns nil if the request may go on.
func precondition(c *call, r *row) *reply {
	modified, err := time.Parse(stampLayout, r.vals[fModified])
	if err != nil {
		return nil
	}
	if v := c.header.Get("If-Unmodified-Since"); v != "" {
		t, err := http.ParseTime(v)
		if err != nil {
			return failed(badRequest("INVALID_HEADER_VALUE", "invalid value of If-Unmodified-Since"))
		}
		if modified.After(t) {
			return answer(http.StatusPreconditionFailed, nil)
		}
	}
	if v := c.header.Get("If-Modified-Since"); v != "" {
		t, err := http.ParseTime(v)
		switch read := c.method == http.MethodGet || c.method == http.MethodHead; {
		case err != nil: // an invalid date is ignored, as HTTP says
		case !modified.After(t) && read:
			return answer(http.StatusNotModified, nil)
		case !modified.After(t):
			return answer(http.StatusPreconditionFailed, nil)
		}
	}
	return nil
}

// showRow answers with a row: the fields asked for, or all.
func (s *Server) showRow(c *call, r *row) *reply {
	if rep := precondition(c, r); rep != nil {
		return rep
	}
	tree, f := s.selected(r.schema, c.query.Get("fields"))
	if f != nil {
		return failed(f)
	}
	rep := answer(http.StatusOK, json.RawMessage(s.appendRow(nil, c.version, r, tree)))
	if t, err := time.Parse(stampLayout, r.vals[fModified]); err == nil {
		rep.header = http.Header{"Last-Modified": {t.Format(http.TimeFormat)}}
	}
	return rep
}

// selected reads a list of field names; an empty one is all fields.
func (s *Server) selected(sc *schema, list string) (*selection, *failure) {
	tree := &selection{}
	if list == "" {
		for _, f := range sc.fields {
			if !f.removed {
				tree.fields = append(tree.fields, f)
			}
		}
		return tree, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		p, f := newPath(strings.TrimSpace(name))
		if f != nil {
			return nil, noColumn(name, sc.name)
		}
		col, f := s.resolve(sc, "", p)
		if f != nil {
			return nil, f
		}
		tree.add(col)
	}
	return tree, nil
}

// externalRow answers /sobjects/Type/Field/value: one row by its external id.
func (s *Server) externalRow(c *call, t *table, name, value string) *reply {
	if strings.EqualFold(name, "Id") && value != "" {
		return s.rowCall(c, t, value)
	}
	f := t.schema.field(name)
	if f == nil || !f.externalID {
		return failed(fail(http.StatusNotFound, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: %s", name))
	}
	ids := s.byExternal(t, f, value)
	if len(ids) > 1 {
		urls := make([]string, 0, len(ids))
		for _, id := range ids {
			urls = append(urls, rowURL(c.version, t.schema.name, id))
		}
		return answer(http.StatusMultipleChoices, urls)
	}
	switch c.method {
	case http.MethodGet, http.MethodHead:
		s.stats.RowReads++
		if len(ids) == 0 {
			return failed(notFound())
		}
		return s.showRow(c, t.rows[ids[0]])
	case http.MethodDelete:
		s.stats.RowWrites++
		if len(ids) == 0 {
			return failed(notFound())
		}
		return s.deleteRow(c, t, ids[0])
	case http.MethodPatch:
		s.stats.RowWrites++
		if fl := s.writable(t); fl != nil {
			return failed(fl)
		}
		var in fields
		if fl := decode(c.body, &in); fl != nil {
			return failed(fl)
		}
		if in == nil {
			in = fields{}
		}
		for k := range in {
			if strings.EqualFold(k, name) || strings.EqualFold(k, "Id") {
				return failed(badRequest("INVALID_FIELD", "The %s field should not be specified in the sobject data.", k).on(k))
			}
		}
		if len(ids) == 0 {
			in[f.name] = value
			rep := s.created(c, t, in)
			if m, ok := rep.body.(map[string]any); ok {
				m["created"] = true
			}
			return rep
		}
		return s.updateRow(c, t, ids[0], in, answer(http.StatusOK, map[string]any{
			"id": ids[0], "success": true, "created": false, "errors": []any{},
		}))
	}
	return methodNotAllowed(c)
}

// byExternal returns the live rows that bear an external id. Unique fields give one
// at most; a field that lost its uniqueness may give more.
func (s *Server) byExternal(t *table, f *field, value string) []string {
	if value == "" {
		return nil
	}
	if m := t.unique[f.idx]; m != nil {
		if id := m[lower(value)]; id != "" && !s.hidden[id] {
			return []string{id}
		}
		return nil
	}
	var ids []string
	for _, id := range t.ids {
		if r := t.rows[id]; !r.deleted() && !s.hidden[id] && strings.EqualFold(r.vals[f.idx], value) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// queryTime reads a time parameter of the replication calls. A plus sign that the
// client did not escape arrives as a space.
func queryTime(v url.Values, name string) (time.Time, bool) {
	text := strings.ReplaceAll(v.Get(name), " ", "+")
	stamp, ok := parseDateTime(text)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(stampLayout, stamp)
	return t, err == nil
}
