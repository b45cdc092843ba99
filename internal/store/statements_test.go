package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"

	"modernc.org/sqlite"
)

// counting is a driver that counts what is parsed, and what of it is still open.
type counting struct {
	driver.Connector
	parsed, open *int
}

func (c counting) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return countingConn{conn.(sqliteConn), c}, nil
}

type countingConn struct {
	sqliteConn
	counts counting
}

func (c countingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	st, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	*c.counts.parsed++
	*c.counts.open++
	return countingStmt{st.(statement), c.counts}, nil
}

type countingStmt struct {
	statement
	counts counting
}

func (s countingStmt) Close() error {
	*s.counts.open--
	return s.statement.Close()
}

// A statement is parsed once for a connection, however often it is run, fails, or is left
// half read; one that runs within another of the same text is closed after it; and none
// outlives its connection.
func TestStatementsAreParsedOnceAndClosed(t *testing.T) {
	t.Parallel()
	file, err := sqlite.NewConnector(filepath.Join(t.TempDir(), "a.db"))
	must(t, err)
	parsed, open := 0, 0
	db := sql.OpenDB(connector{counting{file, &parsed, &open}})
	db.SetMaxOpenConns(1)
	ctx := t.Context()
	_, err = db.ExecContext(ctx, `CREATE TABLE t (n INTEGER PRIMARY KEY); CREATE TABLE u (n)`)
	must(t, err)
	const insert, find = `INSERT INTO t (n) VALUES (?)`, `SELECT n FROM t WHERE n >= ? ORDER BY n`
	for n := range 20 {
		must(t, transact(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
			_, err := run(ctx, tx, insert, n)
			return err
		}))
		err := transact(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
			_, err := run(ctx, tx, insert, n) // is there already
			return err
		})
		if err == nil {
			t.Fatal("a key was taken twice")
		}
		var first int
		must(t, db.QueryRowContext(ctx, find, n).Scan(&first))
		if first != n {
			t.Fatalf("found %d instead of %d", first, n)
		}
	}
	if parsed != 2 || open != 2 {
		t.Errorf("%d statements were parsed and %d are open, instead of 2", parsed, open)
	}
	must(t, transact(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
		sum := 0
		err := each(ctx, tx, func(outer *sql.Rows) error {
			return each(ctx, tx, func(*sql.Rows) error { sum++; return nil }, find, 10)
		}, find, 15)
		if sum != 5*10 {
			t.Errorf("one query within the other found %d rows instead of 50", sum)
		}
		return err
	}))
	if open != 2 {
		t.Errorf("%d statements are open instead of 2", open)
	}
	var n int
	if err := db.QueryRowContext(ctx, `SELECT n FROM nowhere WHERE n = ?`, 1).Scan(&n); err == nil || errors.Is(err, sql.ErrNoRows) {
		t.Error("a statement that cannot be parsed was run")
	}
	must(t, db.Close())
	if open != 0 {
		t.Errorf("%d statements are open after the end", open)
	}
}
