package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// A first sync brings every record into the mailbox once, and the next cycle finds
// nothing to do.
func TestFirstSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	w.seed(0, 50)
	w.seed(1, 3)
	s := w.ok()
	if s.CreatedMailbox != 50 || s.CreatedCRM != 0 {
		t.Fatalf("counts: %+v", s.Counts)
	}
	w.equal()
	w.quiet()
	w.quiet()
}

// Edits travel both ways, and edits of different fields of one record merge.
func TestEditsBothWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CEO")})
	w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"mobilePhone": record.Text("+1 212 555 9999")})
	w.crm.EditItem(ids[2], mapping.Fields{"Title": record.Text("CFO")})
	w.mail.EditItem(w.copyOf(0, ids[2]).ID, mapping.Fields{"personalNotes": record.Text("met in Rome")})
	s := w.ok()
	if s.UpdatedMailbox != 2 || s.UpdatedCRM != 2 || s.Conflicts != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	if it, _ := w.crm.Item(ids[2]); it.Fields["Description"].First() != "met in Rome" || it.Fields["Title"].First() != "CFO" {
		t.Fatalf("not merged: %v", it.Fields)
	}
	w.quiet()
}

// A field that both sides changed differently is a conflict: the CRM's value stays,
// and the other can be read again.
func TestConflictKeepsTheLoser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 1)
	w.ok()
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CEO")})
	w.mail.EditItem(w.copyOf(0, ids[0]).ID, mapping.Fields{"jobTitle": record.Text("Boss")})
	if s := w.ok(); s.Conflicts != 1 {
		t.Fatalf("counts: %+v", s.Counts)
	}
	w.equal()
	got, err := w.store.Admin().Conflicts(t.Context(), w.users[0].ID)
	if err != nil || len(got) != 1 || got[0].Lost.First() != "Boss" || got[0].Kept.First() != "CEO" {
		t.Fatalf("conflicts %+v, %v", got, err)
	}
	w.quiet()
}

// A contact made in our folder goes to the CRM if that is allowed, and waits, named by
// an issue, until it is.
func TestCreateInCRMWaitsForLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 2)
	w.ok()
	w.mail.CreateItem(w.folder(0), card("New", "Person"))
	s := w.ok(func(o *engine.Options) { o.AllowCreateInCRM = false })
	if s.CreatedCRM != 0 || s.Issues != 1 {
		t.Fatalf("without leave: %+v", s.Counts)
	}
	if s = w.ok(); s.CreatedCRM != 1 {
		t.Fatalf("with leave: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	issues, err := w.store.Admin().Issues(t.Context(), w.users[0].ID, false)
	if err != nil || len(issues) != 0 {
		t.Fatalf("issues left: %+v, %v", issues, err)
	}
	w.quiet()
}

// A first sync writes nothing to the CRM without leave, not even a merged field, and
// catches up once it is allowed.
func TestFirstSyncLeavesTheCRMAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := w.crm.CreateItem("u0", contact("Ann", "Lee", "Email", "ann@example.net", "Department", "Sales"))
	folder := w.mail.AddFolder("box0", roster.FolderName)
	item := w.mail.CreateItem(folder, mapping.Fields{
		"givenName": {"Ann"}, "surname": {"Lee"}, "emailAddresses": {"ann@example.net"}, "jobTitle": {"CTO"},
	})
	alone := func(o *engine.Options) { o.AllowCreateInCRM = false }
	s := w.ok(alone)
	if s.Linked != 1 || s.CreatedMailbox != 0 || s.UpdatedMailbox != 1 || s.UpdatedCRM != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	// Neither our own write that comes back, nor a person's edit, is leave.
	if s = w.ok(alone); s.UpdatedCRM != 0 {
		t.Fatalf("the second cycle wrote: %+v\n%s", s.Counts, s.Log)
	}
	w.mail.EditItem(item, mapping.Fields{"nickName": record.Text("Annie")})
	if s = w.ok(alone); s.UpdatedCRM != 0 || s.Issues != 1 {
		t.Fatalf("an edit brought the rest along: %+v\n%s", s.Counts, s.Log)
	}
	w.ok()
	if it, _ := w.crm.Item(id); it.Fields["Title"].First() != "CTO" {
		t.Fatalf("the title did not follow: %v\n%s", it.Fields, w.logs())
	}
	w.equal()
	w.quiet()
}

// A delete in the mailbox unlinks and never reaches the CRM; one in the CRM takes the
// copy along.
func TestDeletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 4)
	w.ok()
	w.mail.DeleteItem(w.copyOf(0, ids[0]).ID)
	w.crm.DeleteItem(ids[1])
	s := w.ok()
	if s.DeletedMailbox != 1 || s.DeletedCRM != 0 || s.Message == "" {
		t.Fatalf("counts: %+v, message %q", s.Counts, s.Message)
	}
	if _, ok := w.crm.Item(ids[0]); !ok {
		t.Fatal("the CRM's record was deleted")
	}
	w.quiet()
	// The unlinked record does not come back when it is edited: the policy is unlink.
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("x")})
	if s := w.ok(); s.CreatedMailbox != 0 {
		t.Fatalf("re-created: %+v", s.Counts)
	}
}

// An edit wins over a delete on the other side.
func TestEditWinsOverDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 2)
	w.ok()
	w.mail.DeleteItem(w.copyOf(0, ids[0]).ID)
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("x")})
	w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"jobTitle": record.Text("y")})
	w.crm.DeleteItem(ids[1])
	s := w.ok()
	if s.CreatedMailbox != 1 || s.CreatedCRM != 1 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// Too many deletes at once are held before the first of them, and named.
func TestGuardHoldsDeletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 40)
	w.ok()
	for _, id := range ids[:11] {
		w.crm.DeleteItem(id)
	}
	s := w.ok()
	if s.DeletedMailbox != 0 || s.Held != 11 {
		t.Fatalf("counts: %+v", s.Counts)
	}
	if n := len(w.mail.Items(w.folder(0))); n != 40 {
		t.Fatalf("%d copies left", n)
	}
}

// A record that goes to another owner leaves the mailbox of the old one for that of
// the new one; nothing is deleted in the CRM.
func TestOwnerChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.seed(1, 1)
	w.ok()
	w.crm.ChangeOwner(ids[0], "u1")
	w.ok()
	w.equal()
	if n := len(w.mail.Items(w.folder(1))); n != 2 {
		t.Fatalf("the new owner has %d copies", n)
	}
	w.quiet()
}

// A folder that the person deleted switches the entity off; the CRM keeps everything.
func TestContainerGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 5)
	w.ok()
	w.mail.DeleteContainer(w.folder(0))
	if s := w.run()[0]; s.Code != engine.CodeContainer {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
	if n := len(w.crm.Items()); n != 5 {
		t.Fatalf("%d records left in the CRM", n)
	}
	u, err := w.store.Admin().FindUser(t.Context(), w.users[0].Email)
	if err != nil || roster.EffectiveOf(u, roster.Organization{Enabled: true}).State == roster.Active {
		t.Fatalf("the user looks healthy: %+v, %v", u, err)
	}
	w.crm.EditItem(w.crm.Items()[0].ID, mapping.Fields{"Title": record.Text("x")})
	s := w.run(func(o *engine.Options) { o.Users = []int64{u.ID} })[0]
	if s.Result != engine.ResultSkipped || !strings.Contains(s.Message, "crmsync mailbox reapply") {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
}

// Lost cursors cost a full read and nothing else.
func TestCursorsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	ids := w.seed(0, 20)
	w.seed(1, 20)
	w.ok()
	w.crm.ExpireCursors()
	w.mail.ExpireCursors()
	w.quiet()
	w.crm.ExpireCursors()
	w.crm.EditItem(ids[3], mapping.Fields{"Title": record.Text("x")})
	w.crm.DeleteItem(ids[4])
	w.mail.ExpireCursors()
	w.mail.DeleteItem(w.copyOf(0, ids[5]).ID)
	s := w.ok()
	if s.UpdatedMailbox != 1 || s.DeletedMailbox != 1 || s.DeletedCRM != 0 || s.CreatedMailbox != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.quiet()
}

// An empty full read of a side that held records is a failed read.
func TestEmptyReadIsAFailedRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	for _, id := range ids {
		w.crm.Hide(id)
	}
	w.crm.ExpireCursors()
	if s := w.run()[0]; s.Code != engine.CodeEmptyRead {
		t.Fatalf("%s %s: %s", s.Result, s.Code, s.Message)
	}
	if n := len(w.mail.Items(w.folder(0))); n != 3 {
		t.Fatalf("%d copies left", n)
	}
}

// A lost state is rebuilt from the stamps: nothing is created.
func TestLostStateMakesNoDuplicates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 30)
	w.ok()
	w.loseState()
	s := w.ok()
	if s.CreatedMailbox != 0 || s.CreatedCRM != 0 || s.Linked != 30 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A copy that a person makes of a synchronized contact is a new contact.
func TestCopiedItem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 2)
	w.ok()
	c := w.mail.CopyItem(w.copyOf(0, ids[0]).ID)
	w.mail.EditItem(c, mapping.Fields{"givenName": record.Text("Other"), "emailAddresses": record.Text("other@example.net")})
	s := w.ok()
	if s.DeletedMailbox != 0 || s.CreatedCRM != 1 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A merged record takes its link along.
func TestMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	w.crm.Merge(ids[0], ids[1])
	s := w.ok()
	if s.DeletedMailbox != 1 || s.CreatedMailbox != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A server that rewrites what it is given does not start a ping-pong.
func TestNormalisingServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{Terse: true}, memory.Options{Normalise: func(n string, v record.Value) record.Value {
		if n == "mobilePhone" && len(v) > 0 {
			return record.Text("tel:" + v.First())
		}
		return v
	}})
	id := w.crm.CreateItem("u0", contact("A", "B", "MobilePhone", "12345"))
	w.ok()
	w.quiet()
	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("x")})
	w.ok()
	w.quiet()
}

// A record that the CRM refuses is an issue; the others go on, and it is tried again
// when it changes.
func TestRefusedItem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 1)
	w.ok()
	bad := w.mail.CreateItem(w.folder(0), mapping.Fields{"givenName": record.Text("No"), "emailAddresses": {"x@example.net"}})
	w.mail.CreateItem(w.folder(0), card("Good", "One"))
	s := w.ok()
	if s.CreatedCRM != 1 || s.Issues != 1 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.mail.EditItem(bad, mapping.Fields{"surname": record.Text("Longer")})
	if s = w.ok(); s.CreatedCRM != 1 || s.Issues != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// Access withdrawn suspends the user and resumes him when it is given back.
func TestAccessWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.seed(1, 3)
	w.ok()
	w.mail.Revoke("box0")
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("x")})
	s := w.run()
	if s[0].Code != engine.CodeAccess || s[1].Result != engine.ResultUnchanged {
		t.Fatalf("%+v", s)
	}
	u, err := w.store.Admin().FindUser(t.Context(), w.users[0].Email)
	if err != nil || u.Sync != roster.Suspended || u.Cause != roster.CauseAuthorization {
		t.Fatalf("%+v, %v", u, err)
	}
	w.mail.Permit("box0")
	w.ok()
	w.equal()
	if u, _ = w.store.Admin().FindUser(t.Context(), w.users[0].Email); u.Sync != roster.Enabled {
		t.Fatalf("not resumed: %+v", u)
	}
	w.quiet()
}

// What a user missed while he could not be synchronized is made up later, although the
// others moved the shared cursor on.
func TestFallsBehindAndCatchesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	others := w.seed(1, 3)
	w.ok()
	w.mail.Revoke("box0")
	for i := range 5 {
		w.crm.EditItem(ids[i%3], mapping.Fields{"Title": record.Text(fmt.Sprint("t", i))})
		w.crm.EditItem(others[i%3], mapping.Fields{"Title": record.Text(fmt.Sprint("o", i))})
		w.run()
	}
	w.mail.Permit("box0")
	w.ok()
	w.equal()
	w.quiet()
}

// Two records that may be the same stay apart, each named by an issue, also when a feed
// reports them again; once their names agree they are linked.
func TestAmbiguousStaysApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{Repeat: 100}, memory.Options{})
	a := w.crm.CreateItem("u0", contact("James", "Clyburn", "Phone", "+1 202 225 3315"))
	w.seed(0, 3)
	folder := w.mail.AddFolder("box0", roster.FolderName)
	w.mail.CreateItem(folder, card("Jim", "Clyburn", "businessPhones", "+1 202 225 3315"))
	for range 3 {
		w.ok()
		if n := len(w.mail.Items(folder)); n != 4 {
			t.Fatalf("%d contacts in the mailbox, not 4\n%s", n, w.logs())
		}
		if n := len(w.crm.Items()); n != 4 {
			t.Fatalf("%d records in the CRM, not 4\n%s", n, w.logs())
		}
	}
	w.crm.EditItem(a, mapping.Fields{"FirstName": record.Text("Jim")})
	if s := w.ok(); s.Linked != 1 {
		t.Fatalf("not linked: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A contact that waits in the mailbox for leave to go to the CRM is linked, not doubled,
// when the CRM gets it from somebody else.
func TestWaitingContactFindsItsRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 2)
	forbid := func(o *engine.Options) { o.AllowCreateInCRM = false }
	w.ok(forbid)
	w.mail.CreateItem(w.folder(0), card("Bob", "Ross"))
	w.ok(forbid)
	w.crm.CreateItem("u0", contact("Bob", "Ross"))
	if s := w.ok(forbid); s.Linked != 1 || s.CreatedMailbox != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// What a cycle has carried over is no change of the other side any more: an edit there,
// met by a mere touch, is no conflict.
func TestCarriedOverIsNoEdit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := w.seed(0, 1)[0]
	w.ok()
	c := w.copyOf(0, id).ID
	w.mail.EditItem(c, mapping.Fields{"jobTitle": record.Text("one")})
	w.ok()
	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("two")})
	w.mail.Touch(c)
	if s := w.ok(); s.Conflicts != 0 || s.UpdatedCRM != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.mail.EditItem(c, mapping.Fields{"jobTitle": record.Text("three")})
	w.crm.Touch(id)
	if s := w.ok(); s.Conflicts != 0 || s.UpdatedMailbox != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A tombstone is as old as the end of its link, not as the link.
func TestTombstoneOfAnOldLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 3)
	w.ok()
	w.clock.pass(40 * 24 * time.Hour)
	w.ok()
	w.crm.DeleteItem(ids[0])
	w.mail.DeleteItem(w.copyOf(0, ids[1]).ID)
	w.crm.DeleteItem(ids[1])
	w.ok()
	links, err := w.store.Links(t.Context(), w.users[0].ID, record.Contacts)
	if err != nil || len(links) != 3 {
		t.Fatalf("%d links are remembered, %v", len(links), err)
	}
	w.clock.pass(31 * 24 * time.Hour)
	w.ok()
	if links, err = w.store.Links(t.Context(), w.users[0].ID, record.Contacts); err != nil || len(links) != 1 {
		t.Errorf("%d links are remembered after their time, %v", len(links), err)
	}
}
