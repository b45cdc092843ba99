package faulty

import (
	"context"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// CRM wraps a CRM.
func (p *Plan) CRM(c remote.CRM) remote.CRM {
	return &crm{CRM: c, system: system{inner: c, p: p, side: record.CRM}}
}

// Mail wraps a mail system.
func (p *Plan) Mail(m remote.Mail) remote.Mail {
	return &mail{Mail: m, system: system{inner: m, p: p, side: record.Mailbox}}
}

type system struct {
	inner remote.System
	p     *Plan
	side  record.Side
}

// failing makes a call whose answer is an error alone.
func (s system) failing(ctx context.Context, c Call, send func(context.Context) error) error {
	c.Side = s.side
	var err error
	_, fault := s.p.call(ctx, c, func(ctx context.Context) { err = send(ctx) })
	if fault != nil {
		return fault
	}
	return err
}

// answering makes a call that answers a value or an error.
func answering[T any](ctx context.Context, s system, c Call, send func(context.Context) (T, error)) (T, error) {
	var v T
	err := s.failing(ctx, c, func(ctx context.Context) (err error) {
		v, err = send(ctx)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

func (s system) check(ctx context.Context) error {
	return s.failing(ctx, Call{Method: "check"}, s.inner.Check)
}

func (s system) checkUser(ctx context.Context, user string) error {
	return s.failing(ctx, Call{Method: "check user"}, func(ctx context.Context) error { return s.inner.CheckUser(ctx, user) })
}

func (s system) people(ctx context.Context) ([]remote.Person, error) {
	return answering(ctx, s, Call{Method: "people"}, s.inner.People)
}

type crm struct {
	remote.CRM
	system system
}

func (c *crm) Check(ctx context.Context) error                     { return c.system.check(ctx) }
func (c *crm) CheckUser(ctx context.Context, user string) error    { return c.system.checkUser(ctx, user) }
func (c *crm) People(ctx context.Context) ([]remote.Person, error) { return c.system.people(ctx) }

func (c *crm) Organization(ctx context.Context) (string, error) {
	return answering(ctx, c.system, Call{Method: "organization"}, c.CRM.Organization)
}

func (c *crm) Collection(e record.Entity) remote.Collection {
	return wrapCollection(c.CRM.Collection(e), c.system.p, record.CRM, "")
}

type mail struct {
	remote.Mail
	system system
}

func (m *mail) Check(ctx context.Context) error { return m.system.check(ctx) }
func (m *mail) CheckUser(ctx context.Context, user string) error {
	return m.system.checkUser(ctx, user)
}
func (m *mail) People(ctx context.Context) ([]remote.Person, error) { return m.system.people(ctx) }

func (m *mail) Mailbox(id string) remote.Mailbox {
	return &mailbox{Mailbox: m.Mail.Mailbox(id), system: m.system, id: id}
}

func (m *mail) Prefetch(ctx context.Context, feeds []remote.MailFeed) []remote.FeedResult {
	var out []remote.FeedResult
	c := Call{Side: record.Mailbox, Method: "prefetch", Items: len(feeds)}
	f, fault := m.system.p.call(ctx, c, func(ctx context.Context) { out = m.Mail.Prefetch(ctx, feeds) })
	if fault != nil {
		out = make([]remote.FeedResult, len(feeds))
		for i := range out {
			out[i].Err = fault
		}
		return out
	}
	if f.Kind == OneItem && len(out) > 0 {
		out[f.Item%len(out)] = remote.FeedResult{Err: &remote.Error{Class: remote.ClassTransient, Status: 500, Code: string(f.Kind), Message: "the server failed"}}
	}
	return out
}

func (m *mail) AddIns() remote.AddIns {
	in := m.Mail.AddIns()
	if in == nil {
		return nil
	}
	return &addIns{AddIns: in, system: m.system}
}

type mailbox struct {
	remote.Mailbox
	system system
	id     string
}

func (b *mailbox) as(method string, writes bool) Call {
	return Call{Method: method, Mailbox: b.id, Writes: writes}
}

func (b *mailbox) Prepare(ctx context.Context, want remote.Customization) (remote.Prepared, error) {
	return answering(ctx, b.system, b.as("prepare", true), func(ctx context.Context) (remote.Prepared, error) { return b.Mailbox.Prepare(ctx, want) })
}

func (b *mailbox) Claim(ctx context.Context, want remote.Customization) (*remote.Claim, error) {
	return answering(ctx, b.system, b.as("claim", false), func(ctx context.Context) (*remote.Claim, error) { return b.Mailbox.Claim(ctx, want) })
}

func (b *mailbox) Inspect(ctx context.Context, want remote.Customization) ([]remote.Artefact, error) {
	return answering(ctx, b.system, b.as("inspect", false), func(ctx context.Context) ([]remote.Artefact, error) { return b.Mailbox.Inspect(ctx, want) })
}

func (b *mailbox) Remove(ctx context.Context, have remote.Customization, ids []string) ([]remote.Artefact, error) {
	c := b.as("remove", true)
	c.Items = len(ids)
	return answering(ctx, b.system, c, func(ctx context.Context) ([]remote.Artefact, error) { return b.Mailbox.Remove(ctx, have, ids) })
}

func (b *mailbox) Collection(e record.Entity, c remote.Container) remote.Collection {
	return wrapCollection(b.Mailbox.Collection(e, c), b.system.p, record.Mailbox, b.id)
}

type addIns struct {
	remote.AddIns
	system system
}

func (a *addIns) Status(ctx context.Context, mailbox string) (bool, error) {
	return answering(ctx, a.system, Call{Method: "add-in status", Mailbox: mailbox}, func(ctx context.Context) (bool, error) { return a.AddIns.Status(ctx, mailbox) })
}

func (a *addIns) Install(ctx context.Context, mailbox string) error {
	return a.system.failing(ctx, Call{Method: "add-in install", Mailbox: mailbox, Writes: true}, func(ctx context.Context) error { return a.AddIns.Install(ctx, mailbox) })
}

func (a *addIns) Remove(ctx context.Context, mailbox string) error {
	return a.system.failing(ctx, Call{Method: "add-in remove", Mailbox: mailbox, Writes: true}, func(ctx context.Context) error { return a.AddIns.Remove(ctx, mailbox) })
}
