package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/sandbox"
)

type demoOptions struct {
	dir      string
	users    int
	contacts int
}

func newDemo(app *App, run func(context.Context, *App, demoOptions) error) *cobra.Command {
	var opts demoOptions
	if run == nil {
		run = runDemo
	}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole product in ten seconds, with nothing to set up",
		Long: `Start the embedded CRM and mail system with made-up people, synchronize them, let people
edit on both sides, and synchronize again. Every command that is shown is really run. Nothing
outside a temporary directory is touched, and no other machine is spoken to.`,
		Example: `  crmsync demo
  crmsync demo --dir demo      # keep what it made, to go on with`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.users < 1 || opts.contacts < 10 {
				return usage(cmd, "the story needs at least 1 user and 10 contacts")
			}
			return run(cmd.Context(), app, opts)
		},
	}
	cmd.Flags().StringVar(&opts.dir, "dir", "", "keep everything in this `DIRECTORY` (default a temporary one, removed at the end)")
	cmd.Flags().IntVar(&opts.users, "users", 3, "how many `PEOPLE` there are")
	cmd.Flags().IntVar(&opts.contacts, "contacts", 60, "how many `CONTACTS` there are in the CRM for each of them; a few of them belong to somebody else")
	return cmd
}

// The lines of the story, in order.
var story = struct {
	title, scene, people, enable, plan, first, both, work, later, merged, conflict, again, end string
}{
	title:  "crmsync keeps a CRM and Microsoft 365 mailboxes in step. Here it is at work.",
	scene:  "A Salesforce organization and a Microsoft 365 tenant have just been started on this machine:\n%d people, %d contacts each in the CRM, some of them in their mailboxes already.",
	people: "Who is there? The people who are on both sides become users.",
	enable: "Nobody is synchronized until somebody says so.",
	plan:   "What would the first cycle do? Nothing is written yet.",
	first:  "Do it. Contacts born in a mailbox reach the CRM only if they are allowed to.",
	both:   "Both sides hold the same now. Then people go on working:",
	work:   "CRM      %s gets a new phone number\nOutlook  the same contact gets a new job title\nboth     the mobile number of %s changes, to two different values",
	later:  "Half an hour later the next cycle is due. What will it do?",
	merged: "The edits of %s were merged, field by field:",
	conflict: "Both sides had changed the mobile number of %s. The CRM wins,\n" +
		"unless told otherwise, and the value that lost is kept:",
	again: "Another half an hour, and nobody has touched anything. Nothing to do is nothing done:",
	end:   "That is all there is to it. What to type next:",
}

// demo is one telling of the story.
type demo struct {
	app     *App // the App of the commands that are run
	page    *ui.Page
	sandbox *sandbox.Sandbox
	ahead   time.Duration // how far the demo's clock is ahead
}

func runDemo(ctx context.Context, app *App, opts demoOptions) (err error) {
	dir, keep := opts.dir, opts.dir != ""
	if !keep {
		if dir, err = os.MkdirTemp("", "crmsync-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	d := &demo{page: app.Page()}
	now := func() time.Time { return app.Now().Add(d.ahead) }
	d.sandbox, err = sandbox.Start(ctx, sandbox.Options{
		Dir: dir, Users: opts.users, Contacts: opts.contacts, Seed: 1, Now: now, Random: app.Random,
	})
	if err != nil {
		return sandboxError(dir, err)
	}
	defer func() { err = errors.Join(err, d.sandbox.Stop()) }() //nolint:contextcheck // it is stopped also when nobody waits any more
	d.app = app.forDemo(d.sandbox.Endpoints().Config, now)
	if err := d.tell(ctx, opts); err != nil {
		return err
	}
	if keep {
		d.page.Next("crmsync sandbox start --detach --dir "+opts.dir, "the same world again")
		d.page.Next("export CRMSYNC_CONFIG="+filepath.Join(dir, "crmsync.yaml"), "")
		d.page.Next("crmsync status", "")
		return d.page.Err()
	}
	d.page.Next("crmsync sandbox start --detach --dir sb", "the same, to play with")
	d.page.Next("export CRMSYNC_CONFIG=$PWD/sb/crmsync.yaml", "")
	d.page.Next("crmsync users import --from directory", "")
	d.page.Next("crmsync init", "or connect your own CRM and tenant")
	return d.page.Err()
}

// forDemo returns an App that works on the demo's configuration and by its clock, and
// prints tables also in a pipe. What the person has configured does not count.
func (app *App) forDemo(file string, now func() time.Time) *App {
	other := *app
	other.cfg, other.state = nil, nil
	other.Now = now
	other.Getenv = func(name string) string {
		if strings.HasPrefix(name, "CRMSYNC_") {
			return ""
		}
		return app.Getenv(name)
	}
	other.LoadConfig = func(src config.Source) (*config.Config, error) {
		src.File = file
		cfg, err := app.LoadConfig(src)
		if cfg != nil {
			cfg.Output = "table"
		}
		return cfg, err
	}
	return &other
}

// tell tells the story.
func (d *demo) tell(ctx context.Context, opts demoOptions) error {
	p := d.page
	p.Heading("%s", story.title)
	p.Blank()
	p.Text(story.scene, opts.users, opts.contacts)
	people, err := d.sandbox.People(ctx)
	if err != nil {
		return sandboxError("demo", err)
	}
	user := people[0].Email

	steps := []func() error{
		func() error { return d.run(ctx, story.people, "users", "import", "--from", "directory") },
		func() error { return d.run(ctx, story.enable, "sync", "enable", "--all") },
		func() error { return d.run(ctx, story.plan, "sync", "plan", "--all", "--summary") },
		func() error { return d.run(ctx, story.first, "sync", "run", "--allow-create-in-crm") },
		func() error { return d.work(ctx, user) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return p.Err()
}

// run tells a line of the story and runs the command that it is about.
func (d *demo) run(ctx context.Context, line string, args ...string) error {
	d.page.Blank()
	if line != "" {
		d.page.Heading("%s", line)
	}
	d.page.Command("crmsync " + strings.Join(args, " "))
	if err := d.page.Err(); err != nil {
		return err
	}
	status := Main(ctx, d.app, args)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if status != exitOK {
		return fail(codeSandbox, "demo", fmt.Sprintf("the command above failed with status %d", status))
	}
	return nil
}

// work lets people edit on both sides and shows what the next cycles make of it.
func (d *demo) work(ctx context.Context, user string) error {
	merged, clash, err := d.pair(ctx, user)
	if err != nil {
		return err
	}
	p, sb := d.page, d.sandbox
	p.Blank()
	p.Heading("%s", story.both)
	p.Text(story.work, merged.Name, clash.Name)
	edits := []error{
		sb.EditCRM(ctx, merged.ID, sandbox.Fields{"Phone": "+1 415 555 0123"}),
		sb.EditMailbox(ctx, user, merged.Name, sandbox.Fields{"jobTitle": "Head of Logistics"}),
		sb.EditCRM(ctx, clash.ID, sandbox.Fields{"MobilePhone": "+1 415 555 0111"}),
		sb.EditMailbox(ctx, user, clash.Name, sandbox.Fields{"mobilePhone": "+1 415 555 0222"}),
	}
	if err := errors.Join(edits...); err != nil {
		return sandboxError("demo", err)
	}
	d.ahead += 31 * time.Minute
	if err := d.run(ctx, story.later, "sync", "plan", user); err != nil {
		return err
	}
	if err := d.run(ctx, "", "sync", "run"); err != nil {
		return err
	}
	p.Blank()
	p.Heading(story.merged, merged.Name)
	if err := d.show(ctx, user, merged); err != nil {
		return err
	}
	if err := d.run(ctx, fmt.Sprintf(story.conflict, clash.Name), "conflicts", "list", user); err != nil {
		return err
	}
	d.ahead += 31 * time.Minute
	if err := d.run(ctx, story.again, "sync", "run"); err != nil {
		return err
	}
	p.Blank()
	p.Heading("%s", story.end)
	return p.Err()
}

// pair finds two contacts that are on both sides under a name of their own.
func (d *demo) pair(ctx context.Context, user string) (first, second sandbox.Contact, err error) {
	crm, err := d.sandbox.Contacts(ctx, sandbox.CRM, user)
	if err != nil {
		return first, second, sandboxError("demo", err)
	}
	mailbox, err := d.sandbox.Contacts(ctx, sandbox.Mailbox, user)
	if err != nil {
		return first, second, sandboxError("demo", err)
	}
	times := func(list []sandbox.Contact, name string) int {
		n := 0
		for _, c := range list {
			if c.Name == name {
				n++
			}
		}
		return n
	}
	var found []sandbox.Contact
	for _, c := range crm {
		if !c.Deleted && strings.Contains(c.Name, " ") && c.Fields["Email"] != "" && times(crm, c.Name) == 1 && times(mailbox, c.Name) == 1 {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b sandbox.Contact) int { return strings.Compare(a.Name, b.Name) })
	if len(found) < 2 {
		return first, second, fail(codeSandbox, "demo", "no two contacts of the sandbox are on both sides")
	}
	return found[0], found[1], nil
}

// show puts the two sides of a contact beside each other.
func (d *demo) show(ctx context.Context, user string, c sandbox.Contact) error {
	find := func(side sandbox.Side) (sandbox.Fields, error) {
		list, err := d.sandbox.Contacts(ctx, side, user)
		if err != nil {
			return nil, sandboxError("demo", err)
		}
		i := slices.IndexFunc(list, func(x sandbox.Contact) bool { return x.Name == c.Name })
		if i < 0 {
			return nil, fail(codeSandbox, "demo", "a contact is gone")
		}
		return list[i].Fields, nil
	}
	crm, err := find(sandbox.CRM)
	if err != nil {
		return err
	}
	mailbox, err := find(sandbox.Mailbox)
	if err != nil {
		return err
	}
	type line struct{ field, crm, mailbox, from string }
	fields := []ui.Field[line]{
		{Name: "field", Of: func(l line) any { return l.field }},
		{Name: "crm", Of: func(l line) any { return l.crm }},
		{Name: "mailbox", Of: func(l line) any { return l.mailbox }},
		{Name: "edited", Of: func(l line) any { return l.from }},
	}
	lines := []line{
		{"phone", crm["Phone"], mailbox["businessPhones"], "in the CRM"},
		{"job title", crm["Title"], mailbox["jobTitle"], "in Outlook"},
	}
	return d.app.Print(ui.List(fields, lines), ui.Output{Format: "table", Now: d.app.Now(), Zone: d.app.Zone})
}
