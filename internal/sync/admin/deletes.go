package admin

import (
	"context"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// DecideDeletes notes what a person says of deletes that the guard holds, and makes
// their users due now. The next cycle of each carries it out, as long as it is still
// the same delete. There is an outcome for each, in order.
func (a *Admin) DecideDeletes(ctx context.Context, held []engine.HeldDelete, d engine.Decision, dryRun bool) ([]Outcome, error) {
	users, err := a.Store.Users(ctx)
	if err != nil {
		return nil, err
	}
	byEmail := make(map[string]roster.User, len(users))
	for _, u := range users {
		byEmail[u.Email] = u
	}
	outcomes := make([]Outcome, len(held))
	var ids []int64
	numbers := map[string]int{}
	for i, h := range held {
		u := byEmail[h.User]
		holder := ""
		if h.Decision == engine.Allow && d != engine.Allow {
			if holder, err = a.holder(ctx, u); err != nil {
				return nil, err
			}
		}
		if outcomes[i] = decideDelete(h, d, u, holder); outcomes[i].Result == engine.ResultDone {
			ids = append(ids, h.ID)
			numbers[h.User]++
		}
	}
	if dryRun || len(ids) == 0 {
		return outcomes, nil
	}
	left, err := a.Store.DecideHeld(ctx, ids, d, a.decided(numbers, byEmail, d)...)
	if err != nil {
		return nil, err
	}
	for i, h := range held {
		if outcomes[i].Result == engine.ResultDone && !slices.Contains(left, h.ID) {
			outcomes[i] = unchanged(h.User, "is held no longer")
		}
	}
	return outcomes, nil
}

// decideDelete tells what deciding a held delete comes to. holder is who works on the
// user, where that matters: a delete that was allowed may be under way.
func decideDelete(h engine.HeldDelete, d engine.Decision, u roster.User, holder string) Outcome {
	message := "the next cycle deletes it in the mailbox"
	switch {
	case d == engine.Discard:
		message = "the next cycle keeps it and brings it back where it is missing"
	case h.Side == record.CRM:
		message = "the next cycle deletes it in the CRM"
	}
	if u.Sync == roster.Disabled {
		message += ", once synchronization is enabled"
	}
	switch {
	case holder != "":
		return stopped(h.User, &Error{
			Kind: Locked, Code: engine.CodeLocked,
			Message: "it was allowed, and a session runs that may carry it out (" + holder + ")",
			Fix:     "crmsync deletes list " + h.User,
		})
	case h.Decision == d:
		return unchanged(h.User, "decided already: "+message)
	}
	return done(h.User, message)
}

// decided returns the lines of the audit: how many deletes of each user, and no more.
func (a *Admin) decided(numbers map[string]int, users map[string]roster.User, d engine.Decision) []engine.Activity {
	kind := ActivityDeletesAllowed
	if d == engine.Discard {
		kind = ActivityDeletesDiscarded
	}
	lines := make([]engine.Activity, 0, len(numbers))
	for email, n := range numbers {
		lines = append(lines, a.activity(kind, email, users[email].Org, count(n, "delete", "deletes")))
	}
	slices.SortFunc(lines, func(a, b engine.Activity) int { return strings.Compare(a.User, b.User) })
	return lines
}
