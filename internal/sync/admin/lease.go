package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// underLease runs work while it holds the user's lease, so that no cycle runs
// meanwhile. A dry run only looks whether the lease is free. The lease is renewed
// as long as the work takes; when it is lost, the work's context is cancelled.
func (a *Admin) underLease(ctx context.Context, u roster.User, dry bool, work func(context.Context, engine.Lease) error) error {
	if dry {
		holder, err := a.Store.Lease(ctx, u.ID, a.Now())
		if err != nil {
			return err
		}
		if holder != "" && a.Alive(holder) {
			return running(holder)
		}
		return work(ctx, engine.Lease{})
	}
	l, err := a.takeLease(ctx, u)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		tick, stop := a.Tick(engine.LeaseTime / 4)
		defer stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick:
				// A lease that cannot be renewed for a passing reason is tried again.
				err := a.Leases.RenewLease(ctx, l, a.Now())
				if errors.Is(err, engine.ErrLeaseLost) {
					cancel(err)
					return
				}
			}
		}
	}()
	err = work(ctx, l)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	cancel(nil)
	<-renewed
	// The lease is given up even when the person has cancelled: otherwise the next run
	// would have to wait until it expires.
	if release := a.Leases.ReleaseLease(context.WithoutCancel(ctx), l); err == nil {
		err = release
	}
	return err
}

// takeLease takes the lease, also from a process that has died.
func (a *Admin) takeLease(ctx context.Context, u roster.User) (engine.Lease, error) {
	name, err := engine.NewHolder(a.Holder, a.Random)
	l := engine.Lease{User: u.ID, Holder: name}
	if err != nil {
		return l, err
	}
	for range 2 {
		holder, ok, err := a.Leases.AcquireLease(ctx, l, a.Now())
		switch {
		case err != nil || ok:
			return l, err
		case a.Alive(holder):
			return l, running(holder)
		}
		if err := a.Leases.ReleaseLease(ctx, engine.Lease{User: u.ID, Holder: holder}); err != nil {
			return l, err
		}
	}
	return l, running("it was taken while this run waited for it")
}

func running(holder string) error {
	return &Error{
		Kind:    Locked,
		Code:    CodeRunning,
		Message: fmt.Sprintf("another run is working on this user (%s)", holder),
		Fix:     "wait until it has ended, or until its lease expires",
	}
}
