package engine

import (
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

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
		Guard:              reconcile.DefaultLimits(entity),
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
