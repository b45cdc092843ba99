package engine

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// LeaseTime is how long a lease lasts without being renewed.
	LeaseTime = 2 * time.Minute
	// renewEvery leaves three chances before a lease runs out.
	renewEvery = LeaseTime / 4
)

// Lease is the right of one run to work on a user. What a run writes in its name is
// refused once the user is another's, so that clocks, pauses and process numbers that
// are used again decide only who waits for whom, never what is stored.
type Lease struct {
	User int64
	// Holder names the run, as NewHolder does.
	Holder string
}

// NewHolder returns a name for a run of a process that no other run has.
func NewHolder(process string, random io.Reader) (string, error) {
	var run [4]byte
	if _, err := io.ReadFull(random, run[:]); err != nil {
		return "", fmt.Errorf("naming the run: %w", err)
	}
	return fmt.Sprintf("%s (run %x)", process, run), nil
}

// LeaseExpired tells whether a lease that lasts until a time has run out. One that lasts
// longer than twice LeaseTime from now was written by a clock that jumped, and has too:
// a wrong clock keeps nobody waiting once it is right again. The slack is for the clocks
// of two machines.
func LeaseExpired(until, now time.Time) bool {
	return !until.After(now) || until.After(now.Add(2*LeaseTime))
}

// leaseKeeper holds the leases of a run and renews them until they are given up.
type leaseKeeper struct {
	e      *Engine
	holder string
	mu     sync.Mutex
	held   map[int64]context.CancelCauseFunc
}

func newLeaseKeeper(e *Engine) (*leaseKeeper, error) {
	holder, err := NewHolder(e.Holder, e.Random)
	return &leaseKeeper{e: e, holder: holder, held: map[int64]context.CancelCauseFunc{}}, err
}

func (k *leaseKeeper) lease(user int64) Lease { return Lease{User: user, Holder: k.holder} }

// take takes a user's lease, also from a process that has died. If another run holds
// it, holder says who.
func (k *leaseKeeper) take(ctx context.Context, user int64) (holder string, err error) {
	for range 2 {
		current, ok, err := k.e.State.AcquireLease(ctx, k.lease(user), k.e.Now())
		if err != nil {
			return "", err
		}
		if ok {
			k.mu.Lock()
			k.held[user] = func(error) {}
			k.mu.Unlock()
			return "", nil
		}
		if k.e.Alive(current) {
			return current, nil
		}
		if err := k.e.State.ReleaseLease(ctx, Lease{User: user, Holder: current}); err != nil {
			return "", err
		}
		holder = current
	}
	return holder, nil
}

// watch returns a context that ends with ErrLeaseLost when the user's lease is lost.
func (k *leaseKeeper) watch(ctx context.Context, user int64) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.held[user]; !ok {
		cancel(ErrLeaseLost)
	} else {
		k.held[user] = cancel
	}
	return ctx, func() { cancel(nil) }
}

// drop gives a lease up.
func (k *leaseKeeper) drop(ctx context.Context, user int64) error {
	k.mu.Lock()
	delete(k.held, user)
	k.mu.Unlock()
	return k.e.State.ReleaseLease(ctx, k.lease(user))
}

// start renews the held leases until the returned function is called. It goes on
// after ctx has ended: cycles that finish their batch still need their leases.
func (k *leaseKeeper) start(ctx context.Context) (stop func()) {
	ctx = context.WithoutCancel(ctx)
	tick, stopTick := k.e.Tick(renewEvery)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-tick:
				k.renew(ctx)
			case <-done:
				return
			}
		}
	})
	return func() {
		stopTick()
		close(done)
		wg.Wait()
	}
}

// renew moves the expiry of every held lease. A lease that cannot be renewed for a
// passing reason is tried again; one that is lost ends its cycle.
func (k *leaseKeeper) renew(ctx context.Context) {
	k.mu.Lock()
	users := make([]int64, 0, len(k.held))
	for u := range k.held {
		users = append(users, u)
	}
	k.mu.Unlock()
	for _, u := range users {
		err := k.e.State.RenewLease(ctx, k.lease(u), k.e.Now())
		if err == nil || !isLeaseLost(err) {
			continue
		}
		k.mu.Lock()
		if cancel, ok := k.held[u]; ok {
			cancel(ErrLeaseLost)
			delete(k.held, u)
		}
		k.mu.Unlock()
	}
}
