package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

var (
	givenNames  = strings.Fields("Ann Bernard Charles Dolores Ève Frank Gisela Henry Inés John Katherine Luis Margaret Nora Oscar Patricia")
	familyNames = strings.Fields("Álvarez Brown Cruz Davis Evans Fischer García Huß Ivanov Johnson Kelly Luján Miller Ng O'Neill Payne Quinn Rogers Smith Torres")
	nicknames   = map[string]string{"Bernard": "Bernie", "Charles": "Chuck", "Katherine": "Kat", "Margaret": "Peggy"}
)

// crowd makes n people who share names, companies and switchboards, as people do, and
// have no e-mail addresses. No two have the same name and the same company.
func crowd(n int) []record.Record {
	var out []record.Record
	for i := range n {
		g, f := givenNames[i%len(givenNames)], familyNames[(i/3)%len(familyNames)]
		c := fmt.Sprintf("Office %d", i%41+41*(i/(len(givenNames)*len(familyNames))))
		r := person(g+" "+f, c,
			phones, fmt.Sprintf("202-225-%04d", i), mobile, fmt.Sprintf("301-555-%04d", i), city, "Washington",
			born, fmt.Sprintf("19%02d-%02d-%02d", 30+i%60, i%12+1, i%28+1))
		if i%9 == 0 {
			r[record.Suffix] = record.Value{"Jr."}
		}
		if i%4 == 0 {
			r[record.MiddleName] = record.Value{"Q."}
		}
		if short, ok := nicknames[g]; ok {
			r[record.Nickname] = record.Value{short}
		}
		out = append(out, r)
	}
	return out
}

// retyped is a person as somebody else may have entered them.
func retyped(r record.Record, i int) record.Record {
	r = r.Clone()
	switch i % 7 {
	case 0:
		r[record.HomePhones] = r[record.BusinessPhones]
		delete(r, record.BusinessPhones)
	case 1:
		delete(r, record.Suffix)
		delete(r, record.Birthday)
	case 2:
		delete(r, record.Nickname)
		if short, ok := nicknames[r[record.GivenName].First()]; ok {
			r[record.GivenName] = record.Value{short}
		}
	case 3:
		delete(r, record.MiddleName)
		r[record.FamilyName] = record.Value{strings.ToUpper(r[record.FamilyName].First())}
	case 4:
		delete(r, record.Company)
	case 5:
		r[record.MobilePhone] = record.Value{"999-000-0000"}
		r[record.BusinessCity] = record.Value{"Arlington"}
	}
	return r
}

// People without e-mail addresses, half of them in the mailbox already, retyped: nearly
// all are found again, nobody is taken for somebody else, and nobody is there twice.
func TestRealLookingPeople(t *testing.T) {
	t.Parallel()
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, First: true}
	people := crowd(600)
	for i, r := range people {
		in.CRM = append(in.CRM, present(fmt.Sprintf("c%03d", i), r))
		if i%2 == 0 {
			in.Mailbox = append(in.Mailbox, present(fmt.Sprintf("m%03d", i), retyped(r, i/2)))
		}
	}
	p := reconcile.Reconcile(in)
	linked, ambiguous := 0, map[string]bool{}
	for _, f := range p.Findings {
		if f.Code == reconcile.Ambiguous {
			ambiguous[f.ID[1:]] = true
		}
	}
	for _, o := range p.Ops {
		switch o.Kind {
		case reconcile.LinkUp:
			linked++
			if o.CRMID[1:] != o.MailboxID[1:] {
				t.Errorf("%s is taken for %s", o.CRMID, o.MailboxID)
			}
		case reconcile.Create:
			var n int
			if _, err := fmt.Sscanf(o.CRMID, "c%d", &n); err != nil || n%2 == 0 {
				t.Errorf("%s is created and is there already: %s", o.CRMID, o.Label)
			}
		}
	}
	if linked < 290 {
		t.Errorf("only %d of 300 are found again; ambiguous: %v", linked, ambiguous)
	}
}

// first is a first sync of so many CRM records against so many mailbox items, of which
// most match.
func first(crm, box int) reconcile.Input {
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Install: "i", First: true}
	in.Policy.CreateInCRM, in.Policy.InitialLimit = true, 10_000
	people := crowd(crm)
	for i, r := range people {
		if i%2 == 0 {
			r[record.EmailAddresses] = record.Value{fmt.Sprintf("p%d@example.com", i)}
		}
		in.CRM = append(in.CRM, *at(present(fmt.Sprintf("c%05d", i), r), noon.Add(time.Duration(i)*time.Second)))
	}
	for i := range box {
		in.Mailbox = append(in.Mailbox, present(fmt.Sprintf("m%05d", i), retyped(people[i], i)))
	}
	return in
}

func BenchmarkFirstSync(b *testing.B) {
	in := first(10_000, 5_000)
	b.ReportAllocs()
	for b.Loop() {
		reconcile.Reconcile(in)
	}
}

// The work of a cycle grows with the changes, not with the links.
func BenchmarkFewChanges(b *testing.B) {
	in := first(1000, 0)
	in.Mailbox = nil
	plan := reconcile.Reconcile(in)
	in.CRM, in.First = nil, false
	for i, o := range plan.Ops {
		l := o.Link
		l.Mailbox.ID = fmt.Sprintf("m%05d", i)
		if i < 20 {
			in.Links = append(in.Links, l)
			in.CRM = append(in.CRM, present(l.CRM.ID, with(o.Set, title, "CFO")))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		reconcile.Reconcile(in)
	}
}

// People of one name each, in thousands: matching stays bounded.
func BenchmarkManyOfOneName(b *testing.B) {
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, First: true}
	for i := range 3000 {
		r := person("Test Test", fmt.Sprintf("Office %d", i))
		in.CRM = append(in.CRM, present(fmt.Sprintf("c%05d", i), r))
		in.Mailbox = append(in.Mailbox, present(fmt.Sprintf("m%05d", i), r))
	}
	for b.Loop() {
		reconcile.Reconcile(in)
	}
}
