package commands

import (
	"context"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/engine"
)

func TestActivityListOptions(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	var got activityListOptions
	cmd := newActivityList(b.App, func(_ context.Context, _ *App, o activityListOptions) error {
		got = o
		return nil
	})
	cmd.SetArgs([]string{"ann@example.com", "--limit", "3", "-o", "json"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got.user != "ann@example.com" || got.limit != 3 || got.format != "json" {
		t.Errorf("options are %+v", got)
	}
}

func TestActivityList(t *testing.T) {
	t.Parallel()
	st := &fakeState{activities: []engine.Activity{
		{Time: noon, Actor: "root", Type: "sync.enabled", User: "ann@example.com", Hash: "ab"},
	}}
	b := newBench(st)
	if status := b.run(t, "activity", "list"); status != exitOK {
		t.Fatalf("exit status %d: %s", status, b.err)
	}
	want := "time\tactor\ttype\tuser\torg\tdetails\thash\n2026-03-01T12:00:00Z\troot\tsync.enabled\tann@example.com\t\t\tab\n"
	if got := b.out.String(); got != want {
		t.Errorf("in a pipe:\n%s\nwant:\n%s", got, want)
	}

	b = newBench(st).terminal("")
	b.run(t, "activities", "list")
	if got := b.out.String(); !strings.Contains(got, "2026-03-01 12:00 (now)  root") {
		t.Errorf("on a terminal:\n%s", got)
	}
}
