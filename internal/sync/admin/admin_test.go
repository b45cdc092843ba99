package admin_test

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/store"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// systems are the connections of a world by name. A system that is broken refuses to
// be opened.
type systems struct {
	crm    map[string]remote.CRM
	mail   map[string]remote.Mail
	broken map[string]error
}

func (s *systems) CRM(_ context.Context, name string) (remote.CRM, error) {
	if err := s.broken[name]; err != nil {
		return nil, err
	}
	return s.crm[name], nil
}

func (s *systems) Mail(_ context.Context, name string) (remote.Mail, error) {
	if err := s.broken[name]; err != nil {
		return nil, err
	}
	return s.mail[name], nil
}

// world is a state over a CRM and a mail system in memory. In the directory there are
// ann, bob and cid on both sides, dora in the CRM only and eve in the mail system only.
type world struct {
	*admin.Admin
	t       *testing.T
	state   *store.Store
	crm     *memory.CRM
	mail    *memory.Mail
	systems *systems
	now     time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), make([]byte, store.KeySize), store.Options{Random: rand.NewChaCha8([32]byte{1})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, state: st, crm: memory.NewCRM(memory.Options{}), mail: memory.NewMail(memory.Options{}), now: noon}
	w.systems = &systems{crm: map[string]remote.CRM{"sf": w.crm}, mail: map[string]remote.Mail{"m365": w.mail}, broken: map[string]error{}}
	w.Admin = &admin.Admin{
		Store: st.Admin(), Leases: st, Systems: w.systems,
		Now:   func() time.Time { return w.now },
		Tick:  func(time.Duration) (<-chan time.Time, func()) { return nil, func() {} },
		Actor: "root", Holder: "me", Random: cryptorand.Reader, Alive: func(holder string) bool { return holder != "dead" },
		Install: st.Install(),
	}
	for _, name := range []string{"ann", "bob", "cid"} {
		w.crm.AddPerson(remote.Person{ID: "c-" + name, Email: name + "@example.com", Name: name})
		w.mail.AddPerson(remote.Person{ID: "m-" + name, Email: strings.ToUpper(name) + "@example.com", Name: name})
	}
	w.crm.AddPerson(remote.Person{ID: "c-dora", Email: "dora@example.com", Name: "dora"})
	w.mail.AddPerson(remote.Person{ID: "m-eve", Email: "eve@example.com", Name: "eve"})
	w.ok(w.AddConnection(t.Context(), sf, false))
	w.ok(w.AddConnection(t.Context(), m365, false))
	w.ok(w.AddOrganization(t.Context(), roster.Organization{Name: "EMEA", CRM: "sf", Mail: "m365"}, false))
	return w
}

var (
	sf   = roster.Connection{Name: "sf", Kind: "salesforce", Endpoint: "https://acme.my.salesforce.com", ClientID: "app", Secret: "env:SF"}
	m365 = roster.Connection{Name: "m365", Kind: "graph", Tenant: "contoso.example", ClientID: "app", Secret: "env:M365"}
)

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// everybody imports the directory and returns the users: ann, bob, cid.
func (w *world) everybody() []roster.User {
	w.t.Helper()
	_, err := w.ImportDirectory(w.t.Context(), "", "", admin.AddOptions{})
	w.ok(err)
	return w.users()
}

func (w *world) users() []roster.User {
	w.t.Helper()
	users, err := w.Store.Users(w.t.Context())
	w.ok(err)
	return users
}

// user returns a user as he is now.
func (w *world) user(name string) roster.User {
	w.t.Helper()
	u, err := w.Store.FindUser(w.t.Context(), name+"@example.com")
	w.ok(err)
	return u
}

// only returns one user as a selection.
func (w *world) only(name string) []roster.User { return []roster.User{w.user(name)} }

// put changes a user behind the back of administration.
func (w *world) put(name string, edit func(*roster.User)) {
	w.t.Helper()
	u := w.user(name)
	edit(&u)
	w.ok(w.Store.UpdateUsers(w.t.Context(), []roster.User{u}, nil))
}

// settle stores a settlement for a user, as a cycle does.
func (w *world) settle(name string, set engine.Settlement) {
	w.t.Helper()
	w.leased(name, func(l engine.Lease) { w.ok(w.state.Settle(w.t.Context(), l, record.Contacts, set)) })
}

// leased holds a user's lease while something is done.
func (w *world) leased(name string, do func(engine.Lease)) {
	w.t.Helper()
	l := engine.Lease{User: w.user(name).ID, Holder: "a cycle"}
	if _, ok, err := w.state.AcquireLease(w.t.Context(), l, w.now); !ok || err != nil {
		w.t.Fatal("no lease", err)
	}
	do(l)
	w.ok(w.state.ReleaseLease(w.t.Context(), l))
}

// synced gives a user an initialized mailbox with n copies that are linked, and
// returns their ids.
func (w *world) synced(name string, n int) []string {
	w.t.Helper()
	ctx := w.t.Context()
	w.results(w.InitMailbox(ctx, w.only(name), false, admin.Bulk{}), engine.ResultDone)
	folder := w.mail.Folder("m-"+name, roster.FolderName)
	var ids []string
	set := engine.Settlement{Replica: &engine.Replica{Container: remote.Container{ID: folder}}, Now: w.now}
	for i := range n {
		crm := w.crm.CreateItem("c-"+name, mapping.Fields{"LastName": {fmt.Sprint("Person ", i)}})
		id := w.mail.CreateItem(folder, mapping.Fields{"surname": {fmt.Sprint("Person ", i)}})
		ids = append(ids, id)
		set.Links = append(set.Links, reconcile.Link{
			CRM: reconcile.Half{ID: crm}, Mailbox: reconcile.Half{ID: id}, State: reconcile.Linked, Since: w.now,
		})
	}
	w.settle(name, set)
	return ids
}

// results demands that outcomes ended so, in order.
func (w *world) results(got []admin.Outcome, want ...engine.SessionResult) {
	w.t.Helper()
	var have []engine.SessionResult
	for _, o := range got {
		have = append(have, o.Result)
	}
	if !slices.Equal(have, want) {
		w.t.Fatalf("results %q, want %q: %+v", have, want, got)
	}
}

// audit returns the types of what was written into the audit, oldest first, without
// what makes a world.
func (w *world) audit() []string {
	w.t.Helper()
	list, err := w.Store.Activities(w.t.Context(), "", 0)
	w.ok(err)
	var types []string
	for _, a := range slices.Backward(list) {
		if a.Actor != "root" || !a.Time.Equal(w.now) && a.Time.After(w.now) {
			w.t.Errorf("activity by %q at %v", a.Actor, a.Time)
		}
		types = append(types, a.Type)
	}
	return types[3:]
}

func (w *world) audited(want ...string) {
	w.t.Helper()
	if got := w.audit(); !slices.Equal(got, want) {
		w.t.Errorf("the audit says %q, want %q", got, want)
	}
}

func TestConnectionsAreRefusedAndKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	if err := w.AddConnection(ctx, sf, false); admin.CodeOf(err) != admin.CodeExists {
		t.Errorf("a second connection of the name: %v", err)
	}
	if err := w.RemoveConnection(ctx, "sf", false); admin.CodeOf(err) != admin.CodeConnectionInUse || !strings.Contains(err.Error(), "EMEA") {
		t.Errorf("removing one in use: %v", err)
	}
	if err := w.RemoveConnection(ctx, "nosuch", false); admin.CodeOf(err) != admin.CodeNotFound {
		t.Errorf("removing none: %v", err)
	}
	spare := sf
	spare.Name = "spare"
	w.ok(w.AddConnection(ctx, spare, false))
	got, err := w.Store.Connection(ctx, "spare")
	w.ok(err)
	if got.Auth != "client-secret" {
		t.Errorf("stored with auth %q", got.Auth)
	}
	w.ok(w.RemoveConnection(ctx, "spare", false))
	w.audited("connection.added", "connection.removed")
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	first, err := w.Store.Organization(ctx, "")
	w.ok(err)
	if first.Name != "EMEA" || !first.Enabled || first.Access != roster.Application {
		t.Errorf("the first organization is %+v", first)
	}
	if err := w.AddOrganization(ctx, roster.Organization{Name: "EMEA", CRM: "sf", Mail: "m365"}, false); admin.CodeOf(err) != admin.CodeExists {
		t.Errorf("a second of the name: %v", err)
	}
	if err := w.AddOrganization(ctx, roster.Organization{Name: "X", CRM: "nosuch", Mail: "m365"}, false); admin.CodeOf(err) != admin.CodeNotFound {
		t.Errorf("over no connection: %v", err)
	}
	w.results(w.SetOrganizations(ctx, []string{"EMEA", "nosuch"}, false, admin.Bulk{}), engine.ResultDone, engine.ResultFailed)
	w.results(w.SetOrganizations(ctx, []string{"EMEA"}, false, admin.Bulk{}), engine.ResultUnchanged)
	w.results(w.SetOrganizations(ctx, []string{"EMEA"}, true, admin.Bulk{}), engine.ResultDone)
	w.audited("org.disabled", "org.enabled")
}

func TestImportFromDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.ImportDirectory(t.Context(), "", "gold", admin.AddOptions{})
	w.ok(err)
	w.results(got, engine.ResultDone, engine.ResultDone, engine.ResultDone, engine.ResultSkipped, engine.ResultSkipped)
	if !strings.Contains(got[3].Message, "no mailbox") || !strings.Contains(got[4].Message, "no active CRM user") {
		t.Errorf("reasons: %q, %q", got[3].Message, got[4].Message)
	}
	ann := w.user("ann")
	want := roster.User{
		ID: ann.ID, Email: "ann@example.com", Name: "ann", Org: "EMEA", Plan: "gold", CRMUser: "c-ann", MailboxID: "m-ann",
		Sync: roster.Disabled, Mailbox: roster.NotInitialized, AddIn: roster.AddInUnknown,
	}
	if ann != want {
		t.Errorf("imported %+v,\nwant %+v", ann, want)
	}
	again, err := w.ImportDirectory(t.Context(), "EMEA", "", admin.AddOptions{})
	w.ok(err)
	w.results(again, engine.ResultUnchanged, engine.ResultUnchanged, engine.ResultUnchanged, engine.ResultSkipped, engine.ResultSkipped)
	w.audited("user.added", "user.added", "user.added")
}

func TestAddUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	keys := func(keys ...string) (list []admin.NewUser) {
		for i, k := range keys {
			list = append(list, admin.NewUser{Key: k, Line: i + 2})
		}
		return list
	}
	t.Log("one that cannot be resolved stops no other")
	got := w.AddUsers(ctx, keys("Ann@example.com", "dora@example.com", "c-bob", "bob@example.com"), admin.AddOptions{})
	w.results(got, engine.ResultDone, engine.ResultFailed, engine.ResultDone, engine.ResultFailed)
	if !strings.HasPrefix(got[1].Message, "line 3: no mailbox") || !strings.Contains(got[3].Message, "twice") {
		t.Errorf("reasons: %q, %q", got[1].Message, got[3].Message)
	}
	t.Log("strict adds nobody")
	got = w.AddUsers(ctx, keys("cid@example.com", "eve@example.com"), admin.AddOptions{Strict: true})
	w.results(got, engine.ResultNotStarted, engine.ResultFailed)
	if n := len(w.users()); n != 2 {
		t.Errorf("%d users", n)
	}
	t.Log("a check refuses who cannot be reached")
	w.mail.Revoke("m-cid")
	got = w.AddUsers(ctx, keys("cid@example.com"), admin.AddOptions{Check: true})
	w.results(got, engine.ResultFailed)
	if !remote.Is(got[0].Err, remote.ClassAuthorization) {
		t.Errorf("not reachable: %v", got[0].Err)
	}
	t.Log("an organization that does not exist")
	got = w.AddUsers(ctx, []admin.NewUser{{Key: "cid@example.com", Org: "nosuch"}}, admin.AddOptions{})
	if admin.CodeOf(got[0].Err) != admin.CodeNotFound {
		t.Errorf("no organization: %+v", got)
	}
	t.Log("a directory that cannot be read fails its users and no others")
	w.systems.broken["sf"] = &remote.Error{Class: remote.ClassConnection, Message: "the secret has expired"}
	got = w.AddUsers(ctx, keys("cid@example.com"), admin.AddOptions{})
	if !remote.Is(got[0].Err, remote.ClassConnection) {
		t.Errorf("no directory: %+v", got)
	}
	w.audited("user.added", "user.added")
}

func TestEnableDisableForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	users := w.everybody()
	w.results(w.Enable(ctx, users[:1], admin.Bulk{}), engine.ResultDone)
	w.put("bob", func(u *roster.User) {
		u.Sync, u.Cause, u.Reason, u.Failures, u.NextDue, u.Locked = roster.Suspended, roster.CauseOther, "x", 10, noon.Add(time.Hour), true
	})
	w.results(w.Enable(ctx, w.only("bob"), admin.Bulk{}), engine.ResultDone)
	if u := w.user("bob"); u.Sync != roster.Enabled || u.Cause != "" || u.Failures != 0 || !u.NextDue.IsZero() || u.Locked {
		t.Errorf("enabled: %+v", u)
	}
	w.results(w.Force(ctx, w.users(), admin.Bulk{}), engine.ResultDone, engine.ResultDone, engine.ResultRefused)
	if u := w.user("ann"); !u.Queued || !u.ForcedAt.Equal(noon) {
		t.Errorf("forced: %+v", u)
	}
	t.Log("refused attempts do not put off the next one")
	for range 3 {
		w.now = w.now.Add(19 * time.Second)
		w.results(w.Force(ctx, w.only("ann"), admin.Bulk{}), engine.ResultRefused)
	}
	w.now = noon.Add(admin.ForceEvery)
	w.results(w.Force(ctx, w.only("ann"), admin.Bulk{}), engine.ResultDone)

	t.Log("a disabled organization beats all")
	w.results(w.SetOrganizations(ctx, []string{"EMEA"}, false, admin.Bulk{}), engine.ResultDone)
	got := w.Force(ctx, w.only("cid"), admin.Bulk{})
	if admin.CodeOf(got[0].Err) != admin.CodeOrgDisabled {
		t.Errorf("forced in a disabled organization: %+v", got)
	}

	w.results(w.Disable(ctx, w.users(), true, admin.Bulk{}), engine.ResultDone, engine.ResultDone, engine.ResultDone)
	if u := w.user("ann"); u.Sync != roster.Disabled || !u.Locked || u.Queued {
		t.Errorf("disabled: %+v", u)
	}
	w.audited("user.added", "user.added", "user.added", "sync.enabled", "sync.enabled", "sync.forced", "sync.forced",
		"sync.forced", "org.disabled", "sync.disabled", "sync.disabled", "sync.disabled")
}

func TestMoveChecksTheMailboxAndKeepsTheLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 2)
	person := m365
	person.Name, person.Auth, person.Secret = "me", "device-code", ""
	other := sf
	other.Name = "sf2"
	w.ok(w.AddConnection(ctx, person, false))
	w.ok(w.AddConnection(ctx, other, false))
	w.ok(w.AddOrganization(ctx, roster.Organization{Name: "One", CRM: "sf", Mail: "me", Access: roster.Delegated}, false))
	w.ok(w.AddOrganization(ctx, roster.Organization{Name: "Else", CRM: "sf2", Mail: "m365"}, false))
	delegated := memory.NewMail(memory.Options{})
	delegated.AddPerson(remote.Person{ID: "m-ann", Email: "ann@example.com"})
	w.systems.mail["me"] = delegated

	plan, err := w.PlanMove(ctx, w.users(), "One", admin.Bulk{})
	w.ok(err)
	if !slices.Equal(plan.AccessDiffers, []string{"ann@example.com"}) {
		t.Errorf("access differs for %q", plan.AccessDiffers)
	}
	got := w.Move(ctx, plan, admin.Bulk{})
	w.results(got, engine.ResultDone, engine.ResultRefused, engine.ResultRefused)
	if admin.CodeOf(got[1].Err) != admin.CodeMoveUnreachable {
		t.Errorf("a mailbox that cannot be reached: %+v", got[1])
	}
	if u := w.user("ann"); u.Org != "One" {
		t.Errorf("ann is in %s", u.Org)
	}
	if n, err := w.Copies(ctx, w.only("ann")); err != nil || n != 2 {
		t.Errorf("%d links are left (%v)", n, err)
	}
	plan, err = w.PlanMove(ctx, w.users(), "One", admin.Bulk{})
	w.ok(err)
	if !plan.Steps[0].Unchanged || len(plan.AccessDiffers) != 0 {
		t.Errorf("to where she is: %+v", plan.Steps[0])
	}
	plan, err = w.PlanMove(ctx, w.only("bob"), "Else", admin.Bulk{})
	w.ok(err)
	if admin.CodeOf(plan.Steps[0].Err) != admin.CodeMoveCRMDiffers {
		t.Errorf("to another CRM: %v", plan.Steps[0].Err)
	}
	if _, err := w.PlanMove(ctx, w.only("bob"), "nosuch", admin.Bulk{}); admin.CodeOf(err) != admin.CodeNotFound {
		t.Errorf("to nowhere: %v", err)
	}
}

func TestInitIsIdempotentAndRefusesAnothersClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.results(w.InitMailbox(ctx, w.only("ann"), false, admin.Bulk{}), engine.ResultDone)
	w.results(w.InitMailbox(ctx, w.only("ann"), false, admin.Bulk{}), engine.ResultUnchanged)
	if u := w.user("ann"); u.Mailbox != roster.Initialized || u.Sync != roster.Disabled {
		t.Errorf("initialized: %+v", u)
	}
	if got := w.mail.Categories("m-ann"); !slices.Equal(got, []string{roster.CategoryName}) {
		t.Errorf("categories %q", got)
	}
	t.Log("the folder is gone: it is made again")
	w.mail.DeleteContainer(w.mail.Folder("m-ann", roster.FolderName))
	w.results(w.InitMailbox(ctx, w.only("ann"), false, admin.Bulk{}), engine.ResultDone)

	t.Log("another CRM organization's")
	foreign := engine.Customization("00D9", "them", noon.Add(-24*time.Hour))
	if _, err := w.mail.Mailbox("m-bob").Prepare(ctx, foreign); err != nil {
		t.Fatal(err)
	}
	got := w.InitMailbox(ctx, w.only("bob"), false, admin.Bulk{})
	if admin.CodeOf(got[0].Err) != admin.CodeClaimedElsewhere || got[0].Result != engine.ResultRefused {
		t.Errorf("another's mailbox: %+v", got)
	}
	w.results(w.InitMailbox(ctx, w.only("bob"), true, admin.Bulk{}), engine.ResultDone)
	claim, err := w.mail.Mailbox("m-bob").Claim(ctx, foreign)
	w.ok(err)
	if claim.Organization != memory.OrganizationID || claim.Install != w.Install {
		t.Errorf("taken over: %+v", claim)
	}
	w.audited("user.added", "user.added", "user.added", "mailbox.initialized", "mailbox.initialized", "mailbox.initialized")
}

func TestResetTakesOutWhatIsOursAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 30)
	records := len(w.crm.Items())
	own := w.mail.CreateItem(w.mail.Folder("m-ann", memory.DefaultFolder), mapping.Fields{"surname": {"Own"}})
	w.results(w.Enable(ctx, w.only("ann"), admin.Bulk{}), engine.ResultDone)

	got := w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{})
	w.results(got, engine.ResultDone)
	if !strings.Contains(got[0].Message, "30 copies") {
		t.Errorf("message %q", got[0].Message)
	}
	u := w.user("ann")
	if u.Sync != roster.Disabled || u.Mailbox != roster.NotInitialized {
		t.Errorf("after a reset: %+v", u)
	}
	if w.mail.Folder("m-ann", roster.FolderName) != "" || len(w.mail.Categories("m-ann")) != 0 {
		t.Error("the folder or the category is still there")
	}
	if _, there := w.mail.Item(own); !there {
		t.Error("the person's own contact is gone")
	}
	if len(w.crm.Items()) != records {
		t.Error("the CRM was touched")
	}
	if n, _ := w.Copies(ctx, w.only("ann")); n != 0 {
		t.Errorf("%d links are left", n)
	}
	w.results(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{}), engine.ResultUnchanged)

	t.Log("what a person has put into our folder stays, and is reported")
	w.synced("bob", 3)
	mine := w.mail.CreateItem(w.mail.Folder("m-bob", roster.FolderName), mapping.Fields{"surname": {"Mine"}})
	got = w.ResetMailbox(ctx, w.only("bob"), admin.ResetOptions{})
	w.results(got, engine.ResultDone)
	if _, there := w.mail.Item(mine); !there || !strings.Contains(got[0].Message, "left: contact folder CRM (1 item)") {
		t.Errorf("there: %v; message %q", there, got[0].Message)
	}
	w.audited("user.added", "user.added", "user.added", "mailbox.initialized", "sync.enabled", "mailbox.reset.started", "mailbox.reset",
		"mailbox.initialized", "mailbox.reset.started", "mailbox.reset")
}

// failing is a mail system in which taking things out of mailboxes fails.
type failing struct {
	remote.Mail
	err error
}

func (f *failing) Mailbox(id string) remote.Mailbox { return &failingBox{f.Mail.Mailbox(id), f} }

type failingBox struct {
	remote.Mailbox
	f *failing
}

func (b *failingBox) Remove(ctx context.Context, have remote.Customization, ids []string) ([]remote.Artefact, error) {
	if b.f.err == nil {
		return b.Mailbox.Remove(ctx, have, ids)
	}
	// Half of the way, then nothing.
	if _, err := b.Mailbox.Remove(ctx, remote.Customization{Folder: "nowhere"}, ids[:len(ids)/2]); err != nil {
		return nil, err
	}
	return nil, b.f.err
}

func TestResetThatWasCutShortIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 5)
	f := &failing{Mail: w.mail, err: &remote.Error{Class: remote.ClassTransient, Message: "the line was cut"}}
	w.systems.mail["m365"] = f

	w.results(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{}), engine.ResultFailed)
	if u := w.user("ann"); u.Mailbox != roster.Resetting || u.Sync != roster.Disabled {
		t.Errorf("in between: %+v", u)
	}
	if n, _ := w.Copies(ctx, w.only("ann")); n != 5 {
		t.Errorf("%d links are left to go by", n)
	}
	w.results(w.Enable(ctx, w.only("ann"), admin.Bulk{}), engine.ResultRefused)
	w.results(w.InitMailbox(ctx, w.only("ann"), false, admin.Bulk{}), engine.ResultRefused)
	f.err = nil
	w.results(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{}), engine.ResultDone)
	if u := w.user("ann"); u.Mailbox != roster.NotInitialized || w.mail.Folder("m-ann", roster.FolderName) != "" {
		t.Errorf("at the end: %+v", u)
	}
}

func TestResetOfAMailboxThatCannotBeReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 2)
	w.mail.Revoke("m-ann")
	got := w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{})
	w.results(got, engine.ResultDone)
	if !strings.Contains(got[0].Message, "not cleaned") || !strings.Contains(got[0].Message, "2 copies") {
		t.Errorf("message %q", got[0].Message)
	}
	if u := w.user("ann"); u.Mailbox != roster.NotInitialized {
		t.Errorf("given up: %+v", u)
	}
	t.Log("it is remembered, and cleaned once it can be reached")
	w.mail.Permit("m-ann")
	w.results(w.ResetOrphans(ctx, []string{"ann@example.com"}, admin.ResetOptions{}), engine.ResultDone)
	if w.mail.Folder("m-ann", roster.FolderName) != "" {
		t.Error("the folder is still there")
	}
	w.results(w.ResetOrphans(ctx, []string{"ann@example.com"}, admin.ResetOptions{}), engine.ResultFailed)

	t.Log("a connection that refuses us is no reason to give up, unless that is asked for")
	w.synced("bob", 2)
	w.systems.broken["m365"] = &remote.Error{Class: remote.ClassConnection, Message: "the secret has expired"}
	w.results(w.ResetMailbox(ctx, w.only("bob"), admin.ResetOptions{}), engine.ResultFailed)
	if u := w.user("bob"); u.Mailbox != roster.Resetting {
		t.Errorf("in between: %+v", u)
	}
	w.results(w.ResetMailbox(ctx, w.only("bob"), admin.ResetOptions{Forget: true}), engine.ResultDone)
	if u := w.user("bob"); u.Mailbox != roster.NotInitialized {
		t.Errorf("forgotten: %+v", u)
	}
}

func TestResetLeavesAnothersMailboxAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 2)
	if _, err := w.mail.Mailbox("m-ann").Prepare(ctx, engine.Customization(memory.OrganizationID, "them", noon)); err != nil {
		t.Fatal(err)
	}
	got := w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{})
	if admin.CodeOf(got[0].Err) != admin.CodeClaimedElsewhere {
		t.Errorf("another's mailbox: %+v", got)
	}
	if n := len(w.mail.Items(w.mail.Folder("m-ann", roster.FolderName))); n != 2 {
		t.Errorf("%d items are left", n)
	}
	w.results(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{TakeOver: true}), engine.ResultDone)
}

func TestReapply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	ids := w.synced("ann", 4)
	w.put("ann", func(u *roster.User) {
		u.Sync, u.Cause, u.NextDue, u.Failures = roster.Suspended, roster.CauseOther, noon.Add(time.Hour), 10
	})
	got := w.ReapplyMailbox(ctx, w.only("ann"), false, admin.Bulk{})
	w.results(got, engine.ResultDone)
	u := w.user("ann")
	if u.Sync != roster.Enabled || u.Mailbox != roster.Initialized || !u.NextDue.IsZero() || u.Failures != 0 {
		t.Errorf("reapplied: %+v", u)
	}
	if folder := w.mail.Folder("m-ann", roster.FolderName); folder == "" || len(w.mail.Items(folder)) != 0 {
		t.Error("the folder is not empty and new")
	}
	if _, there := w.mail.Item(ids[0]); there {
		t.Error("an old copy is still there")
	}

	t.Log("cut short, it stays resetting and enabled, and goes on the next time")
	w.synced("bob", 4)
	w.results(w.Enable(ctx, w.only("bob"), admin.Bulk{}), engine.ResultDone)
	f := &failing{Mail: w.mail, err: &remote.Error{Class: remote.ClassAuthorization, Message: "no access"}}
	w.systems.mail["m365"] = f
	w.results(w.ReapplyMailbox(ctx, w.only("bob"), false, admin.Bulk{}), engine.ResultFailed)
	if u := w.user("bob"); u.Mailbox != roster.Resetting || u.Sync != roster.Enabled {
		t.Errorf("in between: %+v", u)
	}
	if n, _ := w.Copies(ctx, w.only("bob")); n != 4 {
		t.Errorf("%d links are left: what could not be cleaned was forgotten", n)
	}
	f.err = nil
	w.results(w.ReapplyMailbox(ctx, w.only("bob"), false, admin.Bulk{}), engine.ResultDone)
	w.audited("user.added", "user.added", "user.added", "mailbox.initialized", "mailbox.reset.started", "mailbox.reapplied",
		"mailbox.initialized", "sync.enabled", "mailbox.reset.started", "mailbox.reapplied")
}

func TestALeaseKeepsMailboxesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 1)
	take := func(holder string) {
		if _, ok, err := w.state.AcquireLease(ctx, engine.Lease{User: w.user("ann").ID, Holder: holder}, w.now); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	take("cycle")
	for name, got := range map[string][]admin.Outcome{
		"init":            w.InitMailbox(ctx, w.only("ann"), false, admin.Bulk{}),
		"reset":           w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{}),
		"reset, dry":      w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{Bulk: admin.Bulk{DryRun: true}}),
		"reapply":         w.ReapplyMailbox(ctx, w.only("ann"), false, admin.Bulk{}),
		"reset, forgiven": w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{Forget: true}),
	} {
		if len(got) != 1 || admin.KindOf(got[0].Err) != admin.Locked || !strings.Contains(got[0].Message, "cycle") {
			t.Errorf("%s while a cycle runs: %+v", name, got)
		}
	}
	w.ok(w.state.ReleaseLease(ctx, engine.Lease{User: w.user("ann").ID, Holder: "cycle"}))
	t.Log("a lease that a dead process has left is taken over, and given back")
	take("dead")
	w.results(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{}), engine.ResultDone)
	if holder, err := w.Store.Lease(ctx, w.user("ann").ID, w.now); err != nil || holder != "" {
		t.Errorf("the lease is held by %q (%v)", holder, err)
	}
}

func TestAResetThatLosesItsLeaseStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 3)
	ticks := make(chan time.Time)
	w.Tick = func(time.Duration) (<-chan time.Time, func()) { return ticks, func() {} }
	waiting := &waitingMail{Mail: w.mail, reached: make(chan struct{})}
	w.systems.mail["m365"] = waiting
	user := w.user("ann").ID
	var got []admin.Outcome
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		got = w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{})
	}()
	<-waiting.reached
	holder, err := w.Store.Lease(ctx, user, w.now)
	w.ok(errors.Join(err, w.state.ReleaseLease(ctx, engine.Lease{User: user, Holder: holder})))
	if _, ok, err := w.state.AcquireLease(ctx, engine.Lease{User: user, Holder: "another"}, w.now); err != nil || !ok {
		t.Fatal(ok, err)
	}
	ticks <- w.now
	<-finished
	if len(got) != 1 || !errors.Is(got[0].Err, engine.ErrLeaseLost) {
		t.Errorf("%+v", got)
	}
	if u := w.user("ann"); u.Mailbox != roster.Resetting {
		t.Errorf("the mailbox is %s", u.Mailbox)
	}
	if holder, _ := w.Store.Lease(ctx, user, w.now); holder != "another" {
		t.Errorf("the lease is held by %q", holder)
	}
}

// waitingMail is a mail system in which cleaning a mailbox takes until it is cancelled.
type waitingMail struct {
	remote.Mail
	reached chan struct{}
}

func (m *waitingMail) Mailbox(id string) remote.Mailbox { return &waitingBox{m.Mail.Mailbox(id), m} }

type waitingBox struct {
	remote.Mailbox
	m *waitingMail
}

func (b *waitingBox) Remove(ctx context.Context, _ remote.Customization, _ []string) ([]remote.Artefact, error) {
	close(b.m.reached)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 2)
	if _, _, err := w.state.AcquireLease(ctx, engine.Lease{User: w.user("bob").ID, Holder: "cycle"}, w.now); err != nil {
		t.Fatal(err)
	}
	w.put("cid", func(u *roster.User) { u.AddIn = roster.AddInInstalled })
	got := w.Delete(ctx, w.users(), admin.Bulk{})
	w.results(got, engine.ResultRefused, engine.ResultRefused, engine.ResultDone)
	if !strings.Contains(got[0].Message, "initialized") || !strings.Contains(got[1].Message, "session runs (cycle)") || !strings.Contains(got[2].Message, "add-in stays") {
		t.Errorf("messages %+v", got)
	}
	if n := len(w.users()); n != 2 {
		t.Errorf("%d users are left", n)
	}
	w.results(w.ResetMailbox(ctx, w.only("ann"), admin.ResetOptions{}), engine.ResultDone)
	w.results(w.Delete(ctx, w.only("ann"), admin.Bulk{}), engine.ResultDone)
	t.Log("the audit stays")
	if list, err := w.Store.Activities(ctx, "ann@example.com", 0); err != nil || len(list) < 4 || list[0].Type != "user.removed" {
		t.Errorf("the audit of a deleted user: %+v (%v)", list, err)
	}
}

func TestForceDeleteRemembersWhatStaysBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	w.synced("ann", 2)
	got := w.ForceDelete(ctx, w.only("ann"), admin.Bulk{})
	w.results(got, engine.ResultDone)
	for _, want := range []string{"contact folder CRM (2 items)", "category CRM"} {
		if !strings.Contains(got[0].Message, want) {
			t.Errorf("%q does not say %q", got[0].Message, want)
		}
	}
	if n := len(w.users()); n != 2 {
		t.Errorf("%d users are left", n)
	}
	t.Log("whoever is a user again is not cleaned behind his back")
	w.everybody()
	w.results(w.InitMailbox(ctx, w.only("bob"), false, admin.Bulk{}), engine.ResultDone)
	w.put("ann", func(u *roster.User) { u.Mailbox = roster.Initialized })
	refused := w.ResetOrphans(ctx, []string{"ann@example.com"}, admin.ResetOptions{})
	if admin.CodeOf(refused[0].Err) != admin.CodeOrphanLives {
		t.Errorf("cleaning a living user's mailbox: %+v", refused)
	}
	w.put("ann", func(u *roster.User) { u.Mailbox = roster.NotInitialized })
	w.results(w.ResetOrphans(ctx, []string{"ann@example.com"}, admin.ResetOptions{}), engine.ResultDone)
	if w.mail.Folder("m-ann", roster.FolderName) != "" {
		t.Error("the folder is still there")
	}

	t.Log("a mailbox that cannot be reached does not keep the user")
	w.synced("cid", 1)
	w.mail.Revoke("m-cid")
	got = w.ForceDelete(ctx, w.only("cid"), admin.Bulk{})
	w.results(got, engine.ResultDone)
	if !strings.Contains(got[0].Message, "1 synchronized copy, what else is there could not be read") {
		t.Errorf("message %q", got[0].Message)
	}
	if o, err := w.Store.Orphan(ctx, "cid@example.com"); err != nil || len(o.Items[record.Contacts]) != 1 {
		t.Errorf("remembered: %+v (%v)", o, err)
	}
}

func TestAddIns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.everybody()
	slow := &slowAddIns{Mail: w.mail}
	w.systems.mail["m365"] = slow
	w.results(w.InstallAddIn(ctx, w.only("ann"), admin.Bulk{}), engine.ResultDone)
	if u := w.user("ann"); u.AddIn != roster.AddInRequested || !u.AddInRead.Equal(noon) {
		t.Errorf("requested: %+v", u)
	}
	w.now = noon.Add(71 * time.Hour)
	got := w.AddInStatus(ctx, w.only("ann"), admin.Bulk{})
	w.results(got, engine.ResultUnchanged)
	if u := w.user("ann"); u.AddIn != roster.AddInRequested || !strings.Contains(got[0].Message, "71 hours ago") {
		t.Errorf("within 72 hours: %s, %q", u.AddIn, got[0].Message)
	}
	w.now = noon.Add(72 * time.Hour)
	w.results(w.AddInStatus(ctx, w.only("ann"), admin.Bulk{}), engine.ResultUnchanged)
	if u := w.user("ann"); u.AddIn != roster.AddInFailed {
		t.Errorf("after 72 hours: %s", u.AddIn)
	}
	slow.shown = true
	w.results(w.AddInStatus(ctx, w.only("ann"), admin.Bulk{}), engine.ResultUnchanged)
	w.results(w.InstallAddIn(ctx, w.only("ann"), admin.Bulk{}), engine.ResultUnchanged)
	w.systems.mail["m365"] = w.mail
	w.results(w.InstallAddIn(ctx, w.only("bob"), admin.Bulk{}), engine.ResultDone)
	if u := w.user("bob"); u.AddIn != roster.AddInInstalled {
		t.Errorf("at once: %s", u.AddIn)
	}
	w.results(w.RemoveAddIn(ctx, w.only("bob"), admin.Bulk{}), engine.ResultDone)
	w.results(w.RemoveAddIn(ctx, w.only("bob"), admin.Bulk{}), engine.ResultUnchanged)
	w.systems.mail["m365"] = &noAddIns{w.mail}
	got = w.AddInStatus(ctx, w.only("bob"), admin.Bulk{})
	if admin.CodeOf(got[0].Err) != admin.CodeNoAddIns {
		t.Errorf("a mail system without add-ins: %+v", got)
	}
	w.audited("user.added", "user.added", "user.added", "addin.requested", "addin.failed", "addin.installed",
		"addin.requested", "addin.installed", "addin.removed")
}

// slowAddIns shows no add-in until told to, whatever was asked for.
type slowAddIns struct {
	remote.Mail
	shown bool
}

func (s *slowAddIns) AddIns() remote.AddIns { return &slowAddIn{s.Mail.AddIns(), s} }

type slowAddIn struct {
	remote.AddIns
	s *slowAddIns
}

func (a *slowAddIn) Status(context.Context, string) (bool, error) { return a.s.shown, nil }

type noAddIns struct{ remote.Mail }

func (noAddIns) AddIns() remote.AddIns { return nil }

// proved counts how often a system was proved as a whole.
type proved struct {
	remote.Mail
	mu  sync.Mutex
	n   int
	err error
}

func (p *proved) Check(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	return p.err
}

func TestChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	users := w.everybody()
	p := &proved{Mail: w.mail}
	w.systems.mail["m365"] = p
	w.crm.Revoke("c-bob")
	got, err := w.Checks(ctx, users, admin.AllChecks, admin.Bulk{Parallel: 2})
	w.ok(err)
	if len(got) != 9 || p.n != 1 {
		t.Fatalf("%d checks, the connection was proved %d times", len(got), p.n)
	}
	want := []admin.CheckResult{
		admin.CheckOK, admin.CheckOK, admin.CheckSkipped,
		admin.CheckFailed, admin.CheckOK, admin.CheckSkipped,
		admin.CheckOK, admin.CheckOK, admin.CheckSkipped,
	}
	for i, c := range got {
		if c.Result != want[i] || c.User != users[i/3].Email || c.Check != admin.AllChecks[i%3] {
			t.Errorf("check %d is %+v, want %s", i, c, want[i])
		}
	}
	if !remote.Is(got[3].Err, remote.ClassAuthorization) {
		t.Errorf("refused: %v", got[3].Err)
	}

	t.Log("a connection that refuses us is proved once and fails all its users")
	p.err = &remote.Error{Class: remote.ClassConnection, Message: "the secret has expired"}
	got, err = w.Checks(ctx, users, []string{admin.CheckMailbox}, admin.Bulk{})
	w.ok(err)
	for _, c := range got {
		if c.Result != admin.CheckFailed || !remote.Is(c.Err, remote.ClassConnection) || !strings.Contains(c.Message, "connection m365") {
			t.Errorf("%+v", c)
		}
	}
	if p.n != 2 {
		t.Errorf("proved %d times", p.n)
	}

	t.Log("connections alone, each once")
	orgs, err := w.Store.Organizations(ctx)
	w.ok(err)
	got = w.CheckConnections(ctx, append(orgs, orgs...), admin.AllChecks)
	if len(got) != 2 || got[0].Result != admin.CheckOK || got[1].Result != admin.CheckFailed {
		t.Errorf("%+v", got)
	}

	t.Log("a check writes nothing")
	w.audited("user.added", "user.added", "user.added")
	if u := w.user("ann"); u.AddIn != roster.AddInUnknown {
		t.Errorf("the add-in is %s", u.AddIn)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.everybody()
	w.synced("ann", 2)
	w.mail.Revoke("m-cid")
	views, err := w.ShowMailboxes(t.Context(), w.users(), admin.Bulk{})
	w.ok(err)
	if v := views[0]; v.Err != nil || v.Copies != 2 || v.Claim == nil || len(v.Artefacts) != 3 {
		t.Errorf("ann: %+v", v)
	}
	if v := views[1]; v.Err != nil || v.Copies != 0 || v.Claim != nil || len(v.Artefacts) != 0 {
		t.Errorf("bob: %+v", v)
	}
	if views[2].Err == nil {
		t.Error("cid's mailbox cannot be reached")
	}
}
