package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func newMailbox(app *App) *cobra.Command {
	return newNoun("mailbox", "mailboxes", "Prepare mailboxes for synchronization, and clean them",
		newMailboxInit(app, nil),
		newMailboxReset(app, nil),
		newMailboxReapply(app, nil),
		newMailboxShow(app, nil),
	)
}

type mailboxInitOptions struct {
	verbOptions
	takeOver bool
}

func newMailboxInit(app *App, run func(context.Context, *App, mailboxInitOptions) error) *cobra.Command {
	var opts mailboxInitOptions
	if run == nil {
		run = runMailboxInit
	}
	cmd := &cobra.Command{
		Use:   "init " + selectionUse,
		Short: "Put our folder and category into mailboxes",
		Long: `Put our folder and category into mailboxes. What is there already is adopted, so it may
be repeated at any time. The first cycle of a user does the same by itself.

A mailbox that was prepared for another CRM organization is refused.`,
		Example: `  crmsync mailbox init ann@example.com
  crmsync mailbox init --org EMEA --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	cmd.Flags().BoolVar(&opts.takeOver, "take-over", false, "also take a mailbox that was prepared for another CRM organization")
	return cmd
}

func runMailboxInit(ctx context.Context, app *App, opts mailboxInitOptions) error {
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		return ad.InitMailbox(ctx, users, opts.takeOver, b), nil
	})
}

type mailboxResetOptions struct {
	verbOptions
	confirmOptions
	takeOver bool
	forget   bool
	orphan   bool
}

func newMailboxReset(app *App, run func(context.Context, *App, mailboxResetOptions) error) *cobra.Command {
	var opts mailboxResetOptions
	if run == nil {
		run = runMailboxReset
	}
	cmd := &cobra.Command{
		Use:   "reset " + selectionUse,
		Short: "Take out of mailboxes what we have put there",
		Long: `Take out of mailboxes what we have put there: synchronized copies (to Deleted Items), our
folder if nothing of the person's own is in it, our category. Synchronization is disabled
and stays so. The CRM is not touched.

A reset that was cut short is finished by the next one. A mailbox that may not be
reached any more is given up, and what could not be cleaned is reported and remembered.`,
		Example: `  crmsync mailbox reset ann@example.com
  crmsync mailbox reset --from leavers.csv --yes
  crmsync mailbox reset --orphan deleted@example.com`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.verbOptions.check(cmd, args); err != nil {
				return err
			}
			if opts.orphan && len(args) == 0 {
				return usage(cmd, "--orphan needs the addresses that the deleted users had")
			}
			if err := opts.confirmOptions.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.verbOptions.addFlags(cmd, app)
	fs := cmd.Flags()
	opts.confirmOptions.addFlags(fs)
	fs.BoolVar(&opts.takeOver, "take-over", false, "also reset a mailbox that another installation has taken over")
	fs.BoolVar(&opts.forget, "forget", false, "finish although a mailbox cannot be reached, and leave there what is there")
	fs.BoolVar(&opts.orphan, "orphan", false, "clean the mailboxes of users who were deleted by force")
	return cmd
}

func runMailboxReset(ctx context.Context, app *App, opts mailboxResetOptions) error {
	if opts.orphan {
		return resetOrphans(ctx, app, opts)
	}
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		if !b.DryRun {
			if err := app.confirmReset(ctx, ad, &opts.confirmOptions, "reset", users,
				"synchronization stays disabled until it is enabled again"); err != nil {
				return nil, err
			}
		}
		return ad.ResetMailbox(ctx, users, admin.ResetOptions{Bulk: b, Forget: opts.forget, TakeOver: opts.takeOver}), nil
	})
}

// confirmReset asks with the number of copies that will go.
func (app *App) confirmReset(ctx context.Context, ad *admin.Admin, o *confirmOptions, verb string, users []roster.User, then string) error {
	copies, err := ad.Copies(ctx, users)
	if err != nil {
		return err
	}
	return app.confirm(o, danger{
		Verb: verb + " the mailboxes of", Name: verb, Users: users,
		Consequences: []string{
			fmt.Sprintf("%s will be moved to Deleted Items; the CRM stays as it is", copiesWord(copies)),
			then,
		},
	})
}

func resetOrphans(ctx context.Context, app *App, opts mailboxResetOptions) error {
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	gone := make([]roster.User, len(opts.users))
	for i, email := range opts.users {
		gone[i] = roster.User{Email: email}
	}
	if !opts.dryRun {
		d := danger{Verb: "clean the mailboxes of deleted", Name: "reset --orphan", Users: gone, Consequences: []string{"what they left behind will be moved to Deleted Items"}}
		if err := app.confirm(&opts.confirmOptions, d); err != nil {
			return err
		}
	}
	outcomes := app.admin(st).ResetOrphans(ctx, opts.users, admin.ResetOptions{
		Bulk: opts.bulk(len(gone), opts.dryRun), Forget: opts.forget, TakeOver: opts.takeOver,
	})
	if opts.dryRun {
		app.Notice("dry run: nothing was written")
	}
	return app.finish(&opts.outputOptions, rowsOf(outcomes))
}

type mailboxReapplyOptions struct {
	verbOptions
	confirmOptions
	takeOver bool
	queue    bool
}

func newMailboxReapply(app *App, run func(context.Context, *App, mailboxReapplyOptions) error) *cobra.Command {
	var opts mailboxReapplyOptions
	if run == nil {
		run = runMailboxReapply
	}
	cmd := &cobra.Command{
		Use:   "reapply " + selectionUse,
		Short: "Clean mailboxes, prepare them afresh and synchronize from the start",
		Long: `Repair mailboxes: take out what we have put there, prepare them afresh, enable
synchronization and run a first cycle at once. Taking out does not touch the CRM. With
--queue the users are only made due, and the next run takes them.`,
		Example: `  crmsync mailbox reapply ann@example.com
  crmsync mailbox reapply --from broken.csv --yes --queue`,
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
	opts.confirmOptions.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&opts.takeOver, "take-over", false, "also take a mailbox that was prepared for another CRM organization")
	cmd.Flags().BoolVar(&opts.queue, "queue", false, "only make the users due, and leave the cycle to the next run")
	return cmd
}

func runMailboxReapply(ctx context.Context, app *App, opts mailboxReapplyOptions) error {
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		if !b.DryRun {
			if err := app.confirmReset(ctx, ad, &opts.confirmOptions, "reapply", users,
				"then everything is synchronized afresh"); err != nil {
				return nil, err
			}
		}
		outcomes := ad.ReapplyMailbox(ctx, users, opts.takeOver, b)
		if b.DryRun || opts.queue {
			return outcomes, nil
		}
		return outcomes, app.cyclesAfter(ctx, opts.bulkOptions, users, outcomes)
	})
}

// cyclesAfter runs the cycles of those users for whom something was done, and says
// in their outcomes what came of it. A user whose cycle failed has failed.
func (app *App) cyclesAfter(ctx context.Context, o bulkOptions, users []roster.User, outcomes []admin.Outcome) error {
	var due []roster.User
	place := map[string]int{}
	for i, out := range outcomes {
		if out.Result == engine.ResultDone {
			due = append(due, users[i])
			place[out.User] = i
		}
	}
	if len(due) == 0 {
		return nil
	}
	sessions, err := app.runCycles(ctx, app.state, syncRunOptions{bulkOptions: o}, due, true)
	for _, s := range sessions {
		out := &outcomes[place[s.User]]
		switch s.Result {
		case engine.ResultDone, engine.ResultUnchanged:
			out.Message = fmt.Sprintf("%s; first cycle: %d created in the mailbox, %d linked, %d with an issue", out.Message, s.CreatedMailbox, s.Linked, s.Issues)
		default:
			out.Result = s.Result
			out.Message = fmt.Sprintf("%s; first cycle: %s", out.Message, s.Message)
			out.Err = &Error{Code: s.Code, Who: s.User, What: s.Message}
		}
	}
	return err
}

// mailboxThing is one thing of ours in one mailbox, or that there is none.
type mailboxThing struct {
	user  roster.User
	kind  string
	name  string
	items int
	id    string
	note  string
}

// mailboxFields are the fields of mailbox show.
var mailboxFields = []ui.Field[mailboxThing]{
	{Name: "user", Of: func(t mailboxThing) any { return t.user.Email }},
	{Name: "state", Of: func(t mailboxThing) any { return string(t.user.Mailbox) }, Word: true},
	{Name: "thing", Of: func(t mailboxThing) any { return t.kind }},
	{Name: "name", Of: func(t mailboxThing) any { return t.name }},
	{Name: "items", Of: func(t mailboxThing) any { return t.items }},
	{Name: "id", Of: func(t mailboxThing) any { return t.id }, Wide: true},
	{Name: "note", Of: func(t mailboxThing) any { return t.note }},
}

type mailboxShowOptions struct {
	selectOptions
	outputOptions
	bulkOptions
}

func newMailboxShow(app *App, run func(context.Context, *App, mailboxShowOptions) error) *cobra.Command {
	var opts mailboxShowOptions
	if run == nil {
		run = runMailboxShow
	}
	cmd := &cobra.Command{
		Use:   "show " + selectionUse,
		Short: "Look into mailboxes: what of ours is there",
		Example: `  crmsync mailbox show ann@example.com
  crmsync mailbox show --all -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.selectOptions.check(cmd, args); err != nil {
				return err
			}
			if err := opts.outputOptions.check(cmd); err != nil {
				return err
			}
			if err := opts.bulkOptions.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.selectOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(mailboxFields))
	opts.bulkOptions.addFlags(cmd.Flags())
	return cmd
}

func runMailboxShow(ctx context.Context, app *App, opts mailboxShowOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	users, bad, err := opts.resolve(ctx, app, st)
	if err != nil {
		return err
	}
	views, err := app.admin(st).ShowMailboxes(ctx, users, opts.bulk(len(users), false))
	if err != nil {
		return err
	}
	var things []mailboxThing
	rows := bad
	for _, b := range bad {
		things = append(things, mailboxThing{user: roster.User{Email: b.User}, note: b.Message})
	}
	for _, v := range views {
		things = append(things, thingsOf(v)...)
		if v.Err != nil {
			rows = append(rows, failed(v.User.Email, v.Err))
		} else {
			rows = append(rows, row{User: v.User.Email, Result: engine.ResultUnchanged})
		}
	}
	if err := app.print(&opts.outputOptions, ui.List(mailboxFields, things)); err != nil {
		return err
	}
	return statusError(exitOf(rows))
}

// thingsOf lists what is in one mailbox.
func thingsOf(v admin.MailboxView) []mailboxThing {
	if v.Err != nil {
		return []mailboxThing{{user: v.User, note: v.Err.Error()}}
	}
	var things []mailboxThing
	for _, a := range v.Artefacts {
		t := mailboxThing{user: v.User, kind: a.Kind, name: a.Name, items: a.Count, id: a.ID, note: a.Left}
		switch {
		case a.Kind == "claim" && v.Claim != nil:
			t.note = fmt.Sprintf("for CRM organization %s, renewed %s", v.Claim.Organization, v.Claim.LastCycle.UTC().Format(time.RFC3339))
		case a.Count > 0:
			t.note = fmt.Sprintf("%d of them linked", v.Copies)
		}
		things = append(things, t)
	}
	if len(things) == 0 {
		return []mailboxThing{{user: v.User, note: "nothing of ours is there"}}
	}
	return things
}
