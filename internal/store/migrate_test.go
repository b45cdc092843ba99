package store

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

var keepVersion = flag.Bool("keep-version", false, "write a state of the newest version into testdata/db, to be kept for good once released")

var testContext = context.Background()

const released = "../../testdata/db"

func schema(t *testing.T, s *Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	r, err := s.writer.QueryContext(t.Context(), `SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'`)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	for r.Next() {
		var name, text string
		must(t, r.Scan(&name, &text))
		out[name] = text
	}
	must(t, r.Err())
	return out
}

// sample is what the states in testdata/db hold; none of it is anybody's.
func sample(t *testing.T, s *Store) {
	t.Helper()
	office(t, s)
	everything(t, s, staff(t, s, 2)[0])
}

// newTables are tables by the version that brought them: older states have no rows there.
var newTables = map[string]int{"health": 2, "settings": 2, "images": 2}

func TestStatesOfOlderVersionsOpen(t *testing.T) {
	t.Parallel()
	newest := filepath.Join(released, fmt.Sprintf("v%d.db", len(migrations())))
	if *keepVersion {
		must(t, os.MkdirAll(released, 0o755))
		must(t, os.RemoveAll(newest))
		s, err := Open(t.Context(), newest, key(1), Options{Random: noise(1)})
		must(t, err)
		sample(t, s)
		must(t, s.Close())
		must(t, os.Chmod(newest, 0o644))
	}
	kept, err := filepath.Glob(filepath.Join(released, "v*.db"))
	must(t, err)
	if !slices.Contains(kept, newest) {
		t.Errorf("no state of the newest version is kept: run go test ./internal/store -run %s -keep-version", t.Name())
	}
	want := newStore(t)
	sample(t, want)
	for _, from := range kept {
		t.Run(filepath.Base(from), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(from)
			must(t, err)
			path := filepath.Join(t.TempDir(), "state.db")
			must(t, os.WriteFile(path, b, 0o600))
			s := openAt(t, path)
			must(t, s.Check(t.Context()))
			must(t, s.VerifyActivities(t.Context()))
			same(t, "schema: a migration that was released is changed by another one", schema(t, s), schema(t, want))
			have, all := rows(t, s), rows(t, want)
			for table, since := range newTables {
				if filepath.Base(from) < fmt.Sprintf("v%d.db", since) {
					delete(have, table)
					delete(all, table)
				}
			}
			same(t, "rows", have, all)

			u := mustFind(t, s, person(0).Email)
			same(t, "links", linksOf(t, s, u.ID), contacts(1, 3))
			c, err := s.Conflicts(t.Context(), u.ID)
			must(t, err)
			if len(c) != 1 || c[0].Lost.First() != "x" {
				t.Errorf("conflicts: %v", c)
			}
			must(t, s.Record(t.Context(), engine.Activity{Type: "x"}))
			must(t, s.UpdateUsers(t.Context(), []roster.User{u}, nil))
		})
	}
}

// scripts stand for a history of versions: the last two change what the first made.
var scripts = []string{
	`CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);`,
	`ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;`,
	`CREATE TABLE b (z INTEGER) STRICT; INSERT INTO b SELECT x + y FROM a; DROP TABLE a;`,
}

// A migration that is killed after any step goes on from there, whatever of the step
// that followed had been done.
func TestMigrationGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	for done := range len(scripts) + 1 {
		t.Run(fmt.Sprint("after step ", done), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "state.db")
			must(t, create(path))
			db := openRaw(t, path)
			must(t, migrate(t.Context(), db, scripts[:done]))
			if done < len(scripts) {
				// The next step fails in its midst.
				broken := append(slices.Clone(scripts[:done]), scripts[done]+`SELECT no FROM where_at_all`)
				if err := migrate(t.Context(), db, broken); err == nil {
					t.Fatal("a broken script went through")
				}
			}
			// The process dies: the log is not folded into the file.
			at := filepath.Join(t.TempDir(), "state.db")
			for _, suffix := range []string{"", "-wal"} {
				b, err := os.ReadFile(path + suffix)
				if !errors.Is(err, os.ErrNotExist) {
					must(t, err)
					must(t, os.WriteFile(at+suffix, b, 0o600))
				}
			}
			again := openRaw(t, at)
			must(t, migrate(t.Context(), again, scripts))
			var z, v int
			must(t, again.QueryRowContext(t.Context(), `SELECT z FROM b`).Scan(&z))
			must(t, again.QueryRowContext(t.Context(), `PRAGMA user_version`).Scan(&v))
			if z != 3 || v != len(scripts) {
				t.Errorf("z is %d and the version %d", z, v)
			}
		})
	}
}

func openRaw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := open(path, "rw", flags{})
	must(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// A process that dies between making the tables and the installation's id leaves a
// state that opens.
func TestKilledBeforeTheInstallIsKnown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	must(t, create(path))
	db, err := open(path, "rw", flags{})
	must(t, err)
	must(t, errors.Join(migrate(t.Context(), db, migrations()), db.Close()))
	if _, err := Open(t.Context(), path, key(1), Options{ReadOnly: true}); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened to be read: %v", err)
	}
	s := openAt(t, path)
	if s.Install() == "" {
		t.Error("no install id")
	}
}

func TestTwoProcessesMakeOneState(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	installs := make([]string, 4)
	errs := make([]error, len(installs))
	done := make(chan int)
	for i := range installs {
		go func() {
			defer func() { done <- i }()
			s, err := Open(t.Context(), path, key(1), Options{Random: noise(uint64(i))})
			if err != nil {
				errs[i] = err
				return
			}
			installs[i], errs[i] = s.Install(), s.Close()
		}()
	}
	for range installs {
		<-done
	}
	must(t, errors.Join(errs...))
	if n := len(slices.Compact(slices.Sorted(slices.Values(installs)))); n != 1 {
		t.Errorf("installs are %s", strings.Join(installs, ", "))
	}
}
