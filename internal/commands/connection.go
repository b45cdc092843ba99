package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func newConnection(app *App) *cobra.Command {
	return newNoun("connection", "connections", "Manage the connections to CRM and mail systems",
		newConnectionAdd(app, nil),
		newConnectionList(app, nil),
		newConnectionShow(app, nil),
		newConnectionRemove(app, nil),
	)
}

// usedConnection is a connection with the organizations that use it, and what the cycles
// have learnt of it.
type usedConnection struct {
	roster.Connection
	UsedBy []string
	Health engine.Health
}

// told is something that a connection's system told, or nothing if it never did.
func (c usedConnection) told(v any) any {
	if c.Health.Usage.Limit == 0 {
		return nil
	}
	return v
}

// connectionFields are what a connection was made of, and who uses it.
var connectionFields = []ui.Field[usedConnection]{
	{Name: "name", Of: func(c usedConnection) any { return c.Name }},
	{Name: "kind", Of: func(c usedConnection) any { return c.Kind }},
	{Name: "auth", Of: func(c usedConnection) any { return c.Auth }},
	{Name: "endpoint", Of: func(c usedConnection) any { return c.Endpoint }},
	{Name: "tokenEndpoint", Of: func(c usedConnection) any { return c.TokenEndpoint }, Wide: true},
	{Name: "tenant", Of: func(c usedConnection) any { return c.Tenant }, Wide: true},
	{Name: "clientId", Of: func(c usedConnection) any { return c.ClientID }, Wide: true},
	{Name: "username", Of: func(c usedConnection) any { return c.Username }, Wide: true},
	{Name: "secret", Of: func(c usedConnection) any { return reference(c.Secret) }, Wide: true},
	{Name: "token", Of: func(c usedConnection) any { return reference(c.Token) }, Wide: true},
	{Name: "certificate", Of: func(c usedConnection) any { return reference(c.Certificate) }, Wide: true},
	{Name: "stampField", Of: func(c usedConnection) any { return c.StampField }, Wide: true},
	{Name: "appId", Of: func(c usedConnection) any { return c.AppID }, Wide: true},
	{Name: "usedBy", Of: func(c usedConnection) any { return c.UsedBy }},
}

// connectionDetails are the fields of connection list and show: besides, what the cycles
// have learnt.
var connectionDetails = slices.Concat(connectionFields, []ui.Field[usedConnection]{
	{Name: "refuses", Of: func(c usedConnection) any { return strings.TrimSpace(c.Health.Code + " " + c.Health.Message) }, Sparse: true},
	{Name: "refusesSince", Of: func(c usedConnection) any { return c.Health.Since }, Sparse: true},
	{Name: "requestsUsed", Of: func(c usedConnection) any { return c.told(c.Health.Usage.Used) }, Sparse: true},
	{Name: "requestsAllowed", Of: func(c usedConnection) any { return c.told(c.Health.Usage.Limit) }, Sparse: true},
	{Name: "requestsReserved", Of: func(c usedConnection) any { return c.told(c.Health.Usage.Reserve) }, Wide: true},
	{Name: "requestsTold", Of: func(c usedConnection) any { return c.Health.Usage.At }, Wide: true},
})

// reference shows where a secret is found, but of a command only its first word: the
// rest may say too much.
func reference(ref string) string {
	command, ok := strings.CutPrefix(ref, "cmd:")
	if !ok {
		return ref
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(command), " ")
	if rest != "" {
		word += " ..."
	}
	return "cmd:" + word
}

// used joins connections with the organizations that use them.
func used(list []roster.Connection, orgs []roster.Organization, health []engine.Health) []usedConnection {
	all := make([]usedConnection, len(list))
	for i, c := range list {
		all[i].Connection = c
		for _, h := range health {
			if h.Connection == c.Name {
				all[i].Health = h
			}
		}
		for _, o := range orgs {
			if o.CRM == c.Name || o.Mail == c.Name {
				all[i].UsedBy = append(all[i].UsedBy, o.Name)
			}
		}
	}
	return all
}

type connectionAddOptions struct {
	outputOptions
	writeOptions
	connection roster.Connection
}

func newConnectionAdd(app *App, run func(context.Context, *App, connectionAddOptions) error) *cobra.Command {
	var opts connectionAddOptions
	if run == nil {
		run = runConnectionAdd
	}
	cmd := &cobra.Command{
		Use:   "add NAME --kind KIND",
		Short: "Add a connection to a CRM organization or a mail tenant",
		Long: `Add a connection to a CRM organization or a mail tenant.

No secret is given on the command line or stored: --secret and --token say where it is
found, as env:NAME, file:PATH, cmd:COMMAND or keyring:NAME. --certificate takes the
same, or the path of a file.

No call is made. "crmsync check crm" and "crmsync check mailbox" prove the connection.`,
		Example: `  crmsync connection add m365 --kind graph --tenant contoso.example --client-id 11111111-2222-3333-4444-555555555555 --secret env:M365_SECRET
  crmsync connection add m365 --kind graph --tenant contoso.example --client-id 11111111-2222-3333-4444-555555555555 --certificate /etc/crmsync/m365.pem
  crmsync connection add sf --kind salesforce --endpoint https://acme.my.salesforce.com --client-id 3MVG9 --secret keyring:salesforce`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.connection.Name = args[0]
			return run(cmd.Context(), app, opts)
		},
	}
	opts.outputOptions.addFlags(cmd, ui.Names(connectionFields))
	fs := cmd.Flags()
	opts.writeOptions.addFlags(fs)
	c := &opts.connection
	fs.StringVar(&c.Kind, "kind", "", "`KIND` of system: "+strings.Join(admin.Kinds(), " or "))
	fs.StringVar(&c.Endpoint, "endpoint", "", "`URL` of the system; needed for salesforce, else the vendor's own")
	fs.StringVar(&c.TokenEndpoint, "token-endpoint", "", "`URL` that gives tokens, if it is not the vendor's own")
	fs.StringVar(&c.Auth, "auth", "", "`HOW` we prove who we are (default: what the given secret is for)")
	fs.StringVar(&c.Tenant, "tenant", "", "`ID` or domain of the Microsoft 365 tenant")
	fs.StringVar(&c.ClientID, "client-id", "", "`ID` of the application")
	fs.StringVar(&c.Username, "username", "", "`USER` that a JWT speaks for")
	fs.StringVar(&c.Secret, "secret", "", "where the secret is found: `REFERENCE`")
	fs.StringVar(&c.Token, "token", "", "where the token is found: `REFERENCE`")
	fs.StringVar(&c.Certificate, "certificate", "", "`FILE` of the certificate or key, or a reference to it")
	fs.StringVar(&c.StampField, "stamp-field", "", "API `NAME` of the CRM's external-id field for our stamps")
	fs.StringVar(&c.AppID, "app-id", "", "`ID` of the add-in in the organization's app catalogue")
	mustRequire(cmd, "kind")
	mustComplete(cmd, "kind", func(string) []string { return admin.Kinds() })
	mustComplete(cmd, "auth", func(string) []string {
		if kind := opts.connection.Kind; kind != "" {
			return admin.Proofs(kind)
		}
		var all []string
		for _, k := range admin.Kinds() {
			all = append(all, admin.Proofs(k)...)
		}
		slices.Sort(all)
		return slices.Compact(all)
	})
	for _, flag := range []string{"secret", "token"} {
		mustComplete(cmd, flag, func(string) []string { return []string{"env:", "file:", "cmd:", "keyring:"} })
	}
	return cmd
}

func runConnectionAdd(ctx context.Context, app *App, opts connectionAddOptions) error {
	// What is typed wrong is said before a state is made.
	c := admin.Complete(opts.connection)
	if err := admin.CheckConnection(c); err != nil {
		return err
	}
	st, err := app.stateFor(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	if err := app.admin(st).AddConnection(ctx, c, opts.dryRun); err != nil {
		return err
	}
	app.Notice("%s connection %s; use it with: crmsync org add NAME --%s %s", wouldOr(opts.dryRun, "added"), c.Name, sideFlag(c.Kind), c.Name)
	return app.print(&opts.outputOptions, ui.One(connectionFields, usedConnection{Connection: c}))
}

// sideFlag is the flag of org add that takes a connection of a kind.
func sideFlag(kind string) string {
	if admin.SideOf(kind) == "crm" {
		return "crm"
	}
	return "mail"
}

// wouldOr says that something was done, or in a dry run that it would have been.
func wouldOr(dry bool, participle string) string {
	if dry {
		return "dry run, nothing was written: would have " + participle
	}
	return participle
}

// mustRequire marks a flag as required. It panics if there is none, which a test that
// builds the tree finds.
func mustRequire(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err)
	}
}

type connectionListOptions struct {
	outputOptions
}

func newConnectionList(app *App, run func(context.Context, *App, connectionListOptions) error) *cobra.Command {
	var opts connectionListOptions
	if run == nil {
		run = runConnectionList
	}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the connections and who uses them",
		Example: `  crmsync connection list
  crmsync connection list -o json --jq '.[] | select(.usedBy == []) | .name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(connectionDetails))
	return cmd
}

func runConnectionList(ctx context.Context, app *App, opts connectionListOptions) error {
	all, err := app.connections(ctx)
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.List(connectionDetails, all))
}

// connections reads the connections with the organizations that use them.
func (app *App) connections(ctx context.Context) ([]usedConnection, error) {
	st, err := app.reading(ctx)
	if err != nil {
		return nil, err
	}
	list, err := st.Connections(ctx)
	if err != nil {
		return nil, err
	}
	orgs, err := st.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	health, err := st.Health(ctx)
	if err != nil {
		return nil, err
	}
	return used(list, orgs, health), nil
}

type connectionShowOptions struct {
	outputOptions
	name string
}

func newConnectionShow(app *App, run func(context.Context, *App, connectionShowOptions) error) *cobra.Command {
	var opts connectionShowOptions
	if run == nil {
		run = runConnectionShow
	}
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one connection",
		Example: `  crmsync connection show sf
  crmsync connection show sf -o yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: app.completeNames(app.connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.name = args[0]
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(connectionDetails))
	return cmd
}

func runConnectionShow(ctx context.Context, app *App, opts connectionShowOptions) error {
	all, err := app.connections(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(c usedConnection) bool { return c.Name == opts.name })
	if i < 0 {
		return noConnection(opts.name)
	}
	return app.print(&opts.outputOptions, ui.One(connectionDetails, all[i]))
}

// noConnection is the error of a name that no connection has.
func noConnection(name string) error {
	return fail(codeNoConnection, name, "there is no connection of this name")
}

type connectionRemoveOptions struct {
	writeOptions
	confirmOptions
	name string
}

func newConnectionRemove(app *App, run func(context.Context, *App, connectionRemoveOptions) error) *cobra.Command {
	var opts connectionRemoveOptions
	if run == nil {
		run = runConnectionRemove
	}
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a connection that no organization uses",
		Example: `  crmsync connection remove sf-test
  crmsync connection remove sf-test --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: app.completeNames(app.connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			opts.name = args[0]
			return run(cmd.Context(), app, opts)
		},
	}
	opts.writeOptions.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "answer the question with yes")
	return cmd
}

func runConnectionRemove(ctx context.Context, app *App, opts connectionRemoveOptions) error {
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	if c, err := app.config(); err == nil && slices.ContainsFunc(c.Connections, func(c roster.Connection) bool { return c.Name == opts.name }) {
		return fail(codeConfig, c.File, fmt.Sprintf("declares connection %s, so it would come back at once", opts.name)).
			do("take it out of the file")
	}
	if _, err := st.Connection(ctx, opts.name); errors.Is(err, admin.ErrNotFound) {
		return noConnection(opts.name)
	}
	ad := app.admin(st)
	// A removal that would be refused is refused before anybody is asked.
	if err := ad.RemoveConnection(ctx, opts.name, true); err != nil {
		return err
	}
	if !opts.dryRun {
		if err := app.sure(opts.yes, "remove connection "+opts.name); err != nil {
			return err
		}
		if err := ad.RemoveConnection(ctx, opts.name, false); err != nil {
			return err
		}
	}
	app.Notice("%s connection %s", wouldOr(opts.dryRun, "removed"), opts.name)
	return nil
}

// sure asks once whether to do something that is not about users.
func (app *App) sure(yes bool, what string) error {
	if yes {
		return nil
	}
	if !app.CanAsk() {
		return fail(codeUnconfirmed, "", what+" asks first, and nobody is at a terminal to answer").do("give --yes")
	}
	ok, err := app.Confirm(upperFirst(what) + "?")
	if err != nil {
		return err
	}
	if !ok {
		return fail(codeCancelled, "", "nothing was done")
	}
	return nil
}

// completeNames completes one argument out of names.
func (app *App) completeNames(names func(context.Context) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return names(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	}
}
