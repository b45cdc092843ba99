package mapping

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/crmsync/crmsync/internal/sync/record"
)

var table = Table{Entity: record.Contacts, Entries: []Entry{
	{Field: record.GivenName, Native: []string{"FirstName"}, MaxLen: 5},
	{Field: record.EmailAddresses, Native: []string{"Email"}, MaxLen: 12},
	{Field: record.BusinessPhones, Native: []string{"Phone", "OtherPhone"}},
	{Field: record.Categories, Native: []string{"categories"}, Max: 2, MaxLen: 3},
	{Field: record.Notes, Native: []string{"Description"}},
	{Field: record.Birthday, Native: []string{"Birthdate"}, Direction: ToMailbox},
}}

func TestDirection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d            Direction
		crm, mailbox bool
	}{{Both, true, true}, {"", true, true}, {ToMailbox, false, true}, {ToCRM, true, false}} {
		if c.d.Allows(record.CRM) != c.crm || c.d.Allows(record.Mailbox) != c.mailbox {
			t.Errorf("%q", c.d)
		}
	}
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	for f, want := range map[record.Field]int{record.GivenName: 1, record.EmailAddresses: 0, record.BusinessPhones: 2, record.Categories: 2} {
		if e, ok := table.Entry(f); !ok || e.Capacity() != want {
			t.Errorf("%s: %d instead of %d", f, e.Capacity(), want)
		}
	}
	if n := (Entry{Field: record.Notes, Native: []string{"a", "b"}}).Capacity(); n != 1 {
		t.Errorf("a single text in two fields: %d", n)
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		field    record.Field
		in, want record.Value
	}{
		{"short enough", record.GivenName, record.Value{"Maria"}, record.Value{"Maria"}},
		{"shortened", record.GivenName, record.Value{"Marianne"}, record.Value{"Maria"}},
		{"no space is left at the end", record.GivenName, record.Value{"Mari Anne"}, record.Value{"Mari"}},
		{"characters, not bytes", record.GivenName, record.Value{"ÄÖÜäö"}, record.Value{"ÄÖÜäö"}},
		{"an emoji counts twice and is not halved", record.GivenName, record.Value{"abcd😀"}, record.Value{"abcd"}},
		{"part of an address is another address", record.EmailAddresses, record.Value{"ann.long@example.com", "a@x.org"}, record.Value{"a@x.org"}},
		{"the first elements", record.BusinessPhones, record.Value{"1", "2", "3"}, record.Value{"1", "2"}},
		{"elements that become the same count once", record.Categories, record.Value{"redder", "reddest", "blue"}, record.Value{"red", "blu"}},
		{"nothing", record.Categories, nil, nil},
	} {
		e, _ := table.Entry(c.field)
		got := e.Fit(c.in)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q instead of %q", c.name, got, c.want)
		}
	}
}

func TestReadAndWrite(t *testing.T) {
	t.Parallel()
	native := Fields{
		"FirstName": {" Ann "}, "Phone": nil, "OtherPhone": {"2"}, "Email": {"a@x", "A@X"}, "Description": {"a\r\nb"}, "Unknown": {"x"},
	}
	r := table.Read(native)
	want := record.Record{
		record.GivenName: {"Ann"}, record.BusinessPhones: {"2"}, record.EmailAddresses: {"a@x"}, record.Notes: {"a\nb"},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("read %v", r)
	}
	got := table.Write(record.Record{
		record.GivenName: {"Marianne"}, record.BusinessPhones: {"7"}, record.Notes: nil, record.Suffix: {"Jr."},
	})
	if want := (Fields{"FirstName": {"Maria"}, "Phone": {"7"}, "OtherPhone": nil, "Description": nil}); !reflect.DeepEqual(got, want) {
		t.Errorf("wrote %v", got)
	}
	if names := table.Native(); !slices.Equal(names, []string{"FirstName", "Email", "Phone", "OtherPhone", "categories", "Description", "Birthdate"}) {
		t.Errorf("names %v", names)
	}
	if _, ok := table.Entry(record.Suffix); ok {
		t.Error("an entry for a field that is not mapped")
	}
}

// What is written is read back as it was, but for what the side cannot hold; and what
// it holds it can hold again.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "Ann", "Marianne", "a\x00b", "\xff\xfe", "abcd😀", "a\r\nb ", "e\u0301e\u0301e\u0301", "\u202eabc", strings.Repeat("é ", 40)} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		r := record.Clean(record.Record{
			record.GivenName: {a}, record.EmailAddresses: {a, b}, record.BusinessPhones: {a, b, c}, record.Categories: {c, b, a}, record.Notes: {b},
		})
		held := record.Record{}
		for _, e := range table.Entries {
			v := e.Fit(r[e.Field])
			if len(v) > 0 {
				held[e.Field] = v
			}
			if again := e.Fit(v); !slices.Equal(again, v) {
				t.Errorf("%s: %q fits as %q and then as %q", e.Field, r[e.Field], v, again)
			}
			for _, s := range v {
				if n := len(utf16.Encode([]rune(s))); e.MaxLen > 0 && n > e.MaxLen {
					t.Errorf("%s: %q has %d units", e.Field, s, n)
				}
			}
		}
		if got := table.Read(table.Write(r)); !reflect.DeepEqual(got, held) {
			t.Errorf("%q came back as %q", held, got)
		}
	})
}
