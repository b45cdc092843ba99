package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// planned is one step of a user's plan.
type planned struct {
	User   string
	Entity record.Entity
	engine.Step
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
	{Name: "mails", Of: func(p planned) any { return p.Mails }, Wide: true},
}

type syncPlanOptions struct {
	selectOptions
	outputOptions
	parallel    int
	allowCreate bool
	exitCode    bool
	summary     bool
	out         string
	force       bool
}

// planSum is what a user's plan comes to.
type planSum struct {
	User string
	engine.Counts
	// Unlinked is how many pairs would no longer be kept in step.
	Unlinked int
	Mails    int
}

// planSumFields are the fields of sync plan --summary: one row per user.
var planSumFields = slices.Concat(
	[]ui.Field[planSum]{{Name: "user", Of: func(s planSum) any { return s.User }}},
	countFields(func(s planSum) engine.Counts { return s.Counts })[:10], // all but requests
	[]ui.Field[planSum]{
		{Name: "unlinked", Of: func(s planSum) any { return s.Unlinked }, Sparse: true},
		{Name: "mails", Of: func(s planSum) any { return s.Mails }},
	},
)

// sumOf sums a plan up.
func sumOf(p engine.UserPlan) planSum {
	s := planSum{User: p.User, Counts: countsOf(p.Plan)}
	s.Held += p.Waiting
	for _, o := range p.Plan.Ops {
		if o.Kind == reconcile.End {
			s.Unlinked++
		}
	}
	return s
}

// sentence says in words what would be done. What a person would regret, deletes and
// mails, is said also where there is none.
func (s planSum) sentence() string {
	var parts []string
	if text := ui.Tally(s.Counts); text != "" {
		parts = append(parts, text)
	}
	if s.Unlinked > 0 {
		parts = append(parts, fmt.Sprintf("%d unlinked", s.Unlinked))
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return fmt.Sprintf("%s; %s, %s", strings.Join(parts, ", "), noneOr(s.DeletedCRM+s.DeletedMailbox, "delete"), noneOr(s.Mails, "mail"))
}

// noneOr writes a number with its noun: "no deletes", "3 deletes".
func noneOr(n int, noun string) string {
	if n == 0 {
		return "no " + noun + "s"
	}
	return count(n, noun)
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
holds back), conflict (a field that both sides changed) or issue (a record that needs a
person).

With --out the plan is kept in a file, which "crmsync sync apply" carries out as it is, or
refuses because the world has changed. The file names records, so only its owner can read it.`,
		Example: `  crmsync sync plan ann@example.com
  crmsync sync plan --all --summary
  crmsync sync plan --all -o csv --fields user,side,action,label,fields
  crmsync sync plan --org EMEA --out plan.json
  crmsync sync plan --all --exit-code --quiet > /dev/null || echo changes are pending`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.parallel < 1 {
				return usage(cmd, "--parallel must be at least 1")
			}
			if opts.force && opts.out == "" {
				return usage(cmd, "--force needs --out")
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
	fs.StringVar(&opts.out, "out", "", "keep the plan in a `FILE`, for sync apply")
	fs.BoolVar(&opts.force, "force", false, "replace the file of --out if it exists")
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
	if opts.out != "" && !opts.force {
		if err := app.free(opts.out); err != nil {
			return err
		}
	}
	users, bad, err := opts.resolve(ctx, app, st)
	if err != nil {
		return err
	}
	o := engine.Options{
		Parallel: opts.parallel, AllowCreateInCRM: opts.allowCreate, Users: make([]int64, len(users)),
		AsOf: app.Now().UTC().Truncate(time.Second), // as the file has it
	}
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
	made := plans[:0:0]
	pending := false
	for _, p := range plans {
		if p.Err != nil {
			rows = append(rows, failed(p.User, p.Err))
			continue
		}
		made = append(made, p)
		rows = append(rows, row{User: p.User, Result: engine.ResultDone})
		for _, s := range p.Steps() {
			if s.Action == string(reconcile.Settle) {
				continue // a base that moves: nobody sees it
			}
			list = append(list, planned{p.User, p.Entity, s})
			pending = pending || !oneOf(s.Action, engine.ActionIssue, engine.ActionHeld, engine.ActionConflict)
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
	rows = append(rows, bad...)
	app.advise(rows)
	for _, r := range rows {
		if r.Code != "" {
			app.Detail("%s: %s", r.User, r.Message) // the table has no row of his
		}
	}
	if opts.out != "" && len(made) > 0 {
		if err := app.keepPlan(st, opts, o.AsOf, made); err != nil {
			return err
		}
		app.Notice("the plan of %s is in %s; carry it out with %q", count(len(made), "user"), opts.out, "crmsync sync apply "+opts.out)
	}
	if status := exitOf(rows); status != exitOK {
		return statusError(status)
	}
	if opts.exitCode && pending {
		return statusError(exitPending)
	}
	return nil
}

// sumPlans says on standard error what the plans come to.
func (app *App) sumPlans(plans []engine.UserPlan, brief bool) {
	var all planSum
	withheld, made, holding := 0, 0, 0
	for _, p := range plans {
		if p.Err != nil {
			continue
		}
		made++
		sum := sumOf(p)
		all.Counts = add(all.Counts, sum.Counts)
		all.Unlinked += sum.Unlinked
		all.Mails += sum.Mails
		if sum.Held > 0 {
			holding++
		}
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
	if all.Held > 0 {
		app.Notice("the guard would hold %s of %s back, because too many come at once: look why so many records are gone", count(all.Held, "delete"), count(holding, "user"))
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

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
