package admin

import (
	"context"
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// SettingChange is what is to become of one key.
type SettingChange struct {
	Key settings.Key
	// Value is set, in the form of settings.Parse; empty unsets, so that the value of the
	// level above counts.
	Value string
}

// ChangeSetting makes a change for everybody.
func (a *Admin) ChangeSetting(ctx context.Context, c SettingChange, b Bulk) Outcome {
	book, err := a.settings(ctx)
	if err != nil {
		return stopped("", err)
	}
	return a.changeSetting(ctx, book, c, settings.Setting{Level: settings.All}, "", "", b)
}

// ChangeOrgSetting makes a change for organizations.
func (a *Admin) ChangeOrgSetting(ctx context.Context, c SettingChange, names []string, b Bulk) []Outcome {
	book, err := a.settings(ctx)
	change := func(name string) Outcome {
		if err != nil {
			return stopped(name, err)
		}
		if _, err := a.Store.Organization(ctx, name); err != nil {
			return stopped(name, notFound("organization", name, "crmsync org list", err))
		}
		return a.changeSetting(ctx, book, c, settings.Setting{Level: settings.Org, Subject: name}, "", name, b)
	}
	outcomes := make([]Outcome, len(names))
	for i, name := range names {
		outcomes[i] = change(name)
	}
	return outcomes
}

// ChangeUserSetting makes a change for users.
func (a *Admin) ChangeUserSetting(ctx context.Context, c SettingChange, users []roster.User, b Bulk) []Outcome {
	book, err := a.settings(ctx)
	return b.each(ctx, users, func(ctx context.Context, _ int, u roster.User) Outcome {
		if err != nil {
			return stopped(u.Email, err)
		}
		return a.changeSetting(ctx, book, c, settings.Setting{Level: settings.User, Subject: settings.UserSubject(u.ID)}, u.Email, u.Org, b)
	})
}

// changeSetting makes a change in one place, which the address or the organization names.
func (a *Admin) changeSetting(ctx context.Context, book *settings.Book, c SettingChange, at settings.Setting, user, org string, b Bulk) Outcome {
	who := user
	if who == "" {
		who = at.Subject
	}
	at.Key = c.Key.Name
	old, was := book.At(at)
	switch {
	case c.Value == "" && !was:
		return unchanged(who, "is not set")
	case was && c.Value == old:
		return unchanged(who, "is "+old+" already")
	}
	at.Value = c.Value
	change := a.Store.SetSettings
	if c.Value == "" {
		change = a.Store.UnsetSettings
	}
	if !b.DryRun {
		line := a.activity(ActivitySettingsChanged, user, org,
			fmt.Sprintf("%s (%s): %s → %s", at.Key, at.Level, orUnset(old), orUnset(c.Value)))
		if err := change(ctx, []settings.Setting{at}, line); err != nil {
			return stopped(who, err)
		}
	}
	return done(who, fmt.Sprintf("%s → %s", orUnset(old), orUnset(c.Value)))
}

func orUnset(value string) string {
	if value == "" {
		return "not set"
	}
	return value
}

// settings reads all that is set.
func (a *Admin) settings(ctx context.Context) (*settings.Book, error) {
	all, err := a.Store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	return settings.NewBook(all), nil
}
