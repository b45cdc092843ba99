package record

import (
	"slices"
	"strings"
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

// CleanValue returns v as it is kept: Unicode NFC, line feeds, no space at line
// ends, no empty or repeated elements.
func CleanValue(s Spec, v Value) Value {
	var out Value
	for _, e := range v {
		e = cleanText(s.Kind, e)
		if e == "" || slices.Contains(out, e) {
			continue
		}
		out = append(out, e)
		if !s.List {
			break
		}
	}
	return out
}

func cleanText(k Kind, s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\x00", "")
	s = norm.NFC.String(s)
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
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

// cleanDate keeps the day of a date or of a time stamp. Clients store a birthday
// as some hour of that day in UTC, so the day as written is the day meant.
func cleanDate(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 10 {
		s = s[:10]
	}
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return ""
	}
	return s
}

// fold returns the form of a cleaned text that is compared.
func fold(k Kind, region, s string) string {
	switch k {
	case Email:
		return strings.ToLower(s)
	case Phone:
		return foldPhone(region, s)
	default:
		return s
	}
}

// foldPhone returns the number in E.164 form with its extension where the number
// carries a country code or a region is known, and otherwise without the
// characters that only group its digits.
func foldPhone(region, s string) string {
	if region != "" || strings.HasPrefix(s, "+") {
		if n, err := phonenumbers.Parse(s, region); err == nil {
			e := phonenumbers.Format(n, phonenumbers.E164)
			if x := n.GetExtension(); x != "" {
				e += ";ext=" + x
			}
			return e
		}
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -()./\u00a0", r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
}
