package commands

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// staffed is a house with the organization EMEA and ann and bob in it.
func staffed(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.run(exitOK, "connection", "add", "sf", "--kind", "salesforce", "--endpoint", "https://acme.my.salesforce.com", "--client-id", "app", "--secret", "env:SF")
	h.run(exitOK, "connection", "add", "m365", "--kind", "graph", "--tenant", "contoso.example", "--client-id", "app", "--secret", "env:SF")
	h.run(exitOK, "org", "add", "EMEA", "--crm", "sf", "--mail", "m365")
	h.run(exitOK, "users", "import", "--from", "directory")
	return h
}

func TestSettingsCommands(t *testing.T) {
	t.Parallel()
	h := staffed(t)
	const head = "user\torg\tlevel\tresult\tcode\tmessage\n"
	h.prints(head+"\t\tall\tdone\t\tnot set → hold\n", "settings", "set", "contacts.conflict", "hold")
	out, errs := h.run(exitPartial, "settings", "set", "contacts.conflict", "newest", "--org", "EMEA", "--org", "APAC")
	if want := head + "\tEMEA\torg\tdone\t\tnot set → newest\n\tAPAC\torg\tfailed\tCS3004\tthere is no organization \"APAC\": crmsync org list\n"; out != want {
		t.Error(out)
	}
	if !strings.Contains(errs, "takes effect at the next cycle") {
		t.Error(errs)
	}
	h.prints(head+"ann@example.com\t\tuser\tdone\t\tnot set → crm\nbob@example.com\t\tuser\tdone\t\tnot set → crm\n",
		"settings", "set", "contacts.conflict", "crm", "--all")
	h.prints(head+"ann@example.com\t\tuser\tunchanged\t\tis crm already\n", "settings", "set", "contacts.conflict", "crm", "ann@example.com")
	h.prints(head+"ann@example.com\t\tuser\tdone\t\tcrm → not set\n", "settings", "unset", "contacts.conflict", "ann@example.com")
}

// What is shown is what counts, from the narrowest level that has a value.
func TestSettingsShow(t *testing.T) {
	t.Parallel()
	h := staffed(t)
	h.run(exitOK, "settings", "set", "contacts.conflict", "hold")
	h.run(exitOK, "settings", "set", "contacts.conflict", "newest", "--org", "EMEA")
	h.run(exitOK, "settings", "set", "contacts.conflict.notes", "mailbox", "ann@example.com")
	fields := []string{"-o", "tsv", "--fields", "user,org,key,value,origin"}
	show := func(want string, args ...string) {
		t.Helper()
		h.prints("user\torg\tkey\tvalue\torigin\n"+want, append(append([]string{"settings", "show"}, args...), fields...)...)
	}
	show("\t\tcontacts.conflict\thold\tall\n", "contacts.conflict")
	show("\tEMEA\tcontacts.conflict\tnewest\torg EMEA\n", "contacts.conflict", "--org", "EMEA")
	show("ann@example.com\t\tcontacts.conflict.notes\tmailbox\tuser ann@example.com\nbob@example.com\t\tcontacts.conflict.notes\tnewest\torg EMEA, by contacts.conflict\n",
		"contacts.conflict.notes", "--all")
	show("\t\tcontacts.conflict\thold\tall\n\tEMEA\tcontacts.conflict\tnewest\torg EMEA\nann@example.com\t\tcontacts.conflict.notes\tmailbox\tuser ann@example.com\n",
		"--all-levels")
	out, _ := h.run(exitOK, "settings", "show", "ann@example.com", "-o", "json", "--jq", ".[].key")
	if !strings.Contains(out, "contacts.conflict.notes") || strings.Contains(out, "contacts.conflict.website") || !strings.Contains(out, "contacts.enabled") {
		t.Error(out)
	}
	h.run(exitOK, "settings", "unset", "contacts.conflict", "--org", "EMEA")
	show("bob@example.com\t\tcontacts.conflict\thold\tall\n", "contacts.conflict", "bob@example.com")
	h.prints("user\torg\tlevel\tresult\tcode\tmessage\n\tEMEA\torg\tunchanged\t\tis not set\n", "settings", "unset", "contacts.conflict", "--org", "EMEA")
	out, _ = h.run(exitOK, "activity", "list", "-o", "json", "--jq", `.[] | select(.type == "settings.changed") | .org + " " + .user + " " + .details`)
	want := []string{
		"EMEA  contacts.conflict (org): newest → not set", "EMEA ann@example.com contacts.conflict.notes (user): not set → mailbox",
		"EMEA  contacts.conflict (org): not set → newest", "  contacts.conflict (all): not set → hold",
	}
	if got := strings.Split(strings.TrimRight(out, "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("the audit says %q", got)
	}
}

func TestSettingsUsage(t *testing.T) {
	t.Parallel()
	h := staffed(t)
	for _, tt := range []struct {
		args string
		want string
	}{
		{"set contacts.conflict", "requires at least 2 arg"},
		{"set contacts.conflict who", "it is crm, mailbox, newest or hold"},
		{"set tasks.enabled true", "tasks are not synchronized yet"},
		{"set contacts.conflict hold --org EMEA --sync enabled", "--org means the organization itself"},
		{"set contacts.conflict hold --limit 3", "--limit needs users"},
		{"unset contacts.nothing", `there is no setting "contacts.nothing"`},
		{"show contacts.nothing", `there is no setting "contacts.nothing"`},
		{"show --all-levels ann@example.com", "takes no users"},
	} {
		if _, errs := h.run(exitUsage, append([]string{"settings"}, strings.Fields(tt.args)...)...); !strings.Contains(errs, tt.want) {
			t.Errorf("settings %s: %s", tt.args, errs)
		}
	}
	h.with(func(ctx context.Context, st State) {
		if set, err := st.Settings(ctx); err != nil || len(set) > 0 {
			t.Errorf("%v, %v", set, err)
		}
	})
	h.run(exitOK, "settings", "set", "contacts.conflict", "hold", "--all", "--dry-run")
	h.with(func(ctx context.Context, st State) {
		if set, err := st.Settings(ctx); err != nil || len(set) > 0 {
			t.Errorf("a dry run set %v, %v", set, err)
		}
	})
}

// What the configuration declares counts at once, is stored when something is written,
// and cannot be set otherwise.
func TestDeclaredSettings(t *testing.T) {
	t.Parallel()
	h := staffed(t)
	h.run(exitOK, "settings", "set", "contacts.create_in_crm", "false", "--org", "EMEA")
	declared := settings.Setting{Level: settings.Org, Subject: "EMEA", Key: "contacts.create_in_crm", Value: "true"}
	h.cfg = config.Config{File: "c.yaml", Settings: []settings.Setting{declared}}
	created := func(want string) {
		t.Helper()
		h.prints(want+"\n", "org", "list", "-o", "json", "--jq", ".[0].createInCrm")
	}
	created("true")
	h.with(func(ctx context.Context, st State) {
		if set, _ := st.Settings(ctx); len(set) != 1 || set[0].Value != "false" {
			t.Errorf("reading stored %v", set)
		}
	})
	if _, errs := h.run(exitUsage, "settings", "set", "contacts.create_in_crm", "false", "--org", "EMEA"); !strings.Contains(errs, "declared in c.yaml") {
		t.Error(errs)
	}
	h.run(exitOK, "settings", "set", "contacts.create_in_crm", "false", "ann@example.com")
	h.run(exitOK, "settings", "set", "contacts.enabled", "true", "--org", "EMEA")
	h.cfg = config.Config{}
	created("true")
	out, _ := h.run(exitOK, "activity", "list", "-o", "json", "--jq", `[.[] | select(.details | endswith("from the configuration"))] | length`)
	if out != "1\n" {
		t.Errorf("the declaration was stored %s times", out)
	}
}

func TestOrgAddSetsCreateInCRM(t *testing.T) {
	t.Parallel()
	h := staffed(t)
	h.run(exitOK, "org", "add", "APAC", "--crm", "sf", "--mail", "m365", "--create-in-crm", "--dry-run")
	h.prints("true\n", "org", "add", "APAC", "--crm", "sf", "--mail", "m365", "--create-in-crm", "-o", "json", "--jq", ".createInCrm")
	h.prints("[true,false]\n", "org", "list", "-o", "json", "--jq", "[.[].createInCrm]")
	h.prints("true org APAC\n", "settings", "show", "contacts.create_in_crm", "--org", "APAC", "-o", "json", "--jq", `.[0] | .value + " " + .origin`)
	h.run(exitOK, "settings", "set", "contacts.create_in_crm", "true")
	h.prints("[true,true]\n", "org", "list", "-o", "json", "--jq", "[.[].createInCrm]")
}

func TestSettingsCompletion(t *testing.T) {
	t.Parallel()
	h := staffed(t)
	for _, tt := range []struct{ args, want string }{
		{"set contacts.conf", "contacts.conflict"},
		{"set contacts.conflict ", "newest"},
		{"set contacts.conflict newest an", "ann@example.com"},
		{"show contacts.en", "contacts.enabled"},
		{"unset contacts.conflict an", "ann@example.com"},
	} {
		out, _ := h.run(exitOK, append([]string{"__complete", "settings"}, strings.Split(tt.args, " ")...)...)
		if !strings.Contains(out, tt.want) {
			t.Errorf("%q offers %q", tt.args, out)
		}
	}
}

// What everybody is allowed already is not allowed each organization once more.
func TestAllowedForEverybody(t *testing.T) {
	t.Parallel()
	h := staffed(t)
	h.run(exitOK, "settings", "set", "contacts.create_in_crm", "true")
	h.run(exitOK, "sync", "run", "--allow-create-in-crm")
	h.prints("all\n", "settings", "show", "--all-levels", "-o", "json", "--jq", ".[].origin")
}
