package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// Who can be synchronized:
//
//   - A user is one CRM user and one mailbox that bear the same primary e-mail
//     address, without regard to case. Both are remembered by their systems' own ids,
//     so that a later change of address changes nothing.
//   - More than one of either with that address, none, or one that its system calls
//     unusable: the person cannot be provisioned, and the reason is named.
//   - No mailbox and no CRM user serves two users.

// people are those of one system, by what they can be found by.
type people struct {
	byAddress map[string][]remote.Person
	byID      map[string]remote.Person
	list      []remote.Person
}

func index(list []remote.Person) people {
	p := people{byAddress: map[string][]remote.Person{}, byID: map[string]remote.Person{}, list: list}
	for _, x := range list {
		p.byID[x.ID] = x
		if key := address(x.Email); key != "" {
			p.byAddress[key] = append(p.byAddress[key], x)
		}
	}
	return p
}

// address is an e-mail address as it is compared.
func address(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// directory is who there is on the two sides of an organization.
type directory struct {
	crm, mail people
}

// pair is a CRM user and the mailbox of the same person.
type pair struct {
	crm, mailbox remote.Person
}

// find returns the two accounts of the person whom an e-mail address, a CRM user id
// or a mailbox id names.
func (d directory) find(key string) (pair, error) {
	if p, ok := d.crm.byID[key]; ok {
		key = p.Email
	} else if p, ok := d.mail.byID[key]; ok {
		key = p.Email
	}
	key = address(key)
	if key == "" {
		return pair{}, &Error{Kind: Unresolved, Code: CodeUserUnresolved, Message: "the account has no e-mail address", Fix: "give the account a primary e-mail address"}
	}
	c, m := d.crm.byAddress[key], d.mail.byAddress[key]
	switch {
	case len(c) > 1:
		return pair{}, ambiguous("CRM users", c)
	case len(m) > 1:
		return pair{}, ambiguous("mailboxes", m)
	case len(c) == 0 && len(m) == 0:
		return pair{}, &Error{
			Kind: Unresolved, Code: CodeUserUnresolved,
			Message: "neither the CRM nor the mail system knows this user",
			Fix:     "crmsync users import --from directory --dry-run",
		}
	case len(c) == 0:
		return pair{}, &Error{
			Kind: Unresolved, Code: CodeUserUnresolved,
			Message: "no active CRM user has the primary address of this mailbox",
			Fix:     "create the user in the CRM, with the same e-mail address",
		}
	case len(m) == 0:
		return pair{}, d.noMailbox(c[0])
	case c[0].Unusable != "":
		return pair{}, unusable("CRM user", c[0])
	case m[0].Unusable != "":
		return pair{}, unusable("mailbox", m[0])
	}
	return pair{c[0], m[0]}, nil
}

// noMailbox explains why a CRM user has no mailbox. A mailbox under the same name
// that nobody else can claim is most likely his, under another primary address.
func (d directory) noMailbox(c remote.Person) error {
	for _, m := range d.mail.list {
		if c.Name != "" && strings.EqualFold(m.Name, c.Name) && len(d.crm.byAddress[address(m.Email)]) == 0 {
			return &Error{
				Kind: Unresolved, Code: CodeAddressesDiffer,
				Message: fmt.Sprintf("the primary addresses differ: %s in the CRM, %s at the mailbox of the same name", c.Email, m.Email),
				Fix:     "make the two addresses equal",
			}
		}
	}
	return &Error{
		Kind: Unresolved, Code: CodeUserUnresolved,
		Message: "no mailbox has the primary address of this CRM user",
		Fix:     "give the mailbox this primary address, or the CRM user the mailbox's",
	}
}

func ambiguous(what string, list []remote.Person) error {
	ids := make([]string, len(list))
	for i, p := range list {
		ids[i] = p.ID
	}
	return &Error{
		Kind: Unresolved, Code: CodeUserAmbiguous,
		Message: fmt.Sprintf("%d %s bear this address: %s", len(list), what, strings.Join(ids, ", ")),
		Fix:     "leave the address to one of them",
	}
}

func unusable(what string, p remote.Person) error {
	return &Error{Kind: Unresolved, Code: CodeUserUnusable, Message: fmt.Sprintf("the %s cannot be synchronized: %s", what, p.Unusable)}
}

// names returns what to look for to find everyone there is: the addresses, sorted,
// and the ids of accounts without one.
func (d directory) names() []string {
	all := map[string]bool{}
	for _, p := range slices.Concat(d.crm.list, d.mail.list) {
		if key := address(p.Email); key != "" {
			all[key] = true
		} else {
			all[p.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// taken are the users there are, by all that must not be shared. Ids are unique
// within a connection only.
type taken struct {
	orgs                          map[string]roster.Organization
	byAddress, byCRM, byMailboxID map[string]roster.User
}

func takenBy(users []roster.User, orgs map[string]roster.Organization) taken {
	t := taken{orgs, map[string]roster.User{}, map[string]roster.User{}, map[string]roster.User{}}
	for _, u := range users {
		t.add(u)
	}
	return t
}

func within(connection, id string) string { return connection + "\x00" + id }

func (t taken) add(u roster.User) {
	o := t.orgs[u.Org]
	t.byAddress[address(u.Email)] = u
	if u.CRMUser != "" {
		t.byCRM[within(o.CRM, u.CRMUser)] = u
	}
	if u.MailboxID != "" {
		t.byMailboxID[within(o.Mail, u.MailboxID)] = u
	}
}

// clash says why a pair of accounts cannot become a user: somebody has them. same is
// that user if he is exactly this one.
func (t taken) clash(p pair, o roster.Organization) (same *roster.User, err error) {
	by := func(u roster.User, what string) error {
		return &Error{
			Kind: Refused, Code: CodeMailboxTaken, Err: ErrExists,
			Message: fmt.Sprintf("the %s belongs to user %s already", what, u.Email),
			Fix:     "crmsync users show " + u.Email,
		}
	}
	m, haveM := t.byMailboxID[within(o.Mail, p.mailbox.ID)]
	c, haveC := t.byCRM[within(o.CRM, p.crm.ID)]
	u, haveU := t.byAddress[address(p.mailbox.Email)]
	switch {
	case haveM && haveC && m.Email == c.Email:
		return &m, nil
	case haveM:
		return nil, by(m, "mailbox")
	case haveC:
		return nil, by(c, "CRM user")
	case haveU:
		return nil, by(u, "address")
	}
	return nil, nil
}

// directory reads who there is on both sides of an organization.
func (a *Admin) directory(ctx context.Context, o roster.Organization) (directory, error) {
	crm, err := a.Systems.CRM(ctx, o.CRM)
	if err != nil {
		return directory{}, err
	}
	mail, err := a.Systems.Mail(ctx, o.Mail)
	if err != nil {
		return directory{}, err
	}
	users, err := crm.People(ctx)
	if err != nil {
		return directory{}, fmt.Errorf("listing the users of connection %s: %w", o.CRM, err)
	}
	boxes, err := mail.People(ctx)
	if err != nil {
		return directory{}, fmt.Errorf("listing the mailboxes of connection %s: %w", o.Mail, err)
	}
	return directory{index(users), index(boxes)}, nil
}
