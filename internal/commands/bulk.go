package commands

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

// row is what a bulk verb did to one user.
type row struct {
	User    string
	Result  engine.SessionResult
	Code    string
	Message string
}

// rowFields are the fields that every bulk verb prints.
var rowFields = []ui.Field[row]{
	{Name: "user", Of: func(r row) any { return r.User }},
	{Name: "result", Of: func(r row) any { return string(r.Result) }, Word: true},
	{Name: "code", Of: func(r row) any { return r.Code }, Sparse: true},
	{Name: "message", Of: func(r row) any { return r.Message }},
}

// failed makes the row of a user for whom something went wrong, or was refused.
func failed(user string, err error) row {
	e := explain(err)
	r := row{User: user, Result: engine.ResultFailed, Code: e.Code, Message: e.What}
	switch e.exit() {
	case exitRefused:
		r.Result = engine.ResultRefused
	case exitInterrupted:
		r.Result = engine.ResultInterrupted
	}
	return r
}

// rowsOf turns what administration did into rows.
func rowsOf(outcomes []admin.Outcome) []row {
	rows := make([]row, len(outcomes))
	for i, o := range outcomes {
		rows[i] = row{User: o.User, Result: o.Result, Message: o.Message}
		if o.Err == nil {
			continue
		}
		e := explain(o.Err)
		rows[i].Code = e.Code
		if l := e.lines(); l.Command != "" {
			rows[i].Message += ": " + l.Command
		}
	}
	return rows
}

// writeOptions are of every verb that writes.
type writeOptions struct {
	dryRun bool
}

func (o *writeOptions) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.dryRun, "dry-run", false, "go the whole way, but write nothing")
}

// bulkOptions say how to go through many users.
type bulkOptions struct {
	parallel    int
	maxFailures string
}

func (o *bulkOptions) addFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.parallel, "parallel", 8, "work on `N` users at a time")
	fs.StringVar(&o.maxFailures, "max-failures", "", "begin with no more users once `N`, or N%, have failed")
}

func (o *bulkOptions) check(cmd *cobra.Command) error {
	if o.parallel < 1 {
		return usage(cmd, "--parallel must be at least 1")
	}
	if _, err := o.mayFail(100); err != nil {
		return usage(cmd, "--max-failures %q is neither a number above 0 nor a percentage", o.maxFailures)
	}
	return nil
}

// mayFail returns how many of so many users may fail; 0 for all of them.
func (o *bulkOptions) mayFail(users int) (int, error) {
	if o.maxFailures == "" {
		return 0, nil
	}
	number, percent := strings.CutSuffix(o.maxFailures, "%")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || percent && n > 100 {
		return 0, fmt.Errorf("not a limit: %q", o.maxFailures)
	}
	if percent {
		n = max(users*n/100, 1)
	}
	return n, nil
}

// bulk is how administration goes through so many users.
func (o *bulkOptions) bulk(users int, dryRun bool) admin.Bulk {
	limit, err := o.mayFail(users)
	if err != nil {
		limit = 1 // check has refused it before
	}
	return admin.Bulk{DryRun: dryRun, Parallel: o.parallel, MaxFailures: limit}
}

// finish prints the rows of a bulk verb, sums them up on standard error, and returns
// the error that their exit status asks for.
func (app *App) finish(o *outputOptions, rows []row) error {
	if err := app.print(o, ui.List(rowFields, rows)); err != nil {
		return err
	}
	return app.conclude(rows)
}

// conclude sums rows up that were printed, and returns the error that their exit
// status asks for.
func (app *App) conclude(rows []row) error {
	if len(rows) > 1 {
		app.Notice("%s", summary(rows))
	}
	return statusError(exitOf(rows))
}

// summary counts the results in words: "3 done, 1 failed".
func summary(rows []row) string {
	order := []engine.SessionResult{
		engine.ResultDone, engine.ResultUnchanged, engine.ResultSkipped, engine.ResultRefused,
		engine.ResultFailed, engine.ResultInterrupted, engine.ResultNotStarted,
	}
	var parts []string
	for _, result := range order {
		n := 0
		for _, r := range rows {
			if r.Result == result {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	return strings.Join(parts, ", ")
}
