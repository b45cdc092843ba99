package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func newSync(app *App) *cobra.Command {
	return newNoun("sync", "", "Synchronize, and say who is synchronized",
		newSyncRun(app, nil),
		newSyncForce(app, nil),
		newSyncPlan(app, nil),
		newSyncApply(app, nil),
		newSyncEnable(app, nil),
		newSyncDisable(app, nil),
		newSyncQueue(app, nil),
	)
}

func newSyncEnable(app *App, run func(context.Context, *App, verbOptions) error) *cobra.Command {
	var opts verbOptions
	if run == nil {
		run = runSyncEnable
	}
	cmd := &cobra.Command{
		Use:   "enable " + selectionUse,
		Short: "Enable the synchronization of users; their next cycle is due at once",
		Long: `Enable the synchronization of users. Their next cycle is due at once, and prepares the
mailbox if that has not been done. A suspension and a lock are lifted.`,
		Example: `  crmsync sync enable ann@example.com
  crmsync sync enable --org EMEA --sync suspended:authorization
  crmsync users list -o csv | crmsync sync enable --from - --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	return cmd
}

func runSyncEnable(ctx context.Context, app *App, opts verbOptions) error {
	return opts.run(ctx, app, func(a *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		return a.Enable(ctx, users, b), nil
	})
}

type syncDisableOptions struct {
	verbOptions
	lock bool
}

func newSyncDisable(app *App, run func(context.Context, *App, syncDisableOptions) error) *cobra.Command {
	var opts syncDisableOptions
	if run == nil {
		run = runSyncDisable
	}
	cmd := &cobra.Command{
		Use:   "disable " + selectionUse,
		Short: "Disable the synchronization of users; nothing is removed",
		Example: `  crmsync sync disable ann@example.com
  crmsync sync disable --org EMEA --lock`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	cmd.Flags().BoolVar(&opts.lock, "lock", false, "the users may not resume themselves")
	return cmd
}

func runSyncDisable(ctx context.Context, app *App, opts syncDisableOptions) error {
	return opts.run(ctx, app, func(a *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		return a.Disable(ctx, users, opts.lock, b), nil
	})
}

// firstError returns the first error that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
