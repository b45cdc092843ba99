// Package reconcile decides. From the links of one user, what changed on both sides
// and the policy it makes a plan: the operations, each with its reason. It is pure:
// no context, no clock, no I/O, no randomness; the same input gives the same plan,
// byte for byte.
package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// LinkState says what a link stands for.
type LinkState string

// The states of a link.
const (
	// Linked: both items exist and are kept in step.
	Linked LinkState = "linked"
	// Unlinked: the two once belonged together and are left alone: the mailbox copy
	// was deleted by its owner, or went out of scope.
	Unlinked LinkState = "unlinked"
	// Ended: a tombstone. It absorbs replays, late writes and restores.
	Ended LinkState = "ended"
)

// Awaited stands for the version of a record that is gone and may come back, in a link
// whose other item has been brought back. An empty version will not do: it says only that
// a server did not tell.
const Awaited = "awaited"

// Unread stands for the versions in a link that was made with writes still to be done: if
// they are not, whoever decides the link again must read both items, since the feeds may
// mention one alone.
const Unread = "unread"

// Half is one side of a link.
type Half struct {
	ID      string
	Version string
	// Base is what the side held when both last agreed. The two halves' bases differ
	// where a side shortens or normalises what it is given.
	Base record.Hashes
	// Op is the operation that wrote the item last; empty if it never was ours.
	Op record.OpID
}

// Link is a pair of items that are one record. It is identified within a user and
// entity by its CRM id.
type Link struct {
	CRM     Half
	Mailbox Half
	State   LinkState
	// Since is when the link came into its state.
	Since time.Time
}

// Half returns the half of a side, to read or to change.
func (l *Link) Half(s record.Side) *Half {
	if s == record.CRM {
		return &l.CRM
	}
	return &l.Mailbox
}

// ChangeKind says what is known of an item now.
type ChangeKind int

// The kinds of a change. The engine has confirmed Deleted and Gone by proof.
const (
	// Present: the item is as given.
	Present ChangeKind = iota
	// Deleted: the item was deleted.
	Deleted
	// OutOfScope: the item exists, but is no longer ours to synchronize: another
	// owner, another folder, no permission.
	OutOfScope
)

// Change is what one side now holds of one item.
type Change struct {
	Kind    ChangeKind
	ID      string
	Version string
	// Record is cleaned; only for Present.
	Record record.Record
	// Modified is the server's own time; zero if unknown.
	Modified time.Time
	// Stamp is the stamp that the item bears; nil if none, or not read because the
	// item is linked anyway.
	Stamp *record.Stamp
	// Imported: the record came into the CRM by import or migration.
	Imported bool
}

// Winner is who wins a field that both sides changed differently.
type Winner string

// The conflict policies.
const (
	CRMWins     Winner = "crm"
	MailboxWins Winner = "mailbox"
	NewestWins  Winner = "newest"
	Hold        Winner = "hold"
)

// DeletePolicy is what a delete in the mailbox means.
type DeletePolicy string

// The policies for deletes in the mailbox.
const (
	Unlink    DeletePolicy = "unlink"
	Propagate DeletePolicy = "propagate"
	Recreate  DeletePolicy = "recreate"
)

// FieldPolicy is how one field travels. Only fields that both sides hold have one.
type FieldPolicy struct {
	Field record.Field
	// ToCRM and ToMailbox allow writing the field to that side.
	ToCRM     bool
	ToMailbox bool
	// Conflict overrides the policy's; may be empty.
	Conflict Winner
	// FitCRM and FitMailbox return the part of a value that the side can hold.
	FitCRM     func(record.Value) record.Value
	FitMailbox func(record.Value) record.Value
}

// Fit returns the part of v that the side can hold; without a function, all of it.
func (f FieldPolicy) Fit(s record.Side, v record.Value) record.Value {
	fit := f.FitCRM
	if s == record.Mailbox {
		fit = f.FitMailbox
	}
	if fit == nil {
		return v
	}
	return fit(v)
}

// To reports whether the field may be written to a side.
func (f FieldPolicy) To(s record.Side) bool {
	if s == record.CRM {
		return f.ToCRM
	}
	return f.ToMailbox
}

// Policy is how one user's entity is synchronized.
type Policy struct {
	Entity record.Entity
	// Fields are the fields both sides hold, in the entity's order.
	Fields []FieldPolicy
	// Conflict is who wins where FieldPolicy does not say.
	Conflict Winner
	// CreateInCRM allows records born in the mailbox to be created in the CRM.
	CreateInCRM bool
	// DeletesFromMailbox is what a delete in the mailbox means.
	DeletesFromMailbox DeletePolicy
	// InitialLimit is how many CRM records a first sync brings into the mailbox, those
	// that are linked already or match an item there included; 0 means no limit.
	InitialLimit int
	// Guard limits how many deletes at once go on without a person.
	Guard Limits
}

// Writes reports whether a side may be written: whether any field travels there.
func (p Policy) Writes(s record.Side) bool {
	return slices.ContainsFunc(p.Fields, func(f FieldPolicy) bool { return f.To(s) })
}

// ConflictWords says in words who wins: two policies that decide every conflict alike say
// the same.
func (p Policy) ConflictWords() string {
	words := string(p.Conflict)
	for _, f := range p.Fields {
		if f.Conflict != "" && f.Conflict != p.Conflict {
			words += fmt.Sprintf(" %s=%s", f.Field, f.Conflict)
		}
	}
	return words
}

// Input is all that a plan depends on.
type Input struct {
	Policy Policy
	Hasher record.Hasher
	// Install is the id of this installation, as in stamps.
	Install string
	// Links are the links of every item named in a change; on a first sync or a full
	// read, all links there are.
	Links []Link
	// CRM and Mailbox are what changed. An item that did not change is not in them,
	// unless it was read for another reason; it may be there all the same.
	CRM     []Change
	Mailbox []Change
	// First says that this is the first sync: its limit and the exclusion of imported
	// records apply.
	First bool
	// LeftOut are the CRM records that a first sync left out. What has the same version
	// still was not edited since, however often the feed repeats it.
	LeftOut map[string]LeftOutRecord
	// Late holds the operations that were given up, with what each would have left in its
	// item. An item without a link that bears such an id was written after all.
	Late map[record.OpID]record.Hashes
	// Discarded are the deletes that a person decided against.
	Discarded map[DeleteKey]bool
}

// LeftOutRecord is why a record was left out, LeftOut or OverLimit, and its version then.
type LeftOutRecord struct {
	Code    FindingCode
	Version string
}

// OpKind is what an operation does.
type OpKind string

// The kinds of an operation. The first three write to Side; the rest change only
// the state.
const (
	Create OpKind = "create"
	Update OpKind = "update"
	Delete OpKind = "delete"
	// LinkUp makes a link between two items that exist.
	LinkUp OpKind = "link"
	// Settle moves the base of a link: both sides hold the same, or one side's
	// spelling is noted.
	Settle OpKind = "settle"
	// End turns a link into a tombstone or an unlinked one.
	End OpKind = "end"
)

// Operation is one thing to do, with its reason.
type Operation struct {
	Kind OpKind
	// Side is written to; empty for an operation on the state alone.
	Side record.Side
	// CRMID and MailboxID name the link; on a create, the id of the side that is
	// written to is empty. A delete with only the id of Side, and a zero Link, is of an
	// item that has no link: a write that landed late.
	CRMID     string
	MailboxID string
	// Version is the version of the item to write to, as last seen.
	Version string
	// Set are the fields to write; an empty value clears.
	Set record.Record
	// Link is the link as it stands once this operation has been applied: for a
	// create without the id, version and Op of the side that is written to. Where a
	// link has operations on both sides, each one's Link has only its own progress.
	Link Link
	// MoveCRM and MoveMailbox are the parts of the two bases that this operation moves
	// when it is applied.
	MoveCRM     record.Hashes
	MoveMailbox record.Hashes
	// Joint is set where the link's other operation writes some of the same fields: the
	// part of the base of Side that moves once both are applied. See Link.Join.
	Joint record.Hashes
	// Undoes are the writes that this one takes back.
	Undoes []record.OpID
	// Reason says in words why; Label names the record for a person.
	Reason string
	Label  string
}

// Writes reports whether the operation writes to a side.
func (o Operation) Writes() bool { return o.Side != "" }

// Conflict is a field that both sides changed differently.
type Conflict struct {
	CRMID     string
	MailboxID string
	Field     record.Field
	// Winner is the side whose value stays; empty if the policy is to hold.
	Winner record.Side
	// Lost is the value that was replaced, or on hold, the mailbox's.
	Lost record.Value
	// Kept is the value that stays, or on hold, the CRM's.
	Kept record.Value
}

// FindingCode says what kind of thing needs a person.
type FindingCode string

// The codes of a finding.
const (
	// Ambiguous: several records match; none was linked or created.
	Ambiguous FindingCode = "ambiguous"
	// NotAllowed: a record born in the mailbox may not be created in the CRM.
	NotAllowed FindingCode = "not-allowed"
	// OneWay: a record has no counterpart on the other side, which is not written.
	OneWay FindingCode = "one-way"
	// EditKept: an edit met a delete that it may not undo; the edit stays where it is.
	EditKept FindingCode = "edit-kept"
	// OverLimit: the first sync's limit was reached.
	OverLimit FindingCode = "over-limit"
	// LeftOut: an imported record waits until somebody edits it.
	LeftOut FindingCode = "left-out"
	// OnHold: a field was changed on both sides and the policy is to hold.
	OnHold FindingCode = "on-hold"
	// TooMany: a list holds more elements than the sides can; some stay on one side.
	TooMany FindingCode = "too-many"
	// LateTwin: a write of ours landed late and made a second item, which a person has
	// edited since. Its edits go into the linked item; the second item goes once it is
	// read again and holds nothing of its own.
	LateTwin FindingCode = "late-twin"
)

// Finding is a record that was not synchronized, or not wholly, with the reason.
type Finding struct {
	Code FindingCode
	// Side and ID name the record that is concerned.
	Side record.Side
	ID   string
	// Candidates are the ids on the other side, for Ambiguous.
	Candidates []string
	Reason     string
	Label      string
	// Version is the item's as it was decided.
	Version string
}

// Plan is what one user's cycle would do for one entity.
type Plan struct {
	// Ops are in the order in which they are to be carried out.
	Ops       []Operation
	Conflicts []Conflict
	Findings  []Finding
	// Held are the deletes that the guard held back.
	Held []Held
	// Reread are the items that must be read before their links can be decided: a
	// list field is longer than the side that changed can tell.
	Reread []Ref
}

// Ref names an item.
type Ref struct {
	Side record.Side
	ID   string
}
