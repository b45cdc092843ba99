package commands

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// mergedFields are the fields of duplicates merge.
var mergedFields = []ui.Field[engine.MergeResult]{
	{Name: "group", Of: func(r engine.MergeResult) any { return r.ID }},
	{Name: "user", Of: func(r engine.MergeResult) any { return r.User }},
	{Name: "label", Of: func(r engine.MergeResult) any { return labelOf(r.DuplicateGroup) }},
	{Name: "result", Of: func(r engine.MergeResult) any { return string(r.Result) }, Word: true},
	{Name: "code", Of: func(r engine.MergeResult) any { return r.Code }, Sparse: true},
	{Name: "message", Of: func(r engine.MergeResult) any {
		if r.Message == "" && len(r.Away) > 0 {
			return count(len(r.Away), "item") + " to Deleted Items"
		}
		return r.Message
	}},
	{Name: "kept", Of: func(r engine.MergeResult) any { return r.Kept }, Wide: true},
	{Name: "away", Of: func(r engine.MergeResult) any { return append([]string{}, r.Away...) }, Wide: true},
	{Name: "fields", Of: func(r engine.MergeResult) any {
		names := []string{}
		for _, f := range r.Fields {
			names = append(names, string(f))
		}
		return names
	}, Sparse: true},
	{Name: "lost", Of: func(r engine.MergeResult) any { return r.Lost }, Sparse: true},
}

func labelOf(g engine.DuplicateGroup) string {
	if len(g.Members) == 0 {
		return ""
	}
	return g.Members[0].Record.Label()
}

type duplicatesMergeOptions struct {
	selectOptions
	outputOptions
	writeOptions
	confirmOptions
	groups   []string
	parallel int
}

func newDuplicatesMerge(app *App, run func(context.Context, *App, duplicatesMergeOptions) error) *cobra.Command {
	var opts duplicatesMergeOptions
	if run == nil {
		run = runDuplicatesMerge
	}
	cmd := &cobra.Command{
		Use:   "merge " + selectionUse,
		Short: "Merge contacts in mailboxes that are the same beyond doubt",
		Long: `Merge contacts in our folder in the mailboxes of the selected users that are the same beyond
doubt. The one that is linked stays, else the oldest. It takes over what the others have and
it lacks; a value that differs is kept and can be restored, see "crmsync conflicts list". Only
then the others go to Deleted Items.

Refused, with the reason, are groups in which several are linked to the CRM, and those that
are only likely to be the same. Records of the CRM are never merged from here: the CRM's own
merge keeps their activities, and the mailbox follows it.`,
		Example: `  crmsync duplicates merge ann@example.com --dry-run
  crmsync duplicates merge ann@example.com --group 1f0c2a9b7e
  crmsync duplicates merge --org EMEA --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.parallel < 1 {
				return usage(cmd, "--parallel must be at least 1")
			}
			if err := firstError(opts.selectOptions.check(cmd, args), opts.outputOptions.check(cmd), opts.confirmOptions.check(cmd)); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.selectOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(mergedFields))
	fs := cmd.Flags()
	opts.writeOptions.addFlags(fs)
	opts.confirmOptions.addFlags(fs)
	fs.StringSliceVar(&opts.groups, "group", nil, "only these `GROUPS` of duplicates find")
	fs.IntVar(&opts.parallel, "parallel", 8, "work on `N` users at a time")
	return cmd
}

func runDuplicatesMerge(ctx context.Context, app *App, opts duplicatesMergeOptions) error {
	if err := opts.need(); err != nil {
		return err
	}
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	users, bad, err := opts.resolve(ctx, app, st)
	if err != nil {
		return err
	}
	m := &merging{app: app, state: st, opts: opts, users: users, of: map[int64]mergedUser{}}
	m.run(ctx, users, true, nil)
	if !opts.dryRun && m.away() > 0 {
		work, away := m.work()
		if err := app.confirm(&opts.confirmOptions, m.danger(work)); err != nil {
			return err
		}
		m.run(ctx, work, false, away)
	}
	if opts.dryRun {
		app.Notice("dry run: nothing was written")
	}
	return m.finish(bad)
}

// merging merges the duplicates of several users.
type merging struct {
	app   *App
	state State
	opts  duplicatesMergeOptions
	users []roster.User
	// of has what became of each user's groups.
	of map[int64]mergedUser
}

type mergedUser struct {
	session engine.Session
	results []engine.MergeResult
	err     error
}

// run merges, or plans to. expect has the number of items that each user was told would
// be put away.
func (m *merging) run(ctx context.Context, users []roster.User, dryRun bool, expect map[int64]int) {
	progress := m.app.NewProgress(m.app.Now)
	defer progress.Close()
	e := m.app.engine(m.state, progress)
	var mu sync.Mutex
	eachUser(ctx, users, m.opts.parallel, func(_ int, u roster.User) {
		var one mergedUser
		one.session, one.results, one.err = e.Merge(ctx, engine.MergeOptions{
			User: u.ID, Groups: m.opts.groups, ExpectDeletes: expect[u.ID], DryRun: dryRun, Actor: m.app.actor(),
		})
		mu.Lock()
		defer mu.Unlock()
		m.of[u.ID] = one
	})
}

// work returns the users who have something to merge, and how many items of each go.
func (m *merging) work() ([]roster.User, map[int64]int) {
	var users []roster.User
	away := map[int64]int{}
	for _, u := range m.users {
		for _, r := range m.of[u.ID].results {
			away[u.ID] += len(r.Away)
		}
		if away[u.ID] > 0 {
			users = append(users, u)
		}
	}
	return users, away
}

func (m *merging) away() int {
	_, away := m.work()
	n := 0
	for _, some := range away {
		n += some
	}
	return n
}

func (m *merging) danger(users []roster.User) danger {
	groups, lost := 0, 0
	for _, u := range users {
		for _, r := range m.of[u.ID].results {
			if len(r.Away) > 0 {
				groups, lost = groups+1, lost+r.Lost
			}
		}
	}
	d := danger{Verb: "merge duplicates of", Name: "merge", Users: users, Consequences: []string{
		fmt.Sprintf("%s of %s will be put into Deleted Items, once what they hold is kept; the CRM gets what was added", count(m.away(), "item"), count(groups, "contact")),
	}}
	if lost > 0 {
		d.Consequences = append(d.Consequences, fmt.Sprintf("%s that differ give way and can be restored", count(lost, "value")))
	}
	return d
}

// finish prints a row for each group, and for each user who could not be worked on.
func (m *merging) finish(bad []row) error {
	var list []engine.MergeResult
	rows := slices.Clone(bad)
	seen := map[string]bool{}
	for _, u := range m.users {
		one, ran := m.of[u.ID]
		if !ran {
			one.session = engine.Session{Result: engine.ResultNotStarted, Code: engine.CodeInterrupted, Message: "interrupted before this user's turn"}
		}
		for _, r := range one.results {
			seen[r.ID] = true
			list = append(list, r)
			rows = append(rows, row{User: u.Email, Result: r.Result, Code: r.Code, Message: r.Message})
		}
		if s := one.session; one.err != nil || len(one.results) == 0 && s.Code != "" {
			r := row{User: u.Email, Result: s.Result, Code: s.Code, Message: s.Message}
			if one.err != nil {
				r = failed(u.Email, one.err)
			}
			rows = append(rows, r)
			bad = append(bad, r)
		}
	}
	for _, g := range m.opts.groups {
		if !seen[g] {
			r := failed(g, fail(codeNotFound, g, "the selected users have no such group").try("crmsync duplicates find"))
			rows, bad = append(rows, r), append(bad, r)
		}
	}
	for _, r := range bad {
		list = append(list, engine.MergeResult{
			DuplicateGroup: engine.DuplicateGroup{User: r.User}, Result: r.Result, Code: r.Code, Message: r.Message,
		})
	}
	if err := m.app.print(&m.opts.outputOptions, ui.List(mergedFields, list)); err != nil {
		return err
	}
	return m.app.conclude(rows)
}
