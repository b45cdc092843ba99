package reconcile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Two items of one side are taken for the same person by the rules of person.go, only
// with more care than two items of different sides: one of them may be put away for it.
//
//   - The same e-mail address and name are sure, unless suffix, middle name or birthday
//     speak against it. An address with another name is likely, if only these two have it.
//   - The same name is sure if company, telephone number or birthday agrees as well and
//     nothing else speaks against it.
//   - Items that bear the same stamp are copies of one item: sure while the name is the
//     same, else likely.

// Candidate is an item of one side that may be there twice.
type Candidate struct {
	Change
	Created time.Time
	// Link is its link; nil if it has none, or one that has ended.
	Link *Link
}

// Member is an item of a group.
type Member struct {
	Candidate
	// Sure says that it is the same as another member beyond doubt; else it is likely.
	Sure bool
	Why  string
}

// Group are items of one side that are probably the same person.
type Group struct {
	Side    record.Side
	Members []Member
}

// Duplicates groups the items of one side, each item in one group at most, both in the
// order of their ids.
func Duplicates(in Input, side record.Side, items []Candidate) []Group {
	in.Hasher = in.Hasher.Remembering()
	d := &finder{p: &planner{in: in, fields: fieldsOf(in.Policy)}}
	n := crm
	if side == record.Mailbox {
		n = mailbox
	}
	slices.SortFunc(items, func(a, b Candidate) int { return strings.Compare(a.ID, b.ID) })
	for _, c := range items {
		q := d.p.person(&item{Change: c.Change, side: n})
		d.p.details(q)
		d.people = append(d.people, q)
	}
	d.compare()
	return d.groups(side, items)
}

// finder looks for people who are there twice on one side.
type finder struct {
	p      *planner
	people []*person
	// edges are the pairs that are the same or likely to be.
	edges []edge
}

type edge struct {
	a, b int
	like likeness
	why  string
}

// crowd is how many people may share what they are found by and still be compared each
// with each. What more have in common tells nothing.
const crowd = 50

// compare compares everybody with those who have something in common with him.
func (d *finder) compare() {
	type key struct {
		nameKey
		email, stamp string
		address      record.Hash
	}
	found := map[key][]int{}
	for n, q := range d.people {
		var ks []key
		for _, h := range q.emails {
			ks = append(ks, key{email: "@", address: h})
		}
		for _, k := range q.nameKeys(q.company, anyCompany) {
			ks = append(ks, key{nameKey: k})
		}
		if q.Stamp != nil && q.Stamp.Other != "" {
			ks = append(ks, key{stamp: q.Stamp.Other})
		}
		for _, k := range ks {
			if list := found[k]; len(list) == 0 || list[len(list)-1] != n {
				found[k] = append(list, n)
			}
		}
	}
	seen := map[[2]int]bool{}
	for k, list := range found {
		nameless := k.email == "" && k.stamp == "" && k.name == "" && (k.company == "" || k.company == anyCompany)
		if len(list) > crowd || nameless {
			continue
		}
		for i, a := range list {
			for _, b := range list[i+1:] {
				if seen[[2]int{a, b}] {
					continue
				}
				seen[[2]int{a, b}] = true
				holders := 0
				for _, h := range d.people[a].emails {
					if slices.Contains(d.people[b].emails, h) {
						holders = max(holders, len(found[key{email: "@", address: h}]))
					}
				}
				if like, why := d.likeness(d.people[a], d.people[b], holders); like > different {
					d.edges = append(d.edges, edge{a: a, b: b, like: like, why: why})
				}
			}
		}
	}
	slices.SortFunc(d.edges, func(x, y edge) int {
		return cmp.Or(cmp.Compare(y.like, x.like), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
}

// likeness tells how alike two people of one side are, and why; holders is how many have
// the e-mail address that both have.
func (d *finder) likeness(a, b *person, holders int) (likeness, string) {
	name := sameName(a, b)
	if a.Stamp != nil && b.Stamp != nil && a.Stamp.Other != "" && a.Stamp.Other == b.Stamp.Other {
		if name {
			return alike, "bears the same stamp: a copy"
		}
		return likely, "bears the same stamp, but has another name"
	}
	birthday := accordOf(a.birthday, b.birthday)
	named := (a.suffix == "" || b.suffix == "" || a.suffix == b.suffix) && compatible(a.middle, b.middle)
	switch {
	case holders > 0 && name && named && birthday != differs:
		return alike, "same e-mail address and name"
	case holders > 0 && (!strange(a, b) || holders == 2):
		return likely, "same e-mail address"
	}
	company := a.company != "" && a.company == b.company
	phones := accordOf(a.phones, b.phones) == agrees
	like := d.p.compare(a, b)
	switch {
	case like == different:
		return different, ""
	case company && phones:
		return like, "same name, company and telephone number"
	case company:
		return like, "same name and company"
	case phones:
		return like, "same name and telephone number"
	case birthday == agrees:
		return like, "same name and birthday"
	}
	return likely, "same name"
}

// groups joins who is the same beyond doubt; then whoever is likely to be one of a group
// is listed with it.
func (d *finder) groups(side record.Side, items []Candidate) []Group {
	parent := make([]int, len(items)) // leads to the group's first member
	why := make([]string, len(items))
	sure := make([]bool, len(items))
	for n := range parent {
		parent[n] = n
	}
	first := func(n int) int {
		for parent[n] != n {
			parent[n] = parent[parent[n]]
			n = parent[n]
		}
		return n
	}
	alone := func(n int) bool { return why[n] == "" }
	for _, e := range d.edges {
		if e.like != alike && !alone(e.a) && !alone(e.b) {
			continue // two groups that are only likely to be one stay two
		}
		a, b := first(e.a), first(e.b)
		parent[max(a, b)] = min(a, b)
		for _, n := range []int{e.a, e.b} {
			if alone(n) {
				why[n], sure[n] = e.why, e.like == alike
			}
		}
	}
	byGroup := map[int][]Member{}
	for n, c := range items {
		if !alone(n) {
			byGroup[first(n)] = append(byGroup[first(n)], Member{Candidate: c, Sure: sure[n], Why: why[n]})
		}
	}
	var out []Group
	for n := range items {
		if members := byGroup[n]; len(members) > 0 {
			out = append(out, Group{Side: side, Members: members})
		}
	}
	return out
}
