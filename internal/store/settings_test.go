package store

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	office(t, s)
	u := staff(t, s, 2)
	want := []settings.Setting{
		{Level: settings.All, Key: "contacts.conflict", Value: "hold"},
		{Level: settings.Org, Subject: "EMEA", Key: "contacts.conflict", Value: "newest"},
		{Level: settings.User, Subject: settings.UserSubject(u[0].ID), Key: "contacts.conflict", Value: "mailbox"},
		{Level: settings.All, Key: "contacts.enabled", Value: "false"},
	}
	must(t, s.SetSettings(ctx, want, engine.Activity{Type: "settings.changed"}))
	got := func() []settings.Setting {
		t.Helper()
		all, err := s.Settings(ctx)
		must(t, err)
		return all
	}
	same(t, "stored", got(), want)
	want[1].Value = "crm"
	must(t, s.SetSettings(ctx, want[1:2]))
	same(t, "stored again", got(), want)
	must(t, s.UnsetSettings(ctx, []settings.Setting{{Level: settings.All, Key: "contacts.conflict"}}, engine.Activity{Type: "settings.changed"}))
	must(t, s.UnsetSettings(ctx, []settings.Setting{{Level: settings.All, Key: "contacts.conflict"}}))
	same(t, "one removed", got(), want[1:])
	lines, err := s.Activities(ctx, "", 0)
	must(t, err)
	if len(lines) != 2 {
		t.Errorf("the audit has %d lines", len(lines))
	}
	must(t, s.DeleteUser(ctx, held(t, s, u[0].ID)))
	same(t, "a user's settings go with him", got(), []settings.Setting{want[1], want[3]})
	for _, bad := range []settings.Setting{
		{Level: settings.All, Subject: "x", Key: "k", Value: "v"}, {Level: settings.Org, Key: "k", Value: "v"},
		{Level: "nobody", Subject: "x", Key: "k", Value: "v"}, {Level: settings.All, Value: "v"},
	} {
		if err := s.SetSettings(ctx, []settings.Setting{bad}); err == nil {
			t.Errorf("%+v was stored", bad)
		}
	}
}

// What a version 1 allowed an organization is its setting afterwards.
func TestCreateInCRMBecomesASetting(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(released, "v1.db"))
	must(t, err)
	path := filepath.Join(t.TempDir(), "state.db")
	must(t, os.WriteFile(path, b, 0o600))
	db, err := sql.Open("sqlite", path)
	must(t, err)
	for _, q := range []string{
		`UPDATE organizations SET create_in_crm = 0`,
		`INSERT INTO organizations SELECT 'allowed', crm, mail, access, enabled, 0, region, 1 FROM organizations LIMIT 1`,
	} {
		_, err = db.ExecContext(t.Context(), q)
		must(t, err)
	}
	must(t, db.Close())
	s := openAt(t, path)
	got, err := s.Settings(t.Context())
	must(t, err)
	same(t, "settings", got, []settings.Setting{{Level: settings.Org, Subject: "allowed", Key: "contacts.create_in_crm", Value: "true"}})
}

// A record that is decided anew loses what was on hold of it, and nothing else.
func TestDecidedConflicts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	office(t, s)
	u := staff(t, s, 2)
	conflict := func(crmID string, f record.Field, w record.Side) reconcile.Conflict {
		return reconcile.Conflict{CRMID: crmID, MailboxID: "m", Field: f, Winner: w, Lost: record.Value{"a"}, Kept: record.Value{"b"}}
	}
	settle := func(user int64, set engine.Settlement) {
		t.Helper()
		must(t, s.Settle(ctx, held(t, s, user), record.Contacts, set))
	}
	settle(u[0].ID, engine.Settlement{Conflicts: []reconcile.Conflict{
		conflict("c1", record.Notes, ""), conflict("c1", record.Website, record.CRM), conflict("c2", record.Notes, ""),
	}})
	settle(u[1].ID, engine.Settlement{Conflicts: []reconcile.Conflict{conflict("c1", record.Notes, "")}})
	settle(u[0].ID, engine.Settlement{Decided: []string{"c1"}, Conflicts: []reconcile.Conflict{conflict("c1", record.JobTitle, "")}})
	all, err := s.Conflicts(ctx, 0)
	must(t, err)
	var got []string
	for _, c := range all {
		got = append(got, c.User+" "+c.CRMID+" "+string(c.Field)+" "+string(c.Winner))
	}
	same(t, "conflicts", got, []string{
		u[0].Email + " c1 job_title ", u[1].Email + " c1 notes ", u[0].Email + " c2 notes ", u[0].Email + " c1 website crm",
	})
}
