package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// kept is how long expired operations, ended links and images are remembered.
const kept = engine.ImagesKept

const sessionColumns = `
		s.id,
		s.user_id,
		u.email,
		s.trigger,
		s.started,
		s.ended,
		s.result,
		s.code,
		s.message,
		s.created_crm,
		s.created_mailbox,
		s.updated_crm,
		s.updated_mailbox,
		s.deleted_crm,
		s.deleted_mailbox,
		s.linked,
		s.conflicts,
		s.held,
		s.issues,
		s.requests,
		s.mailbox_calls`

func sessionFields(s *engine.Session) []any {
	return []any{
		&s.ID,
		&s.UserID,
		&s.User,
		&s.Trigger,
		instant{&s.Started},
		instant{&s.Ended},
		&s.Result,
		&s.Code,
		&s.Message,
		&s.CreatedCRM,
		&s.CreatedMailbox,
		&s.UpdatedCRM,
		&s.UpdatedMailbox,
		&s.DeletedCRM,
		&s.DeletedMailbox,
		&s.Linked,
		&s.Conflicts,
		&s.Held,
		&s.Issues,
		&s.Requests,
		&s.MailboxCalls,
	}
}

// Sessions returns sessions, newest first and without their logs; user 0 means all
// users, limit 0 all sessions.
func (s *Store) Sessions(ctx context.Context, user int64, limit int) (out []engine.Session, err error) {
	query, args := `SELECT`+sessionColumns+` FROM sessions s JOIN users u ON u.id = s.user_id`, []any(nil)
	if user != 0 {
		query, args = query+` WHERE s.user_id = ?`, []any{user}
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			var o engine.Session
			err := r.Scan(sessionFields(&o)...)
			out = append(out, o)
			return err
		}, query+` ORDER BY s.id DESC LIMIT ?`, append(args, limited(limit))...)
	})
	return out, err
}

// Session returns a session with its log, or admin.ErrNotFound.
func (s *Store) Session(ctx context.Context, id int64) (o engine.Session, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `
			SELECT`+sessionColumns+`,
				s.log
			FROM sessions s
			JOIN users u ON u.id = s.user_id
			WHERE s.id = ?`, id).Scan(append(sessionFields(&o), &o.Log)...)
		return missing(err, "session", strconv.FormatInt(id, 10))
	})
	return o, err
}

// OpenSession stores the start of a cycle, and when the user's last cycle started, and
// returns the session's number. A session of the same user that was never closed is
// closed as interrupted, at the new one's start.
func (s *Store) OpenSession(ctx context.Context, l engine.Lease, o engine.Session) (id int64, err error) {
	err = s.underLease(ctx, l, func(ctx context.Context, tx *sql.Tx) error {
		_, err := run(ctx, tx, `
			UPDATE sessions
			SET
				ended = ?,
				result = 'interrupted'
			WHERE user_id = ?
			AND ended = 0`, nanos(o.Started), l.User)
		if err != nil {
			return err
		}
		if _, err := run(ctx, tx, `UPDATE users SET last_start = ? WHERE id = ?`, nanos(o.Started), l.User); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `
			INSERT INTO sessions (
				user_id,
				trigger,
				started
			)
			VALUES (?, ?, ?)
			RETURNING id`, l.User, o.Trigger, nanos(o.Started)).Scan(&id)
	})
	return id, err
}

// CloseSession stores the end of a cycle and what it means for the user, and forgets
// what has been kept for 30 days. If another run has taken the user over only the session
// is stored; if that run has closed it already, nothing is and engine.ErrLeaseLost is
// returned. A cycle that was asked for after this one had started stays queued, unless it
// was by a clock that ran ahead.
func (s *Store) CloseSession(ctx context.Context, l engine.Lease, o engine.Outcome) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := endSession(ctx, tx, o.Session); err != nil {
			return err
		}
		held, err := holds(ctx, tx, l)
		if !held || err != nil {
			return err
		}
		if !o.Errand {
			if err := follow(ctx, tx, l.User, o); err != nil {
				return err
			}
		}
		if err := forget(ctx, tx, l.User, o.Session.Ended.Add(-kept)); err != nil {
			return err
		}
		return appendActivities(ctx, tx, o.Activities)
	})
}

// follow stores what the end of a cycle means for the user.
func follow(ctx context.Context, tx *sql.Tx, user int64, o engine.Outcome) error {
	_, err := run(ctx, tx, `
		UPDATE users
		SET
			next_due = ?,
			failures = ?,
			pressure_since = ?,
			last_success = CASE WHEN ? THEN ? ELSE last_success END,
			queued = queued AND forced_at > ? AND forced_at <= ?
		WHERE id = ?`,
		nanos(o.NextDue),
		o.Failures,
		nanos(o.PressureSince),
		o.Success,
		nanos(o.Session.Ended),
		nanos(o.Session.Started),
		nanos(o.Session.Ended.Add(engine.LeaseTime)),
		user,
	)
	if err != nil {
		return err
	}
	if o.Suspend != nil {
		if err := suspend(ctx, tx, user, *o.Suspend); err != nil {
			return err
		}
	}
	if o.Resume {
		if err := resume(ctx, tx, user); err != nil {
			return err
		}
	}
	return nil
}

// MailboxCalls returns what sessions requested of the mailboxes of a connection that ended
// within a stretch of time: by mailbox id, oldest first.
func (s *Store) MailboxCalls(ctx context.Context, connection string, since, until time.Time) (map[string][]remote.Spending, error) {
	out := map[string][]remote.Spending{}
	err := s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			var box string
			var c remote.Spending
			err := r.Scan(&box, instant{&c.At}, &c.Requests)
			out[box] = append(out[box], c)
			return err
		}, `
			SELECT
				u.mailbox_id,
				s.ended,
				s.mailbox_calls
			FROM sessions s
			JOIN users u ON u.id = s.user_id
			WHERE s.ended > ?
			AND s.ended <= ?
			AND u.mail = ?
			ORDER BY s.ended`, nanos(since), nanos(until), connection)
	})
	return out, err
}

func endSession(ctx context.Context, tx *sql.Tx, o engine.Session) error {
	n, err := run(ctx, tx, `
		UPDATE sessions
		SET
			ended = ?,
			result = ?,
			code = ?,
			message = ?,
			created_crm = ?,
			created_mailbox = ?,
			updated_crm = ?,
			updated_mailbox = ?,
			deleted_crm = ?,
			deleted_mailbox = ?,
			linked = ?,
			conflicts = ?,
			held = ?,
			issues = ?,
			requests = ?,
			mailbox_calls = ?,
			log = ?
		WHERE id = ?
		AND user_id = ?
		AND ended = 0`,
		nanos(o.Ended),
		o.Result,
		o.Code,
		o.Message,
		o.CreatedCRM,
		o.CreatedMailbox,
		o.UpdatedCRM,
		o.UpdatedMailbox,
		o.DeletedCRM,
		o.DeletedMailbox,
		o.Linked,
		o.Conflicts,
		o.Held,
		o.Issues,
		o.Requests,
		o.MailboxCalls,
		o.Log,
		o.ID,
		o.UserID,
	)
	if err == nil && n == 0 {
		return fmt.Errorf("session %d is closed: %w", o.ID, engine.ErrLeaseLost)
	}
	return err
}

func suspend(ctx context.Context, tx *sql.Tx, user int64, why engine.Suspension) error {
	_, err := run(ctx, tx, `
		UPDATE users
		SET
			sync = ?,
			cause = ?,
			reason = ?
		WHERE id = ?
		AND sync IN (?, ?)`, roster.Suspended, why.Cause, why.Reason, user, roster.Enabled, roster.Suspended)
	return err
}

func resume(ctx context.Context, tx *sql.Tx, user int64) error {
	_, err := run(ctx, tx, `
		UPDATE users
		SET
			sync = ?,
			cause = '',
			reason = ''
		WHERE id = ?
		AND sync = ?`, roster.Enabled, user, roster.Suspended)
	return err
}

const (
	// recordKept is for how long sessions are kept, and with them the issues that were
	// resolved and the losers of conflicts. What is on hold stays.
	recordKept = 90 * 24 * time.Hour
	// idleKept is for how long a session is kept in which nothing happened.
	idleKept = 7 * 24 * time.Hour
)

const (
	forgetConflicts = `
		DELETE FROM conflicts
		WHERE id IN (
			SELECT id
			FROM conflicts
			WHERE winner <> ''
			AND time < ?
			ORDER BY time
			LIMIT ?
		)`
	forgetSessions = `
		DELETE FROM sessions
		WHERE id IN (
			SELECT id
			FROM sessions
			WHERE ended > 0
			AND ended < ?
			ORDER BY ended
			LIMIT ?
		)`
	forgetIdleSessions = `
		DELETE FROM sessions
		WHERE id IN (
			SELECT id
			FROM sessions
			WHERE result = 'unchanged'
			AND ended < ?
			ORDER BY ended
			LIMIT ?
		)`
	// forgetIssues removes resolved issues that were last met before any session that is
	// still known.
	forgetIssues = `
		DELETE FROM issues
		WHERE id IN (
			SELECT id
			FROM issues
			WHERE state = 'resolved'
			AND session < (SELECT min(id) FROM sessions)
			ORDER BY session
			LIMIT ?
		)`
	forgetLinks = `
		DELETE FROM links
		WHERE replica_id IN (SELECT id FROM replicas WHERE user_id = ?)
		AND state = 3
		AND state <> 1
		AND since < ?`
	forgetOps = `
		DELETE FROM expired_ops
		WHERE replica_id IN (SELECT id FROM replicas WHERE user_id = ?)
		AND expired < ?`
)

// forget removes a user's ended links and expired operations from before a time, and of
// all users' records some that are older than they are kept.
func forget(ctx context.Context, tx *sql.Tx, user int64, before time.Time) error {
	if _, err := run(ctx, tx, forgetLinks, user, nanos(before)); err != nil {
		return err
	}
	if err := forgetImages(ctx, tx, before); err != nil {
		return err
	}
	now := before.Add(kept)
	for _, f := range []struct {
		query string
		args  []any
	}{
		{forgetConflicts, []any{nanos(now.Add(-recordKept)), forgetting}},
		{forgetSessions, []any{nanos(now.Add(-recordKept)), forgetting}},
		{forgetIdleSessions, []any{nanos(now.Add(-idleKept)), forgetting}},
		{forgetIssues, []any{forgetting}},
	} {
		if _, err := run(ctx, tx, f.query, f.args...); err != nil {
			return err
		}
	}
	_, err := run(ctx, tx, forgetOps, user, nanos(before))
	return err
}
