package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// person makes a record of "given family, company" and pairs of fields.
func person(name, company string, pairs ...string) record.Record {
	g, f, _ := strings.Cut(name, " ")
	return with(record.Record{}, append([]string{given, g, family, f, co, company}, pairs...)...)
}

const (
	nick   = string(record.Nickname)
	middle = string(record.MiddleName)
	suffix = string(record.Suffix)
	born   = string(record.Birthday)
	city   = string(record.BusinessCity)
)

// stampOf makes an item bear a stamp.
func stampOf(c reconcile.Change, install, other string, op record.OpID) reconcile.Change {
	c.Stamp = &record.Stamp{Install: install, Entity: record.Contacts, Op: op, Other: other}
	return c
}

// Who is taken for whom on a first sync. Both sides' items get ids in their order; only
// links, findings and creates are looked at.
func TestMatching(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name     string
		crm, box []record.Record
		want     string
	}{
		{"nobody", nil, nil, ""},
		{"an e-mail address, whatever its case", []record.Record{person("Ann Lee", "", emails, "A@example.com")}, []record.Record{person("Ann Lee", "", emails, "b@example.com,a@EXAMPLE.com")}, "link c1/m1"},
		{"an e-mail address, and a name that differs in part", []record.Record{person("Ann Lee", "", emails, "a@x.org")}, []record.Record{person("Ann Miller", "", emails, "a@x.org")}, "link c1/m1"},
		{"an e-mail address, and no name", []record.Record{person("Ann Lee", "", emails, "a@x.org")}, []record.Record{{record.EmailAddresses: {"a@x.org"}}}, "link c1/m1"},
		{"an e-mail address, and another name altogether", []record.Record{person("Ann Lee", "", emails, "a@x.org")}, []record.Record{person("Bob Fox", "", emails, "a@x.org")},
			lines("finding ambiguous crm c1 m1", "finding ambiguous mailbox m1 c1")},
		{"a couple shares an address", []record.Record{person("Ann Lee", "", emails, "lee@x.org"), person("Bob Lee", "", emails, "lee@x.org")},
			[]record.Record{person("Bob Lee", "", emails, "lee@x.org"), person("Ann Lee", "", emails, "lee@x.org")}, lines("link c1/m2", "link c2/m1")},
		{"half of a couple", []record.Record{person("Ann Lee", "", emails, "lee@x.org"), person("Bob Lee", "", emails, "lee@x.org")},
			[]record.Record{person("Bob Lee", "", emails, "lee@x.org")}, lines("link c2/m1", "create mailbox c1/")},
		{"a couple and somebody without a given name", []record.Record{person("Ann Lee", "", emails, "lee@x.org"), person("Bob Lee", "", emails, "lee@x.org")},
			[]record.Record{{record.FamilyName: {"Lee"}, record.EmailAddresses: {"lee@x.org"}}},
			lines("finding ambiguous crm c1 m1", "finding ambiguous crm c2 m1", "finding ambiguous mailbox m1 c1,c2")},
		{"an address of a firm: names decide", []record.Record{person("Ann Lee", "", emails, "info@x.org"), person("Bob Fox", "", emails, "info@x.org")},
			[]record.Record{person("Bob Fox", "", emails, "info@x.org"), person("Carl Gray", "", emails, "info@x.org")},
			lines("link c2/m1", "create mailbox c1/", "finding not-allowed mailbox m2")},
		{"twice the same person on one side", []record.Record{person("Ann Lee", "", emails, "a@x.org")},
			[]record.Record{person("Ann Lee", "", emails, "a@x.org"), person("Ann Lee", "", emails, "a@x.org")},
			lines("finding ambiguous crm c1 m1,m2", "finding ambiguous mailbox m1 c1", "finding ambiguous mailbox m2 c1")},

		{"name and company", []record.Record{person("Ann Lee", "Acme-Inc.")}, []record.Record{person("ann lee", "ACME Inc")}, "link c1/m1"},
		{"accents", []record.Record{person("Ben Luján", "Acme")}, []record.Record{person("Ben Lujan", "Acme")}, "link c1/m1"},
		{"a nickname", []record.Record{person("Bernard Fox", "Acme", nick, "Bernie")}, []record.Record{person("Bernie Fox", "Acme")}, "link c1/m1"},
		{"a suffix is missing", []record.Record{person("Ann Lee", "Acme", suffix, "Jr.")}, []record.Record{person("Ann Lee", "Acme")}, "link c1/m1"},
		{"junior and senior", []record.Record{person("Al Lee", "Acme", suffix, "Jr.")}, []record.Record{person("Al Lee", "Acme", suffix, "Sr.")}, lines("create mailbox c1/", "finding not-allowed mailbox m1")},
		{"middle names tell two apart", []record.Record{person("Al Lee", "Acme", middle, "Adam"), person("Al Lee", "Acme", middle, "Bert")},
			[]record.Record{person("Al Lee", "Acme", middle, "B."), person("Al Lee", "Acme", middle, "Adam")}, lines("link c1/m2", "link c2/m1")},
		{"two of one name in one company", []record.Record{person("Al Lee", "Acme", mobile, "1"), person("Al Lee", "Acme", mobile, "2")}, []record.Record{person("Al Lee", "Acme", mobile, "1")},
			lines("finding ambiguous crm c1 m1", "finding ambiguous crm c2 m1", "finding ambiguous mailbox m1 c1,c2")},
		{"two of one name in two companies", []record.Record{person("Al Lee", "Acme"), person("Al Lee", "Bolt")}, []record.Record{person("Al Lee", "Bolt")}, lines("link c2/m1", "create mailbox c1/")},
		{"the company is missing", []record.Record{person("Ann Lee", "Acme")}, []record.Record{person("Ann Lee", "")}, "link c1/m1"},
		{"the company is missing and the telephone differs", []record.Record{person("Ann Lee", "Acme", mobile, "1")}, []record.Record{person("Ann Lee", "", mobile, "2")},
			lines("finding ambiguous crm c1 m1", "finding ambiguous mailbox m1 c1")},
		{"other companies are other people", []record.Record{person("Ann Lee", "Acme")}, []record.Record{person("Ann Lee", "Bolt")}, lines("create mailbox c1/", "finding not-allowed mailbox m1")},
		{"another company, and all else agrees", []record.Record{person("Ann Lee", "Acme", mobile, "1", city, "Rome")}, []record.Record{person("Ann Lee", "Bolt", mobile, "1", city, "Rome")}, "link c1/m1"},
		{"another company, and not all else agrees", []record.Record{person("Ann Lee", "Acme", mobile, "1", city, "Rome")}, []record.Record{person("Ann Lee", "Bolt", mobile, "1", city, "Oslo")},
			lines("finding ambiguous crm c1 m1", "finding ambiguous mailbox m1 c1")},
		{"a moved telephone", []record.Record{person("Ann Lee", "Acme", phones, "1")}, []record.Record{person("Ann Lee", "Acme", mobile, "2")}, "link c1/m1"},
		{"another birthday", []record.Record{person("Ann Lee", "Acme", born, "1980-01-02")}, []record.Record{person("Ann Lee", "Acme", born, "1950-01-02")},
			lines("finding ambiguous crm c1 m1", "finding ambiguous mailbox m1 c1")},
		{"a short form of the name with proof", []record.Record{person("Christopher Lee", "Acme", phones, "1")}, []record.Record{person("Chris Lee", "Acme", mobile, "1")}, "link c1/m1"},
		{"a short form of the name without proof", []record.Record{person("Christopher Lee", "Acme")}, []record.Record{person("Chris Lee", "Acme")}, lines("create mailbox c1/", "finding not-allowed mailbox m1")},
		{"the same family, company and telephone", []record.Record{person("Charles Lee", "Acme", phones, "1")}, []record.Record{person("Chuck Lee", "Acme", phones, "1")},
			lines("finding ambiguous crm c1 m1", "finding ambiguous mailbox m1 c1")},
		{"whole names in one field", []record.Record{person("Ann Lee", "Acme")}, []record.Record{{record.FamilyName: {"Ann Lee"}, record.Company: {"Acme"}}}, "link c1/m1"},
		{"firms without a person", []record.Record{{record.Company: {"Acme"}, record.BusinessPhones: {"1"}}}, []record.Record{{record.Company: {"ACME"}, record.BusinessPhones: {"1"}}}, "link c1/m1"},
		{"firms without a person or a proof", []record.Record{{record.Company: {"Acme"}}}, []record.Record{{record.Company: {"ACME"}}},
			lines("finding ambiguous crm c1 m1", "finding ambiguous mailbox m1 c1")},
		{"strangers", []record.Record{person("Ann Lee", "Acme")}, []record.Record{person("Bob Fox", "Acme")}, lines("create mailbox c1/", "finding not-allowed mailbox m1")},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			in := reconcile.Input{Policy: contacts(), Hasher: hasher, Install: "i", First: true}
			for n, r := range x.crm {
				in.CRM = append(in.CRM, present(fmt.Sprintf("c%d", n+1), r))
			}
			for n, r := range x.box {
				in.Mailbox = append(in.Mailbox, present(fmt.Sprintf("m%d", n+1), r))
			}
			if got := matches(reconcile.Reconcile(in)); got != x.want {
				t.Errorf("got\n%s\nwant\n%s", got, x.want)
			}
		})
	}
}

// matches is the part of a plan that says who belongs to whom.
func matches(p reconcile.Plan) string {
	p.Ops = slices.DeleteFunc(p.Ops, func(o reconcile.Operation) bool { return o.Kind == reconcile.Update })
	p.Conflicts = nil
	return words(p)
}

// After the first sync records without a link match by the same rules: one that waited
// for a partner finds it, and is not doubled.
func TestMatchingLater(t *testing.T) {
	t.Parallel()
	in := reconcile.Input{Policy: contacts(), Hasher: hasher,
		CRM:     []reconcile.Change{present("c1", person("Ann Lee", "Acme")), present("c2", person("Bob Fox", "", emails, "b@x.org"))},
		Mailbox: []reconcile.Change{present("m1", person("Ann Lee", "Acme")), present("m2", person("Bob Fox", "", emails, "B@x.org"))}}
	if got := words(reconcile.Reconcile(in)); got != lines("link c1/m1", "link c2/m2") {
		t.Error(got)
	}
}

// Linking merges: what only one side holds goes to the other, what differs is decided by
// the policy, and the loser is kept.
func TestLinkingMerges(t *testing.T) {
	t.Parallel()
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, First: true,
		CRM:     []reconcile.Change{present("c1", person("Ann Lee", "Acme", title, "CEO", emails, "a@x.org"))},
		Mailbox: []reconcile.Change{present("m1", person("Ann Lee", "Acme", title, "Boss", emails, "A@X.org", nick, "Annie"))}}
	p := reconcile.Reconcile(in)
	if got := words(p); got != lines("link c1/m1", "update crm nickname=Annie", "update mailbox job_title=CEO", "conflict job_title: crm keeps CEO, lost Boss") {
		t.Fatal(got)
	}
	for _, o := range p.Ops {
		if o.Link.State != reconcile.Linked || o.Link.CRM.ID != "c1" || o.Link.Mailbox.ID != "m1" || o.CRMID != "c1" || o.MailboxID != "m1" {
			t.Errorf("%+v", o)
		}
	}
	agreed := p.Ops[0].Link
	if _, ok := agreed.CRM.Base[record.JobTitle]; ok || len(agreed.Mailbox.Base[record.EmailAddresses]) != 1 {
		t.Errorf("the link says more, or less, than both hold: %+v", agreed)
	}
	// The writes failed: the next plan is the same, without the linking.
	in.Links, in.First = []reconcile.Link{agreed}, false
	if got := words(reconcile.Reconcile(in)); got != lines("update crm nickname=Annie", "update mailbox job_title=CEO", "conflict job_title: crm keeps CEO, lost Boss") {
		t.Error(got)
	}
}

// The first sync creates most recently modified first, leaves out what was imported and
// cuts at its limit; what is linked counts.
func TestFirstSync(t *testing.T) {
	t.Parallel()
	p := contacts()
	p.InitialLimit = 4
	in := reconcile.Input{Policy: p, Hasher: hasher, First: true, Links: []reconcile.Link{linkOf(ann(), ann())}}
	in.Links[0].CRM.ID, in.Links[0].Mailbox.ID = "c0", "m0"
	for n, minutes := range []int{3, 9, 5, 7} {
		in.CRM = append(in.CRM, *at(present(fmt.Sprintf("c%d", n+1), person(fmt.Sprintf("P%d Q%d", n, n), "")), noon.Add(time.Duration(minutes)*time.Minute)))
	}
	imported := at(present("c5", person("Im Port", "")), noon.Add(time.Hour))
	imported.Imported = true
	known := present("c6", person("Ann Lee", "", emails, "a@x.org"))
	known.Imported = true
	in.CRM = append(in.CRM, *imported, known)
	in.Mailbox = []reconcile.Change{present("m6", person("Ann Lee", "", emails, "a@x.org"))}
	if got := words(reconcile.Reconcile(in)); got != lines("link c6/m6", "create mailbox c2/", "create mailbox c4/", "finding over-limit crm c1", "finding over-limit crm c3", "finding left-out crm c5") {
		t.Error(got)
	}
	in.First = false
	if got := reconcile.Reconcile(in); len(got.Ops) != 6 || len(got.Findings) != 0 {
		t.Errorf("later there is no limit and nothing is left out: %s", words(got))
	}
}

func TestCreateInCRM(t *testing.T) {
	t.Parallel()
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Mailbox: []reconcile.Change{present("m1", ann()), present("m2", record.Record{"shoe_size": {"44"}})}}
	if got := words(reconcile.Reconcile(in)); got != lines("finding not-allowed mailbox m1", "finding not-allowed mailbox m2") {
		t.Error(got)
	}
	in.Policy.CreateInCRM = true
	p := reconcile.Reconcile(in)
	if got := words(p); got != "create crm /m1" {
		t.Error(got)
	}
	if o := p.Ops[0]; o.Link.Mailbox.ID != "m1" || o.Link.CRM.ID != "" || o.Link.Mailbox.Version != "2" {
		t.Errorf("%+v", o.Link)
	}
}

// The state was lost: stamps of whatever installation lead back to the records.
func TestStampsBringLinksBack(t *testing.T) {
	t.Parallel()
	var in reconcile.Input
	in.Policy, in.Hasher, in.Install, in.First = contacts(), hasher, "new", true
	for n := range 50 {
		r := person(fmt.Sprintf("Given%d Family", n%7), "Acme", emails, "same@x.org")
		in.CRM = append(in.CRM, present(fmt.Sprintf("c%02d", n), r))
		in.Mailbox = append(in.Mailbox, stampOf(present(fmt.Sprintf("m%02d", 99-n), r), "old", fmt.Sprintf("c%02d", n), "x"))
	}
	p := reconcile.Reconcile(in)
	if len(p.Ops) != 50 || len(p.Findings) != 0 || len(p.Reread) != 0 {
		t.Fatal(words(p))
	}
	for n, o := range p.Ops {
		if o.Kind != reconcile.LinkUp || o.CRMID != fmt.Sprintf("c%02d", n) || o.MailboxID != fmt.Sprintf("m%02d", 99-n) || o.Link.Mailbox.Op != "x" {
			t.Errorf("%+v", o)
		}
	}
}

func TestStamps(t *testing.T) {
	t.Parallel()
	base := ann()
	link := linkOf(base, base)
	copied := stampOf(present("m2", with(base, given, "Bea", emails, "")), "i", "c1", "done")
	late := func(r record.Record) reconcile.Change { return stampOf(present("m2", r), "i", "c1", "late") }
	made := link
	made.Mailbox.Op = "done"
	ended := link
	ended.State = reconcile.Ended
	unlinked := link
	unlinked.State = reconcile.Unlinked
	allowed := contacts()
	allowed.CreateInCRM = true
	for _, x := range []struct {
		name     string
		policy   reconcile.Policy
		links    []reconcile.Link
		crm, box []reconcile.Change
		want     string
	}{
		{"the other item is not at hand", contacts(), nil, nil, []reconcile.Change{copied}, "reread crm c1"},
		{"the other item is gone", contacts(), nil, []reconcile.Change{gone("c1")}, []reconcile.Change{copied}, "finding not-allowed mailbox m2"},
		{"the other item is out of scope", allowed, nil, []reconcile.Change{out("c1")}, []reconcile.Change{copied}, "finding not-allowed mailbox m2 c1"},
		{"the other item is out of scope, and the copy has a record of its own", allowed, nil, []reconcile.Change{out("c1"), stampOf(present("c2", copied.Record), "i", "m2", "late")},
			[]reconcile.Change{copied}, "link c2/m2"},
		{"the other item is there", contacts(), nil, []reconcile.Change{present("c1", base)}, []reconcile.Change{stampOf(present("m2", base), "i", "c1", "done")}, "link c1/m2"},
		{"of another entity", contacts(), nil, nil, []reconcile.Change{func() reconcile.Change { c := copied; s := *c.Stamp; s.Entity = record.Tasks; c.Stamp = &s; return c }()}, "finding not-allowed mailbox m2"},
		{"a copy that a person made", allowed, []reconcile.Link{link}, nil, []reconcile.Change{copied}, "create crm /m2"},
		{"a copy, linked record at hand", allowed, []reconcile.Link{link}, []reconcile.Change{present("c1", base)}, []reconcile.Change{present("m1", base), copied}, "create crm /m2"},
		{"the state was lost: the original is the one of that name", contacts(), nil, []reconcile.Change{present("c1", base)},
			[]reconcile.Change{stampOf(present("m1", with(base, title, "")), "i", "c1", "done"), copied},
			lines("link c1/m1", "update mailbox job_title=CEO", "finding not-allowed mailbox m2")},
		{"the state was lost, and the copies are alike", contacts(), nil, []reconcile.Change{present("c1", base)},
			[]reconcile.Change{stampOf(present("m1", base), "i", "c1", "done"), stampOf(present("m2", base), "i", "c1", "done")},
			lines("finding ambiguous crm c1 m1,m2", "finding ambiguous mailbox m1 c1", "finding ambiguous mailbox m2 c1")},
		{"both bear each other's stamp", contacts(), nil, []reconcile.Change{stampOf(present("c1", base), "i", "m1", "x")},
			[]reconcile.Change{stampOf(present("m1", base), "i", "c1", "done"), stampOf(present("m2", with(base, given, "Bea", emails, "")), "i", "c1", "done")},
			lines("link c1/m1", "finding not-allowed mailbox m2")},
		{"landed late, unchanged", contacts(), []reconcile.Link{link}, nil, []reconcile.Change{late(base)}, "delete mailbox /m2"},
		{"landed late, by another installation", contacts(), []reconcile.Link{link}, nil, []reconcile.Change{stampOf(present("m2", base), "j", "c1", "late")}, "finding not-allowed mailbox m2"},
		{"landed late, its source has no link", contacts(), nil, []reconcile.Change{present("c1", base)}, []reconcile.Change{late(base)}, "link c1/m2"},
		{"landed late, edited since", contacts(), []reconcile.Link{link}, nil, []reconcile.Change{late(with(base, title, "CFO"))}, "reread mailbox m1"},
		{"the same, and the linked item is at hand", contacts(), []reconcile.Link{link}, nil, []reconcile.Change{late(with(base, title, "CFO", emails, "a@example.com,n@example.com")), present("m1", base)},
			lines("update crm emails=a@example.com,n@example.com job_title=CFO", "update mailbox emails=a@example.com,n@example.com job_title=CFO", "finding late-twin mailbox m2 m1")},
		{"the same, and the linked item was edited too", contacts(), []reconcile.Link{link}, nil, []reconcile.Change{late(with(base, title, "CFO", given, "Anna")), present("m1", with(base, title, "CTO"))},
			lines("update crm given_name=Anna job_title=CTO", "update mailbox given_name=Anna", "conflict job_title: mailbox keeps CTO, lost CFO", "finding late-twin mailbox m2 m1")},
		{"the same, and nothing is left but a conflict", contacts(), []reconcile.Link{link}, nil, []reconcile.Change{late(with(base, title, "CFO")), present("m1", with(base, title, "CTO"))},
			lines("update crm job_title=CTO", "delete mailbox /m2", "conflict job_title: mailbox keeps CTO, lost CFO")},
		{"the same, and both changed the list", contacts(), []reconcile.Link{link}, nil, []reconcile.Change{late(with(base, emails, "n@example.com")), present("m1", with(base, emails, "a@example.com,k@example.com"))},
			lines("update crm emails=k@example.com,n@example.com", "update mailbox emails=k@example.com,n@example.com", "finding late-twin mailbox m2 m1")},
		{"landed late, holds what the linked item holds now", contacts(), []reconcile.Link{link}, []reconcile.Change{present("c1", with(base, title, "CFO"))}, []reconcile.Change{late(with(base, title, "CFO")), present("m1", with(base, title, "CFO"))},
			lines("settle", "delete mailbox /m2")},
		{"landed late, while the linked item has moved on", contacts(), []reconcile.Link{linkOf(with(base, title, "CFO"), with(base, title, "CFO"))}, nil, []reconcile.Change{late(base)},
			"delete mailbox /m2"},
		{"landed late, the linked item changes in the CRM", contacts(), []reconcile.Link{link}, []reconcile.Change{present("c1", with(base, title, "CFO"))}, []reconcile.Change{late(base)},
			lines("update mailbox job_title=CFO", "delete mailbox /m2")},
		{"landed late, its source is gone", contacts(), []reconcile.Link{ended}, []reconcile.Change{gone("c1")}, []reconcile.Change{late(base)}, "delete mailbox /m2"},
		{"landed late, its source is gone and never had a link", creating(), nil, []reconcile.Change{gone("c1")}, []reconcile.Change{late(base)}, "delete mailbox /m2"},
		{"the same, edited since", creating(), nil, []reconcile.Change{gone("c1")}, []reconcile.Change{late(with(base, title, "CFO"))}, "create crm /m2"},
		{"landed late, its source is gone, edited since", contacts(), []reconcile.Link{ended}, []reconcile.Change{gone("c1")}, []reconcile.Change{late(with(base, title, "CFO"))}, "finding not-allowed mailbox m2"},
		{"landed late, of a record that its owner deleted", contacts(), []reconcile.Link{unlinked}, []reconcile.Change{present("c1", base)}, []reconcile.Change{late(base)}, "delete mailbox /m2"},
		{"the state was set back to before the item was made anew", contacts(), []reconcile.Link{link}, nil, []reconcile.Change{gone("m1"), copied}, "reread crm c1"},
		{"the same, and the record is at hand", contacts(), []reconcile.Link{link}, []reconcile.Change{present("c1", base)},
			[]reconcile.Change{gone("m1"), stampOf(present("m2", base), "i", "c1", "anew")}, "link c1/m2"},
		{"the same, and the record has gone", contacts(), []reconcile.Link{link}, []reconcile.Change{gone("c1")},
			[]reconcile.Change{gone("m1"), stampOf(present("m2", base), "i", "c1", "anew")}, "delete mailbox c1/m2 -> ended"},
		{"the same, made anew twice", contacts(), []reconcile.Link{link}, []reconcile.Change{present("c1", base)},
			[]reconcile.Change{gone("m1"), stampOf(present("m2", base), "i", "c1", "anew"), stampOf(present("m3", base), "i", "c1", "again")},
			lines("finding ambiguous crm c1 m2,m3", "finding ambiguous mailbox m2 c1", "finding ambiguous mailbox m3 c1")},
		{"a copy of an item that has gone", allowed, []reconcile.Link{made}, []reconcile.Change{present("c1", base)}, []reconcile.Change{gone("m1"), copied},
			lines("end -> unlinked", "create crm /m2")},
		{"a copy that was given another name, of what was deleted in the mailbox", allowed, []reconcile.Link{unlinked}, []reconcile.Change{present("c1", base)}, []reconcile.Change{copied},
			"create crm /m2"},
		{"what was deleted in the mailbox is there again with a new id", allowed, []reconcile.Link{unlinked}, []reconcile.Change{present("c1", base)},
			[]reconcile.Change{stampOf(present("m2", base), "i", "c1", "done")}, "link c1/m2"},
		{"landed late, edited, of a linked record that was deleted", contacts(), []reconcile.Link{link}, []reconcile.Change{gone("c1")}, []reconcile.Change{late(with(base, title, "CFO"))},
			lines("delete mailbox c1/m1 -> ended", "finding late-twin mailbox m2 m1")},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			in := reconcile.Input{Policy: x.policy, Hasher: hasher, Install: "i", Links: x.links, CRM: x.crm, Mailbox: x.box,
				Late: map[record.OpID]record.Hashes{"late": hasher.Record(base)}}
			if got := words(reconcile.Reconcile(in)); got != x.want {
				t.Errorf("got\n%s\nwant\n%s", got, x.want)
			}
		})
	}
}

// A record that a late write made twice in the CRM.
func TestLateTwinInCRM(t *testing.T) {
	t.Parallel()
	base := ann()
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Install: "i", Links: []reconcile.Link{linkOf(base, base)},
		CRM: []reconcile.Change{stampOf(present("c2", base), "i", "m1", "late")}, Late: map[record.OpID]record.Hashes{"late": hasher.Record(base)}}
	p := reconcile.Reconcile(in)
	if got := words(p); got != "delete crm c2/" {
		t.Fatal(got)
	}
	if o := p.Ops[0]; o.Link.CRM.ID != "" || o.MailboxID != "" || o.Version != "2" {
		t.Errorf("%+v", o)
	}
}

// Two creates of one record that were both given up and both landed: one is linked, the
// other is its twin. If a person has copied one of them, nobody can tell which.
func TestSeveralLateWritesOfOneRecord(t *testing.T) {
	t.Parallel()
	base := ann()
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Install: "i", CRM: []reconcile.Change{present("c1", base)},
		Late: map[record.OpID]record.Hashes{"first": hasher.Record(base), "second": hasher.Record(base)}}
	box := []reconcile.Change{stampOf(present("m1", base), "i", "c1", "first"), stampOf(present("m2", base), "i", "c1", "second"), stampOf(present("m3", base), "i", "c1", "second")}
	in.Mailbox = box[:2]
	if got, want := words(reconcile.Reconcile(in)), lines("link c1/m1", "finding late-twin mailbox m2 c1"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	in.Mailbox = box
	want := lines("finding ambiguous crm c1 m1,m2,m3", "finding ambiguous mailbox m1 c1", "finding ambiguous mailbox m2 c1", "finding ambiguous mailbox m3 c1")
	if got := words(reconcile.Reconcile(in)); got != want {
		t.Errorf("with a copy: got\n%s\nwant\n%s", got, want)
	}
}

// Of two items that one late write left, the one with another name is a copy that a person
// made of it; the other is its twin.
func TestCopyOfALateTwin(t *testing.T) {
	t.Parallel()
	base := ann()
	in := reconcile.Input{Policy: creating(), Hasher: hasher, Install: "i", Links: []reconcile.Link{linkOf(base, base)},
		Mailbox: []reconcile.Change{present("m1", base), stampOf(present("m2", base), "i", "c1", "late"), stampOf(present("m3", with(base, given, "Bea", emails, "")), "i", "c1", "late")},
		Late:    map[record.OpID]record.Hashes{"late": hasher.Record(base)}}
	if got, want := words(reconcile.Reconcile(in)), lines("create crm /m3", "delete mailbox /m2"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A link that was made with a write still to be done is decided from both items again.
func TestLinkedWithAWriteStillToBeDone(t *testing.T) {
	t.Parallel()
	base := ann()
	edited := with(base, title, "CFO")
	unlinked := linkOf(base, base)
	unlinked.State = reconcile.Unlinked
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Install: "i", Links: []reconcile.Link{unlinked},
		CRM: []reconcile.Change{present("c1", edited)}, Mailbox: []reconcile.Change{present("m1", base)}}
	p := reconcile.Reconcile(in)
	if got, want := words(p), lines("link c1/m1", "update mailbox job_title=CFO"); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	in.Links, in.CRM = []reconcile.Link{p.Ops[0].Link}, nil
	if got := words(reconcile.Reconcile(in)); got != "reread crm c1" {
		t.Error(got)
	}
	in.CRM, in.Mailbox = []reconcile.Change{present("c1", edited)}, nil
	if got := words(reconcile.Reconcile(in)); got != "reread mailbox m1" {
		t.Error(got)
	}
}

// The state was set back to before a record was created again in the CRM.
func TestRecordCreatedAgainBeforeTheStateWasSetBack(t *testing.T) {
	t.Parallel()
	base := ann()
	edited := with(base, title, "CFO")
	again := stampOf(present("c2", edited), "i", "m1", "again")
	for name, x := range map[string]struct {
		box  []reconcile.Change
		want string
	}{
		"its copy is not at hand": {nil, "reread mailbox m1"},
		"its copy is there":       {[]reconcile.Change{present("m1", edited)}, lines("link c2/m1", "end -> ended")},
		"its copy has gone":       {[]reconcile.Change{gone("m1")}, lines("end -> ended", "create mailbox c2/")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := reconcile.Input{Policy: creating(), Hasher: hasher, Install: "i", Links: []reconcile.Link{linkOf(base, base)},
				CRM: []reconcile.Change{gone("c1"), again}, Mailbox: x.box}
			if got := words(reconcile.Reconcile(in)); got != x.want {
				t.Errorf("got\n%s\nwant\n%s", got, x.want)
			}
		})
	}
}

// Folding a twin's edits takes two cycles: the edits first, then the twin goes.
func TestLateTwinGoesInTheEnd(t *testing.T) {
	t.Parallel()
	base := ann()
	edited := with(base, title, "CFO")
	in := reconcile.Input{Policy: contacts(), Hasher: hasher, Install: "i", Links: []reconcile.Link{linkOf(base, base)},
		Mailbox: []reconcile.Change{present("m1", base), stampOf(present("m2", edited), "i", "c1", "late")},
		Late:    map[record.OpID]record.Hashes{"late": hasher.Record(base)}}
	p := reconcile.Reconcile(in)
	l := p.Ops[0].Link
	if len(p.Ops) != 2 || len(p.Ops[0].MoveCRM) != 0 || p.Ops[0].Joint == nil {
		t.Fatal(words(p))
	}
	l.Join(p.Ops[0], p.Ops[1])
	in.Links = []reconcile.Link{l}
	in.CRM = []reconcile.Change{present("c1", edited)}
	in.Mailbox[0] = present("m1", edited)
	if got := words(reconcile.Reconcile(in)); got != "delete mailbox /m2" {
		t.Error(got)
	}
}

// creating is the policy of contacts with records born in the mailbox allowed.
func creating() reconcile.Policy {
	p := contacts()
	p.CreateInCRM = true
	return p
}
