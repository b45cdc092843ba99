package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// What is said of an add-in:
//
//   - The state is what the server said when it was last read, and when that was. The
//     person can remove the add-in himself, so it is read again, never assumed.
//   - A request takes up to three days to show in a mail program. Until then an
//     add-in that is not there is "requested", and only after that "failed". The time
//     of a requested add-in is that of the request.

// AddInPatience is how long a requested add-in may take to show.
const AddInPatience = 72 * time.Hour

// addInAfter returns the state of an add-in once a server has said whether it is
// installed.
func addInAfter(before roster.AddIn, read time.Time, installed bool, now time.Time) (roster.AddIn, time.Time) {
	switch {
	case installed:
		return roster.AddInInstalled, now
	case before == roster.AddInRequested && now.Sub(read) < AddInPatience:
		return roster.AddInRequested, read
	case before == roster.AddInRequested, before == roster.AddInFailed:
		return roster.AddInFailed, now
	}
	return roster.AddInRemoved, now
}

// addInWords explains the state after a reading to a person.
func addInWords(before, after roster.AddIn, read, now time.Time) string {
	switch {
	case after == roster.AddInInstalled:
		return "installed"
	case after == roster.AddInRequested:
		return fmt.Sprintf("requested %s ago; it may take up to 72 hours to show", age(now.Sub(read)))
	case after == roster.AddInFailed:
		return "was requested more than 72 hours ago and is not there"
	case before == roster.AddInInstalled:
		return "was installed and has been removed"
	}
	return "not installed"
}

// AddInStatus reads whether the add-in is installed, and remembers it. It is a read:
// what it finds is in the message, and the result is "unchanged" whatever that is.
func (a *Admin) AddInStatus(ctx context.Context, users []roster.User, b Bulk) []Outcome {
	return a.eachAddIn(ctx, users, b, func(ctx context.Context, u roster.User, addIns remote.AddIns) (Outcome, error) {
		after, read, err := a.readAddIn(ctx, u, addIns, b.DryRun)
		if err != nil {
			return Outcome{}, err
		}
		return unchanged(u.Email, addInWords(u.AddIn, after, read, a.Now())), nil
	})
}

// readAddIn reads the state of an add-in and remembers it, with a line of the audit
// if it is another one than before.
func (a *Admin) readAddIn(ctx context.Context, u roster.User, addIns remote.AddIns, dry bool) (roster.AddIn, time.Time, error) {
	installed, err := addIns.Status(ctx, u.MailboxID)
	if err != nil {
		return "", time.Time{}, err
	}
	after, read := addInAfter(u.AddIn, u.AddInRead, installed, a.Now().UTC())
	if dry {
		return after, read, nil
	}
	return after, read, a.setAddIn(ctx, u, after, read)
}

var addInActivity = map[roster.AddIn]string{
	roster.AddInRequested: ActivityAddInRequested,
	roster.AddInInstalled: ActivityAddInInstalled,
	roster.AddInRemoved:   ActivityAddInRemoved,
	roster.AddInFailed:    ActivityAddInFailed,
}

func (a *Admin) setAddIn(ctx context.Context, u roster.User, after roster.AddIn, read time.Time) error {
	var lines []engine.Activity
	// That there is no add-in that nobody ever asked for is no news.
	news := u.AddIn != roster.AddInUnknown || after != roster.AddInRemoved
	if after != u.AddIn && news {
		lines = append(lines, a.activity(addInActivity[after], u.Email, u.Org, "was "+string(u.AddIn)))
	}
	return a.change(ctx, u, func(u *roster.User) { u.AddIn, u.AddInRead = after, read }, lines...)
}

// InstallAddIn asks for the add-in in the users' mail programs.
func (a *Admin) InstallAddIn(ctx context.Context, users []roster.User, b Bulk) []Outcome {
	return a.eachAddIn(ctx, users, b, func(ctx context.Context, u roster.User, addIns remote.AddIns) (Outcome, error) {
		installed, err := addIns.Status(ctx, u.MailboxID)
		if err != nil {
			return Outcome{}, err
		}
		now := a.Now().UTC()
		switch {
		case installed && b.DryRun:
			return unchanged(u.Email, "installed already"), nil
		case installed:
			return unchanged(u.Email, "installed already"), a.setAddIn(ctx, u, roster.AddInInstalled, now)
		case b.DryRun:
			return done(u.Email, "requested"), nil
		}
		if err := addIns.Install(ctx, u.MailboxID); err != nil {
			return Outcome{}, err
		}
		// The request is noted before anything else can go wrong: what was asked for is
		// never lost.
		if err := a.setAddIn(ctx, u, roster.AddInRequested, now); err != nil {
			return Outcome{}, err
		}
		u.AddIn, u.AddInRead = roster.AddInRequested, now
		message := "requested; whether it is there could not be read yet"
		if after, read, err := a.readAddIn(ctx, u, addIns, false); err == nil {
			message = addInWords(u.AddIn, after, read, now)
		}
		return done(u.Email, message), nil
	})
}

// RemoveAddIn takes the add-in out of the users' mail programs.
func (a *Admin) RemoveAddIn(ctx context.Context, users []roster.User, b Bulk) []Outcome {
	return a.eachAddIn(ctx, users, b, func(ctx context.Context, u roster.User, addIns remote.AddIns) (Outcome, error) {
		installed, err := addIns.Status(ctx, u.MailboxID)
		if err != nil {
			return Outcome{}, err
		}
		pending := u.AddIn == roster.AddInRequested
		if !installed && !pending {
			if b.DryRun {
				return unchanged(u.Email, "not installed"), nil
			}
			return unchanged(u.Email, "not installed"), a.setAddIn(ctx, u, roster.AddInRemoved, a.Now().UTC())
		}
		if b.DryRun {
			return done(u.Email, "removed"), nil
		}
		if err := addIns.Remove(ctx, u.MailboxID); err != nil {
			return Outcome{}, err
		}
		return done(u.Email, "removed"), a.setAddIn(ctx, u, roster.AddInRemoved, a.Now().UTC())
	})
}

// eachAddIn runs do for every user whose mail system can manage add-ins.
func (a *Admin) eachAddIn(ctx context.Context, users []roster.User, b Bulk, do func(context.Context, roster.User, remote.AddIns) (Outcome, error)) []Outcome {
	orgs, err := a.organizations(ctx)
	return b.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		if err != nil {
			return stopped(u.Email, err)
		}
		addIns, err := a.addIns(ctx, orgs[u.Org])
		if err != nil {
			return stopped(u.Email, err)
		}
		out, err := do(ctx, u, addIns)
		if err != nil {
			return stopped(u.Email, err)
		}
		return out
	})
}

// errNoAddIns is what an organization's mail connection lacks.
var errNoAddIns = errors.New("no add-ins")

func (a *Admin) addIns(ctx context.Context, o roster.Organization) (remote.AddIns, error) {
	mail, err := a.Systems.Mail(ctx, o.Mail)
	if err != nil {
		return nil, err
	}
	addIns := mail.AddIns()
	if addIns == nil {
		return nil, &Error{
			Kind: Refused, Code: CodeNoAddIns, Err: errNoAddIns,
			Message: "connection " + o.Mail + " cannot manage add-ins",
			Fix:     "give the connection the id of the add-in: crmsync connection add --app-id",
		}
	}
	return addIns, nil
}
