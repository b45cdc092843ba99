package reconcile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// maxCandidates is how many candidates of one item are looked for and named; two are
// enough to know that it is ambiguous.
const maxCandidates = 10

// matcher brings the items together that have no link.
type matcher struct {
	p      *planner
	people [2][]*person
}

// test tells how alike a person and a candidate on the other side are.
type test func(a, b *person) likeness

// index returns, in groups that may overlap, those on the other side who may be alike.
type index func(a *person) [][]*person

// match links free items one to one, by stamp, e-mail address, name and company, and
// creates the rest.
func (p *planner) match() {
	m := &matcher{p: p}
	for i := range sides {
		slices.SortFunc(p.free[i], func(a, b *item) int { return strings.Compare(a.ID, b.ID) })
		for _, it := range p.free[i] {
			m.people[i] = append(m.people[i], p.person(it))
		}
	}
	if len(m.people[crm]) > 0 && len(m.people[mailbox]) > 0 {
		m.byStamp()
		m.byEmail()
		m.byName()
	}
	m.create()
}

func (m *matcher) byStamp() {
	names := func(a, b *person) bool { return a.Stamp != nil && a.Stamp.Other == b.ID }
	byID := [2]map[string]*person{{}, {}}
	bearers := [2]map[string][]*person{{}, {}} // of stamps, by the id that they name
	for i := range sides {
		for _, q := range m.people[i] {
			byID[i][q.ID] = q
			if q.Stamp != nil {
				bearers[i][q.Stamp.Other] = append(bearers[i][q.Stamp.Other], q)
			}
		}
	}
	find := func(a *person) [][]*person {
		groups := [][]*person{bearers[1-a.side][a.ID]}
		if a.Stamp != nil {
			if b := byID[1-a.side][a.Stamp.Other]; b != nil {
				groups = append(groups, []*person{b})
			}
		}
		return groups
	}
	stamped := func(a, b *person) likeness {
		if names(a, b) || names(b, a) {
			return alike
		}
		return different
	}
	// A copy that a person made of an item bears its stamp. If the state was lost, only
	// the name still tells the two apart.
	m.tier(find, func(a, b *person) likeness {
		if stamped(a, b) == alike && (names(a, b) && names(b, a) || sameName(a, b)) {
			return alike
		}
		return different
	}, "", "bears our stamp")
	m.tier(find, stamped, "several records bear our stamp for each other", "bears our stamp")
}

func (m *matcher) byEmail() {
	// Everybody is found under each address with each word of his name, under no word if
	// he has no name, and under any word. So an address that many share costs little.
	const wildcard = "*"
	type key struct {
		address record.Hash
		word    string
	}
	holders := [2]map[key][]*person{{}, {}}
	words := func(q *person) []string {
		if len(q.words) == 0 {
			return []string{""}
		}
		return slices.Compact(slices.Sorted(slices.Values(q.words)))
	}
	count := func(h record.Hash) int {
		return max(len(holders[crm][key{h, wildcard}]), len(holders[mailbox][key{h, wildcard}]))
	}
	for i := range sides {
		for _, q := range m.people[i] {
			for _, h := range q.emails {
				for _, w := range append(words(q), wildcard) {
					holders[i][key{h, w}] = append(holders[i][key{h, w}], q)
				}
			}
		}
	}
	find := func(a *person) [][]*person {
		var groups [][]*person
		for _, h := range a.emails {
			if len(a.words) == 0 || count(h) < 2 {
				groups = append(groups, holders[1-a.side][key{h, wildcard}])
				continue
			}
			for _, w := range append(words(a), "") {
				groups = append(groups, holders[1-a.side][key{h, w}])
			}
		}
		return groups
	}
	// An address that several records of a side have tells little; then names decide.
	shared := func(a, b *person) bool {
		for _, h := range a.emails {
			if slices.Contains(b.emails, h) && count(h) < 2 {
				return false
			}
		}
		return true
	}
	m.tier(find, func(a, b *person) likeness {
		if sameName(a, b) {
			return alike
		}
		return different
	}, "several records have this e-mail address and name", "same e-mail address and name")
	m.tier(find, func(a, b *person) likeness {
		switch {
		case !strange(a, b):
			return alike
		case shared(a, b):
			return different
		}
		return likely
	}, "several records have this e-mail address", "same e-mail address")
}

func (m *matcher) byName() {
	known := [2]map[nameKey][]*person{{}, {}}
	for i := range sides {
		for _, q := range m.people[i] {
			if q.settled {
				continue
			}
			m.p.details(q)
			for _, k := range q.nameKeys(q.company, anyCompany) {
				known[i][k] = append(known[i][k], q)
			}
		}
	}
	find := func(a *person) [][]*person {
		companies := []string{a.company, ""}
		if a.company == "" {
			companies = []string{anyCompany}
		}
		var groups [][]*person
		for _, k := range a.nameKeys(companies...) {
			groups = append(groups, known[1-a.side][k])
		}
		return groups
	}
	m.tier(find, m.p.compare, "several records have this name and company", "same name and company")
}

// tier links those who have exactly one candidate who is alike, and are that one's only
// one. Then, unless several is empty, whoever still has a candidate is set aside.
func (m *matcher) tier(find index, likenessOf test, several, one string) {
	candidates := func(a *person, atLeast likeness) []*person {
		var out []*person
		for _, group := range find(a) {
			for _, b := range group {
				if b.settled || likenessOf(a, b) < atLeast || slices.Contains(out, b) {
					continue
				}
				if out = append(out, b); len(out) == maxCandidates {
					return out
				}
			}
		}
		return out
	}
	only := map[*person]*person{}
	for i := range sides {
		for _, a := range m.people[i] {
			if a.settled {
				continue
			}
			if cs := candidates(a, alike); len(cs) == 1 {
				only[a] = cs[0]
			}
		}
	}
	for _, a := range m.people[crm] {
		if b := only[a]; b != nil && only[b] == a {
			m.link(a, b, one)
		}
	}
	if several == "" {
		return
	}
	var aside []*person
	for i := range sides {
		for _, a := range m.people[i] {
			if a.settled {
				continue
			}
			cs := candidates(a, likely)
			if len(cs) == 0 {
				continue
			}
			reason := several
			if len(cs) == 1 && only[a] == nil {
				reason = "it may be the same as another record, but that is not sure"
			}
			ids := make([]string, len(cs))
			for n, c := range cs {
				ids[n] = c.ID
			}
			slices.Sort(ids)
			m.p.ambiguous(a.item, ids, reason)
			aside = append(aside, a)
		}
	}
	for _, a := range aside {
		a.settled = true
	}
}

// link plans the link of two items, and what brings them in step.
func (m *matcher) link(c, b *person, reason string) {
	c.settled, b.settled = true, true
	link := Link{State: Linked}
	for i, q := range [2]*person{c, b} {
		h := link.Half(sides[i])
		h.ID, h.Version = q.ID, q.Version
		if q.Stamp != nil {
			h.Op = q.Stamp.Op
		}
	}
	m.p.merge(pair{link: link, item: [2]*item{c.item, b.item}}, "matched: "+reason)
}

// create plans the counterparts of what has no match.
func (m *matcher) create() {
	p := m.p
	var fresh []*item
	for _, q := range m.people[crm] {
		if !q.settled {
			fresh = append(fresh, q.item)
		}
	}
	if !p.open[mailbox] {
		p.alone(fresh)
		fresh = nil
	}
	for _, it := range p.limited(fresh) {
		p.create(it, Half{}, "new in the CRM")
	}
	for _, q := range m.people[mailbox] {
		switch {
		case q.settled:
		case !p.open[crm]:
			p.alone([]*item{q.item})
		case p.in.Policy.CreateInCRM:
			p.create(q.item, Half{}, "new in the mailbox")
		case p.kept[mailbox][q.ID]:
			p.create(q.item, Half{}, "a person decided to keep it")
		default:
			p.find(NotAllowed, q.item, nil, "new in the mailbox; creating records in the CRM is not allowed")
		}
	}
}

// alone names records that get no counterpart, because the other side is not written.
func (p *planner) alone(items []*item) {
	for _, it := range items {
		p.find(OneWay, it, nil, "new in "+place(sides[it.side])+"; "+place(sides[1-it.side])+" is not written")
	}
}

// unlessLeftOut returns the records that were not left out before, or were edited since.
func (p *planner) unlessLeftOut(items []*item) []*item {
	return slices.DeleteFunc(items, func(it *item) bool {
		before, ok := p.in.LeftOut[it.ID]
		if !ok || before.Version == "" || before.Version != it.Version {
			return false
		}
		p.find(before.Code, it, nil, "left out of the first sync; it is synchronized once somebody edits it")
		return true
	})
}

// limited returns the records that may be created in the mailbox. A first sync leaves
// out what was imported and what is over its limit, the least recently modified first.
func (p *planner) limited(items []*item) []*item {
	items = p.unlessLeftOut(items)
	if !p.in.First {
		return items
	}
	slices.SortStableFunc(items, func(a, b *item) int {
		return cmp.Or(b.Modified.Compare(a.Modified), strings.Compare(a.ID, b.ID))
	})
	room := p.in.Policy.InitialLimit
	if room > 0 {
		for _, l := range p.in.Links {
			if l.State == Linked {
				room--
			}
		}
		for _, o := range p.ops {
			if o.Kind == LinkUp {
				room--
			}
		}
		room = max(room, 0)
	}
	var out []*item
	for _, it := range items {
		switch {
		case it.Imported:
			p.find(LeftOut, it, nil, "imported into the CRM; it is synchronized once somebody edits it")
		case p.in.Policy.InitialLimit > 0 && len(out) == room:
			p.find(OverLimit, it, nil, "over the limit of a first sync; it is synchronized once somebody edits it")
		default:
			out = append(out, it)
		}
	}
	return out
}
