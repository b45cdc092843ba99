package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

func newDeletes(app *App) *cobra.Command {
	return newNoun("deletes", "delete", "See and decide the deletes that the guard holds",
		newDeletesList(app, nil),
		newDeletesAllow(app, nil),
		newDeletesDiscard(app, nil),
	)
}

// deleteFields are the fields of deletes list. The side is the one where the delete
// would be done; the reason says where it came from.
var deleteFields = []ui.Field[engine.HeldDelete]{
	{Name: "delete", Of: func(d engine.HeldDelete) any { return d.ID }},
	{Name: "user", Of: func(d engine.HeldDelete) any { return d.User }},
	{Name: "entity", Of: func(d engine.HeldDelete) any { return string(d.Entity) }, Wide: true},
	{Name: "side", Of: func(d engine.HeldDelete) any { return string(d.Side) }},
	{Name: "crmId", Of: func(d engine.HeldDelete) any { return d.CRMID }, Wide: true},
	{Name: "mailboxId", Of: func(d engine.HeldDelete) any { return d.MailboxID }, Wide: true},
	{Name: "label", Of: func(d engine.HeldDelete) any { return d.Label }},
	{Name: "reason", Of: func(d engine.HeldDelete) any { return d.Reason }},
	{Name: "heldBy", Of: func(d engine.HeldDelete) any { return string(d.By) }},
	{Name: "since", Of: func(d engine.HeldDelete) any { return d.Since }},
	{Name: "decision", Of: func(d engine.HeldDelete) any { return string(d.Decision) }, Word: true, Sparse: true},
	{Name: "session", Of: func(d engine.HeldDelete) any { return d.Session }, Wide: true},
}

func newDeletesList(app *App, run func(context.Context, *App, listOptions) error) *cobra.Command {
	var opts listOptions
	if run == nil {
		run = runDeletesList
	}
	cmd := &cobra.Command{
		Use:   "list " + selectionUse,
		Short: "List the deletes that the guard holds, newest first",
		Long: `List the deletes that the guard holds, newest first. The side is the one where the record
would be deleted, the reason says why, and heldBy what holds it: the limits of the user,
those of the run, or a change of the rules. A decision is carried out by the next cycle.`,
		Example: `  crmsync deletes list
  crmsync deletes list ann@example.com -o wide
  crmsync deletes list --all --last 0 -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app, ui.Names(deleteFields))
	return cmd
}

func runDeletesList(ctx context.Context, app *App, opts listOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	list, err := ofUsers(ctx, app, st, &opts,
		func(user int64) ([]engine.HeldDelete, error) { return st.HeldDeletes(ctx, user) },
		func(a, b engine.HeldDelete) int { return int(b.ID - a.ID) })
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.List(deleteFields, list))
}
