package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

const batch = 20

// fill stores links as a first sync does, batch by batch.
func fill(tb testing.TB, s *Store, user int64, ls []reconcile.Link) {
	tb.Helper()
	for len(ls) > 0 {
		n := min(batch, len(ls))
		settle(tb, s, user, engine.Settlement{Links: ls[:n], Now: t0})
		ls = ls[n:]
	}
}

func size(tb testing.TB, s *Store) (pages, pageSize int) {
	tb.Helper()
	must(tb, s.writer.QueryRowContext(tb.Context(), "PRAGMA page_count").Scan(&pages))
	must(tb, s.writer.QueryRowContext(tb.Context(), "PRAGMA page_size").Scan(&pageSize))
	return pages, pageSize
}

// bytesPerLink stores n links with 20 hashes each and returns what one of them takes in
// the file, indexes and unused space included.
func bytesPerLink(tb testing.TB, n int, shuffled bool) float64 {
	tb.Helper()
	s := newStore(tb)
	office(tb, s)
	user := staff(tb, s, 1)[0].ID
	before, pageSize := size(tb, s)
	ls := contacts(1, n)
	if shuffled {
		rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { ls[i], ls[j] = ls[j], ls[i] })
	}
	fill(tb, s, user, ls)
	after, _ := size(tb, s)
	return float64((after-before)*pageSize) / float64(n)
}

func TestALinkTakesNoMoreThan350Bytes(t *testing.T) {
	t.Parallel()
	for name, shuffled := range map[string]bool{"in the order of their ids": false, "in any order": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := bytesPerLink(t, 5000, shuffled)
			t.Logf("%.0f bytes a link", got)
			if got > 350 {
				t.Errorf("a link takes %.0f bytes", got)
			}
		})
	}
}

func BenchmarkLinks15k(b *testing.B) {
	s := newStore(b)
	office(b, s)
	user := staff(b, s, 1)[0].ID
	before, pageSize := size(b, s)
	settle(b, s, user, engine.Settlement{Links: contacts(1, 15000), Now: t0})
	after, _ := size(b, s)
	b.ReportAllocs()
	for b.Loop() {
		ls, err := s.Links(context.Background(), user, record.Contacts)
		if err != nil || len(ls) != 15000 {
			b.Fatal(len(ls), err)
		}
	}
	b.ReportMetric(float64((after-before)*pageSize)/15000, "B/link")
}

func BenchmarkLinksByID20of15k(b *testing.B) {
	s := newStore(b)
	office(b, s)
	user := staff(b, s, 1)[0].ID
	settle(b, s, user, engine.Settlement{Links: contacts(1, 15000), Now: t0})
	for _, side := range []record.Side{record.CRM, record.Mailbox} {
		b.Run(string(side), func(b *testing.B) {
			i := 0
			for b.Loop() {
				ids := make([]string, batch)
				for k := range ids {
					l := contact(1, (i*batch+k*700)%15000, 1)
					ids[k] = l.Half(side).ID
				}
				i++
				ls, err := s.LinksByID(context.Background(), user, record.Contacts, side, ids)
				if err != nil || len(ls) != batch {
					b.Fatal(len(ls), err)
				}
			}
		})
	}
}

// BenchmarkIntendSettle20 is the state's part of a batch of 20 creates: two durable
// transactions.
func BenchmarkIntendSettle20(b *testing.B) {
	s := newStore(b)
	office(b, s)
	user := staff(b, s, 1)[0].ID
	i := 0
	for b.Loop() {
		intents := make([]engine.Intent, batch)
		set := engine.Settlement{Now: t0}
		for k := range intents {
			l := contact(1, i, 20)
			i++
			waiting := l
			waiting.Mailbox.ID = ""
			intents[k] = engine.Intent{
				Op: op(i), Side: record.Mailbox, Kind: reconcile.Create, CRMID: l.CRM.ID,
				Link: waiting, MoveCRM: l.CRM.Base, MoveMailbox: l.Mailbox.Base, Created: t0,
			}
			set.Settled = append(set.Settled, op(i))
			set.Links = append(set.Links, l)
		}
		if err := s.Intend(context.Background(), held(b, s, user), record.Contacts, intents); err != nil {
			b.Fatal(err)
		}
		if err := s.Settle(context.Background(), held(b, s, user), record.Contacts, set); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCountLinks15k(b *testing.B) {
	s := newStore(b)
	office(b, s)
	user := staff(b, s, 1)[0].ID
	settle(b, s, user, engine.Settlement{Links: contacts(1, 15000), Now: t0})
	for b.Loop() {
		if n, err := s.CountLinks(context.Background(), user, record.Contacts); n != 15000 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkUsers10k(b *testing.B) {
	s := newStore(b)
	office(b, s)
	all := staff(b, s, 10000)
	b.Run("Users of the engine", func(b *testing.B) {
		for b.Loop() {
			if got, err := s.Users(context.Background(), nil); len(got) != 10000 || err != nil {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("Users of administration", func(b *testing.B) {
		for b.Loop() {
			if got, err := s.Admin().Users(context.Background()); len(got) != 10000 || err != nil {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("UpdateUsers", func(b *testing.B) {
		lines := make([]engine.Activity, len(all))
		for i := range all {
			all[i].Sync = roster.Enabled
			lines[i] = engine.Activity{Time: t0, Actor: "root", Type: "sync.enabled", User: all[i].Email}
		}
		for b.Loop() {
			if err := s.UpdateUsers(context.Background(), all, lines); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAddUsers10k(b *testing.B) {
	s := newStore(b)
	office(b, s)
	next := 0
	for b.Loop() {
		users := make([]roster.User, 10000)
		lines := make([]engine.Activity, len(users))
		for i := range users {
			users[i] = person(next)
			next++
			lines[i] = engine.Activity{Time: t0, Actor: "root", Type: "user.added", User: users[i].Email}
		}
		if _, err := s.AddUsers(context.Background(), users, lines); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenIssues reads ten thousand open issues, as every cycle of such a user does.
func BenchmarkOpenIssues(b *testing.B) {
	s := newStore(b)
	office(b, s)
	user := staff(b, s, 1)[0].ID
	set := engine.Settlement{Now: t0}
	for i := range 10_000 {
		set.Issues = append(set.Issues, engine.Issue{
			IssueKey: engine.IssueKey{Direction: engine.ToCRM, CRMID: fmt.Sprint("c", i)}, Label: "Ada Keller", Code: "CS2101", State: engine.IssueParked,
		})
	}
	settle(b, s, user, set)
	for b.Loop() {
		if list, err := s.OpenIssues(b.Context(), user, record.Contacts); err != nil || len(list) != len(set.Issues) {
			b.Fatal(len(list), err)
		}
	}
}
