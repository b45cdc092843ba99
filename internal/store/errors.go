package store

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What can be wrong with a state as a whole. Every error of this package that has
// one of these causes wraps it; who asked turns it into advice. An error for a state
// file that is not there wraps fs.ErrNotExist.
var (
	// ErrNewer says that a newer version of the program wrote the state; see NewerError.
	ErrNewer = errors.New("the state was written by a newer version of the program")
	// ErrDamaged says that the file is no state, or is damaged.
	ErrDamaged = errors.New("the state is damaged or is not a state of this program")
	// ErrReadOnly says that the state cannot be written, or was opened to be read only.
	ErrReadOnly = errors.New("the state is read-only")
	// ErrFull says that there is no room for the state to grow.
	ErrFull = errors.New("the disk is full")
	// ErrDisk says that the disk could not be read or written.
	ErrDisk = errors.New("the disk does not work")
	// ErrKey says that the key is not the one that the state was made with.
	ErrKey = errors.New("the key does not fit the state")
	// ErrBusy says that another process kept the state locked for too long.
	ErrBusy = errors.New("the state is locked by another process")
)

// NewerError tells which version a state has and which the program knows.
type NewerError struct {
	State   int
	Program int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%v (state %d, program %d)", ErrNewer, e.State, e.Program)
}

// Is makes a NewerError an ErrNewer.
func (e *NewerError) Is(target error) bool { return target == ErrNewer }

// classify names the cause of an error by SQLite's result code.
// https://www.sqlite.org/rescode.html
func classify(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	for _, known := range []error{ErrDamaged, ErrReadOnly, ErrFull, ErrBusy, ErrDisk} {
		if errors.Is(err, known) {
			return err
		}
	}
	// A disk too full for the index of the log is reported as an error of its own.
	if e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%w: %w", ErrDisk, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("state: %w", err)
}

// hasPrimary tells that an error has a result code, whatever its finer cause.
func hasPrimary(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}

const (
	cantOpen = sqlite3.SQLITE_CANTOPEN
	readOnly = sqlite3.SQLITE_READONLY
)

// isUnique tells that a row was refused because another has the same key.
func isUnique(err error) bool {
	return hasCode(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE) || hasCode(err, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// isForeign tells that a row was refused because what it refers to does not exist.
func isForeign(err error) bool { return hasCode(err, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY) }

func hasCode(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == code
}
