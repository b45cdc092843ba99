package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// netFault says which exchange with a server goes wrong and how, and whether all after it
// do: "reset-after 17" or "503 3 on". netLog is a file that gets a line for each exchange
// that could go wrong like that.
const (
	netFault = "CRMSYNC_TEST_NET_FAULT"
	netLog   = "CRMSYNC_TEST_NET_LOG"
)

// netFaults are the ways in which an exchange goes wrong. What comes "after" was done by
// the server. Only the first of several writes in one request suffers from a "part":
// refused for a while, for a change since or for its token, or done without saying so.
var netFaults = []string{
	"refused", "reset-before", "reset-after", "slow-after", "truncated-after", "garbage-after", "gateway-after",
	"429-seconds", "429-date", "503", "html", "401", "etag", "part-busy", "part-changed", "part-401", "part-after",
}

// badNet is a network on which one exchange goes wrong.
type badNet struct {
	base http.RoundTripper
	kind string
	at   int
	on   bool
	now  func() time.Time

	mu  sync.Mutex
	n   int
	log *os.File
}

// newBadNet makes the network that the environment asks for, or nil.
func newBadNet(base http.RoundTripper, now func() time.Time) *badNet {
	words := strings.Fields(os.Getenv(netFault))
	if len(words) < 2 {
		return nil
	}
	b := &badNet{base: base, kind: words[0], on: len(words) > 2, now: now}
	var err error
	if b.at, err = strconv.Atoi(words[1]); err == nil {
		b.log, err = os.Create(os.Getenv(netLog))
	}
	if err != nil {
		panic(err)
	}
	return b
}

// RoundTrip implements http.RoundTripper.
func (b *badNet) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !b.strikes(r, body) {
		return b.base.RoundTrip(r)
	}
	if kind, ok := strings.CutPrefix(b.kind, "part-"); ok {
		return b.part(kind, r, body)
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
	case "401":
		return answer(http.StatusUnauthorized, "application/json", `[{"errorCode":"INVALID_SESSION_ID","message":"expired"}]`), nil
	}
	a, err := b.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if body, err = readAll(a.Body); err != nil {
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
	case "etag":
		return replaced(a, etag.ReplaceAll(body, []byte(`"@odata.etag":"W/\"another\""`))), nil
	}
	return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// etag is the version of an item in an answer of Graph.
var etag = regexp.MustCompile(`"@odata\.etag":"(\\.|[^"\\])*"`)

// strikes notes an exchange that can go wrong in the way asked for, and tells whether it
// does.
func (b *badNet) strikes(r *http.Request, body []byte) bool {
	switch {
	case b.kind == "401" && strings.HasSuffix(r.URL.Path, "/token"),
		b.kind == "etag" && !strings.HasPrefix(r.URL.Path, "/v1.0/"),
		b.kind == "part-401" && !strings.HasSuffix(r.URL.Path, "/$batch"),
		strings.HasPrefix(b.kind, "part-") && parts(r, body) == nil:
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	if _, err := fmt.Fprintln(b.log, r.Method, r.URL.Path); err != nil {
		panic(err)
	}
	return b.n == b.at || b.on && b.n > b.at
}

// manyWrites is a request that carries several writes: one of Graph, or one of Salesforce.
type manyWrites struct {
	Requests  []json.RawMessage `json:"requests,omitempty"`
	AllOrNone *bool             `json:"allOrNone,omitempty"`
	Records   []json.RawMessage `json:"records,omitempty"`
}

// parts reads a request that carries several writes; nil if it is none.
func parts(r *http.Request, body []byte) *manyWrites {
	var m manyWrites
	if !strings.HasSuffix(r.URL.Path, "/$batch") && !strings.Contains(r.URL.Path, "/composite/sobjects") ||
		json.Unmarshal(body, &m) != nil || len(m.Requests)+len(m.Records) == 0 {
		return nil
	}
	return &m
}

// part lets the first part of a request go wrong within an answer of 200.
func (b *badNet) part(kind string, r *http.Request, body []byte) (*http.Response, error) {
	m := parts(r, body)
	if kind != "after" {
		// The others are done. Nothing is sent if there are none.
		m.Requests, m.Records = m.Requests[min(1, len(m.Requests)):], m.Records[min(1, len(m.Records)):]
	}
	var first struct {
		ID string `json:"id"`
	}
	graph := strings.HasSuffix(r.URL.Path, "/$batch")
	a := &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}, "Date": {b.now().UTC().Format(http.TimeFormat)}},
	}
	var batch struct {
		Responses []json.RawMessage `json:"responses"`
	}
	var results []json.RawMessage
	if len(m.Requests)+len(m.Records) > 0 {
		text, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		if a, err = b.base.RoundTrip(r); err != nil || a.StatusCode != http.StatusOK {
			return a, err
		}
		answers, err := readAll(a.Body)
		if err != nil {
			return nil, err
		}
		if graph {
			err = json.Unmarshal(answers, &batch)
		} else {
			err = json.Unmarshal(answers, &results)
		}
		if err != nil {
			return nil, err
		}
	}
	var out any
	if graph {
		var asked manyWrites
		if err := json.Unmarshal(body, &asked); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(asked.Requests[0], &first); err != nil {
			return nil, err
		}
		rest := batch.Responses[:0]
		for _, a := range batch.Responses {
			var one struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal(a, &one); err != nil {
				return nil, err
			}
			if one.ID != first.ID {
				rest = append(rest, a)
			}
		}
		answer := map[string]string{
			"busy":    `{"id":%q,"status":503,"body":{"error":{"code":"ErrorMailboxStoreUnavailable","message":"busy"}}}`,
			"changed": `{"id":%q,"status":412,"body":{"error":{"code":"ErrorIrresolvableConflict","message":"changed"}}}`,
			"401":     `{"id":%q,"status":401,"body":{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}}`,
			"after":   `{"id":%q,"status":504,"body":{"error":{"code":"UnknownError","message":"late"}}}`,
		}[kind]
		out = map[string]any{"responses": append(rest, json.RawMessage(fmt.Sprintf(answer, first.ID)))}
	} else {
		answer := map[string]string{
			"busy":    `{"success":false,"errors":[{"statusCode":"UNABLE_TO_LOCK_ROW","message":"locked","fields":[]}]}`,
			"changed": `{"success":false,"errors":[{"statusCode":"ENTITY_IS_LOCKED","message":"locked","fields":[]}]}`,
			"after":   `{"success":false,"errors":[{"statusCode":"UNKNOWN_EXCEPTION","message":"unknown","fields":[]}]}`,
		}[kind]
		if kind == "after" {
			results = results[1:]
		}
		out = append([]json.RawMessage{json.RawMessage(answer)}, results...)
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return replaced(a, text), nil
}

// replaced puts another body into an answer.
func replaced(a *http.Response, body []byte) *http.Response {
	a.Header.Del("Content-Encoding")
	a.Header.Del("Content-Length")
	a.Body, a.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return a
}

func readAll(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(body)
	_ = body.Close()
	return b, err
}

// cut is the rest of a body that does not come.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Every exchange with a server goes wrong in every way, once or with all that follow. The
// program gets over it by itself or says that it failed; one run later both sides are as
// if nothing had happened.
func TestBadNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs the real program many times; run without -short")
	}
	for _, s := range scenarios[:2] {
		for _, on := range []string{"", " on"} {
			t.Run(s.name+on, func(t *testing.T) {
				t.Parallel()
				g := besiege(t, s)
				g.pause = 2 * time.Hour // who was asked for patience is left alone for that long
				for i, kind := range netFaults {
					exchange := func(w *world, at int) []string {
						cmd := w.command(cycle...)
						log := w.state + ".exchanges"
						cmd.Env = append(cmd.Env, fmt.Sprint(netFault, "=", kind, " ", at, on), netLog+"="+log)
						out, _ := cmd.CombinedOutput()
						code := cmd.ProcessState.ExitCode()
						if (code != 0) != errorCode.Match(out) || code < 0 || strings.Contains(string(out), "goroutine ") {
							t.Errorf("%s at exchange %d: exit status %d and\n%s", kind, at, code, out)
						}
						if strings.HasSuffix(kind, "401") && on == "" && code != s.status {
							t.Errorf("a token refused at exchange %d: exit status %d and\n%s", at, code, out)
						}
						must(t, w.Deserted(t.Context()))
						text, err := os.ReadFile(log)
						must(t, err)
						return strings.Split(strings.TrimSpace(string(text)), "\n")
					}
					for at := 1 + i%*attackEvery; g.strike(at, kind+on, exchange); at += *attackEvery {
					}
				}
				g.lift()
			})
		}
	}
}
