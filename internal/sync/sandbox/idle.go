package sandbox

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// visitors are the connections that clients have to the two servers.
type visitors struct {
	mu   sync.Mutex
	here map[string]bool // by the client's address
	left *sync.Cond
}

func newVisitors() *visitors {
	v := &visitors{here: map[string]bool{}}
	v.left = sync.NewCond(&v.mu)
	return v
}

// note is an http.Server's ConnState. A connection is closed when its last request was
// answered, even if nobody waited for that any more.
func (v *visitors) note(c net.Conn, state http.ConnState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	from := c.RemoteAddr().String()
	switch state {
	case http.StateNew:
		v.here[from] = true
	case http.StateClosed, http.StateHijacked:
		delete(v.here, from)
	}
	v.left.Broadcast()
}

func (v *visitors) wait(ctx context.Context, until func() bool) error {
	defer context.AfterFunc(ctx, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.left.Broadcast()
	})()
	v.mu.Lock()
	defer v.mu.Unlock()
	for !until() {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.left.Wait()
	}
	return nil
}

// Deserted waits until nobody is connected to either server any more, so that whatever
// a client asked for before it died has been done.
func (s *Sandbox) Deserted(ctx context.Context) error {
	for _, url := range []string{s.endpoints.Graph, s.endpoints.Salesforce} {
		// Connections are accepted in their order: after ours there is none that waits.
		var d net.Dialer
		last, err := d.DialContext(ctx, "tcp", url[len("http://"):])
		if err != nil {
			return err
		}
		us := last.LocalAddr().String()
		err = s.visitors.wait(ctx, func() bool { return s.visitors.here[us] })
		if closed := last.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return s.visitors.wait(ctx, func() bool { return len(s.visitors.here) == 0 })
}
