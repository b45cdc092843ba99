package engine

import (
	"context"
	"maps"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// A user may be tied to another CRM user or another mailbox than he was synchronized
// with. Neither change deletes anything by itself.
//
//   - With another CRM user, the CRM is read in full. The records of the old one are out
//     of scope, as after any change of owner: the CRM keeps them, and the guard looks at
//     the copies that would go.
//   - With another mailbox, what is known of the old one means nothing: an item that is
//     not in the new one was not deleted there. So the links are forgotten and the first
//     sync begins anew. What was put into the old mailbox stays in it.

// otherOwner tells whether the entity was last reconciled with another CRM user's
// records.
func (r Replica) otherOwner(u roster.User) bool { return r.CRMUser != "" && r.CRMUser != u.CRMUser }

// startAnew forgets what is known of a user's mailbox if he has another one now.
func (c *cycle) startAnew(ctx context.Context) error {
	old := c.replica
	if old.MailboxID == "" || old.MailboxID == c.m.User.MailboxID {
		return nil
	}
	links, err := c.e.State.Links(ctx, c.m.User.ID, c.entity)
	if err != nil {
		return stateFault("reading the links", err)
	}
	intents, err := c.e.State.Intents(ctx, c.m.User.ID, c.entity)
	if err != nil {
		return stateFault("reading the intents", err)
	}
	s := Settlement{Replica: &Replica{}, Unheld: slices.Collect(maps.Keys(c.holds.known))}
	for _, l := range links {
		s.Remove = append(s.Remove, l.CRM.ID)
	}
	for _, i := range intents {
		s.Expired = append(s.Expired, i.Op)
	}
	for _, i := range c.issues {
		s.Resolved = append(s.Resolved, i.IssueKey)
	}
	s.Activities = []Activity{{
		Time: c.e.Now(), Actor: "engine", Type: "mailbox.changed", User: c.m.User.Email, Org: c.m.Org.Name,
		Details: "the user has another mailbox: synchronized anew; what was put into the old one stays there",
	}}
	if err := c.settle(ctx, s); err != nil {
		return err
	}
	c.log.add("the user has another mailbox than before: %d links were forgotten", len(links))
	c.replica, c.issues, c.holds = Replica{CRMCursor: old.CRMCursor}, nil, newHolds(nil)
	c.useContainer(remote.Container{})
	if ro, ok := c.e.State.(readOnly); ok {
		reading := New(c.e.Config)
		reading.State = unlinked{ro}
		c.e = reading
	}
	return nil
}

// unlinked is a state to plan by in which a user has no links, because a cycle would
// begin by forgetting them.
type unlinked struct{ readOnly }

func (unlinked) Links(context.Context, int64, record.Entity) ([]reconcile.Link, error) {
	return nil, nil
}

func (unlinked) LinksByID(context.Context, int64, record.Entity, record.Side, []string) ([]reconcile.Link, error) {
	return nil, nil
}

func (unlinked) CountLinks(context.Context, int64, record.Entity) (int, error) { return 0, nil }

func (unlinked) Intents(context.Context, int64, record.Entity) ([]Intent, error) { return nil, nil }
