// Package roster holds who is synchronized: connections, organizations and users,
// the states they can be in, and the one rule that follows from those states. It
// is pure; admin changes these things, the engine reads them, the store keeps them.
package roster

import (
	"fmt"
	"time"
)

// Connection is the way to one CRM organization or one mail tenant. It holds where
// secrets are to be found, never a secret.
type Connection struct {
	Name string
	// Kind is the connector: graph or salesforce.
	Kind string
	// Endpoint and TokenEndpoint override the vendor's own addresses.
	Endpoint      string
	TokenEndpoint string
	// Auth is how we prove who we are: client-secret, certificate, device-code,
	// managed-identity, jwt, refresh-token, api-key or token.
	Auth     string
	Tenant   string
	ClientID string
	// Username is the user that a JWT speaks for.
	Username string
	// Secret, Token and Certificate are references: env:NAME, file:PATH,
	// cmd:COMMAND or keyring:NAME.
	Secret      string
	Token       string
	Certificate string
	// StampField is the CRM's external-id field for our stamp; empty if the
	// administrator has given none.
	StampField string
	// AppID is the id under which the add-in stands in the organization's app
	// catalogue; empty if there is none.
	AppID string
}

// Access is how the engine gets into mailboxes.
type Access string

// The access types.
const (
	// Application access reaches the mailboxes of all users with one consent.
	Application Access = "application"
	// Delegated access reaches only the mailbox of the person who signed in.
	Delegated Access = "delegated"
)

// Organization ties a CRM connection to a mail connection.
type Organization struct {
	Name    string
	CRM     string
	Mail    string
	Access  Access
	Enabled bool
	// Default is true for the one organization that users join if none is named.
	Default bool
	// Region is the ISO 3166 code in which telephone numbers without a country code
	// are read; may be empty.
	Region string
}

// Sync is whether a user is to be synchronized.
type Sync string

// The states of synchronization.
const (
	Disabled  Sync = "disabled"
	Enabled   Sync = "enabled"
	Suspended Sync = "suspended"
)

// Cause is why a user is suspended.
type Cause string

// The causes.
const (
	CauseAuthorization Cause = "authorization"
	CauseThrottling    Cause = "throttling"
	CauseOther         Cause = "other"
)

// MailboxState is whether our folders and categories are in the mailbox.
type MailboxState string

// The states of a mailbox.
const (
	NotInitialized MailboxState = "not-initialized"
	Initialized    MailboxState = "initialized"
	// Resetting: a reset was cut short; the next one finishes it.
	Resetting MailboxState = "resetting"
)

// AddIn is what is known of the add-in in a user's mail program.
type AddIn string

// The states of an add-in.
const (
	AddInUnknown   AddIn = "unknown"
	AddInRequested AddIn = "requested"
	AddInInstalled AddIn = "installed"
	AddInRemoved   AddIn = "removed"
	AddInFailed    AddIn = "failed"
)

// User is one person whose CRM records and mailbox are kept in step.
type User struct {
	// ID is the state's own number.
	ID    int64
	Email string
	Name  string
	Org   string
	Plan  string
	// CRMUser and MailboxID are the stable ids at the two systems.
	CRMUser   string
	MailboxID string

	Sync  Sync
	Cause Cause
	// Reason is the cause in words, with what lifts it.
	Reason string
	// Locked: the user may not resume himself.
	Locked  bool
	Mailbox MailboxState
	AddIn   AddIn
	// AddInRead is when AddIn was last read from the server.
	AddInRead time.Time

	// LastStart and LastSuccess are of the last cycle and the last that ended well.
	LastStart   time.Time
	LastSuccess time.Time
	// NextDue is when the next cycle is due; zero for at once.
	NextDue time.Time
	// ForcedAt is when a cycle was last forced; Queued that one was asked for and has
	// not run.
	ForcedAt time.Time
	Queued   bool
	// Failures is how many cycles in a row have failed; PressureSince when the
	// servers began to do nothing but ask for patience.
	Failures      int
	PressureSince time.Time
	// Issues is how many records cannot be synchronized now.
	Issues int
	// Held is how many deletes the guard holds until somebody decides.
	Held int
	// OnHold is how many records wait for a person to decide a conflict.
	OnHold int
	// Off says what is switched off for the user and why, for example because he deleted
	// our folder; "" if nothing is.
	Off string
}

// Active is the effective state of a user who is synchronized.
const Active = "active"

// Effective is what a person wants to know of a user: Active, or the one thing that
// keeps the user from being synchronized, with the command that lifts it.
type Effective struct {
	State string
	Fix   string
}

// EffectiveOf derives the effective state. The organization beats the user.
func EffectiveOf(u User, o Organization) Effective {
	switch {
	case !o.Enabled:
		return Effective{State: "organization disabled", Fix: "crmsync org enable " + o.Name}
	case u.Sync == Disabled:
		return Effective{State: "disabled", Fix: "crmsync sync enable " + u.Email}
	case u.Mailbox == Resetting:
		return Effective{State: "reset unfinished", Fix: "crmsync mailbox reset " + u.Email}
	case u.Sync == Suspended:
		return Effective{State: fmt.Sprintf("suspended: %s", u.Cause), Fix: "crmsync check all " + u.Email}
	case u.Off != "":
		return Effective{State: "switched off: " + u.Off, Fix: "crmsync mailbox reapply " + u.Email}
	}
	return Effective{State: Active}
}
