package graph

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
)

// What a mailbox's life costs in round trips, for 1,000 contacts: a first sync of
// 10,000 at ten times that stays below 700.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	count := func(what string, most int, do func()) {
		t.Helper()
		b.ResetStats()
		do()
		if n := b.Stats().Total.RoundTrips; n > most {
			t.Errorf("%s takes %d round trips, want at most %d", what, n, most)
		}
		if n := b.Stats().Total.MostAtOnce; n > mailboxAtOnce {
			t.Errorf("%s has %d requests in flight", what, n)
		}
		if n := b.Stats().Total.Errors; n != 0 {
			t.Errorf("%s meets %d errors", what, n)
		}
	}
	var col *collection
	var feed remote.Feed
	var err error
	count("prepare", 3, func() { _, col = b.open(t) })
	count("the first read", 1, func() { feed, err = col.Changes(ctx, remote.Query{}) })
	writes := creates(1000)
	count("1,000 creates", 50, func() {
		for i, r := range col.Apply(ctx, writes) {
			if r.Err != nil || r.Version == "" || r.Fields == nil {
				t.Fatalf("write %d: %+v", i, r)
			}
		}
	})
	count("their echo", 5, func() { feed, err = col.Changes(ctx, remote.Query{Cursor: feed.Cursor}) })
	if err != nil || len(feed.Changes) != 1000 {
		t.Fatalf("%d changes, error %v", len(feed.Changes), err)
	}
	feeds := []remote.MailFeed{{Mailbox: b.users[0], Container: col.folder, Cursor: feed.Cursor}}
	count("an idle cycle", 1, func() {
		r := b.g.Prefetch(ctx, feeds)[0]
		if r.Err != nil || !r.Feed.Complete || len(r.Feed.Changes) != 0 {
			t.Errorf("prefetch: %+v", r)
		}
	})
	count("a full read with stamps", 10, func() { feed, err = col.Changes(ctx, remote.Query{Stamps: true}) })
	if err != nil || len(feed.Changes) != 1000 || feed.Changes[0].Item.Stamp == nil {
		t.Errorf("%d changes, error %v", len(feed.Changes), err)
	}
}

// 40 idle mailboxes travel in two round trips.
func TestPrefetchOfMany(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var feeds []remote.MailFeed
	for i := range 40 {
		u, err := b.AddUser(m365.User{DisplayName: fmt.Sprint("U", i), Mail: fmt.Sprintf("u%d@contoso.example", i)})
		if err != nil {
			t.Fatal(err)
		}
		id, err := b.CreateFolder(u.ID, "CRM")
		if err != nil {
			t.Fatal(err)
		}
		feeds = append(feeds, remote.MailFeed{Mailbox: u.ID, Container: remote.Container{ID: id}})
	}
	for i, r := range b.g.Prefetch(t.Context(), feeds) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		feeds[i].Cursor = r.Feed.Cursor
	}
	if err := b.SetMailboxState(feeds[7].Mailbox, m365.MailboxDenied); err != nil {
		t.Fatal(err)
	}
	b.ResetStats()
	for i, r := range b.g.Prefetch(t.Context(), feeds) {
		if i == 7 {
			if !remote.Is(r.Err, remote.ClassAuthorization) {
				t.Errorf("the denied mailbox: %v", r.Err)
			}
		} else if r.Err != nil || !r.Feed.Complete {
			t.Errorf("mailbox %d: %+v", i, r)
		}
	}
	if n := b.Stats().Total.RoundTrips; n != 2 {
		t.Errorf("%d round trips, want 2", n)
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, u := range []m365.User{
		{DisplayName: "Guest", Mail: "guest@elsewhere.example", Guest: true},
		{DisplayName: "Left", Mail: "left@contoso.example", Disabled: true},
		{DisplayName: "Service", UserPrincipalName: "service@contoso.example"},
	} {
		if _, err := b.AddUser(u); err != nil {
			t.Fatal(err)
		}
	}
	people, err := b.g.People(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	usable := map[string]bool{}
	for _, p := range people {
		usable[p.Name] = p.Unusable == ""
		if p.ID == "" || p.Email == "" {
			t.Errorf("%+v has no id or no address", p)
		}
	}
	want := map[string]bool{"Ada": true, "Bob": true, "Cleo": true, "Guest": false, "Left": false, "Service": false}
	if fmt.Sprint(usable) != fmt.Sprint(want) {
		t.Errorf("usable %v, want %v", usable, want)
	}
}

// An item that we create bears the category; one that we update keeps the person's.
func TestCategory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, col := b.open(t)
	id, err := b.CreateContact(b.users[0], "CRM", map[string]any{"surname": "Own", "categories": []any{"Golf"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range col.Apply(t.Context(), []remote.Write{
		creates(1)[0], {Kind: remote.Update, ID: id, Set: mapping.Fields{"jobTitle": {"x"}}, Stamp: record.Stamp{Install: "i", Entity: record.Contacts, Op: "0123456789abcdef0123456789abcdef"}},
	}) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	items, err := b.Contacts(b.users[0], "CRM")
	if err != nil || len(items) != 2 {
		t.Fatalf("%d items, error %v", len(items), err)
	}
	for _, it := range items {
		want := "[CRM]"
		if it["id"] == id {
			want = "[Golf]"
		}
		if got := fmt.Sprint(it["categories"]); got != want {
			t.Errorf("categories %s, want %s", got, want)
		}
	}
	// Without the category, the container makes none.
	plain := col.folder
	plain.Category = ""
	if r := b.g.Mailbox(b.users[0]).Collection(record.Contacts, plain).Apply(t.Context(), creates(1)); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
}

// The service compares the values of a filter without case; stamps have one.
func TestStampsDifferInCase(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, col := b.open(t)
	writes := creates(2)
	writes[0].Stamp.Other, writes[1].Stamp = "003Ab", writes[0].Stamp
	writes[1].Stamp.Other = "003aB"
	res := col.Apply(t.Context(), writes)
	found, err := col.FindStamped(t.Context(), []record.Stamp{writes[1].Stamp})
	if err != nil || len(found) != 1 || found[0].ID != res[1].ID {
		t.Errorf("found %d items, error %v", len(found), err)
	}
}

// Remove does not even try to delete what has left our folder.
func TestRemoveAsksForNothingElse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	box, _ := b.open(t)
	own, err := b.CreateContact(b.users[0], "", map[string]any{"surname": "Own"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.Remove(t.Context(), customization, []string{own}); err != nil {
		t.Fatal(err)
	}
	if n := b.Stats().Operations["contact.delete"]; n != 0 {
		t.Errorf("%d deletes were sent", n)
	}
}

// What may be requested of a mailbox in ten minutes is kept to, other processes' share
// included: the service never has to refuse us, and what has to wait says for how long.
func TestMailboxBudget(t *testing.T) {
	t.Parallel()
	const others, left = mailboxRequests - 100, 100
	b := newBench(t, func(o *m365.Options, c *Config) {
		o.Requests = left
		c.Spent = func(string) []remote.Spending {
			// Just now, and so not before the window that the service has just begun.
			return []remote.Spending{{At: o.Now().Add(time.Second), Requests: others}}
		}
	})
	_, col := b.open(t)
	open := creates(150)
	rounds := 0
	for ; len(open) > 0; rounds++ {
		var rest []remote.Write
		var wait time.Duration
		for i, r := range col.Apply(t.Context(), open) {
			switch {
			case r.Err == nil:
			case remote.Is(r.Err, remote.ClassPressure) && !remote.IsUnclear(r.Err):
				rest, wait = append(rest, open[i]), max(wait, detail(r.Err).RetryAfter)
			default:
				t.Fatalf("write %d: %v", i, r.Err)
			}
		}
		if len(rest) > 0 && (wait <= 0 || wait > Window) {
			t.Fatalf("%d have to wait for %s", len(rest), wait)
		}
		open = rest
		_ = b.clock.sleep(t.Context(), wait)
	}
	if rounds != 2 {
		t.Errorf("done in %d rounds, want 2", rounds)
	}
	if n := b.Stats().Total; n.Errors != 0 || n.MostAtOnce > mailboxAtOnce {
		t.Errorf("the service refused %d requests, and had %d at once", n.Errors, n.MostAtOnce)
	}
	if items, err := b.Contacts(b.users[0], "CRM"); err != nil || len(items) != 150 {
		t.Errorf("%d items, error %v", len(items), err)
	}
}

// heeded demands that nobody asked before the time that a refusal had named. The parts
// of one batch are asked for together.
func heeded(t *testing.T, asked []m365.Request, after string) {
	t.Helper()
	var until time.Time
	var from string
	refused := 0
	for _, r := range asked {
		if r.ID != from && r.Time.Before(until) {
			t.Errorf("asked at %s, before %s", r.Time, until)
		}
		if r.Status != http.StatusTooManyRequests {
			continue
		}
		refused++
		end := r.Time
		if s, err := strconv.Atoi(after); err == nil {
			end = r.Time.Add(time.Duration(s) * time.Second)
		} else if date, err := http.ParseTime(after); err == nil {
			end = date
		}
		if from = r.ID; end.After(until) {
			until = end
		}
	}
	if refused == 0 {
		t.Error("nobody was refused")
	}
}

// In a storm in which the service refuses three requests of ten, the others are as many
// as in a calm, nothing is written twice, and never are there more than four at once.
func TestStorm(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"", "0", "1", "30", "300", "Sun, 01 Mar 2026 12:10:00 GMT"} {
		t.Run("Retry-After "+after, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, col := b.open(t)
			b.SetFault(m365.Fault{Name: "f", Kind: m365.FaultError, Rate: 0.3, Status: 429, RetryAfter: after, Code: "ApplicationThrottled", Op: "contact."})
			b.ResetStats()
			open := creates(200)
			for rounds := 0; len(open) > 0; rounds++ {
				var rest []remote.Write
				var wait time.Duration
				for i, r := range col.Apply(t.Context(), open) {
					switch {
					case r.Err == nil:
					case remote.Is(r.Err, remote.ClassPressure) && !remote.IsUnclear(r.Err):
						rest, wait = append(rest, open[i]), max(wait, detail(r.Err).RetryAfter)
					default:
						t.Fatalf("write %d: %v", i, r.Err)
					}
				}
				if rounds > 200 {
					t.Fatal("it does not end")
				}
				open = rest
				_ = b.clock.sleep(t.Context(), wait)
			}
			heeded(t, b.Requests(), after)
			n := b.Stats()
			if good := n.Total.Requests - n.Total.Errors; float64(good) > 1.1*200 {
				t.Errorf("%d requests for 200 writes, besides %d refused ones", good, n.Total.Errors)
			}
			if n.Total.MostAtOnce > mailboxAtOnce {
				t.Errorf("%d at once", n.Total.MostAtOnce)
			}
			if items, err := b.Contacts(b.users[0], "CRM"); err != nil || len(items) != 200 {
				t.Errorf("%d items, error %v", len(items), err)
			}
		})
	}
}

// The budget that is told is that of the mailbox that has used the most, where each part
// of a batch counts.
func TestUsageIsOfTheBusiestMailbox(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, col := b.open(t)
	before := b.g.Usage()
	if before.Limit != mailboxRequests || before.At.IsZero() {
		t.Errorf("usage: %+v", before)
	}
	for _, r := range col.Apply(t.Context(), creates(25)) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if after := b.g.Usage(); after.Used != before.Used+25 {
		t.Errorf("25 creates in two batches: %d requests were used, then %d", before.Used, after.Used)
	}
	u, err := b.AddUser(m365.User{DisplayName: "Quiet", Mail: "quiet@contoso.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.g.CheckUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if after := b.g.Usage(); after.Used != before.Used+25 {
		t.Errorf("a mailbox that used one request makes it %d", after.Used)
	}
}
