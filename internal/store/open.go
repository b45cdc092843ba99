// Package store keeps the state in one SQLite file: who is synchronized, what is
// linked to what, what is under way and what has happened. It meets engine.State,
// and through Admin admin.Store.
//
// The rules of the file:
//
//   - Every exported method is one transaction. What it wrote is durable when it
//     returns: WAL with synchronous=FULL. A write that has begun is finished, whatever
//     becomes of the context; it takes milliseconds.
//   - One connection writes, several read. A transaction begins with the write lock,
//     so that two processes wait for each other instead of failing half way.
//   - Times are integers, nanoseconds since 1970 in UTC, so that they come back as they
//     were given; the zero time is 0. The clock is always the caller's.
//   - No content of a record is stored in clear. Bases are keyed hashes, and labels and
//     conflicting values are sealed with a key that is not in the file.
//   - The state machine is stated in CHECK constraints; an error of a constraint is a
//     mistake of the caller, except where a method says what it means.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"modernc.org/sqlite"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// Options are what a state needs from outside.
type Options struct {
	// Random is the source of the installation's id and of nonces. It is needed unless
	// ReadOnly is set.
	Random io.Reader
	// ReadOnly opens a state that exists, of the program's own version, and refuses
	// every write with ErrReadOnly.
	ReadOnly bool
	// Volatile lets a commit return before it is on disk (synchronous=off), so that a
	// power cut loses or damages the state; the death of the process does not. It is
	// for tests that make thousands of states.
	Volatile bool
}

// Store is an open state. Its methods may be called from several goroutines.
type Store struct {
	path     string
	readOnly bool
	volatile bool
	writer   *sql.DB // nil if readOnly
	readers  *sql.DB
	keys     keys
	install  string
	random   io.Reader

	mu sync.Mutex // guards random
}

// Admin is the state as administration sees it. It differs from what the engine sees
// in Users alone.
type Admin struct{ *Store }

var (
	_ engine.State = (*Store)(nil)
	_ admin.Store  = Admin{}
)

// Admin returns the state as administration sees it.
func (s *Store) Admin() Admin { return Admin{s} }

// Users returns all users by e-mail address, with the number of their open issues.
func (a Admin) Users(ctx context.Context) ([]roster.User, error) { return a.roster(ctx) }

// KeySize is the length in bytes of a state's key.
const KeySize = 32

// readersAtOnce is how many connections read side by side.
const readersAtOnce = 4

// Open opens the state in a file, which it makes if need be, readable by its owner
// alone, and brings it to the program's version. The key is KeySize secret bytes; a
// state opens with the key that it was made with and no other. Besides the errors of
// this package it returns fs.ErrNotExist for a ReadOnly state that is not there.
func Open(ctx context.Context, path string, key []byte, o Options) (_ *Store, err error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("%w: it has %d bytes instead of %d", ErrKey, len(key), KeySize)
	}
	if o.Random == nil && !o.ReadOnly {
		return nil, errors.New("state: no source of randomness")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	s := &Store{path: path, readOnly: o.ReadOnly, volatile: o.Volatile, random: o.Random}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.unlock(ctx, key); err != nil {
		return nil, err
	}
	return s, nil
}

// connect opens the handles and migrates.
func (s *Store) connect(ctx context.Context) (err error) {
	if s.readOnly {
		return s.connectReadOnly(ctx)
	}
	if err := create(s.path); err != nil {
		return err
	}
	if s.writer, err = open(s.path, "rw", flags{volatile: s.volatile}); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writer, migrations()); err != nil {
		return s.opened(err)
	}
	if s.readers, err = open(s.path, "ro", flags{}); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(readersAtOnce)
	s.readers.SetMaxIdleConns(readersAtOnce)
	return nil
}

// connectReadOnly opens a state that exists. Where not even SQLite's own log can be
// made beside it, nobody writes to it either, and SQLite is told so.
func (s *Store) connectReadOnly(ctx context.Context) (err error) {
	if _, err := os.Stat(s.path); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	for _, immutable := range []bool{false, true} {
		if s.readers, err = open(s.path, "ro", flags{immutable: immutable}); err != nil {
			return err
		}
		s.readers.SetMaxOpenConns(readersAtOnce)
		err = s.checkVersion(ctx)
		if immutable || !hasPrimary(err, cantOpen) && !hasPrimary(err, readOnly) || hasLog(s.path) {
			return err
		}
		if err := s.readers.Close(); err != nil {
			return err
		}
	}
	return err
}

// hasLog tells that a file's log may hold what the file does not.
func hasLog(path string) bool {
	i, err := os.Stat(path + "-wal")
	return err == nil && i.Size() > 0
}

// opened says why a file that is there could not be opened for writing: SQLite
// reports a directory in which it may not make its log as a file that it cannot open.
func (s *Store) opened(err error) error {
	if hasPrimary(err, cantOpen) {
		if _, serr := os.Stat(s.path); serr == nil {
			return fmt.Errorf("%w: %w", ErrReadOnly, err)
		}
	}
	return err
}

// Close closes the state.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.readers, s.writer} { // the writer last: it folds the log into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Install returns the id of this installation, which stamps bear.
func (s *Store) Install() string { return s.install }

// Schema returns the version of the state: an open one is of the newest.
func (s *Store) Schema() int { return len(migrations()) }

// Path returns the state's file.
func (s *Store) Path() string { return s.path }

// create makes the file and its directories if they are not there. It does not open a
// file that is: closing it again would drop the locks that SQLite holds on it in the
// same process.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return refused(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return refused(err)
	}
	return f.Close()
}

func refused(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return fmt.Errorf("state: %w", err)
}

// flags are what is unusual about a handle.
type flags struct{ immutable, volatile bool }

// open returns a handle. Its pragmas stand in the name, so that every connection of
// the pool has them.
func open(path, mode string, f flags) (*sql.DB, error) {
	q := url.Values{}
	q.Set("mode", mode)
	pragmas := []string{
		"busy_timeout(5000)",
		"foreign_keys(1)",
		"trusted_schema(0)",
		"temp_store(memory)", // no content of a sort on disk
	}
	if mode == "rw" {
		q.Set("_txlock", "immediate")
		pragmas = append(pragmas, "journal_mode(wal)")
		if f.volatile {
			pragmas = append(pragmas, "synchronous(off)")
		} else {
			pragmas = append(pragmas, "synchronous(full)")
		}
	} else {
		pragmas = append(pragmas, "query_only(1)")
	}
	if f.immutable {
		q.Set("immutable", "1")
	}
	q["_pragma"] = pragmas
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // file:///C:/…, https://www.sqlite.org/uri.html
	}
	name := url.URL{Scheme: "file", Path: p, RawQuery: q.Encode()}
	driver, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, classify(err)
	}
	return sql.OpenDB(connector{driver}), nil
}
