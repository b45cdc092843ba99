package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

type initOptions struct {
	outputOptions
	writeOptions
	crm  roster.Connection
	mail roster.Connection
	org  roster.Organization
}

// connects reports whether connections are to be made, and not only files.
func (o *initOptions) connects() bool {
	for _, s := range []string{o.crm.Endpoint, o.crm.ClientID, o.crm.Secret, o.mail.Tenant, o.mail.ClientID, o.mail.Secret} {
		if s != "" {
			return true
		}
	}
	return false
}

func newInit(app *App, run func(context.Context, *App, initOptions) error) *cobra.Command {
	opts := initOptions{
		crm:  roster.Connection{Kind: "salesforce", Auth: "client-secret"},
		mail: roster.Connection{Kind: "graph", Auth: "client-secret"},
	}
	if run == nil {
		run = runInit
	}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a configuration and an empty state",
		Long: `Write a configuration and an empty state. What is there already stays as it is.

With the flags, or with the answers given at a terminal, it also adds a connection to
Salesforce, one to Microsoft 365, and an organization over the two. For any other way to
sign in use "crmsync connection add".`,
		Example: `  crmsync init
  crmsync init --crm-endpoint https://acme.my.salesforce.com --crm-client-id 3MVG9 --crm-secret env:SF_SECRET --tenant contoso.example --mail-client-id 11111111-2222-3333-4444-555555555555 --mail-secret env:M365_SECRET`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.outputOptions.addFlags(cmd, ui.Names(initFields))
	fs := cmd.Flags()
	opts.writeOptions.addFlags(fs)
	fs.StringVar(&opts.crm.Name, "crm", "sf", "`NAME` of the connection to Salesforce")
	fs.StringVar(&opts.crm.Endpoint, "crm-endpoint", "", "`URL` of the Salesforce organization")
	fs.StringVar(&opts.crm.ClientID, "crm-client-id", "", "`ID` of the application in Salesforce")
	fs.StringVar(&opts.crm.Secret, "crm-secret", "", "where its secret is found: `REFERENCE`")
	fs.StringVar(&opts.mail.Name, "mail", "m365", "`NAME` of the connection to Microsoft 365")
	fs.StringVar(&opts.mail.Tenant, "tenant", "", "`ID` or domain of the Microsoft 365 tenant")
	fs.StringVar(&opts.mail.ClientID, "mail-client-id", "", "`ID` of the application in Microsoft 365")
	fs.StringVar(&opts.mail.Secret, "mail-secret", "", "where its secret is found: `REFERENCE`")
	fs.StringVar(&opts.org.Name, "org", "main", "`NAME` of the organization")
	return cmd
}

// initDone is what init has made, or found.
type initDone struct {
	config, state string
	crm, mail     string
	org           string
}

var initFields = []ui.Field[initDone]{
	{Name: "config", Of: func(d initDone) any { return d.config }},
	{Name: "state", Of: func(d initDone) any { return d.state }},
	{Name: "crm", Of: func(d initDone) any { return d.crm }},
	{Name: "mail", Of: func(d initDone) any { return d.mail }},
	{Name: "org", Of: func(d initDone) any { return d.org }},
}

func runInit(ctx context.Context, app *App, opts initOptions) error {
	if err := config.CheckState(app.global.state); err != nil {
		return err
	}
	app.makeDir = true
	if err := app.askInit(&opts); err != nil {
		return err
	}
	opts.org.CRM, opts.org.Mail, opts.org.Access = opts.crm.Name, opts.mail.Name, roster.Application
	if opts.connects() {
		// Everything is checked before the first file is written.
		for _, err := range []error{
			admin.CheckConnection(opts.crm), admin.CheckConnection(opts.mail),
			admin.CheckOrganization(opts.org, opts.crm, opts.mail),
		} {
			if err != nil {
				return err
			}
		}
	}
	file := app.configFile()
	made, err := writeConfig(file, app.global.state, opts.dryRun)
	if err != nil {
		return err
	}
	d := initDone{config: file}
	if opts.dryRun && made {
		app.Notice("dry run: nothing was written")
		return app.print(&opts.outputOptions, ui.One(initFields, d))
	}
	cfg, err := app.config()
	if err != nil {
		return err
	}
	d.state = cfg.State
	if !opts.dryRun {
		st, err := app.writing(ctx)
		if err != nil {
			return err
		}
		if opts.connects() {
			if err := app.connect(ctx, st, opts); err != nil {
				return err
			}
		}
		if o, err := st.Organization(ctx, ""); err == nil {
			d.crm, d.mail, d.org = o.CRM, o.Mail, o.Name
		}
	}
	app.initAdvice(made, d)
	return app.print(&opts.outputOptions, ui.One(initFields, d))
}

// initAdvice says what init did and what comes next.
func (app *App) initAdvice(made bool, d initDone) {
	if made {
		app.Notice("wrote %s", d.config)
	} else {
		app.Notice("%s is there already and stays as it is", d.config)
	}
	if d.org != "" {
		app.Notice("next: crmsync check all, then crmsync users import --from directory")
	} else {
		app.Notice("next: crmsync connection add --help")
	}
}

// connect adds the two connections and the organization, in that order.
func (app *App) connect(ctx context.Context, st State, opts initOptions) error {
	ad := app.admin(st)
	if err := ad.AddConnection(ctx, opts.crm, false); err != nil {
		return err
	}
	if err := ad.AddConnection(ctx, opts.mail, false); err != nil {
		return err
	}
	return ad.AddOrganization(ctx, opts.org, false)
}

// askInit asks at a terminal for what the flags did not give. Who has a configuration
// and gives no flag is not asked: init has nothing to add for him.
func (app *App) askInit(o *initOptions) error {
	if !app.CanAsk() || o.dryRun {
		return nil
	}
	if !o.connects() {
		if _, err := os.Stat(app.configFile()); err == nil {
			return nil
		}
		yes, err := app.Ask("Set up the connections to Salesforce and Microsoft 365 now, yes or no?", "yes")
		if err != nil || !strings.HasPrefix(strings.ToLower(yes), "y") {
			return err
		}
	}
	for _, q := range []struct {
		question, preset, flag string
		answer                 *string
	}{
		{"Salesforce: address, such as https://acme.my.salesforce.com", "", "crm-endpoint", &o.crm.Endpoint},
		{"Salesforce: client id of the application", "", "crm-client-id", &o.crm.ClientID},
		{"Salesforce: where its secret is found (env:NAME, file:PATH, cmd:COMMAND or keyring:NAME)", "env:SF_SECRET", "crm-secret", &o.crm.Secret},
		{"Microsoft 365: tenant, its id or domain", "", "tenant", &o.mail.Tenant},
		{"Microsoft 365: client id of the application", "", "mail-client-id", &o.mail.ClientID},
		{"Microsoft 365: where its secret is found", "env:M365_SECRET", "mail-secret", &o.mail.Secret},
	} {
		if *q.answer != "" {
			continue
		}
		answer, err := app.Ask(q.question+":", q.preset)
		if err != nil {
			return err
		}
		if answer == "" {
			return fail(codeUsage, "", "no answer to: "+q.question).do("start again, or give --" + q.flag)
		}
		*q.answer = answer
	}
	return nil
}

// configFile is where the configuration is, or is to be.
func (app *App) configFile() string {
	for _, file := range []string{app.global.config, app.Getenv("CRMSYNC_CONFIG")} {
		if file != "" {
			return file
		}
	}
	return config.DefaultFile(app.Getenv)
}

// writeConfig writes a configuration, unless there is one.
func writeConfig(file, state string, dry bool) (made bool, err error) {
	broken := func(err error) error {
		return fail(codeFile, file, reason(err)).from(err)
	}
	if _, err := os.Stat(file); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, broken(err)
	}
	if dry {
		return true, nil
	}
	text := firstConfig
	if state != "" {
		path, err := filepath.Abs(state)
		if err != nil {
			return false, broken(err)
		}
		text += fmt.Sprintf("state: %q\n", path)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return false, broken(err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, broken(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return false, broken(err)
	}
	return true, nil
}

// firstConfig is the configuration that init writes: only comments, so that every
// default stays what the program's version says.
const firstConfig = `# Configuration of crmsync. Each key may also come from the environment, as
# CRMSYNC_STATE for state, or from a flag. Secrets never stand here.
#
# state: /var/lib/crmsync/state.db     where all is remembered
# output: json                         what results look like (default: table, in a pipe tsv)
#
# Connections and organizations are kept in the state by "connection add" and "org
# add". They may be declared here instead:
#
# connections:
#   - name: sf
#     kind: salesforce
#     endpoint: https://acme.my.salesforce.com
#     auth: client-secret
#     client_id: 3MVG9...
#     secret: env:SF_SECRET
#   - name: m365
#     kind: graph
#     tenant: contoso.example
#     auth: client-secret
#     client_id: 11111111-2222-3333-4444-555555555555
#     secret: env:M365_SECRET
# organizations:
#   - name: main
#     crm: sf
#     mail: m365
`
