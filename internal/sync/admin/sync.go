package admin

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// The rules of the synchronization switch:
//
//   - Enabling lifts a suspension and a lock, and makes the user due at once. A
//     mailbox that is not initialized is no obstacle: the next cycle prepares it. A
//     reset that was cut short is.
//   - Disabling keeps everything in the mailbox. A lock stays until the user is
//     enabled.
//   - A cycle is forced at most once a minute for each user. Only forces that were
//     accepted count, so that a script that retries too early is not locked out.
//   - Nobody who would not be synchronized can be forced, and the refusal names the
//     level that is off. A suspended user can: his cycle begins with a probe.

// ForceEvery is how long after a forced cycle the next one of the same user may be
// forced.
const ForceEvery = time.Minute

// Enable enables synchronization.
func (a *Admin) Enable(ctx context.Context, users []roster.User, b Bulk) []Outcome {
	orgs, err := a.organizations(ctx)
	return b.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		if err != nil {
			return stopped(u.Email, err)
		}
		o := decideEnable(u, orgs[u.Org])
		if o.Result != engine.ResultDone || b.DryRun {
			return o
		}
		err := a.change(ctx, u, enabled, a.activity(ActivitySyncEnabled, u.Email, u.Org, was(u)))
		if err != nil {
			return stopped(u.Email, err)
		}
		return o
	})
}

func decideEnable(u roster.User, o roster.Organization) Outcome {
	note := ""
	if !o.Enabled {
		note = fmt.Sprintf("; organization %s is disabled, so nothing is synchronized: crmsync org enable %s", o.Name, quote(o.Name))
	}
	switch {
	case u.Mailbox == roster.Resetting:
		return stopped(u.Email, resetUnfinished(u))
	case u.Sync == roster.Enabled:
		return unchanged(u.Email, "enabled already"+note)
	case u.Sync == roster.Suspended:
		return done(u.Email, fmt.Sprintf("enabled; was suspended (%s)%s", u.Cause, note))
	}
	return done(u.Email, "enabled"+note)
}

// enabled makes a user enabled and due at once.
func enabled(u *roster.User) {
	u.Sync, u.Cause, u.Reason, u.Locked = roster.Enabled, "", "", false
	u.Failures, u.NextDue = 0, time.Time{}
}

// was tells in a line of the audit what a user was before.
func was(u roster.User) string {
	if u.Sync == roster.Suspended {
		return "was suspended: " + string(u.Cause)
	}
	return "was " + string(u.Sync)
}

// Disable disables synchronization; locked, the users may not resume themselves.
func (a *Admin) Disable(ctx context.Context, users []roster.User, locked bool, b Bulk) []Outcome {
	return b.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		o := decideDisable(u, locked)
		if o.Result != engine.ResultDone || b.DryRun {
			return o
		}
		details := was(u)
		if locked {
			details += "; locked"
		}
		err := a.change(ctx, u, func(u *roster.User) {
			disabled(u)
			u.Locked = u.Locked || locked
		}, a.activity(ActivitySyncDisabled, u.Email, u.Org, details))
		if err != nil {
			return stopped(u.Email, err)
		}
		return o
	})
}

func decideDisable(u roster.User, locked bool) Outcome {
	switch {
	case u.Sync == roster.Disabled && (u.Locked || !locked):
		return unchanged(u.Email, "disabled already")
	case locked:
		return done(u.Email, "disabled and locked")
	}
	return done(u.Email, "disabled")
}

func disabled(u *roster.User) {
	u.Sync, u.Cause, u.Reason, u.Queued = roster.Disabled, "", "", false
}

// Force accepts or refuses a cycle now, for each user. Those who are "done" are
// marked as due: run their cycles, or leave them to the next run.
func (a *Admin) Force(ctx context.Context, users []roster.User, b Bulk) []Outcome {
	orgs, err := a.organizations(ctx)
	return b.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		if err != nil {
			return stopped(u.Email, err)
		}
		now := a.Now()
		if err := decideForce(u, orgs[u.Org], now); err != nil {
			return stopped(u.Email, err)
		}
		if !b.DryRun {
			err := a.change(ctx, u, func(u *roster.User) {
				u.ForcedAt, u.Queued, u.NextDue = now, true, time.Time{}
			}, a.activity(ActivitySyncForced, u.Email, u.Org, ""))
			if err != nil {
				return stopped(u.Email, err)
			}
		}
		return done(u.Email, "due now")
	})
}

func decideForce(u roster.User, o roster.Organization, now time.Time) error {
	refuse := func(code engine.Code, fix, format string, args ...any) error {
		return &Error{Kind: Refused, Code: code, Message: fmt.Sprintf(format, args...), Fix: fix}
	}
	// A clock that was set back must not lock a user out for longer than the rule says.
	wait := u.ForcedAt.Add(ForceEvery).Sub(now)
	switch {
	case !o.Enabled:
		return refuse(CodeOrgDisabled, "crmsync org enable "+quote(o.Name), "organization %s is disabled", o.Name)
	case u.Sync == roster.Disabled:
		return refuse(CodeSyncDisabled, "crmsync sync enable "+u.Email, "synchronization is disabled for this user")
	case u.Mailbox == roster.Resetting:
		return resetUnfinished(u)
	case !u.ForcedAt.IsZero() && wait > 0 && wait <= ForceEvery:
		return refuse(CodeForceTooSoon, "", "forced less than a minute ago: possible again in %d s", int(math.Ceil(wait.Seconds())))
	}
	return nil
}

func resetUnfinished(u roster.User) error {
	return &Error{
		Kind: Refused, Code: CodeResetUnfinished,
		Message: "a reset of the mailbox was cut short",
		Fix:     "crmsync mailbox reset " + u.Email,
	}
}

// change reads a user again, changes him and stores him, so that what a cycle has
// written meanwhile is not overwritten by what was read long ago.
func (a *Admin) change(ctx context.Context, u roster.User, edit func(*roster.User), lines ...engine.Activity) error {
	now, err := a.Store.FindUser(ctx, u.Email)
	if err != nil {
		return notFound("user", u.Email, "crmsync users list", err)
	}
	edit(&now)
	return a.Store.UpdateUsers(ctx, []roster.User{now}, lines)
}

// quote writes a name as a shell takes it.
func quote(name string) string {
	for _, r := range name {
		if r == ' ' {
			return "'" + name + "'"
		}
	}
	return name
}
