package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/store"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Error is what went wrong, as a person reads it: who or what, what, why, what to do
// and one command to run. What is empty comes from the table of codes.
type Error struct {
	Code Code
	// Who is the user, connection or file that it is about; may be empty.
	Who string
	// What went wrong, in lower case.
	What string
	// Why, Do and Command override those of the code.
	Why     string
	Do      string
	Command string
	Err     error

	// silent errors have been told already; only their status matters.
	silent bool
	status int
}

func (e *Error) Error() string {
	return fmt.Sprintf("error[%s]: %s", e.Code, e.sentence())
}

func (e *Error) Unwrap() error { return e.Err }

// fail makes an error of the table of codes.
func fail(code Code, who, what string) *Error {
	return &Error{Code: code, Who: who, What: what}
}

// because, do and try set the lines after the first.
func (e *Error) because(why string) *Error { e.Why = why; return e }
func (e *Error) do(what string) *Error     { e.Do = what; return e }
func (e *Error) try(command string) *Error { e.Command = command; return e }
func (e *Error) from(err error) *Error     { e.Err = err; return e }

// usage makes the error of something that was typed wrong.
func usage(cmd *cobra.Command, format string, args ...any) *Error {
	return fail(codeUsage, "", fmt.Sprintf(format, args...)).try(cmd.CommandPath() + " --help")
}

// statusError is an error that is silent because the rows told it; nil for success.
func statusError(status int) error {
	if status == exitOK {
		return nil
	}
	return &Error{silent: true, status: status}
}

func (e *Error) exit() int {
	if e.status != 0 {
		return e.status
	}
	if c, ok := codes[e.Code]; ok {
		return c.exit
	}
	return exitFailure
}

// sentence is the first line without the code.
func (e *Error) sentence() string {
	if e.Who == "" {
		return e.What
	}
	return e.Who + ": " + e.What
}

// lines are what a person reads: the error, why, what to do, and a command.
func (e *Error) lines() ui.Failure {
	c := codes[e.Code]
	f := ui.Failure{Code: e.Code, Text: e.sentence(), Why: e.Why, Do: e.Do, Command: e.Command}
	if f.Why == "" {
		f.Why = c.why
	}
	if f.Do == "" {
		f.Do = c.do
	}
	if f.Command == "" && e.Do == "" {
		f.Command = strings.ReplaceAll(c.command, "USER", userOr(e.Who))
	}
	return f
}

func userOr(who string) string {
	if strings.Contains(who, "@") && !strings.Contains(who, " ") {
		return who
	}
	return "USER"
}

// explain turns any error into one with a code and advice. It is the only place that
// knows what the errors of other packages mean to a person.
func explain(err error) *Error {
	var (
		own    *Error
		conf   *config.Error
		secret *config.SecretError
		adm    *admin.Error
		fault  *engine.Fault
		far    *remote.Error
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &conf):
		return fail(codeConfig, conf.Where(), conf.Problem).do(conf.Hint).from(err)
	case errors.As(err, &secret):
		return fail(codeSecret, secret.Reference, secret.Problem).from(err)
	case errors.As(err, &adm):
		return explainAdmin(adm, err)
	case errors.Is(err, context.Canceled):
		return fail(codeInterrupted, "", "interrupted").from(err)
	case errors.Is(err, ui.ErrOutput):
		return fail(codeUsage, "", strings.TrimPrefix(err.Error(), ui.ErrOutput.Error()+": ")).try("crmsync help output").from(err)
	case errors.Is(err, engine.ErrLeaseLost):
		return fail(engine.CodeLeaseLost, "", err.Error()).from(err)
	case stateful(err):
		return explainState(err)
	case errors.As(err, &fault):
		e := fail(fault.Code, "", err.Error()).from(err)
		if errors.As(err, &far) {
			e.Do = far.Hint
		}
		return e
	case errors.As(err, &far):
		e := fail(admin.CodeOf(err), "", err.Error()).from(err)
		e.Do = far.Hint
		return e
	case errors.Is(err, admin.ErrNotFound):
		return fail(codeNotFound, "", err.Error()).from(err)
	case errors.Is(err, admin.ErrExists):
		return fail(admin.CodeExists, "", err.Error()).from(err)
	case errors.Is(err, admin.ErrInUse):
		return fail(admin.CodeConnectionInUse, "", err.Error()).from(err)
	case errors.Is(err, context.DeadlineExceeded):
		return fail(engine.CodeTransient, "", "no answer in time").from(err)
	}
	return fail(codeFailure, "", err.Error()).from(err)
}

// stateful reports whether the state is the cause of an error. A file that is not
// there may be any file, so that alone does not say so.
func stateful(err error) bool {
	e := explainState(err)
	return e != nil && e.Code != codeNoState && !errors.Is(err, fs.ErrPermission)
}

// explainAdmin turns an error of administration, which err is or wraps, into advice:
// its kind says with which status the command exits.
func explainAdmin(a *admin.Error, err error) *Error {
	e := fail(a.Code, "", err.Error()).from(err)
	switch a.Kind {
	case admin.Invalid:
		e.status = exitUsage
	case admin.Refused:
		e.status = exitRefused
	case admin.Locked:
		e.status = exitLocked
	}
	if strings.HasPrefix(a.Fix, "crmsync ") {
		e.Command = a.Fix
	} else {
		e.Do = a.Fix
	}
	return e
}

// stateError adds the file to an error of the state.
func stateError(path string, err error) error {
	e := explainState(err)
	if e == nil {
		var own *Error
		if errors.As(err, &own) {
			return err
		}
		e = fail(codeState, "", err.Error()).from(err)
	}
	e.Who = path
	return e
}

// explainState turns an error of the state into advice, or returns nil if it is none.
func explainState(err error) *Error {
	for _, known := range []struct {
		cause error
		code  Code
		what  string
	}{
		{store.ErrNewer, codeStateNewer, ""},
		{store.ErrReadOnly, codeStateReadOnly, "the state cannot be written"},
		{store.ErrFull, codeStateFull, "no space is left for the state"},
		{store.ErrKey, codeStateKey, "the key does not fit this state"},
		{config.ErrNoKey, codeStateKey, ""},
		{store.ErrBusy, codeStateBusy, "another process keeps the state locked"},
		{store.ErrDisk, codeStateDisk, "the disk of the state cannot be read or written"},
		{store.ErrDamaged, codeStateDamaged, "this is no state of crmsync, or it is damaged"},
		{fs.ErrNotExist, codeNoState, "there is no state here yet"},
		{fs.ErrPermission, codeStateReadOnly, "the state cannot be opened: permission denied"},
	} {
		if errors.Is(err, known.cause) {
			return fail(known.code, "", or(known.what, err.Error())).from(err)
		}
	}
	return nil
}
