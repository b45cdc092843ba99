package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// An image is packed, because each write has one:
//
//	mailbox   the id, as the number of its prefix and the rest
//	remains   hashes
//	body      sealed: the label, the number of fields, and for each its id, the number of
//	          its texts, and the texts

const imageBody = "image"

const (
	insertImage = `
	INSERT INTO images (
		replica_id,
		session,
		op,
		time,
		side,
		kind,
		crm_id,
		mailbox,
		remains,
		body
	)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	selectImages = `
	SELECT
		op,
		time,
		side,
		kind,
		crm_id,
		mailbox,
		remains,
		body,
		undone
	FROM images
	WHERE session = ?
	AND replica_id = ?
	AND written
	ORDER BY id DESC`

	dropImage = `
	DELETE FROM images
	WHERE replica_id = ?
	AND op = ?
	AND NOT written`

	markUndone = `
	UPDATE images
	SET undone = ?
	WHERE replica_id = ?
	AND op = ?`

	unmarkUndone = `
	UPDATE images
	SET undone = x''
	WHERE replica_id = ?
	AND undone = ?
	AND undone <> x''`
)

// Images returns the images of a session's writes that were applied, newest first.
func (s *Store) Images(ctx context.Context, user int64, entity record.Entity, session int64) (out []reconcile.Image, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		replica, err := findReplica(ctx, tx, user, entity)
		if replica == 0 || err != nil {
			return err
		}
		fields, err := loadFields(ctx, tx)
		if err != nil {
			return err
		}
		known, err := loadPrefixes(ctx, tx, replica)
		if err != nil {
			return err
		}
		return each(ctx, tx, func(r *sql.Rows) error {
			i, err := s.scanImage(r, user, fields, known)
			out = append(out, i)
			return err
		}, selectImages, session, replica)
	})
	return out, err
}

func (s *Store) scanImage(r scanner, user int64, fields *fieldNames, known *prefixes) (i reconcile.Image, err error) {
	var op, mailbox, remains, body, undone []byte
	err = r.Scan(
		&op,
		instant{&i.Time},
		&i.Side,
		&i.Kind,
		&i.CRMID,
		&mailbox,
		&remains,
		&body,
		&undone,
	)
	if err != nil {
		return i, err
	}
	u := unpacker{b: mailbox}
	i.Op, i.Undone = record.OpID(u.expand(op)), record.OpID(u.expand(undone))
	i.MailboxID = known.join(&u)
	left := unpacker{b: remains, err: u.err}
	if i.Kind != reconcile.Delete {
		i.Left = left.hashes(fields)
	}
	text, err := s.unseal(body, imageBody, user)
	if err != nil {
		return i, err
	}
	b := unpacker{b: text, err: left.err}
	i.Label = string(b.take(b.uint()))
	if i.Kind != reconcile.Create {
		i.Before = b.values(fields)
	}
	if b.err != nil {
		return i, fmt.Errorf("image %s: %w", i.Op, b.err)
	}
	return i, nil
}

// keepImages stores the images of writes that are about to be sent, and marks what they
// take back.
func (s *Store) keepImages(ctx context.Context, tx *sql.Tx, user, replica int64, fields *fieldNames, intents []engine.Intent) (err error) {
	known, err := loadPrefixes(ctx, tx, replica)
	if err != nil {
		return err
	}
	for _, i := range intents {
		for _, op := range i.Undoes {
			if _, err := run(ctx, tx, markUndone, compact(string(i.Op)), replica, compact(string(op))); err != nil {
				return err
			}
		}
		if i.Image == nil {
			continue
		}
		if err := s.keepImage(ctx, tx, user, i.Session, fields, known, *i.Image); err != nil {
			return fmt.Errorf("image %s: %w", i.Op, err)
		}
	}
	return nil
}

func (s *Store) keepImage(ctx context.Context, tx *sql.Tx, user, session int64, fields *fieldNames, known *prefixes, i reconcile.Image) error {
	held := record.Hashes{}
	for f := range i.Before {
		held[f] = nil
	}
	if err := fields.learn(ctx, tx, i.Left, held); err != nil {
		return err
	}
	mailbox, err := packMailboxID(ctx, tx, known, i.MailboxID)
	if err != nil {
		return err
	}
	var remains, text packed
	remains.hashes(fields, i.Left)
	text.bytes([]byte(i.Label))
	if i.Kind != reconcile.Create {
		text.values(fields, i.Before)
	}
	body, err := s.seal(text, imageBody, user)
	if err != nil {
		return err
	}
	_, err = run(ctx, tx, insertImage,
		known.replica,
		session,
		compact(string(i.Op)),
		nanos(i.Time),
		i.Side,
		i.Kind,
		i.CRMID,
		[]byte(mailbox),
		[]byte(remains),
		body,
	)
	return err
}

func packMailboxID(ctx context.Context, tx *sql.Tx, known *prefixes, id string) (packed, error) {
	var p packed
	n, rest, err := known.split(ctx, tx, compact(id), idTail)
	p.uint(n)
	p.bytes(rest)
	return p, err
}

// settleImages completes the images of writes that were applied and drops those of writes
// that were not.
func settleImages(ctx context.Context, tx *sql.Tx, replica int64, set engine.Settlement) error {
	applied := map[record.OpID]bool{}
	if len(set.Written) > 0 {
		if err := completeImages(ctx, tx, replica, set.Written); err != nil {
			return err
		}
	}
	for _, w := range set.Written {
		applied[w.Op] = true
	}
	for _, ops := range [][]record.OpID{set.Settled, set.Expired} {
		for _, op := range ops {
			if applied[op] {
				continue
			}
			for _, query := range []string{dropImage, unmarkUndone} {
				if _, err := run(ctx, tx, query, replica, compact(string(op))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func completeImages(ctx context.Context, tx *sql.Tx, replica int64, written []engine.Written) (err error) {
	known, err := loadPrefixes(ctx, tx, replica)
	if err != nil {
		return err
	}
	fields, err := loadFields(ctx, tx)
	if err != nil {
		return err
	}
	const complete = `
		UPDATE images
		SET
			written = 1,
			crm_id = CASE WHEN kind = 'create' AND side = 'crm' THEN ?3 ELSE crm_id END,
			mailbox = CASE WHEN kind = 'create' AND side = 'mailbox' THEN ?4 ELSE mailbox END,
			remains = coalesce(?5, remains)
		WHERE replica_id = ?1
		AND op = ?2`
	for _, w := range written {
		mailbox, err := packMailboxID(ctx, tx, known, w.ID)
		if err != nil {
			return err
		}
		var remains []byte
		if w.Left != nil {
			if err := fields.learn(ctx, tx, w.Left); err != nil {
				return err
			}
			var p packed
			p.hashes(fields, w.Left)
			remains = p
		}
		if _, err := run(ctx, tx, complete, replica, compact(string(w.Op)), w.ID, []byte(mailbox), remains); err != nil {
			return err
		}
	}
	return nil
}

// forgetting is how many old rows of a kind one transaction removes.
const forgetting = 1000

// forgetImages removes images from before a time, the oldest first. Where none is that
// old, it looks at one.
func forgetImages(ctx context.Context, tx *sql.Tx, before time.Time) error {
	return forgetOldest(ctx, tx, "images", before)
}

// forgetOldest removes rows of a table that is filled in the order of time. Where none is
// old enough, it looks at one.
func forgetOldest(ctx context.Context, tx *sql.Tx, table string, before time.Time) error {
	var oldest int64
	err := tx.QueryRowContext(ctx, `SELECT time FROM `+table+` ORDER BY id LIMIT 1`).Scan(&oldest)
	if errors.Is(err, sql.ErrNoRows) || err == nil && oldest >= nanos(before) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = run(ctx, tx, `
		DELETE FROM `+table+`
		WHERE id IN (SELECT id FROM `+table+` ORDER BY id LIMIT ?)
		AND time < ?`, forgetting, nanos(before))
	return err
}

// values packs the texts of fields; all fields have been learned.
func (p *packed) values(n *fieldNames, r record.Record) {
	p.uint(len(r))
	for _, f := range slices.Sorted(maps.Keys(r)) {
		p.uint(n.id[f])
		p.uint(len(r[f]))
		for _, text := range r[f] {
			p.bytes([]byte(text))
		}
	}
}

func (u *unpacker) values(n *fieldNames) record.Record {
	r := record.Record{}
	for left := u.uint(); left > 0 && u.err == nil; left-- {
		f := u.field(n, u.uint())
		var v record.Value
		for texts := u.uint(); texts > 0 && u.err == nil; texts-- {
			v = append(v, string(u.take(u.uint())))
		}
		r[f] = v
	}
	return r
}
