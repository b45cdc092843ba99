package commands

import (
	"context"
	"errors"
	"fmt"
)

// Main runs one command line and returns the status to exit with. ctx ends when the
// person interrupts.
func Main(ctx context.Context, app *App, args []string) (status int) {
	defer func() {
		if cause := recover(); cause != nil {
			status = app.report(fail(codeBug, "", fmt.Sprintf("this should not have happened: %v", cause)))
		}
	}()
	root := newRoot(app)
	root.SetArgs(args)
	root.SetIn(app.In)
	root.SetOut(app.Out)
	root.SetErr(app.Err)
	err := root.ExecuteContext(ctx)
	if cerr := app.close(); err == nil {
		err = cerr
	}
	if ctx.Err() != nil && err != nil {
		err = interrupted(err)
	}
	return app.report(err)
}

// report prints an error and returns the exit status that it stands for.
func (app *App) report(err error) int {
	if err == nil {
		return exitOK
	}
	e := explain(err)
	if !e.silent {
		app.Streams.Fail(e.lines())
	}
	return e.exit()
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
