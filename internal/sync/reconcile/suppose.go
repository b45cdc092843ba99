package reconcile

import (
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Deed is what a person may do next.
type Deed string

// The deeds.
const (
	// Edit changes a field of an item.
	Edit Deed = "edit"
	// EditBoth changes the same field on both sides, differently, last on the side that
	// is named.
	EditBoth Deed = "edit-both"
	// Discard deletes an item.
	Discard Deed = "delete"
)

// Suppose returns what would be decided if a person did something to an item of a side
// next. The rules themselves are asked, so that they are described in one place. The
// input holds everything that is known of the item now: its link and the items of both
// sides, or, where it has no link, all that have none.
func Suppose(in Input, d Deed, side record.Side, id string) Plan {
	in.CRM, in.Mailbox = slices.Clone(in.CRM), slices.Clone(in.Mailbox)
	item := changeOf(in, side, id)
	if item == nil || item.Kind != Present {
		return Plan{}
	}
	if d == Discard {
		*item = Change{Kind: Deleted, ID: id}
		return Reconcile(in)
	}
	f := sample(in.Policy, side)
	if f == "" {
		return Plan{}
	}
	if d == EditBoth {
		other := partnerOf(in, side, id)
		if other == nil {
			return Plan{}
		}
		edit(other, f, "edited")
		// Far enough apart for two servers' clocks.
		item.Modified = other.Modified.Add(2 * settlingTime)
	}
	edit(item, f, "edited as well")
	return Reconcile(in)
}

// edit gives a field of an item another value than it has.
func edit(ch *Change, f record.Field, text string) {
	if ch.Record[f].First() == text {
		text = "once more " + text
	}
	ch.Record = ch.Record.Clone()
	ch.Record[f] = record.Text(text)
	ch.Imported, ch.Version = false, "" // another one, that nobody knows yet
	if ch.Modified.IsZero() {
		ch.Modified = time.Unix(0, 0)
	}
}

// sample returns a field whose edits travel from a side, one line of text if there is
// one; "" if none does.
func sample(p Policy, from record.Side) record.Field {
	var found record.Field
	for _, f := range p.Fields {
		if !f.To(from.Other()) {
			continue
		}
		line := record.SpecOf(f.Field).Kind == record.Line && !record.SpecOf(f.Field).List
		switch {
		case line && f.Field == record.JobTitle:
			return f.Field
		case line && (found == "" || record.SpecOf(found).List):
			found = f.Field
		case found == "":
			found = f.Field
		}
	}
	return found
}

func changeOf(in Input, side record.Side, id string) *Change {
	list := in.Mailbox
	if side == record.CRM {
		list = in.CRM
	}
	for n := range list {
		if list[n].ID == id {
			return &list[n]
		}
	}
	return nil
}

// partnerOf returns the item that an item is linked with, if it exists.
func partnerOf(in Input, side record.Side, id string) *Change {
	for _, l := range in.Links {
		if l.State != Linked || l.Half(side).ID != id {
			continue
		}
		if ch := changeOf(in, side.Other(), l.Half(side.Other()).ID); ch != nil && ch.Kind == Present {
			return ch
		}
	}
	return nil
}

// About returns the part of a plan that concerns an item, by the ids of both sides;
// either may be empty.
func (p Plan) About(crmID, mailboxID string) Plan {
	is := func(c, m string) bool { return crmID != "" && c == crmID || mailboxID != "" && m == mailboxID }
	var out Plan
	for _, o := range p.Ops {
		if is(o.CRMID, o.MailboxID) {
			out.Ops = append(out.Ops, o)
		}
	}
	for _, o := range p.Held {
		if is(o.CRMID, o.MailboxID) {
			out.Held = append(out.Held, o)
		}
	}
	for _, c := range p.Conflicts {
		if is(c.CRMID, c.MailboxID) {
			out.Conflicts = append(out.Conflicts, c)
		}
	}
	for _, f := range p.Findings {
		if f.Side == record.CRM && is(f.ID, "") || f.Side == record.Mailbox && is("", f.ID) {
			out.Findings = append(out.Findings, f)
		}
	}
	return out
}

// Difference is a field in which the items of a link are not the same.
type Difference struct {
	Field record.Field
	// Changed are the sides that have changed it since both last agreed; none where the
	// difference is meant to stay.
	Changed []record.Side
	// Values are what each side holds.
	CRM     record.Value
	Mailbox record.Value
}

// Differences compares the items of a link with its bases and with each other, in the
// order of the policy's fields. What one side cannot hold of the other's value is no
// difference.
func Differences(in Input, l Link, c, m Change) []Difference {
	p := &planner{in: in, fields: fieldsOf(in.Policy)}
	items := [2]*item{{Change: c, side: crm}, {Change: m, side: mailbox}}
	var out []Difference
	for _, f := range p.fields {
		d := Difference{Field: f.Field, CRM: c.Record[f.Field], Mailbox: m.Record[f.Field]}
		var now [2][]record.Hash
		for i, s := range sides {
			now[i] = p.hash(items[i])[f.Field]
			if !same(now[i], l.Half(s).Base[f.Field]) {
				d.Changed = append(d.Changed, s)
			}
		}
		_, there := p.fitted(f, mailbox, d.CRM, now[crm])
		_, here := p.fitted(f, crm, d.Mailbox, now[mailbox])
		if len(d.Changed) > 0 || !same(there, now[mailbox]) && !same(here, now[crm]) {
			out = append(out, d)
		}
	}
	return out
}

// Words says how a field travels, and who wins it, as a person reads it.
func (f FieldPolicy) Words(p Policy) string {
	switch {
	case !f.ToCRM && !f.ToMailbox:
		return "is not synchronized"
	case !f.ToCRM:
		return "goes from the CRM to the mailbox only"
	case !f.ToMailbox:
		return "goes from the mailbox to the CRM only"
	}
	winner := f.Conflict
	if winner == "" {
		winner = p.Conflict
	}
	const both = "goes both ways; changed on both sides, "
	switch winner {
	case MailboxWins:
		return both + "the mailbox wins"
	case NewestWins:
		return both + "the newer edit wins"
	case Hold:
		return both + "it waits for a person"
	}
	return both + "the CRM wins"
}
