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

var attackEvery = flag.Int("attack-every", 89, "attack the program at every so many of the points of each scenario; 1 is all of them")

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
	// The servers may still be at work on what it had asked for.
	must(w.t, w.Deserted(w.t.Context()))
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
			g := besiege(t, s)
			g.attack(*attackEvery, func(w *world, at int) []string { return w.doomed(at, g.command...) })
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
			besiege(t, s).attack(2**attackEvery, func(w *world, at int) []string {
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

// siege is a scenario that is attacked again and again.
type siege struct {
	*world
	s       scenario
	command []string
	start   moment
	// want and report are what an undisturbed run leaves behind, which has so many points.
	want   map[string]int
	report string
	points int
	struck int
	// pause is how long after a strike the next run begins.
	pause time.Duration
}

// besiege runs a scenario undisturbed.
func besiege(t *testing.T, s scenario) *siege {
	t.Helper()
	g := &siege{world: newWorld(t, 2, cmp.Or(s.contacts, 6)), s: s, command: cycle, pause: due}
	s.prepare(g.world)
	if s.command != nil {
		g.command = s.command(g.world)
	}
	g.pass(due)
	g.start = g.save()
	g.points = len(g.doomed(0, g.command...))
	g.restore(g.start)
	g.runs(s.status, g.command...)
	g.want, g.report = g.contents(), g.told(s)
	return g
}

// strike runs the scenario with something that happens to the program at a point, and
// then once more without. It tells whether that point was reached: a run may take fewer
// steps than another one.
func (g *siege) strike(at int, how string, disturbed func(w *world, at int) (points []string)) bool {
	t := g.t
	t.Helper()
	g.restore(g.start)
	reached := disturbed(g.world, at)
	if len(reached) < at {
		return false
	}
	g.struck++
	last := fmt.Sprintf("struck at point %d, %s %s", at, reached[at-1], how)
	g.pass(g.pause)
	g.runs(g.s.status, g.command...)
	if got := g.contents(); !maps.Equal(got, g.want) {
		t.Errorf("%s:%s", last, differences(g.want, got))
	}
	if got := g.told(g.s); got != g.report {
		t.Errorf("%s: it reports\n%s\ninstead of\n%s", last, got, g.report)
	}
	must(t, g.ResetStats(t.Context()))
	g.sync()
	if n := g.writes(); n != 0 {
		t.Errorf("%s: the second run after it wrote %d items", last, n)
	}
	return true
}

// attack strikes at every so many of the points.
func (g *siege) attack(every int, disturbed func(w *world, at int) (points []string)) {
	g.t.Helper()
	for at := 1; at <= g.points && g.strike(at, "", disturbed); at += every {
	}
	g.lift()
}

// lift ends a siege.
func (g *siege) lift() {
	g.t.Helper()
	must(g.t, openStore(g.t, g.state).Check(g.t.Context()))
	g.t.Logf("struck %d times in %d points", g.struck, g.points)
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
