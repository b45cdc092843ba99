package commands

import (
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/commands/ui"
)

// The names of fields are a contract with scripts: a name may be added, none may be
// taken away or changed.
func TestFieldsArePinned(t *testing.T) {
	t.Parallel()
	const counts = "createdCrm createdMailbox updatedCrm updatedMailbox deletedCrm deletedMailbox linked conflicts held issues requests"
	for _, tt := range []struct {
		command string
		got     []string
		want    string
	}{
		{"users list", ui.Names(userFields), "email name org plan crmUser mailboxId sync cause effective mailbox addin issues lastSuccess nextDue"},
		{"sync run", ui.Names(runFields), "user session result code message " + counts + " durationMs"},
		{"sync plan", ui.Names(planFields), "user entity side action crmId mailboxId label fields reason mails"},
		{"sync plan --summary", ui.Names(planSumFields), "user " + strings.TrimSuffix(counts, " requests") + " unlinked mails"},
		{"sync apply", ui.Names(applyFields), "user session result code message " + counts + " durationMs differences"},
		{"sync queue", ui.Names(queueFields), "user due why nextDue lastStart"},
		{"sessions list", ui.Names(sessionFields), "session user trigger started ended result " + counts},
		{"sessions show", ui.Names(sessionDetails), "session user trigger started ended result " + counts + " durationMs code message"},
		{"issues list", ui.Names(issueFields), "issue user entity direction crmId mailboxId label code cause attempts firstSeen nextRetry state"},
		{"issues show", ui.Names(issueDetails), "issue user entity direction crmId mailboxId label code cause attempts firstSeen nextRetry state session meaning do"},
		{"items list", ui.Names(itemFields), "user entity state reason crmId mailboxId label since issue code"},
		{"items explain", ui.Names(explanationFields(false)), "user entity state reason crmId mailboxId label since issue code attempts nextRetry crm mailbox crmOperation mailboxOperation differences next unplanned suppositions policy"},
		{"duplicates find", ui.Names(duplicateFields), "group user side id label linked sure why created"},
		{"duplicates merge", ui.Names(mergedFields), "group user label result code message kept away fields lost"},
		{"conflicts list", ui.Names(conflictFields), "conflict user entity field winner kept lost crmId mailboxId session time restored how"},
		{"undo", ui.Names(writtenFields), "user session side action crmId mailboxId label fields reason result code message"},
		{"deletes list", ui.Names(deleteFields), "delete user entity side crmId mailboxId label reason heldBy since decision session"},
		{"issues retry and ignore", ui.Names(decidedFields("issue")), "issue user result code message"},
		{"deletes allow and discard", ui.Names(decidedFields("delete")), "delete user result code message"},
		{"activity list", ui.Names(activityFields), "time actor type user org details hash"},
		{"bulk verbs", ui.Names(rowFields), "user result code message"},
		{"status", ui.Names(statusFields), "user effective mailbox lastSuccess nextDue issues failures reason fix"},
		{"version", ui.Names(versionFields), "version commit date go platform"},
		{"sandbox start", ui.Names(sandboxFields), "dir config graph graphToken salesforce salesforceToken tenant clientId control pid"},
		{"sandbox list", ui.Names(sandboxContactFields), "id name owner folder fields deleted modified"},
		{"sandbox load", ui.Names(loadFields), "file result created updated message"},
	} {
		if got := strings.Join(tt.got, " "); got != tt.want {
			t.Errorf("%s prints\n%s\nwant\n%s", tt.command, got, tt.want)
		}
	}
}
