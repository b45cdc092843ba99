package transport

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// lane is the pace of one key.
type lane struct {
	atOnce int64
	slots  *semaphore.Weighted // nil without a limit

	mu    sync.Mutex
	until time.Time
	made  *window // nil without a limit
}

func newLane(p Pace) *lane {
	l := &lane{atOnce: int64(p.AtOnce)}
	if p.AtOnce > 0 {
		l.slots = semaphore.NewWeighted(l.atOnce)
	}
	if p.Requests > 0 {
		l.made = &window{most: p.Requests, per: p.Per}
	}
	return l
}

func (l *lane) hold(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.After(l.until) {
		l.until = until
	}
}

// enter waits for a place in flight. Its slots are given back by the function that
// it returns.
func (l *lane) enter(ctx context.Context, cost int) (leave func(), err error) {
	if err := ctx.Err(); err != nil || l.slots == nil {
		return func() {}, err
	}
	n := min(int64(cost), l.atOnce)
	if err := l.slots.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { l.slots.Release(n) }, nil
}

// spend notes that so many requests are made now, if the key is not held and may make
// them; else it returns how long to wait.
func (l *lane) spend(now time.Time, n int) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait = max(0, l.until.Sub(now)); l.made != nil {
		wait = max(wait, l.made.wait(now, n))
	}
	if wait == 0 && l.made != nil {
		l.made.add(now, n)
	}
	return wait
}

// spentBy returns how many requests the key has made within its window.
func (l *lane) spentBy(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made == nil {
		return 0
	}
	l.made.forget(now)
	return l.made.sum
}

// budget waits until the key may make so many requests. It waits no longer than our
// patience in all.
func (l *lane) budget(ctx context.Context, cfg Config, n int) error {
	left := cfg.Patience
	for {
		d := l.spend(cfg.Now(), n)
		switch {
		case d <= 0:
			return nil
		case d > left:
			return &PressureError{RetryAfter: d}
		}
		left -= d
		if err := cfg.Sleep(ctx, d); err != nil {
			return err
		}
	}
}

// paced sends a request when the key and the whole program may, and takes note of
// how long the server wants to be left alone.
func (h *Handle) paced(req *http.Request) (*http.Response, error) {
	ctx, cfg := req.Context(), h.c.cfg
	cost := max(1, h.opt.Cost)
	leave, err := h.lane.enter(ctx, cost)
	if err != nil {
		return nil, &unsentError{err: err}
	}
	defer leave()
	if err := h.lane.budget(ctx, cfg, cost); err != nil {
		return nil, &unsentError{err: err}
	}
	// The program's own place comes last: who waits for a key holds none.
	leaveAll, err := h.c.global.enter(ctx, 1)
	if err != nil {
		return nil, &unsentError{err: err}
	}
	defer leaveAll()
	if err := h.c.global.budget(ctx, cfg, cost); err != nil {
		return nil, &unsentError{err: err}
	}
	h.count.add(cost)
	resp, err := h.c.attempt(req)
	if err != nil {
		return nil, err
	}
	switch d, told := RetryAfter(resp.Header, cfg.Now()); {
	case resp.StatusCode == http.StatusTooManyRequests && !told:
		h.Hold(h.c.backoff(1))
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable && told:
		h.Hold(d)
	}
	return resp, nil
}
