package salesforce

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

const (
	// batchSize is how many records a collection takes ("sObject Collections").
	batchSize = 200
	// stampSize is the length of the longest text field, which an external id is.
	stampSize = 255

	companyField = "Account.Name"
)

// shape is what the organization has of what we can use.
type shape struct {
	table      mapping.Table
	stampField string
	// stampSize is how many characters the stamp field holds.
	stampSize int
	// upsert: the stamp field is an external id, so a create can be keyed by it.
	upsert bool
}

// defaultTable has the fields of the standard Contact object with the lengths of the
// Object Reference.
func defaultTable() mapping.Table {
	line := func(f record.Field, max int, native ...string) mapping.Entry {
		return mapping.Entry{Field: f, Native: native, MaxLen: max}
	}
	one := func(e mapping.Entry) mapping.Entry {
		e.Max = 1
		return e
	}
	return mapping.Table{Entity: record.Contacts, Entries: []mapping.Entry{
		line(record.Salutation, 40, "Salutation"),
		line(record.GivenName, 40, "FirstName"),
		line(record.MiddleName, 40, "MiddleName"),
		line(record.FamilyName, 80, "LastName"),
		line(record.Suffix, 40, "Suffix"),
		{Field: record.Company, Native: []string{companyField}, MaxLen: 255, Direction: mapping.ToMailbox},
		line(record.Department, 80, "Department"),
		line(record.JobTitle, 128, "Title"),
		one(line(record.EmailAddresses, 80, "Email")),
		line(record.BusinessPhones, 40, "Phone", "OtherPhone"),
		one(line(record.HomePhones, 40, "HomePhone")),
		line(record.MobilePhone, 40, "MobilePhone"),
		line(record.BusinessStreet, 255, "MailingStreet"),
		line(record.BusinessCity, 40, "MailingCity"),
		line(record.BusinessState, 80, "MailingState"),
		line(record.BusinessZip, 20, "MailingPostalCode"),
		line(record.BusinessCountry, 80, "MailingCountry"),
		line(record.OtherStreet, 255, "OtherStreet"),
		line(record.OtherCity, 40, "OtherCity"),
		line(record.OtherState, 80, "OtherState"),
		line(record.OtherZip, 20, "OtherPostalCode"),
		line(record.OtherCountry, 80, "OtherCountry"),
		line(record.Birthday, 0, "Birthdate"),
		line(record.Notes, 32000, "Description"),
	}}
}

// described is a field as describe tells it ("sObject Describe").
type described struct {
	Name       string `json:"name"`
	Length     int    `json:"length"`
	Createable bool   `json:"createable"`
	Updateable bool   `json:"updateable"`
	ExternalID bool   `json:"externalId"`
}

// adapt asks the organization for its contact fields and fits the table to them.
func (s *Salesforce) adapt(ctx context.Context) error {
	a, err := s.send(ctx, s.handle(), request{method: http.MethodGet, path: s.data("sobjects/Contact/describe")})
	if err != nil {
		return err
	}
	var d struct {
		Fields []described `json:"fields"`
	}
	if err := json.Unmarshal(a.body, &d); err != nil || len(d.Fields) == 0 {
		return unreadable(false)
	}
	fields := make(map[string]described, len(d.Fields))
	for _, f := range d.Fields {
		fields[strings.ToLower(f.Name)] = f
	}
	sh := shape{table: fit(defaultTable(), fields)}
	if s.cfg.StampField != "" {
		f, ok := fields[strings.ToLower(s.cfg.StampField)]
		if !ok || !f.Createable || !f.Updateable {
			return &remote.Error{
				Class: remote.ClassSetup, Code: "stamp-field", Fields: []string{s.cfg.StampField},
				Message: "the stamp field is not among the contact fields that our user may write",
				Hint:    "create it as a text field of 255 characters, external id and unique, and make it visible to the integration user",
			}
		}
		sh.stampField, sh.upsert, sh.stampSize = f.Name, f.ExternalID, stampSize
		if f.Length > 0 {
			sh.stampSize = f.Length
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shape, s.unasked = sh, false
	return nil
}

// fit leaves out of a table the fields that the organization does not have, and makes
// those read only that our user may not write. Of a list field with slots, only those
// remain that can be written.
func fit(t mapping.Table, fields map[string]described) mapping.Table {
	out := mapping.Table{Entity: t.Entity}
	for _, e := range t.Entries {
		if e.Field == record.Company {
			if _, ok := fields["accountid"]; ok {
				out.Entries = append(out.Entries, e)
			}
			continue
		}
		var native, writable []string
		for _, n := range e.Native {
			f, ok := fields[strings.ToLower(n)]
			if !ok {
				continue
			}
			native = append(native, n)
			if f.Createable && f.Updateable {
				writable = append(writable, n)
			}
			if f.Length > 0 && e.MaxLen > 0 {
				e.MaxLen = min(e.MaxLen, f.Length)
			}
		}
		switch {
		case len(native) == 0:
			continue
		case len(writable) == 0:
			e.Direction = mapping.ToMailbox
		default:
			native = writable
		}
		if len(native) == 1 && len(e.Native) > 1 {
			e.Max = 1
		}
		e.Native = slices.Clone(native)
		out.Entries = append(out.Entries, e)
	}
	return out
}
