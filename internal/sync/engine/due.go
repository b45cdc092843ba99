package engine

import (
	"time"

	"github.com/crmsync/crmsync/internal/sync/roster"
)

const (
	// Interval is how long after the start of a cycle the next one is due.
	Interval = 30 * time.Minute
	// maxPause is the longest that a cycle or an issue is put off.
	maxPause = 24 * time.Hour
)

// Due tells whether a user's cycle is to run: somebody asked for it, or its time has
// come.
func Due(u roster.User, now time.Time) bool { return u.Queued || reached(u.NextDue, now) }

// reached tells whether the time of something that was put off has come. A time further
// ahead than anything is put off was written by a clock that jumped: it has come too, or
// a user would be silent until that day. The slack keeps the corrections of a good clock
// from breaking a promise to a server.
func reached(at, now time.Time) bool {
	return !at.After(now) || at.After(now.Add(maxPause+Interval))
}

// retryDelays are the pauses before an issue is tried again; after the last it is once
// a day, and after maxAttempts only when the record changes.
var retryDelays = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}

const maxAttempts = 10

// nextRetry returns when a record that has now failed so many times is tried again,
// and whether it is parked instead.
func nextRetry(now time.Time, attempts int) (time.Time, bool) {
	switch {
	case attempts >= maxAttempts:
		return time.Time{}, true
	case attempts <= len(retryDelays):
		return now.Add(retryDelays[max(attempts, 1)-1]), false
	}
	return now.Add(maxPause), false
}
