package commands

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// What status says of an active user is what his last session says, and the command
// helps with that.
func TestConcern(t *testing.T) {
	t.Parallel()
	var (
		recent = noon.Add(-time.Hour)
		old    = noon.Add(-72 * time.Hour)
	)
	session := func(r engine.SessionResult, code engine.Code, message string) engine.Session {
		return engine.Session{ID: 7, User: "ann@example.com", Started: recent, Ended: recent, Result: r, Code: code, Message: message}
	}
	for _, tt := range []struct {
		name           string
		start, success time.Time
		failures       int
		issues         int
		last           engine.Session
		reason, fix    string
	}{
		{name: "never ran", reason: "never ran", fix: "crmsync sync run ann@example.com"},
		{name: "well", start: recent, success: recent},
		{name: "some issues", start: recent, success: recent, issues: 2, reason: "some records need a person", fix: "crmsync issues list ann@example.com"},
		{name: "nothing runs any more", start: old, success: old, reason: "no cycle for 3d", fix: "crmsync sync run ann@example.com"},
		{
			name: "the first cycle runs", start: recent, last: engine.Session{ID: 7, Started: recent},
			reason: "the first cycle has been running for 1h", fix: "crmsync sessions show 7",
		},
		{name: "a later cycle runs", start: noon, success: recent, last: engine.Session{ID: 7, Started: noon}},
		{
			name: "interrupted", start: recent, last: session(engine.ResultInterrupted, engine.CodeInterrupted, "interrupted"),
			reason: "the first cycle was interrupted", fix: "crmsync sync run ann@example.com",
		},
		{
			name: "a connection is at fault, and the user has no failure", start: recent, success: old,
			last:   session(engine.ResultFailed, engine.CodeConnection, "sf: the client is unknown"),
			reason: "the last cycle failed: CS2205 sf: the client is unknown", fix: "crmsync check all ann@example.com",
		},
		{
			name: "the first cycle failed", start: recent, failures: 1,
			last:   session(engine.ResultFailed, engine.CodeTransient, "no answer"),
			reason: "the first cycle failed: CS2204 no answer", fix: "crmsync check all ann@example.com",
		},
		{
			name: "the state is at fault", start: recent, success: recent.Add(-time.Second), failures: 1,
			last:   session(engine.ResultFailed, engine.CodeState, "no space"),
			reason: "the last cycle failed: " + engine.CodeState + " no space", fix: "crmsync sessions show 7",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := member{User: roster.User{Email: "ann@example.com", LastStart: tt.start, LastSuccess: tt.success, Failures: tt.failures, Issues: tt.issues}}
			reason, fix := concern(m, tt.last, noon)
			if reason != tt.reason || fix != tt.fix {
				t.Errorf("reason %q, fix %q; want %q, %q", reason, fix, tt.reason, tt.fix)
			}
		})
	}
}

// After a first cycle that failed, status on a narrow terminal says why in whole words
// and gives the command on a line of its own.
func TestStatusScreenAfterAFailure(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.run(exitOK, "sync", "enable", "--all")
	h.silent = true
	h.run(exitPartial, "sync", "run")
	b := h.bench().terminal("")
	b.Width = 60
	if got := b.run(t, "status"); got != exitOK {
		t.Fatalf("exit status %d\n%s", got, b.err)
	}
	out := b.out.String()
	if !strings.Contains(out, "\n    crmsync check all ann@example.com\n") {
		t.Errorf("the command has no line of its own:\n%s", out)
	}
	if said := strings.Join(strings.Fields(out), " "); !strings.Contains(said, "ann@example.com and 1 more active: the first cycle failed: CS2204 ") || !strings.Contains(said, "the feed is silent") {
		t.Errorf("the reason is not whole:\n%s", out)
	}
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 60 {
			t.Errorf("a line has %d columns: %q", n, line)
		}
	}
	table, _ := h.run(exitOK, "status", "--fields", "user,reason,fix")
	if !strings.Contains(table, "the first cycle failed: CS2204") {
		t.Errorf("in a pipe it says\n%s", table)
	}
}

// A connection that refuses everyone leads status, with the time since when and one
// command for all of its users; who needs the same is named together.
func TestStatusGroupsByCause(t *testing.T) {
	t.Parallel()
	orgs := []roster.Organization{{Name: "A", CRM: "sf", Mail: "m365", Enabled: true}, {Name: "B", CRM: "sf2", Mail: "m365-2", Enabled: true}}
	health := []engine.Health{
		{Connection: "sf", Code: engine.CodeConnection, Message: "consent withdrawn", Since: noon.Add(-3 * time.Hour)},
		{Connection: "sf2", Usage: remote.Usage{Used: 81, Limit: 100, Reserve: 20, At: noon}},
	}
	ok := func(email, org string) roster.User {
		return roster.User{Email: email, Org: org, Sync: roster.Enabled, LastStart: noon, LastSuccess: noon}
	}
	revoked := func(email string) roster.User {
		u := ok(email, "B")
		u.Sync, u.Cause, u.Reason = roster.Suspended, roster.CauseAuthorization, "no license"
		return u
	}
	with := func(email string, held, waiting int) roster.User {
		u := ok(email, "B")
		u.Held, u.OnHold = held, waiting
		return u
	}
	users := []roster.User{
		ok("ann", "A"), revoked("bob"), ok("cid", "B"), ok("dan", "A"), revoked("eve"),
		with("fay", 40, 0), with("gus", 15, 2), with("hal", 0, 3),
	}
	list, err := standings(members(users, orgs), refusals(orgs, health), noon, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range grouped(list) {
		var who []string
		for _, s := range g {
			who = append(who, s.User)
		}
		got = append(got, strings.Join(who, " ")+": "+fixOf(g))
		if g[0].Effective == roster.Active && !g[0].refused {
			got = append(got, reasonOf(g))
		}
	}
	want := []string{
		"ann dan: crmsync connection show sf",
		"bob eve: crmsync check all --sync suspended:authorization",
		"fay gus: crmsync deletes list",
		"the guard holds 55 deletes until somebody decides",
		"hal: crmsync conflicts list hal",
		"conflicts of 3 records are on hold until somebody decides",
		"cid: ",
		"",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if r := list[0].Reason; r != "connection sf has refused us for 3h: CS2205 consent withdrawn" {
		t.Errorf("reason %q", r)
	}
}
