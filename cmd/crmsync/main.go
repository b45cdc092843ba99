// Command crmsync keeps a CRM and Microsoft 365 mailboxes in step.
package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/signal"
	"os/user"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/crmsync/crmsync/internal/commands"
	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/commands/ui"
)

// The build sets these; a build by hand finds them in what Go recorded.
var (
	version = "dev"
	commit  = ""
	date    = ""
)

// exitAborted is the status after a second interrupt.
const exitAborted = 130

// gcPercent lets the heap grow by half between two collections instead of doubling: a
// first sync of ten thousand contacts then stays well under 200 MB, for a quarter more
// processor time. GOGC overrides it.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(newApp(network{})))
}

// run runs one command line of a program that is wired. The first interrupt ends its
// context, so that what was begun is finished; the second ends the process.
func run(app *commands.App) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitAborted)
	}()
	return commands.Main(ctx, app, os.Args[1:])
}

// newApp makes the App of the real world, with its way to the servers.
func newApp(n network) *commands.App {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &commands.App{
		Streams:    ui.System(os.Stdin, os.Stdout, os.Stderr, os.Getenv),
		Version:    buildVersion(),
		Now:        time.Now,
		Random:     rand.Reader,
		Zone:       time.Local,
		Getenv:     os.Getenv,
		OSUser:     osUser(),
		Host:       host,
		PID:        os.Getpid(),
		Tick:       tick,
		Alive:      alive,
		Spawn:      spawn,
		LoadConfig: config.Load,
		OpenState:  openState,
		CRM:        n.openCRM,
		Mail:       n.openMail,
	}
}

func tick(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}

// osUser is the name of the person at the keyboard. The environment is enough where
// the system's database of users does not answer.
func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return os.Getenv("USERNAME")
}

// buildVersion is what the build says of itself.
func buildVersion() commands.Version {
	v := commands.Version{Version: version, Commit: commit, Date: date}
	info, ok := debug.ReadBuildInfo()
	if !ok || v.Commit != "" {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value[:min(len(s.Value), 12)]
		case "vcs.time":
			v.Date = s.Value
		}
	}
	return v
}
