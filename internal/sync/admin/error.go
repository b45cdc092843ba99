package admin

import "errors"

// Kind says what a refusal is, so that a script can tell by the exit code.
type Kind string

// The kinds.
const (
	// Invalid: what was asked for makes no sense as it is written.
	Invalid Kind = "invalid"
	// Refused: a precondition does not hold.
	Refused Kind = "refused"
	// Locked: another run has the user.
	Locked Kind = "locked"
	// Unresolved: a name or an address leads nowhere.
	Unresolved Kind = "unresolved"
)

// Error is why something was not done. Its text is one sentence without a full stop.
type Error struct {
	Kind    Kind
	Reason  Reason
	Message string
	// Fix is the command, or what else, lifts it; may be empty.
	Fix string
	Err error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error of this package, or "".
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// Reason says which rule spoke. Each has a code of its own in docs/errors.md.
type Reason string

// The reasons.
const (
	// ReasonConnectionInvalid: the description of a connection is incomplete or contradicts itself.
	ReasonConnectionInvalid Reason = "connection-invalid"
	// ReasonConnectionInUse: a connection cannot be removed while an organization uses it.
	ReasonConnectionInUse Reason = "connection-in-use"
	// ReasonExists: something of that name is there already.
	ReasonExists Reason = "exists"
	// ReasonNotFound: there is nothing of that name.
	ReasonNotFound Reason = "not-found"
	// ReasonOrgInvalid: the description of an organization is incomplete or contradicts itself.
	ReasonOrgInvalid Reason = "org-invalid"
	// ReasonOrgDisabled: the organization is disabled, which stops all its users.
	ReasonOrgDisabled Reason = "org-disabled"
	// ReasonMoveCRMDiffers: a user cannot move to an organization with another CRM connection.
	ReasonMoveCRMDiffers Reason = "move-crm-differs"
	// ReasonMoveUnreachable: the mailbox cannot be reached with the access of the organization that the user is to move to.
	ReasonMoveUnreachable Reason = "move-unreachable"
	// ReasonUserUnresolved: the CRM, the mail system or both do not know the user.
	ReasonUserUnresolved Reason = "user-unresolved"
	// ReasonUserUnusable: the CRM user or the mailbox cannot be synchronized as it is.
	ReasonUserUnusable Reason = "user-unusable"
	// ReasonUserAmbiguous: more than one CRM user or mailbox bears the address.
	ReasonUserAmbiguous Reason = "user-ambiguous"
	// ReasonAddressesDiffer: the primary addresses of the CRM user and the mailbox differ.
	ReasonAddressesDiffer Reason = "addresses-differ"
	// ReasonMailboxTaken: the mailbox or the CRM user belongs to another user.
	ReasonMailboxTaken Reason = "mailbox-taken"
	// ReasonRowInvalid: a row of the input cannot be used.
	ReasonRowInvalid Reason = "row-invalid"
	// ReasonDeleteRefused: the user cannot be deleted yet.
	ReasonDeleteRefused Reason = "delete-refused"
	// ReasonSyncDisabled: synchronization is disabled for the user.
	ReasonSyncDisabled Reason = "sync-disabled"
	// ReasonForceTooSoon: a cycle of this user was forced less than a minute ago.
	ReasonForceTooSoon Reason = "force-too-soon"
	// ReasonResetUnfinished: a reset of the mailbox was cut short and has to be finished first.
	ReasonResetUnfinished Reason = "reset-unfinished"
	// ReasonRunning: another run is working on the user.
	ReasonRunning Reason = "running"
	// ReasonClaimedElsewhere: the mailbox was prepared for another CRM organization.
	ReasonClaimedElsewhere Reason = "claimed-elsewhere"
	// ReasonOrphanLives: the mailbox belongs to a user who is provisioned.
	ReasonOrphanLives Reason = "orphan-lives"
	// ReasonNoAddIns: the mail connection cannot manage add-ins.
	ReasonNoAddIns Reason = "no-addins"
	// ReasonAddInMissing: the add-in should be there and is not.
	ReasonAddInMissing Reason = "addin-missing"
)
