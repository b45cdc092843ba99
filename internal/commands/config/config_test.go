package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// write puts a configuration into a directory of its own and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

const whole = `
state: state.db
output: json
connections:
  - name: m365
    kind: graph
    endpoint: http://127.0.0.1:1
    token_endpoint: http://127.0.0.1:1/token
    auth: client-secret
    tenant: t
    client_id: c
    secret: env:M365
    app_id: a
  - name: sf
    kind: salesforce
    client_id: 123
    token: file:/run/token
    certificate: file:/run/key.pem
    username: u
    stamp_field: S__c
organizations:
  - name: EMEA
    crm: sf
    mail: m365
    region: DE
    create_in_crm: true
profiles:
  test:
    state: /tmp/test.db
    output: csv
`

func TestLoad(t *testing.T) {
	t.Parallel()
	file := write(t, whole)
	cfg, err := Load(Source{File: file, Getenv: env()})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.State != filepath.Join(filepath.Dir(file), "state.db") || cfg.Output != "json" || cfg.File != file {
		t.Errorf("%+v", cfg)
	}
	m365 := roster.Connection{
		Name: "m365", Kind: "graph", Endpoint: "http://127.0.0.1:1", TokenEndpoint: "http://127.0.0.1:1/token",
		Auth: "client-secret", Tenant: "t", ClientID: "c", Secret: "env:M365", AppID: "a",
	}
	sf := roster.Connection{
		Name: "sf", Kind: "salesforce", ClientID: "123", Token: "file:/run/token", Certificate: "file:/run/key.pem",
		Username: "u", StampField: "S__c",
	}
	if len(cfg.Connections) != 2 || cfg.Connections[0] != m365 || cfg.Connections[1] != sf {
		t.Errorf("connections are %+v", cfg.Connections)
	}
	emea := roster.Organization{Name: "EMEA", CRM: "sf", Mail: "m365", Access: roster.Application, Region: "DE"}
	if len(cfg.Organizations) != 1 || cfg.Organizations[0] != emea {
		t.Errorf("organizations are %+v", cfg.Organizations)
	}
	create := settings.Setting{Level: settings.Org, Subject: "EMEA", Key: "contacts.create_in_crm", Value: "true"}
	if len(cfg.Settings) != 1 || cfg.Settings[0] != create {
		t.Errorf("settings are %+v", cfg.Settings)
	}
}

// A flag beats the environment, the environment the profile, the profile the file, and
// the file the default.
func TestOrder(t *testing.T) {
	t.Parallel()
	file := write(t, whole)
	test := Source{File: file, Profile: "test", Getenv: env()}
	byEnv := Source{File: file, Profile: "test", Getenv: env("CRMSYNC_OUTPUT", "yaml", "CRMSYNC_STATE", "here.db")}
	byFlag := byEnv
	byFlag.Flags = map[string]string{"output": "name", "state": "there.db"}
	for _, tt := range []struct {
		name          string
		src           Source
		output, state string
	}{
		{"default", Source{Getenv: env("XDG_CONFIG_HOME", t.TempDir(), "XDG_STATE_HOME", "/s")}, "", filepath.Join("/s", "crmsync", "state.db")},
		{"file", Source{File: file, Getenv: env()}, "json", filepath.Join(filepath.Dir(file), "state.db")},
		{"file by the environment", Source{Getenv: env("CRMSYNC_CONFIG", file)}, "json", filepath.Join(filepath.Dir(file), "state.db")},
		{"profile", test, "csv", "/tmp/test.db"},
		{"profile by the environment", Source{File: file, Getenv: env("CRMSYNC_PROFILE", "test")}, "csv", "/tmp/test.db"},
		{"environment", byEnv, "yaml", "here.db"},
		{"flag", byFlag, "name", "there.db"},
	} {
		cfg, err := Load(tt.src)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if cfg.Output != tt.output || cfg.State != tt.state {
			t.Errorf("%s: output %q, state %q; want %q, %q", tt.name, cfg.Output, cfg.State, tt.output, tt.state)
		}
	}
}

// The environment can give every key that holds one value.
func TestEveryKeyFromTheEnvironment(t *testing.T) {
	t.Parallel()
	file := write(t, "profiles:\n  p: {}\n")
	cfg, err := Load(Source{File: file, Getenv: env("CRMSYNC_STATE", "s", "CRMSYNC_STATE_KEY", "env:K", "CRMSYNC_OUTPUT", "csv", "CRMSYNC_AS", "root", "CRMSYNC_PROFILE", "p")})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.State != "s" || cfg.StateKey != "env:K" || cfg.Output != "csv" || cfg.As != "root" || cfg.Profile != "p" {
		t.Errorf("%+v", cfg)
	}
}

func TestMistakesNameTheirLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		line       int
		says, hint string
	}{
		{"no YAML", "state: x\n\toutput: json\n", 2, "is not YAML", ""},
		{"unclosed", "state: \"x\n", 2, "is not YAML", ""},
		{"a key that does not exist", "stat: x\n", 1, `there is no key "stat"`, "did you mean state?"},
		{"no near key", "state: x\ncolour: red\n", 2, `there is no key "colour"`, "the keys are"},
		{"a key in a connection", "connections:\n  - name: a\n    kind: graph\n    clientid: x\n", 4, `no key "clientid" of a connection`, "did you mean client_id?"},
		{"a key in a profile", "profiles:\n  a:\n    stat: x\n", 3, "of a profile", "did you mean state?"},
		{"no list", "connections: a\n", 1, "a list is expected", ""},
		{"a list for a value", "state: [a]\n", 1, "state holds one value", ""},
		{"text alone", "hello\n", 1, "keys are expected here", ""},
		{"no name", "connections:\n  - kind: graph\n", 2, "has no name", ""},
		{"no kind", "connections:\n  - name: a\n", 2, "has no kind", ""},
		{"an unknown kind", "connections:\n  - name: a\n    kind: grpah\n", 3, `no kind "grpah"`, "graph, salesforce"},
		{"twice the same", "connections:\n  - name: a\n    kind: graph\n  - name: a\n    kind: graph\n", 4, "two connections", ""},
		{"a secret in the file", "connections:\n  - name: a\n    kind: graph\n    secret: hunter2\n", 4, "is not one of env:NAME", "never in the file"},
		{"an organization without a CRM", "organizations:\n  - name: a\n    mail: m\n", 2, "no crm connection", ""},
		{"a wrong access", "organizations:\n  - name: a\n    crm: c\n    mail: m\n    access: full\n", 5, `access "full"`, ""},
		{"no truth", "organizations:\n  - name: a\n    crm: c\n    mail: m\n    create_in_crm: perhaps\n", 5, "neither true nor false", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, tt.text)
			_, err := Load(Source{File: file, Getenv: env()})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("the error is %v", err)
			}
			if e.File != file || e.Line != tt.line || !strings.Contains(e.Problem, tt.says) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("%s: %s (%s); want line %d with %q and %q", e.Where(), e.Problem, e.Hint, tt.line, tt.says, tt.hint)
			}
			if strings.Contains(e.Error()+e.Hint, "hunter2") {
				t.Error("the error repeats the secret")
			}
		})
	}
}

func TestMissingFiles(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none.yaml")
	var e *Error
	if _, err := Load(Source{File: none, Getenv: env()}); !errors.As(err, &e) || e.Problem != "there is no such file" {
		t.Errorf("a file that was asked for: %v", err)
	}
	if _, err := Load(Source{Getenv: env("CRMSYNC_CONFIG", none)}); !errors.As(err, &e) {
		t.Errorf("a file that the environment asks for: %v", err)
	}
	cfg, err := Load(Source{Getenv: env("XDG_CONFIG_HOME", t.TempDir())})
	if err != nil || cfg.File != "" {
		t.Errorf("the usual file: %v, %v", cfg, err)
	}
	if _, err := Load(Source{Profile: "test", Getenv: env("XDG_CONFIG_HOME", t.TempDir())}); !errors.As(err, &e) || !strings.Contains(e.Problem, `no profile "test"`) {
		t.Errorf("a profile without a file: %v", err)
	}
}

func TestEmptyFileIsAConfiguration(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n", "connections:\n"} {
		if _, err := Load(Source{File: write(t, text), Getenv: env()}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever is in the file, loading it ends, and no mistake is anonymous.
func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add("profiles:\n  a: 3\n")
	f.Add("connections: [[]]\n")
	f.Add("? [a]: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Load(Source{File: write(t, text), Getenv: env()})
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
