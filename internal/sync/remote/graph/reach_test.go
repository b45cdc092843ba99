package graph

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// However a token fails to come, it is asked for by one on behalf of all, and those who
// come soon afterwards do not ask again.
func TestATokenThatDoesNotComeIsAskedForOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fail  func() (*http.Response, error)
		class remote.Class
		tries int64
	}{
		"nobody listens": {func() (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}, remote.ClassConnection, 5},
		"a fault": {func() (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody}, nil
		}, remote.ClassTransient, 5},
		"a refusal": {func() (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: http.NoBody}, nil
		}, remote.ClassConnection, 1},
	} {
		for _, endpoint := range []string{"", "https://login.example/token"} {
			t.Run(fmt.Sprintf("%s/%q", name, endpoint), func(t *testing.T) {
				t.Parallel()
				var tries atomic.Int64
				var mu sync.Mutex
				at := newClock().at // a clock that stands still but for the waits
				g, err := New(Config{
					TokenEndpoint: endpoint, Tenant: "t", ClientID: "c", Secret: func() ([]byte, error) { return []byte("s"), nil },
					Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return at },
					Sleep: func(ctx context.Context, d time.Duration) error {
						mu.Lock()
						defer mu.Unlock()
						at = at.Add(d)
						return ctx.Err()
					},
					Transport: tripper(func(*http.Request) (*http.Response, error) {
						tries.Add(1)
						return tt.fail()
					}),
				})
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for i := range 50 {
					wg.Go(func() {
						res := g.Mailbox(fmt.Sprint("user", i)).Collection("contacts", remote.Container{ID: "f"}).Apply(t.Context(), creates(1))
						if err := res[0].Err; !remote.Is(err, tt.class) || remote.IsUnclear(err) {
							t.Errorf("%v of class %s, want %s", err, remote.ClassOf(err), tt.class)
						}
					})
				}
				wg.Wait()
				most := tt.tries
				if endpoint == "" {
					most *= 2 // azidentity looks for the sign-in service in two places
				}
				if n := tries.Load(); n < tt.tries || n > most {
					t.Errorf("tried %d times, want %d to %d", n, tt.tries, most)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := g.Check(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}
