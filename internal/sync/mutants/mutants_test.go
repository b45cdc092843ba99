// Package mutants measures what the tests of the core are worth: each mutant is the
// program with one bug planted in it, and the tests must notice.
//
//	go test ./internal/sync/mutants -timeout 4h -plant            all of them
//	go test ./internal/sync/mutants -timeout 4h -plant -run 'TestMutants/guard'
//
// Without -plant only the list is checked: each bug must still have its place.
package mutants

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	plant     = flag.Bool("plant", false, "plant the bugs and run the tests against each")
	histories = flag.Int("histories", 1000, "how many random histories a mutant has to survive besides the usual tests")
)

// mutant is a bug: in a file below internal, new stands for old, which is there once.
type mutant struct {
	name string
	file string
	old  string
	new  string
	// equivalent says why nobody could notice; such a mutant has to survive.
	equivalent string
}

// root is the folder of the module.
const root = "../../.."

func TestMutants(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		seen[m.name] = true
		t.Run(m.name, func(t *testing.T) {
			path, err := filepath.Abs(filepath.Join(root, "internal", m.file))
			if err != nil {
				t.Fatal(err)
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(source, []byte(m.old)); n != 1 {
				t.Fatalf("%s has this %d times, not once:\n%s", m.file, n, m.old)
			}
			if !*plant {
				return
			}
			planted := bytes.Replace(source, []byte(m.old), []byte(m.new), 1)
			by, err := caughtBy(t, path, planted)
			switch {
			case err != nil:
				t.Fatal(err)
			case by == "" && m.equivalent == "":
				t.Errorf("SURVIVED: %s", m.file)
			case by != "" && m.equivalent != "":
				t.Errorf("caught by %s, though %s", by, m.equivalent)
			case by != "":
				t.Logf("caught by %s", by)
			default:
				t.Logf("equivalent: %s", m.equivalent)
			}
		})
	}
}

// caughtBy builds the program with another text of one file and returns the first test
// that fails, or "".
func caughtBy(t *testing.T, path string, planted []byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: file}})
	if err := errors.Join(err, os.WriteFile(file, planted, 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
		return "", err
	}
	if out, err := goRun(t, "build", "-overlay", overlay, "./internal/sync/..."); err != nil {
		return "", fmt.Errorf("the mutant does not compile:\n%s", out)
	}
	// What is quick comes first.
	for _, tests := range [][]string{
		{"./internal/sync/record", "./internal/sync/reconcile"},
		{"./internal/sync/engine"},
		{"./internal/store"},
		{"./internal/sync/engine", "-run", "TestHistories", "-histories", fmt.Sprint(*histories)},
	} {
		if out, red := goRun(t, append([]string{"test", "-overlay", overlay, "-failfast"}, tests...)...); red != nil {
			return failing(out), nil //nolint:nilerr // a test that fails is what is asked for
		}
	}
	return "", nil
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\S+)|^panic: (.*)$`)

// failing returns the name of the test that failed.
func failing(out string) string {
	m := failed.FindStringSubmatch(out)
	if m == nil {
		return strings.TrimSpace(out)
	}
	return m[1] + m[2]
}

func goRun(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}
