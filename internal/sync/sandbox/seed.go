package sandbox

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

// folderName is the folder of a mailbox that sync products use.
const folderName = "CRM"

// domain is that of the people of a sandbox.
const domain = "sandbox.example"

// seeder fills two empty servers. The same settings give the same data.
type seeder struct {
	settings
	graph    *m365.Server
	crm      *sfdc.Server
	accounts map[string]string
	// letters remembers what ascii made of a name: the names are few, the contacts not.
	letters map[string]string
}

func (s *seeder) ascii(name string) string {
	a, ok := s.letters[name]
	if !ok {
		a = ascii(name)
		s.letters[name] = a
	}
	return a
}

// fill makes the people and what belongs to each.
func (s *seeder) fill() error {
	s.accounts, s.letters = make(map[string]string), make(map[string]string)
	for i := range s.Users {
		given, family := personName(i)
		email := userEmail(i, given, family)
		owner, err := s.crm.AddUser(sfdc.User{Username: email, Email: email, FirstName: given, LastName: family, Active: true})
		if err != nil {
			return fmt.Errorf("seed the CRM: %w", err)
		}
		if err := s.mailbox(i, email, given, family); err != nil {
			return fmt.Errorf("seed the mailboxes: %w", err)
		}
		// Each user has a source of his own, so that more users change nothing for the
		// first ones.
		r := rand.New(rand.NewPCG(s.Seed, uint64(i)))
		contacts, err := s.contacts(r, owner)
		if err != nil {
			return fmt.Errorf("seed the CRM: %w", err)
		}
		if i == 0 {
			if err := s.folder(email, contacts); err != nil {
				return fmt.Errorf("seed the mailboxes: %w", err)
			}
		}
	}
	s.crm.SetClockSkew(0)
	return nil
}

func personName(i int) (given, family string) {
	if i < len(userNames) {
		return userNames[i][0], userNames[i][1]
	}
	i -= len(userNames)
	return givenNames[i%len(givenNames)], familyNames[i/len(givenNames)%len(familyNames)]
}

func userEmail(i int, given, family string) string {
	local := ascii(given) + "." + ascii(family)
	if i >= len(userNames) {
		local += fmt.Sprintf(".%d", i+1)
	}
	return local + "@" + domain
}

// spelled are letters that are no base letter with an accent.
var spelled = strings.NewReplacer("ß", "ss", "ø", "o", "Ø", "O", "Ł", "L", "ł", "l", "ı", "i", "Þ", "Th", "ð", "d", "'", "", " ", "")

// ascii turns a name into letters that an address may have.
func ascii(s string) string {
	t, _, err := transform.String(transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn))), s)
	if err != nil {
		t = s
	}
	t = spelled.Replace(t)
	t = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII {
			return unicode.ToLower(r)
		}
		return -1
	}, t)
	if t == "" {
		return "person"
	}
	return t
}

// contacts makes the contacts of one owner.
func (s *seeder) contacts(r *rand.Rand, owner string) ([]sfdc.Fields, error) {
	made := make([]sfdc.Fields, 0, s.Contacts)
	for i := range s.Contacts {
		var f sfdc.Fields
		if i%31 == 30 {
			f = nearDuplicate(made[i-1])
		} else {
			f = s.contact(r, i)
		}
		in := make(sfdc.Fields, len(f))
		for k, v := range f {
			in[k] = v
		}
		if a := in["Account"]; a != "" {
			id, err := s.account(a)
			if err != nil {
				return nil, err
			}
			in["AccountId"] = id
		}
		delete(in, "Account")
		// The stamps lie up to a year back and in no order, as those of a real
		// organization do; a mass update gave some of them the same one.
		age := time.Duration(1+r.IntN(365*24*3600)) * time.Second
		if i%13 == 12 {
			age = 40 * 24 * time.Hour
		}
		s.crm.SetClockSkew(-age)
		who := owner
		if i%37 == 36 {
			who = s.crm.RunAs() // owned by someone else, who has no mailbox
		}
		if _, err := s.crm.CreateContact(who, in); err != nil {
			return nil, err
		}
		made = append(made, f)
	}
	return made, nil
}

func (s *seeder) account(name string) (string, error) {
	if id := s.accounts[name]; id != "" {
		return id, nil
	}
	id, err := s.crm.CreateAccount(name)
	s.accounts[name] = id
	return id, err
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// contact makes the i-th contact of an owner: mostly whole, some as people leave them.
func (s *seeder) contact(r *rand.Rand, i int) sfdc.Fields {
	given, family := pick(r, givenNames), pick(r, familyNames)
	if i%29 == 28 {
		p := pick(r, eastern)
		given, family = p[0], p[1]
	}
	company := pick(r, companyNames)
	host := s.ascii(strings.Fields(company)[0]) + ".example"
	f := sfdc.Fields{
		"FirstName": given, "LastName": family, "Account": company, "Title": pick(r, jobTitles), "Department": pick(r, departments),
		"Email": fmt.Sprintf("%s.%s.%d@%s", s.ascii(given), s.ascii(family), i+1, host),
		"Phone": phone(r), "LeadSource": "Web",
	}
	city := pick(r, cities)
	f["MailingCity"], f["MailingState"], f["MailingPostalCode"], f["MailingCountry"] = city[0], city[1], city[2], city[3]
	f["MailingStreet"] = pick(r, streets)
	if i%3 == 1 {
		f["MailingStreet"] += "\r\n" + pick(r, seconds) // as the browser sends it
	}
	if i%2 == 1 {
		f["MobilePhone"] = phone(r)
	}
	if i%5 == 4 {
		f["OtherPhone"], f["HomePhone"] = phone(r), phone(r)
	}
	if i%4 == 3 {
		f["Birthdate"] = time.Date(1950+r.IntN(50), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	if i%6 == 5 {
		f["Description"] = pick(r, notes)
	}
	if i%8 == 7 {
		f["MiddleName"] = string(rune('A'+r.IntN(26))) + "."
	}
	if i%14 == 13 {
		f["Suffix"], f["Salutation"] = "Jr.", "Dr."
	}
	if i%19 == 18 {
		f["Nickname__c"], f["Website__c"] = given[:1]+".", "https://www."+host
	}
	switch {
	case i%23 == 21 || i%23 == 22:
		f["Email"] = fmt.Sprintf("info%d@%s", i/23, "shared.example") // two people, one address
	case i%17 == 16:
		delete(f, "FirstName")
	case i%9 == 8:
		delete(f, "Email")
	case i%11 == 10:
		f["LeadSource"] = "Purchased List" // came by import
	}
	return f
}

// nearDuplicate is a contact entered twice: with another address, and a letter more.
func nearDuplicate(of sfdc.Fields) sfdc.Fields {
	f := make(sfdc.Fields, len(of))
	for k, v := range of {
		f[k] = v
	}
	f["Title"], f["LastName"] = "", of["LastName"]+"e"
	if e := of["Email"]; e != "" {
		f["Email"] = "office." + e
	}
	return f
}

// phone is a number of the range kept for fiction, spelt in one of the ways people do.
func phone(r *rand.Rand) string {
	area, last := []int{202, 312, 415, 617}[r.IntN(4)], 100+r.IntN(100)
	form := []string{"(%d) 555-0%d", "%d-555-0%d", "+1 %d 555 0%d", "%d.555.0%d", "+1%d5550%d", "%d 555 0%d ext. 12"}[r.IntN(6)]
	return fmt.Sprintf(form, area, last)
}

// mailbox makes a user's account and the private contacts in its own folder, which no
// sync may touch.
func (s *seeder) mailbox(_ int, email, given, family string) error {
	if err := addMailbox(s.graph, email, given, family); err != nil {
		return err
	}
	for _, p := range privateContacts {
		props, err := p.graph(nil)
		if err != nil {
			return err
		}
		if _, err := createInMailbox(s.graph, email, "", props); err != nil {
			return err
		}
	}
	return nil
}

// folder gives the first user a folder that was there before the sync: contacts that
// are in the CRM too, one the same, one that knows more, one that contradicts it, and
// one that the CRM does not have.
func (s *seeder) folder(email string, crm []sfdc.Fields) error {
	edits := []func(Fields){
		func(Fields) {},
		func(f Fields) {
			f["nickName"], f["mobilePhone"], f["personalNotes"] = "Ace", "+1 415 555 0142", "Likes sailing"
		},
		func(f Fields) { f["jobTitle"] = "Chief Contradiction Officer" },
		func(f Fields) { delete(f, "businessPhones"); f["homePhones"] = "(617) 555-0188" },
	}
	n := 0
	for _, c := range crm {
		if n == len(edits) {
			break
		}
		if c["Email"] == "" || c["FirstName"] == "" || strings.Contains(c["Email"], "@shared.") || c["MobilePhone"] != "" && n == 1 {
			continue
		}
		f := Fields{
			"givenName": c["FirstName"], "surname": c["LastName"], "companyName": c["Account"], "jobTitle": c["Title"],
			"emailAddresses": c["Email"], "businessPhones": c["Phone"],
		}
		edits[n](f)
		n++
		if err := s.put(email, f); err != nil {
			return err
		}
	}
	return s.put(email, Fields{"givenName": "Nora", "surname": "Newcomer", "companyName": "Fresh Start Ltd", "emailAddresses": "nora@freshstart.example"})
}

func (s *seeder) put(email string, f Fields) error {
	props, err := f.graph(nil)
	if err != nil {
		return err
	}
	_, err = createInMailbox(s.graph, email, folderName, props)
	return err
}
