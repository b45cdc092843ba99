package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/sandbox"
)

func newSandbox(app *App) *cobra.Command {
	return newNoun("sandbox", "", "A CRM and mailboxes on this machine, for trying things out",
		newSandboxStart(app, nil),
		newSandboxStop(app, nil),
		newSandboxReset(app, nil),
		newSandboxList(app, nil),
		newSandboxEdit(app, nil),
		newSandboxLoad(app, nil),
	)
}

// defaultSandbox is the directory of a sandbox if none is named.
const defaultSandbox = "crmsync-sandbox"

func addDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", defaultSandbox, "the `DIRECTORY` of the sandbox")
	if err := cmd.MarkFlagDirname("dir"); err != nil {
		panic(err) // the flag was declared in the line above
	}
}

// runningSandbox is a sandbox that was started.
type runningSandbox struct {
	sandbox.Endpoints
	Dir string
}

// sandboxFields are the fields of sandbox start.
var sandboxFields = []ui.Field[runningSandbox]{
	{Name: "dir", Of: func(s runningSandbox) any { return s.Dir }},
	{Name: "config", Of: func(s runningSandbox) any { return s.Config }},
	{Name: "graph", Of: func(s runningSandbox) any { return s.Graph }},
	{Name: "graphToken", Of: func(s runningSandbox) any { return s.GraphToken }},
	{Name: "salesforce", Of: func(s runningSandbox) any { return s.Salesforce }},
	{Name: "salesforceToken", Of: func(s runningSandbox) any { return s.SalesforceToken }},
	{Name: "tenant", Of: func(s runningSandbox) any { return s.Tenant }},
	{Name: "clientId", Of: func(s runningSandbox) any { return s.ClientID }},
	{Name: "control", Of: func(s runningSandbox) any { return s.Control }},
	{Name: "pid", Of: func(s runningSandbox) any { return s.PID }},
}

type sandboxStartOptions struct {
	outputOptions
	dir      string
	users    int
	contacts int
	seed     uint64
	detach   bool
	json     bool
}

func newSandboxStart(app *App, run func(context.Context, *App, sandboxStartOptions) error) *cobra.Command {
	var opts sandboxStartOptions
	if run == nil {
		run = runSandboxStart
	}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start a CRM and a mail system on this machine, with made-up people",
		Long: `Start servers on this machine that speak Salesforce's and Microsoft Graph's protocols, filled
with made-up people and contacts. They write a configuration with both connections and one
organization into their directory, so that every other command works against them.

The sandbox runs until Ctrl-C; with --detach it runs in the background until "crmsync
sandbox stop". Its data stays in the directory. --users, --contacts and --seed count for a
new one only.`,
		Example: `  crmsync sandbox start
  crmsync sandbox start --dir sb --users 5 --contacts 200 --seed 1 --detach
  export CRMSYNC_CONFIG=$PWD/sb/crmsync.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.users < 1 || opts.contacts < 0 {
				return usage(cmd, "--users must be at least 1, and --contacts not negative")
			}
			if opts.json && opts.format == "" {
				opts.format = "json"
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(sandboxFields))
	addDirFlag(cmd, &opts.dir)
	fs := cmd.Flags()
	fs.IntVar(&opts.users, "users", 5, "how many `PEOPLE` there are")
	fs.IntVar(&opts.contacts, "contacts", 200, "how many `CONTACTS` there are in the CRM for each of them; a few of them belong to somebody else")
	fs.Uint64Var(&opts.seed, "seed", 1, "what the data is made from: the same `NUMBER` makes the same data")
	fs.BoolVar(&opts.detach, "detach", false, "run in the background")
	fs.BoolVar(&opts.json, "json", false, "the same as -o json")
	return cmd
}

func runSandboxStart(ctx context.Context, app *App, opts sandboxStartOptions) error {
	dir, err := filepath.Abs(opts.dir)
	if err != nil {
		return err
	}
	if opts.detach {
		return app.detachSandbox(ctx, opts, dir)
	}
	sb, err := sandbox.Start(ctx, sandbox.Options{
		Dir: dir, Users: opts.users, Contacts: orNone(opts.contacts), Seed: opts.seed,
		Now: app.Now, Random: app.Random,
	})
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	if err := app.showSandbox(opts, runningSandbox{sb.Endpoints(), dir}); err != nil {
		return errors.Join(err, sb.Stop()) //nolint:contextcheck // it is stopped also when nobody waits any more
	}
	app.Notice("runs until Ctrl-C; its data stays in %s", opts.dir)
	return sb.Serve(ctx)
}

// orNone spells no contacts as the sandbox does, to whom zero means the usual number.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// sandboxPatience is how long a sandbox may take to come up.
const sandboxPatience = 30 * time.Second

// sandboxLog is where a sandbox in the background says what goes wrong.
const sandboxLog = "sandbox.log"

// detachSandbox starts this program again in the background and waits until the
// sandbox answers.
func (app *App) detachSandbox(ctx context.Context, opts sandboxStartOptions, dir string) error {
	if _, err := sandbox.Open(ctx, dir); err == nil {
		return sandboxError(opts.dir, sandbox.ErrRunning)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(codeFile, dir, reason(err)).from(err)
	}
	log := filepath.Join(dir, sandboxLog)
	pid, err := app.Spawn(log, "sandbox", "start", "--dir", dir,
		"--users", strconv.Itoa(opts.users), "--contacts", strconv.Itoa(opts.contacts),
		"--seed", strconv.FormatUint(opts.seed, 10), "--quiet", "-o", "json")
	if err != nil {
		return fail(codeSandbox, opts.dir, "cannot be started: "+err.Error()).from(err)
	}
	tick, stop := app.Tick(50 * time.Millisecond)
	defer stop()
	for began := app.Now(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
		}
		client, err := sandbox.Open(ctx, dir)
		if err == nil {
			status, err := client.Status(ctx)
			if err != nil {
				return sandboxError(opts.dir, err)
			}
			return app.showSandbox(opts, runningSandbox{status.Endpoints, dir})
		}
		ended := !app.Alive(pid)
		if ended || app.Now().Sub(began) > sandboxPatience {
			what := "did not come up in time"
			if ended {
				what = "ended before it came up"
			}
			return fail(codeSandbox, opts.dir, what).
				because(or(firstLineOf(log), "it said nothing")).do("see " + log)
		}
	}
}

// firstLineOf returns the first line of a file.
func firstLineOf(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return firstLine(strings.TrimSpace(string(text)))
}

// showSandbox prints where a sandbox is, and what to type next.
func (app *App) showSandbox(opts sandboxStartOptions, sb runningSandbox) error {
	if !opts.plain() || !app.OutTTY {
		return app.print(&opts.outputOptions, ui.One(sandboxFields, sb))
	}
	page := app.Page()
	page.Heading("The sandbox is running")
	page.Text("Salesforce     %s", sb.Salesforce)
	page.Text("Microsoft 365  %s", sb.Graph)
	page.Text("configuration  %s", sb.Config)
	page.Blank()
	page.Next("export CRMSYNC_CONFIG="+sb.Config, "")
	page.Next("crmsync users import --from directory", "take its people over")
	page.Next("crmsync sync enable --all", "")
	page.Next("crmsync sync plan --all --summary", "see what would happen")
	page.Next("crmsync sync run --allow-create-in-crm", "")
	page.Next("crmsync sandbox stop --dir "+opts.dir, "")
	return page.Err()
}

// sandboxError turns an error of the sandbox into advice.
func sandboxError(dir string, err error) error {
	var own *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return err
	case errors.Is(err, sandbox.ErrNotRunning):
		return fail(codeSandbox, dir, "the sandbox is not running").from(err).try("crmsync sandbox start --detach --dir " + dir)
	case errors.Is(err, sandbox.ErrRunning):
		return fail(codeSandbox, dir, "the sandbox is running already").from(err).try("crmsync sandbox stop --dir " + dir)
	case errors.Is(err, sandbox.ErrNotFound), errors.Is(err, sandbox.ErrAmbiguous):
		e := fail(codeSandbox, "", err.Error()).from(err).try("crmsync sandbox list --dir " + dir)
		e.status = exitUsage
		return e
	case errors.Is(err, context.Canceled):
		return err
	}
	return fail(codeSandbox, dir, err.Error()).from(err)
}

type sandboxDirOptions struct {
	writeOptions
	dir string
}

func newSandboxStop(app *App, run func(context.Context, *App, sandboxDirOptions) error) *cobra.Command {
	var opts sandboxDirOptions
	if run == nil {
		run = runSandboxStop
	}
	cmd := &cobra.Command{
		Use:     "stop",
		Short:   "Stop a sandbox that runs in the background; its data stays",
		Example: `  crmsync sandbox stop --dir sb`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), app, opts)
		},
	}
	addDirFlag(cmd, &opts.dir)
	return cmd
}

func runSandboxStop(ctx context.Context, app *App, opts sandboxDirOptions) error {
	client, err := sandbox.Open(ctx, opts.dir)
	if errors.Is(err, sandbox.ErrNotRunning) {
		app.Notice("the sandbox in %s is not running", opts.dir)
		return nil
	}
	if err == nil {
		err = client.Stop(ctx)
	}
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	app.Notice("the sandbox in %s has stopped; its data stays", opts.dir)
	return nil
}

func newSandboxReset(app *App, run func(context.Context, *App, sandboxDirOptions) error) *cobra.Command {
	var opts sandboxDirOptions
	if run == nil {
		run = runSandboxReset
	}
	cmd := &cobra.Command{
		Use:     "reset",
		Short:   "Give a sandbox the data back that it began with",
		Example: `  crmsync sandbox reset --dir sb`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), app, opts)
		},
	}
	addDirFlag(cmd, &opts.dir)
	opts.addFlags(cmd.Flags())
	return cmd
}

func runSandboxReset(ctx context.Context, app *App, opts sandboxDirOptions) error {
	if opts.dryRun {
		app.Notice("dry run: the sandbox in %s would be reset", opts.dir)
		return nil
	}
	client, err := sandbox.Open(ctx, opts.dir)
	switch {
	case errors.Is(err, sandbox.ErrNotRunning):
		err = sandbox.Clear(ctx, opts.dir)
	case err == nil:
		err = client.Reset(ctx)
	}
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	app.Notice("the sandbox in %s has its first data again; a state that knows the old data should go as well", opts.dir)
	return nil
}

// sideOptions say on which side of a sandbox to act.
type sideOptions struct {
	crm     bool
	mailbox string
}

func (o *sideOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.crm, "crm", false, "act in the CRM")
	cmd.Flags().StringVar(&o.mailbox, "mailbox", "", "act in the mailbox of a `USER`")
	cmd.MarkFlagsOneRequired("crm", "mailbox")
	cmd.MarkFlagsMutuallyExclusive("crm", "mailbox")
}

// sandboxContactFields are the fields of sandbox list.
var sandboxContactFields = []ui.Field[sandbox.Contact]{
	{Name: "id", Of: func(c sandbox.Contact) any { return c.ID }},
	{Name: "name", Of: func(c sandbox.Contact) any { return c.Name }},
	{Name: "owner", Of: func(c sandbox.Contact) any { return c.Owner }, Sparse: true},
	{Name: "folder", Of: func(c sandbox.Contact) any { return c.Folder }, Sparse: true},
	{Name: "fields", Of: func(c sandbox.Contact) any { return map[string]string(c.Fields) }},
	{Name: "deleted", Of: func(c sandbox.Contact) any { return c.Deleted }, Wide: true},
	{Name: "modified", Of: func(c sandbox.Contact) any { return c.Modified }, Wide: true},
}

type sandboxListOptions struct {
	outputOptions
	sideOptions
	dir   string
	owner string
}

func newSandboxList(app *App, run func(context.Context, *App, sandboxListOptions) error) *cobra.Command {
	var opts sandboxListOptions
	if run == nil {
		run = runSandboxList
	}
	cmd := &cobra.Command{
		Use:   "list {--crm | --mailbox USER}",
		Short: "List the contacts on one side of a sandbox",
		Example: `  crmsync sandbox list --dir sb --crm --owner ann@example.com
  crmsync sandbox list --dir sb --mailbox ann@example.com -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.outputOptions.addFlags(cmd, ui.Names(sandboxContactFields))
	opts.sideOptions.addFlags(cmd)
	addDirFlag(cmd, &opts.dir)
	cmd.Flags().StringVar(&opts.owner, "owner", "", "with --crm, only what this `USER` owns")
	return cmd
}

func runSandboxList(ctx context.Context, app *App, opts sandboxListOptions) error {
	client, err := sandbox.Open(ctx, opts.dir)
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	side, user := sandbox.CRM, opts.owner
	if !opts.crm {
		side, user = sandbox.Mailbox, opts.mailbox
	}
	list, err := client.Contacts(ctx, side, user)
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	return app.print(&opts.outputOptions, ui.List(sandboxContactFields, list))
}

type sandboxEditOptions struct {
	sideOptions
	writeOptions
	dir     string
	owner   string
	folder  string
	create  bool
	remove  bool
	contact string
	fields  sandbox.Fields
}

func newSandboxEdit(app *App, run func(context.Context, *App, sandboxEditOptions) error) *cobra.Command {
	var opts sandboxEditOptions
	if run == nil {
		run = runSandboxEdit
	}
	cmd := &cobra.Command{
		Use:   "edit {--crm | --mailbox USER} [CONTACT] [FIELD=VALUE...]",
		Short: "Change a contact of a sandbox as a person would",
		Long: `Change, create or delete a contact in a sandbox's CRM or in one of its mailboxes, as a person
would. A contact is named by its id, its whole name or an e-mail address. In the CRM the
fields are those of Salesforce, such as Phone, Title, MailingCity; in a mailbox those of
Microsoft Graph, such as mobilePhone, jobTitle, businessAddress.city. An empty value clears.`,
		Example: `  crmsync sandbox edit --dir sb --crm "Maya Lindqvist" Phone="+1 555 0100"
  crmsync sandbox edit --dir sb --mailbox ann@example.com "Maya Lindqvist" jobTitle=Owner
  crmsync sandbox edit --dir sb --crm --create --owner ann@example.com LastName=New Email=new@example.org
  crmsync sandbox edit --dir sb --mailbox ann@example.com --delete "Maya Lindqvist"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.create && opts.remove {
				return usage(cmd, "--create and --delete exclude each other")
			}
			if !opts.create {
				if len(args) == 0 {
					return usage(cmd, "name the contact, or give --create")
				}
				opts.contact, args = args[0], args[1:]
			}
			opts.fields = sandbox.Fields{}
			for _, arg := range args {
				name, value, ok := strings.Cut(arg, "=")
				if !ok {
					return usage(cmd, "%q is not FIELD=VALUE", arg)
				}
				opts.fields[name] = value
			}
			if len(opts.fields) == 0 && !opts.remove {
				return usage(cmd, "name the fields to set as FIELD=VALUE")
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.sideOptions.addFlags(cmd)
	opts.writeOptions.addFlags(cmd.Flags())
	addDirFlag(cmd, &opts.dir)
	fs := cmd.Flags()
	fs.BoolVar(&opts.create, "create", false, "make a new contact")
	fs.BoolVar(&opts.remove, "delete", false, "delete the contact")
	fs.StringVar(&opts.owner, "owner", "", "with --crm --create, the `USER` who owns it")
	fs.StringVar(&opts.folder, "folder", "", "with --mailbox --create, the `FOLDER` it is put into")
	return cmd
}

func runSandboxEdit(ctx context.Context, app *App, opts sandboxEditOptions) error {
	client, err := sandbox.Open(ctx, opts.dir)
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	if opts.dryRun {
		app.Notice("dry run: nothing was changed")
		return nil
	}
	id := ""
	switch {
	case opts.create && opts.crm:
		id, err = client.CreateCRM(ctx, opts.owner, opts.fields)
	case opts.create:
		id, err = client.CreateMailbox(ctx, opts.mailbox, opts.folder, opts.fields)
	case opts.remove && opts.crm:
		err = client.DeleteCRM(ctx, opts.contact)
	case opts.remove:
		err = client.DeleteMailbox(ctx, opts.mailbox, opts.contact)
	case opts.crm:
		err = client.EditCRM(ctx, opts.contact, opts.fields)
	default:
		err = client.EditMailbox(ctx, opts.mailbox, opts.contact, opts.fields)
	}
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	if id != "" {
		_, err = fmt.Fprintln(app.Out, id)
	}
	return err
}

// loadFile is what became of a file, or of one row of it.
type loadFile struct {
	File    string
	Result  engine.SessionResult
	Created int
	Updated int
	Message string
}

// loadFields are the fields of sandbox load.
var loadFields = []ui.Field[loadFile]{
	{Name: "file", Of: func(l loadFile) any { return l.File }},
	{Name: "result", Of: func(l loadFile) any { return string(l.Result) }, Word: true},
	{Name: "created", Of: func(l loadFile) any { return l.Created }},
	{Name: "updated", Of: func(l loadFile) any { return l.Updated }},
	{Name: "message", Of: func(l loadFile) any { return l.Message }, Sparse: true},
}

type sandboxLoadOptions struct {
	outputOptions
	sideOptions
	writeOptions
	dir    string
	owner  string
	folder string
	file   string
}

func newSandboxLoad(app *App, run func(context.Context, *App, sandboxLoadOptions) error) *cobra.Command {
	var opts sandboxLoadOptions
	if run == nil {
		run = runSandboxLoad
	}
	cmd := &cobra.Command{
		Use:   "load {--crm | --mailbox USER} FILE",
		Short: "Fill a sandbox with a person's own export",
		Long: `Load contacts from a file into a sandbox's CRM (CSV with the names of Salesforce's fields) or
into one of its mailboxes (CSV with the names of Microsoft Graph or as Outlook exports it,
or vCard).`,
		Example: `  crmsync sandbox load --dir sb --crm contacts.csv --owner ann@example.com
  crmsync sandbox load --dir sb --mailbox ann@example.com contacts.vcf`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.file = args[0]
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.outputOptions.addFlags(cmd, ui.Names(loadFields))
	opts.sideOptions.addFlags(cmd)
	opts.writeOptions.addFlags(cmd.Flags())
	addDirFlag(cmd, &opts.dir)
	cmd.Flags().StringVar(&opts.owner, "owner", "", "with --crm, the `USER` who owns the contacts (default the first)")
	cmd.Flags().StringVar(&opts.folder, "folder", "", "with --mailbox, the `FOLDER` to load into (default CRM)")
	return cmd
}

func runSandboxLoad(ctx context.Context, app *App, opts sandboxLoadOptions) error {
	text, err := os.ReadFile(opts.file)
	if err != nil {
		return fail(codeFile, opts.file, reason(err)).from(err)
	}
	file := bytes.NewReader(text)
	client, err := sandbox.Open(ctx, opts.dir)
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	if opts.dryRun {
		app.Notice("dry run: nothing was loaded")
		return nil
	}
	var res sandbox.LoadResult
	if opts.crm {
		res, err = client.LoadCRM(ctx, file, opts.owner)
	} else {
		res, err = client.LoadMailbox(ctx, opts.mailbox, opts.folder, file)
	}
	if err != nil {
		return sandboxError(opts.dir, err)
	}
	if len(res.Unknown) > 0 {
		slices.Sort(res.Unknown)
		app.Notice("%s: these columns have no place and were left out: %s", opts.file, strings.Join(res.Unknown, ", "))
	}
	list := []loadFile{{File: opts.file, Result: engine.ResultDone, Created: res.Created, Updated: res.Updated}}
	for _, p := range res.Problems {
		list = append(list, loadFile{
			File: fmt.Sprintf("%s:%d", opts.file, p.Row), Result: engine.ResultFailed, Message: p.Message,
		})
	}
	if err := app.print(&opts.outputOptions, ui.List(loadFields, list)); err != nil {
		return err
	}
	if len(res.Problems) > 0 {
		return statusError(exitPartial)
	}
	return nil
}
