package m365

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestContactLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	made := b.create(f, map[string]any{
		"@odata.type": "#microsoft.graph.contact", "givenName": "Grace", "surname": "Hopper", "companyName": "Navy",
		"emailAddresses": []any{map[string]any{"address": "grace@navy.example"}}, "birthday": "1906-12-09T08:00:00+02:00",
	})
	if made["displayName"] != "Grace Hopper" || made["fileAs"] != "Hopper, Grace" {
		t.Errorf("the names made up are %v and %v", made["displayName"], made["fileAs"])
	}
	if made["birthday"] != "1906-12-09T06:00:00Z" {
		t.Errorf("birthday is %v, want the instant in UTC", made["birthday"])
	}
	if mail := made["emailAddresses"].([]any)[0].(map[string]any); mail["name"] != "grace@navy.example" {
		t.Errorf("an address without a name has the name %v", mail["name"])
	}
	if etag(made["changeKey"].(string)) != made["@odata.etag"] {
		t.Errorf("etag %v is not the changeKey %v", made["@odata.etag"], made["changeKey"])
	}

	path := f + "/contacts/" + esc(made["id"])
	b.clock.pass(time.Minute)
	updated := b.want(200, "PATCH", path, map[string]any{"jobTitle": "Admiral"}, "Prefer: "+immutablePrefer)
	if updated["surname"] != "Hopper" || updated["jobTitle"] != "Admiral" {
		t.Errorf("the update did not merge: %v", updated)
	}
	if updated["@odata.etag"] == made["@odata.etag"] || updated["lastModifiedDateTime"] == made["lastModifiedDateTime"] {
		t.Error("an update left the etag or the time of the last change as they were")
	}
	got := b.want(200, "GET", b.root()+"/contacts/"+esc(made["id"])+"?$select=surname", nil, "Prefer: "+immutablePrefer)
	delete(got, "@odata.context")
	if want := map[string]any{"@odata.etag": updated["@odata.etag"], "id": made["id"], "surname": "Hopper"}; !reflect.DeepEqual(got, want) {
		t.Errorf("$select=surname gives %v, want %v", got, want)
	}
	b.want(204, "DELETE", path, nil)
	b.refused(404, "ErrorItemNotFound", "GET", path, nil)
	b.refused(404, "ErrorItemNotFound", "GET", b.root()+"/contacts/"+esc(made["id"]), nil)
	b.refused(404, "ErrorItemNotFound", "PATCH", path, map[string]any{"surname": "x"})
	gone, err := b.s.Deleted("ada@contoso.example")
	if err != nil || len(gone) != 1 || gone[0]["surname"] != "Hopper" {
		t.Errorf("Deleted Items holds %v, %v", gone, err)
	}
}

func TestUpdateReplacesWholeValues(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.create(b.root(), map[string]any{
		"businessAddress": map[string]any{"street": "1 Main St", "city": "Bonn"}, "businessPhones": []any{"1", "2"}, "surname": "S", "nickName": "N",
	})
	path := b.root() + "/contacts/" + esc(c["id"])
	got := b.want(200, "PATCH", path, map[string]any{
		"businessAddress": map[string]any{"city": "Köln"}, "businessPhones": []any{"3"}, "nickName": nil, "homeAddress": nil,
	})
	if want := map[string]any{"city": "Köln"}; !reflect.DeepEqual(got["businessAddress"], want) {
		t.Errorf("address is %v, want it replaced by %v", got["businessAddress"], want)
	}
	if !reflect.DeepEqual(got["businessPhones"], []any{"3"}) || got["nickName"] != nil || got["surname"] != "S" {
		t.Errorf("phones %v, nick name %v, surname %v", got["businessPhones"], got["nickName"], got["surname"])
	}
	got = b.want(200, "PATCH", path, map[string]any{"businessPhones": []any{}, "businessAddress": nil, "surname": ""})
	if len(got["businessPhones"].([]any)) != 0 || len(got["businessAddress"].(map[string]any)) != 0 || got["surname"] != nil {
		t.Errorf("clearing left %v, %v, %v", got["businessPhones"], got["businessAddress"], got["surname"])
	}
}

func TestDisplayNameIsMadeUpAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.create(b.root(), map[string]any{"givenName": "A", "surname": "B", "displayName": "Mine"})
	path := b.root() + "/contacts/" + esc(c["id"])
	for _, step := range []struct {
		body map[string]any
		want string
	}{
		{map[string]any{"jobTitle": "x"}, "Mine"},
		{map[string]any{"surname": "C"}, "A C"},
		{map[string]any{"surname": "D", "displayName": "Kept"}, "Kept"},
	} {
		if got := b.want(200, "PATCH", path, step.body)["displayName"]; got != step.want {
			t.Errorf("after %v the display name is %v, want %s", step.body, got, step.want)
		}
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.create(b.root(), map[string]any{"surname": "S"})
	path := b.root() + "/contacts/" + esc(c["id"])
	first := c["@odata.etag"].(string)
	second := b.want(200, "PATCH", path, map[string]any{"surname": "T"}, "If-Match: "+first)["@odata.etag"].(string)
	b.refused(412, "ErrorIrresolvableConflict", "PATCH", path, map[string]any{"surname": "U"}, "If-Match: "+first)
	b.refused(412, "ErrorIrresolvableConflict", "DELETE", path, nil, "If-Match: "+first)
	if got := b.want(200, "GET", path, nil)["surname"]; got != "T" {
		t.Errorf("a refused update changed the surname to %v", got)
	}
	b.want(200, "PATCH", path, map[string]any{"surname": "V"}, "If-Match: *")
	b.refused(412, "ErrorIrresolvableConflict", "DELETE", path, nil, "If-Match: "+second)
	third := b.want(200, "GET", path, nil)["@odata.etag"].(string)
	b.want(204, "DELETE", path, nil, "If-Match: "+third)
}

func TestRefusedBodies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.create(b.root(), map[string]any{"surname": "S"})
	mail := func(n int) (l []any) {
		for range n {
			l = append(l, map[string]any{"address": "a@b.example"})
		}
		return l
	}
	for name, tc := range map[string]struct {
		body any
		code string
	}{
		"four e-mail addresses":   {map[string]any{"emailAddresses": mail(4)}, "ErrorInvalidArgument"},
		"three business phones":   {map[string]any{"businessPhones": []string{"1", "2", "3"}}, "ErrorInvalidArgument"},
		"three home phones":       {map[string]any{"homePhones": []string{"1", "2", "3"}}, "ErrorInvalidArgument"},
		"four im addresses":       {map[string]any{"imAddresses": []string{"1", "2", "3", "4"}}, "ErrorInvalidArgument"},
		"unknown property":        {map[string]any{"shoeSize": "44"}, "RequestBodyRead"},
		"property in other case":  {map[string]any{"Surname": "X"}, "RequestBodyRead"},
		"unknown address part":    {map[string]any{"homeAddress": map[string]any{"planet": "x"}}, "RequestBodyRead"},
		"unknown part of an mail": {map[string]any{"emailAddresses": []any{map[string]any{"kind": "x"}}}, "RequestBodyRead"},
		"number for text":         {map[string]any{"surname": 5}, "RequestBodyRead"},
		"text for list":           {map[string]any{"businessPhones": "1"}, "RequestBodyRead"},
		"null for list":           {map[string]any{"emailAddresses": nil}, "RequestBodyRead"},
		"null in list":            {map[string]any{"categories": []any{nil}}, "RequestBodyRead"},
		"text for address":        {map[string]any{"homeAddress": "x"}, "RequestBodyRead"},
		"no date":                 {map[string]any{"birthday": "soon"}, "RequestBodyRead"},
		"read-only property":      {map[string]any{"changeKey": "x"}, "ErrorInvalidPropertySet"},
		"too long":                {map[string]any{"companyName": strings.Repeat("ü", 256)}, "ErrorPropertyValidationFailure"},
		"NUL":                     {map[string]any{"companyName": "a\x00b"}, "ErrorPropertyValidationFailure"},
		"bad extended property":   {map[string]any{"singleValueExtendedProperties": []any{map[string]any{"id": "String x", "value": "v"}}}, "ErrorInvalidExtendedProperty"},
		"no object":               {"[]", "BadRequest"},
		"no JSON":                 {"{", "BadRequest"},
		"two objects":             {"{}{}", "BadRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			b.refused(400, tc.code, "POST", b.root()+"/contacts", tc.body)
			b.refused(400, tc.code, "PATCH", b.root()+"/contacts/"+esc(c["id"]), tc.body)
		})
	}
	if n := len(values(b.want(200, "GET", b.root()+"/contacts", nil))); n != 1 {
		t.Errorf("refused bodies left %d contacts, want the one there was", n)
	}
	b.want(201, "POST", b.root()+"/contacts", map[string]any{
		"emailAddresses": mail(3), "businessPhones": []string{"1", "2"}, "companyName": strings.Repeat("ü", 255), "personalNotes": strings.Repeat("x", 100_000),
	})
	b.want(415, "POST", b.root()+"/contacts", "{}", "Content-Type: ")
	b.want(413, "POST", b.root()+"/contacts", map[string]any{"personalNotes": strings.Repeat("x", maxBody)})
}

func TestIDs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	imm := b.create(f, map[string]any{"surname": "S"})["id"].(string)
	other := b.create(f, map[string]any{"surname": "T"})["id"].(string)
	for _, id := range []string{imm, other} {
		if len(id) < 100 || !strings.Contains(id, "/") || !strings.Contains(id, "+") || !strings.HasSuffix(id, "=") {
			t.Errorf("id %q does not need the care that real ids need", id)
		}
	}
	reg := b.want(200, "GET", f+"/contacts/"+esc(imm), nil)["id"].(string)
	if reg == imm {
		t.Fatal("without the preference the id is the immutable one")
	}
	if err := b.s.MoveContact("ada@contoso.example", imm, ""); err != nil {
		t.Fatal(err)
	}
	b.refused(404, "ErrorItemNotFound", "GET", b.root()+"/contacts/"+esc(reg), nil)
	b.refused(404, "ErrorItemNotFound", "GET", f+"/contacts/"+esc(imm), nil)
	moved := b.want(200, "GET", b.root()+"/contacts/"+esc(imm), nil, "Prefer: "+immutablePrefer)
	if moved["id"] != imm {
		t.Error("the immutable id changed with the folder")
	}
	def := b.want(200, "GET", b.root()+"/contactFolders/contacts", nil)
	if moved["parentFolderId"] != def["id"] {
		t.Error("the moved contact does not name its new folder")
	}
	if again := b.want(200, "GET", b.root()+"/contacts/"+esc(imm), nil)["id"]; again == reg || again == imm {
		t.Error("the regular id did not change with the folder")
	}
	b.refused(400, "ErrorInvalidIdMalformed", "GET", b.root()+"/contacts/nonsense", nil)
}

// Microsoft's SDK for Go escapes ids and option names, sends bodies compressed, in chunks
// and with several preferences, and follows links as they are.
func TestShapeOfMicrosoftsSDK(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	fid, _ := url.PathUnescape(f[strings.LastIndex(f, "/")+1:])
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write([]byte(`{"@odata.type":"#microsoft.graph.contact","surname":"S"}`))
	_ = w.Close()
	// A reader of no known length makes the client send chunks.
	req, _ := http.NewRequest(http.MethodPost, b.srv.URL+"/v1.0/users/ada%40contoso.example/contactFolders/"+url.QueryEscape(fid)+"/contacts", io.MultiReader(&z))
	for k, v := range map[string]string{
		"Authorization": "Bearer " + b.token, "Content-Type": "application/json", "Content-Encoding": "gzip", "Accept-Encoding": "gzip",
		"Prefer": immutablePrefer + ",odata.maxpagesize=2", "client-request-id": "11111111-2222-4333-8444-555555555555",
	} {
		req.Header.Set(k, v)
	}
	res, err := b.srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusCreated || res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("client-request-id") != "11111111-2222-4333-8444-555555555555" ||
		res.Header.Get("request-id") == "" || res.Header.Get("Date") != "Wed, 04 Mar 2026 05:06:07 GMT" {
		t.Fatalf("status %d, headers %v", res.StatusCode, res.Header)
	}
	r, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var made map[string]any
	if err := json.NewDecoder(r).Decode(&made); err != nil {
		t.Fatal(err)
	}
	for _, spelling := range []string{
		"/users/ada%40contoso.example/contactFolders/" + url.QueryEscape(fid) + "/contacts/delta()?%24select=surname",
		"/users('" + b.user.ID + "')/contactFolders('" + url.PathEscape(fid) + "')/contacts/delta?$select=surname",
		"/users/" + b.user.ID + "/contactfolders/" + url.QueryEscape(fid) + "/contacts/microsoft.graph.delta()?$select=surname",
	} {
		out := b.want(200, "GET", spelling, nil, "Prefer: "+immutablePrefer)
		if v := values(out); len(v) != 1 || v[0]["id"] != made["id"] || v[0]["surname"] != "S" || v[0]["@odata.etag"] == nil || len(v[0]) != 3 {
			t.Errorf("%s: %v", spelling, out)
		}
		next := out["@odata.deltaLink"].(string)
		if !strings.Contains(next, "/contactFolders('"+url.PathEscape(fid)+"')/contacts/delta()?$deltatoken=") {
			t.Errorf("link %s", next)
		}
		if v := values(b.want(200, "GET", next, nil)); len(v) != 0 {
			t.Errorf("nothing changed, but the link gives %v", v)
		}
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	for i := range 25 {
		b.create(f, name(i))
	}
	count := func(path string, headers ...string) (sizes []int, names map[any]bool) {
		names = map[any]bool{}
		for path != "" {
			out := b.want(200, "GET", path, nil, headers...)
			sizes = append(sizes, len(values(out)))
			for _, v := range values(out) {
				names[v["givenName"]] = true
			}
			path, _ = out["@odata.nextLink"].(string)
		}
		return sizes, names
	}
	for _, tc := range []struct {
		query string
		head  []string
		want  []int
	}{
		{"", nil, []int{10, 10, 5}},
		{"?$top=12", nil, []int{12, 12, 1}},
		{"?$select=givenName", []string{"Prefer: odata.maxpagesize=20"}, []int{20, 5}},
		{"?$top=1000", nil, []int{25}},
		{"?top=20&skip=0", nil, []int{20, 5}},
	} {
		sizes, names := count(f+"/contacts"+tc.query, tc.head...)
		if !reflect.DeepEqual(sizes, tc.want) || len(names) != 25 {
			t.Errorf("%q: pages of %v with %d names, want %v with 25", tc.query, sizes, len(names), tc.want)
		}
	}
	if n := len(values(b.want(200, "GET", b.root()+"/contacts", nil))); n != 0 {
		t.Errorf("the default folder lists %d contacts of another", n)
	}
	for _, q := range []string{"$top=0", "$top=1001", "$top=x", "$orderby=surname", "$search=x", "foo=bar"} {
		b.want(400, "GET", f+"/contacts?"+q, nil)
	}
	b.refused(400, "RequestBroker--ParseUri", "GET", f+"/contacts?$select=nothing", nil)
}

const stampID = "String {66F5A359-4659-4830-9070-00047EC6AC6E} Name Stamp"

func prop(id string, v any) []any { return []any{map[string]any{"id": id, "value": v}} }

func TestExtendedProperties(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	c := b.create(f, map[string]any{"surname": "S", "singleValueExtendedProperties": prop(stampID, "It's|One")})
	if _, shown := c["singleValueExtendedProperties"]; shown {
		t.Error("the property is shown without $expand")
	}
	b.create(f, map[string]any{"surname": "T", "singleValueExtendedProperties": prop(stampID, "Two")})
	b.create(b.root(), map[string]any{"surname": "U", "singleValueExtendedProperties": prop(stampID, "One")})
	find := func(root, value, id string) (names []any) {
		q := "singleValueExtendedProperties/Any(ep: ep/id eq '" + id + "' and ep/value eq '" + value + "')"
		for _, v := range values(b.want(200, "GET", root+"/contacts?$filter="+url.QueryEscape(q), nil)) {
			if v["singleValueExtendedProperties"] != nil {
				t.Error("the answer to a filter holds the property")
			}
			names = append(names, v["surname"])
		}
		return names
	}
	low := strings.ToLower(stampID[:43]) + stampID[43:]
	low = "String" + low[6:]
	for _, tc := range []struct {
		root, value, id string
		want            []any
	}{
		{b.root(), "It''s|One", stampID, []any{"S"}},
		{b.root(), "it''s|oNE", stampID, []any{"S"}},
		{b.root(), "One", low, []any{"U"}},
		{f, "One", stampID, nil},
		{f, "two", stampID, []any{"T"}},
		{b.root(), "Two", strings.Replace(stampID, "Stamp", "stamp", 1), nil},
	} {
		if got := find(tc.root, tc.value, tc.id); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("filter %q for %q in %s finds %v, want %v", tc.id, tc.value, tc.root[len(tc.root)-4:], got, tc.want)
		}
	}
	or := "singleValueExtendedProperties/Any(ep: ep/id eq '" + stampID + "' and ep/value eq 'one') or singleValueExtendedProperties/Any(ep: ep/value eq 'two' and ep/id eq '" + stampID + "')"
	if got := values(b.want(200, "GET", b.root()+"/contacts?$filter="+url.QueryEscape(or), nil)); len(got) != 2 {
		t.Errorf("or finds %d, want 2", len(got))
	}
	starts := "singleValueExtendedProperties/Any(ep: ep/id eq '" + stampID + "' and startswith(ep/value, 'It'))"
	if got := values(b.want(200, "GET", b.root()+"/contacts?$filter="+url.QueryEscape(starts), nil)); len(got) != 1 {
		t.Errorf("startswith finds %d, want 1", len(got))
	}

	if got := values(b.want(200, "GET", b.root()+"/contacts?$filter="+url.QueryEscape(strings.Replace(starts, "Stamp", "STAMP", 1)), nil)); len(got) != 0 {
		t.Errorf("startswith finds %d by a name in another case", len(got))
	}

	path := b.root() + "/contacts/" + esc(c["id"])
	expand := "?$select=surname&$expand=" + url.QueryEscape("singleValueExtendedProperties($filter=id eq '"+stampID+"')")
	stamp := func() any {
		l, _ := b.want(200, "GET", path+expand, nil)["singleValueExtendedProperties"].([]any)
		if len(l) == 0 {
			return nil
		}
		p := l[0].(map[string]any)
		if p["id"] != "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Stamp" {
			t.Errorf("the property comes back as %v", p["id"])
		}
		return p["value"]
	}
	if got := stamp(); got != "It's|One" {
		t.Errorf("stamp is %v", got)
	}
	b.want(200, "PATCH", path, map[string]any{"jobTitle": "x"})
	if got := stamp(); got != "It's|One" {
		t.Errorf("an update of something else made the stamp %v", got)
	}
	b.want(200, "PATCH", path, map[string]any{"singleValueExtendedProperties": prop(stampID, "Three")})
	if got := stamp(); got != "Three" || find(b.root(), "It''s|One", stampID) != nil || len(find(b.root(), "three", stampID)) != 1 {
		t.Errorf("after the update the stamp is %v", got)
	}
	b.want(200, "PATCH", path, map[string]any{"singleValueExtendedProperties": prop(stampID, nil)})
	if got := stamp(); got != nil {
		t.Errorf("after clearing the stamp is %v", got)
	}
	b.want(400, "GET", path+"?$expand=singleValueExtendedProperties", nil)
	b.want(400, "GET", path+"?$expand=photo", nil)
	b.want(400, "GET", b.root()+"/contacts?$filter=surname+eq", nil)
	if got := values(b.want(200, "GET", f+"/contacts?$filter=surname+eq+'t'+and+not+(surname+eq+'S')", nil)); len(got) != 1 {
		t.Errorf("a filter on a text finds %d, want 1", len(got))
	}
}

func TestMailboxPaths(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.refused(404, "ErrorInvalidUser", "GET", "/users/nobody@contoso.example/contacts", nil)
	b.refused(400, "BadRequest", "GET", "/me/contacts", nil)
	b.refused(400, "BadRequest", "GET", b.root()+"/nonsense", nil)
	b.want(405, "PUT", b.root()+"/contacts", "{}")
	b.refused(404, "ErrorFolderNotFound", "GET", b.root()+"/contactFolders/AAno/contacts", nil)
	b.refused(404, "ErrorFolderNotFound", "POST", b.root()+"/contactFolders/AAno/contacts", map[string]any{})
	if s, _, _ := b.do("GET", b.srv.URL+"/beta/users", nil); s != 404 {
		t.Errorf("another version answers %d", s)
	}
	b.want(200, "GET", "/users/ADA@CONTOSO.example/contacts", nil)
}
