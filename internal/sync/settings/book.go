package settings

import "strconv"

// Book holds all values that are set. It is made once for a run and not changed, so it
// may be read from several goroutines.
type Book struct {
	values map[place]map[string]string
	// set are the keys that anybody has set.
	set map[string]bool
}

// place is where values are set.
type place struct {
	level   Level
	subject string
}

// NewBook returns a book of values.
func NewBook(all []Setting) *Book {
	b := &Book{values: map[place]map[string]string{}, set: map[string]bool{}}
	for _, s := range all {
		p := place{s.Level, s.Subject}
		if b.values[p] == nil {
			b.values[p] = map[string]string{}
		}
		b.values[p][s.Key] = s.Value
		b.set[s.Key] = true
	}
	return b
}

// At returns what is set for the level, subject and key of s, and whether anything is.
func (b *Book) At(s Setting) (string, bool) {
	text, ok := b.values[place{s.Level, s.Subject}][s.Key]
	return text, ok
}

// UserSubject returns the subject of what is set for a user.
func UserSubject(id int64) string { return strconv.FormatInt(id, 10) }

// For returns the values that count for a user of an organization.
func (b *Book) For(user int64, org string) Values {
	return Values{book: b, places: [...]place{{User, UserSubject(user)}, {Group, ""}, {Org, org}, {All, ""}}}
}

// ForOrg returns the values that count in an organization where its users have none of
// their own; with no name, those that count for everybody.
func (b *Book) ForOrg(org string) Values { return b.For(0, org) }

// Values are what counts for one user.
type Values struct {
	book *Book
	// places are looked at in this order, the narrowest first.
	places [4]place
}

// Get returns the value of a key, the built-in one where nobody has set one. A key that
// inherits has the other's value unless it is set itself, at whatever level.
func (v Values) Get(k Key) Value {
	if v.book.set[k.Name] {
		for _, p := range v.places {
			if text, ok := v.book.values[p][k.Name]; ok {
				return Value{Text: text, Origin: Origin{Level: p.level, Subject: p.subject, Key: k.Name}}
			}
		}
	}
	if k.Inherits != "" {
		return v.Get(byName[k.Inherits])
	}
	return Value{Text: k.BuiltIn, Origin: Origin{Level: BuiltIn, Key: k.Name}}
}
