package commands

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// heldDeletes are what deletes allow and deletes discard decide on.
var heldDeletes = numbered[engine.HeldDelete]{
	noun: "delete", list: "crmsync deletes list", fields: deleteFields,
	number: func(d engine.HeldDelete) int64 { return d.ID },
	user:   func(d engine.HeldDelete) string { return d.User },
	about:  func(d engine.HeldDelete) string { return d.Reason },
	read: func(ctx context.Context, st State) ([]engine.HeldDelete, error) {
		list, err := st.HeldDeletes(ctx, 0)
		slices.Reverse(list)
		return list, err
	},
}

type deletesDecideOptions struct {
	decideOptions
	confirmOptions
	decision engine.Decision
}

func newDeletesAllow(app *App, run func(context.Context, *App, deletesDecideOptions) error) *cobra.Command {
	opts := deletesDecideOptions{decision: engine.Allow}
	cmd := &cobra.Command{
		Use:   "allow [DELETE...]",
		Short: "Let deletes pass that the guard holds",
		Long: `Let deletes pass that the guard holds: by number, of users, or by an expression over the
fields of deletes list. The next cycle carries them out, each only as long as it is still
the same delete: a record that is back, or was edited, stays.`,
		Example: `  crmsync deletes allow 7 8
  crmsync deletes allow --user ann@example.com
  crmsync deletes allow --org EMEA --match 'side == "mailbox" && since < ago("1h")' --yes --expect 120`,
	}
	opts.addFlags(cmd.Flags())
	return opts.complete(cmd, app, run)
}

func newDeletesDiscard(app *App, run func(context.Context, *App, deletesDecideOptions) error) *cobra.Command {
	opts := deletesDecideOptions{decision: engine.Discard}
	cmd := &cobra.Command{
		Use:   "discard [DELETE...]",
		Short: "Keep what the guard saved from being deleted, and bring it back where it is missing",
		Long: `Decide against deletes that the guard holds: by number, of users, or by an expression over
the fields of deletes list. The next cycle creates each record again on the side that lost
it, in the CRM too; one that is only out of scope stays on both sides and is not kept in
step any more.`,
		Example: `  crmsync deletes discard 7 8
  crmsync deletes discard --user ann@example.com
  crmsync deletes discard --all --match 'heldBy == "run"'`,
	}
	return opts.complete(cmd, app, run)
}

// complete adds what both decisions have in common.
func (o *deletesDecideOptions) complete(cmd *cobra.Command, app *App, run func(context.Context, *App, deletesDecideOptions) error) *cobra.Command {
	if run == nil {
		run = runDeletesDecide
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := firstError(checkDecide(&o.decideOptions, cmd, args, heldDeletes), o.check(cmd)); err != nil {
			return err
		}
		return run(cmd.Context(), app, *o)
	}
	addDecideFlags(&o.decideOptions, cmd, app, heldDeletes)
	return cmd
}

func runDeletesDecide(ctx context.Context, app *App, opts deletesDecideOptions) error {
	return decide(ctx, app, &opts.decideOptions, heldDeletes,
		func(st State, held []engine.HeldDelete) error { return app.confirmAllow(ctx, st, opts, held) },
		func(a *admin.Admin, held []engine.HeldDelete) ([]admin.Outcome, error) {
			return a.DecideDeletes(ctx, held, opts.decision, opts.dryRun)
		})
}

// confirmAllow asks before deletes are let pass, in numbers.
func (app *App) confirmAllow(ctx context.Context, st State, opts deletesDecideOptions, held []engine.HeldDelete) error {
	if opts.decision != engine.Allow || opts.dryRun || len(held) == 0 {
		return nil
	}
	all, err := st.Users(ctx)
	if err != nil {
		return err
	}
	bySide := map[record.Side]int{}
	of := map[string]bool{}
	for _, d := range held {
		bySide[d.Side]++
		of[d.User] = true
	}
	d := danger{Verb: "allow", Things: len(held), Thing: "delete"}
	d.Users = slices.DeleteFunc(all, func(u roster.User) bool { return !of[u.Email] })
	if n := bySide[record.Mailbox]; n > 0 {
		d.Consequences = append(d.Consequences, fmt.Sprintf("%d in a mailbox: to its Deleted Items", n))
	}
	if n := bySide[record.CRM]; n > 0 {
		d.Consequences = append(d.Consequences, fmt.Sprintf("%d in the CRM", n))
	}
	return app.confirm(&opts.confirmOptions, d)
}
