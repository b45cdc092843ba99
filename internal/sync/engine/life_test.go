package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// What befalls two users in a history: what they and others do to the contacts, and what
// befalls mailboxes, clocks and the state itself.

// fields are the ones that people edit, under their names on both sides.
var fields = []struct{ crm, box string }{
	{"Title", "jobTitle"}, {"MobilePhone", "mobilePhone"}, {"Description", "personalNotes"}, {"MailingCity", "businessAddress/city"},
}

// marker is in all that people type, so that it can be looked for where it may not be.
const marker = "typed-"

func (h *history) value(name string) string {
	h.next++
	v := fmt.Sprintf("%s%d.", marker, h.next)
	if h.r.IntN(4) == 0 {
		v = fmt.Sprintf("%s%d,", marker, h.next) // not all values look alike
	}
	h.typed[v] = name
	return v
}

func (h *history) name() string {
	h.next++
	return fmt.Sprintf("%sN%d.", marker, h.next)
}

// forget says that a person saw these values and did away with them.
func (h *history) forget(f mapping.Fields, names ...string) {
	for n, v := range f {
		if len(names) == 0 || slices.Contains(names, n) {
			h.gone[spelled(v)] = true
		}
	}
}

// absent notes that a record is, or was until now, no business of its user.
func (h *history) absent(id string) { h.away[id] = h.round }

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
	name := h.name()
	switch h.r.IntN(4) {
	case 0:
		h.note("import %s into the CRM for %d", name, user)
		h.crm.Import(h.users[user].CRMUser, contact("A", name, f.crm, h.value(name)))
	case 1:
		h.note("create %s in the CRM for %d", name, user)
		h.crm.CreateItem(h.users[user].CRMUser, contact("A", name, f.crm, h.value(name)))
	default:
		if folder := h.folder(user); folder != "" {
			h.note("create %s in mailbox %d", name, user)
			h.mail.CreateItem(folder, card("A", name, f.box, h.value(name)))
		}
	}
}

func (h *history) actInCRM(what int, it remote.Item, records []remote.Item) {
	name := it.Fields["LastName"].First()
	switch what {
	case 2:
		h.note("delete %s in the CRM", name)
		h.forget(it.Fields)
		h.absent(it.ID)
		h.crm.DeleteItem(it.ID)
	case 3:
		owner := []string{"u0", "u1", "u9"}[h.r.IntN(3)]
		h.note("give %s to %s", name, owner)
		h.absent(it.ID)
		h.crm.ChangeOwner(it.ID, owner)
	case 4:
		heir := records[h.r.IntN(len(records))]
		if heir.ID == it.ID {
			return
		}
		h.note("merge %s into %s", name, heir.Fields["LastName"].First())
		h.forget(it.Fields)
		h.absent(it.ID)
		h.crm.Merge(it.ID, heir.ID)
	case 5:
		if len(h.behind) > 0 {
			return // the state cannot find again what cannot be seen
		}
		h.note("hide %s", name)
		h.absent(it.ID)
		h.crm.Hide(it.ID)
		h.hidden = append(h.hidden, it.ID)
	case 6:
		h.note("touch %s in the CRM", name)
		h.crm.Touch(it.ID)
	default:
		h.twin(it, records)
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
		as := h.name()
		h.copied = true
		h.note("copy %s as %s in mailbox %d", name, as, user)
		h.mail.EditItem(h.mail.CopyItem(it.ID), mapping.Fields{"surname": record.Text(as)})
	case 4:
		h.note("move %s out of the folder of mailbox %d", name, user)
		h.mail.MoveItem(it.ID, h.mail.Folder(h.users[user].MailboxID, memory.DefaultFolder))
		h.leave(it.ID)
		// What no state knows is taken for a copy when it comes back.
		if links, err := h.store.LinksByID(h.t.Context(), h.users[user].ID, record.Contacts, record.Mailbox, []string{it.ID}); err != nil {
			h.t.Fatal(err)
		} else if len(links) > 0 {
			h.moved[user] = append(h.moved[user], it.ID)
		}
	case 5:
		if len(h.moved[user]) == 0 {
			return
		}
		if h.folder(user) == "" {
			return
		}
		back := h.moved[user][0]
		h.moved[user] = h.moved[user][1:]
		h.note("move %s back into mailbox %d", back, user)
		delete(h.aside, back)
		h.mail.MoveItem(back, h.folder(user))
	case 6:
		h.note("touch %s in mailbox %d", name, user)
		h.mail.Touch(it.ID)
	default:
		h.twin(it, h.mail.Items(h.folder(user)))
		f := fields[h.r.IntN(len(fields))]
		h.forget(it.Fields, f.box)
		v := h.value(name)
		h.note("set %s of %s to %s in mailbox %d", f.box, name, v, user)
		h.mail.EditItem(it.ID, mapping.Fields{f.box: record.Text(v)})
	}
}

// twin notes a contact that a person edits while there are two items of it.
func (h *history) twin(it remote.Item, among []remote.Item) {
	for _, other := range among {
		if other.ID != it.ID && lastName(other) == lastName(it) {
			h.twins[lastName(it)] = true
		}
	}
}

// show gives the permission to see some records back. The feed does not notice, but
// people go on with what they see again.
func (h *history) show(n int) {
	for _, id := range h.hidden[:n] {
		h.note("show %s", id)
		h.absent(id)
		h.crm.Show(id)
		h.crm.Touch(id)
	}
	h.hidden = h.hidden[n:]
}

// befall lets one thing happen between two cycles that is nobody's daily work.
func (h *history) befall() {
	user := h.r.IntN(len(h.users))
	switch h.r.IntN(30) {
	case 0, 1:
		h.note("the CRM's cursors expire")
		h.crm.ExpireCursors()
	case 2, 3:
		h.note("the mailbox's cursors expire")
		h.mail.ExpireCursors()
	case 4, 5:
		by := []time.Duration{-24 * time.Hour, -time.Hour, time.Hour, 24 * time.Hour}[h.r.IntN(4)]
		which := h.r.IntN(3)
		h.note("clock %d jumps by %s", which, by)
		[]*clock{h.clock, h.crmClock, h.mailClock}[which].pass(by)
	case 6:
		if h.folder(user) != "" {
			h.renameFolder(user, []string{"My people", "CRM Contacts", "Z"}[h.r.IntN(3)])
		}
	case 7:
		h.deleteFolder(user)
	case 8:
		h.reapply(user)
	case 9:
		h.toggle(user)
	case 10:
		if h.forgetful() && len(h.hidden) == 0 && len(h.snapshots) > 0 {
			h.rewind()
		}
	case 11:
		// What cannot be seen cannot be found again, and a copy whose record is out of scope
		// cannot be told from the original.
		if h.forgetful() && len(h.hidden) == 0 && !h.copied {
			h.note("the state is lost")
			h.keepLosers()
			h.loseState()
			h.setRules()
			h.fallBehind()
			h.moved, h.snapshots = map[int][]string{}, nil
		}
	case 12, 13, 14:
		h.snapshot()
	case 15, 16:
		h.plan()
	case 17, 18:
		h.decideHeld()
	}
}

// forgetful tells whether the state may be lost or set back in this history. What our own
// writes made must be seen then: an item that a server shows only later, or a write that
// arrives only later, is known by the state alone.
func (h *history) forgetful() bool { return !h.late && h.crmLag+h.mailLag == 0 }

func (h *history) renameFolder(user int, name string) {
	h.note("folder %d is now called %s", user, name)
	h.mail.RenameFolder(h.folder(user), name)
}

// deleteFolder lets a person delete our folder with all that is in it.
func (h *history) deleteFolder(user int) {
	id := h.folder(user)
	if id == "" {
		return
	}
	h.note("folder %d is deleted", user)
	for _, it := range h.mail.Items(id) {
		h.forget(it.Fields)
		h.fell[it.ID] = true
	}
	h.mail.DeleteContainer(id)
	h.dropped[id] = true
}

// admin is the administrator.
func (h *history) admin() *admin.Admin {
	return &admin.Admin{
		Store: h.store.Admin(), Leases: h.store, Systems: h.world, Now: h.clock.Now, Actor: "test",
		Holder: "admin", Random: h.random, Alive: func(string) bool { return true }, Install: h.store.Install(),
		Tick: func(time.Duration) (<-chan time.Time, func()) { return nil, func() {} },
	}
}

// reapply lets the administrator start afresh for a user whose folder is gone.
func (h *history) reapply(user int) {
	rep, err := h.store.Replica(h.t.Context(), h.users[user].ID, record.Contacts)
	if err != nil {
		h.t.Fatal(err)
	}
	if rep.Off == "" {
		return
	}
	h.note("reapply %d", user)
	for _, o := range h.admin().ReapplyMailbox(h.t.Context(), []roster.User{h.accounts()[user]}, false, admin.Bulk{Parallel: 1}) {
		if o.Err != nil {
			h.t.Fatal(o.Err)
		}
	}
	h.moved[user] = nil
}

// toggle lets the administrator disable or enable a user.
func (h *history) toggle(user int) {
	u := h.accounts()[user]
	change := h.admin().Disable
	if u.Sync == roster.Disabled {
		h.enable(u)
		return
	}
	h.note("disable %d", user)
	change(h.t.Context(), []roster.User{u}, false, admin.Bulk{Parallel: 1})
}

func (h *history) enable(u roster.User) {
	h.note("enable %s", u.Email)
	for _, o := range h.admin().Enable(h.t.Context(), []roster.User{u}, admin.Bulk{Parallel: 1}) {
		if o.Err != nil {
			h.t.Fatal(o.Err)
		}
	}
}

// decideHeld lets the administrator decide the deletes that the guard holds.
func (h *history) decideHeld() {
	for _, d := range h.held() {
		if d.Decision != engine.Undecided {
			continue
		}
		say := []engine.Decision{engine.Allow, engine.Discard}[h.r.IntN(2)]
		if d.CRMID == "" || d.MailboxID == "" {
			say = engine.Allow // a second item, which a late write made
		}
		h.note("%s the delete of %s–%s", say, d.CRMID, d.MailboxID)
		if _, err := h.store.Admin().DecideHeld(h.t.Context(), []int64{d.ID}, say); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *history) held() []engine.HeldDelete {
	held, err := h.store.Admin().HeldDeletes(h.t.Context(), 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return held
}

// snapshot keeps a copy of the state's file.
func (h *history) snapshot() {
	h.note("the state is backed up")
	file := h.backup()
	h.restore(file)
	h.snapshots = append(h.snapshots, file)
}

// rewind puts an older copy in the state's place.
func (h *history) rewind() {
	n := h.r.IntN(len(h.snapshots))
	h.note("the state is restored from backup %d", n)
	h.keepLosers()
	if err := h.store.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.restore(h.snapshots[n])
	h.fallBehind()
	h.snapshots, h.moved = h.snapshots[:n+1], map[int][]string{}
}

// fallBehind notes that the state does not know what was done last, for anybody.
func (h *history) fallBehind() {
	for _, u := range h.users {
		h.behind[u.ID] = true
	}
}

// keepLosers remembers which values the state has kept, before it goes.
func (h *history) keepLosers() {
	conflicts, err := h.store.Admin().Conflicts(h.t.Context(), 0)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range conflicts {
		h.kept[spelled(c.Lost)] = true
	}
}

// plan asks what a cycle would do, twice.
func (h *history) plan() {
	var plans [2]string
	h.planning = true
	defer func() { h.planning = false }()
	before := len(h.faults.Calls())
	links := h.links()
	for i := range plans {
		got, err := h.engine().Plan(h.t.Context(), engine.Options{Parallel: 1, AllowCreateInCRM: h.allow})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, p := range got {
			plans[i] += fmt.Sprintf("%s %v %+v\n", p.User, p.Err, p.Plan)
		}
	}
	if plans[0] != plans[1] && h.crmLag+h.mailLag == 0 && !h.late { // the world stands still
		h.breaks("I16", "two plans in a row differ:\n%s\n%s", plans[0], plans[1])
	}
	for _, c := range h.faults.Calls()[before:] {
		if c.Writes {
			h.breaks("I14", "a plan made the call %s", c)
		}
	}
	if after := h.links(); after != links {
		h.breaks("I14", "a plan changed links:\n%s\n%s", links, after)
	}
}

// servers returns how the two systems behave in a history.
func (h *history) servers(r *rand.Rand) (crm, mail memory.Options) {
	some := func(n int) int { return r.IntN(2) * r.IntN(n) }
	crm = memory.Options{Terse: r.IntN(2) == 0, Repeat: some(20), NoStamps: r.IntN(4) == 0, PageSize: 1 + r.IntN(50), EmptyPages: r.IntN(4) == 0}
	mail = memory.Options{Terse: r.IntN(4) == 0, Repeat: some(20), PageSize: 1 + r.IntN(50), EmptyPages: r.IntN(4) == 0}
	if r.IntN(3) == 0 {
		mail.Lag = 1 + r.IntN(3)
	}
	if r.IntN(3) == 0 && !crm.NoStamps {
		crm.Lag = 1 + r.IntN(3) // without stamps, a create whose answer was lost would not be found
	}
	for _, o := range []*memory.Options{&crm, &mail} {
		if r.IntN(4) == 0 {
			shuffled := rand.New(rand.NewPCG(r.Uint64(), 0))
			o.Disorder = func(changes []remote.Change) []remote.Change { return disorder(shuffled, changes) }
		}
		if r.IntN(4) == 0 {
			o.Normalise = respell
		}
	}
	return crm, mail
}

// disorder repeats some changes of a page and shuffles them.
func disorder(r *rand.Rand, changes []remote.Change) []remote.Change {
	out := slices.Clone(changes)
	for _, ch := range changes {
		for range r.IntN(3) {
			out = append(out, ch)
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// respell is a server that does not keep what it was given: capitals in one field,
// blanks at the end of others.
func respell(native string, v record.Value) record.Value {
	switch native {
	case "jobTitle", "Title":
		for i := range v {
			v[i] = strings.ToUpper(v[i])
		}
	case "personalNotes", "Description", "MailingCity":
		for i := range v {
			v[i] += "  "
		}
	}
	return v
}
