package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox"
)

// world is a sandbox of this process, and the state of a program that runs beside it.
type world struct {
	*sandbox.Sandbox
	t     *testing.T
	dir   string
	state string
	users []string
	// env is told to each program besides.
	env []string
	// ahead is by how much the clocks of the program and of both servers are ahead.
	ahead atomic.Int64
}

// newWorld starts a sandbox whose users may be synchronized.
func newWorld(t *testing.T, users, contacts int) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "sb")}
	w.state = filepath.Join(w.dir, "state.db")
	s, err := sandbox.Start(t.Context(), sandbox.Options{Dir: w.dir, Users: users, Contacts: contacts, Seed: 1, Now: w.now})
	must(t, err)
	t.Cleanup(func() { _ = s.Stop() })
	w.Sandbox = s
	people, err := s.People(t.Context())
	must(t, err)
	for _, p := range people {
		if p.MailboxID != "" {
			w.users = append(w.users, p.Email)
		}
	}
	w.enroll()
	return w
}

// enroll lets everybody be synchronized.
func (w *world) enroll() {
	w.t.Helper()
	w.run("users", "import", "--from", "directory")
	w.run("sync", "enable", "--all")
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// pass lets time pass.
func (w *world) pass(d time.Duration) { w.ahead.Add(int64(d)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command is the program, on the sandbox's configuration.
func (w *world) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	must(w.t, err)
	cmd := exec.CommandContext(w.t.Context(), self)
	cmd.Args = append([]string{"crmsync"}, args...)
	cmd.Env = append(os.Environ(), "CRMSYNC_CONFIG="+filepath.Join(w.dir, "crmsync.yaml"), "GOGC=off",
		fmt.Sprint(clockAhead, "=", time.Duration(w.ahead.Load())))
	cmd.Env = append(cmd.Env, w.env...)
	return cmd
}

// run runs the program and demands that it exits with 0, runs that it exits with 0 or
// another status.
func (w *world) run(args ...string) string {
	w.t.Helper()
	return w.runs(0, args...)
}

func (w *world) runs(status int, args ...string) string {
	w.t.Helper()
	cmd := w.command(args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() != status {
		w.t.Fatalf("crmsync %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// cycle is the command that is killed.
var cycle = []string{"sync", "run", "--allow-create-in-crm"}

// sync lets time pass until everybody is due, and runs a cycle.
func (w *world) sync() {
	w.t.Helper()
	w.pass(due)
	w.run(cycle...)
}

// moment is all that there is at one time, on both servers and in the state.
type moment struct {
	ahead             int64
	graph, crm, state []byte
}

func (w *world) save() (m moment) {
	w.t.Helper()
	var err error
	m.ahead = w.ahead.Load()
	m.graph, err = w.Graph().Snapshot()
	must(w.t, err)
	var crm bytes.Buffer
	must(w.t, w.Salesforce().Snapshot(&crm))
	m.crm = crm.Bytes()
	m.state, err = os.ReadFile(w.state)
	must(w.t, err)
	return m
}

func (w *world) restore(m moment) {
	w.t.Helper()
	w.ahead.Store(m.ahead)
	must(w.t, w.Graph().Restore(m.graph))
	_, err := w.Salesforce().Restore(bytes.NewReader(m.crm))
	must(w.t, err)
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(w.state + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
	must(w.t, os.WriteFile(w.state, m.state, 0o600))
}

// contents is what people see on both sides: each contact of everybody with all that it
// holds, and how often it is there.
func (w *world) contents() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, user := range w.users {
		for _, side := range []sandbox.Side{sandbox.CRM, sandbox.Mailbox} {
			list, err := w.Contacts(w.t.Context(), side, user)
			must(w.t, err)
			for _, c := range list {
				if side == sandbox.CRM && c.Owner != user {
					continue
				}
				line := fmt.Sprintf("%s %s: %s, deleted %t, merged %t", side, c.Owner+user+c.Folder, c.Name, c.Deleted, c.MergedInto != "")
				for _, f := range slices.Sorted(maps.Keys(c.Fields)) {
					if f != "CrmSync_Stamp__c" {
						line += fmt.Sprintf(" %s=%q", f, c.Fields[f])
					}
				}
				out[line]++
			}
		}
	}
	return out
}

// told is what the program says afterwards.
func (w *world) told(s scenario) string {
	w.t.Helper()
	if s.report == nil {
		return ""
	}
	return w.run(s.report...)
}

// writes is how many items the program wrote since the counters were set to zero.
func (w *world) writes() int {
	w.t.Helper()
	st, err := w.Stats(w.t.Context())
	must(w.t, err)
	n := st.Salesforce.Created + st.Salesforce.Changed + st.Salesforce.Removed
	for _, op := range []string{"contact.create", "contact.update", "contact.delete"} {
		n += st.Graph.Operations[op]
	}
	return n
}

// names is what people see of contents at first sight.
func names(contents map[string]int) map[string]int {
	out := map[string]int{}
	for line, n := range contents {
		name, _, _ := strings.Cut(line, ", deleted false")
		out[name] += n
	}
	return out
}

// differences names what is there more or less often than it should be.
func differences(want, got map[string]int) (out string) {
	for line, n := range got {
		if n != want[line] {
			out += fmt.Sprintf("\n%d instead of %d times: %s", n, want[line], line)
		}
	}
	for line, n := range want {
		if _, ok := got[line]; !ok {
			out += fmt.Sprintf("\n0 instead of %d times: %s", n, line)
		}
	}
	return out
}
