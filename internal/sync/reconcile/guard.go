package reconcile

import "github.com/crmsync/crmsync/internal/sync/record"

// Limits say when so many deletes come at once that a person should look first.
type Limits struct {
	// Floor is how many deletes are always let through.
	Floor int
	// Percent of the links, and Ceiling as a number, are what more may not exceed.
	Percent float64
	Ceiling int
}

// DefaultLimits returns the limits of one user and entity.
func DefaultLimits(e record.Entity) Limits {
	if e == record.Contacts {
		return Limits{Floor: 10, Percent: 5, Ceiling: 250}
	}
	return Limits{Floor: 10, Percent: 10, Ceiling: 50}
}

// exceeds reports whether n deletes among so many links are too many.
func (l Limits) exceeds(n, linked int) bool {
	return n > l.Floor && (float64(n)*100 > l.Percent*float64(linked) || n > l.Ceiling)
}

// Guard returns p with the deletes of each side where there are too many of them moved
// from Ops to Held, all of them, so that none is done before somebody has looked. The
// number of links is that of one user and entity in the state Linked.
func Guard(p Plan, linked int, l Limits) Plan {
	deletes := map[record.Side]int{}
	for _, o := range p.Ops {
		if o.Kind == Delete {
			deletes[o.Side]++
		}
	}
	if !l.exceeds(deletes[record.CRM], linked) && !l.exceeds(deletes[record.Mailbox], linked) {
		return p
	}
	ops := make([]Operation, 0, len(p.Ops))
	held := append([]Operation(nil), p.Held...)
	for _, o := range p.Ops {
		if o.Kind == Delete && l.exceeds(deletes[o.Side], linked) {
			held = append(held, o)
		} else {
			ops = append(ops, o)
		}
	}
	p.Ops, p.Held = ops, held
	return p
}
