package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/commands/ui"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// The parts of an explanation that are lists, as machine formats print them.
type (
	differing struct {
		Field   string   `json:"field" yaml:"field"`
		Changed []string `json:"changed" yaml:"changed"`
		CRM     []string `json:"crm,omitempty" yaml:"crm,omitempty"`
		Mailbox []string `json:"mailbox,omitempty" yaml:"mailbox,omitempty"`
	}
	effect struct {
		Action string   `json:"action" yaml:"action"`
		Side   string   `json:"side" yaml:"side"`
		Fields []string `json:"fields" yaml:"fields"`
		Reason string   `json:"reason" yaml:"reason"`
	}
	supposed struct {
		If   string   `json:"if" yaml:"if"`
		Side string   `json:"side" yaml:"side"`
		Then []effect `json:"then" yaml:"then"`
	}
)

// explanationFields are the fields of items explain, with or without what the records
// hold.
func explanationFields(values bool) []ui.Field[engine.Explanation] {
	var fields []ui.Field[engine.Explanation]
	for _, f := range itemFields {
		fields = append(fields, ui.Field[engine.Explanation]{
			Name: f.Name, Word: f.Word, Of: func(x engine.Explanation) any { return f.Of(x.Item) },
		})
	}
	return append(fields, []ui.Field[engine.Explanation]{
		{Name: "attempts", Of: func(x engine.Explanation) any { return x.Attempts }},
		{Name: "nextRetry", Of: func(x engine.Explanation) any { return x.NextRetry }},
		{Name: "crm", Of: func(x engine.Explanation) any { return string(x.CRM) }},
		{Name: "mailbox", Of: func(x engine.Explanation) any { return string(x.Mailbox) }},
		{Name: "crmOperation", Of: func(x engine.Explanation) any { return string(x.CRMOp) }},
		{Name: "mailboxOperation", Of: func(x engine.Explanation) any { return string(x.MailboxOp) }},
		{Name: "differences", Of: func(x engine.Explanation) any { return differencesOf(x, values) }},
		{Name: "next", Of: func(x engine.Explanation) any { return effectsOf(x.Next) }},
		{Name: "unplanned", Of: func(x engine.Explanation) any { return unplanned(x) }},
		{Name: "suppositions", Of: func(x engine.Explanation) any { return suppositionsOf(x) }},
		{Name: "policy", Of: func(x engine.Explanation) any { return policyOf(x) }},
	}...)
}

func differencesOf(x engine.Explanation, values bool) []differing {
	list := make([]differing, 0, len(x.Differences))
	for _, d := range x.Differences {
		row := differing{Field: string(d.Field), Changed: []string{}}
		for _, s := range d.Changed {
			row.Changed = append(row.Changed, string(s))
		}
		if values {
			row.CRM, row.Mailbox = d.CRM, d.Mailbox
		}
		list = append(list, row)
	}
	return list
}

func effectsOf(effects []engine.Effect) []effect {
	list := make([]effect, 0, len(effects))
	for _, e := range effects {
		row := effect{Action: e.Action, Side: string(e.Side), Fields: []string{}, Reason: e.Reason}
		for _, f := range e.Fields {
			row.Fields = append(row.Fields, string(f))
		}
		list = append(list, row)
	}
	return list
}

func suppositionsOf(x engine.Explanation) []supposed {
	list := make([]supposed, 0, len(x.Suppositions))
	for _, s := range x.Suppositions {
		list = append(list, supposed{If: string(s.Deed), Side: string(s.Side), Then: effectsOf(s.Then)})
	}
	return list
}

func unplanned(x engine.Explanation) string {
	if x.Unplanned == nil {
		return ""
	}
	return explain(x.Unplanned).What
}

func policyOf(x engine.Explanation) map[string]string {
	words := map[string]string{}
	for _, f := range x.Policy.Fields {
		words[string(f.Field)] = f.Words(x.Policy)
	}
	return words
}

// explanation draws one record's explanation for a person.
func (app *App) explanation(x engine.Explanation, values bool) error {
	page := app.Page()
	command := ""
	if x.Issue != 0 {
		command = fmt.Sprintf("crmsync issues show %d", x.Issue)
	}
	page.Entry(cmp.Or(x.Label, "a record without a name"), string(x.State), x.Reason, command)
	page.Text("CRM record    %s", standsAs(x.CRMID, x.CRM))
	page.Text("mailbox item  %s", standsAs(x.MailboxID, x.Mailbox))
	for _, half := range []struct {
		where string
		op    record.OpID
	}{{"the CRM", x.CRMOp}, {"the mailbox", x.MailboxOp}} {
		if half.op != "" {
			page.Text("our last write in %s: operation %s", half.where, half.op)
		}
	}
	if !x.Since.IsZero() {
		page.Text("%s since %s (%s)", x.State, x.Since.In(app.Zone).Format("2006-01-02 15:04"), ui.Relative(x.Since, app.Now()))
	}
	if x.Attempts > 0 && x.State == engine.ItemFailing {
		again := "again when it changes"
		if !x.NextRetry.IsZero() {
			again = "again " + ui.Relative(x.NextRetry, app.Now())
		}
		page.Text("tried %s, %s", times(x.Attempts), again)
	}
	if x.CRM == engine.Here && x.Mailbox == engine.Here && len(x.Differences) == 0 {
		page.Text("both sides hold the same")
	}
	for _, d := range x.Differences {
		text := strings.ReplaceAll(string(d.Field), "_", " ") + ": " + changedOn(d.Changed)
		if values {
			text += fmt.Sprintf(": CRM %q, mailbox %q", strings.Join(d.CRM, ", "), strings.Join(d.Mailbox, ", "))
		}
		page.Text("%s", text)
	}
	page.Blank()
	page.Heading("Next cycle")
	if x.Unplanned != nil {
		page.Text("cannot be told: %s", unplanned(x))
	} else {
		for _, line := range effectLines(x.Next) {
			page.Text("%s", line)
		}
	}
	if len(x.Suppositions) > 0 {
		page.Blank()
		page.Heading("If a person …")
		for _, s := range x.Suppositions {
			page.Text("%s", deedIn(s))
			for _, line := range effectLines(s.Then) {
				page.Text("  %s", line)
			}
		}
	}
	page.Blank()
	page.Heading("Fields")
	for _, part := range policyParts(x.Policy) {
		page.Paragraph("%s: %s", part.words, strings.Join(part.fields, ", "))
	}
	return page.Err()
}

func standsAs(id string, p engine.Presence) string {
	if id == "" {
		return string(p)
	}
	return string(p) + ", " + id
}

func changedOn(sides []record.Side) string {
	switch {
	case len(sides) == 2:
		return "changed on both sides"
	case len(sides) == 0:
		return "differs, and stays so"
	case sides[0] == record.CRM:
		return "changed in the CRM"
	}
	return "changed in the mailbox"
}

func deedIn(s engine.Supposition) string {
	place := map[record.Side]string{record.CRM: "in the CRM", record.Mailbox: "in the mailbox"}[s.Side]
	switch s.Deed {
	case reconcile.Edit:
		return "edits it " + place
	case reconcile.EditBoth:
		return "edits one field on both sides, last " + place
	}
	return "deletes it " + place
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// part is a rule with the fields that go by it.
type part struct {
	words  string
	fields []string
}

// policyParts groups the fields of a policy by their rule.
func policyParts(p reconcile.Policy) []part {
	var parts []part
	for _, f := range p.Fields {
		words, name := f.Words(p), strings.ReplaceAll(string(f.Field), "_", " ")
		n := slices.IndexFunc(parts, func(q part) bool { return q.words == words })
		if n < 0 {
			n, parts = len(parts), append(parts, part{words: words})
		}
		parts[n].fields = append(parts[n].fields, name)
	}
	return parts
}

// effectLines says what would be done, a line for each thing.
func effectLines(effects []engine.Effect) []string {
	var lines []string
	for _, e := range effects {
		what := e.Action
		if e.Side != "" && e.Action != engine.ActionIssue {
			what += " in the " + map[record.Side]string{record.CRM: "CRM", record.Mailbox: "mailbox"}[e.Side]
		}
		lines = append(lines, what+": "+e.Reason)
	}
	if len(lines) == 0 {
		return []string{"nothing"}
	}
	return lines
}
