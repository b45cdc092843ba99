package graph

import (
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/remotetest"
)

func TestCollectionConformance(t *testing.T) {
	t.Parallel()
	remotetest.RunCollection(t, func(t *testing.T) remotetest.Fixture {
		b := newBench(t)
		_, col := b.open(t)
		user := b.users[0]
		ok := func(t *testing.T, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		return remotetest.Fixture{
			Side: record.Mailbox,
			Open: func() remote.Collection { return b.g.Mailbox(user).Collection(record.Contacts, col.folder) },
			World: remotetest.World{
				Create: func(t *testing.T, f mapping.Fields) string {
					id, err := b.CreateContact(user, "CRM", typed(f))
					ok(t, err)
					return id
				},
				Edit:    func(t *testing.T, id string, f mapping.Fields) { ok(t, b.UpdateContact(user, id, typed(f))) },
				Delete:  func(t *testing.T, id string) { ok(t, b.DeleteContact(user, id)) },
				Restore: func(t *testing.T, id string) { ok(t, b.RestoreContact(user, id)) },
				Copy: func(t *testing.T, id string) string {
					copied, err := b.CopyContact(user, id, "CRM")
					ok(t, err)
					return copied
				},
				MoveOut:         func(t *testing.T, id string) { ok(t, b.MoveContact(user, id, "")) },
				MoveIn:          func(t *testing.T, id string) { ok(t, b.MoveContact(user, id, "CRM")) },
				ExpireCursors:   func(t *testing.T) { ok(t, b.ExpireDeltaTokens(user)) },
				DeleteContainer: func(t *testing.T) { ok(t, b.DeleteFolder(user, "CRM")) },
			},
		}
	})
}

func TestMailConformance(t *testing.T) {
	t.Parallel()
	remotetest.RunMail(t, func(t *testing.T) remotetest.MailFixture {
		b := newBench(t)
		name := func(t *testing.T, user, folder string) string {
			t.Helper()
			folders, err := b.Folders(user)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range folders {
				if f.ID == folder {
					return f.Name
				}
			}
			return folder
		}
		return remotetest.MailFixture{
			Mail: b.g, Mailboxes: [3]string(b.users), Unknown: "00000000-0000-4000-8000-00000000dead",
			World: remotetest.MailWorld{
				CreateFolder: func(t *testing.T, user, folder string) string {
					id, err := b.CreateFolder(user, folder)
					if err != nil {
						t.Fatal(err)
					}
					return id
				},
				CreateItem: func(t *testing.T, user, folder string, f mapping.Fields) string {
					id, err := b.CreateContact(user, name(t, user, folder), typed(f))
					if err != nil {
						t.Fatal(err)
					}
					return id
				},
				Exists: func(t *testing.T, user, id string) bool {
					folders, err := b.Folders(user)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range folders {
						items, err := b.Contacts(user, f.Name)
						if err != nil {
							t.Fatal(err)
						}
						if slices.ContainsFunc(items, func(c map[string]any) bool { return c["id"] == id }) {
							return true
						}
					}
					return false
				},
				Folders: func(t *testing.T, user, folder string) (n int) {
					folders, err := b.Folders(user)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range folders {
						if strings.EqualFold(f.Name, folder) {
							n++
						}
					}
					return n
				},
				RenameFolder: func(t *testing.T, user, id, to string) {
					if err := b.RenameFolder(user, name(t, user, id), to); err != nil {
						t.Fatal(err)
					}
				},
				DeleteFolder: func(t *testing.T, user, id string) {
					if err := b.DeleteFolder(user, name(t, user, id)); err != nil {
						t.Fatal(err)
					}
				},
			},
		}
	})
}
