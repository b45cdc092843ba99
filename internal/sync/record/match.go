package record

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// MatchKey returns the letters and digits of a text in lower case, without accents:
// what is left of a name when people spell it with less care. Two texts with the same
// key may be the same; it says nothing of what a value is worth keeping as.
func MatchKey(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] >= 0x80 {
			ascii = false
			break
		}
	}
	if !ascii {
		s = norm.NFD.String(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case r < 0x80:
			if r >= 'A' && r <= 'Z' {
				b.WriteRune(r + 'a' - 'A')
			}
		case r >= 0x300 && r <= 0x36F: // combining accents of Latin, Greek and Cyrillic
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}
