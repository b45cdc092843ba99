package reconcile

import (
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Two contacts are taken for the same person by name and company like this.
//
//   - The given and the family name must agree, whatever their case, accents and
//     punctuation. A nickname stands for a given name. Suffix and middle name may be
//     missing; where both have one they must agree too, an initial being enough.
//   - The same company, or none on one side, is enough, unless what else both hold of a
//     person (addresses, telephone numbers, birthday) speaks against it.
//   - Different companies are different people, unless a telephone number or the birthday
//     agrees and nothing else differs.
//   - A given name that is only close (an initial, a short form) needs the same company and
//     a telephone number or birthday in common.
//   - What is likely but not sure is never linked and never created twice: a person
//     decides.

// likeness says how sure it is that two contacts are one person.
type likeness int

const (
	different likeness = iota
	likely
	alike
)

// person is an item with what it is matched by, in a form to be compared.
type person struct {
	*item
	given, family, nick, middle, suffix, company string
	words                                        []string
	emails, phones, birthday                     []record.Hash
	settled                                      bool
}

var phoneFields = []record.Field{record.BusinessPhones, record.HomePhones, record.MobilePhone}

func (p *planner) person(it *item) *person {
	key := func(f record.Field) string { return record.MatchKey(it.Record[f].First()) }
	q := &person{
		item: it, given: key(record.GivenName), family: key(record.FamilyName), nick: key(record.Nickname),
		middle: key(record.MiddleName), suffix: key(record.Suffix), company: key(record.Company),
		emails: p.in.Hasher.Value(record.EmailAddresses, it.Record[record.EmailAddresses]),
	}
	for _, f := range []record.Field{record.GivenName, record.MiddleName, record.FamilyName, record.Nickname} {
		for _, w := range strings.Fields(it.Record[f].First()) {
			if w = record.MatchKey(w); w != "" {
				q.words = append(q.words, w)
			}
		}
	}
	return q
}

// nameKey is what two people of nearly the same name have in common.
type nameKey struct {
	name, company string
	proof         record.Hash
}

// anyCompany stands for every company in a nameKey.
const anyCompany = "*"

// nameKeys returns what a person is found by: each form of his name with each of the
// companies, and the family name with each telephone number and birthday.
func (q *person) nameKeys(companies ...string) []nameKey {
	var ks []nameKey
	for _, c := range companies {
		ks = append(ks, nameKey{name: q.given + q.family, company: c})
		if q.nick != "" && q.nick != q.given {
			ks = append(ks, nameKey{name: q.nick + q.family, company: c})
		}
	}
	if q.family != "" {
		for _, h := range slices.Concat(q.phones, q.birthday) {
			ks = append(ks, nameKey{name: q.family, proof: h})
		}
	}
	return ks
}

// details hashes what only matching by name asks for.
func (p *planner) details(q *person) {
	var phones record.Value
	for _, f := range phoneFields {
		phones = append(phones, q.Record[f]...)
	}
	q.phones = p.in.Hasher.Value(record.BusinessPhones, phones)
	q.birthday = p.in.Hasher.Value(record.Birthday, q.Record[record.Birthday])
}

// strange reports that two people's names have no word in common.
func strange(a, b *person) bool {
	if len(a.words) == 0 || len(b.words) == 0 {
		return false
	}
	return !slices.ContainsFunc(a.words, func(w string) bool { return slices.Contains(b.words, w) })
}

// sameName reports whether given and family name agree.
func sameName(a, b *person) bool {
	if a.given+a.family == "" || b.given+b.family == "" {
		return false
	}
	return a.given+a.family == b.given+b.family ||
		a.family == b.family && (a.nick != "" && a.nick == b.given || b.nick != "" && a.given == b.nick)
}

// compatible reports whether two parts of a name do not contradict each other.
func compatible(a, b string) bool {
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

// near reports whether one given name may be short for the other.
func near(a, b *person) bool {
	if a.family == "" || a.family != b.family || !compatible(a.given, b.given) {
		return false
	}
	n := min(len(a.given), len(b.given))
	return n <= 1 || n >= 3
}

// accord is what a field says about two people.
type accord int

const (
	silent accord = iota
	agrees
	differs
)

func accordOf(a, b []record.Hash) accord {
	if len(a) == 0 || len(b) == 0 {
		return silent
	}
	if slices.ContainsFunc(a, func(h record.Hash) bool { return slices.Contains(b, h) }) {
		return agrees
	}
	return differs
}

// compare tells how alike two people are whose e-mail addresses did not bring them
// together.
func (p *planner) compare(a, b *person) likeness {
	phones, birthday := accordOf(a.phones, b.phones), accordOf(a.birthday, b.birthday)
	emails := accordOf(a.emails, b.emails)
	proof := phones == agrees || birthday == agrees
	company := silent
	if a.company != "" && b.company != "" {
		company = differs
		if a.company == b.company {
			company = agrees
		}
	}
	switch {
	case a.given+a.family == "" && b.given+b.family == "":
		switch {
		case company != agrees:
			return different
		case proof && birthday != differs:
			return alike
		}
		return likely
	case sameName(a, b):
		suffix := a.suffix == "" || b.suffix == "" || a.suffix == b.suffix
		switch {
		case !suffix || !compatible(a.middle, b.middle):
			if proof && birthday != differs && company != differs {
				return likely
			}
			return different
		case company == differs && !proof:
			return different
		case company == differs:
			return p.compareRest(a, b)
		case birthday == differs:
			return likely
		case company == silent && !proof && (emails == differs || phones == differs):
			return likely
		}
		return alike
	case a.family == "" || a.family != b.family || company == differs || !proof:
		return different
	case near(a, b) && company == agrees && birthday != differs:
		return alike
	}
	return likely
}

// compareRest compares two people of the same name and of different companies, who have
// a telephone number or a birthday in common, by all else that both hold.
func (p *planner) compareRest(a, b *person) likeness {
	ha, hb := p.hash(a.item), p.hash(b.item)
	for _, f := range p.fields {
		switch f.Field {
		case record.GivenName, record.FamilyName, record.MiddleName, record.Suffix, record.Nickname, record.Salutation, record.Company:
		case record.BusinessPhones, record.HomePhones, record.MobilePhone: // compared all together
		default:
			if accordOf(ha[f.Field], hb[f.Field]) == differs {
				return likely
			}
		}
	}
	if accordOf(a.phones, b.phones) == differs {
		return likely
	}
	return alike
}
