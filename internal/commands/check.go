package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

func newCheck(app *App) *cobra.Command {
	return newNoun("check", "checks", "Prove that connections and users can be reached",
		newCheckWhat(app, "all", nil),
		newCheckWhat(app, admin.CheckCRM, nil),
		newCheckWhat(app, admin.CheckMailbox, nil),
		newCheckWhat(app, admin.CheckAddIn, nil),
	)
}

// checkRow is a check as it is printed.
type checkRow struct {
	admin.Check
	Code Code
}

// checkFields are the fields of every check.
var checkFields = []ui.Field[checkRow]{
	{Name: "user", Of: func(c checkRow) any { return c.User }},
	{Name: "check", Of: func(c checkRow) any { return c.Check.Check }},
	{Name: "result", Of: func(c checkRow) any { return string(c.Result) }, Word: true},
	{Name: "code", Of: func(c checkRow) any { return c.Code }},
	{Name: "message", Of: func(c checkRow) any { return c.Message }},
	{Name: "durationMs", Of: func(c checkRow) any { return c.Duration }},
}

type checkOptions struct {
	selectOptions
	outputOptions
	bulkOptions
	checks []string
	junit  bool
}

func newCheckWhat(app *App, what string, run func(context.Context, *App, checkOptions) error) *cobra.Command {
	opts := checkOptions{checks: []string{what}}
	if run == nil {
		run = runCheck
	}
	cmd := &cobra.Command{
		Use: what + " " + selectionUse,
		Long: `Without users only the connections are proved. With users each connection is proved
once, then each user by one cheap call. Nothing is written. -o junit prints a report for
continuous integration.

Exit status: 0 nothing failed, 3 something failed, 4 all that failed was refused for
authentication or permission.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.selectOptions.check(cmd, args); err != nil {
				return err
			}
			if opts.junit = opts.format == "junit"; opts.junit {
				opts.format = ""
			}
			if err := opts.outputOptions.check(cmd); err != nil {
				return err
			}
			if err := opts.bulkOptions.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	switch what {
	case admin.CheckCRM:
		cmd.Short = "Prove that the CRM answers and shows the users' records"
		cmd.Example = "  crmsync check crm\n  crmsync check crm ann@example.com"
	case admin.CheckMailbox:
		cmd.Short = "Prove that the mail system answers and opens the mailboxes"
		cmd.Example = "  crmsync check mailbox\n  crmsync check mailbox --sync suspended:authorization"
	case admin.CheckAddIn:
		cmd.Short = "Read whether the add-in is where it was asked for"
		cmd.Example = "  crmsync check addin ann@example.com\n  crmsync check addin --addin requested"
	default:
		opts.checks = admin.AllChecks
		cmd.Short = "Make all checks: CRM, mailbox and add-in"
		cmd.Example = "  crmsync check all\n  crmsync check all --all -o junit > report.xml\n  crmsync check all ann@example.com"
	}
	cmd.Long = cmd.Short + ".\n\n" + cmd.Long
	opts.selectOptions.addFlags(cmd, app)
	opts.outputOptions.addFlags(cmd, ui.Names(checkFields))
	cmd.Flags().Lookup("output").Usage = "`FORMAT`: " + strings.Join(ui.Formats, ", ") + ", junit (default table, in a pipe tsv)"
	opts.bulkOptions.addFlags(cmd.Flags())
	return cmd
}

func runCheck(ctx context.Context, app *App, opts checkOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	start := app.Now()
	ad := app.admin(st)
	var results []admin.Check
	var bad []row
	// An add-in is always somebody's: there is no connection to prove by itself.
	if opts.given() || slices.Equal(opts.checks, []string{admin.CheckAddIn}) {
		users, unknown, err := opts.resolve(ctx, app, st)
		if err != nil {
			return err
		}
		bad = unknown
		if results, err = ad.Checks(ctx, users, opts.checks, opts.bulk(len(users), false)); err != nil {
			return err
		}
	} else {
		orgs, err := st.Organizations(ctx)
		if err != nil {
			return err
		}
		if len(orgs) == 0 {
			return fail(codeEmpty, "", "there is no organization to check").try("crmsync org add NAME --crm CONNECTION --mail CONNECTION")
		}
		results = ad.CheckConnections(ctx, orgs, opts.checks)
	}
	rows := checkRows(results, opts.checks, bad)
	if opts.junit {
		err = writeJUnit(app.Out, rows, start, app.Now().Sub(start))
	} else {
		err = app.print(&opts.outputOptions, ui.List(checkFields, rows))
	}
	if err != nil {
		return err
	}
	app.checkAdvice(rows)
	return statusError(checkStatus(rows))
}

// checkRows gives each check its code. Who was named and is unknown has failed.
func checkRows(results []admin.Check, checks []string, bad []row) []checkRow {
	var rows []checkRow
	for _, c := range results {
		r := checkRow{Check: c}
		if c.Err != nil {
			r.Code = explain(c.Err).Code
		}
		rows = append(rows, r)
	}
	for _, b := range bad {
		rows = append(rows, checkRow{
			Check: admin.Check{User: b.User, Check: strings.Join(checks, " "), Result: admin.CheckFailed, Message: b.Message},
			Code:  b.Code,
		})
	}
	return rows
}

// checkStatus is the exit status of checks: that of the failures if all were refused
// for authentication or permission, else "some failed".
func checkStatus(rows []checkRow) int {
	var bad []row
	for _, r := range rows {
		if r.Result == admin.CheckFailed {
			bad = append(bad, row{User: r.User, Result: engine.ResultFailed, Code: r.Code})
		}
	}
	switch status := exitOf(bad); status {
	case exitOK, exitAuth, exitInterrupted:
		return status
	}
	return exitPartial
}

// checkAdvice sums up on standard error and says, once for each code, what to do.
func (app *App) checkAdvice(rows []checkRow) {
	counts := map[admin.CheckResult]int{}
	told := map[Code]bool{}
	for _, r := range rows {
		counts[r.Result]++
		if r.Err == nil || told[r.Code] {
			continue
		}
		told[r.Code] = true
		e := explain(r.Err)
		if e.Who == "" {
			e.Who = r.User
		}
		app.Fail(e.lines())
	}
	var parts []string
	for _, result := range []admin.CheckResult{admin.CheckOK, admin.CheckWarning, admin.CheckSkipped, admin.CheckFailed} {
		if n := counts[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	if len(rows) > 1 {
		app.Notice("%s", strings.Join(parts, ", "))
	}
}

// seconds is a duration as JUnit writes it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
