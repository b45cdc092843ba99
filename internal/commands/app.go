package commands

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// State is all that the program remembers: what administration sees of it, and what
// the engine does.
type State interface {
	admin.Store
	Engine() engine.State
	// Install is the id of this installation; Hasher hashes with the state's key,
	// reading telephone numbers as in a region.
	Install() string
	Hasher(region string) (record.Hasher, error)
	// Schema is the version of the state.
	Schema() int
	io.Closer
}

// StateOptions say which state to open and how.
type StateOptions struct {
	// Path is the file of the state.
	Path string
	// ReadOnly refuses every write, and a state that does not exist. Create makes a
	// state that does not exist.
	ReadOnly bool
	Create   bool
	// Random is the source of ids and nonces of a state that is written.
	Random io.Reader
	// Key returns the key that the state is encrypted with. create makes a new key
	// where there is none, for a new state.
	Key func(ctx context.Context, create bool) ([]byte, error)
}

// ConnectOptions are what opening a connection needs besides its description.
type ConnectOptions struct {
	// Secret turns a reference such as env:NAME into the secret it stands for.
	Secret func(ctx context.Context, reference string) (string, error)
	// Prompt tells the person something he has to do: where to sign in.
	Prompt func(ctx context.Context, message string) error
	// Log gets what is worth knowing of requests; never nil.
	Log *slog.Logger
	Now func() time.Time
	// Usage is what the connection last told of its budget, to whatever process; Spent what
	// sessions have lately requested of a mailbox, oldest first.
	Usage remote.Usage
	Spent func(mailbox string) []remote.Spending
}

// App is everything that commands depend on. What is slow, or needs a secret, is a
// func. The fields that are not exported are of one invocation.
type App struct {
	*ui.Streams
	Version Version
	Now     func() time.Time
	Random  io.Reader
	// Zone is the time zone of the person.
	Zone *time.Location
	// Getenv looks up a variable of the environment.
	Getenv func(string) string
	// OSUser is the name of the operating system's user, Host that of the machine, PID
	// the process.
	OSUser string
	Host   string
	PID    int
	// Tick returns a channel that receives every d, and a function that stops it.
	Tick func(d time.Duration) (<-chan time.Time, func())
	// Alive tells whether a process of this machine runs; true if that cannot be known.
	Alive func(pid int) bool
	// Spawn starts this program with arguments in the background, its output going to a
	// file, and returns the process.
	Spawn func(log string, args ...string) (pid int, err error)

	LoadConfig func(config.Source) (*config.Config, error)
	OpenState  func(context.Context, StateOptions) (State, error)
	// CRM and Mail open a connection of that kind.
	CRM  func(context.Context, roster.Connection, ConnectOptions) (remote.CRM, error)
	Mail func(context.Context, roster.Connection, ConnectOptions) (remote.Mail, error)

	global globalOptions
	cfg    *config.Config
	state  State
	// makeDir lets a new state have a new directory, wherever it is.
	makeDir bool
}

// Version is what the build knows of itself.
type Version struct {
	Version string
	Commit  string
	Date    string
}

// config reads the configuration, once.
func (app *App) config() (*config.Config, error) {
	if app.cfg != nil {
		return app.cfg, nil
	}
	cfg, err := app.LoadConfig(app.global.source(app.Getenv))
	if err != nil {
		return nil, err
	}
	app.cfg = cfg
	return cfg, nil
}

// reading opens the state to read only.
func (app *App) reading(ctx context.Context) (State, error) { return app.stateFor(ctx, true) }

// writing opens the state to read and to write, and makes a new one if there is none.
// What the configuration declares is stored in it.
func (app *App) writing(ctx context.Context) (State, error) { return app.stateFor(ctx, false) }

// stateFor is reading for a dry run, else writing.
func (app *App) stateFor(ctx context.Context, dryRun bool) (State, error) {
	return app.open(ctx, dryRun, true)
}

// stateOfUsers is stateFor for a verb on users who are there already: unless something
// is declared, a state that does not exist is a path that was typed wrong.
func (app *App) stateOfUsers(ctx context.Context, dryRun bool) (State, error) {
	return app.open(ctx, dryRun, false)
}

// open opens the state. A command opens one state once, in one way; Main closes it.
func (app *App) open(ctx context.Context, readOnly, create bool) (State, error) {
	if app.state != nil {
		return app.state, nil
	}
	cfg, err := app.config()
	if err != nil {
		return nil, err
	}
	create = !readOnly && (create || len(cfg.Connections) > 0)
	if create && !app.makeDir && cfg.State != config.DefaultState(app.Getenv) {
		if err := needDir(cfg.State); err != nil {
			return nil, err
		}
	}
	st, err := app.OpenState(ctx, StateOptions{
		Path: cfg.State, ReadOnly: readOnly, Create: create,
		Random: app.Random, Key: cfg.Key(app.Random),
	})
	empty := readOnly && errors.Is(err, fs.ErrNotExist) && len(cfg.Connections) > 0
	if empty {
		st, err = app.emptyState(ctx)
	}
	if err != nil {
		return nil, stateError(cfg.State, err)
	}
	declared := declare(st, cfg)
	if !readOnly || empty {
		if err := declared.store(ctx, app.Now(), app.actor()); err != nil {
			return nil, errors.Join(stateError(cfg.State, err), st.Close())
		}
	}
	app.state = declared
	return app.state, nil
}

// needDir reports that the directory of a state is not there: a path that somebody
// named is then more likely to be typed wrong than to be a wish.
func needDir(state string) error {
	dir := filepath.Dir(state)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil // the state's own error says more
	}
	return fail(codeNoState, state, "its directory does not exist").
		because("only the usual place of the state is made by itself").
		do("make the directory, or correct the path").try("mkdir -p " + dir)
}

// emptyState is the state of somebody who has declared his connections and has not
// begun. It is made for reading where there is no state, and gone with the command.
func (app *App) emptyState(ctx context.Context) (State, error) {
	dir, err := os.MkdirTemp("", "crmsync-")
	if err != nil {
		return nil, err
	}
	cfg := config.Config{State: filepath.Join(dir, "state.db")}
	st, err := app.OpenState(ctx, StateOptions{Path: cfg.State, Create: true, Random: app.Random, Key: cfg.Key(app.Random)})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &temporary{State: st, dir: dir}, nil
}

// temporary is a state that is removed when it is closed.
type temporary struct {
	State
	dir string
}

func (t *temporary) Close() error {
	return errors.Join(t.State.Close(), os.RemoveAll(t.dir))
}

// actor is who acts, as the audit names him.
func (app *App) actor() string {
	if app.cfg != nil && app.cfg.As != "" {
		return app.cfg.As
	}
	if app.OSUser == "" {
		return "unknown"
	}
	return app.OSUser
}

// close gives up what the invocation has opened.
func (app *App) close() error {
	if app.state == nil {
		return nil
	}
	err := app.state.Close()
	app.state = nil
	return err
}
