package engine_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/store"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// world is a CRM and a mail system in memory, a real state file, and an engine
// between them.
type world struct {
	t        testing.TB
	crm      *memory.CRM
	mail     *memory.Mail
	faults   *faulty.Plan
	path     string
	store    *store.Store
	clock    *clock
	alive    bool
	users    []roster.User
	last     []engine.Session
	done     map[string]bool
	reporter engine.Reporter
	// random is where the state and the engine draw from: the same world draws the same.
	random io.Reader
	// through, if not nil, is what the engine sees of the mail system; crmThrough and
	// mailThrough are what the faults see of the systems.
	through     func(remote.Mail) remote.Mail
	crmThrough  func(remote.CRM) remote.CRM
	mailThrough func(remote.Mail) remote.Mail
}

// drawn is a source of randomness that repeats itself, safe for concurrent use.
type drawn struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func (d *drawn) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Read(p)
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var testKey = bytes.Repeat([]byte{7}, store.KeySize)

// newWorld makes a world of so many users, all enabled. The servers' options may be
// changed.
func newWorld(t testing.TB, users int, crm, mail memory.Options) *world {
	t.Helper()
	c := &clock{now: memory.Epoch.Add(365 * 24 * time.Hour)}
	for _, o := range []*memory.Options{&crm, &mail} {
		if o.Now == nil {
			o.Now = c.Now
		}
	}
	w := &world{t: t, crm: memory.NewCRM(crm), mail: memory.NewMail(mail), clock: c, done: map[string]bool{}, reporter: engine.Silent{}}
	w.random = &drawn{r: rand.NewChaCha8([32]byte{1})}
	w.faults = faulty.NewPlan(nil)
	for i := range users {
		u := person(i)
		w.crm.AddPerson(remote.Person{ID: u.CRMUser, Email: u.Email, Name: u.Name})
		w.mail.AddPerson(remote.Person{ID: u.MailboxID, Email: u.Email, Name: u.Name})
	}
	w.path = filepath.Join(t.TempDir(), "state.db")
	w.restore(fresh(t, users))
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

// person returns the n-th user of a world.
func person(n int) roster.User {
	return roster.User{
		Email: fmt.Sprintf("user%d@example.com", n), Name: fmt.Sprintf("User %d", n), Org: "ACME",
		CRMUser: fmt.Sprintf("u%d", n), MailboxID: fmt.Sprintf("box%d", n),
		Sync: roster.Disabled, Mailbox: roster.NotInitialized, AddIn: roster.AddInUnknown,
	}
}

// made holds the files of states in which nothing has happened yet, by the number of
// their users: making one takes longer than most stories.
var made = struct {
	sync.Mutex
	files map[int][]byte
}{files: map[int][]byte{}}

// fresh returns the file of a state with so many users, all enabled.
func fresh(t testing.TB, users int) []byte {
	t.Helper()
	made.Lock()
	defer made.Unlock()
	if f := made.files[users]; f != nil {
		return f
	}
	w := &world{t: t, path: filepath.Join(t.TempDir(), "fresh.db"), random: &drawn{r: rand.NewChaCha8([32]byte{2})}}
	w.open()
	w.provision(users)
	made.files[users] = w.backup()
	return made.files[users]
}

// backup closes the state and returns its file, whole.
func (w *world) backup() []byte {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	file, err := os.ReadFile(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	return file
}

// restore opens a state from its file; the one before must be closed.
func (w *world) restore(file []byte) {
	w.t.Helper()
	if err := os.WriteFile(w.path, file, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.open()
	w.users = w.accounts()
}

// accounts returns the users as they stand in the state, in the order of their numbers.
func (w *world) accounts() []roster.User {
	w.t.Helper()
	users, err := w.store.Admin().Users(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(users, func(a, b roster.User) int { return cmp.Compare(a.ID, b.ID) })
	return users
}

// open opens the state, as a process does when it starts.
func (w *world) open() {
	w.t.Helper()
	st, err := store.Open(w.t.Context(), w.path, testKey, store.Options{Random: w.random, Volatile: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = st
}

// provision adds the users to the state.
func (w *world) provision(n int) {
	w.t.Helper()
	ctx, a := w.t.Context(), w.store.Admin()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	must(a.AddConnection(ctx, roster.Connection{Name: "sf", Kind: "salesforce", Auth: "token"}))
	must(a.AddConnection(ctx, roster.Connection{Name: "m365", Kind: "graph", Auth: "token"}))
	must(a.AddOrganization(ctx, roster.Organization{Name: "ACME", CRM: "sf", Mail: "m365", Access: roster.Application, Enabled: true}))
	var users []roster.User
	for i := range n {
		users = append(users, person(i))
	}
	errs, err := a.AddUsers(ctx, users, nil)
	must(err)
	for _, err := range errs {
		must(err)
	}
	users = w.accounts()
	for i := range users {
		users[i].Sync = roster.Enabled
	}
	must(a.UpdateUsers(ctx, users, nil))
	w.users = users
}

// loseState throws the state away and starts with an empty one.
func (w *world) loseState() {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.path = filepath.Join(w.t.TempDir(), "state.db")
	n := len(w.users)
	w.open()
	w.provision(n)
}

func (w *world) CRM(context.Context, string) (remote.CRM, error) {
	var crm remote.CRM = w.crm
	if w.crmThrough != nil {
		crm = w.crmThrough(crm)
	}
	return w.faults.CRM(crm), nil
}

func (w *world) Mail(context.Context, string) (remote.Mail, error) {
	var mail remote.Mail = w.mail
	if w.mailThrough != nil {
		mail = w.mailThrough(mail)
	}
	mail = w.faults.Mail(mail)
	if w.through != nil {
		mail = w.through(mail)
	}
	return mail, nil
}

func (w *world) engine(change ...func(*engine.Config)) *engine.Engine {
	c := engine.Config{
		State: w.store, Systems: w, Reporter: w.reporter, Install: w.store.Install(),
		Hasher: w.store.Hasher, Now: w.clock.Now, Random: w.random,
		Holder: "test", Alive: func(string) bool { return w.alive },
		Tick: func(time.Duration) (<-chan time.Time, func()) { return nil, func() {} },
	}
	for _, f := range change {
		f(&c)
	}
	return engine.New(c)
}

// run runs everybody's cycle now and returns the sessions.
func (w *world) run(change ...func(*engine.Options)) []engine.Session {
	w.t.Helper()
	w.clock.pass(time.Minute)
	o := engine.Options{Trigger: engine.TriggerForce, Parallel: 2, AllowCreateInCRM: true}
	for _, f := range change {
		f(&o)
	}
	s, err := w.engine().Run(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.last = s
	return s
}

// ok runs and demands that every cycle ends well.
func (w *world) ok(change ...func(*engine.Options)) engine.Session {
	w.t.Helper()
	sessions := w.run(change...)
	for _, s := range sessions {
		if s.Result != engine.ResultDone && s.Result != engine.ResultUnchanged {
			w.t.Fatalf("%s: %s %s: %s\n%s", s.User, s.Result, s.Code, s.Message, s.Log)
		}
	}
	if len(sessions) == 0 {
		w.t.Fatal("no session")
	}
	return sessions[0]
}

// quiet demands that another cycle does nothing.
func (w *world) quiet() {
	w.t.Helper()
	for _, s := range w.run() {
		if s.Result != engine.ResultUnchanged {
			w.t.Fatalf("%s is not at rest: %s %s %+v\n%s", s.User, s.Result, s.Message, s.Counts, s.Log)
		}
	}
}

// folder returns the id of a user's CRM folder, whatever its name is by now, or "".
func (w *world) folder(user int) string {
	w.t.Helper()
	rep, err := w.store.Replica(w.t.Context(), w.users[user].ID, record.Contacts)
	if err != nil {
		w.t.Fatal(err)
	}
	if rep.Container.ID != "" {
		return rep.Container.ID
	}
	return w.mail.Ours(w.users[user].MailboxID, roster.FolderName)
}

// contact makes native CRM fields of a few values.
func contact(first, last string, more ...string) mapping.Fields {
	f := mapping.Fields{"FirstName": record.Text(first), "LastName": record.Text(last)}
	for i := 0; i+1 < len(more); i += 2 {
		f[more[i]] = record.Text(more[i+1])
	}
	return f
}

// card makes native mailbox fields.
func card(first, last string, more ...string) mapping.Fields {
	f := mapping.Fields{"givenName": record.Text(first), "surname": record.Text(last)}
	for i := 0; i+1 < len(more); i += 2 {
		f[more[i]] = record.Text(more[i+1])
	}
	return f
}

// seed creates n records in the CRM for a user.
func (w *world) seed(user, n int) []string {
	var ids []string
	for i := range n {
		ids = append(ids, w.crm.CreateItem(w.users[user].CRMUser, contact(
			fmt.Sprintf("First%d", i), fmt.Sprintf("Last%d-%d", user, i),
			"Email", fmt.Sprintf("c%d-%d@example.net", user, i), "Phone", fmt.Sprintf("+1 212 555 %04d", i))))
	}
	return ids
}

// copyOf returns the mailbox item linked to a record, by the stamp that it bears.
func (w *world) copyOf(user int, crmID string) remote.Item {
	w.t.Helper()
	for _, it := range w.mail.Items(w.folder(user)) {
		if it.Stamp != nil && it.Stamp.Other == crmID {
			return it
		}
	}
	w.t.Fatalf("no copy of %s in the mailbox of %s", crmID, w.users[user].Email)
	return remote.Item{}
}

// shared returns what both sides can hold of an item, as one text.
func shared(side record.Side, it remote.Item) string {
	tables := map[record.Side]mapping.Table{record.CRM: memory.CRMTable(), record.Mailbox: memory.MailTable()}
	r := tables[side].Read(it.Fields)
	var b strings.Builder
	for _, s := range record.Specs(record.Contacts) {
		c, okC := tables[record.CRM].Entry(s.Field)
		m, okM := tables[record.Mailbox].Entry(s.Field)
		if !okC || !okM || c.Direction != "" {
			continue
		}
		v := m.Fit(c.Fit(r[s.Field]))
		if s.List {
			v = slices.Sorted(slices.Values(v))
		}
		if len(v) > 0 {
			fmt.Fprintf(&b, "%s=%q\n", s.Field, []string(v))
		}
	}
	return b.String()
}

// equal demands that each user's records and copies are the same, one to one.
func (w *world) equal() {
	w.t.Helper()
	for n, u := range w.users {
		var left, right []string
		for _, it := range w.crm.Items() {
			if it.Owner == u.CRMUser {
				left = append(left, shared(record.CRM, it))
			}
		}
		for _, it := range w.mail.Items(w.folder(n)) {
			right = append(right, shared(record.Mailbox, it))
		}
		slices.Sort(left)
		slices.Sort(right)
		if d := gocmp.Diff(left, right); d != "" {
			w.t.Fatalf("%s: the sides differ (-CRM +mailbox):\n%s\n%s", u.Email, d, w.logs())
		}
	}
}

func (w *world) logs() string {
	var b strings.Builder
	for _, s := range w.last {
		fmt.Fprintf(&b, "%s %s %s %s\n%s", s.User, s.Result, s.Code, s.Message, s.Log)
	}
	return b.String()
}

// oneByOne makes a run's calls come in one order, so that a seed repeats them.
func oneByOne(o *engine.Options) { o.Parallel = 1 }
