package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// selectOptions say which users a command is about. Several of them narrow: a user is
// selected if all agree. Nothing given selects nobody, never everybody.
type selectOptions struct {
	users   []string
	all     bool
	orgs    []string
	plans   []string
	sync    string
	mailbox string
	addin   string
	stale   time.Duration
	where   string
	from    string
	column  string
	limit   int
	strict  bool
	// text is what --from read, once it has.
	text []byte
}

// selectionUse is the usage of a command that takes a selection.
const selectionUse = "[USER...]"

func (o *selectOptions) addFlags(cmd *cobra.Command, app *App) {
	fs := cmd.Flags()
	fs.BoolVar(&o.all, "all", false, "select every user")
	fs.StringSliceVar(&o.orgs, "org", nil, "select the users of an organization, by `NAME`; may be repeated")
	fs.StringSliceVar(&o.plans, "plan", nil, "select the users with a plan, by `NAME`; may be repeated")
	fs.StringVar(&o.sync, "sync", "", "select by `STATE`: enabled, disabled, suspended, suspended:CAUSE")
	fs.StringVar(&o.mailbox, "mailbox", "", "select by `STATE`: initialized, not-initialized, resetting")
	fs.StringVar(&o.addin, "addin", "", "select by `STATE`: unknown, requested, installed, removed, failed")
	fs.DurationVar(&o.stale, "stale", 0, "select users without a success for so long, for example 2h")
	fs.StringVar(&o.where, "where", "", "select by an `EXPRESSION` over the fields of users list")
	fs.StringVar(&o.from, "from", "", "select the users in a `FILE`: CSV, JSON lines or one a line; - is standard input")
	fs.StringVar(&o.column, "column", "", "the column of --from that names the user (default user, email or id)")
	fs.IntVar(&o.limit, "limit", 0, "only the first `N` of the selection")
	fs.BoolVar(&o.strict, "strict", false, "do nothing at all if a user of the selection is unknown")
	cmd.ValidArgsFunction = app.completeUsers
	mustComplete(cmd, "org", func(string) []string { return app.orgNames(cmd.Context()) })
	mustComplete(cmd, "sync", func(string) []string {
		return []string{"enabled", "disabled", "suspended", "suspended:authorization", "suspended:throttling", "suspended:other"}
	})
	mustComplete(cmd, "mailbox", func(string) []string { return []string{"initialized", "not-initialized", "resetting"} })
	mustComplete(cmd, "addin", func(string) []string {
		return []string{"unknown", "requested", "installed", "removed", "failed"}
	})
}

// check takes the arguments and reports what was typed wrong.
func (o *selectOptions) check(cmd *cobra.Command, args []string) error {
	o.users = args
	if o.all && len(args) > 0 {
		return usage(cmd, "--all and named users exclude each other")
	}
	state, cause, _ := strings.Cut(o.sync, ":")
	switch {
	case !oneOf(state, "", "enabled", "disabled", "suspended"),
		cause != "" && state != "suspended",
		!oneOf(cause, "", "authorization", "throttling", "other"):
		return usage(cmd, "--sync %q is not one of enabled, disabled, suspended, suspended:authorization, suspended:throttling, suspended:other", o.sync)
	case !oneOf(o.mailbox, "", "initialized", "not-initialized", "resetting"):
		return usage(cmd, "--mailbox %q is not one of initialized, not-initialized, resetting", o.mailbox)
	case !oneOf(o.addin, "", "unknown", "requested", "installed", "removed", "failed"):
		return usage(cmd, "--addin %q is not one of unknown, requested, installed, removed, failed", o.addin)
	case o.stale < 0:
		return usage(cmd, "--stale must not be negative")
	case o.limit < 0:
		return usage(cmd, "--limit must not be negative")
	case o.column != "" && o.from == "":
		return usage(cmd, "--column needs --from")
	}
	if o.where != "" {
		if _, err := compile(o.where, time.Time{}, userFields); err != nil {
			return usage(cmd, "--where: %s", firstLine(err.Error()))
		}
	}
	return nil
}

// given reports whether anything was selected by.
func (o *selectOptions) given() bool {
	return o.all || len(o.users) > 0 || o.from != "" || o.filters()
}

func (o *selectOptions) filters() bool {
	return len(o.orgs) > 0 || len(o.plans) > 0 || o.sync != "" || o.mailbox != "" || o.addin != "" || o.stale > 0 || o.where != ""
}

// need refuses to select by nothing, before anything is opened for it.
func (o *selectOptions) need() error {
	if !o.given() {
		return fail(codeEmpty, "", "no user is selected")
	}
	return nil
}

// resolve returns the selected users, and a failed row for each that was named and is
// unknown. It is an error to select nobody at all, and with --strict, to name
// somebody who is unknown.
func (o *selectOptions) resolve(ctx context.Context, app *App, st State) ([]roster.User, []row, error) {
	if err := o.need(); err != nil {
		return nil, nil, err
	}
	users, bad, err := o.find(ctx, app, st)
	if err != nil {
		return nil, nil, err
	}
	if o.strict && len(bad) > 0 {
		return nil, nil, fail(codeStrict, "", fmt.Sprintf("%s of the selection cannot be used: %s", count(len(bad), "row"), named(bad)))
	}
	if len(users) == 0 && len(bad) == 0 {
		return nil, nil, fail(codeEmpty, "", "the selection matches no user").
			because("every user was looked at, and none fits").try("crmsync users list")
	}
	return users, bad, nil
}

// namedAtMost is how many bad rows an error names.
const namedAtMost = 5

// named says which rows are bad, and why.
func named(bad []row) string {
	var parts []string
	for _, r := range bad[:min(len(bad), namedAtMost)] {
		if strings.Contains(r.Message, r.User) {
			parts = append(parts, r.Message)
		} else {
			parts = append(parts, r.User+": "+r.Message)
		}
	}
	if more := len(bad) - namedAtMost; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// list is resolve for commands that only show: nothing given means everybody, and
// nobody is an empty list. A user who was named and is unknown is an error.
func (o *selectOptions) list(ctx context.Context, app *App, st State) ([]roster.User, error) {
	if !o.given() {
		o.all = true
	}
	users, bad, err := o.find(ctx, app, st)
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		return nil, fail(bad[0].Code, bad[0].User, strings.TrimPrefix(bad[0].Message, bad[0].User+": "))
	}
	return users, nil
}

// find looks up who is named, narrows by the filters and cuts at the limit.
func (o *selectOptions) find(ctx context.Context, app *App, st State) ([]roster.User, []row, error) {
	keys := slices.Clone(o.users)
	var bad []row
	if o.from != "" {
		read, unread, err := o.readFrom(app)
		if err != nil {
			return nil, nil, err
		}
		keys, bad = append(keys, read...), unread
	}
	var users []roster.User
	if len(o.users) > 0 || o.from != "" {
		seen := map[int64]bool{}
		for _, key := range keys {
			u, err := st.FindUser(ctx, key)
			switch {
			case errors.Is(err, admin.ErrNotFound):
				bad = append(bad, failed(key, fail(codeUnknownUser, key, "there is no such user")))
			case err != nil:
				return nil, nil, err
			case !seen[u.ID]:
				seen[u.ID] = true
				users = append(users, u)
			}
		}
	} else {
		all, err := st.Users(ctx)
		if err != nil {
			return nil, nil, err
		}
		users = all
	}
	users, err := o.narrow(ctx, app, st, users)
	if err != nil {
		return nil, nil, err
	}
	if o.limit > 0 && len(users) > o.limit {
		users = users[:o.limit]
	}
	return users, bad, nil
}

// narrow keeps the users that all filters agree on.
func (o *selectOptions) narrow(ctx context.Context, app *App, st State, users []roster.User) ([]roster.User, error) {
	if !o.filters() {
		return users, nil
	}
	orgs, err := st.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range o.orgs {
		if !slices.ContainsFunc(orgs, func(org roster.Organization) bool { return org.Name == name }) {
			return nil, fail(codeNotFound, name, "there is no organization of this name").try("crmsync org list")
		}
	}
	var where *condition[member]
	if o.where != "" {
		if where, err = compile(o.where, app.Now(), userFields); err != nil {
			return nil, fail(codeUsage, "", "--where: "+firstLine(err.Error()))
		}
	}
	state, cause, _ := strings.Cut(o.sync, ":")
	var kept []roster.User
	for _, m := range members(users, orgs) {
		u := m.User
		switch {
		case len(o.orgs) > 0 && !slices.Contains(o.orgs, u.Org),
			len(o.plans) > 0 && !slices.Contains(o.plans, u.Plan),
			state != "" && string(u.Sync) != state,
			cause != "" && string(u.Cause) != cause,
			o.mailbox != "" && string(u.Mailbox) != o.mailbox,
			o.addin != "" && string(u.AddIn) != o.addin,
			o.stale > 0 && app.Now().Sub(u.LastSuccess) < o.stale:
			continue
		}
		if where != nil {
			yes, err := where.holds(m)
			if err != nil {
				return nil, fail(codeUsage, "", "--where: "+firstLine(err.Error()))
			}
			if !yes {
				continue
			}
		}
		kept = append(kept, u)
	}
	return kept, nil
}

func oneOf(s string, words ...string) bool { return slices.Contains(words, s) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
