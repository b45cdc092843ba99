package commands

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

func newItems(app *App) *cobra.Command {
	return newNoun("items", "item", "Read how single records stand, and why",
		newItemsList(app, nil),
		newItemsExplain(app, nil),
	)
}

// itemFields are the fields of items list.
var itemFields = []ui.Field[engine.Item]{
	{Name: "user", Of: func(i engine.Item) any { return i.User }},
	{Name: "entity", Of: func(i engine.Item) any { return string(i.Entity) }, Wide: true},
	{Name: "state", Of: func(i engine.Item) any { return string(i.State) }, Word: true},
	{Name: "reason", Of: func(i engine.Item) any { return i.Reason }, Sparse: true},
	{Name: "crmId", Of: func(i engine.Item) any { return i.CRMID }},
	{Name: "mailboxId", Of: func(i engine.Item) any { return i.MailboxID }, Wide: true},
	{Name: "label", Of: func(i engine.Item) any { return i.Label }, Sparse: true},
	{Name: "since", Of: func(i engine.Item) any { return i.Since }},
	{Name: "issue", Of: func(i engine.Item) any { return i.Issue }, Sparse: true},
	{Name: "code", Of: func(i engine.Item) any { return i.Code }, Sparse: true},
}

type itemsListOptions struct {
	listOptions
	states []string
	labels bool
}

func newItemsList(app *App, run func(context.Context, *App, itemsListOptions) error) *cobra.Command {
	var opts itemsListOptions
	if run == nil {
		run = runItemsList
	}
	cmd := &cobra.Command{
		Use:   "list " + selectionUse,
		Short: "List how each record stands: in sync, excluded, failing, held or unlinked",
		Long: `List how each record of the selected users stands, the latest first, from the state
alone: no server is asked, unless --labels asks for names, which the state does not hold.

in-sync    linked, and the same on both sides since the last cycle
excluded   left out on purpose: by a limit, a setting or a person
failing    should be synchronized and is not, or not wholly; the issue says why
held       waits for a person: a delete that the guard holds, a conflict on hold
unlinked   once linked, now left alone on both sides
ended      was deleted; listed only with --state ended

How many there are of each is said on standard error.`,
		Example: `  crmsync items list ann@example.com
  crmsync items list --all --state failing,held
  crmsync items list ann@example.com --last 0 --labels -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			for _, s := range opts.states {
				if !oneOf(s, itemStates()...) {
					return usage(cmd, "--state %q is not one of %s", s, strings.Join(itemStates(), ", "))
				}
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app, ui.Names(itemFields))
	cmd.Flags().StringSliceVar(&opts.states, "state", nil, "only records in these `STATES`: "+strings.Join(itemStates(), ", "))
	cmd.Flags().BoolVar(&opts.labels, "labels", false, "read the names of the listed records on the servers")
	mustComplete(cmd, "state", func(string) []string { return itemStates() })
	return cmd
}

func itemStates() []string {
	names := make([]string, len(engine.ItemStates))
	for i, s := range engine.ItemStates {
		names[i] = string(s)
	}
	return names
}

// shown reports whether a state is among those to list. What has ended is listed only
// by name.
func (o *itemsListOptions) shown(s engine.ItemState) bool {
	if len(o.states) == 0 {
		return s != engine.ItemEnded
	}
	return slices.Contains(o.states, string(s))
}

func runItemsList(ctx context.Context, app *App, opts itemsListOptions) error {
	if err := opts.need(); err != nil {
		return err
	}
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	users, err := opts.list(ctx, app, st)
	if err != nil {
		return err
	}
	e := app.engine(st, engine.Silent{})
	var all, list []engine.Item
	ids := map[string]int64{}
	for _, u := range users {
		part, err := e.Items(ctx, u.Email, u.ID)
		if err != nil {
			return err
		}
		ids[u.Email] = u.ID
		all = append(all, part...)
	}
	for _, i := range all {
		if opts.shown(i.State) {
			list = append(list, i)
		}
	}
	slices.SortStableFunc(list, func(a, b engine.Item) int { return b.Since.Compare(a.Since) })
	list = newest(app, &opts.listOptions, list)
	if opts.labels {
		if err := app.labelItems(ctx, e, list, ids); err != nil {
			return err
		}
	}
	if err := app.print(&opts.outputOptions, ui.List(itemFields, list)); err != nil {
		return err
	}
	app.Notice("%s", health(all))
	return nil
}

// labelItems names items where they are, one user after the other. Where a server does
// not answer, the rest of that user's stay without a name.
func (app *App) labelItems(ctx context.Context, e *engine.Engine, list []engine.Item, ids map[string]int64) error {
	byUser := map[string][]int{}
	for n, i := range list {
		byUser[i.User] = append(byUser[i.User], n)
	}
	for _, user := range slices.Sorted(maps.Keys(byUser)) {
		part := make([]engine.Item, 0, len(byUser[user]))
		for _, n := range byUser[user] {
			part = append(part, list[n])
		}
		if err := e.Label(ctx, ids[user], part); err != nil {
			if ctx.Err() != nil {
				return err
			}
			app.Notice("%s: the names could not be read: %v", user, err)
		}
		for k, n := range byUser[user] {
			list[n].Label = part[k].Label
		}
	}
	return nil
}

// exclusions are the words for why records are left out.
var exclusions = map[Code]string{
	engine.CodeOverLimit:  "over the limit of a first sync",
	engine.CodeLeftOut:    "imported",
	engine.CodeNotAllowed: "may not be written to the CRM yet",
}

// health counts records by their states in words, those that are excluded with the
// reasons.
func health(items []engine.Item) string {
	byState, why := map[engine.ItemState]int{}, map[string]int{}
	for _, i := range items {
		byState[i.State]++
		if i.State == engine.ItemExcluded {
			why[or(exclusions[i.Code], "ignored")]++
		}
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(why)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", why[reason], reason))
	}
	text := fmt.Sprintf("%d in sync, %d excluded", byState[engine.ItemInSync], byState[engine.ItemExcluded])
	if len(reasons) > 0 {
		text += " (" + strings.Join(reasons, ", ") + ")"
	}
	text += fmt.Sprintf(", %d failing", byState[engine.ItemFailing])
	for _, s := range []engine.ItemState{engine.ItemHeld, engine.ItemUnlinked} {
		if n := byState[s]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, s)
		}
	}
	return text
}

type itemsExplainOptions struct {
	outputOptions
	user   string
	item   string
	values bool
}

func newItemsExplain(app *App, run func(context.Context, *App, itemsExplainOptions) error) *cobra.Command {
	var opts itemsExplainOptions
	if run == nil {
		run = runItemsExplain
	}
	cmd := &cobra.Command{
		Use:   "explain USER ITEM",
		Short: "Explain one record: linked to what, how it stands and why, and what would happen to it",
		Long: `Explain one record of a user: what it is linked to and since when, whether both sides are
the same, what the next cycle would do with it, and what an edit or a delete on either side
would lead to. The answer comes from the same rules that a cycle follows. Nothing is written.

ITEM is an id of the CRM or of the mailbox, an e-mail address, or words of the name or the
company. If several records fit, they are listed.`,
		Example: `  crmsync items explain ann@example.com zoe@customer.example
  crmsync items explain ann@example.com 'Zoe Miller' --values
  crmsync items explain ann@example.com 003Hs00001abcdeAAA -o yaml`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return app.completeUsers(cmd, args, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user, opts.item = args[0], args[1]
			if strings.TrimSpace(opts.item) == "" {
				return usage(cmd, "ITEM is empty")
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(explanationFields(false)))
	cmd.Flags().BoolVar(&opts.values, "values", false, "show the values of fields that differ, not only their names")
	return cmd
}

func runItemsExplain(ctx context.Context, app *App, opts itemsExplainOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	sel := selectOptions{users: []string{opts.user}}
	users, err := sel.list(ctx, app, st)
	if err != nil {
		return err
	}
	progress := app.NewProgress(app.Now)
	x, err := app.engine(st, progress).Explain(ctx, users[0].ID, opts.item)
	progress.Close()
	var several *engine.SeveralItems
	switch {
	case errors.Is(err, engine.ErrNoItem):
		return fail(codeNotFound, opts.item, "neither side has such a record for "+users[0].Email).
			because("every record of his in the CRM, and all of our folder in his mailbox, was looked at").
			try("crmsync items list " + users[0].Email + " --labels")
	case errors.As(err, &several):
		if err := app.print(&opts.outputOptions, ui.List(itemFields, several.Items)); err != nil {
			return err
		}
		return fail(codeSeveral, opts.item, fmt.Sprintf("%d records fit", len(several.Items))).do("name one of them by an id; -o wide shows those of the mailbox")
	case err != nil:
		e := *explain(err)
		e.Who = users[0].Email
		return &e
	}
	if app.OutTTY && opts.screen(app.cfg) {
		return app.explanation(x, opts.values)
	}
	return app.print(&opts.outputOptions, ui.One(explanationFields(opts.values), x))
}
