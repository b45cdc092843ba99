package sfdc

import (
	"bytes"
	"compress/gzip"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	defaultVersion = "v66.0"
	// The versions of an organization at the end of 2026. Up to retiredVersion calls
	// answer 410 (developer.salesforce.com, api_rest_eol).
	oldestVersion, newestVersion, retiredVersion = 31, 68, 30
	// maxURI is the longest request line that Salesforce takes ("API Request Limits
	// and Allocations"); longer ones answer 414.
	maxURI  = 16_384
	maxBody = 50 << 20
)

// Options are what an organization begins with.
type Options struct {
	// Now is the server's clock.
	Now func() time.Time
	// Seed makes the organization's ids and its random faults.
	Seed uint64
	// OrgName is the name of the organization; the default is Sandbox.
	OrgName string
	// ClientID and ClientSecret are those of the one external client app.
	ClientID     string
	ClientSecret string
	// RunAs is the user name of the integration user that the client credentials
	// flow runs as.
	RunAs string
	// CustomFields of Contact; nil for DefaultCustomFields.
	CustomFields []CustomField
	// APILimit is how many API calls a day allows; 0 means 1,000,000.
	APILimit int
	// SessionLife is how long a session lasts; 0 means two hours.
	SessionLife time.Duration
}

// Server is a Salesforce organization. Create it with New.
type Server struct {
	opts Options

	mu       sync.Mutex
	tables   map[string]*table
	byName   map[string]*table
	byPrefix map[string]*table
	next     map[string]uint64
	instance string
	org      string
	runAs    string
	journal  func([]byte) error

	hidden       map[string]bool
	locked       map[string]int
	lockFailures int
	rules        []ValidationRule

	duplicateRule bool
	lowerEmail    bool
	skew          time.Duration
	lateCommit    time.Duration
	latency       time.Duration
	inFlight      []*Transaction

	certificates map[string]*rsa.PublicKey
	refresh      map[string]string
	sessions     int
	cursors      map[string]*cursor
	nextCursor   uint64
	used, limit  int
	stats        Stats
	faults       []*Fault
	late         []lateRequest
	random       *rand.Rand
}

// New returns an organization with its own row, the user of the integration, and
// nothing else.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		return nil, errors.New("sfdc: a clock is required")
	}
	if o.OrgName == "" {
		o.OrgName = "Sandbox"
	}
	if o.RunAs == "" {
		o.RunAs = "integration@sandbox.example"
	}
	if o.CustomFields == nil {
		o.CustomFields = DefaultCustomFields()
	}
	if o.APILimit == 0 {
		o.APILimit = 1_000_000
	}
	if o.SessionLife == 0 {
		o.SessionLife = 2 * time.Hour
	}
	s := &Server{
		opts: o, limit: o.APILimit, duplicateRule: true,
		tables: make(map[string]*table), byName: make(map[string]*table), byPrefix: make(map[string]*table),
		next:         make(map[string]uint64),
		certificates: make(map[string]*rsa.PublicKey), refresh: make(map[string]string),
		random: rand.New(rand.NewPCG(o.Seed, 1)), sessions: 1,
	}
	contact := contactSchema()
	for _, c := range o.CustomFields {
		contact.add(c.field())
	}
	for _, sc := range []*schema{contact, accountSchema(), userSchema(), organizationSchema()} {
		s.tables[sc.name] = newTable(sc)
	}
	s.clear()
	ids := rand.New(rand.NewPCG(o.Seed, 2))
	s.instance = string([]byte{base62[ids.IntN(62)], base62[ids.IntN(62)], '0'})
	tx := &tx{s: s}
	w := write{tx: tx, at: s.now()}
	org, f := s.insert(w, s.tables["Organization"].schema, fields{
		"Name": o.OrgName, "OrganizationType": "Developer Edition", "InstanceName": "SBX1", "TimeZoneSidKey": "UTC",
	})
	if f != nil {
		return nil, f
	}
	s.org = org
	id, err := s.addUser(tx, User{Username: o.RunAs, Email: o.RunAs, LastName: "Integration", Active: true})
	if err != nil {
		return nil, err
	}
	s.runAs = id
	return s, nil
}

// clear forgets all rows, open queries and transactions.
func (s *Server) clear() {
	for name, t := range s.tables {
		t = newTable(t.schema)
		s.tables[name], s.byName[lower(name)], s.byPrefix[t.schema.prefix] = t, t, t
		s.next[t.schema.prefix] = 1
	}
	s.hidden, s.locked, s.cursors, s.inFlight = make(map[string]bool), make(map[string]int), make(map[string]*cursor), nil
	s.org, s.runAs = "", ""
}

// now is the server's own time.
func (s *Server) now() time.Time { return s.opts.Now().UTC().Add(s.skew) }

// call is one request to the API, or one part of a composite request.
type call struct {
	method  string
	path    []string
	query   url.Values
	header  http.Header
	body    []byte
	base    string
	version string
	user    string
	tx      *tx
	// nested: the call is a part of a composite request.
	nested bool
}

// reply is what a call answers. A nil body is an empty one; []byte goes out as it
// is; anything else becomes JSON.
type reply struct {
	status int
	header http.Header
	body   any
}

func answer(status int, body any) *reply { return &reply{status: status, body: body} }

func failed(f *failure) *reply { return answer(f.status, f.body()) }

func (r *reply) bytes() []byte {
	switch b := r.body.(type) {
	case nil:
		return nil
	case []byte:
		return b
	case json.RawMessage:
		return b
	}
	b, err := json.Marshal(r.body)
	if err != nil {
		panic(err) // replies are made of plain maps and slices
	}
	return b
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		s.send(w, r, failed(badRequest("JSON_PARSER_ERROR", "%v", err)), nil)
		return
	}
	s.landLate(r)
	fault := s.faultFor(r)
	if !wait(r, s.delay(fault)) {
		return
	}
	if fault != nil && fault.before(w) {
		return
	}
	if fault != nil && fault.Kind == FaultLate {
		s.keepForLater(r, body, fault.After)
		s.send(w, r, answer(http.StatusGatewayTimeout, nil), fault)
		return
	}
	s.send(w, r, s.handle(r, body), fault)
}

func readBody(r *http.Request) ([]byte, error) {
	in := io.Reader(http.MaxBytesReader(nil, r.Body, maxBody))
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = io.LimitReader(z, maxBody)
	}
	return io.ReadAll(in)
}

// handle runs a request to its end and counts it.
func (s *Server) handle(r *http.Request, body []byte) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitDue()
	s.stats.Requests++
	path, ok := splitPath(r.URL.EscapedPath())
	if !ok {
		return failed(notFound())
	}
	c := &call{
		method: r.Method, path: path, query: r.URL.Query(), header: r.Header, body: body,
		base: "http://" + r.Host, tx: &tx{s: s},
	}
	if r.TLS != nil {
		c.base = "https://" + r.Host
	}
	rep := s.route(c, len(r.RequestURI))
	if f := c.tx.commit(); f != nil {
		rep = failed(f)
	}
	if rep.header == nil {
		rep.header = http.Header{}
	}
	if c.user != "" {
		rep.header.Set("Sforce-Limit-Info", "api-usage="+strconv.Itoa(s.used)+"/"+strconv.Itoa(s.limit))
	}
	return rep
}

func splitPath(escaped string) ([]string, bool) {
	var out []string
	for part := range strings.SplitSeq(strings.Trim(escaped, "/"), "/") {
		p, err := url.PathUnescape(part)
		if err != nil {
			return nil, false
		}
		out = append(out, p)
	}
	return out, true
}

// route finds what a request is for.
func (s *Server) route(c *call, uriLength int) *reply {
	if len(c.path) < 2 || c.path[0] != "services" {
		return failed(notFound())
	}
	if c.path[1] == "oauth2" {
		s.stats.Tokens++
		return s.oauth(c)
	}
	if c.path[1] != "data" {
		return failed(notFound())
	}
	if len(c.path) == 2 {
		s.stats.Versions++
		return s.versions()
	}
	if uriLength > maxURI {
		return answer(http.StatusRequestURITooLong, []byte("<html><body><h1>URI Too Long</h1></body></html>"))
	}
	if f := checkVersion(c.path[2]); f != nil {
		return failed(f)
	}
	user := s.session(c.header.Get("Authorization"))
	if user == "" {
		rep := failed(fail(http.StatusUnauthorized, "INVALID_SESSION_ID", "Session expired or invalid"))
		rep.header = http.Header{"Www-Authenticate": {"Token"}}
		return rep
	}
	c.user = user
	if s.used >= s.limit {
		return failed(fail(http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
	}
	s.used++
	c.version, c.path = c.path[2], c.path[3:]
	return s.data(c)
}

// data answers what lies below /services/data/vXX.X.
func (s *Server) data(c *call) *reply {
	if len(c.path) == 0 {
		s.stats.Other++
		return s.resources(c)
	}
	rest := c.path[1:]
	switch c.path[0] {
	case "query", "queryAll":
		return s.queryCall(c, c.path[0], rest)
	case "sobjects":
		return s.sobjects(c, rest)
	case "composite":
		if len(rest) == 0 {
			return s.composite(c)
		}
		if rest[0] == "sobjects" {
			return s.collections(c, rest[1:])
		}
	case "limits":
		if len(rest) == 0 && c.method == http.MethodGet {
			s.stats.Other++
			return s.limits()
		}
	}
	return failed(notFound())
}

func methodNotAllowed(c *call) *reply {
	return failed(fail(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "HTTP Method '%s' not allowed.", c.method))
}

// versions is the list at /services/data/, which needs no session.
func (s *Server) versions() *reply {
	seasons := []string{"Spring", "Summer", "Winter"}
	var list []any
	for v := oldestVersion; v <= newestVersion; v++ {
		// Summer '26 is 67.0; there are three releases a year.
		n := v - 67 + 1
		year := 26 + n/3
		if n %= 3; n < 0 {
			n, year = n+3, year-1
		}
		if n == 2 {
			year++
		}
		name := fmt.Sprintf("v%d.0", v)
		list = append(list, map[string]string{
			"label": fmt.Sprintf("%s '%02d", seasons[n], year), "url": "/services/data/" + name, "version": name[1:],
		})
	}
	return answer(http.StatusOK, list)
}

func checkVersion(v string) *failure {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(v, "v"), ".0"))
	if err != nil || v != fmt.Sprintf("v%d.0", n) || n > newestVersion {
		return notFound()
	}
	if n <= retiredVersion {
		return fail(http.StatusGone, "UNSUPPORTED_API_VERSION", "The requested API version is retired")
	}
	return nil
}

func (s *Server) resources(c *call) *reply {
	m := map[string]string{}
	for _, n := range []string{"query", "queryAll", "sobjects", "limits", "composite"} {
		m[n] = "/services/data/" + c.version + "/" + n
	}
	m["identity"] = c.base + "/id/" + s.org + "/" + c.user
	return answer(http.StatusOK, m)
}

func (s *Server) limits() *reply {
	return answer(http.StatusOK, map[string]any{
		"DailyApiRequests":     map[string]int{"Max": s.limit, "Remaining": max(0, s.limit-s.used)},
		"DailyBulkV2QueryJobs": map[string]int{"Max": 10_000, "Remaining": 10_000},
	})
}

// decode reads a JSON body, keeping numbers as they are written.
func decode(body []byte, into any) *failure {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return badRequest("JSON_PARSER_ERROR", "Unexpected content at [line:1, column:%d]", d.InputOffset()+1)
	}
	return nil
}
