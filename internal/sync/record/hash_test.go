package record

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func testHasher(t testing.TB, region string) Hasher {
	t.Helper()
	h, err := NewHasher(bytes.Repeat([]byte{1}, KeySize), region)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sample is a contact as full as real ones get.
func sample() Record {
	return Record{
		GivenName: {"Maria"}, MiddleName: {"Zoë"}, FamilyName: {"Álvarez-Huß"}, Company: {"Example, Inc."}, JobTitle: {"Head of Nothing"},
		EmailAddresses: {"Maria.Alvarez@example.com", "ma@example.net"}, BusinessPhones: {"202-224-3441", "(425) 303-0114"}, MobilePhone: {"+41 44 668 18 00"},
		BusinessStreet: {"2930 Wetmore Ave.\nSuite 9B"}, BusinessCity: {"Everett"}, BusinessState: {"WA"}, BusinessZip: {"98201"}, BusinessCountry: {"USA"},
		Birthday: {"1958-10-13"}, Website: {"https://www.example.com/"}, Notes: {"Met at the fair.\n\nLikes tea."}, Categories: {"Red", "Blue"},
	}
}

func TestHasherNeedsItsKey(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, KeySize - 1, KeySize + 1} {
		if _, err := NewHasher(make([]byte, n), ""); err == nil {
			t.Errorf("a key of %d bytes is accepted", n)
		}
	}
}

// The hashes are stored: a change of how they are made would make every record of every
// installation look edited.
func TestHashesStayTheSame(t *testing.T) {
	t.Parallel()
	h := testHasher(t, "US")
	for f, v := range map[Field]struct {
		value Value
		want  string
	}{
		GivenName:      {Value{"Ann"}, "[ec59df8e096defc0]"},
		MobilePhone:    {Value{"202-224-3441"}, "[95ebabea97d41d2a]"},
		EmailAddresses: {Value{"B@x.org", "a@x.org"}, "[ecc2d8953b895554 47d49a338cd18be2]"},
	} {
		if got := fmt.Sprintf("%x", h.Value(f, v.value)); got != v.want {
			t.Errorf("%s: %s instead of %s", f, got, v.want)
		}
	}
}

func TestHashDependsOnKeyFieldAndText(t *testing.T) {
	t.Parallel()
	h := testHasher(t, "")
	other, err := NewHasher(bytes.Repeat([]byte{2}, KeySize), "")
	if err != nil {
		t.Fatal(err)
	}
	v := Value{"x"}
	seen := map[Hash]bool{}
	for _, x := range []Hash{
		h.Value(GivenName, v)[0], h.Value(FamilyName, v)[0], other.Value(GivenName, v)[0],
		h.Value(GivenName, Value{"y"})[0], h.Value(GivenName, Value{"xx"})[0],
	} {
		if seen[x] {
			t.Errorf("%x twice", x)
		}
		seen[x] = true
	}
	// A field's name and its text cannot run into each other.
	if h.Value("a", Value{"bc"})[0] == h.Value("ab", Value{"c"})[0] {
		t.Error("field and text run together")
	}
}

func TestHasherKeepsItsKey(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{1}, KeySize)
	h, err := NewHasher(key, "")
	if err != nil {
		t.Fatal(err)
	}
	before := h.Value(GivenName, Value{"x"})[0]
	key[0] = 9
	if h.Value(GivenName, Value{"x"})[0] != before {
		t.Error("the caller's key is used")
	}
}

func TestRecordHashes(t *testing.T) {
	t.Parallel()
	h := testHasher(t, "")
	got := h.Record(Record{GivenName: {"a"}, Notes: nil, EmailAddresses: {"a@x", "A@X", "b@x"}})
	if _, ok := got[Notes]; ok || len(got) != 2 {
		t.Errorf("an empty field has a hash: %v", got)
	}
	if len(got[EmailAddresses]) != 2 || !slices.Equal(got[EmailAddresses], h.Value(EmailAddresses, Value{"a@x", "b@x"})) {
		t.Errorf("elements that fold alike count once: %v", got[EmailAddresses])
	}
}

func TestRememberingChangesNothing(t *testing.T) {
	t.Parallel()
	for _, region := range []string{"", "US"} {
		h := testHasher(t, region)
		m := h.Remembering()
		for _, s := range []string{"202-224-3441", "(202) 224 3441", "202-224-3441", "ask Ann", "+41 44 668 18 00"} {
			if !slices.Equal(h.Value(MobilePhone, Value{s}), m.Value(MobilePhone, Value{s})) {
				t.Errorf("%q in %q", s, region)
			}
		}
	}
}

func BenchmarkHasherRecord(b *testing.B) {
	h, r := testHasher(b, "US"), Clean(sample())
	b.ReportAllocs()
	for b.Loop() {
		h.Record(r)
	}
}

func BenchmarkHasherRecordWithoutPhones(b *testing.B) {
	h, r := testHasher(b, "US"), Clean(sample())
	delete(r, BusinessPhones)
	delete(r, MobilePhone)
	b.ReportAllocs()
	for b.Loop() {
		h.Record(r)
	}
}
