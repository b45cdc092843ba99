package main

import (
	"maps"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox"
)

// A contact is stamped while its transaction runs and seen when that has ended, when
// the watermark has long gone past the stamp: others were changed and read meanwhile. A
// transaction shorter than the overlap is found by the next run, a longer one by the
// audit that asks the CRM what it still had in flight.
func TestLateCommits(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs the real program; run without -short")
	}
	t.Parallel()
	for _, c := range []struct {
		name  string
		takes time.Duration
		every time.Duration
		// late is how long after it can be seen a change may be found at the latest.
		late time.Duration
	}{
		{"within the overlap", 8 * time.Minute, 5 * time.Minute, 5 * time.Minute},
		{"longer than the overlap", 45 * time.Minute, 10 * time.Minute, 80 * time.Minute},
		{"longer than two audits", 3 * time.Hour, due, 100 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 4)
			w.synced()
			w.synced()
			list := w.crm(0)
			slow, quick := list[0], list[1]
			late := func(d time.Duration) { must(t, w.Turn(t.Context(), sandbox.Knobs{LateCommit: &d})) }
			late(c.takes)
			w.editCRM(slow, sandbox.Fields{"Title": "Late"})
			late(0)
			seen := w.now().Add(c.takes)
			for n := 0; ; n++ {
				w.pass(c.every)
				w.editCRM(quick, sandbox.Fields{"Title": w.now().String()}) // so that the watermark moves
				w.run("sync", "run", "--all", "--force")
				after := w.now().Sub(seen)
				if w.title(0, slow.Name) == "Late" {
					if after < 0 {
						t.Fatalf("found %v before it can be seen: nothing was late", -after)
					}
					t.Logf("found by run %d, %v after it could be seen", n+1, after.Round(time.Second))
					break
				}
				if after > c.late {
					t.Fatalf("%v after it could be seen it is not found", after)
				}
			}
			w.sync()
			must(t, w.ResetStats(t.Context()))
			w.sync()
			if n := w.writes(); n != 0 {
				t.Errorf("%d writes by a run before which nothing changed", n)
			}
		})
	}
}

// Records that are merged in the CRM stay what they are in the mailbox: the copy of the
// one that went belongs to the one that remains, unless that has a copy already.
func TestMergedInTheCRM(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs the real program; run without -short")
	}
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, 1, 4)
	w.synced()
	list := w.crm(0)
	copies := func() map[string]string { // by their ids
		t.Helper()
		out := map[string]string{}
		items, err := w.Contacts(ctx, sandbox.Mailbox, w.users[0])
		must(t, err)
		for _, c := range items {
			if c.Folder == "CRM" {
				out[c.ID] = c.Name
			}
		}
		return out
	}

	// The one that remains is new: the copy is its own from now on, under the same id.
	before := copies()
	winner, err := w.CreateCRM(ctx, w.users[0], sandbox.Fields{"FirstName": "Zora", "LastName": "Remains", "Email": "zora.remains@example.net"})
	must(t, err)
	must(t, w.MergeCRM(ctx, winner, list[0].ID))
	must(t, w.ResetStats(ctx))
	w.sync()
	st, err := w.Stats(ctx)
	must(t, err)
	if n := st.Graph.Operations["contact.create"] + st.Graph.Operations["contact.delete"]; n != 0 {
		t.Errorf("%d copies were made or taken away: %v", n, st.Graph.Operations)
	}
	want := maps.Clone(before)
	for id, name := range want {
		if name == list[0].Name {
			want[id] = "Zora Remains"
		}
	}
	if got := copies(); !maps.Equal(got, want) {
		t.Errorf("the copies are %v, want %v", got, want)
	}

	// Both have copies: that of the one that remains stays, the other one goes.
	before = copies()
	must(t, w.MergeCRM(ctx, list[1].ID, list[2].ID))
	must(t, w.ResetStats(ctx))
	w.sync()
	st, err = w.Stats(ctx)
	must(t, err)
	if n := st.Graph.Operations["contact.create"]; n != 0 {
		t.Errorf("%d copies were made", n)
	}
	want = maps.Clone(before)
	maps.DeleteFunc(want, func(_, name string) bool { return name == list[2].Name })
	if got := copies(); !maps.Equal(got, want) {
		t.Errorf("the copies are %v, want %v", got, want)
	}
	must(t, w.ResetStats(ctx))
	w.sync()
	if n := w.writes(); n != 0 {
		t.Errorf("the next run wrote %d items", n)
	}
}
