package engine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

var soakUsers = flag.Int("soak", 50, "how many users TestSoak has")

// TestLongRun is one history of 200 rounds: at its end nothing is there twice, no edit is
// lost, and every difference is named.
func TestLongRun(t *testing.T) {
	t.Parallel()
	h := newHistory(t, *firstSeed, nil)
	h.rounds = 200
	h.play()
	h.judge()
	if len(h.wrong) > 0 {
		t.Fatalf("seed %d:\n%s\nhistory:\n%s", h.seed, strings.Join(h.wrong, "\n"), strings.Join(h.log[max(0, len(h.log)-400):], "\n"))
	}
}

// TestSoak is F25: two days of half-hourly cycles, with a fault in every fiftieth call and
// edits on both sides. Neither files nor memory may grow, and in the end all are in step.
func TestSoak(t *testing.T) {
	r := rand.New(rand.NewPCG(*firstSeed, 25))
	w := newWorld(t, *soakUsers, memory.Options{}, memory.Options{})
	ids := make([][]string, *soakUsers)
	for n := range ids {
		ids[n] = w.seed(n, 10)
	}
	w.faults.Set(faulty.Seeded(*firstSeed, 0.02))
	var files, heap []float64
	for cycle := range 96 {
		for range *soakUsers / 2 {
			n := r.IntN(*soakUsers)
			id := ids[n][r.IntN(len(ids[n]))]
			if r.IntN(2) == 0 {
				w.crm.EditItem(id, mapping.Fields{"Title": record.Text(fmt.Sprint("t", r.Uint32()))})
				continue
			}
			for _, it := range w.mail.Items(w.folder(n)) {
				if it.Stamp != nil && it.Stamp.Other == id {
					w.mail.EditItem(it.ID, mapping.Fields{"mobilePhone": record.Text(fmt.Sprint("+1 212 555 ", 1000+r.IntN(9000)))})
					break
				}
			}
		}
		w.clock.pass(29 * time.Minute)
		w.run(func(o *engine.Options) { o.Parallel = 8 })
		if cycle%24 == 23 {
			files, heap = append(files, openFiles(t)), append(heap, heapInUse())
		}
	}
	w.faults.Set(nil)
	w.faults.Land()
	for range 3 {
		w.clock.pass(25 * time.Hour)
		w.run()
	}
	w.equal()
	w.quiet()
	t.Logf("open files %v, heap %.1f MB", files, heap)
	if last := len(files) - 1; files[last] > files[0]+2 {
		t.Errorf("F25: open files grow: %v", files)
	}
	// The logs of the two systems in memory and of the faults grow by themselves.
	if last := len(heap) - 1; heap[last] > 2*heap[0]+20 {
		t.Errorf("F25: the heap grows: %.1f MB", heap)
	}
}

// openFiles returns how many files the process has open, where the system tells it.
func openFiles(t *testing.T) float64 {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return float64(len(list))
}

// heapInUse returns what is alive, in MB.
func heapInUse() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
