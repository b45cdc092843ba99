package reconcile_test

import (
	"slices"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// A field's words and what is supposed of an edit on both sides say the same.
func TestSupposeFollowsThePolicy(t *testing.T) {
	t.Parallel()
	r := record.Record{plain: record.Text("Ann")}
	for policyOfField, want := range map[reconcile.Winner]struct {
		words  string
		effect string
	}{
		reconcile.CRMWins:     {"goes both ways; changed on both sides, the CRM wins", "job title changed on both sides; the CRM wins"},
		reconcile.MailboxWins: {"goes both ways; changed on both sides, the mailbox wins", "job title changed on both sides; the mailbox wins"},
		reconcile.NewestWins:  {"goes both ways; changed on both sides, the newer edit wins", "job title changed on both sides; the mailbox wins"},
		reconcile.Hold:        {"goes both ways; changed on both sides, it waits for a person", "job title changed on both sides; the policy is to wait for a person"},
	} {
		p := policy(3, 3)
		p.Fields[1].FitMailbox = nil
		p.Fields[1].Conflict = policyOfField
		if got := p.Fields[1].Words(p); got != want.words {
			t.Errorf("%s: %q", policyOfField, got)
		}
		in := reconcile.Input{
			Policy: p, Hasher: hasher,
			Links: []reconcile.Link{{
				State:   reconcile.Linked,
				CRM:     reconcile.Half{ID: "c", Base: hasher.Record(r)},
				Mailbox: reconcile.Half{ID: "m", Base: hasher.Record(r)},
			}},
			CRM:     []reconcile.Change{{ID: "c", Record: r}},
			Mailbox: []reconcile.Change{{ID: "m", Record: r}},
		}
		plan := reconcile.Suppose(in, reconcile.EditBoth, record.Mailbox, "m").About("c", "m")
		var got []string
		for _, o := range plan.Ops {
			got = append(got, o.Reason)
		}
		for _, f := range plan.Findings {
			got = append(got, f.Reason)
		}
		if !slices.Equal(got, []string{want.effect}) {
			t.Errorf("%s: %q", policyOfField, got)
		}
		if len(in.CRM[0].Record[short]) != 0 || in.Mailbox[0].Kind != reconcile.Present {
			t.Error("the input was changed")
		}
	}
}

// What a side cannot hold is no difference; what it has changed is.
func TestDifferences(t *testing.T) {
	t.Parallel()
	p := policy(3, 3)
	c := record.Record{plain: record.Text("Ann"), short: record.Text("Commander")}
	m := record.Record{plain: record.Text("Ann"), short: record.Text("Comman")}
	l := reconcile.Link{
		State: reconcile.Linked, CRM: reconcile.Half{ID: "c", Base: hasher.Record(c)}, Mailbox: reconcile.Half{ID: "m", Base: hasher.Record(m)},
	}
	in := reconcile.Input{Policy: p, Hasher: hasher}
	if d := reconcile.Differences(in, l, reconcile.Change{ID: "c", Record: c}, reconcile.Change{ID: "m", Record: m}); len(d) != 0 {
		t.Errorf("shortened: %+v", d)
	}
	edited := m.Clone()
	edited[notes] = record.Text("new")
	d := reconcile.Differences(in, l, reconcile.Change{ID: "c", Record: c}, reconcile.Change{ID: "m", Record: edited})
	if len(d) != 1 || d[0].Field != notes || !slices.Equal(d[0].Changed, []record.Side{record.Mailbox}) || d[0].Mailbox.First() != "new" {
		t.Errorf("edited: %+v", d)
	}
}
