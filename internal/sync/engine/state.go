package engine

import (
	"context"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// State is what the engine remembers between cycles. Every method is one
// transaction: it happened wholly or not at all, and what it wrote is durable when
// it returns. No method is called while a remote call is under way in the same
// transaction. Times are stored as they are given.
type State interface {
	// Users returns users with their organizations, in the order in which they have
	// waited: NextDue first, then id. With ids, only those; without, all.
	Users(ctx context.Context, ids []int64) ([]Member, error)

	// Settings returns every value that somebody has set, whatever its level.
	Settings(ctx context.Context) ([]settings.Setting, error)

	// AcquireLease takes a lease for LeaseTime from now. It is refused while there is
	// one that has not expired (LeaseExpired); then ok is false and current says who
	// holds it.
	AcquireLease(ctx context.Context, l Lease, now time.Time) (current string, ok bool, err error)
	// RenewLease moves the expiry of a lease that is still held to LeaseTime from now,
	// or returns ErrLeaseLost.
	RenewLease(ctx context.Context, l Lease, now time.Time) error
	// ReleaseLease gives a lease up; giving up what one does not hold does nothing.
	ReleaseLease(ctx context.Context, l Lease) error

	// Replica returns where a user's entity stands; the zero value if nothing is known.
	Replica(ctx context.Context, user int64, entity record.Entity) (Replica, error)
	// Links returns all links, in the order of their CRM ids, tombstones included.
	Links(ctx context.Context, user int64, entity record.Entity) ([]reconcile.Link, error)
	// LinksByID returns the links of items, by the id of one side; unknown ids are
	// left out.
	LinksByID(ctx context.Context, user int64, entity record.Entity, side record.Side, ids []string) ([]reconcile.Link, error)
	// LinksAfter returns up to n links in the state Linked, in an order of its own, and
	// where the next call goes on. "" is the beginning, and is returned after the end.
	LinksAfter(ctx context.Context, user int64, entity record.Entity, after string, n int) (links []reconcile.Link, next string, err error)
	// CountLinks returns how many links are in the state Linked.
	CountLinks(ctx context.Context, user int64, entity record.Entity) (int, error)
	// CountAllLinks returns how many links in the state Linked the users of CRM connections
	// have. It may take a while where there are millions.
	CountAllLinks(ctx context.Context, connections []string, entity record.Entity) (int, error)
	// LinkedUsers tells which users of a CRM connection have links, ended ones left
	// out, to which of these records.
	LinkedUsers(ctx context.Context, connection string, entity record.Entity, crmIDs []string) (map[string][]int64, error)

	// Intents returns the writes whose outcome is not settled, oldest first.
	Intents(ctx context.Context, user int64, entity record.Entity) ([]Intent, error)
	// ExpiredOps returns those of the operation ids that were given up, each with what
	// its write would have left in the item: Intent.Leaves.
	ExpiredOps(ctx context.Context, user int64, entity record.Entity, ops []record.OpID) (map[record.OpID]record.Hashes, error)
	// Intend makes writes durable before they are sent, with their images. Like all methods that take a
	// lease it stores nothing and returns ErrLeaseLost unless the lease is held in the
	// transaction that stores: a run that was overtaken can write no more.
	Intend(ctx context.Context, l Lease, entity record.Entity, intents []Intent) error
	// Settle stores what became of writes, and everything that follows from it.
	Settle(ctx context.Context, l Lease, entity record.Entity, s Settlement) error

	// Held returns the deletes that the guard holds for a user's entity, oldest first.
	Held(ctx context.Context, user int64, entity record.Entity) ([]HeldDelete, error)
	// Images returns the images of a session's writes that were applied, newest first.
	Images(ctx context.Context, user int64, entity record.Entity, session int64) ([]reconcile.Image, error)

	// OpenIssues returns the issues of a user's entity that are not resolved.
	OpenIssues(ctx context.Context, user int64, entity record.Entity) ([]Issue, error)

	// SharedCursor returns where the feed of a CRM connection was read to for all
	// users who ride with it; "" if it never was.
	SharedCursor(ctx context.Context, connection string, entity record.Entity) (string, error)
	// MoveSharedCursor moves it on from a cursor to the next, unless another run has
	// moved it meanwhile. Each user in behind has changes before the new cursor that are
	// not settled: if he rides with the feed, he gets the cursor given for him as his own.
	MoveSharedCursor(ctx context.Context, connection string, entity record.Entity, from, to string, behind map[int64]string) error

	// UpdateHealth changes what is known of a connection; nothing but its name at first.
	// What change returns is stored with the activities in the transaction in which it
	// was called.
	UpdateHealth(ctx context.Context, connection string, change func(Health) (Health, []Activity)) error

	// MarkMailbox stores the state of a user's mailbox.
	MarkMailbox(ctx context.Context, l Lease, state roster.MailboxState) error
	// OpenSession stores the start of a cycle and returns the session's number. A
	// session of the same user that was never closed is closed as interrupted.
	OpenSession(ctx context.Context, l Lease, s Session) (int64, error)
	// CloseSession stores the end of a cycle and what it means for the user. Of a cycle
	// that has lost its lease it stores the session only, and returns ErrLeaseLost if
	// that was closed by another run's.
	CloseSession(ctx context.Context, l Lease, o Outcome) error
}

// Member is a user and the organization that he is in.
type Member struct {
	User roster.User
	Org  roster.Organization
}

// Replica is where one user's entity stands.
type Replica struct {
	// Container is where the items live in the mailbox.
	Container remote.Container
	// CRMUser and MailboxID are whose records and which mailbox all this is about; "" if
	// that was never noted.
	CRMUser   string
	MailboxID string
	// MailboxCursor is where the mailbox's feed was read to; "" reads everything.
	MailboxCursor string
	// CRMCursor is where the CRM's feed was read to for this user alone; "" if he
	// rides with the shared cursor of the connection, or was never read. It is moved by
	// Settlement.Rides and MoveSharedCursor only.
	CRMCursor string
	// FirstDone: the first sync has come to its end.
	FirstDone bool
	// Off says why the entity is switched off for the user; "" if it is on.
	Off string
	// Rules names the rules by which the entity was last reconciled; "" if that is not
	// known.
	Rules string
	// AuditAfter is where the audit of links goes on, Audited when it last took place;
	// Listed is when all records of both sides were last read.
	AuditAfter string
	Audited    time.Time
	Listed     time.Time
	// ConflictPolicy is the policy by which conflicts were last decided, in words.
	ConflictPolicy string
}

// Intent is a write that is about to be sent, or was sent and has no answer.
type Intent struct {
	Op   record.OpID
	Side record.Side
	Kind reconcile.OpKind
	// CRMID and MailboxID name the link; the side of a create has no id yet.
	CRMID     string
	MailboxID string
	// Link is the link as it stands once the write has been applied, and MoveCRM and
	// MoveMailbox are the parts of its bases that the write moves.
	Link        reconcile.Link
	MoveCRM     record.Hashes
	MoveMailbox record.Hashes
	Created     time.Time
	// Image is what it takes to take the write back, Session the one to which it belongs,
	// and Undoes are the writes that it takes back itself. Intents does not return them.
	Image   *reconcile.Image
	Session int64
	Undoes  []record.OpID
}

// Written is a write that was applied.
type Written struct {
	Op record.OpID
	// ID is that of the item. Left is what it left in the fields that it wrote, if that
	// is not what the image says already.
	ID   string
	Left record.Hashes
}

// Settlement is what one transaction stores. Its parts are applied in the order of
// the fields.
type Settlement struct {
	// Settled are the operations whose outcome is known: their intents are removed.
	Settled []record.OpID
	// Expired are the operations that were given up: their intents are removed and
	// their ids kept for 30 days.
	Expired []record.OpID
	// Written are those of the settled operations that were applied. The images of the
	// other settled and expired ones are dropped, and what they were to take back is not
	// taken back.
	Written []Written
	// Remove are the CRM ids of links that go without a tombstone.
	Remove []string
	// Links are stored as they are given, in place of what was stored for the same
	// CRM id. A link in the state Ended or Unlinked gives its mailbox id free if
	// another link of the same settlement takes it.
	Links []reconcile.Link
	// Issues are raised or, where one is open for the same direction and item, repeated.
	Issues []Issue
	// Resolved are the items whose issues are closed.
	Resolved []IssueKey
	// Held are the deletes that the guard holds. One that was held before keeps its
	// number, its beginning, its decision, and its label if none is given.
	Held []HeldDelete
	// Unheld are those that are held no longer: done, or not wanted any more.
	Unheld []reconcile.DeleteKey
	// Decided are the CRM ids of records that are decided anew: what is on hold of them
	// goes, unless Conflicts has it again.
	Decided []string
	// Conflicts are kept so that the losing values can be restored.
	Conflicts []reconcile.Conflict
	// Restored are conflicts whose losing values are on both sides again.
	Restored []Restored
	// Replica, if not nil, replaces where the entity stands, but for CRMCursor.
	Replica *Replica
	// Rides, if not nil, moves the CRMCursor.
	Rides *Ride
	// Activities are appended to the audit.
	Activities []Activity
	// Session and Now are of the cycle that settles.
	Session int64
	Now     time.Time
}

// Ride is where a user's CRM feed goes on: with the shared cursor of his connection, if
// that still stands at From and From is not "", else at To by himself. Another run may
// have moved the shared cursor past what this user was given.
type Ride struct {
	Connection string
	From, To   string
}

// Direction of an issue: which side the write that failed was for.
type Direction string

// The directions.
const (
	ToCRM     Direction = "to-crm"
	ToMailbox Direction = "to-mailbox"
)

// DirectionTo returns the direction of a write to a side.
func DirectionTo(s record.Side) Direction {
	if s == record.CRM {
		return ToCRM
	}
	return ToMailbox
}

// from returns the side whose change the issue is about.
func (d Direction) from() record.Side {
	if d == ToCRM {
		return record.Mailbox
	}
	return record.CRM
}

// IssueKey names the item that an issue is about. One of the ids may be empty.
type IssueKey struct {
	Direction Direction
	CRMID     string
	MailboxID string
}

// IssueState is what happens to an issue next.
type IssueState string

// The states of an issue.
const (
	// IssueOpen: retried at NextRetry, or when the item changes.
	IssueOpen IssueState = "open"
	// IssueParked: retried only when the item changes.
	IssueParked IssueState = "parked"
	// IssueInfo: nothing failed; a person is told of a rule that applied.
	IssueInfo IssueState = "info"
	// IssueIgnored: a person wants to hear no more of it, until the item changes.
	IssueIgnored IssueState = "ignored"
	// IssueResolved: it went away.
	IssueResolved IssueState = "resolved"
)

// Issue is a record that could not be synchronized.
type Issue struct {
	ID     int64
	User   string
	Entity record.Entity
	IssueKey
	// Version is the item's, where the issue waits for a change of it.
	Version string
	// Label names the record for a person; the store keeps it encrypted.
	Label string
	// Code is of this program, as in docs/errors.md; Cause is in plain words and
	// without the record's content.
	Code      string
	Cause     string
	Attempts  int
	FirstSeen time.Time
	NextRetry time.Time
	State     IssueState
	Session   int64
}

// Counts is what a cycle did.
type Counts struct {
	CreatedCRM     int `json:"createdCrm"`
	CreatedMailbox int `json:"createdMailbox"`
	UpdatedCRM     int `json:"updatedCrm"`
	UpdatedMailbox int `json:"updatedMailbox"`
	DeletedCRM     int `json:"deletedCrm"`
	DeletedMailbox int `json:"deletedMailbox"`
	Linked         int `json:"linked"`
	Conflicts      int `json:"conflicts"`
	Held           int `json:"held"`
	Issues         int `json:"issues"`
	Requests       int `json:"requests"`
}

// Trigger says why a cycle ran.
type Trigger string

// The triggers.
const (
	TriggerSchedule Trigger = "schedule"
	TriggerForce    Trigger = "force"
	// TriggerApply: a plan that was kept is carried out. TriggerUndo takes a session
	// back, TriggerRestore the loser of a conflict, TriggerMerge brings duplicates
	// together.
	TriggerApply   Trigger = "apply"
	TriggerUndo    Trigger = "undo"
	TriggerRestore Trigger = "restore"
	TriggerMerge   Trigger = "merge"
)

// SessionResult says how a cycle ended.
type SessionResult string

// The results.
const (
	ResultDone        SessionResult = "done"
	ResultUnchanged   SessionResult = "unchanged"
	ResultFailed      SessionResult = "failed"
	ResultRefused     SessionResult = "refused"
	ResultSkipped     SessionResult = "skipped"
	ResultInterrupted SessionResult = "interrupted"
	ResultNotStarted  SessionResult = "not started"
)

// Session is one run of one user's cycle.
type Session struct {
	ID      int64
	UserID  int64
	User    string
	Trigger Trigger
	Started time.Time
	// Ended is zero while the session runs.
	Ended  time.Time
	Result SessionResult
	// MailboxCalls is how many requests were made to the mailbox as the service counts
	// them for its limits.
	MailboxCalls int
	// Code and Message say why it did not end well.
	Code    string
	Message string
	Counts
	// Log is one line for each thing worth knowing, without the content of records.
	Log string
	// Differences are those for which a plan that was kept is refused. They name records
	// and are not stored.
	Differences []Difference
}

// Suspension is why a user's synchronization stops by itself.
type Suspension struct {
	Cause  roster.Cause
	Reason string
}

// Outcome is the end of a cycle and what it means for the user.
type Outcome struct {
	Session Session
	NextDue time.Time
	// Success: the cycle ended well.
	Success       bool
	Failures      int
	PressureSince time.Time
	// Suspend, if not nil, suspends a user who is enabled, or changes the cause of one who
	// is suspended; Resume enables one who is suspended. Neither touches a user whom an administrator disabled meanwhile.
	Suspend    *Suspension
	Resume     bool
	Activities []Activity
	// Errand: the session was none of a cycle, and means nothing for the user. Only
	// Session and Activities count.
	Errand bool
}

// Activity is one line of the audit.
type Activity struct {
	Time  time.Time
	Actor string
	// Type is as listed in the documentation of activity list, for example
	// sync.enabled.
	Type    string
	User    string
	Org     string
	Details string
	// Hash chains the line to the one before; set by the store.
	Hash string
}
