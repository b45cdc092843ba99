package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// administration returns the commands that are not a cycle: users, organizations, settings,
// connections, mailboxes, checks, add-ins and init.
func administration(app *App) []*cobra.Command {
	return []*cobra.Command{
		newInit(app, nil),
		newConnection(app),
		newOrg(app),
		newSettings(app),
		newUsers(app),
		newMailbox(app),
		newCheck(app),
		newAddIn(app),
	}
}

// verbOptions are of every verb that does something to users.
type verbOptions struct {
	selectOptions
	outputOptions
	bulkOptions
	writeOptions
}

func (o *verbOptions) addFlags(cmd *cobra.Command, app *App) {
	o.selectOptions.addFlags(cmd, app)
	o.outputOptions.addFlags(cmd, ui.Names(rowFields))
	o.bulkOptions.addFlags(cmd.Flags())
	o.writeOptions.addFlags(cmd.Flags())
}

func (o *verbOptions) check(cmd *cobra.Command, args []string) error {
	if err := o.selectOptions.check(cmd, args); err != nil {
		return err
	}
	if err := o.outputOptions.check(cmd); err != nil {
		return err
	}
	return o.bulkOptions.check(cmd)
}

// run resolves the selection and does something to it. do is not called when nobody
// is left.
func (o *verbOptions) run(ctx context.Context, app *App, do func(*admin.Admin, []roster.User, admin.Bulk) ([]admin.Outcome, error)) error {
	if err := o.need(); err != nil {
		return err
	}
	st, err := app.stateOfUsers(ctx, o.dryRun)
	if err != nil {
		return err
	}
	users, bad, err := o.resolve(ctx, app, st)
	if err != nil {
		return err
	}
	var outcomes []admin.Outcome
	if len(users) > 0 {
		if outcomes, err = do(app.admin(st), users, o.bulk(len(users), o.dryRun)); err != nil {
			return err
		}
	}
	if o.dryRun {
		app.Notice("dry run: nothing was written")
	}
	return app.finish(&o.outputOptions, append(rowsOf(outcomes), bad...))
}
