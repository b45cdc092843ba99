package engine_test

import (
	"context"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// A watch stands at the servers' doors and sees each write that really arrives there,
// late ones and second ones included.
type watch func(side record.Side, w remote.Write, send func() remote.WriteResult) remote.WriteResult

type watchedCRM struct {
	remote.CRM
	see watch
}

func (c watchedCRM) Collection(e record.Entity) remote.Collection {
	return watched{c.CRM.Collection(e), record.CRM, c.see}
}

type watchedMail struct {
	remote.Mail
	see watch
}

func (m watchedMail) Mailbox(id string) remote.Mailbox {
	return watchedMailbox{m.Mail.Mailbox(id), m.see}
}

type watchedMailbox struct {
	remote.Mailbox
	see watch
}

func (b watchedMailbox) Collection(e record.Entity, c remote.Container) remote.Collection {
	return watched{b.Mailbox.Collection(e, c), record.Mailbox, b.see}
}

type watched struct {
	remote.Collection
	side record.Side
	see  watch
}

func (c watched) Apply(ctx context.Context, writes []remote.Write) []remote.WriteResult {
	var out []remote.WriteResult
	for i, w := range writes {
		out = append(out, c.see(c.side, w, func() remote.WriteResult {
			return c.Collection.Apply(ctx, writes[i:i+1])[0]
		}))
	}
	return out
}

// watched puts a watch at the doors of both systems.
func (w *world) watched(see watch) {
	w.crmThrough = func(c remote.CRM) remote.CRM { return watchedCRM{c, see} }
	w.mailThrough = func(m remote.Mail) remote.Mail { return watchedMail{m, see} }
}
