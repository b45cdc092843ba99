package store

import (
	"context"
	"database/sql"
	"fmt"
)

// Check reads the whole state and returns ErrDamaged if its structure is broken or a row
// refers to one that is not there.
func (s *Store) Check(ctx context.Context) error {
	return s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var first string
		found := 0
		err := each(ctx, tx, func(r *sql.Rows) error {
			var line string
			if err := r.Scan(&line); err != nil {
				return err
			}
			if line != "ok" && found == 0 {
				first = line
			}
			if line != "ok" {
				found++
			}
			return nil
		}, `PRAGMA integrity_check`)
		if err != nil {
			return err
		}
		err = each(ctx, tx, func(r *sql.Rows) error {
			var table, parent string
			var row sql.NullInt64
			var constraint int
			if err := r.Scan(&table, &row, &parent, &constraint); err != nil {
				return err
			}
			if found == 0 {
				first = fmt.Sprintf("row %d of %s refers to a row of %s that is not there", row.Int64, table, parent)
			}
			found++
			return nil
		}, `PRAGMA foreign_key_check`)
		if err != nil {
			return err
		}
		if found > 0 {
			return fmt.Errorf("%w: %d faults, the first: %s", ErrDamaged, found, first)
		}
		return nil
	})
}
