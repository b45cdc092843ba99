package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Replica returns where a user's entity stands; the zero value if nothing is known.
func (s *Store) Replica(ctx context.Context, user int64, entity record.Entity) (r engine.Replica, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `
			SELECT
				container_id,
				container_name,
				crm_user,
				mailbox_id,
				mailbox_cursor,
				crm_cursor,
				first_done,
				off,
				rules,
				audit_after,
				audited,
				listed,
				conflict_policy
			FROM replicas
			WHERE user_id = ?
			AND entity = ?`, user, entity).Scan(
			&r.Container.ID,
			&r.Container.Name,
			&r.CRMUser,
			&r.MailboxID,
			&r.MailboxCursor,
			&r.CRMCursor,
			&r.FirstDone,
			&r.Off,
			&r.Rules,
			&r.AuditAfter,
			instant{&r.Audited},
			instant{&r.Listed},
			&r.ConflictPolicy,
		)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return r, err
}

func putReplica(ctx context.Context, tx *sql.Tx, id int64, r engine.Replica) error {
	_, err := run(ctx, tx, `
		UPDATE replicas
		SET
			container_id = ?,
			container_name = ?,
			crm_user = ?,
			mailbox_id = ?,
			mailbox_cursor = ?,
			first_done = ?,
			off = ?,
			rules = ?,
			audit_after = ?,
			audited = ?,
			listed = ?,
			conflict_policy = ?
		WHERE id = ?`,
		r.Container.ID,
		r.Container.Name,
		r.CRMUser,
		r.MailboxID,
		r.MailboxCursor,
		r.FirstDone,
		r.Off,
		r.Rules,
		r.AuditAfter,
		nanos(r.Audited),
		nanos(r.Listed),
		r.ConflictPolicy,
		id,
	)
	return err
}

// rideOn moves the cursor of a user's own; "" rides with the shared one.
func rideOn(ctx context.Context, tx *sql.Tx, replica int64, entity record.Entity, r engine.Ride) error {
	_, err := run(ctx, tx, `
		UPDATE replicas
		SET crm_cursor = CASE
			WHEN ?1 <> '' AND EXISTS (SELECT 1 FROM shared_cursors WHERE connection = ?2 AND entity = ?3 AND cursor = ?1) THEN ''
			ELSE ?4
		END
		WHERE id = ?5`,
		r.From,
		r.Connection,
		entity,
		r.To,
		replica,
	)
	return err
}

const selectReplicaID = `SELECT id FROM replicas WHERE user_id = ? AND entity = ?`

// findReplica returns the number of a user's entity, or 0 if nothing is known of it.
func findReplica(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity) (id int64, err error) {
	err = tx.QueryRowContext(ctx, selectReplicaID, user, entity).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// makeReplica returns the number of a user's entity and begins to know it if need be.
func makeReplica(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity) (int64, error) {
	id, err := findReplica(ctx, tx, user, entity)
	if id != 0 || err != nil {
		return id, err
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO replicas (user_id, entity) VALUES (?, ?) RETURNING id`, user, entity).Scan(&id)
	if isForeign(err) {
		return 0, noUser(user)
	}
	return id, err
}

// SharedCursor returns where the feed of a CRM connection was read to for all users who
// ride with it; "" if it never was.
func (s *Store) SharedCursor(ctx context.Context, connection string, entity record.Entity) (cursor string, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT cursor FROM shared_cursors WHERE connection = ? AND entity = ?`, connection, entity).Scan(&cursor)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return cursor, err
}

// MoveSharedCursor moves it on, unless it does not stand at from any more. Each user in
// behind who rides with the feed gets the cursor given for him as his own. A user rides if his organization has the connection,
// his first sync is done, and he has no cursor of his own.
func (s *Store) MoveSharedCursor(ctx context.Context, connection string, entity record.Entity, from, to string, behind map[int64]string) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		moved, err := run(ctx, tx, `
			INSERT INTO shared_cursors (
				connection,
				entity,
				cursor
			)
			VALUES (?, ?, ?)
			ON CONFLICT (connection, entity) DO UPDATE
			SET cursor = excluded.cursor
			WHERE cursor = ?`,
			connection,
			entity,
			to,
			from,
		)
		if err != nil || moved == 0 || len(behind) == 0 {
			return err
		}
		const leave = `
			UPDATE replicas
			SET crm_cursor = ?
			FROM users u
			JOIN organizations o ON o.name = u.org
			WHERE replicas.user_id = ?
			AND replicas.entity = ?
			AND replicas.first_done = 1
			AND replicas.crm_cursor = ''
			AND u.id = replicas.user_id
			AND o.crm = ?`
		for user, own := range behind {
			if _, err := run(ctx, tx, leave, own, user, entity, connection); err != nil {
				return err
			}
		}
		return nil
	})
}
