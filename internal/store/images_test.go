package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// intent returns a write of a contact with its image.
func intent(n int, kind reconcile.OpKind, session int64, image reconcile.Image) engine.Intent {
	i := engine.Intent{Op: op(n), Side: record.Mailbox, Kind: kind, CRMID: fmt.Sprint("c", n), Created: t0, Session: session}
	if kind != reconcile.Create {
		i.MailboxID = fmt.Sprint("m", n)
	}
	image.Op, image.Time, image.Side, image.Kind, image.CRMID, image.MailboxID = i.Op, i.Created, i.Side, kind, i.CRMID, i.MailboxID
	i.Image = &image
	return i
}

func TestImages(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	u := staff(t, s, 1)[0]
	session, err := s.OpenSession(ctx, held(t, s, u.ID), engine.Session{UserID: u.ID, Trigger: engine.TriggerForce, Started: t0})
	must(t, err)
	made := reconcile.Image{Label: "Ann Lee", Left: record.Hashes{record.FamilyName: {1}, record.EmailAddresses: {2, 3}}}
	edited := reconcile.Image{
		Label:  "Bo\x00b",
		Before: record.Record{record.JobTitle: {"CEO"}, record.EmailAddresses: {"a@example.com", "b@example.com"}},
		Left:   record.Hashes{record.JobTitle: {4}, record.Notes: nil, record.EmailAddresses: {5}},
	}
	deleted := reconcile.Image{Before: record.Record{record.FamilyName: {"Lee"}, record.Notes: {"one\ntwo"}}}
	must(t, s.Intend(ctx, held(t, s, u.ID), record.Contacts, []engine.Intent{
		intent(1, reconcile.Create, session, made), intent(2, reconcile.Update, session, edited),
		intent(3, reconcile.Delete, session, deleted), intent(4, reconcile.Update, session, edited),
		intent(5, reconcile.Update, session, edited), intent(6, reconcile.Update, session, edited),
	}))
	images := func() []reconcile.Image {
		t.Helper()
		out, err := s.Images(ctx, u.ID, record.Contacts, session)
		must(t, err)
		return out
	}
	if n := len(images()); n != 0 {
		t.Fatalf("%d images of writes that nobody has answered", n)
	}
	// The server spelled the title in its own way; one write was refused, one given up, and
	// one has no answer.
	settle(t, s, u.ID, engine.Settlement{
		Settled: []record.OpID{op(1), op(2), op(3), op(4)}, Expired: []record.OpID{op(5)},
		Written: []engine.Written{
			{Op: op(1), ID: "m1"},
			{Op: op(2), ID: "m2", Left: record.Hashes{record.JobTitle: {9}, record.Notes: nil, record.EmailAddresses: {5}}},
			{Op: op(3), ID: "m3"},
		},
	})
	want := []reconcile.Image{*intent(3, reconcile.Delete, session, deleted).Image, *intent(2, reconcile.Update, session, edited).Image, *intent(1, reconcile.Create, session, made).Image}
	want[1].Left = record.Hashes{record.JobTitle: {9}, record.Notes: nil, record.EmailAddresses: {5}}
	want[2].MailboxID = "m1"
	got := images()
	for i := range got {
		for f, h := range got[i].Left { // no elements and nil are the same
			if len(h) == 0 {
				got[i].Left[f] = nil
			}
		}
	}
	same(t, "images", got, want)

	// What takes a write back marks it, unless it turns out not to have been applied.
	undone := func(n int) record.OpID {
		for _, i := range images() {
			if i.Op == op(n) {
				return i.Undone
			}
		}
		t.Fatalf("no image %d", n)
		return ""
	}
	for n, applied := range []bool{false, true} {
		back := intent(7+n, reconcile.Update, session+1, edited)
		back.Undoes = []record.OpID{op(2), op(3)}
		must(t, s.Intend(ctx, held(t, s, u.ID), record.Contacts, []engine.Intent{back}))
		if undone(2) != back.Op || undone(3) != back.Op || undone(1) != "" {
			t.Error("what is being taken back is not marked")
		}
		set := engine.Settlement{Expired: []record.OpID{back.Op}}
		if applied {
			set = engine.Settlement{Settled: []record.OpID{back.Op}, Written: []engine.Written{{Op: back.Op, ID: "m2"}}}
		}
		settle(t, s, u.ID, set)
		if (undone(2) == back.Op) != applied || (undone(3) == back.Op) != applied {
			t.Errorf("applied %v: undone by %q", applied, undone(2))
		}
	}

	// After 30 days they go, and those whose writes are still open too.
	session2, err := s.OpenSession(ctx, held(t, s, u.ID), engine.Session{UserID: u.ID, Trigger: engine.TriggerForce, Started: t0})
	must(t, err)
	for _, after := range []time.Duration{engine.ImagesKept, engine.ImagesKept + time.Second} {
		must(t, s.CloseSession(ctx, held(t, s, u.ID), engine.Outcome{Session: engine.Session{
			ID: session2, UserID: u.ID, Started: t0, Ended: t0.Add(after), Result: engine.ResultDone,
		}}))
		if n := len(images()); (n == 0) != (after > engine.ImagesKept) {
			t.Errorf("%d images after %s", n, after)
		}
		session2, err = s.OpenSession(ctx, held(t, s, u.ID), engine.Session{UserID: u.ID, Trigger: engine.TriggerForce, Started: t0})
		must(t, err)
	}
	must(t, s.Check(ctx))
}

// An image is small, and tells nothing without the key. The figures are in
// docs/performance.md.
func TestImagesAreSmallAndSealed(t *testing.T) {
	t.Parallel()
	const n = 2000
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	office(t, s)
	ctx := t.Context()
	u := staff(t, s, 1)[0]
	session, err := s.OpenSession(ctx, held(t, s, u.ID), engine.Session{UserID: u.ID, Trigger: engine.TriggerForce, Started: t0})
	must(t, err)
	size := func() int {
		var pages int
		must(t, s.writer.QueryRowContext(ctx, `SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'images%'`).Scan(&pages))
		return pages
	}
	full := record.Record{
		record.GivenName: {"Ann"}, record.FamilyName: {"Secretlee"}, record.Company: {"Contoso Ltd"}, record.JobTitle: {"Chief Accountant"},
		record.EmailAddresses: {"ann.lee@contoso.example"}, record.BusinessPhones: {"+1 212 555 0100"}, record.MobilePhone: {"+1 212 555 0101"},
		record.BusinessCity: {"New York"}, record.BusinessCountry: {"United States"},
	}
	left := record.Hashes{}
	for f := range full {
		left[f] = []record.Hash{7}
	}
	most := map[reconcile.OpKind]int{reconcile.Create: 330, reconcile.Update: 270, reconcile.Delete: 380}
	for base, kind := range []reconcile.OpKind{reconcile.Create, reconcile.Update, reconcile.Delete} {
		image := reconcile.Image{Label: "Ann Secretlee (Contoso Ltd)"}
		switch kind {
		case reconcile.Create:
			image.Left = left
		case reconcile.Update:
			image.Before, image.Left = record.Record{record.JobTitle: {"Secretary"}}, record.Hashes{record.JobTitle: {7}}
		case reconcile.Delete:
			image.Before = full
		}
		before := size()
		for at := 0; at < n; at += 20 {
			var intents []engine.Intent
			set := engine.Settlement{}
			for i := range 20 {
				in := intent(base*n+at+i+1, kind, session, image)
				id := itemID(1, base*n+at+i)
				if kind != reconcile.Create {
					in.MailboxID, in.Image.MailboxID = id, id
				}
				in.CRMID = fmt.Sprintf("003000000%09d", at+i)
				in.Image.CRMID = in.CRMID
				intents = append(intents, in)
				set.Settled, set.Written = append(set.Settled, in.Op), append(set.Written, engine.Written{Op: in.Op, ID: id})
			}
			must(t, s.Intend(ctx, held(t, s, u.ID), record.Contacts, intents))
			settle(t, s, u.ID, set)
		}
		each := (size() - before) / n
		t.Logf("%s: %d bytes per image", kind, each)
		if each > most[kind] {
			t.Errorf("an image of a %s has %d bytes", kind, each)
		}
	}
	must(t, s.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	for _, secret := range []string{"Secretlee", "Secretary"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the state holds %q in clear", secret)
		}
	}
}
