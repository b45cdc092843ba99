package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// rosterState is a State with users and organizations only.
type rosterState struct {
	fakeState
	users []roster.User
	orgs  []roster.Organization
}

func (s *rosterState) Users(context.Context) ([]roster.User, error) { return s.users, nil }
func (s *rosterState) Organizations(context.Context) ([]roster.Organization, error) {
	return s.orgs, nil
}

func (s *rosterState) FindUser(_ context.Context, key string) (roster.User, error) {
	for _, u := range s.users {
		if strings.EqualFold(u.Email, key) || u.CRMUser == key || u.MailboxID == key {
			return u, nil
		}
	}
	return roster.User{}, fmt.Errorf("user %s: %w", key, admin.ErrNotFound)
}

func office() *rosterState {
	return &rosterState{
		orgs: []roster.Organization{{Name: "EMEA", Enabled: true, Default: true}, {Name: "Asia"}},
		users: []roster.User{
			{ID: 1, Email: "ann@example.com", Org: "EMEA", CRMUser: "005A", MailboxID: "m-1", Sync: roster.Enabled, Mailbox: roster.Initialized, AddIn: roster.AddInInstalled, LastSuccess: noon.Add(-time.Hour)},
			{ID: 2, Email: "bob@example.com", Org: "EMEA", Plan: "gold", CRMUser: "005B", MailboxID: "m-2", Sync: roster.Suspended, Cause: roster.CauseAuthorization, Mailbox: roster.Initialized, AddIn: roster.AddInUnknown, LastSuccess: noon.Add(-72 * time.Hour)},
			{ID: 3, Email: "cem@example.com", Org: "Asia", CRMUser: "005C", MailboxID: "m-3", Sync: roster.Enabled, Mailbox: roster.NotInitialized, AddIn: roster.AddInRemoved},
			{ID: 4, Email: "dee@example.com", Org: "EMEA", CRMUser: "005D", MailboxID: "m-4", Sync: roster.Disabled, Mailbox: roster.NotInitialized, AddIn: roster.AddInUnknown},
		},
	}
}

// selected runs a command that only resolves its selection, and returns who it was.
func selected(t *testing.T, b *bench, st State, args ...string) (names []string, bad []row, err error) {
	t.Helper()
	var opts syncPlanOptions
	cmd := newSyncPlan(b.App, func(_ context.Context, _ *App, o syncPlanOptions) error {
		opts = o
		return nil
	})
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		return nil, nil, err
	}
	users, bad, err := opts.resolve(t.Context(), b.App, st)
	for _, u := range users {
		name, _, _ := strings.Cut(u.Email, "@")
		names = append(names, name)
	}
	return names, bad, err
}

func TestSelection(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"ann@example.com"}, "ann"},
		{[]string{"ANN@example.com", "m-3", "005B"}, "ann cem bob"},
		{[]string{"ann@example.com", "005A", "m-1"}, "ann"},
		{[]string{"--all"}, "ann bob cem dee"},
		{[]string{"--all", "--limit", "2"}, "ann bob"},
		{[]string{"--org", "EMEA"}, "ann bob dee"},
		{[]string{"--org", "EMEA", "--org", "Asia"}, "ann bob cem dee"},
		{[]string{"--org", "EMEA", "--sync", "enabled"}, "ann"},
		{[]string{"--plan", "gold"}, "bob"},
		{[]string{"--sync", "suspended"}, "bob"},
		{[]string{"--sync", "suspended:authorization"}, "bob"},
		{[]string{"--mailbox", "initialized"}, "ann bob"},
		{[]string{"--addin", "unknown"}, "bob dee"},
		{[]string{"--stale", "2h"}, "bob cem dee"},
		{[]string{"--where", `org == "EMEA" && lastSuccess < ago("48h")`}, "bob dee"},
		{[]string{"--where", `effective == "organization disabled"`}, "cem"},
		{[]string{"ann@example.com", "cem@example.com", "--org", "Asia"}, "cem"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			got, bad, err := selected(t, newBench(nil), office(), tt.args...)
			if err != nil || len(bad) > 0 {
				t.Fatal(err, bad)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("selected %q, want %q", s, tt.want)
			}
		})
	}
}

func TestEmptySelectionIsNeverAll(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--limit", "3"}, {"--strict"}, {"--sync", "suspended:other"}, {"--org", "EMEA", "--plan", "silver"}, {"--where", "issues > 3"}} {
		_, _, err := selected(t, newBench(nil), office(), args...)
		var e *Error
		if !errors.As(err, &e) || e.exit() != exitEmpty {
			t.Errorf("%q: %v, want exit status %d", args, err, exitEmpty)
		}
	}
}

func TestUnknownUsersFailTheirRow(t *testing.T) {
	t.Parallel()
	got, bad, err := selected(t, newBench(nil), office(), "ann@example.com", "eve@example.com")
	if err != nil || len(got) != 1 || len(bad) != 1 || bad[0].User != "eve@example.com" || bad[0].Code != codeUnknownUser {
		t.Errorf("%v %v %v", got, bad, err)
	}
	_, _, err = selected(t, newBench(nil), office(), "ann@example.com", "eve@example.com", "--strict")
	var e *Error
	if !errors.As(err, &e) || e.Code != codeStrict || !strings.Contains(e.What, "eve@example.com: there is no such user") {
		t.Errorf("with --strict: %v", err)
	}
	_, _, err = selected(t, newBench(nil), office(), "--org", "Mars")
	if !errors.As(err, &e) || e.Code != codeNotFound {
		t.Errorf("unknown organization: %v", err)
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, want string
		args             []string
		bad              int
	}{
		{"one a line", "ann@example.com\n\n# bob is ill\ncem@example.com\n", "ann cem", nil, 0},
		{"CSV by its column", "name,email\nAnn,ann@example.com\n\"C, em\",cem@example.com\n", "ann cem", nil, 0},
		{"the column user goes first", "email,user\nx,ann@example.com\n", "ann", nil, 0},
		{"a column by name", "who,email\nann@example.com,x\n", "ann", []string{"--column", "who"}, 0},
		{"semicolons", "name;email\nAnn;ann@example.com\n", "ann", nil, 0},
		{"a spreadsheet's mark", "\ufeffemail\nann@example.com\n", "ann", nil, 0},
		{"TSV", "session\tuser\n3\tann@example.com\n", "ann", nil, 0},
		{"windows lines", "email\r\nann@example.com\r\n", "ann", nil, 0},
		{"JSON lines", `{"user":"ann@example.com"}` + "\n" + `{"email":"cem@example.com"}` + "\n", "ann cem", nil, 0},
		{"JSON", `[{"user":"ann@example.com"},"cem@example.com"]`, "ann cem", nil, 0},
		{"rows without a user", "email\nann@example.com\n\"\"\n", "ann", nil, 1},
		{"a broken row", "email,name\nann@example.com,\"A\"nn\"\ncem@example.com,x\n", "cem", nil, 1},
		{"a broken line of JSON", `{"user":"ann@example.com"}` + "\n{\n" + `{"name":"x"}` + "\n", "ann", nil, 2},
		{"an unknown user", "email\nann@example.com\neve@example.com\n", "ann", nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			b.In = strings.NewReader(tt.text)
			got, bad, err := selected(t, b, office(), append([]string{"--from", "-"}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(got, " "); s != tt.want || len(bad) != tt.bad {
				t.Errorf("selected %q and %d bad rows %v, want %q and %d", s, len(bad), bad, tt.want, tt.bad)
			}
		})
	}
}

func TestFromCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "users.csv")
	if err := os.WriteFile(file, []byte("name,phone\nAnn,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	utf16 := filepath.Join(dir, "utf16.csv")
	if err := os.WriteFile(utf16, []byte("\xff\xfeu\x00s\x00e\x00r\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path   string
		says   string
		status int
	}{
		{filepath.Join(dir, "none.csv"), "no such file", exitUsage},
		{file, "no column is called user", exitUsage},
		{utf16, "UTF-16", exitUsage},
	} {
		_, _, err := selected(t, newBench(nil), office(), "--from", tt.path)
		var e *Error
		if !errors.As(err, &e) || e.exit() != tt.status || !strings.Contains(e.Error(), tt.says) {
			t.Errorf("%s: %v", tt.path, err)
		}
	}
}

// What users list prints, in every format for machines, selects the same users again.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	st := office()
	for _, format := range []string{"csv", "tsv", "json", "jsonl", "name"} {
		list := newBench(nil)
		table := ui.List(userFields, members(st.users, st.orgs))
		if err := list.Print(table, ui.Output{Format: format, Now: noon}); err != nil {
			t.Fatal(err)
		}
		b := newBench(nil)
		b.In = strings.NewReader(list.out.String())
		got, bad, err := selected(t, b, st, "--from", "-")
		if err != nil || len(bad) > 0 || !slices.Equal(got, []string{"ann", "bob", "cem", "dee"}) {
			t.Errorf("%s: %v %v %v", format, got, bad, err)
		}
	}
}

// Whatever is given to --from, it is read to its end or refused.
func FuzzParseUsers(f *testing.F) {
	for _, s := range []string{"email\na@b\n", "[1]", "{\"user\":1}", "a\tb\n", "\"", ";;\n", "[\"x\"", "email,\"\n", "emAil\n\""} {
		f.Add([]byte(s), "")
	}
	f.Fuzz(func(t *testing.T, text []byte, column string) {
		keys, bad, err := parseUsers(text, column)
		for _, b := range bad {
			if b.User == "" || b.Code != codeBadRow {
				t.Errorf("a bad row without its place from %q: %+v", text, b)
			}
		}
		if err != nil {
			return // what cannot be read at all is refused as a whole
		}
		for _, k := range keys {
			if strings.TrimSpace(k) == "" {
				t.Errorf("an empty name from %q", text)
			}
		}
	})
}
