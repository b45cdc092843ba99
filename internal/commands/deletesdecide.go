package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// decidedDelete is what came of deciding a held delete.
type decidedDelete struct {
	ID int64
	row
}

// decidedFields are the fields of deletes allow and deletes discard.
var decidedFields = []ui.Field[decidedDelete]{
	{Name: "delete", Of: func(d decidedDelete) any {
		if d.ID == 0 {
			return nil
		}
		return d.ID
	}},
	{Name: "user", Of: func(d decidedDelete) any { return d.User }},
	{Name: "result", Of: func(d decidedDelete) any { return string(d.Result) }, Word: true},
	{Name: "code", Of: func(d decidedDelete) any { return d.Code }, Sparse: true},
	{Name: "message", Of: func(d decidedDelete) any { return d.Message }},
}

type deletesDecideOptions struct {
	selectOptions
	outputOptions
	writeOptions
	confirmOptions
	decision engine.Decision
	ids      []int64
	of       []string
	match    string
}

func newDeletesAllow(app *App, run func(context.Context, *App, deletesDecideOptions) error) *cobra.Command {
	opts := deletesDecideOptions{decision: engine.Allow}
	cmd := &cobra.Command{
		Use:   "allow [DELETE...]",
		Short: "Let deletes pass that the guard holds",
		Long: `Let deletes pass that the guard holds: by number, of users, or by an expression over the
fields of deletes list. The next cycle carries them out, each only as long as it is still
the same delete: a record that is back, or was edited, stays.`,
		Example: `  crmsync deletes allow 7 8
  crmsync deletes allow --user ann@example.com
  crmsync deletes allow --org EMEA --match 'side == "mailbox" && since < ago("1h")' --yes --expect 120`,
	}
	opts.confirmOptions.addFlags(cmd.Flags())
	return opts.complete(cmd, app, run)
}

func newDeletesDiscard(app *App, run func(context.Context, *App, deletesDecideOptions) error) *cobra.Command {
	opts := deletesDecideOptions{decision: engine.Discard}
	cmd := &cobra.Command{
		Use:   "discard [DELETE...]",
		Short: "Keep what the guard saved from being deleted, and bring it back where it is missing",
		Long: `Decide against deletes that the guard holds: by number, of users, or by an expression over
the fields of deletes list. The next cycle creates each record again on the side that lost
it, in the CRM too; one that is only out of scope stays on both sides and is not kept in
step any more.`,
		Example: `  crmsync deletes discard 7 8
  crmsync deletes discard --user ann@example.com
  crmsync deletes discard --all --match 'heldBy == "run"'`,
	}
	return opts.complete(cmd, app, run)
}

// complete adds what both decisions have in common.
func (o *deletesDecideOptions) complete(cmd *cobra.Command, app *App, run func(context.Context, *App, deletesDecideOptions) error) *cobra.Command {
	if run == nil {
		run = runDeletesDecide
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.check(cmd, args); err != nil {
			return err
		}
		return run(cmd.Context(), app, *o)
	}
	o.selectOptions.addFlags(cmd, app)
	o.outputOptions.addFlags(cmd, ui.Names(decidedFields))
	fs := cmd.Flags()
	o.writeOptions.addFlags(fs)
	fs.StringSliceVar(&o.of, "user", nil, "select the deletes of a `USER`; may be repeated")
	fs.StringVar(&o.match, "match", "", "of these only those that meet an `EXPRESSION` over the fields of deletes list")
	fs.Lookup("limit").Usage = "only the first `N` of them"
	cmd.ValidArgsFunction = app.completeDeletes
	if err := cmd.RegisterFlagCompletionFunc("user", app.completeUsers); err != nil {
		panic(err) // the flag is above
	}
	return cmd
}

func (o *deletesDecideOptions) check(cmd *cobra.Command, args []string) error {
	if err := firstError(o.selectOptions.check(cmd, o.of), o.outputOptions.check(cmd), o.confirmOptions.check(cmd)); err != nil {
		return err
	}
	for _, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil || id < 1 {
			return usage(cmd, "%q is not the number of a held delete; to select a user: --user %s", a, a)
		}
		o.ids = append(o.ids, id)
	}
	if len(o.ids) > 0 && o.given() {
		return usage(cmd, "numbers and a selection of users exclude each other")
	}
	if o.match != "" {
		if _, err := compile(o.match, time.Time{}, deleteFields); err != nil {
			return usage(cmd, "--match: %s", firstLine(err.Error()))
		}
	}
	return nil
}

func runDeletesDecide(ctx context.Context, app *App, opts deletesDecideOptions) error {
	if len(opts.ids) == 0 && opts.match == "" && !opts.given() {
		return fail(codeEmpty, "", "no delete is selected").
			because("nothing is never everything").try("crmsync deletes list")
	}
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	held, bad, err := opts.find(ctx, app, st)
	if err != nil {
		return err
	}
	if len(held) == 0 && len(bad) == 0 {
		return fail(codeEmpty, "", "the selection matches no held delete").try("crmsync deletes list")
	}
	if opts.strict && len(bad) > 0 {
		return fail(codeStrict, "", fmt.Sprintf("%s of the selection cannot be used: %s", count(len(bad), "row"), bad[0].Message))
	}
	if err := app.confirmAllow(ctx, st, opts, held); err != nil {
		return err
	}
	outcomes, err := app.admin(st).DecideDeletes(ctx, held, opts.decision, opts.dryRun)
	if err != nil {
		return err
	}
	decided := make([]decidedDelete, 0, len(held)+len(bad))
	for i, r := range rowsOf(outcomes) {
		decided = append(decided, decidedDelete{ID: held[i].ID, row: r})
	}
	decided = append(decided, bad...)
	if opts.dryRun {
		app.Notice("dry run: nothing was written")
	}
	if err := app.print(&opts.outputOptions, ui.List(decidedFields, decided)); err != nil {
		return err
	}
	rows := make([]row, len(decided))
	for i, d := range decided {
		rows[i] = d.row
	}
	return app.conclude(rows)
}

// find returns the selected deletes, oldest first, and a failed row for each number or
// user that is unknown.
func (o *deletesDecideOptions) find(ctx context.Context, app *App, st State) ([]engine.HeldDelete, []decidedDelete, error) {
	list, err := st.HeldDeletes(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	slices.Reverse(list)
	var bad []decidedDelete
	switch {
	case len(o.ids) > 0:
		list, bad = o.numbered(list)
	case o.given():
		whom := o.selectOptions
		whom.limit, whom.strict = 0, false // both are of the deletes
		users, unknown, err := whom.resolve(ctx, app, st)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range unknown {
			bad = append(bad, decidedDelete{row: r})
		}
		list = slices.DeleteFunc(list, func(d engine.HeldDelete) bool {
			return !slices.ContainsFunc(users, func(u roster.User) bool { return u.Email == d.User })
		})
	}
	if o.match != "" {
		if list, err = matching(list, o.match, app.Now()); err != nil {
			return nil, nil, err
		}
	}
	if o.limit > 0 && len(list) > o.limit {
		list = list[:o.limit]
	}
	return list, bad, nil
}

// numbered returns the deletes of the numbers that were given.
func (o *deletesDecideOptions) numbered(list []engine.HeldDelete) (found []engine.HeldDelete, bad []decidedDelete) {
	byID := make(map[int64]engine.HeldDelete, len(list))
	for _, d := range list {
		byID[d.ID] = d
	}
	slices.Sort(o.ids)
	for _, id := range slices.Compact(o.ids) {
		if d, ok := byID[id]; ok {
			found = append(found, d)
			continue
		}
		what := fmt.Sprintf("delete %d", id)
		bad = append(bad, decidedDelete{ID: id, row: failed("", fail(codeNotFound, what, "no delete of this number is held"))})
	}
	return found, bad
}

func matching(list []engine.HeldDelete, text string, now time.Time) (out []engine.HeldDelete, err error) {
	where, err := compile(text, now, deleteFields)
	for _, d := range list {
		var yes bool
		if err == nil {
			yes, err = where.holds(d)
		}
		if err != nil {
			return nil, fail(codeUsage, "", "--match: "+firstLine(err.Error()))
		}
		if yes {
			out = append(out, d)
		}
	}
	return out, nil
}

// confirmAllow asks before deletes are let pass, in numbers.
func (app *App) confirmAllow(ctx context.Context, st State, opts deletesDecideOptions, held []engine.HeldDelete) error {
	if opts.decision != engine.Allow || opts.dryRun || len(held) == 0 {
		return nil
	}
	all, err := st.Users(ctx)
	if err != nil {
		return err
	}
	bySide := map[record.Side]int{}
	of := map[string]bool{}
	for _, d := range held {
		bySide[d.Side]++
		of[d.User] = true
	}
	d := danger{Verb: "allow", Things: len(held), Thing: "delete"}
	d.Users = slices.DeleteFunc(all, func(u roster.User) bool { return !of[u.Email] })
	if n := bySide[record.Mailbox]; n > 0 {
		d.Consequences = append(d.Consequences, fmt.Sprintf("%d in a mailbox: to its Deleted Items", n))
	}
	if n := bySide[record.CRM]; n > 0 {
		d.Consequences = append(d.Consequences, fmt.Sprintf("%d in the CRM", n))
	}
	return app.confirm(&opts.confirmOptions, d)
}

// completeDeletes offers the numbers of held deletes.
func (app *App) completeDeletes(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	st, err := app.reading(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := st.HeldDeletes(cmd.Context(), 0)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offers []string
	for _, d := range list {
		if id := strconv.FormatInt(d.ID, 10); strings.HasPrefix(id, typed) {
			offers = append(offers, cobra.CompletionWithDesc(id, d.User+": "+d.Reason))
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
