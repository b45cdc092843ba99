package admin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func graphConnection(edit func(*roster.Connection)) roster.Connection {
	c := roster.Connection{Name: "m365", Kind: "graph", Auth: "client-secret", Tenant: "contoso.example", ClientID: "app", Secret: "env:M365"}
	edit(&c)
	return c
}

func salesforceConnection(edit func(*roster.Connection)) roster.Connection {
	c := roster.Connection{Name: "sf", Kind: "salesforce", Auth: "client-secret", Endpoint: "https://acme.my.salesforce.com", ClientID: "app", Secret: "env:SF"}
	edit(&c)
	return c
}

func TestCheckConnection(t *testing.T) {
	t.Parallel()
	sf, graph := salesforceConnection, graphConnection
	for _, tc := range []struct {
		name string
		c    roster.Connection
		want string // part of the message; empty for none
	}{
		{"salesforce", sf(func(*roster.Connection) {}), ""},
		{"graph", graph(func(*roster.Connection) {}), ""},
		{"unknown kind", sf(func(c *roster.Connection) { c.Kind = "sap" }), `kind "sap" is not known`},
		{"no auth", sf(func(c *roster.Connection) { c.Auth = "" }), "--auth client-secret|jwt|refresh-token|token"},
		{"auth of the other kind", sf(func(c *roster.Connection) { c.Auth = "managed-identity" }), "does not know auth"},
		{"no endpoint", sf(func(c *roster.Connection) { c.Endpoint = "" }), "needs --endpoint"},
		{"no secret", graph(func(c *roster.Connection) { c.Secret = "" }), "needs --secret"},
		{"what is not used", graph(func(c *roster.Connection) { c.Username = "ann" }), "does not use --username"},
		{"no tenant", graph(func(c *roster.Connection) { c.Tenant = "" }), "needs --tenant"},
		{"no tenant where tokens come from elsewhere", graph(func(c *roster.Connection) { c.Tenant, c.TokenEndpoint = "", "https://login.example/token" }), ""},
		{"plain http", sf(func(c *roster.Connection) { c.Endpoint = "http://acme.example" }), "plain http"},
		{"plain http to a host that looks like this one", sf(func(c *roster.Connection) { c.Endpoint = "http://127.0.0.1.example" }), "plain http"},
		{"plain http to this machine", sf(func(c *roster.Connection) { c.Endpoint = "http://127.0.0.1:8080" }), ""},
		{"plain http to this machine, IPv6", sf(func(c *roster.Connection) { c.Endpoint = "http://[::1]:8080" }), ""},
		{"plain http for tokens", graph(func(c *roster.Connection) { c.TokenEndpoint = "http://login.example" }), "plain http"},
		{"another scheme", sf(func(c *roster.Connection) { c.Endpoint = "ftp://acme.example" }), "use https"},
		{"a host alone", sf(func(c *roster.Connection) { c.Endpoint = "acme.example" }), "is not an address"},
		{"a password in the address", sf(func(c *roster.Connection) { c.Endpoint = "https://ann:pw@acme.example" }), "user name or a password"},
		{"a query", sf(func(c *roster.Connection) { c.Endpoint = "https://acme.example?a=b" }), "query"},
		{"the secret itself", sf(func(c *roster.Connection) { c.Secret = "hunter2" }), "never the secret itself"},
		{"a reference to nothing", sf(func(c *roster.Connection) { c.Secret = "env: " }), "never the secret itself"},
		{"a certificate as text", graph(func(c *roster.Connection) {
			c.Auth, c.Secret, c.Certificate = "certificate", "", "-----BEGIN PRIVATE KEY-----"
		}), "never the certificate itself"},
		{"stamp field of a mailbox", graph(func(c *roster.Connection) { c.StampField = "X__c" }), "CRM connection"},
		{"add-in of a CRM", sf(func(c *roster.Connection) { c.AppID = "x" }), "mail connection"},
		{"name with a comma", sf(func(c *roster.Connection) { c.Name = "a,b" }), "may contain"},
		{"name like a flag", sf(func(c *roster.Connection) { c.Name = "--all" }), "hyphen"},
	} {
		err := CheckConnection(tc.c)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		case err != nil && KindOf(err) != Invalid:
			t.Errorf("%s: kind %q", tc.name, KindOf(err))
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is in the error", tc.name)
		}
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in                roster.Connection
		auth, certificate string
	}{
		{roster.Connection{Kind: "graph", Secret: "env:X"}, "client-secret", ""},
		{roster.Connection{Kind: "graph", Certificate: "/etc/m365.pem"}, "certificate", "file:/etc/m365.pem"},
		{roster.Connection{Kind: "salesforce", Certificate: "keyring:sf"}, "jwt", "keyring:sf"},
		{roster.Connection{Kind: "graph", Auth: "device-code"}, "device-code", ""},
		{roster.Connection{Kind: "salesforce", Token: "env:X"}, "token", ""},
		{roster.Connection{Kind: "graph"}, "", ""},
	} {
		got := Complete(tc.in)
		if got.Auth != tc.auth || got.Certificate != tc.certificate {
			t.Errorf("%+v: auth %q, certificate %q", tc.in, got.Auth, got.Certificate)
		}
	}
}

func TestCheckOrganization(t *testing.T) {
	t.Parallel()
	crm, mail := salesforceConnection(func(*roster.Connection) {}), graphConnection(func(*roster.Connection) {})
	person := graphConnection(func(c *roster.Connection) { c.Auth, c.Secret = "device-code", "" })
	for _, tc := range []struct {
		name      string
		o         roster.Organization
		crm, mail roster.Connection
		want      string
	}{
		{"good", roster.Organization{Name: "EMEA", Access: roster.Application, Region: "GB"}, crm, mail, ""},
		{"sides exchanged", roster.Organization{Name: "EMEA", Access: roster.Application}, mail, crm, "does not lead to a CRM"},
		{"no mailboxes", roster.Organization{Name: "EMEA", Access: roster.Application}, crm, crm, "does not lead to mailboxes"},
		{"access", roster.Organization{Name: "EMEA", Access: "all"}, crm, mail, `access "all"`},
		{"one person for all", roster.Organization{Name: "EMEA", Access: roster.Application}, crm, person, "--access delegated"},
		{"one person for himself", roster.Organization{Name: "EMEA", Access: roster.Delegated}, crm, person, ""},
		{"region", roster.Organization{Name: "EMEA", Access: roster.Application, Region: "uk"}, crm, mail, "country code"},
		{"no name", roster.Organization{Access: roster.Application}, crm, mail, "is empty"},
	} {
		err := CheckOrganization(tc.o, tc.crm, tc.mail)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestDecideMove(t *testing.T) {
	t.Parallel()
	from := roster.Organization{Name: "EMEA", CRM: "sf", Mail: "m365"}
	u := roster.User{Email: "ann@example.com", Org: "EMEA"}
	if s := decideMove(u, from, from); !s.Unchanged || s.Err != nil {
		t.Errorf("to where he is: %+v", s)
	}
	if s := decideMove(u, from, roster.Organization{Name: "APAC", CRM: "sf", Mail: "other"}); s.Unchanged || s.Err != nil {
		t.Errorf("to the same CRM: %+v", s)
	}
	s := decideMove(u, from, roster.Organization{Name: "A B", CRM: "sf2", Mail: "m365"})
	if KindOf(s.Err) != Refused || !strings.Contains(s.Err.Error(), "sf2") {
		t.Errorf("to another CRM: %v", s.Err)
	}
}

func TestDecideForce(t *testing.T) {
	t.Parallel()
	on := roster.Organization{Name: "EMEA", Enabled: true}
	for _, tc := range []struct {
		name string
		u    roster.User
		o    roster.Organization
		code string
	}{
		{"never forced", roster.User{Sync: roster.Enabled}, on, ""},
		{"59 seconds ago", roster.User{Sync: roster.Enabled, ForcedAt: noon.Add(-59 * time.Second)}, on, CodeForceTooSoon},
		{"a minute ago", roster.User{Sync: roster.Enabled, ForcedAt: noon.Add(-time.Minute)}, on, ""},
		{"this moment", roster.User{Sync: roster.Enabled, ForcedAt: noon}, on, CodeForceTooSoon},
		{"by a clock that was set back", roster.User{Sync: roster.Enabled, ForcedAt: noon.Add(time.Hour)}, on, ""},
		{"disabled", roster.User{Sync: roster.Disabled}, on, CodeSyncDisabled},
		{"suspended", roster.User{Sync: roster.Suspended, Cause: roster.CauseAuthorization}, on, ""},
		{"reset unfinished", roster.User{Sync: roster.Enabled, Mailbox: roster.Resetting}, on, CodeResetUnfinished},
		{"the organization beats the user", roster.User{Sync: roster.Disabled}, roster.Organization{Name: "EMEA"}, CodeOrgDisabled},
	} {
		err := decideForce(tc.u, tc.o, noon)
		if got := CodeOf(err); got != tc.code {
			t.Errorf("%s: %q (%v), want %q", tc.name, got, err, tc.code)
		}
		if err != nil && KindOf(err) != Refused {
			t.Errorf("%s: kind %q", tc.name, KindOf(err))
		}
	}
}

func TestDecideSwitch(t *testing.T) {
	t.Parallel()
	on, off := roster.Organization{Name: "EMEA", Enabled: true}, roster.Organization{Name: "EMEA"}
	for _, tc := range []struct {
		name string
		got  Outcome
		want engine.SessionResult
	}{
		{"enable a disabled one", decideEnable(roster.User{Sync: roster.Disabled}, on), engine.ResultDone},
		{"enable an enabled one", decideEnable(roster.User{Sync: roster.Enabled}, on), engine.ResultUnchanged},
		{"enable a suspended one", decideEnable(roster.User{Sync: roster.Suspended}, on), engine.ResultDone},
		{"enable in a disabled organization", decideEnable(roster.User{Sync: roster.Disabled}, off), engine.ResultDone},
		{"enable in a reset", decideEnable(roster.User{Sync: roster.Disabled, Mailbox: roster.Resetting}, on), engine.ResultRefused},
		{"disable an enabled one", decideDisable(roster.User{Sync: roster.Enabled}, false), engine.ResultDone},
		{"disable a suspended one", decideDisable(roster.User{Sync: roster.Suspended}, false), engine.ResultDone},
		{"disable a disabled one", decideDisable(roster.User{Sync: roster.Disabled}, false), engine.ResultUnchanged},
		{"lock a disabled one", decideDisable(roster.User{Sync: roster.Disabled}, true), engine.ResultDone},
		{"lock a locked one", decideDisable(roster.User{Sync: roster.Disabled, Locked: true}, true), engine.ResultUnchanged},
		{"disable a locked one", decideDisable(roster.User{Sync: roster.Disabled, Locked: true}, false), engine.ResultUnchanged},
	} {
		if tc.got.Result != tc.want {
			t.Errorf("%s: %q (%s), want %q", tc.name, tc.got.Result, tc.got.Message, tc.want)
		}
	}
	if o := decideEnable(roster.User{Sync: roster.Disabled}, off); !strings.Contains(o.Message, "crmsync org enable EMEA") {
		t.Errorf("nothing said of the disabled organization: %q", o.Message)
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	clean := roster.User{Email: "ann@example.com", Mailbox: roster.NotInitialized}
	if against, warnings := preconditions(clean, "", 0); len(against) != 0 || len(warnings) != 0 {
		t.Errorf("against a clean user: %v %v", against, warnings)
	}
	all := roster.User{Email: "ann@example.com", Mailbox: roster.Initialized, AddIn: roster.AddInInstalled}
	against, warnings := preconditions(all, "process 1 on host", 3)
	text := deleteRefused(against).Error()
	for _, want := range []string{"mailbox is initialized", "session runs (process 1 on host)", "3 deletes are held"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "crmsync addin remove") {
		t.Errorf("warnings %q", warnings)
	}
	if against, _ := preconditions(roster.User{Mailbox: roster.Resetting}, "", 1); len(against) != 2 || against[1].message != "1 delete is held" {
		t.Errorf("in a reset: %v", against)
	}
}

func TestAddInAfter(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for _, tc := range []struct {
		name      string
		before    roster.AddIn
		ago       time.Duration
		installed bool
		want      roster.AddIn
		keepsTime bool
	}{
		{"never asked for", roster.AddInUnknown, 0, false, roster.AddInRemoved, false},
		{"there without being asked for", roster.AddInUnknown, 0, true, roster.AddInInstalled, false},
		{"asked for just now", roster.AddInRequested, 0, false, roster.AddInRequested, true},
		{"asked for nearly three days ago", roster.AddInRequested, 3*day - time.Second, false, roster.AddInRequested, true},
		{"asked for three days ago", roster.AddInRequested, 3 * day, false, roster.AddInFailed, false},
		{"came late", roster.AddInFailed, day, true, roster.AddInInstalled, false},
		{"still not there", roster.AddInFailed, day, false, roster.AddInFailed, false},
		{"the person took it out", roster.AddInInstalled, day, false, roster.AddInRemoved, false},
		{"came back", roster.AddInRemoved, day, true, roster.AddInInstalled, false},
	} {
		read := noon.Add(-tc.ago)
		got, at := addInAfter(tc.before, read, tc.installed, noon)
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		want := noon
		if tc.keepsTime {
			want = read
		}
		if !at.Equal(want) {
			t.Errorf("%s: read at %v, want %v", tc.name, at, want)
		}
	}
}

func TestDecideClaim(t *testing.T) {
	t.Parallel()
	want := remote.Claim{Organization: "00D1", Install: "me"}
	for _, tc := range []struct {
		name     string
		have     *remote.Claim
		takeOver bool
		refused  bool
		warned   bool
	}{
		{"nobody's", nil, false, false, false},
		{"ours", &remote.Claim{Organization: "00D1", Install: "me", LastCycle: noon}, false, false, false},
		{"another installation, long ago", &remote.Claim{Organization: "00D1", Install: "you", LastCycle: noon.Add(-2 * time.Hour)}, false, false, false},
		{"another installation, at work", &remote.Claim{Organization: "00D1", Install: "you", LastCycle: noon.Add(-time.Minute)}, false, false, true},
		{"another CRM organization", &remote.Claim{Organization: "00D2", Install: "me", LastCycle: noon.Add(-time.Hour * 999)}, false, true, false},
		{"another CRM organization, taken over", &remote.Claim{Organization: "00D2", Install: "you"}, true, false, true},
	} {
		warning, err := decideClaim(tc.have, want, tc.takeOver, noon)
		if (err != nil) != tc.refused || (warning != "") != tc.warned {
			t.Errorf("%s: %q, %v", tc.name, warning, err)
		}
		if err != nil && KindOf(err) != Refused {
			t.Errorf("%s: kind %q", tc.name, KindOf(err))
		}
	}
}

func TestDecideTearDown(t *testing.T) {
	t.Parallel()
	if err := decideTearDown(nil, "me", false); err != nil {
		t.Error(err)
	}
	if err := decideTearDown(&remote.Claim{Install: "me"}, "me", false); err != nil {
		t.Error(err)
	}
	other := &remote.Claim{Install: "you"}
	if err := decideTearDown(other, "me", false); CodeOf(err) != CodeClaimedElsewhere {
		t.Errorf("another's mailbox: %v", err)
	}
	if err := decideTearDown(other, "me", true); err != nil {
		t.Error(err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	d := directory{
		crm: index([]remote.Person{
			{ID: "c1", Email: "Ann@Example.com", Name: "Ann Lee"},
			{ID: "c2", Email: "two@example.com"},
			{ID: "c3", Email: "two@example.com"},
			{ID: "c4", Email: "only.crm@example.com", Name: "Only"},
			{ID: "c5", Email: "bob.smith@example.com", Name: "Bob Smith"},
			{ID: "c6"},
			{ID: "c7", Email: "off@example.com", Unusable: "the user is frozen"},
			{ID: "c8", Email: "shut@example.com"},
		}),
		mail: index([]remote.Person{
			{ID: "m1", Email: "ann@example.com"},
			{ID: "m2", Email: "two@example.com"},
			{ID: "m5", Email: "bob@example.com", Name: "bob smith"},
			{ID: "m7", Email: "off@example.com"},
			{ID: "m8", Email: "shut@example.com", Unusable: "there is no license"},
			{ID: "m9", Email: "only.mail@example.com"},
		}),
	}
	for _, tc := range []struct {
		key, code string
		says      string
	}{
		{"ann@example.com", "", ""},
		{" ANN@EXAMPLE.COM ", "", ""},
		{"c1", "", ""},
		{"m1", "", ""},
		{"two@example.com", CodeUserAmbiguous, "c2, c3"},
		{"only.crm@example.com", CodeUserUnresolved, "no mailbox"},
		{"only.mail@example.com", CodeUserUnresolved, "no active CRM user"},
		{"m9", CodeUserUnresolved, "no active CRM user"},
		{"nobody@example.com", CodeUserUnresolved, "neither"},
		{"bob.smith@example.com", CodeAddressesDiffer, "bob@example.com"},
		{"c6", CodeUserUnresolved, "no e-mail address"},
		{"off@example.com", CodeUserUnusable, "frozen"},
		{"shut@example.com", CodeUserUnusable, "license"},
	} {
		p, err := d.find(tc.key)
		if CodeOf(err) != tc.code {
			t.Errorf("%s: %v, want code %q", tc.key, err, tc.code)
		}
		if err == nil && (p.crm.ID != "c1" || p.mailbox.ID != "m1") {
			t.Errorf("%s: found %s and %s", tc.key, p.crm.ID, p.mailbox.ID)
		}
		if err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %q does not say %q", tc.key, err, tc.says)
		}
	}
	if got := strings.Join(d.names(), " "); got != "ann@example.com bob.smith@example.com bob@example.com c6 off@example.com only.crm@example.com only.mail@example.com shut@example.com two@example.com" {
		t.Errorf("everybody there is: %s", got)
	}
}

func TestClash(t *testing.T) {
	t.Parallel()
	orgs := map[string]roster.Organization{
		"EMEA": {Name: "EMEA", CRM: "sf", Mail: "m365"},
		"test": {Name: "test", CRM: "sf-test", Mail: "m365-test"},
	}
	there := takenBy([]roster.User{{ID: 1, Email: "ann@example.com", Org: "EMEA", CRMUser: "c1", MailboxID: "m1"}}, orgs)
	person := func(id, email string) remote.Person { return remote.Person{ID: id, Email: email} }
	for _, tc := range []struct {
		name string
		p    pair
		org  string
		same bool
		says string
	}{
		{"himself", pair{person("c1", ""), person("m1", "Ann@example.com")}, "EMEA", true, ""},
		{"himself, under a new address", pair{person("c1", ""), person("m1", "new@example.com")}, "EMEA", true, ""},
		{"somebody else", pair{person("c2", ""), person("m2", "bob@example.com")}, "EMEA", false, ""},
		{"his mailbox", pair{person("c2", ""), person("m1", "bob@example.com")}, "EMEA", false, "the mailbox belongs to user ann@example.com"},
		{"his CRM user", pair{person("c1", ""), person("m2", "bob@example.com")}, "EMEA", false, "the CRM user belongs to"},
		{"his address", pair{person("c2", ""), person("m2", "ann@example.com")}, "EMEA", false, "the address belongs to"},
		{"his ids in other systems", pair{person("c1", ""), person("m1", "bob@example.com")}, "test", false, ""},
	} {
		same, err := there.clash(tc.p, orgs[tc.org])
		if (same != nil) != tc.same || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, %v", tc.name, same, err)
		}
		if err != nil && !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v is no ErrExists", tc.name, err)
		}
	}
}

func TestEveryCodeHasAMeaningAndIsItsOwn(t *testing.T) {
	t.Parallel()
	for code, meaning := range Codes {
		if !strings.HasPrefix(code, "CS3") || meaning == "" {
			t.Errorf("code %s means %q", code, meaning)
		}
		if _, twice := engine.CodeMeanings[code]; twice {
			t.Errorf("code %s is also the engine's", code)
		}
	}
	if len(Codes) != 23 {
		t.Errorf("%d codes have a meaning", len(Codes))
	}
}
