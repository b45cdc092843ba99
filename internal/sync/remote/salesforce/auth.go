package salesforce

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// A token's answer has no expires_in: a session ends when a call answers 401
// INVALID_SESSION_ID. The transport then asks once for another token, on behalf of all
// who wait, and repeats the call once (Salesforce Help, "OAuth 2.0 Client Credentials
// Flow" and "OAuth 2.0 JWT Bearer Flow").

// tokenSource gets tokens and remembers the last.
type tokenSource struct {
	cfg  Config
	http *transport.Client
	// clock hears the server's time from each answer.
	clock  func(time.Time)
	flight *transport.Flight[string]

	mu    sync.Mutex
	token string
	base  string
	org   string
	lead  time.Duration // of the server's clock over ours
}

func newTokenSource(cfg Config, h *transport.Client, clock func(time.Time)) *tokenSource {
	return &tokenSource{cfg: cfg, http: h, clock: clock, flight: transport.NewFlight[string](cfg.Now), base: cfg.Endpoint}
}

// grant is the answer of the token endpoint.
type grant struct {
	AccessToken string `json:"access_token"`
	InstanceURL string `json:"instance_url"`
	// ID is the address of the user's identity: …/id/<organization>/<user>.
	ID    string `json:"id"`
	Error string `json:"error"`
}

// Token returns the token at hand, or fetches one if there is none or it was refused.
func (s *tokenSource) Token(ctx context.Context, denied transport.Denied) (string, error) {
	if t := s.current(); t != "" && t != denied.Token {
		return t, nil
	}
	t, err := s.flight.Do(ctx, denied.Token, func(ctx context.Context) (string, error) { return s.ask(ctx, denied) })
	if err != nil {
		return "", unanswered(err, false) // of the flight's own, there is only the end of the context
	}
	return t, nil
}

func (s *tokenSource) ask(ctx context.Context, denied transport.Denied) (string, error) {
	if t := s.current(); t != "" && t != denied.Token {
		return t, nil
	}
	if s.cfg.Auth == AuthToken {
		return s.given(denied)
	}
	before := s.ahead()
	g, err := s.fetch(ctx)
	if off := s.ahead() - before; err != nil && s.cfg.Auth == AuthJWT && off.Abs() > time.Minute {
		g, err = s.fetch(ctx) // our clock was wrong; the refusal has told the right time
	}
	if err != nil {
		return "", err
	}
	s.keep(g)
	return g.AccessToken, nil
}

func (s *tokenSource) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// given reads the access token of the configuration. It may have been replaced there.
func (s *tokenSource) given(denied transport.Denied) (string, error) {
	t, err := secret(s.cfg.Token)
	if err != nil {
		return "", err
	}
	if t == denied.Token {
		return "", &remote.Error{
			Class: remote.ClassConnection, Status: http.StatusUnauthorized, Code: "INVALID_SESSION_ID",
			Message: "Salesforce does not accept the token any more", Hint: "give the connection a new token, or a way to get one: client-secret or jwt",
		}
	}
	s.keep(grant{AccessToken: t})
	return t, nil
}

// keep remembers a grant. An instance that the server names is taken only if the
// token may travel there; an endpoint on this machine stays the one that was given.
func (s *tokenSource) keep(g grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = g.AccessToken
	if own, err := url.Parse(s.cfg.Endpoint); err == nil && !loopback(own) {
		if u, err := url.Parse(g.InstanceURL); err == nil && u.Host != "" && u.Scheme == "https" {
			s.base = "https://" + u.Host
		}
	}
	parts := strings.Split(strings.TrimRight(g.ID, "/"), "/")
	if len(parts) >= 2 && isID(parts[len(parts)-2], "00D") {
		s.org = long(parts[len(parts)-2])
	}
}

// instance returns the address that calls go to. It fetches the first token, whose
// answer tells it.
func (s *tokenSource) instance(ctx context.Context) (string, error) {
	if s.current() == "" {
		if _, err := s.Token(ctx, transport.Denied{}); err != nil {
			return "", err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base, nil
}

func (s *tokenSource) ahead() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lead
}

func (s *tokenSource) organization() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.org
}

func (s *tokenSource) learn(org string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.org = org
}

func (s *tokenSource) fetch(ctx context.Context) (grant, error) {
	form, err := s.form()
	if err != nil {
		return grant{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.TokenEndpoint, bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		return grant{}, setup("the token endpoint is not an address")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	a, err := exchange(s.http.For("token").With(transport.Options{Safe: true}), req)
	if err != nil {
		return grant{}, unanswered(err, false)
	}
	s.note(a)
	var g grant
	if err := json.Unmarshal(a.body, &g); err != nil && a.status < 500 {
		return grant{}, unreadable(false)
	}
	if a.status != http.StatusOK || g.AccessToken == "" {
		return grant{}, noToken(a.status, g.Error)
	}
	return g, nil
}

func (s *tokenSource) note(a answer) {
	s.clock(a.at)
	if !a.at.IsZero() {
		s.mu.Lock()
		s.lead = a.at.Sub(s.cfg.Now())
		s.mu.Unlock()
	}
}

func (s *tokenSource) form() (url.Values, error) {
	f := url.Values{"client_id": {s.cfg.ClientID}}
	if s.cfg.Auth == AuthJWT {
		assertion, err := s.assertion()
		if err != nil {
			return nil, err
		}
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}, nil
	}
	// An app may ask for no secret with a refresh token.
	if s.cfg.Secret != nil {
		v, err := secret(s.cfg.Secret)
		if err != nil && s.cfg.Auth != AuthRefreshToken {
			return nil, err
		}
		if err == nil {
			f.Set("client_secret", v)
		}
	}
	f.Set("grant_type", "client_credentials")
	if s.cfg.Auth == AuthRefreshToken {
		v, err := secret(s.cfg.Token)
		if err != nil {
			return nil, err
		}
		f.Set("grant_type", "refresh_token")
		f.Set("refresh_token", v)
	}
	return f, nil
}

// assertionLife is how long an assertion is good for; the server takes no more than
// five minutes.
const assertionLife = 3 * time.Minute

// assertion returns a signed JWT: iss is the app, sub the user, aud the host.
func (s *tokenSource) assertion() (string, error) {
	pem, err := secret(s.cfg.Key)
	if err != nil {
		return "", err
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(pem))
	if err != nil {
		return "", setup("the certificate of the connection holds no RSA private key")
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": s.cfg.ClientID, "sub": s.cfg.Username, "aud": s.cfg.Audience,
		"exp": s.cfg.Now().Add(s.ahead() + assertionLife).Unix(),
	}).SignedString(key)
	if err != nil {
		return "", setup("the private key of the connection cannot sign")
	}
	return signed, nil
}

// secret reads a secret without the line end that a file or a command leaves.
func secret(read func() ([]byte, error)) (string, error) {
	b, err := read()
	if err != nil {
		return "", &remote.Error{Class: remote.ClassSetup, Message: "a secret of the Salesforce connection cannot be read", Err: err}
	}
	t := strings.TrimSpace(string(b))
	if t == "" {
		return "", setup("a secret of the Salesforce connection is empty")
	}
	return t, nil
}

func setup(message string) *remote.Error {
	return &remote.Error{Class: remote.ClassSetup, Code: "configuration", Message: message}
}
