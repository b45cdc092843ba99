package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/commands"
	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/store"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/sandbox"
)

// contacts is how many contacts the benchmarks synchronize: as many as a first sync
// brings into a mailbox.
const contacts = 10_000

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

// process has the connections that one process opens, each when it is first needed.
type process struct {
	store *store.Store
	crm   remote.CRM
	mail  remote.Mail
}

func (p *process) options() commands.ConnectOptions {
	return commands.ConnectOptions{
		Secret: func(_ context.Context, reference string) (string, error) {
			secret, err := os.ReadFile(strings.TrimPrefix(reference, "file:"))
			return strings.TrimSpace(string(secret)), err
		},
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
}

func (p *process) CRM(ctx context.Context, name string) (remote.CRM, error) {
	if p.crm != nil {
		return p.crm, nil
	}
	conn, err := p.store.Admin().Connection(ctx, name)
	if err != nil {
		return nil, err
	}
	p.crm, err = network{}.openCRM(ctx, conn, p.options())
	return p.crm, err
}

func (p *process) Mail(ctx context.Context, name string) (remote.Mail, error) {
	if p.mail != nil {
		return p.mail, nil
	}
	conn, err := p.store.Admin().Connection(ctx, name)
	if err != nil {
		return nil, err
	}
	p.mail, err = network{}.openMail(ctx, conn, p.options())
	return p.mail, err
}

// cycle runs everybody's cycle as a new process would, and returns the session of the
// first user with the round trips of both servers.
func (b *bench) cycle(st *store.Store) (s engine.Session, graph, crm int) {
	b.t.Helper()
	before := b.stats()
	sessions, err := engine.New(engine.Config{
		State: st, Systems: &process{store: st}, Reporter: engine.Silent{}, Install: st.Install(),
		Hasher: st.Hasher, Now: time.Now, Random: rand.Reader, Holder: "bench",
		Alive: func(string) bool { return true }, Tick: tick,
	}).Run(b.t.Context(), engine.Options{Trigger: engine.TriggerForce, Parallel: 1, AllowCreateInCRM: true})
	if err != nil {
		b.t.Fatal(err)
	}
	if s = sessions[0]; s.Result != engine.ResultDone && s.Result != engine.ResultUnchanged {
		b.t.Fatalf("%s %s %s", s.Result, s.Code, s.Message)
	}
	after := b.stats()
	return s, after.Graph.Total.RoundTrips - before.Graph.Total.RoundTrips, after.Salesforce.Requests - before.Salesforce.Requests
}

func (b *bench) stats() sandbox.Stats {
	b.t.Helper()
	st, err := b.sandbox.Stats(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

// enabled returns a state in which the sandbox's people are enabled.
func (b *bench) enabled() *store.Store {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "state.db")
	b.run(path, "users", "import", "--from", "directory")
	b.run(path, "sync", "enable", "--all")
	return openStore(b.t, path)
}

// openStore opens a state that the program made.
func openStore(t testing.TB, path string) *store.Store {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), config.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), path, key, store.Options{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// BenchmarkContacts measures a first sync of ten thousand contacts, the cycle that reads
// its echo, and one that has nothing to do: round trips to each server, where a batch is
// one, as a new process makes them, with its tokens and versions. The servers answer
// without latency.
func BenchmarkContacts(b *testing.B) {
	for b.Loop() {
		bench := newBench(b, 1, contacts)
		st := bench.enabled()
		for _, cycle := range []string{"first", "echo", "idle"} {
			began := time.Now()
			s, graph, crm := bench.cycle(st)
			b.ReportMetric(float64(graph), cycle+"-graph-trips")
			b.ReportMetric(float64(crm), cycle+"-crm-trips")
			b.ReportMetric(time.Since(began).Seconds(), cycle+"-s")
			if cycle == "first" {
				b.ReportMetric(float64(s.CreatedMailbox), "created")
			}
		}
	}
}

// BenchmarkFirstSyncMemory measures the memory and the processor time that the real
// program needs for a first sync of ten thousand contacts. The sandbox runs in a process
// of its own: the peak that the system reports of a child is never below what its parent
// held when it started it.
func BenchmarkFirstSyncMemory(b *testing.B) {
	for b.Loop() {
		bench := build(b)
		state := filepath.Join(b.TempDir(), "state.db")
		// It may still be writing when it has said goodbye: its directory is not the test's.
		bench.dir = filepath.Join(os.TempDir(), "crmsync-bench-"+strconv.Itoa(os.Getpid())+"-"+strconv.Itoa(b.N))
		b.Cleanup(func() {
			defer func() { _ = os.RemoveAll(bench.dir) }()
			_ = bench.command(context.Background(), state, "sandbox", "stop", "--dir", bench.dir).Run()
		})
		bench.run(state, "sandbox", "start", "--dir", bench.dir, "--users", "1", "--contacts", strconv.Itoa(contacts), "--seed", "1", "--detach")
		bench.run(state, "users", "import", "--from", "directory")
		bench.run(state, "sync", "enable", "--all")
		cmd := bench.command(b.Context(), state, "sync", "run", "--allow-create-in-crm")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		b.ReportMetric(float64(peakMemory(cmd.ProcessState))/1e6, "peak-MB")
		b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s")
		info, err := os.Stat(state)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/contacts, "state-B/contact")
	}
}
