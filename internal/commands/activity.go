package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

func newActivity(app *App) *cobra.Command {
	return newNoun("activity", "activities", "Read the audit: who did what to which user",
		newActivityList(app, nil),
	)
}

// activityFields are the fields of activity list.
var activityFields = []ui.Field[engine.Activity]{
	{Name: "time", Of: func(a engine.Activity) any { return a.Time }},
	{Name: "actor", Of: func(a engine.Activity) any { return a.Actor }},
	{Name: "type", Of: func(a engine.Activity) any { return a.Type }},
	{Name: "user", Of: func(a engine.Activity) any { return a.User }},
	{Name: "org", Of: func(a engine.Activity) any { return a.Org }},
	{Name: "details", Of: func(a engine.Activity) any { return a.Details }},
	{Name: "hash", Of: func(a engine.Activity) any { return a.Hash }, Wide: true},
}

type activityListOptions struct {
	outputOptions
	user  string
	limit int
}

func newActivityList(app *App, run func(context.Context, *App, activityListOptions) error) *cobra.Command {
	var opts activityListOptions
	if run == nil {
		run = runActivityList
	}
	cmd := &cobra.Command{
		Use:   "list [USER]",
		Short: "List what was done, newest first",
		Example: `  crmsync activity list
  crmsync activity list ann@example.com --limit 0 -o csv`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.limit < 0 {
				return usage(cmd, "--limit must not be negative")
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			if len(args) == 1 {
				opts.user = args[0]
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(activityFields))
	cmd.Flags().IntVar(&opts.limit, "limit", 50, "the newest `N`; 0 for all")
	return cmd
}

func runActivityList(ctx context.Context, app *App, opts activityListOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	list, err := st.Activities(ctx, opts.user, opts.limit)
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.List(activityFields, list))
}
