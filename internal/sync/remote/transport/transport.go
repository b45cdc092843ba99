// Package transport is the way of every connector to its server: one chain of
// decorators around an http.RoundTripper, composed in Handle.RoundTrip. From the
// outside in:
//
//   - retry: the only one there is. A request that changes nothing is repeated after
//     a transient failure; a write only if the server cannot have applied it. A host
//     that could not be reached through all tries is left alone for a short while.
//   - auth: the token goes in; after a 401 it is renewed once for all who wait.
//   - pace: a lane per key keeps to what the server allows one key at a time, and
//     to its Retry-After; a second one keeps to what it allows the program.
//   - log: one line a round trip, without ids, contents and secrets.
//   - bound: the whole answer is read, up to a limit, before anyone looks at it.
//
// The key, for example a mailbox, travels in a Handle, never in a context.
package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Client is made of. Only Now is required.
type Config struct {
	// Base carries the requests; NewBase() if nil.
	Base http.RoundTripper
	// Tokens supplies bearer tokens; nil sends none.
	Tokens TokenSource
	// Log gets one line a round trip, at debug level; nil discards them.
	Log *slog.Logger
	// Now is the clock.
	Now func() time.Time
	// Sleep waits, or returns the context's error. Nil waits in real time.
	Sleep func(context.Context, time.Duration) error
	// Jitter returns a number in [0,1) that spreads the waits; nil means 0.5.
	Jitter func() float64
	// PerKey is what the server allows one key, Global what it allows in all. A zero
	// number is no limit.
	PerKey Pace
	Global Pace
	// Spent tells what other processes have lately requested for a key, oldest first; nil
	// if there are none.
	Spent func(key string) []Spending
	// Tries is how often a request is sent at most; 0 means 5.
	Tries int
	// Patience is the longest wait inside a request; what the server asks for beyond
	// it is handed to the caller. 0 means 30 s.
	Patience time.Duration
	// Timeout bounds one round trip with its body; 0 means 100 s.
	Timeout time.Duration
	// MaxResponse bounds an answer in bytes after decompression; 0 means 64 MiB.
	MaxResponse int64
}

// Spending is how many requests were made until a moment, as the server counts them.
type Spending struct {
	At       time.Time
	Requests int
}

// Pace is a limit on requests.
type Pace struct {
	// AtOnce is how many may be in flight.
	AtOnce int
	// Requests may be made in any Per.
	Requests int
	Per      time.Duration
}

// Client shares connections, tokens and pacing between the handles of one server.
type Client struct {
	cfg    Config
	global *lane
	auth   auth
	reach  reach

	mu    sync.Mutex
	lanes map[string]*lane
}

// New returns a client.
func New(cfg Config) *Client {
	if cfg.Now == nil {
		panic("transport: Config.Now is missing")
	}
	if cfg.Base == nil {
		cfg.Base = NewBase()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	if cfg.Jitter == nil {
		cfg.Jitter = func() float64 { return 0.5 }
	}
	if cfg.Tries == 0 {
		cfg.Tries = 5
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Second
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 100 * time.Second
	}
	if cfg.MaxResponse == 0 {
		cfg.MaxResponse = 64 << 20
	}
	return &Client{
		cfg:    cfg,
		global: newLane(cfg.Global),
		auth:   auth{source: cfg.Tokens, turn: make(chan struct{}, 1)},
		reach:  reach{now: cfg.Now, hosts: make(map[string]*host)},
		lanes:  make(map[string]*lane),
	}
}

// NewBase returns a transport whose connections are kept: all keys share one host.
func NewBase() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: reaching, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// Handle sends the requests of one key. It is an http.RoundTripper; redirects are
// never followed.
type Handle struct {
	c     *Client
	lane  *lane
	count *counter
	opt   Options
}

// Options say of a handle's requests what their method does not.
type Options struct {
	// Safe: they change nothing and may be repeated, whatever their method. GET and
	// HEAD always are.
	Safe bool
	// Cost is how many requests the server counts for one, and how many of them it
	// works on at once if it may; 0 means 1. A batch costs its parts.
	Cost int
}

// For returns a handle with a counter of its own. All handles of a key share its
// pace. The empty key is for what belongs to nobody: it has the pace of the whole
// program only.
func (c *Client) For(key string) *Handle {
	return &Handle{c: c, lane: c.lane(key), count: &counter{}}
}

// Busiest returns how many requests the key that has made the most of them has made
// within the window of its pace.
func (c *Client) Busiest() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := 0
	for _, l := range c.lanes {
		most = max(most, l.spentBy(c.cfg.Now()))
	}
	return most
}

func (c *Client) lane(key string) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[key]
	if l == nil {
		pace := c.cfg.PerKey
		if key == "" {
			pace = Pace{}
		}
		l = newLane(pace)
		if l.made != nil && c.cfg.Spent != nil {
			for _, s := range c.cfg.Spent(key) {
				l.made.add(s.At, s.Requests)
			}
		}
		c.lanes[key] = l
	}
	return l
}

// Sub returns a handle of the same key whose requests count for h too.
func (h *Handle) Sub() *Handle {
	s := *h
	s.count = &counter{parent: h.count}
	return &s
}

// With returns the same handle with other options.
func (h *Handle) With(o Options) *Handle {
	w := *h
	w.opt = o
	return &w
}

// Requests returns how many round trips were made, repeated ones included. Token
// requests do not count.
func (h *Handle) Requests() int { return int(h.count.n.Load()) }

// Calls returns how many requests were made as the server counts them: a batch counts as
// its parts.
func (h *Handle) Calls() int { return int(h.count.calls.Load()) }

// Hold lets no request of the key go for a time that the server asked for in
// another way than by a 429: in a part of a batch, or in an error code.
func (h *Handle) Hold(d time.Duration) { h.lane.hold(h.c.cfg.Now().Add(d)) }

// Spend notes a request for the key that travels with those of others, if it may be made
// now; else it returns how long to wait.
func (h *Handle) Spend() time.Duration { return h.lane.spend(h.c.cfg.Now(), 1) }

// Do sends a request; it is RoundTrip under the name that clients expect.
func (h *Handle) Do(req *http.Request) (*http.Response, error) { return h.RoundTrip(req) }

// HTTPClient returns a client for libraries that want one. It follows no redirects
// and has no timeout of its own.
func (h *Handle) HTTPClient() *http.Client {
	return &http.Client{
		Transport:     h,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type counter struct {
	n, calls atomic.Int64
	parent   *counter
}

func (c *counter) add(calls int) {
	for ; c != nil; c = c.parent {
		c.n.Add(1)
		c.calls.Add(int64(calls))
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
