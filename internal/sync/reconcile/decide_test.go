package reconcile_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

var noon = time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)

func ann() record.Record {
	return record.Record{
		record.GivenName: {"Ann"}, record.FamilyName: {"Lee"}, record.JobTitle: {"CEO"}, record.EmailAddresses: {"a@example.com"},
	}
}

// with returns r with fields set, given in pairs; an empty text clears.
func with(r record.Record, pairs ...string) record.Record {
	r = r.Clone()
	for i := 0; i < len(pairs); i += 2 {
		f, text := record.Field(pairs[i]), pairs[i+1]
		if text == "" {
			delete(r, f)
			continue
		}
		r[f] = strings.Split(text, ",")
	}
	return r
}

const (
	given  = string(record.GivenName)
	family = string(record.FamilyName)
	title  = string(record.JobTitle)
	emails = string(record.EmailAddresses)
	co     = string(record.Company)
	phones = string(record.BusinessPhones)
	mobile = string(record.MobilePhone)
)

func contacts() reconcile.Policy {
	p := reconcile.Policy{Entity: record.Contacts, Conflict: reconcile.CRMWins, DeletesFromMailbox: reconcile.Unlink}
	for _, s := range record.Specs(record.Contacts) {
		p.Fields = append(p.Fields, reconcile.FieldPolicy{Field: s.Field, ToCRM: true, ToMailbox: true})
	}
	return p
}

// fieldOf returns a field of a policy, to be changed.
func fieldOf(p *reconcile.Policy, f record.Field) *reconcile.FieldPolicy {
	for i := range p.Fields {
		if p.Fields[i].Field == f {
			return &p.Fields[i]
		}
	}
	panic(f)
}

func linkOf(c, m record.Record) reconcile.Link {
	return reconcile.Link{
		State:   reconcile.Linked,
		CRM:     reconcile.Half{ID: "c1", Version: "1", Base: hasher.Record(c)},
		Mailbox: reconcile.Half{ID: "m1", Version: "1", Base: hasher.Record(m)},
	}
}

func present(id string, r record.Record) reconcile.Change {
	return reconcile.Change{Kind: reconcile.Present, ID: id, Version: "2", Record: r, Modified: noon}
}

func gone(id string) reconcile.Change { return reconcile.Change{Kind: reconcile.Deleted, ID: id} }

func out(id string) reconcile.Change { return reconcile.Change{Kind: reconcile.OutOfScope, ID: id} }

// words puts a plan into short lines, so that tables can say what is expected.
func words(p reconcile.Plan) string {
	var lines []string
	for _, o := range p.Ops {
		line := string(o.Kind)
		if o.Side != "" {
			line += " " + string(o.Side)
		}
		if o.Kind == reconcile.Create || o.Kind == reconcile.Delete || o.Kind == reconcile.LinkUp {
			line += " " + o.CRMID + "/" + o.MailboxID
		}
		if o.Kind != reconcile.Create {
			for _, f := range o.Set.Fields() {
				line += fmt.Sprintf(" %s=%s", f, strings.Join(o.Set[f], ","))
			}
		}
		if o.Link.State != reconcile.Linked && o.Link.State != "" {
			line += " -> " + string(o.Link.State)
		}
		lines = append(lines, line)
	}
	for _, c := range p.Conflicts {
		lines = append(lines, fmt.Sprintf("conflict %s: %s keeps %s, lost %s", c.Field, c.Winner, strings.Join(c.Kept, ","), strings.Join(c.Lost, ",")))
	}
	for _, f := range p.Findings {
		line := fmt.Sprintf("finding %s %s %s", f.Code, f.Side, f.ID)
		if len(f.Candidates) > 0 {
			line += " " + strings.Join(f.Candidates, ",")
		}
		lines = append(lines, line)
	}
	for _, r := range p.Reread {
		lines = append(lines, fmt.Sprintf("reread %s %s", r.Side, r.ID))
	}
	for _, o := range p.Held {
		lines = append(lines, "held "+string(o.Kind)+" "+string(o.Side))
	}
	return strings.Join(lines, "\n")
}

func lines(s ...string) string { return strings.Join(s, "\n") }

// The decision table: one link, what each side reports, what is done.
func TestDecisionTable(t *testing.T) {
	t.Parallel()
	base := ann()
	edited := func(pairs ...string) record.Record { return with(base, pairs...) }
	allowed := func(p *reconcile.Policy) { p.CreateInCRM = true }
	deletes := func(d reconcile.DeletePolicy) func(*reconcile.Policy) {
		return func(p *reconcile.Policy) { p.DeletesFromMailbox = d }
	}
	conflict := func(w reconcile.Winner) func(*reconcile.Policy) {
		return func(p *reconcile.Policy) { p.Conflict = w }
	}
	c, m := present("c1", base), present("m1", base)
	for _, x := range []struct {
		name   string
		crm    *reconcile.Change
		box    *reconcile.Change
		policy func(*reconcile.Policy)
		want   string
	}{
		{name: "nothing reported"},
		{name: "both as they were", crm: &c, box: &m},
		{name: "changed in the CRM", crm: ptr(present("c1", edited(title, "CFO"))), want: "update mailbox job_title=CFO"},
		{name: "changed in the mailbox", box: ptr(present("m1", edited(title, "CFO"))), want: "update crm job_title=CFO"},
		{name: "cleared in the CRM", crm: ptr(present("c1", edited(title, ""))), want: "update mailbox job_title="},
		{name: "cleared in the mailbox", box: ptr(present("m1", edited(title, ""))), want: "update crm job_title="},
		{name: "other fields on each side", crm: ptr(present("c1", edited(title, "CFO"))), box: ptr(present("m1", edited(given, "Anna"))),
			want: lines("update crm given_name=Anna", "update mailbox job_title=CFO")},
		{name: "the same on both", crm: ptr(present("c1", edited(title, "CFO"))), box: ptr(present("m1", edited(title, "CFO"))), want: "settle"},
		{name: "cleared on both", crm: ptr(present("c1", edited(title, ""))), box: ptr(present("m1", edited(title, ""))), want: "settle"},
		{name: "conflict, CRM wins", crm: ptr(present("c1", edited(title, "CFO"))), box: ptr(present("m1", edited(title, "CTO"))),
			want: lines("update mailbox job_title=CFO", "conflict job_title: crm keeps CFO, lost CTO")},
		{name: "conflict, mailbox wins", policy: conflict(reconcile.MailboxWins), crm: ptr(present("c1", edited(title, "CFO"))), box: ptr(present("m1", edited(title, "CTO"))),
			want: lines("update crm job_title=CTO", "conflict job_title: mailbox keeps CTO, lost CFO")},
		{name: "conflict on hold, the rest goes on", policy: conflict(reconcile.Hold), crm: ptr(present("c1", edited(title, "CFO", given, "Anna"))), box: ptr(present("m1", edited(title, "CTO"))),
			want: lines("update mailbox given_name=Anna", "conflict job_title:  keeps CFO, lost CTO", "finding on-hold crm c1")},
		{name: "a held field is not decided from one side", policy: conflict(reconcile.Hold), box: ptr(present("m1", edited(title, "CTO"))), want: "reread crm c1"},
		{name: "conflict, the mailbox is newer", policy: conflict(reconcile.NewestWins), crm: ptr(present("c1", edited(title, "CFO"))), box: at(present("m1", edited(title, "CTO")), noon.Add(61*time.Second)),
			want: lines("update crm job_title=CTO", "conflict job_title: mailbox keeps CTO, lost CFO")},
		{name: "conflict, the mailbox is newer by a minute only", policy: conflict(reconcile.NewestWins), crm: ptr(present("c1", edited(title, "CFO"))), box: at(present("m1", edited(title, "CTO")), noon.Add(time.Minute)),
			want: lines("update mailbox job_title=CFO", "conflict job_title: crm keeps CFO, lost CTO")},
		{name: "conflict, the CRM's time is not known", policy: conflict(reconcile.NewestWins), crm: at(present("c1", edited(title, "CFO")), time.Time{}), box: ptr(present("m1", edited(title, "CTO"))),
			want: lines("update mailbox job_title=CFO", "conflict job_title: crm keeps CFO, lost CTO")},
		{name: "cleared in the CRM, changed in the mailbox", crm: ptr(present("c1", edited(title, ""))), box: ptr(present("m1", edited(title, "CTO"))),
			want: lines("update mailbox job_title=", "conflict job_title: crm keeps , lost CTO")},
		{name: "a field's own policy", policy: func(p *reconcile.Policy) { fieldOf(p, record.JobTitle).Conflict = reconcile.MailboxWins },
			crm: ptr(present("c1", edited(title, "CFO", given, "Anna"))), box: ptr(present("m1", edited(title, "CTO", given, "Anne"))),
			want: lines("update crm job_title=CTO", "update mailbox given_name=Anna", "conflict given_name: crm keeps Anna, lost Anne", "conflict job_title: mailbox keeps CTO, lost CFO")},

		{name: "deleted in the CRM", crm: ptr(gone("c1")), want: "delete mailbox c1/m1 -> ended"},
		{name: "deleted in the CRM, the mailbox as it was", crm: ptr(gone("c1")), box: &m, want: "delete mailbox c1/m1 -> ended"},
		{name: "deleted in the mailbox: unlink", box: ptr(gone("m1")), want: "end -> unlinked"},
		{name: "deleted in the mailbox: propagate", policy: deletes(reconcile.Propagate), box: ptr(gone("m1")), want: "delete crm c1/m1 -> ended"},
		{name: "deleted in the mailbox: recreate", policy: deletes(reconcile.Recreate), box: ptr(gone("m1")), want: "reread crm c1"},
		{name: "deleted in the mailbox: recreate, read", policy: deletes(reconcile.Recreate), crm: &c, box: ptr(gone("m1")), want: "create mailbox c1/"},
		{name: "deleted in the CRM, edited in the mailbox", crm: ptr(gone("c1")), box: ptr(present("m1", edited(title, "CTO"))),
			want: lines("end -> unlinked", "finding edit-kept mailbox m1 c1")},
		{name: "the same, and it may be created", policy: allowed, crm: ptr(gone("c1")), box: ptr(present("m1", edited(title, "CTO"))),
			want: lines("end -> ended", "create crm /m1")},
		{name: "edited in the CRM, deleted in the mailbox", crm: ptr(present("c1", edited(title, "CFO"))), box: ptr(gone("m1")), want: "create mailbox c1/"},
		{name: "the edit wins over propagate too", policy: deletes(reconcile.Propagate), crm: ptr(present("c1", edited(title, "CFO"))), box: ptr(gone("m1")), want: "create mailbox c1/"},
		{name: "deleted on both", crm: ptr(gone("c1")), box: ptr(gone("m1")), want: "end -> ended"},

		{name: "out of scope in the CRM", crm: ptr(out("c1")), want: "delete mailbox c1/m1 -> ended"},
		{name: "out of scope in the CRM, edited in the mailbox", crm: ptr(out("c1")), box: ptr(present("m1", edited(title, "CTO"))),
			want: lines("end -> unlinked", "finding edit-kept mailbox m1 c1")},
		{name: "out of scope in the CRM, deleted in the mailbox", policy: deletes(reconcile.Propagate), crm: ptr(out("c1")), box: ptr(gone("m1")), want: "end -> ended"},
		{name: "out of scope in the mailbox", policy: deletes(reconcile.Propagate), box: ptr(out("m1")), want: "end -> unlinked"},
		{name: "out of scope in the mailbox, edited in the CRM", crm: ptr(present("c1", edited(title, "CFO"))), box: ptr(out("m1")), want: "end -> unlinked"},
		{name: "out of scope in the mailbox, deleted in the CRM", crm: ptr(gone("c1")), box: ptr(out("m1")), want: "end -> ended"},
		{name: "out of scope on both", crm: ptr(out("c1")), box: ptr(out("m1")), want: "end -> unlinked"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p := contacts()
			if x.policy != nil {
				x.policy(&p)
			}
			in := reconcile.Input{Policy: p, Hasher: hasher, Install: "i", Links: []reconcile.Link{linkOf(base, base)}}
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

func ptr(c reconcile.Change) *reconcile.Change { return &c }

func at(c reconcile.Change, when time.Time) *reconcile.Change {
	c.Modified = when
	return &c
}

// Links that are no more, and items that come back.
func TestLinksThatAreNoMore(t *testing.T) {
	t.Parallel()
	base := ann()
	edited := with(base, title, "CFO")
	replay := func(id string) reconcile.Change { c := present(id, base); c.Version = "1"; return c }
	stamped := func(id string, other string) reconcile.Change {
		c := present(id, base)
		c.Stamp = &record.Stamp{Install: "i", Entity: record.Contacts, Op: "x", Other: other}
		return c
	}
	for _, x := range []struct {
		name     string
		state    reconcile.LinkState
		crm, box []reconcile.Change
		policy   func(*reconcile.Policy)
		want     string
	}{
		{"unlinked: the CRM record changes", reconcile.Unlinked, []reconcile.Change{present("c1", edited)}, nil, nil, ""},
		{"unlinked: it changes, and the policy is to recreate", reconcile.Unlinked, []reconcile.Change{present("c1", edited)}, nil, recreate, "reread mailbox m1"},
		{"unlinked: the same, and the mailbox item is gone", reconcile.Unlinked, []reconcile.Change{present("c1", edited)}, []reconcile.Change{gone("m1")}, recreate, "create mailbox c1/"},
		{"unlinked: the CRM record is only read again", reconcile.Unlinked, []reconcile.Change{present("c1", base)}, []reconcile.Change{gone("m1")}, recreate, ""},
		{"unlinked: the delete is reported again", reconcile.Unlinked, nil, []reconcile.Change{gone("m1")}, nil, ""},
		{"unlinked: the mailbox item is back", reconcile.Unlinked, nil, []reconcile.Change{present("m1", base)}, nil, "reread crm c1"},
		{"unlinked: the same, and the CRM record is there", reconcile.Unlinked, []reconcile.Change{present("c1", base)}, []reconcile.Change{present("m1", base)}, nil, "link c1/m1"},
		{"unlinked: it is back with an edit", reconcile.Unlinked, []reconcile.Change{present("c1", base)}, []reconcile.Change{present("m1", edited)}, nil,
			lines("link c1/m1", "update crm job_title=CFO")},
		{"unlinked: it is back, the CRM record changed meanwhile", reconcile.Unlinked, []reconcile.Change{present("c1", edited)}, []reconcile.Change{present("m1", base)}, nil,
			lines("link c1/m1", "update mailbox job_title=CFO")},
		{"unlinked: it is back, the CRM record is gone", reconcile.Unlinked, []reconcile.Change{gone("c1")}, []reconcile.Change{present("m1", base)}, nil,
			lines("end -> ended", "finding not-allowed mailbox m1")},
		{"unlinked: it is back, the CRM record is out of scope", reconcile.Unlinked, []reconcile.Change{out("c1")}, []reconcile.Change{present("m1", base)}, nil, ""},
		{"unlinked: it is back under another id", reconcile.Unlinked, []reconcile.Change{present("c1", base)}, []reconcile.Change{stamped("m2", "c1")}, nil, "link c1/m2"},
		{"unlinked: two bear its stamp", reconcile.Unlinked, []reconcile.Change{present("c1", base)}, []reconcile.Change{stamped("m2", "c1"), stamped("m3", "c1")}, nil,
			lines("finding ambiguous crm c1 m2,m3", "finding ambiguous mailbox m2 c1", "finding ambiguous mailbox m3 c1")},
		{"unlinked: the CRM record is deleted", reconcile.Unlinked, []reconcile.Change{gone("c1")}, nil, nil, "reread mailbox m1"},
		{"the same, and the mailbox item has gone", reconcile.Unlinked, []reconcile.Change{gone("c1")}, []reconcile.Change{gone("m1")}, nil, "end -> ended"},
		{"the same, and the mailbox item is there", reconcile.Unlinked, []reconcile.Change{gone("c1")}, []reconcile.Change{present("m1", base)}, nil,
			lines("end -> ended", "finding not-allowed mailbox m1")},

		{"ended: deletes are reported again", reconcile.Ended, []reconcile.Change{gone("c1")}, []reconcile.Change{gone("m1")}, nil, ""},
		{"ended: the CRM's feed is behind", reconcile.Ended, []reconcile.Change{replay("c1")}, nil, nil, ""},
		{"ended: the mailbox's feed is behind", reconcile.Ended, []reconcile.Change{gone("c1")}, []reconcile.Change{replay("m1")}, nil, ""},
		{"ended: the CRM record is restored", reconcile.Ended, []reconcile.Change{present("c1", base)}, nil, nil, "create mailbox c1/"},
		{"ended: the mailbox item is restored", reconcile.Ended, nil, []reconcile.Change{present("m1", base)}, nil, "reread crm c1"},
		{"ended: it is restored, the CRM record is not", reconcile.Ended, []reconcile.Change{gone("c1")}, []reconcile.Change{present("m1", base)}, nil, "finding not-allowed mailbox m1"},
		{"ended: it is restored, and may be created", reconcile.Ended, []reconcile.Change{gone("c1")}, []reconcile.Change{present("m1", base)}, func(p *reconcile.Policy) { p.CreateInCRM = true }, "create crm /m1"},
		{"ended: both are restored", reconcile.Ended, []reconcile.Change{present("c1", base)}, []reconcile.Change{present("m1", base)}, nil, "link c1/m1"},
		{"ended: it is restored, the CRM record is out of scope", reconcile.Ended, []reconcile.Change{out("c1")}, []reconcile.Change{present("m1", base)}, nil, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p := contacts()
			if x.policy != nil {
				x.policy(&p)
			}
			l := linkOf(base, base)
			l.State = x.state
			in := reconcile.Input{Policy: p, Hasher: hasher, Install: "i", Links: []reconcile.Link{l}, CRM: x.crm, Mailbox: x.box}
			if got := words(reconcile.Reconcile(in)); got != x.want {
				t.Errorf("got\n%s\nwant\n%s", got, x.want)
			}
		})
	}
}

func recreate(p *reconcile.Policy) { p.DeletesFromMailbox = reconcile.Recreate }

// A record that left the CRM's scope unchanged and comes back unchanged is no replay.
func TestBackInScope(t *testing.T) {
	t.Parallel()
	base := ann()
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Links: []reconcile.Link{linkOf(base, base)}, CRM: []reconcile.Change{out("c1")}}
	p := reconcile.Reconcile(in)
	in.Links[0] = p.Ops[0].Link
	back := present("c1", base)
	back.Version = "1"
	in.CRM = []reconcile.Change{back}
	if got := words(reconcile.Reconcile(in)); got != "create mailbox c1/" {
		t.Error(got)
	}
}

// An edit brings a record back under a new CRM id: the old link becomes a tombstone that
// no longer names the mailbox item, and does not hide the new link.
func TestRecordOfANewLink(t *testing.T) {
	t.Parallel()
	base := ann()
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Links: []reconcile.Link{linkOf(base, base)},
		CRM: []reconcile.Change{gone("c1")}, Mailbox: []reconcile.Change{present("m1", with(base, title, "CTO"))}}
	in.Policy.CreateInCRM = true
	p := reconcile.Reconcile(in)
	if got := words(p); got != lines("end -> ended", "create crm /m1") {
		t.Fatal(got)
	}
	if l := p.Ops[0].Link; l.Mailbox.ID != "" || l.CRM.ID != "c1" || len(l.CRM.Base) == 0 {
		t.Errorf("%+v", l)
	}
	tombstone, live := linkOf(base, base), linkOf(base, base)
	tombstone.State, live.CRM.ID = reconcile.Ended, "c2"
	for _, links := range [][]reconcile.Link{{tombstone, live}, {live, tombstone}} {
		in.Links, in.CRM = links, nil
		if p := reconcile.Reconcile(in); words(p) != "update crm job_title=CTO" || p.Ops[0].CRMID != "c2" {
			t.Error(words(p))
		}
	}
	live.CRM.ID = "c0"
	in.Links = []reconcile.Link{live, tombstone}
	if p := reconcile.Reconcile(in); words(p) != "update crm job_title=CTO" || p.Ops[0].CRMID != "c0" {
		t.Error(words(p))
	}
}

// What an operation carries: versions, the whole record, both bases, and a link as it
// stands after that operation alone.
func TestOperations(t *testing.T) {
	t.Parallel()
	base := with(ann(), string(record.Notes), "old")
	in := reconcile.Input{
		Policy: contacts(), Hasher: hasher, Links: []reconcile.Link{linkOf(base, base)},
		CRM:     []reconcile.Change{present("c1", with(base, title, "CFO"))},
		Mailbox: []reconcile.Change{present("m1", with(base, given, "Anna"))},
	}
	in.Links[0].Mailbox.Op = "op"
	p := reconcile.Reconcile(in)
	if len(p.Ops) != 2 {
		t.Fatal(words(p))
	}
	toCRM, toMailbox := p.Ops[0], p.Ops[1]
	if toCRM.Version != "2" || toMailbox.Version != "2" || toCRM.CRMID != "c1" || toCRM.MailboxID != "m1" {
		t.Errorf("%+v", toCRM)
	}
	name := record.Hashes{record.GivenName: hasher.Value(record.GivenName, record.Value{"Anna"})}
	if !reflect.DeepEqual(toCRM.MoveCRM, name) || !reflect.DeepEqual(toCRM.MoveMailbox, name) {
		t.Errorf("moves %v, %v", toCRM.MoveCRM, toCRM.MoveMailbox)
	}
	if want := hasher.Record(with(base, given, "Anna")); !reflect.DeepEqual(toCRM.Link.CRM.Base, want) || !reflect.DeepEqual(toCRM.Link.Mailbox.Base, want) {
		t.Errorf("the link has more than this operation's progress: %+v", toCRM.Link)
	}
	if toCRM.Link.Mailbox.Op != "op" || toCRM.Link.CRM.Version != "2" {
		t.Errorf("link %+v", toCRM.Link)
	}
	if toCRM.Reason != "given name changed in the mailbox" || toMailbox.Reason != "job title changed in the CRM" || toCRM.Label != "Ann Lee" {
		t.Errorf("%q, %q, %q", toCRM.Reason, toMailbox.Reason, toCRM.Label)
	}

	// The mailbox item is not at hand: its version is the link's.
	in.Mailbox = nil
	p = reconcile.Reconcile(in)
	if o := p.Ops[0]; o.Version != "1" {
		t.Errorf("%+v", o)
	}
}

func TestCreateCarriesBothBases(t *testing.T) {
	t.Parallel()
	p := contacts()
	fieldOf(&p, record.EmailAddresses).FitMailbox = cut(1)
	fieldOf(&p, record.JobTitle).ToMailbox = false
	r := with(ann(), emails, "a@example.com,b@example.com")
	o := reconcile.Reconcile(reconcile.Input{Policy: p, Hasher: hasher, CRM: []reconcile.Change{present("c1", r)}}).Ops[0]
	held := with(r, emails, "a@example.com", title, "")
	if !reflect.DeepEqual(o.Set, held) {
		t.Errorf("set %v", o.Set)
	}
	if !reflect.DeepEqual(o.Link.CRM.Base, hasher.Record(r)) || !reflect.DeepEqual(o.Link.Mailbox.Base, hasher.Record(held)) {
		t.Errorf("link %+v", o.Link)
	}
	if o.Link.State != reconcile.Linked || o.Link.CRM.ID != "c1" || o.Link.Mailbox.ID != "" || o.CRMID != "c1" || o.MailboxID != "" {
		t.Errorf("%+v", o)
	}
}

// A field that travels one way.
func TestOneWay(t *testing.T) {
	t.Parallel()
	base := ann()
	for _, x := range []struct {
		name     string
		crm, box record.Record
		want     string
	}{
		{"the leading side changes it", with(base, title, "CFO"), base, "update mailbox job_title=CFO"},
		{"the other side changes it: left alone and noted", base, with(base, title, "CTO"), "settle"},
		{"both: the leading side overwrites, the other is kept", with(base, title, "CFO"), with(base, title, "CTO"),
			lines("update mailbox job_title=CFO", "conflict job_title: crm keeps CFO, lost CTO")},
		{"both to the same", with(base, title, "CFO"), with(base, title, "CFO"), "settle"},
		{"the leading side clears it", with(base, title, ""), base, "update mailbox job_title="},
	} {
		p := contacts()
		p.Conflict = reconcile.MailboxWins
		fieldOf(&p, record.JobTitle).ToCRM = false
		in := reconcile.Input{Policy: p, Hasher: hasher, Links: []reconcile.Link{linkOf(base, base)},
			CRM: []reconcile.Change{present("c1", x.crm)}, Mailbox: []reconcile.Change{present("m1", x.box)}}
		plan := reconcile.Reconcile(in)
		if got := words(plan); got != x.want {
			t.Errorf("%s: got\n%s\nwant\n%s", x.name, got, x.want)
		}
		if len(plan.Ops) == 1 && plan.Ops[0].Kind == reconcile.Settle {
			in.Links[0] = plan.Ops[0].Link
			if again := words(reconcile.Reconcile(in)); again != "" {
				t.Errorf("%s: it counts twice: %s", x.name, again)
			}
			// A later edit of the leading side overwrites it.
			in.CRM = []reconcile.Change{present("c1", with(base, title, "Chair"))}
			if got := words(reconcile.Reconcile(in)); got != "update mailbox job_title=Chair" {
				t.Errorf("%s: then %s", x.name, got)
			}
		}
	}
}

// What one side cannot hold is never seen as changed or cleared there.
func TestShortened(t *testing.T) {
	t.Parallel()
	p := contacts()
	fieldOf(&p, record.JobTitle).FitMailbox = shorten(3)
	c, m := with(ann(), title, "Chairwoman"), with(ann(), title, "Cha")
	in := reconcile.Input{Policy: p, Hasher: hasher, Links: []reconcile.Link{linkOf(c, m)},
		CRM: []reconcile.Change{present("c1", c)}, Mailbox: []reconcile.Change{present("m1", m)}}
	if got := words(reconcile.Reconcile(in)); got != "" {
		t.Error(got)
	}
	in.CRM = []reconcile.Change{present("c1", with(c, title, "Chairman"))}
	if got := words(reconcile.Reconcile(in)); got != "settle" {
		t.Errorf("a change that the mailbox cannot show: %s", got)
	}
	in.CRM, in.Mailbox = []reconcile.Change{present("c1", with(c, title, "Deputy"))}, []reconcile.Change{present("m1", with(m, title, "Dep"))}
	if got := words(reconcile.Reconcile(in)); got != "settle" {
		t.Errorf("the same, as far as the mailbox can hold it, is no conflict: %s", got)
	}
	in.Mailbox = []reconcile.Change{present("m1", with(m, title, "Dea"))}
	if got := words(reconcile.Reconcile(in)); got != lines("update mailbox job_title=Dep", "conflict job_title: crm keeps Deputy, lost Dea") {
		t.Error(got)
	}
	// Linking the two writes nothing either.
	in = reconcile.Input{Policy: p, Hasher: hasher, First: true, CRM: []reconcile.Change{present("c1", c)}, Mailbox: []reconcile.Change{present("m1", m)}}
	if got := words(reconcile.Reconcile(in)); got != "link c1/m1" {
		t.Error(got)
	}
}

// A feed may repeat an item and report it in any order.
func TestRepeatedChanges(t *testing.T) {
	t.Parallel()
	base := ann()
	older, newer := at(present("c1", with(base, title, "old")), noon.Add(-time.Hour)), ptr(present("c1", with(base, title, "new")))
	for _, feed := range [][]reconcile.Change{{*older, *newer, *newer}, {*newer, *older}} {
		in := reconcile.Input{Policy: contacts(), Hasher: hasher, Links: []reconcile.Link{linkOf(base, base)}, CRM: feed}
		if got := words(reconcile.Reconcile(in)); got != "update mailbox job_title=new" {
			t.Error(got)
		}
	}
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Links: []reconcile.Link{linkOf(base, base)}, CRM: []reconcile.Change{*newer, gone("c1")}}
	if got := words(reconcile.Reconcile(in)); got != "delete mailbox c1/m1 -> ended" {
		t.Error(got)
	}
}

// No reason holds what a record holds.
func TestReasonsHoldNoContent(t *testing.T) {
	t.Parallel()
	base := ann()
	secret := "hush@example.com"
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, First: true, Links: []reconcile.Link{linkOf(base, base)},
		CRM:     []reconcile.Change{present("c1", with(base, title, secret, emails, secret)), present("c2", with(base, emails, secret)), present("c3", with(base, emails, secret))},
		Mailbox: []reconcile.Change{present("m1", with(base, title, "x"+secret)), present("m2", with(base, emails, secret))}}
	p := reconcile.Reconcile(in)
	for _, o := range p.Ops {
		if strings.Contains(o.Reason, secret) || strings.Contains(o.Reason, "Lee") {
			t.Error(o.Reason)
		}
	}
	for _, f := range p.Findings {
		if strings.Contains(f.Reason, secret) || strings.Contains(f.Reason, "Lee") {
			t.Error(f.Reason)
		}
	}
}
