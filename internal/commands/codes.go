package commands

// Code names a kind of error. A code never changes its meaning; docs/errors.md lists
// them.
type Code string

// The codes. CS10: what was typed or configured; CS11: the state; CS12: the other
// systems; CS13: refusals; CS14: selections; CS15: records; CS16: the sandbox.
const (
	codeUsage       Code = "CS1001"
	codeConfig      Code = "CS1002"
	codeSecret      Code = "CS1003"
	codeUnconfirmed Code = "CS1004"
	codeCancelled   Code = "CS1005"
	codeInterrupted Code = "CS1006"
	codeFile        Code = "CS1007"

	codeState         Code = "CS1101"
	codeNoState       Code = "CS1102"
	codeStateNewer    Code = "CS1103"
	codeStateReadOnly Code = "CS1104"
	codeStateKey      Code = "CS1105"
	codeStateFull     Code = "CS1106"
	codeStateBusy     Code = "CS1107"

	codeUnreachable       Code = "CS1201"
	codeConnectionRefused Code = "CS1202"
	codeAccessRefused     Code = "CS1203"
	codePressure          Code = "CS1204"
	codeMapping           Code = "CS1205"
	codeSetup             Code = "CS1206"
	codeNoConnection      Code = "CS1207"

	codeRefused  Code = "CS1301"
	codeTooSoon  Code = "CS1302"
	codeUserOff  Code = "CS1303"
	codeOrgOff   Code = "CS1304"
	codeHeld     Code = "CS1305"
	codeLocked   Code = "CS1306"
	codeNotFound Code = "CS1307"
	codeExists   Code = "CS1308"
	codeInUse    Code = "CS1309"

	codeEmpty       Code = "CS1401"
	codeUnknownUser Code = "CS1402"
	codeBadRow      Code = "CS1403"
	codeStrict      Code = "CS1404"

	codeItem          Code = "CS1501"
	codeItemChanged   Code = "CS1502"
	codeDuplicate     Code = "CS1503"
	codeGone          Code = "CS1504"
	codeContainerGone Code = "CS1505"
	codeCursorLost    Code = "CS1506"

	codeSandbox Code = "CS1601"

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

var codes = map[Code]codeInfo{
	codeUsage: {exitUsage, "something was typed wrong", "", "see the help of the command", ""},
	codeConfig: {exitUsage, "the configuration cannot be used",
		"", "correct the file; nothing was done", ""},
	codeSecret: {exitUsage, "a secret cannot be had",
		"the reference to it is there, but leads to nothing", "set what the reference names", ""},
	codeUnconfirmed: {exitUsage, "a question could not be asked, or was answered differently",
		"what cannot be taken back is never done without an answer", "", ""},
	codeCancelled:   {exitCancelled, "the person said no", "", "", ""},
	codeInterrupted: {exitInterrupted, "interrupted", "", "run the same command again: it goes on where it was", ""},
	codeFile:        {exitUsage, "a file cannot be read or written", "", "", ""},

	codeState: {exitFailure, "the state cannot be used",
		"", "", ""},
	codeNoState: {exitUsage, "there is no state yet",
		"nothing has been set up under this path", "set up, or name another state with --state or --config", "crmsync init"},
	codeStateNewer: {exitFailure, "the state is of a newer version",
		"a newer crmsync has written it; this one could damage it", "install that version, or a newer one", "crmsync version"},
	codeStateReadOnly: {exitFailure, "the state cannot be written",
		"the file or its directory is read-only for this user", "give the right to write, or name another state with --state", ""},
	codeStateKey: {exitFailure, "the key of the state is missing or does not fit",
		"the state is encrypted with it; without it nothing can be synchronized safely", "put the key back, or name it with state_key", ""},
	codeStateFull: {exitFailure, "no space is left for the state",
		"nothing was lost: what could not be stored was not done", "make space and run the command again", ""},
	codeStateBusy: {exitLocked, "another process is writing the state",
		"", "wait until it has ended, then run the command again", "crmsync sessions list --running"},

	codeUnreachable: {exitFailure, "a system does not answer",
		"the network, a proxy or the system itself is down, or the endpoint is wrong", "try again; if it stays, check the endpoint", "crmsync check settings"},
	codeConnectionRefused: {exitAuth, "a system refuses us as a whole",
		"the secret is wrong or has expired, or the application was blocked", "renew the secret or the consent", "crmsync connection list"},
	codeAccessRefused: {exitAuth, "a user's data may not be reached",
		"the application has no permission for this user, or the user is gone or has no licence", "give the permission or the licence; it is tried again by itself", "crmsync check all USER"},
	codePressure: {exitFailure, "a system asks us to wait",
		"too many requests in too short a time", "nothing: it slows down and goes on by itself", ""},
	codeMapping: {exitFailure, "a system does not know a field or a type that we ask for",
		"a field was removed, or the application may not see it", "make the field visible to the application", "crmsync check settings"},
	codeSetup: {exitUsage, "what a connection was told to use is wrong or missing",
		"", "correct the connection", "crmsync connection list"},
	codeNoConnection: {exitUsage, "there is no such connection",
		"", "add the connection, or correct the name", "crmsync connection list"},

	codeRefused: {exitRefused, "refused by a precondition", "", "", ""},
	codeTooSoon: {exitRefused, "forced again too soon",
		"a user's cycle can be forced once a minute", "wait, or mark the user due", "crmsync sync force --queue USER"},
	codeUserOff: {exitRefused, "synchronization of the user is disabled",
		"a disabled user is never synchronized, not even by force", "enable the user", "crmsync sync enable USER"},
	codeOrgOff: {exitRefused, "the organization is disabled",
		"a disabled organization stops all its users, whatever their own state", "enable the organization", ""},
	codeHeld: {exitRefused, "the guard holds deletes back",
		"more records would have been deleted than a normal day explains", "look at them and decide", "crmsync issues list USER"},
	codeLocked: {exitLocked, "another run is at work on the user",
		"a user has one cycle at a time, on any machine", "wait for it to end", "crmsync sessions list USER"},
	codeNotFound: {exitFailure, "there is nothing of that name", "", "", ""},
	codeExists:   {exitRefused, "it exists already", "", "", ""},
	codeInUse:    {exitRefused, "something else needs it", "", "", ""},

	codeEmpty: {exitEmpty, "nobody is selected",
		"an empty selection never means everybody", "name users, or give --all", "crmsync help selection"},
	codeUnknownUser: {exitFailure, "there is no such user",
		"neither an e-mail address nor an id of a user in the state", "correct it, or add the user", "crmsync users list"},
	codeBadRow: {exitFailure, "a row of the input cannot be read", "", "correct the row; the others were taken", ""},
	codeStrict: {exitFailure, "a row of the selection is bad, and --strict was given",
		"with --strict one bad row stops everything before it begins", "correct the rows, or leave --strict out", ""},

	codeItem: {exitFailure, "a system refuses a record",
		"a rule of the system does not let the record through", "correct the record; it is tried again as soon as it changes", "crmsync issues list USER"},
	codeItemChanged: {exitFailure, "a record changed while it was being written",
		"somebody was faster", "nothing: it is read again at the next cycle", ""},
	codeDuplicate: {exitFailure, "the CRM takes a record for a duplicate",
		"a duplicate rule of the CRM found the same person", "merge the two in the CRM", "crmsync issues list USER"},
	codeGone: {exitFailure, "a record does not exist any more", "", "nothing: the next cycle sees the delete", ""},
	codeContainerGone: {exitFailure, "our folder is no longer in the mailbox",
		"somebody deleted it; that is never read as a delete of the contacts", "make it anew", "crmsync mailbox reapply USER"},
	codeCursorLost: {exitFailure, "a change feed can no longer be read from where it was",
		"too much time has passed, or the system has reset it", "nothing: the next cycle reads everything", ""},

	codeSandbox: {exitFailure, "the sandbox", "", "", ""},

	codeFailure: {exitFailure, "it failed", "", "", ""},
	codeBug: {exitFailure, "a bug",
		"this is a mistake in crmsync, not in what you did", "please report it with the command and this line; no data was put at risk: run the command again", "crmsync version"},
}
