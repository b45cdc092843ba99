package reconcile_test

import (
	"testing"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// What a person decides against deleting comes back where it is missing, whatever the
// policy; what is not to be deleted any more is decided as ever.
func TestDiscardedDeletes(t *testing.T) {
	t.Parallel()
	base := ann()
	edited := with(base, title, "CTO")
	copyGoes := reconcile.DeleteKey{Side: record.Mailbox, CRMID: "c1", MailboxID: "m1"}
	recordGoes := reconcile.DeleteKey{Side: record.CRM, CRMID: "c1", MailboxID: "m1"}
	closed := func(s record.Side) func(*reconcile.Policy) {
		return func(p *reconcile.Policy) {
			for i := range p.Fields {
				if s == record.CRM {
					p.Fields[i].ToCRM = false
				} else {
					p.Fields[i].ToMailbox = false
				}
			}
		}
	}
	for _, x := range []struct {
		name   string
		key    reconcile.DeleteKey
		crm    *reconcile.Change
		box    *reconcile.Change
		policy func(*reconcile.Policy)
		want   string
	}{
		{name: "deleted in the CRM", key: copyGoes, crm: ptr(gone("c1")), box: ptr(present("m1", base)), want: lines("end -> ended", "create crm /m1")},
		{name: "deleted in the CRM, the copy not read", key: copyGoes, crm: ptr(gone("c1")), want: "reread mailbox m1"},
		{name: "deleted in the CRM, the copy edited", key: copyGoes, crm: ptr(gone("c1")), box: ptr(present("m1", edited)), want: lines("end -> ended", "create crm /m1")},
		{name: "deleted in the CRM, where nothing travels", key: copyGoes, policy: closed(record.CRM), crm: ptr(gone("c1")), box: ptr(present("m1", base)), want: "end -> unlinked"},
		{name: "deleted on both", key: copyGoes, crm: ptr(gone("c1")), box: ptr(gone("m1")), want: "end -> ended"},
		{name: "out of scope", key: copyGoes, crm: ptr(out("c1")), box: ptr(present("m1", base)), want: "end -> unlinked"},
		{name: "out of scope, the copy not read", key: copyGoes, crm: ptr(out("c1")), want: "end -> unlinked"},
		{name: "back again", key: copyGoes, crm: ptr(present("c1", base)), box: ptr(present("m1", base))},
		{name: "another delete", key: recordGoes, crm: ptr(gone("c1")), want: "delete mailbox c1/m1 -> ended"},
		{name: "deleted in the mailbox", key: recordGoes, crm: ptr(present("c1", base)), box: ptr(gone("m1")), want: "create mailbox c1/"},
		{name: "deleted in the mailbox, the record not read", key: recordGoes, box: ptr(gone("m1")), want: "reread crm c1"},
		{name: "deleted in the mailbox, where nothing travels", key: recordGoes, policy: closed(record.Mailbox), crm: ptr(present("c1", base)), box: ptr(gone("m1")), want: "end -> unlinked"},
		{name: "deleted in the mailbox, and in the CRM since", key: recordGoes, crm: ptr(gone("c1")), box: ptr(gone("m1")), want: "end -> ended"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p := contacts()
			p.DeletesFromMailbox, p.CreateInCRM = reconcile.Propagate, false
			if x.policy != nil {
				x.policy(&p)
			}
			in := reconcile.Input{
				Policy: p, Hasher: hasher, Install: "i", Links: []reconcile.Link{linkOf(base, base)},
				Discarded: map[reconcile.DeleteKey]bool{x.key: true},
			}
			if x.crm != nil {
				in.CRM = append(in.CRM, *x.crm)
			}
			if x.box != nil {
				in.Mailbox = append(in.Mailbox, *x.box)
			}
			if got := words(reconcile.Reconcile(in)); got != x.want {
				t.Errorf("got\n%s\nwant\n%s", got, x.want)
			}
		})
	}
}

// A mailbox item that lost its link before it could be created in the CRM again is
// created all the same.
func TestDiscardOutlivesItsLink(t *testing.T) {
	t.Parallel()
	base := ann()
	ended := linkOf(base, base)
	ended.State, ended.Mailbox = reconcile.Ended, reconcile.Half{}
	m := present("m1", base)
	m.Stamp = &record.Stamp{Install: "i", Entity: record.Contacts, Op: "x", Other: "c1"}
	in := reconcile.Input{
		Policy: contacts(), Hasher: hasher, Install: "i", Links: []reconcile.Link{ended},
		CRM: []reconcile.Change{gone("c1")}, Mailbox: []reconcile.Change{m},
	}
	if got := words(reconcile.Reconcile(in)); got != "finding not-allowed mailbox m1" {
		t.Errorf("undecided: %s", got)
	}
	in.Discarded = map[reconcile.DeleteKey]bool{{Side: record.Mailbox, CRMID: "c1", MailboxID: "m1"}: true}
	if got := words(reconcile.Reconcile(in)); got != "create crm /m1" {
		t.Errorf("discarded: %s", got)
	}
}
