package sfdc

import (
	"encoding/json"
	"net/http"
	"strings"
)

const (
	// maxCollection is how many records a collection request takes; maxRetrieve how
	// many ids a read takes in its body ("sObject Collections").
	maxCollection = 200
	maxRetrieve   = 2000
	// maxChunks is how many runs of consecutive records of one type a request may have.
	maxChunks = 10
)

// collections answers what lies below /composite/sobjects.
func (s *Server) collections(c *call, rest []string) *reply {
	switch {
	case len(rest) == 0:
		s.stats.CollectionWrites++
		switch c.method {
		case http.MethodPost, http.MethodPatch:
			return s.saveMany(c, nil, nil)
		case http.MethodDelete:
			return s.deleteMany(c)
		}
		return methodNotAllowed(c)
	case len(rest) == 1:
		t := s.byName[lower(rest[0])]
		if t == nil {
			return failed(notFound())
		}
		s.stats.CollectionReads++
		return s.readMany(c, t)
	case len(rest) == 2 && c.method == http.MethodPatch:
		t := s.byName[lower(rest[0])]
		if t == nil {
			return failed(notFound())
		}
		f := t.schema.field(rest[1])
		if f == nil || !f.externalID && f.kind != kID {
			return failed(badRequest("INVALID_FIELD", "Field name provided, %s does not match an External ID, Salesforce Id, or indexed field for %s", rest[1], t.schema.name))
		}
		s.stats.CollectionWrites++
		return s.saveMany(c, t, f)
	}
	return failed(notFound())
}

// readMany returns rows by id, with null for those that cannot be read.
func (s *Server) readMany(c *call, t *table) *reply {
	var ids, names []string
	switch c.method {
	case http.MethodGet:
		ids, names = splitList(c.query.Get("ids")), splitList(c.query.Get("fields"))
	case http.MethodPost:
		var in struct {
			IDs    []string `json:"ids"`
			Fields []string `json:"fields"`
		}
		if f := decode(c.body, &in); f != nil {
			return failed(f)
		}
		ids, names = in.IDs, in.Fields
	default:
		return methodNotAllowed(c)
	}
	if len(ids) == 0 || len(names) == 0 {
		return failed(badRequest("MISSING_ARGUMENT", "ids and fields are required"))
	}
	if len(ids) > maxRetrieve {
		return failed(badRequest("LIMIT_EXCEEDED", "at most %d ids", maxRetrieve))
	}
	tree, f := s.selected(t.schema, strings.Join(names, ","))
	if f != nil {
		return failed(f)
	}
	b := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		r, f := s.find(t, id)
		if f != nil {
			if _, ok := canonicalID(id); !ok {
				return failed(badRequest("MALFORMED_ID", "malformed id %s", id))
			}
			b = append(b, "null"...)
			continue
		}
		b = s.appendRow(b, c.version, r, tree)
	}
	return answer(http.StatusOK, json.RawMessage(append(b, ']')))
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// outcome is the result of one record of a collection.
type outcome struct {
	id      string
	created *bool
	err     *failure
}

func (o outcome) body() any {
	m := map[string]any{"success": o.err == nil, "errors": []any{}}
	if o.id != "" {
		m["id"] = o.id
	}
	if o.created != nil && o.err == nil {
		m["created"] = *o.created
	}
	if o.err != nil {
		m["errors"] = []any{o.err.item()}
	}
	return m
}

// saveMany creates, updates or, with a table and an external id field, upserts
// records. A field that does not exist fails the whole request, because the body is
// read before anything is written; everything else fails its own record.
func (s *Server) saveMany(c *call, upsertTo *table, key *field) *reply {
	var in struct {
		AllOrNone bool     `json:"allOrNone"`
		Records   []fields `json:"records"`
	}
	if f := decode(c.body, &in); f != nil {
		return failed(f)
	}
	if f := collectionSize(len(in.Records)); f != nil {
		return failed(f)
	}
	tables := make([]*table, len(in.Records))
	chunks := 0
	for i, rec := range in.Records {
		t, f := s.typeOf(rec)
		if f == nil && upsertTo != nil && t != upsertTo {
			f = badRequest("INVALID_TYPE", "all records of an upsert must be of one type")
		}
		if f == nil {
			f = s.writable(t)
		}
		if f == nil {
			f = knownFields(t.schema, rec)
		}
		if f != nil {
			return failed(f)
		}
		if i == 0 || tables[i-1] != t {
			chunks++
		}
		tables[i] = t
	}
	if chunks > maxChunks {
		return failed(badRequest("LIMIT_EXCEEDED", "at most %d chunks of different types", maxChunks))
	}
	return s.each(c, len(in.Records), in.AllOrNone, func(i int) outcome {
		if key != nil && key.kind != kID {
			return s.upsertOne(c, tables[i], key, in.Records[i])
		}
		id, given := recordID(in.Records[i])
		if c.method == http.MethodPost {
			if given {
				return outcome{err: badRequest("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call").on("Id")}
			}
			id, f := s.insert(s.writing(c), tables[i].schema, in.Records[i])
			return outcome{id: id, err: f}
		}
		if !given {
			return outcome{err: badRequest("MISSING_ARGUMENT", "Id not specified in an update call").on("Id")}
		}
		if f := s.update(s.writing(c), tables[i].schema, id, in.Records[i]); f != nil {
			return outcome{id: id, err: itemFailure(f)}
		}
		cid, _ := canonicalID(id)
		return outcome{id: cid}
	})
}

func (s *Server) upsertOne(c *call, t *table, key *field, rec fields) outcome {
	value, f := s.convert(key, valueOf(rec, key.name))
	if f != nil {
		return outcome{err: f}
	}
	if value == "" {
		return outcome{err: badRequest("MISSING_ARGUMENT", "%s not specified", key.name).on(key.name)}
	}
	yes, no := true, false
	ids := s.byExternal(t, key, value)
	switch len(ids) {
	case 0:
		id, f := s.insert(s.writing(c), t.schema, rec)
		return outcome{id: id, created: &yes, err: f}
	case 1:
		f := s.update(s.writing(c), t.schema, ids[0], rec)
		return outcome{id: ids[0], created: &no, err: itemFailure(f)}
	}
	return outcome{err: badRequest("DUPLICATE_EXTERNAL_ID", "%s: more than one record found for external id field: [%s]", key.name, strings.Join(ids, ", ")).on(key.name)}
}

func (s *Server) deleteMany(c *call) *reply {
	ids := splitList(c.query.Get("ids"))
	if f := collectionSize(len(ids)); f != nil {
		return failed(f)
	}
	return s.each(c, len(ids), c.query.Get("allOrNone") == "true", func(i int) outcome {
		cid, ok := canonicalID(ids[i])
		if !ok || s.byPrefix[cid[:3]] == nil {
			return outcome{err: badRequest("MALFORMED_ID", "malformed id %s", ids[i]).on("Id")}
		}
		t := s.byPrefix[cid[:3]]
		f := s.writable(t)
		if f == nil {
			f = itemFailure(s.remove(s.writing(c), t.schema, cid, ""))
		}
		return outcome{id: cid, err: f}
	})
}

// each runs the records one after another. The reply is 200 whatever became of them,
// in the order of the request.
func (s *Server) each(c *call, n int, allOrNone bool, one func(i int) outcome) *reply {
	mark := len(c.tx.changes)
	results := make([]outcome, n)
	bad := false
	for i := range n {
		results[i] = one(i)
		bad = bad || results[i].err != nil
	}
	if bad && allOrNone {
		c.tx.undo(mark)
		for i := range results {
			if results[i].err == nil {
				results[i] = outcome{err: badRequest("ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid and the request was using AllOrNone header")}
			}
		}
	}
	out := make([]any, n)
	for i, r := range results {
		switch {
		case r.err != nil:
			s.stats.Rejected++
		case c.method == http.MethodDelete:
			s.stats.Removed++
		case c.method == http.MethodPost || r.created != nil && *r.created:
			s.stats.Created++
		default:
			s.stats.Changed++
		}
		out[i] = r.body()
	}
	return answer(http.StatusOK, out)
}

// itemFailure words what a single row reports by its status as the code that an item
// of a collection has.
func itemFailure(f *failure) *failure {
	if f != nil && f.code == "NOT_FOUND" {
		return badRequest("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	}
	return f
}

func collectionSize(n int) *failure {
	switch {
	case n == 0:
		return badRequest("MISSING_ARGUMENT", "The required field is missing: records")
	case n > maxCollection:
		return badRequest("LIMIT_EXCEEDED", "record limit reached: cannot submit more than %d records in this operation", maxCollection)
	}
	return nil
}

func (s *Server) typeOf(rec fields) (*table, *failure) {
	attributes, _ := rec["attributes"].(map[string]any)
	name, _ := attributes["type"].(string)
	if t := s.byName[lower(name)]; t != nil {
		return t, nil
	}
	return nil, badRequest("INVALID_TYPE", "sObject type '%s' is not supported.", name)
}

func knownFields(sc *schema, rec fields) *failure {
	for _, name := range sortedNames(rec) {
		if name != "attributes" && sc.field(name) == nil {
			return noColumn(name, sc.name)
		}
	}
	return nil
}

func recordID(rec fields) (string, bool) {
	id, _ := valueOf(rec, "Id").(string)
	return id, id != ""
}

func valueOf(rec fields, name string) any {
	for k, v := range rec {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}
