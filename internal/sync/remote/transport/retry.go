package transport

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// RoundTrip sends a request through the whole chain. The answer's body is already
// read and need not be closed.
func (h *Handle) RoundTrip(req *http.Request) (*http.Response, error) {
	req, err := replayable(req)
	if err != nil {
		return nil, &unsentError{err: err}
	}
	pass, err := h.c.reach.enter(req.URL.Host)
	if err != nil {
		return nil, err
	}
	defer pass.leave()
	start := h.c.cfg.Now()
	for try := 1; ; try++ {
		resp, err := h.authorized(req)
		again, after := h.repeatable(req, resp, err)
		if !again {
			return resp, err
		}
		var waited bool
		var werr error
		if unreached(err) {
			waited, werr = h.reachAgain(req.Context(), pass, try, start)
		} else {
			waited, werr = h.Again(req.Context(), try, after)
		}
		switch {
		case werr != nil:
			return nil, &unsentError{err: werr}
		case waited:
			if err := pass.closed(); err != nil {
				return nil, err
			}
		case unreached(err):
			return nil, pass.lost(err)
		default:
			return resp, err
		}
	}
}

// reachAgain waits before the next try to get through to a host, half as long as
// after other failures: nothing needs to be spared that is not there.
func (h *Handle) reachAgain(ctx context.Context, pass *passage, try int, start time.Time) (bool, error) {
	cfg := h.c.cfg
	wait := h.c.backoff(try) / 2
	if pass.probe || try >= cfg.Tries || cfg.Now().Add(wait).Sub(start) > reaching {
		return false, nil
	}
	return true, cfg.Sleep(ctx, wait)
}

// repeatable reports whether a request may be sent again, and how long the server
// wants us to wait before it.
func (h *Handle) repeatable(req *http.Request, resp *http.Response, err error) (bool, time.Duration) {
	safe := h.opt.Safe || req.Method == http.MethodGet || req.Method == http.MethodHead
	if err != nil {
		f := Classify(err)
		switch f.Kind {
		case Refused, DNS, Timeout, Reset:
			return safe || !f.Sent, 0
		default:
			return false, 0
		}
	}
	after, _ := RetryAfter(resp.Header, h.c.cfg.Now())
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return true, after
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout, 509: // 509: bandwidth limit exceeded
		return safe, after
	}
	return false, 0
}

// Again waits before the next try of something that failed at its try-th one. It
// returns false without waiting when there were tries enough or the server wants us
// to wait for longer than we have patience. A connector uses it for what fails
// inside an answer, such as a part of a batch.
func (h *Handle) Again(ctx context.Context, try int, after time.Duration) (bool, error) {
	cfg := h.c.cfg
	// A server that asks for a second while it is overrun gets more than that.
	wait := max(after, h.c.backoff(try))
	if try >= cfg.Tries || wait > cfg.Patience {
		return false, nil
	}
	return true, cfg.Sleep(ctx, wait)
}

// backoff returns the wait after the try-th try: half a second, doubled each time,
// spread by half in both directions.
func (c *Client) backoff(try int) time.Duration {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 500 * time.Millisecond
	b.Multiplier = 2
	b.MaxInterval = 15 * time.Second
	b.RandomizationFactor = 0 // the spread comes from the injected source
	b.Reset()
	var d time.Duration
	for range try {
		d = b.NextBackOff()
	}
	return time.Duration(float64(d) * (0.5 + c.cfg.Jitter()))
}

// replayable returns the request with a body that can be sent again, and with its
// length: a chunked body cannot be replayed when a connection goes away.
func replayable(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	data, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, err
	}
	r := req.Clone(req.Context())
	r.ContentLength = int64(len(data))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	return r, nil
}

// rewound returns a shallow copy of the request with its body at the start.
func rewound(ctx context.Context, req *http.Request) *http.Request {
	r := req.WithContext(ctx)
	if req.GetBody != nil {
		r.Body, _ = req.GetBody() // replayable's GetBody cannot fail
	}
	return r
}
