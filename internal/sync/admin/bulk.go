package admin

import (
	"context"
	"errors"
	"sync"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// Bulk is how a verb runs over many users.
type Bulk struct {
	// DryRun: take the same way to the last call, and write nothing.
	DryRun bool
	// Parallel is how many users are worked on at once; 0 means 8.
	Parallel int
	// MaxFailures: once so many users have failed no further one is started; 0 means
	// no limit.
	MaxFailures int
	// Done, if not nil, hears of each outcome as it comes, one at a time.
	Done func(Outcome)
	// failed is how many have failed before.
	failed int
}

const defaultParallel = 8

// Outcome is what came of one user, or of one organization.
type Outcome struct {
	// User is the user's address, or the name of the organization.
	User   string
	Result engine.SessionResult
	// Message is for a person: what was done, or would be in a dry run, and what is
	// worth knowing besides. If Err is not nil it says why.
	Message string
	Err     error
}

func done(user, message string) Outcome {
	return Outcome{User: user, Result: engine.ResultDone, Message: message}
}

func unchanged(user, message string) Outcome {
	return Outcome{User: user, Result: engine.ResultUnchanged, Message: message}
}

func notStarted(user string) Outcome {
	return Outcome{User: user, Result: engine.ResultNotStarted, Message: "not started"}
}

// stopped turns an error into the outcome it means.
func stopped(user string, err error) Outcome {
	o := Outcome{User: user, Result: engine.ResultFailed, Message: err.Error(), Err: err}
	switch kind := KindOf(err); {
	case kind == Refused:
		o.Result = engine.ResultRefused
	case kind == Locked:
		o.Result = engine.ResultSkipped
	case errors.Is(err, context.Canceled):
		o.Result = engine.ResultInterrupted
		o.Message = "interrupted"
	}
	return o
}

// each runs do for every user and his place in the list, several at once, and returns the outcomes in the
// order of the users. After a cancellation or too many failures the users that
// were not begun are "not started".
func (b Bulk) each(ctx context.Context, users []roster.User, do func(ctx context.Context, i int, u roster.User) Outcome) []Outcome {
	parallel := b.Parallel
	if parallel <= 0 {
		parallel = defaultParallel
	}
	outcomes := make([]Outcome, len(users))
	var (
		mu       sync.Mutex
		next     int
		failures = b.failed
		wait     sync.WaitGroup
	)
	// take hands out the next user, or -1 when no more may start.
	take := func() int {
		mu.Lock()
		defer mu.Unlock()
		if next == len(users) || ctx.Err() != nil || b.MaxFailures > 0 && failures >= b.MaxFailures {
			return -1
		}
		next++
		return next - 1
	}
	settle := func(i int, o Outcome) {
		mu.Lock()
		defer mu.Unlock()
		outcomes[i] = o
		if o.Result == engine.ResultFailed {
			failures++
		}
		if b.Done != nil {
			b.Done(o)
		}
	}
	for range min(parallel, len(users)) {
		wait.Go(func() {
			for i := take(); i >= 0; i = take() {
				settle(i, do(ctx, i, users[i]))
			}
		})
	}
	wait.Wait()
	for i := next; i < len(users); i++ {
		outcomes[i] = notStarted(users[i].Email)
		if b.Done != nil {
			b.Done(outcomes[i])
		}
	}
	return outcomes
}
