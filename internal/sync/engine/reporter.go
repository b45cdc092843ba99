package engine

import (
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Reporter hears of the engine's progress. Only ui knows bars and terminals. Its
// methods are called from several goroutines and must not block.
type Reporter interface {
	// RunStarted says how many users will run.
	RunStarted(users int)
	// CycleStarted and CycleEnded frame one user's cycle.
	CycleStarted(user string)
	CycleEnded(user string, s Session)
	// Reading tells how many items of a side have been read so far.
	Reading(user string, side record.Side, items int)
	// Applying says how many writes there are; Applied how many more are done.
	Applying(user string, writes int)
	Applied(user string, writes int)
	// Notice is something an administrator should see now.
	Notice(user, message string)
}

// Silent is a Reporter that says nothing.
type Silent struct{}

// RunStarted does nothing.
func (Silent) RunStarted(int) {}

// CycleStarted does nothing.
func (Silent) CycleStarted(string) {}

// CycleEnded does nothing.
func (Silent) CycleEnded(string, Session) {}

// Reading does nothing.
func (Silent) Reading(string, record.Side, int) {}

// Applying does nothing.
func (Silent) Applying(string, int) {}

// Applied does nothing.
func (Silent) Applied(string, int) {}

// Notice does nothing.
func (Silent) Notice(string, string) {}
