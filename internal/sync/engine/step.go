package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// The actions of a step that are not kinds of an operation.
const (
	// ActionPrepare: the mailbox gets our containers.
	ActionPrepare = "prepare"
	// ActionHeld: a delete that the guard holds back.
	ActionHeld = "held"
	// ActionConflict: a field that both sides changed differently.
	ActionConflict = "conflict"
	// ActionIssue: a record that needs a person.
	ActionIssue = "issue"
)

// Step is one line of a plan as it is shown and kept: an operation, or something else
// that the plan says of a record.
type Step struct {
	// Action is the kind of the operation, or one of the actions above.
	Action string `json:"action"`
	// Side is written to; for an issue, the side that has the record. Empty where no side
	// is written to.
	Side      record.Side `json:"side,omitempty"`
	CRMID     string      `json:"crmId,omitempty"`
	MailboxID string      `json:"mailboxId,omitempty"`
	// Label names the record for a person; Fields are those that are written, or that
	// are in conflict.
	Label  string   `json:"label,omitempty"`
	Fields []string `json:"fields,omitempty"`
	Reason string   `json:"reason,omitempty"`
	// Mails is how many mails the step makes a server send. A contact never makes any.
	Mails int `json:"mails"`
	// Digest is a keyed digest of everything that the step depends on: ids, versions,
	// the values to write, and where the link stands before and after.
	Digest string `json:"digest"`
}

// Steps returns the plan in the order in which it is carried out. What it leaves alone
// comes last: what is held, conflicts, issues.
func (p UserPlan) Steps() []Step {
	var steps []Step
	add := func(s Step, of any) {
		s.Digest = digest(p.hasher, s.Action, of)
		steps = append(steps, s)
	}
	operation := func(o reconcile.Operation, action string, by reconcile.HeldBy) {
		s := Step{
			Action: action, Side: o.Side, CRMID: o.CRMID, MailboxID: o.MailboxID,
			Label: o.Label, Fields: fieldNames(o.Set.Fields()), Reason: o.Reason,
		}
		// Neither the link's age nor the name under which it is shown is part of what is done.
		o.Link.Since, o.Label = time.Time{}, ""
		add(s, reconcile.Held{Operation: o, By: by})
	}
	if p.Prepare {
		add(Step{Action: ActionPrepare, Side: record.Mailbox, Reason: "the mailbox has no folder and category of ours yet"}, nil)
	}
	for _, o := range p.Plan.Ops {
		operation(o, string(o.Kind), "")
	}
	for _, o := range p.Plan.Held {
		operation(o.Operation, ActionHeld, o.By)
	}
	labels := map[string]string{} // by the CRM id
	for _, s := range steps {
		labels[s.CRMID] = s.Label
	}
	for _, x := range p.Plan.Conflicts {
		reason := "both sides changed it differently: the value of " + placeOf(x.Winner) + " stays, the other one is kept"
		if x.Winner == "" {
			reason = "both sides changed it differently: neither is written until a person decides"
		}
		add(Step{
			Action: ActionConflict, CRMID: x.CRMID, MailboxID: x.MailboxID, Label: labels[x.CRMID],
			Fields: fieldNames([]record.Field{x.Field}), Reason: reason,
		}, x)
	}
	for _, f := range p.Plan.Findings {
		s := Step{Action: ActionIssue, Side: f.Side, Label: f.Label, Reason: f.Reason}
		if f.Side == record.CRM {
			s.CRMID = f.ID
		} else {
			s.MailboxID = f.ID
		}
		add(s, f)
	}
	return steps
}

// digest returns the keyed digest of an action on something. JSON writes maps in the
// order of their keys, so that the same is always written the same.
func digest(h record.Hasher, action string, of any) string {
	text, err := json.Marshal(of)
	if err != nil {
		panic(err) // a plan is made of texts and numbers
	}
	return h.Digest([]byte(action), text)
}

func fieldNames(fields []record.Field) []string {
	var names []string
	for _, f := range fields {
		names = append(names, string(f))
	}
	return names
}

func placeOf(s record.Side) string { return "the " + sideName(s) }

// String says in words what the step does, the record's label included.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(s.Action)
	if who := s.Label; who != "" {
		fmt.Fprintf(&b, " of %q", who)
	} else if id := cmp.Or(s.CRMID, s.MailboxID); id != "" {
		b.WriteString(" of " + id)
	}
	if s.Side != "" {
		b.WriteString(" in " + placeOf(s.Side))
	}
	if len(s.Fields) > 0 {
		b.WriteString(" (" + strings.Join(s.Fields, ", ") + ")")
	}
	if s.Reason != "" {
		b.WriteString(": " + s.Reason)
	}
	return b.String()
}

// subject is what a step is about, whatever it makes of it.
type subject struct{ action, side, crm, mailbox, field string }

func (s Step) subject() subject {
	sub := subject{action: s.Action, side: string(s.Side), crm: s.CRMID, mailbox: s.MailboxID}
	if s.Action == ActionConflict {
		sub.field = strings.Join(s.Fields, ",")
	}
	return sub
}
