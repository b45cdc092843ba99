package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// people make candidates with the ids a, b, c …
func people(records ...record.Record) []reconcile.Candidate {
	var out []reconcile.Candidate
	for n, r := range records {
		out = append(out, reconcile.Candidate{Change: reconcile.Change{ID: string(rune('a' + n)), Record: r}})
	}
	return out
}

// groupsOf are groups in words: the ids of each, those that are only likely in brackets.
func groupsOf(items []reconcile.Candidate) string {
	in := reconcile.Input{Policy: allFields(), Hasher: hasher}
	var words []string
	for _, g := range reconcile.Duplicates(in, record.Mailbox, items) {
		var b strings.Builder
		for _, m := range g.Members {
			if m.Sure {
				b.WriteString(m.ID)
			} else {
				b.WriteString("(" + m.ID + ")")
			}
		}
		words = append(words, b.String())
	}
	return strings.Join(words, " ")
}

func allFields() reconcile.Policy {
	p := reconcile.Policy{Entity: record.Contacts}
	for _, s := range record.Specs(record.Contacts) {
		p.Fields = append(p.Fields, reconcile.FieldPolicy{Field: s.Field, ToCRM: true, ToMailbox: true})
	}
	return p
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	stamp := func(op, other string) *record.Stamp {
		return &record.Stamp{Install: "i", Entity: record.Contacts, Op: record.OpID(op), Other: other}
	}
	copies := people(person("Ann Lee", ""), person("Ann Lee", ""), person("Bob Ray", ""))
	for n := range copies {
		copies[n].Stamp = stamp("op", "c1")
	}
	for name, tt := range map[string]struct {
		items []reconcile.Candidate
		want  string
	}{
		"nobody": {nil, ""},
		"address and name, case-blind": {people(
			person("Ann Lee", "", emails, "ann@example.net"), person("ANN lee", "", emails, "ANN@example.net")), "ab"},
		"any address of several": {people(
			person("Ann Lee", "", emails, "x@example.net,ann@example.net"), person("Ann Lee", "", emails, "ann@example.net")), "ab"},
		"address, other first name": {people(
			person("Bob Smith", "", emails, "s@example.net"), person("Robert Smith", "", emails, "s@example.net")), "(a)(b)"},
		"address of two strangers": {people(
			person("Ann Lee", "", emails, "s@example.net"), person("Bob Ray", "", emails, "s@example.net")), "(a)(b)"},
		"address of a whole office": {people(
			person("Ann Lee", "", emails, "s@example.net"), person("Bob Ray", "", emails, "s@example.net"), person("Cy Orr", "", emails, "s@example.net")), ""},
		"father and son": {people(
			person("Ann Lee", "", emails, "s@example.net", suffix, "Jr."), person("Ann Lee", "", emails, "s@example.net", suffix, "Sr.")), "(a)(b)"},
		"name and company": {people(
			person("Ann Lee", "", co, "ACME"), person("Ann Lee", "", co, "acme")), "ab"},
		"name and telephone number": {people(
			person("Ann Lee", "", phones, "+1 212 555 0100"), person("Ann Lee", "", phones, "+12125550100")), "ab"},
		"name and birthday": {people(
			person("Ann Lee", "", born, "1980-02-03"), person("Ann Lee", "", born, "1980-02-03")), "ab"},
		"name alone": {people(person("Ann Lee", ""), person("Ann Lee", "")), "(a)(b)"},
		"name, other companies": {people(
			person("Ann Lee", "", co, "ACME"), person("Ann Lee", "", co, "Initech")), ""},
		"name and company, other birthdays": {people(
			person("Ann Lee", "", co, "ACME", born, "1980-02-03"), person("Ann Lee", "", co, "ACME", born, "1999-02-03")), "(a)(b)"},
		"address and name, other birthdays": {people(
			person("Ann Lee", "", emails, "ann@example.net", born, "1980-02-03"), person("Ann Lee", "", emails, "ann@example.net", born, "1999-02-03")), "(a)(b)"},
		"two pairs and what joins them": {people(
			person("Ann Lee", "", emails, "1@example.net"), person("Ann Lee", "", emails, "2@example.net"),
			person("Ann Lee", "", emails, "1@example.net,3@example.net"), person("Ann Lee", "", emails, "2@example.net,3@example.net")), "abcd"},
		"three in a row": {people(
			person("Ann Lee", "", emails, "1@example.net"), person("Ann Lee", "", emails, "1@example.net,2@example.net"),
			person("Ann Lee", "", emails, "2@example.net")), "abc"},
		"two beyond doubt and one likely": {people(
			person("Robert Smith", "", emails, "s@example.net"), person("Bob Smith", "", emails, "s@example.net"), person("Bob Smith", "", emails, "s@example.net")), "(a)bc"},
		"copies of one item": {copies, "ab(c)"},
	} {
		if got := groupsOf(tt.items); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		slices.Reverse(tt.items)
		if got := groupsOf(tt.items); got != tt.want {
			t.Errorf("%s: in another order %q, want %q", name, got, tt.want)
		}
	}
}

// A merge loses no value: each of every member is in the item that stays, or among what
// gave way.
func TestMergeLosesNothing(t *testing.T) {
	t.Parallel()
	in := reconcile.Input{Policy: allFields(), Hasher: hasher}
	for n, f := range in.Policy.Fields {
		if f.Field == record.EmailAddresses {
			in.Policy.Fields[n].FitMailbox = cut(3)
		}
	}
	items := people(
		person("Ann Lee", "", emails, "1@example.net,2@example.net", title, "CTO", phones, "+12125550100"),
		person("Ann Lee", "", emails, "1@example.net,3@example.net", title, "Boss", string(notes), "met"),
		person("Ann Lee", "", emails, "1@example.net,4@example.net", string(notes), "seen", phones, "+12125550199"),
	)
	items[1].Link = &reconcile.Link{State: reconcile.Linked, CRM: reconcile.Half{ID: "c"}, Mailbox: reconcile.Half{ID: "b"}}
	groups := reconcile.Duplicates(in, record.Mailbox, items)
	if len(groups) != 1 {
		t.Fatalf("%d groups", len(groups))
	}
	m, refused := reconcile.Merge(in, groups[0])
	if refused != "" || m.Keep.ID != "b" || len(m.Away) != 2 {
		t.Fatalf("%+v %s", m, refused)
	}
	for _, it := range items {
		for f, values := range it.Record {
			for _, v := range values {
				lost := slices.ContainsFunc(m.Lost, func(c reconcile.Conflict) bool { return c.Field == f && slices.Contains(c.Lost, v) })
				if !lost && !slices.Contains(m.Whole[f], v) {
					t.Errorf("%s: %q is nowhere", f, v)
				}
			}
		}
	}
	if m.Whole[record.JobTitle].First() != "Boss" || len(m.Whole[record.EmailAddresses]) != 3 || len(m.Set[record.BusinessPhones]) != 2 {
		t.Errorf("whole %v, set %v", m.Whole, m.Set)
	}
}

func BenchmarkDuplicates(b *testing.B) {
	in := reconcile.Input{Policy: allFields(), Hasher: hasher}
	var items []reconcile.Candidate
	for n := range 15_000 {
		items = append(items, reconcile.Candidate{Change: reconcile.Change{ID: fmt.Sprintf("id%05d", n), Record: person(
			fmt.Sprintf("Given%d Family%d", n%300, n%1000), "", emails, fmt.Sprintf("p%d@example.net", n%14_000),
			co, fmt.Sprintf("Company %d", n%2000), phones, fmt.Sprintf("+1212555%04d", n%10_000))}})
	}
	for b.Loop() {
		if len(reconcile.Duplicates(in, record.Mailbox, items)) == 0 {
			b.Fatal("none")
		}
	}
}
