package graph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
)

// A read gets over any fault that passes, at whatever call it strikes; whatever it
// returns without an error is complete.
func TestReadsSurviveFaults(t *testing.T) {
	t.Parallel()
	for _, f := range []m365.Fault{
		{Kind: m365.FaultError, Status: 503}, {Kind: m365.FaultError, Status: 500}, {Kind: m365.FaultError, Status: 504},
		{Kind: m365.FaultError, Status: 429, RetryAfter: "2"}, {Kind: m365.FaultError, Status: 429, RetryAfter: "0"}, {Kind: m365.FaultError, Status: 429},
		{Kind: m365.FaultHTML}, {Kind: m365.FaultDrop}, {Kind: m365.FaultTruncate},
		{Kind: m365.FaultDeltaDuplicates}, {Kind: m365.FaultDeltaShuffle}, {Kind: m365.FaultDeltaEmptyPages}, {Kind: m365.FaultDeltaReplay},
	} {
		t.Run(fmt.Sprint(f.Kind, f.Status, f.RetryAfter), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(_ *m365.Options, c *Config) { c.PageSize = 3 })
			_, col := b.open(t)
			for i := range 10 {
				if _, err := b.CreateContact(b.users[0], "CRM", map[string]any{"surname": fmt.Sprint("S", i)}); err != nil {
					t.Fatal(err)
				}
			}
			for skip := range 9 {
				f.Name, f.Skip, f.Count = "f", skip, 2
				b.SetFault(f)
				feed, err := col.Changes(t.Context(), remote.Query{Stamps: true})
				if err != nil {
					t.Fatalf("at call %d: %v", skip, err)
				}
				seen := map[string]bool{}
				for _, ch := range feed.Changes {
					if ch.Kind == remote.Present && ch.Item.HasStamp {
						seen[ch.Item.Fields["surname"].First()] = true
					}
				}
				if len(seen) != 10 {
					t.Errorf("at call %d: %d items of 10", skip, len(seen))
				}
			}
		})
	}
}

// Whatever strikes a batch of writes, what is said of each one is true: a write that
// was done is never said to have failed clearly, and none is done twice.
func TestWritesTellTheTruth(t *testing.T) {
	t.Parallel()
	for _, f := range []m365.Fault{
		{Kind: m365.FaultError, Op: "batch", Status: 503}, {Kind: m365.FaultError, Op: "batch", Status: 429, RetryAfter: "1"},
		{Kind: m365.FaultHTML, Op: "batch"}, {Kind: m365.FaultDrop, Op: "batch"}, {Kind: m365.FaultLost, Op: "batch"},
		{Kind: m365.FaultTruncate, Op: "batch"}, {Kind: m365.FaultMalformed, Op: "batch"}, {Kind: m365.FaultApplied, Op: "batch"},
		{Kind: m365.FaultError, Op: "contact.create", Status: 500}, {Kind: m365.FaultError, Op: "contact.create", Status: 429, RetryAfter: "1"},
		{Kind: m365.FaultError, Op: "contact.create", Status: 409}, {Kind: m365.FaultError, Op: "contact.create", Status: 412},
		{Kind: m365.FaultError, Op: "contact.create", Status: 401, Code: "InvalidAuthenticationToken"},
		{Kind: m365.FaultApplied, Op: "contact.create"}, {Kind: m365.FaultMissing, Op: "contact.create"},
		{Kind: m365.FaultLost, Op: "contact.create"}, {Kind: m365.FaultMalformed, Op: "contact.create"}, {Kind: m365.FaultHTML, Op: "contact.create"},
	} {
		t.Run(fmt.Sprint(f.Kind, f.Op, f.Status), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, col := b.open(t)
			f.Name, f.Rate, f.Count = "f", 0, 3
			f.Skip = 1
			if f.Op == "batch" {
				f.Skip = 0
				f.Count = 1
			}
			b.SetFault(f)
			writes := creates(12)
			res := col.Apply(t.Context(), writes)
			b.ClearFaults()
			items, err := b.Contacts(b.users[0], "CRM")
			if err != nil {
				t.Fatal(err)
			}
			there := map[string]int{}
			for _, it := range items {
				there[fmt.Sprint(it["surname"])]++
			}
			for i, r := range res {
				n := there[writes[i].Set["surname"].First()]
				if n > 1 {
					t.Errorf("write %d was done %d times", i, n)
				}
				switch {
				case r.Err == nil && n == 0:
					t.Errorf("write %d was not done, but is said to be", i)
				case r.Err != nil && n == 1 && !remote.IsUnclear(r.Err):
					t.Errorf("write %d was done, but is said to have failed: %v", i, r.Err)
				}
				// What is unclear is found by its stamp if it was done.
				if remote.IsUnclear(r.Err) {
					found, err := col.FindStamped(t.Context(), []record.Stamp{writes[i].Stamp})
					if err != nil || len(found) != n {
						t.Errorf("write %d: %d found by stamp, want %d (error %v)", i, len(found), n, err)
					}
				}
			}
		})
	}
}

// In a storm of refusals the connector waits as long as it is told, and gives the rest
// back as pressure when that is too long.
func TestThrottling(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, col := b.open(t)
	b.SetFault(m365.Fault{Name: "f", Kind: m365.FaultError, Status: 429, RetryAfter: "300", Code: "ApplicationThrottled"})
	b.ResetStats()
	_, err := col.Changes(t.Context(), remote.Query{})
	if !remote.Is(err, remote.ClassPressure) || detail(err).RetryAfter != 300*time.Second {
		t.Fatalf("error %v for %v", err, detail(err).RetryAfter)
	}
	if n := b.Stats().Total.RoundTrips; n != 1 {
		t.Errorf("%d requests into a closed door", n)
	}
	// Nobody knocks again before the time, by whatever handle.
	for i, r := range b.g.Mailbox(b.users[0]).Collection(record.Contacts, col.folder).Apply(t.Context(), creates(2)) {
		if !remote.Is(r.Err, remote.ClassPressure) || remote.IsUnclear(r.Err) || detail(r.Err).RetryAfter <= 0 {
			t.Errorf("write %d: %v", i, r.Err)
		}
	}
	feeds := []remote.MailFeed{{Mailbox: b.users[0], Container: col.folder}}
	if r := b.g.Prefetch(t.Context(), feeds)[0]; !remote.Is(r.Err, remote.ClassPressure) {
		t.Errorf("prefetch: %v", r.Err)
	}
	if n := b.Stats().Total.RoundTrips; n != 1 {
		t.Errorf("%d requests within the time", n)
	}
	_ = b.clock.sleep(t.Context(), 300*time.Second)
	b.ClearFaults()
	if _, err := col.Changes(t.Context(), remote.Query{}); err != nil {
		t.Errorf("after the time: %v", err)
	}
}

func TestMailboxesThatCannotBeReached(t *testing.T) {
	t.Parallel()
	for state, want := range map[m365.MailboxState]remote.Class{
		m365.MailboxUnlicensed: remote.ClassAuthorization, m365.MailboxDenied: remote.ClassAuthorization,
		m365.MailboxMoving: remote.ClassTransient,
	} {
		b := newBench(t)
		_, col := b.open(t)
		feed, err := col.Changes(t.Context(), remote.Query{})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.SetMailboxState(b.users[0], state); err != nil {
			t.Fatal(err)
		}
		for range 3 { // the codes of one mailbox alternate
			for what, err := range map[string]error{
				"check":   b.g.CheckUser(t.Context(), b.users[0]),
				"get":     col.Get(t.Context(), []string{"AAkALgAAAAAAHYQDEapmEc2byACqAC"})[0].Err,
				"write":   col.Apply(t.Context(), creates(1))[0].Err,
				"changes": func() error { _, err := col.Changes(t.Context(), remote.Query{Cursor: feed.Cursor}); return err }(),
				"all":     func() error { _, err := col.Changes(t.Context(), remote.Query{}); return err }(),
			} {
				if !remote.Is(err, want) {
					t.Errorf("%s, %s: %v (%s)", state, what, err, remote.ClassOf(err))
				}
			}
		}
	}
}

// A delta may hold only what changed of an item: the rest is read, never taken for
// cleared.
func TestPartialChanges(t *testing.T) {
	t.Parallel()
	s := newStub(t, nil)
	all := func(id string, extra map[string]any) map[string]any {
		m := map[string]any{"id": id, "parentFolderId": "f1", "@odata.etag": `W/"9"`}
		for _, n := range Table().Native() {
			group, _, _ := strings.Cut(n, "/")
			m[group] = nil
		}
		for k, v := range extra {
			m[k] = v
		}
		return m
	}
	s.srv.Config.Handler = wrap(s.srv.Config.Handler, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/delta()"), strings.HasSuffix(r.URL.Path, "/delta"):
			_ = json.NewEncoder(w).Encode(map[string]any{
				"value": []any{
					all("whole", map[string]any{"surname": "W"}),
					map[string]any{"id": "part", "@odata.etag": `W/"2"`, "jobTitle": "New"},
					map[string]any{"id": "went", "jobTitle": "New"},
					map[string]any{"id": "moved", "jobTitle": "New"},
					map[string]any{"id": "gone", "@removed": map[string]any{"reason": "deleted"}},
				},
				"@odata.deltaLink": s.srv.URL + "/v1.0/users/u1/contactFolders/f1/contacts/delta()?$deltatoken=2",
			})
		case strings.HasSuffix(r.URL.Path, "$batch"):
			answerParts(w, parts(t, r), func(_ int, p batchPart) part {
				switch {
				case strings.Contains(p.URL, "/part?"):
					raw, _ := json.Marshal(all("part", map[string]any{"jobTitle": "New", "surname": "P"}))
					return part{status: 200, body: string(raw)}
				case strings.Contains(p.URL, "/moved?"):
					raw, _ := json.Marshal(all("moved", map[string]any{"parentFolderId": "f2"}))
					return part{status: 200, body: string(raw)}
				}
				return part{status: 404, body: refusal("ErrorItemNotFound")}
			})
		case strings.HasSuffix(r.URL.Path, "/mailFolders/deleteditems"):
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(refusal("ErrorAccessDenied")))
		default:
			return false
		}
		return true
	})
	feed, err := s.collection().Changes(t.Context(), remote.Query{Cursor: s.srv.URL + "/v1.0/users/u1/contactFolders/f1/contacts/delta()?$deltatoken=1"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ch := range feed.Changes {
		got = append(got, fmt.Sprint(ch.Item.ID, ch.Kind, ch.Item.Fields["surname"], ch.Item.Fields["jobTitle"]))
	}
	want := []string{"whole0 [W] []", "part0 [P] [New]", "went1 [] []", "moved1 [] []", "gone1 [] []"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// wrap lets a handler answer first what it knows.
func wrap(next http.Handler, first func(http.ResponseWriter, *http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !first(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// An item in Deleted Items was deleted, where the app may know which folder that is.
func TestDeletedItems(t *testing.T) {
	t.Parallel()
	for allowed, want := range map[bool]string{true: "gone", false: "elsewhere"} {
		s := newStub(t, nil)
		asked := 0
		s.srv.Config.Handler = wrap(s.srv.Config.Handler, func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasSuffix(r.URL.Path, "/mailFolders/deleteditems"):
				asked++
				if !allowed {
					w.WriteHeader(http.StatusForbidden)
					_, _ = w.Write([]byte(refusal("ErrorAccessDenied")))
					return true
				}
				_, _ = w.Write([]byte(`{"id":"bin"}`))
			case strings.HasSuffix(r.URL.Path, "$batch"):
				answerParts(w, parts(t, r), func(int, batchPart) part { return part{status: 200, body: `{"id":"x","parentFolderId":"bin"}`} })
			default:
				return false
			}
			return true
		})
		col := s.collection()
		for range 2 {
			r := col.Get(t.Context(), []string{"x"})[0]
			got := "elsewhere"
			if remote.Is(r.Err, remote.ClassGone) {
				got = "gone"
			}
			if got != want || got == "elsewhere" && !r.Elsewhere {
				t.Errorf("allowed %v: %s (%+v)", allowed, got, r)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times for the folder", asked)
		}
	}
}
