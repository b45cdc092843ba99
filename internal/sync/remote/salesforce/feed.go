package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// How changes are read, and why nothing is lost:
//
//   - A record is stamped (SystemModstamp) while its transaction runs and becomes
//     visible when that ends, so records appear behind any watermark. Every read
//     therefore goes back behind the time at which the last one began, by the overlap.
//     Times are the server's own, from its Date header.
//   - A transaction may be longer than the overlap. getUpdated tells latestDateCovered,
//     before which nothing is outstanding; it is held back to the start of the oldest
//     transaction in flight (REST API Developer Guide, "Get a List of Updated Records
//     Within a Given Timeframe", and SOAP API Developer Guide, "Polling for Changes").
//     An audit asks for it, and then reads all changes again from the date that the
//     audit before had covered. The date is asked for before the records are read.
//   - The records of one bulk change bear the same stamp. A query is read through its
//     locator, and one that broke off goes on behind the last (stamp, id).
//   - queryAll shows deleted records while they are in the recycle bin, and of merged
//     ones the record that remains. What was purged between two reads is in getDeleted,
//     which reaches back 15 days; an older cursor is lost.
//
// A read whose cursor has nothing new to remember returns it as it was: from an old
// watermark the same records are seen, and some more.

const (
	// auditEvery and purgedEvery are how often the two replication calls are made.
	// One read makes at most one of them: an idle read costs two calls at most.
	auditEvery  = time.Hour
	purgedEvery = time.Hour
	// binLife is how long deleted records can be told from others. A day is left.
	binLife = 14 * 24 * time.Hour
	// shortest is the least window of the replication calls, which cut off seconds.
	shortest = 2 * time.Minute
)

const cursorVersion = 1

// cursor is where a feed was read to. All times are the server's.
type cursor struct {
	V int `json:"v"`
	// From is where the stamps of the next read begin.
	From time.Time `json:"from"`
	// Covered is where the stamps of the next audit begin, Audited when the last was.
	Covered time.Time `json:"covered"`
	Audited time.Time `json:"audited"`
	// Purged is up to where getDeleted was read, Swept when.
	Purged time.Time `json:"purged"`
	Swept  time.Time `json:"swept"`
}

func parseCursor(text string) (cursor, error) {
	var c cursor
	if err := json.Unmarshal([]byte(text), &c); err != nil || c.V != cursorVersion || c.From.IsZero() || c.Covered.IsZero() || c.Purged.IsZero() {
		return c, cursorLost("the cursor is not one of this connector")
	}
	return c, nil
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // times within our years always encode
	}
	return string(b)
}

func cursorLost(message string) error {
	return &remote.Error{Class: remote.ClassCursorLost, Code: "cursor-lost", Message: message}
}

func (c *contacts) Changes(ctx context.Context, q remote.Query) (remote.Feed, error) {
	if q.Cursor == "" {
		return c.all(ctx, q)
	}
	at, err := parseCursor(q.Cursor)
	if err != nil {
		return remote.Feed{}, err
	}
	return c.since(ctx, q, at)
}

// all reads every contact there is, or those of some owners.
func (c *contacts) all(ctx context.Context, q remote.Query) (remote.Feed, error) {
	now, err := c.now(ctx)
	if err != nil {
		return remote.Feed{}, err
	}
	covered, err := c.covered(ctx, now.Add(-5*time.Minute), now)
	if err != nil {
		return remote.Feed{}, err
	}
	wheres := []string{""}
	if len(q.Owners) > 0 {
		wheres = nil
		owners := slices.DeleteFunc(slices.Clone(q.Owners), func(id string) bool { return !isID(id, "") })
		for _, ids := range lists(owners) {
			wheres = append(wheres, " WHERE "+in("OwnerId", ids))
		}
	}
	feed := remote.Feed{Complete: true}
	begun := now
	for i, where := range wheres {
		r := reader{c: c, verb: "query", where: where, progress: q.Progress, read: len(feed.Changes)}
		rows, err := r.all(ctx)
		if err != nil {
			return remote.Feed{}, err
		}
		if i == 0 && !r.begun.IsZero() {
			begun = r.begun
		}
		for _, row := range rows {
			feed.Changes = append(feed.Changes, remote.Change{Item: c.item(row)})
		}
	}
	from := begun.Add(-c.cfg.Overlap)
	if covered.IsZero() || covered.After(from) {
		covered = from
	}
	feed.Cursor = cursor{V: cursorVersion, From: from, Covered: covered, Audited: begun, Purged: from, Swept: begun}.String()
	return feed, nil
}

// since reads what changed.
func (c *contacts) since(ctx context.Context, q remote.Query, at cursor) (remote.Feed, error) {
	now, err := c.now(ctx)
	if err != nil {
		return remote.Feed{}, err
	}
	next, from := at, at.From
	audit := now.Sub(at.Audited) >= auditEvery && now.Sub(at.Covered) >= shortest
	if audit {
		covered, err := c.covered(ctx, at.Covered, now)
		if err != nil {
			return remote.Feed{}, err
		}
		if at.Covered.Before(from) {
			from = at.Covered
		}
		next.Audited = now
		if covered.After(at.Covered) {
			next.Covered = covered
		}
	}
	r := reader{c: c, verb: "queryAll", stamped: from, progress: q.Progress, oldest: at.From.Add(binLife)}
	rows, err := r.all(ctx)
	if err != nil {
		return remote.Feed{}, err
	}
	feed := remote.Feed{Complete: true}
	for _, row := range rows {
		feed.Changes = append(feed.Changes, c.change(row, q.Owners))
	}
	sweep := !audit && now.Sub(at.Swept) >= purgedEvery && now.Sub(at.Purged) >= shortest
	if sweep {
		gone, covered, err := c.purged(ctx, at.Purged, now, rows)
		if err != nil {
			return remote.Feed{}, err
		}
		feed.Changes = append(feed.Changes, gone...)
		next.Swept = now
		if covered.After(at.Purged) {
			next.Purged = covered
		}
	}
	feed.Cursor = q.Cursor
	if audit || sweep || len(rows) > 0 {
		if f := r.begun.Add(-c.cfg.Overlap); f.After(next.From) {
			next.From = f
		}
		feed.Cursor = next.String()
	}
	return feed, nil
}

// change is what a row reports. A record that belongs to nobody asked for may have
// been one of theirs: it is a hint that it left them.
func (c *contacts) change(r row, owners []string) remote.Change {
	bare := remote.Item{ID: r.id(), Owner: r.text("OwnerId")}
	switch master := r.text("MasterRecordId"); {
	case r.deleted() && master != "":
		return remote.Change{Kind: remote.Merged, Item: bare, MergedInto: master}
	case r.deleted():
		return remote.Change{Kind: remote.Deleted, Item: bare}
	case len(owners) > 0 && !slices.Contains(owners, bare.Owner):
		return remote.Change{Kind: remote.Removed, Item: bare}
	}
	return remote.Change{Item: c.item(r)}
}

// now is the server's time. If nothing has told it yet, the list of API versions is
// asked, which does not count as a call.
func (c *contacts) now(ctx context.Context) (time.Time, error) {
	if err := c.spare(); err != nil {
		return time.Time{}, err
	}
	if _, err := c.tokens.instance(ctx); err != nil {
		return time.Time{}, err
	}
	if now, ok := c.serverNow(); ok {
		return now, nil
	}
	if _, err := c.versions(ctx, c.h); err != nil {
		return time.Time{}, err
	}
	now, _ := c.serverNow()
	return now, nil
}

// replicated is the answer of getUpdated and getDeleted.
type replicated struct {
	Covered string `json:"latestDateCovered"`
	Deleted []struct {
		ID string `json:"id"`
	} `json:"deletedRecords"`
}

func (c *contacts) replicate(ctx context.Context, what string, from, to time.Time) (replicated, time.Time, error) {
	var out replicated
	a, err := c.send(ctx, c.h, request{
		method: http.MethodGet, path: c.data("sobjects/Contact/" + what + "/"),
		query: url.Values{"start": {from.UTC().Format(time.RFC3339)}, "end": {to.UTC().Format(time.RFC3339)}},
	})
	if err != nil {
		return out, time.Time{}, err
	}
	if err := json.Unmarshal(a.body, &out); err != nil {
		return out, time.Time{}, unreadable(false)
	}
	return out, row{"t": out.Covered}.instant("t"), nil
}

// covered asks getUpdated for the date before which no change is outstanding. Where
// the window holds more ids than the call answers, nothing is known: the next audit
// begins at the same date.
func (c *contacts) covered(ctx context.Context, from, to time.Time) (time.Time, error) {
	_, covered, err := c.replicate(ctx, "updated", from, to)
	var e *remote.Error
	if errors.As(err, &e) && e.Code == "EXCEEDED_ID_LIMIT" {
		c.cfg.Log.Warn("the audit of changes is left out: too many changes in its window")
		return time.Time{}, nil
	}
	return covered, err
}

// purged returns the deletions that getDeleted knows and the rows do not show. A
// record that was restored meanwhile is no deletion.
func (c *contacts) purged(ctx context.Context, from, to time.Time, seen []row) ([]remote.Change, time.Time, error) {
	list, covered, err := c.replicate(ctx, "deleted", from, to)
	if err != nil {
		return nil, time.Time{}, err
	}
	shown := make(map[string]bool, len(seen))
	for _, r := range seen {
		shown[r.id()] = true
	}
	var ids []string
	for _, d := range list.Deleted {
		if id := long(d.ID); isID(id, "") && !shown[id] {
			ids = append(ids, id)
		}
	}
	found, err := c.byID(ctx, ids)
	if err != nil {
		return nil, time.Time{}, err
	}
	var out []remote.Change
	for _, id := range ids {
		r, ok := found[id]
		switch {
		case !ok:
			out = append(out, remote.Change{Kind: remote.Deleted, Item: remote.Item{ID: id}})
		case r.deleted():
			out = append(out, c.change(r, nil))
		}
	}
	return out, covered, nil
}
