package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// systems opens connections by name, each once.
type systems struct {
	app   *App
	state admin.Store
	opts  ConnectOptions

	mu   sync.Mutex
	crm  map[string]remote.CRM
	mail map[string]remote.Mail
}

// systems returns the connections that the state knows.
func (app *App) systems(st admin.Store) *systems {
	log := slog.New(slog.DiscardHandler)
	if app.Verbose && !app.Quiet {
		log = slog.New(slog.NewTextHandler(app.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return &systems{
		app: app, state: st,
		opts: ConnectOptions{
			Secret: config.NewSecrets(app.Getenv).Resolve,
			Prompt: func(_ context.Context, message string) error {
				_, err := fmt.Fprintln(app.Err, message)
				return err
			},
			Log: log,
			Now: app.Now,
		},
		crm:  map[string]remote.CRM{},
		mail: map[string]remote.Mail{},
	}
}

// CRM returns the CRM behind a connection.
func (s *systems) CRM(ctx context.Context, name string) (remote.CRM, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.crm[name]; ok {
		return c, nil
	}
	conn, err := s.connection(ctx, name)
	if err != nil {
		return nil, err
	}
	opts := s.opts
	if opts.Usage, err = s.usage(ctx, name); err != nil {
		return nil, err
	}
	c, err := s.app.CRM(ctx, conn, opts)
	if err != nil {
		return nil, err
	}
	s.crm[name] = c
	return c, nil
}

// Mail returns the mail system behind a connection.
func (s *systems) Mail(ctx context.Context, name string) (remote.Mail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.mail[name]; ok {
		return m, nil
	}
	conn, err := s.connection(ctx, name)
	if err != nil {
		return nil, err
	}
	now := s.app.Now()
	calls, err := s.state.MailboxCalls(ctx, name, now.Add(-lately), now)
	if err != nil {
		return nil, err
	}
	opts := s.opts
	opts.Spent = func(mailbox string) []remote.Spending { return calls[mailbox] }
	m, err := s.app.Mail(ctx, conn, opts)
	if err != nil {
		return nil, err
	}
	s.mail[name] = m
	return m, nil
}

// lately is how far back a mail system may want to know what was requested of it: more
// than any counts.
const lately = time.Hour

// usage is what a connection last told of its budget.
func (s *systems) usage(ctx context.Context, name string) (remote.Usage, error) {
	list, err := s.state.Health(ctx)
	for _, h := range list {
		if h.Connection == name {
			return h.Usage, err
		}
	}
	return remote.Usage{}, err
}

func (s *systems) connection(ctx context.Context, name string) (roster.Connection, error) {
	conn, err := s.state.Connection(ctx, name)
	if errors.Is(err, admin.ErrNotFound) {
		return conn, fail(codeNoConnection, name, "there is no connection of this name").try("crmsync connection list")
	}
	return conn, err
}
