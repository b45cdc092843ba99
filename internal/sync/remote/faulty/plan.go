// Package faulty decorates a CRM and a mail system with faults: a plan decides for
// each call, by its number, what goes wrong with it. One plan counts the calls to all
// that it wraps, so a test can fail the k-th call for every k, or draw faults from a
// seed and repeat them.
//
// A call that makes no request (Capabilities, Collection, Mailbox, Requests, Usage) is
// not counted.
package faulty

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Kind is what goes wrong with a call.
type Kind string

// The kinds of a fault. "Unclear" concerns calls that write: their error leaves open
// whether they took effect.
const (
	// None: nothing goes wrong.
	None Kind = ""
	// Refused: the connection was refused; not applied, and known not to be.
	Refused Kind = "refused"
	// Reset: the connection broke before the request arrived; not applied, unclear.
	Reset Kind = "reset"
	// Lost: applied, then the connection broke; unclear.
	Lost Kind = "lost"
	// GatewayTimeout: applied, then answered with 504; unclear.
	GatewayTimeout Kind = "gateway-timeout"
	// Twice: what updates or deletes is delivered twice, and the answer is that of the
	// second delivery. A create is delivered once: only its stamp tells a second one
	// from a person's copy, and a copy bears that too.
	Twice Kind = "twice"
	// Thrice: like Twice, with one more delivery.
	Thrice Kind = "thrice"
	// Truncated: applied, but the answer cannot be read; unclear.
	Truncated Kind = "truncated"
	// ServerError: answered with 500; not applied, unclear.
	ServerError Kind = "server-error"
	// Throttled: 429 with the fault's RetryAfter; not applied.
	Throttled Kind = "throttled"
	// Unavailable: 503 with the fault's RetryAfter; not applied.
	Unavailable Kind = "unavailable"
	// Denied: 403; not applied. ClassAuthorization.
	Denied Kind = "denied"
	// Slow: no answer until the context ends; not applied, unclear. A context that
	// never ends hangs the test.
	Slow Kind = "slow"
	// Late: fails like Reset, and, if it writes, is applied when the After-th call after
	// it begins.
	Late Kind = "late"
	// Partly: the first Item writes of an Apply are applied, then the connection breaks;
	// all of them are unclear. Any other call fails like Reset.
	Partly Kind = "partly"
	// OneItem: a good answer in which the item at index Item (modulo their number) is
	// refused and not applied. It does nothing to a call without items.
	OneItem Kind = "one-item"
	// Conflict: like OneItem, with a precondition refused for no reason.
	Conflict Kind = "conflict"
	// WrongVersion: applied, but the answer tells versions that no item ever had. It
	// does nothing to a call that is not Apply.
	WrongVersion Kind = "wrong-version"
)

// Kinds are all that can be drawn from a seed: those that need no thought.
var Kinds = []Kind{Refused, Reset, Lost, GatewayTimeout, Truncated, ServerError, Throttled, Unavailable, Late, Partly, OneItem, Conflict, WrongVersion, Twice, Thrice}

// Fault is what happens to one call.
type Fault struct {
	Kind       Kind
	RetryAfter time.Duration
	// Item is the index of an item, or a number of them, as Kind says.
	Item int
	// After is how many calls later a late one lands.
	After int
	// Before and Done are called before and after the call, outside all locks: they may
	// end the process, panic or cancel a context.
	Before func()
	Done   func()
}

// Call is one call, as a plan sees it.
type Call struct {
	// Number counts from 1.
	Number int
	Side   record.Side
	Method string
	// Mailbox is the id of the mailbox concerned, if one is.
	Mailbox string
	// Items is how many items, writes or feeds the call names.
	Items int
	// Writes says that the call may change something.
	Writes bool
	// Fault is what the plan did.
	Fault Kind
}

func (c Call) String() string {
	s := fmt.Sprintf("%d %s %s", c.Number, c.Side, c.Method)
	if c.Mailbox != "" {
		s += " " + c.Mailbox
	}
	if c.Items > 0 {
		s += fmt.Sprintf(" ×%d", c.Items)
	}
	if c.Fault != None {
		s += " !" + string(c.Fault)
	}
	return s
}

// Decide says what goes wrong with a call; the Fault in it is not yet set.
type Decide func(Call) Fault

// At puts a fault on the k-th call.
func At(k int, f Fault) Decide {
	return func(c Call) Fault {
		if c.Number == k {
			return f
		}
		return Fault{}
	}
}

// From puts a fault on the k-th call and all after it.
func From(k int, f Fault) Decide {
	return func(c Call) Fault {
		if c.Number >= k {
			return f
		}
		return Fault{}
	}
}

// DieAt is the end of the process at the k-th call, seen from the servers: that call
// is applied or not, its answer never comes, and no later call arrives.
func DieAt(k int, applied bool) Decide {
	return func(c Call) Fault {
		switch {
		case c.Number < k:
			return Fault{}
		case c.Number == k && applied:
			return Fault{Kind: Lost}
		case c.Number == k:
			return Fault{Kind: Reset}
		}
		return Fault{Kind: Refused}
	}
}

// Seeded puts faults of the given kinds, or of all Kinds, on a share of the calls
// between 0 and 1. What happens to a call depends on the seed and its number alone.
func Seeded(seed uint64, share float64, kinds ...Kind) Decide {
	if len(kinds) == 0 {
		kinds = Kinds
	}
	return func(c Call) Fault {
		r := rand.New(rand.NewPCG(seed, uint64(c.Number)))
		if r.Float64() >= share {
			return Fault{}
		}
		f := Fault{Kind: kinds[r.IntN(len(kinds))], Item: r.IntN(20), After: 1 + r.IntN(40)}
		if r.IntN(2) == 0 {
			f.RetryAfter = time.Duration(r.IntN(300)) * time.Second
		}
		return f
	}
}

// Plan numbers calls and lets things go wrong with them.
type Plan struct {
	mu     sync.Mutex
	decide Decide
	calls  []Call
	late   []landing
}

// landing is a call that will arrive after its caller has given up.
type landing struct {
	at   int
	send func()
}

// NewPlan returns a plan; nil lets nothing go wrong.
func NewPlan(d Decide) *Plan { return &Plan{decide: d} }

// Set replaces what decides from the next call on; nil lets nothing go wrong any more.
// The numbers go on.
func (p *Plan) Set(d Decide) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = d
}

// Calls returns all calls so far.
func (p *Plan) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Land lets all that is late arrive now.
func (p *Plan) Land() {
	p.mu.Lock()
	due := p.late
	p.late = nil
	p.mu.Unlock()
	for _, l := range due {
		l.send()
	}
}

// begin numbers a call, decides and returns what lands before it.
func (p *Plan) begin(c Call) (Call, Fault, []landing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Number = len(p.calls) + 1
	var f Fault
	if p.decide != nil {
		f = p.decide(c)
	}
	c.Fault = f.Kind
	p.calls = append(p.calls, c)
	var due []landing
	p.late = slices.DeleteFunc(p.late, func(l landing) bool {
		if l.at > c.Number {
			return false
		}
		due = append(due, l)
		return true
	})
	return c, f, due
}

// call makes a call through send, or not, and returns the error that its caller gets
// for the call as a whole. What concerns single items is left to the caller.
func (p *Plan) call(ctx context.Context, c Call, send func(context.Context)) (Fault, *remote.Error) {
	return p.callWith(ctx, c, func(f Fault) func(context.Context) {
		if f.Kind == Partly {
			return func(context.Context) {}
		}
		return send
	})
}

// callWith is call for what is sent differently under different faults.
func (p *Plan) callWith(ctx context.Context, c Call, sender func(Fault) func(context.Context)) (Fault, *remote.Error) {
	c, f, due := p.begin(c)
	send := sender(f)
	for _, l := range due {
		l.send()
	}
	if f.Before != nil {
		f.Before()
	}
	err := p.act(ctx, c, f, send)
	if f.Done != nil {
		f.Done()
	}
	return f, err
}

func (p *Plan) act(ctx context.Context, c Call, f Fault, send func(context.Context)) *remote.Error {
	broken := &remote.Error{Class: remote.ClassTransient, Code: string(f.Kind), Message: "the connection broke", Unclear: c.Writes}
	switch f.Kind {
	case Refused:
		broken.Message, broken.Unclear = "the connection was refused", false
	case Reset:
	case Lost, Partly:
		send(ctx)
	case GatewayTimeout:
		send(ctx)
		broken.Status, broken.Message = 504, "the gateway timed out"
	case Truncated:
		send(ctx)
		broken.Status, broken.Message = 200, "the answer cannot be read"
	case ServerError:
		broken.Status, broken.Message = 500, "the server failed"
	case Throttled, Unavailable:
		broken.Class, broken.Status, broken.Message, broken.Unclear = remote.ClassPressure, 429, "too many requests", false
		if f.Kind == Unavailable {
			broken.Status, broken.Message = 503, "the service is unavailable"
		}
		broken.RetryAfter = f.RetryAfter
	case Denied:
		broken.Class, broken.Status, broken.Message, broken.Unclear = remote.ClassAuthorization, 403, "access denied", false
	case Slow:
		<-ctx.Done()
		broken.Message, broken.Err = "no answer in time", ctx.Err()
	case Late:
		if !c.Writes {
			break
		}
		p.mu.Lock()
		later := context.WithoutCancel(ctx)
		p.late = append(p.late, landing{at: c.Number + max(1, f.After), send: func() { send(later) }})
		p.mu.Unlock()
	default:
		send(ctx)
		return nil
	}
	return broken
}
