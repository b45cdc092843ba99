package sfdc

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FaultKind is one way in which a call goes wrong.
type FaultKind string

// The kinds of fault.
const (
	// FaultStatus answers Status with a Salesforce error body of the given Code,
	// without doing anything. Its default is 503 SERVER_UNAVAILABLE.
	FaultStatus FaultKind = "status"
	// FaultHTML answers Status (500) with a page of HTML, without doing anything.
	FaultHTML FaultKind = "html"
	// FaultDrop closes the connection before anything is done.
	FaultDrop FaultKind = "drop"
	// FaultLost does what was asked and closes the connection instead of answering.
	FaultLost FaultKind = "lost"
	// FaultGateway does what was asked and answers 504.
	FaultGateway FaultKind = "gateway"
	// FaultTruncate does what was asked and sends the first half of the answer.
	FaultTruncate FaultKind = "truncate"
	// FaultGarbage does what was asked and answers 200 with broken JSON.
	FaultGarbage FaultKind = "garbage"
	// FaultLate answers 504 and does what was asked only After further requests.
	FaultLate FaultKind = "late"
	// FaultLatency delays the call by Delay and lets it through.
	FaultLatency FaultKind = "latency"
)

// Fault makes some calls go wrong.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Method and Path choose the calls: an HTTP method, and a part of the path with its
	// query as it was sent. Empty ones match all.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Skip lets the first matching calls through. Count is how many calls after them
	// the fault hits: 0 for one, negative for all.
	Skip  int `json:"skip,omitempty"`
	Count int `json:"count,omitempty"`
	// Percent hits each call with this chance only; 0 means always.
	Percent float64 `json:"percent,omitempty"`
	// Status and Code are those of FaultStatus and FaultHTML.
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	// Delay is that of FaultLatency; any other kind is delayed too if it is given.
	Delay time.Duration `json:"delay,omitempty"`
	// After is that of FaultLate; 0 means 1.
	After int `json:"after,omitempty"`
}

// AddFault adds a fault. Of several that match a call the oldest hits.
func (s *Server) AddFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Count == 0 {
		f.Count = 1
	}
	s.faults = append(s.faults, &f)
}

// ClearFaults takes all faults away. Requests that FaultLate holds still land.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// faultFor returns a copy of the fault that hits a request, or nil.
func (s *Server) faultFor(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Method != "" && !strings.EqualFold(f.Method, r.Method) || !strings.Contains(r.URL.RequestURI(), f.Path) || f.Count == 0 {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Percent > 0 && s.random.Float64()*100 >= f.Percent {
			continue
		}
		if f.Count > 0 {
			f.Count--
		}
		s.stats.Faults++
		hit := *f
		return &hit
	}
	return nil
}

func (s *Server) delay(f *Fault) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f != nil {
		return s.latency + f.Delay
	}
	return s.latency
}

// wait returns false if the client went away meanwhile.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// before acts for a fault that does nothing of what was asked. It reports whether the
// call is over.
func (f *Fault) before(w http.ResponseWriter) bool {
	switch f.Kind {
	case FaultDrop:
		panic(http.ErrAbortHandler)
	case FaultStatus:
		status, code := f.Status, f.Code
		if status == 0 {
			status = http.StatusServiceUnavailable
		}
		if code == "" {
			code = "SERVER_UNAVAILABLE"
		}
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = w.Write(failed(fail(status, code, "the service cannot answer now")).bytes())
		return true
	case FaultHTML:
		status := f.Status
		if status == 0 {
			status = http.StatusInternalServerError
		}
		w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html><head><title>Error</title></head><body><h1>An unexpected error occurred</h1></body></html>"))
		return true
	}
	return false
}

// send writes a reply, spoilt by the fault if there is one.
func (s *Server) send(w http.ResponseWriter, r *http.Request, rep *reply, f *Fault) {
	body := rep.bytes()
	status := rep.status
	for k, v := range rep.header {
		w.Header()[k] = v
	}
	s.mu.Lock()
	w.Header().Set("Date", s.now().Format(http.TimeFormat))
	s.mu.Unlock()
	if f != nil {
		switch f.Kind {
		case FaultLost:
			panic(http.ErrAbortHandler)
		case FaultGateway:
			status, body = http.StatusGatewayTimeout, nil
		case FaultGarbage:
			status, body = http.StatusOK, []byte(`{"records":[{"Id":`)
		case FaultTruncate:
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(status)
			_, _ = w.Write(body[:len(body)/2])
			if fl, ok := w.(http.Flusher); ok {
				fl.Flush()
			}
			panic(http.ErrAbortHandler)
		}
	}
	if len(body) > 0 {
		ct := "application/json;charset=UTF-8"
		if bytes.HasPrefix(body, []byte("<html>")) {
			ct = "text/html;charset=UTF-8"
		}
		w.Header().Set("Content-Type", ct)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// lateRequest is a request that was answered with 504 and is still to be done.
type lateRequest struct {
	request *http.Request
	body    []byte
	after   int
}

func (s *Server) keepForLater(r *http.Request, body []byte, after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, lateRequest{request: r.Clone(r.Context()), body: body, after: max(after, 1)})
}

// landLate does the requests whose time has come, counting the one that arrives.
func (s *Server) landLate(*http.Request) {
	s.mu.Lock()
	var due []lateRequest
	rest := s.late[:0]
	for _, l := range s.late {
		if l.after--; l.after < 0 {
			due = append(due, l)
		} else {
			rest = append(rest, l)
		}
	}
	s.late = rest
	s.mu.Unlock()
	for _, l := range due {
		s.handle(l.request, l.body)
	}
}

// Stats counts what clients did since the start or the last ResetStats.
type Stats struct {
	// Requests are all round trips that were answered; a composite is one.
	Requests int `json:"requests"`
	// Tokens and Versions are round trips that are no API calls.
	Tokens   int `json:"tokens"`
	Versions int `json:"versions"`
	// The rest of the round trips, and the parts of composites, by what they were for.
	Queries          int `json:"queries"`
	QueryPages       int `json:"queryPages"`
	RowReads         int `json:"rowReads"`
	RowWrites        int `json:"rowWrites"`
	CollectionReads  int `json:"collectionReads"`
	CollectionWrites int `json:"collectionWrites"`
	Composite        int `json:"composite"`
	Updated          int `json:"updated"`
	Deleted          int `json:"deleted"`
	Describes        int `json:"describes"`
	Other            int `json:"other"`
	// Faults are the calls that a fault hit.
	Faults int `json:"faults"`
	// Created, Changed and Removed are rows written through the API; Rejected are
	// writes of a row that were refused.
	Created  int `json:"created"`
	Changed  int `json:"changed"`
	Removed  int `json:"removed"`
	Rejected int `json:"rejected"`
	// APIUsed of APILimit calls are used up.
	APIUsed  int `json:"apiUsed"`
	APILimit int `json:"apiLimit"`
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.APIUsed, st.APILimit = s.used, s.limit
	return st
}

// ResetStats sets the counts to zero; the API usage stays.
func (s *Server) ResetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = Stats{}
}
