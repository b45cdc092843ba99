package store

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/crmsync/crmsync/internal/sync/record"
)

func TestCompactTextsComeBack(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{
		"":                                     0,
		"x":                                    2,
		string(op(1)):                          17,
		"2026-03-01T12:00:00.000+0000":         7,
		"2026-03-01T12:00:00.000Z":             7,
		"2026-03-01T13:00:00.000+0100":         29, // not UTC
		"2026-02-30T12:00:00.000+0000":         29, // no such day
		`W/"EQAAABYAAACUNyAmPa4DRK7MlIQnWmBh"`: 25,
		`W/"broken`:                            10,
		itemID(1, 1):                           115,
		"AAE=":                                 3,
		"AAF=":                                 5, // stray bits in the last letter
		"ABCD":                                 4,
		"abcd":                                 3,
		"003000000000001AAC":                   19,
	} {
		b := compact(s)
		if got, err := expand(b); got != s || err != nil {
			t.Errorf("%q comes back as %q, %v", s, got, err)
		}
		if len(b) != want {
			t.Errorf("%q takes %d bytes, want %d", s, len(b), want)
		}
	}
}

func FuzzCompact(f *testing.F) {
	for _, s := range []string{"", "x", "abcd", "AAE=", "AAF=", "AA==\n", `W/""`, "W/\"AA==\"", "2026-03-01T12:00:00.000Z", "-001-03-01T12:00:00.000Z", string(op(1))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := expand(compact(s)); got != s || err != nil {
			t.Errorf("%q comes back as %q, %v", s, got, err)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	n := fieldsOf()
	var p packed
	h := record.Hashes{record.GivenName: {1}, record.EmailAddresses: {1, 2}}
	p.hashes(n, h)
	p.differing(n, h, record.Hashes{record.Notes: {}})
	f.Add([]byte(p))
	f.Fuzz(func(t *testing.T, b []byte) {
		u := unpacker{b: b}
		u.differing(n, u.hashes(n))
		if u.err != nil && !errors.Is(u.err, ErrDamaged) {
			t.Errorf("got %v", u.err)
		}
	})
}

// fieldsOf names the fields of a contact.
func fieldsOf() *fieldNames {
	n := &fieldNames{id: map[record.Field]int{}, name: []record.Field{""}}
	for i, s := range record.Specs(record.Contacts) {
		n.note(i+1, s.Field)
	}
	return n
}

func TestHashesComeBack(t *testing.T) {
	t.Parallel()
	n := fieldsOf()
	set := rapid.Custom(func(t *rapid.T) record.Hashes {
		return rapid.MapOfN(
			rapid.SampledFrom(n.name[1:]),
			rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record.Hash { return record.Hash(rapid.Uint64().Draw(t, "hash")) }), 0, 3),
			0, len(n.name)-1,
		).Draw(t, "set")
	})
	rapid.Check(t, func(t *rapid.T) {
		crm, mailbox := set.Draw(t, "crm"), set.Draw(t, "mailbox")
		var p packed
		p.hashes(n, crm)
		p.differing(n, crm, mailbox)
		u := unpacker{b: p}
		gotCRM := u.hashes(n)
		gotMailbox := u.differing(n, gotCRM)
		if u.err != nil || len(u.b) != 0 {
			t.Fatalf("%v, %d bytes left", u.err, len(u.b))
		}
		equal(t, "crm", gotCRM, crm)
		equal(t, "mailbox", gotMailbox, mailbox)
		// Whatever is cut off is noticed.
		if len(p) > 0 {
			u := unpacker{b: p[:rapid.IntRange(0, len(p)-1).Draw(t, "cut")]}
			u.differing(n, u.hashes(n))
			if !errors.Is(u.err, ErrDamaged) {
				t.Fatalf("a cut value gives %v", u.err)
			}
		}
	})
}

func equal(t *rapid.T, what string, got, want record.Hashes) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d fields, want %d", what, len(got), len(want))
	}
	for f, hs := range want {
		g, ok := got[f]
		if !ok || len(g) != len(hs) {
			t.Fatalf("%s %s is %v, want %v", what, f, g, hs)
		}
		for i := range hs {
			if g[i] != hs[i] {
				t.Fatalf("%s %s is %v, want %v", what, f, g, hs)
			}
		}
	}
}
