// Package admin holds the rules behind the verbs that are not a cycle: who is
// synchronized, through which connections, and what is put into a mailbox or taken
// out of it. Decisions are pure functions over what is known; the methods of Admin
// read what a decision needs, take it, and carry it out.
//
// Four rules hold for every method that changes something:
//
//   - It writes its line of the audit in the transaction of the change.
//   - A dry run takes the same way to the last call and writes nothing, neither in
//     the state nor at a server.
//   - One user that fails or is refused stops no other.
//   - Nothing is ever written to the CRM.
package admin

import (
	"context"
	"io"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// Leases keep a mailbox from being prepared or torn down while a cycle runs in it.
// The methods are those of engine.State.
type Leases interface {
	AcquireLease(ctx context.Context, l engine.Lease, now time.Time) (current string, ok bool, err error)
	RenewLease(ctx context.Context, l engine.Lease, now time.Time) error
	ReleaseLease(ctx context.Context, l engine.Lease) error
}

// Admin carries out what administrators ask for.
type Admin struct {
	Store   Store
	Leases  Leases
	Systems engine.Systems
	// Now is the clock; Tick returns a channel that receives every d, and a function
	// that stops it.
	Now  func() time.Time
	Tick func(d time.Duration) (<-chan time.Time, func())
	// Actor is who asks, for the audit.
	Actor string
	// Holder names this process in leases, to which each piece of work adds its own
	// name; Alive tells whether the process that a holder names still runs, true if that
	// cannot be known. Random is a source of randomness, safe for concurrent use.
	Holder string
	Random io.Reader
	Alive  func(holder string) bool
	// Install identifies the installation in the claims of mailboxes.
	Install string
}

// Types of activity that administration writes.
const (
	ActivityConnectionAdded    = "connection.added"
	ActivityConnectionRemoved  = "connection.removed"
	ActivityOrgAdded           = "org.added"
	ActivityOrgEnabled         = "org.enabled"
	ActivityOrgDisabled        = "org.disabled"
	ActivityOrgChanged         = "org.changed"
	ActivitySettingsChanged    = "settings.changed"
	ActivityUserAdded          = "user.added"
	ActivityUserRemoved        = "user.removed"
	ActivitySyncEnabled        = "sync.enabled"
	ActivitySyncDisabled       = "sync.disabled"
	ActivitySyncForced         = "sync.forced"
	ActivityMailboxInitialized = "mailbox.initialized"
	ActivityResetStarted       = "mailbox.reset.started"
	ActivityMailboxReset       = "mailbox.reset"
	ActivityMailboxReapplied   = "mailbox.reapplied"
	ActivityOrphanReset        = "mailbox.reset.orphan"
	ActivityAddInRequested     = "addin.requested"
	ActivityAddInInstalled     = "addin.installed"
	ActivityAddInRemoved       = "addin.removed"
	ActivityAddInFailed        = "addin.failed"
	ActivityDeletesAllowed     = "deletes.allowed"
	ActivityDeletesDiscarded   = "deletes.discarded"
	ActivityIssuesRetried      = "issues.retried"
	ActivityIssuesIgnored      = "issues.ignored"
)

func (a *Admin) activity(typ, user, org, details string) engine.Activity {
	return engine.Activity{Time: a.Now().UTC(), Actor: a.Actor, Type: typ, User: user, Org: org, Details: details}
}

// found is the customization that stands in a mailbox, whoever has claimed it.
func found() remote.Customization { return engine.Customization("", "", time.Time{}) }

// organizations returns all organizations by name.
func (a *Admin) organizations(ctx context.Context) (map[string]roster.Organization, error) {
	list, err := a.Store.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	orgs := make(map[string]roster.Organization, len(list))
	for _, o := range list {
		orgs[o.Name] = o
	}
	return orgs, nil
}
