package commands

import (
	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// member is a user with what is derived from his organization.
type member struct {
	roster.User
	Effective roster.Effective
}

// members derives the effective state of users.
func members(users []roster.User, orgs []roster.Organization) []member {
	byName := make(map[string]roster.Organization, len(orgs))
	for _, o := range orgs {
		byName[o.Name] = o
	}
	ms := make([]member, len(users))
	for i, u := range users {
		ms[i] = member{User: u, Effective: roster.EffectiveOf(u, byName[u.Org])}
	}
	return ms
}

// userFields are the fields of users list, and what --where can ask for.
var userFields = []ui.Field[member]{
	{Name: "email", Of: func(m member) any { return m.Email }},
	{Name: "name", Of: func(m member) any { return m.Name }, Wide: true},
	{Name: "org", Of: func(m member) any { return m.Org }},
	{Name: "plan", Of: func(m member) any { return m.Plan }, Wide: true},
	{Name: "crmUser", Of: func(m member) any { return m.CRMUser }, Wide: true},
	{Name: "mailboxId", Of: func(m member) any { return m.MailboxID }, Wide: true},
	{Name: "sync", Of: func(m member) any { return string(m.Sync) }, Word: true},
	{Name: "cause", Of: func(m member) any { return string(m.Cause) }, Wide: true},
	{Name: "effective", Of: func(m member) any { return m.Effective.State }, Word: true},
	{Name: "mailbox", Of: func(m member) any { return string(m.Mailbox) }, Word: true},
	{Name: "addin", Of: func(m member) any { return string(m.AddIn) }, Word: true},
	{Name: "issues", Of: func(m member) any { return m.Issues }},
	{Name: "lastSuccess", Of: func(m member) any { return m.LastSuccess }},
	{Name: "nextDue", Of: func(m member) any { return m.NextDue }},
}
