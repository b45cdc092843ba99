package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Main runs one command line and returns the status to exit with. ctx ends when the
// person interrupts.
func Main(ctx context.Context, app *App, args []string) (status int) {
	defer func() {
		if cause := recover(); cause != nil {
			status = app.report(fail(codeBug, "", fmt.Sprintf("this should not have happened: %v", cause)))
		}
	}()
	root := newRoot(app) //nolint:contextcheck // commands get ctx when they run
	defer context.AfterFunc(ctx, app.Interrupted)()
	begun := false
	onRun(root, func() { begun = true })
	root.SetArgs(args)
	root.SetIn(app.In)
	root.SetOut(app.Out)
	root.SetErr(app.Err)
	cmd, err := root.ExecuteContextC(ctx)
	var own *Error
	if err != nil && !begun && !errors.As(err, &own) {
		// What stops a command line before its command begins was typed wrong.
		err = usage(cmd, "%v", err)
	}
	if cerr := app.close(); err == nil {
		err = cerr
	}
	if ctx.Err() != nil && err != nil {
		err = interrupted(err)
	}
	return app.report(err)
}

// onRun calls f when a command of the tree begins.
func onRun(cmd *cobra.Command, f func()) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			f()
			return run(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		onRun(c, f)
	}
}

// report prints an error and returns the exit status that it stands for.
func (app *App) report(err error) int {
	if err == nil {
		return exitOK
	}
	e := explain(err)
	if !e.silent {
		app.Fail(e.lines())
	}
	return e.exit()
}

// reported reports an error at once, and returns what the program is to exit with in the
// end if nothing else does.
func (app *App) reported(err error) error {
	if err == nil {
		return nil
	}
	app.report(err)
	e := *explain(err)
	e.silent = true
	return &e
}

// interrupted marks an error as the consequence of an interrupt, unless it says more
// than that.
func interrupted(err error) error {
	var e *Error
	if errors.As(err, &e) && !errors.Is(err, context.Canceled) && !e.silent {
		return err
	}
	silent := e != nil && e.silent
	return &Error{Code: codeInterrupted, What: "interrupted; what was begun has been finished or will be, by the next run", silent: silent, Err: err}
}
