package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

func newIssues(app *App) *cobra.Command {
	return newNoun("issues", "issue", "Read which records could not be synchronized, and why, and try them again",
		newIssuesList(app, nil),
		newIssuesShow(app, nil),
		newIssuesRetry(app, nil),
		newIssuesIgnore(app, nil),
	)
}

// issueFields are the fields of issues list.
var issueFields = []ui.Field[engine.Issue]{
	{Name: "issue", Of: func(i engine.Issue) any { return i.ID }},
	{Name: "user", Of: func(i engine.Issue) any { return i.User }},
	{Name: "entity", Of: func(i engine.Issue) any { return string(i.Entity) }, Wide: true},
	{Name: "direction", Of: func(i engine.Issue) any { return string(i.Direction) }},
	{Name: "crmId", Of: func(i engine.Issue) any { return i.CRMID }, Wide: true},
	{Name: "mailboxId", Of: func(i engine.Issue) any { return i.MailboxID }, Wide: true},
	{Name: "label", Of: func(i engine.Issue) any { return i.Label }},
	{Name: "code", Of: func(i engine.Issue) any { return i.Code }},
	{Name: "cause", Of: func(i engine.Issue) any { return i.Cause }},
	{Name: "attempts", Of: func(i engine.Issue) any { return i.Attempts }, Wide: true},
	{Name: "firstSeen", Of: func(i engine.Issue) any { return i.FirstSeen }, Wide: true},
	{Name: "nextRetry", Of: func(i engine.Issue) any { return i.NextRetry }, Wide: true},
	{Name: "state", Of: func(i engine.Issue) any { return string(i.State) }, Word: true},
}

// issueDetails are the fields of issues show: what to do about it besides.
var issueDetails = slices.Concat(issueFields, []ui.Field[engine.Issue]{
	{Name: "session", Of: func(i engine.Issue) any { return i.Session }},
	{Name: "meaning", Of: func(i engine.Issue) any { return codes[i.Code].title }},
	{Name: "do", Of: func(i engine.Issue) any { return codes[i.Code].do }},
})

// issueStates are what --state can ask for.
var issueStates = []string{
	string(engine.IssueOpen), string(engine.IssueParked), string(engine.IssueInfo), string(engine.IssueIgnored), string(engine.IssueResolved),
}

type issuesListOptions struct {
	listOptions
	resolved bool
	state    string
}

func newIssuesList(app *App, run func(context.Context, *App, issuesListOptions) error) *cobra.Command {
	var opts issuesListOptions
	if run == nil {
		run = runIssuesList
	}
	cmd := &cobra.Command{
		Use:   "list " + selectionUse,
		Short: "List the records that could not be synchronized, newest first",
		Example: `  crmsync issues list
  crmsync issues list ann@example.com -o wide
  crmsync issues list --all --state parked
  crmsync issues list --all -o csv --last 0`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			if opts.state != "" && !slices.Contains(issueStates, opts.state) {
				return usage(cmd, "--state: %q is none of %s", opts.state, strings.Join(issueStates, ", "))
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app, ui.Names(issueFields))
	cmd.Flags().StringVar(&opts.state, "state", "", "only those in the `STATE` "+strings.Join(issueStates, ", "))
	if err := cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(issueStates, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is above
	}
	cmd.Flags().BoolVar(&opts.resolved, "resolved", false, "those that went away as well")
	return cmd
}

func runIssuesList(ctx context.Context, app *App, opts issuesListOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	list, err := ofUsers(ctx, app, st, &opts.listOptions,
		func(user int64) ([]engine.Issue, error) {
			list, err := st.Issues(ctx, user, opts.resolved || opts.state == string(engine.IssueResolved))
			return slices.DeleteFunc(list, func(i engine.Issue) bool {
				return opts.state != "" && string(i.State) != opts.state
			}), err
		},
		func(a, b engine.Issue) int { return int(b.ID - a.ID) })
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.List(issueFields, list))
}

type issueOptions struct {
	outputOptions
	id int64
}

func newIssuesShow(app *App, run func(context.Context, *App, issueOptions) error) *cobra.Command {
	var opts issueOptions
	if run == nil {
		run = runIssuesShow
	}
	cmd := &cobra.Command{
		Use:   "show ISSUE",
		Short: "Show one record that could not be synchronized, and what to do",
		Example: `  crmsync issues show 7
  crmsync issues show 7 -o yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if opts.id, err = numberArg(cmd, args[0]); err != nil {
				return err
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(issueDetails))
	return cmd
}

func runIssuesShow(ctx context.Context, app *App, opts issueOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	i, err := st.Issue(ctx, opts.id)
	if errors.Is(err, admin.ErrNotFound) {
		return fail(codeNotFound, fmt.Sprintf("issue %d", opts.id), "there is no such issue").try("crmsync issues list")
	}
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.One(issueDetails, i))
}
