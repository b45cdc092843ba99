package reconcile

import (
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Rehash moves the bases of links from one hasher to another, after telephone numbers
// came to be read as in another region. It returns all links, and those that changed.
// What a side has edited since the base still counts as edited, and what it has not
// does not: the hash of an element is moved by what the side itself holds of it, else by
// what the other side still holds, and an element that both have lost needs no hash that
// anything could match. Doing it twice changes nothing more.
func Rehash(in Input, to record.Hasher) (links, changed []Link) {
	from := in.Hasher.Remembering()
	to = to.Remembering()
	items := [2]map[string]*item{latest(crm, in.CRM), latest(mailbox, in.Mailbox)}
	links = slices.Clone(in.Links)
	for n := range links {
		l := &links[n]
		var moves [2]moves
		for i, s := range sides {
			if it := items[i][l.Half(s).ID]; is(it, Present) {
				moves[i] = movesOf(in.Policy, it.Record, from, to)
			}
		}
		crmBase, a := moves[crm].base(l.CRM.Base, moves[mailbox])
		boxBase, b := moves[mailbox].base(l.Mailbox.Base, moves[crm])
		if a || b {
			l.CRM.Base, l.Mailbox.Base = crmBase, boxBase
			changed = append(changed, *l)
		}
	}
	return links, changed
}

// moves are the hashes that an item's elements have now, by field and by the hash that
// they had. What once was the same may be several elements now.
type moves map[record.Field]map[record.Hash][]record.Hash

func movesOf(p Policy, rec record.Record, from, to record.Hasher) moves {
	m := moves{}
	for _, f := range p.Fields {
		of := map[record.Hash][]record.Hash{}
		for _, text := range rec[f.Field] {
			old, now := from.Value(f.Field, record.Value{text})[0], to.Value(f.Field, record.Value{text})[0]
			of[old] = append(of[old], now)
		}
		m[f.Field] = of // also where nothing moves: then the other side's moves mean nothing here
	}
	return m
}

// base returns a base with its hashes moved, by own moves or else by those of the other
// side, and whether that changed it.
func (m moves) base(base record.Hashes, other moves) (record.Hashes, bool) {
	out, changed := overlay(base, nil), false
	for f, hashes := range base {
		var list []record.Hash
		for _, h := range hashes {
			now := m[f][h]
			if now == nil {
				now = other[f][h]
			}
			if now == nil {
				now = []record.Hash{h}
			}
			for _, x := range now {
				if !slices.Contains(list, x) {
					list = append(list, x)
				}
			}
		}
		if !same(list, hashes) {
			out[f], changed = list, true
		}
	}
	return out, changed
}
