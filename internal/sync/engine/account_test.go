package engine_test

import (
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// rewire gives the first user another id at one of the systems, as an administrator does.
func (w *world) rewire(change func(u *roster.User)) {
	w.t.Helper()
	users := w.accounts()
	change(&users[0])
	w.crm.AddPerson(remote.Person{ID: users[0].CRMUser, Email: users[0].Email})
	w.mail.AddPerson(remote.Person{ID: users[0].MailboxID, Email: users[0].Email})
	if err := w.store.Admin().UpdateUsers(w.t.Context(), users[:1], nil); err != nil {
		w.t.Fatal(err)
	}
	w.users = w.accounts()
}

// A user who is tied to another CRM user gets that one's records. Those of the old one are
// out of scope: their copies go to Deleted Items, and the CRM keeps them all.
func TestAnotherCRMUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	old := w.seed(0, 8)
	w.ok()
	for _, name := range []string{"Amber", "Boris", "Cleo"} {
		w.crm.CreateItem("u9", contact(name, "Other"))
	}
	w.ok()
	w.rewire(func(u *roster.User) { u.CRMUser = "u9" })
	s := w.ok()
	if s.CreatedMailbox != 3 || s.DeletedMailbox != 8 || s.DeletedCRM+s.UpdatedCRM+s.CreatedCRM != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	for _, id := range old {
		if _, there := w.crm.Item(id); !there {
			t.Fatalf("%s is gone from the CRM", id)
		}
	}
	w.equal()
	w.quiet()
}

// More copies than a normal day's are held, not deleted.
func TestAnotherCRMUserIsGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 30)
	w.ok()
	w.rewire(func(u *roster.User) { u.CRMUser = "u9" })
	if s := w.ok(); s.DeletedMailbox != 0 || s.Held != 30 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
}

// A user who is tied to another mailbox starts there anew. What is missing there was never
// deleted, and what lies in the old one stays.
func TestAnotherMailbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 8)
	w.ok()
	left := w.folder(0)
	w.rewire(func(u *roster.User) { u.MailboxID = "box9" })
	plans, err := w.engine().Plan(t.Context(), engine.Options{Parallel: 1})
	if err != nil || plans[0].Err != nil || !plans[0].First || len(plans[0].Plan.Ops) != 8 || plans[0].Plan.Ops[0].Kind != reconcile.Create {
		t.Fatalf("planned %+v, %v", plans, err)
	}
	if rep := w.errand(engine.ErrandOptions{Plan: discard}); rep.Session.Code != engine.CodeIneffective {
		t.Fatalf("an errand in a mailbox that no cycle knows: %+v", rep.Session)
	}
	s := w.ok()
	if s.CreatedMailbox != 8 || s.DeletedMailbox+s.DeletedCRM+s.UpdatedCRM+s.CreatedCRM != 0 {
		t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
	}
	if n := len(w.mail.Items(left)); n != 8 {
		t.Fatalf("%d items left in the old mailbox", n)
	}
	w.equal()
	w.quiet()
}
