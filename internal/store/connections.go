package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

const selectConnection = `
	SELECT
		name,
		kind,
		endpoint,
		token_endpoint,
		auth,
		tenant,
		client_id,
		username,
		secret,
		token,
		certificate,
		stamp_field,
		app_id
	FROM connections`

// Connections returns all connections by name.
func (s *Store) Connections(ctx context.Context) (out []roster.Connection, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			c, err := scanConnection(r)
			out = append(out, c)
			return err
		}, selectConnection+` ORDER BY name`)
	})
	return out, err
}

// Connection returns the connection of a name, or admin.ErrNotFound.
func (s *Store) Connection(ctx context.Context, name string) (c roster.Connection, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		c, err = scanConnection(tx.QueryRowContext(ctx, selectConnection+` WHERE name = ?`, name))
		return missing(err, "connection", name)
	})
	return c, err
}

// AddConnection adds a connection, or returns admin.ErrExists.
func (s *Store) AddConnection(ctx context.Context, c roster.Connection, a ...engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := run(ctx, tx, `
			INSERT INTO connections (
				name,
				kind,
				endpoint,
				token_endpoint,
				auth,
				tenant,
				client_id,
				username,
				secret,
				token,
				certificate,
				stamp_field,
				app_id
			)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO NOTHING`,
			c.Name,
			c.Kind,
			c.Endpoint,
			c.TokenEndpoint,
			c.Auth,
			c.Tenant,
			c.ClientID,
			c.Username,
			c.Secret,
			c.Token,
			c.Certificate,
			c.StampField,
			c.AppID,
		)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("connection %q: %w", c.Name, admin.ErrExists)
		}
		return appendActivities(ctx, tx, a)
	})
}

// UpdateConnection stores all fields of the connection of that name, or returns
// admin.ErrNotFound.
func (s *Store) UpdateConnection(ctx context.Context, c roster.Connection, a ...engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := run(ctx, tx, `
			UPDATE connections
			SET
				kind = ?,
				endpoint = ?,
				token_endpoint = ?,
				auth = ?,
				tenant = ?,
				client_id = ?,
				username = ?,
				secret = ?,
				token = ?,
				certificate = ?,
				stamp_field = ?,
				app_id = ?
			WHERE name = ?`,
			c.Kind,
			c.Endpoint,
			c.TokenEndpoint,
			c.Auth,
			c.Tenant,
			c.ClientID,
			c.Username,
			c.Secret,
			c.Token,
			c.Certificate,
			c.StampField,
			c.AppID,
			c.Name,
		)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("connection %q: %w", c.Name, admin.ErrNotFound)
		}
		return appendActivities(ctx, tx, a)
	})
}

// RemoveConnection removes a connection and its shared cursors. It returns
// admin.ErrNotFound, or admin.ErrInUse while an organization uses it.
func (s *Store) RemoveConnection(ctx context.Context, name string, a ...engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var used bool
		err := tx.QueryRowContext(ctx, `
			SELECT
				EXISTS (SELECT 1 FROM organizations WHERE crm = ?1)
				OR EXISTS (SELECT 1 FROM organizations WHERE mail = ?1)`, name).Scan(&used)
		if err != nil {
			return err
		}
		if used {
			return fmt.Errorf("connection %q: %w", name, admin.ErrInUse)
		}
		n, err := run(ctx, tx, `DELETE FROM connections WHERE name = ?`, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("connection %q: %w", name, admin.ErrNotFound)
		}
		return appendActivities(ctx, tx, a)
	})
}

// scanner is a row, alone or among others.
type scanner interface{ Scan(...any) error }

func scanConnection(r scanner) (c roster.Connection, err error) {
	err = r.Scan(
		&c.Name,
		&c.Kind,
		&c.Endpoint,
		&c.TokenEndpoint,
		&c.Auth,
		&c.Tenant,
		&c.ClientID,
		&c.Username,
		&c.Secret,
		&c.Token,
		&c.Certificate,
		&c.StampField,
		&c.AppID,
	)
	return c, err
}

// missing names what was not found.
func missing(err error, what, name string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s %q: %w", what, name, admin.ErrNotFound)
	}
	return err
}
