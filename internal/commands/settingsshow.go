package commands

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// settingShown is one value, for a user, an organization or everybody.
type settingShown struct {
	User   string
	Org    string
	Key    settings.Key
	Value  string
	Origin string
}

// settingFields are the fields of settings show.
var settingFields = []ui.Field[settingShown]{
	{Name: "user", Of: func(s settingShown) any { return s.User }, Sparse: true},
	{Name: "org", Of: func(s settingShown) any { return s.Org }, Sparse: true},
	{Name: "key", Of: func(s settingShown) any { return s.Key.Name }},
	{Name: "value", Of: func(s settingShown) any { return s.Value }},
	{Name: "origin", Of: func(s settingShown) any { return s.Origin }, Wide: true},
	{Name: "allowed", Of: func(s settingShown) any { return s.Key.Allowed }, Wide: true},
	{Name: "meaning", Of: func(s settingShown) any { return s.Key.Meaning }, Wide: true},
}

type settingsShowOptions struct {
	placeOptions
	outputOptions
	// key is the one to show, its Name empty for all.
	key       settings.Key
	allLevels bool
	origin    bool
}

func newSettingsShow(app *App, run func(context.Context, *App, settingsShowOptions) error) *cobra.Command {
	var opts settingsShowOptions
	if run == nil {
		run = runSettingsShow
	}
	cmd := &cobra.Command{
		Use:   "show [KEY] " + selectionUse,
		Short: "Show what counts for users, an organization or everybody, and where it comes from",
		Long: `Show the values that count for the users that are selected, with --org in organizations,
else for everybody who has none of his own. --origin says where a value comes from; with
--all-levels only what somebody has set is listed, wherever that is. Keys of single fields
are shown where one is set, or by name. -o wide says what each key means and allows.`,
		Example: `  crmsync settings show -o wide
  crmsync settings show ann@example.com --origin
  crmsync settings show contacts.conflict --all-levels
  crmsync settings show contacts.enabled --all -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && namesKey(args[0]) {
				key, err := settings.Find(args[0])
				if err != nil {
					return badSetting(err)
				}
				opts.key, args = key, args[1:]
			}
			if err := firstError(opts.placeOptions.check(cmd, args), opts.outputOptions.check(cmd)); err != nil {
				return err
			}
			if opts.allLevels && opts.level() != settings.All {
				return usage(cmd, "--all-levels lists what is set for anybody, and takes no users and no --org")
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.placeOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(settingFields))
	cmd.Flags().BoolVar(&opts.allLevels, "all-levels", false, "list every value that somebody has set")
	cmd.Flags().BoolVar(&opts.origin, "origin", false, "say where each value comes from")
	cmd.ValidArgsFunction = app.completeSetting(false)
	return cmd
}

// namesKey tells a key from a user: no id of a user has a dot, and each address an @.
func namesKey(arg string) bool { return strings.Contains(arg, ".") && !strings.Contains(arg, "@") }

func runSettingsShow(ctx context.Context, app *App, opts settingsShowOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	set, err := st.Settings(ctx)
	if err != nil {
		return err
	}
	book := settings.NewBook(set)
	var list []settingShown
	switch {
	case opts.allLevels:
		list, err = everySetting(ctx, st, set, opts.key)
	case opts.level() == settings.User:
		list, err = opts.ofUsers(ctx, app, st, book)
	case opts.level() == settings.Org:
		list, err = opts.ofOrgs(ctx, st, book)
	default:
		list = opts.values(book.ForOrg(""), settingShown{})
	}
	if err != nil {
		return err
	}
	fields := settingFields
	if opts.origin || opts.allLevels {
		fields = withOrigin()
	}
	return app.print(&opts.outputOptions, ui.List(fields, list))
}

// withOrigin are the fields with the origin in every table.
func withOrigin() []ui.Field[settingShown] {
	fields := append([]ui.Field[settingShown](nil), settingFields...)
	for i := range fields {
		fields[i].Wide = fields[i].Wide && fields[i].Name != "origin"
	}
	return fields
}

func (o *settingsShowOptions) ofUsers(ctx context.Context, app *App, st State, book *settings.Book) ([]settingShown, error) {
	users, err := o.list(ctx, app, st)
	if err != nil {
		return nil, err
	}
	var list []settingShown
	for _, u := range users {
		list = append(list, o.values(book.For(u.ID, u.Org), settingShown{User: u.Email})...)
	}
	return list, nil
}

func (o *settingsShowOptions) ofOrgs(ctx context.Context, st State, book *settings.Book) ([]settingShown, error) {
	var list []settingShown
	for _, name := range o.orgs {
		if _, err := st.Organization(ctx, name); err != nil {
			return nil, fail(codeNotFound, name, "there is no organization of this name").try("crmsync org list")
		}
		list = append(list, o.values(book.ForOrg(name), settingShown{Org: name})...)
	}
	return list, nil
}

// values lists what counts: of one key, or of all but those of fields that nobody has set.
func (o *settingsShowOptions) values(v settings.Values, of settingShown) []settingShown {
	keys := settings.Keys()
	if o.key.Name != "" {
		keys = []settings.Key{o.key}
	}
	var list []settingShown
	for _, k := range keys {
		got := v.Get(k)
		if o.key.Name == "" && k.Inherits != "" && got.Origin.Key != k.Name {
			continue
		}
		s := of
		s.Key, s.Value, s.Origin = k, got.Text, string(got.Origin.Level)
		switch got.Origin.Level {
		case settings.Org:
			s.Origin += " " + got.Origin.Subject
		case settings.User:
			s.Origin += " " + of.User
		}
		if got.Origin.Key != k.Name {
			s.Origin += ", by " + got.Origin.Key
		}
		list = append(list, s)
	}
	return list
}

// everySetting lists what is set, of one key or of all.
func everySetting(ctx context.Context, st State, set []settings.Setting, only settings.Key) ([]settingShown, error) {
	users, err := st.Users(ctx)
	if err != nil {
		return nil, err
	}
	emails := make(map[string]string, len(users))
	for _, u := range users {
		emails[settings.UserSubject(u.ID)] = u.Email
	}
	var list []settingShown
	for _, v := range set {
		if only.Name != "" && v.Key != only.Name {
			continue
		}
		key, err := settings.Find(v.Key)
		if err != nil {
			key.Name, key.Meaning = v.Key, "not known to this version"
		}
		s := settingShown{Key: key, Value: v.Value, Origin: string(v.Level)}
		switch v.Level {
		case settings.Org:
			s.Org, s.Origin = v.Subject, s.Origin+" "+v.Subject
		case settings.User:
			s.User = emails[v.Subject]
			s.Origin += " " + s.User
		}
		list = append(list, s)
	}
	return list, nil
}
