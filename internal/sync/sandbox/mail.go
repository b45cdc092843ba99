package sandbox

import (
	"errors"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
)

// addMailbox adds an account with its mailbox.
func addMailbox(s *m365.Server, email, given, family string) error {
	_, err := s.AddUser(m365.User{
		UserPrincipalName: email, Mail: email, GivenName: given, Surname: family, DisplayName: given + " " + family,
	})
	return err
}

// createInMailbox adds a contact, and the folder if it is not there. "" is the default
// folder.
func createInMailbox(s *m365.Server, user, folder string, props map[string]any) (string, error) {
	if props["displayName"] == nil { // Outlook always fills it
		if n := nameOf(flatten(props)); n != "" {
			props["displayName"] = n
		}
	}
	id, err := s.CreateContact(user, folder, props)
	if folder == "" || !errors.Is(err, m365.ErrNotFound) {
		return id, err
	}
	if _, err := s.CreateFolder(user, folder); err != nil {
		return "", err
	}
	return s.CreateContact(user, folder, props)
}

// mailboxItem is a contact where it lies.
type mailboxItem struct {
	id, folder string
	props      map[string]any
}

// mailboxItems returns all contacts of a mailbox.
func mailboxItems(s *m365.Server, user string) ([]mailboxItem, error) {
	folders, err := s.Folders(user)
	if err != nil {
		return nil, err
	}
	var out []mailboxItem
	for _, f := range folders {
		name := f.Name
		if f.Default {
			name = ""
		}
		items, err := s.Contacts(user, name)
		if err != nil {
			return nil, err
		}
		for _, p := range items {
			id, _ := p["id"].(string)
			out = append(out, mailboxItem{id: id, folder: f.Name, props: visible(p)})
		}
	}
	return out, nil
}

// visible leaves out what a person does not see.
func visible(props map[string]any) map[string]any {
	out := make(map[string]any, len(props))
	for k, v := range props {
		if !strings.Contains(k, "@odata") && k != "singleValueExtendedProperties" {
			out[k] = v
		}
	}
	return out
}
