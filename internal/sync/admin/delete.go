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
		against = append(against, reason{count(held, "delete is", "deletes are") + " held", "crmsync deletes list " + u.Email})
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
		against, warnings := preconditions(u, holder, len(held))
		if len(against) > 0 {
			return stopped(u.Email, deleteRefused(against))
		}
		err = a.underLease(ctx, u, b.DryRun, func(ctx context.Context, l engine.Lease) error {
			if b.DryRun {
				return nil
			}
			return a.Store.DeleteUser(ctx, l, a.activity(ActivityUserRemoved, u.Email, u.Org, ""))
		})
		if KindOf(err) == Locked {
			err = deleteRefused([]reason{{"a session has just begun", "wait until it has ended"}})
		}
		if err != nil {
			return stopped(u.Email, err)
		}
		return done(u.Email, strings.Join(append([]string{either(b.DryRun, "would delete", "deleted")}, warnings...), "; "))
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
// mailbox is listed and remembered, so that ResetOrphans can take it out later. Only a
// session that runs keeps a user: what it writes after he is gone nobody could find.
func (a *Admin) ForceDelete(ctx context.Context, users []roster.User, b Bulk) []Outcome {
	return a.eachMailbox(ctx, users, b, func(ctx context.Context, l engine.Lease, u roster.User, o roster.Organization) (Outcome, error) {
		items, err := a.copies(ctx, u)
		if err != nil {
			return Outcome{}, err
		}
		items, left := a.leftBehind(ctx, u, o, items)
		message := either(b.DryRun, "would delete", "deleted")
		if len(left) > 0 {
			message += either(b.DryRun, "; would leave behind: ", "; left behind: ") + strings.Join(left, ", ")
		}
		if b.DryRun {
			return done(u.Email, message), nil
		}
		if len(left) > 0 {
			err := a.Store.KeepOrphan(ctx, Orphan{
				Email: u.Email, MailboxID: u.MailboxID, Org: u.Org, Items: items, Deleted: a.Now().UTC(),
			})
			if err != nil {
				return Outcome{}, err
			}
		}
		details := "forced"
		if len(left) > 0 {
			details += "; left behind: " + strings.Join(left, ", ")
		}
		if err := a.Store.DeleteUser(ctx, l, a.activity(ActivityUserRemoved, u.Email, u.Org, details)); err != nil {
			return Outcome{}, err
		}
		return done(u.Email, message), nil
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

// leftBehind lists what a user leaves in his mailbox: what is seen there or, where
// the mailbox cannot be reached, what is remembered. It returns the items of ours with
// those that only a look into the mailbox can find.
func (a *Admin) leftBehind(ctx context.Context, u roster.User, o roster.Organization, items map[record.Entity][]string) (map[record.Entity][]string, []string) {
	var left []string
	if u.Mailbox != roster.NotInitialized || len(items) > 0 {
		if seen, err := a.inspect(ctx, u, o, items); err == nil {
			left, items = describe(seen.artefacts), seen.ours
		} else {
			left = append(left, count(total(items), "synchronized copy", "synchronized copies"),
				fmt.Sprintf("what else is there could not be read (%v)", err))
		}
	}
	if u.AddIn == roster.AddInInstalled || u.AddIn == roster.AddInRequested {
		left = append(left, "add-in")
	}
	return items, left
}

func (a *Admin) inspect(ctx context.Context, u roster.User, o roster.Organization, items map[record.Entity][]string) (contents, error) {
	mail, err := a.Systems.Mail(ctx, o.Mail)
	if err != nil {
		return contents{}, err
	}
	return a.look(ctx, u, mail.Mailbox(u.MailboxID), items)
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
