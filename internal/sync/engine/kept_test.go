package engine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
)

func TestDifferences(t *testing.T) {
	t.Parallel()
	step := func(action, id, digest string) engine.Step {
		return engine.Step{Action: action, Side: record.Mailbox, CRMID: id, Label: "Ann " + id, Reason: "r", Digest: digest}
	}
	conflict := func(field, digest string) engine.Step {
		return engine.Step{Action: engine.ActionConflict, CRMID: "1", Fields: []string{field}, Digest: digest}
	}
	a, b := step("update", "1", "x"), step("create", "2", "y")
	for _, tt := range []struct {
		name      string
		kept, now []engine.Step
		want      []string
	}{
		{name: "nothing at all"},
		{name: "the same", kept: []engine.Step{a, b}, now: []engine.Step{a, b}},
		{name: "another order", kept: []engine.Step{a, b}, now: []engine.Step{b, a}},
		{name: "new", kept: []engine.Step{a}, now: []engine.Step{a, b}, want: []string{`new: create of "Ann 2" in the mailbox: r`}},
		{name: "gone", kept: []engine.Step{a, b}, now: []engine.Step{b}, want: []string{`no longer wanted: update of "Ann 1" in the mailbox: r`}},
		{name: "changed", kept: []engine.Step{a}, now: []engine.Step{step("update", "1", "z")}, want: []string{`changed: update of "Ann 1" in the mailbox: r`}},
		{
			name: "an update became a delete", kept: []engine.Step{a}, now: []engine.Step{step("delete", "1", "x")},
			want: []string{`no longer wanted: update of "Ann 1" in the mailbox: r`, `new: delete of "Ann 1" in the mailbox: r`},
		},
		{
			name: "the other side", kept: []engine.Step{a}, now: []engine.Step{{Action: "update", Side: record.CRM, CRMID: "1", Digest: "x"}},
			want: []string{`no longer wanted: update of "Ann 1" in the mailbox: r`, `new: update of 1 in the CRM`},
		},
		{name: "twice the same", kept: []engine.Step{a, a}, now: []engine.Step{a}, want: []string{`no longer wanted: update of "Ann 1" in the mailbox: r`}},
		{name: "once more", kept: []engine.Step{a}, now: []engine.Step{a, a}, want: []string{`new: update of "Ann 1" in the mailbox: r`}},
		{name: "two about one thing", kept: []engine.Step{a, step("update", "1", "z")}, now: []engine.Step{step("update", "1", "z"), a}},
		{name: "fields in conflict are told apart", kept: []engine.Step{conflict("city", "x"), conflict("notes", "y")}, now: []engine.Step{conflict("notes", "y"), conflict("city", "x")}},
		{
			name: "another field in conflict", kept: []engine.Step{conflict("city", "x")}, now: []engine.Step{conflict("notes", "x")},
			want: []string{"no longer wanted: conflict of 1 (city)", "new: conflict of 1 (notes)"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, d := range engine.Differences(tt.kept, tt.now) {
				got = append(got, d.String())
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Without a label a difference is fit for a log: it names no record.
func TestDifferenceWithoutALabel(t *testing.T) {
	t.Parallel()
	d := engine.Difference{What: engine.DiffNew, Step: engine.Step{Action: "create", Side: record.CRM, MailboxID: "m1", Label: "Ann"}}
	d.Step.Label = ""
	if got := d.String(); strings.Contains(got, "Ann") || got != "new: create of m1 in the CRM" {
		t.Error(got)
	}
}
