package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// reason is one thing that stands against deleting a user, and what lifts it.
type reason struct {
	message, fix string
}

// preconditions tells what stands against deleting a user, and what he should be
// warned of who does it all the same.
func preconditions(u roster.User, holder string, held int) (against []reason, warnings []string) {
	switch u.Mailbox {
	case roster.Initialized:
		against = append(against, reason{"the mailbox is initialized", "crmsync mailbox reset " + u.Email})
	case roster.Resetting:
		against = append(against, reason{"a reset of the mailbox was cut short", "crmsync mailbox reset " + u.Email})
	}
	if holder != "" {
		against = append(against, reason{"a session runs (" + holder + ")", "wait until it has ended"})
	}
	if held > 0 {
		against = append(against, reason{count(held, "delete is", "deletes are") + " held", "decide them, or crmsync mailbox reset " + u.Email})
	}
	if u.AddIn == roster.AddInInstalled || u.AddIn == roster.AddInRequested {
		warnings = append(warnings, fmt.Sprintf("the add-in stays (%s): crmsync addin remove %s", u.AddIn, u.Email))
	}
	return against, warnings
}

func deleteRefused(against []reason) error {
	var messages, fixes []string
	for _, r := range against {
		messages = append(messages, r.message)
		if len(fixes) == 0 || fixes[len(fixes)-1] != r.fix {
			fixes = append(fixes, r.fix)
		}
	}
	return &Error{
		Kind: Refused, Code: CodeDeleteRefused,
		Message: strings.Join(messages, "; "), Fix: strings.Join(fixes, "; "),
	}
}

// count writes a number with the word that goes with it.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Delete removes users against whom nothing stands.
func (a *Admin) Delete(ctx context.Context, users []roster.User, b Bulk) []Outcome {
	return b.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		holder, err := a.holder(ctx, u)
		if err != nil {
			return stopped(u.Email, err)
		}
		held, err := a.Store.HeldDeletes(ctx, u.ID)
		if err != nil {
			return stopped(u.Email, err)
		}
		against, warnings := preconditions(u, holder, held)
		if len(against) > 0 {
			return stopped(u.Email, deleteRefused(against))
		}
		err = a.underLease(ctx, u, b.DryRun, func(ctx context.Context) error {
			if b.DryRun {
				return nil
			}
			return a.Store.DeleteUser(ctx, u.ID, a.activity(ActivityUserRemoved, u.Email, u.Org, ""))
		})
		if KindOf(err) == Locked {
			err = deleteRefused([]reason{{"a session has just begun", "wait until it has ended"}})
		}
		if err != nil {
			return stopped(u.Email, err)
		}
		return done(u.Email, strings.Join(append([]string{"deleted"}, warnings...), "; "))
	})
}

// holder tells which living process holds the user's lease, or "".
func (a *Admin) holder(ctx context.Context, u roster.User) (string, error) {
	holder, err := a.Store.Lease(ctx, u.ID, a.Now())
	if err != nil || holder == "" || !a.Alive(holder) {
		return "", err
	}
	return holder, nil
}

// ForceDelete removes users whatever stands against it. What stays behind in a
// mailbox is listed and remembered, so that ResetOrphans can take it out later.
func (a *Admin) ForceDelete(ctx context.Context, users []roster.User, b Bulk) []Outcome {
	orgs, err := a.organizations(ctx)
	return b.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		if err != nil {
			return stopped(u.Email, err)
		}
		items, err := a.copies(ctx, u)
		if err != nil {
			return stopped(u.Email, err)
		}
		message := "deleted"
		left := a.leftBehind(ctx, u, orgs[u.Org], items)
		if len(left) > 0 {
			message = "deleted; left behind: " + strings.Join(left, ", ")
		}
		if b.DryRun {
			return done(u.Email, message)
		}
		if len(left) > 0 {
			err := a.Store.KeepOrphan(ctx, Orphan{
				Email: u.Email, MailboxID: u.MailboxID, Org: u.Org, Items: items, Deleted: a.Now().UTC(),
			})
			if err != nil {
				return stopped(u.Email, err)
			}
		}
		details := "forced"
		if len(left) > 0 {
			details += "; left behind: " + strings.Join(left, ", ")
		}
		if err := a.Store.DeleteUser(ctx, u.ID, a.activity(ActivityUserRemoved, u.Email, u.Org, details)); err != nil {
			return stopped(u.Email, err)
		}
		return done(u.Email, message)
	})
}

// copies returns the ids of the items in a user's mailbox that are ours.
func (a *Admin) copies(ctx context.Context, u roster.User) (map[record.Entity][]string, error) {
	items := map[record.Entity][]string{}
	for _, e := range engine.Entities {
		ids, err := a.Store.MailboxItems(ctx, u.ID, e)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			items[e] = ids
		}
	}
	return items, nil
}

// Copies counts the items of ours in the mailboxes of users.
func (a *Admin) Copies(ctx context.Context, users []roster.User) (int, error) {
	n := 0
	for _, u := range users {
		items, err := a.copies(ctx, u)
		if err != nil {
			return 0, err
		}
		n += total(items)
	}
	return n, nil
}

func total(items map[record.Entity][]string) int {
	n := 0
	for _, ids := range items {
		n += len(ids)
	}
	return n
}

func flatten(items map[record.Entity][]string) []string {
	var ids []string
	for _, e := range engine.Entities {
		ids = append(ids, items[e]...)
	}
	return ids
}

// leftBehind lists what a user leaves in his mailbox: what is seen there or, where
// the mailbox cannot be reached, what is remembered.
func (a *Admin) leftBehind(ctx context.Context, u roster.User, o roster.Organization, items map[record.Entity][]string) []string {
	var left []string
	if u.Mailbox != roster.NotInitialized || len(items) > 0 {
		artefacts, err := a.inspect(ctx, u.MailboxID, o)
		if err == nil {
			left = append(left, describe(artefacts)...)
		} else {
			left = append(left, count(total(items), "synchronized copy", "synchronized copies"),
				fmt.Sprintf("what else is there could not be read (%v)", err))
		}
	}
	if u.AddIn == roster.AddInInstalled || u.AddIn == roster.AddInRequested {
		left = append(left, "add-in")
	}
	return left
}

func (a *Admin) inspect(ctx context.Context, mailbox string, o roster.Organization) ([]remote.Artefact, error) {
	mail, err := a.Systems.Mail(ctx, o.Mail)
	if err != nil {
		return nil, err
	}
	return mail.Mailbox(mailbox).Inspect(ctx, found())
}

// describe puts artefacts in words. A claim says nothing to a person unless it could
// not be removed.
func describe(artefacts []remote.Artefact) []string {
	var words []string
	for _, x := range artefacts {
		if x.Kind == "claim" && x.Left == "" {
			continue
		}
		text := x.Kind
		if x.Name != "" {
			text += " " + x.Name
		}
		if x.Count > 0 {
			text += " (" + count(x.Count, "item", "items") + ")"
		}
		if x.Left != "" {
			text += ": " + x.Left
		}
		words = append(words, text)
	}
	return words
}
