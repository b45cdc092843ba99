package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

const (
	conflictLost = "lost value of a conflict"
	conflictKept = "kept value of a conflict"
)

// Conflicts returns conflicts with their values, newest first; user 0 means all users.
func (s *Store) Conflicts(ctx context.Context, user int64) (out []admin.StoredConflict, err error) {
	query, args := `
	SELECT
		c.id,
		c.user_id,
		u.email,
		c.entity,
		c.session,
		c.time,
		c.crm_id,
		c.mailbox_id,
		c.field,
		c.winner,
		c.lost,
		c.kept,
		c.restored,
		c.how
	FROM conflicts c
	JOIN users u ON u.id = c.user_id`, []any(nil)
	if user != 0 {
		query, args = query+` WHERE c.user_id = ?`, []any{user}
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			c, err := s.scanConflict(r)
			out = append(out, c)
			return err
		}, query+` ORDER BY c.id DESC`, args...)
	})
	return out, err
}

func (s *Store) scanConflict(r scanner) (c admin.StoredConflict, err error) {
	var user int64
	var lost, kept []byte
	err = r.Scan(
		&c.ID,
		&user,
		&c.User,
		&c.Entity,
		&c.Session,
		instant{&c.Time},
		&c.CRMID,
		&c.MailboxID,
		&c.Field,
		&c.Winner,
		&lost,
		&kept,
		&c.Restored,
		&c.How,
	)
	if err != nil {
		return c, err
	}
	if c.Lost, err = s.unsealValue(lost, conflictLost, user); err != nil {
		return c, err
	}
	c.Kept, err = s.unsealValue(kept, conflictKept, user)
	if c.How == string(record.Mailbox) { // on hold the CRM's value stood first; a person kept the other
		c.Kept, c.Lost = c.Lost, c.Kept
	}
	return c, err
}

// keepConflicts stores conflicts, their values sealed. One that is there already, and
// was not restored, is the same one that was met again: a process that dies between two
// steps of a cycle decides the second time what it had decided the first. What
// is on hold of a record that was decided anew, and is not met again, goes.
func (s *Store) keepConflicts(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, set engine.Settlement) error {
	var kept []int64
	for _, c := range set.Conflicts {
		id, err := s.sameConflict(ctx, tx, user, entity, c)
		if err != nil {
			return err
		}
		if id == 0 {
			id, err = s.addConflict(ctx, tx, user, entity, set, c)
		} else {
			_, err = run(ctx, tx, `UPDATE conflicts SET session = ?, time = ? WHERE id = ?`, set.Session, nanos(set.Now), id)
		}
		if err != nil {
			return err
		}
		kept = append(kept, id)
	}
	return releaseConflicts(ctx, tx, user, entity, set.Decided, kept)
}

// releaseConflicts removes what is on hold of records, but for the conflicts that are kept.
func releaseConflicts(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, crmIDs []string, kept []int64) error {
	var gone []int64
	for _, crmID := range crmIDs {
		err := each(ctx, tx, func(r *sql.Rows) error {
			var id int64
			err := r.Scan(&id)
			if !slices.Contains(kept, id) {
				gone = append(gone, id)
			}
			return err
		}, `
			SELECT id
			FROM conflicts
			WHERE user_id = ?
			AND entity = ?
			AND crm_id = ?
			AND winner = ''`, user, entity, crmID)
		if err != nil {
			return err
		}
	}
	for _, id := range gone {
		if _, err := run(ctx, tx, `DELETE FROM conflicts WHERE id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

// sameConflict returns the number of a conflict that is there already, or 0.
func (s *Store) sameConflict(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, c reconcile.Conflict) (same int64, err error) {
	err = each(ctx, tx, func(r *sql.Rows) error {
		var id int64
		var lost, kept []byte
		if err := r.Scan(&id, &lost, &kept); err != nil {
			return err
		}
		l, err := s.unsealValue(lost, conflictLost, user)
		if err != nil {
			return err
		}
		k, err := s.unsealValue(kept, conflictKept, user)
		if err == nil && slices.Equal(l, c.Lost) && slices.Equal(k, c.Kept) {
			same = id
		}
		return err
	}, `
		SELECT
			id,
			lost,
			kept
		FROM conflicts
		WHERE user_id = ?
		AND entity = ?
		AND crm_id = ?
		AND mailbox_id = ?
		AND field = ?
		AND winner = ?
		AND restored = 0`,
		user,
		entity,
		c.CRMID,
		c.MailboxID,
		c.Field,
		c.Winner,
	)
	return same, err
}

func (s *Store) addConflict(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, set engine.Settlement, c reconcile.Conflict) (id int64, err error) {
	lost, err := s.sealValue(c.Lost, conflictLost, user)
	if err != nil {
		return 0, err
	}
	kept, err := s.sealValue(c.Kept, conflictKept, user)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `
		INSERT INTO conflicts (
			user_id,
			entity,
			session,
			time,
			crm_id,
			mailbox_id,
			field,
			winner,
			lost,
			kept
		)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		RETURNING id`,
		user,
		entity,
		set.Session,
		nanos(set.Now),
		c.CRMID,
		c.MailboxID,
		c.Field,
		c.Winner,
		lost,
		kept,
	).Scan(&id)
	return id, err
}

// markRestored notes the conflicts whose losing values are back.
func markRestored(ctx context.Context, tx *sql.Tx, user int64, set engine.Settlement) error {
	for _, r := range set.Restored {
		how := "lost"
		if r.Keep != "" {
			how = string(r.Keep)
		}
		_, err := run(ctx, tx, `
			UPDATE conflicts
			SET
				restored = ?,
				how = ?,
				winner = CASE WHEN winner = '' THEN ? ELSE winner END
			WHERE id = ?
			AND user_id = ?`, set.Session, how, r.Keep, r.ID, user)
		if err != nil {
			return err
		}
	}
	return nil
}
