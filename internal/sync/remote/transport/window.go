package transport

import "time"

// window counts the requests of the last stretch of time, so that no stretch of that
// length holds more than are allowed. A bucket that refills would let twice as many
// through in its first one.
type window struct {
	most  int
	per   time.Duration
	spent []spent // oldest first
	sum   int
}

// spent is how many requests were made between two moments.
type spent struct {
	first, last time.Time
	n           int
}

// grains is into how many parts a window is cut: what falls into one is counted as if it
// had all been made at its end.
const grains = 600

// wait returns how long to wait until so many requests may be made; 0 for now.
func (w *window) wait(now time.Time, n int) time.Duration {
	w.forget(now)
	over := w.sum + min(n, w.most) - w.most
	for _, s := range w.spent {
		if over <= 0 {
			break
		}
		if over -= s.n; over <= 0 {
			return s.last.Add(w.per).Sub(now)
		}
	}
	return 0
}

// add notes that requests were made.
func (w *window) add(at time.Time, n int) {
	w.sum += n
	if i := len(w.spent) - 1; i >= 0 && at.Sub(w.spent[i].first) < w.per/grains {
		w.spent[i].n += n
		w.spent[i].last = at
		return
	}
	w.spent = append(w.spent, spent{first: at, last: at, n: n})
}

// forget drops what has left the window. What a clock that was set back made ahead of
// now counts as made now.
func (w *window) forget(now time.Time) {
	gone := 0
	for i := range w.spent {
		s := &w.spent[i]
		if s.last.After(now) {
			s.first, s.last = now, now
		}
		if gone == i && !s.last.Add(w.per).After(now) {
			gone++
			w.sum -= s.n
		}
	}
	w.spent = w.spent[gone:]
}
