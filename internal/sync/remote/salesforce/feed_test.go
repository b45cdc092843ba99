package salesforce_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/salesforce"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

func read(t *testing.T, s *salesforce.Salesforce, cursor string) remote.Feed {
	t.Helper()
	feed, err := s.Collection(record.Contacts).Changes(context.Background(), remote.Query{Cursor: cursor})
	if err != nil {
		t.Fatalf("reading the feed: %v", err)
	}
	return feed
}

// last returns how a feed reports a contact in the end.
func last(feed remote.Feed, id string) (remote.Change, bool) {
	var found remote.Change
	ok := false
	for _, c := range feed.Changes {
		if c.Item.ID == id {
			found, ok = c, true
		}
	}
	return found, ok
}

func (o *org) contact(t *testing.T, name string) string {
	t.Helper()
	id, err := o.CreateContact(o.users[0], sfdc.Fields{"LastName": name})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What a transaction commits shows up whatever its length: one shorter than the
// overlap in the next read, a longer one in the audit after it.
func TestLateCommitsAreFound(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{0, 5 * time.Minute, 9 * time.Minute, 25 * time.Minute, 2 * time.Hour, 26 * time.Hour} {
		t.Run(length.String(), func(t *testing.T) {
			t.Parallel()
			o := newOrg(t)
			s := o.open(t)
			cursor := read(t, s, "").Cursor
			o.clock.advance(time.Minute)
			tx := o.Begin()
			id, err := tx.CreateContact(o.users[0], sfdc.Fields{"LastName": "Late"})
			do(t, err)
			for waited := time.Duration(0); waited < length; waited += time.Minute {
				if waited%(7*time.Minute) == 0 {
					o.contact(t, "Noise") // keeps the watermark moving
					cursor = read(t, s, cursor).Cursor
				}
				o.clock.advance(time.Minute)
			}
			do(t, tx.Commit())
			reads := 0
			for end := o.clock.Now().Add(3 * time.Hour); o.clock.Now().Before(end); o.clock.advance(10 * time.Minute) {
				feed := read(t, s, cursor)
				reads++
				if _, ok := last(feed, id); ok {
					if length < 10*time.Minute && reads > 1 {
						t.Errorf("the record came with read %d", reads)
					}
					return
				}
				cursor = feed.Cursor
			}
			t.Error("the record never came")
		})
	}
}

// A transaction that was in flight while everything was read for the first time is
// not missed either.
func TestLateCommitDuringTheFirstRead(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	tx := o.Begin()
	id, err := tx.CreateContact(o.users[0], sfdc.Fields{"LastName": "Late"})
	do(t, err)
	o.clock.advance(45 * time.Minute)
	cursor := read(t, s, "").Cursor
	o.clock.advance(30 * time.Minute)
	do(t, tx.Commit())
	for range 12 {
		o.clock.advance(10 * time.Minute)
		feed := read(t, s, cursor)
		if _, ok := last(feed, id); ok {
			return
		}
		cursor = feed.Cursor
	}
	t.Error("the record never came")
}

// An idle read from a new process costs a token, the description of Contact and one
// query; once an hour one call more.
func TestIdleReadsAreCheap(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.contact(t, "Abel")
	cursor := read(t, o.open(t), "").Cursor
	o.clock.advance(11 * time.Minute)
	cursor = read(t, o.open(t), cursor).Cursor
	o.clock.advance(time.Hour)
	cursor = read(t, o.open(t), cursor).Cursor // the first audit repeats what was read at first
	for i := range 12 {
		o.clock.advance(30 * time.Minute)
		o.ResetStats()
		feed := read(t, o.open(t), cursor)
		st := o.Stats()
		if len(feed.Changes) != 0 {
			t.Errorf("read %d reports %d changes", i, len(feed.Changes))
		}
		if st.Tokens != 1 || st.Requests > 4 {
			t.Errorf("read %d: %d requests, %d of them for tokens; want at most 4 and 1", i, st.Requests, st.Tokens)
		}
		if feed.Cursor == cursor && st.Requests > 3 {
			t.Errorf("read %d: %d requests without anything to remember", i, st.Requests)
		}
		cursor = feed.Cursor
	}
}

// The organization's id comes with the token, and a warm process pays for the query
// alone.
func TestWarmReadIsOneCall(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t)
	cursor := read(t, s, "").Cursor
	o.ResetStats()
	if id, err := s.Organization(context.Background()); err != nil || id != o.OrgID() {
		t.Errorf("organization %q, error %v; want %q", id, err, o.OrgID())
	}
	if got := read(t, s, cursor); got.Cursor != cursor {
		t.Error("the cursor moved without anything to remember")
	}
	if n := o.Stats().Requests; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// The rows of one bulk change are all read, though the query breaks off among rows of
// one and the same stamp, and they are not read for ever after.
func TestBulkChangeWithALostLocator(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t, smallPages)
	cursor := read(t, s, "").Cursor
	const n = 650
	want := map[string]bool{}
	for i := range n {
		want[o.contact(t, fmt.Sprint("Bulk ", i))] = true
	}
	o.clock.advance(time.Minute)
	o.AddFault(sfdc.Fault{Kind: sfdc.FaultStatus, Path: "/queryAll/", Status: http.StatusBadRequest, Code: "INVALID_QUERY_LOCATOR", Count: 2})
	feed := read(t, s, cursor)
	for _, c := range feed.Changes {
		delete(want, c.Item.ID)
	}
	if len(want) != 0 {
		t.Errorf("%d of %d rows were skipped", len(want), n)
	}
	if len(feed.Changes) != n {
		t.Errorf("%d changes for %d rows: the query did not go on where it broke off", len(feed.Changes), n)
	}
	for range 4 { // past the overlap and one audit
		o.clock.advance(40 * time.Minute)
		feed = read(t, s, feed.Cursor)
	}
	if len(feed.Changes) != 0 {
		t.Errorf("%d old rows are still being read", len(feed.Changes))
	}
}

// A query that keeps breaking off fails, and the feed reports nothing.
func TestLocatorLostForEver(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t, smallPages)
	cursor := read(t, s, "").Cursor
	for i := range 350 {
		o.contact(t, fmt.Sprint("Bulk ", i))
	}
	o.AddFault(sfdc.Fault{Kind: sfdc.FaultStatus, Path: "query", Skip: 1, Count: -1, Status: http.StatusBadRequest, Code: "INVALID_QUERY_LOCATOR"})
	feed, err := s.Collection(record.Contacts).Changes(context.Background(), remote.Query{Cursor: cursor})
	if !remote.Is(err, remote.ClassTransient) || len(feed.Changes) != 0 {
		t.Errorf("%d changes, error %v", len(feed.Changes), err)
	}
}

// A record that was deleted and purged between two reads is reported as deleted.
func TestPurgedRecordsAreReported(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t, smallPages)
	id, kept := o.contact(t, "Abel"), o.contact(t, "Bauer")
	cursor := read(t, s, "").Cursor
	o.clock.advance(20 * time.Minute)
	do(t, o.DeleteContact(id))
	do(t, o.PurgeContact(id))
	do(t, o.DeleteContact(kept))
	do(t, o.UndeleteContact(kept))
	deleted := false
	for range 8 {
		o.clock.advance(20 * time.Minute)
		feed := read(t, s, cursor)
		if c, ok := last(feed, id); ok {
			deleted = c.Kind == remote.Deleted
		}
		for _, c := range feed.Changes {
			if c.Item.ID == kept && c.Kind != remote.Present {
				t.Errorf("the restored record is reported with kind %d", c.Kind)
			}
		}
		cursor = feed.Cursor
	}
	if !deleted {
		t.Error("the purged record was never reported")
	}
	// Nobody can tell a purged record from one that may not be seen.
	if res := s.Collection(record.Contacts).Get(context.Background(), []string{id}); res[0].Err != nil || !res[0].Elsewhere {
		t.Errorf("get: error %v, elsewhere %v", res[0].Err, res[0].Elsewhere)
	}
}

// A cursor that outlived the recycle bin is lost, by the server's clock.
func TestOldCursorIsLost(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t, smallPages)
	cursor := read(t, s, "").Cursor
	o.clock.advance(13 * 24 * time.Hour)
	read(t, s, cursor)
	o.clock.advance(2 * 24 * time.Hour)
	if _, err := s.Collection(record.Contacts).Changes(context.Background(), remote.Query{Cursor: cursor}); !remote.Is(err, remote.ClassCursorLost) {
		t.Errorf("error = %v, want a lost cursor", err)
	}
}

// Records of others in an incremental feed that is limited to owners are hints, and
// an owner that is no id limits to nothing.
func TestOwnersThatAreNoIDs(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.contact(t, "Abel")
	feed, err := o.open(t).Collection(record.Contacts).Changes(context.Background(), remote.Query{Owners: []string{"x') OR (Name != '"}})
	if err != nil || len(feed.Changes) != 0 {
		t.Errorf("%d changes, error %v; want none", len(feed.Changes), err)
	}
}

// A read that fails reports nothing, whatever part of it fails and however; it can
// be made again from the same cursor.
func TestFeedUnderFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range []sfdc.FaultKind{sfdc.FaultDrop, sfdc.FaultTruncate, sfdc.FaultGarbage, sfdc.FaultStatus, sfdc.FaultHTML} {
		for call := range 3 {
			t.Run(fmt.Sprint(kind, call), func(t *testing.T) {
				t.Parallel()
				o := newOrg(t)
				s := o.open(t, smallPages)
				cursor := read(t, s, "").Cursor
				id := o.contact(t, "Abel")
				for i := range 250 {
					o.contact(t, fmt.Sprint("Bulk ", i))
				}
				o.clock.advance(2 * time.Hour) // an audit is due
				o.AddFault(sfdc.Fault{Kind: kind, Skip: call, Count: -1})
				feed, err := s.Collection(record.Contacts).Changes(context.Background(), remote.Query{Cursor: cursor})
				if err == nil || len(feed.Changes) != 0 || feed.Cursor != "" {
					t.Errorf("%d changes, cursor %q, error %v", len(feed.Changes), feed.Cursor, err)
				}
				if !remote.Is(err, remote.ClassTransient) || remote.IsUnclear(err) {
					t.Errorf("error %v has class %s, unclear %v", err, remote.ClassOf(err), remote.IsUnclear(err))
				}
				o.ClearFaults()
				if _, ok := last(read(t, s, cursor), id); !ok {
					t.Error("the change was lost")
				}
			})
		}
	}
}

// One transient failure of a read is not even noticed.
func TestReadsAreRepeated(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t, smallPages)
	o.contact(t, "Abel")
	for _, kind := range []sfdc.FaultKind{sfdc.FaultDrop, sfdc.FaultTruncate, sfdc.FaultStatus} {
		o.AddFault(sfdc.Fault{Kind: kind, Path: "query"})
		if feed := read(t, s, ""); len(feed.Changes) != 1 {
			t.Errorf("%s: %d changes, want 1", kind, len(feed.Changes))
		}
	}
}

// Where a query goes on after it broke off does not depend on a row that was changed
// while its pages were read.
func TestLostLocatorWithARowChangedMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	s := o.open(t, smallPages)
	cursor := read(t, s, "").Cursor
	want := map[string]bool{}
	var ids []string
	for i := range 450 {
		ids = append(ids, o.contact(t, fmt.Sprint("Bulk ", i)))
		want[ids[i]] = true
	}
	o.clock.advance(time.Minute)
	o.AddFault(sfdc.Fault{Kind: sfdc.FaultStatus, Path: "/queryAll/", Skip: 1, Status: http.StatusBadRequest, Code: "INVALID_QUERY_LOCATOR"})
	feed, err := s.Collection(record.Contacts).Changes(context.Background(), remote.Query{Cursor: cursor, Progress: func(n int) {
		if n == 200 { // the last row of the second page, whose locator is then lost
			o.clock.advance(time.Minute)
			do(t, o.UpdateContact(ids[399], sfdc.Fields{"Title": "CTO"}))
		}
	}})
	do(t, err)
	for _, c := range feed.Changes {
		delete(want, c.Item.ID)
	}
	if len(want) != 0 {
		t.Errorf("%d rows were skipped", len(want))
	}
}

// canned answers one resource with a text and passes everything else on.
type canned struct {
	base http.RoundTripper
	path string
	body func() string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.URL.Path, c.path) {
		return c.base.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(c.body())),
	}, nil
}

// The list of deletions may name a record that was restored since: it is no proof
// against a record that is there.
func TestRestoredRecordInTheListOfDeletions(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	id := o.contact(t, "Abel")
	asked := 0
	s := o.open(t, func(c *salesforce.Config) {
		c.Base = canned{base: transport.NewBase(), path: "/deleted/", body: func() string {
			asked++
			return `{"deletedRecords":[{"id":"` + id + `","deletedDate":"2026-05-04T03:30:00.000+0000"}],"latestDateCovered":"2026-05-04T04:00:00.000+0000"}`
		}}
	})
	cursor := read(t, s, "").Cursor
	for range 4 {
		o.clock.advance(40 * time.Minute)
		feed := read(t, s, cursor)
		for _, c := range feed.Changes {
			if c.Kind != remote.Present {
				t.Errorf("a record that exists is reported with kind %d", c.Kind)
			}
		}
		cursor = feed.Cursor
	}
	if asked == 0 {
		t.Error("the list of deletions was never asked for")
	}
}
