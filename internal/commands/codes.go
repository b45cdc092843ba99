package commands

import (
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

// Code names a kind of error. A code never changes its meaning; docs/errors.md lists
// them. CS1 are of the command line, CS2 of a cycle and its records, as package engine
// names them, CS3 of administration, as package admin does, and CS9 is the rest.
type Code = string

// The codes of the command line. CS10: what was typed or configured; CS11: the
// state; CS12: selections; CS13: the sandbox; CS14: what is taken back.
const (
	codeUsage       Code = "CS1001"
	codeConfig      Code = "CS1002"
	codeSecret      Code = "CS1003"
	codeUnconfirmed Code = "CS1004"
	codeCancelled   Code = "CS1005"
	codeInterrupted Code = "CS1006"
	codeFile        Code = "CS1007"
	codePlanFile    Code = "CS1008"

	codeState         Code = "CS1101"
	codeNoState       Code = "CS1102"
	codeStateNewer    Code = "CS1103"
	codeStateReadOnly Code = "CS1104"
	codeStateKey      Code = "CS1105"
	codeStateFull     Code = "CS1106"
	codeStateBusy     Code = "CS1107"
	codeStateDamaged  Code = "CS1108"
	codeStateDisk     Code = "CS1109"

	codeEmpty        Code = "CS1201"
	codeUnknownUser  Code = "CS1202"
	codeBadRow       Code = "CS1203"
	codeStrict       Code = "CS1204"
	codeNoConnection Code = "CS1205"
	codeNotFound     Code = "CS1206"
	codeSeveral      Code = "CS1207"

	codeSandbox Code = "CS1301"

	codeNothingToUndo Code = "CS1401"

	codeFailure Code = "CS9000"
	codeBug     Code = "CS9999"
)

// codeInfo is what is always true of a code.
type codeInfo struct {
	exit  int
	title string
	why   string
	do    string
	// command may hold USER, which becomes the user that the error is about.
	command string
}

// codes is the table of all codes. Package engine and package admin say what their own
// codes mean; what to do about them is said here.
var codes = withMeanings(map[Code]codeInfo{
	codeUsage:  {exit: exitUsage, title: "something was typed wrong"},
	codeConfig: {exit: exitUsage, title: "the configuration cannot be used", do: "correct it; nothing was done"},
	codeSecret: {
		exit: exitUsage, title: "a secret cannot be had",
		why: "the reference leads to nothing", do: "set what the reference names, or correct the reference",
	},
	codeUnconfirmed: {
		exit: exitUsage, title: "a question could not be asked, or was answered differently",
		why: "what cannot be taken back is never done without an answer",
	},
	codeCancelled:   {exit: exitCancelled, title: "the person said no"},
	codeInterrupted: {exit: exitInterrupted, title: "interrupted", do: "run the same command again: it goes on where it was"},
	codeFile:        {exit: exitUsage, title: "a file cannot be read or written"},
	codePlanFile: {
		exit: exitUsage, title: "a file is no plan that can be carried out here",
		why: "only a plan of this very state is carried out, as it was written", do: "make a new plan", command: "crmsync sync plan USER --out FILE",
	},

	codeState: {exit: exitFailure, title: "the state cannot be used"},
	codeNoState: {
		exit: exitUsage, title: "there is no state yet",
		why: "nothing has been set up under this path", do: "set up, or name another state with --state or --config",
		command: "crmsync init",
	},
	codeStateNewer: {
		exit: exitFailure, title: "the state is of a newer version",
		why: "a newer crmsync has written it; this one could damage it", do: "use that version or a newer one",
		command: "crmsync version",
	},
	codeStateReadOnly: {
		exit: exitFailure, title: "the state cannot be written",
		why: "the file or its directory is read-only for this user", do: "give the right to write, or name another state with --state",
	},
	codeStateKey: {
		exit: exitFailure, title: "the key of the state is missing or does not fit",
		why: "what the state holds was made with it", do: "put the key back, or name it with state_key in the configuration",
	},
	codeStateFull: {
		exit: exitFailure, title: "no space is left for the state",
		why: "what could not be stored was not done: nothing is lost", do: "make space and run the command again",
	},
	codeStateBusy: {
		exit: exitLocked, title: "another process keeps the state locked",
		do: "wait until it has ended, then run the command again", command: "crmsync sync queue",
	},
	codeStateDamaged: {
		exit: exitFailure, title: "the file is no state, or is damaged",
		do: "name another state with --state, or put a backup in its place; a new state makes no duplicates",
	},
	codeStateDisk: {
		exit: exitFailure, title: "the disk of the state does not work",
		why: "the system reports an error of reading or writing; what could not be stored was not done: nothing is lost",
		do:  "look at the disk, then run the command again",
	},

	codeEmpty: {
		exit: exitEmpty, title: "nobody is selected",
		why: "an empty selection never means everybody", do: "name users, or give --all", command: "crmsync help selection",
	},
	codeUnknownUser: {
		exit: exitUsage, title: "there is no such user",
		why: "it is neither the address nor an id of a user in the state", do: "correct it, or add the user", command: "crmsync users list",
	},
	codeBadRow: {exit: exitUsage, title: "a row of the input cannot be read", do: "correct it and give the file again"},
	codeStrict: {
		exit: exitUsage, title: "a row of the selection is bad, and --strict was given",
		why: "with --strict one bad row stops everything before it begins", do: "correct the rows, or leave --strict out",
	},
	codeNoConnection: {
		exit: exitUsage, title: "there is no such connection",
		do: "add the connection, or correct the name", command: "crmsync connection list",
	},
	codeNotFound: {exit: exitUsage, title: "there is nothing of that name or number"},
	codeSeveral:  {exit: exitUsage, title: "the name fits several things"},

	codeNothingToUndo: {
		exit: exitRefused, title: "there is nothing to take back",
		why: "what a session replaces is kept for 30 days, and only what it wrote can be taken back", command: "crmsync sessions list",
	},

	codeSandbox: {exit: exitFailure, title: "the sandbox cannot do it"},

	engine.CodeItemRefused: {
		do: "correct the record; it is tried again as soon as it changes", command: "crmsync issues list USER",
	},
	engine.CodeDuplicate: {
		do: "merge the two in the CRM, or let its duplicate rule pass the application", command: "crmsync issues list USER",
	},
	engine.CodeAmbiguous: {
		do: "merge or tell apart the records it lists; the next cycle links them", command: "crmsync issues list USER",
	},
	engine.CodeNotAllowed: {
		do: "look at the plan, then allow it once", command: "crmsync sync run USER --allow-create-in-crm",
	},
	engine.CodeHeld: {
		exit:    exitRefused,
		why:     "more records would be deleted than a normal day explains",
		do:      "see what is held, and why they are gone on the other side; then allow or discard",
		command: "crmsync deletes list USER",
	},
	engine.CodeOneWay:    {do: "nothing, or let both sides be written", command: "crmsync settings set contacts.direction both USER"},
	engine.CodeEditKept:  {do: "nothing, or delete it by hand on the side that has it", command: "crmsync issues list USER"},
	engine.CodeOverLimit: {do: "nothing, or edit the records that are needed"},
	engine.CodeLeftOut:   {do: "nothing, or edit the records that are needed"},
	engine.CodeOnHold: {
		do: "make both sides the same by hand, or let another policy decide", command: "crmsync conflicts list USER",
	},
	engine.CodeTooMany:  {do: "shorten the list"},
	engine.CodeRestless: {do: "nothing: it is tried again at the next cycle"},
	engine.CodeChanged:  {exit: exitRefused, why: "what somebody did since would be lost", do: "look at the record and edit it by hand"},
	engine.CodeGuarded: {
		exit: exitRefused, why: "a mistake in a selection is cheaper to find before than after",
		do: "look at what it would do with --dry-run, then name the number with --expect-deletes",
	},
	engine.CodeUnmergeable: {
		exit: exitRefused, why: "a merge that nobody can be sure of loses more than a duplicate costs",
		do: "look at the group and decide by hand", command: "crmsync duplicates find USER",
	},
	engine.CodeLocked: {
		exit: exitLocked,
		why:  "a user has one cycle at a time, on any machine", do: "wait for it to end", command: "crmsync sessions list USER",
	},
	engine.CodeAccess: {
		exit: exitAuth,
		why:  "the application has no permission for this user, or the user is gone or has no license",
		do:   "give the permission or the license; the user resumes by itself", command: "crmsync check all USER",
	},
	engine.CodePressure: {
		why: "too many requests in too short a time", do: "nothing: it slows down and goes on by itself",
	},
	engine.CodeTransient: {
		why: "the network, a proxy or the system itself is down, or the endpoint is wrong",
		do:  "try again; if it stays, check the connections", command: "crmsync connection list",
	},
	engine.CodeConnection: {
		exit:    exitAuth,
		why:     "nobody answers there, the secret is wrong or has expired, or the application was blocked",
		do:      "correct the endpoint, or renew the secret or the consent",
		command: "crmsync connection list",
	},
	engine.CodeMapping: {
		why: "the field was removed, or the application may not see it", do: "make the field visible to the application",
		command: "crmsync check crm USER",
	},
	engine.CodeEmptyRead: {do: "look at both sides; if the records are gone on purpose, reapply the mailbox", command: "crmsync check all USER"},
	engine.CodeClaimed: {
		exit: exitRefused, why: "two CRM organizations in one mailbox would overwrite each other",
		do: "reset the mailbox from the installation that has it, or move the user",
	},
	engine.CodeContainer: {
		why: "somebody deleted the folder; that is never read as a delete of the contacts", do: "make it anew",
		command: "crmsync mailbox reapply USER",
	},
	engine.CodeInterrupted: {exit: exitInterrupted, do: "run the same command again: it goes on where it was"},
	engine.CodeLeaseLost:   {exit: exitLocked, do: "nothing: the other run goes on", command: "crmsync sessions list USER"},
	engine.CodeSetup:       {exit: exitUsage, do: "correct the connection", command: "crmsync connection list"},
	engine.CodeState:       {do: "see what each of them met; what could not be stored was not done, and the next run goes on", command: "crmsync sessions list"},
	engine.CodeIneffective: {exit: exitRefused, do: "run the command that the message names"},
	engine.CodeNotDue:      {exit: exitRefused, do: "wait, or force it", command: "crmsync sync force USER"},
	engine.CodeUnsettled:   {do: "nothing: the next cycle finds out"},
	engine.CodeSuspended:   {exit: exitAuth, do: "see what the check says", command: "crmsync check all USER"},
	engine.CodePlanChanged: {
		exit: exitRefused, why: "a plan is carried out as it was shown, or not at all",
		do: "make a new plan, look at it, and apply that", command: "crmsync sync plan USER --out FILE",
	},
	engine.CodeCanary: {exit: exitRefused, do: "see what befell those who went first, then run the others"},
	engine.CodeBudget: {
		why: "other applications use the same budget, or there are more users than it was bought for",
		do:  "nothing: it goes on by itself; see who uses the calls, or buy more", command: "crmsync connection list",
	},
	engine.CodeUnresolvable: {do: "tie the user to both systems", command: "crmsync users import --from directory"},

	admin.CodeNotFound:          {exit: exitUsage, do: "correct the name"},
	admin.CodeConnectionInvalid: {exit: exitUsage, do: "complete or correct the description"},
	admin.CodeConnectionInUse:   {exit: exitRefused, do: "give the organization another connection first"},
	admin.CodeExists:            {exit: exitRefused, do: "choose another name, or see what is there"},
	admin.CodeOrgInvalid:        {exit: exitUsage, do: "complete or correct the description"},
	admin.CodeMoveCRMDiffers:    {exit: exitRefused, why: "the records of one CRM organization are not those of another"},
	admin.CodeMoveUnreachable:   {exit: exitRefused, do: "give the access, then move the user"},
	admin.CodeMailboxTaken:      {exit: exitRefused, why: "two users on one mailbox would overwrite each other"},
	admin.CodeRowInvalid:        {exit: exitUsage, do: "correct it and give the file again"},
	admin.CodeDeleteRefused:     {exit: exitRefused, do: "do what the message names first"},
	admin.CodeResetUnfinished:   {exit: exitRefused, do: "finish the reset", command: "crmsync mailbox reset USER"},
	admin.CodeClaimedElsewhere:  {exit: exitRefused, why: "two CRM organizations in one mailbox would overwrite each other"},
	admin.CodeOrphanLives:       {exit: exitRefused, do: "reset the user's own mailbox instead"},
	admin.CodeNoAddIns:          {exit: exitRefused, do: "set app_id of the mail connection to the id of the add-in"},

	admin.CodeOrgDisabled:    {exit: exitRefused, why: "a disabled organization stops all its users, whatever their own state"},
	admin.CodeSyncDisabled:   {exit: exitRefused, why: "a disabled user is not synchronized, not even by force", command: "crmsync sync enable USER"},
	admin.CodeForceTooSoon:   {exit: exitRefused, why: "a user's cycle can be forced once a minute", do: "wait, or leave it to the next run"},
	admin.CodeRunning:        {exit: exitLocked, why: "a user has one cycle at a time, on any machine", do: "wait for it to end"},
	admin.CodeUserUnresolved: {do: "see who there is on both sides", command: "crmsync check all USER"},

	codeFailure: {exit: exitFailure, title: "it failed"},
	codeBug: {
		exit: exitFailure, title: "a mistake in crmsync",
		why: "this is not about what you did", do: "please report it with the command and this line; what was begun is settled by the next run",
		command: "crmsync version",
	},
})

// withMeanings adds the meanings that the packages engine and admin give their codes.
// A code without a status of its own is a failure.
func withMeanings(table map[Code]codeInfo) map[Code]codeInfo {
	add := func(meanings map[string]string) {
		for code, title := range meanings {
			info := table[code]
			info.title = title
			table[code] = info
		}
	}
	add(engine.CodeMeanings)
	add(admin.Codes)
	for code, info := range table {
		if info.exit == exitOK {
			info.exit = exitFailure
			table[code] = info
		}
	}
	return table
}
