package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// write runs do in one transaction of the writing connection. It waits for its turn as
// long as the context allows; once it has begun it goes on to the end.
func (s *Store) write(ctx context.Context, do func(context.Context, *sql.Tx) error) error {
	if s.readOnly {
		return ErrReadOnly
	}
	return transact(ctx, s.writer, do)
}

func transact(ctx context.Context, db *sql.DB, do func(context.Context, *sql.Tx) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return classify(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx = context.WithoutCancel(ctx)
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return classify(err)
	}
	if err := do(ctx, tx); err != nil {
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			err = errors.Join(err, rerr)
		}
		return classify(err)
	}
	return classify(tx.Commit())
}

// read runs do in one transaction of a reading connection: all that it reads is of the
// same moment.
func (s *Store) read(ctx context.Context, do func(context.Context, *sql.Tx) error) error {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return classify(err)
	}
	err = do(ctx, tx)
	if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
		err = errors.Join(err, rerr)
	}
	return classify(err)
}

// each calls row for every row of a query.
func each(ctx context.Context, tx *sql.Tx, row func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// run runs a statement and returns how many rows it changed.
func run(ctx context.Context, tx *sql.Tx, query string, args ...any) (int64, error) {
	r, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// nanos returns a time as it is stored.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// instant is a column that holds a time.
type instant struct{ *time.Time }

// Scan implements sql.Scanner.
func (i instant) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*i.Time = fromNanos(n)
	return nil
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// limited returns a limit as SQL has it: 0 means none.
func limited(n int) int {
	if n <= 0 {
		return -1
	}
	return n
}
