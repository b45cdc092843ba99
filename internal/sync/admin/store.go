package admin

import (
	"context"
	"errors"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// ErrNotFound says that there is nothing of that name; ErrExists that there already
// is; ErrInUse that something else needs it.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrInUse    = errors.New("is in use")
)

// Store is what administration remembers. Every method is one transaction. A
// method that changes something takes the lines of the audit that say so, and
// stores them in the same transaction.
type Store interface {
	// Connections are listed by name. Connection returns ErrNotFound.
	Connections(ctx context.Context) ([]roster.Connection, error)
	Connection(ctx context.Context, name string) (roster.Connection, error)
	// AddConnection returns ErrExists; RemoveConnection ErrNotFound, or ErrInUse while
	// an organization uses it.
	AddConnection(ctx context.Context, c roster.Connection, a ...engine.Activity) error
	RemoveConnection(ctx context.Context, name string, a ...engine.Activity) error
	// UpdateConnection stores all fields of the connection of that name, or returns
	// ErrNotFound.
	UpdateConnection(ctx context.Context, c roster.Connection, a ...engine.Activity) error

	// Health is what is known of the connections besides, by name; of one that no cycle has
	// used it is nothing.
	Health(ctx context.Context) ([]engine.Health, error)

	// Organizations are listed by name. Organization returns ErrNotFound; the empty
	// name means the default one.
	Organizations(ctx context.Context) ([]roster.Organization, error)
	Organization(ctx context.Context, name string) (roster.Organization, error)
	// AddOrganization makes the first one the default.
	AddOrganization(ctx context.Context, o roster.Organization, a ...engine.Activity) error
	// UpdateOrganization stores all fields of the organization of that name.
	UpdateOrganization(ctx context.Context, o roster.Organization, a ...engine.Activity) error

	// Settings are all values that somebody has set, whatever their level.
	Settings(ctx context.Context) ([]settings.Setting, error)
	// SetSettings stores values in place of what was set for the same level, subject and
	// key; UnsetSettings removes what is set for these, whatever the value.
	SetSettings(ctx context.Context, values []settings.Setting, a ...engine.Activity) error
	UnsetSettings(ctx context.Context, values []settings.Setting, a ...engine.Activity) error

	// Users are listed by e-mail address, with the number of their open issues.
	Users(ctx context.Context) ([]roster.User, error)
	// FindUser finds a user by e-mail address, without regard to case, by CRM user id
	// or by mailbox id, or returns ErrNotFound.
	FindUser(ctx context.Context, key string) (roster.User, error)
	// AddUsers adds users, disabled, and returns for each nil, or ErrExists for an
	// address or mailbox that another user has. The rest is added all the same.
	AddUsers(ctx context.Context, users []roster.User, a []engine.Activity) ([]error, error)
	// UpdateUsers stores what an administrator may change of each user: e-mail, name,
	// organization, plan, both ids, sync with cause, reason and lock, mailbox, add-in,
	// NextDue, ForcedAt, Queued and Failures.
	UpdateUsers(ctx context.Context, users []roster.User, a []engine.Activity) error
	// DeleteUser removes a user with all that is stored of his synchronization,
	// sessions, issues and settings. The audit stays. The user's lease must be held, or
	// it returns engine.ErrLeaseLost.
	DeleteUser(ctx context.Context, l engine.Lease, a ...engine.Activity) error
	// KeepOrphan stores what a deleted user left behind in his mailbox, so that a later
	// reset can find it; Orphan returns it, or ErrNotFound.
	KeepOrphan(ctx context.Context, o Orphan) error
	Orphan(ctx context.Context, email string) (Orphan, error)
	ForgetOrphan(ctx context.Context, email string) error

	// MailboxItems returns the mailbox ids of all links of a user and entity, whatever
	// their state, without those that have none.
	MailboxItems(ctx context.Context, user int64, entity record.Entity) ([]string, error)
	// Intents and ExpiredOps tell which writes were never settled and which were given
	// up. The methods are those of engine.State.
	Intents(ctx context.Context, user int64, entity record.Entity) ([]engine.Intent, error)
	ExpiredOps(ctx context.Context, user int64, entity record.Entity, ops []record.OpID) (map[record.OpID]record.Hashes, error)
	// ForgetMailbox removes links, intents, replicas and issues of a user, so that the
	// next cycle starts with a first sync, and stores the user's mailbox state. The user's
	// lease must be held, or it returns engine.ErrLeaseLost.
	ForgetMailbox(ctx context.Context, l engine.Lease, state roster.MailboxState, a ...engine.Activity) error
	// Lease tells who holds the user's lease now, or "".
	Lease(ctx context.Context, user int64, now time.Time) (string, error)
	// HeldDeletes are listed newest first, decided ones that no cycle has carried out yet
	// included; user 0 means all users.
	HeldDeletes(ctx context.Context, user int64) ([]engine.HeldDelete, error)
	// DecideHeld stores what a person decided of held deletes, and makes their users due
	// now, unless they are disabled. It returns the ids of those that are still held.
	DecideHeld(ctx context.Context, ids []int64, d engine.Decision, a ...engine.Activity) ([]int64, error)

	// Sessions are listed newest first; user 0 means all users; limit 0 means all.
	Sessions(ctx context.Context, user int64, limit int) ([]engine.Session, error)
	// MailboxCalls returns what the sessions that ended after since, and not after until,
	// requested of the mailboxes of a connection: by mailbox id, oldest first.
	MailboxCalls(ctx context.Context, connection string, since, until time.Time) (map[string][]remote.Spending, error)
	// Session returns one with its log, or ErrNotFound.
	Session(ctx context.Context, id int64) (engine.Session, error)
	// Issues are listed newest first; resolved ones only if asked for.
	Issues(ctx context.Context, user int64, resolved bool) ([]engine.Issue, error)
	Issue(ctx context.Context, id int64) (engine.Issue, error)
	// DecideIssues stores the state that a person gives to issues that are not resolved.
	// One that opens is due, has no attempts, and makes its user due now unless he is
	// disabled. It returns the ids of those that were not resolved.
	DecideIssues(ctx context.Context, ids []int64, to engine.IssueState, a ...engine.Activity) ([]int64, error)
	// Conflicts are listed newest first.
	Conflicts(ctx context.Context, user int64) ([]StoredConflict, error)
	// Activities are listed newest first; user "" means all; limit 0 means all.
	Activities(ctx context.Context, user string, limit int) ([]engine.Activity, error)
	// Record appends to the audit.
	Record(ctx context.Context, a ...engine.Activity) error
}

// Orphan is what a force-deleted user left behind.
type Orphan struct {
	Email     string
	MailboxID string
	Org       string
	Items     map[record.Entity][]string
	Deleted   time.Time
}

// StoredConflict is a conflict as the store keeps it, its values decrypted.
type StoredConflict struct {
	ID      int64
	User    string
	Entity  record.Entity
	Session int64
	Time    time.Time
	reconcile.Conflict
	// Restored is the session that put the losing value back; 0 for none. How says what
	// it did: it restored the lost value, or kept that of a side.
	Restored int64
	How      string
}
