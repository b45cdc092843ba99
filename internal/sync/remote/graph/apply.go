package graph

import (
	"context"
	"net/http"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Apply sends writes 20 to a batch, one batch after the other: a batch alone takes
// all that the service allows a mailbox at once.
func (c *collection) Apply(ctx context.Context, writes []remote.Write) []remote.WriteResult {
	out := make([]remote.WriteResult, 0, len(writes))
	var stop error
	for chunk := range slices.Chunk(writes, batchSize) {
		if stop != nil {
			for _, w := range chunk {
				out = append(out, remote.WriteResult{ID: w.ID, Err: stop})
			}
			continue
		}
		results, err := c.applyBatch(ctx, chunk)
		out = append(out, results...)
		stop = err
	}
	return out
}

// applyBatch sends up to 20 writes. Its error is why no more should be sent.
func (c *collection) applyBatch(ctx context.Context, writes []remote.Write) (out []remote.WriteResult, stop error) {
	out = make([]remote.WriteResult, len(writes))
	var calls []call
	var at []int
	for i, w := range writes {
		out[i].ID = w.ID
		k, err := c.callFor(w)
		if err != nil {
			out[i].Err = err
			continue
		}
		calls, at = append(calls, k), append(at, i)
	}
	if len(calls) == 0 {
		return out, nil
	}
	replies := c.g.exchange(ctx, c.h, calls)
	for n, r := range replies {
		i := at[n]
		out[i] = c.result(writes[i], r)
		if err := out[i].Err; err != nil && stop == nil && stops(err) {
			stop = unsent(err)
		}
	}
	if stop == nil && wholeFailed(replies) && replies[0].err != nil && len(replies) > 1 {
		stop = unsent(replies[0].err)
	}
	return out, stop
}

// callFor returns the call that carries a write out. It names the folder, so that
// an item that is not in it is not touched.
func (c *collection) callFor(w remote.Write) (call, error) {
	k := call{path: c.contacts(), scope: onItem, ifMatch: w.Version}
	if w.Kind == remote.Create {
		k.ifMatch, k.scope = "", inContainer
	} else {
		k.path += path(w.ID)
	}
	var err error
	switch w.Kind {
	case remote.Create:
		k.method = http.MethodPost
		k.body, err = bodyOf(w, c.folder.Category)
	case remote.Update:
		k.method = http.MethodPatch
		k.body, err = bodyOf(w, "")
	case remote.Delete:
		k.method = http.MethodDelete
	default:
		err = setup("there is no write of kind "+string(w.Kind), "")
	}
	return k, err
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
