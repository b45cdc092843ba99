package reconcile_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// This is a model of two servers and of an engine that carries plans out, with as
// little in it as the properties need.

var hasher = func() record.Hasher {
	h, err := record.NewHasher(bytes.Repeat([]byte{7}, record.KeySize), "")
	if err != nil {
		panic(err)
	}
	return h
}()

func cut(n int) func(record.Value) record.Value {
	return func(v record.Value) record.Value {
		if len(v) > n {
			v = v[:n]
		}
		return v
	}
}

func shorten(n int) func(record.Value) record.Value {
	return func(v record.Value) record.Value {
		var out record.Value
		for _, s := range v {
			if len(s) > n {
				s = s[:n]
			}
			out = append(out, s)
		}
		return out
	}
}

// Six fields: one that the mailbox shortens, one that each server respells, and a list
// of which the CRM holds fewer elements.
const (
	plain   = record.GivenName
	short   = record.JobTitle
	loud    = record.Company    // the mailbox's server writes it in capitals
	dashed  = record.Department // the CRM's server writes dashes for blanks
	notes   = record.Notes
	list    = record.EmailAddresses
	keeping = 6 // length of what the mailbox keeps of short
)

var scalars = []record.Field{plain, short, loud, dashed, notes}

func policy(crmHolds, mailboxHolds int) reconcile.Policy {
	p := reconcile.Policy{
		Entity: record.Contacts, Conflict: reconcile.CRMWins,
		CreateInCRM: true, DeletesFromMailbox: reconcile.Unlink,
	}
	for _, f := range append(slices.Clone(scalars), list) {
		fp := reconcile.FieldPolicy{Field: f, ToCRM: true, ToMailbox: true}
		switch f {
		case short:
			fp.FitMailbox = shorten(keeping)
		case list:
			fp.FitCRM, fp.FitMailbox = cut(crmHolds), cut(mailboxHolds)
		}
		p.Fields = append(p.Fields, fp)
	}
	return p
}

// stores is what a server makes of a value.
func stores(s record.Side, f record.Field, v record.Value) record.Value {
	out := slices.Clone(v)
	for i := range out {
		switch {
		case s == record.Mailbox && f == loud:
			out[i] = strings.ToUpper(out[i])
		case s == record.CRM && f == dashed:
			out[i] = strings.ReplaceAll(out[i], " ", "-")
		}
	}
	return out
}

// canon is what both servers would make of a text.
func canon(f record.Field, s string) string {
	switch f {
	case loud:
		return strings.ToUpper(s)
	case dashed:
		return strings.ReplaceAll(s, " ", "-")
	case short:
		return s[:min(len(s), keeping)]
	}
	return s
}

type thing struct {
	id       string
	who      int // which record of the real world it is
	rec      record.Record
	version  int
	modified time.Time
	deleted  bool
	op       record.OpID
}

type edit struct {
	who   int
	field record.Field
	text  string
}

// tester is a test, or one case of a property.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

type world struct {
	t      tester
	policy reconcile.Policy
	things map[record.Side]map[string]*thing
	dirty  map[record.Side]map[string]bool // not yet settled
	links  map[string]reconcile.Link       // by CRM id
	serial int
	clock  time.Time
	// open are the edits that somebody typed and nobody has knowingly replaced.
	open map[edit]bool
	// removed are the elements that somebody took out of a list.
	removed   map[edit]bool
	conflicts []reconcile.Conflict
	findings  []reconcile.Finding
	deletes   int
	// fails says of a write whether it fails; answers whether the server tells what it
	// stored.
	fails   func() bool
	answers func() bool
}

func newWorld(t tester, p reconcile.Policy) *world {
	return &world{
		t: t, policy: p,
		things: map[record.Side]map[string]*thing{record.CRM: {}, record.Mailbox: {}},
		dirty:  map[record.Side]map[string]bool{record.CRM: {}, record.Mailbox: {}},
		links:  map[string]reconcile.Link{}, open: map[edit]bool{}, removed: map[edit]bool{},
		clock: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		fails: func() bool { return false }, answers: func() bool { return true },
	}
}

func (w *world) next() int {
	w.serial++
	w.clock = w.clock.Add(10 * time.Minute)
	return w.serial
}

// fit is what a side can hold of a value.
func (w *world) fit(s record.Side, f record.Field, v record.Value) record.Value {
	for _, fp := range w.policy.Fields {
		if fp.Field == f {
			return fp.Fit(s, v)
		}
	}
	return v
}

func (w *world) put(s record.Side, id string, who int) *thing {
	x := &thing{id: id, who: who, rec: record.Record{}}
	w.things[s][id] = x
	return x
}

// touch marks a thing as changed on its server.
func (w *world) touch(s record.Side, x *thing) {
	x.version++
	x.modified = w.clock
	w.dirty[s][x.id] = true
}

func (w *world) set(s record.Side, x *thing, f record.Field, v record.Value) {
	v = record.CleanValue(record.SpecOf(f), stores(s, f, w.fit(s, f, v)))
	if len(v) == 0 {
		delete(x.rec, f)
	} else {
		x.rec[f] = v
	}
}

// Actions of people.

func (w *world) create(s record.Side) *thing {
	n := w.next()
	x := w.put(s, fmt.Sprintf("%s%03d", s[:1], n), n)
	for _, f := range scalars {
		w.typed(s, x, f, fmt.Sprintf("%d %s", w.next(), f))
	}
	w.add(s, x)
	w.touch(s, x)
	return x
}

// typed is a person's edit of a field; the empty text clears it.
func (w *world) typed(s record.Side, x *thing, f record.Field, text string) {
	for e := range w.open {
		if e.who == x.who && e.field == f && slices.ContainsFunc(x.rec[f], func(t string) bool { return canon(f, t) == canon(f, e.text) }) {
			delete(w.open, e) // seen and replaced
		}
	}
	w.set(s, x, f, record.Text(text))
	if text != "" {
		w.open[edit{x.who, f, x.rec[f].First()}] = true
	}
	w.touch(s, x)
}

// add puts one more element into the list, or replaces the last where there is no room.
func (w *world) add(s record.Side, x *thing) {
	e := fmt.Sprintf("e%d@example.com", w.next())
	v := append(slices.Clone(x.rec[list]), e)
	if fit := w.fit(s, list, v); len(fit) < len(v) {
		w.take(s, x, len(fit)-1)
		v = append(slices.Clone(x.rec[list]), e)
	}
	w.set(s, x, list, v)
	w.open[edit{x.who, list, e}] = true
	w.touch(s, x)
}

// replace puts another element in the place of one.
func (w *world) replace(s record.Side, x *thing, at int) {
	if at >= len(x.rec[list]) {
		return
	}
	e := fmt.Sprintf("e%d@example.com", w.next())
	v := slices.Clone(x.rec[list])
	w.gone(x, v[at])
	v[at] = e
	w.set(s, x, list, v)
	w.open[edit{x.who, list, e}] = true
	w.touch(s, x)
}

func (w *world) take(s record.Side, x *thing, at int) {
	v := slices.Clone(x.rec[list])
	if at < 0 || at >= len(v) {
		return
	}
	w.gone(x, v[at])
	w.set(s, x, list, slices.Delete(v, at, at+1))
	w.touch(s, x)
}

func (w *world) gone(x *thing, text string) {
	e := edit{x.who, list, text}
	delete(w.open, e)
	w.removed[e] = true
}

func (w *world) remove(s record.Side, x *thing) {
	for e := range w.open {
		if e.who == x.who && slices.ContainsFunc(x.rec[e.field], func(t string) bool { return canon(e.field, t) == canon(e.field, e.text) }) {
			delete(w.open, e) // deleted with the record, by somebody who saw it
		}
	}
	for e := range w.removed {
		if e.who == x.who {
			delete(w.removed, e) // if the other side's edits win, they bring all of it back
		}
	}
	x.deleted = true
	w.touch(s, x)
}

func (w *world) alive(s record.Side) []*thing {
	var out []*thing
	for _, id := range slices.Sorted(maps.Keys(w.things[s])) {
		if x := w.things[s][id]; !x.deleted {
			out = append(out, x)
		}
	}
	return out
}

func (w *world) of(s record.Side, who int) *thing {
	for _, x := range w.alive(s) {
		if x.who == who {
			return x
		}
	}
	return nil
}

// The engine.

func (w *world) change(s record.Side, id string) reconcile.Change {
	x := w.things[s][id]
	if x == nil || x.deleted {
		return reconcile.Change{Kind: reconcile.Deleted, ID: id}
	}
	ch := reconcile.Change{
		Kind: reconcile.Present, ID: id, Version: fmt.Sprint(x.version), Record: x.rec.Clone(), Modified: x.modified,
	}
	if x.op != "" {
		ch.Stamp = &record.Stamp{Install: "i", Entity: record.Contacts, Op: x.op}
	}
	return ch
}

func (w *world) input() reconcile.Input {
	in := reconcile.Input{Policy: w.policy, Hasher: hasher, Install: "i"}
	for _, id := range slices.Sorted(maps.Keys(w.links)) {
		in.Links = append(in.Links, w.links[id])
	}
	for _, id := range slices.Sorted(maps.Keys(w.dirty[record.CRM])) {
		in.CRM = append(in.CRM, w.change(record.CRM, id))
	}
	for _, id := range slices.Sorted(maps.Keys(w.dirty[record.Mailbox])) {
		in.Mailbox = append(in.Mailbox, w.change(record.Mailbox, id))
	}
	return in
}

// plan reconciles, reads what is asked for, and checks what every plan must be.
func (w *world) plan() reconcile.Plan {
	w.t.Helper()
	in := w.input()
	for range 3 {
		p := reconcile.Reconcile(in)
		if other := reconcile.Reconcile(shuffled(in)); !reflect.DeepEqual(p, other) {
			w.t.Fatalf("the order of the input changes the plan:\n%+v\n%+v", p, other)
		}
		if len(p.Reread) == 0 {
			w.checkPlan(p)
			return p
		}
		for _, r := range p.Reread {
			for _, l := range in.Links {
				if l.Half(r.Side).ID == r.ID && slices.ContainsFunc(p.Ops, func(o reconcile.Operation) bool { return o.CRMID == l.CRM.ID }) {
					w.t.Fatalf("%s is to be read again and has operations", r.ID)
				}
			}
			if r.Side == record.CRM {
				in.CRM = append(in.CRM, w.change(r.Side, r.ID))
			} else {
				in.Mailbox = append(in.Mailbox, w.change(r.Side, r.ID))
			}
		}
	}
	w.t.Fatal("reconcile asks again and again")
	return reconcile.Plan{}
}

func shuffled(in reconcile.Input) reconcile.Input {
	r := rand.New(rand.NewPCG(1, uint64(len(in.Links))))
	in.Links, in.CRM, in.Mailbox = slices.Clone(in.Links), slices.Clone(in.CRM), slices.Clone(in.Mailbox)
	r.Shuffle(len(in.Links), func(i, j int) { in.Links[i], in.Links[j] = in.Links[j], in.Links[i] })
	r.Shuffle(len(in.CRM), func(i, j int) { in.CRM[i], in.CRM[j] = in.CRM[j], in.CRM[i] })
	r.Shuffle(len(in.Mailbox), func(i, j int) { in.Mailbox[i], in.Mailbox[j] = in.Mailbox[j], in.Mailbox[i] })
	return in
}

func equal(a, b []record.Hash) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// checkPlan holds each plan against the truth: deletes only of what nobody touched, a
// conflict only where both sides changed a field differently, at most one write per
// side and link, and only of fields that change.
func (w *world) checkPlan(p reconcile.Plan) {
	w.t.Helper()
	seen := map[string]bool{}
	for _, o := range p.Ops {
		if !o.Writes() {
			continue
		}
		key := string(o.Side) + o.CRMID + "/" + o.MailboxID
		if seen[key] {
			w.t.Fatalf("two writes to %s", key)
		}
		seen[key] = true
		l := w.links[o.CRMID]
		id := o.CRMID
		if o.Side == record.Mailbox {
			id = o.MailboxID
		}
		switch o.Kind {
		case reconcile.Delete:
			x := w.things[o.Side][id]
			now, base := hasher.Record(x.rec), l.Half(o.Side).Base
			for _, f := range w.policy.Fields {
				if !equal(now[f.Field], base[f.Field]) {
					w.t.Fatalf("%s is deleted, but somebody edited %s", id, f.Field)
				}
			}
		case reconcile.Update:
			x := w.things[o.Side][id]
			if len(o.Set) == 0 {
				w.t.Fatalf("an update of nothing: %+v", o)
			}
			now := hasher.Record(x.rec)
			for f, v := range o.Set {
				if equal(now[f], hasher.Value(f, v)) {
					w.t.Fatalf("%s of %s is written as it is", f, id)
				}
			}
			if o.Version != fmt.Sprint(x.version) {
				w.t.Fatalf("%s is written as of version %s, but has %d", id, o.Version, x.version)
			}
		}
		if o.Reason == "" {
			w.t.Fatalf("no reason: %+v", o)
		}
	}
	for _, c := range p.Conflicts {
		l, ok := w.links[c.CRMID]
		if !ok {
			continue
		}
		a, b := w.things[record.CRM][c.CRMID], w.things[record.Mailbox][c.MailboxID]
		for _, x := range []struct {
			side record.Side
			*thing
		}{{record.CRM, a}, {record.Mailbox, b}} {
			if equal(hasher.Value(c.Field, x.rec[c.Field]), l.Half(x.side).Base[c.Field]) {
				w.t.Fatalf("conflict in %s, but the %s did not change it", c.Field, x.side)
			}
		}
		if slices.Equal(a.rec[c.Field], b.rec[c.Field]) {
			w.t.Fatalf("conflict in %s, but both hold %v", c.Field, a.rec[c.Field])
		}
	}
}

// run is one cycle. What is not settled stays dirty.
func (w *world) run() reconcile.Plan {
	w.t.Helper()
	before := w.input()
	p := w.plan()
	w.conflicts = append(w.conflicts, p.Conflicts...)
	w.findings = append(w.findings, p.Findings...)
	w.dirty = map[record.Side]map[string]bool{record.CRM: {}, record.Mailbox: {}}
	done := map[string]reconcile.Operation{}
	for _, o := range p.Ops {
		if !o.Writes() {
			w.links[o.Link.CRM.ID] = o.Link
			continue
		}
		if w.fails() {
			// An issue names the record, and both its items are read again.
			for s, id := range map[record.Side]string{record.CRM: o.CRMID, record.Mailbox: o.MailboxID} {
				l := w.links[o.CRMID]
				if id == "" {
					id = l.Half(s).ID
				}
				if id != "" {
					w.dirty[s][id] = true
				}
			}
			continue
		}
		w.apply(o, done)
	}
	// The echo of what is linked anyway: versions, noted as the engine does.
	for s, changes := range map[record.Side][]reconcile.Change{record.CRM: before.CRM, record.Mailbox: before.Mailbox} {
		for _, ch := range changes {
			for id, l := range w.links {
				if h := l.Half(s); h.ID == ch.ID && ch.Kind == reconcile.Present && !w.dirty[s][ch.ID] && h.Version != ch.Version {
					h.Version = ch.Version
					w.links[id] = l
				}
			}
		}
	}
	w.checkLinks()
	return p
}

func (w *world) apply(o reconcile.Operation, done map[string]reconcile.Operation) {
	l, ok := w.links[o.CRMID]
	if !ok || o.Kind == reconcile.Create {
		l = o.Link
	}
	l.State = o.Link.State
	l = l.Moved(o)
	h := l.Half(o.Side)
	var x *thing
	switch o.Kind {
	case reconcile.Create:
		src := w.things[o.Side.Other()][o.Link.Half(o.Side.Other()).ID]
		x = w.put(o.Side, fmt.Sprintf("%s%03d", o.Side[:1], w.next()), src.who)
		h.ID = x.id
	default:
		x = w.things[o.Side][h.ID]
	}
	if o.Kind == reconcile.Delete {
		w.deletes++
		x.deleted = true
		w.touch(o.Side, x)
		w.links[l.CRM.ID] = l
		return
	}
	for f, v := range o.Set {
		w.set(o.Side, x, f, v)
	}
	x.op = record.OpID(fmt.Sprintf("%032d", w.next()))
	w.touch(o.Side, x) // the echo
	h.Version, h.Op = fmt.Sprint(x.version), x.op
	if w.answers() {
		now := hasher.Record(x.rec)
		move := o.MoveCRM
		if o.Side == record.Mailbox {
			move = o.MoveMailbox
		}
		for f := range move {
			if _, sent := o.Set[f]; sent {
				h.Base[f] = now[f]
			}
		}
	}
	if other, ok := done[o.CRMID]; ok && o.Kind == reconcile.Update {
		l.Join(o, other)
	}
	done[o.CRMID] = o
	w.links[l.CRM.ID] = l
}

// checkLinks demands that each item has one link at most that is alive.
func (w *world) checkLinks() {
	w.t.Helper()
	seen := map[string]bool{}
	for id, l := range w.links {
		if l.CRM.ID != id || id == "" {
			w.t.Fatalf("link %q is stored as %q", l.CRM.ID, id)
		}
		if l.State != reconcile.Linked {
			continue
		}
		if l.Mailbox.ID == "" || seen[l.Mailbox.ID] {
			w.t.Fatalf("mailbox item %q has two links or none", l.Mailbox.ID)
		}
		seen[l.Mailbox.ID] = true
	}
}

// settle runs without faults until nothing is to be done, and then holds the world
// against the properties.
func (w *world) settle(cycles int) {
	w.t.Helper()
	w.fails = func() bool { return false }
	quiet := false
	for range cycles {
		if p := w.run(); len(p.Ops) == 0 {
			quiet = true
			break
		}
	}
	if !quiet {
		w.t.Fatalf("not settled after %d cycles: %+v", cycles, w.plan().Ops)
	}
	if p := w.run(); len(p.Ops) > 0 || len(p.Conflicts) > 0 && w.policy.Conflict != reconcile.Hold {
		w.t.Fatalf("not still: %+v", p)
	}
	w.checkEnd()
}

func (w *world) checkEnd() {
	w.t.Helper()
	count := map[string]int{}
	for _, s := range []record.Side{record.CRM, record.Mailbox} {
		for _, x := range w.alive(s) {
			key := fmt.Sprintf("%s %d", s, x.who)
			if count[key]++; count[key] > 1 {
				w.t.Fatalf("record %d is twice in the %s", x.who, s)
			}
		}
	}
	for _, l := range w.links {
		if l.State == reconcile.Linked {
			w.checkPair(l)
		}
	}
	w.checkEdits()
}

// checkPair demands that both sides of a link hold the same, as far as they can, and
// that both bases say so.
func (w *world) checkPair(l reconcile.Link) {
	w.t.Helper()
	c, m := w.things[record.CRM][l.CRM.ID], w.things[record.Mailbox][l.Mailbox.ID]
	if c.deleted || m.deleted {
		w.t.Fatalf("%s is linked, but deleted", l.CRM.ID)
	}
	for _, f := range w.policy.Fields {
		held := slices.ContainsFunc(w.conflicts, func(x reconcile.Conflict) bool {
			return x.CRMID == l.CRM.ID && x.Field == f.Field && x.Winner == ""
		})
		if held || !f.ToCRM || !f.ToMailbox {
			continue
		}
		cv, mv := c.rec[f.Field], m.rec[f.Field]
		for _, x := range []struct {
			side record.Side
			v    record.Value
		}{{record.CRM, cv}, {record.Mailbox, mv}} {
			if !equal(hasher.Value(f.Field, x.v), l.Half(x.side).Base[f.Field]) {
				w.t.Fatalf("the base of %s does not say what the %s holds: %v", f.Field, x.side, x.v)
			}
		}
		if f.Field == list {
			w.checkLists(f, cv, mv)
		} else if canon(f.Field, cv.First()) != canon(f.Field, mv.First()) {
			w.t.Fatalf("%s differs: %v, %v", f.Field, cv, mv)
		}
	}
}

// checkLists demands that what one side has and the other has not is only for want of
// room.
func (w *world) checkLists(f reconcile.FieldPolicy, cv, mv record.Value) {
	w.t.Helper()
	for _, x := range []struct {
		side     record.Side
		own, all record.Value
	}{{record.CRM, cv, mv}, {record.Mailbox, mv, cv}} {
		for _, e := range x.all {
			if slices.Contains(x.own, e) {
				continue
			}
			if more := append(slices.Clone(x.own), e); len(f.Fit(x.side, more)) == len(more) {
				w.t.Fatalf("the %s has room for %s: %v, %v", x.side, e, cv, mv)
			}
		}
	}
}

// checkEdits demands that no edit is lost without a policy: what somebody typed is
// there, or a conflict's loser, or went with a record that was deleted.
func (w *world) checkEdits() {
	w.t.Helper()
	holds := func(e edit) bool {
		for _, s := range []record.Side{record.CRM, record.Mailbox} {
			if x := w.of(s, e.who); x != nil && slices.ContainsFunc(x.rec[e.field], func(t string) bool { return canon(e.field, t) == canon(e.field, e.text) }) {
				return true
			}
		}
		return false
	}
	for e := range w.open {
		if w.of(record.CRM, e.who) == nil && w.of(record.Mailbox, e.who) == nil {
			continue // deleted; that nobody had edited it was checked then
		}
		lost := slices.ContainsFunc(w.conflicts, func(c reconcile.Conflict) bool {
			return c.Field == e.field && slices.ContainsFunc(append(slices.Clone(c.Lost), c.Kept...), func(t string) bool { return canon(e.field, t) == canon(e.field, e.text) })
		})
		if !holds(e) && !lost {
			w.t.Fatalf("lost: %+v\ncrm %v\nmailbox %v", e, w.of(record.CRM, e.who), w.of(record.Mailbox, e.who))
		}
	}
	for e := range w.removed {
		onHold := slices.ContainsFunc(w.conflicts, func(c reconcile.Conflict) bool { return c.Field == e.field && c.Winner == "" })
		if holds(e) && !onHold {
			w.t.Fatalf("%s was removed and is back", e.text)
		}
	}
}
