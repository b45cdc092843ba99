package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

func newSettings(app *App) *cobra.Command {
	return newNoun("settings", "setting", "Set how contacts are synchronized: for everybody, organizations or users",
		newSettingsShow(app, nil),
		newSettingsSet(app, nil),
		newSettingsUnset(app, nil),
	)
}

// placeOptions say for whom a setting is meant. Users are selected as everywhere, but an
// organization is one place and not its users, and nothing means everybody.
type placeOptions struct {
	selectOptions
}

func (o *placeOptions) addFlags(cmd *cobra.Command, app *App) {
	o.selectOptions.addFlags(cmd, app)
	cmd.Flags().Lookup("org").Usage = "of the organization of this `NAME`, instead of users; may be repeated"
}

func (o *placeOptions) check(cmd *cobra.Command, args []string) error {
	if err := o.selectOptions.check(cmd, args); err != nil {
		return err
	}
	if len(o.orgs) > 0 && o.level() == settings.User {
		return usage(cmd, "--org means the organization itself and no users; select its users by --where 'org == %q'", o.orgs[0])
	}
	if o.limit > 0 && o.level() != settings.User {
		return usage(cmd, "--limit needs users")
	}
	return nil
}

// level is that of the place.
func (o *placeOptions) level() settings.Level {
	users := *o
	users.orgs = nil
	switch {
	case users.given():
		return settings.User
	case len(o.orgs) > 0:
		return settings.Org
	}
	return settings.All
}

// settingRow is what became of a setting in one place.
type settingRow struct {
	row
	Org   string
	Level settings.Level
}

// settingRowFields are the fields of settings set and unset.
var settingRowFields = []ui.Field[settingRow]{
	{Name: "user", Of: func(r settingRow) any { return r.User }, Sparse: true},
	{Name: "org", Of: func(r settingRow) any { return r.Org }, Sparse: true},
	{Name: "level", Of: func(r settingRow) any { return string(r.Level) }},
	{Name: "result", Of: func(r settingRow) any { return string(r.Result) }, Word: true},
	{Name: "code", Of: func(r settingRow) any { return r.Code }, Sparse: true},
	{Name: "message", Of: func(r settingRow) any { return r.Message }},
}

type settingsChangeOptions struct {
	placeOptions
	outputOptions
	bulkOptions
	writeOptions
	admin.SettingChange
}

func (o *settingsChangeOptions) addFlags(cmd *cobra.Command, app *App) {
	o.placeOptions.addFlags(cmd, app)
	o.outputOptions.addFlags(cmd, ui.Names(settingRowFields))
	o.bulkOptions.addFlags(cmd.Flags())
	o.writeOptions.addFlags(cmd.Flags())
	cmd.Flags().Lookup("org").Usage = "set it for the organization of this `NAME`, not for its users; may be repeated"
}

// check takes the key, the value if there is to be one, and whom they are for.
func (o *settingsChangeOptions) check(cmd *cobra.Command, args []string, valued bool) error {
	key, err := settings.Find(args[0])
	if err != nil {
		return badSetting(err)
	}
	o.Key, args = key, args[1:]
	if valued {
		if o.Value, err = settings.Parse(key.Name, args[0]); err != nil {
			return badSetting(err)
		}
		args = args[1:]
	}
	return firstError(o.placeOptions.check(cmd, args), o.outputOptions.check(cmd), o.bulkOptions.check(cmd))
}

func badSetting(err error) error {
	return fail(codeUsage, "", err.Error()).try("crmsync settings show -o wide")
}

func newSettingsSet(app *App, run func(context.Context, *App, settingsChangeOptions) error) *cobra.Command {
	var opts settingsChangeOptions
	if run == nil {
		run = runSettingsChange
	}
	cmd := &cobra.Command{
		Use:   "set KEY VALUE " + selectionUse,
		Short: "Set a value for everybody, for organizations or for users",
		Long: `Set a value: for the users that are selected, with --org for organizations, else for
everybody. The narrowest level counts: a user's own value, then his organization's, then
everybody's, then the built-in one. A key such as contacts.conflict.notes, of one field,
counts before contacts.conflict, at whatever levels they are set.

A change takes effect at the next cycle of each user. The keys are those of settings show.`,
		Example: `  crmsync settings set contacts.conflict newest
  crmsync settings set contacts.create_in_crm true --org EMEA
  crmsync settings set contacts.conflict.notes hold ann@example.com
  crmsync settings set contacts.guard "10 5% 250" --where 'org == "EMEA"' --dry-run`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args, true); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	cmd.ValidArgsFunction = app.completeSetting(true)
	return cmd
}

func newSettingsUnset(app *App, run func(context.Context, *App, settingsChangeOptions) error) *cobra.Command {
	var opts settingsChangeOptions
	if run == nil {
		run = runSettingsChange
	}
	cmd := &cobra.Command{
		Use:   "unset KEY " + selectionUse,
		Short: "Take a value back, so that the one of the next wider level counts",
		Long: `Take back the value that is set for the users that are selected, with --org for
organizations, else for everybody. Then the value of the next wider level counts.

A change takes effect at the next cycle of each user.`,
		Example: `  crmsync settings unset contacts.conflict
  crmsync settings unset contacts.create_in_crm --org EMEA
  crmsync settings unset contacts.conflict.notes --all --dry-run`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args, false); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	cmd.ValidArgsFunction = app.completeSetting(false)
	return cmd
}

func runSettingsChange(ctx context.Context, app *App, opts settingsChangeOptions) error {
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	list, err := app.changeSetting(ctx, st, &opts)
	if err != nil {
		return err
	}
	if err := app.print(&opts.outputOptions, ui.List(settingRowFields, list)); err != nil {
		return err
	}
	rows := make([]row, len(list))
	changed := false
	for i, r := range list {
		rows[i] = r.row
		changed = changed || r.Result == engine.ResultDone
	}
	switch {
	case opts.dryRun:
		app.Notice("dry run: nothing was written")
	case changed:
		app.Notice("the change takes effect at the next cycle of each user")
	}
	return app.conclude(rows)
}

// changeSetting makes a change wherever it is meant for.
func (app *App) changeSetting(ctx context.Context, st State, opts *settingsChangeOptions) ([]settingRow, error) {
	ad, level := app.admin(st), opts.level()
	var list []settingRow
	add := func(rows []row) {
		for _, r := range rows {
			list = append(list, settingRow{row: r, Level: level})
		}
	}
	switch level {
	case settings.User:
		users, bad, err := opts.resolve(ctx, app, st)
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			add(rowsOf(ad.ChangeUserSetting(ctx, opts.SettingChange, users, opts.bulk(len(users), opts.dryRun))))
		}
		add(bad)
	case settings.Org:
		if err := app.undeclared(opts.Key, opts.orgs); err != nil {
			return nil, err
		}
		add(rowsOf(ad.ChangeOrgSetting(ctx, opts.SettingChange, opts.orgs, admin.Bulk{DryRun: opts.dryRun})))
		for i, r := range list {
			list[i].Org, list[i].User = r.User, ""
		}
	default:
		add(rowsOf([]admin.Outcome{ad.ChangeSetting(ctx, opts.SettingChange, admin.Bulk{DryRun: opts.dryRun})}))
	}
	return list, nil
}

// undeclared refuses to set what the configuration declares, which would come back.
func (app *App) undeclared(key settings.Key, orgs []string) error {
	for _, s := range app.cfg.Settings {
		if s.Key == key.Name && s.Level == settings.Org && slices.Contains(orgs, s.Subject) {
			return fail(codeConfig, s.Subject, fmt.Sprintf("%s is declared in %s", s.Key, app.cfg.File)).
				because("what the configuration declares counts before what is set").do("change it there")
		}
	}
	return nil
}

// completeSetting offers keys, then the values of a key where it has some, then users.
func (app *App) completeSetting(valued bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			var offers []string
			for _, k := range settings.Keys() {
				if strings.HasPrefix(k.Name, typed) {
					offers = append(offers, cobra.CompletionWithDesc(k.Name, k.Meaning))
				}
			}
			return offers, cobra.ShellCompDirectiveNoFileComp
		}
		if len(args) == 1 && valued {
			key, err := settings.Find(args[0])
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return key.Values, cobra.ShellCompDirectiveNoFileComp
		}
		return app.completeUsers(cmd, args, typed)
	}
}
