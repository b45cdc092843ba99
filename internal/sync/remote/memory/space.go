package memory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// space is all items of one system, in their containers.
type space struct {
	mu         sync.Mutex
	opts       Options
	side       record.Side
	prefix     string
	items      map[string]*item
	containers map[string]*container
	made       int // items ever made
	changes    int // changes ever made
	reads      int // feeds read and searches made
	generation int // of cursors
	requests   int
}

type item struct {
	id         string
	in         *container
	owner      string
	fields     mapping.Fields
	stamp      *record.Stamp
	version    string
	created    time.Time
	modified   time.Time
	deleted    bool
	mergedInto string
	hidden     bool
	imported   bool
	entered    int // space.reads when the item came into its container
	stamped    int // space.reads when it got its stamp
}

// container is a folder of a mailbox, or the one container of a CRM.
type container struct {
	id, mailbox, name string
	gone              bool
	items             map[string]*item
	log               []entry
	claim             *remote.Claim
}

// entry says that something happened to an item.
type entry struct {
	id     string
	read   int  // space.reads at the time
	untold bool // the feed does not tell of it
}

func newSpace(side record.Side, prefix string, o Options) *space {
	return &space{opts: o, side: side, prefix: prefix, items: map[string]*item{}, containers: map[string]*container{}}
}

func (s *space) addContainer(id, mailbox, name string) *container {
	c := &container{id: id, mailbox: mailbox, name: name, items: map[string]*item{}}
	s.containers[id] = c
	return c
}

// request counts a round trip and says whether it is answered at all.
func (s *space) request(ctx context.Context, counters ...*int) error {
	if err := ctx.Err(); err != nil {
		return &remote.Error{Class: remote.ClassTransient, Message: "the call was cancelled", Err: err}
	}
	if s.opts.RequestLimit > 0 && s.requests >= s.opts.RequestLimit {
		return fault(remote.ClassPressure, "REQUEST_LIMIT_EXCEEDED", "the request limit is reached")
	}
	s.requests++
	for _, n := range counters {
		*n++
	}
	return nil
}

// touch gives an item a new version and time and logs it in its container.
func (s *space) touch(it *item) {
	s.changes++
	t := Epoch.Add(time.Duration(s.changes) * time.Second)
	if s.opts.Now != nil {
		t = s.opts.Now().UTC()
	}
	if it.created.IsZero() {
		it.created = t
	}
	it.modified = t
	it.version = strconv.Itoa(s.changes)
	if r := s.opts.VersionResolution; r > 0 {
		it.version = t.Truncate(r).Format(time.RFC3339Nano)
	}
	s.enter(it.in, it.id)
}

func (s *space) enter(c *container, id string) {
	c.log = append(c.log, entry{id: id, read: s.reads})
}

// add makes an item with fields; it has no version until it is touched.
func (s *space) add(c *container, fields mapping.Fields) *item {
	s.made++
	it := &item{id: fmt.Sprintf("%s%06d", s.prefix, s.made), in: c, fields: mapping.Fields{}, entered: s.reads}
	s.set(it, fields)
	s.items[it.id] = it
	c.items[it.id] = it
	return it
}

func (s *space) set(it *item, fields mapping.Fields) {
	for n, v := range fields {
		if s.opts.Normalise != nil && len(v) > 0 {
			v = s.opts.Normalise(n, slices.Clone(v))
		}
		if len(v) == 0 {
			delete(it.fields, n)
			continue
		}
		it.fields[n] = slices.Clone(v)
	}
}

func (s *space) remove(it *item) {
	it.deleted = true
	delete(it.in.items, it.id)
	s.touch(it)
}

func (s *space) restore(it *item) {
	it.deleted, it.mergedInto = false, ""
	it.entered = s.reads
	it.in.items[it.id] = it
	s.touch(it)
}

func (s *space) move(it *item, to *container) {
	from := it.in
	delete(from.items, it.id)
	s.enter(from, it.id)
	it.in, it.entered = to, s.reads
	to.items[it.id] = it
	s.touch(it)
}

// dropContainer deletes a container with all that is in it.
func (s *space) dropContainer(c *container) {
	for _, it := range c.items {
		it.deleted = true
	}
	c.items = map[string]*item{}
	c.gone = true
	c.claim = nil
}

func (s *space) late(read int) bool { return s.reads < read+s.opts.Lag }

// view is an item as it is seen from outside.
func (s *space) view(it *item, stamps bool) remote.Item {
	v := remote.Item{
		ID: it.id, Version: it.version, Owner: it.owner, Created: it.created, Modified: it.modified,
		Fields: cloneFields(it.fields), Imported: it.imported,
	}
	if stamps && !s.opts.NoStamps {
		v.HasStamp = true
		if it.stamp != nil {
			c := *it.stamp
			v.Stamp = &c
		}
	}
	return v
}

// sorted returns the ids of what is in a container, in order.
func (c *container) sorted() []string {
	ids := make([]string, 0, len(c.items))
	for id := range c.items {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// cursor is a place in the log of a container, and while all items are being read
// for the first time, the id of the last one.
type cursor struct {
	generation int
	place      int
	scan       bool
	after      string
}

func (c cursor) String() string {
	s := fmt.Sprintf("%d:%d", c.generation, c.place)
	if c.scan {
		s += ":" + c.after
	}
	return s
}

func parseCursor(text string) (cursor, bool) {
	var c cursor
	p := strings.SplitN(text, ":", 3)
	if len(p) < 2 {
		return c, false
	}
	var err1, err2 error
	c.generation, err1 = strconv.Atoi(p[0])
	c.place, err2 = strconv.Atoi(p[1])
	if len(p) == 3 {
		c.scan, c.after = true, p[2]
	}
	return c, err1 == nil && err2 == nil
}

// tip is the place in the log up to which changes are visible.
func (s *space) tip(c *container) int {
	n := len(c.log)
	for n > 0 && s.late(c.log[n-1].read) {
		n--
	}
	return n
}

// emptyPage begins the cursor of what follows an empty page.
const emptyPage = "-"

// page reads one page of a feed: from where the text of a cursor says to where the
// next one goes on. done says that the end was reached.
func (s *space) page(c *container, text string, q remote.Query) (changes []remote.Change, next string, done bool, err error) {
	if c == nil || c.gone {
		return nil, "", false, fault(remote.ClassContainerGone, "container-gone", "the container does not exist any more")
	}
	from := cursor{generation: s.generation, place: s.tip(c), scan: true}
	if s.opts.EmptyPages {
		rest, seen := strings.CutPrefix(text, emptyPage)
		if !seen && text == "" {
			return nil, emptyPage + from.String(), false, nil
		}
		if !seen {
			return nil, emptyPage + text, false, nil
		}
		text = rest
	}
	defer func() {
		if s.opts.Disorder != nil && err == nil {
			changes = s.opts.Disorder(changes)
		}
	}()
	if text != "" {
		var ok bool
		if from, ok = parseCursor(text); !ok || from.generation != s.generation || from.place > len(c.log) {
			return nil, "", false, fault(remote.ClassCursorLost, "cursor-lost", "the cursor has expired")
		}
	}
	if from.scan {
		return s.scanPage(c, from, q)
	}
	to := max(min(from.place+s.opts.PageSize, s.tip(c)), from.place)
	changes = s.report(c, c.log[from.place:to], q)
	return changes, cursor{generation: s.generation, place: to}.String(), to >= s.tip(c), nil
}

// scanPage reads a page of all items, in the order of their ids. What changes
// meanwhile is in the log after the place that the cursor keeps.
func (s *space) scanPage(c *container, from cursor, q remote.Query) ([]remote.Change, string, bool, error) {
	var changes []remote.Change
	for _, id := range c.sorted() {
		it := c.items[id]
		if id <= from.after || s.late(it.entered) || !s.inFeed(it, q) {
			continue
		}
		if len(changes) == s.opts.PageSize {
			return changes, from.String(), false, nil
		}
		changes = append(changes, remote.Change{Item: s.view(it, q.Stamps)})
		from.after = id
	}
	return changes, cursor{generation: s.generation, place: from.place}.String(), true, nil
}

func (s *space) inFeed(it *item, q remote.Query) bool {
	return !it.hidden && (len(q.Owners) == 0 || slices.Contains(q.Owners, it.owner))
}

// report says what became of the items that the log names, each once, in the order
// of their last entries.
func (s *space) report(c *container, log []entry, q remote.Query) []remote.Change {
	last := make(map[string]int, len(log))
	for i, e := range log {
		if !e.untold {
			last[e.id] = i
		}
	}
	var out []remote.Change
	for i, e := range log {
		if n, told := last[e.id]; !told || n != i {
			continue
		}
		it := s.items[e.id]
		change := remote.Change{Kind: remote.Removed, Item: remote.Item{ID: it.id, Owner: it.owner}}
		switch {
		case it.hidden || it.deleted && s.side == record.CRM && s.opts.NoTombstones:
			continue
		case it.mergedInto != "":
			change.Kind, change.MergedInto = remote.Merged, it.mergedInto
		case it.deleted && s.side == record.CRM:
			change.Kind = remote.Deleted
		case !it.deleted && it.in == c && s.inFeed(it, q):
			change = remote.Change{Item: s.view(it, q.Stamps)}
		}
		out = append(out, change)
	}
	return out
}

// check says why the server refuses a write to an item, if it does. Creates have no
// item yet.
func (s *space) check(w remote.Write, it *item) *remote.Error {
	for n, v := range w.Set {
		i := slices.IndexFunc(s.opts.Mapping.Entries, func(e mapping.Entry) bool { return slices.Contains(e.Native, n) })
		if i < 0 {
			return &remote.Error{Class: remote.ClassMapping, Code: "INVALID_FIELD", Message: "the system has no such field", Fields: []string{n}}
		}
		e := s.opts.Mapping.Entries[i]
		if !e.Direction.Allows(s.side) {
			return &remote.Error{Class: remote.ClassMapping, Code: "READ_ONLY_FIELD", Message: "the field cannot be written", Fields: []string{n}}
		}
		capacity := e.Capacity()
		if len(e.Native) > 1 {
			capacity = 1
		}
		if capacity > 0 && len(v) > capacity {
			return &remote.Error{Class: remote.ClassItem, Code: "TOO_MANY", Message: "the field holds fewer values", Fields: []string{n}}
		}
		for _, text := range v {
			if e.MaxLen > 0 && utf8.RuneCountInString(text) > e.MaxLen {
				return &remote.Error{Class: remote.ClassItem, Code: "STRING_TOO_LONG", Message: "the value is too long", Fields: []string{n}}
			}
		}
	}
	for _, n := range s.opts.Required {
		v, given := w.Set[n]
		if it != nil && !given {
			continue
		}
		if len(v) == 0 {
			return &remote.Error{Class: remote.ClassItem, Code: "REQUIRED_FIELD_MISSING", Message: "a required field is empty", Fields: []string{n}}
		}
	}
	return nil
}
