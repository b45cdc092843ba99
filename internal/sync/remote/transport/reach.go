package transport

import (
	"sync"
	"time"
)

// reaching is how long a request tries to get through to a host at all: one dial, or
// several that are refused, together.
const reaching = 8 * time.Second

// reach knows which hosts cannot be reached. The rule: a host is down when all tries
// of a request were refused, had no address to go to or were not connected in time,
// and no other request heard from the host meanwhile. That it answered an hour ago
// proves nothing; that it answers others now proves that it is up. For ten seconds
// every request to a host that is down then fails at once; after that, one tries
// once, and the others go on failing until it has heard something.
type reach struct {
	now func() time.Time

	mu    sync.Mutex
	hosts map[string]*host
}

type host struct {
	// heard counts round trips that came so far that somebody was there.
	heard   int
	down    *DownError // nil if it is not known to be down
	until   time.Time
	probing bool
}

// passage is a request's leave to try.
type passage struct {
	r    *reach
	host *host
	// heard is what the host's count was when the request set out.
	heard int
	probe bool
}

func (r *reach) at(name string) *host {
	h := r.hosts[name]
	if h == nil {
		h = &host{}
		r.hosts[name] = h
	}
	return h
}

// enter lets a request through to its host, or says why it need not try.
func (r *reach) enter(name string) (*passage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.at(name)
	p := &passage{r: r, host: h, heard: h.heard}
	if h.down != nil {
		if h.probing || r.now().Before(h.until) {
			return nil, h.down
		}
		h.probing, p.probe = true, true
	}
	return p, nil
}

// hear notes that somebody is there.
func (r *reach) hear(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.at(name)
	h.heard++
	h.down = nil
}

// closed returns why a request need not try again: another one found the host down.
func (p *passage) closed() error {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.host.down == nil || p.probe {
		return nil
	}
	return p.host.down
}

// lost ends the tries of a request that never got through. It returns what that means.
func (p *passage) lost(err error) error {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.host.heard != p.heard {
		return err
	}
	p.host.down, p.host.until = &DownError{Err: err}, p.r.now().Add(remembered)
	return p.host.down
}

// leave lets another one probe if this one did not come to a result.
func (p *passage) leave() {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.probe {
		p.host.probing = false
	}
}

// unreached reports whether an error says that nobody was there.
func unreached(err error) bool {
	if err == nil {
		return false
	}
	f := Classify(err)
	return !f.Sent && (f.Kind == Refused || f.Kind == DNS || f.Kind == Timeout)
}
