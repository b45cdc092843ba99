package salesforce

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// client sends requests to one organization.
type client struct {
	cfg    Config
	http   *transport.Client
	tokens *tokenSource

	mu sync.Mutex
	// usage is what was last told of the daily limit.
	usage remote.Usage
	// ahead is how much the server's clock is ahead of ours, once told.
	ahead time.Duration
	told  bool
}

// atOnce is how many requests may be in flight. The server limits only those that
// take 20 s or more, 25 at once in production ("API Request Limits and Allocations").
const atOnce = 10

func newClient(cfg Config) *client {
	c := &client{cfg: cfg, usage: cfg.Usage}
	t := transport.Config{Base: cfg.Base, Log: cfg.Log, Now: cfg.Now, Sleep: cfg.Sleep, Jitter: cfg.Jitter, Global: transport.Pace{AtOnce: atOnce}}
	if t.Base == nil {
		t.Base = transport.NewBase()
	}
	c.tokens = newTokenSource(cfg, transport.New(t), c.noteClock)
	t.Tokens = c.tokens
	c.http = transport.New(t)
	return c
}

func (c *client) handle() *transport.Handle { return c.http.For("api") }

// data returns the path of a resource of our API version.
func (c *client) data(resource string) string {
	return "/services/data/" + c.cfg.APIVersion + "/" + resource
}

// request is one call of the API.
type request struct {
	method string
	path   string
	query  url.Values
	header map[string]string
	// body is sent as JSON if it is not nil.
	body any
	// writes: the request changes something.
	writes bool
	// item: it concerns one record alone.
	item bool
}

// answer is what came back, whatever its status.
type answer struct {
	status int
	header http.Header
	body   []byte
	// at is the server's own time; zero if it does not tell.
	at time.Time
}

// send makes a request and returns its answer if that is a good one.
func (c *client) send(ctx context.Context, h *transport.Handle, r request) (answer, error) {
	base, err := c.tokens.instance(ctx)
	if err != nil {
		return answer{}, err
	}
	req, err := r.build(ctx, base)
	if err != nil {
		return answer{}, &remote.Error{Class: remote.ClassSetup, Message: "the request cannot be made"}
	}
	a, err := exchange(h, req)
	if err != nil {
		return answer{}, unanswered(err, r.writes)
	}
	c.note(a)
	if a.status >= 300 {
		return answer{}, c.explain(ctx, h, r, refused(a, r.writes, r.item))
	}
	return a, nil
}

func (r request) build(ctx context.Context, base string) (*http.Request, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
	}
	address := base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	req.Header.Set("Accept", "application/json")
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	return req, nil
}

// exchange sends a request and reads its answer.
func exchange(h *transport.Handle, req *http.Request) (answer, error) {
	resp, err := h.HTTPClient().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: b.Bytes()}
	if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.at = t
	}
	return a, nil
}

// explain looks for the reason of an answer that says only that a path does not
// exist: the API version may be the one that does not.
func (c *client) explain(ctx context.Context, h *transport.Handle, r request, e *remote.Error) error {
	if r.item || e.Status != http.StatusNotFound && e.Status != http.StatusGone {
		return e
	}
	versions, err := c.versions(ctx, h)
	if err != nil || len(versions) == 0 {
		return e
	}
	for _, v := range versions {
		if "v"+v == c.cfg.APIVersion {
			return e
		}
	}
	return &remote.Error{
		Class: remote.ClassSetup, Status: e.Status, Code: e.Code,
		Message: "the organization has no API version " + c.cfg.APIVersion,
		Hint:    "use one of v" + versions[0] + " to v" + versions[len(versions)-1],
	}
}

// versions lists the API versions of the organization. The call needs no session and
// does not count.
func (c *client) versions(ctx context.Context, h *transport.Handle) ([]string, error) {
	base, err := c.tokens.instance(ctx)
	if err != nil {
		return nil, err
	}
	req, err := request{method: http.MethodGet, path: "/services/data/"}.build(ctx, base)
	if err != nil {
		return nil, err
	}
	a, err := exchange(h, req)
	if err != nil {
		return nil, unanswered(err, false)
	}
	c.note(a)
	var list []struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, unreadable(false)
	}
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, v.Version)
	}
	return out, nil
}

// note remembers what every answer tells: the server's time, and in
// Sforce-Limit-Info how much of the daily limit is used, as in
// "api-usage=18/5000; per-app-api-usage=17/250(appName=sample)".
func (c *client) note(a answer) {
	c.noteClock(a.at)
	for part := range strings.SplitSeq(a.header.Get("Sforce-Limit-Info"), ";") {
		numbers, ok := strings.CutPrefix(strings.TrimSpace(part), "api-usage=")
		used, limit, _ := strings.Cut(numbers, "/")
		u, err1 := strconv.Atoi(used)
		l, err2 := strconv.Atoi(limit)
		if !ok || err1 != nil || err2 != nil {
			continue
		}
		c.mu.Lock()
		c.usage = remote.Usage{Used: u, Limit: l, Reserve: int(max(0, c.cfg.Reserve) * float64(l)), At: c.cfg.Now()}
		c.mu.Unlock()
	}
}

func (c *client) noteClock(at time.Time) {
	if at.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.told = at.Sub(c.cfg.Now()), true
}

// serverNow is the time at the server, as well as we know it; ok is false if nothing
// has told it yet.
func (c *client) serverNow() (now time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.Now().Add(c.ahead).UTC(), c.told
}

func (c *client) used() remote.Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usage
}

// believed is how long we go by what was last told of the usage: the window of the
// limit rolls, and others use it too.
const believed = 5 * time.Minute

// spare refuses to synchronize when only the reserve is left. What is told with the
// next call lifts it, so one call is let through now and then.
func (c *client) spare() error {
	u := c.used()
	if u.Limit == 0 || u.Used < u.Limit-u.Reserve || c.cfg.Now().Sub(u.At).Abs() >= believed {
		return nil
	}
	return &remote.Error{
		Class: remote.ClassPressure, Code: "reserve", RetryAfter: believed, Whole: true,
		Message: fmt.Sprintf("%d of the organization's %d daily API calls are used, and %d of them are reserved for others", u.Used, u.Limit, u.Reserve),
		Hint:    "it goes on by itself when the rolling 24 hours allow it; more API calls can be bought",
	}
}

// page is an answer to a query.
type page struct {
	Done bool            `json:"done"`
	Next string          `json:"nextRecordsUrl"`
	Rows json.RawMessage `json:"records"`
}

// query reads all rows of a small query into a slice.
func (c *client) query(ctx context.Context, h *transport.Handle, soql string, into any) error {
	r := request{method: http.MethodGet, path: c.data("query"), query: url.Values{"q": {soql}}}
	all := []byte{'['}
	for {
		a, err := c.send(ctx, h, r)
		if err != nil {
			return err
		}
		var p page
		if err := json.Unmarshal(a.body, &p); err != nil {
			return unreadable(false)
		}
		if rows := bytes.TrimSpace(p.Rows); len(rows) > 2 {
			if len(all) > 1 {
				all = append(all, ',')
			}
			all = append(all, rows[1:len(rows)-1]...)
		}
		if p.Done || p.Next == "" {
			break
		}
		r = request{method: http.MethodGet, path: p.Next}
	}
	if err := json.Unmarshal(append(all, ']'), into); err != nil {
		return unreadable(false)
	}
	return nil
}
