package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/config"
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
	Held        int
	OnHold      int
	Failures    int
	Reason      string
	Fix         string
	// refused: a connection refuses everyone.
	refused bool
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

// late is after how long without a success an active user needs a look: when two cycles
// have come to nothing.
const late = 2 * engine.Interval

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
	health, err := st.Health(ctx)
	if err != nil {
		return err
	}
	list, err := standings(members(users, orgs), refusals(orgs, health), app.Now(), func(user int64) (engine.Session, error) {
		sessions, err := st.Sessions(ctx, user, 1)
		if err != nil || len(sessions) == 0 {
			return engine.Session{}, err
		}
		return sessions[0], nil
	})
	if err != nil {
		return err
	}
	if app.OutTTY && opts.screen(app.cfg) {
		last, err := st.Sessions(ctx, 0, 1)
		if err != nil {
			return err
		}
		return app.screen(list, orgs, health, last)
	}
	return app.print(&opts.outputOptions, ui.List(statusFields, list))
}

// plain reports whether nothing was asked of the output.
func (o *outputOptions) plain() bool {
	return o.format == "" && len(o.fields) == 0 && o.jq == "" && o.template == ""
}

// screen reports whether nothing but the screen for a person was asked for.
func (o *outputOptions) screen(cfg *config.Config) bool {
	format := or(o.format, cfg.Output)
	return oneOf(format, "", "table") && len(o.fields) == 0 && o.jq == "" && o.template == ""
}

// refusals returns by organization the connection that refuses us as a whole.
func refusals(orgs []roster.Organization, health []engine.Health) map[string]engine.Health {
	out := map[string]engine.Health{}
	for _, h := range health {
		for _, o := range orgs {
			if h.Code != "" && (o.CRM == h.Connection || o.Mail == h.Connection) {
				out[o.Name] = h
			}
		}
	}
	return out
}

// standings derives where users stand; those who need a person come first. refuses are
// the connections that refuse us, by organization; last finds a user's last session.
func standings(ms []member, refuses map[string]engine.Health, now time.Time, last func(user int64) (engine.Session, error)) ([]standing, error) {
	list := make([]standing, len(ms))
	for i, m := range ms {
		s := standing{
			User: m.Email, Effective: m.Effective.State, Mailbox: m.Mailbox,
			LastSuccess: m.LastSuccess, NextDue: m.NextDue, Issues: m.Issues, Held: m.Held, OnHold: m.OnHold, Failures: m.Failures,
			Reason: m.Reason, Fix: m.Effective.Fix,
		}
		if s.Effective == roster.Active {
			var session engine.Session
			if m.LastStart.After(m.LastSuccess) {
				var err error
				if session, err = last(m.ID); err != nil {
					return nil, err
				}
			}
			if h, ok := refuses[m.Org]; ok {
				s.Reason, s.Fix = refusal(h, now), "crmsync connection show "+h.Connection
				s.refused = true
			} else {
				s.Reason, s.Fix = concern(m, session, now)
			}
		}
		list[i] = s
	}
	slices.SortStableFunc(list, func(a, b standing) int { return a.rank() - b.rank() })
	return list, nil
}

// concern is why a user who is active needs a look, and the command that helps, or
// nothing. last is his last session, if it was not a success.
func concern(m member, last engine.Session, now time.Time) (reason, fix string) {
	cycle := "the last cycle"
	if m.LastSuccess.IsZero() {
		cycle = "the first cycle"
	}
	overdue := now.Sub(m.LastSuccess) > late
	switch {
	case m.LastStart.IsZero():
		return "never ran", "crmsync sync run " + m.Email
	case last.ID != 0 && last.Ended.IsZero():
		if !overdue {
			break
		}
		return fmt.Sprintf("%s has been running for %s", cycle, ui.Short(now.Sub(last.Started))), fmt.Sprintf("crmsync sessions show %d", last.ID)
	case last.Result == engine.ResultInterrupted:
		if m.NextDue.After(now) {
			return cycle + " was interrupted", "crmsync sync force " + m.Email
		}
		return cycle + " was interrupted", "crmsync sync run " + m.Email
	case last.Code != "":
		return fmt.Sprintf("%s %s: %s %s", cycle, or(string(last.Result), "failed"), last.Code, last.Message), remedy(last)
	case last.ID != 0 && (overdue || m.Failures > 0):
		return fmt.Sprintf("%s ended as %s", cycle, last.Result), fmt.Sprintf("crmsync sessions show %d", last.ID)
	case overdue:
		return "no cycle for " + ui.Short(now.Sub(m.LastSuccess)), "crmsync sync run " + m.Email
	}
	if m.Held > 0 {
		return guardHolds(m.Held), "crmsync deletes list " + m.Email
	}
	if m.OnHold > 0 {
		return onHold(m.OnHold), "crmsync conflicts list " + m.Email
	}
	if m.Issues > 0 {
		return "some records need a person", "crmsync issues list " + m.Email
	}
	return "", ""
}

func guardHolds(n int) string {
	return "the guard holds " + count(n, "delete") + " until somebody decides"
}

func onHold(n int) string {
	return "conflicts of " + count(n, "record") + " are on hold until somebody decides"
}

// remedy is the command that helps a user whose session failed: where the sides did
// not answer as they should, one that asks them, else one that shows the session.
func remedy(s engine.Session) string {
	switch s.Code {
	case engine.CodeAccess, engine.CodeConnection, engine.CodeTransient, engine.CodeSetup, engine.CodeMapping, engine.CodeUnresolvable:
		return "crmsync check all " + s.User
	case engine.CodeContainer:
		return "crmsync mailbox reapply " + s.User
	}
	return fmt.Sprintf("crmsync sessions show %d", s.ID)
}

// rank orders by how much a user needs a person.
func (s standing) rank() int {
	switch {
	case s.Effective == "disabled":
		return 3
	case s.Effective != roster.Active, s.refused:
		return 0
	case s.Reason != "" && (s.Issues == 0 || s.Held > 0):
		return 1
	case s.Reason != "":
		return 2
	}
	return 4
}

// refusal says that a connection refuses us, since when and why.
func refusal(h engine.Health, now time.Time) string {
	return fmt.Sprintf("connection %s has refused us for %s: %s %s", h.Connection, ui.Short(now.Sub(h.Since)), h.Code, h.Message)
}

// cause is what users have in common who need the same.
func (s standing) cause() string {
	if s.Effective != roster.Active {
		return s.Effective
	}
	if i := strings.Index(s.Reason, ": CS"); i >= 0 {
		return s.Reason[:min(i+len(": CS0000"), len(s.Reason))]
	}
	return strings.ReplaceAll(s.Fix, s.User, "USER")
}

// grouped puts users with the same cause together, in the order of the list.
func grouped(list []standing) [][]standing {
	var groups [][]standing
	at := map[string]int{}
	for _, s := range list {
		c := s.cause()
		i, ok := at[c]
		if !ok {
			i = len(groups)
			at[c] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], s)
	}
	return groups
}

// fixOf is the one command that helps a group: where a selection can say whom, for all of
// them, else for the first, who stands for the others.
func fixOf(group []standing) string {
	s := group[0]
	switch cause, suspended := strings.CutPrefix(s.Effective, "suspended: "); {
	case len(group) == 1:
	case suspended:
		return "crmsync check all --sync suspended:" + cause
	case s.Effective == "disabled":
		return "crmsync sync enable --sync disabled"
	}
	if list, ok := strings.CutSuffix(s.cause(), " list USER"); ok && len(group) > 1 {
		return list + " list"
	}
	return s.Fix
}

// reasonOf is why a group needs a look: where the reason counts, for all of them.
func reasonOf(group []standing) string {
	held, waiting := 0, 0
	for _, s := range group {
		held += s.Held
		waiting += s.OnHold
	}
	switch group[0].cause() {
	case "crmsync deletes list USER":
		return guardHolds(held)
	case "crmsync conflicts list USER":
		return onHold(waiting)
	}
	return group[0].Reason
}

// budgets draws how much of their budgets the connections have used.
func (app *App) budgets(page *ui.Page, orgs []roster.Organization, health []engine.Health) {
	for _, h := range health {
		isMail := slices.ContainsFunc(orgs, func(o roster.Organization) bool { return o.Mail == h.Connection })
		switch when := ui.Relative(h.Usage.At, app.Now()); {
		case h.Usage.Limit == 0:
		case isMail:
			page.Text("connection %s: the busiest mailbox used %d of %d requests (counted %s)",
				h.Connection, h.Usage.Used, h.Usage.Limit, when)
		default:
			page.Text("connection %s: %d of %d requests used, %d kept for others (told %s)",
				h.Connection, h.Usage.Used, h.Usage.Limit, h.Usage.Reserve, when)
		}
	}
}

// screen draws status for a person: the counts, then those who need something.
func (app *App) screen(list []standing, orgs []roster.Organization, health []engine.Health, last []engine.Session) error {
	byState := map[string]int{}
	var states []string
	issues, held, waiting := 0, 0, 0
	var need []standing
	for _, s := range list {
		if byState[s.Effective] == 0 {
			states = append(states, s.Effective)
		}
		byState[s.Effective]++
		issues += s.Issues
		held += s.Held
		waiting += s.OnHold
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
	if held > 0 {
		page.Item(held, "deletes held: crmsync deletes list")
	}
	if waiting > 0 {
		page.Item(waiting, "records with a conflict on hold: crmsync conflicts list")
	}
	if len(last) > 0 {
		page.Text("last cycle %s: %s, %s", ui.Relative(last[0].Started, app.Now()), last[0].User, sessionResult(last[0]))
	}
	app.budgets(page, orgs, health)
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
	groups := grouped(need)
	for _, g := range groups[:min(len(groups), statusRows)] {
		name := g[0].User
		if len(g) > 1 {
			name = fmt.Sprintf("%s and %d more", name, len(g)-1)
		}
		page.Entry(name, g[0].Effective, reasonOf(g), fixOf(g))
	}
	if n := len(groups) - statusRows; n > 0 {
		page.Text("and %s more: crmsync status -o wide", count(n, "cause"))
	}
	return page.Err()
}
