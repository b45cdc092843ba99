package admin

import (
	"errors"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

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
	Kind Kind
	// Code is listed in Codes.
	Code    engine.Code
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

// CodeOf returns the code of an error of this package, of a cycle or of a connector;
// "" for any other.
func CodeOf(err error) engine.Code {
	var own *Error
	var fault *engine.Fault
	var far *remote.Error
	switch {
	case errors.As(err, &own):
		return own.Code
	case errors.As(err, &fault):
		return fault.Code
	case !errors.As(err, &far):
		return ""
	}
	switch far.Class {
	case remote.ClassAuthorization:
		return engine.CodeAccess
	case remote.ClassConnection:
		return engine.CodeConnection
	case remote.ClassSetup:
		return engine.CodeSetup
	case remote.ClassPressure:
		return engine.CodePressure
	case remote.ClassItem, remote.ClassGone:
		return engine.CodeItemRefused
	}
	return engine.CodeTransient
}

// The codes of this package's errors.
const (
	CodeConnectionInvalid engine.Code = "CS3001"
	CodeConnectionInUse   engine.Code = "CS3002"
	CodeExists            engine.Code = "CS3003"
	CodeNotFound          engine.Code = "CS3004"
	CodeOrgInvalid        engine.Code = "CS3011"
	CodeOrgDisabled       engine.Code = "CS3012"
	CodeMoveCRMDiffers    engine.Code = "CS3013"
	CodeMoveUnreachable   engine.Code = "CS3014"
	CodeUserUnresolved    engine.Code = "CS3021"
	CodeUserUnusable      engine.Code = "CS3022"
	CodeUserAmbiguous     engine.Code = "CS3023"
	CodeAddressesDiffer   engine.Code = "CS3024"
	CodeMailboxTaken      engine.Code = "CS3025"
	CodeRowInvalid        engine.Code = "CS3026"
	CodeDeleteRefused     engine.Code = "CS3031"
	CodeSyncDisabled      engine.Code = "CS3041"
	CodeForceTooSoon      engine.Code = "CS3042"
	CodeResetUnfinished   engine.Code = "CS3043"
	CodeRunning           engine.Code = "CS3051"
	CodeClaimedElsewhere  engine.Code = "CS3052"
	CodeOrphanLives       engine.Code = "CS3054"
	CodeNoAddIns          engine.Code = "CS3061"
	CodeAddInMissing      engine.Code = "CS3062"
)

// Codes says in a sentence what each code of this package means, for docs/errors.md.
var Codes = map[engine.Code]string{
	CodeConnectionInvalid: "the description of a connection is incomplete or contradicts itself",
	CodeConnectionInUse:   "a connection cannot be removed while an organization uses it",
	CodeExists:            "something of that name is there already",
	CodeNotFound:          "there is nothing of that name",
	CodeOrgInvalid:        "the description of an organization is incomplete or contradicts itself",
	CodeOrgDisabled:       "the organization is disabled, which stops all its users",
	CodeMoveCRMDiffers:    "a user cannot move to an organization with another CRM connection",
	CodeMoveUnreachable:   "the mailbox cannot be reached with the access of the organization that the user is to move to",
	CodeUserUnresolved:    "the CRM, the mail system or both do not know the user",
	CodeUserUnusable:      "the CRM user or the mailbox cannot be synchronized as it is",
	CodeUserAmbiguous:     "more than one CRM user or mailbox bears the address",
	CodeAddressesDiffer:   "the primary addresses of the CRM user and the mailbox differ",
	CodeMailboxTaken:      "the mailbox or the CRM user belongs to another user",
	CodeRowInvalid:        "a row of the input cannot be used",
	CodeDeleteRefused:     "the user cannot be deleted yet",
	CodeSyncDisabled:      "synchronization is disabled for the user",
	CodeForceTooSoon:      "a cycle of this user was forced less than a minute ago",
	CodeResetUnfinished:   "a reset of the mailbox was cut short and has to be finished first",
	CodeRunning:           "another run is working on the user",
	CodeClaimedElsewhere:  "the mailbox was prepared for another CRM organization",
	CodeOrphanLives:       "the mailbox belongs to a user who is provisioned",
	CodeNoAddIns:          "the mail connection cannot manage add-ins",
	CodeAddInMissing:      "the add-in should be there and is not",
}
