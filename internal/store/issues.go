package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

const issueLabel = "label of an issue"

const selectIssue = `
	SELECT
		i.id,
		i.user_id,
		u.email,
		i.entity,
		i.direction,
		i.crm_id,
		i.mailbox_id,
		i.version,
		i.label,
		i.code,
		i.cause,
		i.attempts,
		i.first_seen,
		i.next_retry,
		i.state,
		i.session
	FROM issues i
	JOIN users u ON u.id = i.user_id`

// OpenIssues returns the issues of a user's entity that are not resolved, oldest first.
func (s *Store) OpenIssues(ctx context.Context, user int64, entity record.Entity) ([]engine.Issue, error) {
	return s.issues(ctx, selectIssue+`
		WHERE i.user_id = ?
		AND i.entity = ?
		AND i.state <> 'resolved'
		ORDER BY i.id`, user, entity)
}

// Issues returns issues, newest first; user 0 means all users. Resolved ones are left
// out unless asked for.
func (s *Store) Issues(ctx context.Context, user int64, resolved bool) ([]engine.Issue, error) {
	return s.issues(ctx, selectIssue+`
		WHERE (?1 = 0 OR i.user_id = ?1)
		AND (?2 OR i.state <> 'resolved')
		ORDER BY i.id DESC`, user, resolved)
}

// Issue returns an issue, or admin.ErrNotFound.
func (s *Store) Issue(ctx context.Context, id int64) (engine.Issue, error) {
	list, err := s.issues(ctx, selectIssue+` WHERE i.id = ?`, id)
	if err == nil && len(list) == 0 {
		err = missing(sql.ErrNoRows, "issue", strconv.FormatInt(id, 10))
	}
	if err != nil {
		return engine.Issue{}, err
	}
	return list[0], nil
}

func (s *Store) issues(ctx context.Context, query string, args ...any) (out []engine.Issue, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			i, err := s.scanIssue(r)
			out = append(out, i)
			return err
		}, query, args...)
	})
	return out, err
}

func (s *Store) scanIssue(r scanner) (i engine.Issue, err error) {
	var user int64
	var label []byte
	err = r.Scan(
		&i.ID,
		&user,
		&i.User,
		&i.Entity,
		&i.Direction,
		&i.CRMID,
		&i.MailboxID,
		&i.Version,
		&label,
		&i.Code,
		&i.Cause,
		&i.Attempts,
		instant{&i.FirstSeen},
		instant{&i.NextRetry},
		&i.State,
		&i.Session,
	)
	if err != nil {
		return i, err
	}
	text, err := s.unseal(label, issueLabel, user)
	i.Label = string(text)
	return i, err
}

// sameItem finds the one open issue of an item.
const sameItem = `
		user_id = ?1
		AND entity = ?2
		AND direction = ?3
		AND crm_id = ?4
		AND mailbox_id = ?5
		AND state <> 'resolved'`

// raiseIssues raises issues or repeats those that are open. A repeated one counts one
// more attempt, unless the caller counted further, keeps when it was first seen, and
// takes everything else that is given, but no empty label.
func (s *Store) raiseIssues(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, set engine.Settlement) error {
	for _, i := range set.Issues {
		if err := s.raiseIssue(ctx, tx, user, entity, set, i); err != nil {
			return fmt.Errorf("issue %s: %w", i.Code, err)
		}
	}
	return nil
}

func (s *Store) raiseIssue(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, set engine.Settlement, i engine.Issue) error {
	if i.FirstSeen.IsZero() {
		i.FirstSeen = set.Now
	}
	if i.Session == 0 {
		i.Session = set.Session
	}
	label, err := s.seal([]byte(i.Label), issueLabel, user)
	if err != nil {
		return err
	}
	var open int64
	err = tx.QueryRowContext(ctx, `
		SELECT id
		FROM issues
		WHERE`+sameItem, user, entity, i.Direction, i.CRMID, i.MailboxID).Scan(&open)
	if errors.Is(err, sql.ErrNoRows) {
		return insertIssue(ctx, tx, user, entity, i, label)
	}
	if err != nil {
		return err
	}
	_, err = run(ctx, tx, `
		UPDATE issues
		SET
			version = ?,
			label = CASE WHEN ? THEN ? ELSE label END,
			code = ?,
			cause = ?,
			attempts = max(attempts + 1, ?),
			next_retry = ?,
			state = ?,
			session = ?
		WHERE id = ?`,
		i.Version,
		i.Label != "",
		label,
		i.Code,
		i.Cause,
		i.Attempts,
		nanos(i.NextRetry),
		i.State,
		i.Session,
		open,
	)
	return err
}

func insertIssue(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, i engine.Issue, label []byte) error {
	_, err := run(ctx, tx, `
		INSERT INTO issues (
			user_id,
			entity,
			direction,
			crm_id,
			mailbox_id,
			version,
			label,
			code,
			cause,
			attempts,
			first_seen,
			next_retry,
			state,
			session
		)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		user,
		entity,
		i.Direction,
		i.CRMID,
		i.MailboxID,
		i.Version,
		label,
		i.Code,
		i.Cause,
		i.Attempts,
		nanos(i.FirstSeen),
		nanos(i.NextRetry),
		i.State,
		i.Session,
	)
	return err
}

// resolveIssues closes the issues of items.
func resolveIssues(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, items []engine.IssueKey) error {
	for _, k := range items {
		_, err := run(ctx, tx, `
			UPDATE issues
			SET
				state = 'resolved',
				next_retry = 0
			WHERE`+sameItem, user, entity, k.Direction, k.CRMID, k.MailboxID)
		if err != nil {
			return err
		}
	}
	return nil
}

// DecideIssues stores the state that a person gives to issues that are not resolved, and
// returns their ids. One that opens is due, has no attempts, and makes its user due now
// unless he is disabled.
func (s *Store) DecideIssues(ctx context.Context, ids []int64, to engine.IssueState, a ...engine.Activity) (left []int64, err error) {
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
			UPDATE issues
			SET
				state = ?,
				next_retry = 0,
				attempts = 0
			WHERE state <> 'resolved'
			AND id IN (SELECT value FROM json_each(?))
			RETURNING id`, to, string(list))
		if err != nil {
			return err
		}
		if to == engine.IssueOpen {
			if err := queueUsersOf(ctx, tx, "issues", string(list)); err != nil {
				return err
			}
		}
		return appendActivities(ctx, tx, a)
	})
	return left, err
}

// queueUsersOf makes the users due now who have one of the rows of a table, unless they
// are disabled. ids is a JSON array.
func queueUsersOf(ctx context.Context, tx *sql.Tx, table, ids string) error {
	_, err := run(ctx, tx, `
		UPDATE users
		SET
			queued = 1,
			next_due = 0
		WHERE sync <> 'disabled'
		AND id IN (
			SELECT t.user_id
			FROM json_each(?) j
			CROSS JOIN `+table+` t ON t.id = j.value
		)`, ids)
	return err
}
