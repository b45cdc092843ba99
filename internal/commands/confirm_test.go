package commands

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/roster"
)

func people(n int) []roster.User {
	users := make([]roster.User, n)
	for i := range users {
		users[i] = roster.User{ID: int64(i + 1), Email: fmt.Sprintf("u%d@example.com", i+1)}
	}
	return users
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		users  int
		grave  bool
		opts   confirmOptions
		typed  string
		tty    bool
		status int
	}{
		{name: "yes at the terminal", users: 2, tty: true, typed: "yes\n"},
		{name: "no at the terminal", users: 2, tty: true, typed: "no\n", status: exitCancelled},
		{name: "nothing at the terminal", users: 2, tty: true, typed: "", status: exitCancelled},
		{name: "nobody there", users: 2, status: exitUsage},
		{name: "yes by flag", users: 2, opts: confirmOptions{yes: true}},
		{name: "yes is not enough above 25", users: 26, tty: true, typed: "yes\n", status: exitCancelled},
		{name: "25 is not above 25", users: 25, tty: true, typed: "yes\n"},
		{name: "the number above 25", users: 26, tty: true, typed: "26\n"},
		{name: "yes by flag is not enough above 25", users: 26, opts: confirmOptions{yes: true}, status: exitUsage},
		{name: "the number by flag", users: 26, opts: confirmOptions{yes: true, expect: 26}},
		{name: "another number by flag", users: 26, opts: confirmOptions{yes: true, expect: 27}, status: exitUsage},
		{name: "another number by flag below 25", users: 2, opts: confirmOptions{yes: true, expect: 3}, status: exitUsage},
		{name: "grave asks for the number", users: 1, grave: true, tty: true, typed: "yes\n", status: exitCancelled},
		{name: "grave takes the number", users: 1, grave: true, tty: true, typed: "1\n"},
		{name: "grave by flag needs the number", users: 1, grave: true, opts: confirmOptions{yes: true}, status: exitUsage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			if tt.tty {
				b.terminal(tt.typed)
			}
			err := b.confirm(&tt.opts, danger{Verb: "delete", Users: people(tt.users), Grave: tt.grave})
			status := exitOK
			var e *Error
			if errors.As(err, &e) {
				status = e.exit()
			}
			if status != tt.status {
				t.Errorf("status %d, want %d (%v)", status, tt.status, err)
			}
		})
	}
}

// The person sees how many and who before anything is asked.
func TestConfirmShowsTheSelection(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	opts := confirmOptions{yes: true}
	err := b.confirm(&opts, danger{Verb: "delete", Users: people(7), Consequences: []string{"12 links are forgotten"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "delete 7 users: u1@example.com u2@example.com u3@example.com u4@example.com u5@example.com and 2 more\n  12 links are forgotten\n"
	if got := b.err.String(); got != want {
		t.Errorf("stderr is %q, want %q", got, want)
	}
	if strings.Contains(b.out.String(), "delete") {
		t.Error("the question went to standard output")
	}
}
