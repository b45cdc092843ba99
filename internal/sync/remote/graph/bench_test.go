package graph

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
)

// clock is a clock that moves when it is read, a little, and when somebody sleeps.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	return c.at
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	c.at = c.at.Add(d)
	c.mu.Unlock()
	return ctx.Err()
}

// bench is the sandbox's Microsoft 365 and a connection to it.
type bench struct {
	*m365.Server
	clock *clock
	url   string
	g     *Graph
	users []string
}

const addInID = "7f1b2c3d-0000-4000-8000-00000000abcd"

func newBench(t *testing.T, set ...func(*m365.Options, *Config)) *bench {
	t.Helper()
	c := newClock()
	o := m365.Options{Now: c.now, Seed: 7, Wait: func(context.Context, time.Duration) {}}
	cfg := Config{
		ClientID: "sandbox-client", Secret: func() ([]byte, error) { return []byte("sandbox-secret"), nil },
		AppID: addInID, Now: c.now, Sleep: c.sleep,
	}
	for _, f := range set {
		f(&o, &cfg)
	}
	b := &bench{Server: m365.New(o), clock: c}
	srv := httptest.NewServer(b.Server)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	for _, name := range []string{"Ada", "Bob", "Cleo"} {
		u, err := b.AddUser(m365.User{DisplayName: name, Mail: strings.ToLower(name) + "@contoso.example"})
		if err != nil {
			t.Fatal(err)
		}
		b.users = append(b.users, u.ID)
	}
	if _, err := b.AddApp(m365.App{ExternalID: addInID, DisplayName: "CRM"}); err != nil {
		t.Fatal(err)
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	cfg.Transport = base
	cfg.Endpoint, cfg.TokenEndpoint = srv.URL, srv.URL+"/5a4db0c5-0000-4000-8000-000000000365/oauth2/v2.0/token"
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.g = g
	return b
}

var customization = remote.Customization{
	Folder: "CRM", Category: "CRM", Entities: []record.Entity{record.Contacts},
	Claim: remote.Claim{Organization: "00D1", Install: "one"},
}

// open prepares the first mailbox and returns its contacts.
func (b *bench) open(t *testing.T) (remote.Mailbox, *collection) {
	t.Helper()
	box := b.g.Mailbox(b.users[0])
	p, err := box.Prepare(t.Context(), customization)
	if err != nil {
		t.Fatal(err)
	}
	return box, box.Collection(record.Contacts, p.Containers[record.Contacts]).(*collection)
}

// typed writes native fields as a person's program does: in Graph's JSON.
func typed(f mapping.Fields) map[string]any {
	out := map[string]any{}
	for name, v := range f {
		if group, part, ok := strings.Cut(name, "/"); ok {
			a, _ := out[group].(map[string]any)
			if a == nil {
				a = map[string]any{}
				out[group] = a
			}
			a[part] = v.First()
			continue
		}
		switch name {
		case "emailAddresses":
			list := []any{}
			for _, e := range v {
				list = append(list, map[string]any{"address": e, "name": "somebody"})
			}
			out[name] = list
		case "businessPhones", "homePhones":
			list := []any{}
			for _, e := range v {
				list = append(list, e)
			}
			out[name] = list
		case "birthday":
			if out[name] = nil; len(v) > 0 {
				out[name] = v.First() + "T00:00:00Z"
			}
		default:
			if out[name] = nil; len(v) > 0 {
				out[name] = v.First()
			}
		}
	}
	return out
}
