package record

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestCleanText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, want string
		field          Field
	}{
		{"composed", "Jose\u0301", "José", GivenName},
		{"kelvin sign", "\u212a", "K", GivenName},
		{"space around and within", " \tAnn \u00a0 Lee\n", "Ann Lee", GivenName},
		{"NUL joins nothing wrongly", "e\x00\u0301", "é", GivenName},
		{"control characters", "a\x01b\x7fc\u0090d", "abcd", GivenName},
		{"invalid UTF-8", "a\xff\xfeb", "a\ufffdb", GivenName},
		{"right to left stays", "\u202bשלום\u202c", "\u202bשלום\u202c", GivenName},
		{"emoji stays", "👩‍👩‍👧", "👩‍👩‍👧", GivenName},
		{"line endings", "a\r\nb\rc\vd\u2028e\u0085f", "a\nb\nc\nd\ne\nf", Notes},
		{"space at line ends", "a \t\nb\u00a0\n", "a\nb", Notes},
		{"space at line starts", "  - a\n    b", "  - a\n    b", Notes},
		{"empty lines around", "\n \n\na\n\nb\n\n", "a\n\nb", Notes},
		{"only space", " \n\t ", "", Notes},
		{"date", "1958-10-13", "1958-10-13", Birthday},
		{"time stamp", "1958-10-13T11:59:00Z", "1958-10-13", Birthday},
		{"time stamp with a blank", " 1958-10-13 23:59 ", "1958-10-13", Birthday},
		{"first date", "1601-01-01", "1601-01-01", Birthday},
		{"last date", "9999-12-31T00:00:00Z", "9999-12-31", Birthday},
		{"zero time", "0001-01-01T00:00:00Z", "", Birthday},
		{"before all", "1600-12-31", "", Birthday},
		{"leap day", "2000-02-29", "2000-02-29", Birthday},
		{"no day", "1999-02-29", "", Birthday},
		{"more digits", "1999-01-011", "", Birthday},
		{"words", "in spring", "", Birthday},
		{"e-mail keeps its case", " Ann@Example.COM ", "Ann@Example.COM", EmailAddresses},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := CleanValue(SpecOf(c.field), Value{c.in}).First(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCleanValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		field    Field
		in, want Value
	}{
		{"a single field keeps its first text", GivenName, Value{"", "a", "b"}, Value{"a"}},
		{"a list keeps its order", EmailAddresses, Value{"b@x", "a@x"}, Value{"b@x", "a@x"}},
		{"empty and repeated elements go", EmailAddresses, Value{"", "a@x", " ", "A@X", "a@x "}, Value{"a@x"}},
		{"categories differ in case", Categories, Value{"Red", "red", "Red"}, Value{"Red", "red"}},
		{"nothing", Categories, Value{"", "\x00"}, nil},
	} {
		if got := CleanValue(SpecOf(c.field), c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got := Clean(Record{Notes: {" \r\n"}, GivenName: {"a"}}); len(got) != 1 {
		t.Errorf("an empty field is kept: %v", got)
	}
}

func TestCleanLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	in := Record{EmailAddresses: {" a@x ", ""}, Notes: {"a\r\n"}}
	Clean(in)
	if in[EmailAddresses][0] != " a@x " || in[Notes][0] != "a\r\n" {
		t.Errorf("changed: %q", in)
	}
}

// What means the same folds alike, and what does not folds differently.
func TestFold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		field  Field
		region string
		same   []string
		other  []string
	}{
		{"e-mail case", EmailAddresses, "", []string{"Ann@Example.com", "ann@EXAMPLE.com"}, []string{"anne@example.com"}},
		{"lower case composes", EmailAddresses, "", []string{"H\u0331@x", "\u1e96@x"}, nil},
		{"name case is meant", GivenName, "", []string{"Ann"}, []string{"ANN"}},
		{"phone with its region", MobilePhone, "US", []string{"202-224-3441", "(202) 224-3441", "+1 202.224.3441", "12022243441"}, []string{"202-224-3442", "+44 202 224 3441"}},
		{"phone without a region", MobilePhone, "", []string{"202-224-3441", "(202) 224 3441", "202\u00a0224/3441"}, []string{"+1 202-224-3441"}},
		{"phone with country code needs no region", MobilePhone, "", []string{"+41 44 668 18 00", "+41446681800", "+41 (44) 668-18-00", "+41 (0)44 668 18 00"}, []string{"+41446681801"}},
		{"extension", MobilePhone, "US", []string{"202-224-3441 x12", "(202) 224-3441 ext. 12", "+12022243441;ext=12", "202 224 3441 Extension 12"}, []string{"202-224-3441", "202-224-3441 x13"}},
		{"words beside a number count", MobilePhone, "US", []string{"ask for Ann 202-224-3441"}, []string{"ask for Bob 202-224-3441", "202-224-3441"}},
		{"two numbers are not the first", MobilePhone, "US", []string{"202-224-3441 / 202-224-0000"}, []string{"202-224-3441", "202-224-3441 / 202-224-1111"}},
		{"too long for a number", MobilePhone, "US", []string{strings.Repeat("1", 300)}, []string{strings.Repeat("1", 301)}},
	} {
		h := testHasher(t, c.region)
		of := func(s string) Hash { return h.Value(c.field, CleanValue(SpecOf(c.field), Value{s}))[0] }
		for _, s := range c.same {
			if of(s) != of(c.same[0]) {
				t.Errorf("%s: %q and %q differ", c.name, s, c.same[0])
			}
		}
		for _, s := range c.other {
			if of(s) == of(c.same[0]) {
				t.Errorf("%s: %q and %q are the same", c.name, s, c.same[0])
			}
		}
	}
}

func TestMegabyte(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("Ein Satz über Flüsse. \r\n", 1<<20/25)
	got := CleanValue(SpecOf(Notes), Value{text}).First()
	if want := strings.TrimSuffix(strings.ReplaceAll(text, " \r\n", "\n"), "\n"); got != want {
		t.Errorf("%d bytes became %d instead of %d", len(text), len(got), len(want))
	}
}

var kinds = []Field{GivenName, Notes, EmailAddresses, MobilePhone, Birthday}

// Cleaning is stable: it makes valid, normal text, and cleaning again changes nothing,
// and neither does folding see a difference.
func FuzzClean(f *testing.F) {
	for n := range kinds {
		for _, s := range []string{
			"", "Ann Lee", " a\r\nb \t\r", "Jose\u0301", "e\x00\u0301", "\xff\xfe", "\u202eabc", "\u2028\u0085\v",
			"a\u00a0\n\u0301", "\u1100\u1161\u11a8", "\u0344", "\u2126\u212b", "x\ufeff", "1958-10-13T23:00:00Z", "9999-12-31",
			"+41 (0)44 668 18 00 x7", "H\u0331@X", strings.Repeat("\u0301", 70), "q" + strings.Repeat("\u0323\u0301", 40),
		} {
			f.Add(n, s)
		}
	}
	h := testHasher(f, "US")
	f.Fuzz(func(t *testing.T, n int, s string) {
		field := kinds[((n%len(kinds))+len(kinds))%len(kinds)]
		spec := SpecOf(field)
		once := CleanValue(spec, Value{s})
		for _, e := range once {
			if !utf8.ValidString(e) || !norm.NFC.IsNormalString(e) || strings.ContainsAny(e, "\x00\r") {
				t.Errorf("%q became %q", s, e)
			}
		}
		if twice := CleanValue(spec, once); !slices.Equal(once, twice) {
			t.Errorf("%q became %q and then %q", s, once, twice)
		}
		for _, e := range once {
			folded := fold(spec.Kind, "US", e)
			if again := fold(spec.Kind, "US", CleanValue(spec, Value{folded}).First()); spec.Kind != Phone && again != folded {
				t.Errorf("%q folds to %q and then to %q", e, folded, again)
			}
		}
		if len(once) > 0 && !slices.Equal(h.Value(field, once), h.Value(field, CleanValue(spec, once))) {
			t.Errorf("the hash of %q changes", once)
		}
		if len(once) > 0 && len(h.Value(field, once)) == 0 {
			t.Errorf("%q has no hash", once)
		}
	})
}

// A date that is kept is a day that exists, and is kept as it is written.
func FuzzCleanDate(f *testing.F) {
	for _, s := range []string{"1958-10-13", "1601-01-01", "9999-12-31T23:59:59Z", "0001-01-01", "2000-02-30", "2000-2-3", "-999-01-01", "1999-01-01x", "１９９９-01-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := cleanDate(s)
		if got == "" {
			return
		}
		if len(got) != 10 || got < "1601-01-01" || got > "9999-12-31" || !strings.Contains(s, got) || cleanDate(got) != got {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// Folding a telephone number never loses a digit of it beyond what leads to its country,
// and never a letter.
func FuzzFoldPhone(f *testing.F) {
	for _, s := range []string{
		"202-224-3441", "+41 (0)44 668 18 00", "1-800-FLOWERS", "ask Ann 555 1234", "202-224-3441 x5", "530-583-6985/ x302", "٢٠٢-٢٢٤-٣٤٤١",
		"+", "+1", "00", "911", "+39 02 1234567", "tel:+1-201-555-0123;phone-context=x", strings.Repeat("9", 60), "8 (495) 123-45-67",
	} {
		f.Add("US", s)
		f.Add("", s)
		f.Add("IT", s)
	}
	f.Fuzz(func(t *testing.T, region, s string) {
		if !slices.Contains([]string{"", "US", "IT", "DE", "RU", "BR", "GB"}, region) {
			return
		}
		s = CleanValue(SpecOf(MobilePhone), Value{s}).First()
		got := fold(Phone, region, s)
		if s != "" && got == "" && strings.ContainsFunc(s, func(r rune) bool { return r >= '0' && r <= '9' }) {
			t.Errorf("%q folds to nothing", s)
		}
		digits := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return r
				}
				return -1
			}, s)
		}
		// The last six digits tell one line from another.
		number, _, _ := strings.Cut(got, ";ext=")
		if d := digits(s); !strings.Contains(got, ";ext=") && len(d) > 6 && !strings.HasSuffix(digits(number), d[len(d)-6:]) {
			t.Errorf("%q folds to %q", s, got)
		}
	})
}

func FuzzMatchKey(f *testing.F) {
	for _, s := range []string{"O'Brien", "José", "Jr.", "李", "Ann-Marie", "ÅNGSTRÖM", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = CleanValue(SpecOf(GivenName), Value{s}).First()
		if k := MatchKey(s); MatchKey(k) != k && !strings.ContainsFunc(k, func(r rune) bool { return r > 0x2ff }) {
			t.Errorf("%q has the key %q, and that %q", s, k, MatchKey(k))
		}
	})
}

func TestMatchKey(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"O'Brien", "OBrien", "o’brien", "O Brien"}, {"Luján", "Lujan", "LUJA\u0301N"}, {"Jr.", "jr"}, {"Senate, WA", "senate wa"}, {"李 明", "李明"},
	} {
		for _, s := range same {
			if MatchKey(s) != MatchKey(same[0]) {
				t.Errorf("%q and %q", s, same[0])
			}
		}
	}
	if MatchKey("की") == MatchKey("का") {
		t.Error("vowel signs are letters, not accents")
	}
}

func BenchmarkClean(b *testing.B) {
	r := sample()
	b.ReportAllocs()
	for b.Loop() {
		Clean(r)
	}
}
