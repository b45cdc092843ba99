package commands

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/sync/admin"
)

type usersImportOptions struct {
	addUserOptions
	from string
}

func newUsersImport(app *App, run func(context.Context, *App, usersImportOptions) error) *cobra.Command {
	var opts usersImportOptions
	if run == nil {
		run = runUsersImport
	}
	cmd := &cobra.Command{
		Use:   "import --from directory|FILE|-",
		Short: "Add everybody in the directory, or the users in a file",
		Long: `Add many users at once, with synchronization disabled.

From the directory: everybody who is a CRM user and has a mailbox with the same primary
address. Who is only on one side is skipped, with the reason.

From a CSV file, or standard input: the first line names the columns. One of user, email
and id says who; name, org and plan say the rest; others are ignored, so that what
"users list -o csv" prints can be read. All rows are checked first; a bad one is reported
by its line, and the rest is added unless --strict is given.`,
		Example: `  crmsync users import --from directory
  crmsync users import --from people.csv --org EMEA --dry-run
  crmsync users list --org EMEA -o csv | crmsync --profile test users import --from -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app)
	cmd.Flags().StringVar(&opts.from, "from", "", "`SOURCE`: directory, the path of a CSV file, or - for standard input")
	mustRequire(cmd, "from")
	return cmd
}

func runUsersImport(ctx context.Context, app *App, opts usersImportOptions) error {
	if opts.from == "directory" {
		return importDirectory(ctx, app, opts)
	}
	good, bad, err := readNewUsers(app, opts.from)
	if err != nil {
		return err
	}
	if len(good) == 0 && len(bad) == 0 {
		return fail(codeEmpty, opts.from, "holds no user")
	}
	for i := range good {
		if good[i].Org == "" {
			good[i].Org = opts.org
		}
		if good[i].Plan == "" {
			good[i].Plan = opts.plan
		}
	}
	st, err := app.stateFor(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	return app.addChecked(ctx, st, &opts.addUserOptions, good, bad)
}

func importDirectory(ctx context.Context, app *App, opts usersImportOptions) error {
	st, err := app.stateFor(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	outcomes, err := app.admin(st).ImportDirectory(ctx, opts.org, opts.plan, opts.admin(100))
	if err != nil {
		return err
	}
	if len(outcomes) == 0 {
		return fail(codeEmpty, "", "the directory is empty on both sides").
			because("neither the CRM nor the mail system lists anybody").try("crmsync check all")
	}
	return app.finishAdd(&opts.addUserOptions, rowsOf(outcomes))
}

// readNewUsers reads a CSV file, or standard input.
func readNewUsers(app *App, from string) ([]admin.NewUser, []admin.Outcome, error) {
	name, in := from, app.In
	if from == "-" {
		name = "standard input"
		if app.InTTY {
			return nil, nil, fail(codeUsage, "", "--from - reads standard input, which is a terminal").do("pipe a list into the command")
		}
	} else {
		f, err := os.Open(from)
		if err != nil {
			return nil, nil, fail(codeFile, name, reason(err)).do(`give the path of a CSV file, or the word "directory"`).from(err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	good, bad, err := admin.ReadUsers(io.LimitReader(in, maxInput))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return good, bad, nil
}
