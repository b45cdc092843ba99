package engine

import (
	"context"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// probe leases a batch of users and reads the first page of each one's mailbox feed,
// the mailboxes of one connection together. It returns the users whose cycles can run;
// the others' sessions are written.
func (r *runner) probe(ctx context.Context, jobs []job, sessions []Session) []job {
	var ready []job
	probes := map[string][]int{} // mail connection → places in ready
	feeds := map[string][]remote.MailFeed{}
	for _, j := range jobs {
		m, fault := r.lease(ctx, j.member)
		if fault != nil {
			r.refuse(&sessions[j.index], fault)
			continue
		}
		// The organization's connections come from the snapshot that the CRM feed is
		// handed out by; the rest may have changed since.
		j.member = m
		rep, err := r.e.State.Replica(ctx, m.User.ID, record.Contacts)
		rules, bad := r.rules(m, record.Contacts)
		if err == nil && bad == nil && rules.Enabled && rep.MailboxCursor != "" && rep.Off == "" && m.User.Sync != roster.Suspended {
			probes[m.Org.Mail] = append(probes[m.Org.Mail], len(ready))
			feeds[m.Org.Mail] = append(feeds[m.Org.Mail], remote.MailFeed{
				Mailbox: m.User.MailboxID, Container: rep.Container, Cursor: rep.MailboxCursor,
			})
		}
		ready = append(ready, j)
	}
	r.pickAudits(ctx, ready)
	for conn, places := range probes {
		mail, err := r.openMail(ctx, conn)
		if err != nil {
			continue // each cycle meets the same error and says so
		}
		for i, res := range mail.Prefetch(ctx, feeds[conn]) {
			ready[places[i]].first = &res
		}
	}
	return ready
}

// lease takes a user's lease and makes sure that nobody ran his cycle since this run
// looked: the CRM changes it is going to read may be older than what the other saw.
func (r *runner) lease(ctx context.Context, m Member) (Member, *Fault) {
	if f := r.stopped(ctx, m); f != nil {
		return m, f
	}
	ctx = context.WithoutCancel(ctx) // a lease that is taken is given up or handed on
	holder, err := r.leases.take(ctx, m.User.ID)
	if err != nil {
		return m, faultOf(stateFault("taking the lease", err))
	}
	if holder != "" {
		return m, &Fault{Code: CodeLocked, Doing: "another run holds the lease: " + holder}
	}
	fresh, err := r.e.State.Users(ctx, []int64{m.User.ID})
	switch {
	case err != nil:
		_ = r.leases.drop(ctx, m.User.ID)
		return m, faultOf(stateFault("reading the user", err))
	case len(fresh) > 0 && !fresh[0].User.LastStart.Equal(m.User.LastStart):
		_ = r.leases.drop(ctx, m.User.ID)
		return m, &Fault{Code: CodeJustRun, Doing: "another run has just synchronized this user"}
	case len(fresh) == 0 || fresh[0].Org != m.Org || fresh[0].User.CRMUser != m.User.CRMUser || fresh[0].User.Sync != m.User.Sync || fresh[0].User.Mailbox != m.User.Mailbox:
		_ = r.leases.drop(ctx, m.User.ID)
		return m, &Fault{Code: CodeIneffective, Doing: "the user was changed while the run was starting"}
	}
	return fresh[0], nil
}

// refuse writes the session of a user whose cycle does not run.
func (r *runner) refuse(s *Session, f *Fault) {
	s.Code, s.Message, s.Ended = f.Code, f.Error(), r.e.Now()
	switch f.Code {
	case CodeState:
		s.Result = ResultFailed
	case CodeLocked, CodeJustRun, CodeIneffective:
		s.Result = ResultSkipped
	default:
		s.Result = ResultNotStarted
	}
}
