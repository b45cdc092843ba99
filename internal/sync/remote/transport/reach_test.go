//nolint:bodyclose // a Handle reads and closes every body itself
package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"
)

// server is a server that can go away.
type server struct {
	fails error
	n     int
}

func (s *server) RoundTrip(*http.Request) (*http.Response, error) {
	s.n++
	if s.fails != nil {
		return nil, s.fails
	}
	return answer(200, ""), nil
}

// Once a host could not be reached through all tries, nobody waits for it again: all
// fail at once, then one tries once, and one that gets through opens it for all.
func TestAHostThatIsDown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		kind Kind
	}{
		"refused": {errDial, Refused},
		"no name": {&net.OpError{Op: "dial", Err: &net.DNSError{Name: "h", IsNotFound: true}}, DNS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := newClock(), &server{}
			cl := New(client(c, s))
			do := func(method string) Failure {
				t.Helper()
				resp, err := cl.For(method).Do(request(t, method, "x"))
				if (resp == nil) == (err == nil) {
					t.Fatalf("answer %v and error %v", resp, err)
				}
				if err == nil {
					return Failure{}
				}
				return Classify(err)
			}
			do("GET") // it was up once, which proves nothing later
			s.fails, s.n = tt.err, 0
			down := Failure{Kind: tt.kind, Down: true}
			start := c.now()
			if f := do("POST"); f != down || s.n != 5 {
				t.Fatalf("failure %+v after %d tries, want %+v after 5", f, s.n, down)
			}
			if took := c.now().Sub(start); took > 4*time.Second {
				t.Errorf("found out after %v", took)
			}
			start = c.now()
			for range 100 {
				if f := do("POST"); f != down {
					t.Fatalf("failure %+v, want %+v", f, down)
				}
			}
			if s.n != 5 || !c.now().Equal(start) {
				t.Errorf("%d more tries in %v", s.n-5, c.now().Sub(start))
			}
			_ = c.sleep(t.Context(), remembered)
			start = c.now()
			if f := do("POST"); f != down || s.n != 6 || !c.now().Equal(start) {
				t.Errorf("failure %+v, %d tries, waited %v; want one probe", f, s.n-5, c.now().Sub(start))
			}
			if do("POST"); s.n != 6 {
				t.Error("a second probe at once")
			}
			_ = c.sleep(t.Context(), remembered)
			s.fails = nil
			if f := do("POST"); f != (Failure{}) || do("POST") != (Failure{}) {
				t.Errorf("failure %+v of a host that is back", f)
			}
		})
	}
}

// While one probes, the others go on failing; a probe that is given up leaves the
// place to the next one.
func TestOneProbeAtATime(t *testing.T) {
	t.Parallel()
	c, s := newClock(), &server{fails: errDial}
	ctx, cancel := context.WithCancel(t.Context())
	var cl *Client
	inProbe := func() {}
	cl = New(client(c, tripper(func(r *http.Request) (*http.Response, error) {
		inProbe()
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return s.RoundTrip(r)
	})))
	_, _ = cl.For("a").Do(request(t, "GET", ""))
	_ = c.sleep(t.Context(), remembered)
	before := s.n
	inProbe = func() {
		inProbe = func() {}
		if _, err := cl.For("b").Do(request(t, "GET", "")); !Classify(err).Down || s.n != before {
			t.Errorf("%v, and %d tries beside the probe", err, s.n-before)
		}
		cancel()
	}
	if _, err := cl.For("a").Do(request(t, "GET", "").WithContext(ctx)); Classify(err).Kind != Canceled {
		t.Errorf("error %v of a probe that was given up", err)
	}
	inProbe, s.fails = func() {}, nil
	if _, err := cl.For("a").Do(request(t, "GET", "")); err != nil {
		t.Errorf("the next probe: %v", err)
	}
}

// A host that answers others is not down, nor is another host, nor one that breaks off.
func TestAHostThatIsNotDown(t *testing.T) {
	t.Parallel()
	t.Run("it answers others", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		cl := New(client(c, tripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return nil, errDial
			}
			return answer(404, ""), nil
		})))
		c.onWait = func(time.Duration) { _, _ = cl.For("b").Do(request(t, "GET", "")) }
		_, err := cl.For("a").Do(request(t, "POST", "x"))
		if f := Classify(err); f != (Failure{Kind: Refused}) {
			t.Errorf("failure %+v", f)
		}
	})
	t.Run("another host", func(t *testing.T) {
		t.Parallel()
		cl := New(client(newClock(), tripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "service.example" {
				return nil, errDial
			}
			return answer(200, ""), nil
		})))
		_, _ = cl.For("a").Do(request(t, "GET", ""))
		r := request(t, "GET", "")
		r.URL.Host = "other.example"
		if _, err := cl.For("a").Do(r); err != nil {
			t.Errorf("another host: %v", err)
		}
	})
	t.Run("it breaks off", func(t *testing.T) {
		t.Parallel()
		s := &server{fails: errReset}
		cl := New(client(newClock(), s))
		for i := range 2 {
			_, err := cl.For("a").Do(request(t, "GET", ""))
			if f := Classify(err); f.Down || s.n != 5*(i+1) {
				t.Errorf("failure %+v after %d tries", f, s.n)
			}
		}
	})
}

// A dial that waits its whole time is not tried five times.
func TestDialsThatTimeOut(t *testing.T) {
	t.Parallel()
	_, late := (&net.Dialer{Timeout: time.Nanosecond}).DialContext(t.Context(), "tcp", "127.0.0.1:1")
	c, n := newClock(), 0
	cl := New(client(c, tripper(func(*http.Request) (*http.Response, error) {
		n++
		_ = c.sleep(t.Context(), reaching)
		return nil, late
	})))
	for range 2 {
		_, err := cl.For("a").Do(request(t, "POST", "x"))
		if f := Classify(err); f != (Failure{Kind: Timeout, Down: true}) || n != 1 {
			t.Errorf("failure %+v of %v after %d dials of %v", f, err, n, late)
		}
	}
}

// Each kind of wait ends with the caller's context.
func TestWaitsEndWithTheContext(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]failure{
		"refused": {err: errDial}, "reset": {err: errReset}, "429": {status: 429, retryAfter: "20"}, "503": {status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, n := newClock(), 0
			ctx, cancel := context.WithCancel(t.Context())
			cfg := client(c, tripper(func(*http.Request) (*http.Response, error) { n++; return fail.answer() }))
			cfg.Sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
			_, err := New(cfg).For("k").Do(request(t, "GET", "").WithContext(ctx))
			if f := Classify(err); f != (Failure{Kind: Canceled}) || !errors.Is(err, context.Canceled) || n != 1 {
				t.Errorf("failure %+v of %v after %d requests", f, err, n)
			}
		})
	}
}
