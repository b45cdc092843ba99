package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// undo takes a session of the first user back.
func (w *world) undo(session int64, change ...func(*engine.UndoOptions)) engine.UndoReport {
	w.t.Helper()
	o := engine.UndoOptions{User: w.users[0].ID, Session: session, Actor: "test"}
	for _, f := range change {
		f(&o)
	}
	rep, err := w.engine().Undo(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

// undone demands that a session is taken back wholly.
func (w *world) undone(session int64) engine.UndoReport {
	w.t.Helper()
	rep := w.undo(session)
	if rep.Session.Result != engine.ResultDone || len(rep.Refused) > 0 {
		w.t.Fatalf("%+v\n%+v", rep.Session, rep.Refused)
	}
	for _, d := range rep.Done {
		if d.Code != "" {
			w.t.Fatalf("%+v", d)
		}
	}
	return rep
}

// holdings is what both systems hold, without ids and versions.
func (w *world) holdings() string {
	var lines []string
	for _, it := range w.crm.Items() {
		lines = append(lines, "crm "+shared(record.CRM, it))
	}
	for _, it := range w.mail.Items(w.folder(0)) {
		lines = append(lines, "box "+shared(record.Mailbox, it))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (w *world) titles() (crm, box []string) {
	for _, it := range w.crm.Items() {
		crm = append(crm, it.Fields["Title"].First())
	}
	for _, it := range w.mail.Items(w.folder(0)) {
		box = append(box, it.Fields["jobTitle"].First())
	}
	slices.Sort(crm)
	slices.Sort(box)
	return crm, box
}

// A bad mass edit that reached the other side is taken back there, and both sides rest
// though they differ, until somebody edits the field.
func TestUndoUpdates(t *testing.T) {
	t.Parallel()
	for _, side := range []record.Side{record.CRM, record.Mailbox} {
		t.Run("made in "+string(side), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			ids := w.seed(0, 30)
			w.ok()
			for _, id := range ids[:10] {
				w.crm.EditItem(id, mapping.Fields{"Title": record.Text("Right")})
			}
			w.ok()
			w.quiet()
			before := w.holdings()
			for _, id := range ids {
				if side == record.CRM {
					w.crm.EditItem(id, mapping.Fields{"Title": record.Text("Wrong"), "Phone": nil})
				} else {
					w.mail.EditItem(w.copyOf(0, id).ID, mapping.Fields{"jobTitle": record.Text("Wrong"), "businessPhones": nil})
				}
			}
			bad := w.ok()
			edited := w.holdings()
			rep := w.undone(bad.ID)
			if rep.Session.UpdatedCRM+rep.Session.UpdatedMailbox != 30 || rep.Images != 30 {
				t.Fatalf("%+v", rep.Session)
			}
			crm, box := w.titles()
			want := append(slices.Repeat([]string{""}, 20), slices.Repeat([]string{"Right"}, 10)...)
			wrong := slices.Repeat([]string{"Wrong"}, 30)
			if side == record.CRM && (!slices.Equal(box, want) || !slices.Equal(crm, wrong)) || side == record.Mailbox && (!slices.Equal(crm, want) || !slices.Equal(box, wrong)) {
				t.Fatalf("CRM %v\nmailbox %v", crm, box)
			}
			w.quiet()
			w.crm.ExpireCursors()
			w.mail.ExpireCursors()
			w.quiet() // nor does a full read find a change

			// Twice does nothing.
			again := w.undo(bad.ID)
			if len(again.Done) != 0 || again.Already != 30 || again.Session.Result != engine.ResultUnchanged {
				t.Fatalf("%+v", again)
			}
			// Once the person corrects the side where it was made, all is as before.
			for n, id := range ids {
				title := map[bool]record.Value{true: record.Text("Right"), false: nil}[n < 10]
				if side == record.CRM {
					w.crm.EditItem(id, mapping.Fields{"Title": title, "Phone": record.Text(fmt.Sprintf("+1 212 555 %04d", n))})
				} else {
					w.mail.EditItem(w.copyOf(0, id).ID, mapping.Fields{"jobTitle": title, "businessPhones": record.Text(fmt.Sprintf("+1 212 555 %04d", n))})
				}
			}
			w.ok()
			w.quiet()
			w.equal()
			if got := w.holdings(); got != before {
				t.Errorf("not as before:\n%s", got)
			}

			// An undo can be taken back.
			for _, id := range ids {
				w.crm.EditItem(id, mapping.Fields{"Title": record.Text("Wrong"), "Phone": nil})
			}
			bad = w.ok()
			w.undone(w.undone(bad.ID).Session.ID)
			if got := w.holdings(); got != edited {
				t.Errorf("the undo was not taken back:\n%s", got)
			}
			w.quiet()
		})
	}
}

// What somebody changed since is left as it is, and named.
func TestUndoRefusesWhatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 4)
	w.ok()
	for _, id := range ids {
		w.crm.EditItem(id, mapping.Fields{"Title": record.Text("Wrong")})
	}
	bad := w.ok()
	w.mail.EditItem(w.copyOf(0, ids[0]).ID, mapping.Fields{"jobTitle": record.Text("Mine")})
	w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"personalNotes": record.Text("other")}) // another field
	gone, moved := w.copyOf(0, ids[2]).ID, w.copyOf(0, ids[3]).ID
	w.mail.DeleteItem(gone)
	w.mail.MoveItem(moved, w.mail.Folder(w.users[0].MailboxID, memory.DefaultFolder))
	rep := w.undo(bad.ID)
	if len(rep.Refused) != 3 || len(rep.Done) != 1 || rep.Done[0].Op.CRMID != ids[1] || rep.Done[0].Code != "" {
		t.Fatalf("%+v\n%+v", rep.Refused, rep.Done)
	}
	for _, r := range rep.Refused {
		if r.Label == "" || r.Reason == "" {
			t.Errorf("%+v", r)
		}
	}
	w.ok()
	w.quiet()
	if it, _ := w.crm.Item(ids[0]); it.Fields["Title"].First() != "Mine" {
		t.Errorf("the edit did not go on its way: %v", it.Fields)
	}
	if it, _ := w.crm.Item(ids[1]); it.Fields["Description"].First() != "other" {
		t.Errorf("the edit of another field did not go on its way: %v", it.Fields)
	}
}

// Creates are deleted again, and not made anew by the next cycles.
func TestUndoCreates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 5)
	w.ok()
	var fresh []string
	for n := range 5 {
		fresh = append(fresh, w.crm.CreateItem("u0", contact("Born", fmt.Sprint("InCRM", n))))
	}
	for n := range 5 {
		w.mail.CreateItem(w.folder(0), card("Born", fmt.Sprint("InBox", n)))
	}
	bad := w.ok()
	w.mail.EditItem(w.copyOf(0, fresh[2]).ID, mapping.Fields{"jobTitle": record.Text("Edited")})
	rep := w.undo(bad.ID)
	if rep.Session.DeletedCRM != 5 || rep.Session.DeletedMailbox != 4 || len(rep.Refused) != 1 {
		t.Fatalf("%+v %+v", rep.Session, rep.Refused)
	}
	w.mail.ExpireCursors() // the mailbox tells of everything just when the CRM tells of the deletes
	w.ok()
	w.quiet()
	if n := len(w.crm.Items()); n != 10 {
		t.Errorf("%d records in the CRM", n)
	}
	w.mail.ExpireCursors()
	w.crm.ExpireCursors()
	w.ok()
	if n, m := len(w.crm.Items()), len(w.mail.Items(w.folder(0))); n != 10 || m != 11 {
		t.Errorf("a full read made some anew: %d in the CRM, %d in the mailbox", n, m)
	}
	// Taking the undo back brings them back, linked as before.
	w.undone(rep.Session.ID)
	w.quiet()
	w.equal()
}

// Deletes in the mailbox are made good though the CRM's records are gone. If one of those
// comes back, the two are one again.
func TestUndoDeletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 6)
	w.ok()
	w.mail.EditItem(w.copyOf(0, ids[0]).ID, mapping.Fields{"nickName": record.Text("Eve")})
	w.ok()
	before := w.holdings()
	for _, id := range ids[:4] {
		w.crm.DeleteItem(id)
	}
	w.crm.ChangeOwner(ids[4], "u9")
	bad := w.ok()
	if bad.DeletedMailbox != 5 {
		t.Fatalf("%+v", bad.Counts)
	}
	rep := w.undone(bad.ID)
	if rep.Session.CreatedMailbox != 5 {
		t.Fatalf("%+v", rep.Session)
	}
	w.quiet()
	w.mail.ExpireCursors()
	w.crm.ExpireCursors()
	w.quiet()
	if n := len(w.crm.Items()); n != 2 {
		t.Fatalf("%d records in the CRM", n)
	}
	if it := w.copyOf(0, ids[0]); it.Fields["nickName"].First() != "Eve" {
		t.Errorf("not the whole item is back: %v", it.Fields)
	}
	// The CRM's records come back: from the bin, or to their owner.
	w.crm.RestoreItem(ids[0])
	w.crm.ChangeOwner(ids[4], "u0")
	w.ok()
	w.quiet()
	for _, id := range []string{ids[0], ids[4]} {
		w.crm.EditItem(id, mapping.Fields{"Title": record.Text("Back")})
	}
	if s := w.ok(); s.UpdatedMailbox != 2 {
		t.Errorf("they are not linked again: %+v", s.Counts)
	}
	for _, id := range []string{ids[0], ids[4]} {
		w.crm.EditItem(id, mapping.Fields{"Title": nil})
	}
	for _, id := range ids[1:4] {
		w.crm.RestoreItem(id)
	}
	w.ok()
	w.quiet()
	w.equal()
	if got := w.holdings(); got != before {
		t.Errorf("not as before:\n%s", got)
	}
	// Edited, a copy whose record stays away becomes a record of its own.
	w.crm.DeleteItem(ids[1])
	bad = w.ok()
	w.undone(bad.ID)
	w.quiet()
	w.mail.EditItem(w.copyOf(0, ids[1]).ID, mapping.Fields{"jobTitle": record.Text("Own")})
	if s := w.ok(); s.CreatedCRM != 1 {
		t.Errorf("%+v", s.Counts)
	}
	w.quiet()
	w.equal()
}

// More deletes than the guard lets through need their number.
func TestUndoIsGuarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 20)
	s := w.ok()
	rep := w.undo(s.ID)
	if rep.Session.Code != engine.CodeGuarded || rep.Session.Result != engine.ResultRefused || len(rep.Plan.Held) != 20 {
		t.Fatalf("%+v", rep.Session)
	}
	dry := w.undo(s.ID, func(o *engine.UndoOptions) { o.DryRun, o.ExpectDeletes = true, 20 })
	if len(dry.Plan.Ops) != 20 || len(w.mail.Items(w.folder(0))) != 20 {
		t.Fatalf("%+v", dry.Session)
	}
	rep = w.undo(s.ID, func(o *engine.UndoOptions) { o.ExpectDeletes = 20 })
	if rep.Session.DeletedMailbox != 20 || len(w.crm.Items()) != 20 {
		t.Fatalf("%+v", rep.Session)
	}
	w.quiet()
}

// misdeed is a session that creates, updates and deletes on both sides.
func misdeed(w *world) engine.Session {
	ids := w.seed(0, 8)
	w.ok()
	for n, id := range ids[:3] {
		w.crm.EditItem(id, mapping.Fields{"Title": record.Text(fmt.Sprint("Wrong", n))})
	}
	w.mail.EditItem(w.copyOf(0, ids[3]).ID, mapping.Fields{"jobTitle": record.Text("Wrong")})
	w.crm.CreateItem("u0", contact("New", "InCRM"))
	w.mail.CreateItem(w.folder(0), card("New", "InBox"))
	w.crm.DeleteItem(ids[4])
	w.crm.DeleteItem(ids[5])
	return w.ok()
}

// Wherever an undo dies, running it again ends as if it had not.
func TestUndoSurvivesCrashes(t *testing.T) {
	t.Parallel()
	calm := newWorld(t, 1, memory.Options{}, memory.Options{})
	s := misdeed(calm)
	start := len(calm.faults.Calls())
	calm.undone(s.ID)
	calls := len(calm.faults.Calls()) - start
	want := calm.holdings()
	calm.quiet()
	if calls < 4 {
		t.Fatalf("an undo makes %d calls", calls)
	}
	for k := 1; k <= calls; k++ {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, applied %v", k, applied), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 1, memory.Options{}, memory.Options{})
				s := misdeed(w)
				w.faults.Set(faulty.DieAt(len(w.faults.Calls())+k, applied))
				w.undo(s.ID)
				w.faults.Set(nil)
				rep := w.undo(s.ID)
				if len(rep.Refused) > 0 {
					t.Fatalf("refused: %+v", rep.Refused)
				}
				for _, d := range rep.Done {
					if d.Code != "" {
						t.Errorf("%+v", d)
					}
				}
				if got := w.holdings(); got != want {
					t.Errorf("ends in\n%s\ninstead of\n%s", got, want)
				}
				w.quiet()
				if rep = w.undo(s.ID); len(rep.Done) > 0 || len(rep.Refused) > 0 {
					t.Errorf("something was left: %+v %+v", rep.Done, rep.Refused)
				}
			})
		}
	}
}
