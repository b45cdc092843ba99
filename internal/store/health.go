package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/crmsync/crmsync/internal/sync/engine"
)

const selectHealth = `
	SELECT
		connection,
		code,
		message,
		since,
		used,
		most,
		reserve,
		told
	FROM health`

// Health returns what is known of the connections, by name; nothing of those that no
// cycle has used.
func (s *Store) Health(ctx context.Context) (out []engine.Health, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			h, err := scanHealth(r)
			out = append(out, h)
			return err
		}, selectHealth+` ORDER BY connection`)
	})
	return out, err
}

func scanHealth(r scanner) (h engine.Health, err error) {
	err = r.Scan(
		&h.Connection,
		&h.Code,
		&h.Message,
		instant{&h.Since},
		&h.Usage.Used,
		&h.Usage.Limit,
		&h.Usage.Reserve,
		instant{&h.Usage.At},
	)
	return h, err
}

// UpdateHealth changes what is known of a connection and stores what that gives rise to,
// in one transaction. Where nothing changes nothing is written.
func (s *Store) UpdateHealth(ctx context.Context, connection string, change func(engine.Health) (engine.Health, []engine.Activity)) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		was, err := scanHealth(tx.QueryRowContext(ctx, selectHealth+` WHERE connection = ?`, connection))
		if errors.Is(err, sql.ErrNoRows) {
			was, err = engine.Health{Connection: connection}, nil
		}
		if err != nil {
			return err
		}
		now, lines := change(was)
		if now == was {
			return appendActivities(ctx, tx, lines)
		}
		_, err = run(ctx, tx, `
			INSERT OR REPLACE INTO health (
				connection,
				code,
				message,
				since,
				used,
				most,
				reserve,
				told
			)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			connection,
			now.Code,
			now.Message,
			nanos(now.Since),
			now.Usage.Used,
			now.Usage.Limit,
			now.Usage.Reserve,
			nanos(now.Usage.At),
		)
		if err != nil {
			return err
		}
		return appendActivities(ctx, tx, lines)
	})
}
