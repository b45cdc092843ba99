package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

func newOrg(app *App) *cobra.Command {
	return newNoun("org", "orgs", "Manage organizations: a CRM and a mail connection, and their users",
		newOrgAdd(app, nil),
		newOrgList(app, nil),
		newOrgShow(app, nil),
		newOrgSwitch(app, true, nil),
		newOrgSwitch(app, false, nil),
		newOrgMove(app, nil),
	)
}

// countedOrg is an organization with the number of its users, and what its settings say
// of records born in a mailbox.
type countedOrg struct {
	roster.Organization
	Users       int
	CreateInCRM bool
}

// orgFields are the fields of org list and show.
var orgFields = []ui.Field[countedOrg]{
	{Name: "name", Of: func(o countedOrg) any { return o.Name }},
	{Name: "state", Of: func(o countedOrg) any { return enabledWord(o.Enabled) }, Word: true},
	{Name: "default", Of: func(o countedOrg) any { return o.Default }},
	{Name: "crm", Of: func(o countedOrg) any { return o.CRM }},
	{Name: "mail", Of: func(o countedOrg) any { return o.Mail }},
	{Name: "access", Of: func(o countedOrg) any { return string(o.Access) }},
	{Name: "region", Of: func(o countedOrg) any { return o.Region }, Wide: true},
	{Name: "createInCrm", Of: func(o countedOrg) any { return o.CreateInCRM }, Wide: true},
	{Name: "users", Of: func(o countedOrg) any { return o.Users }},
}

func enabledWord(enabled bool) string {
	if enabled {
		return "enabled"
	}
	return "disabled"
}

// countedOrgs reads the organizations with the number of their users.
func countedOrgs(ctx context.Context, st State) ([]countedOrg, error) {
	orgs, err := st.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	users, err := st.Users(ctx)
	if err != nil {
		return nil, err
	}
	set, err := st.Settings(ctx)
	if err != nil {
		return nil, err
	}
	book := settings.NewBook(set)
	all := make([]countedOrg, len(orgs))
	for i, o := range orgs {
		all[i].Organization = o
		rules, err := book.ForOrg(o.Name).Rules(record.Contacts)
		if err != nil {
			return nil, err
		}
		all[i].CreateInCRM = rules.CreateInCRM
		for _, u := range users {
			if u.Org == o.Name {
				all[i].Users++
			}
		}
	}
	return all, nil
}

// countedOrgOf reads one organization.
func countedOrgOf(ctx context.Context, st State, name string) (countedOrg, error) {
	all, err := countedOrgs(ctx, st)
	if err != nil {
		return countedOrg{}, err
	}
	i := slices.IndexFunc(all, func(o countedOrg) bool { return o.Name == name })
	if i < 0 {
		return countedOrg{}, fail(codeNotFound, name, "there is no organization of this name").try("crmsync org list")
	}
	return all[i], nil
}

type orgAddOptions struct {
	outputOptions
	writeOptions
	org         roster.Organization
	access      string
	createInCRM bool
}

func newOrgAdd(app *App, run func(context.Context, *App, orgAddOptions) error) *cobra.Command {
	var opts orgAddOptions
	if run == nil {
		run = runOrgAdd
	}
	cmd := &cobra.Command{
		Use:   "add NAME --crm CONNECTION --mail CONNECTION",
		Short: "Add an organization over two connections",
		Long: `Add an organization over two connections. The first one becomes the default: users who
are added without an organization join it.`,
		Example: `  crmsync org add EMEA --crm sf --mail m365 --access application
  crmsync org add UK --crm sf --mail m365 --region GB`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.org.Name, opts.org.Access = args[0], roster.Access(opts.access)
			return run(cmd.Context(), app, opts)
		},
	}
	opts.outputOptions.addFlags(cmd, ui.Names(orgFields))
	fs := cmd.Flags()
	opts.writeOptions.addFlags(fs)
	fs.StringVar(&opts.org.CRM, "crm", "", "`CONNECTION` to the CRM")
	fs.StringVar(&opts.org.Mail, "mail", "", "`CONNECTION` to the mailboxes")
	fs.StringVar(&opts.access, "access", string(roster.Application), "how mailboxes are reached: `application` or delegated")
	fs.StringVar(&opts.org.Region, "region", "", "`COUNTRY` in which telephone numbers without a country code are read, such as GB")
	fs.BoolVar(&opts.createInCRM, "create-in-crm", false, "let contacts born in a mailbox be created in the CRM: sets contacts.create_in_crm")
	mustRequire(cmd, "crm")
	mustRequire(cmd, "mail")
	connections := func(string) []string { return app.connectionNames(cmd.Context()) }
	mustComplete(cmd, "crm", connections)
	mustComplete(cmd, "mail", connections)
	mustComplete(cmd, "access", func(string) []string { return []string{string(roster.Application), string(roster.Delegated)} })
	return cmd
}

func runOrgAdd(ctx context.Context, app *App, opts orgAddOptions) error {
	st, err := app.stateFor(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	ad := app.admin(st)
	if err := ad.AddOrganization(ctx, opts.org, opts.dryRun); err != nil {
		return err
	}
	o := countedOrg{Organization: opts.org, CreateInCRM: opts.createInCRM}
	if !opts.dryRun {
		if opts.createInCRM {
			if err := allowCreateInCRM(ctx, ad, opts.org.Name); err != nil {
				return err
			}
		}
		if o, err = countedOrgOf(ctx, st, opts.org.Name); err != nil {
			return err
		}
	}
	app.Notice("%s organization %s; check it with: crmsync check all", wouldOr(opts.dryRun, "added"), opts.org.Name)
	return app.print(&opts.outputOptions, ui.One(orgFields, o))
}

// allowCreateInCRM lets the records that are born in the mailboxes of an organization be
// created in the CRM.
func allowCreateInCRM(ctx context.Context, ad *admin.Admin, org string) error {
	key, err := settings.Find(settings.CreateInCRM(record.Contacts))
	if err != nil {
		return err
	}
	return ad.ChangeOrgSetting(ctx, admin.SettingChange{Key: key, Value: "true"}, []string{org}, admin.Bulk{})[0].Err
}

type orgListOptions struct {
	outputOptions
}

func newOrgList(app *App, run func(context.Context, *App, orgListOptions) error) *cobra.Command {
	var opts orgListOptions
	if run == nil {
		run = runOrgList
	}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the organizations",
		Example: `  crmsync org list
  crmsync org list -o json --jq '.[] | select(.default).name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(orgFields))
	return cmd
}

func runOrgList(ctx context.Context, app *App, opts orgListOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	all, err := countedOrgs(ctx, st)
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.List(orgFields, all))
}

type orgShowOptions struct {
	outputOptions
	name string
}

func newOrgShow(app *App, run func(context.Context, *App, orgShowOptions) error) *cobra.Command {
	var opts orgShowOptions
	if run == nil {
		run = runOrgShow
	}
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one organization",
		Example: `  crmsync org show EMEA
  crmsync org show EMEA -o yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: app.completeNames(app.orgNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.name = args[0]
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(orgFields))
	return cmd
}

func runOrgShow(ctx context.Context, app *App, opts orgShowOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	o, err := countedOrgOf(ctx, st, opts.name)
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.One(orgFields, o))
}

// orgRowFields are those of a bulk verb on organizations.
var orgRowFields = []ui.Field[row]{
	{Name: "org", Of: func(r row) any { return r.User }},
	rowFields[1], rowFields[2], rowFields[3],
}

type orgSwitchOptions struct {
	outputOptions
	writeOptions
	names   []string
	enabled bool
}

func newOrgSwitch(app *App, enabled bool, run func(context.Context, *App, orgSwitchOptions) error) *cobra.Command {
	opts := orgSwitchOptions{enabled: enabled}
	if run == nil {
		run = runOrgSwitch
	}
	cmd := &cobra.Command{
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: app.completeNames(app.orgNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.names = args
			return run(cmd.Context(), app, opts)
		},
	}
	if enabled {
		cmd.Use, cmd.Short = "enable NAME...", "Let the users of organizations be synchronized"
		cmd.Example = "  crmsync org enable EMEA\n  crmsync org enable EMEA APAC --dry-run"
	} else {
		cmd.Use, cmd.Short = "disable NAME...", "Stop all users of organizations, whatever their own state"
		cmd.Example = "  crmsync org disable EMEA\n  crmsync org disable EMEA --dry-run"
	}
	opts.outputOptions.addFlags(cmd, ui.Names(orgRowFields))
	opts.writeOptions.addFlags(cmd.Flags())
	return cmd
}

func runOrgSwitch(ctx context.Context, app *App, opts orgSwitchOptions) error {
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	rows := rowsOf(app.admin(st).SetOrganizations(ctx, opts.names, opts.enabled, admin.Bulk{DryRun: opts.dryRun}))
	if opts.dryRun {
		app.Notice("dry run: nothing was written")
	}
	if err := app.print(&opts.outputOptions, ui.List(orgRowFields, rows)); err != nil {
		return err
	}
	return app.conclude(rows)
}

type orgMoveOptions struct {
	verbOptions
	confirmOptions
	to string
}

func newOrgMove(app *App, run func(context.Context, *App, orgMoveOptions) error) *cobra.Command {
	var opts orgMoveOptions
	if run == nil {
		run = runOrgMove
	}
	cmd := &cobra.Command{
		Use:   "move " + selectionUse + " --to ORG",
		Short: "Move users to another organization",
		Long: `Move users to another organization. Each mailbox is checked first with the access of
that organization. Links are kept, so nothing is created again; for the same reason
a user cannot move to an organization with another CRM connection.

Where the access to mailboxes differs it asks once.`,
		Example: `  crmsync org move ann@example.com --to APAC
  crmsync org move --org EMEA --to APAC --dry-run`,
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
	cmd.Flags().StringVar(&opts.to, "to", "", "`ORG` to move the users to")
	mustRequire(cmd, "to")
	mustComplete(cmd, "to", func(string) []string { return app.orgNames(cmd.Context()) })
	return cmd
}

func runOrgMove(ctx context.Context, app *App, opts orgMoveOptions) error {
	return opts.run(ctx, app, func(ad *admin.Admin, users []roster.User, b admin.Bulk) ([]admin.Outcome, error) {
		move, err := ad.PlanMove(ctx, users, opts.to, b)
		if err != nil {
			return nil, err
		}
		if d := moveDanger(move); len(d.Users) > 0 && !b.DryRun {
			if err := app.confirm(&opts.confirmOptions, d); err != nil {
				return nil, err
			}
		}
		return ad.Move(ctx, move, b), nil
	})
}

// moveDanger is what should be known before users whose mailbox will be reached in
// another way are moved; it has no users if there are none.
func moveDanger(m admin.Move) danger {
	d := danger{Verb: "move"}
	for _, s := range m.Steps {
		if slices.Contains(m.AccessDiffers, s.User.Email) {
			d.Users = append(d.Users, s.User)
		}
	}
	if len(d.Users) > 0 {
		d.Consequences = []string{strings.Join([]string{
			fmt.Sprintf("%s reaches mailboxes with %s access, and these users are reached in another way now", m.To.Name, m.To.Access),
			"each mailbox answered with it",
		}, "; ")}
	}
	return d
}
