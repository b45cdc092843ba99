package engine_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// refusing is a CRM that refuses everyone as long as it has an error, and counts how
// often it was asked.
type refusing struct {
	remote.CRM
	err   *remote.Error
	asked atomic.Int64
}

func (r *refusing) Collection(e record.Entity) remote.Collection {
	return &refusingItems{r.CRM.Collection(e), r}
}

type refusingItems struct {
	remote.Collection
	r *refusing
}

func (c *refusingItems) Changes(ctx context.Context, q remote.Query) (remote.Feed, error) {
	c.r.asked.Add(1)
	if c.r.err != nil {
		return remote.Feed{}, c.r.err
	}
	return c.Collection.Changes(ctx, q)
}

func (r *refusing) Usage() remote.Usage { return remote.Usage{Used: 81, Limit: 100, Reserve: 20} }

// refused is a world whose CRM can refuse everyone.
type refused struct {
	*world
	crm *refusing
}

func (w *refused) CRM(context.Context, string) (remote.CRM, error) { return w.crm, nil }

func (w *refused) cycle() []engine.Session {
	w.t.Helper()
	w.clock.pass(time.Hour)
	s, err := w.engine(func(c *engine.Config) { c.Systems = w }).
		Run(w.t.Context(), engine.Options{Due: true, Trigger: engine.TriggerSchedule, Parallel: 4})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *refused) told(kind string) int {
	w.t.Helper()
	list, err := w.store.Admin().Activities(w.t.Context(), "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, a := range list {
		if a.Type == kind {
			n++
		}
	}
	return n
}

// A system that refuses everyone is asked once in a run; nobody is suspended for it; it
// is told when it begins and when it ends, and known in between.
func TestAConnectionThatRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  *remote.Error
		code engine.Code
	}{
		"consent": {&remote.Error{Class: remote.ClassConnection, Message: "consent withdrawn"}, engine.CodeConnection},
		"setup":   {&remote.Error{Class: remote.ClassSetup, Message: "no secret"}, engine.CodeSetup},
		"budget":  {&remote.Error{Class: remote.ClassPressure, Whole: true, Message: "used up"}, engine.CodeBudget},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &refused{world: newWorld(t, 6, memory.Options{}, memory.Options{})}
			w.crm = &refusing{CRM: w.world.crm}
			w.cycle()
			w.crm.err = tt.err
			began := w.clock.Now().Add(time.Hour)
			for range 30 {
				w.crm.asked.Store(0)
				for _, s := range w.cycle() {
					if s.Code != tt.code {
						t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
					}
				}
				if n := w.crm.asked.Load(); n != 1 {
					t.Fatalf("asked %d times", n)
				}
			}
			h, err := w.store.Health(t.Context())
			if err != nil || len(h) == 0 || h[len(h)-1].Connection != "sf" || h[len(h)-1].Code != tt.code || !h[len(h)-1].Since.Equal(began) {
				t.Fatalf("known: %+v, %v", h, err)
			}
			users, err := w.store.Admin().Users(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range users {
				if u.Sync != roster.Enabled || u.Failures != 0 {
					t.Errorf("%s is %s after %d failures", u.Email, u.Sync, u.Failures)
				}
			}
			w.crm.err = nil
			for _, s := range w.cycle() {
				if s.Result != engine.ResultUnchanged {
					t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
				}
			}
			if n, m := w.told("connection.refuses"), w.told("connection.answers"); n != 1 || m != 1 {
				t.Errorf("told %d times that it refuses, %d times that it answers", n, m)
			}
			if h, err := w.store.Health(t.Context()); err != nil || len(h) != 1 || h[0].Code != "" || h[0].Usage.Used != 81 {
				t.Errorf("known: %+v, %v", h, err)
			}
		})
	}
}

// A connection that cannot even be opened is tried once in a run.
func TestAConnectionThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6, memory.Options{}, memory.Options{})
	u := &unopened{world: w}
	u.begun.Add(4)
	sessions, err := w.engine(func(c *engine.Config) { c.Systems, c.Reporter = u, u }).
		Run(t.Context(), engine.Options{Due: true, Trigger: engine.TriggerSchedule, Parallel: 4})
	if err != nil || len(sessions) != 6 || u.opened.Load() != 1 {
		t.Fatalf("%d sessions, opened %d times, %v", len(sessions), u.opened.Load(), err)
	}
	for _, s := range sessions {
		if s.Code != engine.CodeConnection {
			t.Errorf("%s %s: %s", s.Result, s.Code, s.Message)
		}
	}
}

// unopened has a CRM that cannot be opened, which shows when four cycles have begun.
type unopened struct {
	*world
	engine.Silent
	opened, cycles atomic.Int64
	begun          sync.WaitGroup
}

func (u *unopened) CycleStarted(string) {
	if u.cycles.Add(1) <= 4 {
		u.begun.Done()
	}
}

func (u *unopened) CRM(context.Context, string) (remote.CRM, error) {
	u.opened.Add(1)
	u.begun.Wait()
	return nil, &remote.Error{Class: remote.ClassConnection, Message: "the secret is wrong"}
}
