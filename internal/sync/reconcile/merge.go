package reconcile

import (
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// pair is a link with what its two items hold now.
type pair struct {
	link Link
	// item is nil on a side that did not change.
	item [2]*item
	// actual is what a side holds if that is not what its item says: the item has a
	// person's edits of a late twin folded in. Else nil.
	actual [2]record.Hashes
}

// base returns what a side held when both last agreed.
func (pr *pair) base(side int, f record.Field) []record.Hash {
	return pr.link.Half(sides[side]).Base[f]
}

// now returns what a side is meant to hold before anything is written.
func (p *planner) now(pr *pair, side int, f record.Field) []record.Hash {
	if pr.item[side] == nil {
		return pr.base(side, f)
	}
	return p.hash(pr.item[side])[f]
}

// held returns what a side's item holds in truth.
func (p *planner) held(pr *pair, side int, f record.Field) []record.Hash {
	if pr.actual[side] != nil {
		return pr.actual[side][f]
	}
	return p.now(pr, side, f)
}

// cause says why a field is written.
type cause int

const (
	// edited: the other side changed it.
	edited cause = iota
	// disputed: both sides changed it and the policy picked.
	disputed
	// room: the written side itself changed and can hold more of the other's list.
	room
)

// verdict is what becomes of one field of a pair.
type verdict struct {
	// write says which sides are written, and set with what.
	write [2]bool
	set   [2]record.Value
	// base is what each side holds afterwards; it counts if decided.
	base    [2][]record.Hash
	decided bool
	cause   [2]cause
	// conflict has the values; winner is the side that keeps its own, -1 on hold.
	conflict   bool
	winner     int
	lost, kept record.Value
	// tooMany: some elements stay on one side. need: a side must be read first.
	tooMany bool
	need    [2]bool
}

// merge plans what brings a pair in step. Where up is not empty, the two are not linked
// yet, and up says why they belong together.
func (p *planner) merge(pr pair, up string) {
	verdicts := p.verdicts
	blocked := false
	for n, f := range p.fields {
		v := p.judge(&pr, f)
		for i := range sides {
			if v.need[i] {
				p.need(i, pr.link.Half(sides[i]).ID)
				blocked = true
			}
		}
		verdicts[n] = v
	}
	if blocked {
		return
	}
	p.report(&pr, verdicts)

	link := pr.link
	link.State = Linked
	for i, s := range sides {
		if it := pr.item[i]; it != nil {
			link.Half(s).Version = it.Version
		}
	}
	o := Operation{
		Kind: Settle, CRMID: link.CRM.ID, MailboxID: link.Mailbox.ID,
		MoveCRM: record.Hashes{}, MoveMailbox: record.Hashes{}, Label: labelOf(pr.item[crm], pr.item[mailbox]),
	}
	var settled []record.Field
	for n, f := range p.fields {
		v := verdicts[n]
		if !v.decided || v.write[crm] || v.write[mailbox] {
			continue
		}
		if same(v.base[crm], pr.base(crm, f.Field)) && same(v.base[mailbox], pr.base(mailbox, f.Field)) {
			continue
		}
		o.MoveCRM[f.Field], o.MoveMailbox[f.Field] = v.base[crm], v.base[mailbox]
		settled = append(settled, f.Field)
	}
	link.CRM.Base = overlay(link.CRM.Base, o.MoveCRM)
	link.Mailbox.Base = overlay(link.Mailbox.Base, o.MoveMailbox)
	o.Link = link
	switch {
	case up != "":
		o.Kind, o.Reason = LinkUp, up
		if writes(verdicts, crm) || writes(verdicts, mailbox) {
			o.Link.CRM.Version, o.Link.Mailbox.Version = Unread, Unread
		}
		p.add(o)
	case len(settled) > 0:
		o.Reason = "nothing to write: " + fieldNames(settled) + " agree on both sides, as far as each can hold them"
		p.add(o)
	}
	for i := range sides {
		if writes(verdicts, i) {
			p.update(&pr, link, i, verdicts, up != "")
		}
	}
}

func writes(verdicts []verdict, side int) bool {
	for _, v := range verdicts {
		if v.write[side] {
			return true
		}
	}
	return false
}

// update adds the one operation that writes a side of a linked pair.
func (p *planner) update(pr *pair, link Link, side int, verdicts []verdict, fresh bool) {
	o := Operation{
		Kind: Update, Side: sides[side], CRMID: link.CRM.ID, MailboxID: link.Mailbox.ID,
		Version: link.Half(sides[side]).Version, Set: record.Record{},
		MoveCRM: record.Hashes{}, MoveMailbox: record.Hashes{}, Label: labelOf(pr.item[crm], pr.item[mailbox]),
	}
	var because [3][]record.Field
	for n, f := range p.fields {
		v := verdicts[n]
		if !v.write[side] {
			continue
		}
		o.Set[f.Field] = v.set[side]
		because[v.cause[side]] = append(because[v.cause[side]], f.Field)
		if v.write[1-side] {
			if o.Joint == nil {
				o.Joint = record.Hashes{}
			}
			o.Joint[f.Field] = v.base[side]
			continue
		}
		o.MoveCRM[f.Field], o.MoveMailbox[f.Field] = v.base[crm], v.base[mailbox]
	}
	link.CRM.Base = overlay(link.CRM.Base, o.MoveCRM)
	link.Mailbox.Base = overlay(link.Mailbox.Base, o.MoveMailbox)
	o.Link = link
	o.Reason = because2words(because, side, fresh)
	p.add(o)
}

func because2words(because [3][]record.Field, side int, fresh bool) string {
	here, there := place(sides[side]), place(sides[1-side])
	var parts []string
	if fs := because[edited]; len(fs) > 0 {
		if fresh {
			parts = append(parts, fieldNames(fs)+" taken over from "+there)
		} else {
			parts = append(parts, fieldNames(fs)+" changed in "+there)
		}
	}
	if fs := because[disputed]; len(fs) > 0 {
		how := " changed on both sides; "
		if fresh {
			how = " not the same on the two sides; "
		}
		parts = append(parts, fieldNames(fs)+how+there+" wins")
	}
	if fs := because[room]; len(fs) > 0 {
		parts = append(parts, here+" has room for more "+fieldNames(fs))
	}
	return strings.Join(parts, "; ")
}

// report notes the conflicts of a pair, and what a person should know of it.
func (p *planner) report(pr *pair, verdicts []verdict) {
	var held, many []record.Field
	for n, f := range p.fields {
		v := verdicts[n]
		if v.tooMany {
			many = append(many, f.Field)
		}
		if !v.conflict {
			continue
		}
		c := Conflict{CRMID: pr.link.CRM.ID, MailboxID: pr.link.Mailbox.ID, Field: f.Field, Lost: v.lost, Kept: v.kept}
		if v.winner < 0 {
			held = append(held, f.Field)
		} else {
			c.Winner = sides[v.winner]
		}
		p.conflicts = append(p.conflicts, c)
	}
	named := Finding{Side: record.CRM, ID: pr.link.CRM.ID, Label: labelOf(pr.item[crm], pr.item[mailbox])}
	if len(held) > 0 {
		named.Code, named.Reason = OnHold, fieldNames(held)+" changed on both sides; the policy is to wait for a person"
		p.findings = append(p.findings, named)
	}
	if len(many) > 0 {
		named.Code, named.Reason = TooMany, fieldNames(many)+" hold more than both sides have room for"
		p.findings = append(p.findings, named)
	}
}

// judge decides one field.
func (p *planner) judge(pr *pair, f field) verdict {
	if i := p.unseen(pr, f); i >= 0 {
		v := verdict{}
		v.need[i] = true
		return v
	}
	if f.list && f.both() {
		return p.judgeList(pr, f)
	}
	var now [2][]record.Hash
	var changed [2]bool
	for i := range sides {
		now[i] = p.now(pr, i, f.Field)
		changed[i] = !same(now[i], pr.base(i, f.Field))
	}
	asIs := verdict{decided: true}
	for i := range sides {
		asIs.base[i] = p.held(pr, i, f.Field)
	}
	switch {
	case !changed[crm] && !changed[mailbox]:
		return verdict{}
	case !f.ToCRM && !f.ToMailbox:
		return asIs
	case !f.both():
		follower := crm
		if f.ToMailbox {
			follower = mailbox
		}
		if !changed[1-follower] {
			return asIs
		}
		return p.overwrite(pr, f, 1-follower, changed[follower])
	case !changed[mailbox]:
		return p.overwrite(pr, f, crm, false)
	case !changed[crm]:
		return p.overwrite(pr, f, mailbox, false)
	}
	c, m := pr.item[crm].Record[f.Field], pr.item[mailbox].Record[f.Field]
	_, cInM := p.fitted(f, mailbox, c, now[crm])
	_, mInC := p.fitted(f, crm, m, now[mailbox])
	switch {
	case same(cInM, now[mailbox]):
		return p.overwrite(pr, f, crm, false)
	case same(mInC, now[crm]):
		return p.overwrite(pr, f, mailbox, false)
	}
	w := p.winner(pr, f.Conflict)
	if w < 0 {
		return verdict{conflict: true, winner: w, lost: m, kept: c}
	}
	return p.overwrite(pr, f, w, true)
}

// unseen returns the side that must be read before a field can be decided, or -1. Under
// the policy to hold, a side that is not among the changes may all the same hold an
// edit that waits for a person.
func (p *planner) unseen(pr *pair, f field) int {
	for i := range sides {
		if pr.item[1-i] == nil && f.Conflict == Hold && f.both() &&
			!same(p.now(pr, i, f.Field), pr.base(i, f.Field)) {
			return 1 - i
		}
	}
	return -1
}

// overwrite lets one side's value stand. Where the other side changed the field as
// well, its value is a conflict's loser.
func (p *planner) overwrite(pr *pair, f field, winner int, disputes bool) verdict {
	loser := 1 - winner
	value := pr.item[winner].Record[f.Field]
	v := verdict{decided: true}
	v.base[winner] = p.now(pr, winner, f.Field)
	v.set[winner] = value
	v.write[winner] = !same(v.base[winner], p.held(pr, winner, f.Field))
	v.set[loser], v.base[loser] = p.fitted(f, loser, value, v.base[winner])
	if disputes {
		own := p.now(pr, loser, f.Field)
		if len(v.base[loser]) == 0 && len(value) > 0 {
			// The loser cannot hold anything of it: its own value stays.
			v.base[loser] = own
			return v
		}
		if !same(v.base[loser], own) {
			v.cause[loser] = disputed
			v.conflict, v.winner = true, winner
			v.lost, v.kept = pr.item[loser].Record[f.Field], value
		}
	}
	v.write[loser] = !same(v.base[loser], p.held(pr, loser, f.Field))
	return v
}

// settlingTime is how far apart two servers' times must be to say which is newer.
const settlingTime = time.Minute

// winner returns the side that a policy lets win, or -1 to hold.
func (p *planner) winner(pr *pair, w Winner) int {
	switch w {
	case MailboxWins:
		return mailbox
	case Hold:
		return -1
	case NewestWins:
		c, m := pr.item[crm].Modified, pr.item[mailbox].Modified
		if !c.IsZero() && !m.IsZero() && m.Sub(c) > settlingTime {
			return mailbox
		}
	}
	return crm
}

// labelOf names a pair by the first item that says what it is.
func labelOf(items ...*item) string {
	for _, it := range items {
		if it != nil && it.Kind == Present {
			return it.Record.Label()
		}
	}
	return ""
}
