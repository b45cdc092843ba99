package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// declared is a state seen through a configuration: the connections and organizations
// that the configuration declares stand in front of those that are stored.
type declared struct {
	State
	cfg *config.Config
}

func declare(st State, cfg *config.Config) *declared { return &declared{State: st, cfg: cfg} }

// Connections are those declared and those stored, by name.
func (d *declared) Connections(ctx context.Context) ([]roster.Connection, error) {
	stored, err := d.State.Connections(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(d.cfg.Connections)
	for _, c := range stored {
		if !slices.ContainsFunc(d.cfg.Connections, func(have roster.Connection) bool { return have.Name == c.Name }) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b roster.Connection) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// Connection is the one declared, or the one stored.
func (d *declared) Connection(ctx context.Context, name string) (roster.Connection, error) {
	for _, c := range d.cfg.Connections {
		if c.Name == name {
			return c, nil
		}
	}
	return d.State.Connection(ctx, name)
}

// Organizations are those stored with what is declared of them, and those declared,
// by name.
func (d *declared) Organizations(ctx context.Context) ([]roster.Organization, error) {
	all, err := d.State.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.Clone(all)
	for i, want := range d.cfg.Organizations {
		at := slices.IndexFunc(all, func(o roster.Organization) bool { return o.Name == want.Name })
		if at < 0 {
			want.Enabled = true
			want.Default = len(all) == 0 && i == 0
			all = append(all, want)
			continue
		}
		all[at] = overlay(all[at], want)
	}
	slices.SortFunc(all, func(a, b roster.Organization) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// Organization is the one of that name, or for the empty name the default.
func (d *declared) Organization(ctx context.Context, name string) (roster.Organization, error) {
	all, err := d.Organizations(ctx)
	if err != nil {
		return roster.Organization{}, err
	}
	for _, o := range all {
		if o.Name == name || name == "" && o.Default {
			return o, nil
		}
	}
	return roster.Organization{}, admin.ErrNotFound
}

// Engine is the state as the engine sees it: members are in their organizations as
// declared.
func (d *declared) Engine() engine.State { return declaredEngine{d.State.Engine(), d} }

type declaredEngine struct {
	engine.State
	declared *declared
}

// Users returns users with their organizations.
func (e declaredEngine) Users(ctx context.Context, ids []int64) ([]engine.Member, error) {
	members, err := e.State.Users(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i, m := range members {
		for _, want := range e.declared.cfg.Organizations {
			if want.Name == m.Org.Name {
				members[i].Org = overlay(m.Org, want)
			}
		}
	}
	return members, nil
}

// Settings are those stored, with what is declared in place of what is stored for the same.
func (d *declared) Settings(ctx context.Context) ([]settings.Setting, error) {
	stored, err := d.State.Settings(ctx)
	return d.settle(stored), err
}

// Settings returns every value that is set.
func (e declaredEngine) Settings(ctx context.Context) ([]settings.Setting, error) {
	stored, err := e.State.Settings(ctx)
	return e.declared.settle(stored), err
}

// settle puts what is declared in place of what is stored for the same.
func (d *declared) settle(stored []settings.Setting) []settings.Setting {
	all := slices.Clone(d.cfg.Settings)
	for _, s := range stored {
		if _, ok := d.setting(s); !ok {
			all = append(all, s)
		}
	}
	return all
}

// setting returns what is declared for the level, subject and key of a setting.
func (d *declared) setting(s settings.Setting) (settings.Setting, bool) {
	for _, want := range d.cfg.Settings {
		if want.Level == s.Level && want.Subject == s.Subject && want.Key == s.Key {
			return want, true
		}
	}
	return s, false
}

// overlay returns a stored organization with what is declared of it. Whether it is
// enabled, and the default, is not declared; what a run allowed once stays allowed.
func overlay(have, want roster.Organization) roster.Organization {
	want.Enabled, want.Default = have.Enabled, have.Default
	return want
}

// store writes what is declared and differs from what is stored.
func (d *declared) store(ctx context.Context, now time.Time, actor string) error {
	activity := func(kind, org, details string) engine.Activity {
		return engine.Activity{Time: now, Actor: actor, Type: kind, Org: org, Details: details}
	}
	for _, want := range d.cfg.Connections {
		have, err := d.State.Connection(ctx, want.Name)
		switch {
		case errors.Is(err, admin.ErrNotFound):
			err = d.AddConnection(ctx, want, activity("connection.added", "", "connection "+want.Name+" from the configuration"))
		case err == nil && have != want:
			err = d.UpdateConnection(ctx, want, activity("connection.changed", "", "connection "+want.Name+" from the configuration"))
		}
		if err != nil {
			return err
		}
	}
	for _, want := range d.cfg.Organizations {
		for _, name := range []string{want.CRM, want.Mail} {
			if _, err := d.Connection(ctx, name); errors.Is(err, admin.ErrNotFound) {
				return fail(codeNoConnection, d.cfg.File, fmt.Sprintf("organization %q names the connection %q, which does not exist", want.Name, name))
			}
		}
		have, err := d.State.Organization(ctx, want.Name)
		switch {
		case errors.Is(err, admin.ErrNotFound):
			want.Enabled = true
			err = d.AddOrganization(ctx, want, activity("org.added", want.Name, "from the configuration"))
		case err == nil && have != overlay(have, want):
			err = d.UpdateOrganization(ctx, overlay(have, want), activity("org.changed", want.Name, "from the configuration"))
		}
		if err != nil {
			return err
		}
	}
	return d.storeSettings(ctx, activity)
}

// storeSettings writes the declared settings that differ from what is stored.
func (d *declared) storeSettings(ctx context.Context, activity func(kind, org, details string) engine.Activity) error {
	if len(d.cfg.Settings) == 0 {
		return nil
	}
	stored, err := d.State.Settings(ctx)
	if err != nil {
		return err
	}
	for _, want := range d.cfg.Settings {
		if slices.Contains(stored, want) {
			continue
		}
		line := activity(admin.ActivitySettingsChanged, want.Subject, want.Key+" = "+want.Value+" from the configuration")
		if err := d.SetSettings(ctx, []settings.Setting{want}, line); err != nil {
			return err
		}
	}
	return nil
}
