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
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// numbered is a kind of thing that has a number and a user, and that a person decides
// on: held deletes, issues.
type numbered[T any] struct {
	// noun is the word for one of them, list the command that lists them.
	noun   string
	list   string
	number func(T) int64
	user   func(T) string
	fields []ui.Field[T]
	// read returns all of them that can be decided on, oldest first.
	read func(context.Context, State) ([]T, error)
	// about describes one in a completion.
	about func(T) string
}

// decided is what came of deciding on one.
type decided struct {
	ID int64
	row
}

// decidedFields are the fields that a verb prints that decides on things.
func decidedFields(noun string) []ui.Field[decided] {
	return []ui.Field[decided]{
		{Name: noun, Of: func(d decided) any {
			if d.ID == 0 {
				return nil
			}
			return d.ID
		}},
		{Name: "user", Of: func(d decided) any { return d.User }},
		{Name: "result", Of: func(d decided) any { return string(d.Result) }, Word: true},
		{Name: "code", Of: func(d decided) any { return d.Code }, Sparse: true},
		{Name: "message", Of: func(d decided) any { return d.Message }},
	}
}

// decideOptions select numbered things: by number, of users, by an expression.
type decideOptions struct {
	selectOptions
	outputOptions
	writeOptions
	ids   []int64
	of    []string
	match string
}

// addDecideFlags adds the flags of a verb that decides on things, and its completion.
func addDecideFlags[T any](o *decideOptions, cmd *cobra.Command, app *App, kind numbered[T]) {
	o.selectOptions.addFlags(cmd, app)
	o.outputOptions.addFlags(cmd, ui.Names(decidedFields(kind.noun)))
	fs := cmd.Flags()
	o.writeOptions.addFlags(fs)
	fs.StringSliceVar(&o.of, "user", nil, "select the "+kind.noun+"s of a `USER`; may be repeated")
	fs.StringVar(&o.match, "match", "", "of these only those that meet an `EXPRESSION` over the fields of "+kind.list)
	fs.Lookup("limit").Usage = "only the first `N` of them"
	fs.Lookup("from").Usage = "select the " + kind.noun + "s that a `FILE` lists by number, else those of the users in it; - is standard input"
	cmd.ValidArgsFunction = completeNumbers(app, kind)
	if err := cmd.RegisterFlagCompletionFunc("user", app.completeUsers); err != nil {
		panic(err) // the flag is above
	}
}

func checkDecide[T any](o *decideOptions, cmd *cobra.Command, args []string, kind numbered[T]) error {
	if err := firstError(o.selectOptions.check(cmd, o.of), o.outputOptions.check(cmd)); err != nil {
		return err
	}
	for _, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil || id < 1 {
			return usage(cmd, "%q is not the number of %s; to select a user: --user %s", a, article(kind.noun), a)
		}
		o.ids = append(o.ids, id)
	}
	if len(o.ids) > 0 && o.given() {
		return usage(cmd, "numbers and a selection of users exclude each other")
	}
	if o.match != "" {
		if _, err := compile(o.match, time.Time{}, kind.fields); err != nil {
			return usage(cmd, "--match: %s", firstLine(err.Error()))
		}
	}
	return nil
}

// article puts the right one before a noun.
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// decide lets do decide on the things that are selected and prints what came of each.
// confirm may ask the person first.
func decide[T any](ctx context.Context, app *App, o *decideOptions, kind numbered[T], confirm func(State, []T) error, do func(*admin.Admin, []T) ([]admin.Outcome, error)) error {
	if len(o.ids) == 0 && o.match == "" && !o.given() {
		return fail(codeEmpty, "", "no "+kind.noun+" is selected").
			because("nothing is never everything").try(kind.list)
	}
	st, err := app.stateOfUsers(ctx, o.dryRun)
	if err != nil {
		return err
	}
	list, bad, err := findNumbered(ctx, app, st, o, kind)
	if err != nil {
		return err
	}
	if len(list) == 0 && len(bad) == 0 {
		return fail(codeEmpty, "", "the selection matches no "+kind.noun).try(kind.list)
	}
	if o.strict && len(bad) > 0 {
		return fail(codeStrict, "", fmt.Sprintf("%s of the selection cannot be used: %s", count(len(bad), "row"), bad[0].Message))
	}
	if err := confirm(st, list); err != nil {
		return err
	}
	outcomes, err := do(app.admin(st), list)
	if err != nil {
		return err
	}
	all := make([]decided, 0, len(list)+len(bad))
	for i, r := range rowsOf(outcomes) {
		all = append(all, decided{ID: kind.number(list[i]), row: r})
	}
	all = append(all, bad...)
	if o.dryRun {
		app.Notice("dry run: nothing was written")
	}
	if err := app.print(&o.outputOptions, ui.List(decidedFields(kind.noun), all)); err != nil {
		return err
	}
	rows := make([]row, len(all))
	for i, d := range all {
		rows[i] = d.row
	}
	return app.conclude(rows)
}

// findNumbered returns what is selected, oldest first, and a failed row for each number
// or user that is unknown.
func findNumbered[T any](ctx context.Context, app *App, st State, o *decideOptions, kind numbered[T]) ([]T, []decided, error) {
	list, err := kind.read(ctx, st)
	if err != nil {
		return nil, nil, err
	}
	ids, bad, err := o.numbers(app, kind.noun)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(ids)+len(bad) > 0:
		var unknown []decided
		list, unknown = byNumber(ids, list, kind)
		bad = append(bad, unknown...)
	case o.given():
		whom := o.selectOptions
		whom.limit, whom.strict = 0, false // both are of the things
		users, unknown, err := whom.resolve(ctx, app, st)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range unknown {
			bad = append(bad, decided{row: r})
		}
		list = slices.DeleteFunc(list, func(t T) bool {
			return !slices.ContainsFunc(users, func(u roster.User) bool { return u.Email == kind.user(t) })
		})
	}
	if o.match != "" {
		if list, err = matching(list, o.match, app.Now(), kind.fields); err != nil {
			return nil, nil, err
		}
	}
	if o.limit > 0 && len(list) > o.limit {
		list = list[:o.limit]
	}
	return list, bad, nil
}

// numbers returns the numbers that were given. A list of such things that --from reads
// means its rows, and not everything that their users have.
func (o *decideOptions) numbers(app *App, noun string) (ids []int64, bad []decided, err error) {
	if o.from == "" {
		return o.ids, nil, nil
	}
	_, text, err := o.input(app)
	if err != nil || o.column != "" && !strings.EqualFold(o.column, noun) || !hasColumn(text, noun) {
		return nil, nil, err
	}
	if o.all || len(o.users) > 0 || o.filters() {
		return nil, nil, fail(codeUsage, "", fmt.Sprintf("--from names %ss by number, which excludes a selection of users", noun)).
			do("select among them with --match")
	}
	keys, rows, err := o.parseFrom(app, noun, noun)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		bad = append(bad, decided{row: r})
	}
	for _, k := range keys {
		id, err := strconv.ParseInt(k, 10, 64)
		if err != nil || id < 1 {
			bad = append(bad, decided{row: failed(k, fail(codeBadRow, k, "is not the number of "+article(noun)))})
			continue
		}
		ids = append(ids, id)
	}
	return ids, bad, nil
}

// byNumber returns the things of the numbers that were given.
func byNumber[T any](ids []int64, list []T, kind numbered[T]) (found []T, bad []decided) {
	byID := make(map[int64]T, len(list))
	for _, t := range list {
		byID[kind.number(t)] = t
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if t, ok := byID[id]; ok {
			found = append(found, t)
			continue
		}
		what := fmt.Sprintf("%s %d", kind.noun, id)
		bad = append(bad, decided{ID: id, row: failed("", fail(codeNotFound, what, "nothing of this number is there to be decided").try(kind.list))})
	}
	return found, bad
}

func matching[T any](list []T, text string, now time.Time, fields []ui.Field[T]) (out []T, err error) {
	where, err := compile(text, now, fields)
	for _, t := range list {
		var yes bool
		if err == nil {
			yes, err = where.holds(t)
		}
		if err != nil {
			return nil, fail(codeUsage, "", "--match: "+firstLine(err.Error()))
		}
		if yes {
			out = append(out, t)
		}
	}
	return out, nil
}

// completeNumbers offers the numbers of things.
func completeNumbers[T any](app *App, kind numbered[T]) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		st, err := app.reading(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, err := kind.read(cmd.Context(), st)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		slices.Reverse(list)
		var offers []string
		for _, t := range list {
			if id := strconv.FormatInt(kind.number(t), 10); strings.HasPrefix(id, typed) {
				offers = append(offers, cobra.CompletionWithDesc(id, kind.user(t)+": "+kind.about(t)))
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}
