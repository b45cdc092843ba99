package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// SQLite takes longer to parse most of our statements than to run them. So each
// connection keeps those that it has parsed and runs them again. Their texts are
// constants of this package, and so there are not many. A statement without parameters
// is not kept: it is run once, like a migration.

// connector opens connections that keep their statements.
type connector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := opened.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("state: %T cannot keep statements", opened), opened.Close())
	}
	return &connection{sqliteConn: inner, kept: map[string]statement{}}, nil
}

// sqliteConn is what the driver's connections can do beside the least.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// statement is a parsed statement.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// connection is a connection that keeps its statements. database/sql uses it from one
// goroutine at a time.
type connection struct {
	sqliteConn
	kept map[string]statement // by text; not those that are running
}

// ExecContext implements driver.ExecerContext.
func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (_ driver.Result, err error) {
	if len(args) == 0 {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	st, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.keep(query, st)) }()
	return st.ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	st, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	found, err := st.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, c.keep(query, st))
	}
	return &answer{Rows: found, done: func() error { return c.keep(query, st) }}, nil
}

// Close implements driver.Conn.
func (c *connection) Close() error {
	var errs []error
	for _, st := range c.kept {
		errs = append(errs, st.Close())
	}
	c.kept = nil
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// take returns a statement that nobody else runs until it is kept again.
func (c *connection) take(ctx context.Context, query string) (statement, error) {
	if st, ok := c.kept[query]; ok {
		delete(c.kept, query)
		return st, nil
	}
	st, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.(statement), nil
}

// keep keeps a statement that has run, unless there is one of its text by now.
func (c *connection) keep(query string, st statement) error {
	if _, ok := c.kept[query]; ok || c.kept == nil {
		return st.Close()
	}
	c.kept[query] = st
	return nil
}

// answer is the answer to a query; its statement is free again when it is closed.
type answer struct {
	driver.Rows
	done func() error
}

// Close implements driver.Rows.
func (r *answer) Close() error {
	err := r.Rows.Close()
	if r.done != nil {
		err = errors.Join(err, r.done())
		r.done = nil
	}
	return err
}
