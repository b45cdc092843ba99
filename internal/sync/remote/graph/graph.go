// Package graph connects to Microsoft 365 through Microsoft Graph v1.0.
//
// Microsoft's SDK core is the runtime: its request adapter, its authentication and
// its form of errors. The generated models and request builders are not used: they
// cost gigabytes to compile and lose updates. The few resources that we touch have
// their own small wire types here.
//
// Rules that hold for every request:
//
//   - It asks for immutable ids, so that an item keeps its id when it is moved.
//   - It goes to the configured host and nowhere else: a link in an answer that leads
//     elsewhere is refused.
//   - A write is sent once. Whether it may be repeated is the transport's decision,
//     and after an unclear failure nobody repeats it.
package graph

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// DefaultEndpoint is Microsoft's worldwide cloud. The sovereign ones are
// https://graph.microsoft.us, https://dod-graph.microsoft.us and
// https://microsoftgraph.chinacloudapi.cn.
const DefaultEndpoint = "https://graph.microsoft.com"

// Limits of the service; see
// https://learn.microsoft.com/graph/throttling-limits (Outlook service limits and
// the global limit) and https://learn.microsoft.com/graph/json-batching.
const (
	batchSize       = 20
	mailboxAtOnce   = 4
	mailboxRequests = 10_000
	mailboxPer      = Window
	globalRequests  = 130_000
	globalPer       = 10 * time.Second
	globalAtOnce    = 64 // ours: what one process can use
)

// Window is the time within which the service counts the requests of a mailbox.
const Window = 10 * time.Minute

// DefaultPageSize is how many contacts a page holds. The service gives no more of
// them, whatever it is asked for
// (https://learn.microsoft.com/answers/a/2052165).
const DefaultPageSize = 200

// Config says how to reach a tenant. Now is required, and what the chosen Auth
// needs.
type Config struct {
	// Endpoint is the service's address without the version; DefaultEndpoint if
	// empty. Plain http is accepted for this machine only.
	Endpoint string
	// TokenEndpoint, if not empty, is where tokens are had with the OAuth 2 client
	// credentials grant, for clouds and test servers that azidentity does not know.
	TokenEndpoint string
	// Tenant is the directory's id or domain, ClientID the id of our registration in it.
	Tenant   string
	ClientID string
	Auth     Auth
	// Secret and Certificate return what the registration's Auth needs. They are
	// called when a token is first needed and again when one is refused, so that a
	// secret may be changed while the program runs. The certificate is PEM or PKCS#12
	// with its key; Password opens it and may be nil.
	Secret      func() ([]byte, error)
	Certificate func() ([]byte, error)
	Password    func() ([]byte, error)
	// Prompt tells the person where to sign in, for AuthDeviceCode.
	Prompt func(ctx context.Context, message string) error
	// AppID is the id in the manifest of the add-in; without it there are no add-ins.
	AppID string
	Log   *slog.Logger
	Now   func() time.Time
	// Sleep and Jitter replace the transport's own; see transport.Config.
	Sleep  func(context.Context, time.Duration) error
	Jitter func() float64
	// Spent tells what other processes have lately requested of a mailbox, oldest first,
	// within Window; nil if there are none.
	Spent func(mailbox string) []remote.Spending
	// Transport carries the requests; transport.NewBase() if nil.
	Transport http.RoundTripper
	// PageSize is how many items to ask for in a page; DefaultPageSize if 0.
	PageSize int
	// Mapping replaces the default table if it has entries.
	Mapping mapping.Table
}

// Graph is a connection to a tenant.
type Graph struct {
	cfg    Config
	base   *url.URL // with the version
	client *transport.Client
	tenant *transport.Handle
	addIns *addIns
}

var _ remote.Mail = (*Graph)(nil)

// New returns a connection. It makes no request; its errors are of ClassSetup.
func New(cfg Config) (*Graph, error) {
	if cfg.Endpoint == "" {
		cfg.Endpoint = DefaultEndpoint
	}
	base, err := address("endpoint", cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	if cfg.TokenEndpoint != "" {
		if _, err := address("token endpoint", cfg.TokenEndpoint); err != nil {
			return nil, err
		}
	}
	if cfg.PageSize <= 0 {
		cfg.PageSize = DefaultPageSize
	}
	if len(cfg.Mapping.Entries) == 0 {
		cfg.Mapping = Table()
	}
	if err := knownFields(cfg.Mapping); err != nil {
		return nil, err
	}
	if cfg.Transport == nil {
		cfg.Transport = transport.NewBase()
	}
	if !strings.HasSuffix(base.Path, "/v1.0") {
		base.Path += "/v1.0"
	}
	tokens, err := newTokens(cfg, base)
	if err != nil {
		return nil, err
	}
	g := &Graph{cfg: cfg, base: base}
	g.client = transport.New(transport.Config{
		Base: cfg.Transport, Tokens: tokens, Log: cfg.Log, Now: cfg.Now, Sleep: cfg.Sleep, Jitter: cfg.Jitter,
		PerKey: transport.Pace{AtOnce: mailboxAtOnce, Requests: mailboxRequests, Per: mailboxPer},
		Global: transport.Pace{AtOnce: globalAtOnce, Requests: globalRequests, Per: globalPer},
		Spent:  cfg.spent,
	})
	g.tenant = g.client.For("")
	if cfg.AppID != "" {
		g.addIns = &addIns{g: g}
	}
	return g, nil
}

// spent brings Spent into the transport's form.
func (cfg Config) spent(mailbox string) []transport.Spending {
	if cfg.Spent == nil {
		return nil
	}
	var out []transport.Spending
	for _, s := range cfg.Spent(mailbox) {
		out = append(out, transport.Spending(s))
	}
	return out
}

// address parses an address that secrets and records are sent to.
func address(what, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, setup("the "+what+" is not an address", "give it as https://host")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, setup("the "+what+" must be reached by https", "plain http is accepted for this machine only")
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func setup(message, hint string) error {
	return &remote.Error{Class: remote.ClassSetup, Message: message, Hint: hint}
}

// Check asks for the id of one user, which needs no more than the right to list the
// people.
func (g *Graph) Check(ctx context.Context) error {
	return g.send(ctx, g.tenant, call{method: http.MethodGet, path: "/users", query: query{"$top": "1", "$select": "id"}}, nil)
}

// CheckUser asks for one contact folder of the mailbox.
func (g *Graph) CheckUser(ctx context.Context, user string) error {
	return g.send(ctx, g.client.For(user), call{
		method: http.MethodGet, path: path("users", user, "contactFolders"),
		query: query{"$top": "1", "$select": "id"}, scope: inMailbox,
	}, nil)
}

// Usage is what the busiest mailbox has used of what the service allows a mailbox within
// ten minutes. The service does not tell: it is what this program has counted.
func (g *Graph) Usage() remote.Usage {
	return remote.Usage{Used: g.client.Busiest(), Limit: mailboxRequests, At: g.cfg.Now()}
}

// Mailbox returns the handle of a mailbox by the id of its user.
func (g *Graph) Mailbox(id string) remote.Mailbox {
	return &mailbox{g: g, id: id, h: g.client.For(id)}
}

// AddIns is nil if no add-in is configured.
func (g *Graph) AddIns() remote.AddIns {
	if g.addIns == nil {
		return nil
	}
	return g.addIns
}
