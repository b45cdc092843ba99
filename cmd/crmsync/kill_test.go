package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox"
)

var attackEvery = flag.Int("attack-every", 23, "attack the program at every so many of the points of each scenario; 1 is all of them")

// doomed runs a command that dies at a point, and returns all points that it came to. At
// 0 it does not die. No command is a cycle.
func (w *world) doomed(at int, args ...string) (points []string) {
	w.t.Helper()
	if args == nil {
		args = cycle
	}
	cmd := w.command(args...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", doomAt, at))
	return w.pointsOf(cmd)
}

// pointsOf runs a doomed command, which may fail.
func (w *world) pointsOf(cmd *exec.Cmd) []string {
	w.t.Helper()
	log := filepath.Join(w.dir, "points")
	cmd.Env = append(cmd.Env, doomLog+"="+log)
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
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
			attack(t, s, *attackEvery, func(w *world, at int) []string { return w.doomed(at, s.command...) })
		})
	}
}

// patience is for how long an interrupted program may go on. It is measured only when
// every point is attacked, on a machine that does nothing else.
const patience = 5 * time.Second

// An interrupted program finishes what it has begun and ends soon, at whatever point it
// is interrupted, and the next run goes on from there.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: interrupts the real program many times; run without -short")
	}
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: no process can interrupt itself on Windows")
	}
	for _, s := range []scenario{scenarios[0], scenarios[3]} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var longest time.Duration
			attack(t, s, 2**attackEvery, func(w *world, at int) []string {
				cmd := w.command(cycle...)
				cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", doomAt, at), doomGently+"=yes")
				began := time.Now()
				points := w.pointsOf(cmd)
				longest = max(longest, time.Since(began))
				if !cmd.ProcessState.Exited() {
					t.Errorf("interrupted at point %d: %v", at, cmd.ProcessState)
				}
				return points
			})
			t.Logf("the longest took %v, its start included", longest)
			if *attackEvery == 1 && longest > patience {
				t.Errorf("an interrupted program went on for %v", longest)
			}
		})
	}
}

// attack runs a scenario undisturbed, then again and again with something that happens to
// the program at every so many of its points.
func attack(t *testing.T, s scenario, every int, disturbed func(w *world, at int) (points []string)) {
	t.Helper()
	attackFrom(t, s, 1, every, disturbed)
}

// attackFrom begins at a later point than the first.
func attackFrom(t *testing.T, s scenario, first, every int, disturbed func(w *world, at int) (points []string)) {
	t.Helper()
	command := s.command
	if command == nil {
		command = cycle
	}
	w := newWorld(t, 2, cmp.Or(s.contacts, 6))
	s.prepare(w)
	w.pass(due)
	start := w.save()
	points := w.doomed(0, command...)
	want, report := w.contents(), w.report(s)
	struck := 0
	for at := first; at <= len(points); at += every {
		w.restore(start)
		reached := disturbed(w, at)
		if len(reached) < at {
			break // it took fewer steps this time
		}
		struck++
		last := fmt.Sprintf("struck at point %d, %s", at, reached[at-1])
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
	t.Logf("struck %d times in %d points", struck, len(points))
}

// A person edits what the program had just written, or was about to, when it was killed.
// What was written is known to be the program's own, so that the edit is the later one
// and no conflict; where nothing was written there is a conflict, and no value is lost.
func TestEditedAfterTheKill(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: kills the real program many times; run without -short")
	}
	t.Parallel()
	const fromCRM, fromMailbox, later = "Edited in the CRM", "Edited in the mailbox", "Edited later"
	w := newWorld(t, 2, 6)
	w.synced()
	w.edit()
	w.pass(due)
	start := w.save()
	struck, written := 0, 0
	for at := 1; ; at += *attackEvery {
		w.restore(start)
		points := w.doomed(at)
		if len(points) < at {
			break
		}
		struck++
		last := fmt.Sprintf("struck at point %d, %s", at, points[at-1])
		landed := map[string]bool{}
		for user := range w.users {
			c := w.crm(user)
			landed[c[0].Name] = w.title(user, c[0].Name) == fromCRM
			landed[c[1].Name] = c[1].Fields["Title"] == fromMailbox
			w.editMailbox(user, c[0], sandbox.Fields{"jobTitle": later})
			w.editCRM(c[1], sandbox.Fields{"Title": later})
		}
		w.sync()
		w.sync()
		lost := w.run("conflicts", "list", "--all", "-o", "csv", "--fields", "lost")
		conflicts := 0
		for user := range w.users {
			for _, c := range w.crm(user)[:2] {
				title := w.title(user, c.Name)
				switch {
				case title != c.Fields["Title"]:
					t.Errorf("%s: %s is %q and %q", last, c.Name, c.Fields["Title"], title)
				case landed[c.Name] && title != later:
					t.Errorf("%s: %s was written, then edited, and is %q", last, c.Name, title)
				case !landed[c.Name]:
					conflicts++
				}
				if landed[c.Name] {
					written++
				}
			}
		}
		if n := strings.Count(lost, "Edited"); n != conflicts {
			t.Errorf("%s: %d conflicts, want %d:\n%s", last, n, conflicts, lost)
		}
	}
	t.Logf("struck at %d points, where %d writes had landed", struck, written)
}
