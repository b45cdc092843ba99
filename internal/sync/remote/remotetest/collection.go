package remotetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// RunCollection tests a collection. The function returns a fresh, empty one for each
// test; tests run in parallel.
func RunCollection(t *testing.T, newFixture func(t *testing.T) Fixture) {
	s := suite{t: t, make: newFixture}
	s.feeds()
	s.reads()
	s.writes()
	s.batches()
	s.failures()
}

func (s suite) feeds() {
	s.run("an empty collection has an empty feed with a cursor", func(t *testing.T, f Fixture) {
		feed := changes(t, f.Open(), remote.Query{})
		if len(feed.Changes) != 0 || feed.Cursor == "" {
			t.Errorf("%d changes, cursor %q; want none and a cursor", len(feed.Changes), feed.Cursor)
		}
	})

	s.run("a feed without a cursor has every item whole", func(t *testing.T, f Fixture) {
		ids := f.create(t, 7)
		seen := 0
		feed := changes(t, f.Open(), remote.Query{Progress: func(n int) {
			if n < seen {
				t.Errorf("progress goes back from %d to %d", seen, n)
			}
			seen = n
		}})
		for i, id := range ids {
			c := must(t, feed, id, remote.Present)
			f.wantRecord(t, c.Item.Fields, f.sample(i))
			if c.Item.Version == "" || c.Item.Modified.IsZero() || c.Item.Created.IsZero() {
				t.Errorf("item %s: version %q, created %v, modified %v; want all known", id, c.Item.Version, c.Item.Created, c.Item.Modified)
			}
		}
		if seen < len(ids) {
			t.Errorf("progress ended at %d of %d items", seen, len(ids))
		}
	})

	s.run("a feed from a cursor has what changed since", func(t *testing.T, f Fixture) {
		ids := f.create(t, 3)
		c := f.Open()
		old := changes(t, c, remote.Query{})
		title, _ := f.plain(t)
		f.World.Edit(t, ids[1], f.native(record.Record{title: record.Text("Edited")}))
		made := f.World.Create(t, f.native(f.sample(3)))
		next := changes(t, c, remote.Query{Cursor: old.Cursor})
		want := f.sample(1)
		want[title] = record.Text("Edited")
		f.wantRecord(t, must(t, next, ids[1], remote.Present).Item.Fields, want)
		f.wantRecord(t, must(t, next, made, remote.Present).Item.Fields, f.sample(3))

		// The same cursor can be read again: by another handle, after a crash.
		again := changes(t, f.Open(), remote.Query{Cursor: old.Cursor})
		must(t, again, ids[1], remote.Present)
		must(t, again, made, remote.Present)
	})

	s.run("a feed never skips a change, however reads and changes alternate", func(t *testing.T, f Fixture) {
		c := f.Open()
		cursor := changes(t, c, remote.Query{}).Cursor
		title, _ := f.plain(t)
		id := f.World.Create(t, f.native(f.sample(0)))
		for i := range 6 {
			f.World.Edit(t, id, f.native(record.Record{title: record.Text(strings.Repeat("x", i+1))}))
			other := f.World.Create(t, f.native(f.sample(i+1)))
			feed := changes(t, c, remote.Query{Cursor: cursor})
			ch := must(t, feed, id, remote.Present)
			if got := c.Capabilities().Mapping.Read(ch.Item.Fields)[title].First(); got != strings.Repeat("x", i+1) {
				t.Errorf("read %d shows %q", i, got)
			}
			must(t, feed, other, remote.Present)
			cursor = feed.Cursor
		}
	})

	s.run("what changes while a feed is read is in it or in the next", func(t *testing.T, f Fixture) {
		ids := f.create(t, 12)
		c := f.Open()
		title, _ := f.plain(t)
		var made string
		first := changes(t, c, remote.Query{Progress: func(int) {
			if made != "" {
				return
			}
			f.World.Edit(t, ids[0], f.native(record.Record{title: record.Text("Meanwhile")}))
			made = f.World.Create(t, f.native(f.sample(99)))
			f.World.Delete(t, ids[1])
		}})
		if made == "" {
			t.Fatal("progress was never called")
		}
		next := changes(t, c, remote.Query{Cursor: first.Cursor, Known: ids})
		both := remote.Feed{Changes: slices.Concat(first.Changes, next.Changes)}
		edited := must(t, both, ids[0], remote.Present)
		if got := c.Capabilities().Mapping.Read(edited.Item.Fields)[title].First(); got != "Meanwhile" {
			t.Errorf("the edit shows as %q", got)
		}
		must(t, both, made, remote.Present)
		if ch, _ := of(both, ids[1]); ch.Kind == remote.Present {
			t.Error("the delete is in neither feed")
		}
	})

	s.run("a feed reports a delete, and proves it if it has tombstones", func(t *testing.T, f Fixture) {
		ids := f.create(t, 3)
		c := f.Open()
		old := changes(t, c, remote.Query{})
		f.World.Delete(t, ids[1])
		feed := changes(t, c, remote.Query{Cursor: old.Cursor, Known: ids})
		kind := remote.Removed
		if c.Capabilities().Tombstones {
			kind = remote.Deleted
		}
		must(t, feed, ids[1], kind)
		if ch, ok := of(changes(t, c, remote.Query{}), ids[1]); ok && ch.Kind == remote.Present {
			t.Error("a feed without a cursor has the deleted item")
		}
	})

	s.run("a restored item comes back in the feed", func(t *testing.T, f Fixture) {
		need(t, f.World.Restore != nil, "restore")
		ids := f.create(t, 1)
		c := f.Open()
		f.World.Delete(t, ids[0])
		old := changes(t, c, remote.Query{})
		f.World.Restore(t, ids[0])
		must(t, changes(t, c, remote.Query{Cursor: old.Cursor}), ids[0], remote.Present)
		get(t, c, ids[0])
	})

	s.run("an item that is moved out is removed, and comes back", func(t *testing.T, f Fixture) {
		need(t, f.World.MoveOut != nil, "move items")
		ids := f.create(t, 2)
		c := f.Open()
		old := changes(t, c, remote.Query{})
		f.World.MoveOut(t, ids[0])
		out := changes(t, c, remote.Query{Cursor: old.Cursor})
		must(t, out, ids[0], remote.Removed)
		res := c.Get(t.Context(), ids)
		if res[0].Err != nil || !res[0].Elsewhere || res[0].Item.ID != ids[0] {
			t.Errorf("get after the move: error %v, elsewhere %v, id %q", res[0].Err, res[0].Elsewhere, res[0].Item.ID)
		}
		if res[1].Err != nil || res[1].Elsewhere {
			t.Errorf("get of the other item: error %v, elsewhere %v", res[1].Err, res[1].Elsewhere)
		}
		f.World.MoveIn(t, ids[0])
		must(t, changes(t, c, remote.Query{Cursor: out.Cursor}), ids[0], remote.Present)
		get(t, c, ids[0])
	})

	s.run("a record that may not be seen is elsewhere and never gone", func(t *testing.T, f Fixture) {
		need(t, f.World.Hide != nil, "hide records")
		ids := f.create(t, 2)
		c := f.Open()
		old := changes(t, c, remote.Query{})
		f.World.Hide(t, ids[0])
		if ch, ok := of(changes(t, c, remote.Query{Cursor: old.Cursor, Known: ids}), ids[0]); ok && ch.Kind != remote.Removed && ch.Kind != remote.Present {
			t.Errorf("the feed takes lost permission for kind %d", ch.Kind)
		}
		if _, ok := of(changes(t, c, remote.Query{}), ids[0]); ok {
			t.Error("a feed without a cursor has the hidden record")
		}
		if res := c.Get(t.Context(), ids); res[0].Err != nil || !res[0].Elsewhere {
			t.Errorf("get of the hidden record: error %v, elsewhere %v; want it elsewhere", res[0].Err, res[0].Elsewhere)
		}
	})

	s.run("an idle feed keeps being readable", func(t *testing.T, f Fixture) {
		f.create(t, 2)
		c := f.Open()
		cursor := ""
		for range 5 {
			feed := changes(t, c, remote.Query{Cursor: cursor})
			if feed.Cursor == "" {
				t.Fatal("no cursor")
			}
			cursor = feed.Cursor
		}
	})

	s.run("a cursor that cannot be read from is lost", func(t *testing.T, f Fixture) {
		f.create(t, 1)
		c := f.Open()
		_, err := c.Changes(t.Context(), remote.Query{Cursor: "of another program"})
		wantClass(t, err, remote.ClassCursorLost)
		need(t, f.World.ExpireCursors != nil, "expire cursors")
		old := changes(t, c, remote.Query{})
		f.World.ExpireCursors(t)
		_, err = c.Changes(t.Context(), remote.Query{Cursor: old.Cursor})
		wantClass(t, err, remote.ClassCursorLost)
		if feed := changes(t, c, remote.Query{}); len(feed.Changes) != 1 {
			t.Errorf("%d changes after the cursor was lost, want 1", len(feed.Changes))
		}
	})

	s.run("a container that is gone is no empty container", func(t *testing.T, f Fixture) {
		need(t, f.World.DeleteContainer != nil, "delete the container")
		f.create(t, 2)
		c := f.Open()
		old := changes(t, c, remote.Query{})
		f.World.DeleteContainer(t)
		_, err := c.Changes(t.Context(), remote.Query{Cursor: old.Cursor})
		wantClass(t, err, remote.ClassContainerGone)
		_, err = c.Changes(t.Context(), remote.Query{})
		wantClass(t, err, remote.ClassContainerGone)
		wantClass(t, c.Apply(t.Context(), []remote.Write{f.write(5)})[0].Err, remote.ClassContainerGone)
	})
}

func (s suite) reads() {
	s.run("get answers in order, with stamps", func(t *testing.T, f Fixture) {
		c := f.Open()
		ids := f.create(t, 3)
		ours := apply(t, c, f.write(9))[0].ID
		f.World.Delete(t, ids[1])
		asked := []string{ids[2], ids[1], ours, ids[0]}
		res := c.Get(t.Context(), asked)
		if len(res) != len(asked) {
			t.Fatalf("%d results for %d ids", len(res), len(asked))
		}
		wantClass(t, res[1].Err, remote.ClassGone)
		for _, i := range []int{0, 2, 3} {
			if res[i].Err != nil || res[i].Item.ID != asked[i] {
				t.Errorf("result %d: id %q, error %v; want %q", i, res[i].Item.ID, res[i].Err, asked[i])
			}
		}
		f.wantRecord(t, res[0].Item.Fields, f.sample(2))
		if !c.Capabilities().Stamps {
			return
		}
		for _, i := range []int{0, 2, 3} {
			if !res[i].Item.HasStamp {
				t.Errorf("result %d does not say whether there is a stamp", i)
			}
		}
		if res[0].Item.Stamp != nil {
			t.Errorf("a person's item bears the stamp %v", *res[0].Item.Stamp)
		}
		if got := res[2].Item.Stamp; got == nil || *got != stamp(9) {
			t.Errorf("stamp = %v, want %v", got, stamp(9))
		}
	})

	s.run("get of many and of none", func(t *testing.T, f Fixture) {
		c := f.Open()
		if res := c.Get(t.Context(), nil); len(res) != 0 {
			t.Errorf("%d results for no id", len(res))
		}
		ids := f.create(t, 45)
		slices.Reverse(ids)
		for i, r := range c.Get(t.Context(), ids) {
			if r.Err != nil || r.Item.ID != ids[i] {
				t.Fatalf("result %d: id %q, error %v; want %q", i, r.Item.ID, r.Err, ids[i])
			}
		}
	})

	s.run("stamps are found, and only those asked for", func(t *testing.T, f Fixture) {
		c := f.Open()
		if !c.Capabilities().Stamps {
			found, err := c.FindStamped(t.Context(), []record.Stamp{stamp(1)})
			if len(found) != 0 || err != nil {
				t.Errorf("without stamps, %d items and error %v", len(found), err)
			}
			t.Skip("skipped: the collection has no stamps")
		}
		f.create(t, 1)
		writes := make([]remote.Write, 25)
		for i := range writes {
			writes[i] = f.write(i)
		}
		made := apply(t, c, writes...)
		asked := []record.Stamp{stamp(3), stamp(77)}
		for i := 5; i < 25; i++ {
			asked = append(asked, stamp(i))
		}
		found, err := f.Open().FindStamped(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]record.Stamp{}
		for _, it := range found {
			if !it.HasStamp || it.Stamp == nil {
				t.Fatalf("item %s was found without its stamp", it.ID)
			}
			got[it.ID] = *it.Stamp
		}
		want := map[string]record.Stamp{made[3].ID: stamp(3)}
		for i := 5; i < 25; i++ {
			want[made[i].ID] = stamp(i)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("found (-want +got):\n%s", d)
		}
		if found, err := c.FindStamped(t.Context(), nil); len(found) != 0 || err != nil {
			t.Errorf("no stamps asked for: %d items, error %v", len(found), err)
		}
	})

	s.run("a found item is whole", func(t *testing.T, f Fixture) {
		c := f.Open()
		if !c.Capabilities().Stamps {
			t.Skip("skipped: the collection has no stamps")
		}
		made := apply(t, c, f.write(4))
		found, err := c.FindStamped(t.Context(), []record.Stamp{stamp(4)})
		if err != nil || len(found) != 1 || found[0].ID != made[0].ID {
			t.Fatalf("found %d items, error %v", len(found), err)
		}
		f.wantRecord(t, found[0].Fields, f.sample(4))
		if found[0].Version == "" {
			t.Error("the item has no version")
		}
	})

	s.run("a copy is found beside its original", func(t *testing.T, f Fixture) {
		c := f.Open()
		need(t, f.World.Copy != nil && c.Capabilities().Stamps, "copy items with their stamps")
		made := apply(t, c, f.write(4))[0].ID
		copied := f.World.Copy(t, made)
		found, err := c.FindStamped(t.Context(), []record.Stamp{stamp(4)})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, it := range found {
			ids = append(ids, it.ID)
		}
		slices.Sort(ids)
		if want := slices.Sorted(slices.Values([]string{made, copied})); !slices.Equal(ids, want) {
			t.Errorf("found %q, want %q", ids, want)
		}
	})

	s.run("a feed that is asked for stamps has them", func(t *testing.T, f Fixture) {
		c := f.Open()
		if !c.Capabilities().Stamps {
			t.Skip("skipped: the collection has no stamps")
		}
		person := f.create(t, 1)[0]
		ours := apply(t, c, f.write(4))[0].ID
		feed := changes(t, c, remote.Query{Stamps: true})
		if it := must(t, feed, ours, remote.Present).Item; !it.HasStamp || it.Stamp == nil || *it.Stamp != stamp(4) {
			t.Errorf("our item: stamp %v, read %v", it.Stamp, it.HasStamp)
		}
		if it := must(t, feed, person, remote.Present).Item; !it.HasStamp || it.Stamp != nil {
			t.Errorf("a person's item: stamp %v, read %v", it.Stamp, it.HasStamp)
		}
	})

	s.run("capabilities are constant and free", func(t *testing.T, f Fixture) {
		c := f.Open()
		a := c.Capabilities()
		f.create(t, 1)
		if n := c.Requests(); n != 0 {
			t.Errorf("%d requests before any call", n)
		}
		changes(t, c, remote.Query{})
		if d := cmp.Diff(a, c.Capabilities()); d != "" {
			t.Errorf("they changed (-before +after):\n%s", d)
		}
		if a.BatchSize < 1 || len(a.Mapping.Entries) == 0 {
			t.Errorf("batch size %d, %d entries", a.BatchSize, len(a.Mapping.Entries))
		}
		if c.Requests() < 1 {
			t.Error("reading a feed made no request")
		}
	})
}

func (s suite) writes() {
	s.run("a created item holds what was written, and the feed has it", func(t *testing.T, f Fixture) {
		c := f.Open()
		old := changes(t, c, remote.Query{})
		res := apply(t, c, f.write(1))[0]
		if res.ID == "" {
			t.Fatal("the result has no id")
		}
		it := get(t, c, res.ID)
		f.wantRecord(t, it.Fields, f.sample(1))
		if res.Version != "" && res.Version != it.Version {
			t.Errorf("the result tells version %q, the item has %q", res.Version, it.Version)
		}
		if res.Fields != nil {
			f.wantRecord(t, res.Fields, f.sample(1))
		}
		must(t, changes(t, c, remote.Query{Cursor: old.Cursor}), res.ID, remote.Present)
	})

	s.run("an update writes the fields it is given and no others", func(t *testing.T, f Fixture) {
		c := f.Open()
		id := f.create(t, 1)[0]
		title, department := f.plain(t)
		want := f.sample(0)
		before := changes(t, c, remote.Query{})
		// A person changes another field meanwhile, and no version is asked for.
		f.World.Edit(t, id, f.native(record.Record{department: record.Text("Meanwhile")}))
		want[department] = record.Text("Meanwhile")
		want[title] = record.Text("Ours")
		whole := f.native(f.sample(0))
		for n, v := range f.native(record.Record{title: record.Text("Ours")}) {
			whole[n] = v
		}
		res := apply(t, c, remote.Write{Kind: remote.Update, ID: id, Set: f.native(record.Record{title: record.Text("Ours")}), Whole: whole, Stamp: stamp(1)})[0]
		if res.ID != id {
			t.Errorf("the result is of %q, want %q", res.ID, id)
		}
		it := get(t, c, id)
		f.wantRecord(t, it.Fields, want)
		if res.Version != "" && res.Version != it.Version {
			t.Errorf("the result tells version %q, the item has %q", res.Version, it.Version)
		}
		must(t, changes(t, c, remote.Query{Cursor: before.Cursor}), id, remote.Present)
	})

	s.run("an empty value clears its field", func(t *testing.T, f Fixture) {
		c := f.Open()
		id := f.create(t, 1)[0]
		want, set := f.sample(0), record.Record{}
		for field := range want {
			if field != record.FamilyName && field != record.GivenName {
				delete(want, field)
				set[field] = nil
			}
		}
		apply(t, c, remote.Write{Kind: remote.Update, ID: id, Set: f.native(set), Whole: f.native(want), Stamp: stamp(1)})
		f.wantRecord(t, get(t, c, id).Fields, want)
	})

	s.run("each field can be written alone", func(t *testing.T, f Fixture) {
		c := f.Open()
		id := f.create(t, 1)[0]
		state, next := f.sample(0), f.sample(1)
		for _, field := range state.Fields() {
			state[field] = next[field]
			apply(t, c, remote.Write{Kind: remote.Update, ID: id, Set: f.native(record.Record{field: next[field]}), Whole: f.native(state), Stamp: stamp(1)})
		}
		f.wantRecord(t, get(t, c, id).Fields, next)
		for _, field := range state.Fields() {
			if field == record.FamilyName {
				continue
			}
			delete(state, field)
			apply(t, c, remote.Write{Kind: remote.Update, ID: id, Set: f.native(record.Record{field: nil}), Whole: f.native(state), Stamp: stamp(2)})
		}
		f.wantRecord(t, get(t, c, id).Fields, state)
	})

	s.run("a list field keeps its order and can shrink and grow", func(t *testing.T, f Fixture) {
		c := f.Open()
		for _, e := range c.Capabilities().Mapping.Entries {
			if !record.SpecOf(e.Field).List || e.Capacity() == 1 {
				continue
			}
			id := f.World.Create(t, f.native(f.sample(0)))
			want := f.sample(0)
			list := want[e.Field]
			for _, v := range []record.Value{{list[1], list[0]}, {list[1]}, list[:2]} {
				want[e.Field] = v
				apply(t, c, remote.Write{Kind: remote.Update, ID: id, Set: f.native(record.Record{e.Field: v}), Whole: f.native(want), Stamp: stamp(1)})
				f.wantRecord(t, get(t, c, id).Fields, want)
			}
		}
	})

	s.run("an update replaces the stamp", func(t *testing.T, f Fixture) {
		c := f.Open()
		if !c.Capabilities().Stamps {
			t.Skip("skipped: the collection has no stamps")
		}
		id := apply(t, c, f.write(1))[0].ID
		title, _ := f.plain(t)
		apply(t, c, remote.Write{Kind: remote.Update, ID: id, Set: f.native(record.Record{title: record.Text("Ours")}), Stamp: stamp(2)})
		if found, err := c.FindStamped(t.Context(), []record.Stamp{stamp(1)}); len(found) != 0 || err != nil {
			t.Errorf("the old stamp finds %d items, error %v", len(found), err)
		}
		if found, err := c.FindStamped(t.Context(), []record.Stamp{stamp(2)}); len(found) != 1 || err != nil {
			t.Errorf("the new stamp finds %d items, error %v", len(found), err)
		}
	})

	s.run("an update of an out-of-date version is refused", func(t *testing.T, f Fixture) {
		c := f.Open()
		if !c.Capabilities().ConditionalWrite {
			t.Skip("skipped: the collection checks no versions")
		}
		if c.Capabilities().VersionResolution > 0 {
			need(t, f.World.Tick != nil, "move the server's clock on")
		}
		tick := func() {
			if f.World.Tick != nil {
				f.World.Tick(t)
			}
		}
		id := f.create(t, 1)[0]
		read := get(t, c, id)
		title, department := f.plain(t)
		tick()
		f.World.Edit(t, id, f.native(record.Record{department: record.Text("Meanwhile")}))
		tick()
		w := remote.Write{Kind: remote.Update, ID: id, Version: read.Version, Set: f.native(record.Record{title: record.Text("Ours")}), Stamp: stamp(1)}
		wantClass(t, c.Apply(t.Context(), []remote.Write{w})[0].Err, remote.ClassConflict)
		want := f.sample(0)
		want[department] = record.Text("Meanwhile")
		now := get(t, c, id)
		f.wantRecord(t, now.Fields, want)
		if now.Stamp != nil {
			t.Error("the refused write left its stamp")
		}
		w.Version = now.Version
		apply(t, c, w)
		want[title] = record.Text("Ours")
		f.wantRecord(t, get(t, c, id).Fields, want)
	})

	s.run("the version of the feed is a precondition that holds", func(t *testing.T, f Fixture) {
		c := f.Open()
		id := f.create(t, 1)[0]
		it := must(t, changes(t, c, remote.Query{}), id, remote.Present).Item
		title, _ := f.plain(t)
		apply(t, c, remote.Write{Kind: remote.Update, ID: id, Version: it.Version, Set: f.native(record.Record{title: record.Text("Ours")}), Stamp: stamp(1)})
	})

	s.run("a delete is a delete, and can be undone where deletes are soft", func(t *testing.T, f Fixture) {
		c := f.Open()
		ids := f.create(t, 3)
		old := changes(t, c, remote.Query{})
		apply(t, c, remote.Write{Kind: remote.Delete, ID: ids[0]}, remote.Write{Kind: remote.Delete, ID: ids[2], Version: get(t, c, ids[2]).Version})
		res := c.Get(t.Context(), ids)
		wantClass(t, res[0].Err, remote.ClassGone)
		wantClass(t, res[2].Err, remote.ClassGone)
		if res[1].Err != nil {
			t.Errorf("another item: %v", res[1].Err)
		}
		kind := remote.Removed
		if c.Capabilities().Tombstones {
			kind = remote.Deleted
		}
		must(t, changes(t, c, remote.Query{Cursor: old.Cursor, Known: ids}), ids[0], kind)
		if c.Capabilities().SoftDelete && f.World.Restore != nil {
			f.World.Restore(t, ids[0])
			f.wantRecord(t, get(t, c, ids[0]).Fields, f.sample(0))
		}
	})

	s.run("text survives as it was typed", func(t *testing.T, f Fixture) {
		c := f.Open()
		rec := f.sample(0)
		for field, v := range map[record.Field]string{
			record.GivenName: `李 "小" 龙 & <b>`, record.FamilyName: `O'Brien\ 'Ωmega' 😀`, record.JobTitle: "Ä; % _ -- {x}", record.Notes: "one\n\n  two\tthree\nfour",
		} {
			if _, ok := rec[field]; ok {
				rec[field] = record.Text(v)
			}
		}
		fields := f.native(rec)
		id := apply(t, c, remote.Write{Kind: remote.Create, Set: fields, Whole: fields, Stamp: stamp(1)})[0].ID
		f.wantRecord(t, get(t, c, id).Fields, rec)
	})
}

func (s suite) batches() {
	s.run("one bad item stops no other, and results are in order", func(t *testing.T, f Fixture) {
		c := f.Open()
		ids := f.create(t, 4)
		f.World.Delete(t, ids[1])
		f.World.Delete(t, ids[2])
		title, _ := f.plain(t)
		set := f.native(record.Record{title: record.Text("Ours")})
		writes := []remote.Write{
			{Kind: remote.Update, ID: ids[0], Set: set, Stamp: stamp(0)},
			{Kind: remote.Update, ID: ids[1], Set: set, Stamp: stamp(1)},
			f.write(7),
			{Kind: remote.Delete, ID: ids[2]},
			{Kind: remote.Delete, ID: ids[3]},
			f.write(8),
		}
		res := c.Apply(t.Context(), writes)
		if len(res) != len(writes) {
			t.Fatalf("%d results for %d writes", len(res), len(writes))
		}
		wantClass(t, res[1].Err, remote.ClassGone)
		wantClass(t, res[3].Err, remote.ClassGone)
		for _, i := range []int{0, 2, 4, 5} {
			if res[i].Err != nil {
				t.Errorf("write %d: %v", i, res[i].Err)
			}
		}
		if res[0].ID != ids[0] || res[4].ID != ids[3] {
			t.Errorf("results are of %q and %q, want %q and %q", res[0].ID, res[4].ID, ids[0], ids[3])
		}
		f.wantRecord(t, get(t, c, res[2].ID).Fields, f.sample(7))
		f.wantRecord(t, get(t, c, res[5].ID).Fields, f.sample(8))
	})

	s.run("a value that is too long is refused with its field", func(t *testing.T, f Fixture) {
		c := f.Open()
		i := slices.IndexFunc(c.Capabilities().Mapping.Entries, func(e mapping.Entry) bool {
			return e.MaxLen > 0 && len(e.Native) == 1 && e.Direction.Allows(f.Side) && record.SpecOf(e.Field).Kind == record.Line
		})
		if i < 0 {
			t.Skip("skipped: no field has a known length")
		}
		e := c.Capabilities().Mapping.Entries[i]
		bad := f.write(1)
		bad.Set[e.Native[0]] = record.Text(strings.Repeat("x", e.MaxLen+1))
		res := c.Apply(t.Context(), []remote.Write{f.write(0), bad, f.write(2)})
		if res[0].Err != nil || res[2].Err != nil {
			t.Errorf("the others: %v, %v", res[0].Err, res[2].Err)
		}
		wantClass(t, res[1].Err, remote.ClassItem)
		if fields := res[1].Err.(*remote.Error).Fields; !slices.Contains(fields, e.Native[0]) { //nolint:errorlint // wantClass has looked
			t.Errorf("the error names the fields %q, want %q", fields, e.Native[0])
		}
		if feed := changes(t, c, remote.Query{}); len(feed.Changes) != 2 {
			t.Errorf("%d items, want 2", len(feed.Changes))
		}
	})

	s.run("writes go in full batches", func(t *testing.T, f Fixture) {
		c := f.Open()
		n := 2*c.Capabilities().BatchSize + 1
		writes := make([]remote.Write, n)
		for i := range writes {
			writes[i] = f.write(i)
		}
		changes(t, c, remote.Query{}) // what a first call costs is paid
		before := c.Requests()
		res := apply(t, c, writes...)
		if got := c.Requests() - before; got != 3 {
			t.Errorf("%d creates took %d requests, want 3", n, got)
		}
		for _, i := range []int{0, 1, n / 2, n - 1} {
			f.wantRecord(t, get(t, c, res[i].ID).Fields, f.sample(i))
		}
		if feed := changes(t, c, remote.Query{}); len(feed.Changes) != n {
			t.Errorf("%d items, want %d", len(feed.Changes), n)
		}
	})

	s.run("no writes, no requests", func(t *testing.T, f Fixture) {
		c := f.Open()
		if res := c.Apply(t.Context(), nil); len(res) != 0 || c.Requests() != 0 {
			t.Errorf("%d results, %d requests", len(res), c.Requests())
		}
	})

	s.run("handles can be used from several goroutines", func(t *testing.T, f Fixture) {
		c := f.Open()
		f.create(t, 2)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if r := c.Apply(t.Context(), []remote.Write{f.write(i)})[0]; r.Err != nil {
					t.Errorf("write %d: %v", i, r.Err)
				}
				if _, err := c.Changes(t.Context(), remote.Query{}); err != nil {
					t.Errorf("feed %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if feed := changes(t, c, remote.Query{}); len(feed.Changes) != 6 {
			t.Errorf("%d items, want 6", len(feed.Changes))
		}
	})
}

func (s suite) failures() {
	s.run("what ended with its context is told, and not done", func(t *testing.T, f Fixture) {
		c := f.Open()
		id := f.create(t, 1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Changes(ctx, remote.Query{})
		wantClass(t, err, remote.ClassTransient)
		wantClass(t, c.Get(ctx, []string{id})[0].Err, remote.ClassTransient)
		wantClass(t, c.Apply(ctx, []remote.Write{f.write(1)})[0].Err, remote.ClassTransient)
		if feed := changes(t, c, remote.Query{}); len(feed.Changes) != 1 {
			t.Errorf("%d items, want 1", len(feed.Changes))
		}
	})

	s.run("errors hold no content of records", func(t *testing.T, f Fixture) {
		const secret = "Qzxjkw"
		c := f.Open()
		ids := f.create(t, 2)
		f.World.Delete(t, ids[0])
		title, _ := f.plain(t)
		bad := f.write(1)
		for n, v := range bad.Set {
			if len(v) > 0 {
				bad.Set[n] = record.Text(secret + strings.Repeat(secret, 6000))
			}
		}
		res := c.Apply(t.Context(), []remote.Write{
			{Kind: remote.Update, ID: ids[0], Set: f.native(record.Record{title: record.Text(secret)}), Stamp: stamp(0)},
			{Kind: remote.Update, ID: ids[1], Version: "W/\"stale\"", Set: f.native(record.Record{title: record.Text(secret)}), Stamp: stamp(1)},
			bad,
		})
		for i, r := range res {
			if r.Err != nil && strings.Contains(strings.ToLower(r.Err.Error()), strings.ToLower(secret)) {
				t.Errorf("the error of write %d holds what was written: %v", i, r.Err)
			}
		}
		wantClass(t, res[0].Err, remote.ClassGone)
	})
}
