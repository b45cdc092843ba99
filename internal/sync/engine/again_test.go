package engine_test

import (
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// What was decided from both items is decided from both again if its write fails, also
// where a feed mentions one alone.

// once lets the next write to a side fail.
func (w *world) once(side record.Side, kind faulty.Kind) {
	done := false
	w.faults.Set(func(c faulty.Call) faulty.Fault {
		if done || c.Side != side || c.Method != "apply" {
			return faulty.Fault{}
		}
		done = true
		return faulty.Fault{Kind: kind}
	})
}

// A copy is to be created again, and the server refuses the first attempt as if the item
// had changed.
func TestCreatedAgainAfterAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.set(0, "deletes.from_mailbox", "recreate")
	id := w.seed(0, 2)[0]
	w.ok()
	w.mail.DeleteItem(w.copyOf(0, id).ID)
	w.once(record.Mailbox, faulty.Conflict)
	if s := w.ok(); s.CreatedMailbox != 1 {
		t.Errorf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// A copy was moved away and its record edited meanwhile. It comes back, and the write that
// would bring it up to date does not get through.
func TestLinkedAgainButNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	id := w.seed(0, 2)[0]
	w.ok()
	item, folder := w.copyOf(0, id).ID, w.folder(0)
	w.mail.MoveItem(item, w.mail.Folder(w.users[0].MailboxID, memory.DefaultFolder))
	w.ok()
	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("CEO")})
	w.ok()
	w.mail.MoveItem(item, folder)
	w.once(record.Mailbox, faulty.Refused)
	if s := w.run()[0]; s.Result != engine.ResultFailed || s.Linked != 1 {
		t.Fatalf("%s %+v\n%s", s.Result, s.Counts, s.Log)
	}
	w.faults.Set(nil)
	if s := w.ok(); s.UpdatedMailbox != 1 {
		t.Errorf("counts: %+v\n%s", s.Counts, s.Log)
	}
	w.equal()
	w.quiet()
}

// The state is lost after the person has given our folder another name, and made one that
// is called as ours was.
func TestLostStateAfterTheFolderWasRenamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 3)
	w.ok()
	ours := w.folder(0)
	w.mail.RenameFolder(ours, "My people")
	w.mail.AddFolder(w.users[0].MailboxID, roster.FolderName)
	w.loseState()
	s := w.ok()
	w.untouched(s)
	if s.Linked != 3 || w.folder(0) != ours {
		t.Errorf("%d linked, in %s instead of %s\n%s", s.Linked, w.folder(0), ours, s.Log)
	}
	w.quiet()
}

// The answer to a create is lost, the record is seen only later, and a person edits it
// before that: a second one is made, takes the edit over, and remains alone.
func TestEditedBeforeItIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{Lag: 3}, memory.Options{})
	w.seed(0, 1)
	w.ok()
	w.mail.CreateItem(w.folder(0), card("A", "New"))
	w.once(record.CRM, faulty.Lost)
	w.run()
	w.faults.Set(nil)
	named := func() (found []string) {
		for _, it := range w.crm.Items() {
			if it.Fields["LastName"].First() == "New" {
				found = append(found, it.ID)
			}
		}
		return found
	}
	first := named()
	if len(first) != 1 {
		t.Fatalf("%v are there after the write without an answer", first)
	}
	w.crm.EditItem(first[0], mapping.Fields{"Title": record.Text("CFO")})
	for range 6 {
		w.clock.pass(2 * time.Hour)
		w.run()
	}
	if now := named(); len(now) != 1 {
		t.Errorf("%v are there in the end\n%s", now, w.logs())
	} else if it, _ := w.crm.Item(now[0]); it.Fields["Title"].First() != "CFO" {
		t.Errorf("%+v", it)
	}
	w.equal()
	w.quiet()
}

// The answer to an update of a copy is lost, and the copy then gets another record, since
// its own was deleted: what became of the update moves the link of neither.
func TestRecoveredWriteOfAnItemWithAnotherLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 1)
	id := w.seed(0, 1)[0]
	w.ok()
	w.crm.EditItem(id, mapping.Fields{"Title": record.Text("CEO")})
	w.once(record.Mailbox, faulty.Lost)
	w.run()
	w.faults.Set(nil)
	links, err := w.store.LinksByID(t.Context(), w.users[0].ID, record.Contacts, record.CRM, []string{id})
	if err != nil || len(links) != 1 {
		t.Fatal(links, err)
	}
	item, _ := w.crm.Item(id)
	w.crm.DeleteItem(id)
	buried, heir := links[0], links[0]
	buried.State, buried.Mailbox = reconcile.Ended, reconcile.Half{}
	heir.CRM.ID = w.crm.CreateItem(w.users[0].CRMUser, item.Fields)
	w.settleAs(0, engine.Settlement{Links: []reconcile.Link{buried, heir}})
	w.ok()
	w.equal()
	w.quiet()
}
