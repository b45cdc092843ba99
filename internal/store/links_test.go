package store

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// crmID, itemID and changeKey look like what the vendors make.
func crmID(i int) string { return fmt.Sprintf("003%012dAAC", i) }

func itemID(user, i int) string {
	b := make([]byte, 114)
	copy(b, fmt.Sprintf("\x00\x09\x00\x2e%032d\x07\x00%040d", user, user))
	binary.BigEndian.PutUint64(b[106:], uint64(i)*0x9e3779b97f4a7c15)
	return base64.URLEncoding.EncodeToString(b)
}

func changeKey(user, i int) string {
	b := make([]byte, 30)
	copy(b, fmt.Sprintf("\x11\x00\x00\x00\x16\x00\x00\x00%016d", user))
	binary.BigEndian.PutUint32(b[26:], uint32(i))
	return `W/"` + base64.StdEncoding.EncodeToString(b) + `"`
}

func modstamp(i int) string {
	return t0.Add(time.Duration(i) * time.Second).Truncate(time.Second).Format("2006-01-02T15:04:05.000-0700")
}

func op(i int) record.OpID { return record.OpID(fmt.Sprintf("%032x", i+1)) }

// base has one hash in each of the first n fields of a contact.
func base(n int, rnd *rand.Rand) record.Hashes {
	h := record.Hashes{}
	for _, s := range record.Specs(record.Contacts)[:n] {
		h[s.Field] = []record.Hash{record.Hash(rnd.Uint64())}
	}
	return h
}

func contact(user, i, fields int) reconcile.Link {
	rnd := rand.New(rand.NewPCG(uint64(user), uint64(i)))
	b := base(fields, rnd)
	return reconcile.Link{
		CRM:     reconcile.Half{ID: crmID(i), Version: modstamp(i), Base: b},
		Mailbox: reconcile.Half{ID: itemID(user, i), Version: changeKey(user, i), Base: b, Op: op(rnd.Int())},
		State:   reconcile.Linked,
		Since:   t0.Add(time.Duration(i)),
	}
}

func contacts(user, n int) []reconcile.Link {
	ls := make([]reconcile.Link, n)
	for i := range ls {
		ls[i] = contact(user, i, 20)
	}
	return ls
}

func settle(tb testing.TB, s *Store, user int64, set engine.Settlement) {
	tb.Helper()
	must(tb, s.Settle(tb.Context(), held(tb, s, user), record.Contacts, set))
}

// held returns the test's lease of a user. There is none of a user who is not there.
func held(tb testing.TB, s *Store, user int64) engine.Lease {
	tb.Helper()
	l := engine.Lease{User: user, Holder: "me"}
	if _, _, err := s.AcquireLease(tb.Context(), l, t0); err != nil && !errors.Is(err, admin.ErrNotFound) {
		tb.Fatal(err)
	}
	return l
}

func linksOf(tb testing.TB, s *Store, user int64) []reconcile.Link {
	tb.Helper()
	ls, err := s.Links(tb.Context(), user, record.Contacts)
	must(tb, err)
	return ls
}

func withUser(t *testing.T) (*Store, int64) {
	t.Helper()
	s := newStore(t)
	office(t, s)
	return s, staff(t, s, 1)[0].ID
}

func TestLinksComeBackAsTheyWereStored(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	full := contact(1, 1, 20)

	lists := contact(1, 2, 6)
	lists.CRM.Base[record.EmailAddresses] = []record.Hash{3, 1, 2}
	lists.CRM.Base["a_field_of_tomorrow"] = []record.Hash{9}
	lists.CRM.Base[record.Notes] = []record.Hash{}
	lists.Mailbox.Base = record.Hashes{
		record.EmailAddresses: {1, 2, 3}, // another order is another base
		record.GivenName:      lists.CRM.Base[record.GivenName],
		record.Birthday:       {4},
		record.Categories:     {5, 6},
		"only_in_the_mailbox": {7},
	}
	lists.CRM.Op = op(77)

	bare := reconcile.Link{CRM: reconcile.Half{ID: "crm"}, State: reconcile.Unlinked, Since: t0}
	odd := reconcile.Link{
		CRM:     reconcile.Half{ID: "x", Version: "2026-03-01T12:00:00.120Z", Op: "not-hex"},
		Mailbox: reconcile.Half{ID: "AAE=", Version: strings.Repeat("v", 300), Op: "ABCDEF"},
		State:   reconcile.Ended,
	}
	want := []reconcile.Link{full, lists, bare, odd}
	settle(t, s, user, engine.Settlement{Links: []reconcile.Link{odd, lists, bare, full}})
	same(t, "links in the order of their CRM ids", linksOf(t, s, user), want)

	for _, side := range []record.Side{record.CRM, record.Mailbox} {
		got, err := s.LinksByID(t.Context(), user, record.Contacts, side,
			[]string{lists.Half(side).ID, "unknown", odd.Half(side).ID, lists.Half(side).ID, ""})
		must(t, err)
		same(t, "links by id of "+string(side), got, []reconcile.Link{lists, odd})
	}
	if n, err := s.CountLinks(t.Context(), user, record.Contacts); n != 2 || err != nil {
		t.Errorf("counted %d links, %v; want 2", n, err)
	}
	ids, err := s.MailboxItems(t.Context(), user, record.Contacts)
	must(t, err)
	items := []string{full.Mailbox.ID, lists.Mailbox.ID, odd.Mailbox.ID}
	slices.Sort(items)
	same(t, "mailbox items", ids, items)

	got := linksOf(t, s, user)
	got[0].CRM.Base[record.GivenName][0]++
	if got[0].Mailbox.Base[record.GivenName][0] != full.CRM.Base[record.GivenName][0] {
		t.Error("the two bases of a link share memory")
	}
	for _, e := range []record.Entity{record.Events, record.Tasks} {
		if ls, err := s.Links(t.Context(), user, e); len(ls) != 0 || err != nil {
			t.Errorf("%s: %v %v", e, ls, err)
		}
	}
	must(t, s.Check(t.Context()))
}

func TestLinksReplaceAndRemove(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	a, b, c := contact(1, 1, 3), contact(1, 2, 3), contact(1, 3, 3)
	settle(t, s, user, engine.Settlement{Links: []reconcile.Link{a, b, c}})
	b.CRM.Version, b.Mailbox.Version = "v2", "v2"
	b.CRM.Base[record.GivenName] = []record.Hash{42}
	// Remove comes before Links: a link may be stored anew in the same settlement.
	settle(t, s, user, engine.Settlement{Remove: []string{a.CRM.ID, c.CRM.ID, "unknown"}, Links: []reconcile.Link{b, c}})
	same(t, "links", linksOf(t, s, user), []reconcile.Link{b, c})
}

func TestAMailboxIDBelongsToOneLink(t *testing.T) {
	t.Parallel()
	end := func(l reconcile.Link, st reconcile.LinkState) reconcile.Link { l.State = st; return l }
	with := func(l reconcile.Link, mailbox string) reconcile.Link { l.Mailbox.ID = mailbox; return l }
	a, b := contact(1, 1, 3), contact(1, 2, 3)
	m1, m2 := a.Mailbox.ID, b.Mailbox.ID
	for _, tt := range []struct {
		name        string
		stored, put []reconcile.Link
		want        []reconcile.Link
		refused     bool
	}{
		{
			"two links swap their items",
			[]reconcile.Link{a, b},
			[]reconcile.Link{with(a, m2), with(b, m1)},
			[]reconcile.Link{with(a, m2), with(b, m1)}, false,
		},
		{
			"a link that ends gives its item to another of the settlement, whatever the order",
			[]reconcile.Link{a},
			[]reconcile.Link{with(b, m1), end(a, reconcile.Ended)},
			[]reconcile.Link{with(end(a, reconcile.Ended), ""), with(b, m1)}, false,
		},
		{
			"so does one that is unlinked",
			[]reconcile.Link{a},
			[]reconcile.Link{end(a, reconcile.Unlinked), with(b, m1)},
			[]reconcile.Link{with(end(a, reconcile.Unlinked), ""), with(b, m1)}, false,
		},
		{
			"and one that ended before",
			[]reconcile.Link{end(a, reconcile.Ended)},
			[]reconcile.Link{with(b, m1)},
			[]reconcile.Link{with(end(a, reconcile.Ended), ""), with(b, m1)}, false,
		},
		{
			"the last that ended has it",
			[]reconcile.Link{end(a, reconcile.Ended)},
			[]reconcile.Link{with(end(b, reconcile.Ended), m1)},
			[]reconcile.Link{with(end(a, reconcile.Ended), ""), with(end(b, reconcile.Ended), m1)}, false,
		},
		{
			"a link that ends does not take it from one that is linked",
			[]reconcile.Link{a},
			[]reconcile.Link{with(end(b, reconcile.Ended), m1)},
			[]reconcile.Link{a, with(end(b, reconcile.Ended), "")}, false,
		},
		{
			"an ended link comes back",
			[]reconcile.Link{end(a, reconcile.Ended)},
			[]reconcile.Link{a},
			[]reconcile.Link{a}, false,
		},
		{
			"two linked records with one item are refused, and nothing is stored",
			[]reconcile.Link{a},
			[]reconcile.Link{contact(1, 3, 3), with(b, m1)},
			[]reconcile.Link{a}, true,
		},
		{
			"a linked record without an item is refused",
			[]reconcile.Link{a},
			[]reconcile.Link{with(b, "")},
			[]reconcile.Link{a}, true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, user := withUser(t)
			settle(t, s, user, engine.Settlement{Links: tt.stored})
			err := s.Settle(t.Context(), held(t, s, user), record.Contacts, engine.Settlement{Links: tt.put})
			if (err != nil) != tt.refused {
				t.Fatalf("settle: %v", err)
			}
			same(t, "links", linksOf(t, s, user), tt.want)
			must(t, s.Check(t.Context()))
		})
	}
}

func TestIDsThatDoNotBeginAlike(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	rnd := rand.New(rand.NewPCG(1, 1))
	var want []reconcile.Link
	for i := range 3 * maxPrefixes {
		l := contact(1, i, 1)
		b := make([]byte, 96)
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		l.Mailbox.ID = base64.URLEncoding.EncodeToString(b)
		want = append(want, l)
	}
	settle(t, s, user, engine.Settlement{Links: want})
	settle(t, s, user, engine.Settlement{Links: want})
	same(t, "links", linksOf(t, s, user), want)
	var n int
	must(t, s.writer.QueryRowContext(t.Context(), `SELECT count(*) FROM prefixes`).Scan(&n))
	if n > maxPrefixes {
		t.Errorf("%d prefixes are kept, at most %d should be", n, maxPrefixes)
	}
}

func TestLinkedUsers(t *testing.T) {
	t.Parallel()
	s, _ := withUser(t)
	ctx := t.Context()
	must(t, s.AddConnection(ctx, roster.Connection{Name: "sf2", Kind: "salesforce"}))
	must(t, s.AddOrganization(ctx, roster.Organization{Name: "APAC", CRM: "sf2", Mail: "m365", Access: roster.Application}))
	users := make([]roster.User, 3)
	for i := range users {
		users[i] = person(10 + i)
	}
	users[2].Org = "APAC"
	_, err := s.AddUsers(ctx, users, nil)
	must(t, err)
	all, err := s.Admin().Users(ctx)
	must(t, err)
	for i, u := range all {
		l, other := contact(i, 1, 2), contact(i, 2, 2)
		if i == 1 {
			other.State = reconcile.Ended
		}
		if i == 2 {
			l.State = reconcile.Unlinked
		}
		settle(t, s, u.ID, engine.Settlement{Links: []reconcile.Link{l, other}})
	}
	got, err := s.LinkedUsers(ctx, "sf", record.Contacts, []string{crmID(1), crmID(2), crmID(2), "unknown"})
	must(t, err)
	same(t, "linked users", got, map[string][]int64{
		crmID(1): {all[0].ID, all[1].ID, all[2].ID},
		crmID(2): {all[0].ID, all[2].ID},
	})
}

func TestTombstonesAndExpiredOperationsAreKept30Days(t *testing.T) {
	t.Parallel()
	s, user := withUser(t)
	old, young, unlinked := contact(1, 1, 2), contact(1, 2, 2), contact(1, 3, 2)
	old.State, old.Since = reconcile.Ended, t0
	young.State, young.Since = reconcile.Ended, t0.Add(time.Second)
	unlinked.State, unlinked.Since = reconcile.Unlinked, t0
	must(t, s.Intend(t.Context(), held(t, s, user), record.Contacts, []engine.Intent{
		{Op: op(1), Side: record.Mailbox, Kind: reconcile.Create, CRMID: "c1", Link: old, Created: t0},
		{Op: op(2), Side: record.Mailbox, Kind: reconcile.Create, CRMID: "c2", Link: young, Created: t0},
	}))
	settle(t, s, user, engine.Settlement{Links: []reconcile.Link{old, young, unlinked}, Expired: []record.OpID{op(1)}, Now: t0})
	settle(t, s, user, engine.Settlement{Expired: []record.OpID{op(2)}, Now: t0.Add(time.Second)})

	cycle := func(at time.Time) {
		t.Helper()
		o := engine.Session{UserID: user, Trigger: engine.TriggerSchedule, Started: at}
		id, err := s.OpenSession(t.Context(), held(t, s, o.UserID), o)
		must(t, err)
		o.ID, o.Ended, o.Result = id, at, engine.ResultUnchanged
		must(t, s.CloseSession(t.Context(), held(t, s, o.UserID), engine.Outcome{Session: o}))
	}
	cycle(t0.Add(kept))
	same(t, "links after 30 days", linksOf(t, s, user), []reconcile.Link{old, young, unlinked})
	cycle(t0.Add(kept + 1))
	same(t, "links a moment later", linksOf(t, s, user), []reconcile.Link{young, unlinked})
	ops, err := s.ExpiredOps(t.Context(), user, record.Contacts, []record.OpID{op(3), op(2), op(1), op(2)})
	must(t, err)
	same(t, "expired operations", ops, map[record.OpID]record.Hashes{op(2): young.Mailbox.Base})
}

func TestSettleOfAnUnknownUser(t *testing.T) {
	t.Parallel()
	s, _ := withUser(t)
	wants(t, "nobody", s.Settle(t.Context(), held(t, s, 999), record.Contacts, engine.Settlement{Links: contacts(1, 1)}), engine.ErrLeaseLost)
}

// The planner has been seen to read all of a user's links for each one that was asked
// for. Every statement that runs once per record must search by a whole key.
func TestHotStatementsSearchByKey(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, tt := range []struct {
		name, query string
		want        []string
	}{
		{"links", selectLinks, []string{"SEARCH l USING INDEX links_mailbox (replica_id=?)"}},
		{"links by CRM id", selectLinksByCRM, []string{"SEARCH l USING INDEX links_crm (crm_id=? AND replica_id=?)"}},
		{"links after one", selectLinksAfter, []string{"SEARCH l USING INDEX links_mailbox (replica_id=? AND mailbox_key>?)"}},
		{"links by mailbox id", selectLinksByMailbox, []string{"SEARCH l USING INDEX links_mailbox (replica_id=? AND mailbox_key=?)"}},
		{"count", countLinks, []string{
			"SEARCH links USING COVERING INDEX links_mailbox (replica_id=?)",
			"SEARCH links USING COVERING INDEX links_parted (replica_id=?)",
		}},
		{"linked users", selectLinkedUsers, []string{
			"SEARCH l USING INDEX links_crm (crm_id=?)",
			"SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH u USING INTEGER PRIMARY KEY (rowid=?)",
		}},
		{"delete", deleteLink, []string{"SEARCH links USING INDEX links_crm (crm_id=? AND replica_id=?)"}},
		{"free", freeMailboxIDs, []string{
			"SEARCH links USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH l USING INDEX links_mailbox (replica_id=? AND mailbox_key=?)",
		}},
		{"park", parkMovedLinks, []string{
			"SEARCH links USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH l USING INDEX links_crm (crm_id=? AND replica_id=?)",
		}},
		{"put", putLink, []string{"SEARCH x USING INDEX links_mailbox (replica_id=? AND mailbox_key=?)"}},
		{"forget links", forgetLinks, []string{"SEARCH links USING COVERING INDEX links_parted (replica_id=? AND state=? AND since<?)"}},
		{"forget sessions", forgetSessions, []string{
			"SEARCH sessions USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH sessions USING COVERING INDEX sessions_ended (ended>? AND ended<?)",
		}},
		{"forget idle sessions", forgetIdleSessions, []string{
			"SEARCH sessions USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH sessions USING COVERING INDEX sessions_idle (ended<?)",
		}},
		{"forget issues", forgetIssues, []string{
			"SEARCH issues USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH issues USING COVERING INDEX issues_resolved (session<?)",
		}},
		{"forget operations", forgetOps, []string{"SEARCH expired_ops USING PRIMARY KEY (replica_id=?)"}},
		{"replica", selectReplicaID, []string{"SEARCH replicas USING COVERING INDEX replicas_user (user_id=? AND entity=?)"}},
		{"settled intent", deleteIntent, []string{"SEARCH intents USING INDEX intents_op (replica_id=? AND op=?)"}},
		{"expired operations", selectExpired, []string{"SEARCH e USING PRIMARY KEY (replica_id=? AND op=?)"}},
		{"open issues", selectIssue + ` WHERE i.user_id = ? AND i.entity = ? AND i.state <> 'resolved'`, []string{
			"SEARCH i USING INDEX issues_open (user_id=? AND entity=?)",
		}},
		{"the same item", `SELECT id FROM issues WHERE` + sameItem, []string{
			"SEARCH issues USING INDEX issues_open (user_id=? AND entity=? AND direction=? AND crm_id=? AND mailbox_id=?)",
		}},
		{"members", `SELECT` + userColumns + ` FROM users u WHERE u.id IN (SELECT value FROM json_each(?))`, []string{
			"SEARCH u USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH i USING INDEX issues_open (user_id=?)",
		}},
		{"user by address", `SELECT` + userColumns + ` FROM users u WHERE u.email_key = ?`, []string{
			"SEARCH u USING INDEX users_email (email_key=?)",
		}},
		{"user by mailbox", `SELECT` + userColumns + ` FROM users u WHERE u.mailbox_id = ? AND u.mailbox_id <> ''`, []string{
			"SEARCH u USING INDEX users_mailbox (mailbox_id=?)",
		}},
		{"activities of a user", selectActivity + ` WHERE user = ? COLLATE NOCASE ORDER BY id DESC LIMIT ?`, []string{
			"SEARCH activities USING INDEX activities_user (user=?)",
		}},
		{"sessions of a user", `SELECT` + sessionColumns + ` FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.user_id = ? ORDER BY s.id DESC LIMIT ?`, []string{
			"SEARCH s USING INDEX sessions_user (user_id=?)",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := explain(t, s, tt.query)
			for _, w := range tt.want {
				if !slices.Contains(plan, w) {
					t.Errorf("missing %q in the plan:\n%s", w, strings.Join(plan, "\n"))
				}
			}
			for _, step := range plan {
				if strings.HasPrefix(step, "SCAN") && !strings.HasPrefix(step, "SCAN j VIRTUAL TABLE") &&
					!strings.HasPrefix(step, "SCAN json_each VIRTUAL TABLE") && step != "SCAN CONSTANT ROW" {
					t.Errorf("reads a whole table: %s", step)
				}
				if strings.Contains(step, "TEMP B-TREE") && tt.name != "linked users" {
					t.Errorf("sorts: %s", step)
				}
			}
		})
	}
}

func explain(t *testing.T, s *Store, query string) (plan []string) {
	t.Helper()
	// Parameters are left unbound: the plan must hold whatever they are.
	args := make([]any, 0, 8)
	for i := range 8 {
		if strings.Contains(query, fmt.Sprintf("?%d", i+1)) {
			args = append(args, nil)
		}
	}
	if len(args) == 0 {
		args = make([]any, strings.Count(query, "?"))
	}
	rows, err := s.writer.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		must(t, rows.Scan(&id, &parent, &unused, &detail))
		plan = append(plan, detail)
	}
	must(t, rows.Err())
	return plan
}

// All linked links come by, each once in a round, and the next round begins anew.
func TestLinksAfterGoesRound(t *testing.T) {
	t.Parallel()
	s, u := withUser(t)
	ls := contacts(1, 25)
	ls[7].State = reconcile.Ended
	settle(t, s, u, engine.Settlement{Links: ls})
	for range 2 {
		seen := map[string]int{}
		for after, calls := "", 0; ; calls++ {
			got, next, err := s.LinksAfter(t.Context(), u, record.Contacts, after, 10)
			must(t, err)
			for _, l := range got {
				seen[l.CRM.ID]++
			}
			if after = next; next == "" {
				break
			}
			if calls > 3 {
				t.Fatal("it never ends")
			}
		}
		if len(seen) != 24 || seen[ls[7].CRM.ID] != 0 {
			t.Errorf("%d links came by", len(seen))
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("link %s came by %d times", id, n)
			}
		}
	}
	if _, _, err := s.LinksAfter(t.Context(), u, record.Contacts, "nowhere", 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("a place that is none: %v", err)
	}
}
