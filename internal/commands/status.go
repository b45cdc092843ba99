package commands

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// standing is where a user stands, with what to do about it.
type standing struct {
	User        string
	Effective   string
	Mailbox     roster.MailboxState
	LastSuccess time.Time
	NextDue     time.Time
	Issues      int
	Failures    int
	Reason      string
	Fix         string
}

// statusFields are the fields of status.
var statusFields = []ui.Field[standing]{
	{Name: "user", Of: func(s standing) any { return s.User }},
	{Name: "effective", Of: func(s standing) any { return s.Effective }, Word: true},
	{Name: "mailbox", Of: func(s standing) any { return string(s.Mailbox) }, Word: true, Wide: true},
	{Name: "lastSuccess", Of: func(s standing) any { return s.LastSuccess }},
	{Name: "nextDue", Of: func(s standing) any { return s.NextDue }, Wide: true},
	{Name: "issues", Of: func(s standing) any { return s.Issues }, Sparse: true},
	{Name: "failures", Of: func(s standing) any { return s.Failures }, Sparse: true},
	{Name: "reason", Of: func(s standing) any { return s.Reason }, Sparse: true},
	{Name: "fix", Of: func(s standing) any { return s.Fix }, Sparse: true},
}

// late is after how long without a success an active user needs a look.
const late = 24 * time.Hour

// statusRows is how many users status shows on its screen.
const statusRows = 15

type statusOptions struct {
	selectOptions
	outputOptions
}

func newStatus(app *App, run func(context.Context, *App, statusOptions) error) *cobra.Command {
	var opts statusOptions
	if run == nil {
		run = runStatus
	}
	cmd := &cobra.Command{
		Use:   "status " + selectionUse,
		Short: "One screen: who is synchronized, who is not and why, and what fixes it",
		Example: `  crmsync status
  crmsync status --org EMEA
  crmsync status -o json --jq '.[] | select(.effective != "active") | .fix'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := firstError(opts.selectOptions.check(cmd, args), opts.outputOptions.check(cmd)); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.selectOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(statusFields))
	return cmd
}

func runStatus(ctx context.Context, app *App, opts statusOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	users, err := opts.list(ctx, app, st)
	if err != nil {
		return err
	}
	orgs, err := st.Organizations(ctx)
	if err != nil {
		return err
	}
	list := standings(members(users, orgs), app.Now())
	if app.OutTTY && opts.plain() && app.cfg.Output == "" {
		last, err := st.Sessions(ctx, 0, 1)
		if err != nil {
			return err
		}
		return app.screen(list, orgs, last)
	}
	return app.print(&opts.outputOptions, ui.List(statusFields, list))
}

// plain reports whether nothing was asked of the output.
func (o *outputOptions) plain() bool {
	return o.format == "" && len(o.fields) == 0 && o.jq == "" && o.template == ""
}

// standings derives where users stand; those who need a person come first.
func standings(ms []member, now time.Time) []standing {
	list := make([]standing, len(ms))
	for i, m := range ms {
		s := standing{
			User: m.Email, Effective: m.Effective.State, Mailbox: m.Mailbox,
			LastSuccess: m.LastSuccess, NextDue: m.NextDue, Issues: m.Issues, Failures: m.Failures,
			Reason: m.Reason, Fix: m.Effective.Fix,
		}
		switch {
		case s.Effective != roster.Active:
		case m.LastStart.IsZero():
			s.Reason, s.Fix = "never ran", "crmsync sync run "+m.Email
		case now.Sub(m.LastSuccess) > late:
			s.Reason, s.Fix = "no success for a day", "crmsync sessions list "+m.Email
		case m.Failures > 0:
			s.Reason, s.Fix = "the last cycle failed", "crmsync sessions list "+m.Email
		case m.Issues > 0:
			s.Reason, s.Fix = "some records need a person", "crmsync issues list "+m.Email
		}
		list[i] = s
	}
	slices.SortStableFunc(list, func(a, b standing) int { return a.rank() - b.rank() })
	return list
}

// rank orders by how much a user needs a person.
func (s standing) rank() int {
	switch {
	case s.Effective == "disabled":
		return 3
	case s.Effective != roster.Active:
		return 0
	case s.Reason != "" && s.Issues == 0:
		return 1
	case s.Reason != "":
		return 2
	}
	return 4
}

// screen draws status for a person: the counts, then those who need something.
func (app *App) screen(list []standing, orgs []roster.Organization, last []engine.Session) error {
	byState := map[string]int{}
	var states []string
	issues := 0
	var need []standing
	for _, s := range list {
		if byState[s.Effective] == 0 {
			states = append(states, s.Effective)
		}
		byState[s.Effective]++
		issues += s.Issues
		if s.rank() != 4 {
			need = append(need, s)
		}
	}
	slices.Sort(states)
	page := app.Page()
	page.Heading("%s in %s", count(len(list), "user"), count(len(orgs), "organization"))
	for _, state := range states {
		page.Item(byState[state], state)
	}
	if issues > 0 {
		page.Item(issues, "records with an issue")
	}
	if len(last) > 0 {
		page.Text("last cycle %s: %s, %s", ui.Relative(last[0].Started, app.Now()), last[0].User, sessionResult(last[0]))
	}
	for _, o := range orgs {
		if !o.Enabled {
			page.Text("organization %s is disabled: crmsync org enable %s", o.Name, o.Name)
		}
	}
	switch {
	case len(list) == 0 && len(orgs) == 0:
		page.Next("crmsync init", "connect a CRM and a mail system")
		page.Next("crmsync demo", "see it work with nothing to set up")
		return page.Err()
	case len(list) == 0:
		page.Next("crmsync users import --from directory", "take the users from both systems")
		return page.Err()
	case len(need) == 0:
		page.Text("everybody is in step")
		return page.Err()
	}
	page.Blank()
	if err := page.Err(); err != nil {
		return err
	}
	shown := need[:min(len(need), statusRows)]
	t := ui.List([]ui.Field[standing]{statusFields[0], statusFields[1], statusFields[3], statusFields[5], statusFields[7], statusFields[8]}, shown)
	if err := app.Print(t, ui.Output{Format: "table", Now: app.Now(), Zone: app.Zone}); err != nil {
		return err
	}
	if len(need) > len(shown) {
		_, err := fmt.Fprintf(app.Out, "and %d more: crmsync status -o wide\n", len(need)-len(shown))
		return err
	}
	return nil
}
