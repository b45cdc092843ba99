package commands

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// planned is one operation of a user's plan.
type planned struct {
	User      string
	Entity    record.Entity
	Side      record.Side
	Action    string
	CRMID     string
	MailboxID string
	Label     string
	Fields    []string
	Reason    string
}

// planFields are the fields of sync plan.
var planFields = []ui.Field[planned]{
	{Name: "user", Of: func(p planned) any { return p.User }},
	{Name: "entity", Of: func(p planned) any { return string(p.Entity) }, Wide: true},
	{Name: "side", Of: func(p planned) any { return string(p.Side) }},
	{Name: "action", Of: func(p planned) any { return p.Action }, Word: true},
	{Name: "crmId", Of: func(p planned) any { return p.CRMID }, Wide: true},
	{Name: "mailboxId", Of: func(p planned) any { return p.MailboxID }, Wide: true},
	{Name: "label", Of: func(p planned) any { return p.Label }},
	{Name: "fields", Of: func(p planned) any { return p.Fields }},
	{Name: "reason", Of: func(p planned) any { return p.Reason }},
	{Name: "mails", Of: func(planned) any { return 0 }, Wide: true}, // contacts never cause a mail
}

type syncPlanOptions struct {
	selectOptions
	outputOptions
	parallel    int
	allowCreate bool
	exitCode    bool
	summary     bool
}

// planSum is what a user's plan comes to.
type planSum struct {
	User string
	engine.Counts
	// Unlinked is how many pairs would no longer be kept in step.
	Unlinked int
}

// planSumFields are the fields of sync plan --summary: one row per user.
var planSumFields = slices.Concat(
	[]ui.Field[planSum]{{Name: "user", Of: func(s planSum) any { return s.User }}},
	countFields(func(s planSum) engine.Counts { return s.Counts })[:10], // all but requests
	[]ui.Field[planSum]{{Name: "unlinked", Of: func(s planSum) any { return s.Unlinked }, Sparse: true}},
)

// sumOf sums a plan up.
func sumOf(p engine.UserPlan) planSum {
	s := planSum{User: p.User, Counts: countsOf(p.Plan)}
	for _, o := range p.Plan.Ops {
		if o.Kind == reconcile.End {
			s.Unlinked++
		}
	}
	return s
}

// sentence says in words what would be done.
func (s planSum) sentence() string {
	text := ui.Tally(s.Counts)
	if s.Unlinked > 0 {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d unlinked", s.Unlinked)
	}
	return or(text, "nothing to do")
}

func newSyncPlan(app *App, run func(context.Context, *App, syncPlanOptions) error) *cobra.Command {
	var opts syncPlanOptions
	if run == nil {
		run = runSyncPlan
	}
	cmd := &cobra.Command{
		Use:   "plan " + selectionUse,
		Short: "Show what the next cycle would do, record by record; nothing is written",
		Long: `Show what the next cycle of the selected users would do, record by record, with the
reason. Nothing is written anywhere.

Besides create, update, delete and link, the action may be prepare (the mailbox gets our
folder and category), end (a pair is no longer kept in step), held (a delete that the guard
holds back) or issue (a record that needs a person).`,
		Example: `  crmsync sync plan ann@example.com
  crmsync sync plan --all --summary
  crmsync sync plan --all -o csv --fields user,side,action,label,fields
  crmsync sync plan --all --exit-code --quiet > /dev/null || echo changes are pending`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.parallel < 1 {
				return usage(cmd, "--parallel must be at least 1")
			}
			if opts.summary {
				opts.names = ui.Names(planSumFields)
			}
			if err := firstError(opts.selectOptions.check(cmd, args), opts.outputOptions.check(cmd)); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.selectOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(planFields))
	cmd.Flags().BoolVar(&opts.summary, "summary", false, "one row per user, with numbers, instead of one per record")
	fs := cmd.Flags()
	fs.IntVar(&opts.parallel, "parallel", 8, "work on `N` users at a time")
	fs.BoolVar(&opts.allowCreate, "allow-create-in-crm", false, "plan as if records born in a mailbox may be created in the CRM")
	fs.BoolVar(&opts.exitCode, "exit-code", false, "exit with 10 if there is something to do")
	return cmd
}

func runSyncPlan(ctx context.Context, app *App, opts syncPlanOptions) error {
	if err := opts.need(); err != nil {
		return err
	}
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	users, bad, err := opts.resolve(ctx, app, st)
	if err != nil {
		return err
	}
	o := engine.Options{Parallel: opts.parallel, AllowCreateInCRM: opts.allowCreate, Users: make([]int64, len(users))}
	for i, u := range users {
		o.Users[i] = u.ID
	}
	progress := app.NewProgress(app.Now)
	plans, err := app.engine(st, progress).Plan(ctx, o)
	progress.Close()
	if err != nil {
		return err
	}
	var rows []row
	var list []planned
	pending := false
	for _, p := range plans {
		if p.Err != nil {
			rows = append(rows, failed(p.User, p.Err))
			continue
		}
		rows = append(rows, row{User: p.User, Result: engine.ResultDone})
		ops := planOf(p)
		list = append(list, ops...)
		for _, op := range ops {
			pending = pending || op.Action != actionIssue && op.Action != actionHeld
		}
	}
	table := ui.List(planFields, list)
	if opts.summary {
		sums := make([]planSum, len(plans))
		for i, p := range plans {
			sums[i] = sumOf(p)
		}
		table = ui.List(planSumFields, sums)
	}
	if err := app.print(&opts.outputOptions, table); err != nil {
		return err
	}
	app.sumPlans(plans, opts.summary)
	advised := map[Code]bool{}
	for i, r := range append(rows, bad...) {
		if i < len(plans) && plans[i].Err != nil {
			e := *explain(plans[i].Err)
			e.Who = r.User
			app.reportOnce(&e, advised)
		} else if r.Result == engine.ResultFailed {
			app.reportOnce(&Error{Code: r.Code, Who: r.User, What: r.Message}, advised)
		}
	}
	if status := exitOf(append(rows, bad...)); status != exitOK {
		return statusError(status)
	}
	if opts.exitCode && pending {
		return statusError(exitPending)
	}
	return nil
}

// The actions of a plan that are not operations.
const (
	actionPrepare = "prepare"
	actionHeld    = "held"
	actionIssue   = "issue"
)

// planOf lists what a plan would do. Bases that only move are left out: nobody
// sees them.
func planOf(p engine.UserPlan) []planned {
	var list []planned
	if p.Prepare {
		list = append(list, planned{
			User: p.User, Entity: p.Entity, Side: record.Mailbox, Action: actionPrepare,
			Reason: "the mailbox has no folder and category of ours yet",
		})
	}
	operation := func(o reconcile.Operation, action string) planned {
		return planned{
			User: p.User, Entity: p.Entity, Side: o.Side, Action: action,
			CRMID: o.CRMID, MailboxID: o.MailboxID, Label: o.Label, Fields: fieldNames(o.Set), Reason: o.Reason,
		}
	}
	for _, o := range p.Plan.Ops {
		if o.Kind != reconcile.Settle {
			list = append(list, operation(o, string(o.Kind)))
		}
	}
	for _, o := range p.Plan.Held {
		list = append(list, operation(o.Operation, actionHeld))
	}
	for _, f := range p.Plan.Findings {
		row := planned{User: p.User, Entity: p.Entity, Side: f.Side, Action: actionIssue, Label: f.Label, Reason: f.Reason}
		if f.Side == record.CRM {
			row.CRMID = f.ID
		} else {
			row.MailboxID = f.ID
		}
		list = append(list, row)
	}
	return list
}

// sumPlans says on standard error what the plans come to.
func (app *App) sumPlans(plans []engine.UserPlan, brief bool) {
	var all planSum
	withheld, made := 0, 0
	for _, p := range plans {
		if p.Err != nil {
			continue
		}
		made++
		sum := sumOf(p)
		all.Counts = add(all.Counts, sum.Counts)
		all.Unlinked += sum.Unlinked
		for _, f := range p.Plan.Findings {
			if f.Code == reconcile.NotAllowed {
				withheld++
			}
		}
		if len(plans) <= 10 && !brief {
			app.Notice("%s: %s", p.User, sum.sentence())
		}
		if p.Unsettled > 0 {
			app.Notice("%s: the outcome of %s is not known yet; the plan may change once it is", p.User, count(p.Unsettled, "write"))
		}
	}
	if made > 1 || made == 1 && brief {
		app.Notice("%s: %s", count(made, "user"), all.sentence())
	}
	if withheld > 0 {
		app.Notice("%s from the mailbox %s withheld from the CRM; allow new records once with %q", count(withheld, "change"), isAre(withheld), "crmsync sync run --allow-create-in-crm")
	}
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func add(a, b engine.Counts) engine.Counts {
	return engine.Counts{
		CreatedCRM: a.CreatedCRM + b.CreatedCRM, CreatedMailbox: a.CreatedMailbox + b.CreatedMailbox,
		UpdatedCRM: a.UpdatedCRM + b.UpdatedCRM, UpdatedMailbox: a.UpdatedMailbox + b.UpdatedMailbox,
		DeletedCRM: a.DeletedCRM + b.DeletedCRM, DeletedMailbox: a.DeletedMailbox + b.DeletedMailbox,
		Linked: a.Linked + b.Linked, Conflicts: a.Conflicts + b.Conflicts,
		Held: a.Held + b.Held, Issues: a.Issues + b.Issues, Requests: a.Requests + b.Requests,
	}
}

func fieldNames(r record.Record) []string {
	var names []string
	for _, f := range r.Fields() {
		names = append(names, string(f))
	}
	return names
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
