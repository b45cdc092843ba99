package m365

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options are the settings of a Server. Only Now is compulsory; a zero value stands for
// the default that is named at each field.
type Options struct {
	// Now is the server's clock.
	Now func() time.Time
	// Seed makes ids, tokens and random faults; the same seed gives the same ones.
	Seed uint64

	// Tenant is the id of the directory, by default 5a4db0c5-0000-4000-8000-000000000365;
	// TenantName what it is called, by default "Contoso"; Domain its domain, by default
	// contoso.example.
	Tenant     string
	TenantName string
	Domain     string
	// ClientID and ClientSecret are those of the one registered application, by default
	// "sandbox-client" and "sandbox-secret".
	ClientID     string
	ClientSecret string
	// TokenLifetime is how long an access token lasts, by default one hour.
	TokenLifetime time.Duration

	// Concurrency is how many requests one mailbox bears at a time, by default 4;
	// Requests how many within Window, by default 10,000 in ten minutes; Upload how many
	// bytes within half of Window, by default 150 MB. D/concepts/throttling-limits.md
	Concurrency int
	Requests    int
	Window      time.Duration
	Upload      int64

	// ReplayAdvances makes each use of a delta link a new generation of its chain, so
	// that a client which does not store the newest link loses it after three uses. By
	// default only a link that is newer than all others does.
	ReplayAdvances bool
	// NoMoveHole switches off that an item which left a folder and came back between two
	// delta rounds stays reported as removed (docs#21752).
	NoMoveHole bool

	// Journal, if not nil, gets each change before its answer is sent.
	Journal Journal
	// Wait is how a fault's latency passes; by default a timer that ends with the request.
	Wait func(ctx context.Context, d time.Duration)
	// Log is how many of the last requests Requests returns, by default 1,000.
	Log int
}

// Server is the service: an http.Handler over the data it holds. Its methods may be
// called from several goroutines.
type Server struct {
	opt Options

	mu        sync.Mutex
	rng       *rand.Rand
	users     map[string]*mailbox // by lower-case id
	byUPN     map[string]*mailbox // by lower-case userPrincipalName
	order     []*mailbox          // in the order of their ids' creation
	apps      []app
	changes   uint64 // how many were committed
	secret    string
	tokens    map[string]token
	faults    []*activeFault
	late      []lateCall
	onRequest func(op, user string)
	stats     stats
	ids       uint64 // for request ids and access tokens
	served    int    // logical requests, for late ones
}

// New returns a server without users. It panics without a clock, which is a mistake of
// the program and not of its input.
func New(opt Options) *Server {
	if opt.Now == nil {
		panic("m365: Options.Now is nil")
	}
	set(&opt.Tenant, "5a4db0c5-0000-4000-8000-000000000365")
	set(&opt.TenantName, "Contoso")
	set(&opt.Domain, "contoso.example")
	set(&opt.ClientID, "sandbox-client")
	set(&opt.ClientSecret, "sandbox-secret")
	set(&opt.TokenLifetime, time.Hour)
	set(&opt.Concurrency, 4)
	set(&opt.Requests, 10_000)
	set(&opt.Window, 10*time.Minute)
	set(&opt.Upload, 150<<20)
	set(&opt.Log, 1000)
	if opt.Wait == nil {
		opt.Wait = wait
	}
	s := &Server{opt: opt, secret: opt.ClientSecret}
	s.rng = rand.New(rand.NewPCG(opt.Seed, 0x365))
	s.tokens = map[string]token{}
	s.clear()
	s.stats.clear()
	return s
}

// set gives an option its default.
func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// clear forgets all data.
func (s *Server) clear() {
	s.users, s.byUPN, s.order, s.apps = map[string]*mailbox{}, map[string]*mailbox{}, nil, nil
	s.changes = 0
}

// ServeHTTP answers one request: Entra's token endpoint below /{tenant}/, Graph below
// /v1.0/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	switch {
	case strings.HasPrefix(path, "/v1.0/"):
		s.serveGraph(w, r, strings.TrimPrefix(path, "/v1.0/"))
	case strings.HasSuffix(path, "/oauth2/v2.0/token"):
		s.serveToken(w, r)
	case strings.HasSuffix(path, "/.well-known/openid-configuration"):
		s.serveOpenID(w, r)
	default:
		s.newExchange(r).write(w, r, failed(http.StatusNotFound, "UnknownError", "There is no such version of the service here."))
	}
}

// serveGraph answers a request below /v1.0/: who asks, what for, and how the answer goes
// out.
func (s *Server) serveGraph(w http.ResponseWriter, r *http.Request, path string) {
	x := s.newExchange(r)
	app, refused := s.authorize(r)
	if refused != nil {
		s.stats.refused(&s.mu)
		x.write(w, r, refused)
		return
	}
	body, refused := readBody(r)
	if refused != nil {
		s.stats.refused(&s.mu)
		x.write(w, r, refused)
		return
	}
	c := &call{
		ctx: r.Context(), method: r.Method, path: path, query: parseQuery(r.URL.RawQuery),
		header: r.Header, body: body, base: x.base, app: app, exchange: x,
	}
	if strings.EqualFold(path, "$batch") {
		x.write(w, r, s.serveBatch(c))
		return
	}
	x.write(w, r, s.serve(c))
}
