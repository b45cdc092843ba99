package m365

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// pressure is how hard a mailbox is being asked.
type pressure struct {
	inFlight int
	most     int
	apps     map[string]*window
}

// window counts what one application sent to one mailbox.
type window struct {
	start    time.Time
	requests int
	upStart  time.Time
	bytes    int64
}

func (s *Server) enter(m *mailbox, n int) {
	m.pressed.inFlight += n
	m.pressed.most = max(m.pressed.most, m.pressed.inFlight)
}

func (s *Server) leave(m *mailbox, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.pressed.inFlight -= n
}

// limit counts a call and refuses it if there are too many: at once, in ten minutes, or
// too many bytes in five. A call that is refused counts as well.
// D/concepts/throttling-limits.md, D/concepts/throttling.md; the words are those of
// magodo/terraform-provider-outlook#21 and msgraph-sdk-javascript#297.
func (s *Server) limit(c *call, t *target, crowded bool) *reply {
	if t.m == nil || !t.outlook {
		return nil
	}
	now := s.opt.Now()
	if t.m.pressed.apps == nil {
		t.m.pressed.apps = map[string]*window{}
	}
	w := t.m.pressed.apps[c.app]
	if w == nil {
		w = &window{start: now, upStart: now}
		t.m.pressed.apps[c.app] = w
	}
	if now.Sub(w.start) >= s.opt.Window {
		w.start, w.requests = now, 0
	}
	if now.Sub(w.upStart) >= s.opt.Window/2 {
		w.upStart, w.bytes = now, 0
	}
	w.requests++
	w.bytes += int64(len(c.body))
	switch {
	case crowded:
		return throttled("MailboxConcurrency", time.Second)
	case w.requests > s.opt.Requests:
		return throttled("RequestsPerTenMinutes", w.start.Add(s.opt.Window).Sub(now))
	case w.bytes > s.opt.Upload:
		return throttled("IncomingBytes", w.upStart.Add(s.opt.Window/2).Sub(now))
	}
	return nil
}

func throttled(limit string, wait time.Duration) *reply {
	rep := failed(http.StatusTooManyRequests, "ApplicationThrottled", "Application is over its %s limit.", limit)
	return rep.set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
}
