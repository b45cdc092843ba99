package m365

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
)

// lines is a journal in memory that can be made to fail.
type lines struct {
	all  []json.RawMessage
	fail bool
}

func (l *lines) Append(line json.RawMessage) error {
	if l.fail {
		return errors.New("disk full")
	}
	l.all = append(l.all, append(json.RawMessage(nil), line...))
	return nil
}

// history does everything that changes something, over Graph and as a person.
func history(t *testing.T, b *bench) {
	t.Helper()
	const ada = "ada@contoso.example"
	f, g := b.folder("CRM"), b.folder("Gone")
	var ids []string
	for i := range 6 {
		ids = append(ids, b.create(f, map[string]any{"surname": fmt.Sprint(i), "singleValueExtendedProperties": prop(stampID, fmt.Sprint(i))})["id"].(string))
	}
	b.create(g, name(1))
	b.want(200, "PATCH", b.root()+"/contacts/"+esc(ids[0]), map[string]any{"jobTitle": "x"})
	b.want(204, "DELETE", b.root()+"/contacts/"+esc(ids[1]), nil)
	app, err := b.s.AddApp(App{ExternalID: "x", DisplayName: "X"})
	copied, e := b.s.CopyContact(ada, ids[2], "")
	for _, err := range []error{
		err, e, b.s.MoveContact(ada, ids[2], ""), b.s.MoveContact(ada, ids[3], ""), b.s.MoveContact(ada, ids[3], "CRM"), b.s.DeleteContact(ada, copied),
		b.s.DeleteFolder(ada, "Gone"), b.s.RenameFolder(ada, "CRM", "CRM 2"), b.s.RestoreContact(ada, ids[1]), b.s.ExpireDeltaTokens(ada),
		b.s.SetMailboxState(ada, MailboxFull), b.s.SetMailboxState(ada, MailboxReady),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := b.want(201, "POST", b.root()+"/outlook/masterCategories", map[string]any{"displayName": "CRM"})
	b.want(201, "POST", b.root()+"/outlook/masterCategories", map[string]any{"displayName": "Other"})
	b.want(204, "DELETE", b.root()+"/outlook/masterCategories/"+esc(c["id"]), nil)
	b.want(201, "POST", b.root()+"/teamwork/installedApps", map[string]any{"teamsApp@odata.bind": "http://x/v1.0/appCatalogs/teamsApps/" + app.ID})
}

func snapshot(t *testing.T, s *Server) string {
	t.Helper()
	b, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// After a snapshot at any moment and the journal from any line before it on, the server
// is what it was.
func TestJournalBringsEverythingBack(t *testing.T) {
	t.Parallel()
	j := &lines{}
	b := newBench(t, func(o *Options) { o.Journal = j })
	history(t, b)
	want := snapshot(t, b.s)
	if n := b.s.Changes(); n != uint64(len(j.all)) {
		t.Errorf("%d changes, %d lines", n, len(j.all))
	}
	for cut := 0; cut <= len(j.all); cut++ {
		early := New(Options{Now: b.clock.Now, Seed: 99})
		for _, line := range j.all[:cut] {
			if err := early.Replay(line); err != nil {
				t.Fatal(err)
			}
		}
		late := New(Options{Now: b.clock.Now, Seed: 99})
		if err := late.Restore([]byte(snapshot(t, early))); err != nil {
			t.Fatal(err)
		}
		for _, line := range j.all { // the lines before the cut are in the snapshot
			if err := late.Replay(line); err != nil {
				t.Fatal(err)
			}
		}
		if got := snapshot(t, late); got != want {
			t.Fatalf("cut at %d of %d: the server is not what it was\n%s\n%s", cut, len(j.all), got, want)
		}
		if got, want := logs(late), logs(b.s); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d of %d: deltas would tell %v, not %v", cut, len(j.all), got, want)
		}
	}
	if err := New(Options{Now: b.clock.Now}).Replay(j.all[1]); err == nil {
		t.Error("a journal with a gap is accepted")
	}
}

// logs is what the folders' deltas have to tell, in its order.
func logs(s *Server) map[string][]int64 {
	out := map[string][]int64{}
	for _, m := range s.order {
		for id, f := range m.folders {
			for _, e := range f.log {
				if !e.dead {
					out[id] = append(out[id], e.seq)
				}
			}
		}
	}
	return out
}

// A delta link outlives the server's restart, and what the index and the lists find does.
func TestRestartIsNotNoticed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	history(t, b)
	f := b.root() + "/contactFolders/" + esc(values(b.want(200, "GET", b.root()+"/contactFolders", nil))[0]["id"])
	told, _, link := b.round(f + "/contacts/delta")
	b.create(f, map[string]any{"surname": "new"})
	changed, _, _ := b.round(link)
	before, _ := b.s.Contacts(b.user.ID, "CRM 2")
	snap := snapshot(t, b.s)
	if err := b.s.Restore([]byte(snap)); err != nil {
		t.Fatal(err)
	}
	after, _ := b.s.Contacts(b.user.ID, "CRM 2")
	if !reflect.DeepEqual(before, after) || snapshot(t, b.s) != snap {
		t.Error("the contacts are not what they were")
	}
	if got, _, _ := b.round(link); !reflect.DeepEqual(got, changed) || len(got) != 1 {
		t.Errorf("the link tells %v, before the restart %v", got, changed)
	}
	if got, _, _ := b.round(f + "/contacts/delta"); len(got) != len(told)+1 {
		t.Errorf("a new chain tells %d, want %d", len(got), len(told)+1)
	}
	made := b.create(f, map[string]any{"surname": "after"})["id"]
	for _, c := range before {
		if c["id"] == made {
			t.Error("an id was used twice")
		}
	}
}

// What was not written down did not happen.
func TestFailingJournal(t *testing.T) {
	t.Parallel()
	j := &lines{}
	b := newBench(t, func(o *Options) { o.Journal = j })
	c := b.create(b.root(), map[string]any{"surname": "S"})
	before := snapshot(t, b.s)
	j.fail = true
	b.clock.pass(time.Second)
	path := b.root() + "/contacts/" + esc(c["id"])
	b.want(503, "POST", b.root()+"/contacts", map[string]any{"surname": "T"})
	b.want(503, "PATCH", path, map[string]any{"surname": "T"})
	b.want(503, "DELETE", path, nil)
	b.want(503, "POST", b.root()+"/contactFolders", map[string]any{"displayName": "F"})
	b.want(503, "GET", b.root()+"/contactFolders/contacts/contacts/delta", nil)
	if err := b.s.DeleteContact(b.user.ID, c["id"].(string)); err == nil {
		t.Error("a person's change went through")
	}
	if _, err := b.s.CreateContact(b.user.ID, "", name(1)); err == nil {
		t.Error("a person's contact went through")
	}
	if snapshot(t, b.s) != before {
		t.Error("something changed although it could not be written down")
	}
}

func TestBrokenSnapshots(t *testing.T) {
	t.Parallel()
	s := New(Options{Now: time.Now})
	for _, text := range []string{"", "{", `{"contacts":[{"mailbox":"nobody","folder":"x"}]}`, `{"tombs":[{"mailbox":"x"}]}`} {
		if err := s.Restore([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
