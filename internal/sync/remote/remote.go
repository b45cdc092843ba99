// Package remote is the contract between the engine and the systems it keeps in
// step. A connector implements CRM or Mail; the engine knows nothing else of it.
//
// The rules that every connector meets, checked by the suite in remotetest:
//
//   - A feed may repeat a change and may report changes in any order; it never
//     skips one. A cursor is opaque to everyone but the connector that made it.
//   - A method returns an error for the call as a whole; what went wrong with one
//     item is in that item's own result, and one bad item stops no other.
//   - Every error is a *Error, or wraps one, and says by its Class what to do.
//   - A write whose answer was lost is reported with Error.Unclear. The connector
//     never repeats such a write by itself: only the engine, which knows the
//     operation's id, can find out what became of it.
//   - The connector writes the fields it is given and no others, and touches no item
//     that it was not told to.
//   - Methods may be called from several goroutines.
package remote

import (
	"context"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// System is what a CRM and a mail system have in common.
type System interface {
	// Check proves with one cheap call that the system answers and accepts our
	// credentials.
	Check(ctx context.Context) error
	// CheckUser proves with one cheap call that a user's data can be reached: a CRM
	// user's records, or a mailbox.
	CheckUser(ctx context.Context, user string) error
	// People lists the people who could be synchronized: the CRM's active users, or
	// the tenant's mailboxes.
	People(ctx context.Context) ([]Person, error)
	// Usage returns what is known of the request budget; a zero Limit is unknown.
	Usage() Usage
}

// Person is a user of a CRM or the owner of a mailbox.
type Person struct {
	// ID is the system's stable id, never an address.
	ID    string
	Email string
	Name  string
	// Unusable says in words why this person cannot be synchronized, or is empty.
	Unusable string
}

// Usage is a budget of requests: how many were used of how many, as the system told, or
// as was counted, At a time of our clock: those of a CRM, or of the mailbox that has used
// the most. Reserve is how many of them synchronizing leaves to others.
type Usage struct {
	Used    int
	Limit   int
	Reserve int
	At      time.Time
}

// Spending is how many requests were made until a moment, as the service counts them.
type Spending struct {
	At       time.Time
	Requests int
}

// CRM is a connection to one organization of a CRM.
type CRM interface {
	System
	// Organization returns the id of the organization at its vendor, which is
	// written into the claim of each mailbox.
	Organization(ctx context.Context) (string, error)
	// Collection returns all records of an entity, whoever owns them. It is cheap:
	// it makes no request. It returns nil if the CRM has no such entity.
	Collection(entity record.Entity) Collection
}

// Mail is a connection to one tenant of a mail system.
type Mail interface {
	System
	// Mailbox returns the handle of one mailbox, by its stable id. It is cheap: it
	// makes no request.
	Mailbox(id string) Mailbox
	// Prefetch reads the first page of many feeds in as few round trips as the
	// system allows and returns one result for each, in order. A feed that ends
	// within that page costs no further request.
	Prefetch(ctx context.Context, feeds []MailFeed) []FeedResult
	// AddIns manages the add-in in the users' mail programs; nil if the system has
	// no such thing.
	AddIns() AddIns
}

// MailFeed names a feed of a mailbox and where to go on.
type MailFeed struct {
	Mailbox   string
	Container Container
	Cursor    string
}

// FeedResult is a feed, or why it could not be read.
type FeedResult struct {
	Feed Feed
	Err  error
}

// Mailbox is one person's mailbox. All its calls together keep to what the server
// allows one mailbox at a time.
type Mailbox interface {
	// Prepare makes sure that the containers and the category of a customization
	// exist, and returns where they are. It is idempotent: the container that bears a
	// claim is ours whatever its name is by now, then what exists under the name is
	// adopted, and only then is one made. It writes the claim.
	Prepare(ctx context.Context, want Customization) (Prepared, error)
	// Claim returns who last prepared the mailbox; nil if nobody. It, Inspect and Remove
	// find the container as Prepare does.
	Claim(ctx context.Context, want Customization) (*Claim, error)
	// Inspect returns what of a customization exists now, without changing anything.
	Inspect(ctx context.Context, want Customization) ([]Artefact, error)
	// Remove takes out what Prepare made: the items in ids, then each container that
	// is empty after it, the category and the claim. It returns what it left and why,
	// and may be called again until nothing is left. Deleted items go to where the
	// person can restore them.
	Remove(ctx context.Context, have Customization, ids []string) ([]Artefact, error)
	// Collection returns the items in a container. It is cheap: it makes no request.
	Collection(entity record.Entity, c Container) Collection
	// Requests returns how many round trips were made for this mailbox through this
	// handle and its collections; a batch counts as one.
	Requests() int
	// Calls returns the same as the service counts it for its limits: a batch counts as
	// its parts.
	Calls() int
}

// Customization is what we put into a mailbox.
type Customization struct {
	// Folder is the name of the contact folder, Category that of the category.
	Folder   string
	Category string
	// Entities are the ones that get a container.
	Entities []record.Entity
	Claim    Claim
}

// Claim says for whom a mailbox was prepared. It is kept at the container, so that this
// is found again after a person has renamed it, and so that two installations, or two CRM
// organizations, cannot fight over a mailbox unnoticed.
type Claim struct {
	// Organization is the id of the CRM organization at its vendor.
	Organization string `json:"organization"`
	Install      string `json:"install"`
	// LastCycle is when the claim was last renewed, by the clock of the one who did.
	LastCycle time.Time `json:"last_cycle"`
}

// Rank tells how sure it is that a container of a name and a claim is the one that a
// customization means: the one of the highest rank is, of several the first; 0 is none.
// The claim of the same organization counts most, then any claim, then the name, which is
// compared without case, as Exchange does.
func (c Customization) Rank(name string, claim *Claim) int {
	rank := 0
	if strings.EqualFold(name, c.Folder) {
		rank = 1
	}
	if claim != nil {
		rank += 2
		if claim.Organization == c.Claim.Organization {
			rank += 2
		}
	}
	return rank
}

// Prepared is what Prepare found or made.
type Prepared struct {
	Containers map[record.Entity]Container
	// Created tells for each entity that the container is new, and so empty.
	Created map[record.Entity]bool
}

// Container is where the items of an entity live in a mailbox.
type Container struct {
	ID   string
	Name string
	// Category, if not empty, is given to each item that is created here. It is not
	// part of where the container is: two containers with the same ID are one.
	Category string
}

// The kinds of an artefact.
const (
	ContactFolder = "contact folder"
	CategoryKind  = "category"
	ClaimKind     = "claim"
	ItemsKind     = "items"
)

// Artefact is one thing of ours in a mailbox.
type Artefact struct {
	// Kind is one of the kinds above.
	Kind string
	Name string
	ID   string
	// Count is how many items a container holds.
	Count int
	// Left says why it was not removed, or is empty.
	Left string
}

// Collection is the items of one entity: all of a CRM's records, or those in one
// container of a mailbox.
type Collection interface {
	// Capabilities tells what the collection can hold and do. It is cheap and
	// constant.
	Capabilities() Capabilities
	// Changes reads the feed from a cursor to its end, page by page. Without a
	// cursor it reads all items there are. It returns an error, and nothing else, if
	// the end was not reached. ClassCursorLost says that the cursor can no longer be
	// read from: read again without one. ClassContainerGone says that the container
	// itself is not there.
	Changes(ctx context.Context, q Query) (Feed, error)
	// Get reads items by id, with their stamps, and returns one result for each, in
	// order. An item that exists nowhere any more has an error of ClassGone: this is
	// positive proof. An item that exists but not in this collection, or that we may
	// not see, has Elsewhere.
	Get(ctx context.Context, ids []string) []ItemResult
	// FindStamped returns the items, in any order, that bear one of the stamps. It
	// returns nothing for a collection without stamps.
	FindStamped(ctx context.Context, stamps []record.Stamp) ([]Item, error)
	// Apply sends writes, in as few round trips as the system allows, and returns one
	// result for each, in order. It stops sending at pressure or lost
	// authorization: the rest gets the same error, not Unclear.
	Apply(ctx context.Context, writes []Write) []WriteResult
	// Requests returns how many round trips were made through this handle; a batch
	// counts as one.
	Requests() int
}

// Capabilities is what a collection can hold and do, as data: nobody asks which
// vendor it is.
type Capabilities struct {
	// Mapping is the side's default table.
	Mapping mapping.Table
	// BatchSize is how many writes one round trip carries at best; at least 1.
	BatchSize int
	// ConditionalWrite: an update whose Version is out of date is refused.
	ConditionalWrite bool
	// VersionResolution is within what time two changes may bear the same version; 0
	// means never.
	VersionResolution time.Duration
	// Tombstones: the feed proves deletions by itself.
	Tombstones bool
	// Stamps: items can bear a stamp.
	Stamps bool
	// SoftDelete: a deleted item can be restored by its owner.
	SoftDelete bool
	// ReadOnly: Apply refuses every write.
	ReadOnly bool
}

// Query says what of a feed to read.
type Query struct {
	// Cursor is where the last read ended; empty to read everything.
	Cursor string
	// Owners limits a CRM's feed to the records of these users; empty for all.
	Owners []string
	// Stamps asks for the stamp of each item, which may cost further requests.
	Stamps bool
	// Known are ids whose items the caller holds links to; a source that has no
	// tombstones compares them. May be nil.
	Known []string
	// Progress, if not nil, is called with the number of items read so far.
	Progress func(items int)
}

// Feed is what was read.
type Feed struct {
	Changes []Change
	// Cursor is where to go on next time. It equals the query's cursor if the source
	// has nothing new to remember.
	Cursor string
	// Complete says that the feed was read to its end. Only Prefetch returns feeds
	// that are not: they are continued with Changes from Cursor.
	Complete bool
}

// ChangeKind says what a feed reports of an item.
type ChangeKind int

// The kinds of a change.
const (
	// Present: the item exists as given.
	Present ChangeKind = iota
	// Removed: the item is no longer in the collection. This is a hint, no proof: it
	// may have been moved, and may even be back. Get tells.
	Removed
	// Deleted: the item was deleted. This is proof.
	Deleted
	// Merged: the item was merged into the one with the id MergedInto.
	Merged
)

// Change is one entry of a feed.
type Change struct {
	Kind ChangeKind
	// Item is complete for Present; otherwise it has the ID and, where known, the
	// Owner.
	Item       Item
	MergedInto string
}

// Item is a record as one side holds it.
type Item struct {
	ID string
	// Version changes whenever the item does; empty if unknown.
	Version string
	// Owner is the CRM user who owns the record; empty in a mailbox.
	Owner string
	// Created and Modified are the server's own times.
	Created  time.Time
	Modified time.Time
	// Fields are the side's own, as far as they are mapped.
	Fields mapping.Fields
	// Stamp is nil if the item bears none of ours, or if HasStamp is false.
	Stamp *record.Stamp
	// HasStamp says that the stamp was read.
	HasStamp bool
	// Imported: the side says that the record came by import or migration.
	Imported bool
}

// ItemResult is an item, or why there is none.
type ItemResult struct {
	Item Item
	// Elsewhere: the item exists, but outside the collection.
	Elsewhere bool
	Err       error
}

// WriteKind is what a write does.
type WriteKind string

// The kinds of a write.
const (
	Create WriteKind = "create"
	Update WriteKind = "update"
	Delete WriteKind = "delete"
)

// Write is one change to one item.
type Write struct {
	Kind WriteKind
	// ID is the item to update or delete; empty for a create.
	ID string
	// Version is a precondition where the side can check one; empty for none. A
	// refused precondition is ClassConflict.
	Version string
	// Set are the fields to write: all that the record has for a create, only those
	// that change for an update, where an empty value clears.
	Set mapping.Fields
	// Whole are all fields of the item as it will be, as far as they are known: for a
	// side that can replace only groups of fields.
	Whole mapping.Fields
	// Stamp goes into the item in the same request.
	Stamp record.Stamp
	// Owner becomes the owner of a record created in a CRM.
	Owner string
}

// WriteResult is what a write came to.
type WriteResult struct {
	// ID and Version are those of the item after the write; Version is empty if the
	// answer does not tell.
	ID      string
	Version string
	// Fields are the item's fields after the write if the answer tells them, else
	// nil. They may differ from what was sent where the server normalises.
	Fields mapping.Fields
	// Duplicates are the ids of the records that made the server refuse a create as
	// a duplicate.
	Duplicates []string
	Err        error
}

// AddIns manages the add-in that users see in their mail program.
type AddIns interface {
	// Status tells for each mailbox whether the add-in is installed.
	Status(ctx context.Context, mailbox string) (installed bool, err error)
	// Install and Remove are idempotent.
	Install(ctx context.Context, mailbox string) error
	Remove(ctx context.Context, mailbox string) error
}
