package config

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/zalando/go-keyring"
)

// Service is the name under which secrets stand in the operating system's keyring.
const Service = "crmsync"

// KeyFile is the file beside a new state that holds its key.
const KeyFile = "state.key"

// Secrets finds secrets by reference. No error of it holds a secret.
type Secrets struct {
	getenv  func(string) string
	keyring func(service, name string) (string, error)
}

// NewSecrets returns what finds secrets; getenv looks up environment variables.
func NewSecrets(getenv func(string) string) Secrets {
	if getenv == nil {
		getenv = os.Getenv
	}
	return Secrets{getenv: getenv, keyring: keyring.Get}
}

// SecretError says that a reference leads to no secret.
type SecretError struct {
	// Reference is env:NAME and so on; for a command, only "cmd:" and its first word.
	Reference string
	Problem   string
}

func (e *SecretError) Error() string { return e.Reference + ": " + e.Problem }

// CheckReference reports whether a reference has a form that can be resolved. The
// empty reference has: there is no secret.
func CheckReference(ref string) error {
	if ref == "" {
		return nil
	}
	kind, rest, ok := strings.Cut(ref, ":")
	switch {
	case ok && rest != "" && (kind == "env" || kind == "file" || kind == "cmd" || kind == "keyring"):
		return nil
	}
	// What was given may be the secret itself: it is not repeated.
	return errors.New("is not one of env:NAME, file:PATH, cmd:COMMAND or keyring:NAME")
}

// Resolve returns the secret that a reference stands for, without the line break at
// its end. The empty reference is the empty secret.
func (s Secrets) Resolve(ctx context.Context, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	if err := CheckReference(ref); err != nil {
		return "", &SecretError{Reference: "secret", Problem: err.Error()}
	}
	kind, rest, _ := strings.Cut(ref, ":")
	var secret string
	switch kind {
	case "env":
		if secret = s.getenv(rest); secret == "" {
			return "", &SecretError{Reference: ref, Problem: "the environment variable is not set"}
		}
	case "file":
		b, err := os.ReadFile(rest)
		if err != nil {
			return "", &SecretError{Reference: ref, Problem: plain(err)}
		}
		secret = string(b)
	case "cmd":
		var err error
		if secret, err = run(ctx, rest); err != nil {
			return "", err
		}
	case "keyring":
		var err error
		if secret, err = s.keyring(Service, rest); err != nil {
			return "", &SecretError{Reference: ref, Problem: "the keyring does not give it: " + plain(err)}
		}
	}
	secret = strings.TrimRight(secret, "\r\n")
	if secret == "" {
		return "", &SecretError{Reference: short(ref), Problem: "is empty"}
	}
	return secret, nil
}

// short leaves out the arguments of a command, which may say too much.
func short(ref string) string {
	if strings.HasPrefix(ref, "cmd:") {
		word, _, _ := strings.Cut(strings.TrimPrefix(ref, "cmd:"), " ")
		return "cmd:" + word
	}
	return ref
}

// run runs a command of the shell and returns what it prints.
func run(ctx context.Context, line string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	if runtime.GOOS == "windows" {
		cmd = exec.CommandContext(ctx, "cmd", "/C", line)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return "", &SecretError{Reference: short("cmd:" + line), Problem: "the command failed: " + plain(err)}
	}
	return out.String(), nil
}

// ErrNoKey says that the key of an existing state is not where it should be.
var ErrNoKey = errors.New("the key of the state is missing")

// Key returns what finds the key of the state: by the reference state_key, else in the
// file state.key beside the state. With create, a key that is missing in that file is
// made from random and stored there, for this user alone.
func (c *Config) Key(random io.Reader) func(ctx context.Context, create bool) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	return func(ctx context.Context, create bool) ([]byte, error) {
		if c.StateKey != "" {
			text, err := c.secrets.Resolve(ctx, c.StateKey)
			if err != nil {
				return nil, err
			}
			return decodeKey(short(c.StateKey), text)
		}
		path := filepath.Join(filepath.Dir(c.State), KeyFile)
		text, err := os.ReadFile(path)
		switch {
		case err == nil:
			return decodeKey(path, string(text))
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%w: %s: %s", ErrNoKey, path, plain(err))
		case !create:
			return nil, fmt.Errorf("%w: there is no %s", ErrNoKey, path)
		}
		key := make([]byte, keySize)
		if _, err := io.ReadFull(random, key); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return nil, err
		}
		return key, nil
	}
}

// keySize is the number of bytes of a key.
const keySize = 32

func decodeKey(where, text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("%w: %s does not hold %d bytes in base64", ErrNoKey, where, keySize)
	}
	return key, nil
}
