package sfdc

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestQueryFindsWhatTheConditionSays(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	acme, err := o.CreateAccount("Acme")
	if err != nil {
		t.Fatal(err)
	}
	o.person("LastName", "Alpha", "Email", "a@x.example", "AccountId", acme, "Birthdate", "1970-01-01")
	o.clock.add(time.Minute)
	o.person("LastName", "beta", "Email", "B@x.example", "FirstName", "O'Neill")
	o.clock.add(time.Minute)
	gamma := o.person("LastName", "Gamma", "Department", "50%_off", "HasOptedOutOfEmail", "true")
	for _, tt := range []struct{ where, want string }{
		{"LastName = 'ALPHA'", "Alpha"}, // texts compare without case
		{"LastName != 'alpha'", "beta Gamma"},
		{"Email = null", "Gamma"},
		{"Email != null", "Alpha beta"},
		{"Email != 'a@x.example'", "beta Gamma"}, // null is not equal to anything
		{"Email > ''", ""},
		{"FirstName = 'O\\'Neill'", "beta"},
		{"Account.Name = 'Acme'", "Alpha"},
		{"Account.Name = null", "beta Gamma"},
		{"Owner.Email = 'ann@sandbox.example'", "Alpha beta Gamma"},
		{"Contact.Owner.FirstName LIKE 'A%'", "Alpha beta Gamma"},
		{"SystemModstamp > 2026-11-02T09:00:00Z", "beta Gamma"},
		{"SystemModstamp > 2026-11-02T09:00:00.999Z", "beta Gamma"},  // milliseconds do not count
		{"SystemModstamp >= 2026-11-02T09:01:00.500Z", "beta Gamma"}, // nor here
		{"SystemModstamp = 2026-11-02T10:02:00+01:00", "Gamma"},
		{"SystemModstamp < 2026-11-02T09:01:00.000+0000", "Alpha"},
		{"Birthdate <= 1970-01-01", "Alpha"},
		{"Birthdate > 1970-01-01", ""},
		{"HasOptedOutOfEmail = true", "Gamma"},
		{"HasOptedOutOfEmail = FALSE", "Alpha beta"},
		{"LastName IN ('gamma', 'Alpha', 'nobody')", "Alpha Gamma"},
		{"LastName NOT IN ('gamma', 'Alpha')", "beta"},
		{"Id = '" + gamma + "'", "Gamma"},
		{"Id = '" + gamma[:15] + "'", "Gamma"},
		{"Id IN ('" + gamma[:15] + "','" + gamma + "')", "Gamma"},
		{"Id > '" + gamma + "'", ""},
		{"Id < '" + gamma + "'", "Alpha beta"},
		{"NOT LastName = 'beta'", "Alpha Gamma"},
		{"(NOT (LastName = 'beta' OR LastName = 'Gamma'))", "Alpha"},
		{"LastName LIKE '_eta'", "beta"},
		{"LastName LIKE '%A'", "Alpha beta Gamma"},
		{"LastName LIKE 'a%h_'", "Alpha"},
		{"Department LIKE '50\\%\\_off'", "Gamma"},
		{"Department LIKE '50\\%%'", "Gamma"},
		{"Department = '50%_off'", "Gamma"},
		{"(SystemModstamp = 2026-11-02T09:01:00Z AND Id > '003000000000000AAA') OR SystemModstamp > 2026-11-02T09:01:00Z", "beta Gamma"},
	} {
		if got := o.names("query", "SELECT LastName FROM Contact WHERE "+tt.where+" ORDER BY SystemModstamp, Id"); got != tt.want {
			t.Errorf("WHERE %s: %q, want %q", tt.where, got, tt.want)
		}
	}
	for _, tt := range []struct{ tail, want string }{
		{"ORDER BY LastName DESC", "Gamma beta Alpha"},
		{"ORDER BY Email", "Gamma Alpha beta"}, // nulls first
		{"ORDER BY Email NULLS LAST", "Alpha beta Gamma"},
		{"ORDER BY Email DESC NULLS LAST", "beta Alpha Gamma"},
		{"ORDER BY SystemModstamp DESC LIMIT 1", "Gamma"},
		{"ORDER BY LastName LIMIT 1", "Alpha"},
		{"ORDER BY LastName LIMIT 1 OFFSET 1", "beta"},
		{"ORDER BY LastName LIMIT 0", ""},
	} {
		if got := o.names("query", "SELECT LastName FROM Contact c "+tt.tail); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.tail, got, tt.want)
		}
	}
	p := o.soql("query", "SELECT Id, Account.Name, Owner.Email, c.LastName FROM Contact c WHERE c.LastName = 'Alpha'")
	r := p.Records[0]
	account, _ := r["Account"].(map[string]any)
	owner, _ := r["Owner"].(map[string]any)
	if account["Name"] != "Acme" || owner["Email"] != "ann@sandbox.example" || r["LastName"] != "Alpha" || p.TotalSize != 1 || !p.Done {
		t.Errorf("page %+v", p)
	}
	if p := o.soql("query", "SELECT COUNT() FROM Contact WHERE Email != null"); p.TotalSize != 2 || len(p.Records) != 0 {
		t.Errorf("count %+v", p)
	}
	if p := o.soql("query", "SELECT Id, Name FROM Organization"); p.TotalSize != 1 || p.Records[0]["Id"] != o.OrgID() {
		t.Errorf("organization %+v", p)
	}
	if p := o.soql("query", "SELECT Id, Username, UserType, IsActive FROM User WHERE IsActive = true AND Email = 'ANN@sandbox.example'"); p.TotalSize != 1 || p.Records[0]["Id"] != o.owner {
		t.Errorf("user %+v", p)
	}
}

func TestQueryRefusesWhatSalesforceRefuses(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	for _, tt := range []struct{ q, code string }{
		{"", "MALFORMED_QUERY"},
		{"SELECT FROM Contact", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact WHERE", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact WHERE Email = 'a' AND Email = 'b' OR Email = 'c'", "MALFORMED_QUERY"}, // AND and OR do not mix
		{"SELECT Id FROM Contact WHERE (Email = 'a'", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact WHERE Email = 'a", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact WHERE Email = 'a\\x'", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact WHERE Email IN ()", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact LIMIT -1", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact LIMIT x", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact extra words", "MALFORMED_QUERY"},
		{"SELECT Id, Id FROM Contact", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact WHERE SystemModstamp > 2026-11-02T09:00:00", "MALFORMED_QUERY"}, // no zone
		{"SELECT Id FROM Contact; DROP", "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact ORDER BY Description", "MALFORMED_QUERY"},
		{"SELECT Nope FROM Contact", "INVALID_FIELD"},
		{"SELECT Nope.Name FROM Contact", "INVALID_FIELD"},
		{"SELECT Id FROM Contact WHERE Nope__c = 'x'", "INVALID_FIELD"},
		{"SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD"}, // long text cannot be filtered
		{"SELECT Id FROM Contact WHERE SystemModstamp > '2026-11-02T09:00:00Z'", "INVALID_FIELD"},
		{"SELECT Id FROM Contact WHERE SystemModstamp > 2026-11-02", "INVALID_FIELD"},
		{"SELECT Id FROM Contact WHERE Birthdate = 2026-11-02T09:00:00Z", "INVALID_FIELD"},
		{"SELECT Id FROM Contact WHERE LastName = 5", "INVALID_FIELD"},
		{"SELECT Id FROM Contact WHERE HasOptedOutOfEmail > true", "INVALID_FIELD"},
		{"SELECT Id FROM Contact WHERE Id LIKE '003%'", "INVALID_FIELD"},
		{"SELECT Id FROM Contact WHERE Id = 'nonsense'", "INVALID_QUERY_FILTER_OPERATOR"},
		{"SELECT IsDeleted FROM User", "INVALID_FIELD"},
		{"SELECT Id FROM Lead", "INVALID_TYPE"},
		{"SELECT Id FROM Contact WHERE " + strings.Repeat("(", 300) + "Id = null" + strings.Repeat(")", 300), "MALFORMED_QUERY"},
		{"SELECT Id FROM Contact LIMIT 1 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"},
	} {
		if r := o.do("GET", "/query?q="+url.QueryEscape(tt.q), ""); r.status != 400 || r.code() != tt.code {
			t.Errorf("%s: %d %s, want %s", tt.q, r.status, r.body, tt.code)
		}
	}
	long := "/query?q=" + url.QueryEscape("SELECT Id FROM Contact WHERE LastName = '"+strings.Repeat("x", maxURI)+"'")
	if r := o.do("GET", long, ""); r.status != 414 {
		t.Errorf("a request line of more than 16 KB: %d", r.status)
	}
}

func TestAFieldThatWasTakenAwayIsUnknown(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	if err := o.RemoveField("Contact", "Title", true); err != nil {
		t.Fatal(err)
	}
	o.want(o.do("GET", "/query?q="+url.QueryEscape("SELECT Title FROM Contact"), ""), 400, "INVALID_FIELD")
	o.want(o.do("POST", "/sobjects/Contact", `{"LastName":"A","Title":"B"}`), 400, "INVALID_FIELD")
	if b := o.do("GET", "/sobjects/Contact/describe", "").body; strings.Contains(string(b), `"Title"`) {
		t.Error("describe still shows the field")
	}
	if err := o.RemoveField("Contact", "Title", false); err != nil {
		t.Fatal(err)
	}
	o.want(o.do("POST", "/sobjects/Contact", `{"LastName":"A","Title":"B"}`), 201, "")
}

func TestAKeysetReaderSeesEachRowOnceOverTies(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	const n = 450
	want := make(map[string]bool)
	for i := range n {
		if i%200 == 199 { // long runs of rows with the same stamp
			o.clock.add(time.Second)
		}
		want[o.person("LastName", fmt.Sprint("P", i))] = true
	}
	stamp, id := "2000-01-01T00:00:00Z", "003000000000000AAA"
	for pages := 0; ; pages++ {
		p := o.soql("queryAll", fmt.Sprintf("SELECT Id, SystemModstamp FROM Contact WHERE (SystemModstamp = %s AND Id > '%s') OR SystemModstamp > %s ORDER BY SystemModstamp, Id LIMIT 100", stamp, id, stamp))
		for _, r := range p.Records {
			id, _ = r["Id"].(string)
			s, _ := r["SystemModstamp"].(string)
			stamp = s
			if !want[id] {
				t.Fatalf("row %s came twice", id)
			}
			delete(want, id)
		}
		if len(p.Records) < 100 {
			if pages != 4 {
				t.Errorf("%d full pages, want 4", pages)
			}
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("%d rows never came", len(want))
	}
}

func TestPagesAreCutAndTheirLocatorsDie(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	var ids []string
	for i := range 450 {
		ids = append(ids, o.person("LastName", fmt.Sprint("P", i)))
	}
	q := "/query?q=" + url.QueryEscape("SELECT Id, LastName FROM Contact ORDER BY Id")
	r := o.do("GET", q, "", "Sforce-Query-Options", "batchSize=200")
	m, _ := r.json().(map[string]any)
	next, _ := m["nextRecordsUrl"].(string)
	if m["done"] != false || m["totalSize"] != 450.0 || len(m["records"].([]any)) != 200 || !strings.HasPrefix(next, "/services/data/v66.0/query/01g") {
		t.Fatalf("first page %v %v %v", m["done"], m["totalSize"], next)
	}
	// The rows are read when their page is: one that went away is left out.
	if err := o.DeleteContact(ids[210]); err != nil {
		t.Fatal(err)
	}
	if err := o.UpdateContact(ids[211], Fields{"LastName": "Changed"}); err != nil {
		t.Fatal(err)
	}
	second, _ := o.do("GET", next, "").json().(map[string]any)
	records, _ := second["records"].([]any)
	if len(records) != 199 || second["done"] != false {
		t.Errorf("second page has %d rows, done %v", len(records), second["done"])
	}
	if row, _ := records[10].(map[string]any); row["LastName"] != "Changed" {
		t.Errorf("row %v", row)
	}
	last, _ := second["nextRecordsUrl"].(string)
	third, _ := o.do("GET", last, "").json().(map[string]any)
	if third["done"] != true || third["nextRecordsUrl"] != nil || len(third["records"].([]any)) != 50 {
		t.Errorf("third page %v", third["done"])
	}
	o.clock.add(48*time.Hour + time.Second)
	o.login()
	o.want(o.do("GET", next, ""), 400, "INVALID_QUERY_LOCATOR")
	o.want(o.do("GET", "/query/01gxx-2000", ""), 400, "INVALID_QUERY_LOCATOR")
	// Without the header a page has 2,000 rows.
	if p := o.soql("query", "SELECT Id FROM Contact"); len(p.Records) != 449 || !p.Done {
		t.Errorf("%d rows on one page", len(p.Records))
	}
}

func TestTheFirstRowsAreThoseOfTheWholeOrder(t *testing.T) {
	t.Parallel()
	o := newOrg(t)
	for i := range 60 {
		o.person("LastName", fmt.Sprintf("N%02d", (i*37)%60))
	}
	all := strings.Fields(o.names("query", "SELECT LastName FROM Contact ORDER BY LastName DESC"))
	for _, n := range []int{1, 7, 29, 30, 59, 60, 70} {
		got := o.names("query", fmt.Sprintf("SELECT LastName FROM Contact ORDER BY LastName DESC LIMIT %d", n))
		if want := strings.Join(all[:min(n, 60)], " "); got != want {
			t.Errorf("LIMIT %d: %s, want %s", n, got, want)
		}
	}
}

func FuzzSOQL(f *testing.F) {
	for _, q := range []string{
		"SELECT Id FROM Contact", "SELECT COUNT() FROM Contact WHERE Email != null",
		"SELECT Id, Account.Name FROM Contact c WHERE (SystemModstamp = 2026-11-02T09:00:00.000+0000 AND Id > '003') OR NOT c.Email LIKE '%a\\_b%' ORDER BY Id DESC NULLS LAST LIMIT 5 OFFSET 2",
		"SELECT Id FROM Contact WHERE LastName IN ('a','\\u00e4\\n') AND IsDeleted = true", "select id from user where username not in ('x', null)", "SELECT '", "((((", "SELECT a.b.c.d.e.f.g FROM x",
	} {
		f.Add(q)
	}
	s, err := New(Options{Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := s.CreateContact("", Fields{"LastName": "Ä_%\\", "Email": "a@b.example"}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, q string) {
		st, bad := parseSOQL(q)
		if bad != nil {
			if bad.status != 400 || bad.code == "" || bad.message == "" {
				t.Errorf("%q fails as %+v", q, bad)
			}
			return
		}
		b, bad := s.bind(st)
		if bad != nil {
			return
		}
		ids := b.run(true)
		if st.limit >= 0 && len(ids) > st.limit {
			t.Errorf("%q gives %d rows", q, len(ids))
		}
		for _, id := range ids {
			if len(id) != 18 {
				t.Errorf("%q gives id %q", q, id)
			}
		}
	})
}

func FuzzLikeMatchesItself(f *testing.F) {
	f.Add("abc", "a%")
	f.Add("50%_off", "50\\%_off")
	f.Fuzz(func(t *testing.T, s, rest string) {
		s = strings.ToValidUTF8(s, "?")
		escaped := strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s)
		if !like(s, escaped) {
			t.Errorf("%q does not match itself", s)
		}
		if !like(s+strings.ToValidUTF8(rest, "?"), escaped+"%") {
			t.Errorf("%q%% does not match %q", s, s+rest)
		}
	})
}
