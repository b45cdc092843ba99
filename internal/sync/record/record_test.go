package record

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestSides(t *testing.T) {
	t.Parallel()
	if CRM.Other() != Mailbox || Mailbox.Other() != CRM {
		t.Error("the other side of a side is not the other")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	if Text("") != nil || Text("a").First() != "a" || Value(nil).First() != "" {
		t.Error("empty and absent are not the same")
	}
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	r := Record{EmailAddresses: {"a", "b"}}
	c := r.Clone()
	c[EmailAddresses][0], c[Notes] = "x", Value{"y"}
	if r[EmailAddresses][0] != "a" || len(r) != 1 {
		t.Errorf("the original changed: %v", r)
	}
}

func TestFieldsAreSorted(t *testing.T) {
	t.Parallel()
	if got := (Record{Notes: nil, Birthday: nil, Company: nil}).Fields(); !slices.IsSorted(got) || len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r    Record
		want string
	}{
		{Record{GivenName: {"Ann"}, MiddleName: {"B"}, FamilyName: {"Lee"}, Suffix: {"Jr."}, Company: {"Acme"}}, "Ann B Lee Jr. (Acme)"},
		{Record{FamilyName: {"Lee"}}, "Lee"},
		{Record{Company: {"Acme"}, EmailAddresses: {"a@x"}}, "Acme"},
		{Record{EmailAddresses: {"a@x", "b@x"}}, "a@x"},
		{Record{}, ""},
	} {
		if got := c.r.Label(); got != c.want {
			t.Errorf("%v: %q instead of %q", c.r, got, c.want)
		}
	}
}

func TestSpecsNameEachFieldOnce(t *testing.T) {
	t.Parallel()
	seen := map[Field]bool{}
	for _, s := range Specs(Contacts) {
		if seen[s.Field] {
			t.Errorf("%s twice", s.Field)
		}
		seen[s.Field] = true
		if SpecOf(s.Field) != s {
			t.Errorf("%s is described twice, differently", s.Field)
		}
	}
	if Specs(Events) != nil {
		t.Error("events have fields already")
	}
	if s := SpecOf("unknown"); s.List || s.Kind != Line {
		t.Errorf("an unknown field is %+v", s)
	}
}

const op = OpID("0123456789abcdef0123456789abcdef")

func TestStamp(t *testing.T) {
	t.Parallel()
	for _, s := range []Stamp{
		{"i1", Contacts, "003xx", op}, {"i1", Contacts, "", op}, {"i1", Events, "a|b||c", op}, {"i1", Contacts, "AAMk\u00e4=", op},
	} {
		got, err := ParseStamp(s.String())
		if err != nil || got != s {
			t.Errorf("%+v came back as %+v, %v", s, got, err)
		}
	}
	for _, text := range []string{
		"", "|", "1|i|contacts|" + string(op), "2|i|contacts|" + string(op) + "|x", "1||contacts|" + string(op) + "|x",
		"1|i||" + string(op) + "|x", "1|i|contacts|0123|x", "1|i|contacts|" + strings.Repeat("g", 32) + "|x", strings.Repeat("|", 1<<20),
	} {
		if s, err := ParseStamp(text); err == nil {
			t.Errorf("%.50q is taken for a stamp: %+v", text, s)
		}
	}
}

func TestNewOpID(t *testing.T) {
	t.Parallel()
	id, err := NewOpID(strings.NewReader("0123456789abcdef"))
	if err != nil || len(id) != 32 {
		t.Errorf("%q, %v", id, err)
	}
	if _, err := NewOpID(strings.NewReader("short")); err == nil {
		t.Error("too little randomness is enough")
	}
	broken := errors.New("broken")
	if _, err := NewOpID(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// What is a stamp is written back as it was read.
func FuzzParseStamp(f *testing.F) {
	for _, s := range []string{
		"", "1|i|contacts|" + string(op) + "|003", "1|i|contacts|" + strings.ToUpper(string(op)) + "|", "1|i|contacts|x|", "||||", "1|\x00|\xff|" + string(op) + "|a|b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStamp(text)
		if err != nil {
			if s != (Stamp{}) {
				t.Errorf("%q is no stamp, but %+v", text, s)
			}
			return
		}
		if s.String() != text || s.Install == "" || len(s.Op) != 32 {
			t.Errorf("%q was read as %+v", text, s)
		}
	})
}
