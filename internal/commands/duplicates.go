package commands

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func newDuplicates(app *App) *cobra.Command {
	return newNoun("duplicates", "duplicate", "Find contacts that are there twice, and merge them",
		newDuplicatesFind(app, nil),
		newDuplicatesMerge(app, nil),
	)
}

// duplicate is one item of a group.
type duplicate struct {
	Group   string
	User    string
	Side    record.Side
	ID      string
	Label   string
	Linked  bool
	Sure    bool
	Why     string
	Created time.Time
}

// duplicateFields are the fields of duplicates find.
var duplicateFields = []ui.Field[duplicate]{
	{Name: "group", Of: func(d duplicate) any { return d.Group }},
	{Name: "user", Of: func(d duplicate) any { return d.User }},
	{Name: "side", Of: func(d duplicate) any { return string(d.Side) }},
	{Name: "id", Of: func(d duplicate) any { return d.ID }, Wide: true},
	{Name: "label", Of: func(d duplicate) any { return d.Label }},
	{Name: "linked", Of: func(d duplicate) any { return d.Linked }},
	{Name: "sure", Of: func(d duplicate) any { return d.Sure }},
	{Name: "why", Of: func(d duplicate) any { return d.Why }},
	{Name: "created", Of: func(d duplicate) any { return d.Created }},
}

type duplicatesFindOptions struct {
	selectOptions
	outputOptions
	side     string
	parallel int
}

func newDuplicatesFind(app *App, run func(context.Context, *App, duplicatesFindOptions) error) *cobra.Command {
	var opts duplicatesFindOptions
	if run == nil {
		run = runDuplicatesFind
	}
	cmd := &cobra.Command{
		Use:   "find " + selectionUse,
		Short: "List contacts that are probably the same, on each side",
		Long: `List contacts of the selected users that are probably the same: a user's records in the
CRM, and what lies in our folder in his mailbox. They are compared by the rules by which a
cycle matches records: e-mail addresses without regard to case, names, companies, telephone
numbers. Those that are the same beyond doubt are sure; for the others a person decides.`,
		Example: `  crmsync duplicates find ann@example.com
  crmsync duplicates find --all --side mailbox -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !oneOf(opts.side, "", "crm", "mailbox"):
				return usage(cmd, "--side %q is not one of crm, mailbox", opts.side)
			case opts.parallel < 1:
				return usage(cmd, "--parallel must be at least 1")
			}
			if err := firstError(opts.selectOptions.check(cmd, args), opts.outputOptions.check(cmd)); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.selectOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(duplicateFields))
	cmd.Flags().StringVar(&opts.side, "side", "", "only one `SIDE`: crm or mailbox")
	cmd.Flags().IntVar(&opts.parallel, "parallel", 8, "work on `N` users at a time")
	mustComplete(cmd, "side", func(string) []string { return []string{"crm", "mailbox"} })
	return cmd
}

func runDuplicatesFind(ctx context.Context, app *App, opts duplicatesFindOptions) error {
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
	of := []record.Side{record.CRM, record.Mailbox}
	if opts.side != "" {
		of = []record.Side{record.Side(opts.side)}
	}
	progress := app.NewProgress(app.Now)
	e := app.engine(st, progress)
	groups, errs := make([][]engine.DuplicateGroup, len(users)), make([]error, len(users))
	eachUser(ctx, users, opts.parallel, func(n int, u roster.User) {
		groups[n], errs[n] = e.Duplicates(ctx, u.ID, of...)
	})
	progress.Close()
	var list []duplicate
	found := 0
	rows := slices.Clone(bad)
	for n, u := range users {
		if errs[n] != nil {
			rows = append(rows, failed(u.Email, errs[n]))
			continue
		}
		rows = append(rows, row{User: u.Email, Result: engine.ResultDone})
		found += len(groups[n])
		for _, g := range groups[n] {
			list = append(list, duplicatesOf(g)...)
		}
	}
	if err := app.print(&opts.outputOptions, ui.List(duplicateFields, list)); err != nil {
		return err
	}
	app.Notice("%s of %s", count(found, "group"), count(len(list), "item"))
	for _, r := range rows {
		if r.Code != "" {
			app.report(&Error{Code: r.Code, Who: r.User, What: r.Message})
		}
	}
	return statusError(exitOf(rows))
}

func duplicatesOf(g engine.DuplicateGroup) []duplicate {
	var list []duplicate
	for _, m := range g.Members {
		list = append(list, duplicate{
			Group: g.ID, User: g.User, Side: g.Side, ID: m.ID, Label: m.Record.Label(),
			Linked: m.Link != nil, Sure: m.Sure, Why: m.Why, Created: m.Created,
		})
	}
	return list
}

// eachUser does something for each user, so many at a time, until ctx ends.
func eachUser(ctx context.Context, users []roster.User, parallel int, do func(n int, u roster.User)) {
	var wg sync.WaitGroup
	places := make(chan struct{}, parallel)
	for n, u := range users {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			do(n, u)
		})
	}
	wg.Wait()
}
