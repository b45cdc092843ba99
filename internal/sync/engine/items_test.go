package engine

import (
	"testing"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Of several things that are known of a record the worst tells its state.
func TestItemsOf(t *testing.T) {
	t.Parallel()
	link := reconcile.Link{State: reconcile.Linked, CRM: reconcile.Half{ID: "c"}, Mailbox: reconcile.Half{ID: "m"}}
	parted := link
	parted.State = reconcile.Unlinked
	issue := func(code Code, state IssueState, key IssueKey) Issue {
		return Issue{ID: 1, Code: code, State: state, IssueKey: key}
	}
	both, ofCRM, ofMailbox := IssueKey{CRMID: "c", MailboxID: "m"}, IssueKey{CRMID: "c"}, IssueKey{MailboxID: "m"}
	for name, tt := range map[string]struct {
		links  []reconcile.Link
		issues []Issue
		held   []HeldDelete
		want   ItemState
	}{
		"linked":              {links: []reconcile.Link{link}, want: ItemInSync},
		"refused":             {links: []reconcile.Link{link}, issues: []Issue{issue(CodeItemRefused, IssueOpen, both)}, want: ItemFailing},
		"on hold":             {links: []reconcile.Link{link}, issues: []Issue{issue(CodeOnHold, IssueInfo, ofCRM)}, want: ItemHeld},
		"ignored":             {links: []reconcile.Link{link}, issues: []Issue{issue(CodeItemRefused, IssueIgnored, both)}, want: ItemExcluded},
		"worst first":         {links: []reconcile.Link{link}, issues: []Issue{issue(CodeItemRefused, IssueOpen, ofCRM), issue(CodeOnHold, IssueInfo, ofMailbox)}, want: ItemFailing},
		"worst last":          {links: []reconcile.Link{link}, issues: []Issue{issue(CodeOnHold, IssueInfo, ofMailbox), issue(CodeItemRefused, IssueOpen, ofCRM)}, want: ItemFailing},
		"held":                {links: []reconcile.Link{link}, held: []HeldDelete{{DeleteKey: reconcile.DeleteKey{Side: record.Mailbox, CRMID: "c", MailboxID: "m"}}}, want: ItemHeld},
		"unlinked by an edit": {links: []reconcile.Link{parted}, issues: []Issue{issue(CodeEditKept, IssueInfo, ofMailbox)}, want: ItemUnlinked},
		"without a link":      {issues: []Issue{issue(CodeOverLimit, IssueInfo, ofCRM)}, want: ItemExcluded},
	} {
		items := itemsOf("ann@example.com", record.Contacts, tt.links, tt.issues, tt.held)
		if len(items) != 1 || items[0].State != tt.want {
			t.Errorf("%s: %+v", name, items)
		}
	}
}
