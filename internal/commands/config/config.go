// Package config is the configuration: what its keys are, where their values come
// from, and where secrets are found. It is the only package that knows viper.
//
// Each key has one value, from the first of these that gives one: a flag, an
// environment variable CRMSYNC_KEY, the profile that was asked for, the file, the
// built-in default. Secrets are never in the file: only references to them.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/viper"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// Config is the configuration of one invocation.
type Config struct {
	// File is the file that was read; empty if there is none.
	File string
	// Profile is the profile that was used; empty for none.
	Profile string
	// State is the path of the state file.
	State string
	// StateKey is the reference to the key of the state; empty for a file beside it.
	StateKey string
	// Output is the format of results; empty for the usual one.
	Output string
	// As names who acts; empty for the operating system's user.
	As string
	// Connections and Organizations are those that the file declares.
	Connections   []roster.Connection
	Organizations []roster.Organization
	// Settings are what the file declares of its organizations besides.
	Settings []settings.Setting

	secrets Secrets
}

// Source is where a configuration comes from.
type Source struct {
	// File and Profile are what the flags name; empty for the usual ones.
	File    string
	Profile string
	// Flags are the keys that were given as flags.
	Flags map[string]string
	// Getenv looks up an environment variable; nil means os.Getenv.
	Getenv func(string) string
}

// Error is what is wrong with a configuration.
type Error struct {
	File string
	// Line is where in the file; 0 if it is not known.
	Line    int
	Problem string
	Hint    string
}

func (e *Error) Error() string { return e.Where() + ": " + e.Problem }

// Where is the file and the line.
func (e *Error) Where() string {
	if e.Line == 0 {
		return e.File
	}
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}

// Load reads the configuration. A file that was not asked for may be missing.
func Load(src Source) (*Config, error) {
	if src.Getenv == nil {
		src.Getenv = os.Getenv
	}
	file, required := src.File, true
	if file == "" {
		file = src.Getenv("CRMSYNC_CONFIG")
	}
	if file == "" {
		file, required = DefaultFile(src.Getenv), false
	}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !required:
		file, text = "", nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{File: file, Problem: "there is no such file", Hint: `correct --config or CRMSYNC_CONFIG, or write one with "crmsync init"`}
	case err != nil:
		return nil, &Error{File: file, Problem: "cannot be read: " + plain(err)}
	}
	profile := src.Profile
	if profile == "" {
		profile = src.Getenv("CRMSYNC_PROFILE")
	}
	doc, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	v := viper.New()
	v.SetConfigType("yaml")
	if profile == "" {
		profile = doc.scalar("profile")
	}
	if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
		return nil, &Error{File: file, Problem: "is not YAML: " + plain(err)}
	}
	if profile != "" {
		if err := useProfile(v, doc, file, profile); err != nil {
			return nil, err
		}
	}
	for _, key := range scalars {
		if value := src.Getenv("CRMSYNC_" + strings.ToUpper(key)); value != "" {
			v.Set(key, value)
		}
		if value, ok := src.Flags[key]; ok {
			v.Set(key, value)
		}
	}
	cfg := &Config{File: file, Profile: profile, secrets: NewSecrets(src.Getenv)}
	cfg.State = v.GetString("state")
	if cfg.State == "" {
		cfg.State = DefaultState(src.Getenv)
	} else if !v.IsSet("state") || fromFile(src, "state") {
		// A path in the file is seen from the file, wherever the program was started.
		cfg.State = beside(file, cfg.State)
	}
	if err := CheckState(cfg.State); err != nil {
		return nil, err
	}
	cfg.StateKey = v.GetString("state_key")
	cfg.Output = v.GetString("output")
	cfg.As = v.GetString("as")
	if cfg.Connections, err = connections(v, doc, file); err != nil {
		return nil, err
	}
	if cfg.Organizations, cfg.Settings, err = organizations(v, doc, file); err != nil {
		return nil, err
	}
	return cfg, nil
}

// CheckState reports what is wrong with where the state is to be: it is a file so far,
// and no database server. What follows the scheme of an address is not repeated: it may
// hold a password.
func CheckState(path string) error {
	scheme, _, ok := strings.Cut(path, "://")
	if !ok {
		return nil
	}
	return &Error{File: "state", Problem: fmt.Sprintf("%s://... cannot hold it: so far the state is an SQLite file", scheme), Hint: "name the path of a file"}
}

// fromFile reports whether neither a flag nor the environment gives a key.
func fromFile(src Source, key string) bool {
	_, flag := src.Flags[key]
	return !flag && src.Getenv("CRMSYNC_"+strings.ToUpper(key)) == ""
}

func beside(file, path string) string {
	if filepath.IsAbs(path) || file == "" || strings.Contains(path, "://") {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// useProfile lays the keys of a profile over those of the file.
func useProfile(v *viper.Viper, doc document, file, name string) error {
	if !v.IsSet("profiles." + name) {
		e := &Error{File: file, Line: doc.line("profiles"), Problem: fmt.Sprintf("there is no profile %q", name)}
		if file == "" {
			e.File = "configuration"
		}
		if names := keysOf(v.Get("profiles")); len(names) > 0 {
			e.Hint = "there are " + strings.Join(names, ", ")
		}
		return e
	}
	sub := v.Sub("profiles." + name)
	if sub == nil {
		return nil
	}
	return v.MergeConfigMap(sub.AllSettings())
}

func keysOf(v any) []string {
	m, _ := v.(map[string]any)
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// DefaultFile is where the configuration is looked for.
func DefaultFile(getenv func(string) string) string {
	return filepath.Join(home(getenv, "XDG_CONFIG_HOME", ".config", "APPDATA"), "crmsync", "config.yaml")
}

// DefaultState is where the state is kept.
func DefaultState(getenv func(string) string) string {
	return filepath.Join(home(getenv, "XDG_STATE_HOME", filepath.Join(".local", "state"), "LOCALAPPDATA"), "crmsync", "state.db")
}

// home returns a directory of the XDG specification
// (https://specifications.freedesktop.org/basedir-spec), or its like on Windows.
func home(getenv func(string) string, xdg, fallback, windows string) string {
	if dir := getenv(xdg); filepath.IsAbs(dir) {
		return dir
	}
	if runtime.GOOS == "windows" {
		if dir := getenv(windows); dir != "" {
			return dir
		}
	}
	if dir := getenv("HOME"); dir != "" {
		return filepath.Join(dir, fallback)
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return fallback
	}
	return filepath.Join(dir, fallback)
}

// plain takes the name of the library off an error, and keeps it on one line.
func plain(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}

// entry is one element of a list in the file.
type entry map[string]any

func (e entry) text(key string) string {
	switch v := e[key].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func entries(v *viper.Viper, key string) []entry {
	list, _ := v.Get(key).([]any)
	var out []entry
	for _, x := range list {
		if m, ok := x.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func connections(v *viper.Viper, doc document, file string) ([]roster.Connection, error) {
	var list []roster.Connection
	for i, e := range entries(v, "connections") {
		c := roster.Connection{
			Name: e.text("name"), Kind: e.text("kind"),
			Endpoint: e.text("endpoint"), TokenEndpoint: e.text("token_endpoint"),
			Auth: e.text("auth"), Tenant: e.text("tenant"), ClientID: e.text("client_id"),
			Username: e.text("username"),
			Secret:   e.text("secret"), Token: e.text("token"), Certificate: e.text("certificate"),
			StampField: e.text("stamp_field"), AppID: e.text("app_id"),
		}
		bad := func(key, problem, hint string) error {
			return &Error{File: file, Line: doc.entryLine("connections", i, key), Problem: problem, Hint: hint}
		}
		switch {
		case c.Name == "":
			return nil, bad("", "a connection has no name", "give it a name: organizations refer to it")
		case c.Kind == "":
			return nil, bad("", fmt.Sprintf("connection %q has no kind", c.Name), "the kinds are "+strings.Join(Kinds, ", "))
		case !slices.Contains(Kinds, c.Kind):
			return nil, bad("kind", fmt.Sprintf("connection %q: there is no kind %q", c.Name, c.Kind), "the kinds are "+strings.Join(Kinds, ", "))
		case slices.ContainsFunc(list, func(have roster.Connection) bool { return have.Name == c.Name }):
			return nil, bad("name", fmt.Sprintf("two connections are called %q", c.Name), "rename one")
		}
		for _, secret := range []struct{ key, ref string }{{"secret", c.Secret}, {"token", c.Token}, {"certificate", c.Certificate}} {
			if err := CheckReference(secret.ref); err != nil {
				return nil, bad(secret.key, fmt.Sprintf("connection %q: %s: %v", c.Name, secret.key, err), "a secret is never in the file: write where it is found")
			}
		}
		list = append(list, c)
	}
	return list, nil
}

// Kinds are the kinds of connections there are connectors for.
var Kinds = []string{"graph", "salesforce"}

func organizations(v *viper.Viper, doc document, file string) ([]roster.Organization, []settings.Setting, error) {
	var list []roster.Organization
	var set []settings.Setting
	for i, e := range entries(v, "organizations") {
		o := roster.Organization{
			Name: e.text("name"), CRM: e.text("crm"), Mail: e.text("mail"),
			Access: roster.Access(e.text("access")), Region: e.text("region"),
		}
		if o.Access == "" {
			o.Access = roster.Application
		}
		bad := func(key, problem, hint string) error {
			return &Error{File: file, Line: doc.entryLine("organizations", i, key), Problem: problem, Hint: hint}
		}
		switch {
		case o.Name == "":
			return nil, nil, bad("", "an organization has no name", "give it a name")
		case slices.ContainsFunc(list, func(have roster.Organization) bool { return have.Name == o.Name }):
			return nil, nil, bad("name", fmt.Sprintf("two organizations are called %q", o.Name), "rename one")
		case o.Access != roster.Application && o.Access != roster.Delegated:
			return nil, nil, bad("access", fmt.Sprintf("organization %q: access %q is neither application nor delegated", o.Name, o.Access), "")
		}
		for _, side := range []struct{ key, name string }{{"crm", o.CRM}, {"mail", o.Mail}} {
			if side.name == "" {
				return nil, nil, bad("", fmt.Sprintf("organization %q has no %s connection", o.Name, side.key), "name one of the connections")
			}
		}
		list = append(list, o)
		if e["create_in_crm"] == true {
			set = append(set, settings.Setting{
				Level: settings.Org, Subject: o.Name, Key: settings.CreateInCRM(record.Contacts), Value: "true",
			})
		}
	}
	return list, set, nil
}
