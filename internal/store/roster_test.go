package store

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

func wants(tb testing.TB, what string, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	full := roster.Connection{
		Name: "sf", Kind: "salesforce", Endpoint: "https://acme.my.salesforce.com", TokenEndpoint: "https://login", Auth: "jwt",
		Tenant: "t", ClientID: "c", Username: "u", Secret: "env:A", Token: "keyring:B", Certificate: "file:C", StampField: "S__c", AppID: "app",
	}
	must(t, s.AddConnection(ctx, full))
	must(t, s.AddConnection(ctx, roster.Connection{Name: "a", Kind: "graph"}))
	wants(t, "the same name", s.AddConnection(ctx, roster.Connection{Name: "sf", Kind: "graph"}), admin.ErrExists)
	got, err := s.Connections(ctx)
	must(t, err)
	same(t, "connections", got, []roster.Connection{{Name: "a", Kind: "graph"}, full})

	full.Endpoint, full.Secret = "", "cmd:pass sf"
	must(t, s.UpdateConnection(ctx, full))
	one, err := s.Connection(ctx, "sf")
	must(t, err)
	same(t, "updated", one, full)
	wants(t, "update of none", s.UpdateConnection(ctx, roster.Connection{Name: "no", Kind: "graph"}), admin.ErrNotFound)

	must(t, s.AddOrganization(ctx, roster.Organization{Name: "o", CRM: "sf", Mail: "a", Access: roster.Application}))
	must(t, s.MoveSharedCursor(ctx, "sf", record.Contacts, "", "c", nil))
	wants(t, "remove a CRM in use", s.RemoveConnection(ctx, "sf"), admin.ErrInUse)
	wants(t, "remove a mail system in use", s.RemoveConnection(ctx, "a"), admin.ErrInUse)
	wants(t, "remove none", s.RemoveConnection(ctx, "no"), admin.ErrNotFound)
	must(t, s.AddConnection(ctx, roster.Connection{Name: "z", Kind: "graph"}))
	must(t, s.RemoveConnection(ctx, "z"))
	_, err = s.Connection(ctx, "z")
	wants(t, "a removed one", err, admin.ErrNotFound)
}

// A secret in clear must not get into the state even if nobody else refuses it.
func TestASecretInClearIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, c := range []roster.Connection{
		{Name: "a", Kind: "graph", Secret: "hunter2"},
		{Name: "b", Kind: "graph", Token: "00D:secret"},
		{Name: "c", Kind: "graph", Certificate: "-----BEGIN PRIVATE KEY-----"},
	} {
		if err := s.AddConnection(t.Context(), c); err == nil {
			t.Errorf("connection %s was stored", c.Name)
		}
	}
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	_, err := s.Organization(ctx, "")
	wants(t, "no default", err, admin.ErrNotFound)
	office(t, s)
	apac := roster.Organization{Name: "APAC", CRM: "sf", Mail: "m365", Access: roster.Delegated, Region: "SG"}
	must(t, s.AddOrganization(ctx, apac))
	wants(t, "the same name", s.AddOrganization(ctx, apac), admin.ErrExists)
	wants(t, "no such connection", s.AddOrganization(ctx, roster.Organization{Name: "x", CRM: "no", Mail: "m365", Access: roster.Delegated}), admin.ErrNotFound)

	def := func(want string) {
		t.Helper()
		o, err := s.Organization(ctx, "")
		must(t, err)
		all, err := s.Organizations(ctx)
		must(t, err)
		n := 0
		for _, o := range all {
			if o.Default {
				n++
			}
		}
		if o.Name != want || n != 1 {
			t.Errorf("default is %s and there are %d, want %s alone", o.Name, n, want)
		}
	}
	def("EMEA")
	got, err := s.Organization(ctx, "APAC")
	must(t, err)
	same(t, "stored", got, apac)

	apac.Default, apac.Enabled, apac.Region = true, true, ""
	must(t, s.UpdateOrganization(ctx, apac))
	def("APAC")
	apac.Default = false
	must(t, s.UpdateOrganization(ctx, apac))
	def("APAC")
	must(t, s.AddOrganization(ctx, roster.Organization{Name: "US", CRM: "sf", Mail: "m365", Access: roster.Application, Default: true}))
	def("US")
	wants(t, "update of none", s.UpdateOrganization(ctx, roster.Organization{Name: "no", CRM: "sf", Mail: "m365", Access: roster.Application, Default: true}), admin.ErrNotFound)
	def("US")
}

func TestAddUsers(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	must(t, s.AddConnection(ctx, roster.Connection{Name: "m2", Kind: "graph"}))
	must(t, s.AddOrganization(ctx, roster.Organization{Name: "US", CRM: "sf", Mail: "m2", Access: roster.Application}))
	users := []roster.User{
		{Email: "Ann@Example.com", Name: "Ann", CRMUser: "c1", MailboxID: "m1", Plan: "gold", Sync: roster.Enabled, NextDue: t0},
		{Email: "ann@example.COM", MailboxID: "m2"},
		{Email: "ÉVA@example.com"},
		{Email: "éva@example.com"},
		{Email: "bob@example.com", MailboxID: "m1"},
		{Email: "cid@example.com", Org: "no"},
		{Email: "dan@example.com", MailboxID: "m1", Org: "US"}, // another tenant's mailbox
		{Email: "eve@example.com"},
	}
	lines := make([]engine.Activity, len(users))
	for i, u := range users {
		lines[i] = engine.Activity{Time: t0, Actor: "root", Type: "user.added", User: u.Email}
	}
	got, err := s.AddUsers(ctx, users, lines)
	must(t, err)
	for i, want := range []error{nil, admin.ErrExists, nil, admin.ErrExists, admin.ErrExists, admin.ErrNotFound, nil, nil} {
		wants(t, users[i].Email, got[i], want)
	}
	all, err := s.Admin().Users(ctx)
	must(t, err)
	if len(all) != 4 || all[0].Email != "Ann@Example.com" || all[3].Email != "ÉVA@example.com" {
		t.Fatalf("users are %v", all)
	}
	same(t, "the first", all[0], roster.User{
		ID: all[0].ID, Email: "Ann@Example.com", Name: "Ann", Org: "EMEA", CRMUser: "c1", MailboxID: "m1", Plan: "gold",
		Sync: roster.Disabled, Mailbox: roster.NotInitialized, AddIn: roster.AddInUnknown, NextDue: t0,
	})
	said, err := s.Activities(ctx, "", 0)
	must(t, err)
	var who []string
	for _, a := range said {
		who = append(who, a.User)
	}
	same(t, "the audit names who was added, newest first", who,
		[]string{"eve@example.com", "dan@example.com", "ÉVA@example.com", "Ann@Example.com"})
}

func TestFindUser(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	_, err := s.AddUsers(ctx, []roster.User{
		{Email: "Ann@Example.com", CRMUser: "c1", MailboxID: "m1"},
		{Email: "bob@example.com", CRMUser: "c2", MailboxID: "m2"},
		{Email: "cid@example.com", CRMUser: "c2"},
		{Email: "dan@example.com"},
	}, nil)
	must(t, err)
	for key, want := range map[string]string{"ANN@example.com": "Ann@Example.com", "m1": "Ann@Example.com", "c1": "Ann@Example.com", "m2": "bob@example.com"} {
		if u, err := s.FindUser(ctx, key); err != nil || u.Email != want {
			t.Errorf("%s: %q, %v", key, u.Email, err)
		}
	}
	for _, key := range []string{"", "no", "C1", "c2" /* of two users */} {
		u, err := s.FindUser(ctx, key)
		wants(t, key, err, admin.ErrNotFound)
		same(t, key, u, roster.User{})
	}
}

func TestUpdateUsers(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	must(t, s.AddOrganization(ctx, roster.Organization{Name: "US", CRM: "sf", Mail: "m365", Access: roster.Application}))
	u := staff(t, s, 2)
	id, err := s.OpenSession(ctx, held(t, s, u[0].ID), engine.Session{UserID: u[0].ID, Trigger: engine.TriggerForce, Started: t0})
	must(t, err)
	must(t, s.CloseSession(ctx, held(t, s, u[0].ID), engine.Outcome{
		Session: engine.Session{ID: id, UserID: u[0].ID, Ended: t0, Result: engine.ResultDone},
		Success: true, PressureSince: t0,
	}))
	want := roster.User{
		ID: u[0].ID, Email: "New@example.com", Name: "New", Org: "US", Plan: "p", CRMUser: "c", MailboxID: "m",
		Sync: roster.Suspended, Cause: roster.CauseOther, Reason: "why", Locked: true, Mailbox: roster.Resetting,
		AddIn: roster.AddInFailed, AddInRead: t0.Add(1), NextDue: t0.Add(2), ForcedAt: t0.Add(3), Queued: true, Failures: 4,
	}
	must(t, s.UpdateUsers(ctx, []roster.User{want}, []engine.Activity{{Type: "org.changed", User: want.Email}}))
	want.LastStart, want.LastSuccess, want.PressureSince = t0, t0, t0 // the engine's, and not touched
	got, err := s.FindUser(ctx, "new@EXAMPLE.com")
	must(t, err)
	same(t, "updated", got, want)

	taken := u[1]
	taken.Email = "NEW@example.com"
	before := u[1]
	before.Name = "must not be stored"
	wants(t, "an address twice", s.UpdateUsers(ctx, []roster.User{before, taken}, nil), admin.ErrExists)
	taken = u[1]
	taken.MailboxID = "m"
	wants(t, "a mailbox twice", s.UpdateUsers(ctx, []roster.User{taken}, nil), admin.ErrExists)
	wants(t, "no organization", s.UpdateUsers(ctx, []roster.User{{ID: u[1].ID, Email: "x", Org: "no", Sync: roster.Disabled}}, nil), admin.ErrNotFound)
	wants(t, "no user", s.UpdateUsers(ctx, []roster.User{{ID: 999, Email: "x", Org: "US", Sync: roster.Disabled}}, nil), admin.ErrNotFound)
	for name, sync := range map[string]roster.User{
		"a suspension without a cause": {Sync: roster.Suspended},
		"a cause without a suspension": {Sync: roster.Enabled, Cause: roster.CauseOther},
		"an unknown state":             {Sync: "paused"},
	} {
		bad := u[1]
		bad.Sync, bad.Cause = sync.Sync, sync.Cause
		if err := s.UpdateUsers(ctx, []roster.User{bad}, nil); err == nil {
			t.Errorf("%s was stored", name)
		}
	}
	got, err = s.FindUser(ctx, u[1].Email)
	must(t, err)
	same(t, "the other user", got, u[1])
}

// The mail connection of an organization is part of what makes a mailbox one user's.
func TestMailboxesStayUniqueWhenAnOrganizationMoves(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	must(t, s.AddConnection(ctx, roster.Connection{Name: "m2", Kind: "graph"}))
	us := roster.Organization{Name: "US", CRM: "sf", Mail: "m2", Access: roster.Application}
	must(t, s.AddOrganization(ctx, us))
	results, err := s.AddUsers(ctx, []roster.User{{Email: "a", MailboxID: "m"}, {Email: "b", MailboxID: "m", Org: "US"}}, nil)
	must(t, errors.Join(append(results, err)...))
	us.Mail = "m365"
	wants(t, "two users of one mailbox", s.UpdateOrganization(ctx, us), admin.ErrExists)
	must(t, s.DeleteUser(ctx, held(t, s, mustFind(t, s, "a").ID)))
	must(t, s.UpdateOrganization(ctx, us))
	results, err = s.AddUsers(ctx, []roster.User{{Email: "a", MailboxID: "m"}}, nil)
	must(t, err)
	wants(t, "the mailbox of a user who moved along", results[0], admin.ErrExists)
	must(t, s.Check(ctx))
}

func mustFind(tb testing.TB, s *Store, key string) roster.User {
	tb.Helper()
	u, err := s.FindUser(tb.Context(), key)
	must(tb, err)
	return u
}

func TestMembersComeInTheOrderTheyHaveWaited(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	u := staff(t, s, 4)
	u[0].NextDue, u[1].NextDue, u[3].NextDue = t0.Add(time.Hour), t0, t0
	must(t, s.UpdateUsers(ctx, u, nil))
	order := func(ids ...int64) (out []int64) {
		t.Helper()
		ms, err := s.Users(ctx, ids)
		must(t, err)
		for _, m := range ms {
			out = append(out, m.User.ID)
			if m.Org.Name != "EMEA" || m.Org.CRM != "sf" {
				t.Errorf("organization is %+v", m.Org)
			}
		}
		return out
	}
	same(t, "all", order(), []int64{u[2].ID, u[1].ID, u[3].ID, u[0].ID})
	same(t, "some", order(u[0].ID, 999, u[3].ID), []int64{u[3].ID, u[0].ID})
}

// everything stores something of every kind for a user.
func everything(t *testing.T, s *Store, u roster.User) {
	t.Helper()
	ctx := t.Context()
	id, err := s.OpenSession(ctx, held(t, s, u.ID), engine.Session{UserID: u.ID, Trigger: engine.TriggerSchedule, Started: t0})
	must(t, err)
	must(t, s.UpdateHealth(ctx, "sf", func(h engine.Health) (engine.Health, []engine.Activity) {
		h.Code, h.Since = "CS1", t0
		return h, nil
	}))
	must(t, s.Intend(ctx, held(t, s, u.ID), record.Contacts, []engine.Intent{
		{
			Op: op(1), Side: record.Mailbox, Kind: reconcile.Create, CRMID: "c1", Created: t0,
			Session: id, Image: &reconcile.Image{Op: op(1), Time: t0, Side: record.Mailbox, Kind: reconcile.Create, CRMID: "c1", Label: "Ann"},
		},
		{Op: op(2), Side: record.Mailbox, Kind: reconcile.Create, CRMID: "c2", Created: t0},
	}))
	settle(t, s, u.ID, engine.Settlement{
		Links: contacts(1, 3), Expired: []record.OpID{op(2)},
		Issues:    []engine.Issue{{IssueKey: engine.IssueKey{Direction: engine.ToCRM, CRMID: "c1"}, Code: "CS1", State: engine.IssueOpen}},
		Conflicts: []reconcile.Conflict{{CRMID: "c1", Field: record.Notes, Winner: record.CRM, Lost: record.Text("x")}},
		Replica:   &engine.Replica{Container: remote.Container{ID: "folder"}, FirstDone: true},
		Session:   id, Now: t0,
		Activities: []engine.Activity{{Time: t0, Actor: "engine", Type: "x", User: u.Email}},
	})
	_, err = s.writer.ExecContext(ctx, `
		INSERT INTO held (user_id, entity, side, crm_id, mailbox_id, label, reason, held_by, since, session)
		VALUES (?, 'contacts', 'crm', 'c1', 'm1', x'', 'deleted in the mailbox', 'user', 1, ?)`, u.ID, id)
	must(t, err)
	_, err = s.writer.ExecContext(ctx, `INSERT INTO settings VALUES ('user', ?, 'contacts.conflict', 'newest')`, u.ID)
	must(t, err)
}

// rows counts the rows of every table.
func rows(t *testing.T, s *Store) map[string]int {
	t.Helper()
	tables := slices.DeleteFunc(slices.Collect(maps.Keys(schema(t, s))), func(n string) bool { return !strings.HasPrefix(n, "table ") })
	out := map[string]int{}
	for _, n := range tables {
		n = strings.TrimPrefix(n, "table ")
		var c int
		must(t, s.writer.QueryRowContext(t.Context(), `SELECT count(*) FROM `+n).Scan(&c))
		out[n] = c
	}
	return out
}

func TestDeleteUserLeavesTheAuditAndTheOthers(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	u := staff(t, s, 2)
	everything(t, s, u[0])
	before := rows(t, s)
	for table, n := range before {
		if n == 0 && table != "shared_cursors" && table != "orphans" {
			t.Errorf("the test stores nothing in %s", table)
		}
	}
	everything(t, s, u[1])
	must(t, s.DeleteUser(t.Context(), held(t, s, u[1].ID), engine.Activity{Type: "user.removed", User: u[1].Email}))
	before["activities"] += 2
	before["users"]--
	same(t, "rows after the delete", rows(t, s), before)
	wants(t, "twice", s.DeleteUser(t.Context(), held(t, s, u[1].ID)), engine.ErrLeaseLost)
	if n := len(linksOf(t, s, u[0].ID)); n != 3 {
		t.Errorf("the other user has %d links left", n)
	}
	must(t, s.Check(t.Context()))

	// His number is not given to the next one, who would inherit what ran for him.
	_, err := s.AddUsers(t.Context(), []roster.User{person(9)}, nil)
	must(t, err)
	if next := mustFind(t, s, person(9).Email); next.ID <= u[1].ID {
		t.Errorf("number %d was given again after %d", next.ID, u[1].ID)
	}
}

func TestForgetMailbox(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	office(t, s)
	ctx := t.Context()
	u := staff(t, s, 2)
	everything(t, s, u[0])
	everything(t, s, u[1])
	if d, err := s.HeldDeletes(ctx, u[0].ID); len(d) != 1 || err != nil {
		t.Errorf("%d deletes are held, %v", len(d), err)
	}
	must(t, s.ForgetMailbox(ctx, held(t, s, u[0].ID), roster.NotInitialized, engine.Activity{Type: "mailbox.reset", User: u[0].Email}))
	if ls := linksOf(t, s, u[0].ID); len(ls) != 0 {
		t.Errorf("links are left: %v", ls)
	}
	intents, err := s.Intents(ctx, u[0].ID, record.Contacts)
	if len(intents) != 0 || err != nil {
		t.Errorf("intents are left: %v, %v", intents, err)
	}
	r, err := s.Replica(ctx, u[0].ID, record.Contacts)
	must(t, err)
	same(t, "replica", r, engine.Replica{})
	issues, err := s.Issues(ctx, u[0].ID, true)
	if len(issues) != 0 || err != nil {
		t.Errorf("issues are left: %v, %v", issues, err)
	}
	if d, err := s.HeldDeletes(ctx, u[0].ID); len(d) != 0 || err != nil {
		t.Errorf("%d deletes are still held, %v", len(d), err)
	}
	sessions, err := s.Sessions(ctx, u[0].ID, 0)
	if len(sessions) != 1 || err != nil {
		t.Errorf("sessions: %v, %v", sessions, err)
	}
	if m := mustFind(t, s, u[0].Email).Mailbox; m != roster.NotInitialized {
		t.Errorf("mailbox is %s", m)
	}
	if n := len(linksOf(t, s, u[1].ID)); n != 3 {
		t.Errorf("the other user has %d links left", n)
	}
	wants(t, "nobody", s.ForgetMailbox(ctx, held(t, s, 999), roster.Resetting), engine.ErrLeaseLost)
	must(t, s.MarkMailbox(ctx, held(t, s, u[0].ID), roster.Resetting))
	if m := mustFind(t, s, u[0].Email).Mailbox; m != roster.Resetting {
		t.Errorf("mailbox is %s", m)
	}
	wants(t, "nobody", s.MarkMailbox(ctx, held(t, s, 999), roster.Resetting), engine.ErrLeaseLost)
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	o := admin.Orphan{Email: "Ann@example.com", MailboxID: "m", Org: "EMEA", Items: map[record.Entity][]string{record.Contacts: {"a", "b"}}, Deleted: t0}
	must(t, s.KeepOrphan(ctx, o))
	o.Items[record.Contacts] = []string{"c"}
	must(t, s.KeepOrphan(ctx, o))
	got, err := s.Orphan(ctx, "ann@EXAMPLE.com")
	must(t, err)
	same(t, "orphan", got, o)
	must(t, s.ForgetOrphan(ctx, "ANN@example.com"))
	must(t, s.ForgetOrphan(ctx, "ANN@example.com"))
	_, err = s.Orphan(ctx, o.Email)
	wants(t, "a forgotten one", err, admin.ErrNotFound)
}
