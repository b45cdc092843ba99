package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// MergeOptions say whose duplicates are merged.
type MergeOptions struct {
	User int64
	// Groups are the ids of those to merge; nil for all that may be merged.
	Groups []string
	// ExpectDeletes lets the guard pass just so many items that are put away: a person has
	// seen the number.
	ExpectDeletes int
	DryRun        bool
	Actor         string
}

// MergeResult is what became of a group, or, in a dry run, would become.
type MergeResult struct {
	DuplicateGroup
	Kept string
	Away []string
	// Fields are those that the kept item takes over; Lost are values that gave way and
	// are kept as the losers of conflicts.
	Fields []record.Field
	Lost   int
	Result SessionResult
	// Code and Message say why it was refused, or failed.
	Code    Code
	Message string
}

// Merge brings duplicates in a user's mailbox together: what the others hold goes into
// the item that is kept, and only when that is done do they go to Deleted Items. Nothing
// outside our folder is touched, and nothing in the CRM. The session tells how it ended.
func (e *Engine) Merge(ctx context.Context, o MergeOptions) (Session, []MergeResult, error) {
	m := &merge{opts: o}
	rep, err := e.Errand(ctx, ErrandOptions{
		User: o.User, Trigger: TriggerMerge, ExpectDeletes: o.ExpectDeletes, DryRun: o.DryRun,
		Plan: m.plan, Then: m.then, Finish: m.finish,
	})
	for n := range m.results {
		if r := &m.results[n]; r.Result == ResultNotStarted { // the session says why
			r.Result, r.Code, r.Message = rep.Session.Result, rep.Session.Code, rep.Session.Message
		}
	}
	return rep.Session, m.results, err
}

// merge is an errand that merges duplicates.
type merge struct {
	opts    MergeOptions
	results []MergeResult
	member  Member
	now     func() time.Time
}

// plan gives each kept item what it lacks. The values that give way are safe before that.
func (m *merge) plan(ctx context.Context, v *View) (reconcile.Plan, error) {
	c := v.c
	m.member, m.now, m.results = c.m, c.e.Now, nil
	if !c.replica.FirstDone {
		return reconcile.Plan{}, &Fault{Code: CodeIneffective, Doing: "which items are linked is not known before the first cycle: crmsync sync run " + c.m.User.Email}
	}
	items, err := c.everything(ctx, record.Mailbox)
	if err != nil {
		return reconcile.Plan{}, err
	}
	links, err := v.AllLinks(ctx)
	if err != nil {
		return reconcile.Plan{}, err
	}
	var plan reconcile.Plan
	for _, g := range c.grouped(record.Mailbox, items, links) {
		if !m.asked(g.ID) {
			continue
		}
		r := MergeResult{DuplicateGroup: g, Result: ResultDone}
		for _, c := range g.Members {
			v.see(record.Mailbox, c.Change)
		}
		how, refused := reconcile.Merge(c.alone(record.Mailbox), g.Group)
		if refused == "" {
			refused = unclaimed(how, links)
		}
		if refused != "" {
			r.Result, r.Code, r.Message = ResultRefused, CodeUnmergeable, refused
			m.results = append(m.results, r)
			continue
		}
		r.Kept, r.Fields, r.Lost = how.Keep.ID, how.Set.Fields(), len(how.Lost)
		for _, a := range how.Away {
			r.Away = append(r.Away, a.ID)
		}
		if o, ok := how.Update(); ok {
			plan.Ops = append(plan.Ops, o)
		}
		plan.Conflicts = append(plan.Conflicts, how.Lost...)
		m.results = append(m.results, r)
	}
	return plan, m.refuseOthers(ctx, c)
}

// refuseOthers says of groups that were asked for by name and are of the CRM that they
// are not merged here.
func (m *merge) refuseOthers(ctx context.Context, c *cycle) error {
	if len(m.results) == len(m.opts.Groups) || m.opts.Groups == nil {
		return nil
	}
	groups, err := c.duplicates(ctx, record.CRM)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if m.asked(g.ID) {
			_, refused := reconcile.Merge(reconcile.Input{}, g.Group)
			m.results = append(m.results, MergeResult{DuplicateGroup: g, Result: ResultRefused, Code: CodeUnmergeable, Message: refused})
		}
	}
	return nil
}

func (m *merge) asked(id string) bool {
	return m.opts.Groups == nil || slices.Contains(m.opts.Groups, id)
}

// unclaimed refuses to put an item away whose stamp names a record of the CRM that has
// no link: it may be that record's copy.
func unclaimed(how reconcile.Merger, links []reconcile.Link) string {
	known := map[string]bool{}
	for _, l := range links {
		known[l.CRM.ID] = true
	}
	members := how.Away
	if how.Keep.Link == nil {
		members = append([]reconcile.Member{how.Keep}, members...)
	}
	for _, c := range members {
		if c.Stamp != nil && c.Stamp.Other != "" && !known[c.Stamp.Other] {
			return "one of them bears the stamp of a CRM record that is not linked with this user: see what it is first"
		}
	}
	return ""
}

// then puts the others away, where the kept item holds all that they hold: everything is
// read once more and decided anew.
func (m *merge) then(ctx context.Context, v *View, done []OpResult) (reconcile.Plan, error) {
	failed := map[string]OpResult{}
	for _, d := range done {
		if d.Code != "" {
			failed[d.Op.MailboxID] = d
		}
	}
	var plan reconcile.Plan
	var ids []string
	for _, r := range m.results {
		if r.Result == ResultDone {
			ids = append(append(ids, r.Kept), r.Away...)
		}
	}
	now, err := v.c.entireByID(ctx, ids)
	if err != nil {
		return plan, err
	}
	for n := range m.results {
		r := &m.results[n]
		if r.Result != ResultDone {
			continue
		}
		if d, ok := failed[r.Kept]; ok {
			r.fail(d.Code, d.Message)
			continue
		}
		g := r.Group
		g.Members = nil
		for _, c := range r.Members {
			fresh, there := now[c.ID]
			if there {
				v.see(record.Mailbox, fresh)
				c.Change = fresh
				g.Members = append(g.Members, c)
			}
		}
		how, refused := reconcile.Merge(v.c.alone(record.Mailbox), g)
		if refused != "" || len(how.Set) > 0 || len(how.Away) != len(r.Away) {
			r.fail(CodeChanged, "one of them changed while they were being merged; none was put away")
			continue
		}
		plan.Ops = append(plan.Ops, how.Deletes()...)
	}
	return plan, nil
}

func (r *MergeResult) fail(code Code, message string) {
	r.Result, r.Code, r.Message = ResultFailed, code, message
	if code == CodeChanged {
		r.Result = ResultRefused
	}
}

// entireByID reads items of the mailbox by id, with their stamps; those that are not in
// our folder any more are left out.
func (c *cycle) entireByID(ctx context.Context, ids []string) (map[string]reconcile.Change, error) {
	out := make(map[string]reconcile.Change, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	for n, got := range c.copies.Get(ctx, ids) {
		switch {
		case got.Err == nil && !got.Elsewhere:
			out[ids[n]] = c.entire(record.Mailbox, got.Item)
		case got.Err != nil && !remote.Is(got.Err, remote.ClassGone) && !remote.Is(got.Err, remote.ClassItem):
			return nil, remoteFault(record.Mailbox, "reading the duplicates again", got.Err)
		}
	}
	return out, nil
}

// finish says in the results which items were not put away, and writes the audit.
func (m *merge) finish(rep ErrandReport) Settlement {
	deleted, problem := map[string]bool{}, map[string]OpResult{}
	for _, d := range rep.Done {
		switch {
		case d.Op.Kind != reconcile.Delete:
		case d.Code == "":
			deleted[d.Op.MailboxID] = true
		default:
			problem[d.Op.MailboxID] = d
		}
	}
	groups, items := 0, 0
	for n := range m.results {
		r := &m.results[n]
		away := 0
		for _, id := range r.Away {
			if deleted[id] {
				away++
			} else if d, ok := problem[id]; ok && r.Result == ResultDone {
				r.fail(d.Code, d.Message)
			}
		}
		if r.Result == ResultDone && away < len(r.Away) {
			r.Result = ResultNotStarted
		}
		if away > 0 {
			groups, items = groups+1, items+away
		}
	}
	if items == 0 {
		return Settlement{}
	}
	return Settlement{Activities: []Activity{{
		Time: m.now(), Actor: m.opts.Actor, Type: "duplicates.merged", User: m.member.User.Email, Org: m.member.Org.Name,
		Details: fmt.Sprintf("groups merged: %d, items put into Deleted Items: %d", groups, items),
	}}}
}
