// Package settings is what administrators may set: the keys, what they mean and allow,
// and whose value counts for whom. It is pure.
//
// A value is set for everybody, for an organization or for a user; the narrowest counts,
// and where nobody has set one, the built-in value does. The keys are in keys.go, how a
// value is found in book.go, and the types that the engine uses in rules.go.
package settings

// Level says for whom a value is set.
type Level string

// The levels, the widest first. There are no groups yet; their level has its place
// between the organization and the user.
const (
	BuiltIn Level = "built-in"
	All     Level = "all"
	Org     Level = "org"
	Group   Level = "group"
	User    Level = "user"
)

// Setting is a value that somebody has set.
type Setting struct {
	Level Level
	// Subject is the organization's name, the group's name or the user's number; empty
	// for All.
	Subject string
	Key     string
	// Value is in the form that Parse returns.
	Value string
}

// Origin says where a value comes from.
type Origin struct {
	Level   Level
	Subject string
	// Key is under which the value is set: another one than was asked for where that
	// inherits.
	Key string
}

// Value is what a key comes to, and where that comes from.
type Value struct {
	Text   string
	Origin Origin
}
