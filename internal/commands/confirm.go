package commands

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crmsync/crmsync/internal/sync/roster"
)

// confirmAbove is the number of users above which a yes is not enough.
const confirmAbove = 25

// confirmOptions answer the question that a destructive verb asks.
type confirmOptions struct {
	yes    bool
	expect int
}

func (o *confirmOptions) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.yes, "yes", false, "answer the question with yes")
	fs.IntVar(&o.expect, "expect", 0, "with --yes, the `N` that must be selected: needed above 25")
}

func (o *confirmOptions) check(cmd *cobra.Command) error {
	if o.expect != 0 && !o.yes {
		return usage(cmd, "--expect needs --yes")
	}
	return nil
}

// danger is what a destructive verb is about to do.
type danger struct {
	// Verb says what will be done, for example "delete".
	Verb string
	// Name is the verb as a noun where Verb is more than a word, for example "reset" for
	// "reset the mailboxes of".
	Name string
	// Users are who it will be done to.
	Users []roster.User
	// Things is how many things of those users it will be done to, and Thing what one is
	// called; 0 if it is the users themselves.
	Things int
	Thing  string
	// Consequences are sentences with numbers: what will be lost.
	Consequences []string
	// Grave asks for the count to be typed, however few the users.
	Grave bool
}

// confirm shows who is selected and asks once whether to go on. It returns an error if
// the answer is no, or cannot be had. Above 25 users, and for what is grave, the
// count has to be typed, or given by --expect.
func (app *App) confirm(o *confirmOptions, d danger) error {
	n, what := d.number()
	app.Tell(d.text())
	byCount := d.Grave || n > confirmAbove
	switch {
	case o.yes && byCount && o.expect != n:
		return fail(codeUnconfirmed, "", fmt.Sprintf("%s of %s needs the count", cmp.Or(d.Name, d.Verb), what)).
			do(fmt.Sprintf("give --yes --expect %d if that is what you want", n))
	case o.yes && o.expect != 0 && o.expect != n:
		return fail(codeUnconfirmed, "", fmt.Sprintf("%s selected, but --expect says %d", what, o.expect))
	case o.yes:
		return nil
	case !app.CanAsk():
		flags := "--yes"
		if byCount {
			flags = fmt.Sprintf("--yes --expect %d", n)
		}
		return fail(codeUnconfirmed, "", cmp.Or(d.Name, d.Verb)+" asks first, and nobody is at a terminal to answer").do("give " + flags)
	}
	var yes bool
	var err error
	if byCount {
		yes, err = app.ConfirmCount(fmt.Sprintf("%s %s?", upperFirst(d.Verb), what), n)
	} else {
		yes, err = app.Confirm(fmt.Sprintf("%s %s?", upperFirst(d.Verb), what))
	}
	if err != nil {
		return err
	}
	if !yes {
		return fail(codeCancelled, "", "nothing was done")
	}
	return nil
}

// number is what has to be typed, alone and with its noun.
func (d danger) number() (int, string) {
	if d.Things > 0 {
		return d.Things, count(d.Things, d.Thing)
	}
	return len(d.Users), count(len(d.Users), "user")
}

// text is the selection in words: the count and the first five.
func (d danger) text() string {
	var b strings.Builder
	_, what := d.number()
	if d.Things > 0 {
		what += " of " + count(len(d.Users), "user")
	}
	fmt.Fprintf(&b, "%s %s:", d.Verb, what)
	for i, u := range d.Users {
		if i == 5 {
			fmt.Fprintf(&b, " and %d more", len(d.Users)-5)
			break
		}
		b.WriteString(" " + u.Email)
	}
	for _, c := range d.Consequences {
		b.WriteString("\n  " + c)
	}
	return b.String()
}

// count writes a number with its noun: "1 user", "3 users".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
