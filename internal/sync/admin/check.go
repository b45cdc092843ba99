package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// How checks are made:
//
//   - A connection is proved once. Where it refuses us as a whole, its users' checks
//     have failed with that, and no further call is made.
//   - A user's checks are made as the engine would reach him: his records in the CRM,
//     his mailbox.
//   - A check writes nothing, not even what it learns of an add-in: addin status does.

// What can be checked.
const (
	CheckCRM     = "crm"
	CheckMailbox = "mailbox"
	CheckAddIn   = "addin"
)

// AllChecks are the checks in the order in which they are made.
var AllChecks = []string{CheckCRM, CheckMailbox, CheckAddIn}

// CheckResult is how a check ended.
type CheckResult string

// The results of a check.
const (
	CheckOK CheckResult = "ok"
	// CheckWarning: nothing failed, but somebody should know.
	CheckWarning CheckResult = "warning"
	CheckFailed  CheckResult = "failed"
	// CheckSkipped: there is nothing to check, or the run was interrupted before.
	CheckSkipped CheckResult = "skipped"
)

// Check is what came of one check of one user.
type Check struct {
	// User is empty for the check of a connection by itself.
	User     string
	Check    string
	Result   CheckResult
	Message  string
	Err      error
	Duration time.Duration
}

// Checks makes checks of users, several users at once, and returns the results by
// user and check.
func (a *Admin) Checks(ctx context.Context, users []roster.User, checks []string, b Bulk) ([]Check, error) {
	orgs, err := a.organizations(ctx)
	if err != nil {
		return nil, err
	}
	var used []roster.Organization
	for _, u := range users {
		if o, ok := orgs[u.Org]; ok && !slices.Contains(used, o) {
			used = append(used, o)
		}
	}
	proofs := a.prove(ctx, used, checks)
	results := make([]Check, len(users)*len(checks))
	for i, u := range users {
		for j, c := range checks {
			results[i*len(checks)+j] = Check{User: u.Email, Check: c, Result: CheckSkipped, Message: "not started"}
		}
	}
	Bulk{Parallel: b.Parallel, MaxFailures: b.MaxFailures}.each(ctx, users, func(ctx context.Context, i int, u roster.User) Outcome {
		var out Outcome
		for j, c := range checks {
			if ctx.Err() != nil {
				return Outcome{}
			}
			made := a.check(ctx, u, orgs[u.Org], c, proofs)
			if results[i*len(checks)+j] = made; made.Result == CheckFailed {
				out.Result = engine.ResultFailed
			}
		}
		if b.Done != nil {
			b.Done(Outcome{User: u.Email})
		}
		return out
	})
	return results, nil
}

// CheckConnections proves the connections of organizations, without their users.
func (a *Admin) CheckConnections(ctx context.Context, orgs []roster.Organization, checks []string) []Check {
	var results []Check
	seen := map[string]bool{}
	for _, o := range orgs {
		for _, c := range checks {
			name := connectionFor(o, c)
			if c == CheckAddIn || seen[name] {
				continue
			}
			seen[name] = true
			start := a.Now()
			err := a.proof(ctx, o, c)
			results = append(results, a.checked(Check{Check: c, Message: "connection " + name + " answers"}, start, err))
		}
	}
	return results
}

// prove proves each connection that the checks need, once. A key of the result is
// the name of a connection.
func (a *Admin) prove(ctx context.Context, orgs []roster.Organization, checks []string) map[string]error {
	proofs := map[string]error{}
	for _, o := range orgs {
		for _, c := range checks {
			name := connectionFor(o, c)
			if _, ok := proofs[name]; !ok {
				proofs[name] = a.proof(ctx, o, c)
			}
		}
	}
	return proofs
}

func connectionFor(o roster.Organization, check string) string {
	if check == CheckCRM {
		return o.CRM
	}
	return o.Mail
}

func (a *Admin) proof(ctx context.Context, o roster.Organization, check string) error {
	var system remote.System
	var err error
	if check == CheckCRM {
		system, err = a.Systems.CRM(ctx, o.CRM)
	} else {
		system, err = a.Systems.Mail(ctx, o.Mail)
	}
	if err == nil {
		err = system.Check(ctx)
	}
	if err != nil {
		return fmt.Errorf("connection %s: %w", connectionFor(o, check), err)
	}
	return nil
}

// check makes one check of one user.
func (a *Admin) check(ctx context.Context, u roster.User, o roster.Organization, what string, proofs map[string]error) Check {
	c := Check{User: u.Email, Check: what}
	start := a.Now()
	if err := proofs[connectionFor(o, what)]; err != nil {
		return a.checked(c, start, err)
	}
	var err error
	switch what {
	case CheckCRM:
		c.Message = "the user's records can be reached"
		var crm remote.CRM
		if crm, err = a.Systems.CRM(ctx, o.CRM); err == nil {
			err = crm.CheckUser(ctx, u.CRMUser)
		}
	case CheckMailbox:
		c.Message = "the mailbox can be reached"
		var mail remote.Mail
		if mail, err = a.Systems.Mail(ctx, o.Mail); err == nil {
			err = mail.CheckUser(ctx, u.MailboxID)
		}
	case CheckAddIn:
		c.Result, c.Message, err = a.checkAddIn(ctx, u, o)
	}
	return a.checked(c, start, err)
}

// checked finishes a check.
func (a *Admin) checked(c Check, start time.Time, err error) Check {
	c.Duration = a.Now().Sub(start)
	switch {
	case errors.Is(err, context.Canceled):
		c.Result, c.Message = CheckSkipped, "interrupted"
	case err != nil:
		c.Result, c.Message, c.Err = CheckFailed, err.Error(), err
	case c.Result == "":
		c.Result = CheckOK
	}
	return c
}

// checkAddIn reads the add-in's state. An add-in that nobody asked for is nothing to
// check; one that was asked for has three days to show.
func (a *Admin) checkAddIn(ctx context.Context, u roster.User, o roster.Organization) (CheckResult, string, error) {
	addIns, err := a.addIns(ctx, o)
	if errors.Is(err, errNoAddIns) {
		return CheckSkipped, err.Error(), nil
	}
	if err != nil {
		return "", "", err
	}
	after, read, err := a.readAddIn(ctx, u, addIns, true)
	if err != nil {
		return "", "", err
	}
	words := addInWords(u.AddIn, after, read, a.Now())
	switch {
	case after == roster.AddInFailed:
		return "", "", &Error{Kind: Unresolved, Code: CodeAddInMissing, Message: words, Fix: "crmsync addin install " + u.Email}
	case after == roster.AddInRemoved && u.AddIn == roster.AddInInstalled:
		return CheckWarning, words, nil
	case after == roster.AddInRemoved:
		return CheckSkipped, words, nil
	}
	return CheckOK, words, nil
}
