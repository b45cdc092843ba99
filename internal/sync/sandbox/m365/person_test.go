package m365

import (
	"errors"
	"fmt"
	"testing"
)

func TestPeople(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ada = "ada@contoso.example"
	if _, err := b.s.CreateFolder(ada, "CRM"); err != nil {
		t.Fatal(err)
	}
	id, err := b.s.CreateContact(ada, "CRM", map[string]any{"givenName": "Jöhn", "birthday": "1990-02-03", "singleValueExtendedProperties": prop(stampID, "op")})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := b.s.CopyContact(ada, id, "CRM")
	if err != nil {
		t.Fatal(err)
	}
	all, err := b.s.Contacts(ada, "crm")
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	if all[0]["birthday"] != "1990-02-03T11:59:00Z" || all[0]["id"] != id || all[1]["id"] != copied || copied == id {
		t.Errorf("contacts %v", all)
	}
	if fmt.Sprint(all[0]["singleValueExtendedProperties"]) != fmt.Sprint(all[1]["singleValueExtendedProperties"]) || all[1]["singleValueExtendedProperties"] == nil {
		t.Error("a copy bears other extended properties than the original")
	}
	if all[0]["@odata.etag"] == all[1]["@odata.etag"] {
		t.Error("two contacts have one etag")
	}
	if f, err := b.s.Folders(ada); err != nil || len(f) != 2 || !f[0].Default || f[1].Contacts != 2 {
		t.Errorf("folders %v, %v", f, err)
	}
	for what, err := range map[string]error{
		"user":             b.s.DeleteContact("nobody", id),
		"contact":          b.s.DeleteContact(ada, "nothing"),
		"folder":           b.s.DeleteFolder(ada, "nothing"),
		"move to nowhere":  b.s.MoveContact(ada, id, "nothing"),
		"restore of alive": b.s.RestoreContact(ada, id),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := b.s.CreateContact(ada, "", map[string]any{"shoeSize": 1}); err == nil {
		t.Error("a person can type what Outlook has no field for")
	}
	if err := b.s.DeleteFolder(ada, ""); err == nil {
		t.Error("the default folder can be deleted")
	}
	if err := b.s.DeleteFolder(ada, "CRM"); err != nil {
		t.Fatal(err)
	}
	if err := b.s.RestoreContact(ada, id); err != nil {
		t.Fatal(err)
	}
	if all, _ := b.s.Contacts(ada, "Contacts"); len(all) != 1 || all[0]["id"] != id {
		t.Errorf("after the folder was deleted a restored contact is in %v", all)
	}
	if cats, err := b.s.Categories(ada); err != nil || len(cats) != 6 {
		t.Errorf("categories %v, %v", cats, err)
	}
}

// The work of a delta follows the contacts there are and the changes since, not the
// changes there ever were. What is counted is the entries, not time.
func TestLogStaysSmall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id, err := b.s.CreateContact(b.user.ID, "", name(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if err := b.s.UpdateContact(b.user.ID, id, map[string]any{"surname": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	f := b.s.users[b.user.ID].defaultFolder()
	if len(f.log) > 200 || len(f.items) != 1 {
		t.Errorf("one contact that was changed often leaves %d entries in the log", len(f.log))
	}
}

func BenchmarkBatchOfCreates(b *testing.B) {
	s := New(Options{Now: (&clock{}).Now})
	u, _ := s.AddUser(User{Mail: "a@b.example"})
	m := s.users[key(u.ID)]
	for b.Loop() {
		s.mu.Lock()
		body, _ := typed(map[string]any{"givenName": "A", "surname": "B"})
		r, _ := s.newContact(m, m.defaultFolder(), body)
		_ = okReply(201, m.view(r, true))
		s.mu.Unlock()
	}
}
