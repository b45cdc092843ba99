package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// attempt makes one round trip: it reads the whole answer, or there is none.
func (c *Client) attempt(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.cfg.Timeout)
	defer cancel()
	start := c.cfg.Now()
	resp, err := c.cfg.Base.RoundTrip(rewound(ctx, req))
	if err == nil {
		err = bound(resp, c.cfg.MaxResponse)
	}
	var op *net.OpError
	dialing := errors.As(err, &op) && dials(op)
	if err != nil && req.Context().Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		limit := &timeoutError{after: c.cfg.Timeout}
		if err = limit; dialing {
			limit.after = reaching
			err = &unsentError{err: limit}
		}
	}
	if req.Context().Err() == nil && !unreached(err) {
		c.reach.hear(req.URL.Host)
	}
	c.log(req, resp, err, c.cfg.Now().Sub(start))
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// bound replaces the body of an answer by its bytes.
func bound(resp *http.Response, most int64) error {
	defer func() { _ = resp.Body.Close() }()
	var buf bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= most {
		buf.Grow(int(n) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return err
	}
	if n > most {
		return errTooLarge
	}
	resp.Body = io.NopCloser(&buf)
	resp.ContentLength = n
	return nil
}

func (c *Client) log(req *http.Request, resp *http.Response, err error, took time.Duration) {
	ctx := req.Context()
	if !c.cfg.Log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", req.Method),
		slog.String("path", Redact(req.URL)),
		slog.Duration("took", took),
	}
	if err != nil {
		// The text of an error may hold the whole address; its kind does not.
		attrs = append(attrs, slog.String("failure", string(Classify(err).Kind)))
	} else {
		attrs = append(attrs, slog.Int("status", resp.StatusCode))
		for _, name := range []string{"Request-Id", "X-Request-Id"} {
			if id := resp.Header.Get(name); id != "" {
				attrs = append(attrs, slog.String("request_id", id))
				break
			}
		}
	}
	c.cfg.Log.LogAttrs(ctx, slog.LevelDebug, "request", attrs...)
}

// Redact returns an address as it may be logged: the path with its ids cut to their
// ends, and the names of the query without their values. Ids are cut because lines
// must stay readable, addresses of people because they are content.
func Redact(u *url.URL) string {
	var b strings.Builder
	for i, s := range strings.Split(u.Path, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(redactSegment(s))
	}
	names := make([]string, 0, 4)
	for name := range u.Query() {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) > 0 {
		b.WriteString("?" + strings.Join(names, "&"))
	}
	return b.String()
}

func redactSegment(s string) string {
	if before, rest, ok := strings.Cut(s, "('"); ok {
		id, after, _ := strings.Cut(rest, "')")
		return before + "('" + redactSegment(id) + "')" + after
	}
	if word(s) {
		return s
	}
	r := []rune(s)
	if len(r) < 12 || strings.ContainsAny(s, "@ ") {
		return "…"
	}
	return "…" + string(r[len(r)-6:])
}

// word reports whether a segment is a name of the vendor's: letters with an
// optional version number, call or namespace, and no longer than such names are.
func word(s string) bool {
	if len(s) > 24 {
		return false
	}
	digits := 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.ContainsRune("$().-_", c):
		default:
			return false
		}
	}
	return digits <= 3
}
