package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox"
	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

// scenario is what the world is like when a command begins that something happens to.
type scenario struct {
	name    string
	prepare func(*world)
	// command is asked for when the world is prepared; it is a cycle if it is nil.
	command func(*world) []string
	// status is what the command may exit with besides 0.
	status int
	// report is a command that says afterwards what became of it; nil for none.
	report []string
	// contacts is how many each user owns; 0 means 6.
	contacts int
}

// scenarios are the moments at which a program is attacked.
var scenarios = []scenario{
	{name: "first sync", prepare: func(*world) {}},
	{
		name: "edits on both sides", prepare: edits,
		report: []string{"conflicts", "list", "--all", "-o", "csv", "--fields", "user,field,winner,kept,lost"},
	},
	{name: "deletes on both sides", prepare: deletes},
	{name: "a batch on each side", contacts: 24, prepare: batches},
	{name: "after a kill", prepare: func(w *world) {
		w.pass(due)
		w.doomed(70)
	}},
	{name: "after lost answers", prepare: lostAnswers},
	{name: "cursors lost", prepare: func(w *world) {
		w.synced()
		w.pass(20 * day)
		w.edit()
		must(w.t, w.Turn(w.t.Context(), sandbox.Knobs{ExpireDeltaTokens: w.users}))
	}},
	{name: "state lost", prepare: func(w *world) {
		w.synced()
		must(w.t, os.Remove(w.state))
		w.enroll()
	}},
	{name: "folder deleted", status: 3, prepare: func(w *world) {
		w.synced()
		w.edit()
		must(w.t, w.DeleteFolder(w.t.Context(), w.users[0], "CRM"))
	}},
	{name: "reset and begun anew", prepare: (*world).synced, command: func(*world) []string {
		return []string{"mailbox", "reapply", "--all", "--yes"}
	}},
	{name: "undone", prepare: mistaken, command: (*world).undo},
}

const day = 24 * time.Hour

// due is after what time everybody's next cycle may begin.
const due = 40 * time.Minute

// synced brings both sides in step.
func (w *world) synced() {
	w.sync()
	w.sync()
}

// crm returns the contacts of a user in the CRM.
func (w *world) crm(user int) []sandbox.Contact {
	w.t.Helper()
	list, err := w.Contacts(w.t.Context(), sandbox.CRM, w.users[user])
	must(w.t, err)
	list = slices.DeleteFunc(list, func(c sandbox.Contact) bool { return c.Owner != w.users[user] || c.Deleted })
	slices.SortFunc(list, func(a, b sandbox.Contact) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// copyOf returns the contact of a name in the folder of a user.
func (w *world) copyOf(user int, name string) sandbox.Contact {
	w.t.Helper()
	list, err := w.Contacts(w.t.Context(), sandbox.Mailbox, w.users[user])
	must(w.t, err)
	i := slices.IndexFunc(list, func(c sandbox.Contact) bool { return c.Name == name && c.Folder == "CRM" })
	if i < 0 {
		w.t.Fatalf("%s is not in the folder of %s", name, w.users[user])
	}
	return list[i]
}

func (w *world) mailbox(user int, name string) string { return w.copyOf(user, name).ID }

func (w *world) title(user int, name string) string { return w.copyOf(user, name).Fields["jobTitle"] }

func (w *world) editCRM(c sandbox.Contact, f sandbox.Fields) {
	w.t.Helper()
	must(w.t, w.EditCRM(w.t.Context(), c.ID, f))
}

func (w *world) editMailbox(user int, c sandbox.Contact, f sandbox.Fields) {
	w.t.Helper()
	must(w.t, w.EditMailbox(w.t.Context(), w.users[user], w.mailbox(user, c.Name), f))
}

// edit changes something of everybody on both sides.
func (w *world) edit() {
	w.t.Helper()
	for user := range w.users {
		c := w.crm(user)
		w.editCRM(c[0], sandbox.Fields{"Title": "Edited in the CRM"})
		w.editMailbox(user, c[1], sandbox.Fields{"jobTitle": "Edited in the mailbox"})
	}
}

func edits(w *world) {
	ctx := w.t.Context()
	w.synced()
	w.edit()
	c := w.crm(0)
	w.editMailbox(0, c[0], sandbox.Fields{"businessAddress.city": "Merged"}) // another field of a contact that the CRM edited
	w.editCRM(c[2], sandbox.Fields{"Title": "Captain"})                      // the same field differently
	w.editMailbox(0, c[2], sandbox.Fields{"jobTitle": "Colonel"})
	w.editCRM(c[3], sandbox.Fields{"Title": "Alike"}) // and alike
	w.editMailbox(0, c[3], sandbox.Fields{"jobTitle": "Alike"})
	_, err := w.CreateCRM(ctx, w.users[0], sandbox.Fields{"FirstName": "Zora", "LastName": "Crmborn", "Email": "zora@example.net"})
	must(w.t, err)
	_, err = w.CreateMailbox(ctx, w.users[0], "CRM", sandbox.Fields{"givenName": "Zeno", "surname": "Mailborn", "emailAddresses": "zeno@example.net"})
	must(w.t, err)
	other := w.crm(1)
	must(w.t, w.ChangeOwner(ctx, other[2].ID, w.users[0]))
	must(w.t, w.MergeCRM(ctx, other[3].ID, other[4].ID))
}

func deletes(w *world) {
	ctx := w.t.Context()
	w.synced()
	c := w.crm(0)
	gone := func(c sandbox.Contact) { must(w.t, w.DeleteMailbox(ctx, w.users[0], w.mailbox(0, c.Name))) }
	must(w.t, w.DeleteCRM(ctx, c[0].ID))
	gone(c[1])
	w.editMailbox(0, c[2], sandbox.Fields{"jobTitle": "Kept by an edit"})
	must(w.t, w.DeleteCRM(ctx, c[2].ID))
	w.editCRM(c[3], sandbox.Fields{"Title": "Kept by an edit"})
	gone(c[3])
	must(w.t, w.DeleteCRM(ctx, c[4].ID))
	gone(c[4])
	other := w.crm(1)
	must(w.t, w.DeleteCRM(ctx, other[0].ID))
	must(w.t, w.MoveMailbox(ctx, w.users[1], w.mailbox(1, other[1].Name), "Contacts"))
}

// mistaken ends with a session that made, changed and deleted contacts.
func mistaken(w *world) {
	ctx := w.t.Context()
	w.synced()
	c := w.crm(0)
	w.editCRM(c[0], sandbox.Fields{"Title": "A mistake"})
	w.editMailbox(0, c[1], sandbox.Fields{"jobTitle": "Another mistake"})
	must(w.t, w.DeleteCRM(ctx, c[2].ID))
	_, err := w.CreateCRM(ctx, w.users[0], sandbox.Fields{"FirstName": "Zora", "LastName": "Crmborn", "Email": "zora@example.net"})
	must(w.t, err)
	w.sync()
}

// undo is the command that takes back what the last session of the first user wrote.
func (w *world) undo() []string {
	w.t.Helper()
	id := w.run("sessions", "list", w.users[0], "--limit", "1", "-o", "json", "--jq", ".[0].session")
	return []string{"undo", strings.TrimSpace(id), "--yes"}
}

// batches edits more contacts on both sides than one request carries.
func batches(w *world) {
	w.synced()
	for i, c := range w.crm(0) {
		w.editCRM(c, sandbox.Fields{"Title": fmt.Sprint("Title ", i)})
		w.editMailbox(0, c, sandbox.Fields{"businessAddress.city": fmt.Sprint("City ", i)})
	}
}

// lostAnswers leaves writes behind of which nobody knows what became.
func lostAnswers(w *world) {
	ctx := w.t.Context()
	w.synced()
	w.edit()
	for user := range w.users {
		_, err := w.CreateCRM(ctx, w.users[user], sandbox.Fields{"FirstName": "Zora", "LastName": fmt.Sprint("Crmborn", user), "Email": fmt.Sprint("zora", user, "@example.net")})
		must(w.t, err)
	}
	must(w.t, w.FaultMailbox(ctx, m365.Fault{Name: "lost", Kind: m365.FaultLost, Op: "batch"}))
	must(w.t, w.FaultMailbox(ctx, m365.Fault{Name: "gone", Kind: m365.FaultLost, Op: "contact."}))
	must(w.t, w.FaultCRM(ctx, sfdc.Fault{Kind: sfdc.FaultLost, Method: "PATCH", Count: -1}))
	w.pass(due)
	_ = w.command(cycle...).Run() // it says that it failed
	must(w.t, w.ClearFaults(ctx))
}
