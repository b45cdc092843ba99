package engine_test

import (
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// A record that a first sync left out stays out until somebody edits it, also where the
// feed repeats it, everything is read again, or a contact in the mailbox needs a match.
func TestLeftOutUntilEdited(t *testing.T) {
	t.Parallel()
	for name, repeat := range map[string]int{"a quiet feed": 0, "a feed that repeats": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{Repeat: repeat}, memory.Options{})
			w.seed(0, 1)
			left := w.crm.Import("u0", contact("Im", "Ported", "Email", "im@example.net"))
			matched := w.crm.Import("u0", contact("Ma", "Tched", "Email", "ma@example.net"))
			if s := w.ok(); s.CreatedMailbox != 1 || s.Issues != 2 {
				t.Fatalf("counts: %+v\n%s", s.Counts, s.Log)
			}
			w.quiet()
			copies := func(want int) {
				t.Helper()
				w.ok()
				if n := len(w.mail.Items(w.folder(0))); n != want {
					t.Fatalf("%d copies, want %d\n%s", n, want, w.logs())
				}
				w.quiet()
			}
			w.crm.ExpireCursors()
			copies(1)
			w.mail.CreateItem(w.folder(0), card("Somebody", "Else"))
			copies(2)
			w.mail.CreateItem(w.folder(0), mapping.Fields{"givenName": record.Text("Ma"), "surname": record.Text("Tched"), "emailAddresses": {"ma@example.net"}})
			copies(3)
			issues, err := w.store.OpenIssues(t.Context(), w.users[0].ID, record.Contacts)
			if err != nil || len(issues) != 1 || issues[0].Code != engine.CodeLeftOut || issues[0].CRMID != left {
				t.Fatalf("issues: %+v, %v", issues, err)
			}
			w.crm.EditItem(left, mapping.Fields{"Title": record.Text("CEO")})
			w.crm.EditItem(matched, mapping.Fields{"Title": record.Text("CFO")})
			copies(4)
			w.equal()
		})
	}
}
