package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/planfile"
)

// applyFields are the fields of sync apply.
var applyFields = append(slices.Clone(runFields), ui.Field[engine.Session]{
	Name: "differences", Wide: true,
	Of: func(s engine.Session) any {
		texts := make([]string, len(s.Differences))
		for i, d := range s.Differences {
			texts[i] = d.String()
		}
		return texts
	},
})

type syncApplyOptions struct {
	outputOptions
	writeOptions
	bulkOptions
	canaryOptions
	file   string
	limit  int
	strict bool
}

func newSyncApply(app *App, run func(context.Context, *App, syncApplyOptions) error) *cobra.Command {
	var opts syncApplyOptions
	if run == nil {
		run = runSyncApply
	}
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Do exactly what a kept plan says, or refuse because the world has changed",
		Long: `Carry out the plan that "crmsync sync plan --out FILE" has kept. Both sides are read again
and the plan is made again under the same options. A user whose plan is still the same gets
exactly that; of one whose plan is not, nothing is written, and what is different is named.
With --strict nobody's plan is carried out if one of them has changed.

A record that changes while the plan is carried out is left for the next cycle. With --dry-run
the plan is only compared.

The exit status is 5 if a plan was refused, and 3 if some users failed.`,
		Example: `  crmsync sync apply plan.json --dry-run
  crmsync sync apply plan.json --canary 5
  crmsync sync apply plan.json --strict -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.file = args[0]
			if opts.limit < 0 {
				return usage(cmd, "--limit must not be negative")
			}
			if err := firstError(opts.outputOptions.check(cmd), opts.bulkOptions.check(cmd), opts.canaryOptions.check(cmd, args)); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.outputOptions.addFlags(cmd, ui.Names(applyFields))
	opts.writeOptions.addFlags(cmd.Flags())
	opts.bulkOptions.addFlags(cmd.Flags())
	opts.canaryOptions.addFlags(cmd.Flags())
	cmd.Flags().IntVar(&opts.limit, "limit", 0, "only the first `N` users of the plan")
	cmd.Flags().BoolVar(&opts.strict, "strict", false, "do nothing at all if the plan of one user has changed")
	return cmd
}

func runSyncApply(ctx context.Context, app *App, opts syncApplyOptions) error {
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	f, err := app.readPlan(st, opts.file)
	if err != nil {
		return err
	}
	if opts.limit > 0 {
		f.Users = f.Users[:min(opts.limit, len(f.Users))]
	}
	sessions, err := app.applyPlan(ctx, st, opts, f)
	if err != nil && len(sessions) == 0 {
		return err
	}
	trouble := app.reported(err)
	if err := app.print(&opts.outputOptions, ui.List(applyFields, sessions)); err != nil {
		return err
	}
	app.tellDifferences(sessions)
	opts.tell(app, sessions)
	if err := app.concludeRun(rowsOfSessions(sessions), sessions); err != nil {
		return err
	}
	return trouble
}

// applyPlan carries the plan out and returns a session for each of its users.
func (app *App) applyPlan(ctx context.Context, st State, opts syncApplyOptions, f planfile.File) ([]engine.Session, error) {
	o := engine.Options{
		Users: []int64{}, Trigger: engine.TriggerApply, AllowCreateInCRM: f.Options.AllowCreateInCRM,
		Parallel: opts.parallel, Canary: opts.canary, Kept: map[int64]engine.Kept{}, AsOf: f.Created,
	}
	var bad []engine.Session
	for _, p := range f.Users {
		u, err := st.FindUser(ctx, p.User)
		switch {
		case errors.Is(err, admin.ErrNotFound):
			bad = append(bad, sessionsOf([]row{failed(p.User, fail(codeUnknownUser, p.User, "there is no such user any more"))})...)
		case err != nil:
			return nil, err
		default:
			o.Users = append(o.Users, u.ID)
			o.Kept[u.ID] = p.Kept()
		}
	}
	var err error
	if o.MaxFailures, err = opts.mayFail(len(o.Users)); err != nil {
		return nil, err
	}
	progress := app.NewProgress(app.Now)
	defer progress.Close()
	e := app.engine(st, progress)
	if opts.dryRun || opts.strict {
		plans, err := e.Plan(ctx, o)
		if err != nil {
			return nil, err
		}
		compared := append(sessionsOfPlans(plans), bad...)
		if opts.dryRun {
			return compared, nil
		}
		if refused := refusedTogether(compared); refused != nil {
			return refused, nil
		}
	}
	ran, err := e.Run(ctx, o)
	if err == nil && o.AllowCreateInCRM {
		err = app.allowWhoRan(ctx, st, ran)
	}
	return append(ran, bad...), err
}

// allowWhoRan is allowForGood for those whose cycles ended well.
func (app *App) allowWhoRan(ctx context.Context, st State, sessions []engine.Session) error {
	var ids []int64
	for _, s := range sessions {
		if oneOf(string(s.Result), string(engine.ResultDone), string(engine.ResultUnchanged)) {
			ids = append(ids, s.UserID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	members, err := st.Engine().Users(ctx, ids)
	if err != nil {
		return err
	}
	return app.allowForGood(ctx, st, members)
}

// refusedTogether returns the sessions of a plan of which nothing is carried out because
// a part of it cannot be; nil if all of it can.
func refusedTogether(compared []engine.Session) []engine.Session {
	first := slices.IndexFunc(compared, func(s engine.Session) bool { return s.Code != "" })
	if first < 0 {
		return nil
	}
	why := fmt.Sprintf("not started, because of %s and --strict", compared[first].User)
	for i, s := range compared {
		if s.Code == "" {
			compared[i] = engine.Session{User: s.User, Result: engine.ResultNotStarted, Code: engine.CodePlanChanged, Message: why}
		}
	}
	return compared
}

// toldAtMost is how many differences are named on standard error.
const toldAtMost = 20

// tellDifferences names on standard error what is different from the plan.
func (app *App) tellDifferences(sessions []engine.Session) {
	told, all := 0, 0
	for _, s := range sessions {
		all += len(s.Differences)
		for _, d := range s.Differences {
			if told == toldAtMost {
				break
			}
			told++
			app.Notice("%s: %s", s.User, d)
		}
	}
	if all > told {
		app.Notice("and %d more differences; see them all with -o json", all-told)
	}
}
