package store

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

var doomed = flag.String("doomed", "", "write to this state until killed; used by TestKilledProcess")

// work stores batch k: intents first, then what became of them.
func work(s *Store, user int64, k int, done func(step string, k int)) error {
	ctx := testContext
	var intents []engine.Intent
	set := engine.Settlement{Now: t0, Replica: &engine.Replica{MailboxCursor: fmt.Sprint(k), FirstDone: true}}
	for i := k * batch; i < (k+1)*batch; i++ {
		l := contact(1, i, 10)
		intents = append(intents, engine.Intent{Op: op(i), Side: record.Mailbox, Kind: reconcile.Create, CRMID: l.CRM.ID, Link: l, MoveCRM: l.CRM.Base, Created: t0})
		set.Settled = append(set.Settled, op(i))
		set.Links = append(set.Links, l)
	}
	set.Activities = []engine.Activity{{Time: t0, Type: "batch", Details: fmt.Sprint(k)}}
	lease := engine.Lease{User: user, Holder: "me"}
	if _, _, err := s.AcquireLease(ctx, lease, t0); err != nil {
		return err
	}
	if err := s.Intend(ctx, lease, record.Contacts, intents); err != nil {
		return err
	}
	done("intended", k)
	if err := s.Settle(ctx, lease, record.Contacts, set); err != nil {
		return err
	}
	done("settled", k)
	return nil
}

// survives checks a state that was left behind: every batch is there wholly or not at
// all, in order, and those that were said to be stored are. It returns how many are
// settled and how many intended.
func survives(t *testing.T, path string) (settled, intended int) {
	t.Helper()
	s, err := Open(t.Context(), path, key(1), Options{Random: noise(3)})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	must(t, s.Check(t.Context()))
	must(t, s.VerifyActivities(t.Context()))
	u, err := s.Admin().Users(t.Context())
	must(t, err)
	if len(u) == 0 {
		return 0, 0
	}
	links := linksOf(t, s, u[0].ID)
	intents, err := s.Intents(t.Context(), u[0].ID, record.Contacts)
	must(t, err)
	settled = len(links) / batch
	same(t, "links", links, slices.SortedFunc(slices.Values(contactsOf(settled)), func(a, b reconcile.Link) int {
		return strings.Compare(a.CRM.ID, b.CRM.ID)
	}))
	if len(intents) != 0 && (len(intents) != batch || intents[0].Op != op(settled*batch)) {
		t.Errorf("%d intents are open after batch %d, the first is %s", len(intents), settled, intents[0].Op)
	}
	r, err := s.Replica(t.Context(), u[0].ID, record.Contacts)
	must(t, err)
	if want := fmt.Sprint(settled - 1); settled > 0 && r.MailboxCursor != want {
		t.Errorf("the cursor is %q after batch %s", r.MailboxCursor, want)
	}
	if a, err := s.Activities(t.Context(), "", 0); len(a) != settled || err != nil {
		t.Errorf("%d lines of audit after %d batches, %v", len(a), settled, err)
	}
	return settled, settled + len(intents)/batch
}

func contactsOf(batches int) []reconcile.Link {
	ls := make([]reconcile.Link, batches*batch)
	for i := range ls {
		ls[i] = contact(1, i, 10)
	}
	return ls
}

// TestMain is here for the process that TestKilledProcess kills.
func TestMain(m *testing.M) {
	flag.Parse()
	if *doomed == "" {
		os.Exit(m.Run())
	}
	s, err := Open(testContext, *doomed, key(1), Options{Random: noise(2)})
	if err == nil {
		var u []engine.Member
		u, err = s.Users(testContext, nil)
		for k := 0; err == nil; k++ {
			err = work(s, u[0].User.ID, k, func(step string, k int) { fmt.Println(step, k) })
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A process that is killed leaves a state that holds all that it was told is stored.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	for _, lines := range []int{1, 2, 3, 4, 7, 10, 31, 60} {
		t.Run(fmt.Sprint("after ", lines), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "state.db")
			s, err := Open(t.Context(), path, key(1), Options{Random: noise(1)})
			must(t, err)
			office(t, s)
			staff(t, s, 1)
			must(t, s.Close())

			cmd := exec.CommandContext(t.Context(), self, "-doomed", path)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			said := map[string]int{}
			in := bufio.NewScanner(out)
			for range lines {
				if !in.Scan() {
					t.Fatalf("the process ended by itself: %v", in.Err())
				}
				var step string
				var k int
				_, err := fmt.Sscan(in.Text(), &step, &k)
				must(t, err)
				said[step] = k + 1
			}
			must(t, cmd.Process.Kill())
			_, _ = io.Copy(io.Discard, out)
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) {
				t.Fatalf("the process was not killed: %v", err)
			}
			settled, intended := survives(t, path)
			if settled < said["settled"] || intended < said["intended"] {
				t.Errorf("%d batches settled and %d intended, but %v was stored", settled, intended, said)
			}
		})
	}
}

// A power cut can leave any part of the log on disk. Whatever is left, the state is as
// it was after one of the transactions.
func TestCutLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	s, err := Open(t.Context(), path, key(1), Options{Random: noise(1)})
	must(t, err)
	office(t, s)
	staff(t, s, 1)
	must(t, s.Close()) // what comes is in the log alone
	s = openAt(t, path)
	u, err := s.Users(t.Context(), nil)
	must(t, err)
	for k := range 4 {
		must(t, work(s, u[0].User.ID, k, func(string, int) {}))
	}
	wal, err := os.ReadFile(path + "-wal")
	must(t, err)
	db, err := os.ReadFile(path)
	must(t, err)

	const cuts = 40
	last, seen := 0, map[int]bool{}
	for i := range cuts + 1 {
		at := filepath.Join(t.TempDir(), "state.db")
		must(t, os.WriteFile(at, db, 0o600))
		must(t, os.WriteFile(at+"-wal", wal[:len(wal)*i/cuts], 0o600))
		settled, _ := survives(t, at)
		if settled < last {
			t.Errorf("a longer log has fewer batches: %d after %d", settled, last)
		}
		last, seen[settled] = settled, true
	}
	if len(seen) != 5 {
		t.Errorf("the cuts left %v batches, want each of 0 to 4", seen)
	}
}

// Without its log a state is as it was when it was last folded into the file.
func TestLostLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	office(t, s)
	u := staff(t, s, 1)[0].ID
	must(t, work(s, u, 0, func(string, int) {}))
	_, err := s.writer.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	must(t, err)
	must(t, work(s, u, 1, func(string, int) {}))
	db, err := os.ReadFile(path)
	must(t, err)
	at := filepath.Join(t.TempDir(), "state.db")
	must(t, os.WriteFile(at, db, 0o600))
	if settled, _ := survives(t, at); settled != 1 {
		t.Errorf("%d batches are left, want 1", settled)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	a, b := openAt(t, path), openAt(t, path)
	_, err := b.writer.ExecContext(t.Context(), `PRAGMA busy_timeout = 0`)
	must(t, err)
	tx, err := a.writer.BeginTx(t.Context(), nil)
	must(t, err)
	wants(t, "a write beside a write", b.Record(t.Context(), engine.Activity{Type: "x"}), ErrBusy)
	if _, err := b.Activities(t.Context(), "", 0); err != nil {
		t.Errorf("a read beside a write: %v", err)
	}
	must(t, tx.Rollback())
	must(t, b.Record(t.Context(), engine.Activity{Type: "x"}))
}
