package reconcile

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// A list field merges element by element. The merged list is what both bases held,
// without what either side removed, with what either side added; what a side added in
// place of an element takes that element's position. Each side holds of the merged list
// what it held before and as much of the rest, in order, as it has room for. So an
// element that only one side has room for is never seen as removed on the other, and
// moves up once there is room. Order alone is no change.
//
// Where both sides added so much that neither can hold it all, the additions are in
// conflict: those of the side that the policy lets win stay, and of the other's as many
// are dropped, and kept as the conflict's loser, as it takes.

// slot is one element of the merged list.
type slot struct {
	// hash is that of the element as each side spells it, and has says which side has
	// it; text is nil where the spelling is not known.
	hash [2]record.Hash
	has  [2]bool
	text [2]*string
	// in says which side had it at the base, added which one has it since.
	in      [2]bool
	added   [2]bool
	removed bool
	// The merged list is in the order of at, the position in the CRM's base of the
	// element itself (after is 0) or of the one it follows (after is 1), then of seq, the
	// position in the mailbox's base. What was added in place of an element, or after it,
	// comes next, the CRM's additions (by) first, each in its own order (nth).
	at, after, seq, by, nth int
}

// list is the work on one list field of a pair.
type list struct {
	p     *planner
	pr    *pair
	f     field
	slots []*slot
	// gone are the base's slots that each side removed and nothing has replaced yet.
	gone [2][]*slot
	// merged is what stays, in order; target what each side is to hold of it.
	merged []*slot
	target [2][]*slot
}

func (p *planner) judgeList(pr *pair, f field) verdict {
	var changed [2]bool
	for i := range sides {
		changed[i] = !same(p.now(pr, i, f.Field), pr.base(i, f.Field))
	}
	if !changed[crm] && !changed[mailbox] {
		return verdict{}
	}
	l := &list{p: p, pr: pr, f: f}
	l.align()
	l.removals()
	l.additions(crm)
	l.additions(mailbox)
	l.share()

	v := verdict{decided: true}
	if l.crowded() {
		rivals := l.rivals()
		switch w := p.winner(pr, f.Conflict); {
		case len(rivals[crm]) == 0 || len(rivals[mailbox]) == 0:
			v.tooMany = true
		case w < 0:
			return verdict{conflict: true, winner: -1, lost: texts(rivals[mailbox], mailbox), kept: texts(rivals[crm], crm)}
		default:
			dropped := l.drop(rivals[1-w], rivals[w])
			v.tooMany = true
			if len(dropped) > 0 {
				v.conflict, v.winner = true, w
				v.lost, v.kept = texts(dropped, 1-w), texts(rivals[w], w)
			}
		}
	}
	for i := range sides {
		l.verdict(&v, i, changed)
	}
	return v
}

// align makes the slots of the base: each element that both sides had is one slot. What
// is left over on both sides is the same elements, which one of the servers respelled:
// an element stays on one side only for want of room on the other, and never on both.
func (l *list) align() {
	var base, left [2][]record.Hash
	for i := range sides {
		base[i] = l.pr.base(i, l.f.Field)
	}
	partner := map[record.Hash]record.Hash{} // of the mailbox's, by the CRM's
	for i := range sides {
		for _, h := range base[i] {
			if slices.Contains(base[1-i], h) {
				partner[h] = h
			} else {
				left[i] = append(left[i], h)
			}
		}
	}
	l.pairFitting(&left, partner)
	for n := range min(len(left[crm]), len(left[mailbox])) {
		partner[left[crm][n]] = left[mailbox][n]
	}
	ofMailbox := map[record.Hash]*slot{}
	for n, h := range base[crm] {
		s := &slot{at: n, by: -1}
		s.put(crm, h)
		if m, ok := partner[h]; ok {
			s.put(mailbox, m)
			ofMailbox[m] = s
		}
		l.slots = append(l.slots, s)
	}
	before := -1 // position of the mailbox's element before this one
	for n, h := range base[mailbox] {
		if s, ok := ofMailbox[h]; ok {
			before = s.at
			continue
		}
		s := &slot{at: before, after: 1, by: -1, seq: n}
		s.put(mailbox, h)
		l.slots = append(l.slots, s)
	}
	for i := range sides {
		it := l.pr.item[i]
		if it == nil {
			continue
		}
		for _, e := range l.elements(i) {
			for _, s := range l.slots {
				if s.in[i] && s.hash[i] == e.hash {
					s.text[i] = &e.text
				}
			}
		}
	}
}

func (s *slot) put(side int, h record.Hash) {
	s.hash[side], s.in[side], s.has[side] = h, true, true
}

// pairFitting pairs leftovers by text where the text is at hand: one side may have
// shortened the other's.
func (l *list) pairFitting(left *[2][]record.Hash, partner map[record.Hash]record.Hash) {
	for i := range sides {
		if l.pr.item[i] == nil || len(left[crm]) == 0 || len(left[mailbox]) == 0 {
			continue
		}
		for _, e := range l.elements(i) {
			at := slices.Index(left[i], e.hash)
			if at < 0 {
				continue
			}
			_, h := l.p.fitted(l.f, 1-i, record.Value{e.text}, []record.Hash{e.hash})
			if len(h) == 0 {
				left[i] = slices.Delete(left[i], at, at+1) // the other side cannot hold it
				continue
			}
			to := slices.Index(left[1-i], h[0])
			if to < 0 {
				continue
			}
			if i == crm {
				partner[e.hash] = h[0]
			} else {
				partner[h[0]] = e.hash
			}
			left[i] = slices.Delete(left[i], at, at+1)
			left[1-i] = slices.Delete(left[1-i], to, to+1)
		}
	}
}

type element struct {
	hash record.Hash
	text string
}

// elements returns what an item holds, each once.
func (l *list) elements(side int) []element {
	value := l.pr.item[side].Record[l.f.Field]
	hashes := l.p.hash(l.pr.item[side])[l.f.Field]
	out := make([]element, 0, len(value))
	if len(hashes) == len(value) {
		for n, h := range hashes {
			out = append(out, element{h, value[n]})
		}
		return out
	}
	for _, text := range value {
		h := l.p.in.Hasher.Value(l.f.Field, record.Value{text})[0]
		if !slices.ContainsFunc(out, func(e element) bool { return e.hash == h }) {
			out = append(out, element{h, text})
		}
	}
	return out
}

// removals marks what a side had at the base and has no more.
func (l *list) removals() {
	for i := range sides {
		if l.pr.item[i] == nil {
			continue
		}
		now := l.p.now(l.pr, i, l.f.Field)
		for _, s := range l.slots {
			if s.in[i] && !slices.Contains(now, s.hash[i]) {
				s.removed, s.has[i] = true, false
				l.gone[i] = append(l.gone[i], s)
			}
		}
		slices.SortStableFunc(l.gone[i], order)
	}
}

// additions puts what a side has and had not at the base into the merged list.
func (l *list) additions(side int) {
	if l.pr.item[side] == nil {
		return
	}
	gone := l.gone[side]
	before := &slot{at: -1, after: 1, seq: -1}
	for n, e := range l.elements(side) {
		if s := l.had(side, e.hash); s != nil {
			before = s
			continue
		}
		if s := l.find(side, e); s != nil {
			s.hash[side], s.text[side] = e.hash, &e.text
			s.has[side], s.added[side], s.removed = true, true, false
			before = s
			continue
		}
		s := &slot{by: side, nth: n}
		s.hash[side], s.text[side] = e.hash, &e.text
		s.has[side], s.added[side] = true, true
		switch {
		case len(gone) > 0:
			s.at, s.after, s.seq = gone[0].at, gone[0].after, gone[0].seq
			gone = gone[1:]
		case before.after == 1:
			s.at, s.after, s.seq = before.at, 1, before.seq
		default:
			s.at, s.after, s.seq = before.at, 1, -1
		}
		l.slots = append(l.slots, s)
		before = s
	}
}

// had returns the slot of an element that a side had at the base and still has.
func (l *list) had(side int, h record.Hash) *slot {
	for _, s := range l.slots {
		if s.in[side] && s.has[side] && s.hash[side] == h {
			return s
		}
	}
	return nil
}

// find returns the slot of an element that so far only the other side has.
func (l *list) find(side int, e element) *slot {
	_, fit := l.p.fitted(l.f, 1-side, record.Value{e.text}, []record.Hash{e.hash})
	for _, s := range l.slots {
		if s.has[side] || s.in[side] || s.hash[1-side] == 0 {
			continue
		}
		if s.hash[1-side] == e.hash || len(fit) > 0 && s.hash[1-side] == fit[0] {
			return s
		}
		if t := s.text[1-side]; t != nil {
			if _, h := l.p.fitted(l.f, side, record.Value{*t}, nil); len(h) > 0 && h[0] == e.hash {
				return s
			}
		}
	}
	return nil
}

func order(a, b *slot) int {
	return cmp.Or(
		cmp.Compare(a.at, b.at),
		cmp.Compare(a.after, b.after),
		cmp.Compare(a.seq, b.seq),
		cmp.Compare(a.by, b.by),
		cmp.Compare(a.nth, b.nth),
	)
}

// share decides what each side is to hold.
func (l *list) share() {
	l.merged = l.merged[:0]
	for _, s := range l.slots {
		if !s.removed {
			l.merged = append(l.merged, s)
		}
	}
	slices.SortStableFunc(l.merged, order)
	for i := range sides {
		var own []*slot
		for _, s := range l.merged {
			if s.has[i] {
				own = append(own, s)
			}
		}
		l.target[i] = own
		if len(own) == len(l.merged) {
			continue
		}
		if l.holds(i, l.merged) {
			l.target[i] = slices.Clone(l.merged)
			continue
		}
		for n, s := range l.merged {
			if s.has[i] {
				continue
			}
			at := 0
			for at < len(l.target[i]) && order(l.target[i][at], s) < 0 {
				at++
			}
			if more := slices.Insert(slices.Clone(l.target[i]), at, l.merged[n]); l.holds(i, more) {
				l.target[i] = more
			}
		}
	}
}

// holds reports whether a side has room for all of the slots. An element whose text is
// not known is taken for a short one.
func (l *list) holds(side int, slots []*slot) bool {
	v := make(record.Value, len(slots))
	for n, s := range slots {
		t, ok := l.spelling(side, s)
		if !ok {
			t = "~" + strconv.Itoa(n)
		} else if t == "" {
			return false
		}
		v[n] = t
	}
	return len(l.f.fit(side, v)) == len(slots)
}

// spelling returns an element as a side has it or would hold it: "" if it cannot. It is
// false if no item at hand tells. What a side has in its own spelling is not told by
// the other's.
func (l *list) spelling(side int, s *slot) (string, bool) {
	if t := s.text[side]; t != nil && s.has[side] {
		return *t, true
	}
	t := s.text[1-side]
	if t == nil {
		return "", false
	}
	fit := l.f.fit(side, record.Value{*t})
	if s.has[side] && !same(l.p.in.Hasher.Value(l.f.Field, fit), []record.Hash{s.hash[side]}) {
		return "", false
	}
	return fit.First(), true
}

// crowded reports that neither side holds the whole merged list.
func (l *list) crowded() bool {
	return len(l.target[crm]) < len(l.merged) && len(l.target[mailbox]) < len(l.merged)
}

// rivals returns what each side alone has added.
func (l *list) rivals() [2][]*slot {
	var out [2][]*slot
	for _, s := range l.merged {
		for i := range sides {
			if s.added[i] && !s.has[1-i] {
				out[i] = append(out[i], s)
			}
		}
	}
	return out
}

// drop takes as many of the losing side's additions out as it takes for one side to
// hold all that is left: first those in the place of a winner's, then the last ones. If
// even that does not help, all stay.
func (l *list) drop(losers, winners []*slot) []*slot {
	contested := func(s *slot) bool {
		return slices.ContainsFunc(winners, func(w *slot) bool {
			return s.after == 0 && w.after == 0 && w.at == s.at
		})
	}
	losers = slices.Clone(losers)
	slices.Reverse(losers)
	slices.SortStableFunc(losers, func(a, b *slot) int {
		switch ca, cb := contested(a), contested(b); {
		case ca == cb:
			return 0
		case ca:
			return -1
		default:
			return 1
		}
	})
	var dropped []*slot
	for _, s := range losers {
		s.removed = true
		dropped = append(dropped, s)
		l.share()
		if !l.crowded() {
			slices.SortStableFunc(dropped, order)
			return dropped
		}
	}
	for _, s := range losers {
		s.removed = false
	}
	l.share()
	return nil
}

func texts(slots []*slot, side int) record.Value {
	var v record.Value
	for _, s := range slots {
		if t := s.text[side]; t != nil {
			v = append(v, *t)
		}
	}
	return v
}

// verdict turns a side's target into what is written and what its base becomes.
func (l *list) verdict(v *verdict, side int, changed [2]bool) {
	filled := false
	for _, s := range l.target[side] {
		if s.has[side] {
			v.base[side] = append(v.base[side], s.hash[side])
			continue
		}
		filled = true
		if t, ok := l.spelling(side, s); ok {
			v.base[side] = append(v.base[side], l.p.in.Hasher.Value(l.f.Field, record.Value{t})...)
		}
	}
	if !filled && same(v.base[side], l.p.held(l.pr, side, l.f.Field)) {
		return
	}
	v.write[side] = true
	for _, s := range l.target[side] {
		t, ok := l.spelling(side, s)
		for i := range sides {
			// The side that has the element tells its text, once it is read.
			v.need[i] = v.need[i] || !ok && s.has[i] && l.pr.item[i] == nil
		}
		v.set[side] = append(v.set[side], t)
	}
	switch {
	case v.conflict && v.winner != side:
		v.cause[side] = disputed
	case !changed[1-side]:
		v.cause[side] = room
	}
}
