package engine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// another returns the engine of another process on the same state file.
func (w *world) another(change ...func(*engine.Config)) *engine.Engine {
	w.t.Helper()
	mine := w.store
	w.open()
	theirs := w.store
	w.store = mine
	w.t.Cleanup(func() { _ = theirs.Close() })
	return w.engine(append([]func(*engine.Config){func(c *engine.Config) {
		c.State, c.Holder = theirs, "another"
	}}, change...)...)
}

// The lease of a dead process is taken over at once, that of a living one when it has
// expired, and who waits is told for whom.
func TestTakingALeaseOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 1)
	w.ok()
	held := engine.Lease{User: w.users[0].ID, Holder: "process 7 on elsewhere (run 1)"}
	leave := func() {
		if _, ok, err := w.store.AcquireLease(t.Context(), held, w.clock.Now()); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	leave()
	w.ok() // nobody is alive
	w.alive = true
	leave()
	if s := w.run()[0]; s.Code != engine.CodeLocked || s.Result != engine.ResultSkipped || !strings.Contains(s.Message, held.Holder) {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
	w.clock.pass(engine.LeaseTime)
	w.ok()
}

// Two processes race for the same users, a hundred times: nothing fails, nothing is
// written twice, and every time somebody does the work.
func TestTwoProcessesOnOneState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	w.alive = true
	engines := []*engine.Engine{w.engine(), w.another()}
	for race := range 100 {
		w.clock.pass(time.Hour)
		w.seed(race%2, 1)
		var wg sync.WaitGroup
		var sessions [2][]engine.Session
		var errs [2]error
		for i, e := range engines {
			wg.Go(func() {
				sessions[i], errs[i] = e.Run(t.Context(), engine.Options{Trigger: engine.TriggerSchedule, Parallel: 2, AllowCreateInCRM: true})
			})
		}
		wg.Wait()
		worked := map[int64]int{}
		for i := range engines {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			for _, s := range sessions[i] {
				switch {
				case s.Result == engine.ResultDone || s.Result == engine.ResultUnchanged:
					worked[s.UserID]++
				// The other one's first cycle changes the mailbox's state under our eyes.
				case s.Result != engine.ResultSkipped || s.Code != engine.CodeLocked && s.Code != engine.CodeJustRun && s.Code != engine.CodeIneffective:
					t.Fatalf("race %d: %s %s: %s\n%s", race, s.Result, s.Code, s.Message, s.Log)
				}
			}
		}
		for _, u := range w.users {
			if worked[u.ID] == 0 {
				t.Fatalf("race %d: nobody worked on %s", race, u.Email)
			}
		}
	}
	w.ok()
	w.equal()
	w.quiet()
}

// Two processes whose clock jumps by hours and days, in both directions and in the midst
// of their cycles, take users from each other; the fence keeps what either writes whole.
// Once the clock is right again nobody is locked out or silent.
func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	var overtaken atomic.Int64
	t.Run("histories", func(t *testing.T) {
		for seed := range uint64(12) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				overtaken.Add(int64(jumpingClocks(t, seed)))
			})
		}
	})
	if overtaken.Load() == 0 {
		t.Error("no cycle was overtaken: the clocks did not jump far enough to prove anything")
	}
}

// jumpingClocks plays one history and returns how many cycles were overtaken in it.
func jumpingClocks(t *testing.T, seed uint64) (overtaken int) {
	jumps := []time.Duration{-24 * time.Hour, -time.Hour, -engine.LeaseTime, 0, engine.LeaseTime, time.Hour, 24 * time.Hour, 365 * 24 * time.Hour}
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	w.alive = true
	r := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	var off time.Duration // of the machine's clock, which both processes share
	jumping := func(c *engine.Config) {
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return w.clock.Now().Add(off)
		}
	}
	engines := []*engine.Engine{w.engine(jumping), w.another(jumping)}
	ids := append(w.seed(0, 4), w.seed(1, 4)...)
	w.ok()
	w.faults.Set(func(faulty.Call) faulty.Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(3) == 0 {
			off = jumps[r.IntN(len(jumps))]
		}
		return faulty.Fault{}
	})
	for round := range 8 {
		w.clock.pass(time.Minute)
		for n, id := range ids {
			w.crm.EditItem(id, mapping.Fields{"Title": record.Text(fmt.Sprintf("%d-%d", round, n))})
		}
		w.mail.CreateItem(w.folder(round%2), card("Round", fmt.Sprint("N", round)))
		var wg sync.WaitGroup
		for _, e := range engines {
			wg.Go(func() {
				sessions, err := e.Run(t.Context(), engine.Options{Trigger: engine.TriggerForce, Parallel: 2, AllowCreateInCRM: true})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, s := range sessions {
					if s.Code == engine.CodeLeaseLost {
						overtaken++
					}
				}
			})
		}
		wg.Wait()
	}
	w.faults.Set(nil)
	// What a jumped clock has put off is due within a day and a cycle.
	for range 3 {
		w.clock.pass(25 * time.Hour)
		if s := w.run(func(o *engine.Options) { o.Due = true }); len(s) != 2 {
			t.Fatalf("%d users are due", len(s))
		}
	}
	w.equal()
	w.quiet()
	return overtaken
}

// Two runs of one process are two holders: the one that was overtaken stores nothing more.
func TestTwoRunsOfOneProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 2)
	w.alive = true
	e := w.engine()
	run := func() engine.Session {
		s, err := e.Run(t.Context(), engine.Options{Trigger: engine.TriggerForce, Parallel: 1})
		if err != nil {
			t.Fatal(err)
		}
		return s[0]
	}
	w.faults.Set(onMethod("apply", faulty.Fault{Before: func() {
		w.faults.Set(nil)
		if s := run(); s.Code != engine.CodeLocked {
			t.Errorf("side by side: %s %s", s.Result, s.Code)
		}
		w.clock.pass(engine.LeaseTime)
		if s := run(); s.Result != engine.ResultDone {
			t.Errorf("after the lease had expired: %s %s: %s", s.Result, s.Code, s.Message)
		}
	}}))
	if s := run(); s.Code != engine.CodeLeaseLost {
		t.Errorf("overtaken: %s %s: %s", s.Result, s.Code, s.Message)
	}
	w.ok()
	w.equal()
	w.quiet()
}
