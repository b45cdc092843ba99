package sfdc

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	o.RegisterCertificate("app", &key.PublicKey)
	o.RegisterRefreshToken("long-lived", o.owner)
	sign := func(k *rsa.PrivateKey, alg string, claims map[string]any) string {
		part := func(v any) string {
			b, _ := json.Marshal(v)
			return base64.RawURLEncoding.EncodeToString(b)
		}
		head := part(map[string]string{"alg": alg}) + "." + part(claims)
		sum := sha256.Sum256([]byte(head))
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return head + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
	claims := func(change ...any) map[string]any {
		c := map[string]any{"iss": "app", "sub": "ann@sandbox.example", "aud": o.http.URL, "exp": o.clock.now().Add(2 * time.Minute).Unix()}
		for i := 0; i+1 < len(change); i += 2 {
			c[change[i].(string)] = change[i+1]
		}
		return c
	}
	jwt := func(a string) url.Values {
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {a}}
	}
	cc := func(id, secret string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	}
	for _, tt := range []struct {
		name string
		form url.Values
		want string // user of the session, or the error
	}{
		{"client credentials", cc("app", "hush"), o.RunAs()},
		{"wrong secret", cc("app", "no"), "invalid_client"},
		{"wrong client", cc("other", "hush"), "invalid_client_id"},
		{"password flow", url.Values{"grant_type": {"password"}}, "unsupported_grant_type"},
		{"refresh token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "client_secret": {"hush"}, "refresh_token": {"long-lived"}}, o.owner},
		{"unknown refresh token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "client_secret": {"hush"}, "refresh_token": {"x"}}, "invalid_grant"},
		{"jwt", jwt(sign(key, "RS256", claims())), o.owner},
		{"jwt for a login host", jwt(sign(key, "RS256", claims("aud", "https://login.salesforce.com"))), o.owner},
		{"jwt with a list of audiences", jwt(sign(key, "RS256", claims("aud", []string{"x", o.http.URL + "/"}))), o.owner},
		{"jwt for someone else", jwt(sign(key, "RS256", claims("aud", "https://elsewhere.example"))), "invalid_grant"},
		{"jwt of an unknown user", jwt(sign(key, "RS256", claims("sub", "nobody@sandbox.example"))), "invalid_grant"},
		{"jwt of an unknown app", jwt(sign(key, "RS256", claims("iss", "other"))), "invalid_client_id"},
		{"expired jwt", jwt(sign(key, "RS256", claims("exp", o.clock.now().Unix()))), "invalid_grant"},
		{"jwt for an hour", jwt(sign(key, "RS256", claims("exp", o.clock.now().Add(time.Hour).Unix()))), "invalid_grant"},
		{"jwt with another key", jwt(sign(stranger, "RS256", claims())), "invalid_grant"},
		{"jwt without a signature", jwt(sign(key, "none", claims())), "invalid_grant"},
		{"no jwt", jwt("a.b.c"), "invalid_grant"},
	} {
		res, err := o.http.Client().PostForm(o.http.URL+"/services/oauth2/token", tt.form)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]string
		_ = json.NewDecoder(res.Body).Decode(&m)
		_ = res.Body.Close()
		if strings.HasPrefix(tt.want, "005") {
			if res.StatusCode != http.StatusOK || !strings.HasSuffix(m["id"], tt.want) || m["access_token"] == "" || m["scope"] == "" {
				t.Errorf("%s: %d %v", tt.name, res.StatusCode, m)
			}
		} else if res.StatusCode != http.StatusBadRequest || m["error"] != tt.want || m["error_description"] == "" {
			t.Errorf("%s: %d %v, want %s", tt.name, res.StatusCode, m, tt.want)
		}
	}
	req, _ := http.NewRequest(http.MethodPost, o.http.URL+"/services/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	req.SetBasicAuth("app", "hush")
	res, err := o.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("basic authentication: %d", res.StatusCode)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.want(o.do("GET", "/limits", ""), 200, "")
	good := o.token
	o.token = good[:len(good)-1] + "x"
	o.want(o.do("GET", "/limits", ""), 401, "INVALID_SESSION_ID")
	o.token = ""
	o.want(o.do("GET", "/limits", ""), 401, "INVALID_SESSION_ID")
	o.token = good
	if err := o.ExpireSessions(); err != nil {
		t.Fatal(err)
	}
	o.want(o.do("GET", "/limits", ""), 401, "INVALID_SESSION_ID")
	o.login()
	if o.token == good {
		t.Error("the token of an ended session was given again")
	}
	o.want(o.do("GET", "/limits", ""), 200, "")
	o.clock.add(2*time.Hour + time.Second)
	o.want(o.do("GET", "/limits", ""), 401, "INVALID_SESSION_ID")
	o.login()
	if err := o.SetUserActive(o.RunAs(), false); err != nil {
		t.Fatal(err)
	}
	o.want(o.do("GET", "/limits", ""), 401, "INVALID_SESSION_ID")
}

func TestVersions(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.token = ""
	var list []map[string]string
	if err := json.Unmarshal(o.do("GET", "/services/data/", "").body, &list); err != nil {
		t.Fatal(err)
	}
	labels := make(map[string]string)
	for _, v := range list {
		labels[v["version"]] = v["label"]
	}
	for version, label := range map[string]string{"67.0": "Summer '26", "66.0": "Spring '26", "65.0": "Winter '26", "68.0": "Winter '27", "60.0": "Spring '24"} {
		if labels[version] != label {
			t.Errorf("%s is called %q, want %q", version, labels[version], label)
		}
	}
	o.login()
	o.want(o.do("GET", "/services/data/v25.0/limits", ""), 410, "UNSUPPORTED_API_VERSION")
	for _, v := range []string{"v99.0", "66.0", "v66", "latest"} {
		o.want(o.do("GET", "/services/data/"+v+"/limits", ""), 404, "NOT_FOUND")
	}
	o.want(o.do("GET", "/nothing", ""), 404, "NOT_FOUND")
	if r := o.do("GET", "", ""); r.status != 200 || !strings.Contains(string(r.body), "/services/data/v66.0/queryAll") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestEachReplyTellsTheBudgetAndTheTime(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.SetAPIUsage(8, 10)
	o.clock.add(time.Hour)
	r := o.do("GET", "/limits", "")
	if r.header.Get("Sforce-Limit-Info") != "api-usage=9/10" || r.header.Get("Date") != "Mon, 02 Nov 2026 10:00:00 GMT" {
		t.Errorf("headers %v", r.header)
	}
	if !strings.Contains(string(r.body), `"Remaining":1`) {
		t.Errorf("limits %s", r.body)
	}
	if r := o.do("GET", "/sobjects/Contact/none", ""); r.header.Get("Sforce-Limit-Info") != "api-usage=10/10" {
		t.Errorf("a failure counts too: %v", r.header)
	}
	r = o.do("GET", "/limits", "")
	o.want(r, 403, "REQUEST_LIMIT_EXCEEDED")
	if r.header.Get("Sforce-Limit-Info") != "api-usage=10/10" {
		t.Errorf("headers %v", r.header)
	}
	o.SetClockSkew(-30 * time.Minute)
	if d := o.do("GET", "/limits", "").header.Get("Date"); d != "Mon, 02 Nov 2026 09:30:00 GMT" {
		t.Errorf("skewed date %s", d)
	}
}

func TestDescribeTellsWhatAFieldCanHold(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	var d struct {
		Name, KeyPrefix string
		Replicateable   bool
		Fields          []struct {
			Name, Type                                                               string
			Length                                                                   int
			Createable, Updateable, Nillable, Filterable, Unique, ExternalID, Custom bool
			ReferenceTo                                                              []string
			RelationshipName                                                         *string
		}
	}
	if err := json.Unmarshal(o.do("GET", "/sobjects/contact/describe", "").body, &d); err != nil {
		t.Fatal(err)
	}
	if d.Name != "Contact" || d.KeyPrefix != "003" || !d.Replicateable {
		t.Errorf("%+v", d)
	}
	got := make(map[string]string)
	for _, f := range d.Fields {
		got[f.Name] = fmt.Sprintf("%s %d c%t n%t f%t u%t x%t %v", f.Type, f.Length, f.Createable, f.Nillable, f.Filterable, f.Unique, f.ExternalID, f.ReferenceTo)
	}
	for name, want := range map[string]string{
		"LastName":         "string 80 ctrue nfalse ftrue ufalse xfalse []",
		"MailingStreet":    "textarea 255 ctrue ntrue ftrue ufalse xfalse []",
		"Description":      "textarea 32000 ctrue ntrue ffalse ufalse xfalse []",
		"CrmSync_Stamp__c": "string 255 ctrue ntrue ftrue utrue xtrue []",
		"AccountId":        "reference 18 ctrue ntrue ftrue ufalse xfalse [Account]",
		"SystemModstamp":   "datetime 0 cfalse nfalse ftrue ufalse xfalse []",
		"Name":             "string 121 cfalse nfalse ftrue ufalse xfalse []",
		"Birthdate":        "date 0 ctrue ntrue ftrue ufalse xfalse []",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
	if r := o.do("GET", "/sobjects/", ""); r.status != 200 || !strings.Contains(string(r.body), `"maxBatchSize":200`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := o.do("GET", "/sobjects/Contact", ""); r.status != 200 || !strings.Contains(string(r.body), "objectDescribe") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestARequestBodyMayBeCompressed(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(`{"LastName":"Zipped"}`))
	_ = z.Close()
	o.want(o.do("POST", "/sobjects/Contact", b.String(), "Content-Encoding", "gzip"), 201, "")
	o.want(o.do("POST", "/sobjects/Contact", "not gzip", "Content-Encoding", "gzip"), 400, "JSON_PARSER_ERROR")
}

func TestFaults(t *testing.T) {
	t.Parallel()
	create := func(o *org, name string) result {
		return o.do("POST", "/sobjects/Contact", `{"LastName":"`+name+`"}`)
	}
	for _, tt := range []struct {
		fault  Fault
		status int // 0: the connection breaks
		done   bool
	}{
		{Fault{Kind: FaultStatus}, 503, false},
		{Fault{Kind: FaultStatus, Status: 500, Code: "UNKNOWN_EXCEPTION"}, 500, false},
		{Fault{Kind: FaultHTML}, 500, false},
		{Fault{Kind: FaultDrop}, 0, false},
		{Fault{Kind: FaultLost}, 0, true},
		{Fault{Kind: FaultTruncate}, 0, true},
		{Fault{Kind: FaultGateway}, 504, true},
		{Fault{Kind: FaultGarbage}, 200, true},
		{Fault{Kind: FaultLatency, Delay: time.Nanosecond}, 201, true},
	} {
		o := newOrg(t)
		tt.fault.Method, tt.fault.Path, tt.fault.Skip = "POST", "/sobjects/Contact", 1
		o.AddFault(tt.fault)
		o.want(create(o, "First"), 201, "") // Skip lets it through
		o.want(o.do("GET", "/sobjects/Contact/describe", ""), 200, "")
		r := create(o, "Second")
		if tt.status == 0 && r.err == nil || tt.status != 0 && r.status != tt.status {
			t.Errorf("%s: %d %v %s", tt.fault.Kind, r.status, r.err, r.body)
		}
		if tt.fault.Kind == FaultHTML && !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %v", tt.fault.Kind, r.header)
		}
		o.want(create(o, "Third"), 201, "") // and hits one call only
		want := "First Third"
		if tt.done {
			want = "First Second Third"
		}
		if got := o.names("query", "SELECT LastName FROM Contact ORDER BY Id"); got != want {
			t.Errorf("%s: rows %s, want %s", tt.fault.Kind, got, want)
		}
		if o.Stats().Faults != 1 {
			t.Errorf("%s: %d faults counted", tt.fault.Kind, o.Stats().Faults)
		}
	}
}

func TestALateRequestLandsAfterOthers(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.AddFault(Fault{Kind: FaultLate, Method: "POST", After: 2})
	if r := o.do("POST", "/sobjects/Contact", `{"LastName":"Late"}`); r.status != 504 {
		t.Fatalf("%d", r.status)
	}
	for i, want := range []string{"", "", "Late"} {
		if got := o.names("query", "SELECT LastName FROM Contact"); got != want {
			t.Errorf("request %d sees %q, want %q", i+1, got, want)
		}
	}
}

func TestAFaultMayHitByChanceAndForEver(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.AddFault(Fault{Kind: FaultStatus, Path: "/limits", Count: -1, Percent: 50})
	failed := 0
	for range 60 {
		if o.do("GET", "/limits", "").status == 503 {
			failed++
		}
	}
	if failed < 10 || failed > 50 {
		t.Errorf("%d of 60 calls failed", failed)
	}
	o.ClearFaults()
	o.want(o.do("GET", "/limits", ""), 200, "")
}

func TestLocksAndValidationRules(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	o.FailLocks(1)
	r := o.do("POST", "/composite/sobjects", `{"records":[{"attributes":{"type":"Contact"},"LastName":"A"},{"attributes":{"type":"Contact"},"LastName":"B"}]}`)
	if got := results(t, r); got != "UNABLE_TO_LOCK_ROW ok" {
		t.Error(got)
	}
	o.SetValidationRules(ValidationRule{Field: "Title", Contains: "spam", Message: "No spam"}, ValidationRule{Field: "Phone", Required: true, Message: "A phone, please"})
	r = o.do("POST", "/sobjects/Contact", `{"LastName":"C","Title":"SPAM king","Phone":"1"}`)
	o.want(r, 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION")
	if !strings.Contains(string(r.body), "No spam") || !strings.Contains(string(r.body), `"Title"`) {
		t.Errorf("%s", r.body)
	}
	o.want(o.do("POST", "/sobjects/Contact", `{"LastName":"C"}`), 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION")
	o.want(o.do("POST", "/sobjects/Contact", `{"LastName":"C","Phone":"1"}`), 201, "")
	o.SetLowercaseEmail(true)
	r = o.do("POST", "/sobjects/Contact", `{"LastName":"D","Phone":"1","Email":"Dora@ACME.example"}`)
	id, _ := r.json().(map[string]any)["id"].(string)
	if o.row(id)["Email"] != "dora@acme.example" {
		t.Errorf("%v", o.row(id)["Email"])
	}
}

func TestWhatWasAcknowledgedIsInTheJournal(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	var kept bytes.Buffer
	early := o.person("LastName", "Early", "External_Id__c", "e1")
	if err := o.Snapshot(&kept); err != nil {
		t.Fatal(err)
	}
	o.SetJournal(func(line []byte) error { _, err := kept.Write(line); return err })
	hidden, deleted, purged := o.person("LastName", "Hidden"), o.person("LastName", "Deleted"), o.person("LastName", "Purged")
	for _, err := range []error{o.Hide(hidden, true), o.DeleteContact(deleted), o.DeleteContact(purged), o.PurgeContact(purged)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	o.want(o.do("PATCH", "/sobjects/Contact/"+early, `{"Title":"T","HasOptedOutOfEmail":true}`), 204, "")
	tx := o.Begin()
	if _, err := tx.CreateContact(o.owner, Fields{"LastName": "Uncommitted"}); err != nil {
		t.Fatal(err)
	}
	for _, all := range [][]byte{kept.Bytes(), append(bytes.Clone(kept.Bytes()), `{"rows":[{"t":"Contact","f":{"Id":"cut sho`...)} {
		s := reopened(t, o.clock, all)
		if got, want := fmt.Sprint(s.Contacts()), fmt.Sprint(o.Contacts()); got != want {
			t.Errorf("restored\n%s\nwant\n%s", got, want)
		}
		if s.OrgID() != o.OrgID() || s.RunAs() != o.RunAs() || len(s.Users()) != len(o.Users()) {
			t.Error("the organization or its users changed")
		}
		if _, ok := s.Contact(purged); ok {
			t.Error("a purged contact came back")
		}
		next, err := s.CreateContact("", Fields{"LastName": "Next"})
		if err != nil {
			t.Fatal(err)
		}
		if next <= purged || next == early {
			t.Errorf("an id was given twice: %s", next)
		}
		if _, err := s.CreateContact("", Fields{"LastName": "X", "External_Id__c": "E1"}); err == nil {
			t.Error("a unique value was forgotten")
		}
	}
	// A session outlives the restart of the same organization.
	same, err := New(Options{Now: o.clock.now, Seed: 7, ClientID: "app", ClientSecret: "hush"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := same.Restore(&kept); err != nil {
		t.Fatal(err)
	}
	if same.session("Bearer "+o.token) != o.RunAs() {
		t.Error("the session was lost")
	}
}

func TestAChangeThatCannotBeKeptDoesNotHappen(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	id := o.person("LastName", "A", "External_Id__c", "1")
	o.SetJournal(func([]byte) error { return errors.New("disk full") })
	o.want(o.do("PATCH", "/sobjects/Contact/"+id, `{"LastName":"B","External_Id__c":"2"}`), 503, "SERVER_UNAVAILABLE")
	o.want(o.do("POST", "/sobjects/Contact", `{"LastName":"C"}`), 503, "SERVER_UNAVAILABLE")
	if err := o.DeleteContact(id); err == nil {
		t.Error("a delete was acknowledged")
	}
	o.SetJournal(nil)
	if got := o.names("queryAll", "SELECT LastName FROM Contact"); got != "A" {
		t.Errorf("rows %s", got)
	}
	o.want(o.do("GET", "/sobjects/Contact/External_Id__c/1", ""), 200, "")
	o.want(o.do("GET", "/sobjects/Contact/External_Id__c/2", ""), 404, "NOT_FOUND")
}

func TestTheSameCallsGiveTheSameAnswers(t *testing.T) {
	t.Parallel()
	run := func() string {
		o := newOrg(t)
		o.person("LastName", "A")
		var out []string
		out = append(out, string(o.do("POST", "/sobjects/Contact", `{"LastName":"B"}`).body))
		r := o.do("GET", "/query?q="+url.QueryEscape("SELECT FIELDS FROM Contact"), "")
		out = append(out, string(r.body), fmt.Sprint(o.Contacts()))
		return strings.Join(out, "\n")
	}
	if a, b := run(), run(); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}
