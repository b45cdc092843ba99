package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// start runs a sandbox in a directory until the test ends.
func start(t *testing.T, dir string, users, contacts int) *Sandbox {
	t.Helper()
	s, err := Start(t.Context(), Options{Dir: dir, Users: users, Contacts: contacts, Seed: 1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

func TestStartMakesEverythingAFirstSessionNeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 3, 40)
	e := s.Endpoints()
	text, err := os.ReadFile(filepath.Join(dir, "crmsync.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{e.Graph, e.GraphToken, e.Salesforce, "stamp_field: CrmSync_Stamp__c", "kind: graph", "kind: salesforce", "m365.secret", "sf.secret"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("crmsync.yaml lacks %q:\n%s", want, text)
		}
	}
	for _, name := range []string{"m365.secret", "sf.secret", "endpoints.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", name, info.Mode())
		}
	}
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Users != 3 || st.CRM != 3*40 {
		t.Errorf("status %+v", st)
	}
}

func TestASecondStartIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir, 1, 5)
	if _, err := Start(t.Context(), Options{Dir: dir, Now: time.Now}); !errors.Is(err, ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
	if err := Clear(t.Context(), dir); !errors.Is(err, ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
}

func TestOpenNeedsARunningSandbox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Open(context.Background(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
	s := start(t, dir, 1, 5)
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := Open(context.Background(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
}
