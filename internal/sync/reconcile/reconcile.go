package reconcile

// The rules, in sentences. What they decide per field is in merge.go and list.go, who
// belongs to whom in match.go and person.go, late writes in sweep.go.
//
// A linked record
//
//   - A side changed a field if the field's hash differs from that side's own base. A
//     side that is not among the changes holds what its base says.
//   - Two values are the same if one, cut to what the other side can hold, hashes like
//     the other. So a side that shortens or respells is never taken for an editor.
//   - One side changed a field: the other gets it. Both changed different fields: both
//     get the other's. Both to the same value: only the base moves.
//   - Both changed a field differently: the policy picks, and the loser is kept as a
//     Conflict. On hold, neither side is written and the base stays; the record's other
//     fields go on. A field that may be held, and a delete where there is one, is only
//     decided with both items at hand.
//   - A field that travels one way is never written against its way. An edit on the
//     side that does not lead is noted in that side's base and stays until the leading
//     side changes the field.
//   - An empty field overwrites another only where it was cleared since the base.
//   - A side to which no field travels at all is not written in any other way either:
//     nothing is created or deleted there. What went on the other side is unlinked.
//
// A record that went
//
//   - Deleted in the CRM: the mailbox copy goes too. Deleted in the mailbox: the policy
//     says. Deleted on both: the link ends.
//   - An edit wins over a delete. Where it may not bring the record back, the link is
//     dissolved and a Finding says so; the edit stays where it is.
//   - Out of scope is no delete. A CRM record out of scope takes its mailbox copy along,
//     unless that holds an unseen edit. A mailbox item out of scope dissolves the link.
//   - A person may decide against a delete that the guard holds (Input.Discarded). The
//     record is then created again on the side that lost it, in the CRM too whatever the
//     policy; and one that is out of scope is unlinked.
//   - An unlinked pair stays apart until its mailbox item is back, or until the CRM
//     record changes while the policy is to recreate; not if it was only moved away. One whose mailbox item was brought
//     back by taking a delete back waits for its CRM record, and is linked once that is
//     back too.
//   - A link that ended absorbs what its items still report. If one of them is truly
//     back, it is linked with the other again if that exists, and is a new record if not.
//
// A record without a link
//
//   - Our stamp in one item that names the other links them, then an e-mail address,
//     then name and company. Each needs exactly one candidate on both
//     sides; else nothing is linked or created and a Finding names them.
//   - Linking two items is a merge with empty bases: what only one side holds goes to
//     the other, and what differs is a conflict.
//   - A stamp that names a linked record is a copy that a person made, and means
//     nothing, unless its operation was given up: then it is our own write that landed late.
//     Or the item that the link knows has gone: then ours is in its place, and the state
//     was set back.
//   - What has no match is created on the other side: in the mailbox, most recently
//     modified first and within the limit of a first sync, which also leaves out what
//     was imported; in the CRM only if that is allowed. A Finding names what is not
//     created, so that it is looked at when a partner turns up.
//
// What cannot be decided from the input alone is named in Plan.Reread, and nothing is
// planned for it: the caller reads those items and reconciles again.

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// The sides by index, for code that treats both alike.
const (
	crm = iota
	mailbox
)

var sides = [2]record.Side{crm: record.CRM, mailbox: record.Mailbox}

// item is one side's change of an item with what has been worked out of it.
type item struct {
	Change
	side   int
	hashes record.Hashes
}

type planner struct {
	in     Input
	fields []field
	// open says which sides may be written.
	open  [2]bool
	items [2]map[string]*item
	// linked holds the link of an item; if several name it, the one that is most alive.
	linked [2]map[string]*Link
	// twins and claims are unlinked items by the CRM id of the link that their stamp
	// speaks of.
	twins  map[string][]*item
	claims map[string][]*item
	// heirs are unlinked CRM records that we made in place of a linked one, by that one's id.
	heirs map[string][]*item
	// free are the items of each side that have no link.
	free [2][]*item
	// kept are the items whose delete a person decided against.
	kept [2]map[string]bool

	ops       []dated
	conflicts []Conflict
	findings  []Finding
	reread    map[Ref]bool
	// verdicts is used by one merge after the other.
	verdicts []verdict
}

// dated is an operation with the time by which creates are ordered.
type dated struct {
	Operation
	modified time.Time
}

// Reconcile decides what to do. It does not change its input.
func Reconcile(in Input) Plan {
	in.Hasher = in.Hasher.Remembering()
	p := &planner{
		in: in, fields: fieldsOf(in.Policy),
		twins: map[string][]*item{}, claims: map[string][]*item{}, heirs: map[string][]*item{}, reread: map[Ref]bool{},
		kept: [2]map[string]bool{{}, {}},
	}
	p.open = [2]bool{crm: in.Policy.Writes(record.CRM), mailbox: in.Policy.Writes(record.Mailbox)}
	p.verdicts = make([]verdict, len(p.fields))
	for k := range in.Discarded {
		if k.Side == record.CRM {
			p.kept[crm][k.CRMID] = true
		} else {
			p.kept[mailbox][k.MailboxID] = true
		}
	}
	p.items = [2]map[string]*item{latest(crm, in.CRM), latest(mailbox, in.Mailbox)}
	p.indexLinks()
	p.readStamps()
	p.decideLinks()
	p.match()
	return p.result()
}

// latest returns the items by id. A feed may repeat an item and report it in any
// order: of two states of one item the one modified later counts, and where the times
// do not tell, the one reported later.
func latest(side int, changes []Change) map[string]*item {
	items := make(map[string]*item, len(changes))
	for _, ch := range changes {
		if old, ok := items[ch.ID]; ok && old.Kind == Present && ch.Kind == Present &&
			!ch.Modified.IsZero() && ch.Modified.Before(old.Modified) {
			continue
		}
		items[ch.ID] = &item{Change: ch, side: side}
	}
	return items
}

// liveliness orders the states of links that name the same item.
func liveliness(s LinkState) int {
	switch s {
	case Linked:
		return 2
	case Unlinked:
		return 1
	default:
		return 0
	}
}

func (p *planner) indexLinks() {
	p.in.Links = slices.Clone(p.in.Links)
	slices.SortFunc(p.in.Links, func(a, b Link) int {
		return cmp.Or(strings.Compare(a.CRM.ID, b.CRM.ID), strings.Compare(a.Mailbox.ID, b.Mailbox.ID))
	})
	for i := range sides {
		p.linked[i] = make(map[string]*Link, len(p.in.Links))
	}
	for n := range p.in.Links {
		l := &p.in.Links[n]
		for i, s := range sides {
			id := l.Half(s).ID
			if old, ok := p.linked[i][id]; id != "" && (!ok || liveliness(l.State) > liveliness(old.State)) {
				p.linked[i][id] = l
			}
		}
	}
}

// itemOf returns the change of a link's item; nil if it is not among the changes, or
// if the item belongs to a link that is more alive.
func (p *planner) itemOf(l *Link, side int) *item {
	id := l.Half(sides[side]).ID
	if id == "" || p.linked[side][id] != l {
		return nil
	}
	return p.items[side][id]
}

// hash returns the hashes of the fields of an item that travel.
func (p *planner) hash(it *item) record.Hashes {
	if it.hashes == nil {
		it.hashes = make(record.Hashes, len(it.Record))
		for _, f := range p.fields {
			if h := p.in.Hasher.Value(f.Field, it.Record[f.Field]); len(h) > 0 {
				it.hashes[f.Field] = h
			}
		}
	}
	return it.hashes
}

// changed reports whether an item that is present differs from a base.
func (p *planner) changed(it *item, base record.Hashes) bool {
	return p.in.Policy.Changed(p.hash(it), base)
}

// need asks for an item to be read.
func (p *planner) need(side int, id string) { p.reread[Ref{Side: sides[side], ID: id}] = true }

func (p *planner) add(o Operation) { p.ops = append(p.ops, dated{Operation: o}) }

func (p *planner) find(code FindingCode, it *item, candidates []string, reason string) {
	p.findings = append(p.findings, Finding{
		Code: code, Side: sides[it.side], ID: it.ID, Candidates: candidates, Reason: reason, Label: it.Record.Label(), Version: it.Version,
	})
}

// rank is the order of the kinds in a plan: what only changes the state comes first,
// and nothing is deleted before everything else was tried.
var rank = map[OpKind]int{LinkUp: 0, Settle: 1, End: 2, Update: 3, Create: 4, Delete: 5}

func (p *planner) result() Plan {
	slices.SortStableFunc(p.ops, func(a, b dated) int {
		return cmp.Or(
			cmp.Compare(rank[a.Kind], rank[b.Kind]),
			b.modified.Compare(a.modified),
			strings.Compare(a.CRMID, b.CRMID),
			strings.Compare(a.MailboxID, b.MailboxID),
			strings.Compare(string(a.Side), string(b.Side)),
		)
	})
	slices.SortStableFunc(p.conflicts, func(a, b Conflict) int {
		return cmp.Or(strings.Compare(a.CRMID, b.CRMID), strings.Compare(a.MailboxID, b.MailboxID))
	})
	slices.SortStableFunc(p.findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(string(a.Side), string(b.Side)), strings.Compare(a.ID, b.ID), strings.Compare(string(a.Code), string(b.Code)))
	})
	plan := Plan{Conflicts: p.conflicts, Findings: p.findings}
	for _, o := range p.ops {
		plan.Ops = append(plan.Ops, o.Operation)
	}
	for r := range p.reread {
		plan.Reread = append(plan.Reread, r)
	}
	slices.SortFunc(plan.Reread, func(a, b Ref) int {
		return cmp.Or(strings.Compare(string(a.Side), string(b.Side)), strings.Compare(a.ID, b.ID))
	})
	return plan
}
