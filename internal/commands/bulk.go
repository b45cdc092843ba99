package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
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
	{Name: "code", Of: func(r row) any { return r.Code }},
	{Name: "message", Of: func(r row) any { return r.Message }},
}

// done, unchanged and skipped make the rows of what went well; failed that of what did
// not, or was refused.
func done(user, message string) row {
	return row{User: user, Result: engine.ResultDone, Message: message}
}

func unchanged(user, message string) row {
	return row{User: user, Result: engine.ResultUnchanged, Message: message}
}

func skipped(user, message string) row {
	return row{User: user, Result: engine.ResultSkipped, Message: message}
}

func failed(user string, err error) row {
	e := explain(err)
	r := row{User: user, Result: engine.ResultFailed, Code: string(e.Code), Message: e.sentence()}
	if e.exit() == exitRefused {
		r.Result = engine.ResultRefused
	}
	return r
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
	fs.StringVar(&o.maxFailures, "max-failures", "", "stop after `N` or N% of the users have failed")
}

func (o *bulkOptions) check(cmd *cobra.Command) error {
	if o.parallel < 1 {
		return usage(cmd, "--parallel must be at least 1")
	}
	if _, err := o.limit(100); err != nil {
		return usage(cmd, "--max-failures %q is neither a number nor a percentage", o.maxFailures)
	}
	return nil
}

// limit returns how many of so many users may fail; -1 for all of them.
func (o *bulkOptions) limit(users int) (int, error) {
	if o.maxFailures == "" {
		return -1, nil
	}
	number, percent := strings.CutSuffix(o.maxFailures, "%")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || percent && n > 100 {
		return 0, fmt.Errorf("not a limit: %q", o.maxFailures)
	}
	if percent {
		n = users * n / 100
	}
	return n, nil
}

// each does something to each user, several at a time, and returns their rows in the
// order of the users. It starts no more once ctx has ended, or once more users have
// failed than may.
func (o *bulkOptions) each(ctx context.Context, users []roster.User, do func(context.Context, roster.User) row) []row {
	rows := make([]row, len(users))
	for i, u := range users {
		rows[i] = row{User: u.Email, Result: engine.ResultNotStarted}
	}
	limit, err := o.limit(len(users))
	if err != nil {
		limit = 0
	}
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		misses int
		next   int
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(users) || ctx.Err() != nil || limit >= 0 && misses > limit {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for range min(o.parallel, len(users)) {
		wg.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				r := do(ctx, users[i])
				mu.Lock()
				rows[i] = r
				if r.Result == engine.ResultFailed {
					misses++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i := next; i < len(rows); i++ {
		switch {
		case ctx.Err() != nil:
			rows[i].Message = "interrupted before it began"
		default:
			rows[i].Message = "too many users had failed"
		}
	}
	return rows
}

// finish prints the rows of a bulk verb, sums them up on standard error, and returns
// the error that their exit status asks for.
func (app *App) finish(o *outputOptions, rows []row) error {
	if err := app.print(o, ui.List(rowFields, rows)); err != nil {
		return err
	}
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
