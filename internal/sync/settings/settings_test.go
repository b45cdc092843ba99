package settings_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ key, text, want, problem string }{
		{"contacts.enabled", "true", "true", ""},
		{"contacts.enabled", " false ", "false", ""},
		{"contacts.enabled", "yes", "", `it is true or false`},
		{"contacts.direction", "to-crm", "to-crm", ""},
		{"contacts.direction", "crm", "", "it is both, to-mailbox or to-crm"},
		{"contacts.create_in_crm", "", "", "true or false"},
		{"contacts.initial_limit", "007", "7", ""},
		{"contacts.initial_limit", "1000000", "1000000", ""},
		{"contacts.initial_limit", "1000001", "", "from 1 to 1000000"},
		{"contacts.initial_limit", "0", "", "from 1 to 1000000"},
		{"contacts.initial_limit", "-1", "", "from 1 to 1000000"},
		{"contacts.initial_limit", "ten", "", "from 1 to 1000000"},
		{"contacts.conflict", "newest", "newest", ""},
		{"contacts.conflict", "Newest", "", "crm, mailbox, newest or hold"},
		{"contacts.conflict.notes", "hold", "hold", ""},
		{"contacts.conflict.note", "hold", "", "no field \"note\"; the fields are salutation, given_name"},
		{"contacts.deletes.from_mailbox", "propagate", "propagate", ""},
		{"contacts.deletes.from_mailbox", "delete", "", "unlink, propagate or recreate"},
		{"contacts.guard", "10 5% 250", "10 5% 250", ""},
		{"contacts.guard", "10,2.50%,250", "10 2.5% 250", ""},
		{"contacts.guard", "0 0% 0", "0 0% 0", ""},
		{"contacts.guard", "10 5 250", "", "a floor, a percentage and a ceiling"},
		{"contacts.guard", "10 101% 250", "", "a floor, a percentage and a ceiling"},
		{"contacts.guard", "10 NaN% 250", "", "a floor, a percentage and a ceiling"},
		{"contacts.guard", "-1 5% 250", "", "a floor, a percentage and a ceiling"},
		{"contacts.guard", "10 5% -1", "", "a floor, a percentage and a ceiling"},
		{"contacts.guard", "10 5%", "", "a floor, a percentage and a ceiling"},
		{"events.enabled", "true", "", "events are not synchronized yet"},
		{"emails.exclude", "x", "", "emails are not synchronized yet"},
		{"contacts.scope", "all", "", `there is no setting "contacts.scope"`},
		{"names.folder", "x", "", `there is no setting "names.folder"`},
		{"", "x", "", `there is no setting ""`},
	} {
		got, err := settings.Parse(x.key, x.text)
		switch {
		case x.problem == "" && (err != nil || got != x.want):
			t.Errorf("%s %q: %q, %v", x.key, x.text, got, err)
		case x.problem != "" && (err == nil || !strings.Contains(err.Error(), x.problem)):
			t.Errorf("%s %q: %q, error %v", x.key, x.text, got, err)
		}
	}
}

// What is built in is allowed, in the form in which it would be kept.
func TestBuiltInValues(t *testing.T) {
	t.Parallel()
	for _, k := range settings.Keys() {
		if k.Inherits != "" {
			if _, err := settings.Find(k.Inherits); err != nil || k.BuiltIn != "" {
				t.Errorf("%s inherits %q, built in %q: %v", k.Name, k.Inherits, k.BuiltIn, err)
			}
			continue
		}
		if got, err := settings.Parse(k.Name, k.BuiltIn); err != nil || got != k.BuiltIn {
			t.Errorf("%s: %q, %v", k.Name, got, err)
		}
	}
	got, err := settings.NewBook(nil).For(1, "EMEA").Rules(record.Contacts)
	want := settings.Rules{
		Enabled: true, Direction: mapping.Both, InitialLimit: 10_000, DeletesFromMailbox: reconcile.Unlink,
		Guard: reconcile.Limits{Floor: 10, Percent: 5, Ceiling: 250}, Conflict: reconcile.CRMWins,
		Fields: map[record.Field]reconcile.Winner{},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

// The narrowest level counts; a field inherits from the entity unless it is set itself.
func TestLevels(t *testing.T) {
	t.Parallel()
	const conflict, notes = "contacts.conflict", "contacts.conflict.notes"
	all := func(key, v string) settings.Setting {
		return settings.Setting{Level: settings.All, Key: key, Value: v}
	}
	org := func(key, v string) settings.Setting {
		return settings.Setting{Level: settings.Org, Subject: "EMEA", Key: key, Value: v}
	}
	user := func(key, v string) settings.Setting {
		return settings.Setting{Level: settings.User, Subject: "7", Key: key, Value: v}
	}
	origin := func(l settings.Level, subject, key string) settings.Origin {
		return settings.Origin{Level: l, Subject: subject, Key: key}
	}
	for _, x := range []struct {
		name string
		set  []settings.Setting
		key  string
		want settings.Value
	}{
		{"built in", nil, conflict, settings.Value{Text: "crm", Origin: origin(settings.BuiltIn, "", conflict)}},
		{"all", []settings.Setting{all(conflict, "hold")}, conflict, settings.Value{Text: "hold", Origin: origin(settings.All, "", conflict)}},
		{"organization", []settings.Setting{all(conflict, "hold"), org(conflict, "newest")}, conflict,
			settings.Value{Text: "newest", Origin: origin(settings.Org, "EMEA", conflict)}},
		{"user", []settings.Setting{user(conflict, "mailbox"), all(conflict, "hold"), org(conflict, "newest")}, conflict,
			settings.Value{Text: "mailbox", Origin: origin(settings.User, "7", conflict)}},
		{"another user's and organization's", []settings.Setting{
			{Level: settings.User, Subject: "8", Key: conflict, Value: "hold"}, {Level: settings.Org, Subject: "APAC", Key: conflict, Value: "hold"},
			{Level: settings.User, Subject: "EMEA", Key: conflict, Value: "hold"}, {Level: settings.Org, Subject: "7", Key: conflict, Value: "hold"},
		}, conflict, settings.Value{Text: "crm", Origin: origin(settings.BuiltIn, "", conflict)}},
		{"a field inherits", []settings.Setting{user(conflict, "mailbox")}, notes, settings.Value{Text: "mailbox", Origin: origin(settings.User, "7", conflict)}},
		{"a field's own value, however wide, stands", []settings.Setting{user(conflict, "mailbox"), all(notes, "hold")}, notes,
			settings.Value{Text: "hold", Origin: origin(settings.All, "", notes)}},
		{"another field's", []settings.Setting{all("contacts.conflict.website", "hold")}, notes, settings.Value{Text: "crm", Origin: origin(settings.BuiltIn, "", conflict)}},
	} {
		k, err := settings.Find(x.key)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(x.want, settings.NewBook(x.set).For(7, "EMEA").Get(k)); d != "" {
			t.Errorf("%s:\n%s", x.name, d)
		}
	}
	v := settings.NewBook([]settings.Setting{all(conflict, "hold"), org(conflict, "newest")})
	k, _ := settings.Find(conflict)
	if got := v.ForOrg("EMEA").Get(k).Text; got != "newest" {
		t.Errorf("of the organization: %s", got)
	}
	if got := v.ForOrg("").Get(k).Text; got != "hold" {
		t.Errorf("of everybody: %s", got)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	var set []settings.Setting
	for key, value := range map[string]string{
		"contacts.enabled": "false", "contacts.direction": "to-crm", "contacts.create_in_crm": "true", "contacts.initial_limit": "3",
		"contacts.deletes.from_mailbox": "recreate", "contacts.guard": "1 2.5% 3", "contacts.conflict": "newest",
		"contacts.conflict.notes": "hold",
	} {
		set = append(set, settings.Setting{Level: settings.All, Key: key, Value: value})
	}
	got, err := settings.NewBook(set).For(1, "").Rules(record.Contacts)
	want := settings.Rules{
		Direction: mapping.ToCRM, CreateInCRM: true, InitialLimit: 3, DeletesFromMailbox: reconcile.Recreate,
		Guard: reconcile.Limits{Floor: 1, Percent: 2.5, Ceiling: 3}, Conflict: reconcile.NewestWins,
		Fields: map[record.Field]reconcile.Winner{record.Notes: reconcile.Hold},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	for _, k := range settings.Keys() {
		bad := []settings.Setting{{Level: settings.User, Subject: "1", Key: k.Name, Value: "rubbish"}}
		if _, err := settings.NewBook(bad).For(1, "").Rules(record.Contacts); err == nil || !strings.Contains(err.Error(), k.Name) {
			t.Errorf("%s: rubbish gives %v", k.Name, err)
		}
		if _, err := settings.NewBook(bad).For(2, "").Rules(record.Contacts); err != nil {
			t.Errorf("%s: another user's rubbish gives %v", k.Name, err)
		}
	}
}
