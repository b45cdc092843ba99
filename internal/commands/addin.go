package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func newAddIn(app *App) *cobra.Command {
	return newNoun("addin", "addins", "Manage the add-in in the users' mail programs",
		newAddInInstall(app, nil),
		newAddInRemove(app, nil),
		newAddInStatus(app, nil),
	)
}

type addInOptions struct {
	verbOptions
	confirmOptions
}

func newAddInInstall(app *App, run func(context.Context, *App, addInOptions) error) *cobra.Command {
	if run == nil {
		run = runAddInInstall
	}
	cmd := newAddInVerb(app, false, run)
	cmd.Use = "install " + selectionUse
	cmd.Short = "Ask for the add-in in the users' mail programs"
	cmd.Long = `Ask for the add-in in the users' mail programs. It may take up to 72 hours to show;
until then its state is "requested".`
	cmd.Example = `  crmsync addin install ann@example.com
  crmsync addin install --org EMEA --dry-run`
	return cmd
}

func newAddInRemove(app *App, run func(context.Context, *App, addInOptions) error) *cobra.Command {
	if run == nil {
		run = runAddInRemove
	}
	cmd := newAddInVerb(app, true, run)
	cmd.Use = "remove " + selectionUse
	cmd.Short = "Take the add-in out of the users' mail programs"
	cmd.Example = `  crmsync addin remove ann@example.com
  crmsync addin remove --from leavers.csv --yes`
	return cmd
}

func newAddInStatus(app *App, run func(context.Context, *App, addInOptions) error) *cobra.Command {
	if run == nil {
		run = runAddInStatus
	}
	cmd := newAddInVerb(app, false, run)
	cmd.Use = "status " + selectionUse
	cmd.Short = "Read whether the add-in is installed, and remember it"
	cmd.Example = `  crmsync addin status ann@example.com
  crmsync addin status --addin requested`
	return cmd
}

func newAddInVerb(app *App, destructive bool, run func(context.Context, *App, addInOptions) error) *cobra.Command {
	var opts addInOptions
	cmd := &cobra.Command{
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.verbOptions.check(cmd, args); err != nil {
				return err
			}
			if err := opts.confirmOptions.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.verbOptions.addFlags(cmd, app)
	if destructive {
		opts.confirmOptions.addFlags(cmd.Flags())
	}
	return cmd
}

func runAddInInstall(ctx context.Context, app *App, opts addInOptions) error {
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		return ad.InstallAddIn(ctx, users, b), nil
	})
}

func runAddInRemove(ctx context.Context, app *App, opts addInOptions) error {
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		if !b.DryRun {
			d := danger{Verb: "remove the add-in of", Name: "addin remove", Users: users, Consequences: []string{"they can no longer use it in their mail programs"}}
			if err := app.confirm(&opts.confirmOptions, d); err != nil {
				return nil, err
			}
		}
		return ad.RemoveAddIn(ctx, users, b), nil
	})
}

func runAddInStatus(ctx context.Context, app *App, opts addInOptions) error {
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		return ad.AddInStatus(ctx, users, b), nil
	})
}
