package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// The file, its log and its index hold no content of a record, whatever is stored.
func TestTheFileHoldsNoContentOfRecords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	office(t, s)
	user := staff(t, s, 1)[0].ID
	h, err := s.Hasher("DE")
	must(t, err)
	person := record.Record{
		record.GivenName:      record.Text("Zaphod"),
		record.FamilyName:     record.Text("Beeblebrox"),
		record.EmailAddresses: record.Value{"zaphod@heartofgold.example"},
		record.MobilePhone:    record.Text("+49 30 901820"),
		record.Notes:          record.Text("two heads"),
	}
	link := contact(1, 1, 1)
	link.CRM.Base, link.Mailbox.Base = h.Record(person), h.Record(person)
	must(t, s.Intend(t.Context(), held(t, s, user), record.Contacts, []engine.Intent{{
		Op: op(1), Side: record.CRM, Kind: reconcile.Update, CRMID: "c", MailboxID: "m", Link: link, MoveCRM: link.CRM.Base, Created: t0,
	}}))
	settle(t, s, user, engine.Settlement{
		Links:  []reconcile.Link{link},
		Issues: []engine.Issue{{IssueKey: engine.IssueKey{Direction: engine.ToCRM, CRMID: "c"}, Label: person.Label(), Cause: "a cause in clear", State: engine.IssueOpen}},
		Conflicts: []reconcile.Conflict{
			{CRMID: "c", Field: record.Notes, Lost: person[record.Notes], Kept: person[record.MobilePhone]},
			{CRMID: "c", Field: record.EmailAddresses, Lost: person[record.EmailAddresses]},
		},
		Now: t0,
	})

	raw := map[string][]byte{}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(path + suffix)
		must(t, err)
		raw[suffix] = b
	}
	if !bytes.Contains(raw["-wal"], []byte("a cause in clear")) {
		t.Error("the test does not see what is in the log")
	}
	for suffix, b := range raw {
		for f, v := range person {
			for _, text := range v {
				if bytes.Contains(bytes.ToLower(b), bytes.ToLower([]byte(text))) {
					t.Errorf("%s is in clear in state.db%s", f, suffix)
				}
			}
		}
		if bytes.Contains(b, key(1)) || bytes.Contains(b, s.keys.hash) {
			t.Errorf("a key is in state.db%s", suffix)
		}
	}
	// It comes back to whoever has the key.
	issues, err := s.Issues(t.Context(), 0, false)
	must(t, err)
	if issues[0].Label != person.Label() {
		t.Errorf("label is %q", issues[0].Label)
	}
}

func TestWhatIsSealedStaysInItsPlace(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sealed, err := s.seal([]byte("text"), issueLabel, 1)
	must(t, err)
	again, err := s.seal([]byte("text"), issueLabel, 1)
	must(t, err)
	if bytes.Equal(sealed, again) {
		t.Error("sealing the same twice shows that it is the same")
	}
	if got, err := s.unseal(sealed, issueLabel, 1); string(got) != "text" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1]++
	for name, err := range map[string]error{
		"another user's": second(s.unseal(sealed, issueLabel, 2)),
		"another use":    second(s.unseal(sealed, conflictLost, 1)),
		"altered":        second(s.unseal(altered, issueLabel, 1)),
		"cut short":      second(s.unseal(sealed[:10], issueLabel, 1)),
	} {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestHashesDependOnTheKeyAndTheState(t *testing.T) {
	t.Parallel()
	hash := func(path string, seed uint64, k byte) record.Hash {
		t.Helper()
		s, err := Open(t.Context(), path, key(k), Options{Random: noise(seed)})
		must(t, err)
		defer shut(t, s)
		h, err := s.Hasher("")
		must(t, err)
		return h.Value(record.GivenName, record.Text("Ann"))[0]
	}
	dir := t.TempDir()
	a := hash(filepath.Join(dir, "a.db"), 1, 1)
	if hash(filepath.Join(dir, "a.db"), 9, 1) != a {
		t.Error("a state does not hash the same when it is opened again")
	}
	if hash(filepath.Join(dir, "b.db"), 1, 2) == a {
		t.Error("two keys hash alike")
	}
	if hash(filepath.Join(dir, "c.db"), 2, 1) == a {
		t.Error("two states hash alike")
	}
}
