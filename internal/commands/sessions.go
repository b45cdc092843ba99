package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

func newSessions(app *App) *cobra.Command {
	return newNoun("sessions", "session", "Read what cycles did",
		newSessionsList(app, nil),
		newSessionsShow(app, nil),
		newSessionsLog(app, nil),
	)
}

// sessionFields are the fields of sessions list.
var sessionFields = slices.Concat(
	[]ui.Field[engine.Session]{
		{Name: "session", Of: func(s engine.Session) any { return s.ID }},
		{Name: "user", Of: func(s engine.Session) any { return s.User }},
		{Name: "trigger", Of: func(s engine.Session) any { return string(s.Trigger) }},
		{Name: "started", Of: func(s engine.Session) any { return s.Started }},
		{Name: "ended", Of: func(s engine.Session) any { return s.Ended }, Wide: true},
		{Name: "result", Of: sessionResult, Word: true},
	},
	countFields(func(s engine.Session) engine.Counts { return s.Counts }),
)

// sessionResult is how a session ended, or that it runs.
func sessionResult(s engine.Session) any {
	if s.Ended.IsZero() && s.Result == "" {
		return "running"
	}
	return string(s.Result)
}

// sessionDetails are the fields of sessions show.
var sessionDetails = slices.Concat(sessionFields, []ui.Field[engine.Session]{
	{Name: "durationMs", Of: func(s engine.Session) any {
		if s.Ended.IsZero() {
			return nil
		}
		return s.Ended.Sub(s.Started)
	}},
	{Name: "code", Of: func(s engine.Session) any { return s.Code }},
	{Name: "message", Of: func(s engine.Session) any { return s.Message }},
})

// listOptions are of commands that list what belongs to users, newest first.
type listOptions struct {
	selectOptions
	outputOptions
	last int
	// asked: the person said how many.
	asked bool
}

func (o *listOptions) addFlags(cmd *cobra.Command, app *App, names []string) {
	o.selectOptions.addFlags(cmd, app)
	o.outputOptions.addFlags(cmd, names)
	cmd.Flags().IntVar(&o.last, "last", 50, "the newest `N`; 0 for all")
	cmd.Flags().Lookup("limit").Usage = "the same as --last `N`"
}

func (o *listOptions) check(cmd *cobra.Command, args []string) error {
	if o.last < 0 {
		return usage(cmd, "--last must not be negative")
	}
	err := firstError(o.selectOptions.check(cmd, args), o.outputOptions.check(cmd))
	o.asked = cmd.Flags().Changed("last") || o.limit > 0
	if o.limit > 0 {
		// Of a list, the first are the first rows and not those of the first users.
		o.last, o.limit = o.limit, 0
	}
	return err
}

// ofUsers lists what read returns for each selected user, or for all at once if
// nothing is selected; newer puts it into order.
func ofUsers[T any](ctx context.Context, app *App, st State, o *listOptions, read func(user int64) ([]T, error), newer func(a, b T) int) ([]T, error) {
	var list []T
	if !o.given() || o.all && o.limit == 0 && !o.filters() {
		var err error
		if list, err = read(0); err != nil {
			return nil, err
		}
	} else {
		users, err := o.list(ctx, app, st)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			part, err := read(u.ID)
			if err != nil {
				return nil, err
			}
			list = append(list, part...)
		}
		slices.SortStableFunc(list, newer)
	}
	return newest(app, o, list), nil
}

// newest returns the first rows of a list, and says so if nobody asked for so few.
func newest[T any](app *App, o *listOptions, list []T) []T {
	if o.last == 0 || len(list) <= o.last {
		return list
	}
	if !o.asked {
		app.Notice("the newest %d of %d; --last 0 shows all", o.last, len(list))
	}
	return list[:o.last]
}

func newSessionsList(app *App, run func(context.Context, *App, listOptions) error) *cobra.Command {
	var opts listOptions
	if run == nil {
		run = runSessionsList
	}
	cmd := &cobra.Command{
		Use:   "list " + selectionUse,
		Short: "List the cycles that ran, newest first",
		Example: `  crmsync sessions list
  crmsync sessions list ann@example.com --last 0 -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, app, ui.Names(sessionFields))
	return cmd
}

func runSessionsList(ctx context.Context, app *App, opts listOptions) error {
	st, err := app.reading(ctx)
	if err != nil {
		return err
	}
	list, err := ofUsers(ctx, app, st, &opts,
		func(user int64) ([]engine.Session, error) { return st.Sessions(ctx, user, opts.last) },
		func(a, b engine.Session) int { return int(b.ID - a.ID) })
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.List(sessionFields, list))
}

type sessionOptions struct {
	outputOptions
	id  int64
	out string
}

func newSessionsShow(app *App, run func(context.Context, *App, sessionOptions) error) *cobra.Command {
	var opts sessionOptions
	if run == nil {
		run = runSessionsShow
	}
	cmd := &cobra.Command{
		Use:   "show SESSION",
		Short: "Show one cycle: counts, result and why",
		Example: `  crmsync sessions show 42
  crmsync sessions show 42 -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if opts.id, err = numberArg(cmd, args[0]); err != nil {
				return err
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(sessionDetails))
	return cmd
}

func runSessionsShow(ctx context.Context, app *App, opts sessionOptions) error {
	s, err := session(ctx, app, opts.id)
	if err != nil {
		return err
	}
	return app.print(&opts.outputOptions, ui.One(sessionDetails, s))
}

// session finds a session by its number.
func session(ctx context.Context, app *App, id int64) (engine.Session, error) {
	st, err := app.reading(ctx)
	if err != nil {
		return engine.Session{}, err
	}
	s, err := st.Session(ctx, id)
	if errors.Is(err, admin.ErrNotFound) {
		return s, fail(codeNotFound, fmt.Sprintf("session %d", id), "there is no such session").try("crmsync sessions list")
	}
	return s, err
}

func newSessionsLog(app *App, run func(context.Context, *App, sessionOptions) error) *cobra.Command {
	var opts sessionOptions
	if run == nil {
		run = runSessionsLog
	}
	cmd := &cobra.Command{
		Use:   "log SESSION",
		Short: "Print the log of one cycle",
		Example: `  crmsync sessions log 42
  crmsync sessions log 42 --out session-42.log`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if opts.id, err = numberArg(cmd, args[0]); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	cmd.Flags().StringVar(&opts.out, "out", "", "write the log to a `FILE`")
	return cmd
}

func runSessionsLog(ctx context.Context, app *App, opts sessionOptions) error {
	s, err := session(ctx, app, opts.id)
	if err != nil {
		return err
	}
	if opts.out != "" {
		if err := os.WriteFile(opts.out, []byte(s.Log), 0o600); err != nil {
			return fail(codeFile, opts.out, reason(err)).from(err)
		}
		app.Notice("the log of session %d is in %s", s.ID, opts.out)
		return nil
	}
	_, err = fmt.Fprint(app.Out, s.Log)
	return err
}

// numberArg reads an argument that is a number of something.
func numberArg(cmd *cobra.Command, arg string) (int64, error) {
	n, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || n < 1 {
		return 0, usage(cmd, "%q is not a number of what %q lists", arg, cmd.Parent().CommandPath()+" list")
	}
	return n, nil
}
