package reconcile_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// toMailbox and toCRM make all fields of a policy travel one way.
func toMailbox(p *reconcile.Policy) {
	for i := range p.Fields {
		p.Fields[i].ToCRM = false
	}
}

func toCRM(p *reconcile.Policy) {
	for i := range p.Fields {
		p.Fields[i].ToMailbox = false
	}
}

// A side to which nothing travels is not written, whatever happens on the other.
func TestOneWaySides(t *testing.T) {
	t.Parallel()
	base := ann()
	allow := func(p *reconcile.Policy) { p.CreateInCRM = true }
	deletes := func(d reconcile.DeletePolicy) func(*reconcile.Policy) {
		return func(p *reconcile.Policy) { p.DeletesFromMailbox = d }
	}
	edit := func(id, text string) reconcile.Change { return present(id, with(base, title, text)) }
	type changes = []reconcile.Change
	for _, x := range []struct {
		name     string
		policy   []func(*reconcile.Policy)
		state    reconcile.LinkState
		crm, box changes
		want     string
	}{
		{"to the mailbox: edited in the CRM", []func(*reconcile.Policy){toMailbox}, "", changes{edit("c1", "CFO")}, nil, "update mailbox job_title=CFO"},
		{"to the mailbox: edited there", []func(*reconcile.Policy){toMailbox}, "", nil, changes{edit("m1", "CTO")}, "settle"},
		{"to the mailbox: edited on both", []func(*reconcile.Policy){toMailbox}, "", changes{edit("c1", "CFO")}, changes{edit("m1", "CTO")},
			lines("update mailbox job_title=CFO", "conflict job_title: crm keeps CFO, lost CTO")},
		{"to the mailbox: both, and the mailbox would win", []func(*reconcile.Policy){toMailbox, func(p *reconcile.Policy) { p.Conflict = reconcile.MailboxWins }}, "",
			changes{edit("c1", "CFO")}, changes{edit("m1", "CTO")}, lines("update mailbox job_title=CFO", "conflict job_title: crm keeps CFO, lost CTO")},
		{"to the mailbox: both, and it would be held", []func(*reconcile.Policy){toMailbox, func(p *reconcile.Policy) { p.Conflict = reconcile.Hold }}, "",
			changes{edit("c1", "CFO")}, changes{edit("m1", "CTO")}, lines("update mailbox job_title=CFO", "conflict job_title: crm keeps CFO, lost CTO")},
		{"to the mailbox: an address added there", []func(*reconcile.Policy){toMailbox}, "", nil, changes{present("m1", with(base, emails, "a@example.com,b@example.com"))}, "settle"},
		{"to the mailbox: deleted in the CRM", []func(*reconcile.Policy){toMailbox}, "", changes{gone("c1")}, nil, "delete mailbox c1/m1 -> ended"},
		{"to the mailbox: deleted there, propagate", []func(*reconcile.Policy){toMailbox, deletes(reconcile.Propagate)}, "", nil, changes{gone("m1")}, "end -> unlinked"},
		{"to the mailbox: deleted there, recreate", []func(*reconcile.Policy){toMailbox, deletes(reconcile.Recreate)}, "", changes{present("c1", base)}, changes{gone("m1")}, "create mailbox c1/"},
		{"to the mailbox: edited there, deleted in the CRM", []func(*reconcile.Policy){toMailbox, allow}, "", changes{gone("c1")}, changes{edit("m1", "CTO")},
			lines("end -> unlinked", "finding edit-kept mailbox m1 c1")},
		{"to the mailbox: new there", []func(*reconcile.Policy){toMailbox, allow}, "", nil, changes{present("m2", with(base, emails, "x@example.com"))}, "finding one-way mailbox m2"},
		{"to the mailbox: new in the CRM", []func(*reconcile.Policy){toMailbox}, "", changes{present("c2", base)}, nil, "create mailbox c2/"},

		{"to the CRM: edited in the mailbox", []func(*reconcile.Policy){toCRM}, "", nil, changes{edit("m1", "CTO")}, "update crm job_title=CTO"},
		{"to the CRM: edited there", []func(*reconcile.Policy){toCRM}, "", changes{edit("c1", "CFO")}, nil, "settle"},
		{"to the CRM: edited on both", []func(*reconcile.Policy){toCRM}, "", changes{edit("c1", "CFO")}, changes{edit("m1", "CTO")},
			lines("update crm job_title=CTO", "conflict job_title: mailbox keeps CTO, lost CFO")},
		{"to the CRM: deleted there", []func(*reconcile.Policy){toCRM}, "", changes{gone("c1")}, nil, "end -> unlinked"},
		{"to the CRM: out of scope there", []func(*reconcile.Policy){toCRM}, "", changes{out("c1")}, nil, "end -> unlinked"},
		{"to the CRM: deleted in the mailbox, propagate", []func(*reconcile.Policy){toCRM, deletes(reconcile.Propagate)}, "", nil, changes{gone("m1")}, "delete crm c1/m1 -> ended"},
		{"to the CRM: deleted in the mailbox, recreate", []func(*reconcile.Policy){toCRM, deletes(reconcile.Recreate)}, "", changes{present("c1", base)}, changes{gone("m1")}, "end -> unlinked"},
		{"to the CRM: edited there, deleted in the mailbox", []func(*reconcile.Policy){toCRM, deletes(reconcile.Propagate)}, "", changes{edit("c1", "CFO")}, changes{gone("m1")},
			lines("end -> unlinked", "finding edit-kept crm c1 m1")},
		{"to the CRM: edited in the mailbox, deleted there", []func(*reconcile.Policy){toCRM, allow}, "", changes{gone("c1")}, changes{edit("m1", "CTO")}, lines("end -> ended", "create crm /m1")},
		{"to the CRM: new there", []func(*reconcile.Policy){toCRM, allow}, "", changes{present("c2", base)}, nil, "finding one-way crm c2"},
		{"to the CRM: new in the mailbox", []func(*reconcile.Policy){toCRM, allow}, "", nil, changes{present("m2", with(base, emails, "x@example.com"))}, "create crm /m2"},
		{"to the CRM: unlinked, changed there, recreate", []func(*reconcile.Policy){toCRM, deletes(reconcile.Recreate)}, reconcile.Unlinked, changes{edit("c1", "CFO")}, changes{gone("m1")}, ""},
		{"to the CRM: restored there", []func(*reconcile.Policy){toCRM}, reconcile.Ended, changes{present("c1", base)}, nil, "finding one-way crm c1"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p := contacts()
			for _, change := range x.policy {
				change(&p)
			}
			l := linkOf(base, base)
			if x.state != "" {
				l.State = x.state
			}
			in := reconcile.Input{Policy: p, Hasher: hasher, Install: "i", Links: []reconcile.Link{l}, CRM: x.crm, Mailbox: x.box}
			if got := words(reconcile.Reconcile(in)); got != x.want {
				t.Errorf("got\n%s\nwant\n%s", got, x.want)
			}
		})
	}
}

// A first sync that goes one way links what matches and names the rest.
func TestOneWayMatches(t *testing.T) {
	t.Parallel()
	p := contacts()
	toCRM(&p)
	p.CreateInCRM, p.InitialLimit = true, 1
	in := reconcile.Input{Policy: p, Hasher: hasher, Install: "i", First: true,
		CRM: []reconcile.Change{
			present("c1", with(ann(), title, "")), present("c2", with(ann(), given, "Bob", emails, "b@example.com")),
			present("c3", with(ann(), given, "Cid", emails, "c@example.com")),
		},
		Mailbox: []reconcile.Change{present("m1", ann())}}
	want := lines("link c1/m1", "update crm job_title=CEO", "finding one-way crm c2", "finding one-way crm c3")
	if got := words(reconcile.Reconcile(in)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A late write on a side that is not written any more stays, and is named.
func TestOneWayLeavesLateWrites(t *testing.T) {
	t.Parallel()
	base := ann()
	p := contacts()
	toMailbox(&p)
	late := present("c9", base)
	late.Stamp = &record.Stamp{Install: "i", Entity: record.Contacts, Op: "late", Other: "m1"}
	in := reconcile.Input{Policy: p, Hasher: hasher, Install: "i", Links: []reconcile.Link{linkOf(base, base)},
		CRM: []reconcile.Change{late}, Late: map[record.OpID]record.Hashes{"late": hasher.Record(base)}}
	if got := words(reconcile.Reconcile(in)); got != "finding late-twin crm c9" {
		t.Errorf("as it was sent: %s", got)
	}
	in.CRM[0].Record = with(base, title, "CTO")
	in.CRM = append(in.CRM, present("c1", base))
	if got := words(reconcile.Reconcile(in)); got != "finding late-twin crm c9 c1" {
		t.Errorf("edited: %s", got)
	}
}

// An edit that is held is not lost to a delete on the other side: it was made before
// and is among no changes.
func TestADeleteMeetsAHeldEdit(t *testing.T) {
	t.Parallel()
	base := ann()
	policy := func(d reconcile.DeletePolicy) reconcile.Policy {
		p := contacts()
		p.DeletesFromMailbox = d
		fieldOf(&p, record.JobTitle).Conflict = reconcile.Hold
		return p
	}
	edited := with(base, title, "CFO")
	for _, x := range []struct {
		name            string
		crm, box        []reconcile.Change
		first, then     string
		deletes         reconcile.DeletePolicy
		atCRM, atInside []reconcile.Change
	}{
		{"in the CRM", []reconcile.Change{gone("c1")}, nil, "reread mailbox m1", lines("end -> unlinked", "finding edit-kept mailbox m1 c1"), reconcile.Unlink,
			nil, []reconcile.Change{present("m1", edited)}},
		{"out of the CRM's scope", []reconcile.Change{out("c1")}, nil, "reread mailbox m1", lines("end -> unlinked", "finding edit-kept mailbox m1 c1"), reconcile.Unlink,
			nil, []reconcile.Change{present("m1", edited)}},
		{"in the mailbox", nil, []reconcile.Change{gone("m1")}, "reread crm c1", "create mailbox c1/", reconcile.Propagate,
			[]reconcile.Change{present("c1", edited)}, nil},
		{"in the mailbox, and there was none", nil, []reconcile.Change{gone("m1")}, "reread crm c1", "delete crm c1/m1 -> ended", reconcile.Propagate,
			[]reconcile.Change{present("c1", base)}, nil},
	} {
		in := reconcile.Input{Policy: policy(x.deletes), Hasher: hasher, Links: []reconcile.Link{linkOf(base, base)}, CRM: x.crm, Mailbox: x.box}
		if got := words(reconcile.Reconcile(in)); got != x.first {
			t.Errorf("%s: got\n%s\nwant\n%s", x.name, got, x.first)
		}
		in.CRM, in.Mailbox = append(in.CRM, x.atCRM...), append(in.Mailbox, x.atInside...)
		if got := words(reconcile.Reconcile(in)); got != x.then {
			t.Errorf("%s, read: got\n%s\nwant\n%s", x.name, got, x.then)
		}
	}
}

// Whatever people do, no plan writes to the side to which nothing travels.
func TestOneWayWritesOneSide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		p := drawPolicy(r)
		closed := rapid.SampledFrom([]record.Side{record.CRM, record.Mailbox}).Draw(r, "closed")
		w := newWorld(r, p)
		w.create(record.CRM)
		w.create(record.Mailbox)
		w.run()
		if closed == record.CRM {
			toMailbox(&w.policy)
		} else {
			toCRM(&w.policy)
		}
		for range rapid.IntRange(1, 14).Draw(r, "steps") {
			w.step(r, false)
			for _, o := range w.plan().Ops {
				if o.Side == closed {
					r.Fatalf("it writes to the %s: %+v", closed, o)
				}
			}
		}
	})
}
