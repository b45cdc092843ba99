package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox"
)

// bench is a sandbox with its real program beside it.
type bench struct {
	t       testing.TB
	sandbox *sandbox.Sandbox
	dir     string
	program string
}

// newBench starts a sandbox with users who own so many contacts each, and builds the
// program.
func newBench(t testing.TB, users, contacts int) *bench {
	t.Helper()
	b := build(t)
	s, err := sandbox.Start(t.Context(), sandbox.Options{Dir: b.dir, Users: users, Contacts: contacts, Seed: 1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	b.sandbox = s
	return b
}

// build builds the program, without a sandbox yet.
func build(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, dir: filepath.Join(t.TempDir(), "sb"), program: filepath.Join(t.TempDir(), "crmsync")}
	if runtime.GOOS == "windows" {
		b.program += ".exe"
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", b.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return b
}

// command is the program with arguments, on the sandbox's configuration and with a
// state of its own.
func (b *bench) command(ctx context.Context, state string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.program, append(args, "--state", state)...)
	cmd.Env = append(os.Environ(), "CRMSYNC_CONFIG="+filepath.Join(b.dir, "crmsync.yaml"))
	return cmd
}

// run runs the program and demands that it exits with 0.
func (b *bench) run(state string, args ...string) string {
	b.t.Helper()
	out, err := b.command(b.t.Context(), state, args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("crmsync %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// sides returns the names of the first user's contacts in the CRM and in his folder,
// each with how often it is there and what both sides hold alike.
func (b *bench) sides() (crm, mailbox map[string]int) {
	b.t.Helper()
	ctx := b.t.Context()
	people, err := b.sandbox.People(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	user := people[0].Email
	records, err := b.sandbox.Contacts(ctx, sandbox.CRM, user)
	if err != nil {
		b.t.Fatal(err)
	}
	crm, mailbox = map[string]int{}, map[string]int{}
	for _, c := range records {
		if c.Owner == user && !c.Deleted {
			crm[c.Name+"|"+c.Fields["Title"]+"|"+c.Fields["MailingCity"]]++
		}
	}
	items, err := b.sandbox.Contacts(ctx, sandbox.Mailbox, user)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range items {
		if c.Folder == "CRM" {
			mailbox[c.Name+"|"+c.Fields["jobTitle"]+"|"+c.Fields["businessAddress.city"]]++
		}
	}
	return crm, mailbox
}

// The real program is killed at random moments of its first sync and started again:
// no contact is there twice, and both sides are equal.
func TestKilledDuringFirstSync(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: kills the real program twenty times; run without -short")
	}
	b := newBench(t, 1, 150)
	r := rand.New(rand.NewPCG(1, 2))
	start := func(state string) {
		b.run(state, "users", "import", "--from", "directory")
		b.run(state, "sync", "enable", "--all")
	}
	// An undisturbed run tells how many requests a first sync makes, and what the sides
	// look like after it.
	state := filepath.Join(t.TempDir(), "undisturbed.db")
	start(state)
	before := b.requests()
	b.run(state, "sync", "run", "--allow-create-in-crm")
	whole := b.requests() - before
	wantCRM, wantMailbox := b.sides()
	if len(wantCRM) < 100 || fmt.Sprint(wantCRM) != fmt.Sprint(wantMailbox) {
		t.Fatalf("undisturbed: %d in the CRM, %d in the mailbox", len(wantCRM), len(wantMailbox))
	}
	killed := 0
	for n := range 20 {
		if err := b.sandbox.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		state := filepath.Join(t.TempDir(), fmt.Sprint(n, ".db"))
		start(state)
		cmd := b.command(t.Context(), state, "sync", "run", "--allow-create-in-crm")
		at := b.requests() + 1 + r.IntN(whole)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for b.requests() < at && len(ended) == 0 {
			time.Sleep(time.Duration(r.Int64N(int64(time.Millisecond)))) // anywhere between two requests
		}
		_ = cmd.Process.Kill() // kill -9
		if err := <-ended; err != nil {
			killed++
		}
		b.run(state, "sync", "run", "--allow-create-in-crm", "--all", "--force")
		crm, mailbox := b.sides()
		if fmt.Sprint(crm) != fmt.Sprint(wantCRM) || fmt.Sprint(mailbox) != fmt.Sprint(wantMailbox) {
			t.Errorf("killed at request %d: %s", at, differences(wantCRM, crm, wantMailbox, mailbox))
		}
	}
	if killed < 10 {
		t.Errorf("only %d of 20 runs were killed before they ended", killed)
	}
}

// requests returns how many round trips both servers have answered.
func (b *bench) requests() int {
	st, err := b.sandbox.Stats(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return st.Graph.Total.RoundTrips + st.Salesforce.Requests
}

// differences names what is there more or less often than it should be.
func differences(wantCRM, crm, wantMailbox, mailbox map[string]int) string {
	var out string
	for side, m := range map[string][2]map[string]int{"CRM": {wantCRM, crm}, "mailbox": {wantMailbox, mailbox}} {
		for name, n := range m[1] {
			if n != m[0][name] {
				out += fmt.Sprintf("\n%s: %s is there %d times, not %d", side, name, n, m[0][name])
			}
		}
		for name, n := range m[0] {
			if _, ok := m[1][name]; !ok {
				out += fmt.Sprintf("\n%s: %s is gone (%d)", side, name, n)
			}
		}
	}
	return out
}
