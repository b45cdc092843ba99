package record

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

// Normalising has two depths. Clean makes the value that is kept and written: it
// repairs what no person typed on purpose (Unicode form, line endings, trailing
// space) and nothing else. fold makes the form that is compared and hashed: two
// values with the same fold are the same to a person, and rewriting one as the
// other would be noise.

// Clean returns r with every value cleaned and every empty field left out.
func Clean(r Record) Record {
	c := make(Record, len(r))
	for f, v := range r {
		if v = CleanValue(SpecOf(f), v); len(v) > 0 {
			c[f] = v
		}
	}
	return c
}

// CleanValue returns v as it is kept: Unicode NFC, line feeds, no control characters,
// no space at line ends, no empty or repeated elements. Cleaning twice changes nothing.
func CleanValue(s Spec, v Value) Value {
	var out Value
	for _, e := range v {
		e = cleanText(s.Kind, e)
		if e == "" || contains(out, s.Kind, e) {
			continue
		}
		out = append(out, e)
		if !s.List {
			break
		}
	}
	return out
}

// contains reports whether an element is repeated: e-mail addresses that differ in case
// only are one.
func contains(v Value, k Kind, e string) bool {
	if k == Email {
		return slices.ContainsFunc(v, func(x string) bool { return fold(Email, "", x) == fold(Email, "", e) })
	}
	return slices.Contains(v, e)
}

func cleanText(k Kind, s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.ContainsFunc(s, isNoise) {
		s = strings.ReplaceAll(s, "\r\n", "\n")
		s = strings.Map(func(r rune) rune {
			switch {
			case r == '\r' || r == '\v' || r == '\f' || r == '\u2028' || r == '\u2029' || r == '\u0085':
				return '\n'
			case isNoise(r):
				return -1
			}
			return r
		}, s)
	}
	// NFC is applied last but for what only takes characters away, which cannot undo it.
	s = nfc(s)
	switch k {
	case Lines:
		lines := strings.Split(s, "\n")
		for i, l := range lines {
			lines[i] = strings.TrimRight(l, " \t\u00a0")
		}
		return strings.Trim(strings.Join(lines, "\n"), "\n")
	case Date:
		return cleanDate(s)
	default:
		return strings.Join(strings.Fields(s), " ")
	}
}

// isNoise reports a control character other than the ones that a person types, or a
// line separator other than the line feed. XML, and so some servers, cannot carry them.
func isNoise(r rune) bool {
	return r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029'
}

// nfc returns s in Unicode NFC.
func nfc(s string) string {
	if norm.NFC.IsNormalString(s) {
		return s
	}
	return norm.NFC.String(s)
}

// The years that a date may have: Exchange knows none before 1601, and none of the
// systems one after 9999. What lies outside, like the zero time of a program, is no date.
const firstYear, lastYear = 1601, 9999

// cleanDate keeps the day of a date or of a time stamp. Clients store a birthday
// as some hour of that day in UTC, so the day as written is the day meant.
func cleanDate(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > len(time.DateOnly) {
		if c := s[len(time.DateOnly)]; c != 'T' && c != ' ' {
			return ""
		}
		s = s[:len(time.DateOnly)]
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < firstYear || t.Year() > lastYear {
		return ""
	}
	return s
}

// fold returns the form of a cleaned text that is compared.
func fold(k Kind, region, s string) string {
	switch k {
	case Email:
		return nfc(strings.ToLower(s)) // lower case may have a composed form where upper case has none
	case Phone:
		return foldPhone(region, s)
	default:
		return s
	}
}

// phoneNumber is what is read as one telephone number and nothing else: with words
// beside it, like "ask for Ann" or a second number, reading only the digits would lose
// what a person typed.
var phoneNumber = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\+?[0-9 ().\-\x{a0}\x{2010}-\x{2013}]*[0-9)]( ?(;ext=|x|ext\.?|extension) ?[0-9]{1,7})?$`)
})

// foldPhone returns the number in E.164 form with its extension where the number
// carries a country code or a region is known, and otherwise without the
// characters that only group its digits.
func foldPhone(region, s string) string {
	lower := strings.ToLower(s)
	if (region != "" || strings.HasPrefix(s, "+")) && len(s) <= maxPhone && phoneNumber().MatchString(lower) {
		if n, err := phonenumbers.Parse(lower, region); err == nil {
			e := phonenumbers.Format(n, phonenumbers.E164)
			if x := n.GetExtension(); x != "" {
				e += ";ext=" + x
			}
			return e
		}
	}
	return nfc(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -()./\u00a0", r) {
			return -1
		}
		return r
	}, lower))
}

// maxPhone is how long a text may be that is still read as a telephone number.
const maxPhone = 60
