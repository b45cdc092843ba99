package sandbox

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-vcard"
)

// card is one vCard as the fields of a mailbox contact.
type card struct {
	fields Fields
	err    error
}

// readCards reads vCards of the versions 3 and 4 (RFC 2426, RFC 6350).
func readCards(r io.Reader) ([]card, error) {
	d := vcard.NewDecoder(r)
	var out []card
	for {
		c, err := d.Decode()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		switch f := cardFields(c); {
		case strings.TrimSpace(c.Value(vcard.FieldVersion)) == "2.1":
			// Its parameters have no names, and what the library does not understand it
			// leaves out: better nothing than a contact without its telephones.
			out = append(out, card{err: errors.New("vCard 2.1 is not read; export it as version 3 or 4")})
		case len(f) == 0:
			out = append(out, card{err: errors.New("the card holds nothing that a contact has")})
		default:
			out = append(out, card{fields: f})
		}
	}
}

func cardFields(c vcard.Card) Fields {
	f := make(Fields)
	set := func(name, v string) {
		if v = strings.TrimSpace(v); v != "" && f[name] == "" {
			f[name] = v
		}
	}
	add := func(name, v string) bool {
		list := split(f[name])
		v = strings.TrimSpace(v)
		if v == "" || slices.Contains(list, v) {
			return true
		}
		if n := room[name]; n > 0 && len(list) == n {
			return false
		}
		f[name] = strings.Join(append(list, v), "; ")
		return true
	}
	if n := c.Name(); n != nil {
		set("givenName", n.GivenName)
		set("middleName", n.AdditionalName)
		set("surname", n.FamilyName)
		set("title", n.HonorificPrefix)
		set("generation", n.HonorificSuffix)
	}
	set("displayName", c.PreferredValue(vcard.FieldFormattedName))
	set("nickName", c.PreferredValue(vcard.FieldNickname))
	company, department, _ := strings.Cut(c.PreferredValue(vcard.FieldOrganization), ";")
	set("companyName", company)
	set("department", department)
	set("jobTitle", c.PreferredValue(vcard.FieldTitle))
	set("personalNotes", c.Value(vcard.FieldNote))
	set("businessHomePage", c.PreferredValue(vcard.FieldURL))
	set("birthday", cardDate(c.Value(vcard.FieldBirthday)))
	for _, e := range c.Values(vcard.FieldEmail) {
		add("emailAddresses", strings.TrimPrefix(e, "mailto:"))
	}
	for _, k := range c.Categories() {
		add("categories", k)
	}
	for _, t := range c[vcard.FieldTelephone] {
		number := strings.TrimPrefix(t.Value, "tel:")
		switch {
		case t.Params.HasType("fax") || t.Params.HasType("pager"):
		case t.Params.HasType("cell") && f["mobilePhone"] == "":
			set("mobilePhone", number)
		case t.Params.HasType("home"):
			add("homePhones", number)
		default:
			if !add("businessPhones", number) {
				add("homePhones", number)
			}
		}
	}
	for _, a := range c.Addresses() {
		kind := "otherAddress"
		switch {
		case a.Params.HasType("work"):
			kind = "businessAddress"
		case a.Params.HasType("home"):
			kind = "homeAddress"
		}
		if f[kind+".street"] != "" || f[kind+".city"] != "" {
			kind = "otherAddress"
		}
		street := a.StreetAddress
		if a.ExtendedAddress != "" {
			street += "\n" + a.ExtendedAddress
		}
		set(kind+".street", street)
		set(kind+".city", a.Locality)
		set(kind+".state", a.Region)
		set(kind+".postalCode", a.PostalCode)
		set(kind+".countryOrRegion", a.Country)
	}
	return f
}

// cardDate reads 1985-04-12, 19850412 and the same with a time; a birthday without its
// year cannot be kept.
func cardDate(v string) string {
	v, _, _ = strings.Cut(v, "T")
	if len(v) == 8 && !strings.Contains(v, "-") {
		v = v[:4] + "-" + v[4:6] + "-" + v[6:]
	}
	if len(v) != 10 || v[4] != '-' {
		return ""
	}
	return v
}
