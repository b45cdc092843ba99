package graph

import (
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// A native field of a contact is named by its path in the JSON, for example surname
// or homeAddress/city (https://learn.microsoft.com/graph/api/resources/contact).

// Table is the default mapping of contacts. The limits of three e-mail addresses
// and of two numbers each are Exchange's slots; the documentation does not name
// them. Categories are not mapped: they are the person's own.
func Table() mapping.Table {
	return mapping.Table{Entity: record.Contacts, Entries: []mapping.Entry{
		{Field: record.Salutation, Native: []string{"title"}},
		{Field: record.GivenName, Native: []string{"givenName"}},
		{Field: record.MiddleName, Native: []string{"middleName"}},
		{Field: record.FamilyName, Native: []string{"surname"}},
		{Field: record.Suffix, Native: []string{"generation"}},
		{Field: record.Nickname, Native: []string{"nickName"}},
		{Field: record.Company, Native: []string{"companyName"}},
		{Field: record.Department, Native: []string{"department"}},
		{Field: record.JobTitle, Native: []string{"jobTitle"}},
		{Field: record.EmailAddresses, Native: []string{emails}, Max: 3},
		{Field: record.BusinessPhones, Native: []string{businessPhones}, Max: 2},
		{Field: record.HomePhones, Native: []string{homePhones}, Max: 2},
		{Field: record.MobilePhone, Native: []string{"mobilePhone"}},
		{Field: record.BusinessStreet, Native: []string{"businessAddress/street"}},
		{Field: record.BusinessCity, Native: []string{"businessAddress/city"}},
		{Field: record.BusinessState, Native: []string{"businessAddress/state"}},
		{Field: record.BusinessZip, Native: []string{"businessAddress/postalCode"}},
		{Field: record.BusinessCountry, Native: []string{"businessAddress/countryOrRegion"}},
		{Field: record.OtherStreet, Native: []string{"otherAddress/street"}},
		{Field: record.OtherCity, Native: []string{"otherAddress/city"}},
		{Field: record.OtherState, Native: []string{"otherAddress/state"}},
		{Field: record.OtherZip, Native: []string{"otherAddress/postalCode"}},
		{Field: record.OtherCountry, Native: []string{"otherAddress/countryOrRegion"}},
		{Field: record.HomeStreet, Native: []string{"homeAddress/street"}},
		{Field: record.HomeCity, Native: []string{"homeAddress/city"}},
		{Field: record.HomeState, Native: []string{"homeAddress/state"}},
		{Field: record.HomeZip, Native: []string{"homeAddress/postalCode"}},
		{Field: record.HomeCountry, Native: []string{"homeAddress/countryOrRegion"}},
		{Field: record.Birthday, Native: []string{birthday}},
		{Field: record.Website, Native: []string{"businessHomePage"}},
		{Field: record.Notes, Native: []string{"personalNotes"}},
	}}
}

// The fields that are not one text.
const (
	emails         = "emailAddresses"
	businessPhones = "businessPhones"
	homePhones     = "homePhones"
	birthday       = "birthday"
)

var addresses = []string{"businessAddress", "homeAddress", "otherAddress"}

var addressParts = []string{"street", "city", "state", "postalCode", "countryOrRegion"}

// texts are the fields of one text that may be mapped. displayName is not one of
// them: it follows from the names.
var texts = []string{
	"title", "givenName", "middleName", "surname", "generation", "nickName", "companyName", "department",
	"jobTitle", "mobilePhone", "businessHomePage", "personalNotes",
}

// known reports whether a native field can be read and written here.
func known(name string) bool {
	if group, part, ok := strings.Cut(name, "/"); ok {
		return slices.Contains(addresses, group) && slices.Contains(addressParts, part)
	}
	switch name {
	case emails, businessPhones, homePhones, birthday:
		return true
	}
	return slices.Contains(texts, name)
}

// knownFields refuses a mapping to fields that a contact has not.
func knownFields(t mapping.Table) error {
	for _, n := range t.Native() {
		if !known(n) {
			return &remote.Error{Class: remote.ClassMapping, Code: "unknown-field", Message: "a contact of Microsoft 365 has no field " + n, Fields: []string{n}}
		}
	}
	return nil
}

// selected returns the properties to ask for: those of the table, and what says
// where an item is and what state it has. The id and the etag always come.
func selected(t mapping.Table) []string {
	names := []string{"id", "changeKey", "parentFolderId", "createdDateTime", "lastModifiedDateTime"}
	for _, n := range t.Native() {
		group, _, _ := strings.Cut(n, "/")
		if !slices.Contains(names, group) {
			names = append(names, group)
		}
	}
	return names
}
