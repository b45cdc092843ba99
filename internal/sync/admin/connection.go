package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// What a connection must say:
//
//   - Its kind is one that we have a connector for, its way to prove who we are one
//     that the kind knows, and all that this way needs is given and nothing else.
//   - Its addresses are https, or plain http to this very machine.
//   - Its secrets are references to where they are found, never the secrets.

// setting is one thing a connection can say of itself, under its flag's name.
type setting string

const (
	endpoint      setting = "endpoint"
	tokenEndpoint setting = "token-endpoint"
	tenant        setting = "tenant"
	clientID      setting = "client-id"
	username      setting = "username"
	secret        setting = "secret"
	token         setting = "token"
	certificate   setting = "certificate"
)

// proof is what one way of proving who we are needs, and what it can use besides.
type proof struct {
	needs []setting
	uses  []setting
	// person: it speaks for one person, who has signed in.
	person bool
}

type kind struct {
	side   record.Side
	proofs map[string]proof
}

var kinds = map[string]kind{
	"graph": {record.Mailbox, map[string]proof{
		"client-secret":    {needs: []setting{tenant, clientID, secret}, uses: []setting{endpoint, tokenEndpoint}},
		"certificate":      {needs: []setting{tenant, clientID, certificate}, uses: []setting{endpoint}},
		"managed-identity": {uses: []setting{endpoint, clientID}},
		"device-code":      {needs: []setting{tenant, clientID}, uses: []setting{endpoint}, person: true},
	}},
	"salesforce": {record.CRM, map[string]proof{
		"client-secret": {needs: []setting{endpoint, clientID, secret}, uses: []setting{tokenEndpoint}},
		"jwt":           {needs: []setting{endpoint, clientID, username, certificate}, uses: []setting{tokenEndpoint}},
		"refresh-token": {needs: []setting{endpoint, clientID, token}, uses: []setting{tokenEndpoint, secret}},
		"token":         {needs: []setting{endpoint, token}},
	}},
}

// Kinds returns the kinds of connection, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// SideOf returns the side that a kind of connection leads to, or "".
func SideOf(kindName string) record.Side { return kinds[kindName].side }

// Proofs returns the ways to prove who we are that a kind knows, sorted.
func Proofs(kindName string) []string { return slices.Sorted(maps.Keys(kinds[kindName].proofs)) }

// Complete fills in what follows from the rest: the way to prove who we are from
// the one secret that is given, and the reference to a certificate that was given
// as a plain path.
func Complete(c roster.Connection) roster.Connection {
	if c.Certificate != "" && !strings.Contains(c.Certificate, "-----BEGIN") && !isReference(c.Certificate) {
		c.Certificate = "file:" + c.Certificate
	}
	if c.Auth == "" {
		switch {
		case c.Certificate != "" && c.Kind == "salesforce":
			c.Auth = "jwt"
		case c.Certificate != "":
			c.Auth = "certificate"
		case c.Secret != "":
			c.Auth = "client-secret"
		case c.Token != "":
			c.Auth = "token"
		}
	}
	return c
}

// CheckConnection returns nil for a connection that can be stored, or an *Error
// that says what is wrong. It makes no call.
func CheckConnection(c roster.Connection) error {
	if err := checkName("connection", c.Name); err != nil {
		return err
	}
	k, ok := kinds[c.Kind]
	if !ok {
		return badConnection("kind %q is not known: use %s", c.Kind, strings.Join(Kinds(), " or "))
	}
	p, ok := k.proofs[c.Auth]
	switch {
	case c.Auth == "":
		return badConnection("say how we prove who we are: --auth %s", strings.Join(Proofs(c.Kind), "|"))
	case !ok:
		return badConnection("%s does not know auth %q: use %s", c.Kind, c.Auth, strings.Join(Proofs(c.Kind), ", "))
	}
	for _, address := range []struct{ flag, value string }{{"endpoint", c.Endpoint}, {"token-endpoint", c.TokenEndpoint}} {
		if err := checkAddress(address.flag, address.value); err != nil {
			return err
		}
	}
	given := map[setting]string{
		endpoint: c.Endpoint, tokenEndpoint: c.TokenEndpoint, tenant: c.Tenant,
		clientID: c.ClientID, username: c.Username, secret: c.Secret, token: c.Token, certificate: c.Certificate,
	}
	for _, s := range []setting{secret, token, certificate} {
		if given[s] != "" && !isReference(given[s]) {
			// The value itself is not repeated: it may be the secret.
			return badConnection("--%s takes env:NAME, file:PATH, cmd:COMMAND or keyring:NAME, never the %s itself", s, s)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(given)) {
		switch {
		case s == tenant && c.TokenEndpoint != "":
			// The tenant only says where tokens come from.
		case given[s] == "" && slices.Contains(p.needs, s):
			return badConnection("auth %s of %s needs --%s", c.Auth, c.Kind, s)
		case given[s] != "" && !slices.Contains(p.needs, s) && !slices.Contains(p.uses, s):
			return badConnection("auth %s of %s does not use --%s", c.Auth, c.Kind, s)
		}
	}
	if c.StampField != "" && k.side != record.CRM {
		return badConnection("--stamp-field is for a CRM connection")
	}
	if c.AppID != "" && k.side != record.Mailbox {
		return badConnection("--app-id is for a mail connection")
	}
	return nil
}

func badConnection(format string, args ...any) error {
	return &Error{Kind: Invalid, Code: CodeConnectionInvalid, Message: fmt.Sprintf(format, args...), Fix: "crmsync connection add --help"}
}

// isReference tells whether text says where a secret is found.
func isReference(text string) bool {
	scheme, rest, ok := strings.Cut(text, ":")
	return ok && strings.TrimSpace(rest) != "" && slices.Contains([]string{"env", "file", "cmd", "keyring"}, scheme)
}

func checkAddress(flag, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return badConnection("--%s is not an address such as https://acme.my.salesforce.com", flag)
	case u.User != nil:
		return badConnection("--%s may not contain a user name or a password", flag)
	case u.RawQuery != "" || u.Fragment != "":
		return badConnection("--%s may not contain a query or a fragment", flag)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return badConnection("--%s: plain http goes only to this machine; use https", flag)
	}
	return badConnection("--%s: use https", flag)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkName refuses names that a table, a CSV file or a shell would mangle.
func checkName(what, name string) error {
	bad := func(why string) error {
		return &Error{Kind: Invalid, Code: CodeConnectionInvalid, Message: fmt.Sprintf("the name of the %s %s", what, why)}
	}
	switch {
	case strings.TrimSpace(name) == "":
		return bad("is empty")
	case len([]rune(name)) > 64:
		return bad("is longer than 64 characters")
	case strings.TrimSpace(name) != name:
		return bad("begins or ends with a space")
	case strings.HasPrefix(name, "-"):
		return bad("begins with a hyphen")
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" ._-", r) {
			return bad("may contain letters, digits, space, dot, underscore and hyphen")
		}
	}
	return nil
}

// AddConnection stores a connection. It makes no call: check does.
func (a *Admin) AddConnection(ctx context.Context, c roster.Connection, dry bool) error {
	c = Complete(c)
	if err := CheckConnection(c); err != nil {
		return err
	}
	switch _, err := a.Store.Connection(ctx, c.Name); {
	case err == nil:
		return exists("connection", c.Name)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if dry {
		return nil
	}
	err := a.Store.AddConnection(ctx, c, a.activity(ActivityConnectionAdded, "", "", c.Name+" ("+c.Kind+")"))
	if errors.Is(err, ErrExists) {
		return exists("connection", c.Name)
	}
	return err
}

// RemoveConnection forgets a connection that no organization uses.
func (a *Admin) RemoveConnection(ctx context.Context, name string, dry bool) error {
	if _, err := a.Store.Connection(ctx, name); err != nil {
		return notFound("connection", name, "crmsync connection list", err)
	}
	orgs, err := a.Store.Organizations(ctx)
	if err != nil {
		return err
	}
	if users := usersOf(name, orgs); len(users) > 0 {
		return &Error{
			Kind: Refused, Code: CodeConnectionInUse, Err: ErrInUse,
			Message: fmt.Sprintf("connection %s is used by organization %s", name, strings.Join(users, ", ")),
			Fix:     "crmsync org list",
		}
	}
	if dry {
		return nil
	}
	return a.Store.RemoveConnection(ctx, name, a.activity(ActivityConnectionRemoved, "", "", name))
}

// usersOf returns the names of the organizations that use a connection.
func usersOf(connection string, orgs []roster.Organization) []string {
	var names []string
	for _, o := range orgs {
		if o.CRM == connection || o.Mail == connection {
			names = append(names, o.Name)
		}
	}
	return names
}

func exists(what, name string) error {
	return &Error{Kind: Refused, Code: CodeExists, Message: fmt.Sprintf("%s %s exists already", what, name), Err: ErrExists}
}

// notFound explains ErrNotFound and passes any other error on.
func notFound(what, name, fix string, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	return &Error{Kind: Unresolved, Code: CodeNotFound, Message: fmt.Sprintf("there is no %s %q", what, name), Fix: fix, Err: err}
}
