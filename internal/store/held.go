package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

const heldLabel = "label of a held delete"

const selectHeld = `
	SELECT
		h.id,
		h.user_id,
		u.email,
		h.entity,
		h.side,
		h.crm_id,
		h.mailbox_id,
		h.label,
		h.reason,
		h.held_by,
		h.since,
		h.checked,
		h.decision,
		h.session
	FROM held h
	JOIN users u ON u.id = h.user_id`

// Held returns the deletes that the guard holds for a user's entity, oldest first.
func (s *Store) Held(ctx context.Context, user int64, entity record.Entity) ([]engine.HeldDelete, error) {
	return s.held(ctx, selectHeld+`
		WHERE h.user_id = ?
		AND h.entity = ?
		ORDER BY h.id`, user, entity)
}

// HeldDeletes returns the deletes that the guard holds, newest first, decided ones that
// no cycle has carried out yet included; user 0 means all users.
func (s *Store) HeldDeletes(ctx context.Context, user int64) ([]engine.HeldDelete, error) {
	return s.held(ctx, selectHeld+`
		WHERE ?1 = 0
		OR h.user_id = ?1
		ORDER BY h.id DESC`, user)
}

func (s *Store) held(ctx context.Context, query string, args ...any) (out []engine.HeldDelete, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			d, err := s.scanHeld(r)
			out = append(out, d)
			return err
		}, query, args...)
	})
	return out, err
}

func (s *Store) scanHeld(r scanner) (d engine.HeldDelete, err error) {
	var user int64
	var label []byte
	err = r.Scan(
		&d.ID,
		&user,
		&d.User,
		&d.Entity,
		&d.Side,
		&d.CRMID,
		&d.MailboxID,
		&label,
		&d.Reason,
		&d.By,
		instant{&d.Since},
		instant{&d.Checked},
		&d.Decision,
		&d.Session,
	)
	if err != nil || len(label) == 0 {
		return d, err
	}
	text, err := s.unseal(label, heldLabel, user)
	d.Label = string(text)
	return d, err
}

// putHeld stores the deletes that a settlement holds and forgets those that it holds no
// longer. One that was held before keeps its number, its beginning, its decision, and
// its label if none is given.
func (s *Store) putHeld(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, set engine.Settlement) (err error) {
	if len(set.Held)+len(set.Unheld) == 0 {
		return nil
	}
	const put = `
		INSERT INTO held (
			user_id,
			entity,
			side,
			crm_id,
			mailbox_id,
			label,
			reason,
			held_by,
			since,
			checked,
			session
		)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)
		ON CONFLICT (user_id, entity, side, crm_id, mailbox_id) DO UPDATE
		SET
			label = CASE WHEN ?11 THEN excluded.label ELSE label END,
			reason = excluded.reason,
			held_by = excluded.held_by,
			checked = excluded.checked`
	for _, d := range set.Held {
		label, err := s.seal([]byte(d.Label), heldLabel, user)
		if err != nil {
			return err
		}
		_, err = run(ctx, tx, put,
			user,
			entity,
			d.Side,
			d.CRMID,
			d.MailboxID,
			label,
			d.Reason,
			d.By,
			nanos(set.Now),
			set.Session,
			d.Label != "",
		)
		if err != nil {
			return err
		}
	}
	const forget = `
		DELETE FROM held
		WHERE user_id = ?
		AND entity = ?
		AND side = ?
		AND crm_id = ?
		AND mailbox_id = ?`
	for _, k := range set.Unheld {
		if _, err := run(ctx, tx, forget, user, entity, k.Side, k.CRMID, k.MailboxID); err != nil {
			return err
		}
	}
	return nil
}

// DecideHeld stores what a person decided of held deletes and makes their users due now,
// unless they are disabled. It returns the ids of those that are still held.
func (s *Store) DecideHeld(ctx context.Context, ids []int64, d engine.Decision, a ...engine.Activity) (left []int64, err error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := each(ctx, tx, func(r *sql.Rows) error {
			var id int64
			err := r.Scan(&id)
			left = append(left, id)
			return err
		}, `
			UPDATE held
			SET decision = ?
			WHERE id IN (SELECT value FROM json_each(?))
			RETURNING id`, d, string(list))
		if err != nil {
			return err
		}
		if err := queueUsersOf(ctx, tx, "held", string(list)); err != nil {
			return err
		}
		return appendActivities(ctx, tx, a)
	})
	return left, err
}
