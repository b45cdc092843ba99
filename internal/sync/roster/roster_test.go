package roster

import "testing"

// The organization beats the user; what is unfinished comes before what is suspended;
// every state but active names the command that lifts it.
func TestEffectiveOf(t *testing.T) {
	t.Parallel()
	on := Organization{Name: "EMEA", Enabled: true}
	off := Organization{Name: "EMEA"}
	user := func(s Sync, m MailboxState) User {
		return User{Email: "ann@example.com", Sync: s, Cause: CauseThrottling, Mailbox: m}
	}
	gone := user(Enabled, Initialized)
	gone.Off = "contacts: the folder was deleted in the mailbox"
	for name, tt := range map[string]struct {
		user User
		org  Organization
		want Effective
	}{
		"enabled":                         {user(Enabled, Initialized), on, Effective{State: Active}},
		"enabled, not initialized yet":    {user(Enabled, NotInitialized), on, Effective{State: Active}},
		"disabled":                        {user(Disabled, Initialized), on, Effective{"disabled", "crmsync sync enable ann@example.com"}},
		"enabled in a disabled one":       {user(Enabled, Initialized), off, Effective{"organization disabled", "crmsync org enable EMEA"}},
		"disabled in a disabled one":      {user(Disabled, Initialized), off, Effective{"organization disabled", "crmsync org enable EMEA"}},
		"suspended":                       {user(Suspended, Initialized), on, Effective{"suspended: throttling", "crmsync check all ann@example.com"}},
		"enabled, reset unfinished":       {user(Enabled, Resetting), on, Effective{"reset unfinished", "crmsync mailbox reset ann@example.com"}},
		"the folder is gone":              {gone, on, Effective{"switched off: contacts: the folder was deleted in the mailbox", "crmsync mailbox reapply ann@example.com"}},
		"suspended, and reset unfinished": {user(Suspended, Resetting), on, Effective{"reset unfinished", "crmsync mailbox reset ann@example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := EffectiveOf(tt.user, tt.org); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
