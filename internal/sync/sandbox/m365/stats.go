package m365

import (
	"maps"
	"sync"
	"time"
)

// Count is how much was asked.
type Count struct {
	// RoundTrips are HTTP requests; a batch is one, and one for each mailbox it touches.
	RoundTrips int `json:"round_trips"`
	// Requests are logical ones: each item of a batch is one.
	Requests int `json:"requests"`
	// Throttled and Errors are the answers with 429, and with any status from 400 on.
	Throttled int `json:"throttled"`
	Errors    int `json:"errors"`
	// MostAtOnce is how many requests were in progress together at most.
	MostAtOnce int `json:"most_at_once"`
}

// Stats is what was asked since the start, or since ResetStats.
type Stats struct {
	Total Count `json:"total"`
	// Mailboxes has the id of the user as key; Operations the name of the operation, and
	// counts logical requests.
	Mailboxes  map[string]Count `json:"mailboxes"`
	Operations map[string]int   `json:"operations"`
	// Tokens is how many access tokens were given out.
	Tokens int `json:"tokens"`
}

// Request is a logical request that was answered. It holds no content: no query, no body.
type Request struct {
	Time   time.Time `json:"time"`
	Op     string    `json:"op"`
	User   string    `json:"user,omitempty"`
	Method string    `json:"method"`
	Status int       `json:"status"`
	// Batch: the request was an item of one.
	Batch bool   `json:"batch,omitempty"`
	ID    string `json:"request_id"`
}

type stats struct {
	total     Count
	mailboxes map[string]*Count
	ops       map[string]int
	tokens    int
	log       []Request
}

func (s *stats) clear() {
	*s = stats{mailboxes: map[string]*Count{}, ops: map[string]int{}}
}

func (s *stats) mailbox(m *mailbox) *Count {
	c := s.mailboxes[m.user.ID]
	if c == nil {
		c = &Count{}
		s.mailboxes[m.user.ID] = c
	}
	return c
}

func (s *stats) roundTrip(m *mailbox) {
	s.total.RoundTrips++
	if m != nil {
		s.mailbox(m).RoundTrips++
	}
}

// refused counts a request that came to no mailbox.
func (s *stats) refused(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	s.total.RoundTrips++
	s.total.Errors++
}

func (s *stats) answer(c *call, t *target, r *reply, keep int) {
	counts := []*Count{&s.total}
	if t.m != nil {
		counts = append(counts, s.mailbox(t.m))
	}
	for _, n := range counts {
		n.Requests++
		if r.status >= 400 {
			n.Errors++
		}
		if r.status == 429 {
			n.Throttled++
		}
		if t.m != nil {
			n.MostAtOnce = max(n.MostAtOnce, t.m.pressed.most)
		}
	}
	s.ops[t.op]++
	if len(s.log) >= 2*keep {
		s.log = append([]Request(nil), s.log[len(s.log)-keep:]...)
	}
	s.log = append(s.log, Request{Time: c.exchange.now, Op: t.op, User: t.user(), Method: c.method, Status: r.status, Batch: c.batched, ID: c.exchange.requestID})
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Total: s.stats.total, Mailboxes: map[string]Count{}, Operations: maps.Clone(s.stats.ops), Tokens: s.stats.tokens}
	for id, c := range s.stats.mailboxes {
		out.Mailboxes[id] = *c
	}
	return out
}

// Requests returns the last logical requests, oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.stats.log[max(0, len(s.stats.log)-s.opt.Log):]...)
}

// ResetStats sets the counters to zero and empties the log.
func (s *Server) ResetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.clear()
	for _, m := range s.order {
		m.pressed.most = m.pressed.inFlight
	}
}
