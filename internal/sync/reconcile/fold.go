package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Merger is how a group of the mailbox's items becomes one.
type Merger struct {
	Keep Member
	// Away are put away, once Keep holds what they hold.
	Away []Member
	// Set is what Keep lacks, and Whole the record as it will be.
	Set   record.Record
	Whole record.Record
	// Lost are the values that give way to those of Keep.
	Lost []Conflict
}

// Merge plans how the items of a group that are the same beyond doubt become one: the
// linked one stays, else the oldest. Lists unite, an empty field takes the others' value,
// and where two values differ, the one that stays is that of the item that stays. If it
// may not be done, refused says why. The policy of the input has all fields that the
// mailbox can hold, whether the CRM can or not.
func Merge(in Input, g Group) (m Merger, refused string) {
	if g.Side == record.CRM {
		return m, "records of the CRM are merged in the CRM, which keeps their activities; the mailbox follows"
	}
	var linked []Member
	for _, c := range g.Members {
		switch {
		case !c.Sure:
			continue
		case c.Link != nil:
			linked = append(linked, c)
		default:
			m.Away = append(m.Away, c)
		}
	}
	slices.SortStableFunc(m.Away, func(a, b Member) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	switch {
	case len(linked) > 1:
		return m, fmt.Sprintf("%d of them are linked to records of the CRM: merge those in the CRM, and the mailbox follows", len(linked))
	case len(linked)+len(m.Away) < 2:
		return m, "they are likely to be the same, but that is not sure: a person decides"
	case len(linked) == 1:
		m.Keep = linked[0]
	default:
		m.Keep, m.Away = m.Away[0], m.Away[1:]
	}
	m.fold(in)
	return m, ""
}

// fold works out what the kept item takes over.
func (m *Merger) fold(in Input) {
	p := &planner{in: in, fields: fieldsOf(in.Policy)}
	p.in.Hasher = in.Hasher.Remembering()
	link := Link{Mailbox: Half{ID: m.Keep.ID}}
	if m.Keep.Link != nil {
		link = *m.Keep.Link
	}
	keep := &item{Change: m.Keep.Change, side: mailbox}
	now := keep
	for _, c := range m.Away {
		now = p.fold(&link, now, &item{Change: c.Change, side: mailbox}, nil)
	}
	m.Set, m.Whole = record.Record{}, now.Record
	for _, f := range p.fields {
		whole := now.Record[f.Field]
		fit, h := p.fitted(f, mailbox, whole, p.hash(now)[f.Field])
		lost := slices.DeleteFunc(slices.Clone(whole), func(text string) bool { return slices.Contains(fit, text) })
		if len(lost) > 0 {
			p.conflicts = append(p.conflicts, Conflict{
				CRMID: link.CRM.ID, MailboxID: m.Keep.ID, Field: f.Field, Winner: record.Mailbox, Lost: lost, Kept: fit,
			})
			m.Whole = m.Whole.Clone()
			m.Whole[f.Field] = fit
		}
		if !same(h, p.hash(keep)[f.Field]) {
			m.Set[f.Field] = fit
		}
	}
	m.Lost = p.conflicts
}

// Update is the operation that gives the kept item what it lacks; ok is false if it
// lacks nothing. The bases stay, so that the next cycle takes it for what it is: an edit.
func (m Merger) Update() (o Operation, ok bool) {
	if len(m.Set) == 0 {
		return o, false
	}
	o = Operation{
		Kind: Update, Side: record.Mailbox, MailboxID: m.Keep.ID, Version: m.Keep.Version, Set: m.Set,
		MoveCRM: record.Hashes{}, MoveMailbox: record.Hashes{}, Label: m.Keep.Record.Label(), Reason: "takes over what its duplicates hold",
	}
	if m.Keep.Link != nil {
		o.Link, o.CRMID = *m.Keep.Link, m.Keep.Link.CRM.ID
	}
	return o, true
}

// Deletes are the operations that put the others away.
func (m Merger) Deletes() []Operation {
	var out []Operation
	for _, c := range m.Away {
		out = append(out, Operation{
			Kind: Delete, Side: record.Mailbox, MailboxID: c.ID, Version: c.Version, Label: c.Record.Label(),
			Reason: "a duplicate, all of whose values are kept",
		})
	}
	return out
}
