package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/store"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

func TestExitStatusOfRows(t *testing.T) {
	t.Parallel()
	var (
		done    = row{Result: engine.ResultDone}
		same    = row{Result: engine.ResultUnchanged}
		skipped = row{Result: engine.ResultSkipped, Code: engine.CodeNotDue}
		busy    = row{Result: engine.ResultSkipped, Code: engine.CodeLocked}
		refused = row{Result: engine.ResultRefused, Code: admin.CodeForceTooSoon}
		denied  = row{Result: engine.ResultFailed, Code: engine.CodeAccess}
		broken  = row{Result: engine.ResultFailed, Code: engine.CodeTransient}
		unknown = row{Result: engine.ResultFailed, Code: codeUnknownUser}
		never   = row{Result: engine.ResultNotStarted}
		cut     = row{Result: engine.ResultInterrupted, Code: engine.CodeInterrupted}
	)
	for _, tt := range []struct {
		name string
		rows []row
		want int
	}{
		{"nobody", nil, exitOK},
		{"all done", []row{done, same, done}, exitOK},
		{"skipped is well", []row{done, skipped}, exitOK},
		{"one unknown", []row{unknown}, exitUsage},
		{"some unknown", []row{done, unknown}, exitPartial},
		{"all failed", []row{broken, unknown}, exitPartial},
		{"some failed", []row{done, broken}, exitPartial},
		{"all refused", []row{refused, refused}, exitRefused},
		{"some refused", []row{done, refused}, exitPartial},
		{"all denied", []row{denied, denied}, exitAuth},
		{"denied and refused", []row{denied, refused}, exitPartial},
		{"all busy", []row{busy, busy}, exitLocked},
		{"busy is in good hands", []row{done, busy}, exitOK},
		{"busy and failed", []row{busy, broken}, exitPartial},
		{"not started", []row{done, never}, exitPartial},
		{"interrupted above all", []row{done, broken, cut}, exitInterrupted},
	} {
		if got := exitOf(tt.rows); got != tt.want {
			t.Errorf("%s: exit status %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestErrorsBecomeAdvice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		exit int
		code Code
		says string
	}{
		{"configuration", &config.Error{File: "c.yaml", Line: 3, Problem: "there is no key", Hint: "did you mean state?"}, exitUsage, codeConfig, "c.yaml:3: there is no key"},
		{"secret", &config.SecretError{Reference: "env:X", Problem: "is empty"}, exitUsage, codeSecret, "env:X: is empty"},
		{"state of a newer version", fmt.Errorf("opening: %w", &store.NewerError{State: 9, Program: 1}), exitFailure, codeStateNewer, "9"},
		{"read-only state", store.ErrReadOnly, exitFailure, codeStateReadOnly, ""},
		{"full disk within a cycle", &engine.Fault{Code: engine.CodeState, Doing: "settling", Err: store.ErrFull}, exitFailure, codeStateFull, "no space"},
		{"wrong key", store.ErrKey, exitFailure, codeStateKey, ""},
		{"locked state", store.ErrBusy, exitLocked, codeStateBusy, ""},
		{"broken disk", store.ErrDisk, exitFailure, codeStateDisk, ""},
		{"damaged state", store.ErrDamaged, exitFailure, codeStateDamaged, ""},
		{"refused by administration", &admin.Error{Kind: admin.Refused, Code: admin.CodeDeleteRefused, Message: "initialized", Fix: "crmsync mailbox reset ann@example.com"}, exitRefused, admin.CodeDeleteRefused, "initialized"},
		{"invalid for administration", &admin.Error{Kind: admin.Invalid, Code: admin.CodeOrgInvalid, Message: "no name"}, exitUsage, admin.CodeOrgInvalid, ""},
		{"locked for administration", &admin.Error{Kind: admin.Locked, Code: admin.CodeRunning, Message: "running"}, exitLocked, admin.CodeRunning, ""},
		{"mailbox refused", &remote.Error{Class: remote.ClassAuthorization, Status: 403, Code: "ErrorAccessDenied", Message: "mailbox refused access"}, exitAuth, engine.CodeAccess, "mailbox refused access (403 ErrorAccessDenied)"},
		{"system refused", &remote.Error{Class: remote.ClassConnection, Status: 401, Message: "invalid client"}, exitAuth, engine.CodeConnection, ""},
		{"unreachable", &remote.Error{Class: remote.ClassTransient, Message: "connection refused"}, exitFailure, engine.CodeTransient, ""},
		{"wrong setup", &remote.Error{Class: remote.ClassSetup, Message: "plain http", Hint: "use https"}, exitUsage, engine.CodeSetup, ""},
		{"lease lost", engine.ErrLeaseLost, exitLocked, engine.CodeLeaseLost, ""},
		{"interrupted", context.Canceled, exitInterrupted, codeInterrupted, ""},
		{"anything", errors.New("it rains"), exitFailure, codeFailure, "it rains"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := explain(tt.err)
			if e.exit() != tt.exit || e.Code != tt.code || !strings.Contains(e.sentence(), tt.says) {
				t.Errorf("got %s with status %d; want code %s, status %d, text with %q", e.Error(), e.exit(), tt.code, tt.exit, tt.says)
			}
		})
	}
}

// The state says that it is not there in the words of the operating system.
func TestMissingState(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.OpenState = func(context.Context, StateOptions) (State, error) {
		return nil, &fs.PathError{Op: "stat", Path: "state.db", Err: fs.ErrNotExist}
	}
	if status := b.run(t, "activity", "list"); status != exitUsage {
		t.Errorf("exit status %d", status)
	}
	want := `error[CS1102]: state.db: there is no state here yet
  why: nothing has been set up under this path
  do:  set up, or name another state with --state or --config
  try: crmsync init
`
	if got := b.err.String(); got != want {
		t.Errorf("stderr is:\n%s\nwant:\n%s", got, want)
	}
}

// A panic is a mistake of the program: no trace, one line to report.
func TestPanicBecomesAnError(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.OpenState = func(context.Context, StateOptions) (State, error) { panic("boom") }
	if status := b.run(t, "activity", "list"); status != exitFailure {
		t.Errorf("exit status %d", status)
	}
	if got := b.err.String(); !strings.HasPrefix(got, "error[CS9999]: this should not have happened: boom\n") || strings.Contains(got, "goroutine") {
		t.Errorf("stderr is:\n%s", got)
	}
}

// Every code says what it means and with which status it exits.
func TestCodesAreComplete(t *testing.T) {
	t.Parallel()
	for code, info := range codes {
		if info.title == "" {
			t.Errorf("%s has no title", code)
		}
		if info.exit == exitOK {
			t.Errorf("%s exits with 0", code)
		}
	}
}
