package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/sandbox"
	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
)

// pageSize is how many items the program asks Graph for at a time.
const pageSize = "CRMSYNC_TEST_PAGE_SIZE"

// smallPages asks Graph for smaller pages than the program does.
type smallPages struct {
	base http.RoundTripper
	size string
}

var asksForPages = regexp.MustCompile(`odata\.maxpagesize=\d+`)

// RoundTrip implements http.RoundTripper.
func (s smallPages) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	size := "odata.maxpagesize=" + s.size
	for i, p := range r.Header["Prefer"] {
		r.Header["Prefer"][i] = asksForPages.ReplaceAllString(p, size)
	}
	body = asksForPages.ReplaceAll(body, []byte(size))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return s.base.RoundTrip(r)
}

// A cursor lapses at each page of the feed, and the feed that is read instead breaks off
// at each of its own. Nothing had changed, and nothing is written.
func TestCursorLapses(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs the real program many times; run without -short")
	}
	t.Parallel()
	const page = 3
	w := newWorld(t, 1, 4*page)
	w.env = append(w.env, fmt.Sprint(pageSize, "=", page))
	w.synced()
	for _, c := range w.crm(0) { // so that the feed has pages
		title := w.title(0, c.Name)
		w.editMailbox(0, c, sandbox.Fields{"jobTitle": "Somebody else"})
		w.editMailbox(0, c, sandbox.Fields{"jobTitle": title})
	}
	w.pass(due)
	start, want := w.save(), w.contents()
	deltas := func() int {
		t.Helper()
		st, err := w.Stats(t.Context())
		must(t, err)
		return st.Graph.Operations["contacts.delta"]
	}
	must(t, w.ResetStats(t.Context()))
	w.run(cycle...)
	pages := deltas()
	if pages < 4 {
		t.Fatalf("the feed has %d pages", pages)
	}
	lapse := func(name string, skip int, status int, code string) {
		t.Helper()
		must(t, w.FaultMailbox(t.Context(), m365.Fault{
			Name: name, Kind: m365.FaultError, Op: "contacts.delta", Skip: skip, Count: 1, Status: status, Code: code,
		}))
	}
	runs, twice := 0, 0
	for i, c := range []struct {
		status int
		code   string
	}{{http.StatusGone, "SyncStateNotFound"}, {http.StatusGone, "resyncRequired"}, {http.StatusBadRequest, "SyncStateInvalid"}} {
		for at := range pages {
			for again := 0; i == 0 || again == 0; again++ { // 0: not again
				w.restore(start)
				must(t, w.ResetStats(t.Context()))
				lapse("first", at, c.status, c.code)
				if again > 0 {
					lapse("again", at+again-1, c.status, c.code)
				}
				how := fmt.Sprintf("%s at page %d, and again after %d", c.code, at+1, again)
				cmd := w.command(cycle...)
				out, err := cmd.CombinedOutput()
				if (err != nil) != errorCode.Match(out) || err != nil && again == 0 {
					t.Errorf("%s: %v\n%s", how, err, out)
				}
				missed := len(w.Graph().Faults())
				must(t, w.ClearFaults(t.Context()))
				if missed > 0 {
					if again == 0 {
						t.Errorf("%s: it did not lapse", how)
					}
					break
				}
				runs++
				if again > 0 {
					twice++
				} else if n := deltas(); n < at+1+pages {
					t.Errorf("%s: only %d pages were read", how, n)
				}
				w.sync()
				if n := w.writes(); n != 0 {
					t.Errorf("%s: %d items were written", how, n)
				}
				if got := w.contents(); !maps.Equal(got, want) {
					t.Errorf("%s:%s", how, differences(want, got))
				}
			}
		}
	}
	t.Logf("lapsed %d times, %d of them twice, in feeds of %d pages", runs, twice, pages)
}

// The secret of the application is replaced between two runs, at Microsoft's before the
// administrator does so here. The run in between says so, writes nothing and gives up on
// nobody; the one after it does all.
func TestSecretReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs the real program; run without -short")
	}
	t.Parallel()
	w := newWorld(t, 2, 6)
	w.synced()
	w.edit()
	w.pass(due)
	start := w.save()
	w.run(cycle...)
	want := w.contents()
	w.restore(start)
	before := w.contents()
	people := []string{"users", "list", "-o", "csv", "--fields", "email,sync,mailbox"}
	active := w.run(people...)

	w.Graph().SetClientSecret("the new secret")
	cmd := w.command(cycle...)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); err == nil || code < 1 || !bytes.Contains(out, []byte("AADSTS7000215")) {
		t.Errorf("with the old secret: exit status %d and\n%s", code, out)
	}
	if got := w.contents(); !maps.Equal(got, before) {
		t.Errorf("with the old secret:%s", differences(before, got))
	}
	if got := w.run(people...); got != active {
		t.Errorf("with the old secret the users are\n%s\ninstead of\n%s", got, active)
	}
	must(t, os.WriteFile(filepath.Join(w.dir, "m365.secret"), []byte("the new secret\n"), 0o600))
	w.sync()
	if got := w.contents(); !maps.Equal(got, want) {
		t.Errorf("with the new secret:%s", differences(want, got))
	}
	must(t, w.ResetStats(t.Context()))
	w.sync()
	if n := w.writes(); n != 0 {
		t.Errorf("the next run wrote %d items", n)
	}
}
