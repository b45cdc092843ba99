package commands

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

// unresolvedIssues are what issues retry and issues ignore decide on.
var unresolvedIssues = numbered[engine.Issue]{
	noun: "issue", list: "crmsync issues list", fields: issueFields,
	number: func(i engine.Issue) int64 { return i.ID },
	user:   func(i engine.Issue) string { return i.User },
	about:  func(i engine.Issue) string { return i.Cause },
	read: func(ctx context.Context, st State) ([]engine.Issue, error) {
		list, err := st.Issues(ctx, 0, false)
		slices.Reverse(list)
		return list, err
	},
}

type issuesDecideOptions struct {
	decideOptions
	state engine.IssueState
}

func newIssuesRetry(app *App, run func(context.Context, *App, issuesDecideOptions) error) *cobra.Command {
	opts := issuesDecideOptions{state: engine.IssueOpen}
	return opts.complete(&cobra.Command{
		Use:   "retry [ISSUE...]",
		Short: "Try records again now that could not be synchronized",
		Long: `Try records again that could not be synchronized: by number, of users, or by an expression
over the fields of issues list. The users are due at once, and the attempts are counted
anew, also of those that were parked or ignored.`,
		Example: `  crmsync issues retry 7 8
  crmsync issues retry --user ann@example.com
  crmsync issues retry --all --match 'state == "parked"' --dry-run`,
	}, app, run)
}

func newIssuesIgnore(app *App, run func(context.Context, *App, issuesDecideOptions) error) *cobra.Command {
	opts := issuesDecideOptions{state: engine.IssueIgnored}
	return opts.complete(&cobra.Command{
		Use:   "ignore [ISSUE...]",
		Short: "Hear no more of records that could not be synchronized, until they change",
		Long: `Ignore issues: by number, of users, or by an expression over the fields of issues list.
They are not tried again and not counted, until the record changes on either side or all
records are listed again, once a month; then it is decided anew, and the issue opens again
or is resolved.`,
		Example: `  crmsync issues ignore 7 8
  crmsync issues ignore --org EMEA --match 'code == "CS2103"'`,
	}, app, run)
}

// complete adds what both decisions have in common.
func (o *issuesDecideOptions) complete(cmd *cobra.Command, app *App, run func(context.Context, *App, issuesDecideOptions) error) *cobra.Command {
	if run == nil {
		run = runIssuesDecide
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkDecide(&o.decideOptions, cmd, args, unresolvedIssues); err != nil {
			return err
		}
		return run(cmd.Context(), app, *o)
	}
	addDecideFlags(&o.decideOptions, cmd, app, unresolvedIssues)
	return cmd
}

func runIssuesDecide(ctx context.Context, app *App, opts issuesDecideOptions) error {
	return decide(ctx, app, &opts.decideOptions, unresolvedIssues,
		func(State, []engine.Issue) error { return nil },
		func(a *admin.Admin, issues []engine.Issue) ([]admin.Outcome, error) {
			return a.DecideIssues(ctx, issues, opts.state, opts.dryRun)
		})
}
