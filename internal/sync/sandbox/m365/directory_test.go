package m365

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 7 {
		if _, err := b.s.AddUser(User{DisplayName: fmt.Sprintf("User %d", i), Mail: fmt.Sprintf("u%d@contoso.example", i), Disabled: i == 3, Guest: i == 4}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.s.AddUser(User{DisplayName: "Again", Mail: "ADA@contoso.example"}); err == nil {
		t.Error("a second user of a name is accepted")
	}
	org := values(b.want(200, "GET", "/organization", nil))
	if len(org) != 1 || org[0]["id"] != tenantID {
		t.Errorf("organization %v", org)
	}
	var names []any
	for path := "/users?$top=3&$select=displayName,mail"; path != ""; {
		out := b.want(200, "GET", path, nil)
		for _, u := range values(out) {
			names = append(names, u["displayName"])
			if u["mail"] == nil || u["surname"] != nil {
				t.Errorf("$select is not kept on the next page: %v", u)
			}
		}
		path, _ = out["@odata.nextLink"].(string)
	}
	if len(names) != 8 || names[0] != "Ada Lovelace" || names[7] != "User 6" {
		t.Errorf("pages of three give %v", names)
	}
	for filter, want := range map[string]int{
		"mail eq 'U2@contoso.example'": 1,
		"mail eq 'u2@contoso.example' or userPrincipalName eq 'ada@contoso.example'": 2,
		"accountEnabled eq true":                                7,
		"userType eq 'Guest'":                                   1,
		"startswith(displayName,'User')":                        7,
		"mail eq 'it''s'":                                       0,
		"not (userType eq 'Guest') and accountEnabled ne false": 6,
	} {
		if got := len(values(b.want(200, "GET", "/users?$filter="+url.QueryEscape(filter), nil))); got != want {
			t.Errorf("%s finds %d, want %d", filter, got, want)
		}
	}
	for _, bad := range []string{"$filter=mail", "$filter=mail+eq+'x", "$filter=mail+eq+x", "$top=1000", "$skiptoken=x", "$search=x", "$expand=manager"} {
		b.want(400, "GET", "/users?"+bad, nil)
	}
	if u := b.want(200, "GET", "/users/ada@contoso.example", nil); u["id"] != b.user.ID || u["accountEnabled"] != nil {
		t.Errorf("by name: %v", u)
	}
	if u := b.want(200, "GET", b.root()+"?$select=accountEnabled,assignedLicenses", nil); u["accountEnabled"] != true || len(u["assignedLicenses"].([]any)) != 1 {
		t.Errorf("selected: %v", u)
	}
	b.refused(404, "Request_ResourceNotFound", "GET", "/users/nobody", nil)
	if s := b.want(200, "GET", b.root()+"/mailboxSettings", nil); s["timeZone"] != "W. Europe Standard Time" {
		t.Errorf("settings %v", s)
	}
	if got := b.s.Users(); len(got) != 8 || got[0] != b.user {
		t.Errorf("Users returns %v", got)
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	claim := "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Claim"
	var paths []string
	for i := range 12 {
		out := b.want(201, "POST", b.root()+"/contactFolders", map[string]any{"displayName": fmt.Sprintf("F%02d", i), "singleValueExtendedProperties": prop(claim, fmt.Sprint(i))})
		paths = append(paths, b.root()+"/contactFolders/"+esc(out["id"]))
	}
	var names []any
	for path := b.root() + "/contactFolders"; path != ""; {
		out := b.want(200, "GET", path, nil)
		for _, f := range values(out) {
			names = append(names, f["displayName"])
		}
		path, _ = out["@odata.nextLink"].(string)
	}
	if len(names) != 12 || names[0] != "F00" {
		t.Errorf("the list holds %v; the default folder is in no list", names)
	}
	def := b.want(200, "GET", b.root()+"/contactFolders/Contacts", nil)
	if def["displayName"] != "Contacts" {
		t.Errorf("the well-known folder is %v", def)
	}
	b.refused(409, "ErrorFolderExists", "POST", b.root()+"/contactFolders", map[string]any{"displayName": "f03"})
	b.want(400, "POST", b.root()+"/contactFolders", map[string]any{})
	b.want(400, "POST", b.root()+"/contactFolders", map[string]any{"displayName": "x", "color": "red"})
	b.want(400, "PATCH", paths[0], map[string]any{"parentFolderId": "x"})

	find := url.QueryEscape("singleValueExtendedProperties/Any(ep: ep/id eq '" + claim + "' and ep/value eq '7')")
	expand := "$expand=" + url.QueryEscape("singleValueExtendedProperties($filter=id eq '"+claim+"')")
	found := values(b.want(200, "GET", b.root()+"/contactFolders?$filter="+find+"&"+expand, nil))
	if len(found) != 1 || found[0]["displayName"] != "F07" || !reflect.DeepEqual(found[0]["singleValueExtendedProperties"], prop(claim, "7")) {
		t.Errorf("by claim: %v", found)
	}
	if got := values(b.want(200, "GET", b.root()+"/contactFolders?$filter="+url.QueryEscape("displayName eq 'f07'"), nil)); len(got) != 1 {
		t.Errorf("by name: %v", got)
	}
	b.want(200, "PATCH", paths[7], map[string]any{"singleValueExtendedProperties": prop(claim, "new"), "displayName": "Renamed"})
	if f := b.want(200, "GET", paths[7]+"?"+expand, nil); f["displayName"] != "Renamed" || !reflect.DeepEqual(f["singleValueExtendedProperties"], prop(claim, "new")) {
		t.Errorf("after the update: %v", f)
	}
	b.refused(409, "ErrorFolderExists", "PATCH", paths[7], map[string]any{"displayName": "F01"})

	child := b.want(201, "POST", paths[7]+"/childFolders", map[string]any{"displayName": "Child"})
	if got := values(b.want(200, "GET", paths[7]+"/childFolders", nil)); len(got) != 1 || got[0]["id"] != child["id"] {
		t.Errorf("children %v", got)
	}
	b.want(201, "POST", paths[7]+"/childFolders/"+esc(child["id"])+"/contacts", name(1))
	b.want(200, "GET", b.root()+"/contactFolders/"+esc(child["id"]), nil)
	b.want(204, "DELETE", paths[7], nil)
	b.refused(404, "ErrorFolderNotFound", "GET", paths[7], nil)
	b.refused(404, "ErrorFolderNotFound", "GET", b.root()+"/contactFolders/"+esc(child["id"]), nil)
	if gone, _ := b.s.Deleted(b.user.ID); len(gone) != 1 {
		t.Errorf("the child folder's contact is not in Deleted Items")
	}
	b.refused(400, "ErrorDeleteDistinguishedFolder", "DELETE", b.root()+"/contactFolders/contacts", nil)
	b.want(201, "POST", b.root()+"/contactFolders", map[string]any{"displayName": "Renamed"}) // the name is free again
}

func TestCategories(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.root() + "/outlook/masterCategories"
	if n := len(values(b.want(200, "GET", path, nil))); n != 6 {
		t.Errorf("a new mailbox has %d categories", n)
	}
	c := b.want(201, "POST", path, map[string]any{"displayName": "CRM", "color": "preset24"})
	one := path + "/" + esc(c["id"])
	b.want(409, "POST", path, map[string]any{"displayName": "crm"})
	for _, bad := range []map[string]any{{}, {"displayName": "x", "color": "preset25"}, {"displayName": "x", "color": "preset01"}, {"displayName": "x", "color": "red"}, {"displayName": 5}, {"displayName": "x", "size": "1"}} {
		b.want(400, "POST", path, bad)
	}
	b.want(400, "PATCH", one, map[string]any{"displayName": "Other"})
	if got := b.want(200, "PATCH", one, map[string]any{"color": "none"}); got["color"] != "none" || got["displayName"] != "CRM" {
		t.Errorf("after the update: %v", got)
	}
	item := b.create(b.root(), map[string]any{"categories": []string{"CRM", "of no list"}})
	b.want(204, "DELETE", one, nil)
	b.want(404, "DELETE", one, nil)
	b.want(404, "GET", one, nil)
	if got := b.want(200, "GET", b.root()+"/contacts/"+esc(item["id"]), nil)["categories"]; !reflect.DeepEqual(got, []any{"CRM", "of no list"}) {
		t.Errorf("the contact has the categories %v", got)
	}
	b.want(201, "POST", path, map[string]any{"displayName": "CRM"})
}

func TestApps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app, err := b.s.AddApp(App{ExternalID: "9d1e4f5a-0000-4000-8000-000000000001", DisplayName: "CRM Sync"})
	if err != nil {
		t.Fatal(err)
	}
	find := func(ext string) []map[string]any {
		return values(b.want(200, "GET", "/appCatalogs/teamsApps?$filter="+url.QueryEscape("externalId eq '"+ext+"'"), nil))
	}
	if got := find(app.ExternalID); len(got) != 1 || got[0]["id"] != app.ID {
		t.Errorf("catalogue %v", got)
	}
	if got := find("other"); len(got) != 0 {
		t.Errorf("catalogue %v", got)
	}
	path := b.root() + "/teamwork/installedApps"
	installed := func() []map[string]any {
		return values(b.want(200, "GET", path+"?$expand=teamsApp,teamsAppDefinition&$filter="+url.QueryEscape("teamsApp/externalId eq '"+app.ExternalID+"'"), nil))
	}
	if got := installed(); len(got) != 0 {
		t.Errorf("installed %v", got)
	}
	bind := map[string]any{"teamsApp@odata.bind": "https://graph.microsoft.com/v1.0/appCatalogs/teamsApps/" + app.ID}
	res, err := b.try("POST", path, bind)
	if err != nil {
		t.Fatal(err)
	}
	if res.status != 201 || len(res.text) != 0 {
		t.Errorf("install: %d %q", res.status, res.text)
	}
	b.want(409, "POST", path, bind)
	b.want(404, "POST", path, map[string]any{"teamsApp@odata.bind": "https://graph.microsoft.com/v1.0/appCatalogs/teamsApps('none')"})
	b.want(400, "POST", path, map[string]any{"teamsApp@odata.bind": "nonsense"})
	got := installed()
	if len(got) != 1 || got[0]["id"] == app.ID || got[0]["teamsApp"].(map[string]any)["externalId"] != app.ExternalID || got[0]["teamsAppDefinition"] == nil {
		t.Fatalf("installed %v", got)
	}
	if names, _ := b.s.Installed(b.user.ID); !reflect.DeepEqual(names, []string{app.ExternalID}) {
		t.Errorf("Installed returns %v", names)
	}
	one := path + "/" + esc(got[0]["id"])
	b.want(200, "GET", one, nil)
	b.want(204, "POST", one+"/upgrade", "{}")
	b.want(204, "DELETE", one, nil)
	b.want(404, "DELETE", one, nil)
	if got := installed(); len(got) != 0 {
		t.Errorf("installed %v", got)
	}
	// An unlicensed mailbox does not matter to Teams, an unknown user does.
	b.refused(404, "Request_ResourceNotFound", "GET", "/users/nobody/teamwork/installedApps", nil)
}

func TestSplitPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"users/a%40b/contacts/x%2Fy%3D":                               "users/*/contacts/* a@b x/y=",
		"users('a')/contactFolders('x%2Fy+z=')/contacts/delta()":      "users/*/contactfolders/*/contacts/delta a x/y+z=",
		"Users/a/ContactFolders/f/Contacts/microsoft.graph.delta":     "users/*/contactfolders/*/contacts/delta a f",
		"users/a/contactFolders/f/childFolders":                       "users/*/contactfolders/*/childfolders a f",
		"users/a/contactFolders/f/childFolders/g/contacts/c":          "users/*/contactfolders/*/contacts/* a g c",
		"users/a/contactFolders/f/childFolders/g/childFolders/h":      "users/*/contactfolders/* a h",
		"users/o''x/contacts('it''s')":                                "users/*/contacts/* o''x it's",
		"users/a/teamwork/installedApps/i/upgrade":                    "users/*/teamwork/installedapps/*/upgrade a i",
		"appCatalogs/teamsApps":                                       "appcatalogs/teamsapps",
		"users/a/contacts/":                                           "users/*/contacts a",
		"users/a/contactFolders('f')/childFolders('g')/contacts('c')": "users/*/contactfolders/*/contacts/* a g c",
	} {
		pattern, keys, err := splitPath(path)
		if got := strings.Join(append([]string{pattern}, keys...), " "); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", path, got, err, want)
		}
	}
	for _, bad := range []string{"users/%zz", "users/a/contacts/%"} {
		if _, _, err := splitPath(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func FuzzSplitPath(f *testing.F) {
	f.Add("users/a/contactFolders('f')/childFolders/g/contacts")
	f.Add("childFolders/childFolders/childFolders")
	f.Fuzz(func(_ *testing.T, path string) { _, _, _ = splitPath(path) })
}

func FuzzParseFilter(f *testing.F) {
	f.Add("singleValueExtendedProperties/Any(ep: ep/id eq 'String {66f5a359-4659-4830-9070-00047ec6ac6e} Name x' and ep/value eq 'v')")
	f.Add("not (a eq 'b' or startswith(c,'d')) and e ne null")
	f.Fuzz(func(_ *testing.T, text string) {
		if e, err := parseFilter(text); err == nil {
			e.holds(map[string]any{"a": "b", "c": []any{map[string]any{"d": "e"}}})
			_, _ = exactProperties(e)
		}
	})
}
