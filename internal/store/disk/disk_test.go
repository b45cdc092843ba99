package disk

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// database is one with a log that is synchronized at every commit.
func database(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE IF NOT EXISTS t (x)`); err != nil {
		t.Fatal(err)
	}
	return db
}

func insert(t *testing.T, db *sql.DB) error {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `INSERT INTO t VALUES (1)`)
	return err
}

func TestACommitIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	var seen []Call
	stop := Watch(path, func(c Call) Code {
		seen = append(seen, c)
		return OK
	})
	db := database(t, path)
	if err := insert(t, db); err != nil {
		t.Fatal(err)
	}
	// The last thing that a commit does is to synchronize the log.
	last := len(seen) - 1
	if seen[last] != (Call{Sync, "a.db-wal", true}) || seen[last-1] != (Call{Sync, "a.db-wal", false}) || seen[last-2] != (Call{Write, "a.db-wal", true}) {
		t.Errorf("seen: %v", seen)
	}
	if !slices.Contains(seen, Call{Lock, "a.db", true}) {
		t.Error("the lock was not seen")
	}
	seen = nil
	if err := insert(t, database(t, filepath.Join(t.TempDir(), "b.db"))); err != nil || seen != nil {
		t.Errorf("another database: %v, %v", err, seen)
	}
	stop()
	if err := insert(t, db); err != nil || seen != nil {
		t.Errorf("after the end: %v, %v", err, seen)
	}
}

func TestWhatIsToldIsWhatHappens(t *testing.T) {
	Hasten()
	for _, c := range []struct {
		op   Op
		done bool
		code Code
		want string
	}{
		{Write, false, Full, "full"},
		{Write, false, Broken, "disk I/O error"},
		{Sync, false, Unsynced, "disk I/O error"},
		{Sync, true, Unsynced, "disk I/O error"},
		{Write, false, ReadOnly, "readonly"},
		{Lock, false, Busy, "locked"},
	} {
		path := filepath.Join(t.TempDir(), "a.db")
		answer := OK
		t.Cleanup(Watch(path, func(call Call) Code {
			if call.Op == c.op && call.Done == c.done {
				return answer
			}
			return OK
		}))
		db := database(t, path)
		answer = c.code
		if err := insert(t, db); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c, err)
		}
		answer = OK
		if err := insert(t, db); err != nil {
			t.Errorf("%v, then healed: %v", c, err)
		}
	}
}
