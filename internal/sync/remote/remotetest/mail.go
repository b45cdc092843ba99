package remotetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// MailFixture is a mail system to test. Its mailboxes are as new: nothing of ours is
// in them.
type MailFixture struct {
	Mail remote.Mail
	// Mailboxes are the ids of three mailboxes; Unknown is that of none.
	Mailboxes [3]string
	Unknown   string
	World     MailWorld
}

// MailWorld is what a person does in a mailbox, by another way than the connector. A
// nil hand is missing.
type MailWorld struct {
	// CreateFolder makes a contact folder and returns its id.
	CreateFolder func(t *testing.T, mailbox, name string) (id string)
	// CreateItem adds a contact to a folder; folder "" is the person's own.
	CreateItem func(t *testing.T, mailbox, folder string, fields mapping.Fields) (id string)
	// Exists tells whether a contact is in a folder of the mailbox, the bin excepted.
	Exists func(t *testing.T, mailbox, id string) bool
	// Folders returns how many contact folders of that name the mailbox has.
	Folders func(t *testing.T, mailbox, name string) int
	// RenameFolder gives a folder another name.
	RenameFolder func(t *testing.T, mailbox, id, name string)
	// DeleteFolder deletes a folder with all that is in it.
	DeleteFolder func(t *testing.T, mailbox, id string)
}

// Customization is what the tests put into mailboxes.
func Customization(install string) remote.Customization {
	return remote.Customization{
		Folder: "CRM Contacts", Category: "CRM", Entities: []record.Entity{record.Contacts},
		Claim: remote.Claim{Organization: "00D000000000001", Install: install, LastCycle: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)},
	}
}

// RunMail tests what is special to a mail system. It does not include RunCollection.
func RunMail(t *testing.T, newFixture func(t *testing.T) MailFixture) {
	run := func(name string, test func(t *testing.T, f MailFixture)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t))
		})
	}
	systemTests(run)
	prepareTests(run)
	removeTests(run)
	prefetchTests(run)
	countTests(run)
}

type runMail func(name string, test func(t *testing.T, f MailFixture))

// prepare prepares a mailbox and returns the handle, the container and its items.
func (f MailFixture) prepare(t *testing.T, mailbox string) (remote.Mailbox, remote.Container, Fixture) {
	t.Helper()
	box := f.Mail.Mailbox(mailbox)
	p, err := box.Prepare(t.Context(), Customization("one"))
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	c := p.Containers[record.Contacts]
	if c.ID == "" {
		t.Fatal("prepare returns no container")
	}
	return box, c, Fixture{Side: record.Mailbox, Open: func() remote.Collection { return box.Collection(record.Contacts, c) }}
}

func systemTests(run runMail) {
	run("the system answers, and so does each mailbox", func(t *testing.T, f MailFixture) {
		if err := f.Mail.Check(t.Context()); err != nil {
			t.Errorf("check: %v", err)
		}
		for _, id := range f.Mailboxes {
			if err := f.Mail.CheckUser(t.Context(), id); err != nil {
				t.Errorf("check of mailbox %s: %v", id, err)
			}
		}
		people, err := f.Mail.People(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range f.Mailboxes {
			if !slices.ContainsFunc(people, func(p remote.Person) bool { return p.ID == id && p.Email != "" && p.Unusable == "" }) {
				t.Errorf("mailbox %s is not among the people, or cannot be used", id)
			}
		}
	})

	run("an unknown mailbox is a matter of authorization", func(t *testing.T, f MailFixture) {
		wantClass(t, f.Mail.CheckUser(t.Context(), f.Unknown), remote.ClassAuthorization)
		box := f.Mail.Mailbox(f.Unknown)
		_, err := box.Prepare(t.Context(), Customization("one"))
		wantClass(t, err, remote.ClassAuthorization)
	})

	run("the add-in is installed once and removed once", func(t *testing.T, f MailFixture) {
		in := f.Mail.AddIns()
		if in == nil {
			t.Skip("skipped: the system has no add-ins")
		}
		status := func(want bool) {
			t.Helper()
			if got, err := in.Status(t.Context(), f.Mailboxes[0]); err != nil || got != want {
				t.Errorf("installed %v, error %v; want %v", got, err, want)
			}
		}
		status(false)
		for range 2 {
			if err := in.Install(t.Context(), f.Mailboxes[0]); err != nil {
				t.Fatalf("install: %v", err)
			}
			status(true)
		}
		for range 2 {
			if err := in.Remove(t.Context(), f.Mailboxes[0]); err != nil {
				t.Fatalf("remove: %v", err)
			}
			status(false)
		}
	})
}

func prepareTests(run runMail) {
	run("prepare makes what is missing once", func(t *testing.T, f MailFixture) {
		want := Customization("one")
		box := f.Mail.Mailbox(f.Mailboxes[0])
		first, err := box.Prepare(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if !first.Created[record.Contacts] {
			t.Error("the container is not told to be new")
		}
		again, err := f.Mail.Mailbox(f.Mailboxes[0]).Prepare(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if again.Created[record.Contacts] {
			t.Error("the second time, the container is told to be new")
		}
		if d := cmp.Diff(first.Containers, again.Containers); d != "" {
			t.Errorf("containers (-first +second):\n%s", d)
		}
		if f.World.Folders != nil {
			if n := f.World.Folders(t, f.Mailboxes[0], want.Folder); n != 1 {
				t.Errorf("%d folders, want 1", n)
			}
		}
	})

	run("prepare adopts the folder of that name with what is in it", func(t *testing.T, f MailFixture) {
		need(t, f.World.CreateFolder != nil && f.World.CreateItem != nil, "create folders")
		want := Customization("one")
		id := f.World.CreateFolder(t, f.Mailboxes[0], want.Folder)
		box, c, items := f.prepare(t, f.Mailboxes[0])
		if c.ID != id {
			t.Fatalf("container %q, want the one that exists, %q", c.ID, id)
		}
		it := f.World.CreateItem(t, f.Mailboxes[0], id, items.native(items.sample(0)))
		must(t, changes(t, items.Open(), remote.Query{}), it, remote.Present)
		if p, err := box.Prepare(t.Context(), want); err != nil || p.Created[record.Contacts] {
			t.Errorf("adopted, but told to be new (error %v)", err)
		}
	})

	run("the folder that bears the claim is ours whatever its name", func(t *testing.T, f MailFixture) {
		need(t, f.World.CreateFolder != nil && f.World.RenameFolder != nil, "rename folders")
		want := Customization("one")
		box, c, items := f.prepare(t, f.Mailboxes[0])
		apply(t, items.Open(), items.write(0))
		f.World.RenameFolder(t, f.Mailboxes[0], c.ID, "My people")
		f.World.CreateFolder(t, f.Mailboxes[0], want.Folder)
		if claim, err := box.Claim(t.Context(), want); err != nil || claim == nil || claim.Install != "one" {
			t.Errorf("claim %v, error %v", claim, err)
		}
		have, err := box.Inspect(t.Context(), want)
		if err != nil || !slices.ContainsFunc(have, func(a remote.Artefact) bool { return a.ID == c.ID && a.Count == 1 }) {
			t.Errorf("inspect: %v, error %v", have, err)
		}
		got, err := f.Mail.Mailbox(f.Mailboxes[0]).Prepare(t.Context(), Customization("two"))
		if err != nil {
			t.Fatal(err)
		}
		if now := got.Containers[record.Contacts]; now.ID != c.ID || now.Name != "My people" || got.Created[record.Contacts] {
			t.Errorf("prepared %+v, created %v, want %s", now, got.Created, c.ID)
		}
	})

	run("items outside our folder are not in the collection", func(t *testing.T, f MailFixture) {
		need(t, f.World.CreateItem != nil, "create items elsewhere")
		_, _, items := f.prepare(t, f.Mailboxes[0])
		foreign := f.World.CreateItem(t, f.Mailboxes[0], "", items.native(items.sample(0)))
		c := items.Open()
		if _, ok := of(changes(t, c, remote.Query{}), foreign); ok {
			t.Error("the feed has an item of another folder")
		}
		if res := c.Get(t.Context(), []string{foreign}); res[0].Err != nil || !res[0].Elsewhere {
			t.Errorf("get: error %v, elsewhere %v", res[0].Err, res[0].Elsewhere)
		}
	})

	run("the claim is kept and renewed", func(t *testing.T, f MailFixture) {
		box := f.Mail.Mailbox(f.Mailboxes[0])
		if claim, err := box.Claim(t.Context(), Customization("one")); err != nil || claim != nil {
			t.Fatalf("before prepare: claim %v, error %v", claim, err)
		}
		for _, install := range []string{"one", "two"} {
			want := Customization(install)
			if _, err := box.Prepare(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			claim, err := f.Mail.Mailbox(f.Mailboxes[0]).Claim(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			if claim == nil || claim.Organization != want.Claim.Organization || claim.Install != install || !claim.LastCycle.Equal(want.Claim.LastCycle) {
				t.Errorf("claim %v, want %v", claim, want.Claim)
			}
		}
		if claim, err := f.Mail.Mailbox(f.Mailboxes[1]).Claim(t.Context(), Customization("one")); err != nil || claim != nil {
			t.Errorf("another mailbox: claim %v, error %v", claim, err)
		}
	})

	run("inspect lists what is there and changes nothing", func(t *testing.T, f MailFixture) {
		want := Customization("one")
		box := f.Mail.Mailbox(f.Mailboxes[0])
		if have, err := box.Inspect(t.Context(), want); err != nil || len(have) != 0 {
			t.Fatalf("before prepare: %v, error %v", have, err)
		}
		if f.World.Folders != nil && f.World.Folders(t, f.Mailboxes[0], want.Folder) != 0 {
			t.Error("inspect made the folder")
		}
		_, c, items := f.prepare(t, f.Mailboxes[0])
		apply(t, items.Open(), items.write(0), items.write(1))
		have, err := box.Inspect(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, a := range have {
			kinds = append(kinds, a.Kind)
			if a.Kind == "contact folder" && (a.ID != c.ID || a.Name != want.Folder || a.Count != 2) {
				t.Errorf("folder %+v, want %s with 2 items", a, c.ID)
			}
		}
		slices.Sort(kinds)
		if d := cmp.Diff([]string{"category", "claim", "contact folder"}, slices.Compact(kinds)); d != "" {
			t.Errorf("kinds (-want +got):\n%s", d)
		}
	})
}

func removeTests(run runMail) {
	run("remove takes all out that is ours", func(t *testing.T, f MailFixture) {
		want := Customization("one")
		box, _, items := f.prepare(t, f.Mailboxes[0])
		n := 2*items.Open().Capabilities().BatchSize + 1
		writes := make([]remote.Write, n)
		for i := range writes {
			writes[i] = items.write(i)
		}
		var ids []string
		for _, r := range apply(t, items.Open(), writes...) {
			ids = append(ids, r.ID)
		}
		left, err := box.Remove(t.Context(), want, ids)
		if err != nil || len(left) != 0 {
			t.Fatalf("left %v, error %v", left, err)
		}
		if have, err := box.Inspect(t.Context(), want); err != nil || len(have) != 0 {
			t.Errorf("afterwards %v, error %v", have, err)
		}
		if claim, err := box.Claim(t.Context(), want); err != nil || claim != nil {
			t.Errorf("afterwards claim %v, error %v", claim, err)
		}
		if left, err := box.Remove(t.Context(), want, ids); err != nil || len(left) != 0 {
			t.Errorf("a second time: left %v, error %v", left, err)
		}
	})

	run("remove leaves what is not ours, with its folder", func(t *testing.T, f MailFixture) {
		need(t, f.World.CreateItem != nil && f.World.Exists != nil, "create items and see them")
		want := Customization("one")
		box, c, items := f.prepare(t, f.Mailboxes[0])
		ours := apply(t, items.Open(), items.write(0))[0].ID
		theirs := f.World.CreateItem(t, f.Mailboxes[0], c.ID, items.native(items.sample(1)))
		own := f.World.CreateItem(t, f.Mailboxes[0], "", items.native(items.sample(2)))
		left, err := box.Remove(t.Context(), want, []string{ours})
		if err != nil {
			t.Fatal(err)
		}
		if len(left) != 1 || left[0].Kind != "contact folder" || left[0].Left == "" || left[0].Count != 1 {
			t.Errorf("left %+v, want the folder with 1 item and the reason", left)
		}
		if f.World.Exists(t, f.Mailboxes[0], ours) {
			t.Error("our item is still there")
		}
		for _, id := range []string{theirs, own} {
			if !f.World.Exists(t, f.Mailboxes[0], id) {
				t.Errorf("the person's item %s is gone", id)
			}
		}
	})

	run("remove does not touch an item that was moved out", func(t *testing.T, f MailFixture) {
		need(t, f.World.CreateItem != nil && f.World.Exists != nil, "create items and see them")
		box, _, items := f.prepare(t, f.Mailboxes[0])
		own := f.World.CreateItem(t, f.Mailboxes[0], "", items.native(items.sample(2)))
		if _, err := box.Remove(t.Context(), Customization("one"), []string{own}); err != nil {
			t.Fatal(err)
		}
		if !f.World.Exists(t, f.Mailboxes[0], own) {
			t.Error("an item outside our folder was removed")
		}
	})

	run("remove of nothing does nothing", func(t *testing.T, f MailFixture) {
		left, err := f.Mail.Mailbox(f.Mailboxes[0]).Remove(t.Context(), Customization("one"), []string{})
		if err != nil || len(left) != 0 {
			t.Errorf("left %v, error %v", left, err)
		}
	})
}

func prefetchTests(run runMail) {
	run("prefetch answers in order and fails one by one", func(t *testing.T, f MailFixture) {
		var feeds []remote.MailFeed
		var made []string
		for i, id := range f.Mailboxes {
			_, c, items := f.prepare(t, id)
			made = append(made, apply(t, items.Open(), items.write(i))[0].ID)
			feeds = append(feeds, remote.MailFeed{Mailbox: id, Container: c})
		}
		bad := feeds[1]
		bad.Mailbox = f.Unknown
		lost := feeds[1]
		lost.Cursor = "of another program"
		asked := []remote.MailFeed{feeds[2], bad, feeds[0], lost, feeds[1]}
		res := f.Mail.Prefetch(t.Context(), asked)
		if len(res) != len(asked) {
			t.Fatalf("%d results for %d feeds", len(res), len(asked))
		}
		wantClass(t, res[1].Err, remote.ClassAuthorization)
		wantClass(t, res[3].Err, remote.ClassCursorLost)
		for at, i := range map[int]int{0: 2, 2: 0, 4: 1} {
			if res[at].Err != nil {
				t.Errorf("feed %d: %v", at, res[at].Err)
				continue
			}
			must(t, res[at].Feed, made[i], remote.Present)
			if len(res[at].Feed.Changes) != 1 || !res[at].Feed.Complete {
				t.Errorf("feed %d: %d changes, complete %v", at, len(res[at].Feed.Changes), res[at].Feed.Complete)
			}
		}
	})

	run("prefetch goes on from a cursor, and changes go on from prefetch", func(t *testing.T, f MailFixture) {
		_, c, items := f.prepare(t, f.Mailboxes[0])
		col := items.Open()
		a := apply(t, col, items.write(0))[0].ID
		cursor := changes(t, col, remote.Query{}).Cursor
		b := apply(t, col, items.write(1))[0].ID
		res := f.Mail.Prefetch(t.Context(), []remote.MailFeed{{Mailbox: f.Mailboxes[0], Container: c, Cursor: cursor}})[0]
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		must(t, res.Feed, b, remote.Present)
		apply(t, col, remote.Write{Kind: remote.Delete, ID: a})
		must(t, changes(t, col, remote.Query{Cursor: res.Feed.Cursor}), a, remote.Removed)
	})

	run("a feed that does not end within a page is continued", func(t *testing.T, f MailFixture) {
		_, c, items := f.prepare(t, f.Mailboxes[0])
		const n = 130
		writes := make([]remote.Write, n)
		for i := range writes {
			writes[i] = items.write(i)
		}
		made := apply(t, items.Open(), writes...)
		res := f.Mail.Prefetch(t.Context(), []remote.MailFeed{{Mailbox: f.Mailboxes[0], Container: c}})[0]
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		seen := map[string]bool{}
		for _, ch := range res.Feed.Changes {
			seen[ch.Item.ID] = true
		}
		if !res.Feed.Complete {
			for _, ch := range changes(t, items.Open(), remote.Query{Cursor: res.Feed.Cursor}).Changes {
				seen[ch.Item.ID] = true
			}
		}
		for _, r := range made {
			if !seen[r.ID] {
				t.Fatalf("item %s is in neither part", r.ID)
			}
		}
	})

	run("a folder that is gone fails alone", func(t *testing.T, f MailFixture) {
		need(t, f.World.DeleteFolder != nil, "delete folders")
		_, a, _ := f.prepare(t, f.Mailboxes[0])
		_, b, _ := f.prepare(t, f.Mailboxes[1])
		f.World.DeleteFolder(t, f.Mailboxes[0], a.ID)
		res := f.Mail.Prefetch(t.Context(), []remote.MailFeed{{Mailbox: f.Mailboxes[0], Container: a}, {Mailbox: f.Mailboxes[1], Container: b}})
		wantClass(t, res[0].Err, remote.ClassContainerGone)
		if res[1].Err != nil {
			t.Errorf("the other folder: %v", res[1].Err)
		}
		// What was prepared can be prepared again.
		if p, err := f.Mail.Mailbox(f.Mailboxes[0]).Prepare(t.Context(), Customization("one")); err != nil || !p.Created[record.Contacts] {
			t.Errorf("prepare after the folder is gone: created %v, error %v", p.Created[record.Contacts], err)
		}
	})

	run("prefetch of nothing", func(t *testing.T, f MailFixture) {
		if res := f.Mail.Prefetch(t.Context(), nil); len(res) != 0 {
			t.Errorf("%d results for no feed", len(res))
		}
	})
}

func countTests(run runMail) {
	run("writes take one round trip a batch, and the mailbox counts them", func(t *testing.T, f MailFixture) {
		box, _, items := f.prepare(t, f.Mailboxes[0])
		c := items.Open()
		batch := c.Capabilities().BatchSize
		n := 2*batch + 1
		writes := make([]remote.Write, n)
		for i := range writes {
			writes[i] = items.write(i)
		}
		title, _ := items.plain(t)
		count := func(what string, writes []remote.Write) []remote.WriteResult {
			t.Helper()
			before, all := c.Requests(), box.Requests()
			res := apply(t, c, writes...)
			if got := c.Requests() - before; got != 3 {
				t.Errorf("%d %s took %d round trips, want 3", n, what, got)
			}
			if got := box.Requests() - all; got != 3 {
				t.Errorf("the mailbox counts %d round trips for %d %s, want 3", got, n, what)
			}
			return res
		}
		made := count("creates", writes)
		for i := range writes {
			writes[i] = remote.Write{Kind: remote.Update, ID: made[i].ID, Version: made[i].Version, Set: items.native(record.Record{title: record.Text("Ours")}), Stamp: stamp(i)}
		}
		count("updates", writes)
		for i := range writes {
			writes[i] = remote.Write{Kind: remote.Delete, ID: made[i].ID}
		}
		count("deletes", writes)
	})

	run("handles of one mailbox count for themselves", func(t *testing.T, f MailFixture) {
		f.prepare(t, f.Mailboxes[0])
		if n := f.Mail.Mailbox(f.Mailboxes[0]).Requests(); n != 0 {
			t.Errorf("a new handle begins at %d", n)
		}
	})
}
