package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Health is what is known of a connection beyond its description.
type Health struct {
	Connection string
	// Code and Message say why the system as a whole refuses us, and Since when it began
	// to for that reason; Code is "" if it does not, as far as is known.
	Code    Code
	Message string
	Since   time.Time
	// Usage is what the system last told of its budget of requests.
	Usage remote.Usage
}

// after returns the health after a run in which the connection refused us with a fault,
// or answered if there is none. What began, or came to an end, is told once.
func (h Health) after(f *Fault, u remote.Usage, now time.Time) (Health, []Activity) {
	if u.Limit != 0 {
		h.Usage = u
	}
	tell := func(kind, details string) []Activity {
		return []Activity{{Time: now, Actor: "engine", Type: kind, Details: h.Connection + ": " + details}}
	}
	switch {
	case f == nil && h.Code == "":
	case f == nil:
		told := tell("connection.answers", fmt.Sprintf("answers again; it refused us since %s: %s", h.Since.UTC().Format(time.RFC3339), h.Message))
		h.Code, h.Message, h.Since = "", "", time.Time{}
		return h, told
	case h.Code == f.Code:
		h.Message = f.Error()
	default:
		h.Code, h.Message, h.Since = f.Code, f.Error(), now
		return h, tell("connection.refuses", f.Code+" "+f.Error())
	}
	return h, nil
}

// refusesAll tells whether a code means that a system as a whole refuses us, whoever the
// user is.
func refusesAll(code Code) bool {
	return code == CodeConnection || code == CodeSetup || code == CodeBudget
}

// refused remembers that a connection refuses us as a whole, if the error says so: the
// run asks it nothing more.
func (r *runner) refused(connection string, err error) {
	f := faultOf(err)
	if f == nil || !refusesAll(f.Code) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken[connection] == nil {
		r.broken[connection] = f
	}
}

// openCRM opens the CRM behind a connection, unless the connection has refused this run.
func (r *runner) openCRM(ctx context.Context, name string) (remote.CRM, error) {
	return opened(r, name, record.CRM, func() (remote.CRM, error) { return r.e.Systems.CRM(ctx, name) })
}

// openMail does the same with a mail system.
func (r *runner) openMail(ctx context.Context, name string) (remote.Mail, error) {
	return opened(r, name, record.Mailbox, func() (remote.Mail, error) { return r.e.Systems.Mail(ctx, name) })
}

func opened[S any](r *runner, name string, side record.Side, open func() (S, error)) (s S, err error) {
	r.opening.Lock()
	defer r.opening.Unlock()
	if f := r.brokenBy(name); f != nil {
		return s, f
	}
	s, err = open()
	err = remoteFault(side, "opening connection "+name, err)
	r.refused(name, err)
	return s, err
}

// brokenBy returns why a connection is left alone in this run; nil if it is not.
func (r *runner) brokenBy(connection string) *Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.broken[connection]
	if f == nil {
		return nil
	}
	return &Fault{Code: f.Code, Side: f.Side, Doing: "connection " + connection + " refuses us", Err: f}
}

// tellHealth stores what the run has learnt of its connections.
func (r *runner) tellHealth(ctx context.Context) error {
	r.mu.Lock()
	names := slices.Collect(maps.Keys(r.answered))
	for c := range r.broken {
		if !r.answered[c] {
			names = append(names, c)
		}
	}
	r.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		f, usage := r.broken[name], remote.Usage{}
		if f == nil || f.Code == CodeBudget {
			usage = r.usage(ctx, name)
		}
		err := r.e.State.UpdateHealth(ctx, name, func(h Health) (Health, []Activity) {
			return h.after(f, usage, r.e.Now())
		})
		if err != nil {
			return stateFault("noting how the connections do", err)
		}
	}
	return nil
}

// usage is what is known of the budget of an open connection; it asks nothing.
func (r *runner) usage(ctx context.Context, name string) remote.Usage {
	for _, m := range r.members {
		var system remote.System
		var err error
		switch name {
		case m.Org.CRM:
			system, err = r.e.Systems.CRM(ctx, name)
		case m.Org.Mail:
			system, err = r.e.Systems.Mail(ctx, name)
		default:
			continue
		}
		if err != nil {
			break
		}
		return system.Usage()
	}
	return remote.Usage{}
}
