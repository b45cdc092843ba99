package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// KeptConflict is a conflict with its number in the state.
type KeptConflict struct {
	ID int64
	reconcile.Conflict
}

// Restored is a conflict whose losing value was put back, or which was on hold and is
// decided.
type Restored struct {
	ID int64
	// Keep is the side whose value stays, for one that was on hold.
	Keep record.Side
}

// RestoreOptions say which of a user's conflicts are restored.
type RestoreOptions struct {
	User      int64
	Conflicts []KeptConflict
	// Keep decides those that are on hold; empty refuses them.
	Keep   record.Side
	DryRun bool
	Actor  string
}

// RestoreReport is what became of restoring conflicts.
type RestoreReport struct {
	ErrandReport
	// Refused says, by the number of the conflict, why one is left as it is.
	Refused map[int64]string
}

// Restore puts the losing values of conflicts back on both sides, as if a person had
// typed them, and decides those that are on hold. A field that was changed since is left
// as it is. Doing it twice does nothing the second time.
func (e *Engine) Restore(ctx context.Context, o RestoreOptions) (RestoreReport, error) {
	rep := RestoreReport{Refused: map[int64]string{}}
	var err error
	rep.ErrandReport, err = e.Errand(ctx, ErrandOptions{
		User: o.User, Trigger: TriggerRestore, DryRun: o.DryRun,
		Plan: func(ctx context.Context, v *View) (reconcile.Plan, error) { return v.restore(ctx, o, rep.Refused) },
		Finish: func(done ErrandReport) Settlement {
			var s Settlement
			for _, c := range o.Conflicts {
				failed := slices.ContainsFunc(done.Done, func(d OpResult) bool { return d.Code != "" && of(c, d.Op) })
				if _, refused := rep.Refused[c.ID]; refused || failed {
					continue
				}
				r := Restored{ID: c.ID}
				if c.Winner == "" {
					r.Keep = o.Keep
				}
				s.Restored = append(s.Restored, r)
			}
			if m, err := e.State.Users(ctx, []int64{o.User}); err == nil && len(m) > 0 && len(s.Restored) > 0 {
				s.Activities = []Activity{{
					Time: e.Now(), Actor: o.Actor, Type: "conflict.restored", User: m[0].User.Email, Org: m[0].Org.Name,
					Details: fmt.Sprintf("%d conflicts restored", len(s.Restored)),
				}}
			}
			return s
		},
	})
	return rep, err
}

// of tells whether an operation restores a conflict.
func of(c KeptConflict, o reconcile.Operation) bool {
	_, ok := o.Set[c.Field]
	return ok && o.CRMID == c.CRMID
}

// restore plans to restore conflicts. A record is written once, whatever the number of
// its conflicts.
func (v *View) restore(ctx context.Context, o RestoreOptions, refused map[int64]string) (reconcile.Plan, error) {
	var plan reconcile.Plan
	ids := map[record.Side][]string{}
	for _, c := range o.Conflicts {
		ids[record.CRM] = append(ids[record.CRM], c.CRMID)
		ids[record.Mailbox] = append(ids[record.Mailbox], c.MailboxID)
	}
	items := map[record.Side]map[string]reconcile.Change{}
	for _, side := range sides {
		slices.Sort(ids[side])
		got, err := v.Items(ctx, side, slices.Compact(ids[side]))
		if err != nil {
			return plan, err
		}
		items[side] = got
	}
	links, err := v.Links(ctx, ids[record.CRM], nil)
	if err != nil {
		return plan, err
	}
	for _, c := range o.Conflicts {
		in := reconcile.RestoreInput{
			Policy: v.Policy(), Hasher: v.Hasher(), Conflict: c.Conflict, Keep: o.Keep,
			Items: map[record.Side]reconcile.Change{record.CRM: items[record.CRM][c.CRMID], record.Mailbox: items[record.Mailbox][c.MailboxID]},
		}
		for _, l := range links {
			if l.CRM.ID == c.CRMID {
				in.Link = l
			}
		}
		switch {
		case c.Winner == "" && o.Keep == "":
			refused[c.ID] = "it is on hold: choose a side with --keep crm or --keep mailbox"
			continue
		}
		ops, reason := reconcile.Restore(in)
		if reason != "" {
			refused[c.ID] = reason
			continue
		}
		for _, op := range ops {
			plan.Ops = together(plan.Ops, op)
		}
	}
	return plan, nil
}

// together adds an operation to others, or to the one that is on the same item already.
func together(ops []reconcile.Operation, o reconcile.Operation) []reconcile.Operation {
	at := slices.IndexFunc(ops, func(x reconcile.Operation) bool {
		return x.Kind == o.Kind && x.Side == o.Side && x.CRMID == o.CRMID
	})
	if at < 0 || !o.Writes() {
		return append(ops, o)
	}
	x := &ops[at]
	maps.Copy(x.Set, o.Set)
	maps.Copy(x.MoveCRM, o.MoveCRM)
	maps.Copy(x.MoveMailbox, o.MoveMailbox)
	if x.Joint == nil {
		x.Joint = o.Joint
	} else {
		maps.Copy(x.Joint, o.Joint)
	}
	x.Reason += "; " + o.Reason
	return ops
}
