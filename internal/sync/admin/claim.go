package admin

import (
	"fmt"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// decideClaim tells whether a mailbox that bears the claim have may get the claim
// want. A claim of another CRM organization is refused unless it is to be taken
// over; one of another installation for the same organization is adopted, with a
// warning where that one was at work within its last two cycles.
func decideClaim(have *remote.Claim, want remote.Claim, takeOver bool, now time.Time) (warning string, err error) {
	switch {
	case have == nil:
		return "", nil
	case have.Organization != want.Organization && takeOver:
		return "taken over from CRM organization " + have.Organization, nil
	case have.Organization != want.Organization:
		return "", &Error{
			Kind: Refused, Code: CodeClaimedElsewhere,
			Message: fmt.Sprintf("the mailbox is claimed for CRM organization %s, and this one is %s", have.Organization, want.Organization),
			Fix:     "--take-over, if nothing synchronizes it with that one any more",
		}
	case have.Install != want.Install && now.Sub(have.LastCycle) < 2*engine.Interval:
		return "another installation was at work in this mailbox at " + have.LastCycle.UTC().Format(time.RFC3339), nil
	}
	return "", nil
}

// decideTearDown tells whether what is in a mailbox may be taken out: not if
// another installation has taken it over and keeps it in step now.
func decideTearDown(have *remote.Claim, install string, takeOver bool) error {
	if have == nil || have.Install == "" || have.Install == install || takeOver {
		return nil
	}
	return &Error{
		Kind: Refused, Code: CodeClaimedElsewhere,
		Message: "another installation has taken the mailbox over, and what is in it is that one's now",
		Fix:     "--forget to leave it alone, or --take-over to remove it all the same",
	}
}
