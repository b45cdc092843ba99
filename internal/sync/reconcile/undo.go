package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Taking writes back, in sentences.
//
//   - An item is taken back as one: all that was written to it, newest first. It is
//     refused if it does not hold what the writes left there, for then somebody has
//     changed it since, or if it cannot be seen any more.
//   - An update: the fields that it wrote get their old values. The base of that side
//     moves with them and the other side's does not, so the two sides knowingly differ
//     until somebody edits the field.
//   - A create: the item is deleted and the link stays, unlinked, so that the other side's
//     item is not taken for a new one.
//   - A delete: the item is created again, and linked with the other side's if that
//     exists and is in scope. If not, the link waits for it: Link.CRM.Version says Awaited.
//     What was linked with another item since is refused.
//   - What was taken back already is left out.

// UndoInput is all that taking writes back depends on.
type UndoInput struct {
	Policy Policy
	Hasher record.Hasher
	// Images are those of the writes, newest first.
	Images []Image
	// Links are the links of the items that they name.
	Links []Link
	// Items are both sides' items that they name, as they are now. One that is missing
	// cannot be read.
	Items map[Ref]Change
}

// Refusal is an item whose writes are not taken back.
type Refusal struct {
	Side      record.Side
	Kind      OpKind
	CRMID     string
	MailboxID string
	Label     string
	Reason    string
}

// UndoPlan is what takes writes back.
type UndoPlan struct {
	Plan
	Refused []Refusal
	// Already is how many writes were taken back before, or came to nothing.
	Already int
}

// Refs returns the items that must be read to take writes back.
func (in UndoInput) Refs() []Ref {
	refs := map[Ref]bool{}
	add := func(side record.Side, id string) {
		if id != "" {
			refs[Ref{Side: side, ID: id}] = true
		}
	}
	for _, i := range in.Images {
		if i.Undone == "" {
			add(i.Side, i.ItemID())
		}
		if i.Undone == "" && i.Kind == Delete {
			add(record.CRM, i.CRMID)
			add(record.Mailbox, i.MailboxID)
		}
	}
	return slices.SortedFunc(maps.Keys(refs), func(a, b Ref) int {
		return cmp.Or(strings.Compare(string(a.Side), string(b.Side)), strings.Compare(a.ID, b.ID))
	})
}

// Undo decides how to take writes back. It does not change its input.
func Undo(in UndoInput) UndoPlan {
	in.Hasher = in.Hasher.Remembering()
	u := undoer{in: in, links: [2]map[string]Link{{}, {}}}
	for _, l := range in.Links {
		for i, s := range sides {
			id := l.Half(s).ID
			if old, ok := u.links[i][id]; id != "" && (!ok || liveliness(l.State) > liveliness(old.State)) {
				u.links[i][id] = l
			}
		}
	}
	var plan UndoPlan
	var order []Ref
	writes := map[Ref][]Image{}
	for _, i := range in.Images {
		if i.Undone != "" {
			plan.Already++
			continue
		}
		ref := Ref{Side: i.Side, ID: i.ItemID()}
		if writes[ref] == nil {
			order = append(order, ref)
		}
		writes[ref] = append(writes[ref], i)
	}
	for _, ref := range order {
		o, reason := u.item(ref, writes[ref])
		first := writes[ref][0]
		if reason != "" {
			plan.Refused = append(plan.Refused, Refusal{
				Side: ref.Side, Kind: first.Kind, CRMID: first.CRMID, MailboxID: first.MailboxID,
				Label: u.label(ref, writes[ref]), Reason: reason,
			})
			continue
		}
		if o.Kind == "" {
			plan.Already += len(writes[ref])
			continue
		}
		o.Label = u.label(ref, writes[ref])
		for _, i := range writes[ref] {
			o.Undoes = append(o.Undoes, i.Op)
		}
		plan.Ops = append(plan.Ops, o)
	}
	slices.SortStableFunc(plan.Ops, func(a, b Operation) int { return cmp.Compare(rank[a.Kind], rank[b.Kind]) })
	return plan
}

type undoer struct {
	in    UndoInput
	links [2]map[string]Link
}

// item takes all that was written to one item back, the newest first. The operation is
// zero if nothing is left to do, and the reason says why it is refused.
func (u *undoer) item(ref Ref, writes []Image) (Operation, string) {
	it, read := u.in.Items[ref]
	switch {
	case !read:
		return Operation{}, "it cannot be read"
	case it.Kind == OutOfScope:
		return Operation{}, "it is out of scope now: it was moved, or belongs to somebody else"
	}
	there := it.Kind == Present
	now := it.Record.Clone()
	var reason string
	for _, w := range writes {
		if there, reason = u.back(w, now, there); reason != "" {
			return Operation{}, reason
		}
	}
	switch {
	case there && it.Kind == Present:
		return u.update(ref, it, now, writes[0])
	case there:
		return u.create(ref, now, writes[0])
	case it.Kind == Present:
		return u.remove(ref, it, writes[0])
	}
	return Operation{}, "" // created and deleted
}

// back takes one write back in what an item holds, and tells whether it is there then.
func (u *undoer) back(w Image, now record.Record, there bool) (bool, string) {
	switch {
	case w.Kind == Delete && there:
		return true, "it exists again"
	case w.Kind == Delete:
		clear(now)
		maps.Copy(now, w.Before.Clone())
		return true, ""
	case !there:
		return false, "it does not exist any more"
	case w.Kind == Create:
		if u.in.Policy.Changed(u.in.Hasher.Record(now), w.Left) {
			return true, "changed since"
		}
		clear(now)
		return false, ""
	}
	for _, f := range fieldsIn(w.Left) {
		if !same(u.in.Hasher.Value(f, now[f]), w.Left[f]) {
			return true, "changed since"
		}
		if v := w.Before[f]; len(v) > 0 {
			now[f] = slices.Clone(v)
		} else {
			delete(now, f)
		}
	}
	return true, ""
}

func fieldsIn(h record.Hashes) []record.Field { return slices.Sorted(maps.Keys(h)) }

// update writes the fields that are to be as they were.
func (u *undoer) update(ref Ref, it Change, then record.Record, w Image) (Operation, string) {
	o := u.operation(Update, ref, it, w)
	o.Set = record.Record{}
	move := record.Hashes{}
	var fields []record.Field
	for _, f := range u.in.Policy.Fields {
		h := u.in.Hasher.Value(f.Field, then[f.Field])
		if same(h, u.in.Hasher.Value(f.Field, it.Record[f.Field])) {
			continue
		}
		o.Set[f.Field], move[f.Field] = then[f.Field], h
		fields = append(fields, f.Field)
	}
	if len(fields) == 0 {
		return Operation{}, ""
	}
	if ref.Side == record.CRM {
		o.MoveCRM = move
	} else {
		o.MoveMailbox = move
	}
	o.Reason = "taken back: " + fieldNames(fields) + " as before"
	return o, ""
}

// remove deletes an item that was created.
func (u *undoer) remove(ref Ref, it Change, w Image) (Operation, string) {
	o := u.operation(Delete, ref, it, w)
	o.Reason = "taken back: it was created by the session"
	if o.Link.State == "" {
		return o, ""
	}
	o.Link.Half(ref.Side).Version = it.Version
	if o.Link.State == Linked {
		o.Link.State = Unlinked
	}
	if ref.Side == record.CRM && o.Link.State == Unlinked {
		o.Link.CRM.Version = Awaited
	}
	return o, ""
}

// create makes an item again that was deleted.
func (u *undoer) create(ref Ref, then record.Record, w Image) (Operation, string) {
	to := sideOf(ref.Side)
	partner := Ref{Side: ref.Side.Other(), ID: w.CRMID}
	if to == crm {
		partner.ID = w.MailboxID
	}
	if partner.ID == "" {
		return Operation{}, "it was the second item of a write that landed late: bringing it back would make a duplicate"
	}
	l, linked := u.links[1-to][partner.ID]
	if linked && l.State == Linked {
		return Operation{}, "its other side was linked with another item since"
	}
	held := u.in.Hasher.Record(then)
	base := record.Hashes{}
	for _, f := range u.in.Policy.Fields {
		if h := held[f.Field]; len(h) > 0 {
			base[f.Field] = h
		}
	}
	o := Operation{
		Kind: Create, Side: ref.Side, Set: then, CRMID: w.CRMID, MailboxID: w.MailboxID,
		Link: Link{State: Unlinked}, MoveCRM: record.Hashes{}, MoveMailbox: record.Hashes{},
		Reason: "taken back: it was deleted by the session",
	}
	other := *l.Half(partner.Side)
	other.ID, other.Version = partner.ID, Awaited
	if it := u.in.Items[partner]; it.Kind == Present && it.ID != "" {
		o.Link.State = Linked
		other.Version, other.Base = it.Version, u.base(it)
		o.Reason += "; it is linked again"
	}
	*o.Link.Half(partner.Side) = other
	o.Link.Half(ref.Side).Base = base
	if to == crm {
		o.CRMID, o.MoveCRM, o.MoveMailbox = "", base, other.Base
	} else {
		o.MailboxID, o.MoveMailbox, o.MoveCRM = "", base, other.Base
	}
	return o, ""
}

// base returns what an item holds, as a base.
func (u *undoer) base(it Change) record.Hashes {
	all, out := u.in.Hasher.Record(it.Record), record.Hashes{}
	for _, f := range u.in.Policy.Fields {
		if h := all[f.Field]; len(h) > 0 {
			out[f.Field] = h
		}
	}
	return out
}

// operation returns an operation on an item that is there, with its link if it has one.
func (u *undoer) operation(kind OpKind, ref Ref, it Change, w Image) Operation {
	o := Operation{
		Kind: kind, Side: ref.Side, Version: it.Version, CRMID: w.CRMID, MailboxID: w.MailboxID,
		MoveCRM: record.Hashes{}, MoveMailbox: record.Hashes{},
	}
	if l, ok := u.links[sideOf(ref.Side)][ref.ID]; ok {
		o.Link, o.CRMID, o.MailboxID = l, l.CRM.ID, l.Mailbox.ID
	}
	return o
}

func sideOf(s record.Side) int {
	if s == record.CRM {
		return crm
	}
	return mailbox
}

// label names an item by what it is now, or by what its images say.
func (u *undoer) label(ref Ref, writes []Image) string {
	if it := u.in.Items[ref]; it.Kind == Present && it.ID != "" {
		return it.Record.Label()
	}
	for _, w := range writes {
		if w.Label != "" {
			return w.Label
		}
	}
	return fmt.Sprintf("%s %s", ref.Side, ref.ID)
}
