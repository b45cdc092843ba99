package m365

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is a server on loopback with one user, and a client with a token.
type bench struct {
	t     *testing.T
	s     *Server
	srv   *httptest.Server
	clock *clock
	token string
	user  User
}

const immutablePrefer = `IdType="ImmutableId"`

func newBench(t *testing.T, opts ...func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}}
	o := Options{Now: b.clock.Now, Seed: 7, Wait: func(context.Context, time.Duration) {}}
	for _, f := range opts {
		f(&o)
	}
	b.s = New(o)
	b.srv = httptest.NewServer(b.s)
	t.Cleanup(b.srv.Close)
	u, err := b.s.AddUser(User{DisplayName: "Ada Lovelace", GivenName: "Ada", Surname: "Lovelace", Mail: "ada@contoso.example"})
	if err != nil {
		t.Fatal(err)
	}
	b.user = u
	b.login()
	return b
}

func (b *bench) login() {
	b.t.Helper()
	status, _, body := b.askToken("5a4db0c5-0000-4000-8000-000000000365", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"},
		"scope": {"https://graph.microsoft.com/.default"},
	})
	if status != 200 {
		b.t.Fatalf("token: %d %v", status, body)
	}
	b.token = body["access_token"].(string)
}

func (b *bench) askToken(tenant string, form url.Values) (int, http.Header, map[string]any) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.srv.URL+"/"+tenant+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := b.send(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.read(a)
}

// answer is a response that was read as far as it came; broken says why not to its end.
type answer struct {
	status int
	header http.Header
	text   []byte
	broken error
}

func (b *bench) send(req *http.Request) (answer, error) {
	res, err := b.srv.Client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, header: res.Header}
	a.text, a.broken = io.ReadAll(res.Body)
	return a, nil
}

func (b *bench) read(a answer) (int, http.Header, map[string]any) {
	b.t.Helper()
	if a.broken != nil {
		b.t.Fatal(a.broken)
	}
	var out map[string]any
	if len(a.text) > 0 && strings.Contains(a.header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(a.text, &out); err != nil {
			b.t.Fatalf("answer %q: %v", a.text, err)
		}
	}
	return a.status, a.header, out
}

// try sends a request; path is below /v1.0 or a whole link. Headers are "Name: value".
func (b *bench) try(method, path string, body any, headers ...string) (answer, error) {
	b.t.Helper()
	var in io.Reader
	if body != nil {
		text, isText := body.(string)
		if !isText {
			j, err := json.Marshal(body)
			if err != nil {
				b.t.Fatal(err)
			}
			text = string(j)
		}
		in = bytes.NewReader([]byte(text))
	}
	if !strings.HasPrefix(path, "http") {
		path = b.srv.URL + "/v1.0" + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, path, in)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		switch {
		case v == "":
			req.Header.Del(k)
		case k == "Prefer":
			req.Header.Add(k, v)
		default:
			req.Header.Set(k, v)
		}
	}
	return b.send(req)
}

// do sends a request, checks the answer against Microsoft's description where that is at
// hand, and returns it.
func (b *bench) do(method, path string, body any, headers ...string) (int, http.Header, map[string]any) {
	b.t.Helper()
	res, err := b.try(method, path, body, headers...)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	status, h, out := b.read(res)
	conforms(b.t, method, path, status, out)
	return status, h, out
}

// want is do for an answer whose status is known.
func (b *bench) want(status int, method, path string, body any, headers ...string) map[string]any {
	b.t.Helper()
	got, _, out := b.do(method, path, body, headers...)
	if got != status {
		b.t.Fatalf("%s %s: status %d, want %d: %v", method, path, got, status, out)
	}
	return out
}

// refused is want for an error and checks its code.
func (b *bench) refused(status int, code, method, path string, body any, headers ...string) {
	b.t.Helper()
	out := b.want(status, method, path, body, headers...)
	if got := codeOf(out); got != code {
		b.t.Fatalf("%s %s: code %q, want %q", method, path, got, code)
	}
}

func codeOf(out map[string]any) string {
	e, _ := out["error"].(map[string]any)
	code, _ := e["code"].(string)
	return code
}

func (b *bench) root() string { return "/users/" + b.user.ID }

// folder makes a folder over Graph and returns its path.
func (b *bench) folder(name string) string {
	b.t.Helper()
	out := b.want(201, "POST", b.root()+"/contactFolders", map[string]any{"displayName": name})
	return b.root() + "/contactFolders/" + url.PathEscape(out["id"].(string))
}

// create makes a contact over Graph with an immutable id.
func (b *bench) create(folder string, fields map[string]any) map[string]any {
	b.t.Helper()
	return b.want(201, "POST", folder+"/contacts", fields, "Prefer: "+immutablePrefer)
}

func name(n int) map[string]any { return map[string]any{"givenName": fmt.Sprintf("N%03d", n)} }

func values(out map[string]any) []map[string]any {
	var all []map[string]any
	for _, v := range out["value"].([]any) {
		all = append(all, v.(map[string]any))
	}
	return all
}

func esc(v any) string { return url.PathEscape(v.(string)) }
