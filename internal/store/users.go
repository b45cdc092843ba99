package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

const userColumns = `
		u.id,
		u.email,
		u.name,
		u.org,
		u.plan,
		u.crm_user,
		u.mailbox_id,
		u.sync,
		u.cause,
		u.reason,
		u.locked,
		u.mailbox,
		u.addin,
		u.addin_read,
		u.last_start,
		u.last_success,
		u.next_due,
		u.forced_at,
		u.queued,
		u.failures,
		u.pressure_since,
		(
			SELECT count(*)
			FROM issues i INDEXED BY issues_open
			WHERE i.user_id = u.id
			AND i.state <> 'resolved'
			AND i.state NOT IN ('info', 'ignored')
		),
		(
			SELECT count(*)
			FROM held h
			WHERE h.user_id = u.id
			AND h.decision = ''
		),
		(
			SELECT count(*)
			FROM issues i INDEXED BY issues_open
			WHERE i.user_id = u.id
			AND i.state <> 'resolved'
			AND i.state = 'info'
			AND i.code = '` + engine.CodeOnHold + `'
		),
		coalesce((
			SELECT r.entity || ': ' || r.off
			FROM replicas r
			WHERE r.user_id = u.id
			AND r.off <> ''
			LIMIT 1
		), '')`

func userFields(u *roster.User) []any {
	return []any{
		&u.ID,
		&u.Email,
		&u.Name,
		&u.Org,
		&u.Plan,
		&u.CRMUser,
		&u.MailboxID,
		&u.Sync,
		&u.Cause,
		&u.Reason,
		&u.Locked,
		&u.Mailbox,
		&u.AddIn,
		instant{&u.AddInRead},
		instant{&u.LastStart},
		instant{&u.LastSuccess},
		instant{&u.NextDue},
		instant{&u.ForcedAt},
		&u.Queued,
		&u.Failures,
		instant{&u.PressureSince},
		&u.Issues,
		&u.Held,
		&u.OnHold,
		&u.Off,
	}
}

// Users returns users with their organizations, in the order in which they have
// waited. With ids, only those; without, all.
func (s *Store) Users(ctx context.Context, ids []int64) (out []engine.Member, err error) {
	query, args := `
	SELECT`+userColumns+`,`+organizationColumns+`
	FROM users u
	JOIN organizations o ON o.name = u.org`, []any(nil)
	if len(ids) > 0 {
		list, err := json.Marshal(ids)
		if err != nil {
			return nil, err
		}
		query, args = query+` WHERE u.id IN (SELECT value FROM json_each(?))`, []any{string(list)}
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			var m engine.Member
			err := r.Scan(append(userFields(&m.User), organizationFields(&m.Org)...)...)
			out = append(out, m)
			return err
		}, query+` ORDER BY u.next_due, u.id`, args...)
	})
	return out, err
}

// roster returns all users by e-mail address.
func (s *Store) roster(ctx context.Context) (out []roster.User, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			var u roster.User
			err := r.Scan(userFields(&u)...)
			out = append(out, u)
			return err
		}, `SELECT`+userColumns+` FROM users u ORDER BY u.email_key`)
	})
	return out, err
}

// FindUser finds a user by e-mail address, without regard to case, by mailbox id or by
// CRM user id. It returns admin.ErrNotFound, also where an id is that of several users.
func (s *Store) FindUser(ctx context.Context, key string) (u roster.User, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, by := range []struct{ where, key string }{
			{`u.email_key = ?`, emailKey(key)},
			{`u.mailbox_id = ? AND u.mailbox_id <> ''`, key},
			{`u.crm_user = ? AND u.crm_user <> ''`, key},
		} {
			found := 0
			err := each(ctx, tx, func(r *sql.Rows) error {
				found++
				return r.Scan(userFields(&u)...)
			}, `SELECT`+userColumns+` FROM users u WHERE `+by.where+` LIMIT 2`, by.key)
			switch {
			case err != nil:
				return err
			case found == 1:
				return nil
			case found > 1:
				return fmt.Errorf("user %q: %w as one: several users have this id, name them by e-mail address", key, admin.ErrNotFound)
			}
		}
		return fmt.Errorf("user %q: %w", key, admin.ErrNotFound)
	})
	if err != nil {
		return roster.User{}, err
	}
	return u, nil
}

// AddUsers adds users, disabled and with nothing known of their add-in unless it is
// given, and returns for each nil, admin.ErrExists for an address or mailbox that
// another user has, or admin.ErrNotFound for an organization that is not there. An empty
// organization is the default one. If there are as many activities as users, those of
// users who were not added are left out; otherwise all are stored.
func (s *Store) AddUsers(ctx context.Context, users []roster.User, a []engine.Activity) (results []error, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		results = make([]error, len(users))
		var said []engine.Activity
		orgs := map[string]error{}
		for i, u := range users {
			gone, known := orgs[u.Org]
			if !known {
				_, gone = organization(ctx, tx, u.Org)
				if gone != nil && !errors.Is(gone, admin.ErrNotFound) {
					return gone
				}
				orgs[u.Org] = gone
			}
			if results[i] = gone; gone != nil {
				continue
			}
			n, err := run(ctx, tx, insertUser,
				u.Email,
				emailKey(u.Email),
				u.Name,
				u.Plan,
				u.CRMUser,
				u.MailboxID,
				u.Reason,
				u.Locked,
				cmp.Or(u.Mailbox, roster.NotInitialized),
				cmp.Or(u.AddIn, roster.AddInUnknown),
				nanos(u.AddInRead),
				nanos(u.NextDue),
				nanos(u.ForcedAt),
				u.Queued,
				u.Failures,
				u.Org,
			)
			if err != nil {
				return fmt.Errorf("user %q: %w", u.Email, err)
			}
			if n == 0 {
				results[i] = fmt.Errorf("user %q: %w", u.Email, admin.ErrExists)
				continue
			}
			if len(a) == len(users) {
				said = append(said, a[i])
			}
		}
		if len(a) != len(users) {
			said = a
		}
		return appendActivities(ctx, tx, said)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

const insertUser = `
	INSERT INTO users (
		email,
		email_key,
		name,
		org,
		mail,
		plan,
		crm_user,
		mailbox_id,
		sync,
		cause,
		reason,
		locked,
		mailbox,
		addin,
		addin_read,
		next_due,
		forced_at,
		queued,
		failures
	)
	SELECT
		?1,
		?2,
		?3,
		o.name,
		o.mail,
		?4,
		?5,
		?6,
		'disabled',
		'',
		?7,
		?8,
		?9,
		?10,
		?11,
		?12,
		?13,
		?14,
		?15
	FROM organizations o
	WHERE o.name = ?16
	OR (?16 = '' AND o.is_default = 1)
	ON CONFLICT DO NOTHING`

// UpdateUsers stores what an administrator may change of each user. It returns
// admin.ErrNotFound for a user or an organization that is not there and admin.ErrExists
// for an address or mailbox that another user has; then nothing is stored.
func (s *Store) UpdateUsers(ctx context.Context, users []roster.User, a []engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		const update = `
			UPDATE users
			SET
				email = ?,
				email_key = ?,
				name = ?,
				org = o.name,
				mail = o.mail,
				plan = ?,
				crm_user = ?,
				mailbox_id = ?,
				sync = ?,
				cause = ?,
				reason = ?,
				locked = ?,
				mailbox = ?,
				addin = ?,
				addin_read = ?,
				next_due = ?,
				forced_at = ?,
				queued = ?,
				failures = ?
			FROM organizations o
			WHERE o.name = ?
			AND users.id = ?`
		for _, u := range users {
			n, err := run(ctx, tx, update,
				u.Email,
				emailKey(u.Email),
				u.Name,
				u.Plan,
				u.CRMUser,
				u.MailboxID,
				u.Sync,
				u.Cause,
				u.Reason,
				u.Locked,
				u.Mailbox,
				u.AddIn,
				nanos(u.AddInRead),
				nanos(u.NextDue),
				nanos(u.ForcedAt),
				u.Queued,
				u.Failures,
				u.Org,
				u.ID,
			)
			switch {
			case isUnique(err):
				return fmt.Errorf("user %q: %w", u.Email, admin.ErrExists)
			case err != nil:
				return fmt.Errorf("user %q: %w", u.Email, err)
			case n == 0:
				return fmt.Errorf("user %q or organization %q: %w", u.Email, u.Org, admin.ErrNotFound)
			}
		}
		return appendActivities(ctx, tx, a)
	})
}

// DeleteUser removes a user with all that is stored of him but the audit.
func (s *Store) DeleteUser(ctx context.Context, l engine.Lease, a ...engine.Activity) error {
	return s.underLease(ctx, l, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := run(ctx, tx, `DELETE FROM users WHERE id = ?`, l.User); err != nil {
			return err
		}
		if _, err := run(ctx, tx, `DELETE FROM settings WHERE level = 'user' AND subject = ?`, strconv.FormatInt(l.User, 10)); err != nil {
			return err
		}
		return appendActivities(ctx, tx, a)
	})
}

// MarkMailbox stores the state of a user's mailbox.
func (s *Store) MarkMailbox(ctx context.Context, l engine.Lease, state roster.MailboxState) error {
	return s.underLease(ctx, l, func(ctx context.Context, tx *sql.Tx) error {
		return markMailbox(ctx, tx, l.User, state)
	})
}

func markMailbox(ctx context.Context, tx *sql.Tx, user int64, state roster.MailboxState) error {
	n, err := run(ctx, tx, `UPDATE users SET mailbox = ? WHERE id = ?`, state, user)
	if err == nil && n == 0 {
		return noUser(user)
	}
	return err
}

// ForgetMailbox removes all that hangs on a user's mailbox (links, intents, replicas,
// issues, held deletes), so that the next cycle starts with a first sync, and stores the
// mailbox's state. Sessions, conflicts and the audit stay.
func (s *Store) ForgetMailbox(ctx context.Context, l engine.Lease, state roster.MailboxState, a ...engine.Activity) error {
	return s.underLease(ctx, l, func(ctx context.Context, tx *sql.Tx) error {
		for _, from := range []string{
			`DELETE FROM replicas WHERE user_id = ?`,
			`DELETE FROM issues WHERE user_id = ?`,
			`DELETE FROM held WHERE user_id = ?`,
		} {
			if _, err := run(ctx, tx, from, l.User); err != nil {
				return err
			}
		}
		if err := markMailbox(ctx, tx, l.User, state); err != nil {
			return err
		}
		return appendActivities(ctx, tx, a)
	})
}

// emailKey is the form in which addresses are compared.
func emailKey(email string) string { return strings.ToLower(email) }
