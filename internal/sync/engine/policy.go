package engine

import (
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Interval is how long after the start of a cycle the next one is due.
const Interval = 30 * time.Minute

// sides are both, in the order in which they are worked.
var sides = [2]record.Side{record.CRM, record.Mailbox}

// initialLimit is how many records of an entity a first sync brings into a mailbox.
var initialLimit = map[record.Entity]int{record.Contacts: 10_000}

// policyFor returns how an entity travels between two sides: by the fields that both
// can hold, each in the directions that both tables allow.
func policyFor(entity record.Entity, crm, mailbox mapping.Table, createInCRM bool) reconcile.Policy {
	p := reconcile.Policy{
		Entity:             entity,
		Conflict:           reconcile.CRMWins,
		CreateInCRM:        createInCRM,
		DeletesFromMailbox: reconcile.Unlink,
		InitialLimit:       initialLimit[entity],
	}
	for _, spec := range record.Specs(entity) {
		c, okC := crm.Entry(spec.Field)
		m, okM := mailbox.Entry(spec.Field)
		if !okC || !okM {
			continue
		}
		p.Fields = append(p.Fields, reconcile.FieldPolicy{
			Field:      spec.Field,
			ToCRM:      c.Direction.Allows(record.CRM) && m.Direction.Allows(record.CRM),
			ToMailbox:  c.Direction.Allows(record.Mailbox) && m.Direction.Allows(record.Mailbox),
			FitCRM:     c.Fit,
			FitMailbox: m.Fit,
		})
	}
	return p
}

// project keeps the fields that a policy has: what only one side can hold is none of
// the other's business.
func project(p reconcile.Policy, r record.Record) record.Record {
	out := make(record.Record, len(r))
	for _, f := range p.Fields {
		if v, ok := r[f.Field]; ok {
			out[f.Field] = v
		}
	}
	return out
}

// retryDelays are the pauses before an issue is tried again; after the last it is once
// a day, and after maxAttempts only when the record changes.
var retryDelays = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}

const maxAttempts = 10

// nextRetry returns when a record that has now failed so many times is tried again,
// and whether it is parked instead.
func nextRetry(now time.Time, attempts int) (time.Time, bool) {
	switch {
	case attempts >= maxAttempts:
		return time.Time{}, true
	case attempts <= len(retryDelays):
		return now.Add(retryDelays[max(attempts, 1)-1]), false
	}
	return now.Add(24 * time.Hour), false
}
