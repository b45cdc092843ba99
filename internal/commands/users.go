package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func newUsers(app *App) *cobra.Command {
	return newNoun("users", "user", "Manage who is synchronized",
		newUsersAdd(app, nil),
		newUsersImport(app, nil),
		newUsersList(app, nil),
		newUsersShow(app, nil),
		newUsersDelete(app, nil),
		newUsersForceDelete(app, nil),
	)
}

// addUserOptions are those that add and import have in common.
type addUserOptions struct {
	outputOptions
	writeOptions
	bulkOptions
	org    string
	plan   string
	reach  bool
	strict bool
}

func (o *addUserOptions) addFlags(cmd *cobra.Command, app *App) {
	o.outputOptions.addFlags(cmd, ui.Names(rowFields))
	fs := cmd.Flags()
	o.writeOptions.addFlags(fs)
	o.bulkOptions.addFlags(fs)
	fs.StringVar(&o.org, "org", "", "`NAME` of the organization to join (default: the default one)")
	fs.StringVar(&o.plan, "plan", "", "`NAME` of the plan")
	fs.BoolVar(&o.reach, "check", false, "prove first that each user can be reached on both sides")
	fs.BoolVar(&o.strict, "strict", false, "add nobody if one cannot be added")
	mustComplete(cmd, "org", func(string) []string { return app.orgNames(cmd.Context()) })
}

func (o *addUserOptions) check(cmd *cobra.Command) error {
	if err := o.outputOptions.check(cmd); err != nil {
		return err
	}
	return o.bulkOptions.check(cmd)
}

func (o *addUserOptions) admin(users int) admin.AddOptions {
	return admin.AddOptions{Bulk: o.bulk(users, o.dryRun), Strict: o.strict, Check: o.reach}
}

// finishAdd prints what came of adding users, and what to do next.
func (app *App) finishAdd(o *addUserOptions, rows []row) error {
	added := 0
	for _, r := range rows {
		if r.Result == engine.ResultDone {
			added++
		}
	}
	switch {
	case o.dryRun:
		app.Notice("dry run: nothing was written")
	case added > 0:
		app.Notice("synchronization is disabled for new users; next: crmsync check all --all, then crmsync sync enable --all")
	}
	return app.finish(&o.outputOptions, rows)
}

type usersAddOptions struct {
	addUserOptions
	users []string
	name  string
}

func newUsersAdd(app *App, run func(context.Context, *App, usersAddOptions) error) *cobra.Command {
	var opts usersAddOptions
	if run == nil {
		run = runUsersAdd
	}
	cmd := &cobra.Command{
		Use:   "add USER...",
		Short: "Add users, with synchronization disabled",
		Long: `Add users. A user is one CRM user and one mailbox with the same primary e-mail address;
USER is that address, the CRM user's id or the mailbox's id. Who cannot be found on both
sides fails, and the others are added.`,
		Example: `  crmsync users add ann@example.com
  crmsync users add ann@example.com bob@example.com --org EMEA --check
  crmsync users add ann@example.com --name "Ann Lee" --dry-run`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			if opts.name != "" && len(args) > 1 {
				return usage(cmd, "--name is for one user")
			}
			opts.users = args
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	cmd.Flags().StringVar(&opts.name, "name", "", "`NAME` of the user (default: as in the directory)")
	return cmd
}

func runUsersAdd(ctx context.Context, app *App, opts usersAddOptions) error {
	st, err := app.stateFor(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	list := make([]admin.NewUser, len(opts.users))
	for i, u := range opts.users {
		list[i] = admin.NewUser{Key: u, Name: opts.name, Org: opts.org, Plan: opts.plan}
	}
	good, bad := admin.CheckNewUsers(list)
	return app.addChecked(ctx, st, &opts.addUserOptions, good, bad)
}

// addChecked adds the good ones, and prints what came of all.
func (app *App) addChecked(ctx context.Context, st State, o *addUserOptions, good []admin.NewUser, bad []admin.Outcome) error {
	if o.strict && len(bad) > 0 {
		return fail(codeStrict, "", fmt.Sprintf("%s cannot be used: %s", count(len(bad), "row"), named(rowsOf(bad))))
	}
	outcomes := app.admin(st).AddUsers(ctx, good, o.admin(len(good)))
	return app.finishAdd(o, rowsOf(append(outcomes, bad...)))
}

type usersListOptions struct {
	selectOptions
	outputOptions
}

func newUsersList(app *App, run func(context.Context, *App, usersListOptions) error) *cobra.Command {
	var opts usersListOptions
	if run == nil {
		run = runUsersList
	}
	cmd := &cobra.Command{
		Use:   "list " + selectionUse,
		Short: "List users and what keeps them from being synchronized",
		Example: `  crmsync users list
  crmsync users list --org EMEA --sync suspended
  crmsync users list --stale 48h -o csv > late.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.selectOptions.check(cmd, args); err != nil {
				return err
			}
			if err := opts.outputOptions.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.selectOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(userFields))
	return cmd
}

func runUsersList(ctx context.Context, app *App, opts usersListOptions) error {
	ms, err := app.members(ctx, &opts.selectOptions)
	if err != nil {
		return err
	}
	if len(ms) == 0 && !opts.given() {
		app.Notice("there are no users yet: crmsync users import --from directory")
	}
	return app.print(&opts.outputOptions, ui.List(userFields, ms))
}

// members reads the selected users with their effective states.
func (app *App) members(ctx context.Context, o *selectOptions) ([]member, error) {
	st, err := app.reading(ctx)
	if err != nil {
		return nil, err
	}
	users, err := o.list(ctx, app, st)
	if err != nil {
		return nil, err
	}
	orgs, err := st.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	return members(users, orgs), nil
}

// userShowFields are those of users list, and what only one user's page has.
var userShowFields = append(userFields[:len(userFields):len(userFields)], []ui.Field[member]{
	{Name: "reason", Of: func(m member) any { return m.Reason }},
	{Name: "fix", Of: func(m member) any { return m.Effective.Fix }},
	{Name: "locked", Of: func(m member) any { return m.Locked }},
	{Name: "addinRead", Of: func(m member) any { return m.AddInRead }},
	{Name: "lastStart", Of: func(m member) any { return m.LastStart }},
	{Name: "queued", Of: func(m member) any { return m.Queued }},
	{Name: "forcedAt", Of: func(m member) any { return m.ForcedAt }},
	{Name: "failures", Of: func(m member) any { return m.Failures }},
}...)

type usersShowOptions struct {
	outputOptions
	user string
}

func newUsersShow(app *App, run func(context.Context, *App, usersShowOptions) error) *cobra.Command {
	var opts usersShowOptions
	if run == nil {
		run = runUsersShow
	}
	cmd := &cobra.Command{
		Use:   "show USER",
		Short: "Show all that is known of one user",
		Example: `  crmsync users show ann@example.com
  crmsync users show ann@example.com --fields effective,fix`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: app.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.user = args[0]
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(userShowFields))
	return cmd
}

func runUsersShow(ctx context.Context, app *App, opts usersShowOptions) error {
	ms, err := app.members(ctx, &selectOptions{users: []string{opts.user}})
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.One(userShowFields, ms[0]))
}

type usersDeleteOptions struct {
	verbOptions
	confirmOptions
}

func newUsersDelete(app *App, run func(context.Context, *App, usersDeleteOptions) error) *cobra.Command {
	if run == nil {
		run = runUsersDelete
	}
	cmd := newUsersRemoval(app, run)
	cmd.Use = "delete " + selectionUse
	cmd.Short = "Delete users against whom nothing stands"
	cmd.Long = `Delete users. It is refused, with each reason, while the mailbox is initialized, a
session runs, or deletes are held. The audit keeps what was done to the user.`
	cmd.Example = `  crmsync mailbox reset ann@example.com && crmsync users delete ann@example.com
  crmsync users delete --org Sales --yes --expect 40
  crmsync users delete --from leavers.csv --dry-run`
	return cmd
}

func newUsersForceDelete(app *App, run func(context.Context, *App, usersDeleteOptions) error) *cobra.Command {
	if run == nil {
		run = runUsersForceDelete
	}
	cmd := newUsersRemoval(app, run)
	cmd.Use = "force-delete " + selectionUse
	cmd.Short = "Delete users whatever stands against it, and list what stays behind"
	cmd.Long = `Delete users whatever stands against it. What stays behind in a mailbox is listed, and
remembered for "crmsync mailbox reset --orphan". Asks for the count to be typed.`
	cmd.Example = `  crmsync users force-delete ann@example.com
  crmsync users force-delete ann@example.com --yes --expect 1`
	return cmd
}

func newUsersRemoval(app *App, run func(context.Context, *App, usersDeleteOptions) error) *cobra.Command {
	var opts usersDeleteOptions
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
	opts.confirmOptions.addFlags(cmd.Flags())
	return cmd
}

func runUsersDelete(ctx context.Context, app *App, opts usersDeleteOptions) error {
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		// What would be refused anyway is not asked about.
		dry := b
		dry.DryRun = true
		plan := ad.Delete(ctx, users, dry)
		var will []roster.User
		for i, o := range plan {
			if o.Result == engine.ResultDone {
				will = append(will, users[i])
			}
		}
		if b.DryRun || len(will) == 0 {
			return plan, nil
		}
		d := danger{Verb: "delete", Users: will}
		if refused := len(users) - len(will); refused > 0 {
			d.Consequences = append(d.Consequences, fmt.Sprintf("%s of the selection will be refused", count(refused, "user")))
		}
		d.Consequences = append(d.Consequences, "their sessions and issues are deleted with them; CRM and mailboxes stay as they are")
		if err := app.confirm(&opts.confirmOptions, d); err != nil {
			return nil, err
		}
		return ad.Delete(ctx, users, b), nil
	})
}

func runUsersForceDelete(ctx context.Context, app *App, opts usersDeleteOptions) error {
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		if !b.DryRun {
			copies, err := ad.Copies(ctx, users)
			if err != nil {
				return nil, err
			}
			d := danger{
				Verb: "force-delete", Users: users, Grave: true,
				Consequences: []string{fmt.Sprintf("%s in the mailboxes and what else is ours there will be left behind", copiesWord(copies))},
			}
			if err := app.confirm(&opts.confirmOptions, d); err != nil {
				return nil, err
			}
		}
		outcomes := ad.ForceDelete(ctx, users, b)
		app.Notice("what is left behind is remembered, and taken out by: crmsync mailbox reset --orphan USER")
		return outcomes, nil
	})
}

// copiesWord writes a number of synchronized copies.
func copiesWord(n int) string {
	if n == 1 {
		return "1 synchronized copy"
	}
	return fmt.Sprintf("%d synchronized copies", n)
}
