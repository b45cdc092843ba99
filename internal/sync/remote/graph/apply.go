package graph

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Apply sends writes 20 to a batch, one batch after the other: a batch alone takes
// all that the service allows a mailbox at once.
func (c *collection) Apply(ctx context.Context, writes []remote.Write) []remote.WriteResult {
	out := make([]remote.WriteResult, len(writes))
	var calls []call
	var at []int
	size := 0
	var stop error
	flush := func() {
		if len(calls) > 0 && stop == nil {
			stop = c.applyBatch(ctx, writes, calls, at, out)
		} else {
			for _, i := range at {
				out[i].Err = stop
			}
		}
		calls, at, size = nil, nil, 0
	}
	for i, w := range writes {
		out[i].ID = w.ID
		k, n, err := c.callFor(w)
		if err != nil {
			out[i].Err = err
			continue
		}
		if len(calls) == batchSize || size+n > batchBytes {
			flush()
		}
		calls, at, size = append(calls, k), append(at, i), size+n
	}
	flush()
	return out
}

// applyBatch sends one batch and stores its results at their places. Its error is
// why no more should be sent.
func (c *collection) applyBatch(ctx context.Context, writes []remote.Write, calls []call, at []int, out []remote.WriteResult) (stop error) {
	replies := c.g.exchange(ctx, c.h, calls)
	for n, r := range replies {
		i := at[n]
		out[i] = c.result(writes[i], r)
		if wait := detail(out[i].Err).RetryAfter; wait > 0 {
			c.h.Hold(wait)
		}
		if err := out[i].Err; err != nil && stop == nil && (r.whole || stops(err)) {
			stop = unsent(err)
		}
	}
	return stop
}

// callFor returns the call that carries a write out, and how many bytes its body
// has. It names the folder, so that an item that is not in it is not touched.
func (c *collection) callFor(w remote.Write) (call, int, error) {
	k := call{path: c.contacts(), scope: onItem, ifMatch: w.Version}
	if w.Kind == remote.Create {
		k.ifMatch, k.scope = "", inContainer
	} else {
		k.path += path(w.ID)
	}
	var b body
	var err error
	switch w.Kind {
	case remote.Create:
		k.method = http.MethodPost
		b, err = bodyOf(w, c.folder.Category)
	case remote.Update:
		k.method = http.MethodPatch
		b, err = bodyOf(w, "")
	case remote.Delete:
		k.method = http.MethodDelete
	default:
		err = setup("there is no write of kind "+string(w.Kind), "")
	}
	if b == nil || err != nil {
		return k, 0, err
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return k, 0, setup("a contact cannot be written as JSON", "")
	}
	k.body = json.RawMessage(raw)
	return k, len(raw), nil
}

func (c *collection) result(w remote.Write, r reply) remote.WriteResult {
	out := remote.WriteResult{ID: w.ID, Err: r.err}
	if r.err != nil || w.Kind == remote.Delete {
		return out
	}
	if w.Kind == remote.Update && len(r.body) == 0 {
		return out // done, and the answer tells no more
	}
	var got contact
	if err := r.decode(&got, true); err != nil || got.ID == "" {
		out.Err = malformed(true)
		return out
	}
	out.ID, out.Version = got.ID, got.version()
	if f, complete := got.fields(c.g.cfg.Mapping.Native()); complete {
		out.Fields = f
	}
	return out
}
