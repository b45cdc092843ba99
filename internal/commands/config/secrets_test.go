package config

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewSecrets(env("NAME", "from env"))
	s.keyring = func(service, name string) (string, error) {
		if service == "crmsync" && name == "acme" {
			return "from keyring", nil
		}
		return "", errors.New("secret not found in keyring")
	}
	for _, tt := range []struct {
		ref, want, problem string
	}{
		{"", "", ""},
		{"env:NAME", "from env", ""},
		{"file:" + file, "from file", ""},
		{"cmd:echo from command", "from command", ""},
		{"keyring:acme", "from keyring", ""},
		{"env:OTHER", "", "not set"},
		{"file:" + file + "x", "", "no such file"},
		{"cmd:exit 3", "", "failed"},
		{"cmd:true", "", "is empty"},
		{"keyring:other", "", "keyring"},
		{"hunter2", "", "is not one of"},
		{"env:", "", "is not one of"},
		{"plain:hunter2", "", "is not one of"},
	} {
		if runtime.GOOS == "windows" && strings.HasPrefix(tt.ref, "cmd:") {
			continue // the commands are those of a Unix shell
		}
		got, err := s.Resolve(t.Context(), tt.ref)
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.ref, got, tt.want)
		}
		var e *SecretError
		if tt.problem != "" && (!errors.As(err, &e) || !strings.Contains(err.Error(), tt.problem)) || tt.problem == "" && err != nil {
			t.Errorf("%s: %v, want %q", tt.ref, err, tt.problem)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats what may be the secret: %v", err)
		}
	}
}

// The arguments of a command, which may hold what should not be seen, are in no error.
func TestCommandsAreNotRepeated(t *testing.T) {
	t.Parallel()
	_, err := NewSecrets(env()).Resolve(t.Context(), "cmd:false --password=hunter2")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}

func TestStateKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	cfg := &Config{State: filepath.Join(dir, "state.db"), secrets: NewSecrets(env())}
	key := cfg.Key(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if _, err := key(t.Context(), false); !errors.Is(err, ErrNoKey) {
		t.Errorf("a key that is not there: %v", err)
	}
	made, err := key(t.Context(), true)
	if err != nil || len(made) != 32 {
		t.Fatal(made, err)
	}
	info, err := os.Stat(filepath.Join(dir, "state.key"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode != 0o600 {
		t.Errorf("others can read the key: %v", mode)
	}
	// What is there is used, also where a new one could be made.
	for _, create := range []bool{false, true} {
		again, err := key(t.Context(), create)
		if err != nil || !bytes.Equal(made, again) {
			t.Errorf("the key is another one: %v", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "state.key"), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := key(context.Background(), true); !errors.Is(err, ErrNoKey) {
		t.Errorf("a broken key: %v", err)
	}
}

func TestStateKeyByReference(t *testing.T) {
	t.Parallel()
	good := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	cfg := &Config{State: filepath.Join(t.TempDir(), "state.db"), StateKey: "env:K", secrets: NewSecrets(env("K", good))}
	key, err := cfg.Key(nil)(t.Context(), true)
	if err != nil || len(key) != 32 {
		t.Errorf("%v, %v", key, err)
	}
	cfg.secrets = NewSecrets(env("K", "hunter2"))
	if _, err := cfg.Key(nil)(t.Context(), true); !errors.Is(err, ErrNoKey) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a value that is no key: %v", err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(cfg.State), "state.key")); err == nil {
		t.Error("a key file was made besides the reference")
	}
}
