package engine

import (
	"context"
	"sync"
	"time"
)

const (
	// leaseTime is how long a lease lasts without being renewed.
	leaseTime = 2 * time.Minute
	// renewEvery leaves three chances before a lease runs out.
	renewEvery = 30 * time.Second
)

// leaseKeeper holds the leases of a run and renews them until they are given up.
type leaseKeeper struct {
	e    *Engine
	mu   sync.Mutex
	held map[int64]context.CancelCauseFunc
}

func newLeaseKeeper(e *Engine) *leaseKeeper {
	return &leaseKeeper{e: e, held: map[int64]context.CancelCauseFunc{}}
}

// take takes a user's lease, also from a process that has died. If another run holds
// it, holder says who.
func (k *leaseKeeper) take(ctx context.Context, user int64) (holder string, err error) {
	for range 2 {
		now := k.e.Now()
		current, ok, err := k.e.State.AcquireLease(ctx, user, k.e.Holder, now, now.Add(leaseTime))
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
		if err := k.e.State.ReleaseLease(ctx, user, current); err != nil {
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
	return k.e.State.ReleaseLease(ctx, user, k.e.Holder)
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
		err := k.e.State.RenewLease(ctx, u, k.e.Holder, k.e.Now().Add(leaseTime))
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
