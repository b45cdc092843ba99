package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/crmsync/crmsync/internal/commands"
	"github.com/crmsync/crmsync/internal/store/disk"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// What a test tells the program that it starts, by the environment. The program itself
// knows none of it: it is the test's binary that reads it, under the program's name.
const (
	// doomAt is the point at which the process dies: none if it is 0.
	doomAt = "CRMSYNC_TEST_DOOM_AT"
	// doomGently, if it is not empty, makes the process interrupt itself there instead.
	doomGently = "CRMSYNC_TEST_DOOM_GENTLY"
	// doomLog is a file that gets a line for each point.
	doomLog = "CRMSYNC_TEST_DOOM_LOG"
	// clockAhead is by how much the program's clock is ahead.
	clockAhead = "CRMSYNC_TEST_CLOCK_AHEAD"
)

// testApp makes the App of the real world, as far as the environment leaves it alone.
func testApp() *commands.App {
	var n network
	if d := newDoom(); d != nil {
		n.base = d
	}
	failDisk()
	var ahead atomic.Int64
	if d, err := time.ParseDuration(os.Getenv(clockAhead)); err == nil {
		ahead.Store(int64(d))
	}
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	if b := newBadNet(transport.NewBase(), now); b != nil {
		n.base = b
		n.sleep = func(ctx context.Context, d time.Duration) error {
			ahead.Add(int64(d))
			return ctx.Err()
		}
	}
	if size := os.Getenv(pageSize); size != "" {
		n.base = smallPages{base: transport.NewBase(), size: size}
	}
	app := newApp(n)
	app.Now = now
	return app
}

// doom counts the points of a run, and ends the process at one of them without a
// warning. The points are the moments before and after each request to a server, and
// before and after each time that the state goes to the disk: before the first write
// to a file of the state, and after the file is synchronized.
type doom struct {
	base http.RoundTripper
	at   int
	log  *os.File

	mu    sync.Mutex
	n     int
	dirty map[string]bool
}

// newDoom makes the doom that the environment asks for, or nil.
func newDoom() *doom {
	at, err := strconv.Atoi(os.Getenv(doomAt))
	if err != nil {
		return nil
	}
	d := &doom{base: transport.NewBase(), at: at, dirty: map[string]bool{}}
	if name := os.Getenv(doomLog); name != "" {
		if d.log, err = os.Create(name); err != nil {
			panic(err)
		}
	}
	disk.Watch("", d.disk)
	return d
}

// point is where the process may die.
func (d *doom) point(what ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.log != nil {
		if _, err := fmt.Fprintln(d.log, strings.Join(what, " ")); err != nil {
			panic(err)
		}
	}
	if d.n != d.at {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil && os.Getenv(doomGently) != "" {
		if err = self.Signal(syscall.SIGTERM); err == nil {
			return
		}
	}
	if err == nil {
		err = self.Kill()
	}
	panic(err) // it may take a moment to die
}

// RoundTrip implements http.RoundTripper.
func (d *doom) RoundTrip(r *http.Request) (*http.Response, error) {
	d.point("before", r.Method, r.URL.Path)
	a, err := d.base.RoundTrip(r)
	d.point("after", r.Method, r.URL.Path)
	return a, err
}

// disk is a disk.Watcher.
func (d *doom) disk(c disk.Call) disk.Code {
	switch {
	case c.Op == disk.Write && !c.Done && !d.dirty[c.File]:
		d.dirty[c.File] = true
		d.point("before writing", c.File)
	case c.Op == disk.Sync && c.Done:
		d.dirty[c.File] = false
		d.point("after writing", c.File)
	}
	return disk.OK
}
