package transport

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errNone = errors.New("none to be had")

// What one does serves all who wait for it, a failure too, and for a while those who
// come after it.
func TestFlightIsShared(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{"success": nil, "failure": errNone} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := NewFlight[string](time.Now)
				var tries, got atomic.Int64
				try := func(context.Context) (string, error) {
					tries.Add(1)
					time.Sleep(time.Minute) // in the bubble's own time
					return "token", want
				}
				for range 50 {
					go func() {
						if v, err := f.Do(t.Context(), "", try); v == "token" && errors.Is(err, want) {
							got.Add(1)
						}
					}()
				}
				time.Sleep(time.Minute + time.Second)
				if tries.Load() != 1 || got.Load() != 50 {
					t.Errorf("tried %d times for %d", tries.Load(), got.Load())
				}
				_, err := f.Do(t.Context(), "other", try)
				switch {
				case want == nil && tries.Load() != 2:
					t.Error("a success was kept")
				case want != nil && (tries.Load() != 1 || !errors.Is(err, want)):
					t.Errorf("tried %d times right after a failure (%v)", tries.Load(), err)
				}
				time.Sleep(remembered)
				before := tries.Load()
				if _, _ = f.Do(t.Context(), "", try); tries.Load() != before+1 {
					t.Error("the failure is remembered for ever")
				}
			})
		})
	}
}

// Nobody waits longer than his context, and nobody inherits another one's end.
func TestFlightEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFlight[string](time.Now)
		start := time.Now()
		after := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		stuck := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
		leader := make(chan error, 1)
		go func() { _, err := f.Do(after(time.Minute), "", stuck); leader <- err }()
		synctest.Wait()
		if _, err := f.Do(after(time.Second), "", stuck); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		v, err := f.Do(t.Context(), "", func(context.Context) (string, error) { return "token", nil })
		if v != "token" || err != nil || time.Since(start) != time.Minute {
			t.Errorf("%q, %v after %v: the leader's end was taken for a result", v, err, time.Since(start))
		}
		if err := <-leader; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the leader: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.Do(ended, "", func(context.Context) (string, error) { t.Error("tried"); return "", nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}
