package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
)

// queued is a user with when and why his next cycle runs.
type queued struct {
	User      string
	Due       bool
	Why       string
	NextDue   time.Time
	LastStart time.Time
}

// queueFields are the fields of sync queue.
var queueFields = []ui.Field[queued]{
	{Name: "user", Of: func(q queued) any { return q.User }},
	{Name: "due", Of: func(q queued) any { return q.Due }},
	{Name: "why", Of: func(q queued) any { return q.Why }, Word: true},
	{Name: "nextDue", Of: func(q queued) any { return q.NextDue }},
	{Name: "lastStart", Of: func(q queued) any { return q.LastStart }},
}

type syncQueueOptions struct {
	selectOptions
	outputOptions
	due bool
}

func newSyncQueue(app *App, run func(context.Context, *App, syncQueueOptions) error) *cobra.Command {
	var opts syncQueueOptions
	if run == nil {
		run = runSyncQueue
	}
	cmd := &cobra.Command{
		Use:   "queue " + selectionUse,
		Short: "Show who is due, when, and why, in the order in which they will run",
		Example: `  crmsync sync queue
  crmsync sync queue --due -o name`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := firstError(opts.selectOptions.check(cmd, args), opts.outputOptions.check(cmd)); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.selectOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(queueFields))
	cmd.Flags().BoolVar(&opts.due, "due", false, "only those who are due now")
	return cmd
}

func runSyncQueue(ctx context.Context, app *App, opts syncQueueOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	users, err := opts.list(ctx, app, st)
	if err != nil {
		return err
	}
	ids := make([]int64, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	members, err := st.Engine().Users(ctx, ids)
	if err != nil {
		return err
	}
	var now, later, never []queued
	for _, m := range members {
		why, due := app.dueOf(m)
		q := queued{User: m.User.Email, Due: due, Why: why, NextDue: m.User.NextDue, LastStart: m.User.LastStart}
		switch {
		case due:
			now = append(now, q)
		case m.User.NextDue.After(app.Now()):
			later = append(later, q)
		default:
			never = append(never, q)
		}
	}
	list := now
	if !opts.due {
		list = append(append(list, later...), never...)
	}
	return app.print(&opts.outputOptions, ui.List(queueFields, list))
}
