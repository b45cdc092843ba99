package store

import (
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// A state does not grow for ever: what is old goes with the sessions that follow, and
// what is young or open stays.
func TestWhatIsOldIsForgotten(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	ctx := t.Context()
	day := 24 * time.Hour
	issue := func(id string, state engine.IssueState) engine.Issue {
		return engine.Issue{IssueKey: engine.IssueKey{Direction: engine.ToCRM, CRMID: id}, Code: "CS1", State: state}
	}
	run := func(at time.Time, r engine.SessionResult, set engine.Settlement) {
		t.Helper()
		l := held(t, s, user)
		id, err := s.OpenSession(ctx, l, engine.Session{UserID: user, Trigger: engine.TriggerSchedule, Started: at})
		must(t, err)
		set.Session, set.Now = id, at
		must(t, s.Settle(ctx, l, record.Contacts, set))
		must(t, s.CloseSession(ctx, l, engine.Outcome{Session: engine.Session{ID: id, UserID: user, Started: at, Ended: at, Result: r}}))
		must(t, s.ReleaseLease(ctx, l))
	}
	counts := func(sessions, resolved, open int) {
		t.Helper()
		list, err := s.Sessions(ctx, user, 0)
		must(t, err)
		all, err := s.Issues(ctx, user, true)
		must(t, err)
		left, err := s.Issues(ctx, user, false)
		must(t, err)
		if len(list) != sessions || len(all)-len(left) != resolved || len(left) != open {
			t.Errorf("%d sessions, %d resolved and %d open issues; want %d, %d, %d",
				len(list), len(all)-len(left), len(left), sessions, resolved, open)
		}
	}
	run(t0, engine.ResultDone, engine.Settlement{Issues: []engine.Issue{issue("a", engine.IssueOpen), issue("b", engine.IssueOpen)}})
	run(t0.Add(time.Hour), engine.ResultUnchanged, engine.Settlement{Resolved: []engine.IssueKey{issue("a", "").IssueKey}})
	counts(2, 1, 1)
	run(t0.Add(8*day), engine.ResultDone, engine.Settlement{}) // a week later, what was idle goes
	counts(2, 1, 1)
	run(t0.Add(90*day), engine.ResultDone, engine.Settlement{})
	counts(3, 1, 1)
	run(t0.Add(90*day+time.Second), engine.ResultDone, engine.Settlement{}) // and three months later the rest
	counts(3, 0, 1)
}
