package commands

import (
	"github.com/crmsync/crmsync/internal/sync/engine"
)

// The exit statuses; docs/exit-codes.md explains them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitPartial     = 3
	exitAuth        = 4
	exitRefused     = 5
	exitEmpty       = 6
	exitLocked      = 7
	exitCancelled   = 8
	exitPending     = 10
	exitInterrupted = 130
)

// exitOf derives the exit status of a bulk command from its rows. Where every row went
// wrong in the same way, the status says in which; where some went wrong, or all in
// different ways, it is "some users failed". An interrupt shows whatever else happened.
func exitOf(rows []row) int {
	common, some := -1, false
	for _, r := range rows {
		s := r.exit()
		if s == exitInterrupted {
			return s
		}
		if s == exitFailure {
			s = exitPartial
		}
		switch {
		case common < 0:
			common = s
		case s != common:
			common = exitOK
		}
		// A user on whom another run is at work is in good hands.
		some = some || s != exitOK && s != exitLocked
	}
	switch {
	case common > 0:
		return common
	case some:
		return exitPartial
	}
	return exitOK
}

// exit is the status that the row would have as a command of its own.
func (r row) exit() int {
	switch r.Result {
	case engine.ResultDone, engine.ResultUnchanged:
		return exitOK
	case engine.ResultInterrupted:
		return exitInterrupted
	case engine.ResultSkipped:
		if codes[r.Code].exit == exitLocked {
			return exitLocked
		}
		return exitOK
	case engine.ResultRefused:
		return exitRefused
	}
	if c, ok := codes[r.Code]; ok {
		return c.exit
	}
	return exitFailure
}
