package engine

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// A CRM's feed is read once per connection and run, not once per user: the changes
// since the shared cursor are handed to the users who own the records or are linked to
// them. A user whose changes were not settled falls behind: he gets the cursor from
// which they can be read again as his own, and rides with the shared one again once he
// has caught up.

// needsFullRead stands as a user's own cursor where his records must be read from the
// beginning, because the feed that he rode with was lost.
const needsFullRead = "full"

// feedKey names the feed of a connection's entity.
type feedKey struct {
	connection string
	entity     record.Entity
}

// crmFeed is what a run knows of one CRM feed.
type crmFeed struct {
	key   feedKey
	items remote.Collection

	mu sync.Mutex
	// start is the shared cursor as the run found it, next as it leaves it.
	start, next string
	opened      bool
	lost        bool
	// reads are the reads of this run by the cursor they began at.
	reads map[string]*feedRead
	// settled are the users whose changes are done with.
	settled map[int64]bool
}

// feedRead is one read of a feed, handed out by user.
type feedRead struct {
	byUser map[int64][]remote.Change
	err    error
}

func (r *runner) feed(crm remote.CRM, connection string, entity record.Entity) *crmFeed {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := feedKey{connection, entity}
	f := r.feeds[k]
	if f == nil {
		f = &crmFeed{
			key: k, items: crm.Collection(entity),
			reads: map[string]*feedRead{}, settled: map[int64]bool{},
		}
		r.feeds[k] = f
	}
	return f
}

// open reads the shared cursor once.
func (f *crmFeed) open(ctx context.Context, e *Engine) error {
	if f.opened {
		return nil
	}
	cursor, err := e.State.SharedCursor(ctx, f.key.connection, f.key.entity)
	if err != nil {
		return stateFault("reading the shared cursor", err)
	}
	f.start, f.next, f.opened = cursor, cursor, true
	return nil
}

// changes returns what changed for a user since his own cursor, or since the shared
// one if own is empty. full says that the user's records must be read from the
// beginning instead.
func (r *runner) changes(ctx context.Context, f *crmFeed, user int64, own string) (_ []remote.Change, full bool, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f := r.brokenBy(f.key.connection); f != nil {
		return nil, false, f // whoever waited for this read has his answer
	}
	if err := f.open(ctx, r.e); err != nil {
		return nil, false, err
	}
	// The shared cursor must not overtake what a user is given: read it first, so that
	// a user who catches up from his own cursor may ride with it afterwards.
	if f.start != "" && !f.lost {
		if _, err := r.read(ctx, f, f.start); err != nil {
			return nil, false, err
		}
	}
	if own == needsFullRead || f.start == "" || f.lost {
		return nil, true, nil
	}
	if own == "" {
		own = f.start
	}
	got, err := r.read(ctx, f, own)
	if err != nil || f.lost {
		return nil, f.lost, err
	}
	if got.err != nil {
		return nil, true, nil // his own cursor is lost
	}
	return got.byUser[user], false, nil
}

// read reads the feed from a cursor, once in a run.
func (r *runner) read(ctx context.Context, f *crmFeed, cursor string) (*feedRead, error) {
	if got := f.reads[cursor]; got != nil {
		return got, nil
	}
	feed, err := f.items.Changes(ctx, remote.Query{Cursor: cursor})
	switch {
	case remote.Is(err, remote.ClassCursorLost):
		if cursor == f.start {
			f.lost = true
		}
		f.reads[cursor] = &feedRead{err: err}
		return f.reads[cursor], nil
	case err != nil:
		err = remoteFault(record.CRM, "reading the CRM's changes", err)
		r.refused(f.key.connection, err)
		return nil, err
	}
	byUser, err := r.split(ctx, f.key, feed.Changes)
	if err != nil {
		return nil, err
	}
	if cursor == f.start {
		f.next = feed.Cursor
	}
	f.reads[cursor] = &feedRead{byUser: byUser}
	return f.reads[cursor], nil
}

// split hands changes to the users who own the records and to those who are linked to
// them, who may have lost them to a new owner.
func (r *runner) split(ctx context.Context, k feedKey, changes []remote.Change) (map[int64][]remote.Change, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	owners := map[string][]int64{} // one CRM user may have several mailboxes
	for _, m := range r.members {
		if m.Org.CRM == k.connection && m.User.CRMUser != "" {
			owners[m.User.CRMUser] = append(owners[m.User.CRMUser], m.User.ID)
		}
	}
	ids := make([]string, 0, len(changes))
	for _, c := range changes {
		ids = append(ids, c.Item.ID)
	}
	linked, err := r.e.State.LinkedUsers(ctx, k.connection, k.entity, ids)
	if err != nil {
		return nil, stateFault("finding who is linked to the CRM's changes", err)
	}
	out := map[int64][]remote.Change{}
	for _, c := range changes {
		r.guard.hear(c, linked[c.Item.ID], func(user int64) bool { return slices.Contains(owners[c.Item.Owner], user) })
		to := slices.Concat(linked[c.Item.ID], owners[c.Item.Owner])
		slices.Sort(to)
		for _, u := range slices.Compact(to) {
			out[u] = append(out[u], c)
		}
	}
	return out, nil
}

// full reads all records of one owner. Where the connection has no shared cursor yet,
// or has lost it, this read gives it one: it is older than every read that follows.
func (r *runner) full(ctx context.Context, f *crmFeed, owner string, progress func(int)) (remote.Feed, error) {
	f.mu.Lock()
	establish := f.next == "" || f.lost && f.next == f.start
	if !establish {
		f.mu.Unlock()
	} else {
		defer f.mu.Unlock()
	}
	feed, err := f.items.Changes(ctx, remote.Query{Owners: []string{owner}, Stamps: true, Progress: progress})
	if err != nil {
		return remote.Feed{}, remoteFault(record.CRM, "reading the CRM's records", err)
	}
	if establish {
		f.next = feed.Cursor
	}
	return feed, nil
}

// ride returns where the CRM feed of a user goes on whose changes are settled. A run
// that had to begin anew reads each user's records at another time: he goes on by
// himself, and rides from his next cycle on.
func (f *crmFeed) ride() Ride {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := Ride{Connection: f.key.connection, From: f.start, To: f.next}
	if f.lost {
		r.From = ""
	}
	return r
}

// done notes that a user's changes are settled.
func (f *crmFeed) done(user int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled[user] = true
}

// moveFeeds moves the shared cursors on and leaves behind whoever is not done.
func (r *runner) moveFeeds(ctx context.Context) error {
	r.mu.Lock()
	feeds := slices.Collect(maps.Values(r.feeds))
	r.mu.Unlock()
	for _, f := range feeds {
		if err := r.moveFeed(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) moveFeed(ctx context.Context, f *crmFeed) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.opened || f.next == f.start {
		return nil
	}
	behind := map[int64]string{}
	switch shared := f.reads[f.start]; {
	case f.lost:
		for _, m := range r.members {
			if m.Org.CRM == f.key.connection {
				behind[m.User.ID] = needsFullRead
			}
		}
	case shared != nil:
		for u := range shared.byUser {
			behind[u] = f.start
		}
	}
	for u := range f.settled {
		delete(behind, u)
	}
	err := r.e.State.MoveSharedCursor(ctx, f.key.connection, f.key.entity, f.start, f.next, behind)
	return stateFault("moving the shared cursor on", err)
}
