package reconcile

import (
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// decideLinks goes through the links in the order of their CRM ids. Items of links that
// have ended are set free for matching.
func (p *planner) decideLinks() {
	for n := range p.in.Links {
		l := &p.in.Links[n]
		var it [2]*item
		for i := range sides {
			it[i] = p.itemOf(l, i)
		}
		if twins := p.twins[l.CRM.ID]; len(twins) > 0 && p.sweep(l, it, twins) {
			continue
		}
		switch l.State {
		case Linked:
			p.decideLinked(l, it[crm], it[mailbox])
		case Unlinked:
			p.decideUnlinked(l, it[crm], it[mailbox])
		case Ended:
			p.decideEnded(l, it[crm], it[mailbox])
		}
	}
}

func is(it *item, k ChangeKind) bool { return it != nil && it.Kind == k }

func (p *planner) decideLinked(l *Link, c, m *item) {
	switch {
	case c == nil && m == nil:
	case c == nil && l.CRM.Version == Unread:
		p.need(crm, l.CRM.ID)
	case m == nil && l.Mailbox.Version == Unread:
		p.need(mailbox, l.Mailbox.ID)
	case is(m, Deleted) && len(p.claims[l.CRM.ID]) > 0:
		p.decideReplaced(l, c, m)
	case is(c, Deleted) && len(p.heirs[l.CRM.ID]) > 0:
		p.decideInherited(l, m)
	case p.discarded(mailbox, l) && p.keepCopy(l, c, m):
	case p.discarded(crm, l) && p.keepRecord(l, c, m):
	case is(m, OutOfScope):
		if is(c, Deleted) {
			p.end(l, Ended, "deleted in the CRM; the mailbox item was moved out of our folder and stays where it is")
			return
		}
		p.end(l, Unlinked, "moved out of our folder in the mailbox; both stay as they are")
	case p.unseenEdit(l, c, m):
	case is(c, OutOfScope) && is(m, Deleted):
		p.end(l, Ended, "out of scope in the CRM and deleted in the mailbox")
	case is(c, OutOfScope) && is(m, Present) && p.changed(m, l.Mailbox.Base):
		p.find(EditKept, m, []string{l.CRM.ID}, "edited in the mailbox while its CRM record went out of scope; the edit stays in the mailbox")
		p.end(l, Unlinked, "out of scope in the CRM, but edited in the mailbox: both stay as they are")
	case is(c, OutOfScope):
		p.remove(l, mailbox, m, "out of scope in the CRM")
	case is(c, Deleted) && is(m, Deleted):
		p.end(l, Ended, "deleted on both sides")
	case is(c, Deleted) && is(m, Present) && p.changed(m, l.Mailbox.Base):
		p.decideOrphan(l, m)
	case is(c, Deleted):
		p.remove(l, mailbox, m, "deleted in the CRM")
	case is(m, Deleted):
		p.decideDeletedCopy(l, c)
	default:
		p.merge(pair{link: *l, item: [2]*item{c, m}}, "")
	}
}

// decideReplaced is for a link whose mailbox item has gone, while another one bears our
// stamp for its record.
func (p *planner) decideReplaced(l *Link, c, m *item) {
	claims := p.claims[l.CRM.ID]
	switch {
	case c == nil:
		p.need(crm, l.CRM.ID)
	case is(c, Present) || len(claims) > 1:
		if !p.claimed(l, c) {
			p.decideLinked(l, c, m)
		}
	default:
		link := l.claimedBy(claims[0])
		p.decideLinked(&link, c, claims[0])
	}
}

// decideInherited is for a link whose CRM record has gone, while another one bears our
// stamp for its mailbox item.
func (p *planner) decideInherited(l *Link, m *item) {
	switch {
	case m == nil:
		p.need(mailbox, l.Mailbox.ID)
		return
	case is(m, Present):
		p.bury(l, "deleted in the CRM, where we have created it again")
		p.free[mailbox] = append(p.free[mailbox], m)
	default:
		p.end(l, Ended, "gone on both sides")
	}
	p.free[crm] = append(p.free[crm], p.heirs[l.CRM.ID]...)
}

// unseenEdit asks for the item that is not at hand where the other one went: under the
// policy to hold it may have an edit that waits for a person.
func (p *planner) unseenEdit(l *Link, c, m *item) bool {
	holding := slices.ContainsFunc(p.fields, func(f field) bool { return f.Conflict == Hold && f.both() })
	switch {
	case !holding:
		return false
	case m == nil && !is(c, Present):
		p.need(mailbox, l.Mailbox.ID)
	case c == nil && is(m, Deleted):
		p.need(crm, l.CRM.ID)
	default:
		return false
	}
	return true
}

// discarded reports whether a person decided against the delete of a linked item.
func (p *planner) discarded(side int, l *Link) bool {
	return p.in.Discarded[DeleteKey{Side: sides[side], CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID}]
}

// keepCopy keeps a mailbox item that was to go with its CRM record, because a person
// wants it, and reports whether there was anything to decide.
func (p *planner) keepCopy(l *Link, c, m *item) bool {
	switch {
	case is(c, OutOfScope) && (m == nil || is(m, Present)):
		p.end(l, Unlinked, "out of scope in the CRM; a person decided to keep the mailbox item: both stay as they are")
	case is(c, Deleted) && m == nil:
		p.need(mailbox, l.Mailbox.ID)
	case is(c, Deleted) && is(m, Present) && !p.open[crm]:
		p.end(l, Unlinked, "deleted in the CRM; a person decided to keep the mailbox item")
	case is(c, Deleted) && is(m, Present):
		p.bury(l, "deleted in the CRM; a person decided to keep the mailbox item")
		p.create(m, Half{Op: l.Mailbox.Op}, "deleted in the CRM; a person decided to create it again from the mailbox")
	default:
		return false
	}
	return true
}

// keepRecord keeps a CRM record that was to go with its mailbox item, because a person
// wants it, and reports whether there was anything to decide.
func (p *planner) keepRecord(l *Link, c, m *item) bool {
	switch {
	case !is(m, Deleted):
		return false
	case c == nil:
		p.need(crm, l.CRM.ID)
	case is(c, Present) && !p.open[mailbox]:
		p.end(l, Unlinked, "deleted in the mailbox; a person decided to keep the CRM record")
	case is(c, Present):
		p.create(c, l.CRM, "deleted in the mailbox; a person decided to create it again from the CRM")
	default:
		return false
	}
	return true
}

// decideOrphan is for a mailbox item that was edited while its CRM record was deleted:
// the edit wins.
func (p *planner) decideOrphan(l *Link, m *item) {
	if !p.in.Policy.CreateInCRM || !p.open[crm] {
		p.find(EditKept, m, []string{l.CRM.ID}, "edited in the mailbox while it was deleted in the CRM, where records may not be created; the edit stays in the mailbox")
		p.end(l, Unlinked, "deleted in the CRM, but edited in the mailbox: the mailbox item stays")
		return
	}
	p.bury(l, "deleted in the CRM, but edited in the mailbox: the edit wins and the record is created again")
	p.create(m, Half{Op: l.Mailbox.Op}, "edited in the mailbox while it was deleted in the CRM; the edit wins")
}

// decideDeletedCopy is for a mailbox item that was deleted while its CRM record lives.
func (p *planner) decideDeletedCopy(l *Link, c *item) {
	edited := is(c, Present) && p.changed(c, l.CRM.Base)
	switch {
	case edited && !p.open[mailbox]:
		p.find(EditKept, c, []string{l.Mailbox.ID}, "edited in the CRM while it was deleted in the mailbox, which is not written; the edit stays in the CRM")
		p.end(l, Unlinked, "deleted in the mailbox, but edited in the CRM: the CRM record stays")
	case edited:
		p.create(c, l.CRM, "changed in the CRM while it was deleted in the mailbox; the edit wins")
	case p.in.Policy.DeletesFromMailbox == Propagate:
		p.remove(l, crm, c, "deleted in the mailbox; the policy is to delete in the CRM too")
	case p.in.Policy.DeletesFromMailbox == Recreate && p.open[mailbox]:
		if c == nil {
			p.need(crm, l.CRM.ID)
			return
		}
		p.create(c, l.CRM, "deleted in the mailbox; the policy is to create it again")
	case p.in.Policy.DeletesFromMailbox == Recreate:
		p.end(l, Unlinked, "deleted in the mailbox, which is not written; the CRM record is kept and unlinked")
	default:
		p.end(l, Unlinked, "deleted in the mailbox; the policy keeps the CRM record and unlinks it")
	}
}

// decideUnlinked is for a pair that is left alone. One whose CRM record was taken back, or
// was gone when its mailbox item was brought back, waits for the record.
func (p *planner) decideUnlinked(l *Link, c, m *item) {
	waits := l.CRM.Version == Awaited && l.Mailbox.ID != ""
	switch {
	case waits && is(c, Deleted) && (m == nil || is(m, Present) && !p.changed(m, l.Mailbox.Base)):
	case waits && is(c, Present) && m == nil:
		p.need(mailbox, l.Mailbox.ID)
	case waits && c == nil && is(m, Deleted):
		p.end(l, Ended, "deleted on both sides")
	case is(m, Present) && c == nil:
		p.need(crm, l.CRM.ID)
	case is(m, Present) && is(c, Present):
		p.relink(l, c, m)
	case is(m, Present) && is(c, Deleted):
		p.bury(l, "deleted in the CRM")
		p.free[mailbox] = append(p.free[mailbox], m)
	case is(c, Deleted) && m == nil && l.Mailbox.ID != "":
		p.need(mailbox, l.Mailbox.ID) // the pair may have parted over an edit there, which then wins
	case is(c, Deleted):
		p.end(l, Ended, "deleted in the CRM")
	case is(c, Present):
		if p.claimed(l, c) || !p.open[mailbox] || p.in.Policy.DeletesFromMailbox != Recreate || !p.changed(c, l.CRM.Base) {
			return
		}
		if m == nil && l.Mailbox.ID != "" {
			p.need(mailbox, l.Mailbox.ID) // it may only have been unlinked
			return
		}
		if is(m, OutOfScope) {
			return // it was moved away, and may be moved back
		}
		p.create(c, l.CRM, "changed in the CRM since it was deleted in the mailbox; the policy is to create it again")
	}
}

func (p *planner) decideEnded(l *Link, c, m *item) {
	switch {
	case is(c, Present) && is(m, Present):
		p.relink(l, c, m)
	case is(c, Present):
		if p.claimed(l, c) || p.replayed(c, l.CRM) {
			return
		}
		p.free[crm] = append(p.free[crm], c)
	case is(m, Present):
		if p.replayed(m, l.Mailbox) {
			return
		}
		if c == nil && l.CRM.ID != "" {
			p.need(crm, l.CRM.ID)
			return
		}
		if c == nil || is(c, Deleted) {
			p.free[mailbox] = append(p.free[mailbox], m)
		}
	}
}

// replayed reports that an item of an ended link is just as it was when the link ended:
// the feed is behind. An item that was restored has a new version.
func (p *planner) replayed(it *item, h Half) bool {
	return it.Version != "" && it.Version == h.Version && !p.changed(it, h.Base)
}

// relink brings two items together again that once were linked. What changed on either
// side meanwhile is told by the old bases.
func (p *planner) relink(l *Link, c, m *item) {
	p.merge(pair{link: *l, item: [2]*item{c, m}}, "back in the mailbox and in the CRM: linked again")
}

// claimed links a CRM record whose mailbox item is gone with the one item that bears a
// stamp for it.
func (p *planner) claimed(l *Link, c *item) bool {
	claims := slices.DeleteFunc(p.claims[l.CRM.ID], func(m *item) bool {
		renamed := p.renamed(l, c, m)
		if renamed {
			p.unstamp(m)
			p.free[mailbox] = append(p.free[mailbox], m)
		}
		return renamed
	})
	p.claims[l.CRM.ID] = claims
	if len(claims) == 0 {
		return false
	}
	if len(claims) > 1 {
		p.ambiguous(c, idsOf(claims), "several mailbox items bear a stamp for it")
		for _, m := range claims {
			p.ambiguous(m, []string{c.ID}, "several mailbox items bear a stamp for the same CRM record")
		}
		return true
	}
	m := claims[0]
	p.merge(pair{link: l.claimedBy(m), item: [2]*item{c, m}}, "the mailbox item bears our stamp for it")
	return true
}

// renamed tells whether an item that bears the stamp of what is linked is a copy that a
// person made somebody else of: it has neither the name of the record nor the one that the
// linked item had.
func (p *planner) renamed(l *Link, c, m *item) bool {
	now, was := p.hash(m), l.Mailbox.Base
	return !sameName(p.person(c), p.person(m)) &&
		(!same(now[record.GivenName], was[record.GivenName]) || !same(now[record.FamilyName], was[record.FamilyName]))
}

// claimedBy returns a link with the mailbox item that bears our stamp for its record.
func (l Link) claimedBy(m *item) Link {
	l.Mailbox = Half{ID: m.ID, Version: m.Version, Base: l.Mailbox.Base, Op: m.Stamp.Op}
	return l
}

func (p *planner) ambiguous(it *item, candidates []string, reason string) {
	p.find(Ambiguous, it, candidates, reason)
}

func idsOf(items []*item) []string {
	ids := make([]string, len(items))
	for n, it := range items {
		ids[n] = it.ID
	}
	return ids
}

// end changes the state of a link, and nothing else.
func (p *planner) end(l *Link, state LinkState, reason string) {
	link := *l
	link.State = state
	p.add(Operation{
		Kind: End, CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID, Link: link, Reason: reason,
		Label: labelOf(p.itemOf(l, crm), p.itemOf(l, mailbox)),
	})
}

// bury ends a link and gives its mailbox item free for another one.
func (p *planner) bury(l *Link, reason string) {
	link := *l
	link.State, link.Mailbox = Ended, Half{}
	p.add(Operation{
		Kind: End, CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID, Link: link, Reason: reason,
		Label: labelOf(p.itemOf(l, crm), p.itemOf(l, mailbox)),
	})
}

// remove deletes a linked item; the link becomes a tombstone. On a side that is not
// written the item stays.
func (p *planner) remove(l *Link, side int, it *item, reason string) {
	if !p.open[side] {
		p.end(l, Unlinked, reason+"; "+place(sides[side])+" is not written, so the item there stays")
		return
	}
	link := *l
	link.State = Ended
	if is(it, Present) {
		link.Half(sides[side]).Version = it.Version
	}
	if other := p.itemOf(l, 1-side); is(other, OutOfScope) {
		// It may come back as it is, and is then no replay.
		link.Half(sides[1-side]).Version = ""
	}
	p.add(Operation{
		Kind: Delete, Side: sides[side], CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID,
		Version: link.Half(sides[side]).Version, Link: link, Reason: reason, Label: labelOf(it, p.itemOf(l, 1-side)),
	})
}

// create adds the operation that makes an item's counterpart on the other side, unless
// there is nothing in it that the other side could hold.
func (p *planner) create(src *item, half Half, reason string) {
	to := 1 - src.side
	hashes := p.hash(src)
	o := Operation{
		Kind: Create, Side: sides[to], Set: record.Record{},
		MoveCRM: record.Hashes{}, MoveMailbox: record.Hashes{}, Reason: reason, Label: src.Record.Label(),
	}
	base := [2]record.Hashes{crm: o.MoveCRM, mailbox: o.MoveMailbox}
	for _, f := range p.fields {
		h := hashes[f.Field]
		if len(h) == 0 {
			continue
		}
		base[src.side][f.Field] = h
		if !f.to(to) {
			continue
		}
		if v, h := p.fitted(f, to, src.Record[f.Field], h); len(v) > 0 {
			o.Set[f.Field], base[to][f.Field] = v, h
		}
	}
	if len(o.Set) == 0 {
		return
	}
	half.ID, half.Version, half.Base = src.ID, src.Version, base[src.side]
	if half.Op == "" && src.Stamp != nil {
		half.Op = src.Stamp.Op
	}
	o.Link = Link{State: Linked}
	*o.Link.Half(sides[src.side]) = half
	o.Link.Half(sides[to]).Base = base[to]
	if src.side == crm {
		o.CRMID = src.ID
	} else {
		o.MailboxID = src.ID
	}
	p.ops = append(p.ops, dated{Operation: o, modified: src.Modified})
}
