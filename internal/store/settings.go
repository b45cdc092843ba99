package store

import (
	"context"
	"database/sql"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// Settings returns every value that somebody has set, by key, level and subject.
func (s *Store) Settings(ctx context.Context) (out []settings.Setting, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			var v settings.Setting
			err := r.Scan(&v.Level, &v.Subject, &v.Key, &v.Value)
			out = append(out, v)
			return err
		}, `
			SELECT level, subject, key, value
			FROM settings
			ORDER BY key, level, subject`)
	})
	return out, err
}

// SetSettings stores values in place of what was set for the same level, subject and key.
func (s *Store) SetSettings(ctx context.Context, values []settings.Setting, a ...engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, v := range values {
			_, err := run(ctx, tx, `
				INSERT INTO settings (
					level,
					subject,
					key,
					value
				)
				VALUES (?, ?, ?, ?)
				ON CONFLICT (level, subject, key) DO UPDATE
				SET value = excluded.value`,
				v.Level,
				v.Subject,
				v.Key,
				v.Value,
			)
			if err != nil {
				return err
			}
		}
		return appendActivities(ctx, tx, a)
	})
}

// UnsetSettings removes what is set for a level, subject and key; where nothing is, it
// does nothing.
func (s *Store) UnsetSettings(ctx context.Context, values []settings.Setting, a ...engine.Activity) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, v := range values {
			_, err := run(ctx, tx, `
				DELETE FROM settings
				WHERE level = ?
				AND subject = ?
				AND key = ?`,
				v.Level,
				v.Subject,
				v.Key,
			)
			if err != nil {
				return err
			}
		}
		return appendActivities(ctx, tx, a)
	})
}
