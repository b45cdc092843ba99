package engine

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/roster"
)

// A cycle runs when its time has come, when it was asked for, and when its time lies so
// far ahead that only a wrong clock can have put it there.
func TestDue(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]bool{
		-time.Hour: true, 0: true, time.Second: false, maxPause: false, maxPause + Interval: false,
		maxPause + Interval + 1: true, 365 * 24 * time.Hour: true,
	} {
		if got := Due(roster.User{NextDue: epoch.Add(ahead)}, epoch); got != want {
			t.Errorf("%s ahead: %v", ahead, got)
		}
		if !Due(roster.User{NextDue: epoch.Add(ahead), Queued: true}, epoch) {
			t.Errorf("%s ahead, and asked for: not due", ahead)
		}
	}
	if !Due(roster.User{}, epoch) {
		t.Error("a new user is not due")
	}
}

func TestLeaseExpired(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]bool{
		-time.Second: true, 0: true, 1: false, LeaseTime: false, 2 * LeaseTime: false, 2*LeaseTime + 1: true,
	} {
		if got := LeaseExpired(epoch.Add(ahead), epoch); got != want {
			t.Errorf("%s ahead: %v", ahead, got)
		}
	}
}

// Runs of one process have names of their own, in which the process is still found.
func TestHoldersDiffer(t *testing.T) {
	t.Parallel()
	a, errA := NewHolder("process 1 on box", rand.Reader)
	b, errB := NewHolder("process 1 on box", rand.Reader)
	if errA != nil || errB != nil || a == b || !strings.HasPrefix(a, "process 1 on box (run ") {
		t.Errorf("%q, %q, %v, %v", a, b, errA, errB)
	}
	if _, err := NewHolder("p", strings.NewReader("")); err == nil {
		t.Error("a name without randomness")
	}
}
