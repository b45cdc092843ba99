package ui

import (
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// runThrough reports one user's cycle as the engine does.
func runThrough(p *Progress, users ...string) {
	p.RunStarted(len(users))
	for _, u := range users {
		p.CycleStarted(u)
		p.Reading(u, record.CRM, 120)
		p.Reading(u, record.Mailbox, 3)
		p.Applying(u, 40)
		p.Applied(u, 20)
		p.Applied(u, 20)
		p.Notice(u, "look here")
		p.CycleEnded(u, engine.Session{Result: engine.ResultDone, Counts: engine.Counts{CreatedMailbox: 40}})
	}
	p.Close()
}

// Where there is no terminal, only notices are written.
func TestNoBarsInAPipe(t *testing.T) {
	t.Parallel()
	s, out, errs := pair()
	runThrough(s.NewProgress(func() time.Time { return now }), "ann@example.com")
	if errs.String() != "note: ann@example.com: look here\n" || out.Len() > 0 {
		t.Errorf("stderr %q, stdout %q", errs, out)
	}
}

func TestBarsOnATerminal(t *testing.T) {
	t.Parallel()
	s, out, errs := pair()
	s.ErrTTY, s.Width = true, 100
	runThrough(s.NewProgress(func() time.Time { return now }), "ann@example.com", "bob@example.com")
	got := errs.String()
	for _, want := range []string{"ann@example.com", "bob@example.com", "look here"} {
		if !strings.Contains(got, want) {
			t.Errorf("stderr has no %q:\n%q", want, got)
		}
	}
	if out.Len() > 0 {
		t.Errorf("bars on stdout: %q", out)
	}
}

// A run that is cut short, or has no users, ends its bars all the same.
func TestProgressAlwaysCloses(t *testing.T) {
	t.Parallel()
	for _, users := range []int{0, 1, 8, 9, 1000} {
		s, _, _ := pair()
		s.ErrTTY, s.Width = true, 100
		p := s.NewProgress(func() time.Time { return now })
		p.RunStarted(users)
		if users > 0 {
			p.CycleStarted("ann@example.com")
			p.Applying("ann@example.com", 10)
			p.Applied("ann@example.com", 1)
		}
		p.Close()
		p.Close()
	}
}

// A notice that many users share is not shown for each of them.
func TestNoticesOfManyUsers(t *testing.T) {
	t.Parallel()
	s, _, errs := pair()
	p := s.NewProgress(func() time.Time { return now })
	for _, user := range []string{"ann", "bob", "cid", "dan"} {
		p.Notice(user, "look here")
	}
	p.Notice("ann", "and there")
	p.Notice("bob", "and there")
	p.Notice("bob", "alone")
	p.Close()
	p.Close()
	want := "note: ann: look here\nnote: ann: and there\nnote: bob: alone\nnote: 3 other users: look here\nnote: another user: and there\n"
	if errs.String() != want {
		t.Errorf("stderr\n%s\nwant\n%s", errs, want)
	}
}

func TestBarText(t *testing.T) {
	t.Parallel()
	clock := now
	s, _, _ := pair()
	p := s.NewProgress(func() time.Time { return clock })
	w := &work{read: map[record.Side]int{}}
	check := func(want string) {
		t.Helper()
		if got := p.text(w); got != want {
			t.Errorf("text is %q, want %q", got, want)
		}
	}
	check("starting")
	w.read[record.CRM] = 200
	check("reading crm 200")
	w.read[record.Mailbox] = 7
	check("reading crm 200, mailbox 7")
	w.writes, w.since = 100, now
	check("0 of 100")
	clock, w.done = now.Add(2*time.Second), 40
	check("40 of 100 · 20/s · 3s left")
	w.done = 100
	check("100 of 100 · 50/s")
}
