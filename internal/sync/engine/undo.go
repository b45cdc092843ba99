package engine

import (
	"context"
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// UndoOptions say which session is taken back.
type UndoOptions struct {
	User    int64
	Session int64
	// ExpectDeletes lets the guard pass exactly so many deletes.
	ExpectDeletes int
	DryRun        bool
	// Actor is who asked for it.
	Actor string
}

// UndoReport is what became of taking a session back.
type UndoReport struct {
	ErrandReport
	// Refused are the records that were left as they are before anything was tried.
	Refused []reconcile.Refusal
	// Already is how many writes were taken back before.
	Already int
	// Open is how many of those are writes of an undo that was interrupted: nobody knows
	// yet whether they arrived. Undo settles them first and tries again what did not; a dry
	// run leaves that open.
	Open int
	// Images is how many writes the session made that can still be known.
	Images int
}

// Undo takes back what a session wrote, on both sides. A record that has changed since is
// left as it is and named. Taking the same session back twice does nothing the second
// time, and what an undo wrote can be taken back like any other session.
func (e *Engine) Undo(ctx context.Context, o UndoOptions) (UndoReport, error) {
	var rep UndoReport
	var undo reconcile.UndoPlan
	var err error
	var open int
	rep.ErrandReport, err = e.Errand(ctx, ErrandOptions{
		User: o.User, Trigger: TriggerUndo, ExpectDeletes: o.ExpectDeletes, DryRun: o.DryRun,
		Plan: func(ctx context.Context, v *View) (reconcile.Plan, error) {
			in, err := v.undoInput(ctx, o.Session)
			if err != nil {
				return reconcile.Plan{}, err
			}
			undo = reconcile.Undo(in)
			rep.Images = len(in.Images)
			if open, err = v.interrupted(ctx, in.Images); err != nil {
				return reconcile.Plan{}, err
			}
			return undo.Plan, nil
		},
		Finish: func(done ErrandReport) Settlement {
			back, left := 0, len(undo.Refused)
			for _, d := range done.Done {
				if d.Code == "" {
					back++
				} else {
					left++
				}
			}
			m, err := e.State.Users(ctx, []int64{o.User})
			if err != nil || len(m) == 0 || back == 0 {
				return Settlement{}
			}
			return Settlement{Activities: []Activity{{
				Time: e.Now(), Actor: o.Actor, Type: "session.undone", User: m[0].User.Email, Org: m[0].Org.Name,
				Details: fmt.Sprintf("session %d: %d records taken back, %d left as they are", o.Session, back, left),
			}}}
		},
	})
	rep.Refused, rep.Already, rep.Open = undo.Refused, undo.Already, open
	return rep, err
}

// interrupted returns how many writes were taken back by writes that are still open.
func (v *View) interrupted(ctx context.Context, images []reconcile.Image) (n int, err error) {
	intents, err := v.c.e.State.Intents(ctx, v.c.m.User.ID, v.c.entity)
	if err != nil {
		return 0, stateFault("reading the intents", err)
	}
	open := map[record.OpID]bool{}
	for _, i := range intents {
		open[i.Op] = true
	}
	for _, i := range images {
		if i.Undone != "" && open[i.Undone] {
			n++
		}
	}
	return n, nil
}

// undoInput reads what taking a session back depends on.
func (v *View) undoInput(ctx context.Context, session int64) (reconcile.UndoInput, error) {
	in := reconcile.UndoInput{Policy: v.Policy(), Hasher: v.Hasher(), Items: map[reconcile.Ref]reconcile.Change{}}
	images, err := v.c.e.State.Images(ctx, v.c.m.User.ID, v.c.entity, session)
	if err != nil {
		return in, stateFault("reading what the session replaced", err)
	}
	for _, i := range images {
		if v.c.e.Now().Sub(i.Time) <= ImagesKept {
			in.Images = append(in.Images, i)
		}
	}
	ids := map[record.Side][]string{}
	for _, r := range in.Refs() {
		ids[r.Side] = append(ids[r.Side], r.ID)
	}
	for _, side := range sides {
		items, err := v.Items(ctx, side, ids[side])
		if err != nil {
			return in, err
		}
		for id, ch := range items {
			in.Items[reconcile.Ref{Side: side, ID: id}] = ch
		}
	}
	in.Links, err = v.Links(ctx, ids[record.CRM], ids[record.Mailbox])
	return in, err
}
