package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/crmsync/crmsync/internal/sync/admin"
)

// KeepOrphan stores what a deleted user left behind, in place of what was stored for
// the same address.
func (s *Store) KeepOrphan(ctx context.Context, o admin.Orphan) error {
	items, err := json.Marshal(o.Items)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := run(ctx, tx, `
			INSERT OR REPLACE INTO orphans (
				email_key,
				email,
				mailbox_id,
				org,
				items,
				deleted
			)
			VALUES (?, ?, ?, ?, ?, ?)`,
			emailKey(o.Email),
			o.Email,
			o.MailboxID,
			o.Org,
			string(items),
			nanos(o.Deleted),
		)
		return err
	})
}

// Orphan returns what the user of an address left behind, or admin.ErrNotFound.
func (s *Store) Orphan(ctx context.Context, email string) (o admin.Orphan, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var items []byte
		err := tx.QueryRowContext(ctx, `
			SELECT
				email,
				mailbox_id,
				org,
				items,
				deleted
			FROM orphans
			WHERE email_key = ?`, emailKey(email)).Scan(
			&o.Email,
			&o.MailboxID,
			&o.Org,
			&items,
			instant{&o.Deleted},
		)
		if err != nil {
			return missing(err, "orphan", email)
		}
		return json.Unmarshal(items, &o.Items)
	})
	return o, err
}

// ForgetOrphan removes it; what is not there needs no removing.
func (s *Store) ForgetOrphan(ctx context.Context, email string) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := run(ctx, tx, `DELETE FROM orphans WHERE email_key = ?`, emailKey(email))
		return err
	})
}
