package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// ItemState says how a record stands with its synchronization.
type ItemState string

// The states of a record.
const (
	ItemInSync ItemState = "in-sync"
	// ItemExcluded: it is left out on purpose: by a limit, a setting or a person.
	ItemExcluded ItemState = "excluded"
	// ItemFailing: it should be synchronized and is not, or not wholly.
	ItemFailing ItemState = "failing"
	// ItemHeld: it waits for a person to decide.
	ItemHeld ItemState = "held"
	// ItemUnlinked: both items are left alone.
	ItemUnlinked ItemState = "unlinked"
	// ItemEnded: it was deleted; the link only remembers it.
	ItemEnded ItemState = "ended"
	// ItemNew: nothing is known of it yet.
	ItemNew ItemState = "new"
)

// ItemStates are those that the state of a user can tell, the ones that need somebody
// first.
var ItemStates = []ItemState{ItemFailing, ItemHeld, ItemExcluded, ItemUnlinked, ItemInSync, ItemEnded}

// Item is one record of a user as the state knows it.
type Item struct {
	User      string
	Entity    record.Entity
	State     ItemState
	Reason    string
	CRMID     string
	MailboxID string
	// Since is when the record came into its state: when its link did, when the guard
	// began to hold its delete, or when its issue was first seen.
	Since time.Time
	// Label names the record for a person; the state knows it only of records that
	// have an issue.
	Label string
	// Issue is the open issue that the reason comes from; 0 if there is none.
	Issue int64
	Code  Code
	// Attempts and NextRetry are of the issue.
	Attempts  int
	NextRetry time.Time
}

// Items tells how each of a user's records stands, from the state alone: one for each
// link, and for each record without one that has an open issue. The latest come first.
func (e *Engine) Items(ctx context.Context, user string, id int64) ([]Item, error) {
	var out []Item
	for _, entity := range Entities {
		links, err := e.State.Links(ctx, id, entity)
		if err != nil {
			return nil, stateFault("reading the links", err)
		}
		issues, err := e.State.OpenIssues(ctx, id, entity)
		if err != nil {
			return nil, stateFault("reading the issues", err)
		}
		held, err := e.State.Held(ctx, id, entity)
		if err != nil {
			return nil, stateFault("reading the deletes that are held", err)
		}
		out = append(out, itemsOf(user, entity, links, issues, held)...)
	}
	slices.SortStableFunc(out, func(a, b Item) int { return b.Since.Compare(a.Since) })
	return out, nil
}

// itemsOf brings links, issues and held deletes together. Of several that are about one
// record, the one that is worst tells.
func itemsOf(user string, entity record.Entity, links []reconcile.Link, issues []Issue, held []HeldDelete) []Item {
	items := make([]Item, 0, len(links)+len(issues))
	at := map[record.Side]map[string]int{record.CRM: make(map[string]int, len(links)), record.Mailbox: make(map[string]int, len(links))}
	note := func(it Item) {
		for _, s := range sides {
			id := it.id(s)
			if old, taken := at[s][id]; id != "" && (!taken || items[old].State == ItemEnded) {
				at[s][id] = len(items)
			}
		}
		items = append(items, it)
	}
	for _, l := range links {
		it := Item{User: user, Entity: entity, CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID, Since: l.Since}
		switch l.State {
		case reconcile.Linked:
			it.State = ItemInSync
		case reconcile.Unlinked:
			it.State, it.Reason = ItemUnlinked, "the two were taken apart and are left alone"
		case reconcile.Ended:
			it.State, it.Reason = ItemEnded, "it was deleted, or went out of scope"
		}
		note(it)
	}
	of := func(crmID, mailboxID string, since time.Time) *Item {
		n, ok := at[record.CRM][crmID]
		if !ok {
			n, ok = at[record.Mailbox][mailboxID]
		}
		if !ok {
			n = len(items)
			note(Item{User: user, Entity: entity, CRMID: crmID, MailboxID: mailboxID, Since: since})
		}
		return &items[n]
	}
	for _, d := range held {
		of(d.CRMID, d.MailboxID, d.Since).hold(d)
	}
	for _, i := range issues {
		of(i.CRMID, i.MailboxID, i.FirstSeen).because(i)
	}
	return items
}

// hold takes a delete that the guard holds as the reason of a record's state.
func (it *Item) hold(d HeldDelete) {
	it.State, it.Reason, it.Code, it.Since = ItemHeld, "the guard holds its delete: "+d.Reason, CodeHeld, d.Since
	if d.Label != "" {
		it.Label = d.Label
	}
}

// because takes an issue as the reason of a record's state, unless a worse one is.
func (it *Item) because(i Issue) {
	state := stateOf(i)
	if i.Code == CodeEditKept && it.State == ItemUnlinked {
		state = ItemUnlinked // that is what became of it
	}
	if it.Code != "" && slices.Index(ItemStates, state) >= slices.Index(ItemStates, it.State) {
		return
	}
	it.State, it.Reason, it.Issue, it.Code = state, i.Cause, i.ID, i.Code
	it.Attempts, it.NextRetry, it.Since = i.Attempts, i.NextRetry, i.FirstSeen
	if i.Label != "" {
		it.Label = i.Label
	}
}

// stateOf tells what an open issue makes of its record.
func stateOf(i Issue) ItemState {
	switch {
	case i.State == IssueIgnored:
		return ItemExcluded
	case i.Code == CodeOnHold:
		return ItemHeld
	case i.Code == CodeOverLimit, i.Code == CodeLeftOut, i.Code == CodeNotAllowed:
		return ItemExcluded
	}
	return ItemFailing
}

// Label names the records of items of one user by reading them where they are. What
// cannot be read stays without a label.
func (e *Engine) Label(ctx context.Context, user int64, items []Item) error {
	c, err := e.reading(ctx, user)
	if err != nil {
		return err
	}
	for _, side := range sides {
		var ids []string
		var of []int
		for n := range items {
			if id := items[n].id(side); items[n].Label == "" && id != "" {
				ids, of = append(ids, id), append(of, n)
			}
		}
		if len(ids) == 0 {
			continue
		}
		for n, got := range c.side(side).Get(ctx, ids) {
			if got.Err == nil {
				items[of[n]].Label = strings.TrimSpace(c.read1(side, got.Item).Label())
			}
		}
	}
	return nil
}

// id returns the id of a side; it may be empty.
func (it Item) id(s record.Side) string {
	if s == record.CRM {
		return it.CRMID
	}
	return it.MailboxID
}
