package salesforce

import (
	"net/url"
	"strings"
	"time"
)

// quote returns a text as a SOQL literal ("Quoted String Escape Sequences").
func quote(s string) string {
	return "'" + quoter.Replace(s) + "'"
}

var quoter = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`)

// moment returns a time as a SOQL literal. SOQL compares whole seconds.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// A query travels in the address, which may have 16,384 characters ("API Request
// Limits and Allocations"); room is the part of it that a list of values may take.
const room = 11_000

// lists cuts values into the insides of IN (…) lists that fit into an address.
func lists(values []string) [][]string {
	var out [][]string
	size := room + 1
	for _, v := range values {
		n := len(url.QueryEscape(quote(v))) + 3
		if size+n > room {
			out, size = append(out, nil), 0
		}
		size += n
		out[len(out)-1] = append(out[len(out)-1], v)
	}
	return out
}

// in returns a condition that a field has one of the values.
func in(field string, values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return field + " IN (" + strings.Join(quoted, ",") + ")"
}

// isID reports whether a text has the form of a record id of 15 or 18 characters,
// with the given prefix for its object; "" for any.
func isID(s, prefix string) bool {
	if len(s) != 15 && len(s) != 18 || !strings.HasPrefix(s, prefix) {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// long returns the form of 18 characters of an id: the last three tell which of the
// first 15 are capitals, five to a character ("Record Identifiers").
func long(id string) string {
	if len(id) != 15 {
		return id
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	var tail [3]byte
	for i := range tail {
		bits := 0
		for j := range 5 {
			if c := id[i*5+j]; c >= 'A' && c <= 'Z' {
				bits |= 1 << j
			}
		}
		tail[i] = digits[bits]
	}
	return id + string(tail[:])
}
