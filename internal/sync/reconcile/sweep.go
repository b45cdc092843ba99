package reconcile

import (
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// readStamps sorts the items that have no link by what their stamps say. It fills
// twins, claims and free.
func (p *planner) readStamps() {
	named := [2]map[string]bool{{}, {}}
	for i := range sides {
		for id, it := range p.items[i] {
			if it.Kind == Present && it.Stamp != nil && p.linked[i][id] == nil {
				named[1-i][it.Stamp.Other] = true
			}
		}
	}
	for i := range sides {
		for _, id := range sortedIDs(p.items[i]) {
			it := p.items[i][id]
			if it.Kind != Present || p.linked[i][id] != nil {
				continue
			}
			if is(p.items[1-i][stampedFor(it)], OutOfScope) && named[i][id] {
				p.free[i] = append(p.free[i], it) // a copy that has a record of its own by now
				continue
			}
			p.readStamp(it)
		}
	}
	p.free[crm], p.free[mailbox] = p.firstOnly(p.free[crm]), p.firstOnly(p.free[mailbox])
	for id, twins := range p.twins {
		p.twins[id] = p.withoutCopies(twins)
	}
}

// withoutCopies returns twins without those that a person made somebody else of: they bear
// the stamp of another twin and not its name. Each is a record of its own.
func (p *planner) withoutCopies(twins []*item) []*item {
	bearers := map[record.OpID]int{}
	for _, twin := range twins {
		bearers[twin.Stamp.Op]++
	}
	return slices.DeleteFunc(twins, func(twin *item) bool {
		sent, _ := p.sent(twin)
		now := p.hash(twin)
		if bearers[twin.Stamp.Op] < 2 ||
			same(now[record.GivenName], sent[record.GivenName]) && same(now[record.FamilyName], sent[record.FamilyName]) {
			return false
		}
		p.unstamp(twin)
		p.free[twin.side] = append(p.free[twin.side], twin)
		return true
	})
}

// stampedFor returns the id that an item's stamp names; "" if it has none.
func stampedFor(it *item) string {
	if it.Stamp == nil {
		return ""
	}
	return it.Stamp.Other
}

// firstOnly returns free items without the second ones of a record that several writes
// of ours made: all of them were given up, and all landed. The others are twins of the
// first once that is linked.
func (p *planner) firstOnly(items []*item) []*item {
	ops := map[string][]record.OpID{} // by the record that they were made for
	for _, it := range items {
		if _, late := p.sent(it); late {
			ops[it.Stamp.Other] = append(ops[it.Stamp.Other], it.Stamp.Op)
		}
	}
	first := map[string]bool{}
	return slices.DeleteFunc(items, func(it *item) bool {
		if _, late := p.sent(it); !late {
			return false
		}
		made := ops[it.Stamp.Other]
		if distinct := slices.Compact(slices.Sorted(slices.Values(made))); len(distinct) < len(made) {
			return false // a copy is among them, and nobody can tell which
		}
		if !first[it.Stamp.Other] {
			first[it.Stamp.Other] = true
			return false
		}
		p.find(LateTwin, it, []string{it.Stamp.Other}, "several writes of ours landed late; this one goes once another is linked")
		return true
	})
}

func sortedIDs(items map[string]*item) []string {
	ids := make([]string, 0, len(items))
	for id := range items {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// readStamp decides what the stamp of an item without a link means. The installation
// in the stamp does not matter for whom it names: after the state was lost, the stamps
// of the old one lead back to the records.
func (p *planner) readStamp(it *item) {
	free := func() { p.free[it.side] = append(p.free[it.side], it) }
	s := it.Stamp
	if s == nil || s.Entity != p.in.Policy.Entity || s.Other == "" {
		free()
		return
	}
	source := p.items[1-it.side][s.Other]
	l := p.linked[1-it.side][s.Other]
	sent, late := p.sent(it)
	switch {
	case l == nil && source == nil:
		p.need(1-it.side, s.Other)
	case l == nil && is(source, Deleted) && late && !p.changed(it, sent):
		p.removeTwin(it, "a late write of a record that has gone since")
	case l == nil && is(source, OutOfScope):
		p.find(NotAllowed, it, []string{s.Other}, "the record that its stamp names is out of scope")
	case l == nil:
		free()
	case l.State == Linked && late && l.Half(sides[it.side]).Op != s.Op: // else it is a copy of what was adopted
		p.twins[l.CRM.ID] = append(p.twins[l.CRM.ID], it)
	case l.State == Linked && is(p.itemOf(l, it.side), Deleted) && l.Half(sides[it.side]).Op != s.Op:
		// What the state knows has gone, and a later write of ours is in its place: the state
		// was set back.
		of := p.claims
		if it.side == crm {
			of = p.heirs
		}
		of[l.CRM.ID] = append(of[l.CRM.ID], it)
	case l.State == Linked:
		p.unstamp(it) // a person's copy
		free()
	case late && !p.changed(it, sent):
		// The record went while our write was on its way.
		p.removeTwin(it, "a late write of a record that has gone since")
	case source == nil:
		p.need(1-it.side, s.Other)
	case is(source, Present) && it.side == mailbox && p.itemOf(l, mailbox) == nil:
		p.claims[l.CRM.ID] = append(p.claims[l.CRM.ID], it)
	case is(source, OutOfScope):
		p.find(NotAllowed, it, []string{s.Other}, "the record that its stamp names is out of scope")
	default:
		p.unstamp(it)
		free()
	}
}

// sent returns what the operation that an item bears would have left in it, if it was
// one that was given up. What a person decided to keep is his own, whoever wrote it.
func (p *planner) sent(it *item) (record.Hashes, bool) {
	if it.Stamp == nil || it.Stamp.Install != p.in.Install || p.kept[it.side][it.ID] {
		return nil, false
	}
	sent, late := p.in.Late[it.Stamp.Op]
	return sent, late
}

// unstamp makes an item a record of its own.
func (p *planner) unstamp(it *item) { it.Stamp = nil }

// removeTwin deletes an item that has no link, unless its side is not written any more.
func (p *planner) removeTwin(it *item, reason string) {
	if !p.open[it.side] {
		p.find(LateTwin, it, nil, reason+"; "+place(sides[it.side])+" is not written any more, so it stays")
		return
	}
	o := Operation{Kind: Delete, Side: sides[it.side], Version: it.Version, Reason: reason, Label: it.Record.Label()}
	if it.side == crm {
		o.CRMID = it.ID
	} else {
		o.MailboxID = it.ID
	}
	p.add(o)
}

// sweep deals with second items that a late write made beside a linked one. A twin that
// holds nothing of its own goes. A person's edits of one are folded into the linked
// item first, by deciding the link as if they had been made there; then sweep returns
// true, because that decides the link.
func (p *planner) sweep(l *Link, it [2]*item, twins []*item) bool {
	if l.State != Linked {
		return false
	}
	decided := false
	for _, twin := range twins {
		i := twin.side
		sent, _ := p.sent(twin)
		switch {
		case !p.changed(twin, sent) || is(it[i], Present) && !p.changed(twin, p.hash(it[i])):
			p.removeTwin(twin, "a write of ours that landed late and made a second item")
		case !p.open[i]:
			p.find(LateTwin, twin, []string{l.Half(sides[i]).ID}, "a write of ours landed late and a person has edited the second item that it made; its side is not written any more, so it stays")
		case decided || is(it[i], Deleted) || is(it[i], OutOfScope) || is(it[1-i], Deleted) || is(it[1-i], OutOfScope):
			p.find(LateTwin, twin, []string{l.Half(sides[i]).ID}, "a write of ours landed late and a person has edited the second item that it made; its linked item is about to change")
		case it[i] == nil:
			p.need(i, l.Half(sides[i]).ID)
			decided = true
		default:
			folded := p.fold(l, it[i], twin, sent)
			if !p.changed(folded, p.hash(it[i])) {
				p.removeTwin(twin, "a write of ours that landed late and made a second item; what a person edited there is in the linked item or kept as a conflict")
				continue
			}
			p.find(LateTwin, twin, []string{it[i].ID}, "a write of ours landed late and a person has edited the second item that it made; the edits go into the linked item")
			pr := pair{link: *l, item: it}
			pr.actual[i] = p.hash(it[i])
			pr.item[i] = folded
			p.merge(pr, "")
			decided = true
		}
	}
	return decided
}

// fold returns a linked item as it would be with the edits of its twin: with what differs
// there from what our write had sent. Where the linked item has changed since as well,
// its value stays and the twin's is kept as a conflict's loser.
func (p *planner) fold(l *Link, it, twin *item, sent record.Hashes) *item {
	out := &item{Change: it.Change, side: it.side}
	out.Record = it.Record.Clone()
	own, others := p.hash(it), p.hash(twin)
	for _, f := range p.fields {
		b, a, t := sent[f.Field], own[f.Field], others[f.Field]
		value := twin.Record[f.Field]
		switch {
		case same(t, b) || same(t, a):
			continue
		case same(a, b):
			out.Record[f.Field] = value
		case f.list:
			out.Record[f.Field] = p.foldList(f, it.Record[f.Field], value, b)
		default:
			p.conflicts = append(p.conflicts, Conflict{
				CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID, Field: f.Field,
				Winner: sides[it.side], Lost: value, Kept: it.Record[f.Field],
			})
		}
	}
	return out
}

// foldList returns an item's list without what its twin lost since the base, and with
// what the twin gained.
func (p *planner) foldList(f field, own, twin record.Value, base []record.Hash) record.Value {
	hash := func(text string) record.Hash { return p.in.Hasher.Value(f.Field, record.Value{text})[0] }
	var now []record.Hash
	for _, text := range twin {
		now = append(now, hash(text))
	}
	var out record.Value
	var have []record.Hash
	for _, text := range own {
		if h := hash(text); slices.Contains(now, h) || !slices.Contains(base, h) {
			out, have = append(out, text), append(have, h)
		}
	}
	for n, text := range twin {
		if !slices.Contains(base, now[n]) && !slices.Contains(have, now[n]) {
			out = append(out, text)
		}
	}
	return out
}
