package admin

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// completeOrg fills in what an organization does not say: application-wide access.
func completeOrg(o roster.Organization) roster.Organization {
	if o.Access == "" {
		o.Access = roster.Application
	}
	return o
}

var region = regexp.MustCompile(`^[A-Z]{2}$`)

// CheckOrganization returns nil for an organization that can be stored with these
// two connections, or an *Error that says what is wrong. It makes no call.
func CheckOrganization(o roster.Organization, crm, mail roster.Connection) error {
	bad := func(format string, args ...any) error {
		return &Error{Kind: Invalid, Code: CodeOrgInvalid, Message: fmt.Sprintf(format, args...), Fix: "crmsync org add --help"}
	}
	if err := checkName("organization", o.Name); err != nil {
		return err
	}
	proof := kinds[mail.Kind].proofs[mail.Auth]
	switch {
	case SideOf(crm.Kind) != record.CRM:
		return bad("connection %s (%s) does not lead to a CRM", crm.Name, crm.Kind)
	case SideOf(mail.Kind) != record.Mailbox:
		return bad("connection %s (%s) does not lead to mailboxes", mail.Name, mail.Kind)
	case o.Access != roster.Application && o.Access != roster.Delegated:
		return bad("access %q is not known: use application or delegated", o.Access)
	case o.Access == roster.Application && proof.person:
		return bad("connection %s signs in as one person (%s), which reaches only that person's mailbox: use --access delegated", mail.Name, mail.Auth)
	case o.Region != "" && !region.MatchString(o.Region):
		return bad("region %q is not a country code of two capital letters, such as GB", o.Region)
	}
	return nil
}

// AddOrganization stores an organization over two connections that exist. The first
// one becomes the default.
func (a *Admin) AddOrganization(ctx context.Context, o roster.Organization, dry bool) error {
	o = completeOrg(o)
	o.Enabled = true
	crm, err := a.Store.Connection(ctx, o.CRM)
	if err != nil {
		return notFound("connection", o.CRM, "crmsync connection list", err)
	}
	mail, err := a.Store.Connection(ctx, o.Mail)
	if err != nil {
		return notFound("connection", o.Mail, "crmsync connection list", err)
	}
	if err := CheckOrganization(o, crm, mail); err != nil {
		return err
	}
	switch _, err := a.Store.Organization(ctx, o.Name); {
	case err == nil:
		return exists("organization", o.Name)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if dry {
		return nil
	}
	err = a.Store.AddOrganization(ctx, o, a.activity(ActivityOrgAdded, "", o.Name,
		fmt.Sprintf("crm %s, mail %s, access %s", o.CRM, o.Mail, o.Access)))
	if errors.Is(err, ErrExists) {
		return exists("organization", o.Name)
	}
	return err
}

// SetOrganizations enables or disables organizations. A disabled organization stops
// all its users, whatever their own state, which is kept.
func (a *Admin) SetOrganizations(ctx context.Context, names []string, enabled bool, b Bulk) []Outcome {
	var outcomes []Outcome
	for _, name := range names {
		o := a.setOrganization(ctx, name, enabled, b.DryRun)
		outcomes = append(outcomes, o)
		if b.Done != nil {
			b.Done(o)
		}
	}
	return outcomes
}

func (a *Admin) setOrganization(ctx context.Context, name string, enabled, dry bool) Outcome {
	o, err := a.Store.Organization(ctx, name)
	if err != nil {
		return stopped(name, notFound("organization", name, "crmsync org list", err))
	}
	word, typ := "disabled", ActivityOrgDisabled
	if enabled {
		word, typ = "enabled", ActivityOrgEnabled
	}
	if o.Enabled == enabled {
		return unchanged(o.Name, word+" already")
	}
	o.Enabled = enabled
	if !dry {
		if err := a.Store.UpdateOrganization(ctx, o, a.activity(typ, "", o.Name, "")); err != nil {
			return stopped(o.Name, err)
		}
	}
	return done(o.Name, word)
}

// Move is the plan to put users into another organization: what Move will do, and
// what the person who asked for it should know before.
type Move struct {
	To roster.Organization
	// Steps are one for each user, in order.
	Steps []MoveStep
	// AccessDiffers are the addresses of users whose mailbox will be reached by
	// another access type. If there are any, ask before going on.
	AccessDiffers []string
}

// MoveStep is what a move means for one user.
type MoveStep struct {
	User roster.User
	From roster.Organization
	// Unchanged: the user is in the organization already.
	Unchanged bool
	// Err says why the user cannot move; nil if he can.
	Err error
}

// PlanMove finds out what moving users to an organization means. It proves for each
// one that the mailbox can be reached with the target's access.
func (a *Admin) PlanMove(ctx context.Context, users []roster.User, to string, b Bulk) (Move, error) {
	target, err := a.Store.Organization(ctx, to)
	if err != nil {
		return Move{}, notFound("organization", to, "crmsync org list", err)
	}
	orgs, err := a.organizations(ctx)
	if err != nil {
		return Move{}, err
	}
	mail, err := a.Systems.Mail(ctx, target.Mail)
	if err != nil {
		return Move{}, err
	}
	m := Move{To: target, Steps: make([]MoveStep, len(users))}
	Bulk{Parallel: b.Parallel}.each(ctx, users, func(ctx context.Context, i int, u roster.User) Outcome {
		s := decideMove(u, orgs[u.Org], target)
		if !s.Unchanged && s.Err == nil {
			s.Err = unreachable(u, target, mail.CheckUser(ctx, u.MailboxID))
		}
		m.Steps[i] = s
		return Outcome{}
	})
	if err := ctx.Err(); err != nil {
		return Move{}, err
	}
	for _, s := range m.Steps {
		if !s.Unchanged && s.Err == nil && s.From.Access != target.Access {
			m.AccessDiffers = append(m.AccessDiffers, s.User.Email)
		}
	}
	return m, nil
}

// decideMove tells what a move means as far as it can be told without a call. Links
// hold the ids of the CRM's records, so they would point nowhere in another CRM.
func decideMove(u roster.User, from, to roster.Organization) MoveStep {
	s := MoveStep{User: u, From: from}
	switch {
	case u.Org == to.Name:
		s.Unchanged = true
	case from.CRM != to.CRM:
		s.Err = &Error{
			Kind: Refused, Code: CodeMoveCRMDiffers,
			Message: fmt.Sprintf("organization %s uses CRM connection %s, but the user's records are linked through %s", to.Name, to.CRM, from.CRM),
			Fix:     fmt.Sprintf("crmsync mailbox reset %[1]s && crmsync users delete %[1]s && crmsync users add %[1]s --org %[2]s", u.Email, quote(to.Name)),
		}
	}
	return s
}

func unreachable(u roster.User, to roster.Organization, err error) error {
	if err == nil {
		return nil
	}
	return &Error{
		Kind: Refused, Code: CodeMoveUnreachable, Err: err,
		Message: fmt.Sprintf("the mailbox cannot be reached by connection %s with %s access: %v", to.Mail, to.Access, err),
		Fix:     "crmsync check mailbox " + u.Email,
	}
}

// Move carries a plan out. Links stay as they are, so nothing is created again.
func (a *Admin) Move(ctx context.Context, m Move, b Bulk) []Outcome {
	users := make([]roster.User, len(m.Steps))
	for i, s := range m.Steps {
		users[i] = s.User
	}
	return b.each(ctx, users, func(ctx context.Context, i int, u roster.User) Outcome {
		s := m.Steps[i]
		switch {
		case s.Err != nil:
			return stopped(u.Email, s.Err)
		case s.Unchanged:
			return unchanged(u.Email, "is in "+m.To.Name+" already")
		}
		message := fmt.Sprintf("moved from %s to %s", s.From.Name, m.To.Name)
		if s.From.Access != m.To.Access {
			message += fmt.Sprintf("; access changes from %s to %s", s.From.Access, m.To.Access)
		}
		if !m.To.Enabled {
			message += "; " + m.To.Name + " is disabled, so nothing is synchronized"
		}
		if !b.DryRun {
			err := a.change(ctx, u, func(u *roster.User) { u.Org = m.To.Name },
				a.activity(ActivityOrgChanged, u.Email, m.To.Name, "from "+s.From.Name))
			if err != nil {
				return stopped(u.Email, err)
			}
		}
		return done(u.Email, message)
	})
}
