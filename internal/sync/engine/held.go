package engine

import (
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// A delete that the guard holds waits in the state until a person decides, or until it
// is not wanted any more: the record is back, or somebody edited it. So each is decided
// anew, with both items looked up, when either of them changes, when a person has
// decided, and once a day.

// Decision is what a person says of a delete that is held.
type Decision string

// The decisions.
const (
	Undecided Decision = ""
	// Allow: the next cycle deletes.
	Allow Decision = "allow"
	// Discard: the next cycle creates the record again on the side that lost it.
	Discard Decision = "discard"
)

// HeldDelete is a delete that the guard holds.
type HeldDelete struct {
	ID     int64
	User   string
	Entity record.Entity
	reconcile.DeleteKey
	// Label names the record for a person; the store keeps it encrypted.
	Label string
	// Reason says why it is to be deleted.
	Reason string
	By     reconcile.HeldBy
	// Since is when it was held first, Checked when it was last found to be wanted still.
	Since    time.Time
	Checked  time.Time
	Decision Decision
	Session  int64
}

// recheck is after how long a held delete is decided anew although nothing happened.
const recheck = 24 * time.Hour

// due tells whether a held delete is decided anew whatever the feeds say.
func (d HeldDelete) due(now time.Time) bool {
	return d.Decision != Undecided || reached(d.Checked.Add(recheck), now)
}

// holds is what a cycle knows of deletes that are held.
type holds struct {
	// known are those that were held before the cycle, with what a person decided.
	known map[reconcile.DeleteKey]HeldDelete
	// remade finds those that a person decided against by the item that the record is
	// created from again.
	remade map[reconcile.Ref]reconcile.DeleteKey
	// touched are the known ones that this cycle decides anew, open those of them that
	// it could not bring to an end.
	touched map[reconcile.DeleteKey]bool
	open    map[reconcile.DeleteKey]bool
	// waiting are those that nobody has decided, as the cycle goes on; fresh is how many
	// of them it has added.
	waiting map[reconcile.DeleteKey]reconcile.HeldBy
	fresh   int
}

func newHolds(known []HeldDelete) holds {
	h := holds{
		known: map[reconcile.DeleteKey]HeldDelete{}, remade: map[reconcile.Ref]reconcile.DeleteKey{},
		touched: map[reconcile.DeleteKey]bool{}, open: map[reconcile.DeleteKey]bool{},
		waiting: map[reconcile.DeleteKey]reconcile.HeldBy{},
	}
	for _, d := range known {
		h.known[d.DeleteKey] = d
		switch d.Decision {
		case Undecided:
			h.waiting[d.DeleteKey] = d.By
		case Discard:
			h.remade[reconcile.Ref{Side: d.Side, ID: d.DeleteKey.ID(d.Side)}] = d.DeleteKey
		}
	}
	return h
}

// decided returns the keys of those on which a person decided so.
func (h *holds) decided(d Decision) map[reconcile.DeleteKey]bool {
	keys := map[reconcile.DeleteKey]bool{}
	for k, held := range h.known {
		if held.Decision == d {
			keys[k] = true
		}
	}
	return keys
}

// standing is how many wait that the cycle does not decide anew.
func (h *holds) standing() int {
	n := 0
	for k := range h.waiting {
		if !h.touched[k] {
			n++
		}
	}
	return n
}

// hold takes what a plan holds, and returns it as it is stored.
func (h *holds) hold(held []reconcile.Held) []HeldDelete {
	out := make([]HeldDelete, 0, len(held))
	for _, o := range held {
		k := o.DeleteKey()
		if _, ok := h.known[k]; !ok && h.waiting[k] == "" {
			h.fresh++
		}
		h.waiting[k], h.open[k] = o.By, true
		out = append(out, HeldDelete{DeleteKey: k, Label: o.Label, Reason: o.Reason, By: o.By})
	}
	return out
}

// of returns the key of the held delete that an operation carries out or, after a
// person decided against it, makes good.
func (h *holds) of(o reconcile.Operation) (k reconcile.DeleteKey, ok bool) {
	switch o.Kind {
	case reconcile.Delete:
		k = o.DeleteKey()
	case reconcile.Create:
		source := o.Side.Other()
		k = h.remade[reconcile.Ref{Side: source, ID: o.DeleteKey().ID(source)}]
	}
	_, ok = h.known[k]
	return k, ok
}

// ended takes out what operations have brought to an end, and returns it.
func (h *holds) ended(ops []reconcile.Operation) []reconcile.DeleteKey {
	var keys []reconcile.DeleteKey
	for _, o := range ops {
		if k, ok := h.of(o); ok {
			keys = append(keys, k)
		}
	}
	h.forget(keys)
	return keys
}

// failed notes that operations did not come to their end.
func (h *holds) failed(ops ...reconcile.Operation) {
	for _, o := range ops {
		if k, ok := h.of(o); ok {
			h.open[k] = true
		}
	}
}

// forget takes out those that are held no longer.
func (h *holds) forget(keys []reconcile.DeleteKey) {
	for _, k := range keys {
		delete(h.known, k)
		delete(h.waiting, k)
		delete(h.touched, k)
	}
}

// over returns those that were decided anew and turned out not to be wanted any more.
func (h *holds) over() []reconcile.DeleteKey {
	var keys []reconcile.DeleteKey
	for k := range h.touched {
		if !h.open[k] {
			keys = append(keys, k)
		}
	}
	return keys
}
