package salesforce

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// How writes travel:
//
//   - Creates go as collections of 200. With a stamp field they are upserts by it: a
//     create that is sent twice with the same stamp makes one record ("Upsert Multiple
//     Records with Collections").
//   - Updates with a version go one by one, several at a time: If-Unmodified-Since
//     exists for single rows only, compares LastModifiedDate in whole seconds, and
//     answers 412 ("Conditional Request Headers"). Others go as collections.
//   - Deletes know no precondition. Those with a version are compared with one read
//     just before, and all go as collections.
//   - A collection answers 200 with one result for each record, in order, whatever
//     became of them; allOrNone is off.
//
// Salesforce answers neither the version nor the fields of what was written.

// parallel is how many single updates are in flight.
const parallel = 5

// batch is one call of Apply. Each write has its own place in out; stop is why nothing
// more is sent.
type batch struct {
	c      *contacts
	writes []remote.Write
	out    []remote.WriteResult

	mu   sync.Mutex
	stop error
}

func (c *contacts) Apply(ctx context.Context, writes []remote.Write) []remote.WriteResult {
	if len(writes) == 0 {
		return nil
	}
	b := &batch{c: c, writes: writes, out: make([]remote.WriteResult, len(writes))}
	var keyed, plain, conditional, free, deletes []int
	for i, w := range writes {
		b.out[i].ID = w.ID
		switch {
		case w.Kind == remote.Create && c.upsert && w.Stamp.Op != "":
			keyed = append(keyed, i)
		case w.Kind == remote.Create:
			plain = append(plain, i)
		case w.Kind != remote.Update && w.Kind != remote.Delete || !isID(w.ID, ""):
			b.out[i].Err = &remote.Error{Class: remote.ClassItem, Code: "MALFORMED_ID", Message: "the write is not of a kind or an id that Salesforce has"}
		case w.Kind == remote.Delete:
			deletes = append(deletes, i)
		case w.Version != "":
			conditional = append(conditional, i)
		default:
			free = append(free, i)
		}
	}
	companies := b.companies(ctx, slices.Concat(keyed, plain))
	b.save(ctx, plain, http.MethodPost, "composite/sobjects", companies)
	b.save(ctx, keyed, http.MethodPatch, "composite/sobjects/Contact/"+c.stampField, companies)
	b.save(ctx, free, http.MethodPatch, "composite/sobjects", nil)
	b.updateOneByOne(ctx, conditional)
	b.remove(ctx, b.unchanged(ctx, deletes))
	b.confirm(ctx)
	return b.out
}

// fail notes why writes failed, and if need be that nothing more is sent.
func (b *batch) fail(err error, at ...int) {
	for _, i := range at {
		b.out[i].Err = err
	}
	e, ok := err.(*remote.Error) //nolint:errorlint // send returns it unwrapped
	if !ok {
		return
	}
	switch {
	case e.Class == remote.ClassPressure, e.Class == remote.ClassAuthorization, e.Class == remote.ClassConnection, e.Class == remote.ClassSetup:
	case e.Class == remote.ClassTransient && e.Status == 0 && !e.Unclear: // nothing gets out
	case e.Err != nil: // the context has ended
	default:
		return
	}
	rest := *e
	rest.Unclear = false
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop == nil {
		b.stop = &rest
	}
}

// stopped says why nothing more may be sent; nil if it may.
func (b *batch) stopped() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop == nil {
		b.stop = b.c.spare()
	}
	return b.stop
}

// record is a contact as it is written.
func (b *batch) record(i int, accounts map[string]string) map[string]any {
	w := b.writes[i]
	m := map[string]any{}
	for n, v := range w.Set {
		if strings.Contains(n, ".") {
			continue // a field of another object is never written
		}
		if m[n] = nil; len(v) > 0 {
			m[n] = v.First()
		}
	}
	if w.Stamp.Op != "" && b.c.stampField != "" {
		m[b.c.stampField] = b.c.stampText(w.Stamp)
	}
	if w.Kind != remote.Create {
		return m
	}
	for n, v := range m {
		if v == nil {
			delete(m, n)
		}
	}
	if w.Owner != "" {
		m["OwnerId"] = w.Owner
	}
	if id := accounts[company(w)]; id != "" {
		m["AccountId"] = id
	}
	return m
}

// outcome is the result of one record of a collection.
type outcome struct {
	ID      string      `json:"id"`
	Success bool        `json:"success"`
	Errors  []complaint `json:"errors"`
}

// save sends creates or updates as collections.
func (b *batch) save(ctx context.Context, places []int, method, resource string, accounts map[string]string) {
	for some := range slices.Chunk(places, batchSize) {
		if err := b.stopped(); err != nil {
			b.fail(err, some...)
			continue
		}
		records := make([]map[string]any, 0, len(some))
		for _, i := range some {
			m := b.record(i, accounts)
			m["attributes"] = map[string]string{"type": "Contact"}
			if b.writes[i].Kind == remote.Update {
				m["id"] = b.writes[i].ID
			}
			records = append(records, m)
		}
		a, err := b.c.send(ctx, b.c.h, request{
			method: method, path: b.c.data(resource), writes: true,
			body: map[string]any{"allOrNone": false, "records": records},
		})
		if err != nil {
			b.fail(err, some...)
			continue
		}
		b.settle(a, some)
	}
}

// settle hands the results of a collection to its writes.
func (b *batch) settle(a answer, places []int) {
	var list []outcome
	if err := json.Unmarshal(a.body, &list); err != nil || len(list) != len(places) {
		b.fail(unreadable(true), places...)
		return
	}
	for n, i := range places {
		switch o := list[n]; {
		case o.Success && isID(o.ID, ""):
			b.out[i].ID = long(o.ID)
		case o.Success && b.writes[i].Kind != remote.Create:
		case o.Success:
			b.out[i].Err = unreadable(true)
		default:
			var c complaint
			if len(o.Errors) > 0 {
				c = o.Errors[0]
			}
			b.out[i].Duplicates = c.duplicates()
			b.out[i].Err = c.error(0, true)
		}
	}
}

// updateOneByOne sends updates with their preconditions.
func (b *batch) updateOneByOne(ctx context.Context, places []int) {
	var wg sync.WaitGroup
	turn := make(chan struct{}, parallel)
	for _, i := range places {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			b.update(ctx, i)
		})
	}
	wg.Wait()
}

func (b *batch) update(ctx context.Context, i int) {
	if err := b.stopped(); err != nil {
		b.fail(err, i)
		return
	}
	w := b.writes[i]
	read := row{"t": w.Version}.instant("t")
	if read.IsZero() {
		b.fail(conflict(), i)
		return
	}
	_, err := b.c.send(ctx, b.c.h, request{
		method: http.MethodPatch, path: b.c.data("sobjects/Contact/" + w.ID), body: b.record(i, nil), writes: true, item: true,
		header: map[string]string{"If-Unmodified-Since": read.Format(http.TimeFormat)},
	})
	if err != nil {
		b.fail(err, i)
	}
}

func conflict() *remote.Error {
	return &remote.Error{Class: remote.ClassConflict, Message: "the record has changed since it was read"}
}

// unchanged returns the deletes whose records are as they were read. The others have
// their results.
func (b *batch) unchanged(ctx context.Context, deletes []int) []int {
	var ids []string
	for _, i := range deletes {
		if b.writes[i].Version != "" {
			ids = append(ids, long(b.writes[i].ID))
		}
	}
	if len(ids) == 0 {
		return deletes
	}
	if err := b.stopped(); err != nil {
		b.fail(err, deletes...)
		return nil
	}
	found, err := b.c.byID(ctx, ids)
	if err != nil {
		b.fail(err, deletes...)
		return nil
	}
	var rest []int
	for _, i := range deletes {
		w := b.writes[i]
		r, ok := found[long(w.ID)]
		if w.Version != "" && ok && !r.deleted() && r.text("SystemModstamp") != w.Version {
			b.fail(conflict(), i)
			continue
		}
		rest = append(rest, i)
	}
	return rest
}

// remove sends deletes as collections.
func (b *batch) remove(ctx context.Context, places []int) {
	for some := range slices.Chunk(places, batchSize) {
		if err := b.stopped(); err != nil {
			b.fail(err, some...)
			continue
		}
		ids := make([]string, 0, len(some))
		for _, i := range some {
			ids = append(ids, b.writes[i].ID)
		}
		a, err := b.c.send(ctx, b.c.h, request{
			method: http.MethodDelete, path: b.c.data("composite/sobjects"), writes: true,
			query: url.Values{"ids": {strings.Join(ids, ",")}, "allOrNone": {"false"}},
		})
		if err != nil {
			b.fail(err, some...)
			continue
		}
		b.settle(a, some)
	}
}

// confirm looks at the records that could not be reached: those that are in the
// recycle bin are gone, of the others nothing is known.
func (b *batch) confirm(ctx context.Context) {
	var places []int
	var ids []string
	for i, r := range b.out {
		e, ok := r.Err.(*remote.Error) //nolint:errorlint // it is ours
		if ok && b.writes[i].ID != "" && (e.Code == "NOT_FOUND" || e.Code == "INVALID_CROSS_REFERENCE_KEY") {
			places, ids = append(places, i), append(ids, long(b.writes[i].ID))
		}
	}
	if len(ids) == 0 || b.stopped() != nil {
		return
	}
	found, err := b.c.byID(ctx, ids)
	if err != nil {
		return // the item keeps its error, which claims less
	}
	for n, i := range places {
		if r, ok := found[ids[n]]; ok && r.deleted() {
			b.out[i].Err = complaint{ErrorCode: "ENTITY_IS_DELETED"}.error(http.StatusNotFound, true)
		}
	}
}

// company is the company that a new contact is to have; "" for none.
func company(w remote.Write) string {
	if v := w.Set[companyField]; len(v) > 0 {
		return v.First()
	}
	return w.Whole[companyField].First()
}

// companies finds the accounts whose names are the companies of new contacts. A name
// that several accounts bear is left out, and so is everything if our user may not
// see accounts: such contacts have no account.
func (b *batch) companies(ctx context.Context, creates []int) map[string]string {
	var names []string
	for _, i := range creates {
		if n := company(b.writes[i]); n != "" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	accounts := map[string]string{}
	for _, some := range lists(names) {
		if b.stopped() != nil {
			return nil
		}
		var rows []struct {
			ID   string `json:"Id"`
			Name string
		}
		if err := b.c.query(ctx, b.c.h, "SELECT Id, Name FROM Account WHERE "+in("Name", some)+" ORDER BY Id", &rows); err != nil {
			b.c.cfg.Log.Warn("accounts cannot be looked up: new contacts have none", "class", string(remote.ClassOf(err)))
			b.fail(err)
			return nil
		}
		for _, r := range rows {
			if _, twice := accounts[r.Name]; twice {
				accounts[r.Name] = ""
				continue
			}
			accounts[r.Name] = r.ID
		}
	}
	return accounts
}
