package m365

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxBatch is how many requests a batch holds. D/concepts/json-batching.md
const maxBatch = 20

type batchItem struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

type batchAnswer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

func badBatch(format string, args ...any) *reply {
	return failed(http.StatusBadRequest, "BadRequest", format, args...)
}

// serveBatch answers a batch: a malformed one as a whole with 400, otherwise with 200 and
// an answer of its own for each item, in no particular order. Each item counts against
// its mailbox, of which at most four run at a time; a batch takes as many of those places
// as it can use, and what finds none is throttled alone. An item that depends on a failed
// one fails with 424. D/concepts/json-batching.md, D/concepts/throttling.md
func (s *Server) serveBatch(c *call) *reply {
	items, rep := parseBatch(c)
	s.mu.Lock()
	s.stats.total.RoundTrips++
	p := s.planOp(c, "batch", nil, false)
	s.mu.Unlock()
	if hook := s.hook(); hook != nil {
		hook("batch", "")
	}
	if p.latency > 0 {
		s.opt.Wait(c.ctx, p.latency)
	}
	if rep != nil {
		return rep
	}
	if f := p.strikes; f != nil {
		switch f.Kind {
		case FaultError:
			return f.answer(http.StatusServiceUnavailable)
		case FaultHTML:
			return f.page()
		case FaultDrop:
			return dropped(c)
		}
		return f.spoil(s.runBatch(c, items), false)
	}
	return s.runBatch(c, items)
}

func (s *Server) hook() func(op, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.onRequest
}

func parseBatch(c *call) ([]batchItem, *reply) {
	if c.method != http.MethodPost {
		return nil, failed(http.StatusMethodNotAllowed, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
	}
	var in struct {
		Requests []batchItem `json:"requests"`
	}
	if json.Unmarshal(c.body, &in) != nil {
		return nil, badBatch("Invalid batch payload format.")
	}
	if len(in.Requests) == 0 {
		return nil, badBatch("Invalid batch payload format.")
	}
	if len(in.Requests) > maxBatch {
		return nil, badBatch("Number of batch request steps exceeds the maximum value of %d.", maxBatch)
	}
	ids := map[string]int{}
	for i, it := range in.Requests {
		low := strings.ToLower(it.ID)
		if _, twice := ids[low]; it.ID == "" || twice {
			return nil, badBatch("Request id is missing or not unique: '%s'.", it.ID)
		}
		if it.Method == "" || it.URL == "" {
			return nil, badBatch("Request '%s' has no method or url.", it.ID)
		}
		// An item may depend on earlier ones only, which also keeps out circles.
		for _, d := range it.DependsOn {
			if _, known := ids[strings.ToLower(d)]; !known {
				return nil, badBatch("Request '%s' depends on the request '%s', which is not before it.", it.ID, d)
			}
		}
		ids[low] = i
	}
	return in.Requests, nil
}

func (s *Server) runBatch(c *call, items []batchItem) *reply {
	calls := make([]*call, len(items))
	targets := make([]*target, len(items))
	refusals := make([]*reply, len(items))
	count := map[*mailbox]int{}
	for i, it := range items {
		calls[i], refusals[i] = c.item(it)
		var refused *reply
		targets[i], refused = s.begin(calls[i])
		if refusals[i] == nil {
			refusals[i] = refused
		}
		if m := targets[i].m; m != nil && targets[i].outlook {
			count[m]++
		}
	}

	// The places that the batch has in each mailbox.
	s.mu.Lock()
	places := map[*mailbox]int{}
	seen := map[*mailbox]bool{}
	for _, t := range targets {
		if t.m == nil || seen[t.m] {
			continue
		}
		seen[t.m] = true
		s.stats.mailbox(t.m).RoundTrips++
		n := min(count[t.m], s.opt.Concurrency, s.opt.Concurrency-t.m.pressed.inFlight)
		places[t.m] = max(0, n)
		s.enter(t.m, places[t.m])
	}
	s.mu.Unlock()
	defer func() {
		for m, n := range places {
			s.leave(m, n)
		}
	}()

	turn := map[*mailbox]int{}
	status := map[string]int{}
	answers := make([]batchAnswer, 0, len(items))
	var slowest, waited time.Duration
	for i, it := range items {
		m := targets[i].m
		crowded := false
		if m != nil && targets[i].outlook {
			crowded = turn[m]%s.opt.Concurrency >= places[m]
			turn[m]++
		}
		refused := refusals[i]
		for _, d := range it.DependsOn {
			if status[strings.ToLower(d)] >= 400 {
				refused = failed(http.StatusFailedDependency, "FailedDependency", "The request '%s' that this one depends on failed.", d)
			}
		}
		rep := s.perform(calls[i], targets[i], refused, crowded)
		status[strings.ToLower(it.ID)] = rep.status
		if slowest = max(slowest, rep.latency); i%s.opt.Concurrency == s.opt.Concurrency-1 || i == len(items)-1 {
			waited += slowest
			slowest = 0
		}
		if rep.ending == endWell {
			answers = append(answers, rep.inBatch(it.ID, c.exchange))
		} else {
			status[strings.ToLower(it.ID)] = http.StatusGatewayTimeout
		}
	}
	if waited > 0 {
		s.opt.Wait(c.ctx, waited)
	}
	s.mu.Lock()
	s.rng.Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
	s.mu.Unlock()
	return okReply(http.StatusOK, map[string]any{"responses": answers})
}

// item makes a call of an item. Its headers are its own.
func (c *call) item(it batchItem) (*call, *reply) {
	h := http.Header{}
	for k, v := range it.Headers {
		h.Add(k, v)
	}
	n := &call{ctx: c.ctx, method: strings.ToUpper(it.Method), header: h, base: c.base, app: c.app, batched: true, exchange: c.exchange}
	path, raw, _ := strings.Cut(it.URL, "?")
	n.path, n.query = strings.TrimPrefix(path, "/"), parseQuery(raw)
	if u, err := url.Parse(path); err != nil || u.IsAbs() || strings.HasPrefix(n.path, "$batch") {
		return n, badBatch("The url of a request in a batch must be relative, and no batch.")
	}
	if len(it.Body) > 0 && string(it.Body) != "null" {
		if h.Get("Content-Type") == "" {
			return n, badBatch("Write request id : %s does not contain Content-Type header or body.", it.ID)
		}
		n.body = it.Body
	}
	return n, nil
}

// inBatch writes an answer as part of a batch's.
func (r *reply) inBatch(id string, x *exchange) batchAnswer {
	a := batchAnswer{ID: id, Status: r.status, Headers: map[string]string{"Cache-Control": "private"}}
	body := r.body
	if r.err != nil && body == nil {
		body = x.envelope(r.err)
	}
	switch {
	case r.raw:
		a.Body, _ = json.Marshal(base64.StdEncoding.EncodeToString(body))
	case len(body) > 0:
		a.Headers["Content-Type"] = jsonType
		a.Headers["OData-Version"] = "4.0"
		a.Body = body
	}
	for k := range r.header {
		name := k
		if k == "Etag" { // net/http's spelling, which no client of a batch's JSON expects
			name = "ETag"
		}
		a.Headers[name] = r.header.Get(k)
	}
	return a
}
