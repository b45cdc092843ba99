package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var killEvery = flag.Int("kill-every", 23, "kill the program at every so many of the points of each scenario; 1 is all of them")

// doomed runs a command that dies at a point, and returns all points that it came to. At
// 0 it does not die. No command is a cycle.
func (w *world) doomed(at int, args ...string) (points []string) {
	w.t.Helper()
	if args == nil {
		args = cycle
	}
	log := filepath.Join(w.dir, "points")
	cmd := w.command(args...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", doomAt, at), doomLog+"="+log)
	_ = cmd.Run() // it dies
	text, err := os.ReadFile(log)
	must(w.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// The program is killed before and after everything that it asks of a server and
// everything that it writes to its disk, once at each such point. One run later both
// sides are as if nothing had happened, and the next one has nothing to do.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: kills the real program many times; run without -short")
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, cmp.Or(s.contacts, 6))
			command := s.command
			if command == nil {
				command = cycle
			}
			s.prepare(w)
			w.pass(due)
			start := w.save()
			points := w.doomed(0, command...)
			want, report := w.contents(), w.report(s)
			killed := 0
			for at := 1; at <= len(points); at += *killEvery {
				w.restore(start)
				reached := w.doomed(at, command...)
				if len(reached) < at {
					continue // it took fewer steps this time
				}
				killed++
				last := fmt.Sprintf("killed at point %d, %s", at, reached[at-1])
				w.pass(due)
				w.runs(s.status, command...)
				if got := w.contents(); !maps.Equal(got, want) {
					t.Errorf("%s:%s", last, differences(want, got))
				}
				if got := w.report(s); got != report {
					t.Errorf("%s: it reports\n%s\ninstead of\n%s", last, got, report)
				}
				must(t, w.ResetStats(t.Context()))
				w.sync()
				if n := w.writes(); n != 0 {
					t.Errorf("%s: the second run after it wrote %d items", last, n)
				}
			}
			must(t, openStore(t, w.state).Check(t.Context()))
			t.Logf("killed at %d of %d points", killed, len(points))
		})
	}
}
