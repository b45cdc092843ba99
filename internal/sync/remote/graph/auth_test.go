package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	secret := func() ([]byte, error) { panic("a secret is not needed yet") }
	good := Config{Tenant: "t", ClientID: "c", Secret: secret, Now: newClock().now}
	for name, change := range map[string]func(*Config){
		"plain http":                     func(c *Config) { c.Endpoint = "http://graph.example" },
		"plain http to a look-alike":     func(c *Config) { c.Endpoint = "http://localhost.example" },
		"plain http for tokens":          func(c *Config) { c.TokenEndpoint = "http://login.example/token" },
		"no host":                        func(c *Config) { c.Endpoint = "graph.microsoft.com" },
		"a password in the address":      func(c *Config) { c.Endpoint = "https://a:b@graph.example" },
		"no tenant":                      func(c *Config) { c.Tenant = "" },
		"no client id":                   func(c *Config) { c.ClientID = "" },
		"no secret":                      func(c *Config) { c.Secret = nil },
		"no certificate":                 func(c *Config) { c.Auth = AuthCertificate },
		"nobody to tell the device code": func(c *Config) { c.Auth = AuthDeviceCode },
		"an unknown kind":                func(c *Config) { c.Auth = "password" },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); !remote.Is(err, remote.ClassSetup) {
			t.Errorf("%s: %v (%s)", name, err, remote.ClassOf(err))
		}
	}
	for _, endpoint := range []string{"", "https://graph.microsoft.us", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost:8080/", "https://graph.example/v1.0"} {
		cfg := good
		cfg.Endpoint = endpoint
		g, err := New(cfg)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		if !strings.HasSuffix(g.base.String(), "/v1.0") || strings.Contains(g.base.Path, "//") || strings.Count(g.base.Path, "v1.0") != 1 {
			t.Errorf("%s: base %s", endpoint, g.base)
		}
	}
}

// A token that expired, was withdrawn, or whose secret was changed drops no request.
func TestTokensAreRenewed(t *testing.T) {
	t.Parallel()
	secret := atomic.Pointer[string]{}
	first := "sandbox-secret"
	secret.Store(&first)
	b := newBench(t, func(_ *m365.Options, c *Config) {
		c.Secret = func() ([]byte, error) { return []byte(*secret.Load()), nil }
	})
	_, col := b.open(t)
	write := func(what string) {
		t.Helper()
		for i, r := range col.Apply(t.Context(), creates(3)) {
			if r.Err != nil {
				t.Errorf("%s: write %d: %v", what, i, r.Err)
			}
		}
	}
	b.ExpireTokens()
	write("after the tokens expired")
	b.RevokeTokens()
	write("after the tokens were withdrawn")
	second := "another"
	b.SetClientSecret(second)
	secret.Store(&second)
	b.ExpireTokens()
	write("after the secret was changed")
	items, err := b.Contacts(b.users[0], "CRM")
	if err != nil || len(items) != 9 {
		t.Errorf("%d items, want 9 (error %v)", len(items), err)
	}

	b.SetClientSecret("unknown to us")
	b.ExpireTokens()
	err = b.g.Check(t.Context())
	if !remote.Is(err, remote.ClassConnection) || detail(err).Code != "AADSTS7000215" || detail(err).Hint == "" {
		t.Errorf("with a wrong secret: %v", err)
	}
}

func TestASecretThatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *m365.Options, c *Config) {
		c.Secret = func() ([]byte, error) { return nil, errors.New("file secret-path is away") }
	})
	err := b.g.Check(t.Context())
	if !remote.Is(err, remote.ClassSetup) || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("error %v (%s)", err, remote.ClassOf(err))
	}
}

// azidentity's own way in, against a sign-in service of our own: its errors hold the
// whole answer and must not come out.
func TestAzidentity(t *testing.T) {
	t.Parallel()
	refuse := atomic.Bool{}
	entra := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		host := "https://" + r.Host
		switch {
		case strings.HasSuffix(r.URL.Path, "openid-configuration"):
			_, _ = fmt.Fprintf(w, `{"issuer":"%[1]s/t/v2.0","authorization_endpoint":"%[1]s/t/authorize","token_endpoint":"%[1]s/t/oauth2/v2.0/token"}`, host)
		case strings.HasSuffix(r.URL.Path, "discovery/instance"):
			_, _ = fmt.Fprintf(w, `{"tenant_discovery_endpoint":"%[1]s/t/v2.0/.well-known/openid-configuration","metadata":[]}`, host)
		case refuse.Load():
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"AADSTS7000222: the keys of app PRIVATE expired","error_codes":[7000222]}`))
		default:
			_ = r.ParseForm()
			if r.Form.Get("client_secret") != "s3cret" || r.Form.Get("grant_type") != "client_credentials" {
				t.Errorf("the token is asked for with %s", r.Form.Get("grant_type"))
			}
			_, _ = w.Write([]byte(`{"access_token":"from-azidentity","token_type":"Bearer","expires_in":3600}`))
		}
	}))
	defer entra.Close()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer from-azidentity" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"value":[]}`))
	}))
	defer service.Close()
	c := newClock()
	cfg := Config{
		Endpoint: service.URL, Tenant: "t", ClientID: "c", Secret: func() ([]byte, error) { return []byte("s3cret"), nil }, Now: c.now, Sleep: c.sleep,
		// The sign-in service has a fixed name: send what goes there to our own.
		Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Scheme == "https" {
				r = r.Clone(r.Context())
				r.URL.Host = strings.TrimPrefix(entra.URL, "https://")
			}
			return entra.Client().Transport.RoundTrip(r)
		}),
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Check(t.Context()); err != nil {
		t.Fatalf("check: %v (%+v)", err, detail(err))
	}

	refuse.Store(true)
	if g, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	err = g.Check(t.Context())
	e := detail(err)
	if e.Class != remote.ClassConnection || e.Code != "AADSTS7000222" || e.Message != "the client secret has expired" {
		t.Errorf("expired: %+v", e)
	}
	for u := err; u != nil; u = errors.Unwrap(u) {
		if strings.Contains(u.Error(), "PRIVATE") || strings.Contains(u.Error(), "s3cret") {
			t.Errorf("the error tells the answer: %v", u)
		}
	}

	entra.Close()
	if g, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err = g.Check(t.Context()); !remote.Is(err, remote.ClassConnection) || detail(err).Code != "refused" {
		t.Errorf("nobody signs in: %v (%+v)", err, detail(err))
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClaims(t *testing.T) {
	t.Parallel()
	for challenge, want := range map[string]string{
		`Bearer realm="", error="insufficient_claims", claims="eyJhIjoxfQ=="`: `{"a":1}`,
		`Bearer claims="eyJhIjoxfQ"`:                                          `{"a":1}`,
		`Bearer claims="%%"`:                                                  "",
		`Bearer claims=`:                                                      "",
		`Basic realm="x"`:                                                     "",
		``:                                                                    "",
	} {
		if got := claims(challenge); got != want {
			t.Errorf("%s: %q, want %q", challenge, got, want)
		}
	}
}

func TestCanceledWhileSigningIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.g.Check(ctx); !remote.Is(err, remote.ClassTransient) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
