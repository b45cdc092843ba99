package commands

import "github.com/crmsync/crmsync/internal/sync/engine"

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
// wrong in the same way the status says which; otherwise some failed.
func exitOf(rows []row) int {
	status := exitOK
	for i, r := range rows {
		s := r.exit()
		switch {
		case i == 0:
			status = s
		case s != status:
			return worseOf(rows)
		}
	}
	if status == exitFailure {
		return exitPartial
	}
	return status
}

// worseOf is for rows that ended differently: any failure makes it partial.
func worseOf(rows []row) int {
	for _, r := range rows {
		if r.exit() != exitOK {
			return exitPartial
		}
	}
	return exitOK
}

// exit is the status that the row would have as a command of its own.
func (r row) exit() int {
	if r.Code != "" {
		if c, ok := codes[Code(r.Code)]; ok && r.Result != engine.ResultDone && r.Result != engine.ResultUnchanged {
			return c.exit
		}
	}
	switch r.Result {
	case engine.ResultFailed:
		return exitFailure
	case engine.ResultRefused:
		return exitRefused
	case engine.ResultInterrupted, engine.ResultNotStarted:
		return exitFailure
	}
	return exitOK
}
