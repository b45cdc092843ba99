package salesforce_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/salesforce"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

func literal(s string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(s), nil }
}

// Each way to prove who we are opens the organization.
func TestAuth(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	do(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	do(t, err)
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	tests := []struct {
		name   string
		change func(*salesforce.Config)
		class  remote.Class // "" for success
	}{
		{"client secret", func(*salesforce.Config) {}, ""},
		{"wrong secret", func(c *salesforce.Config) { c.Secret = literal("wrong-hush") }, remote.ClassConnection},
		{"wrong client", func(c *salesforce.Config) { c.ClientID = "other" }, remote.ClassConnection},
		{"no secret", func(c *salesforce.Config) { c.Secret = literal("\n") }, remote.ClassSetup},
		{"jwt", func(c *salesforce.Config) {
			c.Auth, c.Secret, c.Key, c.Username = salesforce.AuthJWT, nil, literal(private), "anna@acme.example"
		}, ""},
		{"jwt of nobody", func(c *salesforce.Config) {
			c.Auth, c.Secret, c.Key, c.Username = salesforce.AuthJWT, nil, literal(private), "zoe@acme.example"
		}, remote.ClassConnection},
		{"jwt for another audience", func(c *salesforce.Config) {
			c.Auth, c.Secret, c.Key, c.Username, c.Audience = salesforce.AuthJWT, nil, literal(private), "anna@acme.example", "https://elsewhere.example"
		}, remote.ClassConnection},
		{"jwt without a key", func(c *salesforce.Config) {
			c.Auth, c.Secret, c.Key, c.Username = salesforce.AuthJWT, nil, literal("no key"), "anna@acme.example"
		}, remote.ClassSetup},
		{"refresh token", func(c *salesforce.Config) { c.Auth, c.Token = salesforce.AuthRefreshToken, literal("again") }, ""},
		{"revoked refresh token", func(c *salesforce.Config) { c.Auth, c.Token = salesforce.AuthRefreshToken, literal("once-hush") }, remote.ClassConnection},
		{"bad access token", func(c *salesforce.Config) { c.Auth, c.Secret, c.Token = salesforce.AuthToken, nil, literal("hush!") }, remote.ClassConnection},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t)
			o.RegisterCertificate("app", &key.PublicKey)
			o.RegisterRefreshToken("again", o.users[0])
			cfg := o.config()
			tt.change(&cfg)
			s, err := salesforce.New(cfg)
			do(t, err)
			err = s.Check(context.Background())
			if tt.class == "" {
				do(t, err)
				return
			}
			if !remote.Is(err, tt.class) || remote.IsUnclear(err) {
				t.Fatalf("error = %v of class %s, want %s", err, remote.ClassOf(err), tt.class)
			}
			if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "@") {
				t.Errorf("the error tells a secret or a name: %v", err)
			}
		})
	}
}

// When the session ends, many calls at once fetch one new token, and none fails.
func TestSessionEndsInFlight(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	o.contact(t, "Abel")
	do(t, o.ExpireSessions())
	o.ResetStats()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.Collection(record.Contacts).Changes(context.Background(), remote.Query{}); err != nil {
				t.Errorf("changes: %v", err)
			}
		})
	}
	wg.Wait()
	if n := o.Stats().Tokens; n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
}

// A session that ends between two pages costs a token and no row.
func TestSessionEndsBetweenPages(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t, smallPages)
	for range 250 {
		o.contact(t, "Abel")
	}
	ended := false
	feed, err := s.Collection(record.Contacts).Changes(context.Background(), remote.Query{Progress: func(int) {
		if !ended {
			ended = true
			do(t, o.ExpireSessions())
		}
	}})
	if err != nil || len(feed.Changes) != 250 {
		t.Errorf("%d changes, error %v", len(feed.Changes), err)
	}
}

// A write that met a session's end is sent once more and applied once.
func TestSessionEndsBeforeAWrite(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t, func(c *salesforce.Config) { c.StampField = "" })
	do(t, o.ExpireSessions())
	res := s.Collection(record.Contacts).Apply(context.Background(), creates("Abel"))
	if res[0].Err != nil || len(o.Contacts()) != 1 {
		t.Errorf("error %v, %d contacts", res[0].Err, len(o.Contacts()))
	}
}

// A session that is refused even when it is new is the connection's matter, and is
// not asked for again and again.
func TestSessionRefusedForEver(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	o.ResetStats()
	o.AddFault(sfdc.Fault{Kind: sfdc.FaultStatus, Path: "/services/data", Status: 401, Code: "INVALID_SESSION_ID", Count: -1})
	err := s.Check(context.Background())
	if !remote.Is(err, remote.ClassConnection) {
		t.Errorf("error = %v", err)
	}
	if n := o.Stats().Tokens; n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
}

// An endpoint to which a token must not travel is refused, and so is a configuration
// that lacks something.
func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	good := salesforce.Config{Endpoint: "https://acme.my.salesforce.com", ClientID: "app", Secret: literal("hush"), Now: time.Now}
	if _, err := salesforce.New(good); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for name, change := range map[string]func(*salesforce.Config){
		"plain http":           func(c *salesforce.Config) { c.Endpoint = "http://acme.my.salesforce.com" },
		"plain token endpoint": func(c *salesforce.Config) { c.TokenEndpoint = "http://login.example/token" },
		"loopback look-alike":  func(c *salesforce.Config) { c.Endpoint = "http://localhost.example" },
		"no endpoint":          func(c *salesforce.Config) { c.Endpoint = "" },
		"no scheme":            func(c *salesforce.Config) { c.Endpoint = "acme.my.salesforce.com" },
		"no secret":            func(c *salesforce.Config) { c.Secret = nil },
		"no user":              func(c *salesforce.Config) { c.Auth, c.Key = salesforce.AuthJWT, literal("k") },
		"unknown way":          func(c *salesforce.Config) { c.Auth = "password" },
		"stamp field":          func(c *salesforce.Config) { c.StampField = "Id FROM User--" },
		"version":              func(c *salesforce.Config) { c.APIVersion = "66" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			change(&cfg)
			if _, err := salesforce.New(cfg); !remote.Is(err, remote.ClassSetup) {
				t.Errorf("error = %v, want one of setup", err)
			}
		})
	}
}

// A version that the organization does not have is told as such.
func TestAPIVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"v99.0": "no API version v99.0", "v20.0": "no API version v20.0", "v41.0": ""} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t)
			cfg := o.config()
			cfg.APIVersion = version
			_, err := salesforce.Open(context.Background(), cfg)
			if want == "" {
				do(t, err)
				return
			}
			if !remote.Is(err, remote.ClassSetup) || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q", err, want)
			}
		})
	}
}
