package engine

import (
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// sides are both, in the order in which they are worked.
var sides = [2]record.Side{record.CRM, record.Mailbox}

// policyFor returns how an entity travels between two sides: by the fields that both
// can hold, each in the directions that both tables and the settings allow.
func policyFor(entity record.Entity, crm, mailbox mapping.Table, rules settings.Rules) reconcile.Policy {
	p := reconcile.Policy{
		Entity:             entity,
		Conflict:           rules.Conflict,
		CreateInCRM:        rules.CreateInCRM,
		DeletesFromMailbox: rules.DeletesFromMailbox,
		InitialLimit:       rules.InitialLimit,
		Guard:              rules.Guard,
	}
	for _, spec := range record.Specs(entity) {
		c, okC := crm.Entry(spec.Field)
		m, okM := mailbox.Entry(spec.Field)
		if !okC || !okM {
			continue
		}
		to := func(s record.Side) bool {
			return rules.Direction.Allows(s) && c.Direction.Allows(s) && m.Direction.Allows(s)
		}
		p.Fields = append(p.Fields, reconcile.FieldPolicy{
			Field:      spec.Field,
			ToCRM:      to(record.CRM),
			ToMailbox:  to(record.Mailbox),
			Conflict:   rules.Fields[spec.Field],
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
