package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crmsync/crmsync/internal/sync/sandbox"
)

// The scripts in testdata/script run the program itself, as an administrator types it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"crmsync": func() { os.Exit(run(testApp())) },
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("..", "..", "testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("USER", "tester")
			env.Defer(func() { stopSandbox(filepath.Join(env.WorkDir, "sb")) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  status,
			"same":    same,
			"newer":   newer,
			"envfile": envfile,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// stopSandbox stops the sandbox of a script that failed before it did so itself.
func stopSandbox(dir string) {
	ctx := context.Background()
	if sb, err := sandbox.Open(ctx, dir); err == nil {
		_ = sb.Stop(ctx)
	}
}

// status N COMMAND runs a command and demands its exit status.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		if _, scan := fmt.Sscanf(err.Error(), "exit status %d", &got); scan != nil {
			ts.Fatalf("%v", err)
		}
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
	if text := ts.ReadFile("stderr"); strings.Contains(text, "goroutine ") || strings.Contains(text, "panic:") {
		ts.Fatalf("a stack trace reached the person")
	}
}

// envfile FILE sets a variable as the file says: NAME=value.
func envfile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: envfile file")
	}
	name, value, ok := strings.Cut(strings.TrimSpace(ts.ReadFile(args[0])), "=")
	if !ok {
		ts.Fatalf("%s does not say NAME=value", args[0])
	}
	ts.Setenv(name, value)
}

// same FILE FILE demands that two files are the same, byte for byte.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: same file file")
	}
	a, b := []byte(ts.ReadFile(args[0])), []byte(ts.ReadFile(args[1]))
	if bytes.Equal(a, b) == neg {
		ts.Fatalf("%s and %s: same is %t", args[0], args[1], !neg)
	}
}

// newer FILE makes a state one of a program that does not exist yet: the version stands
// in the bytes 60 to 63 of the header (https://www.sqlite.org/fileformat.html#the_database_header).
func newer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newer file")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte{0, 0, 0x27, 0x0f}, 60)
	ts.Check(err)
	ts.Check(f.Close())
}
