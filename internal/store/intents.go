package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

const selectExpired = `
	SELECT
		e.op,
		e.side,
		e.kind,
		e.body
	FROM json_each(?2) j
	CROSS JOIN expired_ops e ON e.replica_id = ?1 AND e.op = j.value`

// Intents returns the writes whose outcome is not settled, oldest first.
func (s *Store) Intents(ctx context.Context, user int64, entity record.Entity) (out []engine.Intent, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		replica, err := findReplica(ctx, tx, user, entity)
		if replica == 0 || err != nil {
			return err
		}
		fields, err := loadFields(ctx, tx)
		if err != nil {
			return err
		}
		return each(ctx, tx, func(r *sql.Rows) error {
			i, err := scanIntent(r, fields)
			out = append(out, i)
			return err
		}, `
			SELECT
				op,
				side,
				kind,
				crm_id,
				mailbox_id,
				body,
				created
			FROM intents
			WHERE replica_id = ?
			ORDER BY created, id`, replica)
	})
	return out, err
}

func scanIntent(r scanner, fields *fieldNames) (i engine.Intent, err error) {
	var body []byte
	err = r.Scan(
		&i.Op,
		&i.Side,
		&i.Kind,
		&i.CRMID,
		&i.MailboxID,
		&body,
		instant{&i.Created},
	)
	if err != nil {
		return i, err
	}
	return i, unpackIntent(&i, body, fields)
}

// unpackIntent reads what packIntent wrote.
func unpackIntent(i *engine.Intent, body []byte, fields *fieldNames) error {
	u := unpacker{b: body}
	state := u.uint()
	if state >= len(linkStates) {
		u.fail()
		state = 0
	}
	i.Link.State = linkStates[state]
	i.Link.Since = fromNanos(u.int64())
	for _, h := range []*reconcile.Half{&i.Link.CRM, &i.Link.Mailbox} {
		h.ID, h.Version, h.Op = u.text(), u.text(), record.OpID(u.text())
	}
	i.Link.CRM.Base = u.hashes(fields)
	i.Link.Mailbox.Base = u.differing(fields, i.Link.CRM.Base)
	i.MoveCRM = u.hashes(fields)
	i.MoveMailbox = u.hashes(fields)
	if u.err != nil {
		return fmt.Errorf("intent %s: %w", i.Op, u.err)
	}
	return nil
}

// ExpiredOps returns those of the operation ids that were given up, with what each would
// have left in its item.
func (s *Store) ExpiredOps(ctx context.Context, user int64, entity record.Entity, ops []record.OpID) (map[record.OpID]record.Hashes, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(slices.Compact(slices.Sorted(slices.Values(ops))))
	if err != nil {
		return nil, err
	}
	out := map[record.OpID]record.Hashes{}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		replica, err := findReplica(ctx, tx, user, entity)
		if replica == 0 || err != nil {
			return err
		}
		fields, err := loadFields(ctx, tx)
		if err != nil {
			return err
		}
		return each(ctx, tx, func(r *sql.Rows) error {
			var i engine.Intent
			var body []byte
			if err := r.Scan(&i.Op, &i.Side, &i.Kind, &body); err != nil {
				return err
			}
			err := unpackIntent(&i, body, fields)
			out[i.Op] = i.Leaves()
			return err
		}, selectExpired, replica, string(list))
	})
	return out, err
}

// Intend makes writes durable before they are sent, with their images. Of what is to be
// written nothing but ids and hashes is stored; what it replaces is sealed.
func (s *Store) Intend(ctx context.Context, l engine.Lease, entity record.Entity, intents []engine.Intent) error {
	return s.underLease(ctx, l, func(ctx context.Context, tx *sql.Tx) (err error) {
		replica, err := makeReplica(ctx, tx, l.User, entity)
		if err != nil {
			return err
		}
		fields, err := loadFields(ctx, tx)
		if err != nil {
			return err
		}
		const insert = `
			INSERT INTO intents (
				replica_id,
				op,
				side,
				kind,
				crm_id,
				mailbox_id,
				body,
				created
			)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
		for _, i := range intents {
			body, err := packIntent(ctx, tx, fields, i)
			if err == nil {
				_, err = run(ctx, tx, insert,
					replica,
					i.Op,
					i.Side,
					i.Kind,
					i.CRMID,
					i.MailboxID,
					body,
					nanos(i.Created),
				)
			}
			if err != nil {
				return fmt.Errorf("intent %s: %w", i.Op, err)
			}
		}
		return s.keepImages(ctx, tx, l.User, replica, fields, intents)
	})
}

func packIntent(ctx context.Context, tx *sql.Tx, fields *fieldNames, i engine.Intent) ([]byte, error) {
	if err := fields.learn(ctx, tx, i.Link.CRM.Base, i.Link.Mailbox.Base, i.MoveCRM, i.MoveMailbox); err != nil {
		return nil, err
	}
	state := slices.Index(linkStates, i.Link.State)
	if state < 0 {
		return nil, fmt.Errorf("unknown state %q", i.Link.State)
	}
	var b packed
	b.uint(state)
	b.int64(nanos(i.Link.Since))
	for _, h := range []reconcile.Half{i.Link.CRM, i.Link.Mailbox} {
		b.text(h.ID)
		b.text(h.Version)
		b.text(string(h.Op))
	}
	b.hashes(fields, i.Link.CRM.Base)
	b.differing(fields, i.Link.CRM.Base, i.Link.Mailbox.Base)
	b.hashes(fields, i.MoveCRM)
	b.hashes(fields, i.MoveMailbox)
	return b, nil
}
