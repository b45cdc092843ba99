package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// readTo is where the feeds were read to.
type readTo struct {
	mailbox string
	// listed says that all records of both sides were read.
	listed bool
}

// sideRead is what was read of one side, with everything looked up.
type sideRead struct {
	changes []remote.Change
	full    bool
	empty   bool // a full read found nothing
	cursor  string
	// told are the ids that the feed mentioned, where all records were listed besides.
	told map[string]bool
}

// read pulls both feeds to their ends and returns what reconcile needs to decide.
func (c *cycle) read(ctx context.Context) (reconcile.Input, readTo, error) {
	crm, err := c.readCRM(ctx)
	if err != nil {
		return reconcile.Input{}, readTo{}, err
	}
	box, err := c.readMailbox(ctx)
	if err != nil {
		return reconcile.Input{}, readTo{}, err
	}
	in := reconcile.Input{
		Policy: c.policy, Hasher: c.hasher, Install: c.e.Install,
		First: !c.replica.FirstDone, Discarded: c.holds.decided(Discard), LeftOut: c.leftOut(),
	}
	if in.Links, err = c.linksOf(ctx, crm, box); err != nil {
		return in, readTo{}, err
	}
	if err := c.refuseEmpty(record.CRM, crm, in.Links); err != nil {
		return in, readTo{}, err
	}
	if err := c.refuseEmpty(record.Mailbox, box, in.Links); err != nil {
		return in, readTo{}, err
	}
	if in.Links, crm.changes, err = c.remap(ctx, in.Links, crm.changes); err != nil {
		return in, readTo{}, err
	}
	if in.CRM, err = c.settleReads(ctx, record.CRM, crm, in.Links); err != nil {
		return in, readTo{}, err
	}
	if in.Mailbox, err = c.settleReads(ctx, record.Mailbox, box, in.Links); err != nil {
		return in, readTo{}, err
	}
	if err := c.addRetries(ctx, &in); err != nil {
		return in, readTo{}, err
	}
	if err := c.rehash(ctx, &in); err != nil {
		return in, readTo{}, err
	}
	return in, readTo{mailbox: box.cursor, listed: crm.full && box.full}, nil
}

// complete adds what the state knows of the stamps that items without a link bear: the
// links of the records that they name, and the operations that were given up.
func (c *cycle) complete(ctx context.Context, in *reconcile.Input) error {
	have := map[record.Side]map[string]bool{record.CRM: {}, record.Mailbox: {}}
	for _, l := range in.Links {
		have[record.CRM][l.CRM.ID], have[record.Mailbox][l.Mailbox.ID] = true, true
	}
	var ops []record.OpID
	named := map[record.Side][]string{}
	for side, changes := range map[record.Side][]reconcile.Change{record.CRM: in.CRM, record.Mailbox: in.Mailbox} {
		for _, ch := range changes {
			if ch.Stamp == nil {
				continue
			}
			if ch.Stamp.Install == c.e.Install {
				ops = append(ops, ch.Stamp.Op)
			}
			if ch.Stamp.Other != "" && !have[side.Other()][ch.Stamp.Other] {
				named[side.Other()] = append(named[side.Other()], ch.Stamp.Other)
			}
		}
	}
	links, err := c.linksByID(ctx, named[record.CRM], named[record.Mailbox])
	if err != nil {
		return err
	}
	for _, l := range links {
		if !have[record.CRM][l.CRM.ID] {
			in.Links = append(in.Links, l)
		}
	}
	for _, l := range in.Links {
		c.links[l.CRM.ID] = l
	}
	if len(ops) == 0 {
		return nil
	}
	slices.Sort(ops)
	in.Late, err = c.e.State.ExpiredOps(ctx, c.m.User.ID, c.entity, slices.Compact(ops))
	return stateFault("reading the expired operations", err)
}

// readCRM returns the user's part of the CRM's feed, or all his records.
func (c *cycle) readCRM(ctx context.Context) (sideRead, error) {
	changes, full, err := c.r.changes(ctx, c.feed, c.m.User.ID, c.replica.CRMCursor)
	if err != nil {
		return sideRead{}, err
	}
	full = full || c.replica.otherOwner(c.m.User)
	list := c.newRules || c.replica.listDue(c.m.User.ID, c.e.Now())
	if !full && c.replica.FirstDone && !list {
		return sideRead{changes: changes}, nil
	}
	feed, err := c.r.full(ctx, c.feed, c.m.User.CRMUser, func(n int) {
		c.e.Reporter.Reading(c.m.User.Email, record.CRM, n)
	})
	c.log.add("read all %d records of the CRM", len(feed.Changes))
	got := sideRead{changes: append(slices.Clone(changes), feed.Changes...), full: true, empty: len(feed.Changes) == 0 && !c.replica.otherOwner(c.m.User)}
	if list && !full && !c.newRules {
		got.told = idSetOf(changes)
	}
	return got, err
}

// readMailbox returns what changed in our container, or all there is.
func (c *cycle) readMailbox(ctx context.Context) (sideRead, error) {
	progress := func(n int) { c.e.Reporter.Reading(c.m.User.Email, record.Mailbox, n) }
	var feed remote.Feed
	err := error(nil)
	switch {
	case c.replica.MailboxCursor == "":
		err = &remote.Error{Class: remote.ClassCursorLost}
	case c.first != nil && !remote.Is(c.first.Err, remote.ClassTransient) && !remote.Is(c.first.Err, remote.ClassPressure):
		feed, err = c.first.Feed, c.first.Err
	default: // a wait that a server asked for is kept by the connector, or refused at once
		feed, err = remote.Feed{Cursor: c.replica.MailboxCursor}, nil
	}
	if err == nil && !feed.Complete {
		var rest remote.Feed
		rest, err = c.copies.Changes(ctx, remote.Query{Cursor: feed.Cursor, Progress: progress})
		feed = remote.Feed{Changes: append(feed.Changes, rest.Changes...), Cursor: rest.Cursor}
	}
	lost := remote.Is(err, remote.ClassCursorLost)
	if list := c.newRules || c.replica.listDue(c.m.User.ID, c.e.Now()); !lost && (err != nil || !list) {
		return sideRead{changes: feed.Changes, cursor: feed.Cursor}, remoteFault(record.Mailbox, "reading the mailbox's changes", err)
	}
	if lost && c.replica.MailboxCursor != "" {
		c.log.add("the mailbox's cursor is lost: reading everything again")
	}
	told := feed.Changes
	feed, err = c.copies.Changes(ctx, remote.Query{Stamps: !c.created, Progress: progress})
	c.log.add("read all %d items of the mailbox", len(feed.Changes))
	got := sideRead{changes: append(slices.Clone(told), feed.Changes...), cursor: feed.Cursor, full: true, empty: len(feed.Changes) == 0}
	if !lost && !c.newRules {
		got.told = idSetOf(told)
	}
	return got, remoteFault(record.Mailbox, "reading the mailbox", err)
}

// linksOf returns the links of everything that was read; all links if a side was read
// in full, since what is missing there must be looked up.
func (c *cycle) linksOf(ctx context.Context, crm, box sideRead) ([]reconcile.Link, error) {
	if crm.full || box.full {
		links, err := c.e.State.Links(ctx, c.m.User.ID, c.entity)
		return links, stateFault("reading the links", err)
	}
	crmIDs := idsOf(crm.changes)
	for _, ch := range crm.changes {
		if ch.Kind == remote.Merged {
			crmIDs = append(crmIDs, ch.MergedInto)
		}
	}
	boxIDs := idsOf(box.changes)
	for k, d := range c.holds.known {
		if d.due(c.asOf()) {
			crmIDs, boxIDs = append(crmIDs, k.CRMID), append(boxIDs, k.MailboxID)
		}
	}
	if len(crmIDs) == 0 && len(boxIDs) == 0 && !slices.ContainsFunc(c.issues, c.due) {
		return nil, nil
	}
	for _, i := range c.issues {
		if i.CRMID != "" {
			crmIDs = append(crmIDs, i.CRMID)
		}
		if i.MailboxID != "" {
			boxIDs = append(boxIDs, i.MailboxID)
		}
	}
	return c.linksByID(ctx, crmIDs, boxIDs)
}

// linksByID returns the links of items of both sides, each once, in the order of
// their CRM ids.
func (c *cycle) linksByID(ctx context.Context, crmIDs, boxIDs []string) ([]reconcile.Link, error) {
	byID := map[string]reconcile.Link{}
	for side, ids := range map[record.Side][]string{record.CRM: crmIDs, record.Mailbox: boxIDs} {
		if len(ids) == 0 {
			continue
		}
		links, err := c.e.State.LinksByID(ctx, c.m.User.ID, c.entity, side, ids)
		if err != nil {
			return nil, stateFault("reading the links", err)
		}
		for _, l := range links {
			byID[l.CRM.ID] = l
		}
	}
	return sortedLinks(byID), nil
}

func sortedLinks(byID map[string]reconcile.Link) []reconcile.Link {
	out := make([]reconcile.Link, 0, len(byID))
	for _, l := range byID {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b reconcile.Link) int { return strings.Compare(a.CRM.ID, b.CRM.ID) })
	return out
}

func idsOf(changes []remote.Change) []string {
	ids := make([]string, 0, len(changes))
	for _, ch := range changes {
		ids = append(ids, ch.Item.ID)
	}
	return ids
}

// refuseEmpty takes an empty full read of a side that held records for a failed one.
func (c *cycle) refuseEmpty(side record.Side, got sideRead, links []reconcile.Link) error {
	if !got.empty {
		return nil
	}
	for _, l := range links {
		if l.State == reconcile.Linked {
			return &Fault{Code: CodeEmptyRead, Doing: "the " + sideName(side) +
				" returned nothing where it held linked records: taken for a failed read, nothing was deleted; if it really is empty: crmsync mailbox reapply " + c.m.User.Email}
		}
	}
	return nil
}

// remap follows merges: the link of a record that was merged into another one goes to
// that one, unless that one has a link of its own; then the loser counts as deleted.
func (c *cycle) remap(ctx context.Context, links []reconcile.Link, changes []remote.Change) ([]reconcile.Link, []remote.Change, error) {
	byID := map[string]reconcile.Link{}
	for _, l := range links {
		byID[l.CRM.ID] = l
	}
	seen, into := map[string]bool{}, map[string]string{}
	for _, ch := range changes {
		seen[ch.Item.ID] = true
		if ch.Kind == remote.Merged {
			into[ch.Item.ID] = ch.MergedInto
		}
	}
	var s Settlement
	for i, ch := range changes {
		if ch.Kind != remote.Merged {
			continue
		}
		changes[i].Kind = remote.Deleted
		to := heirOf(ch.Item.ID, into)
		l, ok := byID[ch.Item.ID]
		heir, taken := byID[to]
		if !ok || l.State != reconcile.Linked || taken && heir.State != reconcile.Ended {
			continue
		}
		delete(byID, ch.Item.ID)
		l.CRM.ID, l.CRM.Version = to, ""
		byID[to] = l
		s.Remove = append(s.Remove, ch.Item.ID)
		s.Links = append(s.Links, l)
		c.log.add("a CRM record was merged into another: its link follows")
		if !seen[to] {
			// What became of it is looked up: it may be out of scope, or gone as well.
			seen[to] = true
			changes = append(changes, remote.Change{Kind: remote.Removed, Item: remote.Item{ID: to}})
		}
	}
	if len(s.Links) == 0 {
		return links, changes, nil
	}
	if err := c.settle(ctx, s); err != nil {
		return nil, nil, err
	}
	return sortedLinks(byID), changes, nil
}

// heirOf follows merges from a record to the one that remains.
func heirOf(id string, into map[string]string) string {
	for range into { // no longer than there are merges, should they run in a circle
		next, merged := into[id]
		if !merged {
			break
		}
		id = next
	}
	return id
}

// settleReads turns what a feed said into what is proven: hints are looked up, so are
// links that a full read did not mention, and items without a link get their stamps.
func (c *cycle) settleReads(ctx context.Context, side record.Side, got sideRead, links []reconcile.Link) ([]reconcile.Change, error) {
	linked := map[string]reconcile.Link{}
	for i := range links {
		if id := links[i].Half(side).ID; id != "" {
			linked[id] = links[i]
		}
	}
	named := map[string]bool{} // by an issue or a held delete, which goes with its item
	for _, i := range c.issues {
		named[i.id(side)] = true
	}
	for k := range c.holds.known {
		named[k.ID(side)] = true
	}
	last := map[string]int{} // the feed may repeat an item: the last word counts
	for i, ch := range got.changes {
		last[ch.Item.ID] = i
	}
	var out []reconcile.Change
	var look []string
	for i, ch := range got.changes {
		if last[ch.Item.ID] != i {
			continue
		}
		l, known := linked[ch.Item.ID]
		ours := known || named[ch.Item.ID]
		switch {
		case ch.Kind == remote.Deleted:
			if ours {
				out = append(out, reconcile.Change{Kind: reconcile.Deleted, ID: ch.Item.ID})
			}
		case ch.Kind == remote.Removed:
			if ours {
				look = append(look, ch.Item.ID)
			}
		case side == record.CRM && ch.Item.Owner != c.m.User.CRMUser:
			if ours {
				out = append(out, reconcile.Change{Kind: reconcile.OutOfScope, ID: ch.Item.ID, Version: ch.Item.Version})
			}
		case l.State == reconcile.Ended, l.State == reconcile.Unlinked && side == record.Mailbox:
			look = append(look, ch.Item.ID) // back again, or the feed is behind
		case !known && !ch.Item.HasStamp && !c.created && c.side(side).Capabilities().Stamps:
			look = append(look, ch.Item.ID)
		default:
			out = append(out, c.change(side, ch.Item))
		}
	}
	if got.full {
		for _, l := range links {
			id := l.Half(side).ID
			if _, there := last[id]; !there && id != "" && l.State == reconcile.Linked {
				look = append(look, id)
			}
		}
	}
	looked, err := c.lookUp(ctx, side, look)
	out = append(out, looked...)
	if got.told != nil {
		for _, ch := range out {
			if !got.told[ch.ID] {
				c.untell(side, ch.ID)
			}
		}
	}
	return out, err
}

// lookUp reads items by id and returns what is proven of each.
func (c *cycle) lookUp(ctx context.Context, side record.Side, ids []string) ([]reconcile.Change, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var out []reconcile.Change
	for n, got := range c.side(side).Get(ctx, ids) {
		if remote.Is(got.Err, remote.ClassItem) {
			c.unread = append(c.unread, c.unreadable(side, ids[n], got.Err))
			continue
		}
		ch, err := c.proven(side, ids[n], got)
		if err != nil {
			return nil, err
		}
		out = append(out, ch)
	}
	return out, nil
}

// proven returns what the answer to a reading by id proves.
func (c *cycle) proven(side record.Side, id string, got remote.ItemResult) (reconcile.Change, error) {
	switch {
	case remote.Is(got.Err, remote.ClassGone):
		return reconcile.Change{Kind: reconcile.Deleted, ID: id}, nil
	case got.Err != nil:
		return reconcile.Change{}, remoteFault(side, "looking an item of the "+sideName(side)+" up", got.Err)
	case got.Elsewhere, side == record.CRM && got.Item.Owner != c.m.User.CRMUser:
		return reconcile.Change{Kind: reconcile.OutOfScope, ID: id, Version: got.Item.Version}, nil
	}
	return c.change(side, got.Item), nil
}

// unreadable returns the issue of an item that a server does not hand out; the others go
// on.
func (c *cycle) unreadable(side record.Side, id string, err error) Issue {
	o := reconcile.Operation{Side: side.Other()}
	if side == record.CRM {
		o.CRMID = id
	} else {
		o.MailboxID = id
	}
	return c.issue(o, CodeItemRefused, "it cannot be read: "+err.Error())
}

// change returns an item as reconcile sees it.
func (c *cycle) change(side record.Side, it remote.Item) reconcile.Change {
	return reconcile.Change{
		Kind: reconcile.Present, ID: it.ID, Version: it.Version, Record: c.read1(side, it),
		Modified: it.Modified, Stamp: it.Stamp, Imported: it.Imported,
	}
}

// addRetries adds the records of issues and of held deletes that are due, and of those
// where either side has changed, so that they are decided with both sides in view. Where
// a record without a link may need a partner, it also adds the other side's records that
// were left without one: each of them has an issue.
func (c *cycle) addRetries(ctx context.Context, in *reconcile.Input) error {
	if len(c.issues) == 0 && len(c.holds.known) == 0 {
		return nil
	}
	have := map[record.Side]map[string]bool{record.CRM: idSet(in.CRM), record.Mailbox: idSet(in.Mailbox)}
	partner := map[record.Side]map[string]string{record.CRM: {}, record.Mailbox: {}}
	for _, l := range in.Links {
		partner[record.CRM][l.CRM.ID] = l.Mailbox.ID
		partner[record.Mailbox][l.Mailbox.ID] = l.CRM.ID
	}
	lonely := map[record.Side]bool{ // a side has something new without a link
		record.CRM: anyLonely(in.CRM, partner[record.CRM]), record.Mailbox: anyLonely(in.Mailbox, partner[record.Mailbox]),
	}
	bothIDs := func(crm, mailbox string) map[record.Side]string {
		ids := map[record.Side]string{record.CRM: crm, record.Mailbox: mailbox}
		for _, s := range sides {
			if ids[s] == "" {
				ids[s] = partner[s.Other()][ids[s.Other()]]
			}
		}
		return ids
	}
	changed := func(ids map[record.Side]string) bool {
		return have[record.CRM][ids[record.CRM]] || have[record.Mailbox][ids[record.Mailbox]]
	}
	need := map[record.Side][]string{}
	want := func(ids map[record.Side]string) {
		for s, id := range ids {
			if id != "" && !have[s][id] {
				have[s][id] = true
				need[s] = append(need[s], id)
			}
		}
	}
	for k, d := range c.holds.known {
		if ids := bothIDs(k.CRMID, k.MailboxID); d.due(c.asOf()) || changed(ids) {
			c.holds.touched[k] = true
			want(ids)
		}
	}
	for _, i := range c.issues {
		ids := bothIDs(i.CRMID, i.MailboxID)
		partner := ids[record.CRM] == "" && lonely[record.CRM] || ids[record.Mailbox] == "" && lonely[record.Mailbox]
		if c.due(i) || changed(ids) || partner && i.State != IssueIgnored {
			c.touched[i.IssueKey] = true
			if from := i.Direction.from(); i.Code == CodeUntold && !have[from][ids[from]] {
				c.untell(from, ids[from])
			}
			want(ids)
		}
	}
	for _, s := range sides {
		ids := need[s]
		slices.Sort(ids)
		changes, err := c.lookUp(ctx, s, ids)
		if err != nil {
			return err
		}
		if s == record.CRM {
			in.CRM = append(in.CRM, changes...)
		} else {
			in.Mailbox = append(in.Mailbox, changes...)
		}
	}
	return nil
}

// leftOut returns the records that a first sync left out, as their issues name them.
func (c *cycle) leftOut() map[string]reconcile.LeftOutRecord {
	var out map[string]reconcile.LeftOutRecord
	for _, code := range []reconcile.FindingCode{reconcile.LeftOut, reconcile.OverLimit} {
		for _, i := range c.issues {
			if i.Code != codeOfFinding[code] {
				continue
			}
			if out == nil {
				out = map[string]reconcile.LeftOutRecord{}
			}
			out[i.CRMID] = reconcile.LeftOutRecord{Code: code, Version: i.Version}
		}
	}
	return out
}

// id returns the id of a side; it may be empty.
func (k IssueKey) id(s record.Side) string {
	if s == record.CRM {
		return k.CRMID
	}
	return k.MailboxID
}

// due tells whether an issue's time has come, or the setting that it waited for.
func (c *cycle) due(i Issue) bool {
	switch {
	case i.State == IssueOpen:
		return reached(i.NextRetry, c.asOf())
	case i.State != IssueInfo:
		return false
	case i.Code == CodeNotAllowed:
		return c.policy.CreateInCRM && c.policy.Writes(record.CRM)
	case i.Code == CodeOneWay:
		return c.policy.Writes(i.Direction.from().Other())
	}
	return i.Code == CodeOnHold && c.replica.ConflictPolicy != c.policy.ConflictWords()
}

// asOf is the time by which it is told what is due.
func (c *cycle) asOf() time.Time {
	if at := c.r.opts.AsOf; !at.IsZero() {
		return at
	}
	return c.e.Now()
}

// anyLonely tells whether something present has no link.
func anyLonely(changes []reconcile.Change, partner map[string]string) bool {
	return slices.ContainsFunc(changes, func(ch reconcile.Change) bool {
		_, linked := partner[ch.ID]
		return ch.Kind == reconcile.Present && !linked
	})
}

// idSetOf returns the ids that a feed mentions.
func idSetOf(changes []remote.Change) map[string]bool {
	set := make(map[string]bool, len(changes))
	for _, ch := range changes {
		set[ch.Item.ID] = true
	}
	return set
}

func idSet(changes []reconcile.Change) map[string]bool {
	set := make(map[string]bool, len(changes))
	for _, ch := range changes {
		set[ch.ID] = true
	}
	return set
}
