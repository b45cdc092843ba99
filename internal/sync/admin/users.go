package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// NewUser is a user to be added, as somebody wrote him down.
type NewUser struct {
	// Key is an e-mail address, a CRM user id or a mailbox id.
	Key string
	// Name replaces the one in the directory.
	Name string
	// Org is empty for the default organization.
	Org  string
	Plan string
	// Line is where he stands in the file; 0 if he does not come from one.
	Line int
}

// AddOptions is how users are added.
type AddOptions struct {
	Bulk
	// Strict: add nobody if one cannot be added.
	Strict bool
	// Check proves for each user that his data can be reached on both sides before he
	// is added.
	Check bool
}

// AddUsers adds users, with synchronization disabled. Whoever cannot be resolved on
// both sides fails, and the rest is added.
func (a *Admin) AddUsers(ctx context.Context, list []NewUser, o AddOptions) []Outcome {
	return a.addUsers(ctx, list, o, false)
}

// ImportDirectory adds everyone who is on both sides of an organization; the empty
// name means the default one. Whoever is only on one is skipped, with the reason.
func (a *Admin) ImportDirectory(ctx context.Context, org, plan string, o AddOptions) ([]Outcome, error) {
	to, err := a.Store.Organization(ctx, org)
	if err != nil {
		return nil, noOrganization(org, err)
	}
	d, err := a.directory(ctx, to)
	if err != nil {
		return nil, err
	}
	var list []NewUser
	for _, key := range d.names() {
		list = append(list, NewUser{Key: key, Org: to.Name, Plan: plan})
	}
	return a.addUsers(ctx, list, o, true), nil
}

func noOrganization(name string, err error) error {
	if name == "" && errors.Is(err, ErrNotFound) {
		return &Error{
			Kind: Unresolved, Code: CodeNotFound, Err: err,
			Message: "there is no organization yet",
			Fix:     "crmsync org add NAME --crm CONNECTION --mail CONNECTION",
		}
	}
	return notFound("organization", name, "crmsync org list", err)
}

// addUsers resolves, checks and stores. everyone: the list is all that a directory
// has, so that who cannot be provisioned is skipped and has not failed.
func (a *Admin) addUsers(ctx context.Context, list []NewUser, o AddOptions, everyone bool) []Outcome {
	outcomes := make([]Outcome, len(list))
	there, err := a.taken(ctx)
	if err != nil {
		for i, n := range list {
			outcomes[i] = stopped(n.Key, err)
		}
		return outcomes
	}
	places := a.places()
	var (
		users    []roster.User
		where    []int // places of users in the list
		bad      bool
		failures int
	)
	for i, n := range list {
		if o.MaxFailures > 0 && failures >= o.MaxFailures {
			outcomes[i] = notStarted(n.Key)
			continue
		}
		u, out := a.decideAdd(ctx, n, there, places, everyone)
		outcomes[i] = out
		if out.Result != engine.ResultDone {
			bad = bad || out.Result == engine.ResultFailed || out.Result == engine.ResultRefused
			if out.Result == engine.ResultFailed {
				failures++
			}
			continue
		}
		there.add(u)
		users, where = append(users, u), append(where, i)
	}
	if o.Check {
		for i, out := range a.reachable(ctx, users, places, o.Bulk, failures) {
			if out.Result != engine.ResultDone {
				outcomes[where[i]] = out
				bad = true
			}
		}
	}
	if o.Strict && bad {
		for _, i := range where {
			if outcomes[i].Result == engine.ResultDone {
				outcomes[i].Result, outcomes[i].Message = engine.ResultNotStarted, "not added, because another row is bad"
			}
		}
	}
	a.storeUsers(ctx, users, where, outcomes, o.DryRun)
	if o.Done != nil {
		for _, out := range outcomes {
			o.Done(out)
		}
	}
	return outcomes
}

// taken reads the users there are.
func (a *Admin) taken(ctx context.Context) (taken, error) {
	users, err := a.Store.Users(ctx)
	if err != nil {
		return taken{}, err
	}
	orgs, err := a.organizations(ctx)
	if err != nil {
		return taken{}, err
	}
	return takenBy(users, orgs), nil
}

// decideAdd resolves one user.
func (a *Admin) decideAdd(ctx context.Context, n NewUser, there taken, places *places, everyone bool) (roster.User, Outcome) {
	fail := func(err error) (roster.User, Outcome) {
		out := stopped(n.Key, err)
		if everyone && KindOf(err) == Unresolved {
			out.Result, out.Err = engine.ResultSkipped, err
		}
		if n.Line > 0 {
			out.Message = fmt.Sprintf("line %d: %s", n.Line, out.Message)
		}
		return roster.User{}, out
	}
	org, d, err := places.directory(ctx, n.Org)
	if err != nil {
		return fail(err)
	}
	p, err := d.find(n.Key)
	if err != nil {
		return fail(err)
	}
	same, err := there.clash(p, org)
	switch {
	case err != nil:
		return fail(err)
	case same != nil && same.ID == 0:
		return fail(&Error{Kind: Invalid, Code: CodeRowInvalid, Message: "is in the list twice"})
	case same != nil:
		return roster.User{}, unchanged(same.Email, "is a user of organization "+same.Org+" already")
	}
	name := n.Name
	for _, known := range []string{p.crm.Name, p.mailbox.Name} {
		if name == "" {
			name = known
		}
	}
	u := roster.User{
		Email: address(p.mailbox.Email), Name: name, Org: org.Name, Plan: n.Plan,
		CRMUser: p.crm.ID, MailboxID: p.mailbox.ID,
		Sync: roster.Disabled, Mailbox: roster.NotInitialized, AddIn: roster.AddInUnknown,
	}
	return u, done(u.Email, "added to "+org.Name+", synchronization disabled")
}

// reachable proves with one call to each side that the users' data can be reached,
// after so many have failed already.
func (a *Admin) reachable(ctx context.Context, users []roster.User, places *places, b Bulk, failures int) []Outcome {
	return Bulk{Parallel: b.Parallel, MaxFailures: b.MaxFailures, failed: failures}.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		org, _, err := places.directory(ctx, u.Org)
		if err == nil {
			err = a.reach(ctx, u, org)
		}
		if err != nil {
			return stopped(u.Email, err)
		}
		return done(u.Email, "")
	})
}

func (a *Admin) reach(ctx context.Context, u roster.User, o roster.Organization) error {
	crm, err := a.Systems.CRM(ctx, o.CRM)
	if err != nil {
		return err
	}
	if err := crm.CheckUser(ctx, u.CRMUser); err != nil {
		return fmt.Errorf("CRM: %w", err)
	}
	mail, err := a.Systems.Mail(ctx, o.Mail)
	if err != nil {
		return err
	}
	if err := mail.CheckUser(ctx, u.MailboxID); err != nil {
		return fmt.Errorf("mailbox: %w", err)
	}
	return nil
}

// storeUsers stores those whose outcome is still good.
func (a *Admin) storeUsers(ctx context.Context, users []roster.User, where []int, outcomes []Outcome, dry bool) {
	var (
		good  []roster.User
		at    []int
		lines []engine.Activity
	)
	for i, u := range users {
		if outcomes[where[i]].Result == engine.ResultDone {
			good, at = append(good, u), append(at, where[i])
			lines = append(lines, a.activity(ActivityUserAdded, u.Email, u.Org, ""))
		}
	}
	if dry || len(good) == 0 {
		return
	}
	errs, err := a.Store.AddUsers(ctx, good, lines)
	for i, u := range good {
		switch {
		case err != nil:
			outcomes[at[i]] = stopped(u.Email, err)
		case errors.Is(errs[i], ErrExists):
			outcomes[at[i]] = stopped(u.Email, exists("user", u.Email))
		case errs[i] != nil:
			outcomes[at[i]] = stopped(u.Email, errs[i])
		}
	}
}

// places remembers, for one command, the organizations and who is in each one's
// directory: one listing of people for each organization.
type places struct {
	a    *Admin
	read map[string]place
}

type place struct {
	org roster.Organization
	dir directory
	err error
}

func (a *Admin) places() *places { return &places{a: a, read: map[string]place{}} }

// directory returns an organization and its directory. It is called by one
// goroutine until it has read all organizations that there are to read.
func (p *places) directory(ctx context.Context, org string) (roster.Organization, directory, error) {
	at, ok := p.read[org]
	if !ok {
		at.org, at.err = p.a.Store.Organization(ctx, org)
		switch known, ok := p.read[at.org.Name]; {
		case at.err != nil:
			at.err = noOrganization(org, at.err)
		case ok:
			at = known
		default:
			at.dir, at.err = p.a.directory(ctx, at.org)
			p.read[at.org.Name] = at
		}
		p.read[org] = at
	}
	return at.org, at.dir, at.err
}

// CheckNewUsers sorts out the rows that cannot be meant, before anything is looked
// up: those without a user, with an address that is none, and repetitions. It
// returns the good ones and an outcome for each of the others.
func CheckNewUsers(list []NewUser) (good []NewUser, bad []Outcome) {
	first := map[string]int{}
	for _, n := range list {
		err := checkNewUser(n)
		if line, twice := first[address(n.Key)]; err == nil && twice {
			err = badRow("is in the list twice, first in line %d", line)
		}
		if err != nil {
			bad = append(bad, badOutcome(n.Key, n.Line, err))
			continue
		}
		first[address(n.Key)] = n.Line
		good = append(good, n)
	}
	return good, bad
}

func checkNewUser(n NewUser) error {
	switch local, domain, isAddress := strings.Cut(n.Key, "@"); {
	case strings.TrimSpace(n.Key) == "":
		return badRow("has no user, email or id")
	case strings.ContainsAny(n.Key, " \t\r\n,;<>\""):
		return badRow("is not an e-mail address or an id")
	case isAddress && (local == "" || domain == "" || strings.Contains(domain, "@") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".")):
		return badRow("is not an e-mail address")
	}
	return nil
}

func badRow(format string, args ...any) error {
	return &Error{Kind: Invalid, Code: CodeRowInvalid, Message: fmt.Sprintf(format, args...)}
}

// badOutcome is what came of a row that cannot be used.
func badOutcome(key string, line int, err error) Outcome {
	out := stopped(key, err)
	if line > 0 {
		out.Message = fmt.Sprintf("line %d: %s", line, err)
		if strings.TrimSpace(key) == "" {
			out.User = fmt.Sprintf("line %d", line)
		}
	}
	return out
}
