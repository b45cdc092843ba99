package graph

import (
	"context"
	"net/http"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// user is a user of the directory
// (https://learn.microsoft.com/graph/api/resources/user).
type user struct {
	ID        string `json:"id"`
	Name      string `json:"displayName"`
	Mail      string `json:"mail"`
	Principal string `json:"userPrincipalName"`
	Type      string `json:"userType"`
	Enabled   *bool  `json:"accountEnabled"`
}

// People lists the users of the tenant. Whether a mailbox is really there shows only
// when it is asked for.
func (g *Graph) People(ctx context.Context) ([]remote.Person, error) {
	var out []remote.Person
	_, err := pages(ctx, g, g.tenant, call{
		method: http.MethodGet, path: "/users",
		query: query{"$select": "id,displayName,mail,userPrincipalName,userType,accountEnabled", "$top": "999"},
	}, func(users []user) error {
		for _, u := range users {
			out = append(out, u.person())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (u user) person() remote.Person {
	p := remote.Person{ID: u.ID, Email: u.Mail, Name: u.Name}
	if p.Email == "" {
		p.Email = u.Principal
	}
	switch {
	case strings.EqualFold(u.Type, "Guest"):
		p.Unusable = "a guest has no mailbox here"
	case u.Enabled != nil && !*u.Enabled:
		p.Unusable = "the account is disabled"
	case u.Mail == "":
		p.Unusable = "the account has no mailbox"
	}
	return p
}
