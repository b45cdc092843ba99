package graph

import (
	"context"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Prefetch reads the first delta pages of many mailboxes, 20 to a batch.
func (g *Graph) Prefetch(ctx context.Context, feeds []remote.MailFeed) []remote.FeedResult {
	out := make([]remote.FeedResult, len(feeds))
	var calls []call
	var at []int
	for i, f := range feeds {
		if wait := g.client.For(f.Mailbox).Spend(); wait > 0 {
			out[i].Err = &remote.Error{Class: remote.ClassPressure, Message: "Microsoft 365 asks us to slow down", RetryAfter: wait}
			continue
		}
		c, err := g.feed(f.Mailbox, f.Container.ID, f.Cursor)
		if err != nil {
			out[i].Err = err
			continue
		}
		calls, at = append(calls, c), append(at, i)
	}
	names := g.cfg.Mapping.Native()
	n := 0
	for chunk := range slices.Chunk(calls, batchSize) {
		// A part that fails is not asked for again here: the mailbox's own cycle does.
		for _, r := range g.exchange(ctx, g.tenant, chunk) {
			i := at[n]
			n++
			var p page[contact]
			if err := r.decode(&p, false); err != nil {
				if wait := detail(err).RetryAfter; wait > 0 && remote.Is(err, remote.ClassPressure) {
					g.client.For(feeds[i].Mailbox).Hold(wait)
				}
				out[i].Err = err
				continue
			}
			out[i] = g.firstPage(ctx, feeds[i], p, names)
		}
	}
	return out
}

func (g *Graph) firstPage(ctx context.Context, feed remote.MailFeed, p page[contact], names []string) remote.FeedResult {
	f := remote.Feed{Cursor: p.Delta, Complete: p.Next == ""}
	if !f.Complete {
		f.Cursor = p.Next
	}
	if f.Cursor == "" {
		return remote.FeedResult{Err: malformed(false)}
	}
	partial := changes(p.Value, names, &f)
	if feed.Cursor != "" && len(partial) > 0 {
		m := &mailbox{g: g, id: feed.Mailbox, h: g.client.For(feed.Mailbox)}
		if err := m.collection(feed.Container).complete(ctx, &f, partial); err != nil {
			return remote.FeedResult{Err: err}
		}
	}
	return remote.FeedResult{Feed: f}
}
