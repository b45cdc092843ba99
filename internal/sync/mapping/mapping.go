// Package mapping translates between the fields of one side, under the names the
// vendor gives them, and the canonical fields of a record. It is pure.
package mapping

import (
	"slices"
	"unicode/utf16"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Direction says which way a field travels.
type Direction string

// The directions.
const (
	Both      Direction = "both"
	ToMailbox Direction = "to-mailbox"
	ToCRM     Direction = "to-crm"
)

// Allows reports whether a field of this direction may be written to a side.
func (d Direction) Allows(to record.Side) bool {
	switch d {
	case ToMailbox:
		return to == record.Mailbox
	case ToCRM:
		return to == record.CRM
	default:
		return true
	}
}

// Fields are the fields of an item under the names of its own side. As in a
// record, an absent field is empty; among changes, an empty value clears.
type Fields map[string]record.Value

// Entry ties one canonical field to one or more fields of a side.
type Entry struct {
	Field record.Field
	// Native are the side's names. Several names are the slots of a list field, in
	// order: the first element goes to the first name.
	Native []string
	// Max is how many elements the side holds of a list field that has one name; 0
	// means no limit.
	Max int
	// MaxLen is how many characters of one element the side holds, counted as UTF-16
	// counts them. A longer text is shortened; a longer e-mail address, telephone number
	// or date is left out, because part of one is another one. 0 means no limit.
	MaxLen int
	// Direction is empty for both ways.
	Direction Direction
}

// Capacity returns how many elements of the field the side can hold; 0 means no
// limit.
func (e Entry) Capacity() int {
	switch {
	case !record.SpecOf(e.Field).List:
		return 1
	case len(e.Native) > 1:
		return len(e.Native)
	}
	return e.Max
}

// Fit returns the part of v that the side can hold. Fitting twice changes nothing.
func (e Entry) Fit(v record.Value) record.Value {
	spec := record.SpecOf(e.Field)
	if e.MaxLen > 0 && slices.ContainsFunc(v, func(s string) bool { return len(s) > e.MaxLen }) {
		out := make(record.Value, 0, len(v))
		for _, s := range v {
			if short := prefix(s, e.MaxLen); short == s || spec.Kind == record.Line || spec.Kind == record.Lines {
				out = append(out, short)
			}
		}
		v = record.CleanValue(spec, out)
	}
	if n := e.Capacity(); n > 0 && len(v) > n {
		v = v[:n:n]
	}
	return v
}

// prefix returns as much of s as fits into n UTF-16 code units.
func prefix(s string, n int) string {
	for i, r := range s {
		if n -= utf16.RuneLen(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

// Table is what one side can hold of an entity, field by field.
type Table struct {
	Entity  record.Entity
	Entries []Entry
}

// Entry returns the entry of a canonical field.
func (t Table) Entry(f record.Field) (Entry, bool) {
	i := slices.IndexFunc(t.Entries, func(e Entry) bool { return e.Field == f })
	if i < 0 {
		return Entry{}, false
	}
	return t.Entries[i], true
}

// Native returns the names of all mapped fields of the side, in table order.
func (t Table) Native() []string {
	var names []string
	for _, e := range t.Entries {
		for _, n := range e.Native {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// Read returns the canonical, cleaned record of a side's fields. What is not
// mapped is left out.
func (t Table) Read(native Fields) record.Record {
	r := make(record.Record, len(t.Entries))
	for _, e := range t.Entries {
		var v record.Value
		for _, n := range e.Native {
			v = append(v, native[n]...)
		}
		if v = record.CleanValue(record.SpecOf(e.Field), v); len(v) > 0 {
			r[e.Field] = v
		}
	}
	return r
}

// Write returns the side's fields for a record or a set of changes: one value for
// each native name of each canonical field that r has as a key. Canonical fields
// that the side does not map are left out; what the side cannot hold is cut.
func (t Table) Write(r record.Record) Fields {
	out := make(Fields, len(r))
	for _, e := range t.Entries {
		v, ok := r[e.Field]
		if !ok {
			continue
		}
		v = e.Fit(v)
		if len(e.Native) == 1 {
			out[e.Native[0]] = v
			continue
		}
		for i, n := range e.Native {
			if i < len(v) {
				out[n] = v[i : i+1 : i+1]
			} else {
				out[n] = nil
			}
		}
	}
	return out
}
