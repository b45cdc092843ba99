package memory_test

import (
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/faulty"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
	"github.com/crmsync/crmsync/internal/sync/remote/remotetest"
)

// variants are ways to behave that all keep to the contract.
var variants = map[string]memory.Options{
	"default":       {},
	"small pages":   {PageSize: 3, BatchSize: 4},
	"repeating":     {Repeat: 5},
	"terse":         {Terse: true},
	"no tombstones": {NoTombstones: true},
	"no conditions": {NoConditions: true},
	"no stamps":     {NoStamps: true},
}

func hands(w remotetest.World, h interface {
	EditItem(string, mapping.Fields)
	DeleteItem(string)
	RestoreItem(string)
	CopyItem(string) string
	ExpireCursors()
}) remotetest.World {
	w.Edit = func(_ *testing.T, id string, f mapping.Fields) { h.EditItem(id, f) }
	w.Delete = func(_ *testing.T, id string) { h.DeleteItem(id) }
	w.Restore = func(_ *testing.T, id string) { h.RestoreItem(id) }
	w.Copy = func(_ *testing.T, id string) string { return h.CopyItem(id) }
	w.ExpireCursors = func(*testing.T) { h.ExpireCursors() }
	return w
}

func crmWorld(c *memory.CRM) remotetest.World {
	return hands(remotetest.World{
		Create:      func(_ *testing.T, f mapping.Fields) string { return c.CreateItem("anna", f) },
		Hide:        func(_ *testing.T, id string) { c.Hide(id) },
		Merge:       func(_ *testing.T, loser, winner string) { c.Merge(loser, winner) },
		ChangeOwner: func(_ *testing.T, id, owner string) { c.ChangeOwner(id, owner) },
	}, c)
}

func newMail(o memory.Options) *memory.Mail {
	m := memory.NewMail(o)
	for _, id := range []string{"anna", "ben", "cleo"} {
		m.AddPerson(remote.Person{ID: id, Email: id + "@example.com", Name: id})
	}
	return m
}

func TestCollections(t *testing.T) {
	t.Parallel()
	for name, o := range variants {
		t.Run("crm/"+name, func(t *testing.T) {
			t.Parallel()
			remotetest.RunCollection(t, func(*testing.T) remotetest.Fixture {
				c := memory.NewCRM(o)
				return remotetest.Fixture{Side: record.CRM, World: crmWorld(c), Open: func() remote.Collection { return c.Collection(record.Contacts) }}
			})
		})
		t.Run("mail/"+name, func(t *testing.T) {
			t.Parallel()
			remotetest.RunCollection(t, func(*testing.T) remotetest.Fixture {
				m := newMail(o)
				folder, own := m.AddFolder("anna", "CRM"), m.Folder("anna", memory.DefaultFolder)
				w := hands(remotetest.World{
					Create:          func(_ *testing.T, f mapping.Fields) string { return m.CreateItem(folder, f) },
					MoveOut:         func(_ *testing.T, id string) { m.MoveItem(id, own) },
					MoveIn:          func(_ *testing.T, id string) { m.MoveItem(id, folder) },
					DeleteContainer: func(*testing.T) { m.DeleteContainer(folder) },
				}, m)
				return remotetest.Fixture{Side: record.Mailbox, World: w, Open: func() remote.Collection {
					return m.Mailbox("anna").Collection(record.Contacts, remote.Container{ID: folder})
				}}
			})
		})
	}
}

// The decorator for faults changes nothing as long as it has none.
func TestCRM(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(remote.CRM) remote.CRM{
		"plain":     func(c remote.CRM) remote.CRM { return c },
		"decorated": faulty.NewPlan(nil).CRM,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remotetest.RunCRM(t, func(*testing.T) remotetest.CRMFixture {
				c := memory.NewCRM(memory.Options{})
				for _, id := range []string{"anna", "ben"} {
					c.AddPerson(remote.Person{ID: id, Email: id + "@example.com", Name: id})
				}
				return remotetest.CRMFixture{CRM: wrap(c), Users: [2]string{"anna", "ben"}, Unknown: "zoe", World: crmWorld(c)}
			})
		})
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(remote.Mail) remote.Mail{
		"plain":     func(m remote.Mail) remote.Mail { return m },
		"decorated": faulty.NewPlan(nil).Mail,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remotetest.RunMail(t, func(*testing.T) remotetest.MailFixture {
				m := newMail(memory.Options{PageSize: 50})
				return remotetest.MailFixture{
					Mail: wrap(m), Mailboxes: [3]string{"anna", "ben", "cleo"}, Unknown: "zoe",
					World: remotetest.MailWorld{
						CreateFolder: func(_ *testing.T, mailbox, name string) string { return m.AddFolder(mailbox, name) },
						CreateItem: func(_ *testing.T, mailbox, folder string, f mapping.Fields) string {
							if folder == "" {
								folder = m.Folder(mailbox, memory.DefaultFolder)
							}
							return m.CreateItem(folder, f)
						},
						Exists: func(_ *testing.T, _, id string) bool { _, ok := m.Item(id); return ok },
						Folders: func(_ *testing.T, mailbox, name string) int {
							if m.Folder(mailbox, name) == "" {
								return 0
							}
							return 1
						},
						RenameFolder: func(_ *testing.T, _, id, name string) { m.RenameFolder(id, name) },
						DeleteFolder: func(_ *testing.T, _, id string) { m.DeleteContainer(id) },
					},
				}
			})
		})
	}
}

// A server that normalises answers with what it made of a value, and the feed agrees.
func TestNormalise(t *testing.T) {
	t.Parallel()
	crm := memory.NewCRM(memory.Options{Normalise: func(_ string, v record.Value) record.Value {
		out := make(record.Value, len(v))
		for i, s := range v {
			out[i] = strings.ToUpper(s)
		}
		return out
	}})
	c := crm.Collection(record.Contacts)
	res := c.Apply(t.Context(), []remote.Write{{Kind: remote.Create, Set: person("Abel")}})[0]
	if res.Err != nil || res.Fields["LastName"].First() != "ABEL" {
		t.Errorf("the answer tells %q, error %v", res.Fields["LastName"].First(), res.Err)
	}
	if it, _ := crm.Item(res.ID); it.Fields["LastName"].First() != "ABEL" {
		t.Errorf("the item holds %q", it.Fields["LastName"].First())
	}
}
