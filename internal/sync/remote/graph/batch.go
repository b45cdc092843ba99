package graph

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// A batch carries up to 20 calls in one round trip
// (https://learn.microsoft.com/graph/json-batching). The service counts each part as
// a request, works on four of them at a time, answers in any order and refuses each
// on its own. A request may hold 4 MB in all
// (https://learn.microsoft.com/graph/api/resources/largefileupload); a batch leaves
// room for what is around the bodies.
const batchBytes = 3 << 20

type batchRequest struct {
	Requests []batchPart `json:"requests"`
}

type batchPart struct {
	ID      string            `json:"id"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body,omitempty"`
}

type batchAnswer struct {
	Responses []struct {
		ID      string                     `json:"id"`
		Status  int                        `json:"status"`
		Headers map[string]json.RawMessage `json:"headers"`
		Body    json.RawMessage            `json:"body"`
	} `json:"responses"`
}

// reply is what became of one part.
type reply struct {
	body json.RawMessage
	err  error
	// refused: the part was not tried for lack of a valid token.
	refused bool
	// whole: the error is that of the round trip, and so of all its parts.
	whole bool
}

// decode reads the body of a reply.
func (r reply) decode(out any, write bool) error {
	if r.err != nil {
		return r.err
	}
	if err := json.Unmarshal(r.body, out); err != nil {
		return malformed(write)
	}
	return nil
}

// batch sends up to 20 calls in one round trip and returns a reply to each.
func (g *Graph) batch(ctx context.Context, h *transport.Handle, calls []call) []reply {
	out := make([]reply, len(calls))
	fail := func(err error) []reply {
		for i := range out {
			out[i] = reply{err: err, whole: true}
		}
		return out
	}
	var req batchRequest
	write := false
	for i, c := range calls {
		rel, err := g.relative(c)
		if err != nil {
			return fail(err)
		}
		p := batchPart{ID: strconv.Itoa(i), Method: c.method, URL: rel, Headers: map[string]string{"Prefer": c.prefer()}, Body: c.body}
		if c.body != nil {
			p.Headers["Content-Type"] = "application/json"
		}
		if c.ifMatch != "" {
			p.Headers["If-Match"] = c.ifMatch
		}
		req.Requests = append(req.Requests, p)
		write = write || c.write()
	}
	h = h.With(transport.Options{Safe: !write, Cost: len(calls)})
	var answers batchAnswer
	whole := call{method: http.MethodPost, path: "/$batch", body: req, scope: inMailbox}
	if err := g.send(ctx, h, whole, &answers); err != nil {
		if !write {
			err = unsent(err) // it was a POST, but it asked for nothing to be done
		}
		return fail(err)
	}
	for i := range out {
		out[i] = reply{err: &remote.Error{
			Class: remote.ClassTransient, Code: "no-reply", Message: "a batch came back without an answer to one of its parts", Unclear: calls[i].write(),
		}}
	}
	for _, r := range answers.Responses {
		i, err := strconv.Atoi(r.ID)
		if err != nil || i < 0 || i >= len(out) {
			continue
		}
		if r.Status >= 200 && r.Status < 300 {
			out[i] = reply{body: r.Body}
			continue
		}
		a := answer{status: r.Status}
		var form envelope
		form.decode(r.Body)
		a.code, a.fields = form.code(), form.fields()
		a.retryAfter, a.told = transport.RetryAfter(partHeader(r.Headers), g.cfg.Now())
		out[i] = reply{err: classify(a, calls[i]), refused: r.Status == http.StatusUnauthorized}
	}
	return out
}

// partHeader reads the headers of a part, whose names come in any case and whose
// values may be numbers.
func partHeader(in map[string]json.RawMessage) http.Header {
	h := make(http.Header, len(in))
	for name, value := range in {
		h.Set(name, strings.Trim(string(value), `"`))
	}
	return h
}

// exchange sends up to 20 calls and renews the token if a part was refused for it:
// that part was not tried, and goes alone, where the transport sees the refusal.
func (g *Graph) exchange(ctx context.Context, h *transport.Handle, calls []call) []reply {
	out := g.batch(ctx, h, calls)
	var again []int
	for i, r := range out {
		if r.refused {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return out
	}
	probe := again[0]
	var raw json.RawMessage
	err := g.send(ctx, h, calls[probe], &raw)
	out[probe] = reply{body: raw, err: err}
	if err != nil && stops(err) {
		for _, i := range again[1:] {
			out[i] = reply{err: err, whole: true}
		}
		return out
	}
	rest := make([]call, 0, len(again)-1)
	for _, i := range again[1:] {
		rest = append(rest, calls[i])
	}
	if len(rest) > 0 {
		for n, r := range g.batch(ctx, h, rest) {
			out[again[1+n]] = r
		}
	}
	return out
}

// ask sends any number of reads and repeats those that failed for a while, as the
// transport does with a read that travels alone.
func (g *Graph) ask(ctx context.Context, h *transport.Handle, calls []call) []reply {
	out := make([]reply, 0, len(calls))
	for chunk := range slices.Chunk(calls, batchSize) {
		out = append(out, g.askChunk(ctx, h, chunk)...)
	}
	return out
}

func (g *Graph) askChunk(ctx context.Context, h *transport.Handle, calls []call) []reply {
	out := g.exchange(ctx, h, calls)
	if len(out) > 0 && out[0].whole {
		return out // the transport has tried already
	}
	for try := 1; ; try++ {
		var open []int
		var wait time.Duration
		for i, r := range out {
			if remote.Is(r.err, remote.ClassPressure) || remote.Is(r.err, remote.ClassTransient) {
				open = append(open, i)
				wait = max(wait, detail(r.err).RetryAfter)
			}
		}
		if len(open) == 0 {
			return out
		}
		if wait > 0 {
			h.Hold(wait)
		}
		if again, err := h.Again(ctx, try, wait); err != nil || !again {
			return out
		}
		part := make([]call, len(open))
		for n, i := range open {
			part[n] = calls[i]
		}
		for n, r := range g.exchange(ctx, h, part) {
			out[open[n]] = r
		}
	}
}
