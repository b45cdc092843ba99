// Package memory is the reference implementation of the remote contract: a CRM and
// a mail system that live in memory. It says in the fewest lines what the contract
// means, and it is what the engine's tests run against.
//
// What it keeps to:
//
//   - Ids are given in order (c000001, m000001), so the same calls give the same ids.
//   - The feed of a container is a log. A cursor is a place in it; reading from a
//     place reports the present state of every item that the log names after it.
//   - A mailbox's feed says Removed for what was deleted and for what was moved away:
//     only Get tells which. A CRM's feed says Deleted, or Merged.
//   - A CRM feed that is limited to owners says Removed, with the new owner, for a
//     record that changed and belongs to somebody else: it may have been one of theirs.
//   - Deleted items go to a bin, from where a person can restore them; in the bin
//     they count as gone.
//   - A page, a batch and every other answer count as one request each.
//
// Beside the contract there are the things that a person does to his own data:
// CreateItem, EditItem, DeleteItem and so on. They make no request.
package memory

import (
	"slices"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Options say how a system behaves. The zero value is a well-behaved one.
type Options struct {
	// Now is the server's clock; nil for one that begins at Epoch and moves on by a
	// second with every change.
	Now func() time.Time
	// Mapping replaces the default table if it has entries.
	Mapping mapping.Table
	// Required are native fields that may not be empty; nil for the default: LastName
	// in a CRM, none in a mailbox.
	Required []string
	// BatchSize is how many writes one request carries, PageSize how many changes one
	// page holds; 0 for 200 and 2000 in a CRM, 20 and 500 in a mail system.
	BatchSize int
	PageSize  int
	// RequestLimit is how many requests may be made in all; what comes after is
	// refused with ClassPressure. 0 means no limit.
	RequestLimit int
	// VersionResolution makes versions of the time of a change, cut to this length; 0
	// for versions that never repeat.
	VersionResolution time.Duration
	// Repeat is how many changes before its cursor a feed reports again.
	Repeat int
	// EmptyPages puts a page without changes before every page that has some.
	EmptyPages bool
	// Disorder is what a page makes of its changes: it may repeat them, and put them in
	// another order. nil leaves them as they are.
	Disorder func([]remote.Change) []remote.Change
	// OnPage is called before each page that is not read by Prefetch, with its number
	// from 1 and outside all locks. Its error is the answer; nil for none.
	OnPage func(page int) error
	// Lag is for how many more reads of a feed, or searches for a stamp, a change
	// stays invisible to them.
	Lag int
	// Normalise is what the server makes of a value that is written to a field; nil to
	// store it as it is.
	Normalise func(native string, v record.Value) record.Value
	// Duplicate refuses to create a record like one that exists, if both were given
	// by the caller of Apply; nil to allow all.
	Duplicate func(existing, created mapping.Fields) bool
	// Terse answers to writes tell neither the version nor the fields.
	Terse bool
	// NoTombstones makes a CRM's feed silent about deletions: it reports the ids in
	// Query.Known that are not there as Removed.
	NoTombstones bool
	// NoConditions makes writes ignore their Version.
	NoConditions bool
	// NoStamps makes items unable to bear a stamp.
	NoStamps bool
	// ReadOnly makes Apply refuse every write.
	ReadOnly bool
}

// Epoch is where the default clock begins.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// CRMTable is the default table of a CRM, after that of Salesforce.
func CRMTable() mapping.Table {
	return mapping.Table{Entity: record.Contacts, Entries: []mapping.Entry{
		{Field: record.Salutation, Native: []string{"Salutation"}, MaxLen: 40},
		{Field: record.GivenName, Native: []string{"FirstName"}, MaxLen: 40},
		{Field: record.MiddleName, Native: []string{"MiddleName"}, MaxLen: 40},
		{Field: record.FamilyName, Native: []string{"LastName"}, MaxLen: 80},
		{Field: record.Suffix, Native: []string{"Suffix"}, MaxLen: 40},
		{Field: record.Company, Native: []string{"Account.Name"}, MaxLen: 255, Direction: mapping.ToMailbox},
		{Field: record.Department, Native: []string{"Department"}, MaxLen: 80},
		{Field: record.JobTitle, Native: []string{"Title"}, MaxLen: 128},
		{Field: record.EmailAddresses, Native: []string{"Email"}, Max: 1, MaxLen: 80},
		{Field: record.BusinessPhones, Native: []string{"Phone", "OtherPhone"}, MaxLen: 40},
		{Field: record.HomePhones, Native: []string{"HomePhone"}, Max: 1, MaxLen: 40},
		{Field: record.MobilePhone, Native: []string{"MobilePhone"}, MaxLen: 40},
		{Field: record.BusinessStreet, Native: []string{"MailingStreet"}, MaxLen: 255},
		{Field: record.BusinessCity, Native: []string{"MailingCity"}, MaxLen: 40},
		{Field: record.BusinessState, Native: []string{"MailingState"}, MaxLen: 80},
		{Field: record.BusinessZip, Native: []string{"MailingPostalCode"}, MaxLen: 20},
		{Field: record.BusinessCountry, Native: []string{"MailingCountry"}, MaxLen: 80},
		{Field: record.OtherStreet, Native: []string{"OtherStreet"}, MaxLen: 255},
		{Field: record.OtherCity, Native: []string{"OtherCity"}, MaxLen: 40},
		{Field: record.OtherState, Native: []string{"OtherState"}, MaxLen: 80},
		{Field: record.OtherZip, Native: []string{"OtherPostalCode"}, MaxLen: 20},
		{Field: record.OtherCountry, Native: []string{"OtherCountry"}, MaxLen: 80},
		{Field: record.Birthday, Native: []string{"Birthdate"}},
		{Field: record.Notes, Native: []string{"Description"}, MaxLen: 32000},
	}}
}

// MailTable is the default table of a mailbox, after that of Microsoft Graph.
func MailTable() mapping.Table {
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
		{Field: record.EmailAddresses, Native: []string{"emailAddresses"}, Max: 3},
		{Field: record.BusinessPhones, Native: []string{"businessPhones"}, Max: 2},
		{Field: record.HomePhones, Native: []string{"homePhones"}, Max: 2},
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
		{Field: record.Birthday, Native: []string{"birthday"}},
		{Field: record.Website, Native: []string{"businessHomePage"}},
		{Field: record.Notes, Native: []string{"personalNotes"}},
		{Field: record.Categories, Native: []string{"categories"}},
	}}
}

func (o Options) withDefaults(table mapping.Table, required []string, batch, page int) Options {
	if len(o.Mapping.Entries) == 0 {
		o.Mapping = table
	}
	if o.Required == nil {
		o.Required = required
	}
	if o.BatchSize == 0 {
		o.BatchSize = batch
	}
	if o.PageSize == 0 {
		o.PageSize = page
	}
	return o
}

func cloneFields(f mapping.Fields) mapping.Fields {
	c := make(mapping.Fields, len(f))
	for n, v := range f {
		if len(v) > 0 {
			c[n] = slices.Clone(v)
		}
	}
	return c
}

func fault(c remote.Class, code, message string) *remote.Error {
	return &remote.Error{Class: c, Code: code, Message: message}
}
