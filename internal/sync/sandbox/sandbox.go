package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

// Options are how a sandbox is started. Users, Contacts and Seed count for a new
// sandbox only: one that is there keeps what it was made with.
type Options struct {
	// Dir is the directory of the sandbox; it is made if it does not exist.
	Dir string
	// Users is how many people there are, by default 5; Contacts how many contacts each
	// of them owns in the CRM, by default 200. Negative means none.
	Users    int
	Contacts int
	// Seed makes the data.
	Seed uint64
	// Now is the clock of both servers.
	Now func() time.Time
	// Random is where secrets come from; nil is the operating system.
	Random io.Reader
}

// Sandbox is a running sandbox. Its Client works on it directly.
type Sandbox struct {
	*Client

	dir       string
	settings  settings
	secrets   secrets
	now       func() time.Time
	endpoints Endpoints
	started   time.Time
	ops       map[string]operation

	world    atomic.Pointer[world]
	changing sync.Mutex // held by reset and Stop

	servers  []*http.Server
	visitors *visitors
	stopped  chan struct{}
	stop     sync.Once
	stopErr  error
}

// Start runs a sandbox until Stop. It loads the data of the directory, or makes it
// from the seed. The error is ErrRunning if another process runs this sandbox.
func Start(ctx context.Context, o Options) (*Sandbox, error) {
	if o.Now == nil {
		return nil, errors.New("a sandbox needs a clock")
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if _, err := Open(ctx, dir); err == nil {
		return nil, ErrRunning
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Sandbox{dir: dir, now: o.Now, started: o.Now(), stopped: make(chan struct{}), visitors: newVisitors()}
	s.Client = &Client{do: s.local}
	s.ops = s.operations()
	if err := s.prepare(o); err != nil {
		return nil, err
	}
	w, err := loadWorld(dir, s.settings, s.secrets, o.Now)
	if errors.Is(err, fs.ErrNotExist) {
		w, err = makeWorld(dir, s.settings, s.secrets, o.Now)
	}
	if err != nil {
		return nil, err
	}
	s.world.Store(w)
	if err := s.listen(ctx, o.Random); err != nil {
		return nil, errors.Join(err, s.Stop()) //nolint:contextcheck // the end of ctx is a reason to stop, not to stop half-way
	}
	return s, nil
}

// prepare reads what the sandbox was made with, or decides it.
func (s *Sandbox) prepare(o Options) error {
	found, err := readJSON(filepath.Join(s.dir, fileSettings), &s.settings)
	if err != nil {
		return err
	}
	if !found {
		ids := mathrand.New(mathrand.NewPCG(o.Seed, 3))
		s.settings = settings{
			Seed: o.Seed, Users: number(o.Users, 5), Contacts: number(o.Contacts, 200),
			Tenant: guid(ids), ClientID: guid(ids), AppID: guid(ids),
		}
		if err := writeJSON(filepath.Join(s.dir, fileSettings), s.settings); err != nil {
			return err
		}
	}
	if s.secrets.mail, err = secret(filepath.Join(s.dir, fileMailSecret), o.Random); err != nil {
		return err
	}
	s.secrets.crm, err = secret(filepath.Join(s.dir, fileCRMSecret), o.Random)
	return err
}

func number(n, usual int) int {
	switch {
	case n == 0:
		return usual
	case n < 0:
		return 0
	}
	return n
}

func guid(r *mathrand.Rand) string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48))
}

// secret reads a secret from its file, or makes one.
func secret(path string, random io.Reader) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	s, err := token(random)
	if err != nil {
		return "", err
	}
	return s, replaceText(path, s+"\n")
}

func token(random io.Reader) (string, error) {
	var b [24]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

// listen opens the three addresses, on the ports of the last time where they are free,
// and writes down where they are.
func (s *Sandbox) listen(ctx context.Context, random io.Reader) error {
	var last Endpoints
	if _, err := readJSON(filepath.Join(s.dir, fileEndpoints), &last); err != nil {
		last = Endpoints{} // a file that was damaged costs the ports, not the data
	}
	var err error
	e := Endpoints{Tenant: s.settings.Tenant, ClientID: s.settings.ClientID, PID: os.Getpid(), Config: filepath.Join(s.dir, fileConfig)}
	if e.ControlToken, err = token(random); err != nil {
		return err
	}
	graph := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.world.Load().graph.ServeHTTP(w, r) })
	crm := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.world.Load().crm.ServeHTTP(w, r) })
	var serve []func()
	for _, l := range []struct {
		last    string
		address *string
		handler http.Handler
		state   func(net.Conn, http.ConnState)
	}{
		{last.Graph, &e.Graph, graph, s.visitors.note},
		{last.Salesforce, &e.Salesforce, crm, s.visitors.note},
		{last.Control, &e.Control, http.HandlerFunc(s.serveControl), nil},
	} {
		ln, err := listen(ctx, l.last)
		if err != nil {
			return err
		}
		*l.address = "http://" + ln.Addr().String()
		srv := &http.Server{Handler: l.handler, ReadHeaderTimeout: time.Minute, ConnState: l.state, ErrorLog: log.New(io.Discard, "", 0)}
		s.servers = append(s.servers, srv)
		serve = append(serve, func() { _ = srv.Serve(ln) }) // ends with ErrServerClosed
	}
	e.GraphToken = e.Graph + "/" + e.Tenant + "/oauth2/v2.0/token"
	e.SalesforceToken = e.Salesforce + "/services/oauth2/token"
	s.endpoints = e
	for _, f := range serve {
		go f()
	}
	if _, err := os.Stat(e.Config); err != nil || last.Graph != e.Graph || last.Salesforce != e.Salesforce {
		if err := replaceText(e.Config, configFor(s.dir, e, s.settings)); err != nil {
			return err
		}
	}
	return writeJSON(filepath.Join(s.dir, fileEndpoints), e)
}

func listen(ctx context.Context, last string) (net.Listener, error) {
	var lc net.ListenConfig
	if u, err := url.Parse(last); err == nil && u.Port() != "" {
		if ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:"+u.Port()); err == nil {
			return ln, nil
		}
	}
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// Endpoints tells where the sandbox can be reached.
func (s *Sandbox) Endpoints() Endpoints { return s.endpoints }

// Graph is the Microsoft 365 server. After a Reset it is another one.
func (s *Sandbox) Graph() *m365.Server { return s.world.Load().graph }

// Salesforce is the Salesforce server. After a Reset it is another one.
func (s *Sandbox) Salesforce() *sfdc.Server { return s.world.Load().crm }

// reset replaces the data.
func (s *Sandbox) reset() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.world.Load().close(); err != nil {
		return err
	}
	// One file alone counts as none, so that a reset that is cut short is finished by
	// the next start.
	if err := os.Remove(filepath.Join(s.dir, fileCRMData)); err != nil {
		return err
	}
	w, err := makeWorld(s.dir, s.settings, s.secrets, s.now)
	if err != nil {
		return err
	}
	s.world.Store(w)
	return nil
}

// askToStop lets the answer go out first: Stop waits for it.
func (s *Sandbox) askToStop() { go func() { _ = s.Stop() }() } // Serve returns its error

// Serve waits until the context ends or someone stops the sandbox, and stops it.
func (s *Sandbox) Serve(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.stopped:
	}
	return s.Stop() //nolint:contextcheck // the end of ctx is the reason
}

// Stop ends the sandbox: open requests are answered, the data is made durable. The
// second call does nothing.
func (s *Sandbox) Stop() error {
	s.stop.Do(func() {
		defer close(s.stopped)
		// Requests that hang must not keep the sandbox from ending.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		var errs []error
		for _, srv := range s.servers {
			if srv.Shutdown(ctx) != nil {
				errs = append(errs, srv.Close())
			}
		}
		s.changing.Lock()
		defer s.changing.Unlock()
		if w := s.world.Load(); w != nil {
			errs = append(errs, w.close())
		}
		if s.endpoints.PID != 0 {
			e := s.endpoints
			e.PID, e.ControlToken = 0, ""
			errs = append(errs, writeJSON(filepath.Join(s.dir, fileEndpoints), e))
		}
		s.stopErr = errors.Join(errs...)
	})
	<-s.stopped
	return s.stopErr
}

// Clear forgets the data of a sandbox that is not running, so that the next Start makes
// it anew from its seed. The error is ErrRunning if it is running.
func Clear(ctx context.Context, dir string) error {
	if _, err := Open(ctx, dir); err == nil {
		return ErrRunning
	}
	for _, name := range []string{fileGraphData, fileCRMData} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
