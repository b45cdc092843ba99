package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// While there are organizations, exactly one is the default: the first one added, until
// another is stored with Default.

const organizationColumns = `
		o.name,
		o.crm,
		o.mail,
		o.access,
		o.enabled,
		o.is_default,
		o.region`

func organizationFields(o *roster.Organization) []any {
	return []any{
		&o.Name,
		&o.CRM,
		&o.Mail,
		&o.Access,
		&o.Enabled,
		&o.Default,
		&o.Region,
	}
}

// Organizations returns all organizations by name.
func (s *Store) Organizations(ctx context.Context) (out []roster.Organization, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			var o roster.Organization
			err := r.Scan(organizationFields(&o)...)
			out = append(out, o)
			return err
		}, `SELECT`+organizationColumns+` FROM organizations o ORDER BY o.name`)
	})
	return out, err
}

// Organization returns the organization of a name, the default one if it is empty, or
// admin.ErrNotFound.
func (s *Store) Organization(ctx context.Context, name string) (o roster.Organization, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		o, err = organization(ctx, tx, name)
		return err
	})
	return o, err
}

func organization(ctx context.Context, tx *sql.Tx, name string) (o roster.Organization, err error) {
	query, args := `SELECT`+organizationColumns+` FROM organizations o WHERE o.name = ?`, []any{name}
	if name == "" {
		query, args = `SELECT`+organizationColumns+` FROM organizations o WHERE o.is_default = 1`, nil
	}
	err = tx.QueryRowContext(ctx, query, args...).Scan(organizationFields(&o)...)
	return o, missing(err, "organization", name)
}

// AddOrganization adds an organization and makes the first one the default. It returns
// admin.ErrExists, or admin.ErrNotFound for a connection that is not there.
func (s *Store) AddOrganization(ctx context.Context, o roster.Organization, a ...engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if o.Default {
			if err := clearDefault(ctx, tx); err != nil {
				return err
			}
		}
		n, err := run(ctx, tx, `
			INSERT INTO organizations (
				name,
				crm,
				mail,
				access,
				enabled,
				is_default,
				region
			)
			VALUES (?, ?, ?, ?, ?, ? OR NOT EXISTS (SELECT 1 FROM organizations), ?)
			ON CONFLICT (name) DO NOTHING`,
			o.Name,
			o.CRM,
			o.Mail,
			o.Access,
			o.Enabled,
			o.Default,
			o.Region,
		)
		if err != nil {
			return noConnection(err, o)
		}
		if n == 0 {
			return fmt.Errorf("organization %q: %w", o.Name, admin.ErrExists)
		}
		return appendActivities(ctx, tx, a)
	})
}

// UpdateOrganization stores all fields of the organization of that name. The default
// one stays the default until another is. It returns admin.ErrNotFound if it, or a
// connection of it, is not there, and admin.ErrExists if two of its users would have
// the same mailbox.
func (s *Store) UpdateOrganization(ctx context.Context, o roster.Organization, a ...engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if o.Default {
			if err := clearDefault(ctx, tx); err != nil {
				return err
			}
		}
		n, err := run(ctx, tx, `
			UPDATE organizations
			SET
				crm = ?,
				mail = ?,
				access = ?,
				enabled = ?,
				is_default = is_default OR ?,
				region = ?
			WHERE name = ?`,
			o.CRM,
			o.Mail,
			o.Access,
			o.Enabled,
			o.Default,
			o.Region,
			o.Name,
		)
		switch {
		case isUnique(err):
			return fmt.Errorf("a mailbox of the users of %q: %w", o.Name, admin.ErrExists)
		case err != nil:
			return noConnection(err, o)
		case n == 0:
			return fmt.Errorf("organization %q: %w", o.Name, admin.ErrNotFound)
		}
		return appendActivities(ctx, tx, a)
	})
}

func clearDefault(ctx context.Context, tx *sql.Tx) error {
	_, err := run(ctx, tx, `UPDATE organizations SET is_default = 0 WHERE is_default = 1`)
	return err
}

func noConnection(err error, o roster.Organization) error {
	if isForeign(err) {
		return fmt.Errorf("connection %q or %q: %w", o.CRM, o.Mail, admin.ErrNotFound)
	}
	return err
}
