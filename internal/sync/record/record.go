// Package record holds one contact, event, task or message in its canonical
// form: the same Go type for every connector, with the rules that make two
// systems' spellings of one thing comparable. It is a leaf: it imports nothing
// of this project.
package record

import (
	"maps"
	"slices"
	"strings"
)

// Side is one of the two replicas of a user's data.
type Side string

// The two sides.
const (
	CRM     Side = "crm"
	Mailbox Side = "mailbox"
)

// Other returns the opposite side.
func (s Side) Other() Side {
	if s == CRM {
		return Mailbox
	}
	return CRM
}

// Entity is a kind of record.
type Entity string

// The entities. Only contacts are synchronized so far.
const (
	Contacts Entity = "contacts"
	Events   Entity = "events"
	Tasks    Entity = "tasks"
	Emails   Entity = "emails"
)

// Field names one field of a record in its canonical form.
type Field string

// Value is what a field holds: nothing, one text, or, in a list field, several
// texts in the order in which the side keeps them. Empty and absent are the same.
type Value []string

// Text returns a value of one text; an empty text is an empty value.
func Text(s string) Value {
	if s == "" {
		return nil
	}
	return Value{s}
}

// First returns the first element, or "" for an empty value.
func (v Value) First() string {
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// Record is one thing in canonical form. A field that is not a key is empty. In a
// set of changes, a key with an empty value says that the field is cleared.
type Record map[Field]Value

// Clone returns a copy that shares nothing with r.
func (r Record) Clone() Record {
	c := make(Record, len(r))
	for f, v := range r {
		c[f] = slices.Clone(v)
	}
	return c
}

// Fields returns the names of the fields that r has as keys, sorted.
func (r Record) Fields() []Field {
	return slices.Sorted(maps.Keys(r))
}

// Label is how a person would name the record in a list: the full name, else the
// company, else the first e-mail address. It is record content: it may be shown
// to the person who asked for a plan, never written into a log or the state.
func (r Record) Label() string {
	var parts []string
	for _, f := range []Field{GivenName, MiddleName, FamilyName, Suffix} {
		if s := r[f].First(); s != "" {
			parts = append(parts, s)
		}
	}
	name, company := strings.Join(parts, " "), r[Company].First()
	switch {
	case name != "" && company != "":
		return name + " (" + company + ")"
	case name != "":
		return name
	case company != "":
		return company
	}
	return r[EmailAddresses].First()
}
