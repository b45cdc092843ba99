package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/engine"
)

// The audit is a chain: the hash of a line covers the hash of the line before and every
// field, each with its length, so that no line can be changed, taken out or put in
// between without breaking all that follow.

// ErrAltered says that the audit is not as it was written.
var ErrAltered = errors.New("the audit was altered")

const selectActivity = `
	SELECT
		id,
		time,
		actor,
		type,
		user,
		org,
		details,
		hash
	FROM activities`

// Activities returns lines of the audit, newest first; those of one user, by e-mail
// address without regard to case, or of all if user is "". A limit of 0 means all.
func (s *Store) Activities(ctx context.Context, user string, limit int) (out []engine.Activity, err error) {
	query, args := selectActivity+` ORDER BY id DESC LIMIT ?`, []any{limited(limit)}
	if user != "" {
		query, args = selectActivity+` WHERE user = ? COLLATE NOCASE ORDER BY id DESC LIMIT ?`, []any{user, limited(limit)}
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			_, a, sum, err := scanActivity(r)
			a.Hash = hex.EncodeToString(sum)
			out = append(out, a)
			return err
		}, query, args...)
	})
	return out, err
}

// Record appends to the audit.
func (s *Store) Record(ctx context.Context, a ...engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return appendActivities(ctx, tx, a) })
}

// VerifyActivities returns ErrAltered, with the number of the first line that does not
// fit, unless the audit is as it was written. It cannot tell that the last lines are
// missing: compare the newest hash with one that was kept elsewhere.
func (s *Store) VerifyActivities(ctx context.Context) error {
	return s.read(ctx, verifyActivities)
}

func verifyActivities(ctx context.Context, tx *sql.Tx) error {
	var last []byte
	next := int64(1)
	return each(ctx, tx, func(r *sql.Rows) error {
		id, a, sum, err := scanActivity(r)
		if err != nil {
			return err
		}
		if id != next || !bytes.Equal(sum, chain(last, a)) {
			return fmt.Errorf("%w at line %d", ErrAltered, next)
		}
		last, next = sum, next+1
		return nil
	}, selectActivity+` ORDER BY id`)
}

func scanActivity(r scanner) (id int64, a engine.Activity, sum []byte, err error) {
	err = r.Scan(
		&id,
		instant{&a.Time},
		&a.Actor,
		&a.Type,
		&a.User,
		&a.Org,
		&a.Details,
		&sum,
	)
	return id, a, sum, err
}

// appendActivities appends lines to the audit, each chained to the one before.
func appendActivities(ctx context.Context, tx *sql.Tx, lines []engine.Activity) (err error) {
	if len(lines) == 0 {
		return nil
	}
	var id int64
	var last []byte
	err = tx.QueryRowContext(ctx, `SELECT id, hash FROM activities ORDER BY id DESC LIMIT 1`).Scan(&id, &last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	const insert = `
		INSERT INTO activities (
			id,
			time,
			actor,
			type,
			user,
			org,
			details,
			hash
		)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	for _, a := range lines {
		id++
		last = chain(last, a)
		_, err := run(ctx, tx, insert,
			id,
			nanos(a.Time),
			a.Actor,
			a.Type,
			a.User,
			a.Org,
			a.Details,
			last,
		)
		if err != nil {
			return fmt.Errorf("activity %q: %w", a.Type, err)
		}
	}
	return nil
}

// chain returns the hash of a line that follows the one with the hash last.
func chain(last []byte, a engine.Activity) []byte {
	b := slices.Clone(last)
	b = binary.BigEndian.AppendUint64(b, uint64(nanos(a.Time)))
	for _, f := range []string{a.Actor, a.Type, a.User, a.Org, a.Details} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(f)))
		b = append(b, f...)
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
