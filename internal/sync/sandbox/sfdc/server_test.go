package sfdc

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a clock that moves when it is told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// org is a server under test with a client of its own.
type org struct {
	*Server
	t     *testing.T
	clock *clock
	http  *httptest.Server
	token string
	owner string
}

func newOrg(t *testing.T) *org {
	t.Helper()
	c := &clock{t: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	s, err := New(Options{Now: c.now, Seed: 7, ClientID: "app", ClientSecret: "hush"})
	if err != nil {
		t.Fatal(err)
	}
	owner, err := s.AddUser(User{Username: "ann@sandbox.example", Email: "ann@sandbox.example", FirstName: "Ann", LastName: "Berg", Active: true})
	if err != nil {
		t.Fatal(err)
	}
	o := &org{Server: s, t: t, clock: c, owner: owner}
	o.http = httptest.NewServer(s)
	t.Cleanup(o.http.Close)
	o.login()
	return o
}

func (o *org) login() {
	o.t.Helper()
	res, err := o.http.Client().PostForm(o.http.URL+"/services/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"hush"},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var m map[string]any
	if err := json.NewDecoder(res.Body).Decode(&m); err != nil {
		o.t.Fatal(err)
	}
	if _, ok := m["expires_in"]; ok {
		o.t.Error("a token reply has no expires_in")
	}
	if m["instance_url"] != o.http.URL || m["token_type"] != "Bearer" {
		o.t.Errorf("token reply %v", m)
	}
	o.token, _ = m["access_token"].(string)
}

// result is a reply of the server.
type result struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (r result) json() any {
	var v any
	_ = json.Unmarshal(r.body, &v)
	return v
}

// code is the error code of a failed reply.
func (r result) code() string {
	if l, ok := r.json().([]any); ok && len(l) > 0 {
		if m, ok := l[0].(map[string]any); ok {
			c, _ := m["errorCode"].(string)
			return c
		}
	}
	return ""
}

// do sends a request below /services/data/v66.0; headers are pairs.
func (o *org) do(method, path, body string, headers ...string) result {
	o.t.Helper()
	target := o.http.URL + path
	if !strings.HasPrefix(path, "/services") {
		target = o.http.URL + "/services/data/v66.0" + path
	}
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := o.http.Client().Do(req)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return result{status: res.StatusCode, header: res.Header, body: b, err: err}
}

func (o *org) want(r result, status int, code string) {
	o.t.Helper()
	if r.err != nil || r.status != status || r.code() != code {
		o.t.Errorf("got %d %q (%v) %s, want %d %q", r.status, r.code(), r.err, r.body, status, code)
	}
}

type page struct {
	TotalSize      int              `json:"totalSize"`
	Done           bool             `json:"done"`
	NextRecordsURL string           `json:"nextRecordsUrl"`
	Records        []map[string]any `json:"records"`
}

func (o *org) soql(verb, q string) page {
	o.t.Helper()
	r := o.do("GET", "/"+verb+"?q="+url.QueryEscape(q), "")
	if r.status != 200 {
		o.t.Fatalf("%s: %d %s", q, r.status, r.body)
	}
	var p page
	if err := json.Unmarshal(r.body, &p); err != nil {
		o.t.Fatalf("%s: %v in %s", q, err, r.body)
	}
	return p
}

// names are the last names that a query finds, in order.
func (o *org) names(verb, q string) string {
	o.t.Helper()
	var out []string
	for _, r := range o.soql(verb, q).Records {
		n, _ := r["LastName"].(string)
		out = append(out, n)
	}
	return strings.Join(out, " ")
}

// person adds a contact as its owner does.
func (o *org) person(pairs ...string) string {
	o.t.Helper()
	f := Fields{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f[pairs[i]] = pairs[i+1]
	}
	id, err := o.CreateContact(o.owner, f)
	if err != nil {
		o.t.Fatal(err)
	}
	return id
}

func (o *org) row(id string) map[string]any {
	o.t.Helper()
	r := o.do("GET", "/sobjects/Contact/"+id, "")
	if r.status != 200 {
		o.t.Fatalf("read %s: %d %s", id, r.status, r.body)
	}
	m, _ := r.json().(map[string]any)
	return m
}

// reopened is a new server with what the journal of this one held.
func reopened(t *testing.T, c *clock, journal []byte) *Server {
	t.Helper()
	s, err := New(Options{Now: c.now, Seed: 99, ClientID: "app", ClientSecret: "hush"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restore(bytes.NewReader(journal)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRowIsCreatedReadChangedAndDeleted(t *testing.T) {
	o := newOrg(t)
	r := o.do("POST", "/sobjects/Contact", `{"LastName":"  Łuczak ","FirstName":"Ewa","Email":"ewa@acme.example","Birthdate":"1980-02-29"}`)
	o.want(r, 201, "")
	id, _ := r.json().(map[string]any)["id"].(string)
	if len(id) != 18 || id[:3] != "003" {
		t.Fatalf("id %q", id)
	}
	m := o.row(id)
	if m["LastName"] != "Łuczak" || m["Name"] != "Ewa Łuczak" || m["OwnerId"] != o.RunAs() || m["SystemModstamp"] != "2026-11-02T09:00:00.000+0000" {
		t.Errorf("row %v", m)
	}
	o.clock.add(90 * time.Second)
	o.want(o.do("PATCH", "/sobjects/Contact/"+id[:15], `{"Title":"CTO","Email":null,"Phone":""}`), 204, "")
	m = o.row(id)
	if m["Title"] != "CTO" || m["Email"] != nil || m["Phone"] != nil || m["LastModifiedDate"] != "2026-11-02T09:01:30.000+0000" || m["CreatedDate"] != "2026-11-02T09:00:00.000+0000" {
		t.Errorf("row %v", m)
	}
	o.want(o.do("DELETE", "/sobjects/Contact/"+id, ""), 204, "")
	o.want(o.do("GET", "/sobjects/Contact/"+id, ""), 404, "ENTITY_IS_DELETED")
	o.want(o.do("PATCH", "/sobjects/Contact/"+id, `{"Title":"x"}`), 404, "ENTITY_IS_DELETED")
	o.want(o.do("DELETE", "/sobjects/Contact/"+id, ""), 404, "ENTITY_IS_DELETED")
	if err := o.PurgeContact(id); err != nil {
		t.Fatal(err)
	}
	o.want(o.do("GET", "/sobjects/Contact/"+id, ""), 404, "NOT_FOUND")
}
