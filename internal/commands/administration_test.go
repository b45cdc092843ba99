package commands

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/commands/ui"
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

// house is an App over a real state in a directory of its own, a CRM and a mail system
// in memory. In the directory are ann and bob on both sides, dora in the CRM only.
type house struct {
	t    *testing.T
	path string
	crm  *memory.CRM
	mail *memory.Mail
	// typed is what a person types; with it, a person is at a terminal.
	typed string
	// input is what is piped in.
	input string
	cfg   config.Config
	env   map[string]string
	// silent makes the CRM's feeds fail.
	silent bool
}

// silentCRM is a CRM whose feeds fail.
type silentCRM struct{ remote.CRM }

func (c silentCRM) Collection(e record.Entity) remote.Collection {
	return silentCollection{c.CRM.Collection(e)}
}

type silentCollection struct{ remote.Collection }

func (silentCollection) Changes(context.Context, remote.Query) (remote.Feed, error) {
	return remote.Feed{}, &remote.Error{Class: remote.ClassTransient, Message: "the feed is silent"}
}

type fileState struct{ store.Admin }

func (s fileState) Engine() engine.State { return s.Store }

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, path: filepath.Join(t.TempDir(), "state.db"), crm: memory.NewCRM(memory.Options{}), mail: memory.NewMail(memory.Options{})}
	for _, name := range []string{"ann", "bob"} {
		h.crm.AddPerson(remote.Person{ID: "c-" + name, Email: name + "@example.com", Name: name})
		h.mail.AddPerson(remote.Person{ID: "m-" + name, Email: name + "@example.com", Name: name})
	}
	h.crm.AddPerson(remote.Person{ID: "c-dora", Email: "dora@example.com", Name: "dora"})
	return h
}

// open opens the state as the program does.
func (h *house) open(ctx context.Context, o StateOptions) (State, error) {
	if _, err := os.Stat(h.path); errors.Is(err, fs.ErrNotExist) && !o.Create {
		return nil, err
	}
	s, err := store.Open(ctx, h.path, make([]byte, store.KeySize), store.Options{Random: rand.NewChaCha8([32]byte{7}), ReadOnly: o.ReadOnly})
	if err != nil {
		return nil, err
	}
	return fileState{s.Admin()}, nil
}

// bench is an App over the house.
func (h *house) bench() *bench {
	b := newBench(nil)
	if h.typed != "" {
		b.terminal(h.typed)
	} else {
		b.In = strings.NewReader(h.input)
	}
	b.Getenv = func(name string) string { return h.env[name] }
	b.Host, b.PID = "host", 1
	b.Alive = func(int) bool { return true }
	b.Tick = func(time.Duration) (<-chan time.Time, func()) { return nil, func() {} }
	b.LoadConfig = func(config.Source) (*config.Config, error) {
		cfg := h.cfg
		cfg.State = h.path
		return &cfg, nil
	}
	b.OpenState = h.open
	b.CRM = func(context.Context, roster.Connection, ConnectOptions) (remote.CRM, error) {
		if h.silent {
			return silentCRM{h.crm}, nil
		}
		return h.crm, nil
	}
	b.Mail = func(context.Context, roster.Connection, ConnectOptions) (remote.Mail, error) { return h.mail, nil }
	return b
}

// run runs a command line, demands its exit status and returns what it printed.
func (h *house) run(status int, args ...string) (out, errs string) {
	h.t.Helper()
	b := h.bench()
	if got := b.run(h.t, args...); got != status {
		h.t.Fatalf("crmsync %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, status, b.out, b.err)
	}
	return b.out.String(), b.err.String()
}

// prints demands what a command prints on standard output.
func (h *house) prints(want string, args ...string) {
	h.t.Helper()
	if out, _ := h.run(exitOK, args...); out != want {
		h.t.Errorf("crmsync %s prints\n%s\nwant\n%s", strings.Join(args, " "), out, want)
	}
}

// with does something to the state behind the program's back.
func (h *house) with(do func(ctx context.Context, st State)) {
	h.t.Helper()
	st, err := h.open(h.t.Context(), StateOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	do(h.t.Context(), st)
	if err := st.Close(); err != nil {
		h.t.Error(err)
	}
}

// user returns a user as he is in the state.
func (h *house) user(name string) (u roster.User) {
	h.t.Helper()
	h.with(func(ctx context.Context, st State) {
		var err error
		if u, err = st.FindUser(ctx, name+"@example.com"); err != nil {
			h.t.Fatal(err)
		}
	})
	return u
}

// settle sets the house up: connections, an organization, both users.
func (h *house) settle() *house {
	h.t.Helper()
	h.run(exitOK, "connection", "add", "sf", "--kind", "salesforce", "--endpoint", "https://acme.my.salesforce.com", "--client-id", "app", "--secret", "env:SF")
	h.run(exitOK, "connection", "add", "m365", "--kind", "graph", "--tenant", "contoso.example", "--client-id", "app", "--secret", "cmd:pass show m365")
	h.run(exitOK, "org", "add", "EMEA", "--crm", "sf", "--mail", "m365")
	h.run(exitOK, "users", "import", "--from", "directory")
	return h
}

// synced gives a user an initialized mailbox with linked copies.
func (h *house) synced(name string, n int) {
	h.t.Helper()
	h.run(exitOK, "mailbox", "init", name+"@example.com")
	folder := h.mail.Folder("m-"+name, roster.FolderName)
	id := h.user(name).ID
	set := engine.Settlement{Replica: &engine.Replica{Container: remote.Container{ID: folder}}, Now: noon}
	for range n {
		set.Links = append(set.Links, reconcile.Link{
			CRM:     reconcile.Half{ID: h.crm.CreateItem("c-"+name, mapping.Fields{"LastName": {"X"}})},
			Mailbox: reconcile.Half{ID: h.mail.CreateItem(folder, mapping.Fields{"surname": {"X"}})},
			State:   reconcile.Linked, Since: noon,
		})
	}
	h.with(func(ctx context.Context, st State) {
		l := engine.Lease{User: id, Holder: "a cycle"}
		_, _, err := st.Engine().AcquireLease(ctx, l, noon)
		if err := errors.Join(err, st.Engine().Settle(ctx, l, record.Contacts, set), st.Engine().ReleaseLease(ctx, l)); err != nil {
			h.t.Fatal(err)
		}
	})
}

func TestAdministrationFieldsArePinned(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		command string
		got     []string
		want    string
	}{
		{"connection list", ui.Names(connectionDetails), "name kind auth endpoint tokenEndpoint tenant clientId username secret token certificate stampField appId usedBy refuses refusesSince requestsUsed requestsAllowed requestsReserved requestsTold"},
		{"org list", ui.Names(orgFields), "name state default crm mail access region createInCrm users"},
		{"org enable", ui.Names(orgRowFields), "org result code message"},
		{"settings show", ui.Names(settingFields), "user org key value origin allowed meaning"},
		{"settings set", ui.Names(settingRowFields), "user org level result code message"},
		{"users show", ui.Names(userShowFields), "email name org plan crmUser mailboxId sync cause effective mailbox addin issues lastSuccess nextDue " +
			"reason fix locked addinRead lastStart queued forcedAt failures"},
		{"mailbox show", ui.Names(mailboxFields), "user state thing name items id note"},
		{"check", ui.Names(checkFields), "user check result code message durationMs"},
		{"init", ui.Names(initFields), "config state crm mail org"},
	} {
		if got := strings.Join(tt.got, " "); got != tt.want {
			t.Errorf("%s prints\n%s\nwant\n%s", tt.command, got, tt.want)
		}
	}
}

func TestConnectionAddOptions(t *testing.T) {
	t.Parallel()
	var got connectionAddOptions
	cmd := newConnectionAdd(newBench(nil).App, func(_ context.Context, _ *App, o connectionAddOptions) error {
		got = o
		return nil
	})
	cmd.SetArgs([]string{
		"m365", "--kind", "graph", "--endpoint", "https://graph.example", "--token-endpoint", "https://login.example", "--auth", "certificate",
		"--tenant", "t", "--client-id", "c", "--username", "u", "--secret", "env:S", "--token", "env:T", "--certificate", "x.pem",
		"--stamp-field", "F__c", "--app-id", "a", "--dry-run", "-o", "json",
	})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := roster.Connection{
		Name: "m365", Kind: "graph", Endpoint: "https://graph.example", TokenEndpoint: "https://login.example", Auth: "certificate",
		Tenant: "t", ClientID: "c", Username: "u", Secret: "env:S", Token: "env:T", Certificate: "x.pem", StampField: "F__c", AppID: "a",
	}
	if got.connection != want || !got.dryRun || got.format != "json" {
		t.Errorf("options are %+v", got)
	}
}

func TestUsersImportOptions(t *testing.T) {
	t.Parallel()
	var got usersImportOptions
	cmd := newUsersImport(newBench(nil).App, func(_ context.Context, _ *App, o usersImportOptions) error {
		got = o
		return nil
	})
	cmd.SetArgs([]string{"--from", "people.csv", "--org", "EMEA", "--plan", "gold", "--check", "--strict", "--parallel", "3", "--max-failures", "5%"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := got.admin(200)
	if got.from != "people.csv" || got.org != "EMEA" || got.plan != "gold" || !o.Check || !o.Strict || o.Parallel != 3 || o.MaxFailures != 10 || o.DryRun {
		t.Errorf("options are %+v, and for administration %+v", got, o)
	}
}

func TestMailboxResetOptions(t *testing.T) {
	t.Parallel()
	var got mailboxResetOptions
	run := func(_ context.Context, _ *App, o mailboxResetOptions) error {
		got = o
		return nil
	}
	cmd := newMailboxReset(newBench(nil).App, run)
	cmd.SetArgs([]string{"ann@example.com", "--orphan", "--forget", "--take-over", "--yes", "--expect", "1"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !got.orphan || !got.forget || !got.takeOver || !got.yes || got.expect != 1 || len(got.users) != 1 {
		t.Errorf("options are %+v", got)
	}
	cmd = newMailboxReset(newBench(nil).App, run)
	cmd.SetArgs([]string{"--orphan", "--all"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(t.Context()); err == nil {
		t.Error("--orphan without addresses was taken")
	}
}

func TestCheckOptions(t *testing.T) {
	t.Parallel()
	for what, checks := range map[string]string{"all": "crm mailbox addin", "crm": "crm", "mailbox": "mailbox", "addin": "addin"} {
		var got checkOptions
		cmd := newCheckWhat(newBench(nil).App, what, func(_ context.Context, _ *App, o checkOptions) error {
			got = o
			return nil
		})
		cmd.SetArgs([]string{"ann@example.com", "-o", "junit", "--parallel", "2"})
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if strings.Join(got.checks, " ") != checks || !got.junit || got.format != "" || got.parallel != 2 || len(got.users) != 1 {
			t.Errorf("check %s: options are %+v", what, got)
		}
	}
}

// The words of a first session, as scripts read them.
func TestAFirstSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.prints("name\tkind\tauth\tendpoint\ttokenEndpoint\ttenant\tclientId\tusername\tsecret\ttoken\tcertificate\tstampField\tappId\tusedBy\n"+
		"sf\tsalesforce\tclient-secret\thttps://acme.my.salesforce.com\t\t\tapp\t\tenv:SF\t\t\t\t\t\n",
		"connection", "add", "sf", "--kind", "salesforce", "--endpoint", "https://acme.my.salesforce.com", "--client-id", "app", "--secret", "env:SF")
	h.run(exitOK, "connection", "add", "m365", "--kind", "graph", "--tenant", "contoso.example", "--client-id", "app", "--secret", "cmd:pass show m365")
	h.prints("name\tstate\tdefault\tcrm\tmail\taccess\tregion\tcreateInCrm\tusers\n"+
		"EMEA\tenabled\ttrue\tsf\tm365\tapplication\tGB\tfalse\t0\n",
		"org", "add", "EMEA", "--crm", "sf", "--mail", "m365", "--region", "GB")
	h.prints("user\tcheck\tresult\tcode\tmessage\tdurationMs\n"+
		"\tcrm\tok\t\tconnection sf answers\t0\n\tmailbox\tok\t\tconnection m365 answers\t0\n",
		"check", "all")
	h.prints("user\tresult\tcode\tmessage\n"+
		"ann@example.com\tdone\t\tadded to EMEA, synchronization disabled\n"+
		"bob@example.com\tdone\t\tadded to EMEA, synchronization disabled\n"+
		"dora@example.com\tskipped\tCS3021\tno mailbox has the primary address of this CRM user\n",
		"users", "import", "--from", "directory")
	h.prints("email\tsync\teffective\tmailbox\taddin\nann@example.com\tdisabled\tdisabled\tnot-initialized\tunknown\n"+
		"bob@example.com\tdisabled\tdisabled\tnot-initialized\tunknown\n",
		"users", "list", "--fields", "email,sync,effective,mailbox,addin")
	h.prints("user\tcheck\tresult\tcode\tmessage\tdurationMs\n"+
		"ann@example.com\tcrm\tok\t\tthe user's records can be reached\t0\n"+
		"ann@example.com\tmailbox\tok\t\tthe mailbox can be reached\t0\n"+
		"ann@example.com\taddin\tskipped\t\tnot installed\t0\n",
		"check", "all", "ann@example.com")
	h.prints("user\tresult\tcode\tmessage\nann@example.com\tdone\t\tinitialized; created folder CRM for contacts\n",
		"mailbox", "init", "ann@example.com")
	h.prints("user\tresult\tcode\tmessage\nann@example.com\tunchanged\t\tinitialized already\n",
		"mailbox", "init", "ann@example.com")
	h.prints("user\tstate\tthing\tname\titems\tnote\n"+
		"ann@example.com\tinitialized\tcontact folder\tCRM\t0\t\n"+
		"ann@example.com\tinitialized\tclaim\t"+h.install()+"\t0\tfor CRM organization 00D000000000001, renewed 2026-03-01T12:00:00Z\n"+
		"ann@example.com\tinitialized\tcategory\tCRM\t0\t\n",
		"mailbox", "show", "ann@example.com", "--fields", "user,state,thing,name,items,note")
	h.prints("user\tresult\tcode\tmessage\nann@example.com\tdone\t\tinstalled\n", "addin", "install", "ann@example.com")
	h.prints("org\tresult\tcode\tmessage\nEMEA\tdone\t\tdisabled\n", "org", "disable", "EMEA")
	h.prints("name\tusedBy\nm365\tEMEA\nsf\tEMEA\n", "connection", "list", "--fields", "name,usedBy")
	h.prints("secret\ncmd:pass ...\n", "connection", "show", "m365", "--fields", "secret")
}

func (h *house) install() (id string) {
	h.with(func(_ context.Context, st State) { id = st.Install() })
	return id
}

func TestUsersFromAFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.run(exitOK, "users", "delete", "--all", "--yes")
	h.input = "email;name;org\nann@example.com;Ann Lee;\nnobody@example.com;;\n;;\nbob@example.com;;nosuch\n"
	out, _ := h.run(exitPartial, "users", "import", "--from", "-", "--org", "EMEA", "--plan", "gold")
	want := "user\tresult\tcode\tmessage\n" +
		"ann@example.com\tdone\t\tadded to EMEA, synchronization disabled\n" +
		"nobody@example.com\tfailed\tCS3021\tline 3: neither the CRM nor the mail system knows this user"
	if !strings.HasPrefix(out, want) || !strings.Contains(out, "bob@example.com\tfailed\tCS3004\tline 5: there is no organization") ||
		!strings.Contains(out, "line 4\tfailed\tCS3026\tline 4: has no user, email or id") {
		t.Errorf("printed\n%s", out)
	}
	if u := h.user("ann"); u.Name != "Ann Lee" || u.Plan != "gold" {
		t.Errorf("imported %+v", u)
	}

	t.Log("what a command prints can be read again")
	list, _ := h.run(exitOK, "users", "list", "-o", "csv")
	h.input = list
	out, _ = h.run(exitOK, "users", "import", "--from", "-")
	if !strings.Contains(out, "ann@example.com\tunchanged") {
		t.Errorf("printed\n%s", out)
	}

	t.Log("strict does nothing at all")
	h.input = "email\nbob@example.com\nbob@\n"
	h.run(exitUsage, "users", "import", "--from", "-", "--strict")
	h.input = "bob@example.com\n"
	h.run(exitOK, "users", "import", "--from", "-", "--strict")

	h.run(exitUsage, "users", "import", "--from", "no such file")
	h.input = "name\tcity\nAnn\tOslo\n"
	h.run(exitUsage, "users", "import", "--from", "-")
	h.input = ""
	h.run(exitEmpty, "users", "import", "--from", "-")
}

func TestExitStatusOfRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.synced("ann", 3)

	out, _ := h.run(exitRefused, "users", "delete", "ann@example.com", "--yes")
	if !strings.Contains(out, "refused\tCS3031\tthe mailbox is initialized: crmsync mailbox reset ann@example.com") {
		t.Errorf("printed\n%s", out)
	}
	h.run(exitPartial, "users", "delete", "ann@example.com", "nobody@example.com", "--yes")
	h.run(exitEmpty, "users", "delete")
	h.run(exitEmpty, "mailbox", "reset", "--sync", "suspended")
	h.run(exitRefused, "connection", "remove", "sf", "--yes")
	h.run(exitRefused, "connection", "add", "sf", "--kind", "salesforce", "--endpoint", "https://acme.my.salesforce.com", "--client-id", "app", "--secret", "env:SF")
	h.run(exitUsage, "connection", "add", "x", "--kind", "salesforce", "--endpoint", "http://acme.example", "--client-id", "app", "--secret", "env:SF")
	h.run(exitUsage, "org", "add", "X", "--crm", "m365", "--mail", "sf")
	h.run(exitUsage, "org", "show", "nosuch")
	h.run(exitUsage, "connection", "remove", "nosuch", "--yes")
	h.run(exitUsage, "org", "disable", "nosuch")
	h.run(exitUsage, "users", "show", "nobody@example.com")

	h.with(func(ctx context.Context, st State) {
		if _, ok, err := st.Engine().AcquireLease(ctx, engine.Lease{User: 1, Holder: "process 2 on elsewhere (run 1)"}, noon); err != nil || !ok {
			t.Fatal(ok, err)
		}
	})
	h.run(exitLocked, "mailbox", "reset", "ann@example.com", "--yes")
	h.run(exitLocked, "mailbox", "reset", "ann@example.com", "--dry-run")

	h.crm.Revoke("c-ann")
	_, errs := h.run(exitAuth, "check", "all", "ann@example.com", "bob@example.com")
	if !strings.Contains(errs, "error[CS2202]: ann@example.com") || !strings.Contains(errs, "3 ok, 2 skipped, 1 failed") {
		t.Errorf("said\n%s", errs)
	}
	h.run(exitPartial, "check", "crm", "ann@example.com", "nobody@example.com")
	h.run(exitOK, "check", "mailbox", "--all")
	h.run(exitEmpty, "check", "addin")
}

func TestDestructiveVerbsTakeAnAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.synced("ann", 3)
	spare := []string{"connection", "add", "spare", "--kind", "salesforce", "--endpoint", "https://x.example", "--client-id", "app", "--secret", "env:X"}
	h.run(exitOK, spare...)
	for _, args := range [][]string{
		{"mailbox", "reset", "ann@example.com"},
		{"mailbox", "reapply", "ann@example.com"},
		{"mailbox", "reset", "--orphan", "ann@example.com"},
		{"users", "delete", "bob@example.com"},
		{"users", "force-delete", "ann@example.com"},
		{"addin", "remove", "ann@example.com"},
		{"connection", "remove", "spare"},
	} {
		name := strings.Join(args, " ")
		t.Log("nobody to answer:", name)
		if _, errs := h.run(exitUsage, args...); !strings.Contains(errs, "--yes") {
			t.Errorf("%s: the flag is not named: %s", name, errs)
		}
		t.Log("the answer is no:", name)
		h.typed = "no\n"
		h.run(exitCancelled, args...)
		h.typed = ""
	}
	if u := h.user("ann"); u.Mailbox != roster.Initialized {
		t.Errorf("something was done: %+v", u)
	}
	h.user("bob")

	h.typed = "yes\n"
	_, errs := h.run(exitOK, "mailbox", "reset", "ann@example.com")
	if !strings.Contains(errs, "3 synchronized copies will be moved to Deleted Items") {
		t.Errorf("asked\n%s", errs)
	}
	t.Log("force-delete wants the count")
	h.run(exitCancelled, "users", "force-delete", "ann@example.com")
	h.typed = "1\n"
	h.run(exitOK, "users", "force-delete", "ann@example.com")
	h.typed = ""
	h.run(exitUsage, "users", "force-delete", "bob@example.com", "--yes")
	h.run(exitOK, "users", "force-delete", "bob@example.com", "--yes", "--expect", "1")
	h.run(exitOK, "connection", "remove", "spare", "--yes")
}

// Reapplying ends in step: the old copies are gone and the CRM's records are there
// anew, without a second command.
func TestReapplySynchronizesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.synced("ann", 3)
	before := len(h.crm.Items())
	out, _ := h.run(exitOK, "mailbox", "reapply", "ann@example.com", "--yes")
	if !strings.Contains(out, "removed 3 copies") || !strings.Contains(out, "first cycle: 3 created in the mailbox") {
		t.Errorf("printed\n%s", out)
	}
	if n := len(h.mail.Items(h.mail.Folder("m-ann", roster.FolderName))); n != 3 || len(h.crm.Items()) != before {
		t.Errorf("%d copies of %d records", n, len(h.crm.Items()))
	}
	if u := h.user("ann"); u.Sync != roster.Enabled || u.LastSuccess.IsZero() {
		t.Errorf("afterwards %+v", u)
	}

	t.Log("a cycle that fails is told, and the mailbox stays prepared")
	h.silent = true
	out, _ = h.run(exitPartial, "mailbox", "reapply", "bob@example.com", "--yes")
	if !strings.Contains(out, "bob@example.com\tfailed\tCS2204\tinitialized;") || !strings.Contains(out, "the feed is silent") {
		t.Errorf("printed\n%s", out)
	}
	if u := h.user("bob"); u.Mailbox != roster.Initialized || u.Sync != roster.Enabled {
		t.Errorf("afterwards %+v", u)
	}
	h.silent = false

	h.run(exitOK, "mailbox", "reapply", "ann@example.com", "--yes", "--queue")
	if n := len(h.mail.Items(h.mail.Folder("m-ann", roster.FolderName))); n != 0 {
		t.Errorf("%d copies before the next run", n)
	}
}

func TestMoveAsksOnlyWhereTheAccessDiffers(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.run(exitOK, "connection", "add", "me", "--kind", "graph", "--auth", "device-code", "--tenant", "t", "--client-id", "c")
	h.run(exitOK, "org", "add", "APAC", "--crm", "sf", "--mail", "m365")
	h.run(exitOK, "org", "add", "Own", "--crm", "sf", "--mail", "me", "--access", "delegated")
	h.run(exitOK, "org", "move", "ann@example.com", "--to", "APAC")
	if _, errs := h.run(exitUsage, "org", "move", "ann@example.com", "--to", "Own"); !strings.Contains(errs, "delegated access") {
		t.Errorf("said\n%s", errs)
	}
	h.run(exitOK, "org", "move", "ann@example.com", "--to", "Own", "--dry-run")
	if u := h.user("ann"); u.Org != "APAC" {
		t.Errorf("ann is in %s", u.Org)
	}
	h.run(exitOK, "org", "move", "ann@example.com", "--to", "Own", "--yes")
	if u := h.user("ann"); u.Org != "Own" {
		t.Errorf("ann is in %s", u.Org)
	}
	h.run(exitUsage, "org", "move", "ann@example.com", "--to", "nosuch")
}

// A dry run opens the state to read only, so that a write would fail, and comes to the
// status that the verb comes to right after it.
func TestDryRunsOfAdministration(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.synced("ann", 2)
	for _, step := range []struct {
		status int
		args   []string
	}{
		{exitOK, []string{"connection", "add", "x", "--kind", "salesforce", "--endpoint", "https://x.example", "--client-id", "app", "--secret", "env:X"}},
		{exitOK, []string{"connection", "remove", "x", "--yes"}},
		{exitRefused, []string{"connection", "remove", "sf", "--yes"}},
		{exitOK, []string{"org", "add", "APAC", "--crm", "sf", "--mail", "m365"}},
		{exitOK, []string{"org", "disable", "APAC"}},
		{exitOK, []string{"org", "enable", "APAC"}},
		{exitOK, []string{"org", "move", "--all", "--to", "APAC"}},
		{exitPartial, []string{"users", "add", "ann@example.com", "dora@example.com"}},
		{exitOK, []string{"users", "import", "--from", "directory"}},
		{exitOK, []string{"addin", "install", "--all"}},
		{exitOK, []string{"addin", "status", "--all"}},
		{exitOK, []string{"addin", "remove", "--all", "--yes"}},
		{exitOK, []string{"mailbox", "init", "--all"}},
		{exitOK, []string{"mailbox", "reapply", "--all", "--yes"}},
		{exitRefused, []string{"users", "delete", "--all", "--yes"}},
		{exitOK, []string{"mailbox", "reset", "ann@example.com", "--yes"}},
		{exitOK, []string{"users", "force-delete", "bob@example.com", "--yes", "--expect", "1"}},
		{exitOK, []string{"mailbox", "reset", "--orphan", "bob@example.com", "--yes"}},
		{exitOK, []string{"users", "delete", "ann@example.com", "--yes"}},
	} {
		dry, _ := h.run(step.status, append(step.args, "--dry-run")...)
		again, _ := h.run(step.status, append(step.args, "--dry-run")...)
		if dry != again {
			t.Errorf("crmsync %s: a dry run has changed something:\n%s\nthen\n%s", strings.Join(step.args, " "), dry, again)
		}
		h.run(step.status, step.args...)
	}
}

func TestCheckAsJUnit(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.mail.Revoke("m-bob")
	out, _ := h.run(exitAuth, "check", "all", "--all", "-o", "junit")
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="crmsync check" tests="6" failures="2" skipped="1" time="0.000" timestamp="2026-03-01T12:00:00">
    <testcase classname="crm" name="ann@example.com" time="0.000"></testcase>
    <testcase classname="mailbox" name="ann@example.com" time="0.000"></testcase>
    <testcase classname="addin" name="ann@example.com" time="0.000">
      <skipped message="not installed"></skipped>
    </testcase>
    <testcase classname="crm" name="bob@example.com" time="0.000"></testcase>
    <testcase classname="mailbox" name="bob@example.com" time="0.000">
      <failure type="CS2202" message="the user&#39;s data may not be reached (access-denied)"></failure>
    </testcase>
    <testcase classname="addin" name="bob@example.com" time="0.000">
      <failure type="CS2202" message="the user&#39;s data may not be reached (access-denied)"></failure>
    </testcase>
  </testsuite>
</testsuites>
`
	if out != want {
		t.Errorf("printed\n%s\nwant\n%s", out, want)
	}
	out, _ = h.run(exitOK, "check", "crm", "-o", "junit")
	if !strings.Contains(out, `<testcase classname="crm" name="connection"`) {
		t.Errorf("printed\n%s", out)
	}
	h.run(exitUsage, "check", "crm", "-o", "xml")
}

// What the configuration declares comes back with the next command, so it is not
// removed from the state.
func TestDeclaredConnectionsAreNotRemoved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cfg = config.Config{File: "crmsync.yaml", Connections: []roster.Connection{{Name: "sf", Kind: "salesforce", Auth: "client-secret", Secret: "env:X"}}}
	_, errs := h.run(exitUsage, "connection", "remove", "sf", "--yes")
	if !strings.Contains(errs, "crmsync.yaml") {
		t.Errorf("said\n%s", errs)
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	file := filepath.Join(t.TempDir(), "new", "config.yaml")
	h.env = map[string]string{"CRMSYNC_CONFIG": file}

	t.Log("a dry run makes nothing")
	h.run(exitOK, "init", "--dry-run")
	for _, path := range []string{file, h.path} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}

	t.Log("what makes no sense makes nothing either")
	h.run(exitUsage, "init", "--tenant", "contoso.example")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", file, err)
	}

	h.prints("config\tstate\tcrm\tmail\torg\n"+file+"\t"+h.path+"\t\t\t\n", "init")
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the configuration: %v, %v", info, err)
	}
	if _, err := config.Load(config.Source{File: file, Getenv: func(string) string { return "" }}); err != nil {
		t.Errorf("the configuration cannot be read: %v", err)
	}

	t.Log("what is there stays as it is")
	if err := os.WriteFile(file, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.typed = "no answer is needed\n"
	_, errs := h.run(exitOK, "init")
	if text, err := os.ReadFile(file); err != nil || string(text) != "# mine\n" || !strings.Contains(errs, "is there already") {
		t.Errorf("%q, %v, %s", text, err, errs)
	}
}

func TestInitAsks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.env = map[string]string{"CRMSYNC_CONFIG": filepath.Join(t.TempDir(), "config.yaml")}
	h.typed = "\nhttps://acme.my.salesforce.com\n3MVG9\n\ncontoso.example\napp\nkeyring:m365\n"
	out, _ := h.run(exitOK, "init")
	if !strings.Contains(out, "org     main") {
		t.Errorf("printed\n%s", out)
	}
	h.typed = ""
	h.prints("name\tsecret\nm365\tkeyring:m365\nsf\tenv:SF_SECRET\n", "connection", "list", "--fields", "name,secret")
	h.prints("name\tcrm\tmail\nmain\tsf\tm365\n", "org", "list", "--fields", "name,crm,mail")

	t.Log("a question without an answer")
	h = newHouse(t)
	h.env = map[string]string{"CRMSYNC_CONFIG": filepath.Join(t.TempDir(), "config.yaml")}
	h.typed = "yes\n\n"
	if _, errs := h.run(exitUsage, "init"); !strings.Contains(errs, "--crm-endpoint") {
		t.Errorf("said\n%s", errs)
	}
}

func TestEveryCodeOfAdministrationIsInTheTable(t *testing.T) {
	t.Parallel()
	for code := range admin.Codes {
		if info, ok := codes[code]; !ok || info.title == "" || info.exit == exitOK {
			t.Errorf("%s: %+v", code, info)
		}
	}
}
