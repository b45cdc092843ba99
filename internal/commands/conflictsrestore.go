package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

type conflictsRestoreOptions struct {
	outputOptions
	writeOptions
	ids  []int64
	keep string
}

func newConflictsRestore(app *App, run func(context.Context, *App, conflictsRestoreOptions) error) *cobra.Command {
	var opts conflictsRestoreOptions
	if run == nil {
		run = runConflictsRestore
	}
	cmd := &cobra.Command{
		Use:   "restore CONFLICT…",
		Short: "Put the losing value of a conflict back on both sides, or decide one that is on hold",
		Long: `Put the losing value of a conflict back on both sides, as if a person had typed it there. Of a
conflict on hold, --keep says whose value stays. A field that was changed since on either side
is refused and left as it is. It is a session of its own, which "crmsync undo" can take back.

The exit status is 3 if some were refused, and 5 if all were.`,
		Example: `  crmsync conflicts list
  crmsync conflicts restore 7 --dry-run
  crmsync conflicts restore 7 8 9
  crmsync conflicts restore 10 --keep mailbox`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: app.completeConflicts,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.ids = nil
			for _, arg := range args {
				n, err := numberArg(cmd, arg)
				if err != nil {
					return err
				}
				if !slices.Contains(opts.ids, n) {
					opts.ids = append(opts.ids, n)
				}
			}
			if !oneOf(opts.keep, "", string(record.CRM), string(record.Mailbox)) {
				return usage(cmd, "--keep must be crm or mailbox, not %q", opts.keep)
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.outputOptions.addFlags(cmd, ui.Names(writtenFields))
	opts.writeOptions.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&opts.keep, "keep", "", "the `SIDE` whose value stays, crm or mailbox, for a conflict on hold")
	_ = cmd.RegisterFlagCompletionFunc("keep", cobra.FixedCompletions([]string{"crm", "mailbox"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runConflictsRestore(ctx context.Context, app *App, opts conflictsRestoreOptions) error {
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	all, err := st.Conflicts(ctx, 0)
	if err != nil {
		return err
	}
	byID := map[int64]admin.StoredConflict{}
	for _, c := range all {
		byID[c.ID] = c
	}
	byUser := map[string][]engine.KeptConflict{}
	var users []string
	var list []written
	for _, id := range opts.ids {
		c, ok := byID[id]
		switch {
		case !ok:
			return fail(codeNotFound, fmt.Sprintf("conflict %d", id), "there is no such conflict").try("crmsync conflicts list")
		case c.Restored != 0:
			w := restoredRow(c, c.Restored)
			w.Result, w.Message = engine.ResultUnchanged, fmt.Sprintf("conflict %d was restored already", id)
			list = append(list, w)
			continue
		case opts.keep != "" && c.Winner != "":
			return fail(codeUsage, fmt.Sprintf("conflict %d", id), "it is not on hold, so there is nothing to choose").
				do("without --keep the value that lost is put back")
		case byUser[c.User] == nil:
			users = append(users, c.User)
		}
		byUser[c.User] = append(byUser[c.User], engine.KeptConflict{ID: c.ID, Conflict: c.Conflict})
	}
	for _, email := range users {
		u, err := st.FindUser(ctx, email)
		if err != nil {
			return err
		}
		progress := app.NewProgress(app.Now)
		rep, err := app.engine(st, progress).Restore(ctx, engine.RestoreOptions{
			User: u.ID, Conflicts: byUser[email], Keep: record.Side(opts.keep), DryRun: opts.dryRun, Actor: app.actor(),
		})
		progress.Close()
		if err != nil {
			return err
		}
		for _, c := range byUser[email] {
			list = append(list, restoreRows(byID[c.ID], rep)...)
		}
	}
	if opts.dryRun {
		app.Notice("dry run: nothing was written")
	}
	return app.finishWritten(&opts.outputOptions, list)
}

// restoredRow is the row of a conflict of which nothing had to be written.
func restoredRow(c admin.StoredConflict, session int64) written {
	return written{
		User: c.User, Session: session, Action: string(reconcile.Update), CRMID: c.CRMID, MailboxID: c.MailboxID,
		Fields: []string{string(c.Field)}, Result: engine.ResultDone,
	}
}

// restoreRows returns a row for each side that a conflict's value was written to, or one
// that says why it was not.
func restoreRows(c admin.StoredConflict, rep engine.RestoreReport) []written {
	w := restoredRow(c, rep.Session.ID)
	if why, refused := rep.Refused[c.ID]; refused {
		w.Result, w.Code, w.Message = engine.ResultRefused, engine.CodeChanged, fmt.Sprintf("conflict %d: %s", c.ID, why)
		return []written{w}
	}
	done := rep.Done
	if rep.Session.ID == 0 {
		for _, o := range rep.Plan.Ops {
			done = append(done, engine.OpResult{Op: o})
		}
	}
	var out []written
	for _, d := range done {
		if _, ok := d.Op.Set[c.Field]; !ok || d.Op.CRMID != c.CRMID {
			continue
		}
		row := writtenOf(c.User, rep.Session.ID, d.Op, d.Code, d.Message)
		row.Fields = w.Fields
		out = append(out, row)
	}
	switch {
	case len(out) > 0:
		return out
	case rep.Session.Code != "":
		w.Result, w.Code, w.Message = rep.Session.Result, rep.Session.Code, rep.Session.Message
	default:
		w.Result, w.Message = engine.ResultUnchanged, "both sides hold the value already"
	}
	return []written{w}
}

// completeConflicts offers the numbers of conflicts that can still be restored.
func (app *App) completeConflicts(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	st, err := app.reading(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := st.Conflicts(cmd.Context(), 0)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offers []string
	for _, c := range list {
		if c.Restored == 0 {
			offers = append(offers, cobra.CompletionWithDesc(strconv.FormatInt(c.ID, 10), fmt.Sprintf("%s: %s", c.User, c.Field)))
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
