package store

import (
	"context"
	"database/sql"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

const (
	deleteIntent = `
	DELETE FROM intents
	WHERE replica_id = ?
	AND op = ?`

	insertExpired = `
	INSERT INTO expired_ops (
		replica_id,
		op,
		expired,
		side,
		kind,
		body
	)
	SELECT
		replica_id,
		op,
		?,
		side,
		kind,
		body
	FROM intents
	WHERE replica_id = ?
	AND op = ?
	ON CONFLICT (replica_id, op) DO UPDATE
	SET expired = excluded.expired`
)

// Settle stores what became of writes, and everything that follows from it, in the order
// of the settlement's fields.
func (s *Store) Settle(ctx context.Context, l engine.Lease, entity record.Entity, set engine.Settlement) error {
	user := l.User
	return s.underLease(ctx, l, func(ctx context.Context, tx *sql.Tx) error {
		replica, err := makeReplica(ctx, tx, user, entity)
		if err != nil {
			return err
		}
		if err := settleIntents(ctx, tx, replica, set); err != nil {
			return err
		}
		if err := settleImages(ctx, tx, replica, set); err != nil {
			return err
		}
		if err := removeLinks(ctx, tx, replica, set.Remove); err != nil {
			return err
		}
		if err := putLinks(ctx, tx, replica, set.Links); err != nil {
			return err
		}
		if err := s.raiseIssues(ctx, tx, user, entity, set); err != nil {
			return err
		}
		if err := resolveIssues(ctx, tx, user, entity, set.Resolved); err != nil {
			return err
		}
		if err := s.putHeld(ctx, tx, user, entity, set); err != nil {
			return err
		}
		if err := s.keepConflicts(ctx, tx, user, entity, set); err != nil {
			return err
		}
		if err := markRestored(ctx, tx, user, set); err != nil {
			return err
		}
		if set.Replica != nil {
			if err := putReplica(ctx, tx, replica, *set.Replica); err != nil {
				return err
			}
		}
		if set.Rides != nil {
			if err := rideOn(ctx, tx, replica, entity, *set.Rides); err != nil {
				return err
			}
		}
		return appendActivities(ctx, tx, set.Activities)
	})
}

// settleIntents removes the intents whose outcome is known or given up, and remembers
// the latter.
func settleIntents(ctx context.Context, tx *sql.Tx, replica int64, set engine.Settlement) (err error) {
	if len(set.Settled)+len(set.Expired) == 0 {
		return nil
	}
	for _, op := range set.Expired {
		if _, err := run(ctx, tx, insertExpired, nanos(set.Now), replica, op); err != nil {
			return err
		}
	}
	for _, ops := range [][]record.OpID{set.Settled, set.Expired} {
		for _, op := range ops {
			if _, err := run(ctx, tx, deleteIntent, replica, op); err != nil {
				return err
			}
		}
	}
	return nil
}
