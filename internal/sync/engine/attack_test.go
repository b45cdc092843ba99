package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// The attacks of docs/reliability.md that are not drawn by chance.

// F3: a thousand creates on either side whose answer never comes are found again, and
// none is made twice.
func TestAmbiguousCreates(t *testing.T) {
	t.Parallel()
	for _, kind := range []faulty.Kind{faulty.Lost, faulty.GatewayTimeout, faulty.Truncated, faulty.Partly} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{BatchSize: 500}, memory.Options{BatchSize: 500})
			folder := w.mail.AddFolder("box0", roster.FolderName)
			for i := range 500 {
				w.crm.CreateItem("u0", contact("A", fmt.Sprintf("Crm%d", i)))
				w.mail.CreateItem(folder, card("B", fmt.Sprintf("Box%d", i)))
			}
			w.faults.Set(onMethod("apply", faulty.Fault{Kind: kind, Item: 333}))
			w.run()
			w.settle()
			if c, m := len(w.crm.Items()), len(w.mail.Items(folder)); c != 1000 || m != 1000 {
				t.Fatalf("F3: %d records and %d copies, not 1000 each", c, m)
			}
			w.equal()
			w.quiet()
		})
	}
}

// F4: a write that lands when it was given up long ago makes no second item.
func TestLateLandings(t *testing.T) {
	t.Parallel()
	for after := 1; after <= 40; after += 3 {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			ids := w.seed(0, 3)
			w.ok()
			w.mail.CreateItem(w.folder(0), card("In", "Box"))
			w.crm.CreateItem("u0", contact("In", "Crm"))
			w.crm.EditItem(ids[0], mapping.Fields{"Title": record.Text("x")})
			w.faults.Set(onMethod("apply", faulty.Fault{Kind: faulty.Late, After: after}))
			w.run()
			w.faults.Set(nil)
			for range 12 {
				w.clock.pass(time.Hour)
				w.run()
			}
			w.settle()
			if c, m := len(w.crm.Items()), len(w.mail.Items(w.folder(0))); c != 5 || m != 5 {
				t.Fatalf("F4: %d records and %d copies, not 5 each\n%s", c, m, w.logs())
			}
			w.equal()
			w.quiet()
		})
	}
}

// F7: a cursor that is lost at any page costs reading everything again, and no write.
func TestCursorLostAtEachPage(t *testing.T) {
	t.Parallel()
	for _, side := range []record.Side{record.CRM, record.Mailbox} {
		for page := 1; page <= 6; page++ {
			t.Run(fmt.Sprint(side, page), func(t *testing.T) {
				t.Parallel()
				lost := 0
				o := memory.Options{PageSize: 2}
				o.OnPage = func(n int) error {
					if n == page && lost == 1 {
						lost++
						return &remote.Error{Class: remote.ClassCursorLost, Status: 410, Code: "syncStateNotFound", Message: "the cursor has expired"}
					}
					return nil
				}
				crm, mail := memory.Options{PageSize: 2}, memory.Options{PageSize: 2}
				if side == record.CRM {
					crm = o
				} else {
					mail = o
				}
				w := newWorld(t, 1, crm, mail)
				ids := w.seed(0, 10)
				w.ok()
				w.ok()
				for _, id := range ids { // so that the feeds have pages
					w.crm.Touch(id)
					w.mail.Touch(w.copyOf(0, id).ID)
				}
				lost = 1
				before := versions(append(w.crm.Items(), w.mail.Items(w.folder(0))...))
				w.run()
				w.settle()
				for id, v := range versions(append(w.crm.Items(), w.mail.Items(w.folder(0))...)) {
					if before[id] != v {
						t.Errorf("F7: %s was written", id)
					}
				}
				w.equal()
				w.quiet()
			})
		}
	}
}

// F11: batches whose parts fail in random ways leave every part applied once or tried
// again: ten worlds with a hundred batches of up to twenty each.
func TestRandomBatches(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 11))
			calm := true
			w := newWorld(t, 1, memory.Options{BatchSize: 20}, memory.Options{})
			w.watched(func(_ record.Side, wr remote.Write, send func() remote.WriteResult) remote.WriteResult {
				if calm {
					return send()
				}
				return part(r, wr, send)
			})
			ids := w.seed(0, 20)
			w.ok()
			calm = false
			for range 50 {
				for n, id := range ids {
					if n%2 == 0 {
						w.crm.EditItem(id, mapping.Fields{"Title": record.Text(fmt.Sprint("t", r.Uint32()))})
					} else {
						w.mail.EditItem(w.copyOf(0, id).ID, mapping.Fields{"jobTitle": record.Text(fmt.Sprint("m", r.Uint32()))})
					}
				}
				w.clock.pass(2 * time.Hour)
				w.run(oneByOne)
			}
			calm = true
			w.clock.pass(25 * time.Hour)
			w.settle()
			if c, m := len(w.crm.Items()), len(w.mail.Items(w.folder(0))); c != 20 || m != 20 {
				t.Fatalf("F11: %d records and %d copies, not 20 each\n%s", c, m, w.logs())
			}
			w.equal()
			w.quiet()
		})
	}
}

// part answers a part of a batch: applied, refused in one of several ways, or applied
// without an answer.
func part(r *rand.Rand, w remote.Write, send func() remote.WriteResult) remote.WriteResult {
	refuse := func(class remote.Class, status int, unclear bool) remote.WriteResult {
		return remote.WriteResult{ID: w.ID, Err: &remote.Error{Class: class, Status: status, Message: "the part failed", Unclear: unclear}}
	}
	switch r.IntN(16) {
	case 0:
		return refuse(remote.ClassGone, 404, false)
	case 1:
		return refuse(remote.ClassDuplicate, 409, false)
	case 2:
		return refuse(remote.ClassConflict, 412, false)
	case 3:
		return refuse(remote.ClassItem, 424, false)
	case 4:
		return refuse(remote.ClassPressure, 429, false)
	case 5:
		return refuse(remote.ClassTransient, 500, true)
	case 6: // the part is missing from the answer
		send()
		return refuse(remote.ClassTransient, 0, true)
	default:
		return send()
	}
}

// unreadable is a mail system that answers each question about items with an error, or
// with nothing at all.
type unreadable struct {
	remote.Mail
	err error
}

func (u unreadable) Prefetch(_ context.Context, feeds []remote.MailFeed) []remote.FeedResult {
	out := make([]remote.FeedResult, len(feeds))
	for i := range out {
		out[i] = remote.FeedResult{Feed: remote.Feed{Complete: true}, Err: u.err}
		if u.err == nil { // nothing is there, from the beginning
			out[i].Err = &remote.Error{Class: remote.ClassCursorLost}
		}
	}
	return out
}

func (u unreadable) Mailbox(id string) remote.Mailbox {
	return unreadableMailbox{u.Mail.Mailbox(id), u.err}
}

type unreadableMailbox struct {
	remote.Mailbox
	err error
}

func (b unreadableMailbox) Collection(e record.Entity, c remote.Container) remote.Collection {
	return unreadableItems{b.Mailbox.Collection(e, c), b.err}
}

type unreadableItems struct {
	remote.Collection
	err error
}

func (c unreadableItems) Changes(context.Context, remote.Query) (remote.Feed, error) {
	return remote.Feed{Complete: true, Cursor: "0:0"}, c.err
}

func (c unreadableItems) Get(_ context.Context, ids []string) []remote.ItemResult {
	out := make([]remote.ItemResult, len(ids))
	for i := range out {
		out[i].Err = c.err
		if c.err == nil {
			out[i].Err = &remote.Error{Class: remote.ClassGone, Status: 404}
		}
	}
	return out
}

// F12: a mailbox that cannot be reached, or says that it is empty, loses nobody a record
// or a copy.
func TestMailboxGoneOrEmpty(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]*remote.Error{
		"401":                           {Class: remote.ClassAuthorization, Status: 401},
		"403":                           {Class: remote.ClassAuthorization, Status: 403},
		"mailbox not enabled":           {Class: remote.ClassAuthorization, Status: 404, Code: "MailboxNotEnabledForRESTAPI"},
		"503":                           {Class: remote.ClassPressure, Status: 503},
		"the folder is not there":       {Class: remote.ClassContainerGone, Status: 404, Code: "ErrorItemNotFound"},
		"empty, and every item is gone": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			w.set(0, "deletes.from_mailbox", "propagate") // the worst case
			w.seed(0, 30)
			w.ok()
			folder := w.folder(0)
			w.through = func(m remote.Mail) remote.Mail {
				if err == nil {
					return unreadable{Mail: m}
				}
				return unreadable{m, err}
			}
			for range 5 {
				w.clock.pass(25 * time.Hour)
				w.run()
			}
			if c, m := len(w.crm.Items()), len(w.mail.Items(folder)); c != 30 || m != 30 {
				t.Fatalf("F12: %d records and %d copies are left of 30\n%s", c, m, w.logs())
			}
		})
	}
}

// shortCRM is a CRM that leaves records out of its lists; gone says that it denies them
// also when it is asked for them by id.
type shortCRM struct {
	remote.CRM
	keep int
	gone bool
}

func (c shortCRM) Collection(e record.Entity) remote.Collection {
	return shortItems{c.CRM.Collection(e), c.keep, c.gone}
}

type shortItems struct {
	remote.Collection
	keep int
	gone bool
}

func (c shortItems) Changes(ctx context.Context, q remote.Query) (remote.Feed, error) {
	feed, err := c.Collection.Changes(ctx, q)
	feed.Changes = feed.Changes[:min(len(feed.Changes), c.keep)]
	return feed, err
}

func (c shortItems) Get(ctx context.Context, ids []string) []remote.ItemResult {
	out := c.Collection.Get(ctx, ids)
	for i := range out {
		if c.gone {
			out[i] = remote.ItemResult{Err: &remote.Error{Class: remote.ClassGone, Status: 404}}
		}
	}
	return out
}

// F13: a CRM whose list is empty or short deletes no copy: what it lists no more is
// looked up, and what it denies then in numbers is held.
func TestShortCRMList(t *testing.T) {
	t.Parallel()
	for _, keep := range []int{0, 1, 20, 28} {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprint(keep, gone), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 1, memory.Options{}, memory.Options{})
				w.seed(0, 40)
				w.ok()
				w.crm.ExpireCursors()
				w.crmThrough = func(c remote.CRM) remote.CRM { return shortCRM{c, keep, gone} }
				for range 3 {
					w.run()
				}
				if n := len(w.mail.Items(w.folder(0))); n != 40 {
					t.Fatalf("F13: %d copies are left of 40\n%s", n, w.logs())
				}
			})
		}
	}
}

// F22: hostile data is carried over or named by an issue, keeps nothing else from being
// synchronized, and comes to rest.
func TestHostileData(t *testing.T) {
	t.Parallel()
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprintf("a%d@example.net", i)
	}
	for name, v := range map[string]record.Value{
		"1 MB":          {strings.Repeat("x y ", 1<<18)},
		"NUL":           {"a\x00b"},
		"emoji":         {"👩‍👩‍👧‍👦🏳️‍🌈"},
		"invalid UTF-8": {"a\xff\xfe\xc3("},
		"right to left": {"\u202eabc\u202c שלום"},
		"controls":      {"a\r\nb\x1b[31mc\u2028d"},
		"not NFC":       {"e\u0301\u0323"},
		"lone quote":    {`"';--`},
		"blanks":        {" \t\u00a0\u200b "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, memory.Options{}, memory.Options{})
			w.seed(0, 2)
			w.ok()
			w.crm.CreateItem("u0", mapping.Fields{"LastName": record.Text("Crm"), "Description": v})
			w.mail.CreateItem(w.folder(0), mapping.Fields{"surname": record.Text("Box"), "personalNotes": v, "emailAddresses": many})
			w.crm.CreateItem("u0", contact("After", "Wards"))
			for range 3 {
				w.clock.pass(25 * time.Hour)
				w.run()
			}
			if c, m := len(w.crm.Items()), len(w.mail.Items(w.folder(0))); c+m < 9 {
				t.Fatalf("F22: %d records and %d copies\n%s", c, m, w.logs())
			}
			w.quiet()
		})
	}
}

// R-I11 and I17: a cycle with a few changes among many records asks for the changes alone.
func TestBoundedWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	ids := w.seed(0, 200)
	w.ok()
	w.ok()
	for _, id := range ids[:40] {
		w.crm.EditItem(id, mapping.Fields{"Title": record.Text("x")})
	}
	before := len(w.faults.Calls())
	w.ok()
	items := 0
	calls := w.faults.Calls()[before:]
	for _, c := range calls {
		items += c.Items
	}
	// Two feeds, and for each batch of 20 a look and a write.
	if len(calls) > 2+2*2 || items > 1+2*40 {
		t.Fatalf("R-I11: 40 changes cost %v", calls)
	}
	before = len(w.faults.Calls())
	w.ok() // the echoes
	w.quiet()
	if n := len(w.faults.Calls()) - before; n != 4 {
		t.Fatalf("R-I11: two idle cycles cost %v", w.faults.Calls()[before:])
	}
}

// R-I13 and I8: users who fail for good change nothing for the others.
func TestIsolation(t *testing.T) {
	t.Parallel()
	const users, failing = 20, 2
	live := func(fail bool) (out []string) {
		w := newWorld(t, users, memory.Options{}, memory.Options{})
		ids := make([][]string, users)
		for n := range users {
			ids[n] = w.seed(n, 4)
		}
		for n := range failing {
			if fail {
				w.mail.Revoke(w.users[n].MailboxID)
				continue
			}
			u := w.users[n]
			u.Sync = roster.Disabled
			if err := w.store.Admin().UpdateUsers(t.Context(), []roster.User{u}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for round := range 4 {
			for _, s := range w.run() {
				s.Requests = 0
				if !fails(w, s, failing) {
					out = append(out, fmt.Sprint(round, s.User, s.Result, s.Code, s.Counts))
				}
			}
			for n := range users {
				w.crm.EditItem(ids[n][round], mapping.Fields{"Title": record.Text(fmt.Sprint("r", round))})
				w.crm.CreateItem(w.users[n].CRMUser, contact("New", fmt.Sprint("R", round)))
			}
		}
		for n := failing; n < users; n++ {
			for _, it := range w.mail.Items(w.folder(n)) {
				out = append(out, fmt.Sprint(n, shared(record.Mailbox, it)))
			}
		}
		return out
	}
	with, without := strings.Join(sorted(live(true)), "\n"), strings.Join(sorted(live(false)), "\n")
	if with != without {
		t.Fatalf("R-I13: with failing users:\n%s\nwithout:\n%s", with, without)
	}
}

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}

func fails(w *world, s engine.Session, failing int) bool {
	for n := range failing {
		if s.UserID == w.users[n].ID {
			return true
		}
	}
	return false
}
