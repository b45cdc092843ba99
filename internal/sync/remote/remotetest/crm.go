package remotetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// CRMFixture is a CRM to test, without records.
type CRMFixture struct {
	CRM remote.CRM
	// Users are the ids of two active users; Unknown is that of none.
	Users   [2]string
	Unknown string
	World   World
}

// RunCRM tests what is special to a CRM. It does not include RunCollection.
func RunCRM(t *testing.T, newFixture func(t *testing.T) CRMFixture) {
	run := func(name string, test func(t *testing.T, f CRMFixture, items Fixture)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			test(t, f, Fixture{Side: record.CRM, World: f.World, Open: func() remote.Collection { return f.CRM.Collection(record.Contacts) }})
		})
	}
	run("the system answers, and so does each user", func(t *testing.T, f CRMFixture, _ Fixture) {
		if err := f.CRM.Check(t.Context()); err != nil {
			t.Errorf("check: %v", err)
		}
		for _, u := range f.Users {
			if err := f.CRM.CheckUser(t.Context(), u); err != nil {
				t.Errorf("check of user %s: %v", u, err)
			}
		}
		wantClass(t, f.CRM.CheckUser(t.Context(), f.Unknown), remote.ClassAuthorization)
	})

	run("people have ids that check", func(t *testing.T, f CRMFixture, _ Fixture) {
		people, err := f.CRM.People(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range f.Users {
			i := slices.IndexFunc(people, func(p remote.Person) bool { return p.ID == u })
			if i < 0 {
				t.Fatalf("user %s is not among the people", u)
			}
			if p := people[i]; p.Email == "" || p.Name == "" || p.Unusable != "" {
				t.Errorf("user %s: email %q, name %q, unusable %q", u, p.Email, p.Name, p.Unusable)
			}
		}
	})

	run("the organization has one id", func(t *testing.T, f CRMFixture, _ Fixture) {
		a, err := f.CRM.Organization(t.Context())
		if err != nil || a == "" {
			t.Fatalf("organization %q, error %v", a, err)
		}
		if b, err := f.CRM.Organization(t.Context()); err != nil || a != b {
			t.Errorf("organization %q then %q, error %v", a, b, err)
		}
	})

	run("an entity that the CRM does not have is nil", func(t *testing.T, f CRMFixture, _ Fixture) {
		if c := f.CRM.Collection("no such entity"); c != nil {
			t.Errorf("collection = %v, want nil", c)
		}
	})

	run("usage counts requests", func(t *testing.T, f CRMFixture, items Fixture) {
		if err := f.CRM.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := f.CRM.Usage()
		changes(t, items.Open(), remote.Query{})
		if after := f.CRM.Usage(); after.Used <= before.Used || after.Limit != 0 && after.Limit < after.Used {
			t.Errorf("usage %+v, then %+v", before, after)
		}
	})

	run("a created record belongs to the owner that was asked for", func(t *testing.T, f CRMFixture, items Fixture) {
		c := items.Open()
		for i, u := range f.Users {
			w := items.write(i)
			w.Owner = u
			id := apply(t, c, w)[0].ID
			if got := get(t, c, id).Owner; got != u {
				t.Errorf("owner %q, want %q", got, u)
			}
			if got := must(t, changes(t, c, remote.Query{}), id, remote.Present).Item.Owner; got != u {
				t.Errorf("owner in the feed %q, want %q", got, u)
			}
		}
	})

	run("a feed can be limited to owners, and tells who left them", func(t *testing.T, f CRMFixture, items Fixture) {
		need(t, f.World.ChangeOwner != nil, "change owners")
		c := items.Open()
		mine, other := items.write(0), items.write(1)
		mine.Owner, other.Owner = f.Users[0], f.Users[1]
		made := apply(t, c, mine, other)
		limit := []string{f.Users[0]}
		feed := changes(t, c, remote.Query{Owners: limit})
		must(t, feed, made[0].ID, remote.Present)
		if ch, ok := of(feed, made[1].ID); ok && ch.Kind == remote.Present {
			t.Error("the feed has a record of another owner")
		}
		if feed := changes(t, c, remote.Query{Owners: f.Users[:]}); len(feed.Changes) != 2 {
			t.Errorf("%d changes for both owners, want 2", len(feed.Changes))
		}
		f.World.ChangeOwner(t, made[0].ID, f.Users[1])
		f.World.ChangeOwner(t, made[1].ID, f.Users[0])
		next := changes(t, c, remote.Query{Cursor: feed.Cursor, Owners: limit})
		if got := must(t, next, made[0].ID, remote.Removed).Item.Owner; got != f.Users[1] {
			t.Errorf("the record that left belongs to %q, want %q", got, f.Users[1])
		}
		must(t, next, made[1].ID, remote.Present)
		if it := get(t, c, made[0].ID); it.Owner != f.Users[1] {
			t.Errorf("get says owner %q, want %q", it.Owner, f.Users[1])
		}
	})

	run("a merge is told with the record that remains", func(t *testing.T, f CRMFixture, items Fixture) {
		need(t, f.World.Merge != nil, "merge records")
		c := items.Open()
		ids := items.create(t, 3)
		old := changes(t, c, remote.Query{})
		f.World.Merge(t, ids[0], ids[2])
		feed := changes(t, c, remote.Query{Cursor: old.Cursor})
		if got := must(t, feed, ids[0], remote.Merged).MergedInto; got != ids[2] {
			t.Errorf("merged into %q, want %q", got, ids[2])
		}
		wantClass(t, c.Get(t.Context(), ids)[0].Err, remote.ClassGone)
	})

	run("writing a record again does not give it another owner", func(t *testing.T, f CRMFixture, items Fixture) {
		c := items.Open()
		w := items.write(0)
		w.Owner = f.Users[1]
		id := apply(t, c, w)[0].ID
		title, _ := items.plain(t)
		apply(t, c, remote.Write{Kind: remote.Update, ID: id, Set: items.native(record.Record{title: record.Text("Ours")}), Stamp: stamp(5)})
		if d := cmp.Diff(f.Users[1], get(t, c, id).Owner); d != "" {
			t.Errorf("owner (-want +got):\n%s", d)
		}
	})
}
