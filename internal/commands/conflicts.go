package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
)

func newConflicts(app *App) *cobra.Command {
	return newNoun("conflicts", "conflict", "See which fields both sides changed differently, and restore what lost",
		newConflictsList(app, nil),
		newConflictsRestore(app, nil),
	)
}

// conflictFields are the fields of conflicts list. An empty winner is a field on hold.
var conflictFields = []ui.Field[admin.StoredConflict]{
	{Name: "conflict", Of: func(c admin.StoredConflict) any { return c.ID }},
	{Name: "user", Of: func(c admin.StoredConflict) any { return c.User }},
	{Name: "entity", Of: func(c admin.StoredConflict) any { return string(c.Entity) }, Wide: true},
	{Name: "field", Of: func(c admin.StoredConflict) any { return string(c.Field) }},
	{Name: "winner", Of: func(c admin.StoredConflict) any { return string(c.Winner) }},
	{Name: "kept", Of: func(c admin.StoredConflict) any { return []string(c.Kept) }},
	{Name: "lost", Of: func(c admin.StoredConflict) any { return []string(c.Lost) }},
	{Name: "crmId", Of: func(c admin.StoredConflict) any { return c.CRMID }, Wide: true},
	{Name: "mailboxId", Of: func(c admin.StoredConflict) any { return c.MailboxID }, Wide: true},
	{Name: "session", Of: func(c admin.StoredConflict) any { return c.Session }, Wide: true},
	{Name: "time", Of: func(c admin.StoredConflict) any { return c.Time }},
	{Name: "restored", Of: func(c admin.StoredConflict) any {
		if c.Restored == 0 {
			return nil
		}
		return c.Restored
	}, Sparse: true},
	{Name: "how", Of: func(c admin.StoredConflict) any { return c.How }, Sparse: true},
}

func newConflictsList(app *App, run func(context.Context, *App, listOptions) error) *cobra.Command {
	var opts listOptions
	if run == nil {
		run = runConflictsList
	}
	cmd := &cobra.Command{
		Use:   "list " + selectionUse,
		Short: "List the fields that both sides changed differently, with the value that was kept and the one that lost",
		Example: `  crmsync conflicts list
  crmsync conflicts list ann@example.com -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app, ui.Names(conflictFields))
	return cmd
}

func runConflictsList(ctx context.Context, app *App, opts listOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	list, err := ofUsers(ctx, app, st, &opts,
		func(user int64) ([]admin.StoredConflict, error) { return st.Conflicts(ctx, user) },
		func(a, b admin.StoredConflict) int { return int(b.ID - a.ID) })
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.List(conflictFields, list))
}
