package graph

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// contact is a contact as it comes. A delta page may hold only what changed of an
// item (https://learn.microsoft.com/graph/delta-query-overview), so each property
// knows whether it was there at all.
type contact struct {
	ID         string     `json:"id"`
	ETag       string     `json:"@odata.etag"`
	ChangeKey  string     `json:"changeKey"`
	Folder     string     `json:"parentFolderId"`
	Created    text       `json:"createdDateTime"`
	Modified   text       `json:"lastModifiedDateTime"`
	Removed    *struct{}  `json:"@removed"`
	Properties []property `json:"singleValueExtendedProperties"`

	Title            text `json:"title"`
	GivenName        text `json:"givenName"`
	MiddleName       text `json:"middleName"`
	Surname          text `json:"surname"`
	Generation       text `json:"generation"`
	NickName         text `json:"nickName"`
	CompanyName      text `json:"companyName"`
	Department       text `json:"department"`
	JobTitle         text `json:"jobTitle"`
	MobilePhone      text `json:"mobilePhone"`
	BusinessHomePage text `json:"businessHomePage"`
	PersonalNotes    text `json:"personalNotes"`
	Birthday         text `json:"birthday"`

	BusinessPhones list[string]       `json:"businessPhones"`
	HomePhones     list[string]       `json:"homePhones"`
	EmailAddresses list[emailAddress] `json:"emailAddresses"`

	BusinessAddress place `json:"businessAddress"`
	HomeAddress     place `json:"homeAddress"`
	OtherAddress    place `json:"otherAddress"`
}

// text is a string or null.
type text struct {
	here  bool
	value string
}

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == 'n':
		t.here = true
	case b[0] != '"': // one wrong type must not spoil the page
	case bytes.IndexByte(b, '\\') < 0:
		t.here, t.value = true, string(b[1:len(b)-1])
	default:
		t.here = json.Unmarshal(b, &t.value) == nil
	}
	return nil
}

func (t text) time() time.Time {
	at, _ := time.Parse(time.RFC3339, t.value) // the zero time is unknown
	return at
}

// list is an array or null.
type list[T any] struct {
	here  bool
	items []T
}

func (l *list[T]) UnmarshalJSON(b []byte) error {
	l.here = json.Unmarshal(b, &l.items) == nil
	return nil
}

type emailAddress struct {
	Address string `json:"address"`
}

// place is a physical address, or null. An address that a contact has not comes as
// an empty object.
type place struct {
	here                                     bool
	street, city, state, postalCode, country string
}

func (p *place) UnmarshalJSON(b []byte) error {
	var w struct {
		Street, City, State, PostalCode, CountryOrRegion string
	}
	p.here = json.Unmarshal(b, &w) == nil
	p.street, p.city, p.state, p.postalCode, p.country = w.Street, w.City, w.State, w.PostalCode, w.CountryOrRegion
	return nil
}

// read returns a native field, and whether the answer had it.
func (c *contact) read(name string) (record.Value, bool) {
	one := func(t text) (record.Value, bool) { return record.Text(t.value), t.here }
	switch name {
	case "title":
		return one(c.Title)
	case "givenName":
		return one(c.GivenName)
	case "middleName":
		return one(c.MiddleName)
	case "surname":
		return one(c.Surname)
	case "generation":
		return one(c.Generation)
	case "nickName":
		return one(c.NickName)
	case "companyName":
		return one(c.CompanyName)
	case "department":
		return one(c.Department)
	case "jobTitle":
		return one(c.JobTitle)
	case "mobilePhone":
		return one(c.MobilePhone)
	case "businessHomePage":
		return one(c.BusinessHomePage)
	case "personalNotes":
		return one(c.PersonalNotes)
	case birthday:
		return record.Text(day(c.Birthday.value)), c.Birthday.here
	case businessPhones:
		return c.BusinessPhones.items, c.BusinessPhones.here
	case homePhones:
		return c.HomePhones.items, c.HomePhones.here
	case emails:
		v := make(record.Value, 0, len(c.EmailAddresses.items))
		for _, e := range c.EmailAddresses.items {
			if e.Address != "" {
				v = append(v, e.Address)
			}
		}
		return v, c.EmailAddresses.here
	}
	group, part, _ := strings.Cut(name, "/")
	var p place
	switch group {
	case "businessAddress":
		p = c.BusinessAddress
	case "homeAddress":
		p = c.HomeAddress
	case "otherAddress":
		p = c.OtherAddress
	}
	switch part {
	case "street":
		return record.Text(p.street), p.here
	case "city":
		return record.Text(p.city), p.here
	case "state":
		return record.Text(p.state), p.here
	case "postalCode":
		return record.Text(p.postalCode), p.here
	case "countryOrRegion":
		return record.Text(p.country), p.here
	}
	return nil, false
}

// day cuts a birthday to its date: clients store some hour of that day. The years in
// which Exchange's and .NET's calendars begin and end stand for no date.
func day(s string) string {
	if len(s) < 10 || strings.HasPrefix(s, "0001-") || strings.HasPrefix(s, "4501-") {
		return ""
	}
	return s[:10]
}

// fields returns what the item holds of the native names, and whether the answer
// told of all of them.
func (c *contact) fields(names []string) (mapping.Fields, bool) {
	f, complete := make(mapping.Fields), true
	for _, n := range names {
		v, here := c.read(n)
		if len(v) > 0 {
			f[n] = v
		}
		complete = complete && here
	}
	return f, complete
}

// item returns the contact under the contract's names, and whether it is complete.
func (c *contact) item(names []string) (remote.Item, bool) {
	f, complete := c.fields(names)
	return remote.Item{ID: c.ID, Version: c.version(), Created: c.Created.time(), Modified: c.Modified.time(), Fields: f}, complete
}

// version is the etag; it is the change key in another form.
func (c *contact) version() string {
	if c.ETag == "" && c.ChangeKey != "" {
		return `W/"` + c.ChangeKey + `"`
	}
	return c.ETag
}

// body is a contact as it goes: a property that is not a key is left as it is.
type body map[string]any

// bodyOf returns the properties that a write sets. Its errors name the field.
func bodyOf(w remote.Write, category string) (body, error) {
	b := body{}
	for name, v := range w.Set {
		if !known(name) {
			return nil, &remote.Error{Class: remote.ClassMapping, Code: "unknown-field", Message: "a contact of Microsoft 365 has no field " + name, Fields: []string{name}}
		}
		if w.Kind == remote.Create && len(v) == 0 {
			continue // nothing to clear; null addresses make the service fail (msgraph-sdk-dotnet#2368)
		}
		if group, _, ok := strings.Cut(name, "/"); ok {
			b[group] = addressBody(group, w)
			continue
		}
		switch name {
		case emails:
			list := make([]emailAddress, 0, len(v))
			for _, e := range v {
				list = append(list, emailAddress{Address: e})
			}
			b[name] = list
		case businessPhones, homePhones:
			b[name] = append([]string{}, v...) // an empty list clears, null does not
		case birthday:
			// The hour at which the service itself puts a birthday: the same day in
			// nearly every zone.
			b[name] = nullable(v, "T11:59:00Z")
		default:
			b[name] = nullable(v, "")
		}
	}
	if name, ok := displayName(w); ok {
		b["displayName"] = name
	}
	if w.Kind == remote.Create && category != "" {
		b["categories"] = []string{category}
	}
	if w.Stamp != (record.Stamp{}) {
		b["singleValueExtendedProperties"] = []property{{ID: stampProperty, Value: w.Stamp.String()}}
	}
	return b, nil
}

func nullable(v record.Value, suffix string) any {
	if len(v) == 0 {
		return nil
	}
	return v.First() + suffix
}

// addressBody returns one address as it will be. It is sent whole: what is set, and
// what else it holds as far as that is known; so it is right both for a server that
// replaces an address and for one that merges it. An address is cleared part by
// part: there is no other way in Exchange.
func addressBody(group string, w remote.Write) map[string]any {
	out := map[string]any{}
	for _, part := range addressParts {
		name := group + "/" + part
		if v, ok := w.Set[name]; ok {
			if len(v) > 0 || w.Kind != remote.Create {
				out[part] = nullable(v, "")
			}
		} else if v := w.Whole[name]; len(v) > 0 {
			out[part] = v.First()
		}
	}
	return out
}

// displayName is what the mailbox shows as the name. The service makes it of the
// names at a create without one, and may make it anew when a name changes; we do the
// same, so that it never lags behind the names.
func displayName(w remote.Write) (string, bool) {
	parts := []string{"givenName", "middleName", "surname", "generation"}
	fields := w.Whole
	if w.Kind == remote.Create {
		fields = w.Set
	} else if len(fields) == 0 || !slices.ContainsFunc(parts, func(n string) bool { _, ok := w.Set[n]; return ok }) {
		return "", false
	}
	var words []string
	for _, n := range parts {
		v, ok := w.Set[n]
		if !ok {
			v = fields[n]
		}
		if s := v.First(); s != "" {
			words = append(words, s)
		}
	}
	if len(words) > 0 {
		return strings.Join(words, " "), true
	}
	for _, n := range []string{"companyName", emails} {
		if s := fields[n].First(); s != "" {
			return s, true
		}
	}
	return "", false
}
