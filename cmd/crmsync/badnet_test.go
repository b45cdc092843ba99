package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// netFault says which exchange with a server goes wrong and how: "reset-after 17".
// netLog is a file that gets a line for each exchange.
const (
	netFault = "CRMSYNC_TEST_NET_FAULT"
	netLog   = "CRMSYNC_TEST_NET_LOG"
)

// netFaults are the ways in which an exchange goes wrong. What comes "after" was done by
// the server.
var netFaults = []string{
	"refused", "reset-before", "reset-after", "slow-after", "truncated-after", "garbage-after", "gateway-after",
	"429-seconds", "429-date", "503", "html",
}

// badNet is a network on which one exchange goes wrong.
type badNet struct {
	base http.RoundTripper
	kind string
	at   int
	now  func() time.Time

	mu  sync.Mutex
	n   int
	log *os.File
}

// newBadNet makes the network that the environment asks for, or nil.
func newBadNet(base http.RoundTripper, now func() time.Time) *badNet {
	kind, at, ok := strings.Cut(os.Getenv(netFault), " ")
	if !ok {
		return nil
	}
	b := &badNet{base: base, kind: kind, now: now}
	var err error
	if b.at, err = strconv.Atoi(at); err == nil {
		b.log, err = os.Create(os.Getenv(netLog))
	}
	if err != nil {
		panic(err)
	}
	return b
}

// RoundTrip implements http.RoundTripper.
func (b *badNet) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	b.n++
	hit := b.n == b.at
	_, err := fmt.Fprintln(b.log, r.Method, r.URL.Path)
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !hit {
		return b.base.RoundTrip(r)
	}
	answer := func(status int, kind, body string) *http.Response {
		return &http.Response{
			Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {kind}, "Date": {b.now().UTC().Format(http.TimeFormat)}},
			Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}
	}
	switch b.kind {
	case "refused":
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case "reset-before":
		return nil, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.ECONNRESET)}
	case "429-seconds", "429-date":
		a := answer(http.StatusTooManyRequests, "application/json", `{"error":{"code":"TooManyRequests","message":"wait"}}`)
		a.Header.Set("Retry-After", "1")
		if b.kind == "429-date" {
			a.Header.Set("Retry-After", b.now().Add(time.Second).UTC().Format(http.TimeFormat))
		}
		return a, nil
	case "503":
		return answer(http.StatusServiceUnavailable, "application/json", `{}`), nil
	case "html":
		return answer(http.StatusInternalServerError, "text/html", "<html><body>An error occurred</body></html>"), nil
	}
	a, err := b.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(a.Body)
	_ = a.Body.Close()
	if err != nil {
		return nil, err
	}
	switch b.kind {
	case "slow-after":
		return nil, context.DeadlineExceeded
	case "truncated-after":
		a.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), cut{}))
		return a, nil
	case "garbage-after":
		return answer(http.StatusOK, "application/json", `{"value":[{"id":`), nil
	case "gateway-after":
		return answer(http.StatusGatewayTimeout, "text/html", "<html></html>"), nil
	}
	return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// cut is the rest of a body that does not come.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Every exchange with a server goes wrong in every way, once. The program gets over it
// by itself or says that it failed; one run later both sides are as if nothing had
// happened.
func TestBadNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs the real program many times; run without -short")
	}
	for _, s := range scenarios[:2] {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for i, kind := range netFaults {
				attackFrom(t, s, 1+i%*attackEvery, *attackEvery, func(w *world, at int) []string {
					cmd := w.command(cycle...)
					log := w.state + ".exchanges"
					cmd.Env = append(cmd.Env, fmt.Sprint(netFault, "=", kind, " ", at), netLog+"="+log)
					out, _ := cmd.CombinedOutput()
					if code := cmd.ProcessState.ExitCode(); (code != 0) != errorCode.Match(out) || code < 0 {
						t.Errorf("%s at exchange %d: exit status %d and\n%s", kind, at, code, out)
					}
					text, err := os.ReadFile(log)
					must(t, err)
					return strings.Split(strings.TrimSpace(string(text)), "\n")
				})
			}
		})
	}
}
