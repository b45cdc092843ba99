package sfdc

import (
	"net/http"
	"time"
)

// The replication calls ("sObject Get Updated" and "sObject Get Deleted"): seconds are
// cut off, the window reaches back 30 days for changes and 15 for deletions, and
// latestDateCovered is held back to the start of the oldest transaction that is
// still in flight, since its rows carry stamps from before they can be seen.

const (
	updatedWindow = 30 * 24 * time.Hour
	maxUpdatedIDs = 600_000
)

// window reads and checks start and end.
func (s *Server) window(c *call, reach time.Duration) (start, end time.Time, f *failure) {
	if c.method != http.MethodGet {
		return start, end, fail(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "HTTP Method '%s' not allowed.", c.method)
	}
	start, ok1 := queryTime(c.query, "start")
	end, ok2 := queryTime(c.query, "end")
	if !ok1 || !ok2 {
		return start, end, badRequest("MALFORMED_QUERY", "start and end must be dates and times")
	}
	start, end = start.Truncate(time.Minute), end.Truncate(time.Minute)
	now := s.now()
	switch {
	case !start.Before(end):
		return start, end, badRequest("INVALID_REPLICATION_DATE", "startDate must be before endDate")
	case start.Before(now.Add(-reach)):
		return start, end, badRequest("INVALID_REPLICATION_DATE", "startDate before the data that is kept for replication")
	}
	return start, end, nil
}

// covered is latestDateCovered.
func (s *Server) covered(end time.Time) time.Time {
	at := s.now()
	if end.Before(at) {
		at = end
	}
	for _, t := range s.inFlight {
		if t.started.Before(at) {
			at = t.started
		}
	}
	return at.Truncate(time.Second)
}

func (s *Server) updated(c *call, t *table) *reply {
	start, end, f := s.window(c, updatedWindow)
	if f != nil {
		return failed(f)
	}
	from, to := stampOf(start), stampOf(end)
	ids := []string{}
	for _, id := range t.ids {
		r := t.rows[id]
		if st := r.vals[fStamp]; !r.deleted() && !s.hidden[id] && st >= from && st < to {
			ids = append(ids, id)
		}
	}
	if len(ids) > maxUpdatedIDs {
		return failed(badRequest("EXCEEDED_ID_LIMIT", "too many ids in the window"))
	}
	return answer(http.StatusOK, map[string]any{"ids": ids, "latestDateCovered": apiTime(stampOf(s.covered(end)))})
}

func (s *Server) deletedRows(c *call, t *table) *reply {
	start, end, f := s.window(c, binLife)
	if f != nil {
		return failed(f)
	}
	from, to := stampOf(start), stampOf(end)
	list := []any{}
	for _, id := range t.ids {
		if r := t.rows[id]; r.deletedAt != "" && !s.hidden[id] && r.deletedAt >= from && r.deletedAt < to {
			list = append(list, map[string]string{"id": id, "deletedDate": apiTime(r.deletedAt)})
		}
	}
	return answer(http.StatusOK, map[string]any{
		"deletedRecords":        list,
		"earliestDateAvailable": apiTime(stampOf(s.now().Add(-binLife).Truncate(time.Minute))),
		"latestDateCovered":     apiTime(stampOf(s.covered(end))),
	})
}
