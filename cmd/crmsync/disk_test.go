package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/crmsync/crmsync/internal/store/disk"
)

// diskFault says which operation on the state's files ends badly, how, and whether all
// after it do: "write full 17" or "sync broken 3 on". diskLog is a file that gets the
// number of such operations in the end.
const (
	diskFault = "CRMSYNC_TEST_DISK_FAULT"
	diskLog   = "CRMSYNC_TEST_DISK_LOG"
)

// diskFaults are the ways in which a disk goes wrong, by the operation that shows it,
// with what the program says of it outside a user's cycle. What happens within one is
// CS2213 and names the cause in the session.
var diskFaults = []struct {
	op   disk.Op
	name string
	code disk.Code
	says string
}{
	{disk.Write, "full", disk.Full, "CS1106"},
	{disk.Write, "broken", disk.Broken, "CS1109"},
	{disk.Write, "readonly", disk.ReadOnly, "CS1104"},
	{disk.Sync, "broken", disk.Unsynced, "CS1109"},
	{disk.Lock, "busy", disk.Busy, "CS1107"},
}

// failDisk makes the disk fail as the environment asks for.
func failDisk() {
	words := strings.Fields(os.Getenv(diskFault))
	if len(words) < 3 {
		return
	}
	at, err := strconv.Atoi(words[2])
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	n := 0
	disk.Hasten()
	disk.Watch("", func(c disk.Call) disk.Code {
		if c.Done || string(c.Op) != words[0] {
			return disk.OK
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		if err := os.WriteFile(os.Getenv(diskLog), []byte(strconv.Itoa(n)), 0o600); err != nil {
			panic(err)
		}
		for _, f := range diskFaults {
			if f.name == words[1] && string(f.op) == words[0] && (n == at || n > at && len(words) > 3) {
				return f.code
			}
		}
		return disk.OK
	})
}

// onBadDisk runs a command on a disk that fails at an operation, and returns what it said
// and how many such operations there were.
func (w *world) onBadDisk(fault string, args ...string) (said string, status, n int) {
	w.t.Helper()
	log := filepath.Join(w.dir, "operations")
	cmd := w.command(args...)
	cmd.Env = append(cmd.Env, diskFault+"="+fault, diskLog+"="+log)
	out, _ := cmd.CombinedOutput()
	text, err := os.ReadFile(log)
	must(w.t, err)
	n, err = strconv.Atoi(string(text))
	must(w.t, err)
	return string(out), cmd.ProcessState.ExitCode(), n
}

var errorCode = regexp.MustCompile(`error\[(CS\d+)\]`)

// Every write of the state to the disk fails, once or from then on. The program says so
// in words, and one run on a disk that is well again leaves both sides as if nothing had
// happened.
func TestBadDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs the real program many times; run without -short")
	}
	for _, s := range scenarios[:4] {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, max(s.contacts, 6))
			s.prepare(w)
			w.pass(due)
			start := w.save()
			w.run(cycle...)
			want := w.contents()
			faults := 0
			codes := map[string]int{}
			for _, f := range diskFaults {
				w.restore(start)
				_, _, n := w.onBadDisk(fmt.Sprint(f.op, " ", f.name, " ", 0), cycle...)
				for at := 1; at <= n; at += *attackEvery * len(diskFaults) {
					for _, on := range []string{"", " on"} {
						w.restore(start)
						fault := fmt.Sprint(f.op, " ", f.name, " ", at, on)
						said, status, reached := w.onBadDisk(fault, cycle...)
						if reached < at {
							continue
						}
						faults++
						var code string
						if found := errorCode.FindStringSubmatch(said); found != nil {
							code = found[1]
						}
						switch code {
						case f.says, "CS2213", "":
						default:
							status = -1
						}
						if status < 0 || (status == 0) != (code == "") || strings.Contains(said, "goroutine ") {
							t.Errorf("%s: exit status %d and\n%s", fault, status, said)
						}
						codes[code]++
						w.sync()
						if got := w.contents(); !maps.Equal(got, want) {
							t.Errorf("%s:%s", fault, differences(want, got))
						}
						must(t, w.ResetStats(t.Context()))
						w.sync()
						if n := w.writes(); n != 0 {
							t.Errorf("%s: the second run after it wrote %d items", fault, n)
						}
					}
				}
			}
			must(t, openStore(t, w.state).Check(t.Context()))
			t.Logf("%d faults, answered by %v", faults, codes)
		})
	}
}

// A state that is cut short, that lost its log, that is damaged in its midst or that is an
// older backup makes no duplicate and loses nothing: either it works, or the program says
// what is wrong and goes on with a new one. Then nobody knows any more which side was
// edited: the CRM's value stays, and the mailbox's is kept as the loser of a conflict.
func TestDamagedState(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs the real program; run without -short")
	}
	t.Parallel()
	w := newWorld(t, 2, 6)
	w.pass(due)
	first := w.save() // before the first sync
	w.synced()
	backup := w.save()
	w.edit()
	w.pass(due)
	start := w.save()
	w.run(cycle...)
	want := w.contents()
	for _, d := range []struct {
		name string
		// refuse: the program says that it cannot work with it. lost: what had been in step
		// is not known any more.
		refuse, lost bool
		damage       func()
	}{
		{"cut short", true, true, func() { must(t, os.Truncate(w.state, int64(len(start.state)/2))) }},
		{"cut within its header", true, true, func() { must(t, os.Truncate(w.state, 50)) }},
		{"another program's", true, true, func() { must(t, os.WriteFile(w.state, []byte("%PDF-1.7 something else entirely"), 0o600)) }},
		{"damaged in its midst", true, true, func() {
			b := bytes.Clone(start.state)
			for i := 4096; i < len(b); i++ {
				b[i] ^= 0x5a
			}
			must(t, os.WriteFile(w.state, b, 0o600))
		}},
		{"empty", false, true, func() {
			must(t, os.Truncate(w.state, 0))
			w.enroll()
		}},
		{"a backup from before the first sync", false, true, func() { must(t, os.WriteFile(w.state, first.state, 0o600)) }},
		{"an older backup", false, false, func() { must(t, os.WriteFile(w.state, backup.state, 0o600)) }},
		{"without its log", false, false, func() {
			w.doomed(30)
			must(t, os.Remove(w.state+"-wal"))
		}},
		{"with the log of another one", false, false, func() { must(t, os.WriteFile(w.state+"-wal", first.state, 0o600)) }},
	} {
		t.Run(d.name, func(t *testing.T) {
			w.t = t
			w.restore(start)
			d.damage()
			if d.refuse {
				before := w.contents()
				cmd := w.command(cycle...)
				out, _ := cmd.CombinedOutput()
				if !strings.Contains(string(out), "error[CS1108]") || cmd.ProcessState.ExitCode() != 1 {
					t.Errorf("exit status %d and\n%s", cmd.ProcessState.ExitCode(), out)
				}
				if got := w.contents(); !maps.Equal(got, before) {
					t.Errorf("it was written:%s", differences(before, got))
				}
				must(t, os.Remove(w.state))
				w.enroll()
			}
			w.sync()
			w.sync()
			got, want := w.contents(), want
			if d.lost {
				got, want = names(got), names(want)
				lost := w.run("conflicts", "list", "--all", "-o", "csv", "--fields", "lost")
				if n := strings.Count(lost, "Edited in the mailbox"); n != len(w.users) {
					t.Errorf("%d of %d edits are kept in\n%s", n, len(w.users), lost)
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s", differences(want, got))
			}
			must(t, w.ResetStats(t.Context()))
			w.sync()
			if n := w.writes(); n != 0 {
				t.Errorf("the next run wrote %d items", n)
			}
		})
	}
}
