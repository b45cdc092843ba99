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

// AcquireLease takes a lease for engine.LeaseTime from now, unless there is one that has
// not expired; then ok is false and current says who holds it. A user who is not there is
// admin.ErrNotFound.
func (s *Store) AcquireLease(ctx context.Context, l engine.Lease, now time.Time) (current string, ok bool, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		holder, err := holderAt(ctx, tx, l.User, now)
		if err != nil {
			return err
		}
		if holder != "" {
			current = holder
			return nil
		}
		_, err = run(ctx, tx, `
			INSERT INTO leases (
				user_id,
				holder,
				until
			)
			VALUES (?, ?, ?)
			ON CONFLICT (user_id) DO UPDATE
			SET
				holder = excluded.holder,
				until = excluded.until`,
			l.User,
			l.Holder,
			nanos(now.Add(engine.LeaseTime)),
		)
		if isForeign(err) {
			return noUser(l.User)
		}
		current, ok = l.Holder, true
		return err
	})
	if err != nil {
		return "", false, err
	}
	return current, ok, nil
}

// RenewLease moves the expiry of a lease that is still held to engine.LeaseTime from now,
// or returns engine.ErrLeaseLost.
func (s *Store) RenewLease(ctx context.Context, l engine.Lease, now time.Time) error {
	return s.underLease(ctx, l, func(ctx context.Context, tx *sql.Tx) error {
		_, err := run(ctx, tx, `UPDATE leases SET until = ? WHERE user_id = ?`, nanos(now.Add(engine.LeaseTime)), l.User)
		return err
	})
}

// ReleaseLease gives a lease up; giving up what one does not hold does nothing.
func (s *Store) ReleaseLease(ctx context.Context, l engine.Lease) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := run(ctx, tx, `DELETE FROM leases WHERE user_id = ? AND holder = ?`, l.User, l.Holder)
		return err
	})
}

// Lease tells who holds the user's lease now, or "".
func (s *Store) Lease(ctx context.Context, user int64, now time.Time) (holder string, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		holder, err = holderAt(ctx, tx, user, now)
		return err
	})
	return holder, err
}

// holderAt returns who holds the lease of a user at a time, or "".
func holderAt(ctx context.Context, tx *sql.Tx, user int64, now time.Time) (holder string, err error) {
	var until time.Time
	err = tx.QueryRowContext(ctx, `SELECT holder, until FROM leases WHERE user_id = ?`, user).Scan(&holder, instant{&until})
	if errors.Is(err, sql.ErrNoRows) || err == nil && engine.LeaseExpired(until, now) {
		return "", nil
	}
	return holder, err
}

// underLease is write for a run that must hold a user's lease: the fence. Whether it has
// expired does not matter as long as nobody has taken it.
func (s *Store) underLease(ctx context.Context, l engine.Lease, do func(context.Context, *sql.Tx) error) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		held, err := holds(ctx, tx, l)
		if err != nil {
			return err
		}
		if !held {
			return engine.ErrLeaseLost
		}
		return do(ctx, tx)
	})
}

func holds(ctx context.Context, tx *sql.Tx, l engine.Lease) (held bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM leases WHERE user_id = ? AND holder = ?)`, l.User, l.Holder).Scan(&held)
	return held, err
}

func noUser(id int64) error { return fmt.Errorf("user %d: %w", id, admin.ErrNotFound) }
