package engine_test

import (
	"slices"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// images returns the images of a session of the first user.
func (w *world) images(session int64) []reconcile.Image {
	w.t.Helper()
	out, err := w.store.Images(w.t.Context(), w.users[0].ID, record.Contacts, session)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// Every write leaves what it takes to take it back.
func TestWritesKeepImages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 2)
	copies := map[string]string{}
	first := w.ok()
	for _, id := range ids {
		copies[id] = w.copyOf(0, id).ID
	}
	images := w.images(first.ID)
	if len(images) != 2 {
		t.Fatalf("%d images of 2 creates", len(images))
	}
	for _, i := range images {
		if i.Kind != reconcile.Create || i.MailboxID != copies[i.CRMID] || len(i.Left) == 0 || i.Label == "" {
			t.Errorf("%+v", i)
		}
	}

	// Both sides change: the mailbox's item was read, the CRM's record was not.
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("Boss"), "Phone": nil})
	w.mail.EditItem(copies[ids[1]], mapping.Fields{"surname": record.Text("New"), "notMapped": record.Text("x")})
	w.ok()
	second := w.last[0].ID
	bySide := map[record.Side]reconcile.Image{}
	for _, i := range w.images(second) {
		bySide[i.Side] = i
	}
	box, crm := bySide[record.Mailbox], bySide[record.CRM]
	if _, had := box.Before[record.JobTitle]; had || box.Before[record.BusinessPhones].First() == "" || len(box.Left) != 2 {
		t.Errorf("mailbox: %+v", box)
	}
	if crm.Before[record.FamilyName].First() != "Last0-1" || len(crm.Left) != 1 {
		t.Errorf("CRM: %+v", crm)
	}

	// The whole item is kept when it is deleted, also what the CRM does not hold.
	w.mail.EditItem(copies[ids[0]], mapping.Fields{"nickName": record.Text("Eve")})
	w.ok()
	w.crm.DeleteItem(ids[0])
	third := w.ok()
	gone := w.images(third.ID)
	if len(gone) != 1 || gone[0].Kind != reconcile.Delete || gone[0].Before[record.Nickname].First() != "Eve" || gone[0].Before[record.JobTitle].First() != "Boss" || gone[0].Before[record.FamilyName].First() == "" {
		t.Fatalf("%+v", gone)
	}
}

// A last look at what is written costs one request for a batch, and none where the item
// was read anyway. Creates and idle cycles cost nothing.
func TestLastLookInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{BatchSize: 20}, memory.Options{BatchSize: 20})
	ids := w.seed(0, 200)
	w.ok()
	w.quiet()
	gets := func() int {
		n := 0
		for _, c := range w.faults.Calls() {
			if c.Method == "get" {
				n++
			}
		}
		return n
	}
	if n := gets(); n != 0 {
		t.Errorf("%d looks for creates and an idle cycle", n)
	}
	for _, id := range ids {
		w.crm.EditItem(id, mapping.Fields{"Title": record.Text("Boss")})
	}
	s := w.ok()
	if s.UpdatedMailbox != 200 || s.Requests > 25 {
		t.Errorf("%d requests for %d changed records", s.Requests, s.UpdatedMailbox)
	}
	if n := gets(); n != 10 {
		t.Errorf("%d looks for 200 changes in batches of 20", n)
	}
	t.Logf("%d requests for 200 changes on one side", s.Requests)
	w.quiet()
}

// What a person types between our reading and our writing is not lost, even if the
// server does not check versions, and a delete does not meet it.
func TestLastLookMeetsEdits(t *testing.T) {
	t.Parallel()
	for name, mail := range map[string]memory.Options{"versions checked": {}, "not checked": {NoConditions: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, mail)
			ids := w.seed(0, 3)
			w.ok()
			w.quiet() // our own writes have come back
			copies := []string{w.copyOf(0, ids[0]).ID, w.copyOf(0, ids[1]).ID, w.copyOf(0, ids[2]).ID}
			w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("Boss")})
			w.crm.DeleteItem(ids[1])
			w.mail.EditItem(copies[2], mapping.Fields{"personalNotes": record.Text("both")})
			w.crm.EditItem(ids[2], mapping.Fields{"Title": record.Text("Both")})
			looked := false
			w.faults.Set(func(c faulty.Call) faulty.Fault {
				if c.Side != record.Mailbox || c.Method != "get" || looked {
					return faulty.Fault{}
				}
				looked = true
				return faulty.Fault{Before: func() {
					w.mail.EditItem(copies[0], mapping.Fields{"mobilePhone": record.Text("+1 212 555 7777"), "jobTitle": record.Text("Own")})
					w.mail.EditItem(copies[1], mapping.Fields{"jobTitle": record.Text("Kept")})
				}}
			})
			w.ok()
			w.faults.Set(nil)
			if !looked {
				t.Fatal("nobody looked")
			}
			w.ok()
			w.quiet()
			w.equal()
			it, _ := w.crm.Item(ids[0])
			if it.Fields["MobilePhone"].First() == "" || it.Fields["Title"].First() != "Boss" {
				t.Errorf("the edit did not arrive: %v", it.Fields)
			}
			conflicts, err := w.store.Admin().Conflicts(t.Context(), 0)
			if err != nil || !slices.ContainsFunc(conflicts, func(c admin.StoredConflict) bool { return c.Lost.First() == "Own" }) {
				t.Errorf("the losing title is not kept: %v %v", conflicts, err)
			}
			if _, ok := w.mail.Item(copies[1]); !ok {
				t.Error("an item that somebody had just edited was deleted")
			}
		})
	}
}
