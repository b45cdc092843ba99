package reconcile

import (
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Rehash moves the bases of links from one hasher to another, after telephone numbers
// came to be read as in another region. It returns all links, and those that changed.
// What a side has edited since the base still counts as edited, and what it has not
// does not: an element's hash is moved wherever either item still holds the element, and
// an element that both have lost needs no hash that anything could match. Doing it twice
// changes nothing more.
func Rehash(in Input, to record.Hasher) (links, changed []Link) {
	from := in.Hasher.Remembering()
	to = to.Remembering()
	items := [2]map[string]*item{latest(crm, in.CRM), latest(mailbox, in.Mailbox)}
	links = slices.Clone(in.Links)
	for n, l := range links {
		moved := map[record.Field]map[record.Hash]record.Hash{}
		for i, s := range sides {
			it := items[i][l.Half(s).ID]
			if !is(it, Present) {
				continue
			}
			for _, f := range in.Policy.Fields {
				for _, text := range it.Record[f.Field] {
					old, now := from.Value(f.Field, record.Value{text})[0], to.Value(f.Field, record.Value{text})[0]
					if old == now {
						continue
					}
					if moved[f.Field] == nil {
						moved[f.Field] = map[record.Hash]record.Hash{}
					}
					moved[f.Field][old] = now
				}
			}
		}
		if len(moved) == 0 {
			continue
		}
		some := false
		for _, s := range sides {
			h := links[n].Half(s)
			base, any := moveHashes(h.Base, moved)
			h.Base, some = base, some || any
		}
		if some {
			changed = append(changed, links[n])
		}
	}
	return links, changed
}

// moveHashes returns a base with hashes replaced, each at most once in its field, and
// whether any was.
func moveHashes(base record.Hashes, moved map[record.Field]map[record.Hash]record.Hash) (record.Hashes, bool) {
	out, any := overlay(base, nil), false
	for f, of := range moved {
		var list []record.Hash
		for _, h := range base[f] {
			now, ok := of[h]
			if any = any || ok; !ok {
				now = h
			}
			if !slices.Contains(list, now) {
				list = append(list, now)
			}
		}
		if len(list) > 0 {
			out[f] = list
		}
	}
	return out, any
}
