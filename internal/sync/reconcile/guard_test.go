package reconcile_test

import (
	"testing"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

func deletesOf(crm, mailbox int) reconcile.Plan {
	var p reconcile.Plan
	p.Ops = append(p.Ops, reconcile.Operation{Kind: reconcile.Update, Side: record.CRM, CRMID: "u"})
	for range crm {
		p.Ops = append(p.Ops, reconcile.Operation{Kind: reconcile.Delete, Side: record.CRM})
	}
	for range mailbox {
		p.Ops = append(p.Ops, reconcile.Operation{Kind: reconcile.Delete, Side: record.Mailbox})
	}
	p.Ops = append(p.Ops, reconcile.Operation{Kind: reconcile.End})
	return p
}

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name               string
		entity             record.Entity
		crm, mailbox, held int
		linked             int
	}{
		{"none", record.Contacts, 0, 0, 0, 100},
		{"the floor lets few through", record.Contacts, 0, 10, 0, 11},
		{"over the floor, all of few", record.Contacts, 0, 11, 11, 11},
		{"1 percent", record.Contacts, 0, 20, 0, 2000},
		{"exactly 5 percent", record.Contacts, 0, 50, 0, 1000},
		{"just over 5 percent", record.Contacts, 0, 51, 51, 1000},
		{"4.9 percent", record.Contacts, 0, 49, 0, 1000},
		{"99.99 percent", record.Contacts, 0, 9999, 9999, 10000},
		{"100 percent", record.Contacts, 0, 10000, 10000, 10000},
		{"the ceiling", record.Contacts, 0, 250, 0, 100000},
		{"over the ceiling", record.Contacts, 0, 251, 251, 100000},
		{"each side counts for itself", record.Contacts, 40, 40, 0, 1000},
		{"only one side is held", record.Contacts, 60, 40, 60, 1000},
		{"both sides are held", record.Contacts, 60, 60, 120, 1000},
		{"events have more percent", record.Events, 0, 50, 0, 500},
		{"and a lower ceiling", record.Tasks, 0, 51, 51, 10000},
		{"no links", record.Contacts, 0, 11, 11, 0},
	} {
		p := deletesOf(x.crm, x.mailbox)
		got := reconcile.Guard(p, reconcile.Guarded{Links: x.linked, Limits: reconcile.DefaultLimits(x.entity)})
		if len(got.Held) != x.held || len(got.Ops) != len(p.Ops)-x.held {
			t.Errorf("%s: %d held, %d go on", x.name, len(got.Held), len(got.Ops))
		}
		for _, o := range got.Held {
			if o.Kind != reconcile.Delete {
				t.Errorf("%s: %s is held", x.name, o.Kind)
			}
		}
		if got.Ops[0].CRMID != "u" || got.Ops[len(got.Ops)-1].Kind != reconcile.End {
			t.Errorf("%s: the order changed", x.name)
		}
		if n := len(deletesOf(x.crm, x.mailbox).Ops); n != len(p.Ops) {
			t.Errorf("%s: the plan that was given changed", x.name)
		}
	}
}
