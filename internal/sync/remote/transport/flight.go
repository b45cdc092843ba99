package transport

import (
	"context"
	"sync"
	"time"
)

// remembered is for how long a failure answers those who come after it: long enough
// that a thousand users do not each wait for it, short enough that nobody has to
// start again when the cause is gone.
const remembered = 10 * time.Second

// Flight lets one do what many want done, such as to get a token. Who comes while he
// is at it gets his result; who comes within ten seconds of a failure gets that
// failure at once. The failure of one whose own context ended is his alone.
type Flight[T any] struct {
	now func() time.Time

	mu      sync.Mutex
	running map[string]*flown[T]
	failed  error
	until   time.Time
}

// flown is a result; it is there when done is closed.
type flown[T any] struct {
	done  chan struct{}
	value T
	err   error
	// left: whoever tried gave up, which says nothing to the others.
	left bool
}

// NewFlight returns a flight that goes by a clock.
func NewFlight[T any](now func() time.Time) *Flight[T] {
	return &Flight[T]{now: now, running: make(map[string]*flown[T])}
}

// Do returns what try does, or what it did for another caller with the same key.
// Failures are remembered for all keys. It waits no longer than the context, whose
// error it then returns.
func (f *Flight[T]) Do(ctx context.Context, key string, try func(context.Context) (T, error)) (T, error) {
	var none T
	for {
		if err := ctx.Err(); err != nil {
			return none, err
		}
		r, first, err := f.join(key)
		if err != nil {
			return none, err
		}
		if first {
			f.fly(ctx, key, r, try)
			return r.value, r.err
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return none, ctx.Err()
		}
		if !r.left {
			return r.value, r.err
		}
	}
}

func (f *Flight[T]) join(key string) (r *flown[T], first bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil && f.now().Before(f.until) {
		return nil, false, f.failed
	}
	if r := f.running[key]; r != nil {
		return r, false, nil
	}
	r = &flown[T]{done: make(chan struct{}), left: true}
	f.running[key] = r
	return r, true, nil
}

func (f *Flight[T]) fly(ctx context.Context, key string, r *flown[T], try func(context.Context) (T, error)) {
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.running, key)
		if !r.left {
			f.failed, f.until = r.err, f.now().Add(remembered)
		}
		close(r.done)
	}()
	r.value, r.err = try(ctx)
	r.left = r.err != nil && ctx.Err() != nil
}
