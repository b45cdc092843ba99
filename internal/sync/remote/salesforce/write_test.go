package salesforce_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/salesforce"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

func op(n int) record.OpID { return record.OpID(fmt.Sprintf("%032x", n+1)) }

func stamp(n int) record.Stamp {
	return record.Stamp{Install: "1f0c", Entity: record.Contacts, Other: fmt.Sprint("other-", n), Op: op(n)}
}

func creates(names ...string) []remote.Write {
	var out []remote.Write
	for i, n := range names {
		out = append(out, remote.Write{Kind: remote.Create, Set: mapping.Fields{"LastName": record.Text(n)}, Stamp: stamp(i)})
	}
	return out
}

func apply(s *salesforce.Salesforce, w ...remote.Write) []remote.WriteResult {
	return s.Collection(record.Contacts).Apply(context.Background(), w)
}

// A write whose answer does not come is unclear and not repeated. A create that is
// sent again with its stamp makes no second record.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, kind := range []sfdc.FaultKind{sfdc.FaultDrop, sfdc.FaultLost, sfdc.FaultGateway, sfdc.FaultTruncate, sfdc.FaultGarbage, sfdc.FaultLate, sfdc.FaultHTML} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			o := newOrg(t)
			s := o.open(t)
			id := o.contact(t, "Abel")
			version := read(t, s, "").Changes[0].Item.Version
			update := remote.Write{Kind: remote.Update, ID: id, Version: version, Set: mapping.Fields{"Title": record.Text("CTO")}, Stamp: stamp(50)}
			remove := remote.Write{Kind: remote.Delete, ID: id}
			for name, writes := range map[string][]remote.Write{"create": creates("Bauer", "Clemens"), "update": {update}, "delete": {remove}} {
				if name == "update" && (kind == sfdc.FaultTruncate || kind == sfdc.FaultGarbage) {
					continue // the answer to an update is empty
				}
				o.ResetStats()
				o.AddFault(sfdc.Fault{Kind: kind, Status: 500})
				for i, r := range apply(s, writes...) {
					if !remote.Is(r.Err, remote.ClassTransient) || !remote.IsUnclear(r.Err) {
						t.Errorf("%s %d: error %v, unclear %v", name, i, r.Err, remote.IsUnclear(r.Err))
					}
				}
				if st := o.Stats(); st.Faults != 1 || st.CollectionWrites+st.RowWrites > 1 {
					t.Errorf("%s: %d faults, %d writes arrived", name, st.Faults, st.CollectionWrites+st.RowWrites)
				}
				if name == "delete" {
					break
				}
			}
			for range 2 {
				for i, r := range apply(s, creates("Bauer", "Clemens")...) {
					if r.Err != nil || r.ID == "" {
						t.Errorf("create %d again: %v", i, r.Err)
					}
				}
			}
			alive := 0
			for _, c := range o.Contacts() {
				if !c.Deleted && c.ID != id {
					alive++
				}
			}
			if alive != 2 {
				t.Errorf("%d contacts, want 2", alive)
			}
		})
	}
}

// What the server says it did not do is not unclear.
func TestRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		code   string
		class  remote.Class
	}{
		{503, "SERVER_UNAVAILABLE", remote.ClassTransient},
		{403, "REQUEST_LIMIT_EXCEEDED", remote.ClassPressure},
		{403, "API_DISABLED_FOR_ORG", remote.ClassConnection},
		{400, "INVALID_TYPE", remote.ClassMapping},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t)
			s := o.open(t)
			o.AddFault(sfdc.Fault{Kind: sfdc.FaultStatus, Status: tt.status, Code: tt.code, Count: -1})
			for i, r := range apply(s, creates("Abel", "Bauer")...) {
				if !remote.Is(r.Err, tt.class) || remote.IsUnclear(r.Err) {
					t.Errorf("write %d: error %v of class %s, unclear %v; want %s", i, r.Err, remote.ClassOf(r.Err), remote.IsUnclear(r.Err), tt.class)
				}
			}
		})
	}
}

// At pressure nothing more is sent, and what was not sent is not unclear.
func TestStopsAtPressure(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	names := make([]string, 650)
	for i := range names {
		names[i] = fmt.Sprint("Abel ", i)
	}
	o.ResetStats()
	o.AddFault(sfdc.Fault{Kind: sfdc.FaultStatus, Skip: 1, Status: 403, Code: "REQUEST_LIMIT_EXCEEDED", Count: -1})
	res := apply(s, creates(names...)...)
	for i, r := range res {
		if i < 200 && r.Err != nil || i >= 200 && (!remote.Is(r.Err, remote.ClassPressure) || remote.IsUnclear(r.Err)) {
			t.Fatalf("write %d: error %v", i, r.Err)
		}
	}
	if n := o.Stats().Faults; n != 1 {
		t.Errorf("%d requests after the server had enough, want 1", n)
	}
}

// Synchronizing leaves the reserve alone; checks still go, and it goes on when calls
// are free again.
func TestReserve(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	cursor := read(t, s, "").Cursor
	o.SetAPIUsage(799, 1000)
	do(t, s.Check(context.Background()))
	if u := s.Usage(); u.Used != 800 || u.Limit != 1000 || u.Reserve != 200 || u.At.IsZero() {
		t.Fatalf("usage = %+v", u)
	}
	o.ResetStats()
	c := s.Collection(record.Contacts)
	if _, err := c.Changes(context.Background(), remote.Query{Cursor: cursor}); !remote.Is(err, remote.ClassPressure) {
		t.Errorf("changes: error = %v, want pressure", err)
	}
	if err := apply(s, creates("Abel")...)[0].Err; !remote.Is(err, remote.ClassPressure) {
		t.Errorf("apply: error = %v, want pressure", err)
	}
	if n := o.Stats().Requests; n != 0 {
		t.Errorf("%d requests out of the reserve", n)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Errorf("check: %v", err)
	}
	t.Log("another process knows it from the start")
	used := s.Usage()
	o.ResetStats()
	next := o.open(t, func(c *salesforce.Config) { c.Usage = used })
	if _, err := next.Collection(record.Contacts).Changes(context.Background(), remote.Query{Cursor: cursor}); !remote.IsWhole(err) || o.Stats().Requests != 0 {
		t.Errorf("error %v after %d requests", err, o.Stats().Requests)
	}
	o.SetAPIUsage(100, 1000)
	o.clock.advance(6 * time.Minute)
	read(t, s, cursor)
}

// A duplicate rule's refusal names the records that exist.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.SetDuplicateRule(true)
	s := o.open(t)
	id, err := o.CreateContact("", sfdc.Fields{"LastName": "Abel", "Email": "abel@example.com"})
	do(t, err)
	w := creates("Abel", "Bauer")
	w[0].Set["Email"] = record.Text("abel@example.com")
	res := apply(s, w...)
	if !remote.Is(res[0].Err, remote.ClassDuplicate) || !slices.Equal(res[0].Duplicates, []string{id}) {
		t.Errorf("error %v, duplicates %q; want %q", res[0].Err, res[0].Duplicates, id)
	}
	if res[1].Err != nil {
		t.Errorf("the other: %v", res[1].Err)
	}
}

// A new contact gets the account whose name is its company, if there is exactly one.
func TestCompany(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	for _, name := range []string{"Acme", `O'Neil \ "Söhne"`, "Twice", "Twice"} {
		_, err := o.CreateAccount(name)
		do(t, err)
	}
	for company, want := range map[string]string{"Acme": "Acme", "ACME": "", `O'Neil \ "Söhne"`: `O'Neil \ "Söhne"`, "Twice": "", "Nobody": "", "": ""} {
		w := creates("Abel")[0]
		w.Stamp.Op = record.OpID(fmt.Sprintf("%032x", len(company)+100))
		w.Whole = mapping.Fields{"LastName": record.Text("Abel"), "Account.Name": record.Text(company)}
		res := apply(s, w)[0]
		do(t, res.Err)
		if c, _ := o.Contact(res.ID); c.Account != want {
			t.Errorf("company %q: account %q, want %q", company, c.Account, want)
		}
		do(t, o.DeleteContact(res.ID))
	}
}

// The name of the account is read as the company.
func TestCompanyIsRead(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	account, err := o.CreateAccount("Acme")
	do(t, err)
	_, err = o.CreateContact("", sfdc.Fields{"LastName": "Abel", "AccountId": account})
	do(t, err)
	s := o.open(t)
	c := s.Collection(record.Contacts)
	if got := c.Capabilities().Mapping.Read(read(t, s, "").Changes[0].Item.Fields)[record.Company].First(); got != "Acme" {
		t.Errorf("company %q, want Acme", got)
	}
}

// A record that is locked, or not to be changed by us, concerns that record alone.
func TestItemFailures(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	hidden, purged := o.contact(t, "Abel"), o.contact(t, "Bauer")
	do(t, o.Hide(hidden, true))
	do(t, o.DeleteContact(purged))
	do(t, o.PurgeContact(purged))
	set := mapping.Fields{"Title": record.Text("CTO")}
	now := o.clock.Now().Format("2006-01-02T15:04:05.000+0000")
	res := apply(s,
		remote.Write{Kind: remote.Update, ID: hidden, Set: set, Stamp: stamp(1)},
		remote.Write{Kind: remote.Update, ID: hidden, Version: now, Set: set, Stamp: stamp(2)},
		remote.Write{Kind: remote.Delete, ID: hidden},
		remote.Write{Kind: remote.Update, ID: purged, Version: now, Set: set, Stamp: stamp(3)},
		remote.Write{Kind: remote.Update, ID: "no id", Set: set, Stamp: stamp(4)},
		remote.Write{Kind: "rename", ID: hidden},
	)
	for i, r := range res {
		// Not gone: nobody has proof of that.
		if !remote.Is(r.Err, remote.ClassItem) || remote.IsUnclear(r.Err) {
			t.Errorf("write %d: error %v of class %s", i, r.Err, remote.ClassOf(r.Err))
		}
	}
	if c, _ := o.Contact(hidden); c.Deleted || c.Fields["Title"] != "" {
		t.Errorf("the hidden record was changed: %+v", c)
	}
	o.FailLocks(1)
	w := creates("Clemens", "Dora")
	res = apply(s, w...)
	if !remote.Is(res[0].Err, remote.ClassTransient) || remote.IsUnclear(res[0].Err) || res[1].Err != nil {
		t.Errorf("errors %v and %v; want the first locked", res[0].Err, res[1].Err)
	}
}

// A delete whose record has changed since it was read is refused.
func TestDeleteOfAChangedRecord(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	id, same := o.contact(t, "Abel"), o.contact(t, "Bauer")
	version := read(t, s, "").Changes[0].Item.Version
	o.clock.advance(time.Minute)
	do(t, o.UpdateContact(id, sfdc.Fields{"Title": "CTO"}))
	res := apply(s, remote.Write{Kind: remote.Delete, ID: id, Version: version}, remote.Write{Kind: remote.Delete, ID: same, Version: version})
	if !remote.Is(res[0].Err, remote.ClassConflict) || res[1].Err != nil {
		t.Errorf("errors %v and %v; want a conflict and none", res[0].Err, res[1].Err)
	}
	if c, _ := o.Contact(id); c.Deleted {
		t.Error("the changed record was deleted")
	}
}

// A stamp that is longer than its field loses the other side's id, and nothing else.
func TestLongStamp(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	w := creates("Abel")[0]
	w.Stamp.Other = strings.Repeat("x", 300)
	res := apply(s, w)[0]
	do(t, res.Err)
	found, err := s.Collection(record.Contacts).FindStamped(context.Background(), []record.Stamp{w.Stamp})
	if err != nil || len(found) != 1 || found[0].ID != res.ID || found[0].Stamp.Op != w.Stamp.Op || found[0].Stamp.Other != "" {
		t.Errorf("found %+v, error %v", found, err)
	}
	w.Stamp.Other = strings.Repeat("x", 152)
	w.Stamp.Op = op(7)
	do(t, apply(s, w)[0].Err)
	if found, _ := s.Collection(record.Contacts).FindStamped(context.Background(), []record.Stamp{w.Stamp}); len(found) != 1 || *found[0].Stamp != w.Stamp {
		t.Errorf("a stamp with an id of Graph's length is found as %+v", found)
	}
}

// The table holds what the organization has and what our user may write.
func TestTableFitsTheOrganization(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	for _, f := range []string{"MiddleName", "Suffix", "OtherPhone"} {
		do(t, o.RemoveField("Contact", f, true))
	}
	id, err := o.CreateContact("", sfdc.Fields{"LastName": "Abel", "Phone": "1"})
	do(t, err)
	s := o.open(t)
	table := s.Collection(record.Contacts).Capabilities().Mapping
	for _, f := range []record.Field{record.MiddleName, record.Suffix} {
		if _, ok := table.Entry(f); ok {
			t.Errorf("the table has %s", f)
		}
	}
	if e, _ := table.Entry(record.BusinessPhones); !slices.Equal(e.Native, []string{"Phone"}) || e.Capacity() != 1 {
		t.Errorf("business phones: %q, capacity %d", e.Native, e.Capacity())
	}
	if it, ok := last(read(t, s, ""), id); !ok || it.Item.Fields["Phone"].First() != "1" {
		t.Errorf("the contact reads as %+v", it)
	}
	// A field that goes away later stops the object, not the run of others.
	do(t, o.RemoveField("Contact", "Title", true))
	if _, err := s.Collection(record.Contacts).Changes(context.Background(), remote.Query{}); !remote.Is(err, remote.ClassMapping) {
		t.Errorf("error = %v, want one of mapping", err)
	}
	do(t, o.RemoveField("Contact", stampField, true))
	if _, err := salesforce.Open(context.Background(), o.config()); !remote.Is(err, remote.ClassSetup) {
		t.Errorf("without the stamp field: error = %v, want one of setup", err)
	}
}

// A user who is not active has no authorization; an e-mail address does for an id.
func TestCheckUser(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	do(t, s.CheckUser(context.Background(), "anna@acme.example"))
	do(t, o.SetUserActive(o.users[0], false))
	for _, user := range []string{o.users[0], "anna@acme.example", "x' OR Name != '"} {
		if err := s.CheckUser(context.Background(), user); !remote.Is(err, remote.ClassAuthorization) {
			t.Errorf("user %q: error = %v", user, err)
		}
	}
}
