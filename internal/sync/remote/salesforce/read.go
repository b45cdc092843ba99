package salesforce

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// reader reads all rows of one query, page by page.
type reader struct {
	c *contacts
	// verb is query, or queryAll, which shows deleted records too.
	verb  string
	where string
	// stamped, if not zero, is where the stamps begin; the rows then come in the order
	// of their stamps.
	stamped time.Time
	// oldest, if not zero, is until when of the server's time the read is good for: a
	// later one has lost its cursor.
	oldest   time.Time
	progress func(int)
	// read is how many rows were read before.
	read int
	// begun is the server's time at the first page.
	begun time.Time
}

// restarts is how often a query whose locator expired is begun again.
const restarts = 3

func (r *reader) all(ctx context.Context) ([]row, error) {
	var rows []row
	next := r.first(nil)
	for again := 0; ; {
		if err := r.c.spare(); err != nil {
			return nil, err
		}
		p, got, err := r.page(ctx, next)
		if expired(err) && again < restarts {
			again++
			next = r.first(rows)
			if r.stamped.IsZero() {
				rows = nil
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
		if r.progress != nil {
			r.progress(r.read + len(rows))
		}
		if p.Done || p.Next == "" {
			return rows, nil
		}
		next = request{method: http.MethodGet, path: p.Next}
	}
}

// first is the request of the first page, or of the rest behind the rows that were
// read: those of the same stamp with a greater id, and those of later stamps. A row
// that was changed while the pages were read shows a stamp from after the beginning,
// which says nothing of where the reading stood.
func (r *reader) first(rows []row) request {
	soql := "SELECT " + r.c.columns() + " FROM Contact" + r.where
	if !r.stamped.IsZero() {
		soql += " WHERE "
		for len(rows) > 0 && !rows[len(rows)-1].instant("SystemModstamp").Before(r.begun) {
			rows = rows[:len(rows)-1]
		}
		if n := len(rows); n > 0 {
			last := rows[n-1]
			at := moment(last.instant("SystemModstamp"))
			soql += "((SystemModstamp = " + at + " AND Id > " + quote(last.id()) + ") OR SystemModstamp > " + at + ")"
		} else {
			soql += "SystemModstamp >= " + moment(r.stamped)
		}
		soql += " ORDER BY SystemModstamp, Id"
	}
	return request{method: http.MethodGet, path: r.c.data(r.verb), query: url.Values{"q": {soql}}}
}

func (r *reader) page(ctx context.Context, q request) (page, []row, error) {
	a, err := r.c.send(ctx, r.c.h, q)
	if err != nil {
		return page{}, nil, err
	}
	if r.begun.IsZero() {
		if r.begun = a.at; r.begun.IsZero() {
			r.begun, _ = r.c.serverNow()
		}
	}
	if !r.oldest.IsZero() && r.begun.After(r.oldest) {
		return page{}, nil, cursorLost("the cursor is older than the recycle bin")
	}
	var p page
	if err := json.Unmarshal(a.body, &p); err != nil {
		return page{}, nil, unreadable(false)
	}
	var rows []row
	if err := json.Unmarshal(p.Rows, &rows); err != nil {
		return page{}, nil, unreadable(false)
	}
	for _, row := range rows {
		if !isID(row.id(), "") {
			return page{}, nil, unreadable(false)
		}
	}
	return p, rows, nil
}

func expired(err error) bool {
	e, ok := err.(*remote.Error) //nolint:errorlint // send returns it unwrapped
	return ok && e.Code == "INVALID_QUERY_LOCATOR"
}

// byID reads contacts by id, deleted ones included.
func (c *contacts) byID(ctx context.Context, ids []string) (map[string]row, error) {
	found := make(map[string]row, len(ids))
	for _, some := range lists(ids) {
		r := reader{c: c, verb: "queryAll", where: " WHERE " + in("Id", some)}
		rows, err := r.all(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			found[row.id()] = row
		}
	}
	return found, nil
}

// Get reads contacts. One that queryAll shows as deleted is gone. One that it does not
// show was purged or may not be seen: nothing tells which, so it is elsewhere.
func (c *contacts) Get(ctx context.Context, ids []string) []remote.ItemResult {
	out := make([]remote.ItemResult, len(ids))
	var asked []string
	for _, id := range ids {
		if isID(id, "") {
			asked = append(asked, long(id))
		}
	}
	slices.Sort(asked)
	asked = slices.Compact(asked)
	found, err := c.byID(ctx, asked)
	for i, id := range ids {
		r, ok := found[long(id)]
		switch {
		case !isID(id, ""):
			out[i] = remote.ItemResult{Item: remote.Item{ID: id}, Elsewhere: true}
		case err != nil:
			out[i] = remote.ItemResult{Err: err}
		case !ok:
			out[i] = remote.ItemResult{Item: remote.Item{ID: id}, Elsewhere: true}
		case r.deleted():
			out[i] = remote.ItemResult{Err: &remote.Error{Class: remote.ClassGone, Code: "ENTITY_IS_DELETED", Message: codes["ENTITY_IS_DELETED"].message}}
		default:
			out[i] = remote.ItemResult{Item: c.item(r)}
		}
	}
	return out
}

// FindStamped looks the stamps up in their field. SOQL compares texts without case, so
// what it finds is compared again.
func (c *contacts) FindStamped(ctx context.Context, stamps []record.Stamp) ([]remote.Item, error) {
	if c.stampField == "" || len(stamps) == 0 {
		return nil, nil
	}
	texts := make([]string, 0, len(stamps))
	for _, s := range stamps {
		texts = append(texts, c.stampText(s))
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	var out []remote.Item
	for _, some := range lists(texts) {
		r := reader{c: c, verb: "query", where: " WHERE " + in(c.stampField, some)}
		rows, err := r.all(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if _, ok := slices.BinarySearch(texts, row.text(c.stampField)); ok {
				out = append(out, c.item(row))
			}
		}
	}
	return out, nil
}
