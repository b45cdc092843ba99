//nolint:bodyclose // a Handle reads and closes every body itself
package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// clock is a clock that moves only when somebody sleeps.
type clock struct {
	mu     sync.Mutex
	at     time.Time
	slept  []time.Duration
	onWait func(time.Duration)
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	c.at = c.at.Add(d)
	c.slept = append(c.slept, d)
	hook := c.onWait
	c.mu.Unlock()
	if hook != nil {
		hook(d)
	}
	return nil
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func request(t *testing.T, method, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://service.example/v1/things", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func client(c *clock, base http.RoundTripper) Config {
	return Config{Base: base, Now: c.now, Sleep: c.sleep}
}

var errReset = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
var errDial = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// failure is a way in which a request fails: with a status, an error, or half an
// answer.
type failure struct {
	status     int
	retryAfter string
	err        error
	broken     bool
}

func (f failure) answer() (*http.Response, error) {
	switch {
	case f.err != nil:
		return nil, f.err
	case f.broken:
		r := answer(http.StatusOK, "")
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"val`), iotest.ErrReader(io.ErrUnexpectedEOF)))
		return r, nil
	case f.retryAfter != "":
		return answer(f.status, "no", "Retry-After", f.retryAfter), nil
	}
	return answer(f.status, "no"), nil
}

// What may be sent again is decided by the method and by what is known of the
// failure; every line is a promise to the engine.
func TestRepeats(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		method string
		fail   failure
		want   int // requests
	}{
		{"a read after 503", "GET", failure{status: 503}, 5},
		{"a read after 500", "GET", failure{status: 500}, 5},
		{"a read after 504", "GET", failure{status: 504}, 5},
		{"a read after a reset", "GET", failure{err: errReset}, 5},
		{"a read after half an answer", "GET", failure{broken: true}, 5},
		{"a read after 404", "GET", failure{status: 404}, 1},
		{"a read after 507", "GET", failure{status: 507}, 1},
		{"a write after 500", "POST", failure{status: 500}, 1},
		{"a write after 502", "PATCH", failure{status: 502}, 1},
		{"a write after 503 with Retry-After", "POST", failure{status: 503, retryAfter: "1"}, 1},
		{"a write after 504", "DELETE", failure{status: 504}, 1},
		{"a write after a reset", "POST", failure{err: errReset}, 1},
		{"a write after half an answer", "POST", failure{broken: true}, 1},
		{"a write after an error of unknown kind", "POST", failure{err: errors.New("boom")}, 1},
		{"a write that never left", "POST", failure{err: errDial}, 5},
		{"a write whose host has no address", "POST", failure{err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}, 5},
		{"a write after 429", "POST", failure{status: 429, retryAfter: "1"}, 5},
		{"a write after 429 without a time", "POST", failure{status: 429}, 5},
		{"429 beyond patience", "POST", failure{status: 429, retryAfter: "31"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, n := newClock(), 0
			h := New(client(c, tripper(func(r *http.Request) (*http.Response, error) {
				n++
				if b, _ := io.ReadAll(r.Body); string(b) != "body" {
					t.Errorf("request %d carries %q", n, b)
				}
				return tt.fail.answer()
			}))).For("k")
			resp, err := h.Do(request(t, tt.method, "body"))
			if (resp == nil) == (err == nil) {
				t.Fatalf("answer %v and error %v", resp, err)
			}
			if n != tt.want {
				t.Errorf("sent %d times, want %d", n, tt.want)
			}
			if h.Requests() != n {
				t.Errorf("counted %d round trips of %d", h.Requests(), n)
			}
		})
	}
}

func TestWaitsGrow(t *testing.T) {
	t.Parallel()
	c := newClock()
	_, err := New(client(c, tripper(func(*http.Request) (*http.Response, error) { return nil, errReset }))).For("k").Do(request(t, "GET", ""))
	if f := Classify(err); f.Kind != Reset || !f.Sent {
		t.Errorf("failure %+v", f)
	}
	want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
	if fmt.Sprint(c.slept) != fmt.Sprint(want) {
		t.Errorf("waited %v, want %v", c.slept, want)
	}
}

func TestJitterSpreadsTheWaits(t *testing.T) {
	t.Parallel()
	c := newClock()
	cfg := client(c, tripper(func(*http.Request) (*http.Response, error) { return answer(503, ""), nil }))
	cfg.Tries, cfg.Jitter = 2, func() float64 { return 0.9 }
	if _, err := New(cfg).For("k").Do(request(t, "GET", "")); err != nil {
		t.Fatal(err)
	}
	if c.slept[0] != 700*time.Millisecond {
		t.Errorf("waited %v, want 700ms", c.slept[0])
	}
}

func TestASafePostIsRepeated(t *testing.T) {
	t.Parallel()
	n := 0
	h := New(client(newClock(), tripper(func(*http.Request) (*http.Response, error) {
		if n++; n < 3 {
			return answer(502, ""), nil
		}
		return answer(200, ""), nil
	}))).For("k").With(Options{Safe: true})
	if resp, err := h.Do(request(t, "POST", "q")); err != nil || resp.StatusCode != http.StatusOK || n != 3 {
		t.Errorf("%v after %d requests", err, n)
	}
}

// After a 429, no request of the key goes before the time is over, and other keys are
// not held up.
func TestRetryAfterHoldsTheKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		header []string
		wait   time.Duration
	}{
		{"seconds", []string{"Retry-After", "20"}, 20 * time.Second},
		{"a date by the server's clock", []string{"Retry-After", "Wed, 21 Oct 2015 07:28:25 GMT", "Date", "Wed, 21 Oct 2015 07:28:00 GMT"}, 25 * time.Second},
		{"a date by ours", []string{"Retry-After", "Sun, 01 Mar 2026 12:00:12 GMT"}, 12 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			start := c.now()
			var sent []time.Duration
			throttled := true
			cl := New(client(c, tripper(func(r *http.Request) (*http.Response, error) {
				sent = append(sent, c.now().Sub(start))
				if throttled {
					throttled = false
					return answer(429, "", tt.header...), nil
				}
				return answer(200, ""), nil
			})))
			a := cl.For("a")
			// The first request meets the 429; before it is repeated, another one comes.
			c.onWait = func(time.Duration) {
				c.onWait = nil
				if wait := a.Spend(); wait > 0 {
					t.Errorf("still held for %v after the wait", wait)
				}
			}
			if _, err := a.Do(request(t, "POST", "")); err != nil {
				t.Fatal(err)
			}
			a.Hold(tt.wait)
			if _, err := cl.For("a").Do(request(t, "POST", "")); err != nil {
				t.Fatal(err)
			}
			if len(sent) != 3 || sent[1] < tt.wait || sent[2] < 2*tt.wait {
				t.Errorf("sent at %v, each at least %v after the one before", sent, tt.wait)
			}
			a.Hold(tt.wait)
			before := c.now()
			if _, err := cl.For("b").Do(request(t, "POST", "")); err != nil || !c.now().Equal(before) {
				t.Errorf("another key waited until %v (error %v)", c.now(), err)
			}
		})
	}
}

func TestBeyondPatience(t *testing.T) {
	t.Parallel()
	c, n := newClock(), 0
	h := New(client(c, tripper(func(*http.Request) (*http.Response, error) {
		n++
		return answer(429, "slow down", "Retry-After", "300"), nil
	}))).For("k")
	resp, err := h.Do(request(t, "GET", ""))
	if err != nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("answer %v, error %v; want the 429 itself", resp, err)
	}
	_, err = h.Do(request(t, "POST", ""))
	f := Classify(err)
	if f.Kind != Pressure || f.Sent || f.RetryAfter != 300*time.Second {
		t.Errorf("failure %+v, want pressure for 300s, not sent", f)
	}
	if n != 1 || len(c.slept) != 0 {
		t.Errorf("%d requests, waited %v", n, c.slept)
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"1e18": 24 * time.Hour, "-5": 0, "0": 0, "NaN": 0, "Fri, 31 Dec 9999 23:59:59 GMT": 24 * time.Hour, "1.5": 1500 * time.Millisecond} {
		got, ok := RetryAfter(http.Header{"Retry-After": {text}}, newClock().at)
		if !ok || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	}
	if _, ok := RetryAfter(http.Header{"Retry-After": {"soon"}}, time.Time{}); ok {
		t.Error("took a word for a time")
	}
}

// Never more in flight for one key than the server allows, a batch counting as its
// parts.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most, inFlight, global atomic.Int64
		cfg := Config{Now: time.Now, PerKey: Pace{AtOnce: 4}, Global: Pace{AtOnce: 6}}
		cfg.Base = tripper(func(r *http.Request) (*http.Response, error) {
			w := int64(1)
			if r.Method == http.MethodPost {
				w = 4
			}
			if r.Header.Get("Key") == "a" {
				most.Store(max(most.Load(), now.Add(w)))
				defer now.Add(-w)
			}
			global.Store(max(global.Load(), inFlight.Add(1)))
			defer inFlight.Add(-1)
			time.Sleep(time.Second) // in the bubble's own time
			return answer(200, ""), nil
		})
		cl := New(cfg)
		var g errgroup.Group
		for i := range 90 {
			g.Go(func() error {
				key := []string{"a", "b", "c"}[i%3]
				h, method := cl.For(key), "GET"
				if i%5 == 0 {
					h, method = h.With(Options{Cost: 20}), "POST"
				}
				r := request(t, method, "")
				r.Header.Set("Key", key)
				_, err := h.Do(r)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if most.Load() != 4 {
			t.Errorf("%d in flight for a key, want up to 4", most.Load())
		}
		if global.Load() != 6 {
			t.Errorf("%d in flight in all, want up to 6", global.Load())
		}
	})
}

// No stretch of the window's length ever holds more than it may, and nobody waits longer
// than he must.
func TestWindow(t *testing.T) {
	t.Parallel()
	const most, per = 100, 10 * time.Second
	c := newClock()
	type sent struct {
		at time.Time
		n  int
	}
	var log []sent
	cfg := client(c, tripper(func(*http.Request) (*http.Response, error) { return answer(200, ""), nil }))
	cfg.PerKey = Pace{Requests: most, Per: per}
	cfg.Spent = func(key string) []Spending {
		if key == "k" {
			return []Spending{{At: c.now().Add(-per / 2), Requests: 30}}
		}
		return nil
	}
	log = append(log, sent{c.now().Add(-per / 2), 30})
	cl := New(cfg)
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		n := 1 + r.IntN(20)
		if _, err := cl.For("k").With(Options{Cost: n}).Do(request(t, "POST", "")); err != nil {
			t.Fatal(err)
		}
		log = append(log, sent{c.now(), n})
		sum := 0
		for _, s := range log {
			if s.at.After(c.now().Add(-per)) {
				sum += s.n
			}
		}
		if sum > most {
			t.Fatalf("%d requests within %s", sum, per)
		}
		if r.IntN(5) == 0 {
			c.pass(time.Duration(r.Int64N(int64(per / 4))))
		}
	}
	total := 0
	for _, s := range log {
		total += s.n
	}
	if least := c.now().Sub(log[0].at); float64(total) < 0.8*most*least.Seconds()/per.Seconds() {
		t.Errorf("only %d requests in %s: it waits longer than it must", total, least)
	}

	t.Log("a clock that was set back blocks nobody for longer than a window")
	c.pass(-24 * time.Hour)
	before := c.now()
	for range 10 {
		if _, err := cl.For("k").With(Options{Cost: 20}).Do(request(t, "POST", "")); err != nil {
			t.Fatal(err)
		}
	}
	if d := c.now().Sub(before); d > 2*per+time.Second {
		t.Errorf("200 requests took %s", d)
	}
	t.Log("the empty key has no pace of its own")
	before = c.now()
	for range 2 {
		if _, err := cl.For("").With(Options{Cost: most}).Do(request(t, "POST", "")); err != nil || !c.now().Equal(before) {
			t.Error("the empty key was held to the pace of a key")
		}
	}
	if n := cl.For("x").Calls(); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// source is a source of numbered tokens.
type source struct {
	mu    sync.Mutex
	n     int
	asked []Denied
	err   error
}

func (s *source) Token(_ context.Context, d Denied) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Token != "" {
		s.asked = append(s.asked, d)
		if s.err != nil {
			return "", s.err
		}
		s.n++
	}
	return fmt.Sprintf("secret-%d", s.n), nil
}

// Of many requests that are refused with the same token, one renews it; each is sent
// again once, a write too.
func TestTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	src := &source{}
	var sent, refused atomic.Int64
	gate := make(chan struct{})
	cfg := client(newClock(), tripper(func(r *http.Request) (*http.Response, error) {
		sent.Add(1)
		if r.Header.Get("Authorization") == "Bearer secret-0" {
			if refused.Add(1) == 8 {
				close(gate)
			}
			<-gate // all eight are refused before anyone renews
			return answer(401, "", "WWW-Authenticate", `Bearer claims="abc"`), nil
		}
		b, _ := io.ReadAll(r.Body)
		return answer(200, string(b)), nil
	}))
	cfg.Tokens = src
	h := New(cfg).For("k")
	var g errgroup.Group
	for i := range 8 {
		g.Go(func() error {
			want := fmt.Sprint("body", i)
			resp, err := h.Do(request(t, "POST", want))
			if err != nil {
				return err
			}
			if b, _ := io.ReadAll(resp.Body); string(b) != want {
				return fmt.Errorf("sent again with %q", b)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(src.asked) != 1 || src.asked[0] != (Denied{Token: "secret-0", Challenge: `Bearer claims="abc"`}) {
		t.Errorf("renewed %d times: %+v", len(src.asked), src.asked)
	}
	if sent.Load() != 16 {
		t.Errorf("%d requests, want 16", sent.Load())
	}
}

func TestARefusalThatStays(t *testing.T) {
	t.Parallel()
	n := 0
	cfg := client(newClock(), tripper(func(*http.Request) (*http.Response, error) { n++; return answer(401, ""), nil }))
	cfg.Tokens = &source{}
	resp, err := New(cfg).For("k").Do(request(t, "GET", ""))
	if err != nil || resp.StatusCode != http.StatusUnauthorized || n != 2 {
		t.Errorf("%d requests, answer %v, error %v; want the second 401", n, resp, err)
	}
}

func TestNoToken(t *testing.T) {
	t.Parallel()
	cause := errors.New("no consent")
	cfg := client(newClock(), tripper(func(*http.Request) (*http.Response, error) { return answer(401, ""), nil }))
	cfg.Tokens = &source{err: cause}
	_, err := New(cfg).For("k").Do(request(t, "POST", ""))
	if f := Classify(err); f.Kind != Token || f.Sent || !errors.Is(err, cause) {
		t.Errorf("failure %+v of %v", f, err)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want Failure
	}{
		{errDial, Failure{Kind: Refused}},
		{&url.Error{Op: "Post", URL: "u", Err: errDial}, Failure{Kind: Refused}},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Name: "h"}}, Failure{Kind: DNS}},
		{errReset, Failure{Kind: Reset, Sent: true}},
		{io.ErrUnexpectedEOF, Failure{Kind: Reset, Sent: true}},
		{errors.New("boom"), Failure{Kind: Reset, Sent: true}},
		{&timeoutError{}, Failure{Kind: Timeout, Sent: true}},
		{context.Canceled, Failure{Kind: Canceled, Sent: true}},
		{&unsentError{err: context.Canceled}, Failure{Kind: Canceled}},
		{fmt.Errorf("reading: %w", errTooLarge), Failure{Kind: TooLarge, Sent: true}},
		{&PressureError{RetryAfter: time.Minute}, Failure{Kind: Pressure, RetryAfter: time.Minute}},
		{&TokenError{Err: errReset}, Failure{Kind: Token}},
		{&TokenError{Err: context.Canceled}, Failure{Kind: Canceled}},
	} {
		if got := Classify(tt.err); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.err, got, tt.want)
		}
	}
}

func TestAgainstRealConnections(t *testing.T) {
	t.Parallel()
	c := newClock()

	t.Run("nobody listens", func(t *testing.T) {
		srv := httptest.NewServer(http.NotFoundHandler())
		srv.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("x"))
		_, err := New(client(c, NewBase())).For("k").Do(r)
		if f := Classify(err); f.Kind != Refused || f.Sent {
			t.Errorf("failure %+v of %v", f, err)
		}
	})

	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		srv.StartTLS()
		defer srv.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("x"))
		_, err := New(client(c, NewBase())).For("k").Do(r)
		if f := Classify(err); f.Kind != TLS || f.Sent {
			t.Errorf("failure %+v of %v", f, err)
		}
	})

	t.Run("the connection breaks after the request", func(t *testing.T) {
		var n atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			_, _ = io.ReadAll(r.Body)
			panic(http.ErrAbortHandler)
		}))
		defer srv.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("x"))
		_, err := New(client(c, NewBase())).For("k").Do(r)
		if f := Classify(err); !f.Sent || n.Load() != 1 {
			t.Errorf("failure %+v of %v after %d requests", f, err, n.Load())
		}
	})

	t.Run("the answer never comes", func(t *testing.T) {
		done := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
		defer srv.Close()
		defer close(done)
		cfg := client(c, NewBase())
		cfg.Timeout = time.Millisecond
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("x"))
		_, err := New(cfg).For("k").Do(r)
		if f := Classify(err); f.Kind != Timeout {
			t.Errorf("failure %+v of %v", f, err)
		}
	})

	t.Run("redirects are not followed", func(t *testing.T) {
		var n atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}))
		defer srv.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		resp, err := New(client(c, NewBase())).For("k").HTTPClient().Do(r)
		if err != nil || resp.StatusCode != http.StatusFound || n.Load() != 1 {
			t.Errorf("answer %v, error %v, %d requests", resp, err, n.Load())
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 11} {
		cfg := client(newClock(), tripper(func(*http.Request) (*http.Response, error) { return answer(200, strings.Repeat("x", size)), nil }))
		cfg.MaxResponse = 10
		resp, err := New(cfg).For("k").Do(request(t, "POST", ""))
		if size > 10 {
			if f := Classify(err); f.Kind != TooLarge || !f.Sent {
				t.Errorf("%d bytes: failure %+v", size, f)
			}
		} else if err != nil || resp.ContentLength != 10 {
			t.Errorf("%d bytes: answer %v, error %v", size, resp, err)
		}
	}
}

func TestCanceledBeforeItIsSent(t *testing.T) {
	t.Parallel()
	n := 0
	h := New(client(newClock(), tripper(func(*http.Request) (*http.Response, error) { n++; return answer(200, ""), nil }))).For("k")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Do(request(t, "POST", "").WithContext(ctx))
	if f := Classify(err); f.Kind != Canceled || f.Sent || n != 0 {
		t.Errorf("failure %+v, %d requests", f, n)
	}
}

func TestSubCountsForItsParent(t *testing.T) {
	t.Parallel()
	cl := New(client(newClock(), tripper(func(*http.Request) (*http.Response, error) { return answer(200, ""), nil })))
	h := cl.For("k")
	a, b := h.Sub(), h.Sub()
	for _, x := range []*Handle{a, a, b, h} {
		if _, err := x.Do(request(t, "GET", "")); err != nil {
			t.Fatal(err)
		}
	}
	if a.Requests() != 2 || b.Requests() != 1 || h.Requests() != 4 || cl.For("k").Requests() != 0 {
		t.Errorf("counted %d, %d, %d", a.Requests(), b.Requests(), h.Requests())
	}
}

// No token, body, query value, address or whole id reaches the log.
func TestLogIsClean(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	n := 0
	cfg := client(newClock(), tripper(func(*http.Request) (*http.Response, error) {
		if n++; n == 1 {
			return nil, &url.Error{Op: "Get", URL: "https://x/private", Err: errors.New("private")}
		}
		return answer(200, "private", "request-id", "req-1", "X-Other", "private"), nil
	}))
	cfg.Tokens = &source{}
	cfg.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"https://s.example/v1.0/users/private@example.com/contactFolders/AAMkAGprivateprivateTAIL42/contacts('private-0001-000042')/delta()?$filter=name%20eq%20'private'&$top=5", strings.NewReader("private"))
	r.Header.Set("X-Secret", "private")
	if _, err := New(cfg).For("k").Do(r); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, bad := range []string{"private", "secret-0", "Bearer"} {
		if strings.Contains(text, bad) {
			t.Errorf("the log holds %q:\n%s", bad, text)
		}
	}
	for _, good := range []string{`…TAIL42`, `"status":200`, `"request_id":"req-1"`, `"failure":"reset"`, "?$filter&$top"} {
		if !strings.Contains(text, good) {
			t.Errorf("the log lacks %s:\n%s", good, text)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/services/data/v66.0/query?q=SELECT+Name":                        "/services/data/v66.0/query?q",
		"/services/data/v66.0/sobjects/Contact/0035g00000ABCDEFGH":        "/services/data/v66.0/sobjects/Contact/…CDEFGH",
		"/services/data/v66.0/sobjects/Contact/Ext__c/value%20of%20a%20b": "/services/data/v66.0/sobjects/Contact/Ext__c/…",
		"/v1.0/$batch":            "/v1.0/$batch",
		"/v1.0/users/a@b.example": "/v1.0/users/…",
		"/v1.0/users/3f2504e0-4f89-11d3-9a0c-0305e82c3301/contactFolders('AAMkAGI2TG93AAA=')/contacts/microsoft.graph.delta()": "/v1.0/users/…2c3301/contactFolders('…93AAA=')/contacts/microsoft.graph.delta()",
	} {
		u, err := url.Parse("https://h.example" + in)
		if err != nil {
			t.Fatal(err)
		}
		if got := Redact(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
