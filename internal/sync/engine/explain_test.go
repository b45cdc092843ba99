package engine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func (w *world) explain(what string) engine.Explanation {
	w.t.Helper()
	x, err := w.engine().Explain(w.t.Context(), w.users[0].ID, what)
	if err != nil {
		w.t.Fatalf("explain %s: %v", what, err)
	}
	return x
}

func (w *world) states() map[string]engine.ItemState {
	w.t.Helper()
	items, err := w.engine().Items(w.t.Context(), w.users[0].Email, w.users[0].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]engine.ItemState{}
	for _, it := range items {
		out[it.CRMID+"/"+it.MailboxID] = it.State
	}
	return out
}

// told are effects as one text.
func told(effects []engine.Effect) string {
	var lines []string
	for _, e := range effects {
		lines = append(lines, e.Action+" "+string(e.Side)+": "+e.Reason)
	}
	return strings.Join(lines, "\n")
}

// What explain says would follow from a deed is what the next cycle plans once it was
// done.
func TestSuppositionsComeTrue(t *testing.T) {
	t.Parallel()
	title := func(s string) mapping.Fields { return mapping.Fields{"Title": record.Text(s)} }
	job := func(s string) mapping.Fields { return mapping.Fields{"jobTitle": record.Text(s)} }
	for name, tt := range map[string]struct {
		deed reconcile.Deed
		side record.Side
		do   func(w *world, crmID, mailboxID string)
		want string
	}{
		"edit in the CRM": {
			reconcile.Edit, record.CRM,
			func(w *world, c, _ string) { w.crm.EditItem(c, title("CEO")) },
			"update mailbox: job title changed in the CRM",
		},
		"edit in the mailbox": {
			reconcile.Edit, record.Mailbox,
			func(w *world, _, m string) { w.mail.EditItem(m, job("CEO")) },
			"update crm: job title changed in the mailbox",
		},
		"edit on both sides": {
			reconcile.EditBoth, record.Mailbox,
			func(w *world, c, m string) { w.crm.EditItem(c, title("CEO")); w.mail.EditItem(m, job("Boss")) },
			"update mailbox: job title changed on both sides; the CRM wins",
		},
		"delete in the CRM": {
			reconcile.Discard, record.CRM,
			func(w *world, c, _ string) { w.crm.DeleteItem(c) },
			"delete mailbox: deleted in the CRM",
		},
		"delete in the mailbox": {
			reconcile.Discard, record.Mailbox,
			func(w *world, _, m string) { w.mail.DeleteItem(m) },
			"end : deleted in the mailbox; the policy keeps the CRM record and unlinks it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			ids := w.seed(0, 3)
			w.ok()
			x := w.explain("c0-1@EXAMPLE.net")
			if x.CRMID != ids[1] || x.State != engine.ItemInSync || x.CRM != engine.Here || x.Mailbox != engine.Here || len(x.Differences) != 0 || len(x.Next) != 0 {
				t.Fatalf("explained as %+v", x)
			}
			n := slices.IndexFunc(x.Suppositions, func(s engine.Supposition) bool { return s.Deed == tt.deed && s.Side == tt.side })
			if n < 0 || told(x.Suppositions[n].Then) != tt.want {
				t.Fatalf("supposes %+v", x.Suppositions)
			}
			tt.do(w, x.CRMID, x.MailboxID)
			if x = w.explain(ids[1]); told(x.Next) != tt.want {
				t.Fatalf("the next cycle: %s\nwant %s", told(x.Next), tt.want)
			}
			w.ok()
		})
	}
}

// A record that nobody has linked yet is explained by what it would be matched with, and
// one that was taken apart by what keeps it so.
func TestExplainWithoutALink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.seed(0, 2)
	w.ok()
	twin := w.crm.CreateItem("u0", contact("Ann", "Lee", "Email", "ann@example.net"))
	w.mail.CreateItem(w.folder(0), mapping.Fields{"givenName": {"Ann"}, "surname": {"Lee"}, "emailAddresses": {"ann@example.net"}})
	x := w.explain(twin)
	if x.State != engine.ItemNew || told(x.Next) != "link : matched: same e-mail address and name" {
		t.Fatalf("%s: %s", x.State, told(x.Next))
	}
	var several *engine.SeveralItems
	if _, err := w.engine().Explain(t.Context(), w.users[0].ID, "lee ann"); !errors.As(err, &several) || len(several.Items) != 2 {
		t.Fatalf("two items of that name: %v", err)
	}
	w.crm.CreateItem("u0", contact("Ann", "Lee", "Email", "ann@example.net"))
	if x = w.explain(twin); !strings.HasPrefix(told(x.Next), "issue crm: several records have this e-mail address and name") {
		t.Fatalf("with a third: %s", told(x.Next))
	}
	w.ok()
	if x = w.explain(twin); x.State != engine.ItemFailing || x.Code != engine.CodeAmbiguous || x.Issue == 0 {
		t.Fatalf("with an issue: %+v", x.Item)
	}
	if _, err := w.engine().Explain(t.Context(), w.users[0].ID, "nobody@example.net"); !errors.Is(err, engine.ErrNoItem) {
		t.Fatalf("nobody: %v", err)
	}
}

// Differences are named with the side that made them, and explaining writes nothing.
func TestExplainDifferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 2)
	w.ok()
	m := w.copyOf(0, ids[0])
	w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("CFO")})
	w.mail.EditItem(m.ID, mapping.Fields{"personalNotes": record.Text("met in Rome")})
	before := w.snapshot()
	x := w.explain(m.ID)
	if len(x.Differences) != 2 ||
		x.Differences[0].Field != record.JobTitle || !slices.Equal(x.Differences[0].Changed, []record.Side{record.CRM}) ||
		x.Differences[1].Field != record.Notes || !slices.Equal(x.Differences[1].Changed, []record.Side{record.Mailbox}) {
		t.Fatalf("differences: %+v", x.Differences)
	}
	if after := w.snapshot(); after != before {
		t.Fatalf("explaining changed something:\n%s\n%s", before, after)
	}
	w.ok()
	w.quiet()
}

// snapshot is everything that a write would change.
func (w *world) snapshot() string {
	var b strings.Builder
	for _, it := range append(w.crm.Items(), w.mail.Items(w.folder(0))...) {
		b.WriteString(it.ID + " " + it.Version + "\n")
	}
	rep, err := w.store.Replica(w.t.Context(), w.users[0].ID, record.Contacts)
	if err != nil {
		w.t.Fatal(err)
	}
	b.WriteString(rep.MailboxCursor + rep.CRMCursor)
	return b.String()
}

// What a first sync leaves out is excluded, with the reason.
func TestImportedIsExcluded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	imported := w.crm.Import("u0", contact("Im", "Ported"))
	w.ok()
	x := w.explain("im ported")
	if x.CRMID != imported || x.State != engine.ItemExcluded || x.Code != engine.CodeLeftOut {
		t.Fatalf("explained as %+v", x.Item)
	}
	if then := told(x.Suppositions[0].Then); then != "create mailbox: new in the CRM" {
		t.Fatalf("once edited: %s", then)
	}
}

// A delete that the guard holds is told of its record.
func TestHeldItems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 20)
	w.ok()
	for _, id := range ids[:15] {
		w.crm.DeleteItem(id)
	}
	w.ok()
	held := 0
	for _, state := range w.states() {
		if state == engine.ItemHeld {
			held++
		}
	}
	x := w.explain(ids[0])
	if held != 15 || x.State != engine.ItemHeld || x.Code != engine.CodeHeld || x.CRM != engine.Gone || x.Mailbox != engine.Here {
		t.Fatalf("%d held, %+v", held, x)
	}
}

// Every record of a user has one state.
func TestItemStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 4)
	w.ok()
	copies := make([]string, len(ids))
	for n, id := range ids {
		copies[n] = w.copyOf(0, id).ID
	}
	w.mail.DeleteItem(copies[1])
	w.crm.DeleteItem(ids[2])
	w.crm.EditItem(ids[3], mapping.Fields{"LastName": record.Text("Refused")})
	w.mail.CreateItem(w.folder(0), card("New", "Person"))
	w.ok(func(o *engine.Options) { o.AllowCreateInCRM = false })
	born := w.mail.Items(w.mail.Folder("box0", roster.FolderName))
	want := map[string]engine.ItemState{
		ids[0] + "/" + copies[0]: engine.ItemInSync,
		ids[1] + "/" + copies[1]: engine.ItemUnlinked,
		ids[2] + "/" + copies[2]: engine.ItemEnded,
		ids[3] + "/" + copies[3]: engine.ItemInSync,
	}
	for _, it := range born {
		if it.Stamp == nil {
			want["/"+it.ID] = engine.ItemExcluded
		}
	}
	got := w.states()
	for id, state := range want {
		if got[id] != state {
			t.Errorf("%s is %q, want %q", id, got[id], state)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d items, want %d: %v", len(got), len(want), got)
	}
}
