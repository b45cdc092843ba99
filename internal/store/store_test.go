package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// t0 has nanoseconds: times come back as they were given.
var t0 = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

// noise is a source of randomness that can be repeated.
func noise(seed uint64) io.Reader {
	var s [32]byte
	s[0] = byte(seed)
	return rand.NewChaCha8(s)
}

func openAt(tb testing.TB, path string) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), path, key(1), Options{Random: noise(1)})
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

func newStore(tb testing.TB) *Store {
	tb.Helper()
	return openAt(tb, filepath.Join(tb.TempDir(), "state.db"))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func shut(tb testing.TB, c io.Closer) {
	tb.Helper()
	must(tb, c.Close())
}

// office adds two connections and an organization.
func office(tb testing.TB, s *Store) {
	tb.Helper()
	ctx := tb.Context()
	must(tb, s.AddConnection(ctx, roster.Connection{Name: "sf", Kind: "salesforce", Secret: "env:SF"}))
	must(tb, s.AddConnection(ctx, roster.Connection{Name: "m365", Kind: "graph", Secret: "env:M365"}))
	must(tb, s.AddOrganization(ctx, roster.Organization{Name: "EMEA", CRM: "sf", Mail: "m365", Access: roster.Application, Enabled: true}))
}

// staff adds n users to the default organization and returns them by address.
func staff(tb testing.TB, s *Store, n int) []roster.User {
	tb.Helper()
	users := make([]roster.User, n)
	for i := range users {
		users[i] = person(i)
	}
	results, err := s.AddUsers(tb.Context(), users, nil)
	must(tb, errors.Join(append(results, err)...))
	all, err := s.Admin().Users(tb.Context())
	must(tb, err)
	return all
}

func person(i int) roster.User {
	return roster.User{
		Email:     fmt.Sprintf("u%05d@example.com", i),
		Name:      fmt.Sprintf("User %d", i),
		CRMUser:   fmt.Sprintf("005%012dAAA", i),
		MailboxID: fmt.Sprintf("00000000-0000-0000-0000-%012d", i),
	}
}

func same(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestOpenMakesAPrivateFileAndKeepsTheInstall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a dir?with#odd%20name", "state.db")
	s, err := Open(t.Context(), path, key(1), Options{Random: noise(1)})
	must(t, err)
	install := s.Install()
	if len(install) != 32 {
		t.Errorf("install id is %q", install)
	}
	office(t, s)
	for _, f := range []string{path, path + "-wal"} {
		i, err := os.Stat(f)
		must(t, err)
		if runtime.GOOS != "windows" && i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(f), i.Mode())
		}
	}
	must(t, s.Close())

	again, err := Open(t.Context(), path, key(1), Options{Random: noise(2)})
	must(t, err)
	if again.Install() != install {
		t.Errorf("install id changed from %s to %s", install, again.Install())
	}
	must(t, again.Close())
}

func TestEveryConnectionHasThePragmas(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, want := range map[string]int{"foreign_keys": 1, "synchronous": 2, "busy_timeout": 5000} {
		var got int
		must(t, s.writer.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got))
		if got != want {
			t.Errorf("writer has %s=%d, want %d", name, got, want)
		}
	}
	var mode string
	must(t, s.writer.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode))
	if mode != "wal" {
		t.Errorf("journal mode is %s", mode)
	}
	// Hold several connections at once, so that each is another one.
	for range readersAtOnce {
		c, err := s.readers.Conn(t.Context())
		must(t, err)
		defer shut(t, c)
		for name, want := range map[string]int{"foreign_keys": 1, "query_only": 1, "busy_timeout": 5000} {
			var got int
			must(t, c.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got))
			if got != want {
				t.Errorf("reader has %s=%d, want %d", name, got, want)
			}
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, path, sql string) {
		t.Helper()
		db, err := open(path, "rw", flags{})
		must(t, err)
		_, err = db.ExecContext(t.Context(), sql)
		must(t, errors.Join(err, db.Close()))
	}
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		key     []byte
		want    error
	}{
		{"a wrong key", func(*testing.T, string) {}, key(2), ErrKey},
		{"a short key", func(*testing.T, string) {}, key(1)[:16], ErrKey},
		{"a newer version", func(t *testing.T, p string) { write(t, p, "PRAGMA user_version = 999") }, key(1), ErrNewer},
		{"no database", func(t *testing.T, p string) {
			must(t, os.WriteFile(p, bytes.Repeat([]byte("this is a letter, not a state. "), 300), 0o600))
		}, key(1), ErrDamaged},
		{"the database of another program", func(t *testing.T, p string) {
			must(t, os.Remove(p))
			must(t, create(p))
			write(t, p, "CREATE TABLE t (x)")
		}, key(1), ErrDamaged},
		{"a file that was cut off", func(t *testing.T, p string) { must(t, os.Truncate(p, 4096+100)) }, key(1), ErrDamaged},
	} {
		for _, readOnly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, read only %v", tt.name, readOnly), func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "state.db")
				s, err := Open(t.Context(), path, key(1), Options{Random: noise(1)})
				must(t, err)
				must(t, s.Close())
				tt.prepare(t, path)
				s, err = Open(t.Context(), path, tt.key, Options{Random: noise(1), ReadOnly: readOnly})
				if err == nil {
					shut(t, s)
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				var newer *NewerError
				if errors.Is(tt.want, ErrNewer) && (!errors.As(err, &newer) || newer.State != 999 || newer.Program != len(migrations())) {
					t.Errorf("versions are not told: %v", err)
				}
			})
		}
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	if _, err := Open(t.Context(), path, key(1), Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a state that is not there: %v", err)
	}
	s := openAt(t, path)
	office(t, s)
	staff(t, s, 3)

	r, err := Open(t.Context(), path, key(1), Options{ReadOnly: true})
	must(t, err)
	defer shut(t, r)
	users, err := r.Users(t.Context(), nil)
	must(t, err)
	if len(users) != 3 {
		t.Errorf("read %d users beside a writer, want 3", len(users))
	}
	if err := r.Record(t.Context(), engine.Activity{Type: "x"}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a write returned %v", err)
	}
}

// A directory in which nothing can be written, as on a read-only disk, can be read
// without SQLite's helper files, and says so when it is opened for writing.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("file modes do not bind this user: run as another one")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	s := openAt(t, path)
	office(t, s)
	must(t, s.Close())
	must(t, os.Chmod(path, 0o400))
	must(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { must(t, os.Chmod(dir, 0o700)) })

	if _, err := Open(t.Context(), path, key(1), Options{Random: noise(1)}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("opened for writing: %v", err)
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "other.db"), key(1), Options{Random: noise(1)}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("made a file: %v", err)
	}
	r, err := Open(t.Context(), path, key(1), Options{ReadOnly: true})
	must(t, err)
	defer shut(t, r)
	if o, err := r.Organization(t.Context(), ""); err != nil || o.Name != "EMEA" {
		t.Errorf("read %v, %v", o.Name, err)
	}
}

func TestFullDiskIsSaidAndLeavesTheStateWhole(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	var pages int
	must(t, s.writer.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
	_, err := s.writer.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+20))
	must(t, err)
	users := make([]roster.User, 5000)
	for i := range users {
		users[i] = person(i)
	}
	if _, err := s.AddUsers(t.Context(), users, nil); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want %v", err, ErrFull)
	}
	left, err := s.Users(t.Context(), nil)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("%d users of a transaction that failed are there", len(left))
	}
	must(t, s.Check(t.Context()))
}

func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	staff(t, s, 2)
	must(t, s.Check(t.Context()))
	c, err := s.writer.Conn(t.Context())
	must(t, err)
	_, err = c.ExecContext(t.Context(), "PRAGMA foreign_keys = 0")
	must(t, err)
	_, err = c.ExecContext(t.Context(), "DELETE FROM organizations")
	must(t, errors.Join(err, c.Close()))
	if err := s.Check(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("users without an organization: %v", err)
	}
}

func TestAWaitingWriteHonoursItsContext(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	c, err := s.writer.Conn(t.Context()) // the one connection is taken
	must(t, err)
	defer shut(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Record(ctx, engine.Activity{Type: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
