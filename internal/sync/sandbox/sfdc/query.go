package sfdc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// A page of a query has 2,000 rows unless the client asks for fewer, but not for
	// fewer than 200 ("Query Options Header").
	defaultPage, smallestPage = 2000, 200
	// cursorLife is how long a query locator lives.
	cursorLife = 48 * time.Hour
)

// cursor is an open query: the ids that it found, read again page by page.
type cursor struct {
	query   *query
	all     bool
	name    string
	ids     []string
	page    int
	expires time.Time
}

func (s *Server) queryCall(c *call, verb string, rest []string) *reply {
	if c.method != http.MethodGet {
		return methodNotAllowed(c)
	}
	page := defaultPage
	for part := range strings.SplitSeq(c.header.Get("Sforce-Query-Options"), ",") {
		if n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(part), "batchSize=")); err == nil {
			page = min(max(n, smallestPage), defaultPage)
		}
	}
	if len(rest) == 1 {
		s.stats.QueryPages++
		return s.nextPage(c, rest[0])
	}
	if len(rest) > 1 {
		return failed(notFound())
	}
	s.stats.Queries++
	st, f := parseSOQL(c.query.Get("q"))
	if f != nil {
		return failed(f)
	}
	q, f := s.bind(st)
	if f != nil {
		return failed(f)
	}
	cur := &cursor{query: q, all: verb == "queryAll", name: verb, ids: q.run(verb == "queryAll"), page: page, expires: s.now().Add(cursorLife)}
	if st.count {
		return answer(http.StatusOK, map[string]any{"totalSize": len(cur.ids), "done": true, "records": []any{}})
	}
	id := ""
	if len(cur.ids) > page {
		s.nextCursor++
		id = newID("01g", s.instance, s.nextCursor)
		s.cursors[id] = cur
	}
	return s.page(c, cur, id, 0)
}

func (s *Server) nextPage(c *call, locator string) *reply {
	bad := badRequest("INVALID_QUERY_LOCATOR", "invalid query locator")
	id, offset, ok := strings.Cut(locator, "-")
	n, err := strconv.Atoi(offset)
	cur := s.cursors[id]
	if !ok || err != nil || cur == nil || n < 0 || n > len(cur.ids) {
		return failed(bad)
	}
	if s.now().After(cur.expires) {
		delete(s.cursors, id)
		return failed(bad)
	}
	return s.page(c, cur, id, n)
}

// page writes the rows of a cursor from n on. Rows are read now, not when the query
// ran: one that went away since is left out, which is why a run of pages is not a
// snapshot.
func (s *Server) page(c *call, cur *cursor, id string, n int) *reply {
	end := min(n+cur.page, len(cur.ids))
	b := []byte(fmt.Sprintf(`{"totalSize":%d,"done":%t`, len(cur.ids), end == len(cur.ids)))
	if end < len(cur.ids) {
		b = fmt.Appendf(b, `,"nextRecordsUrl":"/services/data/%s/%s/%s-%d"`, c.version, cur.name, id, end)
	}
	b = append(b, `,"records":[`...)
	first := true
	for _, rid := range cur.ids[n:end] {
		r := cur.query.table.rows[rid]
		if r == nil || s.hidden[rid] || s.gone(r) || r.deleted() && !cur.all {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = s.appendRow(b, c.version, r, cur.query.tree)
	}
	return answer(http.StatusOK, json.RawMessage(append(b, "]}"...)))
}
