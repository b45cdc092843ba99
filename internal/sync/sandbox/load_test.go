package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

const adaKeller = "ada.keller@sandbox.example"

func TestLoadCRM(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), 2, -1)
	const file = "\ufeffExternal_Id,FirstName,MiddleName,LastName,Suffix,Title,Account,Phone,Fax,OtherPhone,MailingStreet,MailingCity,Birthdate,Website,Nickname,Shoe Size\r\n" +
		"X1,Ana,M.,Ortiz,Jr.,Senator,\"Senate, WA\",1,2,3,\"Line 1\r\nLine 2\",Everett,1958-10-13,https://a.example,Annie,38\r\n" +
		"X2,Nobody,,,,,,,,,,,,,,\r\n" +
		",,,,,,,,,,,,,,,\r\n" +
		"X3,Bo,,Dane,,,\"Senate, WA\",,,,,,,,,\r\n" +
		"X4,Too,,Many,,,,,,,,,,,,,,,\r\n" +
		"X5,Bad,,Date,,,,,,,,,soon,,,\r\n"
	res, err := s.LoadCRM(t.Context(), strings.NewReader(file), "bruno.sato@sandbox.example")
	if err != nil {
		t.Fatal(err)
	}
	if res.Created != 2 || res.Updated != 0 || fmt.Sprint(res.Unknown) != "[Shoe Size]" || len(res.Problems) != 3 {
		t.Errorf("%+v", res)
	}
	rows := make(map[int]string)
	for _, p := range res.Problems {
		rows[p.Row] = p.Message
	}
	if !strings.Contains(rows[4], "LastName") || !strings.Contains(rows[7], "columns") || !strings.Contains(rows[8], "soon") {
		t.Errorf("problems %v", rows)
	}
	list, err := s.Contacts(t.Context(), CRM, "bruno.sato@sandbox.example")
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	want := Fields{
		"External_Id__c": "X1", "FirstName": "Ana", "MiddleName": "M.", "LastName": "Ortiz", "Suffix": "Jr.", "Title": "Senator", "Account": "Senate, WA",
		"Phone": "1", "Fax": "2", "OtherPhone": "3", "MailingStreet": "Line 1\nLine 2", "MailingCity": "Everett", "Birthdate": "1958-10-13",
		"Website__c": "https://a.example", "Nickname__c": "Annie",
	}
	if fmt.Sprint(list[0].Fields) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", list[0].Fields, want)
	}
	// A second time the same rows change what is there, and an owner is found if none is named.
	res, err = s.LoadCRM(t.Context(), strings.NewReader("External_Id__c;Last Name;E-mail Address\nx1;Ørsted;a@b.example\nX9;New;\n"), "")
	if err != nil || res.Created != 1 || res.Updated != 1 {
		t.Errorf("%+v %v", res, err)
	}
	list, err = s.Contacts(t.Context(), CRM, "")
	if err != nil || len(list) != 3 || list[0].Fields["LastName"] != "Ørsted" || list[0].Fields["Email"] != "a@b.example" || list[0].Owner != "bruno.sato@sandbox.example" || list[2].Owner != adaKeller {
		t.Errorf("%v %v", list, err)
	}
	if _, err := s.LoadCRM(t.Context(), strings.NewReader(file), "nobody@sandbox.example"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown owner: %v", err)
	}
	for _, bad := range []string{"", "BEGIN:VCARD\nEND:VCARD\n"} {
		if _, err := s.LoadCRM(t.Context(), strings.NewReader(bad), ""); err == nil {
			t.Errorf("%q was loaded", bad)
		}
	}
}

func TestLoadMailboxFromATable(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), 1, -1)
	// As Outlook exports it: Windows-1252, its own names, American dates, no years at all.
	const outlook = "\"Title\",\"First Name\",\"Last Name\",\"Suffix\",\"Company\",\"Job Title\",\"Business Street\",\"Home City\",\"Other Country/Region\",\"Business Phone\",\"Business Phone 2\",\"Other Phone\",\"Home Phone\",\"Mobile Phone\",\"Birthday\",\"E-mail Address\",\"E-mail 2 Address\",\"E-mail 3 Address\",\"Categories\",\"Notes\",\"Web Page\",\"Sensitivity\"\r\n" +
		"\"Dr.\",\"J\xfcrgen\",\"Stra\xdfe\",\"Jr.\",\"Acme\",\"CEO\",\"A 1\r\nB 2\",\"Boston\",\"Peru\",\"1\",\"2\",\"3\",\"4\",\"5\",\"2/29/1980\",\"a@x.example\",\"b@x.example\",\"A@x.example\",\"VIP;Golf\",\"Hello\r\nWorld\",\"http://x.example\",\"Normal\"\r\n" +
		"\"\",\"Un\",\"Born\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"0/0/00\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"\r\n"
	res, err := s.LoadMailbox(t.Context(), adaKeller, "Private", strings.NewReader(outlook))
	if err != nil {
		t.Fatal(err)
	}
	if res.Created != 2 || fmt.Sprint(res.Unknown) != "[Sensitivity]" || len(res.Problems) != 0 {
		t.Errorf("%+v", res)
	}
	got := inFolder(t, s, "Private")
	want := Fields{
		"title": "Dr.", "givenName": "Jürgen", "surname": "Straße", "generation": "Jr.", "companyName": "Acme", "jobTitle": "CEO",
		"businessAddress.street": "A 1\nB 2", "homeAddress.city": "Boston", "otherAddress.countryOrRegion": "Peru",
		"businessPhones": "1; 2", "homePhones": "4", "mobilePhone": "5", "birthday": "1980-02-29",
		"emailAddresses": "a@x.example; b@x.example; A@x.example", "categories": "VIP; Golf", "personalNotes": "Hello\nWorld", "businessHomePage": "http://x.example",
	}
	if len(got) != 2 || fmt.Sprint(got[0]) != fmt.Sprint(want) || got[1]["birthday"] != "" {
		t.Errorf("%v\nwant %v", got, want)
	}
	// A table of CRM fields goes into a mailbox too, into the folder CRM.
	res, err = s.LoadMailbox(t.Context(), adaKeller, "", strings.NewReader("External_Id,FirstName,LastName,Title,Account,Phone,Fax,OtherPhone,MailingCity,Birthdate\nX1,Ana,Ortiz,Senator,Senate,1,2,3,Everett,1958-10-13\n"))
	if err != nil || res.Created != 1 || fmt.Sprint(res.Unknown) != "[External_Id Fax]" {
		t.Errorf("%+v %v", res, err)
	}
	got = inFolder(t, s, "CRM")
	want = Fields{"givenName": "Ana", "surname": "Ortiz", "jobTitle": "Senator", "companyName": "Senate", "businessPhones": "1; 3", "businessAddress.city": "Everett", "birthday": "1958-10-13"}
	if fmt.Sprint(got[len(got)-1]) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if _, err := s.LoadMailbox(t.Context(), "nobody@sandbox.example", "", strings.NewReader("FirstName\nA\n")); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown mailbox: %v", err)
	}
}

// inFolder are the contacts of a folder of the first mailbox, without the names that
// Outlook makes up.
func inFolder(t *testing.T, s *Sandbox, folder string) []Fields {
	t.Helper()
	list, err := s.Contacts(t.Context(), Mailbox, adaKeller)
	if err != nil {
		t.Fatal(err)
	}
	var out []Fields
	for _, c := range list {
		if c.Folder == folder {
			delete(c.Fields, "displayName")
			delete(c.Fields, "fileAs")
			out = append(out, c.Fields)
		}
	}
	return out
}

func TestLoadMailboxFromCards(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), 1, -1)
	const cards = "\ufeffBEGIN:VCARD\r\nVERSION:3.0\r\nFN:Dr. Zoë Müller\r\nN:Müller;Zoë;M.;Dr.;PhD\r\nORG:Acme\\, Inc.;Research\r\nTITLE:CTO\r\n" +
		"EMAIL;TYPE=INTERNET,WORK:zoe@acme.example\r\nEMAIL:z@home.example\r\nTEL;TYPE=CELL:+1 617 555 0100\r\nTEL;TYPE=\"work,voice\":1\r\nTEL;TYPE=HOME:2\r\nTEL;TYPE=FAX:9\r\nTEL:3\r\nTEL:4\r\n" +
		"ADR;TYPE=WORK:;Suite 9;1 Main St;Boston;MA;02110;USA\r\nADR;TYPE=HOME:;;2 Side St;Salem;MA;01970;USA\r\nBDAY:19800229\r\nNOTE:First line\\nSecond\r\n  line\r\n" +
		"NICKNAME:Zo\r\nURL:https://acme.example\r\nCATEGORIES:VIP,Golf\r\nEND:VCARD\r\n" +
		"BEGIN:VCARD\nVERSION:4.0\nFN:Only Name\nTEL;VALUE=uri;TYPE=cell:tel:+15550100\nBDAY:--0412\nEND:VCARD\n" +
		"BEGIN:VCARD\nVERSION:2.1\nN:Old;Card\nTEL;WORK;VOICE:1\nEND:VCARD\n"
	res, err := s.LoadMailbox(t.Context(), adaKeller, "Cards", strings.NewReader(cards))
	if err != nil {
		t.Fatal(err)
	}
	if res.Created != 2 || len(res.Problems) != 1 || res.Problems[0].Row != 3 || !strings.Contains(res.Problems[0].Message, "2.1") {
		t.Errorf("%+v", res)
	}
	got := inFolder(t, s, "Cards")
	want := Fields{
		"givenName": "Zoë", "middleName": "M.", "surname": "Müller", "title": "Dr.", "generation": "PhD", "companyName": "Acme, Inc.", "department": "Research",
		"jobTitle": "CTO", "emailAddresses": "zoe@acme.example; z@home.example", "mobilePhone": "+1 617 555 0100", "businessPhones": "1; 3", "homePhones": "2; 4",
		"businessAddress.street": "1 Main St\nSuite 9", "businessAddress.city": "Boston", "businessAddress.state": "MA", "businessAddress.postalCode": "02110", "businessAddress.countryOrRegion": "USA",
		"homeAddress.street": "2 Side St", "homeAddress.city": "Salem", "homeAddress.state": "MA", "homeAddress.postalCode": "01970", "homeAddress.countryOrRegion": "USA",
		"birthday": "1980-02-29", "personalNotes": "First line\nSecond line", "nickName": "Zo", "businessHomePage": "https://acme.example", "categories": "VIP; Golf",
	}
	if len(got) != 2 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if got[1]["mobilePhone"] != "+15550100" || got[1]["birthday"] != "" {
		t.Errorf("%v", got[1])
	}
	res, err = s.LoadMailbox(t.Context(), adaKeller, "Cards", strings.NewReader("BEGIN:VCARD\nVERSION:4.0\nFN:A\nEND:VCARD\nBEGIN:VCARD\nFN:cut"))
	if err != nil || res.Created != 1 || len(res.Problems) != 1 {
		t.Errorf("%+v %v", res, err)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add("FirstName,LastName\nA,B\n")
	f.Add("a;b\n\"x\n\ny\";1\n\"")
	f.Add("\ufeffBirthday\n2/29/1980\n")
	f.Fuzz(func(t *testing.T, text string) {
		columns, rows, _, err := readTable(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range rows {
			for _, side := range []Side{CRM, Mailbox} {
				fields, err := r.fieldsOf(side, isOutlook(columns))
				if err != nil {
					continue
				}
				for k, v := range fields {
					if k == "" || v == "" {
						t.Errorf("field %q is %q", k, v)
					}
				}
			}
		}
	})
}

func FuzzReadCards(f *testing.F) {
	f.Add("BEGIN:VCARD\nVERSION:3.0\nFN:A\nTEL;TYPE=CELL:1\nEND:VCARD\n")
	f.Add("BEGIN:VCARD\nN:;\nADR:;\nORG\nBDAY:1\nEND:VCARD")
	f.Fuzz(func(t *testing.T, text string) {
		cards, _ := readCards(strings.NewReader(text))
		for _, c := range cards {
			if (c.err == nil) == (len(c.fields) == 0) {
				t.Errorf("card %+v", c)
			}
			for name, n := range room {
				if len(split(c.fields[name])) > n {
					t.Errorf("%s has %q", name, c.fields[name])
				}
			}
		}
	})
}

// TestRealExport loads people of public record from a file that lies beside the
// project, and compares the two sides with each other.
func TestRealExport(t *testing.T) {
	t.Parallel()
	path := os.Getenv("CRMSYNC_TEST_CONTACTS")
	if path == "" {
		t.Skip("CRMSYNC_TEST_CONTACTS names no file: the real export is NOT checked")
	}
	s := start(t, t.TempDir(), 1, -1)
	for _, side := range []Side{CRM, Mailbox} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var res LoadResult
		if side == CRM {
			res, err = s.LoadCRM(t.Context(), f, adaKeller)
		} else {
			res, err = s.LoadMailbox(t.Context(), adaKeller, "", f)
		}
		_ = f.Close()
		if err != nil || len(res.Problems) > 0 || res.Created < 500 {
			t.Errorf("%s: %+v %v", side, res, err)
		}
	}
}
