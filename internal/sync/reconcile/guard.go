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

// The limits of a run over all users: deletes beyond both are held.
const (
	// RunFloor is how many deletes a run may always do.
	RunFloor = 50
	// RunPercent of all links that the run could touch are what more may not exceed.
	RunPercent = 1
)

// ExceedsRun reports whether n deletes among all users' links are too many for one run.
func ExceedsRun(n, linked int) bool { return n > RunFloor && n*100 > RunPercent*linked }

// DeleteKey names a delete: of which pair the item of which side goes.
type DeleteKey struct {
	Side      record.Side
	CRMID     string
	MailboxID string
}

// ID returns the id of a side; it may be empty.
func (k DeleteKey) ID(s record.Side) string {
	if s == record.CRM {
		return k.CRMID
	}
	return k.MailboxID
}

// DeleteKey returns the key of an operation that is a delete.
func (o Operation) DeleteKey() DeleteKey {
	return DeleteKey{Side: o.Side, CRMID: o.CRMID, MailboxID: o.MailboxID}
}

// HeldBy is what holds a delete.
type HeldBy string

// What holds deletes: the limits of the user, those of the run, or a change of the rules.
const (
	HeldByUser  HeldBy = "user"
	HeldByRun   HeldBy = "run"
	HeldByRules HeldBy = "rules"
)

// Held is a delete that waits until a person decides.
type Held struct {
	Operation
	By HeldBy
}

// Hold returns p with the deletes for which by names something moved from Ops to Held.
func (p Plan) Hold(by func(DeleteKey) HeldBy) Plan {
	ops := make([]Operation, 0, len(p.Ops))
	held := append([]Held(nil), p.Held...)
	for _, o := range p.Ops {
		if o.Kind == Delete {
			if b := by(o.DeleteKey()); b != "" {
				held = append(held, Held{Operation: o, By: b})
				continue
			}
		}
		ops = append(ops, o)
	}
	p.Ops, p.Held = ops, held
	return p
}

// Guarded is what the guard knows of a user's entity besides the plan.
type Guarded struct {
	// Links is how many of its links are in the state Linked.
	Links  int
	Limits Limits
	// Waiting are the deletes that were held before and are not decided, in the plan or
	// not: they count, and stay held whatever their number.
	Waiting map[DeleteKey]HeldBy
	// Allowed are those that a person let pass: they do not count.
	Allowed map[DeleteKey]bool
	// NewRules: this is the first plan under other rules, so every delete is held.
	NewRules bool
}

// Guard returns p with the deletes of each side where there are too many of them moved
// from Ops to Held, all of them, so that none is done before somebody has looked.
func Guard(p Plan, g Guarded) Plan {
	deletes := map[record.Side]int{}
	for k := range g.Waiting {
		deletes[k.Side]++
	}
	for _, o := range p.Ops {
		k := o.DeleteKey()
		if o.Kind == Delete && !g.Allowed[k] && g.Waiting[k] == "" {
			deletes[o.Side]++
		}
	}
	return p.Hold(func(k DeleteKey) HeldBy {
		switch {
		case g.Allowed[k]:
			return ""
		case g.Waiting[k] != "":
			return g.Waiting[k]
		case g.NewRules:
			return HeldByRules
		case g.Limits.exceeds(deletes[k.Side], g.Links):
			return HeldByUser
		}
		return ""
	})
}
