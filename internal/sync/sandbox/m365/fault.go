package m365

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind string

// The kinds of a fault. Those up to FaultLate end a request; the ones after it change an
// answer or the time it takes.
const (
	// FaultError answers with Status, Code and RetryAfter and does nothing.
	FaultError FaultKind = "error"
	// FaultHTML answers with Status and a page of HTML, as a gateway does, and does nothing.
	FaultHTML FaultKind = "html"
	// FaultDrop closes the connection and does nothing.
	FaultDrop FaultKind = "drop"
	// FaultLost does what was asked and closes the connection without an answer; an item
	// of a batch answers 504 instead.
	FaultLost FaultKind = "lost"
	// FaultApplied does what was asked and then answers as FaultError.
	FaultApplied FaultKind = "applied"
	// FaultTruncate does what was asked and closes the connection amid the answer.
	FaultTruncate FaultKind = "truncate"
	// FaultMalformed does what was asked and answers with half of the JSON as if it were all.
	FaultMalformed FaultKind = "malformed"
	// FaultMissing does what was asked and leaves the item out of the batch's answer; a
	// request of its own is lost.
	FaultMissing FaultKind = "missing"
	// FaultLate answers 504 at once and does what was asked when After further requests
	// have come.
	FaultLate FaultKind = "late"

	// FaultLatency waits for Latency before anything is done.
	FaultLatency FaultKind = "latency"
	// FaultLag hides a write on contacts from the next After deltas and filters.
	FaultLag FaultKind = "lag"
	// FaultDeltaReplay tells up to 50 earlier changes again at the beginning of a round.
	FaultDeltaReplay FaultKind = "delta-replay"
	// FaultDeltaDuplicates tells each change of a page twice.
	FaultDeltaDuplicates FaultKind = "delta-duplicates"
	// FaultDeltaShuffle tells the changes of a page in any order.
	FaultDeltaShuffle FaultKind = "delta-shuffle"
	// FaultDeltaUnknown adds an @removed of an id that nobody knows.
	FaultDeltaUnknown FaultKind = "delta-unknown"
	// FaultDeltaEmptyPages puts an empty page before each one.
	FaultDeltaEmptyPages FaultKind = "delta-empty-pages"
)

// Fault is something that goes wrong with some of the requests.
type Fault struct {
	// Name tells faults apart: one that is set replaces the one of its name.
	Name string    `json:"name"`
	Kind FaultKind `json:"kind"`

	// User (an id or a userPrincipalName), Op and In choose the requests; empty chooses
	// all. Op is the name of an operation, such as contact.create or contacts.delta, or
	// its beginning, such as "contact."; "batch" is a batch as a whole and "token" the
	// token endpoint, which only their full names choose. In is "batch" for items of a
	// batch or "direct" for all others.
	User string `json:"user,omitempty"`
	Op   string `json:"op,omitempty"`
	In   string `json:"in,omitempty"`
	// Skip lets so many of the chosen requests pass first, Count ends the fault after so
	// many (0 for never), Rate is the share that suffers (0 for all).
	Skip  int     `json:"skip,omitempty"`
	Count int     `json:"count,omitempty"`
	Rate  float64 `json:"rate,omitempty"`

	// Status and Code are the answer, by default 503 serviceNotAvailable (504 for
	// FaultApplied, 502 for FaultHTML); RetryAfter is sent as it stands: seconds or an
	// HTTP date.
	Status     int    `json:"status,omitempty"`
	Code       string `json:"code,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"`
	// Latency is for FaultLatency; in a batch the slowest item of each four counts.
	Latency time.Duration `json:"latency,omitempty"`
	// After is for FaultLate and FaultLag; at least 1.
	After int `json:"after,omitempty"`
}

type activeFault struct {
	Fault
	seen, used int
}

// SetFault adds a fault, or replaces the one with the same name. A fault without a kind
// takes that one away.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(a *activeFault) bool { return a.Name == f.Name })
	if f.Kind != "" {
		f.After = max(1, f.After)
		s.faults = append(s.faults, &activeFault{Fault: f})
	}
}

// ClearFaults takes all faults away. Late requests still land.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Faults returns the faults that are set and not used up.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Fault{}
	for _, a := range s.faults {
		if a.Count == 0 || a.used < a.Count {
			out = append(out, a.Fault)
		}
	}
	return out
}

// OnRequest sets a function that is called before each logical request is done, outside
// the server's lock, with the operation and the id of the mailbox's user. It may change
// the data as a person would at that moment.
func (s *Server) OnRequest(hook func(op, user string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRequest = hook
}

func (a *activeFault) applies(op string, m *mailbox, c *call) bool {
	if op == "batch" || op == "token" {
		if a.Op != op {
			return false
		}
	} else if !strings.HasPrefix(op, a.Op) {
		return false
	}
	if a.In != "" && (c == nil || (a.In == "batch") != c.batched) {
		return false
	}
	return a.User == "" || (m != nil && (strings.EqualFold(a.User, m.user.ID) || strings.EqualFold(a.User, m.user.UserPrincipalName)))
}

// use tells whether the fault strikes now, and counts it.
func (a *activeFault) use(s *Server) bool {
	if a.seen++; a.seen <= a.Skip || (a.Count > 0 && a.used >= a.Count) {
		return false
	}
	if a.Rate > 0 && s.rng.Float64() >= a.Rate {
		return false
	}
	a.used++
	return true
}

// faultPlan is what a request will suffer.
type faultPlan struct {
	latency time.Duration
	lag     int
	strikes *Fault
}

// plan chooses the faults of a request: any latency, and the first that ends it.
func (s *Server) plan(c *call, t *target) faultPlan { return s.planOp(c, t.op, t.m, t.writes) }

func (s *Server) planOp(c *call, op string, m *mailbox, writes bool) (p faultPlan) {
	for _, a := range s.faults {
		isDelta := strings.HasPrefix(string(a.Kind), "delta-")
		if isDelta || !a.applies(op, m, c) || (a.Kind == FaultLag && !writes) {
			continue
		}
		if p.strikes != nil && a.Kind != FaultLatency && a.Kind != FaultLag {
			continue
		}
		if !a.use(s) {
			continue
		}
		switch a.Kind {
		case FaultLatency:
			p.latency += a.Latency
		case FaultLag:
			p.lag = a.After
		default:
			p.strikes = &a.Fault
		}
	}
	return p
}

func (f *Fault) answer(status int) *reply {
	if f.Status != 0 {
		status = f.Status
	}
	code := f.Code
	if code == "" {
		switch status {
		case http.StatusTooManyRequests:
			code = "ApplicationThrottled"
		case http.StatusInternalServerError:
			code = "ErrorInternalServerError"
		case http.StatusPreconditionFailed:
			code = "ErrorIrresolvableConflict"
		case http.StatusGone:
			code = "SyncStateNotFound"
		case http.StatusGatewayTimeout:
			code = "UnknownError"
		default:
			code = "serviceNotAvailable"
		}
	}
	rep := failed(status, code, "The request failed because the sandbox was told to let it fail.")
	if f.RetryAfter != "" {
		rep.set("Retry-After", f.RetryAfter)
	}
	return rep
}

func (f *Fault) page() *reply {
	rep := &reply{status: f.Status, raw: true, body: []byte("<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>")}
	set(&rep.status, http.StatusBadGateway)
	if f.RetryAfter != "" {
		rep.set("Retry-After", f.RetryAfter)
	}
	return rep.set("Content-Type", "text/html; charset=utf-8")
}

// lateCall is a request that was answered with an error and lands later.
type lateCall struct {
	c   *call
	t   *target
	due int // in the count of logical requests
}

func (s *Server) runLate() {
	for i := 0; i < len(s.late); {
		if l := s.late[i]; s.served >= l.due {
			s.late = slices.Delete(s.late, i, i+1)
			s.execute(l.c, l.t)
			continue
		}
		i++
	}
}

// suffer does a request with its faults.
func (s *Server) suffer(c *call, t *target, p faultPlan) *reply {
	f := p.strikes
	if f == nil {
		return s.lagging(c, t, p.lag)
	}
	switch f.Kind {
	case FaultError:
		return f.answer(http.StatusServiceUnavailable)
	case FaultHTML:
		return f.page()
	case FaultDrop:
		return dropped(c)
	case FaultLate:
		s.late = append(s.late, lateCall{c, t, s.served + f.After})
		return f.answer(http.StatusGatewayTimeout)
	}
	rep := s.lagging(c, t, p.lag)
	if rep.err != nil {
		return rep
	}
	return f.spoil(rep, c.batched)
}

func dropped(c *call) *reply {
	if c.batched {
		return failed(http.StatusGatewayTimeout, "UnknownError", "")
	}
	return &reply{ending: endDropped}
}

// spoil turns the answer of a request that was done into what arrives of it.
func (f *Fault) spoil(rep *reply, batched bool) *reply {
	switch {
	case f.Kind == FaultApplied, f.Kind == FaultLost && batched, f.Kind == FaultTruncate && batched:
		return f.answer(http.StatusGatewayTimeout)
	case f.Kind == FaultMissing && batched:
		rep.ending = endMissing
	case f.Kind == FaultTruncate && len(rep.body) > 0:
		rep.ending = endTruncated
	case f.Kind == FaultMalformed && len(rep.body) > 0:
		rep.body = rep.body[:len(rep.body)/2]
		if batched {
			// Half a JSON value cannot stand in a batch; a text that is none can.
			rep.body, _ = json.Marshal(string(rep.body))
		}
	default:
		return &reply{ending: endDropped}
	}
	return rep
}

// lagging does a request and, if it is to, hides what it wrote for a while.
func (s *Server) lagging(c *call, t *target, reads int) *reply {
	var before int64
	if t.m != nil {
		before = t.m.user.Seq
	}
	rep := s.execute(c, t)
	if reads > 0 && t.m != nil && t.m.user.Seq > before && t.m.lag.reads == 0 {
		t.m.lag = lag{reads: reads, visible: before}
	}
	return rep
}
