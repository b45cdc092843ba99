package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// runGuard limits what all users of a run together delete, before the first delete
// beyond the limit. It knows two things:
//
//   - What the shared feeds of the CRM tell: records that are linked and are gone, merged
//     away or somebody else's. If these alone are too many, nothing is deleted in any
//     mailbox, whoever comes first.
//   - What the users' plans delete. Each plan is counted in before it is carried out, and
//     one that does not fit any more is held, all of it.
//
// What a person has allowed does not count.
type runGuard struct {
	e           *Engine
	connections []string // of the run's users

	mu sync.Mutex
	// told are the losses of which the feeds tell.
	told map[loss]bool
	// planned is how many deletes were counted in.
	planned int
	// links is how many there are; -1 until it matters.
	links int
}

// loss is a record that a user is linked to and may lose.
type loss struct {
	record string
	user   int64
}

func newRunGuard(e *Engine, members []Member) *runGuard {
	g := &runGuard{e: e, told: map[loss]bool{}, links: -1}
	for _, m := range members {
		if !slices.Contains(g.connections, m.Org.CRM) {
			g.connections = append(g.connections, m.Org.CRM)
		}
	}
	return g
}

// hear takes in what a feed tells of a record, and who is linked to it. keeps tells
// whether the record is still a user's own.
func (g *runGuard) hear(ch remote.Change, linked []int64, keeps func(user int64) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range linked {
		if ch.Kind != remote.Present || !keeps(u) {
			g.told[loss{ch.Item.ID, u}] = true
		}
	}
}

// hold returns a user's plan with those deletes held that the run may not do.
func (g *runGuard) hold(ctx context.Context, entity record.Entity, p reconcile.Plan, allowed map[reconcile.DeleteKey]bool) (reconcile.Plan, error) {
	deletes := map[record.Side]int{}
	for _, o := range p.Ops {
		if o.Kind == reconcile.Delete && !allowed[o.DeleteKey()] {
			deletes[o.Side]++
		}
	}
	if len(deletes) == 0 {
		return p, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	flood, err := g.exceeds(ctx, entity, len(g.told))
	if err != nil {
		return p, err
	}
	if flood {
		delete(deletes, record.Mailbox)
	}
	n := deletes[record.CRM] + deletes[record.Mailbox]
	full, err := g.exceeds(ctx, entity, g.planned+n)
	if err != nil {
		return p, err
	}
	if !full {
		g.planned += n
	}
	return p.Hold(func(k reconcile.DeleteKey) reconcile.HeldBy {
		if !allowed[k] && (full || flood && k.Side == record.Mailbox) {
			return reconcile.HeldByRun
		}
		return ""
	}), nil
}

// exceeds counts all links once, and only if so many deletes may be too many.
func (g *runGuard) exceeds(ctx context.Context, entity record.Entity, n int) (bool, error) {
	if n <= reconcile.RunFloor {
		return false, nil
	}
	if g.links < 0 {
		links, err := g.e.State.CountAllLinks(ctx, g.connections, entity)
		if err != nil {
			return false, stateFault("counting the links of all users", err)
		}
		g.links = links
	}
	return reconcile.ExceedsRun(n, g.links), nil
}
