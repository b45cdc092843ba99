package salesforce_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/salesforce"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

// line is a line to the server that can be cut.
type line struct {
	base  http.RoundTripper
	cut   atomic.Bool
	tries atomic.Int64
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.cut.Load() {
		l.tries.Add(1)
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	return l.base.RoundTrip(r)
}

// away is a connection that is opened while nobody answers; later moves its clock.
func away(t *testing.T) (o *org, l *line, s *salesforce.Salesforce, later func()) {
	t.Helper()
	o, l = newOrg(t), &line{base: transport.NewBase()}
	l.cut.Store(true)
	var ahead atomic.Int64
	cfg := o.config()
	now := cfg.Now
	cfg.Base, cfg.Now = l, func() time.Time { return now().Add(time.Duration(ahead.Load())) }
	s, err := salesforce.Open(context.Background(), cfg)
	do(t, err)
	return o, l, s, func() { ahead.Add(int64(11 * time.Second)) }
}

// Whoever wants something of an organization that is away learns it from the tries of
// the first, and the connection is what cannot be reached.
func TestAnOrganizationThatIsAway(t *testing.T) {
	t.Parallel()
	_, l, s, later := away(t)
	tries := l.tries.Load()
	if tries != 5 {
		t.Errorf("opened after %d tries, want 5", tries)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			c := s.Collection(record.Contacts)
			_, err := c.Changes(context.Background(), remote.Query{})
			for what, err := range map[string]error{
				"changes": err, "check": s.Check(context.Background()),
				"get": c.Get(context.Background(), []string{"003000000000001"})[0].Err, "apply": c.Apply(context.Background(), creates("Abel"))[0].Err,
			} {
				if !remote.Is(err, remote.ClassConnection) || remote.IsUnclear(err) {
					t.Errorf("%s: %v of class %s", what, err, remote.ClassOf(err))
				}
			}
		})
	}
	wg.Wait()
	if n := l.tries.Load(); n != tries {
		t.Errorf("%d more tries", n-tries)
	}
	later()
	if err := s.Check(context.Background()); !remote.Is(err, remote.ClassConnection) || l.tries.Load() != tries+1 {
		t.Errorf("error %v after %d more tries, want one probe", err, l.tries.Load()-tries)
	}
}

// A collection that was opened before the organization told what it has never works by
// a table that may be wrong; one that is opened afterwards has the true one.
func TestAnOrganizationThatComesBack(t *testing.T) {
	t.Parallel()
	o, l, s, later := away(t)
	do(t, o.RemoveField("Contact", "Suffix", true))
	id, err := o.CreateContact("", sfdc.Fields{"LastName": "Abel"})
	do(t, err)
	stale := s.Collection(record.Contacts)
	l.cut.Store(false)
	later()
	if err := stale.Apply(context.Background(), creates("Bebel"))[0].Err; !remote.Is(err, remote.ClassTransient) || remote.IsUnclear(err) || len(o.Contacts()) != 1 {
		t.Errorf("a write by a table that may be wrong: %v, %d contacts", err, len(o.Contacts()))
	}
	fresh := s.Collection(record.Contacts)
	if _, ok := fresh.Capabilities().Mapping.Entry(record.Suffix); ok {
		t.Error("the table has a field that the organization has not")
	}
	feed, err := fresh.Changes(context.Background(), remote.Query{})
	do(t, err)
	if _, ok := last(feed, id); !ok {
		t.Errorf("the feed is %+v", feed)
	}
}

// Opening ends with the caller's context, and does not open then.
func TestOpeningIsInterrupted(t *testing.T) {
	t.Parallel()
	o, l := newOrg(t), &line{}
	l.cut.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	cfg := o.config()
	cfg.Base = l
	cfg.Sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	if _, err := salesforce.Open(ctx, cfg); err == nil || l.tries.Load() != 1 {
		t.Errorf("error %v after %d tries", err, l.tries.Load())
	}
}
