package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

// start runs a sandbox in a directory until the test ends.
func start(t *testing.T, dir string, users, contacts int) *Sandbox {
	t.Helper()
	s, err := Start(t.Context(), Options{Dir: dir, Users: users, Contacts: contacts, Seed: 1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

func TestStartMakesEverythingAFirstSessionNeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 3, 40)
	e := s.Endpoints()
	text, err := os.ReadFile(filepath.Join(dir, "crmsync.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{e.Graph, e.GraphToken, e.Salesforce, "stamp_field: CrmSync_Stamp__c", "kind: graph", "kind: salesforce", "m365.secret", "sf.secret"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("crmsync.yaml lacks %q:\n%s", want, text)
		}
	}
	for _, name := range []string{"m365.secret", "sf.secret", "endpoints.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", name, info.Mode())
		}
	}
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Users != 3 || st.CRM != 3*40 {
		t.Errorf("status %+v", st)
	}
}

func TestASecondStartIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir, 1, 5)
	if _, err := Start(t.Context(), Options{Dir: dir, Now: time.Now}); !errors.Is(err, ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
	if err := Clear(t.Context(), dir); !errors.Is(err, ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
}

func TestOpenNeedsARunningSandbox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Open(context.Background(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
	s := start(t, dir, 1, 5)
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := Open(context.Background(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
}

// dump is all data of a sandbox as a person sees it.
func dump(t *testing.T, c *Client) string {
	t.Helper()
	people, err := c.People(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range people {
		b.WriteString(p.Email + " " + p.CRMUser + " " + p.MailboxID + "\n")
		if p.MailboxID == "" {
			continue
		}
		list, err := c.Contacts(t.Context(), Mailbox, p.Email)
		if err != nil {
			t.Fatal(err)
		}
		writeContacts(t, &b, list)
	}
	list, err := c.Contacts(t.Context(), CRM, "")
	if err != nil {
		t.Fatal(err)
	}
	writeContacts(t, &b, list)
	return b.String()
}

func writeContacts(t *testing.T, b *strings.Builder, list []Contact) {
	t.Helper()
	for _, c := range list {
		c.Modified = time.Time{}
		line, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
}

func TestTheSeedMakesTheData(t *testing.T) {
	t.Parallel()
	a, b := start(t, t.TempDir(), 2, 60), start(t, t.TempDir(), 2, 60)
	if dump(t, a.Client) != dump(t, b.Client) {
		t.Error("the same seed gave two different sandboxes")
	}
	first, err := a.Contacts(t.Context(), CRM, "ada.keller@sandbox.example")
	if err != nil {
		t.Fatal(err)
	}
	more := start(t, t.TempDir(), 4, 60)
	again, err := more.Contacts(t.Context(), CRM, "ada.keller@sandbox.example")
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != len(again) || first[5].Fields["Email"] != again[5].Fields["Email"] {
		t.Error("more users changed the contacts of the first one")
	}
	if dump(t, a.Client) == dump(t, more.Client) {
		t.Error("more users changed nothing")
	}
}

func TestTheSeedHoldsWhatGoesWrong(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), 1, 200)
	list, err := s.Contacts(t.Context(), CRM, "")
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	emails := make(map[string]int)
	stamps := make(map[time.Time]int)
	for _, c := range list {
		f := c.Fields
		for what, is := range map[string]bool{
			"without first name": f["FirstName"] == "", "without e-mail": f["Email"] == "", "imported": f["LeadSource"] == "Purchased List",
			"street of several lines": strings.Contains(f["MailingStreet"], "\r\n"), "not ASCII": ascii(f["LastName"]) != strings.ToLower(f["LastName"]),
			"east": strings.ContainsAny(f["LastName"], "山佐王李김박"), "owned by others": c.Owner != "ada.keller@sandbox.example",
			"near-duplicate": strings.HasPrefix(f["Email"], "office."), "with an account": f["Account"] != "", "born": f["Birthdate"] != "",
			"plus": strings.HasPrefix(f["Phone"], "+1"), "brackets": strings.HasPrefix(f["Phone"], "("), "dots": strings.Count(f["Phone"], ".") == 2,
		} {
			if is {
				count[what]++
			}
		}
		emails[f["Email"]]++
		stamps[c.Modified]++
	}
	delete(emails, "")
	for _, n := range emails {
		if n > 1 {
			count["shared address"]++
		}
	}
	for _, n := range stamps {
		if n > 1 {
			count["same stamp"]++
		}
	}
	for _, what := range []string{
		"without first name", "without e-mail", "imported", "street of several lines", "not ASCII", "east", "owned by others", "near-duplicate",
		"with an account", "born", "plus", "brackets", "dots", "shared address", "same stamp",
	} {
		if count[what] == 0 {
			t.Errorf("no contact is %q", what)
		}
	}
	// The first mailbox: private contacts, and a folder that agrees with the CRM but
	// for one conflict, some additions, and one contact more.
	mailbox, err := s.Contacts(t.Context(), Mailbox, "ada.keller@sandbox.example")
	if err != nil {
		t.Fatal(err)
	}
	where := make(map[string]int)
	same, conflicts, additions, strangers := 0, 0, 0, 0
	for _, m := range mailbox {
		where[m.Folder]++
		if m.Folder != "CRM" {
			continue
		}
		id, err := find(list, m.Fields["emailAddresses"])
		if err != nil {
			strangers++
			continue
		}
		for _, c := range list {
			switch {
			case c.ID != id:
			case c.Fields["Title"] != m.Fields["jobTitle"]:
				conflicts++
			case m.Fields["nickName"] != "" && c.Fields["MobilePhone"] == "":
				additions++
			default:
				same++
			}
		}
	}
	if where["Contacts"] != len(privateContacts) || where["CRM"] != 5 || same != 2 || conflicts != 1 || additions != 1 || strangers != 1 {
		t.Errorf("folders %v, %d the same, %d conflicts, %d additions, %d strangers", where, same, conflicts, additions, strangers)
	}
}

func TestEditsOfBothSides(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir, 2, 10)
	c, err := Open(t.Context(), dir) // as another process does
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	const ada, bruno = "ada.keller@sandbox.example", "bruno.sato@sandbox.example"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	get := func(side Side, user, id string) Contact {
		t.Helper()
		list, err := c.Contacts(ctx, side, user)
		must(err)
		for _, x := range list {
			if x.ID == id {
				return x
			}
		}
		return Contact{}
	}
	id, err := c.CreateCRM(ctx, bruno, Fields{"FirstName": "Eva", "LastName": "Test", "Email": "eva@test.example", "Account": "New Account"})
	must(err)
	must(c.EditCRM(ctx, "eva test", Fields{"Title": "Boss", "Account": "Other Account"}))
	if x := get(CRM, bruno, id); x.Fields["Title"] != "Boss" || x.Fields["Account"] != "Other Account" || x.Owner != bruno {
		t.Errorf("%+v", x)
	}
	must(c.EditCRM(ctx, "eva@test.example", Fields{"Title": "", "Account": ""}))
	must(c.ChangeOwner(ctx, id, ada))
	if x := get(CRM, ada, id); x.Fields["Title"] != "" || x.Fields["Account"] != "" || x.Owner != ada {
		t.Errorf("%+v", x)
	}
	twin, err := c.CreateCRM(ctx, bruno, Fields{"FirstName": "Eva", "LastName": "Test"})
	must(err)
	if err := c.EditCRM(ctx, "Eva Test", Fields{"Title": "?"}); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("two contacts of one name: %v", err)
	}
	if err := c.EditCRM(ctx, "Nobody", Fields{"Title": "?"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no contact: %v", err)
	}
	if err := c.EditCRM(ctx, id, Fields{"Nope": "?"}); err == nil || !strings.Contains(err.Error(), "No such column") {
		t.Errorf("no field: %v", err)
	}
	must(c.MergeCRM(ctx, id, twin))
	if err := c.EditCRM(ctx, "Eva Test", Fields{"Title": "Boss"}); err != nil { // the name of the loser is free again
		t.Errorf("the winner of a merge: %v", err)
	}
	if x := get(CRM, "", twin); !x.Deleted || x.MergedInto != id {
		t.Errorf("%+v", x)
	}
	must(c.HideCRM(ctx, id, true))
	must(c.HideCRM(ctx, id, false))
	must(c.DeleteCRM(ctx, id))
	must(c.UndeleteCRM(ctx, id))
	must(c.DeleteCRM(ctx, id))
	must(c.PurgeCRM(ctx, id))
	if x := get(CRM, "", id); x.ID != "" {
		t.Errorf("%+v", x)
	}

	mid, err := c.CreateMailbox(ctx, bruno, "CRM", Fields{
		"givenName": "Max", "surname": "Mail", "emailAddresses": "max@mail.example; m@mail.example", "businessPhones": "1;2",
		"businessAddress.street": "A 1\nB", "businessAddress.city": "C", "birthday": "1980-02-29",
	})
	must(err)
	must(c.EditMailbox(ctx, bruno, "max mail", Fields{"businessAddress.city": "D", "jobTitle": "Boss", "businessPhones": ""}))
	x := get(Mailbox, bruno, mid)
	if x.Fields["businessAddress.city"] != "D" || x.Fields["businessAddress.street"] != "A 1\nB" || x.Fields["jobTitle"] != "Boss" ||
		x.Fields["businessPhones"] != "" || x.Fields["emailAddresses"] != "max@mail.example; m@mail.example" || x.Fields["birthday"] != "1980-02-29" || x.Folder != "CRM" {
		t.Errorf("%+v", x)
	}
	must(c.MoveMailbox(ctx, bruno, "m@mail.example", ""))
	if x := get(Mailbox, bruno, mid); x.Folder != "Contacts" {
		t.Errorf("moved to %q", x.Folder)
	}
	copied, err := c.CopyMailbox(ctx, bruno, mid, "CRM")
	must(err)
	if x := get(Mailbox, bruno, copied); copied == mid || x.Name != "Max Mail" {
		t.Errorf("%+v", x)
	}
	must(c.DeleteMailbox(ctx, bruno, copied))
	must(c.RestoreMailbox(ctx, bruno, copied))
	must(c.RenameFolder(ctx, bruno, "CRM", "Other"))
	if x := get(Mailbox, bruno, copied); x.Folder != "Other" {
		t.Errorf("%+v", x)
	}
	must(c.DeleteFolder(ctx, bruno, "Other"))
	folders, err := c.Folders(ctx, bruno)
	must(err)
	if len(folders) != 1 {
		t.Errorf("%+v", folders)
	}
	if err := c.EditMailbox(ctx, "nobody@sandbox.example", "x", Fields{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no mailbox: %v", err)
	}
	if err := c.EditMailbox(ctx, bruno, mid, Fields{"homeAddress.planet": "Mars"}); err == nil {
		t.Error("a field that does not exist was set")
	}
}

// salesforce asks the CRM as its client does.
func salesforce(t *testing.T, dir string, e Endpoints, method, path, body string) (int, string) {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(dir, "sf.secret"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.PostForm(e.SalesforceToken, url.Values{"grant_type": {"client_credentials"}, "client_id": {e.ClientID}, "client_secret": {strings.TrimSpace(string(secret))}})
	if err != nil {
		return 0, err.Error()
	}
	var tok struct {
		AccessToken string `json:"access_token"`
		InstanceURL string `json:"instance_url"`
	}
	err = json.NewDecoder(res.Body).Decode(&tok)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return request(t, tok.AccessToken, method, tok.InstanceURL+"/services/data/v66.0"+path, body)
}

func request(t *testing.T, token, method, target, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// graph asks Microsoft 365 as its client does.
func graph(t *testing.T, dir string, e Endpoints, method, path, body string) (int, string) {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(dir, "m365.secret"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.PostForm(e.GraphToken, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {e.ClientID}, "client_secret": {strings.TrimSpace(string(secret))}, "scope": {"https://graph.microsoft.com/.default"},
	})
	if err != nil {
		return 0, err.Error()
	}
	var tok struct {
		AccessToken string `json:"access_token"`
	}
	err = json.NewDecoder(res.Body).Decode(&tok)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return request(t, tok.AccessToken, method, e.Graph+"/v1.0"+path, body)
}

func TestTheWrittenEndpointsAndSecretsOpenBothServers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 2, 10)
	if status, body := salesforce(t, dir, s.Endpoints(), "GET", "/query?q=SELECT+COUNT()+FROM+Contact", ""); status != 200 || !strings.Contains(body, `"totalSize":20`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := graph(t, dir, s.Endpoints(), "GET", "/users?$select=id,mail", ""); status != 200 || !strings.Contains(body, "bruno.sato@sandbox.example") {
		t.Errorf("%d %s", status, body)
	}
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Salesforce.Requests != 2 || st.Salesforce.Queries != 1 || st.Graph.Total.RoundTrips == 0 {
		t.Errorf("%+v", st)
	}
	if err := s.ResetStats(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, _ = s.Stats(t.Context()); st.Salesforce.Requests != 0 || st.Graph.Total.RoundTrips != 0 {
		t.Errorf("%+v", st)
	}
}

func TestKnobsAndFaultsReachTheServers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 1, 5)
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	turn := func(k Knobs) {
		t.Helper()
		if err := c.Turn(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.FaultCRM(t.Context(), sfdc.Fault{Kind: sfdc.FaultStatus, Path: "/limits", Count: -1}); err != nil {
		t.Fatal(err)
	}
	if err := c.FaultMailbox(t.Context(), m365.Fault{Name: "busy", Kind: m365.FaultError, Status: 429, RetryAfter: "7"}); err != nil {
		t.Fatal(err)
	}
	if status, _ := salesforce(t, dir, s.Endpoints(), "GET", "/limits", ""); status != 503 {
		t.Errorf("the CRM answers %d", status)
	}
	if status, _ := graph(t, dir, s.Endpoints(), "GET", "/users", ""); status != 429 {
		t.Errorf("Graph answers %d", status)
	}
	if err := c.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	used, limit, locks, on := 5, 6, 1, false
	turn(Knobs{APIUsed: &used, APILimit: &limit, DuplicateRule: &on, FailLocks: &locks, RemoveFields: []string{"Title"}})
	if status, _ := salesforce(t, dir, s.Endpoints(), "POST", "/sobjects/Contact", `{"LastName":"A"}`); status != 400 {
		t.Errorf("a locked row answers %d", status)
	}
	if status, _ := salesforce(t, dir, s.Endpoints(), "GET", "/limits", ""); status != 403 {
		t.Errorf("a budget that is used up answers %d", status)
	}
	used, limit = 0, 1000
	turn(Knobs{APIUsed: &used, APILimit: &limit, MailboxStates: map[string]m365.MailboxState{"ada.keller@sandbox.example": m365.MailboxUnlicensed}})
	if status, _ := salesforce(t, dir, s.Endpoints(), "GET", "/query?q=SELECT+Title+FROM+Contact", ""); status != 400 {
		t.Errorf("a field that was taken away answers %d", status)
	}
	if status, _ := graph(t, dir, s.Endpoints(), "GET", "/users/ada.keller@sandbox.example/contactFolders", ""); status < 400 {
		t.Errorf("an unlicensed mailbox answers %d", status)
	}
	if err := c.Turn(t.Context(), Knobs{APIUsed: &used}); err == nil {
		t.Error("half a budget was set")
	}
	if err := c.Turn(t.Context(), Knobs{RemoveFields: []string{"Nope"}}); err == nil {
		t.Error("a field that does not exist was removed")
	}
}

func TestTheControlAddressNeedsItsToken(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), 1, 5)
	for _, token := range []string{"", "guess"} {
		if status, _ := request(t, token, "POST", s.Endpoints().Control+"/reset", "null"); status != 401 {
			t.Errorf("token %q: %d", token, status)
		}
	}
	for path, body := range map[string]string{"/nothing": "null", "/status": "no JSON"} {
		if status, _ := request(t, s.Endpoints().ControlToken, "POST", s.Endpoints().Control+path, body); status < 400 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestARestartKeepsDataPortsAndSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 2, 20)
	if _, err := s.CreateMailbox(t.Context(), "bruno.sato@sandbox.example", "CRM", Fields{"givenName": "Kept"}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMailbox(t.Context(), "ada.keller@sandbox.example", "Nora Newcomer"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateCRM(t.Context(), "bruno.sato@sandbox.example", Fields{"LastName": "Kept"}); err != nil {
		t.Fatal(err)
	}
	before, e := dump(t, s.Client), s.Endpoints()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = start(t, dir, 7, 7) // what it was made with stays
		if dump(t, s.Client) != before {
			t.Error("the data changed")
		}
		if n := s.Endpoints(); n.Graph != e.Graph || n.Salesforce != e.Salesforce || n.Control != e.Control || n.ClientID != e.ClientID {
			t.Errorf("endpoints %+v, were %+v", n, e)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPortThatIsTakenIsReplacedEverywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 1, 5)
	e := s.Endpoints()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", strings.TrimPrefix(e.Salesforce, "http://"))
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	defer func() { _ = ln.Close() }()
	s = start(t, dir, 1, 5)
	n := s.Endpoints()
	if n.Salesforce == e.Salesforce || n.Graph != e.Graph {
		t.Errorf("endpoints %+v, were %+v", n, e)
	}
	text, err := os.ReadFile(filepath.Join(dir, "crmsync.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), n.Salesforce) || strings.Contains(string(text), e.Salesforce) {
		t.Errorf("crmsync.yaml was not corrected:\n%s", text)
	}
}

func TestResetGivesTheDataOfTheSeed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 2, 20)
	before, e := dump(t, s.Client), s.Endpoints()
	if err := s.DeleteCRM(t.Context(), "ada.keller@sandbox.example"); err == nil {
		t.Error("a user is no contact")
	}
	if _, err := s.CreateCRM(t.Context(), "bruno.sato@sandbox.example", Fields{"LastName": "Gone"}); err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if dump(t, c) != before || s.Endpoints() != e {
		t.Error("a reset sandbox differs from a new one")
	}
	if _, err := c.CreateCRM(t.Context(), "bruno.sato@sandbox.example", Fields{"LastName": "After"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir, 0, 0)
	if _, err := find(mustContacts(t, s.Client), "After"); err != nil {
		t.Error("what happened after the reset was lost")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := Clear(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if s = start(t, dir, 0, 0); dump(t, s.Client) != before {
		t.Error("a cleared sandbox differs from a new one")
	}
}

func mustContacts(t *testing.T, c *Client) []Contact {
	t.Helper()
	list, err := c.Contacts(t.Context(), CRM, "")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// childDir tells the test binary that it is to be the sandbox that is killed.
var childDir = flag.String("sandbox-child", "", "directory of a sandbox to run until the process is killed")

func TestChild(t *testing.T) {
	if *childDir == "" {
		t.Skip("only run by the test that kills it")
	}
	s, err := Start(context.Background(), Options{Dir: *childDir, Users: 2, Contacts: 10, Seed: 1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Serve(context.Background())
}

func TestWhatWasAcknowledgedOutlivesAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := make(map[Side][]string)
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-sandbox-child="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c, e := await(t, dir, cmd.Process.Pid)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				name := fmt.Sprintf("R%dN%d", round, i)
				if _, err := c.CreateMailbox(context.Background(), "bruno.sato@sandbox.example", "CRM", Fields{"givenName": name}); err != nil {
					return
				}
				acknowledged[Mailbox] = append(acknowledged[Mailbox], name)
				status, _ := salesforce(t, dir, e, "POST", "/sobjects/Contact", `{"LastName":"`+name+`"}`)
				if status != 201 {
					return
				}
				acknowledged[CRM] = append(acknowledged[CRM], name)
				if i == 30 {
					_ = cmd.Process.Kill() // SIGKILL, while the loop goes on
				}
			}
		}()
		<-done
		_ = cmd.Wait()
	}
	s := start(t, dir, 0, 0)
	for side, names := range acknowledged {
		list, err := s.Contacts(t.Context(), side, map[Side]string{Mailbox: "bruno.sato@sandbox.example"}[side])
		if err != nil {
			t.Fatal(err)
		}
		have := make(map[string]int)
		for _, c := range list {
			have[c.Name]++
		}
		for _, n := range names {
			if have[n] != 1 {
				t.Errorf("%s: %s is there %d times", side, n, have[n])
			}
		}
		if len(names) < 90 {
			t.Errorf("%s: only %d writes were acknowledged", side, len(names))
		}
	}
}

// await returns the client of a sandbox that another process is starting.
func await(t *testing.T, dir string, pid int) (*Client, Endpoints) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var e Endpoints
		if found, err := readJSON(filepath.Join(dir, fileEndpoints), &e); err == nil && found && e.PID == pid {
			if c, err := Open(t.Context(), dir); err == nil {
				return c, e
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the sandbox did not start")
		case <-tick.C:
		}
	}
}

func TestAFileThatWasCutShortIsMended(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 1, 5)
	if _, err := s.CreateCRM(t.Context(), "ada.keller@sandbox.example", Fields{"LastName": "Kept"}); err != nil {
		t.Fatal(err)
	}
	before := dump(t, s.Client)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fileCRMData, fileGraphData} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"n":99,"rows":[{"t":"Cont` + strings.Repeat("x", 10_000)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = start(t, dir, 0, 0)
	if dump(t, s.Client) != before {
		t.Error("the data changed")
	}
	if _, err := s.CreateCRM(t.Context(), "ada.keller@sandbox.example", Fields{"LastName": "After"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateMailbox(t.Context(), "ada.keller@sandbox.example", "", Fields{"givenName": "After"}); err != nil {
		t.Fatal(err)
	}
	before = dump(t, s.Client)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if s = start(t, dir, 0, 0); dump(t, s.Client) != before {
		t.Error("what was written behind the mended line was lost")
	}
	// Half of a first start counts as none.
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, fileCRMData)); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir, 0, 0)
	if _, err := find(mustContacts(t, s.Client), "Kept"); err == nil {
		t.Error("a sandbox with half of its data was not made anew")
	}
}

func TestALongJournalIsRewritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 1, 5)
	id, err := s.CreateCRM(t.Context(), "ada.keller@sandbox.example", Fields{"LastName": "Busy"})
	if err != nil {
		t.Fatal(err)
	}
	mid, err := s.Graph().CreateContact("ada.keller@sandbox.example", "", map[string]any{"givenName": "Busy"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range longJournal + 10 {
		if err := s.Salesforce().UpdateContact(id, sfdc.Fields{"Title": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if err := s.Graph().UpdateContact("ada.keller@sandbox.example", mid, map[string]any{"jobTitle": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	before := dump(t, s.Client)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	crm, mail := size(fileCRMData), size(fileGraphData)
	s = start(t, dir, 0, 0)
	if size(fileCRMData) > crm/20 || size(fileGraphData) > mail/20 {
		t.Errorf("sizes %d and %d, were %d and %d", size(fileCRMData), size(fileGraphData), crm, mail)
	}
	if dump(t, s.Client) != before {
		t.Error("the data changed")
	}
	if err := s.EditCRM(t.Context(), id, Fields{"Title": "after"}); err != nil {
		t.Fatal(err)
	}
	before = dump(t, s.Client)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if s = start(t, dir, 0, 0); dump(t, s.Client) != before {
		t.Error("a change after the rewriting was lost")
	}
}
