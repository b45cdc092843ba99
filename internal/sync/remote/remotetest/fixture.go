// Package remotetest is the conformance suite of the remote contract. Every
// implementation runs it: RunCollection for the items of a CRM or of a folder, RunCRM
// and RunMail for the rest.
//
// A connector is tested through a Fixture: the connector itself, and a World, the
// hands of a person at work on the same server by another way. What an implementation
// cannot do is told by its Capabilities or by a hand that is missing; the tests that
// need it are skipped and say so.
package remotetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Fixture is a collection to test. Each test gets one of its own, and it is empty.
type Fixture struct {
	// Side says which fields may be written.
	Side record.Side
	// Open returns a new handle on the collection.
	Open  func() remote.Collection
	World World
}

// World is what a person does to the items of the collection, by another way than
// the connector. Fields have the names of Capabilities().Mapping. A nil hand is
// missing; Create, Edit and Delete may not be. A hand that fails ends the test.
type World struct {
	Create func(t *testing.T, fields mapping.Fields) (id string)
	Edit   func(t *testing.T, id string, fields mapping.Fields)
	// Delete deletes as a person does: into the bin, where there is one. Restore takes
	// out of the bin.
	Delete  func(t *testing.T, id string)
	Restore func(t *testing.T, id string)
	// Copy copies an item with its stamp.
	Copy func(t *testing.T, id string) (copied string)
	// MoveOut moves an item to another container, MoveIn back.
	MoveOut func(t *testing.T, id string)
	MoveIn  func(t *testing.T, id string)
	// Hide takes the permission to see a record away.
	Hide func(t *testing.T, id string)
	// Merge merges one record into another.
	Merge func(t *testing.T, loser, winner string)
	// ChangeOwner gives a record to another user.
	ChangeOwner func(t *testing.T, id, owner string)
	// ExpireCursors makes all cursors unreadable.
	ExpireCursors func(t *testing.T)
	// DeleteContainer deletes the container with all that is in it.
	DeleteContainer func(t *testing.T)
	// Tick moves the server's clock on by more than Capabilities().VersionResolution.
	Tick func(t *testing.T)
}

// suite runs tests on fresh fixtures.
type suite struct {
	t    *testing.T
	make func(t *testing.T) Fixture
}

func (s suite) run(name string, test func(t *testing.T, f Fixture)) {
	s.t.Run(name, func(t *testing.T) {
		t.Parallel()
		test(t, s.make(t))
	})
}

// need skips a test for want of a hand.
func need(t *testing.T, has bool, name string) {
	t.Helper()
	if !has {
		t.Skipf("skipped: this world cannot %s", name)
	}
}

// sample returns a record with a value of its own in each field that may be written
// to the side.
func (f Fixture) sample(n int) record.Record {
	r := record.Record{}
	for _, e := range f.Open().Capabilities().Mapping.Entries {
		if !e.Direction.Allows(f.Side) {
			continue
		}
		var v record.Value
		count := 1
		if record.SpecOf(e.Field).List {
			if count = e.Capacity(); count == 0 {
				count = 2
			}
		}
		for i := range count {
			v = append(v, text(e.Field, n, i))
		}
		r[e.Field] = v
	}
	return record.Clean(r)
}

func text(f record.Field, n, i int) string {
	switch record.SpecOf(f).Kind {
	case record.Email:
		return fmt.Sprintf("person%d.%d@example.com", n, i)
	case record.Phone:
		return fmt.Sprintf("+1 202 555 %02d%02d", n%100, i+len(f)%10*7)
	case record.Date:
		return fmt.Sprintf("19%02d-03-%02d", 50+n%50, 1+n%28)
	case record.Lines:
		return fmt.Sprintf("%d Zürich Street\nBuilding %d", n+1, i)
	default:
		return fmt.Sprintf("Ä%s %d", strings.ReplaceAll(string(f[:3]), "_", "x"), n*10+i)
	}
}

func (f Fixture) native(r record.Record) mapping.Fields {
	return f.Open().Capabilities().Mapping.Write(r)
}

// create lets a person create the sample records 0 to n-1.
func (f Fixture) create(t *testing.T, n int) []string {
	t.Helper()
	ids := make([]string, 0, n)
	for i := range n {
		ids = append(ids, f.World.Create(t, f.native(f.sample(i))))
	}
	return ids
}

func stamp(n int) record.Stamp {
	return record.Stamp{Install: "1f0c", Entity: record.Contacts, Other: fmt.Sprintf("other-%d", n), Op: record.OpID(fmt.Sprintf("%032x", 0xabc000+n))}
}

// write returns the create of a sample record.
func (f Fixture) write(n int) remote.Write {
	fields := f.native(f.sample(n))
	return remote.Write{Kind: remote.Create, Set: fields, Whole: fields, Stamp: stamp(n)}
}

// changes reads a feed to its end.
func changes(t *testing.T, c remote.Collection, q remote.Query) remote.Feed {
	t.Helper()
	feed, err := c.Changes(t.Context(), q)
	if err != nil {
		t.Fatalf("reading the feed: %v", err)
	}
	if !feed.Complete {
		t.Fatal("the feed is not complete")
	}
	return feed
}

// of returns the last change of an item in a feed.
func of(feed remote.Feed, id string) (remote.Change, bool) {
	for _, c := range slices.Backward(feed.Changes) {
		if c.Item.ID == id {
			return c, true
		}
	}
	return remote.Change{}, false
}

// must returns the last change of an item, which the feed has to have.
func must(t *testing.T, feed remote.Feed, id string, kind remote.ChangeKind) remote.Change {
	t.Helper()
	c, ok := of(feed, id)
	if !ok {
		t.Fatalf("the feed skips item %s", id)
	}
	if c.Kind != kind {
		t.Fatalf("the feed reports kind %d of item %s, want %d", c.Kind, id, kind)
	}
	return c
}

// get reads one item, which has to be there.
func get(t *testing.T, c remote.Collection, id string) remote.Item {
	t.Helper()
	res := c.Get(t.Context(), []string{id})
	if len(res) != 1 {
		t.Fatalf("%d results for one id", len(res))
	}
	if res[0].Err != nil || res[0].Elsewhere {
		t.Fatalf("item %s: error %v, elsewhere %v; want it here", id, res[0].Err, res[0].Elsewhere)
	}
	return res[0].Item
}

// apply applies writes that have to succeed.
func apply(t *testing.T, c remote.Collection, writes ...remote.Write) []remote.WriteResult {
	t.Helper()
	res := c.Apply(t.Context(), writes)
	if len(res) != len(writes) {
		t.Fatalf("%d results for %d writes", len(res), len(writes))
	}
	for i, r := range res {
		if r.Err != nil {
			t.Fatalf("write %d (%s): %v", i, writes[i].Kind, r.Err)
		}
	}
	return res
}

// wantClass demands an error of a class that is a *remote.Error.
func wantClass(t *testing.T, err error, class remote.Class) {
	t.Helper()
	var e *remote.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want a *remote.Error of class %s", err, class)
	}
	if e.Class != class {
		t.Fatalf("error %v has class %s, want %s", err, e.Class, class)
	}
	if e.Unclear {
		t.Fatalf("error %v is unclear, but the server answered", err)
	}
}

// wantRecord demands that an item holds a record. Fields that the sample does not
// have, such as those that may not be written, are not compared.
func (f Fixture) wantRecord(t *testing.T, fields mapping.Fields, want record.Record) {
	t.Helper()
	got := f.Open().Capabilities().Mapping.Read(fields)
	want = want.Clone()
	for field := range got {
		if e, ok := f.Open().Capabilities().Mapping.Entry(field); ok && !e.Direction.Allows(f.Side) {
			delete(got, field)
		}
	}
	if d := cmp.Diff(record.Clean(want), got); d != "" {
		t.Errorf("the item differs (-want +got):\n%s", d)
	}
}

// plain returns two fields of one text that can be changed and cleared without harm.
func (f Fixture) plain(t *testing.T) (a, b record.Field) {
	t.Helper()
	var found []record.Field
	for _, want := range []record.Field{record.JobTitle, record.Department, record.GivenName, record.BusinessCity} {
		if e, ok := f.Open().Capabilities().Mapping.Entry(want); ok && e.Direction.Allows(f.Side) {
			found = append(found, want)
		}
	}
	if len(found) < 2 {
		t.Fatal("the table maps too few fields for a test")
	}
	return found[0], found[1]
}
