package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

// Migrations go forward only. The n-th file makes version n out of version n-1, in a
// transaction of its own, so that a process that is killed between two of them leaves
// a state of the version in between, from which the next start goes on.

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks a SQLite file as a state of this program ("crms").
// https://www.sqlite.org/pragma.html#pragma_application_id
const applicationID = 0x63726d73

// migrations returns the scripts in the order of their names.
func migrations() []string {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is constant
	}
	scripts := make([]string, 0, len(names))
	for _, n := range names {
		b, err := migrationFiles.ReadFile(n)
		if err != nil {
			panic(err) // it was found in the program itself
		}
		scripts = append(scripts, string(b))
	}
	return scripts
}

// migrate brings the state to the newest version. Taking the write lock for it also
// proves that the state can be written.
func migrate(ctx context.Context, db *sql.DB, scripts []string) error {
	for {
		done := false
		err := transact(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
			v, err := version(ctx, tx)
			if err != nil {
				return err
			}
			if v > len(scripts) {
				return &NewerError{State: v, Program: len(scripts)}
			}
			if v == len(scripts) {
				done = true
				return nil
			}
			return step(ctx, tx, v+1, scripts[v])
		})
		if err != nil || done {
			return err
		}
	}
}

// step makes one version out of the one before.
func step(ctx context.Context, tx *sql.Tx, to int, script string) error {
	if _, err := tx.ExecContext(ctx, script); err != nil {
		return fmt.Errorf("migrating to version %d: %w", to, err)
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", to, applicationID))
	return err
}

// version returns the version of a state, 0 for an empty file. A database of another
// program is ErrDamaged.
func version(ctx context.Context, tx *sql.Tx) (int, error) {
	var v, app, tables int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return 0, err
	}
	if app != applicationID && (app != 0 || v != 0 || tables != 0) {
		return 0, fmt.Errorf("%w: it is a database of another program", ErrDamaged)
	}
	return v, nil
}

// checkVersion refuses a state that is not of the program's own version.
func (s *Store) checkVersion(ctx context.Context) error {
	return s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		v, err := version(ctx, tx)
		want := len(migrations())
		switch {
		case err != nil:
			return err
		case v > want:
			return &NewerError{State: v, Program: want}
		case v < want:
			return fmt.Errorf("%w and of version %d, which must be migrated to %d", ErrReadOnly, v, want)
		}
		return nil
	})
}
