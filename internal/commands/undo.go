package commands

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// written is what a person asked to be written to one record, and what became of it.
type written struct {
	User    string
	Session int64
	Side    record.Side
	Action  string
	CRMID   string
	// MailboxID and CRMID are the link's; the one of what is yet to be created is empty.
	MailboxID string
	Label     string
	Fields    []string
	Reason    string
	Result    engine.SessionResult
	Code      string
	Message   string
}

// writtenFields are the fields of undo and of conflicts restore.
var writtenFields = []ui.Field[written]{
	{Name: "user", Of: func(w written) any { return w.User }},
	{Name: "session", Of: func(w written) any {
		if w.Session == 0 { // a dry run
			return nil
		}
		return w.Session
	}, Wide: true},
	{Name: "side", Of: func(w written) any { return string(w.Side) }},
	{Name: "action", Of: func(w written) any { return w.Action }, Word: true},
	{Name: "crmId", Of: func(w written) any { return w.CRMID }, Wide: true},
	{Name: "mailboxId", Of: func(w written) any { return w.MailboxID }, Wide: true},
	{Name: "label", Of: func(w written) any { return w.Label }},
	{Name: "fields", Of: func(w written) any { return w.Fields }},
	{Name: "reason", Of: func(w written) any { return w.Reason }, Wide: true},
	{Name: "result", Of: func(w written) any { return string(w.Result) }, Word: true},
	{Name: "code", Of: func(w written) any { return w.Code }, Sparse: true},
	{Name: "message", Of: func(w written) any { return w.Message }, Sparse: true},
}

// writtenOf makes the row of an operation. Without a code it was done.
func writtenOf(user string, session int64, o reconcile.Operation, code, message string) written {
	w := written{
		User: user, Session: session, Side: o.Side, Action: string(o.Kind), CRMID: o.CRMID, MailboxID: o.MailboxID,
		Label: o.Label, Reason: o.Reason, Result: engine.ResultDone, Code: code, Message: message,
	}
	for _, f := range o.Set.Fields() {
		w.Fields = append(w.Fields, string(f))
	}
	if code != "" {
		w.Result = engine.ResultFailed
		if codes[code].exit == exitRefused {
			w.Result = engine.ResultRefused
		}
	}
	return w
}

type undoOptions struct {
	outputOptions
	writeOptions
	confirmOptions
	session       int64
	expectDeletes int
}

func newUndo(app *App, run func(context.Context, *App, undoOptions) error) *cobra.Command {
	var opts undoOptions
	if run == nil {
		run = runUndo
	}
	cmd := &cobra.Command{
		Use:   "undo SESSION",
		Short: "Take back what a session wrote",
		Long: `Take back what a session wrote, on both sides: an update gets the old values of the fields
that it wrote, what was created is deleted (in the mailbox to Deleted Items), and what was
deleted is created again and linked with its other side if that still exists.

A record that somebody has changed since is refused and named; the others go on. What was
taken back stays so: the two sides then knowingly differ until somebody edits the field. An
undo is a session of its own and can be taken back too.

What a session replaced is kept, encrypted, for 30 days. More deletes than the guard lets
through need their exact number with --expect-deletes. The exit status is 3 if some records
were refused, and 5 if all were.`,
		Example: `  crmsync sessions list
  crmsync undo 42 --dry-run
  crmsync undo 42
  crmsync undo 42 --yes --expect 300
  crmsync undo 42 --yes --expect-deletes 20`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: app.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || n < 1 {
				return usage(cmd, "%q is not a number of what %q lists", args[0], "crmsync sessions list")
			}
			opts.session = n
			if opts.expectDeletes < 0 {
				return usage(cmd, "--expect-deletes must not be negative")
			}
			if err := firstError(opts.outputOptions.check(cmd), opts.confirmOptions.check(cmd)); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.outputOptions.addFlags(cmd, ui.Names(writtenFields))
	opts.writeOptions.addFlags(cmd.Flags())
	opts.confirmOptions.addFlags(cmd.Flags())
	cmd.Flags().IntVar(&opts.expectDeletes, "expect-deletes", 0, "let the guard pass exactly `N` deletes")
	return cmd
}

func runUndo(ctx context.Context, app *App, opts undoOptions) error {
	st, err := app.stateOfUsers(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	s, err := st.Session(ctx, opts.session)
	if errors.Is(err, admin.ErrNotFound) {
		return fail(codeNotFound, fmt.Sprintf("session %d", opts.session), "there is no such session").try("crmsync sessions list")
	}
	if err != nil {
		return err
	}
	progress := app.NewProgress(app.Now)
	e := app.engine(st, progress)
	o := engine.UndoOptions{User: s.UserID, Session: s.ID, ExpectDeletes: opts.expectDeletes, DryRun: true, Actor: app.actor()}
	plan, err := e.Undo(ctx, o)
	progress.Close()
	if err != nil {
		return err
	}
	if err := refusedUndo(s, plan); err != nil {
		if opts.dryRun && len(plan.Plan.Held) > 0 { // to be looked at before they are expected
			if err := app.print(&opts.outputOptions, ui.List(writtenFields, undoRows(s.User, plan))); err != nil {
				return err
			}
		}
		return err
	}
	if opts.dryRun {
		app.Notice("dry run: nothing was written")
	}
	if n := plan.Already - plan.Open; n > 0 {
		app.Notice("session %d: %s taken back already", s.ID, count(n, "write"))
	}
	if plan.Open > 0 {
		app.Notice("session %d: an undo was interrupted, and nobody knows yet what became of %s", s.ID, count(plan.Open, "write"))
	}
	if opts.dryRun || len(plan.Plan.Ops) == 0 && plan.Open == 0 {
		return app.finishWritten(&opts.outputOptions, undoRows(s.User, plan))
	}
	u, err := st.FindUser(ctx, s.User)
	if err != nil {
		return err
	}
	if err := app.confirm(&opts.confirmOptions, undoDanger(u, plan)); err != nil {
		return err
	}
	progress = app.NewProgress(app.Now)
	o.DryRun = false
	done, err := app.engine(st, progress).Undo(ctx, o)
	progress.Close()
	if err != nil {
		return err
	}
	if err := refusedUndo(s, done); err != nil && len(done.Done) == 0 {
		return err
	} else if err != nil {
		app.report(err)
	}
	app.Notice("taken back in session %d, which can be taken back itself", done.Session.ID)
	return app.finishWritten(&opts.outputOptions, undoRows(s.User, done))
}

// refusedUndo returns why nothing of a session is taken back; nil if something can be.
func refusedUndo(s engine.Session, rep engine.UndoReport) error {
	switch {
	case rep.Session.Code == engine.CodeGuarded:
		return fail(engine.CodeGuarded, s.User, rep.Session.Message).
			try(fmt.Sprintf("crmsync undo %d --expect-deletes %d", s.ID, len(rep.Plan.Held)))
	case rep.Session.Code != "":
		return fail(rep.Session.Code, s.User, rep.Session.Message)
	case rep.Images == 0:
		return fail(codeNothingToUndo, fmt.Sprintf("session %d", s.ID), "it wrote nothing, or what it replaced is no longer kept")
	}
	return nil
}

// undoDanger says in numbers what taking a session back does.
func undoDanger(u roster.User, plan engine.UndoReport) danger {
	n := map[record.Side]map[reconcile.OpKind]int{record.CRM: {}, record.Mailbox: {}}
	for _, o := range plan.Plan.Ops {
		n[o.Side][o.Kind]++
	}
	d := danger{Verb: "take back", Name: "undo", Users: []roster.User{u}, Things: len(plan.Plan.Ops) + plan.Open, Thing: "write"}
	for _, side := range []record.Side{record.CRM, record.Mailbox} {
		where := map[record.Side]string{record.CRM: "in the CRM", record.Mailbox: "in the mailbox"}[side]
		for _, k := range []struct {
			kind reconcile.OpKind
			text string
		}{
			{reconcile.Update, "%s %s: the old values again"}, {reconcile.Create, "%s %s: created again"}, {reconcile.Delete, "%s %s: deleted"},
		} {
			if c := n[side][k.kind]; c > 0 {
				d.Consequences = append(d.Consequences, fmt.Sprintf(k.text, count(c, "record"), where))
			}
		}
	}
	if plan.Open > 0 {
		d.Consequences = append(d.Consequences, fmt.Sprintf("%s: what an interrupted undo left open", count(plan.Open, "write")))
	}
	if len(plan.Refused) > 0 {
		d.Consequences = append(d.Consequences, fmt.Sprintf("%s: refused, changed since", count(len(plan.Refused), "record")))
	}
	return d
}

// undoRows returns a row for each record: what became of it, or of a plan, what would.
func undoRows(user string, rep engine.UndoReport) []written {
	var rows []written
	if rep.Session.ID == 0 {
		for _, o := range rep.Plan.Ops {
			rows = append(rows, writtenOf(user, 0, o, "", ""))
		}
		for _, o := range rep.Plan.Held {
			rows = append(rows, writtenOf(user, 0, o.Operation, engine.CodeGuarded, "held by the guard"))
		}
	}
	for _, d := range rep.Done {
		rows = append(rows, writtenOf(user, rep.Session.ID, d.Op, d.Code, d.Message))
	}
	for _, r := range rep.Refused {
		rows = append(rows, written{
			User: user, Session: rep.Session.ID, Side: r.Side, Action: string(r.Kind), CRMID: r.CRMID, MailboxID: r.MailboxID,
			Label: r.Label, Result: engine.ResultRefused, Code: engine.CodeChanged, Message: r.Reason,
		})
	}
	return rows
}

// finishWritten prints rows of records, sums them up, and returns the error that their
// exit status asks for.
func (app *App) finishWritten(o *outputOptions, list []written) error {
	if err := app.print(o, ui.List(writtenFields, list)); err != nil {
		return err
	}
	rows := make([]row, len(list))
	for i, w := range list {
		rows[i] = row{User: w.User, Result: w.Result, Code: w.Code, Message: w.Message}
	}
	return app.conclude(rows)
}

// completeSessions offers the numbers of the newest sessions that wrote something.
func (app *App) completeSessions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	st, err := app.reading(cmd.Context())
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := st.Sessions(cmd.Context(), 0, 100)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offers []string
	for _, s := range list {
		c := s.Counts
		if c.CreatedCRM+c.CreatedMailbox+c.UpdatedCRM+c.UpdatedMailbox+c.DeletedCRM+c.DeletedMailbox > 0 {
			offers = append(offers, cobra.CompletionWithDesc(strconv.FormatInt(s.ID, 10), s.User+": "+ui.Tally(c)))
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
