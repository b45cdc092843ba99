package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// countFields are what a cycle did, in numbers.
func countFields[T any](of func(T) engine.Counts) []ui.Field[T] {
	field := func(name string, n func(engine.Counts) int) ui.Field[T] {
		return ui.Field[T]{Name: name, Of: func(t T) any { return n(of(t)) }, Sparse: true}
	}
	return []ui.Field[T]{
		field("createdCrm", func(c engine.Counts) int { return c.CreatedCRM }),
		field("createdMailbox", func(c engine.Counts) int { return c.CreatedMailbox }),
		field("updatedCrm", func(c engine.Counts) int { return c.UpdatedCRM }),
		field("updatedMailbox", func(c engine.Counts) int { return c.UpdatedMailbox }),
		field("deletedCrm", func(c engine.Counts) int { return c.DeletedCRM }),
		field("deletedMailbox", func(c engine.Counts) int { return c.DeletedMailbox }),
		field("linked", func(c engine.Counts) int { return c.Linked }),
		field("conflicts", func(c engine.Counts) int { return c.Conflicts }),
		field("held", func(c engine.Counts) int { return c.Held }),
		field("issues", func(c engine.Counts) int { return c.Issues }),
		{Name: "requests", Of: func(t T) any { return of(t).Requests }, Wide: true},
	}
}

// runFields are the fields of sync run and sync force.
var runFields = slices.Concat(
	[]ui.Field[engine.Session]{
		{Name: "user", Of: func(s engine.Session) any { return s.User }},
		{Name: "session", Of: sessionNumber, Sparse: true},
		{Name: "result", Of: func(s engine.Session) any { return string(s.Result) }, Word: true},
		{Name: "code", Of: func(s engine.Session) any { return s.Code }, Sparse: true},
		{Name: "message", Of: func(s engine.Session) any { return s.Message }, Sparse: true},
	},
	countFields(func(s engine.Session) engine.Counts { return s.Counts }),
	[]ui.Field[engine.Session]{
		{Name: "durationMs", Of: func(s engine.Session) any { return s.Ended.Sub(s.Started) }},
	},
)

// sessionNumber is the number of a session, or nothing where no cycle began.
func sessionNumber(s engine.Session) any {
	if s.ID == 0 {
		return nil
	}
	return s.ID
}

type syncRunOptions struct {
	selectOptions
	outputOptions
	writeOptions
	bulkOptions
	canaryOptions
	force       bool
	queue       bool
	allowCreate bool
}

func (o *syncRunOptions) addFlags(cmd *cobra.Command, app *App) {
	o.selectOptions.addFlags(cmd, app)
	o.outputOptions.addFlags(cmd, ui.Names(runFields))
	o.writeOptions.addFlags(cmd.Flags())
	o.bulkOptions.addFlags(cmd.Flags())
	o.canaryOptions.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.allowCreate, "allow-create-in-crm", false, "let records born in a mailbox be created in the CRM; a run of a whole organization allows it for good")
}

func (o *syncRunOptions) check(cmd *cobra.Command, args []string) error {
	return firstError(
		o.selectOptions.check(cmd, args),
		o.outputOptions.check(cmd),
		o.bulkOptions.check(cmd),
		o.canaryOptions.check(cmd, args),
	)
}

func newSyncRun(app *App, run func(context.Context, *App, syncRunOptions) error) *cobra.Command {
	var opts syncRunOptions
	if run == nil {
		run = runSyncRun
	}
	cmd := &cobra.Command{
		Use:   "run " + selectionUse,
		Short: "Run the cycles that are due: what cron calls",
		Long: `Run the cycle of every user who is due. With a selection, run those of the selection who
are due; with --force, run the selection now, at most once a minute for each user.

A user who is being synchronized by another run is skipped. Ctrl-C lets the users who are
running finish what they have begun and then stops; a second one aborts.

With --canary N the first N users run alone. Only if all of them end well, with nothing held
back, the others follow. --limit N leaves it at the first N.

The exit status is 3 if some users failed, and 5 if the guard holds deletes back or the
canary did not end well.`,
		Example: `  crmsync sync run
  crmsync sync run --org EMEA --limit 5 --allow-create-in-crm
  crmsync sync run --all --canary 5 --max-failures 10%
  crmsync sync run ann@example.com --force -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	cmd.Flags().BoolVar(&opts.force, "force", false, "run the selected users now, whether they are due or not")
	return cmd
}

func newSyncForce(app *App, run func(context.Context, *App, syncRunOptions) error) *cobra.Command {
	opts := syncRunOptions{force: true}
	if run == nil {
		run = runSyncRun
	}
	cmd := &cobra.Command{
		Use:   "force " + selectionUse,
		Short: "Run a cycle now, at most once a minute per user",
		Long: `Run a cycle of the selected users now, whether they are due or not. A user can be forced
once a minute; one who is disabled, or whose organization is, cannot be forced. With
--queue the users are only marked as due, and the next run takes them.`,
		Example: `  crmsync sync force ann@example.com
  crmsync sync force --where 'lastSuccess < ago("48h")' --queue`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	cmd.Flags().BoolVar(&opts.queue, "queue", false, "only mark the users as due")
	return cmd
}

func runSyncRun(ctx context.Context, app *App, opts syncRunOptions) error {
	if opts.force {
		if err := opts.need(); err != nil {
			return err
		}
	}
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	var users []roster.User
	var sessions []engine.Session
	selected := opts.given() || opts.force
	if selected {
		var bad []row
		if users, bad, err = opts.resolve(ctx, app, st); err != nil {
			return err
		}
		sessions = sessionsOf(bad)
	}
	if opts.force {
		outcomes := app.admin(st).Force(ctx, users, opts.bulk(len(users), opts.dryRun))
		accepted := users[:0:0]
		var refused []row
		for i, r := range rowsOf(outcomes) {
			if r.Result == engine.ResultDone && !opts.queue {
				accepted = append(accepted, users[i])
			} else {
				refused = append(refused, r)
			}
		}
		users, sessions = accepted, append(sessions, sessionsOf(refused)...)
	}
	var trouble error
	if !selected || len(users) > 0 {
		ran, err := app.runCycles(ctx, st, opts, users, selected)
		if err != nil && len(ran) == 0 {
			return err
		}
		trouble = app.reported(err)
		sessions = append(ran, sessions...)
	}
	if len(sessions) == 0 {
		app.Notice("nobody is due; see %q", "crmsync sync queue")
	}
	if err := app.print(&opts.outputOptions, ui.List(runFields, sessions)); err != nil {
		return err
	}
	if opts.force {
		opts.goOn = "crmsync sync run" // who was forced is due
	}
	opts.tell(app, sessions)
	if err := app.concludeRun(rowsOfSessions(sessions), sessions); err != nil {
		return err
	}
	return trouble
}

// runCycles runs cycles, or for a dry run, says what they would do.
func (app *App) runCycles(ctx context.Context, st State, opts syncRunOptions, users []roster.User, selected bool) ([]engine.Session, error) {
	o := engine.Options{
		Due:              !opts.force,
		Trigger:          engine.TriggerSchedule,
		AllowCreateInCRM: opts.allowCreate,
		Parallel:         opts.parallel,
		Canary:           opts.canary,
	}
	if opts.force {
		o.Trigger = engine.TriggerForce
	}
	if selected {
		o.Users = make([]int64, len(users))
		for i, u := range users {
			o.Users[i] = u.ID
		}
	}
	members, err := st.Engine().Users(ctx, o.Users)
	if err != nil {
		return nil, err
	}
	if !selected && opts.limit > 0 {
		// Nobody is selected: the first of those who are due, in the order of their turn.
		members = slices.DeleteFunc(members, func(m engine.Member) bool { _, run := app.dueOf(m); return !run })
		members = members[:min(opts.limit, len(members))]
		o.Users = idsOf(members)
	}
	if o.MaxFailures, err = opts.mayFail(len(members)); err != nil {
		return nil, err
	}
	progress := app.NewProgress(app.Now)
	defer progress.Close()
	e := app.engine(st, progress)
	if !opts.dryRun {
		if opts.allowCreate && opts.canary == 0 {
			if err := app.allowForGood(ctx, st, members); err != nil {
				return nil, err
			}
		}
		ran, err := e.Run(ctx, o)
		if err == nil && opts.allowCreate && opts.canary > 0 && !stoppedByCanary(ran) {
			err = app.allowForGood(ctx, st, members)
		}
		return ran, err
	}
	var sessions []engine.Session
	o.Users = []int64{}
	for _, m := range members {
		why, run := app.dueOf(m)
		switch {
		case run || opts.force:
			o.Users = append(o.Users, m.User.ID)
		case selected:
			sessions = append(sessions, engine.Session{User: m.User.Email, Result: engine.ResultSkipped, Message: why})
		}
	}
	plans, err := e.Plan(ctx, o)
	return append(sessionsOfPlans(plans), sessions...), err
}

func idsOf(members []engine.Member) []int64 {
	ids := make([]int64, len(members))
	for i, m := range members {
		ids[i] = m.User.ID
	}
	return ids
}

// allowForGood allows an organization for good what a run of the whole of it is allowed. A
// run of some of its users, a canary, is allowed it once.
func (app *App) allowForGood(ctx context.Context, st State, running []engine.Member) error {
	orgs, err := countedOrgs(ctx, st)
	if err != nil {
		return err
	}
	missing := map[string]int{}
	for _, o := range orgs {
		missing[o.Name] = o.Users
		if o.CreateInCRM {
			missing[o.Name] = -1
		}
	}
	for _, m := range running {
		if missing[m.Org.Name]--; missing[m.Org.Name] != 0 {
			continue
		}
		if err := allowCreateInCRM(ctx, app.admin(st), m.Org.Name); err != nil {
			return err
		}
	}
	return nil
}

// sessionsOfPlans says what cycles would do as if they had done it.
func sessionsOfPlans(plans []engine.UserPlan) []engine.Session {
	sessions := make([]engine.Session, len(plans))
	for i, p := range plans {
		s := engine.Session{User: p.User, Result: engine.ResultUnchanged, Message: "dry run: nothing was done"}
		if p.Err != nil {
			r := failed(p.User, p.Err)
			s.Result, s.Code, s.Message, s.Differences = r.Result, r.Code, r.Message, p.Differences
			sessions[i] = s
			continue
		}
		sum := sumOf(p)
		s.Counts = sum.Counts
		if s.Counts != (engine.Counts{Held: p.Waiting}) || sum.Unlinked > 0 || p.Prepare {
			s.Result = engine.ResultDone
		}
		sessions[i] = s
	}
	return sessions
}

// countsOf counts what a plan would do.
func countsOf(p reconcile.Plan) engine.Counts {
	c := engine.Counts{Conflicts: len(p.Conflicts), Held: len(p.Held), Issues: len(p.Findings)}
	for _, o := range p.Ops {
		crm := o.Side == record.CRM
		switch {
		case o.Kind == reconcile.Create && crm:
			c.CreatedCRM++
		case o.Kind == reconcile.Create:
			c.CreatedMailbox++
		case o.Kind == reconcile.Update && crm:
			c.UpdatedCRM++
		case o.Kind == reconcile.Update:
			c.UpdatedMailbox++
		case o.Kind == reconcile.Delete && crm:
			c.DeletedCRM++
		case o.Kind == reconcile.Delete:
			c.DeletedMailbox++
		case o.Kind == reconcile.LinkUp:
			c.Linked++
		}
	}
	return c
}

func sessionsOf(rows []row) []engine.Session {
	sessions := make([]engine.Session, len(rows))
	for i, r := range rows {
		sessions[i] = engine.Session{User: r.User, Result: r.Result, Code: r.Code, Message: r.Message}
	}
	return sessions
}

func rowsOfSessions(sessions []engine.Session) []row {
	rows := make([]row, len(sessions))
	for i, s := range sessions {
		rows[i] = row{User: s.User, Result: s.Result, Code: s.Code, Message: s.Message}
	}
	return rows
}

// advise says on standard error why users failed and what to do, once for each cause:
// what each of them met is in the rows.
func (app *App) advise(rows []row) {
	var causes []Code
	of := map[Code][]row{}
	for _, r := range rows {
		if r.Code == "" || r.Result != engine.ResultFailed && r.Result != engine.ResultRefused {
			continue
		}
		if of[r.Code] == nil {
			causes = append(causes, r.Code)
		}
		of[r.Code] = append(of[r.Code], r)
	}
	for _, code := range causes {
		who, what := of[code][0].User, of[code][0].Message
		if n := len(of[code]); n > 1 {
			who = whoAll(of[code])
			if slices.ContainsFunc(of[code], func(r row) bool { return r.Message != what }) {
				what = codes[code].title
			}
		}
		app.Fail(fail(code, who, what).lines())
	}
}

// whoAll names the users of rows, the first of them by their names.
func whoAll(rows []row) string {
	const named = 3
	var names []string
	for _, r := range rows[:min(len(rows), named)] {
		names = append(names, r.User)
	}
	list := strings.Join(names, ", ")
	if more := len(rows) - len(names); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s (%s)", count(len(rows), "user"), list)
}

// concludeRun is conclude with what a run says besides. What stops on purpose, held
// deletes, a plan that does not hold any more, a canary, is a refusal; a user who failed
// weighs more.
func (app *App) concludeRun(rows []row, sessions []engine.Session) error {
	if len(rows) > 1 {
		app.Notice("%s", summary(rows))
	}
	app.advise(rows)
	held, issues, stopped := 0, 0, 0
	for _, s := range sessions {
		held += s.Held
		issues += s.Issues
	}
	others := slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
		if oneOf(r.Code, engine.CodePlanChanged, engine.CodeCanary) {
			stopped++
			return true
		}
		return false
	})
	if issues > 0 {
		app.Notice("%s could not be synchronized; see %q", count(issues, "record"), "crmsync issues list")
	}
	if held > 0 {
		app.Notice("the guard holds %s back: more than a normal day explains; see %q", count(held, "delete"), "crmsync deletes list")
	}
	status := exitOf(others)
	if status == exitOK && held+stopped > 0 {
		status = exitRefused
	}
	return statusError(status)
}

// dueOf tells whether a user's cycle would run now, and why, or why not.
func (app *App) dueOf(m engine.Member) (why string, run bool) {
	now := app.Now()
	effective := roster.EffectiveOf(m.User, m.Org)
	switch {
	case effective.State != roster.Active && (m.User.Sync != roster.Suspended || !m.Org.Enabled):
		return effective.State, false
	case m.User.Queued:
		return "forced", true
	case !engine.Due(m.User, now):
		return fmt.Sprintf("not before %s", m.User.NextDue.In(app.Zone).Format("15:04:05")), false
	case m.User.LastStart.IsZero():
		return "never ran", true
	case m.User.Sync == roster.Suspended:
		return "probe: " + effective.State, true
	}
	return "due", true
}
