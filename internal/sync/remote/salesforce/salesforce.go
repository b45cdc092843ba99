// Package salesforce is the connector to Salesforce, over its REST API.
//
// What it knows of Salesforce comes from its documentation; no organization could be
// reached while it was written. Each such assumption stands beside the code that
// makes it, with its source: errors.go for what errors mean, feed.go for which
// changes become visible when, write.go for preconditions and upserts, auth.go for
// tokens.
//
// What it keeps to:
//
//   - Versions are SystemModstamp, which has whole seconds. Two changes within one
//     second may bear the same version.
//   - The name of a contact's account is read as its company and never written. The
//     name of an account can change without its contacts showing a change; the
//     company is then read with the contact's next change.
//   - A contact that a query does not show, and that is not known to be deleted, is
//     elsewhere: a lost permission looks the same.
//   - Its errors hold no message of the server, which may quote the record.
package salesforce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// DefaultAPIVersion is the version that is used if none is named. 41.0 to 68.0 are
// supported at the end of 2026 (developer.salesforce.com, api_rest_eol.htm).
const DefaultAPIVersion = "v66.0"

// The ways to prove who we are.
const (
	// AuthClientSecret is the client credentials flow: a secret and the fixed Run As
	// user of an external client app.
	AuthClientSecret = "client-secret"
	// AuthJWT is the JWT bearer flow: a certificate and a user name.
	AuthJWT = "jwt"
	// AuthRefreshToken is a refresh token that a browser sign-in gave.
	AuthRefreshToken = "refresh-token"
	// AuthToken is an access token as it is. It cannot be renewed.
	AuthToken = "token"
)

// Config is what a connection is made of. Endpoint and Now are required, and what
// Auth needs.
type Config struct {
	// Endpoint is the address of the organization's My Domain, for example
	// https://acme.my.salesforce.com. Plain http is allowed to this machine only.
	Endpoint string
	// TokenEndpoint is Endpoint + /services/oauth2/token if empty.
	TokenEndpoint string
	// Auth is one of the Auth constants; AuthClientSecret if empty.
	Auth     string
	ClientID string
	// Username is whom a JWT speaks for, Audience whom it is made out to: Endpoint if
	// empty.
	Username string
	Audience string
	// Secret returns the client secret, Token an access or refresh token, Key the
	// private key of the certificate in PEM form. They are asked whenever a token is
	// needed, and never logged.
	Secret func() ([]byte, error)
	Token  func() ([]byte, error)
	Key    func() ([]byte, error)
	// StampField is the contact's field for our stamp: text of 255 characters, external
	// id, unique. Without it, items bear no stamps.
	StampField string
	// APIVersion is DefaultAPIVersion if empty.
	APIVersion string
	// Overlap is by how much a feed is read again against late commits; 0 means 10
	// minutes.
	Overlap time.Duration
	// Reserve is the share of the daily API calls that synchronizing leaves to others,
	// between 0 and 1; 0 means 0.2. A negative one leaves nothing.
	Reserve float64
	// Usage is what another process was last told of the daily API calls, if anything.
	Usage remote.Usage

	// Log may be nil. Now is the clock. Base carries the requests and may be nil; Sleep
	// and Jitter are as in transport.Config.
	Log    *slog.Logger
	Now    func() time.Time
	Base   http.RoundTripper
	Sleep  func(context.Context, time.Duration) error
	Jitter func() float64
}

// Salesforce is a connection to one organization.
type Salesforce struct {
	*client

	mu sync.Mutex
	// table and stampField are what the organization has, as far as it was asked.
	shape shape
	// unasked: Open could not ask what the organization has; asking does it later.
	unasked bool
	asking  *transport.Flight[struct{}]
}

var _ remote.CRM = (*Salesforce)(nil)

var (
	fieldName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,79}$`)
	versionName = regexp.MustCompile(`^v[0-9]{2}\.0$`)
)

// New returns a connection. It makes no request: the table is the default one, as if
// the organization had every field in it. Open asks the organization.
func New(cfg Config) (*Salesforce, error) {
	if cfg.Now == nil {
		return nil, errors.New("salesforce: a clock is required")
	}
	if cfg.Auth == "" {
		cfg.Auth = AuthClientSecret
	}
	if cfg.APIVersion == "" {
		cfg.APIVersion = DefaultAPIVersion
	}
	if cfg.Overlap == 0 {
		cfg.Overlap = 10 * time.Minute
	}
	if cfg.Reserve == 0 {
		cfg.Reserve = 0.2
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Endpoint = strings.TrimRight(cfg.Endpoint, "/")
	if cfg.TokenEndpoint == "" {
		cfg.TokenEndpoint = cfg.Endpoint + "/services/oauth2/token"
	}
	if cfg.Audience == "" {
		cfg.Audience = cfg.Endpoint
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Salesforce{client: newClient(cfg), asking: transport.NewFlight[struct{}](cfg.Now), shape: shape{table: defaultTable(), stampField: cfg.StampField, stampSize: stampSize, upsert: cfg.StampField != ""}}, nil
}

// Open returns a connection whose table holds what the organization has: optional
// fields such as MiddleName and Suffix are left out where they are not enabled or not
// visible to our user, and fields that our user may not write are read only. It costs
// one API call beside the token.
//
// An organization that cannot be reached just now opens all the same, so that its
// connection remembers that: what is asked of it fails at once for a short while, and
// the first collection that is opened after it has answered is as good as any.
func Open(ctx context.Context, cfg Config) (*Salesforce, error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s.unasked = true
	if err := s.ready(ctx); err != nil && (ctx.Err() != nil || !later(err)) {
		return nil, err
	}
	return s, nil
}

func (cfg Config) check() error {
	bad := func(message, hint string) error {
		return &remote.Error{Class: remote.ClassSetup, Code: "configuration", Message: message, Hint: hint}
	}
	for name, address := range map[string]string{"endpoint": cfg.Endpoint, "token endpoint": cfg.TokenEndpoint} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || !safe(u) {
			return bad("the "+name+" of the Salesforce connection is not an https address", "give the address of My Domain, such as https://acme.my.salesforce.com")
		}
	}
	if !versionName.MatchString(cfg.APIVersion) {
		return bad("the API version has not the form v66.0", "")
	}
	if cfg.StampField != "" && !fieldName.MatchString(cfg.StampField) {
		return bad("the stamp field is not the API name of a field", "give a name such as CrmSync_Stamp__c")
	}
	missing := func(what string) error {
		return bad(fmt.Sprintf("authentication by %s needs %s", cfg.Auth, what), "")
	}
	switch cfg.Auth {
	case AuthClientSecret:
		if cfg.ClientID == "" || cfg.Secret == nil {
			return missing("a client id and a secret")
		}
	case AuthJWT:
		if cfg.ClientID == "" || cfg.Username == "" || cfg.Key == nil {
			return missing("a client id, a user name and a private key")
		}
	case AuthRefreshToken:
		if cfg.ClientID == "" || cfg.Token == nil {
			return missing("a client id and a refresh token")
		}
	case AuthToken:
		if cfg.Token == nil {
			return missing("a token")
		}
	default:
		return bad(fmt.Sprintf("there is no authentication by %q", cfg.Auth), "use client-secret, jwt, refresh-token or token")
	}
	return nil
}

// safe reports whether a token may travel to an address: in the clear only to this
// machine.
func safe(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "http" && loopback(u) }

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Check asks for the organization's limits.
func (s *Salesforce) Check(ctx context.Context) error {
	_, err := s.send(ctx, s.handle(), request{method: http.MethodGet, path: s.data("limits")})
	return err
}

// CheckUser looks for an active user of that id, or of that e-mail address.
func (s *Salesforce) CheckUser(ctx context.Context, user string) error {
	where := "Email = " + quote(user)
	if isID(user, "005") {
		where = "Id = " + quote(user)
	}
	var rows []struct{ IsActive bool }
	if err := s.query(ctx, s.handle(), "SELECT IsActive FROM User WHERE "+where, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		if r.IsActive {
			return nil
		}
	}
	e := &remote.Error{Class: remote.ClassAuthorization, Code: "unknown-user", Message: "Salesforce has no such user", Hint: "compare the user's CRM id with the users in Salesforce Setup"}
	if len(rows) > 0 {
		e.Code, e.Message, e.Hint = "inactive-user", "the Salesforce user is not active", "activate the user in Salesforce Setup, or disable the synchronization"
	}
	return e
}

// People lists the active users with a full licence (UserType Standard).
func (s *Salesforce) People(ctx context.Context) ([]remote.Person, error) {
	var rows []struct {
		ID          string `json:"Id"`
		Email, Name string
	}
	if err := s.query(ctx, s.handle(), "SELECT Id, Email, Name FROM User WHERE IsActive = true AND UserType = 'Standard' ORDER BY Id", &rows); err != nil {
		return nil, err
	}
	people := make([]remote.Person, 0, len(rows))
	for _, r := range rows {
		p := remote.Person{ID: r.ID, Email: r.Email, Name: r.Name}
		if p.Email == "" {
			p.Unusable = "the Salesforce user has no e-mail address"
		}
		people = append(people, p)
	}
	return people, nil
}

// Organization returns the id of 18 characters. Where the token's answer has told it,
// it costs nothing.
func (s *Salesforce) Organization(ctx context.Context) (string, error) {
	if _, err := s.tokens.instance(ctx); err != nil {
		return "", err
	}
	if id := s.tokens.organization(); id != "" {
		return id, nil
	}
	var rows []struct {
		ID string `json:"Id"`
	}
	if err := s.query(ctx, s.handle(), "SELECT Id FROM Organization", &rows); err != nil {
		return "", err
	}
	if len(rows) != 1 || !isID(rows[0].ID, "00D") {
		return "", unreadable(false)
	}
	id := long(rows[0].ID)
	s.tokens.learn(id)
	return id, nil
}

// Usage is what the last answer said of the organization's daily API calls.
func (s *Salesforce) Usage() remote.Usage { return s.used() }

// Collection returns the contacts; nil for any other entity.
func (s *Salesforce) Collection(e record.Entity) remote.Collection {
	if e != record.Contacts {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := contacts{client: s.client, shape: s.shape, h: s.handle()}
	if s.unasked {
		return &unasked{contacts: c, s: s}
	}
	return &c
}

// contacts is a handle on all contacts of the organization.
type contacts struct {
	*client
	shape
	h *transport.Handle
}

func (c *contacts) Requests() int { return c.h.Requests() }

func (c *contacts) Capabilities() remote.Capabilities {
	return remote.Capabilities{
		Mapping: mapping.Table{Entity: c.table.Entity, Entries: c.table.Entries},
		// Collections take 200 records; updates with a precondition travel one by one.
		BatchSize:         batchSize,
		ConditionalWrite:  true,
		VersionResolution: time.Second,
		Tombstones:        true,
		Stamps:            c.stampField != "",
		SoftDelete:        true,
	}
}
