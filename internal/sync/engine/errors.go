package engine

import (
	"errors"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// ErrLeaseLost says that another run has taken the user over.
var ErrLeaseLost = errors.New("lease lost: another run has taken this user over")

// Fault is why a cycle did not end well: a code, and what was being done. The cause
// keeps its class.
type Fault struct {
	Code Code
	// Side is the one that failed; empty if neither did.
	Side record.Side
	// Doing says what was being done, for example "reading the mailbox".
	Doing string
	Err   error
}

func (f *Fault) Error() string {
	if f.Err == nil {
		return f.Doing
	}
	return f.Doing + ": " + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

// remoteFault wraps an error of a side's connector, stateFault one of the state.
func remoteFault(side record.Side, doing string, err error) error {
	if err == nil {
		return nil
	}
	var f *Fault
	if errors.As(err, &f) {
		return err
	}
	code := codeOfClass[remote.ClassOf(err)]
	if remote.IsWhole(err) {
		code = CodeBudget
	}
	return &Fault{Code: code, Side: side, Doing: doing, Err: err}
}

func stateFault(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLeaseLost):
		return &Fault{Code: CodeLeaseLost, Doing: doing, Err: err}
	}
	return &Fault{Code: CodeState, Doing: doing, Err: err}
}

func isLeaseLost(err error) bool { return errors.Is(err, ErrLeaseLost) }

// faultOf returns the fault in an error that has one.
func faultOf(err error) *Fault {
	var f *Fault
	errors.As(err, &f)
	return f
}
