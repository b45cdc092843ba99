package salesforce_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/remotetest"
	"github.com/crmsync/crmsync/internal/sync/remote/salesforce"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

const stampField = "CrmSync_Stamp__c"

// clock is the sandbox's time. The connector's own is an hour behind: nothing may
// depend on the two being equal.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// org is an organization on loopback.
type org struct {
	*sfdc.Server
	clock *clock
	url   string
	users [2]string
}

func newOrg(t *testing.T) *org {
	t.Helper()
	o := &org{clock: &clock{now: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)}}
	var err error
	if o.Server, err = sfdc.New(sfdc.Options{Now: o.clock.Now, Seed: 1, ClientID: "app", ClientSecret: "hush"}); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"anna", "ben"} {
		if o.users[i], err = o.AddUser(sfdc.User{Username: name + "@acme.example", Email: name + "@acme.example", LastName: name, Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	o.SetDuplicateRule(false)
	srv := httptest.NewServer(o.Server)
	t.Cleanup(srv.Close)
	o.url = srv.URL
	return o
}

// config is a connection with a client secret that never waits.
func (o *org) config() salesforce.Config {
	return salesforce.Config{
		Endpoint: o.url, ClientID: "app", Secret: func() ([]byte, error) { return []byte("hush\n"), nil }, StampField: stampField,
		Now:   func() time.Time { return o.clock.Now().Add(-time.Hour) },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func (o *org) open(t *testing.T, change ...func(*salesforce.Config)) *salesforce.Salesforce {
	t.Helper()
	cfg := o.config()
	for _, c := range change {
		c(&cfg)
	}
	s, err := salesforce.Open(context.Background(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

// smallPages asks for the shortest pages that Salesforce makes, of 200 rows, so that a
// test of several pages needs few.
func smallPages(c *salesforce.Config) { c.Base = batchSize{transport.NewBase()} }

type batchSize struct{ base http.RoundTripper }

func (b batchSize) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Sforce-Query-Options", "batchSize=200")
	return b.base.RoundTrip(r)
}

func text(f mapping.Fields) sfdc.Fields {
	out := sfdc.Fields{}
	for n, v := range f {
		out[n] = v.First()
	}
	return out
}

func (o *org) world() remotetest.World {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("the person's hand failed: %v", err)
		}
	}
	return remotetest.World{
		Create: func(t *testing.T, f mapping.Fields) string {
			id, err := o.CreateContact(o.users[0], text(f))
			must(t, err)
			return id
		},
		Edit:          func(t *testing.T, id string, f mapping.Fields) { must(t, o.UpdateContact(id, text(f))) },
		Delete:        func(t *testing.T, id string) { must(t, o.DeleteContact(id)) },
		Restore:       func(t *testing.T, id string) { must(t, o.UndeleteContact(id)) },
		Hide:          func(t *testing.T, id string) { must(t, o.Hide(id, true)) },
		Merge:         func(t *testing.T, loser, winner string) { must(t, o.Merge(winner, loser)) },
		ChangeOwner:   func(t *testing.T, id, owner string) { must(t, o.ChangeOwner(id, owner)) },
		ExpireCursors: func(*testing.T) { o.clock.advance(20 * 24 * time.Hour) },
		Tick:          func(*testing.T) { o.clock.advance(2 * time.Second) },
	}
}

func TestCollection(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*salesforce.Config){
		"stamped":   func(*salesforce.Config) {},
		"unstamped": func(c *salesforce.Config) { c.StampField = "" },
		"paged":     smallPages,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remotetest.RunCollection(t, func(t *testing.T) remotetest.Fixture {
				o := newOrg(t)
				s := o.open(t, change)
				return remotetest.Fixture{Side: record.CRM, World: o.world(), Open: func() remote.Collection { return s.Collection(record.Contacts) }}
			})
		})
	}
}

func TestCRM(t *testing.T) {
	t.Parallel()
	remotetest.RunCRM(t, func(t *testing.T) remotetest.CRMFixture {
		o := newOrg(t)
		return remotetest.CRMFixture{CRM: o.open(t), Users: o.users, Unknown: "005000000000000AAA", World: o.world()}
	})
}
