package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// The invariants, one function for each. Those that can only be broken on the way are
// checked there: see, guarded, CycleStarted and plan.

// judge looks at the end of a history and notes what is wrong with it.
func (h *history) judge() {
	if len(h.wrong) > 0 {
		return // the rest is a consequence
	}
	h.noDuplicate()
	h.noLostValue()
	h.noLostItem()
	h.equalSides()
	h.nothingUnexplained()
	h.othersUntouched()
	h.soundState()
	h.nothingTold()
	h.atRest()
}

// everything returns all items that exist, by where they are.
func (h *history) everything() map[string][]remote.Item {
	all := map[string][]remote.Item{"crm": h.crm.Items()}
	for user := range h.users {
		all[fmt.Sprint("box ", user)] = h.mail.Items(h.folder(user))
		all[fmt.Sprint("outside ", user)] = h.outside(user)
	}
	return all
}

// lastName returns the name of a contact, which is unique but for copies.
func lastName(it remote.Item) string {
	return spelled(append(slices.Clone(it.Fields["LastName"]), it.Fields["surname"]...))
}

// noDuplicate is R-I1, I1, I12, F3 and F4: a user has each contact at most once on a side,
// but for the second item of a late write if a person has edited either of the two.
func (h *history) noDuplicate() {
	for where, items := range h.everything() {
		seen := map[string]int{}
		for _, it := range items {
			if !h.twins[lastName(it)] {
				seen[lastName(it)+" "+it.Owner]++
			}
		}
		for name, n := range seen {
			if n > 1 && !strings.HasPrefix(where, "outside") {
				h.breaks("R-I1", "%s is in %s %d times", name, where, n)
			}
		}
	}
}

// noLostValue is R-I2 and I2: a value that a person typed is on a side, was replaced or
// deleted by a person who saw it, or is kept as the loser of a conflict.
func (h *history) noLostValue() {
	h.keepLosers()
	for _, items := range h.everything() {
		for _, it := range items {
			for _, v := range it.Fields {
				h.kept[spelled(v)] = true
			}
		}
	}
	for v, name := range h.typed {
		if !h.kept[v] && !h.gone[v] {
			h.breaks("R-I2", "%s, typed for %s, is nowhere", v, name)
		}
	}
}

// noLostItem is R-I3: no contact vanishes from everywhere unless a person deleted it.
func (h *history) noLostItem() {
	there := map[string]bool{}
	for _, items := range h.everything() {
		for _, it := range items {
			there[lastName(it)] = true
		}
	}
	for v, name := range h.typed {
		name = strings.ToLower(name)
		if !h.gone[v] && !h.gone[name] && !there[name] && !h.kept[name] {
			h.breaks("R-I3", "%s is nowhere", name)
		}
	}
}

// equalSides is R-I4, I3 and I9: once the faults have ended, two cycles make what is
// linked equal, so no change was passed by.
func (h *history) equalSides() {
	for user, u := range h.users {
		for _, l := range h.linksOf(user) {
			if l.State != reconcile.Linked || h.emptied(user) {
				continue
			}
			c, okC := h.crm.Item(l.CRM.ID)
			m, okM := h.mail.Item(l.Mailbox.ID)
			switch {
			case !okC || !okM:
				h.breaks("R-I4", "link %s–%s: CRM there %v, mailbox there %v", l.CRM.ID, l.Mailbox.ID, okC, okM)
			case c.Owner != u.CRMUser:
				h.breaks("R-I4", "link %s–%s: the record belongs to %s", l.CRM.ID, l.Mailbox.ID, c.Owner)
			case h.waits(user, l):
			case !strings.EqualFold(shared(record.CRM, c), shared(record.Mailbox, m)): // each server has its own spelling
				h.breaks("R-I4", "link %s–%s differs:\n%s≠\n%s", l.CRM.ID, l.Mailbox.ID, shared(record.CRM, c), shared(record.Mailbox, m))
			}
		}
	}
}

// waits tells whether a link has a conflict that waits for a person.
func (h *history) waits(user int, l reconcile.Link) bool {
	issues, err := h.store.OpenIssues(h.t.Context(), h.users[user].ID, record.Contacts)
	if err != nil {
		h.t.Fatal(err)
	}
	return slices.ContainsFunc(issues, func(i engine.Issue) bool {
		return i.Code == engine.CodeOnHold && (i.CRMID == l.CRM.ID || i.MailboxID == l.Mailbox.ID)
	})
}

func (h *history) linksOf(user int) []reconcile.Link {
	links, err := h.store.Links(h.t.Context(), h.users[user].ID, record.Contacts)
	if err != nil {
		h.t.Fatal(err)
	}
	return links
}

// emptied tells whether a user's cycle was refused because one side returned nothing at
// all, as it must be where a person deleted everything.
func (h *history) emptied(user int) bool {
	return slices.ContainsFunc(h.last, func(s engine.Session) bool {
		return s.UserID == h.users[user].ID && s.Code == engine.CodeEmptyRead
	})
}

// nothingUnexplained is R-I3 and "never a silent stop": what is on one side alone is
// named by an issue, or was unlinked by its owner.
func (h *history) nothingUnexplained() {
	for user, u := range h.users {
		if h.emptied(user) {
			continue
		}
		explained := map[string]bool{}
		for _, l := range h.linksOf(user) {
			if l.State != reconcile.Ended {
				explained[l.CRM.ID], explained[l.Mailbox.ID] = true, true
			}
		}
		issues, err := h.store.OpenIssues(h.t.Context(), u.ID, record.Contacts)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, i := range issues {
			explained[i.CRMID], explained[i.MailboxID] = true, true
		}
		for _, it := range append(h.crm.Items(), h.mail.Items(h.folder(user))...) {
			if (it.Owner == "" || it.Owner == u.CRMUser) && !explained[it.ID] {
				h.breaks("R-I4", "%s (%s) of %s has no link and no issue", it.ID, lastName(it), u.Email)
			}
		}
	}
}

// othersUntouched is I10: what is not in our folder is as it was left there.
func (h *history) othersUntouched() {
	for user := range h.users {
		for _, it := range h.outside(user) {
			if v, ok := h.aside[it.ID]; ok && v != it.Version {
				h.breaks("I10", "%s, outside our folder, was written: %+v", it.ID, it)
			}
		}
	}
}

// soundState is R-I14: every link has both ids, no id is in two live links, and the file
// is sound.
func (h *history) soundState() {
	if err := h.store.Check(h.t.Context()); err != nil {
		h.breaks("R-I14", "%v", err)
	}
	for user := range h.users {
		seen := map[string]bool{}
		for _, l := range h.linksOf(user) {
			if l.State != reconcile.Linked {
				continue
			}
			if l.CRM.ID == "" || l.Mailbox.ID == "" || seen[l.CRM.ID] || seen[l.Mailbox.ID] {
				h.breaks("R-I14", "link %s–%s: an id is missing or linked twice", l.CRM.ID, l.Mailbox.ID)
			}
			seen[l.CRM.ID], seen[l.Mailbox.ID] = true, true
		}
	}
}

// nothingTold is I15: nothing that a person typed is in the state's files, in a log, an
// issue's cause, an activity or an error.
func (h *history) nothingTold() {
	look := func(where string, text []byte) {
		for _, m := range []string{marker, strings.ToUpper(marker)} {
			if i := bytes.Index(text, []byte(m)); i >= 0 {
				h.breaks("I15", "%s holds %q", where, text[i:min(len(text), i+20)])
			}
		}
	}
	for _, f := range []string{h.path, h.path + "-wal"} {
		file, err := os.ReadFile(f)
		if err != nil && !os.IsNotExist(err) {
			h.t.Fatal(err)
		}
		look(f, file)
	}
	for _, s := range h.last {
		look("a session", fmt.Append(nil, s.Message, s.Log))
	}
	activities, err := h.store.Admin().Activities(h.t.Context(), "", 0)
	if err != nil {
		h.t.Fatal(err)
	}
	look("an activity", fmt.Append(nil, activities))
	for _, u := range h.users {
		issues, err := h.store.OpenIssues(h.t.Context(), u.ID, record.Contacts)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, i := range issues {
			look("an issue", []byte(i.Cause))
		}
	}
}

// atRest is R-I5 and I3: another cycle writes nothing, moves no link and reads each
// feed once. What a feed repeats may be named by the same issue again, and is the same
// conflict again if that is on hold, or of the second item of a late write.
func (h *history) atRest() {
	links, before := h.links(), len(h.faults.Calls())
	h.run(oneByOne)
	for _, s := range h.last {
		n := s.Counts
		n.Requests, n.Issues = 0, 0
		if slices.Contains(h.rules, string(reconcile.Hold)) || len(h.twins) > 0 {
			n.Conflicts = 0
		}
		if (n != engine.Counts{} || s.Result == engine.ResultFailed) && s.Code != engine.CodeEmptyRead {
			h.breaks("R-I5", "%s is not at rest: %s %s %s %+v\n%s", s.User, s.Result, s.Code, s.Message, s.Counts, s.Log)
		}
	}
	if after := h.links(); after != links {
		h.breaks("R-I5", "links moved:\n%s\n%s", links, after)
	}
	calls := map[string]int{}
	for _, c := range h.faults.Calls()[before:] {
		if c.Writes {
			h.breaks("R-I5", "a call that writes: %s", c)
		}
		calls[fmt.Sprint(c.Side, " ", c.Method, " ", c.Mailbox)]++
	}
	for call, n := range calls {
		if n > 1 && strings.Contains(call, "changes") && !h.emptied(0) && !h.emptied(1) {
			h.breaks("R-I5", "%d times %s", n, call)
		}
	}
}

// guarded is I5 and R-I8: a cycle deletes no more than the guard lets through, beside
// what the administrator has allowed.
func (h *history) guarded(s engine.Session, linked, allowed int) {
	limits := reconcile.DefaultLimits(record.Contacts)
	if h.limits != nil {
		limits = *h.limits
	}
	for _, n := range []int{s.DeletedCRM, s.DeletedMailbox} {
		n -= allowed
		if n > limits.Floor && (float64(n)*100 > limits.Percent*float64(linked) || n > limits.Ceiling) {
			h.breaks("R-I8", "%s: %d deletes in a cycle, of %d links", s.User, n, linked)
		}
	}
}

// see is I4, I11 and R-I9, at the servers' doors: an item of a mailbox is deleted only if
// its record is deleted or out of scope; a record of the CRM only if somebody deleted its
// copy, not just the folder around it, and deletes are to be propagated. Second items
// that a late write of ours made have no link.
func (h *history) see(side record.Side, w remote.Write, send func() remote.WriteResult) remote.WriteResult {
	if w.Kind != remote.Delete {
		return send()
	}
	for _, u := range h.users {
		links, err := h.store.LinksByID(h.t.Context(), u.ID, record.Contacts, side, []string{w.ID})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, l := range links {
			if l.State != reconcile.Linked {
				continue
			}
			c, there := h.crm.Item(l.CRM.ID)
			last, ever := h.away[l.CRM.ID]
			away := !there || c.Owner != u.CRMUser || slices.Contains(h.hidden, c.ID) || ever && last >= h.round-1
			if side == record.Mailbox && !away {
				h.breaks("I4", "mailbox item %s is deleted, though its record %s exists", w.ID, l.CRM.ID)
			}
			_, copied := h.mail.Item(l.Mailbox.ID)
			if side == record.CRM && (copied || h.fell[l.Mailbox.ID] || !slices.Contains(h.rules, string(reconcile.Propagate))) {
				h.breaks("I4", "CRM record %s is deleted, though nobody deleted %s or it is not to be", w.ID, l.Mailbox.ID)
			}
		}
	}
	return send()
}

// exclusive is I7: there is one cycle of a user at a time, whoever runs it.
type exclusive struct {
	engine.Silent
	h *history
}

func (e exclusive) CycleStarted(user string) {
	if e.h.running[user] {
		e.h.breaks("I7", "two cycles of %s at once", user)
	}
	e.h.running[user] = true
}

func (e exclusive) CycleEnded(user string, _ engine.Session) { delete(e.h.running, user) }
