package reconcile

import (
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// RestoreInput is all that restoring the loser of a conflict depends on.
type RestoreInput struct {
	Policy   Policy
	Hasher   record.Hasher
	Conflict Conflict
	// Keep is the side whose value stays, for a conflict on hold.
	Keep record.Side
	// Link is that of the record; zero if it has none. Items are both sides' items as they
	// are now.
	Link  Link
	Items map[record.Side]Change
}

// Restore puts the losing value of a conflict on both sides, as if a person had typed it,
// or decides one that is on hold. It returns the operations, none if both sides hold the
// value already, or why it is refused: the field is not as the conflict left it.
func Restore(in RestoreInput) ([]Operation, string) {
	at := slices.IndexFunc(in.Policy.Fields, func(f FieldPolicy) bool { return f.Field == in.Conflict.Field })
	switch {
	case at < 0 || !in.Policy.Fields[at].ToCRM || !in.Policy.Fields[at].ToMailbox:
		return nil, "the field does not travel both ways any more"
	case in.Link.State != Linked || in.Link.Mailbox.ID != in.Conflict.MailboxID:
		return nil, "the record is not linked any more"
	}
	for _, s := range sides {
		if it := in.Items[s]; it.ID == "" || it.Kind != Present {
			return nil, "it is not there any more in " + place(s)
		}
	}
	r := restorer{RestoreInput: in, field: fieldsOf(in.Policy)[at]}
	return r.plan()
}

type restorer struct {
	RestoreInput
	field field
}

// plan decides both sides' writes.
func (r restorer) plan() ([]Operation, string) {
	was := [2]record.Value{r.Conflict.Kept, r.Conflict.Kept}
	wanted := r.Conflict.Lost
	if r.Conflict.Winner == "" {
		was = [2]record.Value{crm: r.Conflict.Kept, mailbox: r.Conflict.Lost}
		if wanted = was[crm]; r.Keep == record.Mailbox {
			wanted = was[mailbox]
		}
	}
	var now, to [2]record.Value
	var held [2][]record.Hash
	var ops []Operation
	for i, s := range sides {
		now[i] = r.Items[s].Record[r.field.Field]
		var ok bool
		if to[i], ok = r.target(i, now[i], was[i], wanted); !ok {
			return nil, "changed since in " + place(s)
		}
		held[i] = r.Hasher.Value(r.field.Field, to[i])
		if same(held[i], r.Hasher.Value(r.field.Field, now[i])) {
			continue
		}
		ops = append(ops, Operation{
			Kind: Update, Side: s, CRMID: r.Link.CRM.ID, MailboxID: r.Link.Mailbox.ID, Version: r.Items[s].Version,
			Set: record.Record{r.field.Field: to[i]}, Link: r.Link, Label: r.Items[record.CRM].Record.Label(),
			MoveCRM: record.Hashes{}, MoveMailbox: record.Hashes{},
			Reason: fieldNames([]record.Field{r.field.Field}) + " restored: the value that lost a conflict",
		})
	}
	for n := range ops {
		o := &ops[n]
		if r.Conflict.Winner == "" {
			o.Reason = fieldNames([]record.Field{r.field.Field}) + " was on hold: the value of " + place(r.Keep) + " stays"
		}
		if len(ops) == 1 {
			o.MoveCRM[r.field.Field], o.MoveMailbox[r.field.Field] = held[crm], held[mailbox]
			continue
		}
		// Done alone, either one must still be seen as an edit of its side.
		o.Joint = record.Hashes{r.field.Field: held[sideOf(o.Side)]}
	}
	if len(ops) == 0 && r.unmoved(held) {
		link := r.Link.Moved(Operation{
			MoveCRM: record.Hashes{r.field.Field: held[crm]}, MoveMailbox: record.Hashes{r.field.Field: held[mailbox]},
		})
		ops = append(ops, Operation{Kind: Settle, CRMID: link.CRM.ID, MailboxID: link.Mailbox.ID, Link: link, Reason: "both sides hold the value"})
	}
	return ops, ""
}

// unmoved reports that a base is not what its side holds.
func (r restorer) unmoved(held [2][]record.Hash) bool {
	return !same(r.Link.CRM.Base[r.field.Field], held[crm]) || !same(r.Link.Mailbox.Base[r.field.Field], held[mailbox])
}

// target returns what a side is to hold. It is false if the side holds neither what the
// conflict left there nor the value that is wanted.
func (r restorer) target(side int, now, was, wanted record.Value) (record.Value, bool) {
	hash := func(v record.Value) []record.Hash { return r.Hasher.Value(r.field.Field, v) }
	fit := r.field.fit(side, wanted)
	if len(fit) == 0 && len(wanted) > 0 {
		return now, true // it can hold nothing of it
	}
	if !r.field.list {
		if same(hash(now), hash(fit)) {
			return now, true
		}
		return fit, same(hash(now), hash(was)) || same(hash(now), hash(r.field.fit(side, was)))
	}
	// Of a list, the elements that won give way to those that lost.
	old, add := hash(was), hash(wanted)
	var out record.Value
	at, found := -1, len(was) == 0
	for _, text := range now {
		h := hash(record.Value{text})[0]
		switch {
		case slices.Contains(add, h):
			found = true
		case slices.Contains(old, h):
			found = true
			if at < 0 {
				at = len(out)
			}
			continue
		}
		out = append(out, text)
	}
	var missing record.Value
	for _, text := range wanted {
		if !slices.Contains(hash(out), hash(record.Value{text})[0]) {
			missing = append(missing, text)
		}
	}
	if at < 0 {
		at = len(out)
	}
	return r.field.fit(side, slices.Insert(out, at, missing...)), found
}
