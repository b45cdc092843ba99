package engine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

var (
	histories = flag.Int("histories", 40, "how many random histories TestHistories plays")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first history")
)

// history is a random life of two users' contacts. Every value that a person types is
// unique, so that at the end each one can be accounted for: it is on a side, kept as the
// loser of a conflict, named by an issue, or a person replaced or deleted it himself.
//
// All that happens is drawn from the seed and the step's own number. So a step can be
// left out without another one being drawn differently.
type history struct {
	*world
	seed uint64
	// without are the steps that are left out; taken are those in which something
	// happened.
	without map[step]bool
	taken   []step
	r       *rand.Rand // of the step
	next    int
	rounds  int
	round   int
	turn    int // calls of the round
	quiet   bool
	// planning says that nobody interferes, because a plan is being made.
	planning bool

	typed map[string]string // value → the name of its contact
	gone  map[string]bool   // values that a person replaced or deleted knowingly
	kept  map[string]bool   // losers of conflicts in states that were lost since
	log   []string
	wrong []string // what was broken on the way

	crmClock, mailClock *clock
	crmLag, mailLag     int
	late                bool // writes may land late
	allow               bool // creating in the CRM is allowed from the start
	limits              *reconcile.Limits
	twins               map[string]bool  // contacts of which a person edited one of two items
	copied              bool             // a person has copied an item
	rules               []string         // what the administrator has set, by key and value
	hidden              []string         // records that cannot be seen
	moved               map[int][]string // items outside our folder, by user
	away                map[string]int   // the last round in which a record was out of scope
	snapshots           [][]byte
	aside               map[string]string // versions of items that are none of our business
	running             map[string]bool
	behind              map[int64]bool  // users who had no cycle since the state was lost or set back
	dropped             map[string]bool // folders that were deleted
	fell                map[string]bool // items that were in them
}

// step names a step: what happens before the cycle of a round (turn 0 and below), or at
// a call of it.
type step struct{ round, turn int }

// at takes a step, unless it is left out.
func (h *history) at(s step, do func()) {
	if h.without[s] {
		return
	}
	h.r = rand.New(rand.NewPCG(h.seed, uint64(s.round+1)<<32|uint64(uint32(s.turn))))
	before := len(h.log)
	do()
	if len(h.log) > before {
		h.taken = append(h.taken, s)
	}
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// breaks notes that an invariant is broken.
func (h *history) breaks(id, format string, args ...any) {
	h.wrong = append(h.wrong, id+": "+fmt.Sprintf(format, args...))
}

// spelled is a value as it can be told after a server respelled it.
func spelled(v record.Value) string { return strings.ToLower(strings.TrimSpace(v.First())) }

// newHistory draws the world of a history.
func newHistory(t testing.TB, seed uint64, without map[step]bool) *history {
	h := &history{
		seed: seed, without: without, rounds: 6,
		typed: map[string]string{}, gone: map[string]bool{}, kept: map[string]bool{},
		moved: map[int][]string{}, away: map[string]int{},
		aside: map[string]string{}, running: map[string]bool{}, behind: map[int64]bool{}, dropped: map[string]bool{}, fell: map[string]bool{}, twins: map[string]bool{},
	}
	r := rand.New(rand.NewPCG(seed, 0))
	h.r = r
	crm, mail := h.servers(r)
	h.crmLag, h.mailLag = crm.Lag, mail.Lag
	// Without stamps, a create that lands late cannot be told from a person's.
	h.late = !crm.NoStamps && r.IntN(2) == 0
	h.allow = r.IntN(4) > 0
	if r.IntN(4) == 0 {
		h.limits = &reconcile.Limits{Floor: 1}
	}
	start := memory.Epoch.Add(365 * 24 * time.Hour)
	h.crmClock, h.mailClock = &clock{now: start.Add(time.Duration(r.IntN(7200)-3600) * time.Second)}, &clock{now: start}
	crm.Now, mail.Now = h.crmClock.Now, h.mailClock.Now
	crm.OnPage, mail.OnPage = h.onPage(func() { h.crm.ExpireCursors() }), h.onPage(func() { h.mail.ExpireCursors() })
	h.world = newWorld(t, 2, crm, mail)
	h.watched(h.see)
	h.reporter, h.alive = exclusive{h: h}, true
	for side, o := range map[string]memory.Options{"CRM": crm, "mail": mail} {
		h.log = append(h.log, fmt.Sprintf("%s: pages of %d, empty ones %v, repeat %d, lag %d, terse %v, stamps %v, disorder %v, respells %v",
			side, o.PageSize, o.EmptyPages, o.Repeat, o.Lag, o.Terse, !o.NoStamps, o.Disorder != nil, o.Normalise != nil))
	}
	slices.Sort(h.log)
	h.rules = rules(r)
	h.setRules()
	h.note("late %v, allow %v, limits %+v, rules %v", h.late, h.allow, h.limits, h.rules)
	for _, u := range h.users {
		h.leave(h.mail.CreateItem(h.mail.Folder(u.MailboxID, memory.DefaultFolder), card("My", "Own")))
	}
	return h
}

// rules draws what the administrator has set.
func rules(r *rand.Rand) []string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	set := []string{
		"conflict", one("crm", "crm", "mailbox", "newest", "hold"),
		"deletes.from_mailbox", one("unlink", "unlink", "propagate", "recreate"),
	}
	if r.IntN(8) == 0 {
		set = append(set, "initial_limit", "2")
	}
	return set
}

// setRules sets the rules in a state that has none.
func (h *history) setRules() {
	for user := range h.users {
		h.set(user, h.rules...)
	}
}

// folder returns the id of a user's folder; "" if it was deleted.
func (h *history) folder(user int) string {
	if id := h.world.folder(user); !h.dropped[id] {
		return id
	}
	return ""
}

// leave notes an item that is not in our folder as it is.
func (h *history) leave(id string) {
	it, _ := h.mail.Item(id)
	h.aside[id] = it.Version
}

// onPage lets cursors expire in the middle of a feed, now and then.
func (h *history) onPage(expire func()) func(int) error {
	return func(page int) error {
		if page == 1 || h.quiet || h.planning {
			return nil
		}
		h.turn++
		h.at(step{h.round, h.turn}, func() {
			switch h.r.IntN(40) {
			case 0:
				h.note("cursors expire at page %d", page)
				expire()
			case 1:
				h.act()
			}
		})
		return nil
	}
}

// play lives a life of a few rounds, with faults, and people at work during cycles.
func (h *history) play() {
	h.seedTyped(0, 3)
	h.seedTyped(1, 2)
	for h.round = range h.rounds {
		for n := range 5 {
			h.at(step{h.round, -n}, func() {
				if h.r.IntN(2) == 0 {
					h.act()
				}
			})
		}
		h.at(step{h.round, -10}, func() { h.show(len(h.hidden) / 2) })
		h.at(step{h.round, -11}, h.befall)
		h.turn = 0
		h.faults.Set(h.disturb)
		h.cycle()
		h.faults.Set(nil)
	}
	h.calm()
}

// seedTyped creates n records in the CRM for a user.
func (h *history) seedTyped(user, n int) {
	for range n {
		name := h.name()
		h.crm.CreateItem(h.users[user].CRMUser, contact("A", name, "Phone", fmt.Sprintf("+1 212 555 %04d", h.next)))
	}
}

// disturb is what happens at a call.
func (h *history) disturb(c faulty.Call) (f faulty.Fault) {
	h.turn++
	h.at(step{h.round, h.turn}, func() {
		switch n := h.r.IntN(100); {
		case n < 10:
			f = faulty.Fault{Kind: faulty.Kinds[h.r.IntN(len(faulty.Kinds))], Item: h.r.IntN(5), After: 1 + h.r.IntN(20)}
			if f.Kind == faulty.WrongVersion || f.Kind == faulty.Late && !h.late {
				f.Kind = faulty.Lost
			}
			h.note("call %d (%s %s) fails: %s", c.Number, c.Side, c.Method, f.Kind)
		case n < 20:
			h.act()
		case n < 22:
			h.note("a second run begins at call %d", c.Number)
			f.Before = h.second
		}
	})
	return f
}

// second runs a second engine on the same state, in the middle of the first one's run.
func (h *history) second() {
	o := engine.Options{Trigger: engine.TriggerForce, AllowCreateInCRM: h.allow, Limits: h.limits}
	oneByOne(&o)
	h.faults.Set(nil)
	sessions, err := h.engine(func(c *engine.Config) { c.Holder = "second" }).Run(h.t.Context(), o)
	h.faults.Set(h.disturb)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range sessions {
		h.note("second cycle of %s: %s %s %+v", s.User, s.Result, s.Code, s.Counts)
	}
}

// cycle runs everybody's cycle, with the limits of the history.
func (h *history) cycle() {
	before, allowed := map[int64]int{}, map[string]int{}
	for _, u := range h.users {
		before[u.ID] = h.linked(u.ID)
	}
	for _, d := range h.held() {
		if d.Decision == engine.Allow {
			allowed[d.User]++
		}
	}
	for _, s := range h.run(oneByOne, func(o *engine.Options) { o.Limits, o.AllowCreateInCRM = h.limits, h.allow || h.quiet }) {
		h.note("cycle %d of %s: %s %s %+v", h.round, s.User, s.Result, s.Code, s.Counts)
		h.guarded(s, before[s.UserID], allowed[s.User])
		if s.Result == engine.ResultDone || s.Result == engine.ResultUnchanged {
			delete(h.behind, s.UserID)
		}
	}
}

// calm ends the disturbances, and lets the administrator put right what only he can.
func (h *history) calm() {
	h.quiet = true
	h.faults.Set(nil)
	h.faults.Land()
	h.round++
	waits := 0
	if h.limits != nil {
		waits = 2
	}
	h.limits = nil
	h.show(len(h.hidden))
	for user, u := range h.accounts() {
		if u.Sync == roster.Disabled {
			h.enable(u)
		}
		h.reapply(user)
	}
	// Two cycles, as many more as the servers hold changes back, and where the guard held
	// something, one to hold it and one after the administrator's word.
	for range 2 + max(h.crmLag, h.mailLag) + waits {
		h.clock.pass(25 * time.Hour)
		h.at(step{h.round, 0}, h.decideHeld)
		h.cycle()
		for user := range h.users {
			h.reapply(user) // its folder was found gone only now
		}
		h.round++
	}
}

// links returns the links of all users in one text, without the versions: they may
// become known by an echo.
func (h *history) links() string {
	var b strings.Builder
	for _, u := range h.users {
		links, err := h.store.Links(h.t.Context(), u.ID, record.Contacts)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, l := range links {
			l.CRM.Version, l.Mailbox.Version = "", ""
			fmt.Fprintf(&b, "%s %+v\n", u.Email, l)
		}
	}
	return b.String()
}

func (h *history) linked(user int64) int {
	n, err := h.store.CountLinks(h.t.Context(), user, record.Contacts)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// outside returns what is in a mailbox beside our folder.
func (h *history) outside(user int) []remote.Item {
	return h.mail.Items(h.mail.Folder(h.users[user].MailboxID, memory.DefaultFolder))
}

// lived plays and judges a history.
func lived(t testing.TB, seed uint64, without map[step]bool) *history {
	h := newHistory(t, seed, without)
	h.play()
	h.judge()
	return h
}

// shortened returns a failed history without the steps that it fails without as well.
func shortened(t testing.TB, h *history) *history {
	without := map[step]bool{}
	for _, s := range slices.Backward(h.taken) {
		without[s] = true
		if try := lived(t, h.seed, without); len(try.wrong) > 0 {
			h = try
		} else {
			delete(without, s)
		}
		without = clone(without)
	}
	return h
}

func clone(m map[step]bool) map[step]bool {
	out := make(map[step]bool, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// Random histories with faults in a tenth of all calls, and people at work during the
// cycles, keep all invariants.
func TestHistories(t *testing.T) {
	t.Parallel()
	var failed atomic.Int32 // shortening takes a while: the first ones will do
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := lived(t, seed, nil)
			if len(h.wrong) == 0 {
				return
			}
			first := h.wrong
			if failed.Add(1) <= 2 {
				h = shortened(t, h)
			}
			t.Fatalf("seed %d:\n%s\nshortened to %d steps:\n%s\nhistory:\n%s", seed, strings.Join(first, "\n"),
				len(h.taken), strings.Join(h.wrong, "\n"), strings.Join(h.log, "\n"))
		})
	}
}

// R-I12: the same seed makes the same calls, one by one, with the same faults, and ends
// in the same state of both systems.
func TestSameSeedSameCalls(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			var runs [2]string
			for i := range runs {
				h := lived(t, seed, nil)
				for _, c := range h.faults.Calls() {
					runs[i] += c.String() + "\n"
				}
				runs[i] += fmt.Sprintf("%s\n%+v\n%s", h.links(), h.everything(), strings.Join(h.log, "\n"))
			}
			if d := cmp.Diff(strings.Split(runs[0], "\n"), strings.Split(runs[1], "\n")); d != "" {
				t.Fatalf("R-I12: seed %d does not repeat itself:\n%s", seed, d)
			}
		})
	}
}
