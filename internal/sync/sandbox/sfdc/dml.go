package sfdc

import (
	"encoding/json"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// write is the context of one insert, update or delete.
type write struct {
	tx *tx
	// user is whose name the row gets as its creator or last modifier.
	user string
	at   time.Time
	// api: the write comes through the API, with its checks of access, duplicates and
	// locks. A person's own edit passes the duplicate rule with a click.
	api bool
	// allowDuplicates is the header Sforce-Duplicate-Rule-Header: allowSave=true.
	allowDuplicates bool
	// automation moves SystemModstamp alone.
	automation bool
}

// fields are values as they come from JSON: string, bool, json.Number or nil.
type fields map[string]any

// insert adds a row and returns its id.
func (s *Server) insert(w write, sc *schema, in fields) (string, *failure) {
	r := &row{schema: sc, vals: blank(sc)}
	if f := s.assign(r, in); f != nil {
		return "", f
	}
	if sc.byName["ownerid"] != nil && r.get("OwnerId") == "" {
		r.set("OwnerId", w.user)
	}
	if f := s.check(w, r, nil); f != nil {
		return "", f
	}
	if w.api {
		if f := s.lockFailure(); f != nil {
			return "", f
		}
	}
	at := stampOf(w.at)
	r.vals[fID] = s.newID(sc)
	r.vals[fCreated], r.vals[fModified], r.vals[fStamp] = at, at, at
	r.vals[fCreatedBy], r.vals[fModifiedBy] = w.user, w.user
	s.compute(r)
	w.tx.put(r)
	return r.id(), nil
}

// update changes a live row.
func (s *Server) update(w write, sc *schema, id string, in fields) *failure {
	old, f := s.target(w, sc, id)
	if f != nil {
		return f
	}
	r := old.clone()
	if f := s.assign(r, in); f != nil {
		return f
	}
	if f := s.check(w, r, old); f != nil {
		return f
	}
	s.touch(w, r)
	s.compute(r)
	w.tx.put(r)
	return nil
}

// remove puts a live row into the recycle bin; master is the row that it was merged
// into, or "".
func (s *Server) remove(w write, sc *schema, id, master string) *failure {
	old, f := s.target(w, sc, id)
	if f != nil {
		return f
	}
	r := old.clone()
	r.vals[fDeleted] = "true"
	r.deletedAt = stampOf(w.at)
	if master != "" {
		r.set("MasterRecordId", master)
	}
	s.touch(w, r)
	w.tx.put(r)
	return nil
}

func (s *Server) touch(w write, r *row) {
	r.vals[fStamp] = stampOf(w.at)
	if !w.automation {
		r.vals[fModified], r.vals[fModifiedBy] = stampOf(w.at), w.user
	}
}

// target finds the row of an update or delete.
func (s *Server) target(w write, sc *schema, id string) (*row, *failure) {
	cid, ok := canonicalID(id)
	if !ok || cid[:3] != sc.prefix {
		return nil, badRequest("MALFORMED_ID", "%s ID: id value of incorrect type: %s", sc.name, id).on("Id")
	}
	r := s.lookup(cid)
	switch {
	case r == nil:
		return nil, notFound()
	case r.deleted():
		return nil, isDeleted()
	case w.api && s.hidden[cid]:
		return nil, noAccess()
	case s.locked[cid] > 0:
		return nil, lockFailure()
	}
	if w.api {
		if f := s.lockFailure(); f != nil {
			return nil, f
		}
	}
	return r, nil
}

func lockFailure() *failure {
	return badRequest("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records")
}

// lockFailure uses up one of the lock failures that were asked for.
func (s *Server) lockFailure() *failure {
	if s.lockFailures == 0 {
		return nil
	}
	s.lockFailures--
	return lockFailure()
}

// assign converts and stores the given values.
func (s *Server) assign(r *row, in fields) *failure {
	for _, name := range sortedNames(in) {
		if name == "attributes" || strings.EqualFold(name, "id") {
			continue
		}
		f := r.schema.field(name)
		if f == nil {
			return noColumn(name, r.schema.name)
		}
		if f.readOnly {
			return badRequest("INVALID_FIELD_FOR_INSERT_UPDATE",
				"Unable to create/update fields: %s. Please check the security settings of this field and verify that it is read/write for your profile or permission set.", f.name).on(f.name)
		}
		v, bad := s.convert(f, in[name])
		if bad != nil {
			return bad
		}
		r.vals[f.idx] = v
	}
	return nil
}

func sortedNames(in fields) []string {
	names := make([]string, 0, len(in))
	for n := range in {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// convert returns the stored form of a JSON value: white space around a text is
// taken away, an empty text is null.
func (s *Server) convert(f *field, v any) (string, *failure) {
	var t string
	switch v := v.(type) {
	case nil:
		if f.kind == kBoolean {
			return "", badRequest("INVALID_TYPE_ON_FIELD_IN_RECORD", "%s: value not of required type: null", f.label).on(f.name)
		}
		return "", nil
	case string:
		t = strings.TrimSpace(v)
	case bool:
		if f.kind != kBoolean {
			return "", parserError(f, "VALUE_BOOLEAN")
		}
		if v {
			return "true", nil
		}
		return "false", nil
	case json.Number:
		return "", parserError(f, "VALUE_NUMBER")
	default:
		return "", parserError(f, "START_OBJECT")
	}
	if s.lowerEmail && f.kind == kEmail {
		t = strings.ToLower(t)
	}
	switch f.kind {
	case kBoolean:
		if t = strings.ToLower(t); t != "true" && t != "false" {
			return "", parserError(f, "VALUE_STRING")
		}
	case kDate:
		if t == "" {
			return "", nil
		}
		d, err := time.Parse(time.DateOnly, t)
		if err != nil {
			return "", parserError(f, "VALUE_STRING")
		}
		if y := d.Year(); y < 1700 || y > 4000 {
			return "", badRequest("NUMBER_OUTSIDE_VALID_RANGE", "%s: invalid date", f.label).on(f.name)
		}
	case kReference:
		return s.reference(f, t)
	case kEmail:
		if t != "" && !validEmail(t) {
			return "", badRequest("INVALID_EMAIL_ADDRESS", "%s: invalid email address: %s", f.label, t).on(f.name)
		}
	}
	if f.length > 0 && utf8.RuneCountInString(t) > f.length {
		return "", badRequest("STRING_TOO_LONG", "%s: data value too large: %s (max length=%d)", f.label, t, f.length).on(f.name)
	}
	return t, nil
}

func parserError(f *field, token string) *failure {
	return badRequest("JSON_PARSER_ERROR", "Cannot deserialize instance of %s from %s value or request may be missing a required field", f.kind, token)
}

func (s *Server) reference(f *field, id string) (string, *failure) {
	if id == "" {
		return "", nil
	}
	cid, ok := canonicalID(id)
	if !ok {
		return "", badRequest("MALFORMED_ID", "%s: id value of incorrect type: %s", f.label, id).on(f.name)
	}
	to := s.tables[f.refTo]
	if cid[:3] != to.schema.prefix {
		return "", badRequest("FIELD_INTEGRITY_EXCEPTION", "%s: id value of incorrect type: %s", f.label, id).on(f.name)
	}
	r := s.lookup(cid)
	if r == nil || r.deleted() {
		return "", badRequest("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id").on(f.name)
	}
	if f.name == "OwnerId" && r.get("IsActive") != "true" {
		return "", badRequest("INACTIVE_OWNER_OR_USER", "operation performed with inactive user [%s] as owner", cid).on(f.name)
	}
	return cid, nil
}

// validEmail accepts what Salesforce's own check accepts as near as it is
// documented: one address, with a dot in its domain.
func validEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || strings.ContainsAny(s, " \"<>(),;:[]") {
		return false
	}
	domain := s[strings.LastIndexByte(s, '@')+1:]
	dot := strings.LastIndexByte(domain, '.')
	return dot > 0 && dot < len(domain)-1
}

// check applies the rules that look at the whole row.
func (s *Server) check(w write, r, old *row) *failure {
	var missing []string
	for _, f := range r.schema.fields {
		if f.required && r.vals[f.idx] == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return badRequest("REQUIRED_FIELD_MISSING", "Required fields are missing: [%s]", strings.Join(missing, ", ")).on(missing...)
	}
	t := s.tables[r.schema.name]
	for i, m := range t.unique {
		f := r.schema.fields[i]
		if id, taken := m[strings.ToLower(r.vals[i])]; taken && id != r.id() {
			return badRequest("DUPLICATE_VALUE", "duplicate value found: %s duplicates value on record with id: %s", f.name, id).on(f.name)
		}
	}
	for _, rule := range s.rules {
		if rule.breaks(r) {
			return badRequest("FIELD_CUSTOM_VALIDATION_EXCEPTION", "%s", rule.Message).on(rule.Field)
		}
	}
	if old == nil && w.api && s.duplicateRule && !w.allowDuplicates {
		if k := likeness(r); k != "" {
			var seen []string
			for _, id := range t.alike[k] {
				if !s.hidden[id] {
					seen = append(seen, id)
				}
			}
			if len(seen) > 0 {
				f := badRequest("DUPLICATES_DETECTED", "Use one of these records?")
				f.duplicates = seen
				return f
			}
		}
	}
	return nil
}

// compute fills what follows from other fields.
func (s *Server) compute(r *row) {
	if r.schema.name != "Contact" && r.schema.name != "User" {
		return
	}
	var parts []string
	for _, n := range []string{"FirstName", "MiddleName", "LastName", "Suffix"} {
		if r.schema.byName[lower(n)] != nil && r.get(n) != "" {
			parts = append(parts, r.get(n))
		}
	}
	r.set("Name", strings.Join(parts, " "))
}

// ValidationRule refuses contacts, as an administrator's formula would.
type ValidationRule struct {
	// Field is the API name of the field that the rule looks at and blames.
	Field string `json:"field"`
	// Contains refuses values that contain it, without case; Required refuses an empty
	// value instead.
	Contains string `json:"contains,omitempty"`
	Required bool   `json:"required,omitempty"`
	// Message is what the person sees.
	Message string `json:"message"`
}

func (v ValidationRule) breaks(r *row) bool {
	if r.schema.name != "Contact" {
		return false
	}
	value := r.get(v.Field)
	if v.Required {
		return value == ""
	}
	return v.Contains != "" && strings.Contains(strings.ToLower(value), strings.ToLower(v.Contains))
}

func lower(s string) string { return strings.ToLower(s) }
