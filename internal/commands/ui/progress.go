package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// barsAtMost is how many users get a bar of their own. More share one.
const barsAtMost = 8

// Progress shows the progress of a run on standard error: bars with count, rate and
// time left on a terminal, nothing but notices elsewhere. It is an engine.Reporter.
type Progress struct {
	streams *Streams
	now     func() time.Time

	mu    sync.Mutex
	bars  *mpb.Progress // nil where nothing is drawn
	each  bool          // each user has a bar
	users map[string]*work
	all   *work
	begun int
	ended int
	wrong int
	total int
	// notices counts the notices by their text, order is that of their first time.
	notices map[string]int
	order   []string
}

// work is what a bar shows: of one user, or of all.
type work struct {
	bar    *mpb.Bar
	name   string
	read   map[record.Side]int
	writes int
	done   int
	since  time.Time // when the first write was announced
}

var _ engine.Reporter = (*Progress)(nil)

// NewProgress returns a Progress that measures time by a clock. Close it.
func (s *Streams) NewProgress(now func() time.Time) *Progress {
	return &Progress{streams: s, now: now, users: map[string]*work{}, notices: map[string]int{}}
}

// RunStarted says how many users will run.
func (p *Progress) RunStarted(users int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.streams.ErrTTY || p.streams.Quiet || users == 0 || p.bars != nil {
		return
	}
	p.total, p.each = users, users <= barsAtMost
	p.bars = mpb.New(mpb.WithOutput(p.streams.Err), mpb.WithAutoRefresh())
	p.streams.setAbove(p.bars)
	if !p.each {
		p.all = p.newWork("all users", int64(users))
	}
}

// width is that of a bar: what the terminal has left beside the text.
func (p *Progress) width() int { return min(max(p.streams.Width-70, 10), 30) }

func (p *Progress) newWork(name string, total int64) *work {
	w := &work{name: name, read: map[record.Side]int{}}
	style := mpb.BarStyle().Lbound("").Rbound("").Filler("█").Tip("").Padding("░")
	w.bar = p.bars.New(total, style,
		mpb.PrependDecorators(decor.Name(name, decor.WC{W: min(len(name), 28), C: decor.DindentRight | decor.DSyncWidth})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return "  " + p.text(w)
		})),
		mpb.BarWidth(p.width()),
		mpb.BarRemoveOnComplete(),
	)
	return w
}

// text is what stands beside a bar.
func (p *Progress) text(w *work) string {
	if w == p.all {
		s := fmt.Sprintf("%d of %d users", p.ended, p.total)
		if p.wrong > 0 {
			s += fmt.Sprintf(", %d not well", p.wrong)
		}
		if w.done > 0 {
			s += fmt.Sprintf(" · %d writes", w.done)
		}
		return s + p.speed(w.since, p.ended, p.total, "")
	}
	if w.writes == 0 {
		if len(w.read) == 0 {
			return "starting"
		}
		var parts []string
		for _, side := range []record.Side{record.CRM, record.Mailbox} {
			if n := w.read[side]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s %d", side, n))
			}
		}
		return "reading " + strings.Join(parts, ", ")
	}
	return fmt.Sprintf("%d of %d", w.done, w.writes) + p.speed(w.since, w.done, w.writes, "")
}

// speed is the rate and the time left, once they mean something.
func (p *Progress) speed(since time.Time, done, total int, unit string) string {
	took := p.now().Sub(since)
	if since.IsZero() || done == 0 || took < 200*time.Millisecond {
		return ""
	}
	rate := float64(done) / took.Seconds()
	s := fmt.Sprintf(" · %.0f%s/s", rate, unit)
	if rate < 10 {
		s = fmt.Sprintf(" · %.1f%s/s", rate, unit)
	}
	if left := time.Duration(float64(total-done) / rate * float64(time.Second)); left >= time.Second {
		s += " · " + Short(left) + " left"
	}
	return s
}

// CycleStarted begins a user's bar.
func (p *Progress) CycleStarted(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil {
		return
	}
	p.begun++
	if p.all != nil && p.all.since.IsZero() {
		p.all.since = p.now()
	}
	if p.each {
		p.users[user] = p.newWork(user, 0)
	}
}

// CycleEnded takes a user's bar away: the table that follows has the result.
func (p *Progress) CycleEnded(user string, s engine.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil {
		return
	}
	p.ended++
	well := s.Result == engine.ResultDone || s.Result == engine.ResultUnchanged
	if !well {
		p.wrong++
	}
	if p.all != nil {
		p.all.bar.Increment()
	}
	if w := p.users[user]; w != nil {
		delete(p.users, user)
		// The bar calls back for its text: not while the lock is held.
		go w.bar.SetTotal(-1, true)
	}
}

// Tally says in words what a cycle did: "200 created, 3 updated, 1 issue".
func Tally(c engine.Counts) string {
	var parts []string
	for _, x := range []struct {
		n    int
		word string
	}{
		{c.CreatedCRM, "created in the CRM"}, {c.CreatedMailbox, "created in the mailbox"},
		{c.UpdatedCRM, "updated in the CRM"}, {c.UpdatedMailbox, "updated in the mailbox"},
		{c.DeletedCRM, "deleted in the CRM"}, {c.DeletedMailbox, "deleted in the mailbox"},
		{c.Linked, "linked"}, {c.Conflicts, "in conflict"}, {c.Held, "held"}, {c.Issues, "with an issue"},
	} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.word))
		}
	}
	return strings.Join(parts, ", ")
}

// Reading tells how many items of a side have been read so far.
func (p *Progress) Reading(user string, side record.Side, items int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.users[user]; w != nil {
		w.read[side] = items
	}
}

// Applying says how many writes there are.
func (p *Progress) Applying(user string, writes int) {
	p.mu.Lock()
	w := p.users[user]
	if w == nil {
		p.mu.Unlock()
		return
	}
	w.writes = writes
	if w.since.IsZero() {
		w.since = p.now()
	}
	p.mu.Unlock()
	w.bar.SetTotal(int64(writes), false)
}

// Applied says how many more writes are done.
func (p *Progress) Applied(user string, writes int) {
	p.mu.Lock()
	w := p.users[user]
	if p.all != nil {
		p.all.done += writes
	}
	if w == nil {
		p.mu.Unlock()
		return
	}
	w.done += writes
	p.mu.Unlock()
	w.bar.IncrBy(writes)
}

// Notice shows a notice. One that is the same for several users is shown for the first,
// and counted in the end.
func (p *Progress) Notice(user, message string) {
	p.mu.Lock()
	if p.notices[message] == 0 {
		p.order = append(p.order, message)
	}
	p.notices[message]++
	first := p.notices[message] == 1
	p.mu.Unlock()
	if !first {
		return
	}
	if user != "" {
		message = user + ": " + message
	}
	p.streams.Notice("%s", message)
}

// Close ends all bars and waits until they are drawn.
func (p *Progress) Close() {
	p.mu.Lock()
	bars := p.bars
	var left []*work
	for _, w := range p.users {
		left = append(left, w)
	}
	if p.all != nil {
		left = append(left, p.all)
	}
	p.bars, p.all, p.users = nil, nil, map[string]*work{}
	shared := p.shared()
	p.mu.Unlock()
	if bars != nil {
		for _, w := range left {
			w.bar.Abort(true)
		}
		bars.Wait()
		p.streams.setAbove(nil)
	}
	for _, text := range shared {
		p.streams.Notice("%s", text)
	}
}

// shared returns, once, what is left to say of notices that several users share.
func (p *Progress) shared() []string {
	var texts []string
	for _, message := range p.order {
		if n := p.notices[message] - 1; n == 1 {
			texts = append(texts, "another user: "+message)
		} else if n > 1 {
			texts = append(texts, fmt.Sprintf("%d other users: %s", n, message))
		}
	}
	p.order = nil
	return texts
}
