package main

import (
	"context"
	"net/http"
	"time"

	"github.com/crmsync/crmsync/internal/commands"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/graph"
	"github.com/crmsync/crmsync/internal/sync/remote/salesforce"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// network opens connections whose requests are carried by base, and which wait for their
// next try by sleep: the real network and real time where they are nil.
type network struct {
	base  http.RoundTripper
	sleep func(context.Context, time.Duration) error
}

// openMail opens a connection to a mail system.
func (n network) openMail(ctx context.Context, c roster.Connection, o commands.ConnectOptions) (remote.Mail, error) {
	if c.Kind != "graph" {
		return nil, wrongKind(c, "mail system", "graph")
	}
	return graph.New(graph.Config{
		Endpoint: c.Endpoint, TokenEndpoint: c.TokenEndpoint,
		Tenant: c.Tenant, ClientID: c.ClientID, Auth: graph.Auth(c.Auth),
		Secret:      secret(ctx, o, c.Secret),
		Certificate: secret(ctx, o, c.Certificate),
		Prompt:      o.Prompt,
		AppID:       c.AppID,
		Log:         o.Log, Now: o.Now, Sleep: n.sleep, Transport: n.base, Spent: o.Spent,
	})
}

// openCRM opens a connection to a CRM.
func (n network) openCRM(ctx context.Context, c roster.Connection, o commands.ConnectOptions) (remote.CRM, error) {
	if c.Kind != "salesforce" {
		return nil, wrongKind(c, "CRM", "salesforce")
	}
	return salesforce.Open(ctx, salesforce.Config{
		Endpoint: c.Endpoint, TokenEndpoint: c.TokenEndpoint,
		Auth: c.Auth, ClientID: c.ClientID, Username: c.Username,
		Secret:     secret(ctx, o, c.Secret),
		Token:      secret(ctx, o, c.Token),
		Key:        secret(ctx, o, c.Certificate),
		StampField: c.StampField,
		Log:        o.Log, Now: o.Now, Sleep: n.sleep, Base: n.base, Usage: o.Usage,
	})
}

// secret resolves a reference whenever it is asked for.
func secret(ctx context.Context, o commands.ConnectOptions, reference string) func() ([]byte, error) {
	ctx = context.WithoutCancel(ctx)
	return func() ([]byte, error) {
		s, err := o.Secret(ctx, reference)
		return []byte(s), err
	}
}

func wrongKind(c roster.Connection, what, want string) error {
	return &remote.Error{
		Class: remote.ClassSetup, Message: "connection " + c.Name + " is of kind " + c.Kind + ", which is no " + what,
		Hint: "name a connection of kind " + want,
	}
}
