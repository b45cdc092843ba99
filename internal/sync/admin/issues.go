package admin

import (
	"context"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// DecideIssues opens issues again, so that the next cycles try their records at once, or
// ignores them until their records change. There is an outcome for each, in order.
func (a *Admin) DecideIssues(ctx context.Context, issues []engine.Issue, to engine.IssueState, dryRun bool) ([]Outcome, error) {
	users, err := a.Store.Users(ctx)
	if err != nil {
		return nil, err
	}
	byEmail := make(map[string]roster.User, len(users))
	for _, u := range users {
		byEmail[u.Email] = u
	}
	outcomes := make([]Outcome, len(issues))
	var ids []int64
	numbers := map[string]int{}
	for i, is := range issues {
		if outcomes[i] = decideIssue(is, to, byEmail[is.User]); outcomes[i].Result == engine.ResultDone {
			ids = append(ids, is.ID)
			numbers[is.User]++
		}
	}
	if dryRun || len(ids) == 0 {
		return outcomes, nil
	}
	kind := ActivityIssuesRetried
	if to == engine.IssueIgnored {
		kind = ActivityIssuesIgnored
	}
	var lines []engine.Activity
	for email, n := range numbers {
		lines = append(lines, a.activity(kind, email, byEmail[email].Org, count(n, "issue", "issues")))
	}
	slices.SortFunc(lines, func(a, b engine.Activity) int { return strings.Compare(a.User, b.User) })
	left, err := a.Store.DecideIssues(ctx, ids, to, lines...)
	if err != nil {
		return nil, err
	}
	for i, is := range issues {
		if outcomes[i].Result == engine.ResultDone && !slices.Contains(left, is.ID) {
			outcomes[i] = unchanged(is.User, "has been resolved meanwhile")
		}
	}
	return outcomes, nil
}

// decideIssue tells what deciding on an issue comes to.
func decideIssue(i engine.Issue, to engine.IssueState, u roster.User) Outcome {
	switch {
	case to == engine.IssueIgnored && i.State == engine.IssueIgnored:
		return unchanged(i.User, "ignored already")
	case to == engine.IssueIgnored:
		return done(i.User, "ignored until the record changes")
	case u.Sync == roster.Disabled:
		return done(i.User, "tried again once synchronization is enabled")
	}
	return done(i.User, "the next cycle tries it again")
}
