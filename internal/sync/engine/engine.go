package engine

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// Systems opens connections by name. It returns the same handle for the same name
// within one process, and an error of remote.ClassSetup for what cannot be opened.
type Systems interface {
	CRM(ctx context.Context, connection string) (remote.CRM, error)
	Mail(ctx context.Context, connection string) (remote.Mail, error)
}

// Config is what an engine is made of. All fields are needed.
type Config struct {
	State    State
	Systems  Systems
	Reporter Reporter
	// Install is the id of this installation, as in stamps and claims.
	Install string
	// Hasher returns the hasher for a region of telephone numbers.
	Hasher func(region string) (record.Hasher, error)
	Now    func() time.Time
	// Random is a source of good randomness, safe for concurrent use.
	Random io.Reader
	// Holder names this process in leases, to which each run adds its own name; Alive
	// tells whether the process that a holder names still runs, true if that cannot be
	// known.
	Holder string
	Alive  func(holder string) bool
	// Tick returns a channel that receives every d, and a function that stops it.
	Tick func(d time.Duration) (<-chan time.Time, func())
}

// Engine runs cycles.
type Engine struct {
	Config
}

// New returns an engine.
func New(c Config) *Engine { return &Engine{Config: c} }

// Entities are the ones that are synchronized.
var Entities = []record.Entity{record.Contacts}

// Options say which cycles to run and how.
type Options struct {
	// Users limits the run to these; nil for all users.
	Users []int64
	// Due runs only those whose time has come.
	Due     bool
	Trigger Trigger
	// AllowCreateInCRM lets this run write records that were born in a mailbox to the
	// CRM, whatever the settings say.
	AllowCreateInCRM bool
	// Parallel is how many users run side by side; at least 1. With 1, nothing else is
	// side by side either.
	Parallel int
	// MaxFailures ends the run after so many failed users; 0 means never.
	MaxFailures int
	// Limits replaces the guard's limits; nil for those that are set.
	Limits *reconcile.Limits
	// Kept are plans by user. A user who has one is refused unless his plan is still the
	// same, and what changes while it is carried out is left for the next cycle.
	Kept map[int64]Kept
	// AsOf is when the plans in Kept were made: what was due to be tried again then is
	// part of them, and nothing that came due since. Zero is now.
	AsOf time.Time
	// Canary is how many users go first: the others begin only if all of them ended
	// well. 0 means that nobody waits.
	Canary int
}

// Customization is what a user's mailbox gets, under the claim of a CRM organization.
func Customization(organization, install string, now time.Time) remote.Customization {
	return remote.Customization{
		Folder:   roster.FolderName,
		Category: roster.CategoryName,
		Entities: Entities,
		Claim:    remote.Claim{Organization: organization, Install: install, LastCycle: now.UTC()},
	}
}

// runner is one run over many users.
type runner struct {
	e    *Engine
	opts Options
	// members are all users there are: records are handed out by owner.
	members []Member
	book    *settings.Book
	leases  *leaseKeeper
	// guard limits the deletes of all users together. While planning, it is asked once all
	// plans are made, so that it does not matter whose was made first.
	guard    *runGuard
	planning bool

	opening  sync.Mutex // one opens a connection, the others hear what came of it
	mu       sync.Mutex
	feeds    map[feedKey]*crmFeed
	broken   map[string]*Fault // connections that refuse us as a whole
	answered map[string]bool   // connections through which a cycle ended well
	failures int
	// canary, if not nil, says why those after the canary do not begin.
	canary *Fault
}

// Run runs one cycle for each user who is active, due if that is asked, and returns a
// session for each user in the selection, in order: also for those who were skipped,
// with the reason. The error is for the run as a whole; what befell one user is in his
// session.
func (e *Engine) Run(ctx context.Context, opts Options) ([]Session, error) {
	r, err := e.runner(ctx, opts)
	if err != nil {
		return nil, err
	}
	if r.leases, err = newLeaseKeeper(e); err != nil {
		return nil, stateFault("starting the run", err)
	}
	sessions, jobs := r.choose(selected(r.members, opts.Users))
	e.Reporter.RunStarted(len(jobs))
	stop := r.leases.start(ctx)
	defer stop()
	first := jobs[:min(max(opts.Canary, 0), len(jobs))]
	r.work(ctx, first, sessions)
	r.canary = canaryFault(first, sessions)
	r.work(ctx, jobs[len(first):], sessions)
	ctx = context.WithoutCancel(ctx)
	return sessions, errors.Join(r.moveFeeds(ctx), r.tellHealth(ctx))
}

// runner reads what a run is about to work by: the users and the settings as they are
// now. What is changed meanwhile counts from the next run on.
func (e *Engine) runner(ctx context.Context, opts Options) (*runner, error) {
	all, err := e.State.Users(ctx, nil)
	if err != nil {
		return nil, stateFault("reading the users", err)
	}
	set, err := e.State.Settings(ctx)
	if err != nil {
		return nil, stateFault("reading the settings", err)
	}
	return &runner{
		e: e, opts: opts, members: all, book: settings.NewBook(set),
		guard: newRunGuard(e, selected(all, opts.Users)),
		feeds: map[feedKey]*crmFeed{}, broken: map[string]*Fault{}, answered: map[string]bool{},
	}, nil
}

// rules returns the settings of a user's entity.
func (r *runner) rules(m Member, entity record.Entity) (settings.Rules, error) {
	rules, err := r.book.For(m.User.ID, m.Org.Name).Rules(entity)
	return rules, stateFault("reading the settings", err)
}

func selected(all []Member, ids []int64) []Member {
	if ids == nil {
		return all
	}
	byID := make(map[int64]Member, len(all))
	for _, m := range all {
		byID[m.User.ID] = m
	}
	var out []Member
	for _, id := range ids {
		if m, ok := byID[id]; ok {
			out = append(out, m)
		}
	}
	return out
}

// job is a user whose cycle is to run; index is his place among the sessions.
type job struct {
	index  int
	member Member
	// first is what Prefetch read of his mailbox; nil if nothing was.
	first *remote.FeedResult
	// audit is what his cycle compares; nil if it is not time.
	audit *audit
}

// choose sorts out who runs. With a selection, everyone gets a session, if only to say
// why he did not run; without one, only those who run.
func (r *runner) choose(members []Member) ([]Session, []job) {
	var sessions []Session
	var jobs []job
	now := r.e.Now()
	for _, m := range members {
		s := Session{UserID: m.User.ID, User: m.User.Email, Trigger: r.opts.Trigger, Started: now, Ended: now}
		why := ineffective(m)
		switch {
		case why != nil:
			s.Result, s.Code, s.Message = ResultSkipped, why.Code, why.Error()
			if _, kept := r.opts.Kept[m.User.ID]; kept {
				s.Result = ResultRefused // he was promised something
			}
		case r.opts.Due && !Due(m.User, now):
			s.Result, s.Code, s.Message = ResultSkipped, CodeNotDue, "not due until "+m.User.NextDue.UTC().Format(time.RFC3339)
		default:
			jobs = append(jobs, job{index: len(sessions), member: m})
			sessions = append(sessions, s)
			continue
		}
		if r.opts.Users != nil {
			sessions = append(sessions, s)
		}
	}
	return sessions, jobs
}

// ineffective returns why a user has no cycle; nil if he has.
func ineffective(m Member) *Fault {
	eff := roster.EffectiveOf(m.User, m.Org)
	if eff.State == roster.Active || m.Org.Enabled && m.User.Sync == roster.Suspended && m.User.Mailbox != roster.Resetting {
		return nil
	}
	return &Fault{Code: CodeIneffective, Doing: eff.State + ": " + eff.Fix}
}

// prefetchSize is how many mailboxes are probed together: what one Graph batch holds.
const prefetchSize = 20

// work runs the jobs side by side. One goroutine leases and probes users ahead of the
// workers, a batch at a time.
func (r *runner) work(ctx context.Context, jobs []job, sessions []Session) {
	ready := make(chan job)
	var wg sync.WaitGroup
	for range max(r.opts.Parallel, 1) {
		wg.Go(func() {
			for j := range ready {
				sessions[j.index] = r.cycle(ctx, j)
			}
		})
	}
	for len(jobs) > 0 {
		n := min(len(jobs), prefetchSize)
		for _, j := range r.probe(ctx, jobs[:n], sessions) {
			ready <- j
		}
		jobs = jobs[n:]
	}
	close(ready)
	wg.Wait()
}

// canaryFault returns nil if the users who went first all ended well, else why nobody
// follows them.
func canaryFault(first []job, sessions []Session) *Fault {
	for _, j := range first {
		s := sessions[j.index]
		what := ""
		switch {
		case s.Result != ResultDone && s.Result != ResultUnchanged:
			what = "did not end well: " + string(s.Result)
		case s.Code != "":
			what = "left something open"
		case s.Held > 0:
			what = "has deletes that the guard holds"
		default:
			continue
		}
		return &Fault{Code: CodeCanary, Doing: s.User + " went first and " + what}
	}
	return nil
}

// stopped tells why a user's turn does not come any more; nil if it does.
func (r *runner) stopped(ctx context.Context, m Member) *Fault {
	if ctx.Err() != nil {
		return &Fault{Code: CodeInterrupted, Doing: "the run was interrupted before this user's turn"}
	}
	if r.canary != nil {
		return r.canary
	}
	for _, c := range []string{m.Org.CRM, m.Org.Mail} {
		if f := r.brokenBy(c); f != nil {
			return f
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opts.MaxFailures > 0 && r.failures >= r.opts.MaxFailures {
		return &Fault{Code: CodeNotStarted, Doing: "too many users failed before this one's turn"}
	}
	return nil
}

// note remembers what a cycle's end means for the rest of the run.
func (r *runner) note(o roster.Organization, out Outcome, err error) {
	if f := faultOf(err); f != nil {
		r.refused(connectionOf(o, f.Side), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case out.Success:
		r.answered[o.CRM], r.answered[o.Mail] = true, true
	case out.Session.Result == ResultFailed:
		r.failures++
	}
}

func connectionOf(o roster.Organization, side record.Side) string {
	if side == record.Mailbox {
		return o.Mail
	}
	return o.CRM
}
