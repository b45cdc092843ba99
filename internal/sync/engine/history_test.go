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
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

var (
	histories = flag.Int("histories", 40, "how many random histories TestHistories plays")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first history")
)

// history is a random life of two users' contacts. Every value that a person types is
// unique, so that at the end each one can be accounted for: it is on a side, kept as the
// loser of a conflict, named by an issue, or a person replaced or deleted it himself.
type history struct {
	*world
	r     *rand.Rand
	next  int
	typed map[string]string // value → the name of its contact
	gone  map[string]bool   // values that a person replaced or deleted knowingly
	log   []string
	late  bool // writes may land late
	// hidden are records that cannot be seen, moved are items outside our folder.
	hidden, moved []string
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
	user := h.r.IntN(len(h.users))
	records, copies := h.crm.Items(), h.mail.Items(h.folder(user))
	var inCRM bool
	var it remote.Item
	switch n := h.r.IntN(2); {
	case n == 0 && len(records) > 0:
		inCRM, it = true, records[h.r.IntN(len(records))]
	case n == 1 && len(copies) > 0:
		it = copies[h.r.IntN(len(copies))]
	}
	switch what := h.r.IntN(16); {
	case what < 2:
		h.create(user)
	case it.ID == "":
	case inCRM:
		h.actInCRM(what, it, records)
	default:
		h.actInMailbox(what, it, user)
	}
}

// create lets a person make a contact on either side.
func (h *history) create(user int) {
	f := fields[h.r.IntN(len(fields))]
	h.next++
	name := fmt.Sprintf("N%d", h.next)
	if h.r.IntN(2) == 0 {
		h.note("create %s in the CRM for %d", name, user)
		h.crm.CreateItem(h.users[user].CRMUser, contact("A", name, f.crm, h.value(name)))
	} else if folder := h.folder(user); folder != "" {
		h.note("create %s in mailbox %d", name, user)
		h.mail.CreateItem(folder, card("A", name, f.box, h.value(name)))
	}
}

func (h *history) actInCRM(what int, it remote.Item, records []remote.Item) {
	name := it.Fields["LastName"].First()
	switch what {
	case 2:
		h.note("delete %s in the CRM", name)
		h.forget(it.Fields)
		h.crm.DeleteItem(it.ID)
	case 3:
		owner := []string{"u0", "u1", "u9"}[h.r.IntN(3)]
		h.note("give %s to %s", name, owner)
		h.crm.ChangeOwner(it.ID, owner)
	case 4:
		heir := records[h.r.IntN(len(records))]
		if heir.ID == it.ID {
			return
		}
		h.note("merge %s into %s", name, heir.Fields["LastName"].First())
		h.forget(it.Fields)
		h.crm.Merge(it.ID, heir.ID)
	case 5:
		h.note("hide %s", name)
		h.crm.Hide(it.ID)
		h.hidden = append(h.hidden, it.ID)
	case 6:
		h.note("touch %s in the CRM", name)
		h.crm.Touch(it.ID)
	default:
		f := fields[h.r.IntN(len(fields))]
		h.forget(it.Fields, f.crm)
		v := h.value(name)
		h.note("set %s of %s to %s in the CRM", f.crm, name, v)
		h.crm.EditItem(it.ID, mapping.Fields{f.crm: record.Text(v)})
	}
}

func (h *history) actInMailbox(what int, it remote.Item, user int) {
	name := it.Fields["surname"].First()
	switch what {
	case 2:
		h.note("delete %s in mailbox %d", name, user)
		h.forget(it.Fields)
		h.mail.DeleteItem(it.ID)
	case 3:
		h.next++
		h.note("copy %s as N%d in mailbox %d", name, h.next, user)
		h.mail.EditItem(h.mail.CopyItem(it.ID), mapping.Fields{"surname": record.Text(fmt.Sprintf("N%d", h.next))})
	case 4:
		h.note("move %s out of the folder of mailbox %d", name, user)
		h.mail.MoveItem(it.ID, h.mail.Folder(h.users[user].MailboxID, memory.DefaultFolder))
		h.moved = append(h.moved, it.ID)
	case 5:
		if len(h.moved) == 0 {
			return
		}
		back := h.moved[0]
		h.moved = h.moved[1:]
		if m, ok := h.mail.Item(back); ok && slices.ContainsFunc(h.outside(user), func(o remote.Item) bool { return o.ID == back }) {
			h.note("move %s back into mailbox %d", m.Fields["surname"].First(), user)
			h.mail.MoveItem(back, h.folder(user))
		}
	case 6:
		h.note("touch %s in mailbox %d", name, user)
		h.mail.Touch(it.ID)
	default:
		f := fields[h.r.IntN(len(fields))]
		h.forget(it.Fields, f.box)
		v := h.value(name)
		h.note("set %s of %s to %s in mailbox %d", f.box, name, v, user)
		h.mail.EditItem(it.ID, mapping.Fields{f.box: record.Text(v)})
	}
}

// outside returns what is in a mailbox beside our folder.
func (h *history) outside(user int) []remote.Item {
	return h.mail.Items(h.mail.Folder(h.users[user].MailboxID, memory.DefaultFolder))
}

// play lives a life of a few rounds, with faults, and people at work during cycles.
func (h *history) play() {
	h.seed(0, 3)
	h.seed(1, 2)
	for range 6 {
		for range h.r.IntN(5) {
			h.act()
		}
		h.show(len(h.hidden) / 2)
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
				if f.Kind == faulty.WrongVersion || f.Kind == faulty.Late && !h.late {
					f.Kind = faulty.Lost
				}
				h.note("call %d (%s %s) fails: %s", c.Number, c.Side, c.Method, f.Kind)
			case h.r.IntN(10) == 0:
				h.act()
			}
			return f
		})
		for _, s := range h.run(oneByOne) {
			h.note("cycle of %s: %s %s %+v", s.User, s.Result, s.Code, s.Counts)
		}
	}
	h.faults.Set(nil)
	h.faults.Land()
	h.show(len(h.hidden))
	for i := range 6 {
		h.clock.pass(25 * time.Hour)
		for _, s := range h.run(oneByOne) {
			h.note("calm cycle %d of %s: %s %s %+v", i, s.User, s.Result, s.Code, s.Counts)
		}
	}
}

// show gives the permission to see some records back. The feed does not notice, but
// people go on with what they see again.
func (h *history) show(n int) {
	for _, id := range h.hidden[:n] {
		h.note("show %s", id)
		h.crm.Show(id)
		h.crm.Touch(id)
	}
	h.hidden = h.hidden[n:]
}

// judge looks at the end of a history and says what is wrong with it.
func (h *history) judge() []string {
	var wrong []string
	seen := map[string]int{}
	values := map[string]bool{}
	for _, it := range h.crm.Items() {
		seen["crm "+it.Fields["LastName"].First()]++
		for _, v := range it.Fields {
			values[v.First()] = true
		}
	}
	for user := range h.users {
		for _, it := range h.mail.Items(h.folder(user)) {
			seen[fmt.Sprint("box ", user, " ", it.Fields["surname"].First())]++
		}
		for _, it := range append(h.outside(user), h.mail.Items(h.folder(user))...) {
			for _, v := range it.Fields {
				values[v.First()] = true
			}
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
	for user := range h.users {
		wrong = append(wrong, h.judgeUser(user)...)
	}
	if err := h.store.Check(h.t.Context()); err != nil {
		wrong = append(wrong, err.Error())
	}
	slices.Sort(wrong)
	return wrong
}

// judgeUser looks at the last cycle of a user and at his links.
func (h *history) judgeUser(user int) []string {
	var wrong []string
	at := slices.IndexFunc(h.last, func(s engine.Session) bool { return s.UserID == h.users[user].ID })
	switch s := h.last[at]; {
	case s.Code == engine.CodeEmptyRead: // as it must where a person deleted everything
		return nil
	case s.Result != engine.ResultUnchanged:
		issues, err := h.store.Admin().Issues(h.t.Context(), s.UserID, false)
		wrong = append(wrong, fmt.Sprintf("%s is not at rest: %s %s %s %+v, issues %+v %v", s.User, s.Result, s.Code, s.Message, s.Counts, issues, err))
	}
	links, err := h.store.Links(h.t.Context(), h.users[user].ID, record.Contacts)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, l := range links {
		if l.State != reconcile.Linked {
			continue
		}
		c, okC := h.crm.Item(l.CRM.ID)
		m, okM := h.mail.Item(l.Mailbox.ID)
		switch {
		case !okC || !okM:
			wrong = append(wrong, fmt.Sprintf("link %s–%s: CRM there %v, mailbox there %v", l.CRM.ID, l.Mailbox.ID, okC, okM))
		case c.Owner != h.users[user].CRMUser:
			wrong = append(wrong, fmt.Sprintf("link %s–%s: the record belongs to %s", l.CRM.ID, l.Mailbox.ID, c.Owner))
		case shared(record.CRM, c) != shared(record.Mailbox, m):
			wrong = append(wrong, fmt.Sprintf("link %s–%s differs:\n%s≠\n%s", l.CRM.ID, l.Mailbox.ID, shared(record.CRM, c), shared(record.Mailbox, m)))
		}
	}
	return wrong
}

// servers returns how the two systems behave in a history.
func servers(r *rand.Rand) (crm, mail memory.Options) {
	some := func(n int) int { return r.IntN(2) * r.IntN(n) }
	crm = memory.Options{Terse: r.IntN(2) == 0, Repeat: some(20), NoStamps: r.IntN(4) == 0, PageSize: 1 + r.IntN(50)}
	mail = memory.Options{Terse: r.IntN(4) == 0, Repeat: some(20), PageSize: 1 + r.IntN(50)}
	return crm, mail
}

// Random histories with faults in a tenth of all calls, and people at work during the
// cycles, end with nothing lost, nothing twice and both sides equal.
func TestHistories(t *testing.T) {
	t.Parallel()
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			crm, mail := servers(r)
			h := &history{
				// Without stamps, a create that lands late cannot be told from a person's.
				world: newWorld(t, 2, crm, mail), r: r, late: !crm.NoStamps,
				typed: map[string]string{}, gone: map[string]bool{},
			}
			h.note("CRM %+v, mail %+v", crm, mail)
			h.play()
			if wrong := h.judge(); wrong != nil {
				t.Fatalf("seed %d:\n%s\nhistory:\n%s", seed, strings.Join(wrong, "\n"), strings.Join(h.log, "\n"))
			}
		})
	}
}
