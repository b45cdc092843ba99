package engine

import (
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Code is this program's own word for what went wrong, as listed in docs/errors.md.
type Code = string

// The codes that cycles and issues bear. CS21xx are issues of single records, CS22xx
// ends of a cycle.
const (
	CodeItemRefused  Code = "CS2101"
	CodeDuplicate    Code = "CS2102"
	CodeAmbiguous    Code = "CS2103"
	CodeNotAllowed   Code = "CS2104"
	CodeHeld         Code = "CS2105"
	CodeEditKept     Code = "CS2106"
	CodeOverLimit    Code = "CS2107"
	CodeLeftOut      Code = "CS2108"
	CodeOnHold       Code = "CS2109"
	CodeTooMany      Code = "CS2110"
	CodeRestless     Code = "CS2111"
	CodeLateTwin     Code = "CS2112"
	CodeUntold       Code = "CS2113"
	CodeChanged      Code = "CS2114"
	CodeOneWay       Code = "CS2115"
	CodeLocked       Code = "CS2201"
	CodeAccess       Code = "CS2202"
	CodePressure     Code = "CS2203"
	CodeTransient    Code = "CS2204"
	CodeConnection   Code = "CS2205"
	CodeMapping      Code = "CS2206"
	CodeEmptyRead    Code = "CS2207"
	CodeClaimed      Code = "CS2208"
	CodeContainer    Code = "CS2209"
	CodeInterrupted  Code = "CS2210"
	CodeLeaseLost    Code = "CS2211"
	CodeSetup        Code = "CS2212"
	CodeState        Code = "CS2213"
	CodeIneffective  Code = "CS2214"
	CodeNotDue       Code = "CS2215"
	CodeUnsettled    Code = "CS2216"
	CodeJustRun      Code = "CS2217"
	CodeNotStarted   Code = "CS2218"
	CodeSuspended    Code = "CS2219"
	CodeUnresolvable Code = "CS2220"
	CodeGuarded      Code = "CS2221"
	CodePlanChanged  Code = "CS2222"
	CodeCanary       Code = "CS2223"
	CodeBudget       Code = "CS2224"
	CodeUnmergeable  Code = "CS2225"
)

// CodeMeanings says in a sentence what each code means, for docs/errors.md.
var CodeMeanings = map[Code]string{
	CodeItemRefused:  "a server refused one record; the others went on",
	CodeDuplicate:    "the CRM takes a new record for a duplicate of one it has",
	CodeAmbiguous:    "several records match; nothing was linked or created",
	CodeNotAllowed:   "records born in the mailbox may not be written to the CRM yet",
	CodeHeld:         "the guard holds a delete, because there were too many at once",
	CodeOneWay:       "the record has no counterpart on the other side, which the settings do not let be written",
	CodeEditKept:     "an edit met a delete that it may not undo; the edit stays where it is",
	CodeOverLimit:    "the first sync's limit was reached; the record follows once somebody edits it",
	CodeLeftOut:      "the record was imported into the CRM; it follows once somebody edits it",
	CodeOnHold:       "both sides changed a field and the policy is to hold it",
	CodeTooMany:      "a list holds more elements than a side can",
	CodeRestless:     "a record changed again and again while it was being synchronized",
	CodeLateTwin:     "a write landed late, and a person has edited the second item that it made",
	CodeUntold:       "the audit found a change that the change feed had not told",
	CodeChanged:      "a record changed since, or is gone, and is left as it is",
	CodeLocked:       "another run is working on the user",
	CodeAccess:       "a server refuses access to the user's data",
	CodePressure:     "a server asks for patience",
	CodeTransient:    "a server could not be reached or failed",
	CodeConnection:   "a system as a whole refuses us",
	CodeMapping:      "a side does not know a mapped field",
	CodeEmptyRead:    "a side that held records returned none: taken for a failed read",
	CodeClaimed:      "the mailbox is claimed for another CRM organization",
	CodeContainer:    "our folder is gone from the mailbox; the entity was switched off",
	CodeInterrupted:  "the run was interrupted",
	CodeLeaseLost:    "another run took the user over",
	CodeSetup:        "the connection is not set up as it should be",
	CodeState:        "the state could not be read or written",
	CodeIneffective:  "the user is not active",
	CodeNotDue:       "the user is not due yet",
	CodeUnsettled:    "the outcome of a write is unknown until the next cycle",
	CodeJustRun:      "another run has just synchronized the user",
	CodeNotStarted:   "the run stopped before the user's turn",
	CodeSuspended:    "the user is still suspended: the probe failed again",
	CodePlanChanged:  "a plan that was kept is not what the next cycle would do any more; nothing of the user was written",
	CodeCanary:       "the users who went first did not all end well; nobody else was begun",
	CodeUnresolvable: "the user has no id at one of the systems",
	CodeBudget:       "a connection's requests are used up, but for the reserve",
	CodeUnmergeable:  "these duplicates are not merged",
	CodeGuarded:      "so many deletes at once are not done unless they are expected",
}

var codeOfClass = map[remote.Class]Code{
	remote.ClassItem:          CodeItemRefused,
	remote.ClassConflict:      CodeRestless,
	remote.ClassDuplicate:     CodeDuplicate,
	remote.ClassGone:          CodeItemRefused,
	remote.ClassContainerGone: CodeContainer,
	remote.ClassCursorLost:    CodeTransient,
	remote.ClassPressure:      CodePressure,
	remote.ClassTransient:     CodeTransient,
	remote.ClassAuthorization: CodeAccess,
	remote.ClassConnection:    CodeConnection,
	remote.ClassMapping:       CodeMapping,
	remote.ClassSetup:         CodeSetup,
}

var codeOfFinding = map[reconcile.FindingCode]Code{
	reconcile.Ambiguous:  CodeAmbiguous,
	reconcile.NotAllowed: CodeNotAllowed,
	reconcile.OneWay:     CodeOneWay,
	reconcile.EditKept:   CodeEditKept,
	reconcile.OverLimit:  CodeOverLimit,
	reconcile.LeftOut:    CodeLeftOut,
	reconcile.OnHold:     CodeOnHold,
	reconcile.TooMany:    CodeTooMany,
	reconcile.LateTwin:   CodeLateTwin,
}
