package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// helpTopics are pages of help that are about no single command.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit status of a command says", Long: exitCodesText()},
		{Use: "selection", Short: "How to say which users a command is about", Long: selectionText},
		{Use: "output", Short: "How results are printed, filtered and piped on", Long: outputText},
	}
}

// exitMeanings say what each exit status means, in order.
var exitMeanings = []struct {
	status  int
	meaning string
}{
	{exitOK, "all is done, also when nothing had to change"},
	{exitFailure, "it failed"},
	{exitUsage, "something was typed or configured wrong; nothing was done"},
	{exitPartial, "some users failed; the rows say which, and the others are done"},
	{exitAuth, "a system refused our credentials, or access to a user's data"},
	{exitRefused, "refused by a precondition or by the guard: the mailbox is initialized, the last force was less than a minute ago, the organization is disabled, deletes are held"},
	{exitEmpty, "the selection is empty"},
	{exitLocked, "locked: another run is at work"},
	{exitCancelled, "the person at the terminal said no"},
	{exitPending, "changes are pending (sync plan --exit-code)"},
	{exitInterrupted, "interrupted"},
}

func exitCodesText() string {
	var b strings.Builder
	b.WriteString("The exit status of every command:\n\n")
	for _, m := range exitMeanings {
		fmt.Fprintf(&b, "  %3d  %s\n", m.status, m.meaning)
	}
	b.WriteString(`
A command on many users prints a row for each. If all rows went wrong in the same way, the
status says in which way: 5 if all were refused, 4 if none could be reached. If only some
went wrong, or in different ways, it is 3. A user whom another run is working on counts as
well unless that is so of all. A status that is not in this list means failure.`)
	return b.String()
}

const selectionText = `Every verb that is about users takes the same selection:

  USER...             an e-mail address, CRM user id or mailbox id
  --all               every user
  --org NAME          the users of an organization; may be repeated
  --plan NAME         the users with a plan; may be repeated
  --sync STATE        enabled, disabled, suspended, suspended:CAUSE with the cause
                      authorization, throttling or other
  --mailbox STATE     initialized, not-initialized, resetting
  --addin STATE       unknown, requested, installed, removed, failed
  --stale DURATION    no success for so long, or never: 2h, 30m
  --where EXPRESSION  any field of "users list", for example
                      'org == "EMEA" && lastSuccess < ago("48h")'
  --from FILE         a file, or - for standard input: CSV with a column user, email or id
                      (or --column), one user a line, or JSON as this program prints it
  --limit N           only the first N of the selection
  --strict            do nothing at all if one of the users is unknown

Several of them narrow the selection: a user must meet them all. A selection of nothing
never means everybody; a verb that finds nobody exits with 6. A user who is unknown is a
failed row, and the others go on.

What a command prints as CSV, TSV, JSON or JSON lines is a selection for the next:

  crmsync users list --sync suspended -o csv > who.csv
  crmsync check all --from who.csv
  crmsync sync enable --from who.csv`

const outputText = `Results go to standard output and nothing else does. Progress, notices, questions and errors
go to standard error.

  -o table     aligned columns, colour, local times: the default on a terminal
  -o wide      the same with all fields
  -o tsv       one line a row, cells apart by tabs, with a header: the default in a pipe
  -o csv       the same with commas, as spreadsheets read it
  -o json      one list of objects; one object for a command that shows one thing
  -o jsonl     one object a line
  -o yaml      the same as YAML
  -o name      only the first field

  --fields user,result    only these fields, in this order
  --jq EXPRESSION         filter the JSON by a jq expression; no jq is needed
  --template TEMPLATE     a Go template for each row: '{{.user}} {{.result}}'

The names of fields are the same in every format and do not change. Times are in RFC 3339
and UTC but in tables, durations in milliseconds. An absent time is null.

Colour is used on a terminal only; NO_COLOR and --no-color forbid it, CLICOLOR_FORCE demands
it. --quiet leaves out notices and progress; -v adds detail.`

// topicNames are the names of the help topics.
func topicNames() []string {
	var names []string
	for _, t := range helpTopics() {
		names = append(names, t.Name())
	}
	slices.Sort(names)
	return names
}
