package commands

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// noon is the time at which tests happen.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bench is an App for tests, with its outputs.
type bench struct {
	*App
	out, err *bytes.Buffer
}

// newBench returns an App over a state, without a terminal; st may be nil.
func newBench(st State) *bench {
	var out, errs bytes.Buffer
	return &bench{
		out: &out, err: &errs,
		App: &App{
			Streams:    &ui.Streams{In: strings.NewReader(""), Out: &out, Err: &errs},
			Now:        func() time.Time { return noon },
			Random:     rand.Reader,
			Zone:       time.UTC,
			Getenv:     func(string) string { return "" },
			OSUser:     "tester",
			LoadConfig: func(config.Source) (*config.Config, error) { return &config.Config{State: "state.db"}, nil },
			OpenState:  func(context.Context, StateOptions) (State, error) { return st, nil },
		},
	}
}

// terminal makes the bench's streams a terminal on which a person types.
func (b *bench) terminal(typed string) *bench {
	b.In = strings.NewReader(typed)
	b.InTTY, b.OutTTY, b.ErrTTY, b.Width = true, true, true, 120
	return b
}

// run runs a command line and returns the exit status.
func (b *bench) run(t *testing.T, args ...string) int {
	t.Helper()
	return Main(t.Context(), b.App, args)
}

// fakeState is a State of which a test gives the parts that it needs.
type fakeState struct {
	admin.Store
	activities []engine.Activity
}

func (s *fakeState) Engine() engine.State                 { return nil }
func (s *fakeState) Install() string                      { return "install" }
func (s *fakeState) Hasher(string) (record.Hasher, error) { return record.Hasher{}, nil }
func (s *fakeState) Schema() int                          { return 0 }
func (s *fakeState) Close() error                         { return nil }

func (s *fakeState) Activities(_ context.Context, user string, limit int) ([]engine.Activity, error) {
	list := s.activities
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, nil
}
