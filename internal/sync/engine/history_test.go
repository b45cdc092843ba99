package engine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

var (
	histories = flag.Int("histories", 120, "how many random histories TestHistories plays")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first history")
)

// history is a random life of one user's contacts. Every value that a person types is
// unique, so that at the end each one can be accounted for: it is on a side, kept as the
// loser of a conflict, named by an issue, or a person replaced or deleted it himself.
type history struct {
	*world
	r     *rand.Rand
	next  int
	typed map[string]string // value → the name of its contact
	gone  map[string]bool   // values that a person replaced or deleted knowingly
	log   []string
}

// fields are the ones that people edit, under their names on both sides.
var fields = []struct{ crm, box string }{
	{"Title", "jobTitle"}, {"MobilePhone", "mobilePhone"}, {"Description", "personalNotes"}, {"MailingCity", "businessAddress/city"},
}

func (h *history) value(name string) string {
	h.next++
	v := fmt.Sprintf("v%d", h.next)
	if h.r.IntN(4) == 0 {
		v = fmt.Sprintf("v%d,", h.next) // not all values look alike
	}
	h.typed[v] = name
	return v
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// forget says that a person saw these values and did away with them.
func (h *history) forget(f mapping.Fields, names ...string) {
	for n, v := range f {
		if len(names) == 0 || slices.Contains(names, n) {
			h.gone[v.First()] = true
		}
	}
}

// act lets a person do one thing to his contacts on one side.
func (h *history) act() {
	f := fields[h.r.IntN(len(fields))]
	h.next++
	name := fmt.Sprintf("N%d", h.next)
	switch side := h.r.IntN(2); h.r.IntN(8) {
	case 0:
		if side == 0 {
			h.note("create %s in the CRM", name)
			h.crm.CreateItem("u0", contact("A", name, f.crm, h.value(name)))
		} else if folder := h.folder(0); folder != "" {
			h.note("create %s in the mailbox", name)
			h.mail.CreateItem(folder, card("A", name, f.box, h.value(name)))
		}
	case 1:
		if side == 0 && len(h.crm.Items()) > 0 {
			it := h.crm.Items()[h.r.IntN(len(h.crm.Items()))]
			h.note("delete %s in the CRM", it.Fields["LastName"].First())
			h.forget(it.Fields)
			h.crm.DeleteItem(it.ID)
		} else if items := h.mail.Items(h.folder(0)); side == 1 && len(items) > 0 {
			it := items[h.r.IntN(len(items))]
			h.note("delete %s in the mailbox", it.Fields["surname"].First())
			h.forget(it.Fields)
			h.mail.DeleteItem(it.ID)
		}
	default:
		if side == 0 && len(h.crm.Items()) > 0 {
			it := h.crm.Items()[h.r.IntN(len(h.crm.Items()))]
			name = it.Fields["LastName"].First()
			h.forget(it.Fields, f.crm)
			v := h.value(name)
			h.note("set %s of %s to %s in the CRM", f.crm, name, v)
			h.crm.EditItem(it.ID, mapping.Fields{f.crm: record.Text(v)})
		} else if items := h.mail.Items(h.folder(0)); side == 1 && len(items) > 0 {
			it := items[h.r.IntN(len(items))]
			name = it.Fields["surname"].First()
			h.forget(it.Fields, f.box)
			v := h.value(name)
			h.note("set %s of %s to %s in the mailbox", f.box, name, v)
			h.mail.EditItem(it.ID, mapping.Fields{f.box: record.Text(v)})
		}
	}
}

// play lives a life of a few rounds, with faults, and people at work during cycles.
func (h *history) play() {
	h.seed(0, 3)
	for range 6 {
		for range h.r.IntN(5) {
			h.act()
		}
		switch h.r.IntN(12) {
		case 0:
			h.note("the CRM's cursors expire")
			h.crm.ExpireCursors()
		case 1:
			h.note("the mailbox's cursors expire")
			h.mail.ExpireCursors()
		}
		h.faults.Set(func(c faulty.Call) faulty.Fault {
			f := faulty.Fault{}
			switch {
			case h.r.IntN(10) == 0:
				f = faulty.Fault{Kind: faulty.Kinds[h.r.IntN(len(faulty.Kinds))], Item: h.r.IntN(5), After: 1 + h.r.IntN(20)}
				if f.Kind == faulty.WrongVersion {
					f.Kind = faulty.Lost
				}
				h.note("call %d (%s %s) fails: %s", c.Number, c.Side, c.Method, f.Kind)
			case h.r.IntN(10) == 0:
				h.act()
			}
			return f
		})
		s := h.run(oneByOne)[0]
		h.note("cycle: %s %s %+v", s.Result, s.Code, s.Counts)
	}
	h.faults.Set(nil)
	h.faults.Land()
	for i := range 6 {
		h.clock.pass(25 * time.Hour)
		s := h.run(oneByOne)[0]
		h.note("calm cycle %d: %s %s %+v", i, s.Result, s.Code, s.Counts)
	}
}

// judge looks at the end of a history and says what is wrong with it.
func (h *history) judge() []string {
	var wrong []string
	stopped := h.last[0].Code == engine.CodeEmptyRead // as it must where a person deleted everything
	if s := h.last[0]; s.Result != engine.ResultUnchanged && !stopped {
		wrong = append(wrong, fmt.Sprintf("not at rest: %s %s %s %+v", s.Result, s.Code, s.Message, s.Counts))
	}
	seen := map[string]int{}
	values := map[string]bool{}
	for _, it := range h.crm.Items() {
		seen["crm "+it.Fields["LastName"].First()]++
		for _, v := range it.Fields {
			values[v.First()] = true
		}
	}
	for _, it := range h.mail.Items(h.folder(0)) {
		seen["box "+it.Fields["surname"].First()]++
		for _, v := range it.Fields {
			values[v.First()] = true
		}
	}
	for name, n := range seen {
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("%s is there %d times", name, n))
		}
	}
	conflicts, err := h.store.Admin().Conflicts(h.t.Context(), 0)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range conflicts {
		values[c.Lost.First()] = true
	}
	for v, name := range h.typed {
		if !values[v] && !h.gone[v] {
			wrong = append(wrong, fmt.Sprintf("%s, typed for %s, is nowhere", v, name))
		}
	}
	links, err := h.store.Links(h.t.Context(), h.users[0].ID, record.Contacts)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, l := range links {
		if l.State != reconcile.Linked || stopped {
			continue
		}
		c, okC := h.crm.Item(l.CRM.ID)
		m, okM := h.mail.Item(l.Mailbox.ID)
		switch {
		case !okC || !okM:
			wrong = append(wrong, fmt.Sprintf("link %s–%s: CRM there %v, mailbox there %v", l.CRM.ID, l.Mailbox.ID, okC, okM))
		case shared(record.CRM, c) != shared(record.Mailbox, m):
			wrong = append(wrong, fmt.Sprintf("link %s–%s differs:\n%s≠\n%s", l.CRM.ID, l.Mailbox.ID, shared(record.CRM, c), shared(record.Mailbox, m)))
		}
	}
	if err := h.store.Check(h.t.Context()); err != nil {
		wrong = append(wrong, err.Error())
	}
	slices.Sort(wrong)
	return wrong
}

// Random histories with faults in a tenth of all calls, and people at work during the
// cycles, end with nothing lost, nothing twice and both sides equal.
func TestHistories(t *testing.T) {
	t.Parallel()
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := &history{
				world: newWorld(t, 1, memory.Options{}, memory.Options{}),
				r:     rand.New(rand.NewPCG(seed, 0)), typed: map[string]string{}, gone: map[string]bool{},
			}
			h.play()
			if wrong := h.judge(); wrong != nil {
				t.Fatalf("seed %d:\n%s\nhistory:\n%s", seed, strings.Join(wrong, "\n"), strings.Join(h.log, "\n"))
			}
		})
	}
}
