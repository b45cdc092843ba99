package sfdc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestIDsCarryTheirCase(t *testing.T) {
	t.Parallel()
	// The example of Salesforce's own help, and what it says of its characters.
	for id15, want := range map[string]string{
		"001A0000006Vm9r": "001A0000006Vm9rIAC", "003D000000QOQHN": "003D000000QOQHNIA5", "000000000000000": "000000000000000AAA",
	} {
		if got := long(id15); got != want {
			t.Errorf("%s: %s, want %s", id15, got, want)
		}
		if got, ok := canonicalID(strings.ToLower(want)); !ok || got != want {
			t.Errorf("%s without case: %s", want, got)
		}
	}
	last := ""
	for n := uint64(1); n < 5000; n += 61 {
		id := newID("003", "ab0", n)
		if id <= last || number(id) != n {
			t.Fatalf("id %s of %d after %s", id, n, last)
		}
		last = id
	}
	for _, bad := range []string{"", "003", "003A000000000 1", "003A00000000001AA9", "003-00000000001"} {
		if got, ok := canonicalID(bad); ok {
			t.Errorf("%q is taken for %s", bad, got)
		}
	}
}

func TestAWriteIsRefusedForWhatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	acme, err := o.CreateAccount("Acme")
	if err != nil {
		t.Fatal(err)
	}
	idle, err := o.AddUser(User{Username: "idle@sandbox.example", LastName: "Idle", Active: false})
	if err != nil {
		t.Fatal(err)
	}
	taken := o.person("LastName", "Taken", "External_Id__c", "X1")
	for _, tt := range []struct {
		body, code string
		field      string
	}{
		{`{}`, "REQUIRED_FIELD_MISSING", "LastName"},
		{`{"LastName":"   "}`, "REQUIRED_FIELD_MISSING", "LastName"},
		{`{"LastName":"` + strings.Repeat("ä", 81) + `"}`, "STRING_TOO_LONG", "LastName"},
		{`{"LastName":"A","FirstName":"` + strings.Repeat("x", 41) + `"}`, "STRING_TOO_LONG", "FirstName"},
		{`{"LastName":"A","MailingCity":"` + strings.Repeat("x", 41) + `"}`, "STRING_TOO_LONG", "MailingCity"},
		{`{"LastName":"A","Email":"not an address"}`, "INVALID_EMAIL_ADDRESS", "Email"},
		{`{"LastName":"A","Email":"a@b"}`, "INVALID_EMAIL_ADDRESS", "Email"},
		{`{"LastName":"A","Email":"Ann <a@b.example>"}`, "INVALID_EMAIL_ADDRESS", "Email"},
		{`{"LastName":"A","Birthdate":"1980-13-01"}`, "JSON_PARSER_ERROR", ""},
		{`{"LastName":"A","Birthdate":"1980-02-30"}`, "JSON_PARSER_ERROR", ""},
		{`{"LastName":"A","Birthdate":"1601-01-01"}`, "NUMBER_OUTSIDE_VALID_RANGE", "Birthdate"},
		{`{"LastName":5}`, "JSON_PARSER_ERROR", ""},
		{`{"LastName":{"a":1}}`, "JSON_PARSER_ERROR", ""},
		{`{"LastName":`, "JSON_PARSER_ERROR", ""},
		{`{"LastName":"A","Nope":"x"}`, "INVALID_FIELD", ""},
		{`{"LastName":"A","Name":"x"}`, "INVALID_FIELD_FOR_INSERT_UPDATE", "Name"},
		{`{"LastName":"A","SystemModstamp":"2026-01-01T00:00:00Z"}`, "INVALID_FIELD_FOR_INSERT_UPDATE", "SystemModstamp"},
		{`{"LastName":"A","AccountId":"xyz"}`, "MALFORMED_ID", "AccountId"},
		{`{"LastName":"A","AccountId":"` + taken + `"}`, "FIELD_INTEGRITY_EXCEPTION", "AccountId"},
		{`{"LastName":"A","AccountId":"` + newID("001", "ab0", 99) + `"}`, "INVALID_CROSS_REFERENCE_KEY", "AccountId"},
		{`{"LastName":"A","OwnerId":"` + idle + `"}`, "INACTIVE_OWNER_OR_USER", "OwnerId"},
		{`{"LastName":"A","External_Id__c":"x1"}`, "DUPLICATE_VALUE", "External_Id__c"},
	} {
		r := o.do("POST", "/sobjects/Contact", tt.body)
		o.want(r, 400, tt.code)
		if list, ok := r.json().([]any); ok && tt.field != "" {
			if m, _ := list[0].(map[string]any); fmt.Sprint(m["fields"]) != "["+tt.field+"]" {
				t.Errorf("%s blames %v, want %s", tt.body, m["fields"], tt.field)
			}
		}
	}
	o.want(o.do("POST", "/sobjects/Contact", `{"LastName":"`+strings.Repeat("ä", 80)+`","AccountId":"`+acme[:15]+`"}`), 201, "")
	o.want(o.do("POST", "/sobjects/Nope", `{"LastName":"A"}`), 404, "NOT_FOUND")
	o.want(o.do("PATCH", "/sobjects/Contact/nope", `{"LastName":"A"}`), 400, "MALFORMED_ID")
	o.want(o.do("PATCH", "/sobjects/Contact/"+newID("003", "ab0", 999), `{"LastName":"A"}`), 404, "NOT_FOUND")
	o.want(o.do("PATCH", "/sobjects/Contact/"+taken, `{"LastName":null}`), 400, "REQUIRED_FIELD_MISSING")
	if s := o.Stats(); s.Created != 1 {
		t.Errorf("%d rows were created", s.Created)
	}
}

func TestTheDuplicateRuleCanBePassed(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	body := `{"LastName":"Berg","Email":"ann@acme.example"}`
	first := o.person("LastName", "berg", "Email", "ANN@acme.example")
	r := o.do("POST", "/sobjects/Contact", body)
	o.want(r, 400, "DUPLICATES_DETECTED")
	if !strings.Contains(string(r.body), `"duplicateResut"`) || !strings.Contains(string(r.body), first) {
		t.Errorf("the refusal does not name the match: %s", r.body)
	}
	o.want(o.do("POST", "/sobjects/Contact", `{"LastName":"Other","Email":"ann@acme.example"}`), 201, "")
	o.want(o.do("POST", "/sobjects/Contact", body, "Sforce-Duplicate-Rule-Header", "includeRecordDetails=false; allowSave=true"), 201, "")
	item := o.do("POST", "/composite/sobjects", `{"records":[{"attributes":{"type":"Contact"},"LastName":"Berg","Email":"ann@acme.example"}]}`)
	if item.status != 200 || !strings.Contains(string(item.body), `"statusCode":"DUPLICATES_DETECTED"`) || !strings.Contains(string(item.body), first) {
		t.Errorf("%d %s", item.status, item.body)
	}
	o.SetDuplicateRule(false)
	o.want(o.do("POST", "/sobjects/Contact", body), 201, "")
	// A contact that is gone or cannot be seen is no duplicate.
	o.SetDuplicateRule(true)
	lone := o.person("LastName", "Lone", "Email", "lone@acme.example")
	if err := o.Hide(lone, true); err != nil {
		t.Fatal(err)
	}
	o.want(o.do("POST", "/sobjects/Contact", `{"LastName":"Lone","Email":"lone@acme.example"}`), 201, "")
}

func TestUpsertByExternalID(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	r := o.do("PATCH", "/sobjects/Contact/CrmSync_Stamp__c/a%2Fb%7C1", `{"LastName":"One"}`)
	o.want(r, 201, "")
	id, _ := r.json().(map[string]any)["id"].(string)
	if m := o.row(id); m["CrmSync_Stamp__c"] != "a/b|1" {
		t.Errorf("row %v", m)
	}
	o.want(o.do("PATCH", "/sobjects/Contact/CrmSync_Stamp__c/A%2FB%7C1", `{"FirstName":"Two"}`), 200, "")
	if m := o.row(id); m["FirstName"] != "Two" || m["LastName"] != "One" {
		t.Errorf("row %v", m)
	}
	if g := o.do("GET", "/sobjects/Contact/CrmSync_Stamp__c/a%2Fb%7C1?fields=Id", ""); g.status != 200 || !strings.Contains(string(g.body), id) {
		t.Errorf("%d %s", g.status, g.body)
	}
	o.want(o.do("GET", "/sobjects/Contact/CrmSync_Stamp__c/none", ""), 404, "NOT_FOUND")
	o.want(o.do("PATCH", "/sobjects/Contact/CrmSync_Stamp__c/x", `{"LastName":"A","CrmSync_Stamp__c":"y"}`), 400, "INVALID_FIELD")
	o.want(o.do("PATCH", "/sobjects/Contact/LastName/x", `{"FirstName":"A"}`), 404, "NOT_FOUND")
	// A deleted row no longer holds its external id.
	o.want(o.do("DELETE", "/sobjects/Contact/"+id, ""), 204, "")
	o.want(o.do("PATCH", "/sobjects/Contact/CrmSync_Stamp__c/a%2Fb%7C1", `{"LastName":"New"}`), 201, "")
	if err := o.UndeleteContact(id); err == nil {
		t.Error("two live rows have one external id")
	}
	// An external id that is not unique may match several rows.
	s := o.tables["Contact"]
	s.schema.byName["external_id__c"].unique = false
	delete(s.unique, s.schema.byName["external_id__c"].idx)
	a, b := o.person("LastName", "A", "External_Id__c", "same"), o.person("LastName", "B", "External_Id__c", "same")
	m := o.do("PATCH", "/sobjects/Contact/External_Id__c/same", `{"LastName":"C"}`)
	if m.status != 300 || !strings.Contains(string(m.body), a) || !strings.Contains(string(m.body), b) {
		t.Errorf("%d %s", m.status, m.body)
	}
}

func TestPreconditionsAreWeak(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	id := o.person("LastName", "A")
	read := o.clock.now().Format(http.TimeFormat)
	path := "/sobjects/Contact/" + id
	if got := o.do("GET", path, "").header.Get("Last-Modified"); got != read {
		t.Errorf("Last-Modified %s, want %s", got, read)
	}
	// Within the same second a change is not seen.
	if err := o.UpdateContact(id, Fields{"Title": "1"}); err != nil {
		t.Fatal(err)
	}
	o.want(o.do("PATCH", path, `{"Title":"2"}`, "If-Unmodified-Since", read), 204, "")
	o.clock.add(time.Second)
	if err := o.UpdateContact(id, Fields{"Title": "3"}); err != nil {
		t.Fatal(err)
	}
	if r := o.do("PATCH", path, `{"Title":"4"}`, "If-Unmodified-Since", read); r.status != 412 {
		t.Errorf("a change was overwritten: %d", r.status)
	}
	if m := o.row(id); m["Title"] != "3" {
		t.Errorf("title %v", m["Title"])
	}
	o.want(o.do("PATCH", path, `{"Title":"5"}`, "If-Unmodified-Since", "yesterday"), 400, "INVALID_HEADER_VALUE")
	if r := o.do("GET", path, "", "If-Modified-Since", o.clock.now().Format(http.TimeFormat)); r.status != 304 {
		t.Errorf("not modified: %d", r.status)
	}
	if r := o.do("GET", path, "", "If-Modified-Since", read); r.status != 200 {
		t.Errorf("modified: %d", r.status)
	}
	// Automation moves SystemModstamp alone: the precondition does not notice.
	read = o.clock.now().Format(http.TimeFormat)
	o.clock.add(time.Second)
	if err := o.AutomateContact(id, Fields{"Department": "Auto"}); err != nil {
		t.Fatal(err)
	}
	if m := o.row(id); m["SystemModstamp"] == m["LastModifiedDate"] {
		t.Errorf("stamps %v and %v", m["SystemModstamp"], m["LastModifiedDate"])
	}
	o.want(o.do("PATCH", path, `{"Title":"6"}`, "If-Unmodified-Since", read), 204, "")
	// A delete has no precondition.
	o.clock.add(time.Second)
	if err := o.UpdateContact(id, Fields{"Title": "7"}); err != nil {
		t.Fatal(err)
	}
	o.want(o.do("DELETE", path, "", "If-Unmodified-Since", read), 204, "")
}

// results are the outcomes of a collection as "ok", "created" or error codes.
func results(t *testing.T, r result) string {
	t.Helper()
	var items []struct {
		ID      string
		Success bool
		Created *bool
		Errors  []struct{ StatusCode string }
	}
	if err := json.Unmarshal(r.body, &items); err != nil || r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var out []string
	for _, i := range items {
		switch {
		case !i.Success:
			out = append(out, i.Errors[0].StatusCode)
		case i.Created != nil && *i.Created:
			out = append(out, "created")
		default:
			out = append(out, "ok")
		}
	}
	return strings.Join(out, " ")
}

func TestCollectionsFailItemByItem(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	contact := func(rest string) string { return `{"attributes":{"type":"Contact"},` + rest + `}` }
	post := func(all bool, recs ...string) result {
		return o.do("POST", "/composite/sobjects", fmt.Sprintf(`{"allOrNone":%t,"records":[%s]}`, all, strings.Join(recs, ",")))
	}
	r := post(false, contact(`"LastName":"A"`), contact(`"FirstName":"x"`), contact(`"LastName":"B","Email":"bad"`), contact(`"LastName":"C"`))
	if got := results(t, r); got != "ok REQUIRED_FIELD_MISSING INVALID_EMAIL_ADDRESS ok" {
		t.Error(got)
	}
	if got := o.names("query", "SELECT LastName FROM Contact ORDER BY Id"); got != "A C" {
		t.Errorf("rows %s", got)
	}
	r = post(true, contact(`"LastName":"D"`), contact(`"FirstName":"x"`))
	if got := results(t, r); got != "ALL_OR_NONE_OPERATION_ROLLED_BACK REQUIRED_FIELD_MISSING" {
		t.Error(got)
	}
	if got := o.names("query", "SELECT LastName FROM Contact ORDER BY Id"); got != "A C" {
		t.Errorf("rows %s", got)
	}
	if got := results(t, post(false, contact(`"LastName":"E","External_Id__c":"1"`), contact(`"LastName":"F","External_Id__c":"1"`))); got != "ok DUPLICATE_VALUE" {
		t.Error(got)
	}
	o.want(post(false, contact(`"LastName":"G","Nope":"1"`), contact(`"LastName":"H"`)), 400, "INVALID_FIELD")
	o.want(post(false, `{"LastName":"G"}`), 400, "INVALID_TYPE")
	o.want(post(false), 400, "MISSING_ARGUMENT")
	many := strings.Split(strings.Repeat(contact(`"LastName":"M"`)+"\n", 201), "\n")[:201]
	o.want(post(false, many...), 400, "LIMIT_EXCEEDED")
	if got := results(t, post(false, many[:200]...)); strings.Count(got, "ok") != 200 {
		t.Error(got)
	}
	mixed := make([]string, 0, 22)
	for i := range 11 {
		mixed = append(mixed, contact(fmt.Sprintf(`"LastName":"X%d"`, i)))
		mixed = append(mixed, fmt.Sprintf(`{"attributes":{"type":"Account"},"Name":"Y%d"}`, i))
	}
	o.want(post(false, mixed...), 400, "LIMIT_EXCEEDED") // more than 10 chunks of one type
	if got := results(t, post(false, mixed[:10]...)); strings.Count(got, "ok") != 10 {
		t.Error(got)
	}
}

func TestCollectionsUpdateUpsertReadAndDelete(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	a, b, gone := o.person("LastName", "A"), o.person("LastName", "B"), o.person("LastName", "Gone")
	if err := o.DeleteContact(gone); err != nil {
		t.Fatal(err)
	}
	hidden := o.person("LastName", "Hidden")
	if err := o.Hide(hidden, true); err != nil {
		t.Fatal(err)
	}
	unknown := newID("003", "ab0", 12345)
	record := func(id string) string {
		return `{"attributes":{"type":"Contact"},"id":"` + id + `","Title":"T"}`
	}
	r := o.do("PATCH", "/composite/sobjects", `{"records":[`+strings.Join([]string{record(a[:15]), record(gone), record(unknown), record(hidden), record("nope"), `{"attributes":{"type":"Contact"},"Title":"T"}`}, ",")+`]}`)
	if got := results(t, r); got != "ok ENTITY_IS_DELETED INVALID_CROSS_REFERENCE_KEY INSUFFICIENT_ACCESS_OR_READONLY MALFORMED_ID MISSING_ARGUMENT" {
		t.Error(got)
	}
	if o.row(a)["Title"] != "T" {
		t.Error("the first record was not updated")
	}
	get := o.do("GET", "/composite/sobjects/Contact?ids="+strings.Join([]string{b, gone, a, hidden, unknown}, ",")+"&fields=Id,LastName", "")
	var rows []map[string]any
	if err := json.Unmarshal(get.body, &rows); err != nil || len(rows) != 5 {
		t.Fatalf("%s", get.body)
	}
	if rows[0]["LastName"] != "B" || rows[1] != nil || rows[2]["Id"] != a || rows[3] != nil || rows[4] != nil {
		t.Errorf("rows %v", rows)
	}
	post := o.do("POST", "/composite/sobjects/Contact", `{"ids":["`+b+`"],"fields":["LastName"]}`)
	if post.status != 200 || !strings.Contains(string(post.body), `"LastName":"B"`) {
		t.Errorf("%d %s", post.status, post.body)
	}
	o.want(o.do("GET", "/composite/sobjects/Contact?ids="+a+"&fields=Nope", ""), 400, "INVALID_FIELD")
	up := `{"records":[{"attributes":{"type":"Contact"},"External_Id__c":"1","LastName":"New"},{"attributes":{"type":"Contact"},"External_Id__c":"1","Title":"Again"},{"attributes":{"type":"Contact"},"LastName":"None"}]}`
	if got := results(t, o.do("PATCH", "/composite/sobjects/Contact/External_Id__c", up)); got != "created ok MISSING_ARGUMENT" {
		t.Error(got)
	}
	o.want(o.do("PATCH", "/composite/sobjects/Contact/Title", up), 400, "INVALID_FIELD")
	if got := results(t, o.do("DELETE", "/composite/sobjects?ids="+strings.Join([]string{a, gone, unknown, "nope"}, ","), "")); got != "ok ENTITY_IS_DELETED INVALID_CROSS_REFERENCE_KEY MALFORMED_ID" {
		t.Error(got)
	}
	if got := results(t, o.do("DELETE", "/composite/sobjects?allOrNone=true&ids="+b+","+gone, "")); got != "ALL_OR_NONE_OPERATION_ROLLED_BACK ENTITY_IS_DELETED" {
		t.Error(got)
	}
	if o.row(b)["LastName"] != "B" {
		t.Error("a delete that was rolled back happened")
	}
}

func TestCompositeRunsInOrderAndCountsAsOneCall(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	id := o.person("LastName", "Old")
	used := o.Stats().APIUsed
	call := func(body string) (out []subreply, raw result) {
		r := o.do("POST", "/composite", body)
		var v struct {
			Response []subreply `json:"compositeResponse"`
		}
		_ = json.Unmarshal(r.body, &v)
		return v.Response, r
	}
	out, raw := call(`{"compositeRequest":[
		{"method":"POST","url":"/services/data/v66.0/sobjects/Account","referenceId":"acc","body":{"Name":"Acme"}},
		{"method":"POST","url":"/services/data/v66.0/sobjects/Contact","referenceId":"con","body":{"LastName":"New","AccountId":"@{acc.id}"}},
		{"method":"GET","url":"/services/data/v66.0/sobjects/Contact/@{con.id}?fields=LastName,Account.Name","referenceId":"get"},
		{"method":"PATCH","url":"/services/data/v66.0/sobjects/Contact/` + id + `","referenceId":"old","httpHeaders":{"If-Unmodified-Since":"Mon, 02 Nov 2020 00:00:00 GMT"},"body":{"Title":"x"}},
		{"method":"PATCH","url":"/services/data/v66.0/sobjects/Contact/` + id + `","referenceId":"ok","body":{"Title":"y"}},
		{"method":"GET","url":"/services/data/v66.0/sobjects/Contact/@{old.id}","referenceId":"ref"}]}`)
	if len(out) != 6 {
		t.Fatalf("%d %s", raw.status, raw.body)
	}
	var got []string
	for _, r := range out {
		got = append(got, fmt.Sprint(r.ReferenceID, r.Status))
	}
	if s := strings.Join(got, " "); s != "acc201 con201 get200 old412 ok204 ref400" {
		t.Errorf("%s in %s", s, raw.body)
	}
	if !strings.Contains(string(out[2].Body), `"Account":{"attributes"`) || !strings.Contains(string(out[2].Body), `"Acme"`) || string(out[4].Body) != "null" {
		t.Errorf("bodies %s %s", out[2].Body, out[4].Body)
	}
	if n := o.Stats().APIUsed - used; n != 1 {
		t.Errorf("a composite counts as %d calls", n)
	}
	out, _ = call(`{"allOrNone":true,"compositeRequest":[
		{"method":"PATCH","url":"/services/data/v66.0/sobjects/Contact/` + id + `","referenceId":"a","body":{"Title":"z"}},
		{"method":"POST","url":"/services/data/v66.0/sobjects/Contact","referenceId":"b","body":{}}]}`)
	if len(out) != 2 || out[0].Status != 400 || !strings.Contains(string(out[0].Body), "PROCESSING_HALTED") || o.row(id)["Title"] != "y" {
		t.Errorf("all or none: %+v", out)
	}
	one := `{"method":"GET","url":"/services/data/v66.0/limits","referenceId":"r%d"}`
	many := func(n int, form string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(form, i)
		}
		return `{"compositeRequest":[` + strings.Join(parts, ",") + `]}`
	}
	if out, _ := call(many(25, one)); len(out) != 25 {
		t.Error("25 subrequests are allowed")
	}
	_, raw = call(many(26, one))
	o.want(raw, 400, "LIMIT_EXCEEDED")
	_, raw = call(many(6, `{"method":"GET","url":"/services/data/v66.0/query?q=SELECT+Id+FROM+User","referenceId":"r%d"}`))
	o.want(raw, 400, "LIMIT_EXCEEDED")
	_, raw = call(`{"compositeRequest":[` + strings.ReplaceAll(one, "%d", "") + "," + strings.ReplaceAll(one, "%d", "") + `]}`)
	o.want(raw, 400, "INVALID_INPUT")
}

func TestDeletedMergedHiddenAndPurgedRows(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	winner, loser := o.person("LastName", "Winner"), o.person("LastName", "Loser", "Phone", "1")
	deleted, hidden := o.person("LastName", "Deleted"), o.person("LastName", "Hidden")
	o.clock.add(time.Minute)
	for _, err := range []error{o.Merge(winner, loser), o.DeleteContact(deleted), o.Hide(hidden, true)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := o.names("query", "SELECT LastName FROM Contact ORDER BY Id"); got != "Winner" {
		t.Errorf("query sees %s", got)
	}
	if got := o.names("queryAll", "SELECT LastName FROM Contact ORDER BY Id"); got != "Winner Loser Deleted" {
		t.Errorf("queryAll sees %s", got)
	}
	p := o.soql("queryAll", "SELECT Id, MasterRecordId, SystemModstamp FROM Contact WHERE IsDeleted = true ORDER BY Id")
	if len(p.Records) != 2 || p.Records[0]["MasterRecordId"] != winner || p.Records[1]["MasterRecordId"] != nil || p.Records[0]["SystemModstamp"] != "2026-11-02T09:01:00.000+0000" {
		t.Errorf("deleted rows %v", p.Records)
	}
	if m := o.row(winner); m["Phone"] != "1" || m["SystemModstamp"] != "2026-11-02T09:01:00.000+0000" {
		t.Errorf("winner %v", m)
	}
	o.want(o.do("GET", "/sobjects/Contact/"+hidden, ""), 404, "NOT_FOUND")
	o.want(o.do("PATCH", "/sobjects/Contact/"+hidden, `{"Title":"x"}`), 403, "INSUFFICIENT_ACCESS_OR_READONLY")
	o.want(o.do("GET", "/sobjects/Contact/"+loser, ""), 404, "ENTITY_IS_DELETED")
	// A hidden row comes back with the stamp that it had.
	if err := o.Hide(hidden, false); err != nil {
		t.Fatal(err)
	}
	if m := o.row(hidden); m["SystemModstamp"] != "2026-11-02T09:00:00.000+0000" {
		t.Errorf("hidden %v", m)
	}
	if err := o.UndeleteContact(deleted); err != nil {
		t.Fatal(err)
	}
	if m := o.row(deleted); m["IsDeleted"] != false {
		t.Errorf("undeleted %v", m)
	}
	if err := o.UndeleteContact(loser); err != nil {
		t.Fatal(err)
	}
	if m := o.row(loser); m["MasterRecordId"] != nil {
		t.Errorf("a loser that came back still names its master: %v", m)
	}
	if err := o.Merge(winner, loser); err != nil {
		t.Fatal(err)
	}
	// After 15 days the recycle bin is empty.
	o.clock.add(binLife + time.Minute)
	o.login()
	if got := o.names("queryAll", "SELECT LastName FROM Contact WHERE IsDeleted = true"); got != "" {
		t.Errorf("the bin still holds %s", got)
	}
	if err := o.UndeleteContact(loser); err == nil {
		t.Error("a row came back from an empty bin")
	}
}

func TestRowsBecomeVisibleLate(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	old := o.person("LastName", "Old")
	o.clock.add(time.Minute)
	tx := o.Begin()
	id, err := tx.CreateContact(o.owner, Fields{"LastName": "Late"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.UpdateContact(old, Fields{"Title": "Late"}); err != nil {
		t.Fatal(err)
	}
	o.clock.add(10 * time.Minute)
	quick := o.person("LastName", "Quick")
	if quick <= id {
		t.Errorf("ids %s and %s", id, quick)
	}
	if got := o.names("query", "SELECT LastName FROM Contact ORDER BY Id"); got != "Old Quick" {
		t.Errorf("before the commit: %s", got)
	}
	o.want(o.do("GET", "/sobjects/Contact/"+id, ""), 404, "NOT_FOUND")
	if o.row(old)["Title"] != nil {
		t.Error("an update is seen before its commit")
	}
	o.want(o.do("PATCH", "/sobjects/Contact/"+old, `{"Title":"x"}`), 400, "UNABLE_TO_LOCK_ROW")
	window := "?start=" + url.QueryEscape("2026-11-02T08:00:00+00:00") + "&end=" + url.QueryEscape("2026-11-02T09:30:00+00:00")
	covered := func() string {
		m, _ := o.do("GET", "/sobjects/Contact/updated/"+window, "").json().(map[string]any)
		return fmt.Sprint(m["latestDateCovered"], " ", len(m["ids"].([]any)))
	}
	if got := covered(); got != "2026-11-02T09:01:00.000+0000 2" {
		t.Errorf("while it runs: %s", got)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if m := o.row(id); m["SystemModstamp"] != "2026-11-02T09:01:00.000+0000" {
		t.Errorf("the late row %v", m)
	}
	if got := o.names("query", "SELECT LastName FROM Contact ORDER BY SystemModstamp, Id"); got != "Old Late Quick" {
		t.Errorf("after the commit: %s", got)
	}
	if got := covered(); got != "2026-11-02T09:11:00.000+0000 3" {
		t.Errorf("after the commit: %s", got)
	}
	if err := tx.Commit(); err == nil {
		t.Error("a second commit")
	}
	// The knob does the same to every edit.
	o.SetLateCommit(time.Minute)
	o.person("LastName", "Slow")
	o.clock.add(59 * time.Second)
	if got := o.names("query", "SELECT LastName FROM Contact WHERE LastName = 'Slow'"); got != "" {
		t.Error("visible too early")
	}
	o.clock.add(time.Second)
	if got := o.names("query", "SELECT LastName FROM Contact WHERE LastName = 'Slow' AND SystemModstamp = 2026-11-02T09:11:00Z"); got != "Slow" {
		t.Error("not visible, or with another stamp")
	}
	if err := o.UpdateContact(old, Fields{"Title": "1"}); err != nil {
		t.Fatal(err)
	}
	if err := o.UpdateContact(old, Fields{"Title": "2"}); err == nil {
		t.Error("a locked row was changed")
	}
	o.clock.add(time.Minute)
	if err := o.UpdateContact(old, Fields{"Title": "2"}); err != nil {
		t.Errorf("the lock outlived its transaction: %v", err)
	}
	o.clock.add(time.Minute)
	tx = o.Begin()
	if err := tx.DeleteContact(old); err != nil {
		t.Fatal(err)
	}
	tx.Rollback()
	o.want(o.do("PATCH", "/sobjects/Contact/"+old, `{"Title":"x"}`), 204, "")
}

func TestReplicationCalls(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	a := o.person("LastName", "A")
	o.clock.add(90 * time.Second) // 09:01:30
	b := o.person("LastName", "B")
	if err := o.DeleteContact(a); err != nil {
		t.Fatal(err)
	}
	if err := o.PurgeContact(a); err != nil {
		t.Fatal(err)
	}
	o.clock.add(time.Hour)
	get := func(what, start, end string) result {
		return o.do("GET", "/sobjects/Contact/"+what+"/?start="+url.QueryEscape(start)+"&end="+url.QueryEscape(end), "")
	}
	m, _ := get("updated", "2026-11-02T09:01:59Z", "2026-11-02T09:02:59.999Z").json().(map[string]any)
	if fmt.Sprint(m["ids"]) != "["+b+"]" || m["latestDateCovered"] != "2026-11-02T09:02:00.000+0000" {
		t.Errorf("seconds are cut off: %v", m)
	}
	m, _ = get("updated", "2026-11-02T09:00:00Z", "2026-11-02T09:01:00Z").json().(map[string]any)
	if fmt.Sprint(m["ids"]) != "[]" {
		t.Errorf("%v", m)
	}
	m, _ = get("deleted", "2026-11-02T09:00:00Z", "2026-11-02T10:00:00+00:00").json().(map[string]any)
	list, _ := m["deletedRecords"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["id"] != a || list[0].(map[string]any)["deletedDate"] != "2026-11-02T09:01:30.000+0000" {
		t.Errorf("%v", m)
	}
	// A window that ends in the future is covered up to now only.
	m, _ = get("updated", "2026-11-02T09:00:00Z", "2026-11-03T09:00:00Z").json().(map[string]any)
	if m["latestDateCovered"] != "2026-11-02T10:01:30.000+0000" {
		t.Errorf("%v", m["latestDateCovered"])
	}
	o.want(get("updated", "2026-11-02T09:00:10Z", "2026-11-02T09:00:50Z"), 400, "INVALID_REPLICATION_DATE")
	o.want(get("updated", "2026-10-01T09:00:00Z", "2026-11-02T09:00:00Z"), 400, "INVALID_REPLICATION_DATE")
	o.want(get("deleted", "2026-10-18T09:00:00Z", "2026-11-02T09:00:00Z"), 400, "INVALID_REPLICATION_DATE")
	if r := get("updated", "2026-10-18T09:00:00Z", "2026-11-02T09:00:00Z"); r.status != 200 {
		t.Errorf("30 days back: %d", r.status)
	}
}

func TestRenamingAnAccountStampsNoContact(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	acme, err := o.CreateAccount("Acme")
	if err != nil {
		t.Fatal(err)
	}
	o.person("LastName", "A", "AccountId", acme)
	o.clock.add(time.Minute)
	if err := o.RenameAccount(acme, "Acme Inc"); err != nil {
		t.Fatal(err)
	}
	p := o.soql("query", "SELECT Account.Name, SystemModstamp FROM Contact")
	if a, _ := p.Records[0]["Account"].(map[string]any); a["Name"] != "Acme Inc" || p.Records[0]["SystemModstamp"] != "2026-11-02T09:00:00.000+0000" {
		t.Errorf("%v", p.Records)
	}
}
