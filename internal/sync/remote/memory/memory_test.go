package memory_test

import (
	"context"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

func person(last string) mapping.Fields { return mapping.Fields{"LastName": record.Text(last)} }

func read(t *testing.T, c remote.Collection, q remote.Query) remote.Feed {
	t.Helper()
	feed, err := c.Changes(context.Background(), q)
	if err != nil {
		t.Fatalf("changes: %v", err)
	}
	return feed
}

// With lag, a change is not in the next feeds, and in none too few: the cursor waits
// for it.
func TestLagDelaysAChangeAndLosesNone(t *testing.T) {
	t.Parallel()
	crm := memory.NewCRM(memory.Options{Lag: 2})
	c := crm.Collection(record.Contacts)
	feed := read(t, c, remote.Query{})
	id := crm.CreateItem("u1", person("Abel"))
	seen := 0
	for range 4 {
		feed = read(t, c, remote.Query{Cursor: feed.Cursor})
		for _, ch := range feed.Changes {
			if ch.Item.ID == id {
				seen++
			}
		}
	}
	if seen != 1 {
		t.Errorf("the change was reported %d times, want once", seen)
	}
	stamp := record.Stamp{Install: "i", Entity: record.Contacts, Op: "00112233445566778899aabbccddeeff"}
	res := c.Apply(context.Background(), []remote.Write{{Kind: remote.Create, Set: person("Bauer"), Stamp: stamp}})
	if res[0].Err != nil {
		t.Fatal(res[0].Err)
	}
	found, _ := c.FindStamped(context.Background(), []record.Stamp{stamp})
	if len(found) != 0 {
		t.Error("the first search after the write already finds it")
	}
	for range 2 {
		found, _ = c.FindStamped(context.Background(), []record.Stamp{stamp})
	}
	if len(found) != 1 {
		t.Error("the write is never found")
	}
}

// A feed with repetition reports old changes again, in their present state.
func TestRepeatReportsAgain(t *testing.T) {
	t.Parallel()
	crm := memory.NewCRM(memory.Options{Repeat: 3})
	id := crm.CreateItem("u1", person("Abel"))
	c := crm.Collection(record.Contacts)
	feed := read(t, c, remote.Query{})
	again := read(t, c, remote.Query{Cursor: feed.Cursor})
	if len(again.Changes) != 1 || again.Changes[0].Item.ID != id {
		t.Errorf("the feed repeats %d changes, want 1", len(again.Changes))
	}
}

// A CRM without tombstones reports only the known ids that are missing.
func TestWithoutTombstonesOnlyKnownIDsAreMissed(t *testing.T) {
	t.Parallel()
	crm := memory.NewCRM(memory.Options{NoTombstones: true})
	a, b := crm.CreateItem("u1", person("Abel")), crm.CreateItem("u1", person("Bauer"))
	c := crm.Collection(record.Contacts)
	feed := read(t, c, remote.Query{})
	crm.DeleteItem(a)
	next := read(t, c, remote.Query{Cursor: feed.Cursor, Known: []string{a, b}})
	if len(next.Changes) != 1 || next.Changes[0].Kind != remote.Removed || next.Changes[0].Item.ID != a {
		t.Errorf("changes = %+v, want %s removed", next.Changes, a)
	}
	if next = read(t, c, remote.Query{Cursor: feed.Cursor}); len(next.Changes) != 0 {
		t.Errorf("changes = %+v, want none", next.Changes)
	}
}

// Versions of a coarse clock repeat; others never do.
func TestVersionResolution(t *testing.T) {
	t.Parallel()
	crm := memory.NewCRM(memory.Options{VersionResolution: 60e9})
	id := crm.CreateItem("u1", person("Abel"))
	before, _ := crm.Item(id)
	crm.EditItem(id, person("Bauer"))
	after, _ := crm.Item(id)
	if before.Version != after.Version {
		t.Errorf("versions %q and %q differ within a minute", before.Version, after.Version)
	}
}

// The same calls give the same ids, versions and times.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	run := func() []remote.Item {
		crm := memory.NewCRM(memory.Options{})
		crm.CreateItem("u1", person("Abel"))
		crm.EditItem(crm.CreateItem("u2", person("Bauer")), person("Clemens"))
		return crm.Items()
	}
	a, b := run(), run()
	for i := range a {
		if a[i].ID != b[i].ID || a[i].Version != b[i].Version || !a[i].Modified.Equal(b[i].Modified) {
			t.Errorf("item %d differs: %+v and %+v", i, a[i], b[i])
		}
	}
}
