package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

// AcquireLease takes the lease of a user until a time, unless another holds it beyond
// now; then ok is false and current says who. A lease that one holds already is
// prolonged. A user who is not there is admin.ErrNotFound.
func (s *Store) AcquireLease(ctx context.Context, user int64, holder string, now, until time.Time) (current string, ok bool, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := run(ctx, tx, `
			INSERT INTO leases (
				user_id,
				holder,
				until
			)
			VALUES (?1, ?2, ?3)
			ON CONFLICT (user_id) DO UPDATE
			SET
				holder = excluded.holder,
				until = excluded.until
			WHERE until <= ?4
			OR holder = excluded.holder`,
			user,
			holder,
			nanos(until),
			nanos(now),
		)
		if isForeign(err) {
			return noUser(user)
		}
		if err != nil {
			return err
		}
		ok = n == 1
		return tx.QueryRowContext(ctx, `SELECT holder FROM leases WHERE user_id = ?`, user).Scan(&current)
	})
	if err != nil {
		return "", false, err
	}
	return current, ok, nil
}

// RenewLease moves the expiry of a lease that holder still holds, or returns
// engine.ErrLeaseLost.
func (s *Store) RenewLease(ctx context.Context, user int64, holder string, until time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := run(ctx, tx, `UPDATE leases SET until = ? WHERE user_id = ? AND holder = ?`, nanos(until), user, holder)
		if err == nil && n == 0 {
			err = engine.ErrLeaseLost
		}
		return err
	})
}

// ReleaseLease gives a lease up; giving up what one does not hold does nothing.
func (s *Store) ReleaseLease(ctx context.Context, user int64, holder string) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := run(ctx, tx, `DELETE FROM leases WHERE user_id = ? AND holder = ?`, user, holder)
		return err
	})
}

// Lease tells who holds the user's lease now, or "".
func (s *Store) Lease(ctx context.Context, user int64, now time.Time) (holder string, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT holder FROM leases WHERE user_id = ? AND until > ?`, user, nanos(now)).Scan(&holder)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return holder, err
}

func noUser(id int64) error { return fmt.Errorf("user %d: %w", id, admin.ErrNotFound) }
