package admin_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// readOnly is a store, and leases, that fail a test on any write. What it does not
// embed it must pass on by name, so that a new method of a store cannot slip through.
type readOnly struct {
	admin.Store
	t *testing.T
}

func (s readOnly) no(what string) error {
	s.t.Errorf("a dry run called %s", what)
	return fmt.Errorf("%s in a dry run", what)
}

func (s readOnly) AddConnection(context.Context, roster.Connection, ...engine.Activity) error {
	return s.no("AddConnection")
}

func (s readOnly) UpdateConnection(context.Context, roster.Connection, ...engine.Activity) error {
	return s.no("UpdateConnection")
}

func (s readOnly) RemoveConnection(context.Context, string, ...engine.Activity) error {
	return s.no("RemoveConnection")
}

func (s readOnly) AddOrganization(context.Context, roster.Organization, ...engine.Activity) error {
	return s.no("AddOrganization")
}

func (s readOnly) UpdateOrganization(context.Context, roster.Organization, ...engine.Activity) error {
	return s.no("UpdateOrganization")
}

func (s readOnly) SetSettings(context.Context, []settings.Setting, ...engine.Activity) error {
	return s.no("SetSettings")
}

func (s readOnly) UnsetSettings(context.Context, []settings.Setting, ...engine.Activity) error {
	return s.no("UnsetSettings")
}

func (s readOnly) AddUsers(context.Context, []roster.User, []engine.Activity) ([]error, error) {
	return nil, s.no("AddUsers")
}

func (s readOnly) UpdateUsers(context.Context, []roster.User, []engine.Activity) error {
	return s.no("UpdateUsers")
}

func (s readOnly) DeleteUser(context.Context, engine.Lease, ...engine.Activity) error {
	return s.no("DeleteUser")
}

func (s readOnly) KeepOrphan(context.Context, admin.Orphan) error   { return s.no("KeepOrphan") }
func (s readOnly) ForgetOrphan(context.Context, string) error       { return s.no("ForgetOrphan") }
func (s readOnly) Record(context.Context, ...engine.Activity) error { return s.no("Record") }

func (s readOnly) ForgetMailbox(context.Context, engine.Lease, roster.MailboxState, ...engine.Activity) error {
	return s.no("ForgetMailbox")
}

func (s readOnly) AcquireLease(context.Context, engine.Lease, time.Time) (string, bool, error) {
	return "", false, s.no("AcquireLease")
}

func (s readOnly) RenewLease(context.Context, engine.Lease, time.Time) error {
	return s.no("RenewLease")
}

func (s readOnly) ReleaseLease(context.Context, engine.Lease) error { return s.no("ReleaseLease") }

// readOnlyMail fails a test on any write to a mailbox.
type readOnlyMail struct {
	remote.Mail
	t *testing.T
}

func (m readOnlyMail) Mailbox(id string) remote.Mailbox {
	return readOnlyBox{m.Mail.Mailbox(id), m.t}
}

func (m readOnlyMail) AddIns() remote.AddIns { return readOnlyAddIns{m.Mail.AddIns(), m.t} }

type readOnlyBox struct {
	remote.Mailbox
	t *testing.T
}

func (b readOnlyBox) Prepare(context.Context, remote.Customization) (remote.Prepared, error) {
	b.t.Error("a dry run called Prepare")
	return remote.Prepared{}, nil
}

func (b readOnlyBox) Remove(context.Context, remote.Customization, []string) ([]remote.Artefact, error) {
	b.t.Error("a dry run called Remove")
	return nil, nil
}

type readOnlyAddIns struct {
	remote.AddIns
	t *testing.T
}

func (a readOnlyAddIns) Install(context.Context, string) error {
	a.t.Error("a dry run installed an add-in")
	return nil
}

func (a readOnlyAddIns) Remove(context.Context, string) error {
	a.t.Error("a dry run removed an add-in")
	return nil
}

// Every verb, dry, comes to the same results as in earnest and writes nothing: what
// the dry run says happens right after it.
func TestADryRunSaysWhatHappensAndWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 3)
	w.results(w.ForceDelete(ctx, w.only("cid"), admin.Bulk{}), engine.ResultDone)
	w.mail.CreateItem(w.mail.Folder("m-ann", roster.FolderName), mapping.Fields{"surname": {"Mine"}})

	dry := *w.Admin
	ro := readOnly{w.Store, t}
	dry.Store, dry.Leases = ro, ro
	dry.Systems = &systems{crm: w.systems.crm, mail: map[string]remote.Mail{"m365": readOnlyMail{w.mail, t}}}

	one := func(err error) []admin.Outcome {
		if err != nil {
			return []admin.Outcome{{Result: engine.ResultFailed, Err: err}}
		}
		return []admin.Outcome{{Result: engine.ResultDone}}
	}
	spare := sf
	spare.Name = "spare"
	for _, verb := range []struct {
		name string
		do   func(*admin.Admin, admin.Bulk) []admin.Outcome
	}{
		{"add a connection", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return one(a.AddConnection(ctx, spare, b.DryRun))
		}},
		{"remove a connection", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return one(a.RemoveConnection(ctx, "spare", b.DryRun))
		}},
		{"remove a connection in use", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return one(a.RemoveConnection(ctx, "sf", b.DryRun))
		}},
		{"add an organization", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return one(a.AddOrganization(ctx, roster.Organization{Name: "APAC", CRM: "sf", Mail: "m365"}, b.DryRun))
		}},
		{"disable an organization", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return a.SetOrganizations(ctx, []string{"APAC", "nosuch"}, false, b)
		}},
		{"move", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			plan, err := a.PlanMove(ctx, w.users(), "APAC", b)
			if err != nil {
				t.Fatal(err)
			}
			return a.Move(ctx, plan, b)
		}},
		{"import", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			got, err := a.ImportDirectory(ctx, "EMEA", "", admin.AddOptions{Bulk: b})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}},
		{"add", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return a.AddUsers(ctx, []admin.NewUser{{Key: "dora@example.com"}}, admin.AddOptions{Bulk: b})
		}},
		{"enable", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.Enable(ctx, w.users(), b) }},
		{"force", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.Force(ctx, w.users(), b) }},
		{"disable", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.Disable(ctx, w.users(), true, b) }},
		{"initialize", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.InitMailbox(ctx, w.users(), false, b) }},
		{"reapply", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return a.ReapplyMailbox(ctx, w.users(), false, b)
		}},
		{"delete what is initialized", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.Delete(ctx, w.users(), b) }},
		{"reset", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return a.ResetMailbox(ctx, w.users(), admin.ResetOptions{Bulk: b})
		}},
		{"reset again", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return a.ResetMailbox(ctx, w.users(), admin.ResetOptions{Bulk: b})
		}},
		{"reset orphans", func(a *admin.Admin, b admin.Bulk) []admin.Outcome {
			return a.ResetOrphans(ctx, []string{"cid@example.com", "nobody@example.com"}, admin.ResetOptions{Bulk: b})
		}},
		{"install", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.InstallAddIn(ctx, w.users(), b) }},
		{"status", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.AddInStatus(ctx, w.users(), b) }},
		{"uninstall", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.RemoveAddIn(ctx, w.users(), b) }},
		{"force-delete", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.ForceDelete(ctx, w.only("ann"), b) }},
		{"delete", func(a *admin.Admin, b admin.Bulk) []admin.Outcome { return a.Delete(ctx, w.users(), b) }},
	} {
		expected := verb.do(&dry, admin.Bulk{DryRun: true})
		got := verb.do(w.Admin, admin.Bulk{})
		if len(got) == 0 || !slices.EqualFunc(expected, got, func(a, b admin.Outcome) bool {
			return a.User == b.User && a.Result == b.Result && admin.CodeOf(a.Err) == admin.CodeOf(b.Err)
		}) {
			t.Errorf("%s: the dry run said\n%+v, and it came to\n%+v", verb.name, expected, got)
		}
	}
	if users := w.users(); len(users) != 0 {
		t.Errorf("users are left: %+v", users)
	}
}

func TestBulkStopsAndTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := w.everybody()
	w.systems.broken["m365"] = &remote.Error{Class: remote.ClassTransient, Message: "no answer"}
	var heard []string
	got := w.InitMailbox(t.Context(), users, false, admin.Bulk{Parallel: 1, MaxFailures: 2, Done: func(o admin.Outcome) {
		heard = append(heard, fmt.Sprint(o.User, " ", o.Result))
	}})
	w.results(got, engine.ResultFailed, engine.ResultFailed, engine.ResultNotStarted)
	if want := "ann@example.com failed, bob@example.com failed, cid@example.com not started"; strings.Join(heard, ", ") != want {
		t.Errorf("heard %q", heard)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.results(w.Enable(ctx, users, admin.Bulk{}), engine.ResultNotStarted, engine.ResultNotStarted, engine.ResultNotStarted)
	for _, u := range w.users() {
		if u.Sync != roster.Disabled {
			t.Errorf("%s is %s", u.Email, u.Sync)
		}
	}
}
