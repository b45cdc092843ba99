package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Presence says whether a side has an item.
type Presence string

// What a side says of an item.
const (
	Here       Presence = "present"
	Gone       Presence = "deleted"
	OutOfScope Presence = "out of scope"
	Unreadable Presence = "unreadable"
	// Absent: there is no item on this side, and never was one.
	Absent Presence = "none"
)

// Explanation is all that there is to know of one record.
type Explanation struct {
	Item
	// CRM and Mailbox are what each side says of it now, and the operation of ours that
	// wrote it last; "" if none did.
	CRM       Presence
	Mailbox   Presence
	CRMOp     record.OpID
	MailboxOp record.OpID
	// Differences are the fields in which the two items differ now.
	Differences []reconcile.Difference
	// Next is what the next cycle would do with it; Unplanned says why that cannot be
	// told, or is nil.
	Next      []Effect
	Unplanned error
	// Suppositions are what would follow if a person did something to it.
	Suppositions []Supposition
	// Policy is how the entity travels.
	Policy reconcile.Policy
}

// Effect is one thing that would be done with a record, or is left undone.
type Effect struct {
	// Action is the kind of an operation; ActionHeld or ActionIssue.
	Action string
	// Side is written to; empty for the state alone.
	Side   record.Side
	Fields []record.Field
	Reason string
}

// Supposition is what would follow from something that a person does.
type Supposition struct {
	Deed reconcile.Deed
	Side record.Side
	Then []Effect
}

// ErrNoItem says that neither side, nor the state, knows a record.
var ErrNoItem = errors.New("no such record")

// SeveralItems says that a name or an address fits several records.
type SeveralItems struct{ Items []Item }

func (e *SeveralItems) Error() string { return fmt.Sprintf("%d records fit", len(e.Items)) }

// Explain tells how one record of a user stands, why, and what would happen to it. It
// is named by an id of either side, an e-mail address or words of its name. Nothing is
// written.
func (e *Engine) Explain(ctx context.Context, user int64, what string) (Explanation, error) {
	c, err := e.reading(ctx, user)
	if err != nil {
		return Explanation{}, err
	}
	x := &explainer{cycle: c}
	it, err := x.lookFor(ctx, strings.TrimSpace(what))
	if err != nil {
		return Explanation{}, err
	}
	return x.explain(ctx, it)
}

// explainer explains one record of a user.
type explainer struct {
	*cycle
	read *inventory // nil until both sides were read
}

func (x *explainer) inventory(ctx context.Context) (inventory, error) {
	if x.read == nil {
		inv, err := x.cycle.inventory(ctx)
		if err != nil {
			return inv, err
		}
		x.read = &inv
	}
	return *x.read, nil
}

// lookFor finds a record: in the state by its id, then on both sides.
func (x *explainer) lookFor(ctx context.Context, what string) (Item, error) {
	known, err := x.e.Items(ctx, x.m.User.Email, x.m.User.ID)
	if err != nil {
		return Item{}, err
	}
	for _, s := range sides {
		for _, it := range known {
			if what != "" && it.id(s) == what {
				return it, nil
			}
		}
	}
	// An id that only a server knows has no spaces and is no address.
	if !strings.ContainsAny(what, "@ ") {
		for _, s := range sides {
			if got := x.side(s).Get(ctx, []string{what}); got[0].Err == nil && !got[0].Elsewhere {
				return x.unknown(s, got[0].Item), nil
			}
		}
	}
	inv, err := x.inventory(ctx)
	if err != nil {
		return Item{}, err
	}
	fits := x.searchFor(what)
	var found []Item
	seen := map[string]bool{}
	for _, s := range sides {
		for _, got := range inv.items[s] {
			r := x.read1(s, got)
			if !fits(r) {
				continue
			}
			it := x.unknown(s, got)
			for _, k := range known {
				if k.id(s) == got.ID && k.State != ItemEnded {
					it = k
					break
				}
			}
			if key := it.CRMID + "\x00" + it.MailboxID; !seen[key] {
				seen[key], it.Label = true, r.Label()
				found = append(found, it)
			}
		}
	}
	switch len(found) {
	case 0:
		return Item{}, ErrNoItem
	case 1:
		return found[0], nil
	}
	return Item{}, &SeveralItems{Items: found}
}

// unknown is an item that the state knows nothing of.
func (x *explainer) unknown(s record.Side, got remote.Item) Item {
	it := Item{User: x.m.User.Email, Entity: x.entity, State: ItemNew, Label: x.read1(s, got).Label()}
	if s == record.CRM {
		it.CRMID = got.ID
	} else {
		it.MailboxID = got.ID
	}
	return it
}

// searchFor returns what tells whether a record bears an address, or all words of a
// name or a company.
func (x *explainer) searchFor(what string) func(record.Record) bool {
	if strings.Contains(what, "@") {
		want := x.hasher.Value(record.EmailAddresses, record.Text(what))
		return func(r record.Record) bool {
			return contains(x.hasher.Value(record.EmailAddresses, r[record.EmailAddresses]), want)
		}
	}
	wanted := words(what)
	return func(r record.Record) bool {
		have := words(r.Label(), r[record.Nickname].First(), r[record.Company].First())
		return len(wanted) > 0 && contains(have, wanted)
	}
}

// words returns the words of texts as they are compared.
func words(texts ...string) []string {
	var out []string
	for _, t := range texts {
		for _, w := range strings.Fields(t) {
			if k := record.MatchKey(w); k != "" {
				out = append(out, k)
			}
		}
	}
	return out
}

// contains reports whether a list has all that is wanted.
func contains[T comparable](list, want []T) bool {
	have := map[T]bool{}
	for _, v := range list {
		have[v] = true
	}
	for _, v := range want {
		if !have[v] {
			return false
		}
	}
	return true
}

func (x *explainer) explain(ctx context.Context, it Item) (Explanation, error) {
	out := Explanation{Item: it, CRM: Absent, Mailbox: Absent, Policy: x.policy}
	in, link, err := x.now(ctx, it)
	if err != nil {
		return out, err
	}
	now := map[record.Side]*reconcile.Change{
		record.CRM: changeOf(in.CRM, it.CRMID), record.Mailbox: changeOf(in.Mailbox, it.MailboxID),
	}
	out.CRM, out.Mailbox = presence(it.CRMID, now[record.CRM]), presence(it.MailboxID, now[record.Mailbox])
	if link != nil {
		out.CRMOp, out.MailboxOp = link.CRM.Op, link.Mailbox.Op
		if out.CRM == Here && out.Mailbox == Here {
			out.Differences = reconcile.Differences(in, *link, *now[record.CRM], *now[record.Mailbox])
		}
	}
	for _, s := range sides {
		if now[s] != nil && now[s].Kind == reconcile.Present && (out.Label == "" || s == record.CRM) {
			out.Label = now[s].Record.Label()
			break
		}
	}
	plan := x.r.plan(ctx, x.m)
	out.Next, out.Unplanned = effects(plan.Plan.About(it.CRMID, it.MailboxID)), plan.Err

	suppose := func(d reconcile.Deed, s record.Side) {
		p := reconcile.Suppose(in, d, s, it.id(s))
		p = x.withoutCRMWrites(p, in.First)
		out.Suppositions = append(out.Suppositions, Supposition{Deed: d, Side: s, Then: effects(p.About(it.CRMID, it.MailboxID))})
	}
	for _, d := range []reconcile.Deed{reconcile.Edit, reconcile.Discard} {
		for _, s := range sides {
			if now[s] != nil && now[s].Kind == reconcile.Present {
				suppose(d, s)
			}
		}
	}
	if link != nil && link.State == reconcile.Linked && out.CRM == Here && out.Mailbox == Here {
		suppose(reconcile.EditBoth, record.Mailbox)
	}
	return out, nil
}

// now returns what reconcile needs to decide a record: its items and its link. Where no
// link holds it, all that has none may be its match.
func (x *explainer) now(ctx context.Context, it Item) (reconcile.Input, *reconcile.Link, error) {
	in := reconcile.Input{Policy: x.policy, Hasher: x.hasher, Install: x.e.Install, First: !x.replica.FirstDone, LeftOut: x.leftOut()}
	var err error
	for _, s := range sides {
		id := it.id(s)
		if id == "" {
			continue
		}
		got, err := x.lookUp(ctx, s, []string{id})
		if err != nil {
			return in, nil, err
		}
		if s == record.CRM {
			in.CRM = got
		} else {
			in.Mailbox = got
		}
	}
	if in.Links, err = x.linksByID(ctx, nonEmpty(it.CRMID), nonEmpty(it.MailboxID)); err != nil {
		return in, nil, err
	}
	var link *reconcile.Link
	for n, l := range in.Links {
		if l.CRM.ID == it.CRMID || it.CRMID == "" && l.Mailbox.ID == it.MailboxID {
			link = &in.Links[n]
		}
	}
	if link == nil || link.State == reconcile.Ended {
		if err := x.addCandidates(ctx, &in); err != nil {
			return in, nil, err
		}
	}
	return in, link, x.complete(ctx, &in)
}

// addCandidates adds everything that has no link.
func (x *explainer) addCandidates(ctx context.Context, in *reconcile.Input) error {
	inv, err := x.inventory(ctx)
	if err != nil {
		return err
	}
	links, err := x.e.State.Links(ctx, x.m.User.ID, x.entity)
	if err != nil {
		return stateFault("reading the links", err)
	}
	for _, s := range sides {
		var changes []reconcile.Change
		for _, it := range inv.without(s, links) {
			changes = append(changes, x.change(s, it))
		}
		if s == record.CRM {
			in.CRM = replaced(changes, in.CRM)
		} else {
			in.Mailbox = replaced(changes, in.Mailbox)
		}
	}
	return nil
}

func nonEmpty(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}

func changeOf(changes []reconcile.Change, id string) *reconcile.Change {
	for n := range changes {
		if id != "" && changes[n].ID == id {
			return &changes[n]
		}
	}
	return nil
}

func presence(id string, ch *reconcile.Change) Presence {
	switch {
	case id == "":
		return Absent
	case ch == nil:
		return Unreadable
	case ch.Kind == reconcile.Deleted:
		return Gone
	case ch.Kind == reconcile.OutOfScope:
		return OutOfScope
	}
	return Here
}

// effects lists what a plan does. Bases that only move are left out: nobody sees them.
func effects(p reconcile.Plan) []Effect {
	var out []Effect
	for _, o := range p.Ops {
		if o.Kind != reconcile.Settle {
			out = append(out, Effect{Action: string(o.Kind), Side: o.Side, Fields: o.Set.Fields(), Reason: o.Reason})
		}
	}
	for _, o := range p.Held {
		out = append(out, Effect{Action: ActionHeld, Side: o.Side, Reason: o.Reason})
	}
	for _, f := range p.Findings {
		reason := f.Reason
		if len(f.Candidates) > 0 {
			reason += ": " + strings.Join(f.Candidates, ", ")
		}
		out = append(out, Effect{Action: ActionIssue, Side: f.Side, Reason: reason})
	}
	return out
}
