package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// InitMailbox makes sure that our folders and category are in the mailboxes. It is
// idempotent: what exists is adopted, never doubled. A user for whom something was
// switched off, because he deleted our folder, starts afresh: the next cycle is a first
// sync.
func (a *Admin) InitMailbox(ctx context.Context, users []roster.User, takeOver bool, b Bulk) []Outcome {
	return a.eachMailbox(ctx, users, b, func(ctx context.Context, l engine.Lease, u roster.User, o roster.Organization) (Outcome, error) {
		if u.Mailbox == roster.Resetting {
			return Outcome{}, resetUnfinished(u)
		}
		made, warning, err := a.prepare(ctx, u, o, takeOver, b.DryRun)
		if err != nil {
			return Outcome{}, err
		}
		if u.Mailbox == roster.Initialized && u.Off == "" && len(made) == 0 {
			return unchanged(u.Email, joined("initialized already", warning)), nil
		}
		afresh := ""
		if u.Off != "" {
			afresh = fmt.Sprintf("was switched off (%s); the next cycle %s from the start", u.Off, either(b.DryRun, "would synchronize", "synchronizes"))
		}
		message := joined(prepared(made, b.DryRun), afresh, warning)
		if b.DryRun {
			return done(u.Email, message), nil
		}
		audit := a.activity(ActivityMailboxInitialized, u.Email, u.Org, message)
		if u.Off != "" {
			// What is remembered is of a folder that is gone. It is forgotten only now, when
			// the mailbox has been prepared, in the transaction that says so.
			err = a.Store.ForgetMailbox(ctx, l, roster.Initialized, audit)
		} else {
			err = a.change(ctx, u, func(u *roster.User) { u.Mailbox = roster.Initialized }, audit)
		}
		if err != nil {
			return Outcome{}, err
		}
		return done(u.Email, message), a.forgetOrphan(ctx, u.Email)
	})
}

// prepare puts into a mailbox what belongs there, and returns what had to be made.
// A dry run returns what would have to be.
func (a *Admin) prepare(ctx context.Context, u roster.User, o roster.Organization, takeOver, dry bool) (made []string, warning string, err error) {
	crm, err := a.Systems.CRM(ctx, o.CRM)
	if err != nil {
		return nil, "", err
	}
	organization, err := crm.Organization(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("asking the CRM for its organization: %w", err)
	}
	mail, err := a.Systems.Mail(ctx, o.Mail)
	if err != nil {
		return nil, "", err
	}
	box := mail.Mailbox(u.MailboxID)
	want := engine.Customization(organization, a.Install, a.Now())
	have, err := box.Claim(ctx, want)
	if err != nil {
		return nil, "", fmt.Errorf("reading the mailbox's claim: %w", err)
	}
	warning, err = decideClaim(have, want.Claim, takeOver, a.Now())
	if err != nil {
		return nil, "", err
	}
	if dry {
		there, err := box.Inspect(ctx, want)
		if err != nil {
			return nil, "", err
		}
		return missing(there, want), warning, nil
	}
	got, err := box.Prepare(ctx, want)
	if err != nil {
		return nil, "", fmt.Errorf("preparing the mailbox: %w", err)
	}
	for _, e := range want.Entities {
		if got.Created[e] {
			made = append(made, folderOf(e, got.Containers[e].Name))
		}
	}
	return made, warning, nil
}

func folderOf(e record.Entity, name string) string {
	return fmt.Sprintf("folder %s for %s", name, e)
}

// missing tells which containers of a customization are not in a mailbox.
func missing(there []remote.Artefact, want remote.Customization) []string {
	for _, x := range there {
		if strings.HasSuffix(x.Kind, "folder") {
			return nil
		}
	}
	var made []string
	for _, e := range want.Entities {
		made = append(made, folderOf(e, want.Folder))
	}
	return made
}

func prepared(made []string, dry bool) string {
	message := either(dry, "would initialize; would ", "initialized; ")
	if len(made) == 0 {
		return message + either(dry, "adopt what is there", "adopted what was there")
	}
	return message + either(dry, "create ", "created ") + strings.Join(made, ", ")
}

// joined puts the parts of a message together, without the empty ones.
func joined(parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, "; ")
}

func (a *Admin) forgetOrphan(ctx context.Context, email string) error {
	if err := a.Store.ForgetOrphan(ctx, email); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// ResetOptions is how far a reset goes.
type ResetOptions struct {
	Bulk
	// Forget finishes a reset although the mailbox cannot be reached, and leaves there
	// what is there.
	Forget bool
	// TakeOver resets a mailbox although another installation has taken it over.
	TakeOver bool
}

// ResetMailbox takes out of the mailboxes what we have put into them and leaves
// synchronization disabled:
//
//   - The state says "resetting" before the first call, so that a reset that was cut
//     short is seen, and finished by the next one.
//   - What goes are the items that links name and those that a cycle created and did
//     not live to link, containers that are empty then, the
//     category and the claim. What a person has put there stays and is reported.
//   - A mailbox that may not be reached any more does not keep a user for ever: the
//     reset ends, says what it could not clean, and remembers it for ResetOrphans.
//     Trouble that may pass fails instead, unless everything is to be forgotten.
//   - The CRM is not asked and not changed.
func (a *Admin) ResetMailbox(ctx context.Context, users []roster.User, r ResetOptions) []Outcome {
	return a.eachMailbox(ctx, users, r.Bulk, func(ctx context.Context, l engine.Lease, u roster.User, o roster.Organization) (Outcome, error) {
		items, err := a.copies(ctx, u)
		if err != nil {
			return Outcome{}, err
		}
		if u.Mailbox == roster.NotInitialized && len(items) == 0 {
			return a.resetNothing(ctx, u, r.DryRun)
		}
		if err := a.mark(ctx, u, true, r.DryRun); err != nil {
			return Outcome{}, err
		}
		message, err := a.remove(ctx, u, o, items, r)
		gaveUp := err != nil && (r.Forget || remote.Is(err, remote.ClassAuthorization))
		switch {
		case gaveUp:
			message = fmt.Sprintf("%s, because the mailbox could not be reached (%v): %s; later: crmsync mailbox reset --orphan %s",
				either(r.DryRun, "would not be cleaned", "not cleaned"), err, strings.Join(remembered(items), ", "), u.Email)
		case err != nil:
			return Outcome{}, err
		}
		if r.DryRun {
			return done(u.Email, message), nil
		}
		if gaveUp {
			err := a.Store.KeepOrphan(ctx, Orphan{Email: u.Email, MailboxID: u.MailboxID, Org: u.Org, Items: items, Deleted: a.Now().UTC()})
			if err != nil {
				return Outcome{}, err
			}
		}
		err = a.Store.ForgetMailbox(ctx, l, roster.NotInitialized, a.activity(ActivityMailboxReset, u.Email, u.Org, message))
		if err != nil {
			return Outcome{}, err
		}
		return done(u.Email, message), nil
	})
}

// resetNothing resets a mailbox that holds nothing of ours.
func (a *Admin) resetNothing(ctx context.Context, u roster.User, dry bool) (Outcome, error) {
	if u.Sync == roster.Disabled {
		return unchanged(u.Email, "nothing of ours is in the mailbox"), nil
	}
	message := "nothing of ours is in the mailbox; synchronization " + either(dry, "would be disabled", "disabled")
	if dry {
		return done(u.Email, message), nil
	}
	return done(u.Email, message), a.change(ctx, u, disabled, a.activity(ActivityMailboxReset, u.Email, u.Org, message))
}

// remembered puts in words what the state knows to be in a mailbox.
func remembered(items map[record.Entity][]string) []string {
	words := []string{"folder " + roster.FolderName, "category " + roster.CategoryName}
	if n := total(items); n > 0 {
		words = append(words, count(n, "copy", "copies"))
	}
	return words
}

// mark says in the state that a reset has begun.
func (a *Admin) mark(ctx context.Context, u roster.User, disable, dry bool) error {
	if dry || u.Mailbox == roster.Resetting && (!disable || u.Sync == roster.Disabled) {
		return nil
	}
	return a.change(ctx, u, func(u *roster.User) {
		u.Mailbox = roster.Resetting
		if disable {
			disabled(u)
		}
	}, a.activity(ActivityResetStarted, u.Email, u.Org, was(u)))
}

// remove takes our things out of a mailbox and says in words what it came to.
func (a *Admin) remove(ctx context.Context, u roster.User, o roster.Organization, items map[record.Entity][]string, r ResetOptions) (string, error) {
	mail, err := a.Systems.Mail(ctx, o.Mail)
	if err != nil {
		return "", err
	}
	box := mail.Mailbox(u.MailboxID)
	claim, err := box.Claim(ctx, found())
	if err != nil {
		return "", fmt.Errorf("reading the mailbox's claim: %w", err)
	}
	if err := decideTearDown(claim, a.Install, r.TakeOver); err != nil {
		return "", err
	}
	seen, err := a.look(ctx, u, box, items)
	if err != nil {
		return "", err
	}
	if r.DryRun {
		return seen.removal(seen.stays(), true), nil
	}
	left, err := box.Remove(ctx, found(), seen.flat())
	if err != nil {
		return "", fmt.Errorf("cleaning the mailbox: %w", err)
	}
	return seen.removal(left, false), nil
}

// ReapplyMailbox resets the mailboxes, prepares them afresh and makes the users
// enabled and due at once. It is a repair: a mailbox that cannot be reached stays
// "resetting", and the next try goes on.
func (a *Admin) ReapplyMailbox(ctx context.Context, users []roster.User, takeOver bool, b Bulk) []Outcome {
	return a.eachMailbox(ctx, users, b, func(ctx context.Context, l engine.Lease, u roster.User, o roster.Organization) (Outcome, error) {
		items, err := a.copies(ctx, u)
		if err != nil {
			return Outcome{}, err
		}
		message := ""
		if u.Mailbox != roster.NotInitialized || len(items) > 0 {
			if err := a.mark(ctx, u, false, b.DryRun); err != nil {
				return Outcome{}, err
			}
			message, err = a.remove(ctx, u, o, items, ResetOptions{Bulk: b, TakeOver: takeOver})
			if err != nil {
				return Outcome{}, err
			}
			if !b.DryRun {
				// Not initialized and still enabled: if we die here, the next cycle prepares.
				if err := a.Store.ForgetMailbox(ctx, l, roster.NotInitialized); err != nil {
					return Outcome{}, err
				}
			}
		}
		_, warning, err := a.prepare(ctx, u, o, takeOver, b.DryRun)
		if err != nil {
			return Outcome{}, err
		}
		switched := ""
		if u.Sync != roster.Enabled {
			before := "synchronization " + strings.TrimPrefix(was(u), "was ")
			switched = before + either(b.DryRun, " now, would be enabled", " before, enabled now")
		}
		message = joined(message, either(b.DryRun, "would initialize", "initialized"), warning, switched)
		if b.DryRun {
			return done(u.Email, message), nil
		}
		err = a.change(ctx, u, func(u *roster.User) {
			u.Mailbox = roster.Initialized
			enabled(u)
		}, a.activity(ActivityMailboxReapplied, u.Email, u.Org, message))
		if err != nil {
			return Outcome{}, err
		}
		return done(u.Email, message), a.forgetOrphan(ctx, u.Email)
	})
}

// ResetOrphans takes out of mailboxes what users left there who were deleted by
// force, or whose mailbox could not be reached when it was reset.
func (a *Admin) ResetOrphans(ctx context.Context, emails []string, r ResetOptions) []Outcome {
	users := make([]roster.User, len(emails))
	for i, e := range emails {
		users[i] = roster.User{Email: e}
	}
	there, err := a.taken(ctx)
	orgs := there.orgs
	return r.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		if err != nil {
			return stopped(u.Email, err)
		}
		orphan, err := a.Store.Orphan(ctx, u.Email)
		if err != nil {
			return stopped(u.Email, notFound("orphan", u.Email, "crmsync activity list", err))
		}
		if err := there.lives(orphan); err != nil {
			return stopped(u.Email, err)
		}
		u.MailboxID, u.Org = orphan.MailboxID, orphan.Org
		message, err := a.remove(ctx, u, orgs[orphan.Org], orphan.Items, r)
		switch {
		case err != nil && r.Forget:
			message = fmt.Sprintf("%s in the mailbox: %s (%v)", either(r.DryRun, "would forget, and leave", "forgotten; left"), strings.Join(remembered(orphan.Items), ", "), err)
		case err != nil:
			return stopped(u.Email, err)
		}
		if !r.DryRun {
			if err := a.Store.ForgetOrphan(ctx, orphan.Email); err != nil {
				return stopped(u.Email, err)
			}
			if err := a.Store.Record(ctx, a.activity(ActivityOrphanReset, u.Email, orphan.Org, message)); err != nil {
				return stopped(u.Email, err)
			}
		}
		return done(u.Email, message)
	})
}

// lives refuses to clean the mailbox of somebody who is a user again: what is there
// may be what his cycles keep in step.
func (t taken) lives(o Orphan) error {
	u, ok := t.byMailboxID[within(t.orgs[o.Org].Mail, o.MailboxID)]
	if !ok || u.Mailbox == roster.NotInitialized {
		return nil
	}
	return &Error{
		Kind: Refused, Code: CodeOrphanLives,
		Message: "the mailbox belongs to user " + u.Email + " now",
		Fix:     "crmsync mailbox reset " + u.Email,
	}
}

// MailboxView is what is in one mailbox.
type MailboxView struct {
	User      roster.User
	Claim     *remote.Claim
	Artefacts []remote.Artefact
	// Copies is how many items the links name.
	Copies int
	Err    error
}

// ShowMailboxes looks into mailboxes and changes nothing.
func (a *Admin) ShowMailboxes(ctx context.Context, users []roster.User, b Bulk) ([]MailboxView, error) {
	orgs, err := a.organizations(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]MailboxView, len(users))
	Bulk{Parallel: b.Parallel}.each(ctx, users, func(ctx context.Context, i int, u roster.User) Outcome {
		v := &views[i]
		v.User = u
		items, err := a.copies(ctx, u)
		if err != nil {
			v.Err = err
			return Outcome{}
		}
		v.Copies = total(items)
		mail, err := a.Systems.Mail(ctx, orgs[u.Org].Mail)
		if err != nil {
			v.Err = err
			return Outcome{}
		}
		box := mail.Mailbox(u.MailboxID)
		if v.Artefacts, v.Err = box.Inspect(ctx, found()); v.Err == nil {
			v.Claim, v.Err = box.Claim(ctx, found())
		}
		return Outcome{}
	})
	return views, ctx.Err()
}

// eachMailbox runs do for every user under his lease, with the user as he is then.
func (a *Admin) eachMailbox(ctx context.Context, users []roster.User, b Bulk, do func(context.Context, engine.Lease, roster.User, roster.Organization) (Outcome, error)) []Outcome {
	orgs, err := a.organizations(ctx)
	return b.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		if err != nil {
			return stopped(u.Email, err)
		}
		var out Outcome
		err := a.underLease(ctx, u, b.DryRun, func(ctx context.Context, l engine.Lease) error {
			fresh, err := a.Store.FindUser(ctx, u.Email)
			if err != nil {
				return notFound("user", u.Email, "crmsync users list", err)
			}
			out, err = do(ctx, l, fresh, orgs[fresh.Org])
			return err
		})
		if err != nil {
			return stopped(u.Email, err)
		}
		return out
	})
}

// age writes how long ago something was, to the hour.
func age(d time.Duration) string {
	switch h := int(d.Hours()); {
	case h < 1:
		return "less than an hour"
	case h == 1:
		return "1 hour"
	default:
		return fmt.Sprintf("%d hours", h)
	}
}

// things names artefacts without counting what they hold: that is counted apart.
func things(artefacts []remote.Artefact) []string {
	var words []string
	for _, x := range artefacts {
		if x.Kind != "items" && x.Kind != "claim" {
			words = append(words, strings.TrimSpace(x.Kind+" "+x.Name))
		}
	}
	return words
}
