package m365

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The properties of a contact that can be written. D/api-reference/v1.0/resources/contact.md
//
// primaryEmailAddress, secondaryEmailAddress and tertiaryEmailAddress are in the metadata
// since 2024 but on no documentation page; they are refused.
var (
	textProperties = []string{
		"assistantName", "businessHomePage", "companyName", "department", "displayName", "fileAs", "generation", "givenName",
		"initials", "jobTitle", "manager", "middleName", "mobilePhone", "nickName", "officeLocation", "personalNotes",
		"profession", "spouseName", "surname", "title", "yomiCompanyName", "yomiGivenName", "yomiSurname",
	}
	addressProperties = []string{"businessAddress", "homeAddress", "otherAddress"}
	addressParts      = []string{"city", "countryOrRegion", "postalCode", "state", "street"}
	listProperties    = []string{"businessPhones", "categories", "children", "homePhones", "imAddresses"}

	readOnlyProperties = []string{"id", "changeKey", "createdDateTime", "lastModifiedDateTime", "parentFolderId"}
)

// contactProperties are all that $select knows.
var contactProperties = slices.Concat(textProperties, addressProperties, listProperties, readOnlyProperties, []string{"birthday", "emailAddresses"})

// mostEntries is how many entries a list has room for. The limits of three e-mail
// addresses and two business phones, with the words of the refusal, are in contrib#560;
// those of home phones and IM addresses are Exchange's slots of the same kind.
var mostEntries = map[string]int{"emailAddresses": 3, "businessPhones": 2, "homePhones": 2, "imAddresses": 3}

// longest is how many characters a text may have. The documentation names no limit but
// that of a category, 255 (Office.CategoryDetails); the same is assumed for all texts of
// one line, and that notes and streets have none but the size of the request.
const longest = 255

var unlimited = []string{"personalNotes", "street"}

// body is a request body: a JSON object.
func (c *call) object() (map[string]json.RawMessage, error) {
	if t := c.header.Get("Content-Type"); !strings.Contains(strings.ToLower(t), "application/json") {
		return nil, refuse(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The content type of the request must be application/json.")
	}
	return object(c.body)
}

func object(text []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	var o map[string]json.RawMessage
	if err := dec.Decode(&o); err != nil || o == nil {
		return nil, refuse(http.StatusBadRequest, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, refuse(http.StatusBadRequest, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	return o, nil
}

func wrongType(name, want string) error {
	return refuse(http.StatusBadRequest, "RequestBodyRead", "An unexpected value was found for property '%s'; expected %s.", name, want)
}

// unknownProperty is worded as Outlook does it. The contact type is open in the metadata,
// but properties that it does not name are refused.
func unknownProperty(name, typ string) error {
	return refuse(http.StatusBadRequest, "RequestBodyRead", "The property '%s' does not exist on type '%s'. Make sure to only use property names that are defined by the type.", name, typ)
}

// contactBody is what a request wants of a contact: the properties it names, with nil for
// those to clear, and the extended properties, with nil for those to take away.
type contactBody struct {
	fields map[string]any
	props  map[string]*string
}

func parseContact(o map[string]json.RawMessage) (contactBody, error) {
	b := contactBody{fields: map[string]any{}}
	for name, raw := range o {
		var v any
		var err error
		switch {
		case strings.Contains(name, "@odata."):
			continue
		case name == "singleValueExtendedProperties":
			b.props, err = parseProperties(raw)
			if err != nil {
				return b, err
			}
			continue
		case slices.Contains(textProperties, name):
			v, err = parseText(name, raw)
		case slices.Contains(addressProperties, name):
			v, err = parseAddress(name, raw)
		case slices.Contains(listProperties, name):
			v, err = parseList(name, raw)
		case name == "emailAddresses":
			v, err = parseEmails(raw)
		case name == "birthday":
			v, err = parseBirthday(raw)
		case slices.Contains(readOnlyProperties, name):
			// Assumed: EWS has ErrorInvalidPropertySet for a property that is read-only.
			err = refuse(http.StatusBadRequest, "ErrorInvalidPropertySet", "The property '%s' is read-only and can't be set.", name)
		default:
			err = unknownProperty(name, "microsoft.graph.contact")
		}
		if err != nil {
			return b, err
		}
		b.fields[name] = v
	}
	return b, nil
}

// parseText returns a text, or nil for null. An empty text is kept as null, which is how
// the service shows a property that was never set.
func parseText(name string, raw json.RawMessage) (any, error) {
	var t *string
	if json.Unmarshal(raw, &t) != nil {
		return nil, wrongType(name, "a string")
	}
	if t == nil || *t == "" {
		return nil, nil
	}
	if err := checkText(name, *t); err != nil {
		return nil, err
	}
	return *t, nil
}

func checkText(name, t string) error {
	if !slices.Contains(unlimited, name) && utf8.RuneCountInString(t) > longest {
		return refuse(http.StatusBadRequest, "ErrorPropertyValidationFailure", "The value of property '%s' is longer than %d characters.", name, longest)
	}
	// Assumed: Exchange cannot store a NUL, which ends its strings.
	if strings.ContainsRune(t, 0) {
		return refuse(http.StatusBadRequest, "ErrorPropertyValidationFailure", "The value of property '%s' holds an invalid character.", name)
	}
	return nil
}

// parseAddress returns the parts of an address that are not empty. They replace the whole
// address that was there: the documentation does not say whether the parts merge, and
// this reading loses what a client leaves out.
func parseAddress(name string, raw json.RawMessage) (any, error) {
	if string(bytes.TrimSpace(raw)) == "null" {
		return nil, nil
	}
	o, err := object(raw)
	if err != nil {
		return nil, wrongType(name, "a physicalAddress")
	}
	parts := map[string]any{}
	for part, raw := range o {
		if strings.Contains(part, "@odata.") {
			continue
		}
		if !slices.Contains(addressParts, part) {
			return nil, unknownProperty(part, "microsoft.graph.physicalAddress")
		}
		v, err := parseText(part, raw)
		if err != nil {
			return nil, err
		}
		if v != nil {
			parts[part] = v
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	return parts, nil
}

func tooMany(name string, n int) error {
	most, ok := mostEntries[name]
	if !ok || n <= most {
		return nil
	}
	title := strings.ToUpper(name[:1]) + name[1:]
	return refuse(http.StatusBadRequest, "ErrorInvalidArgument", "The multi value property %s has %d entries, that exceeds the max allowed value of %d", title, n, most)
}

// parseList returns texts without the empty ones. A list cannot be null.
func parseList(name string, raw json.RawMessage) (any, error) {
	var in []*string
	if json.Unmarshal(raw, &in) != nil || in == nil {
		return nil, wrongType(name, "a collection of strings")
	}
	if err := tooMany(name, len(in)); err != nil {
		return nil, err
	}
	out := []any{}
	for _, t := range in {
		if t == nil {
			return nil, wrongType(name, "a collection of strings")
		}
		if err := checkText(name, *t); err != nil {
			return nil, err
		}
		if *t != "" {
			out = append(out, *t)
		}
	}
	return out, nil
}

// parseEmails returns the addresses; one without a name is given its address as name.
func parseEmails(raw json.RawMessage) (any, error) {
	var in []json.RawMessage
	if json.Unmarshal(raw, &in) != nil || in == nil {
		return nil, wrongType("emailAddresses", "a collection of emailAddress")
	}
	if err := tooMany("emailAddresses", len(in)); err != nil {
		return nil, err
	}
	out := []any{}
	for _, raw := range in {
		o, err := object(raw)
		if err != nil {
			return nil, wrongType("emailAddresses", "a collection of emailAddress")
		}
		mail := map[string]any{}
		for part, raw := range o {
			if strings.Contains(part, "@odata.") {
				continue
			}
			if part != "name" && part != "address" {
				return nil, unknownProperty(part, "microsoft.graph.emailAddress")
			}
			v, err := parseText(part, raw)
			if err != nil {
				return nil, err
			}
			if v != nil {
				mail[part] = v
			}
		}
		if len(mail) == 0 {
			continue
		}
		if mail["name"] == nil {
			mail["name"] = mail["address"]
		}
		out = append(out, mail)
	}
	return out, nil
}

// parseBirthday returns an instant in UTC. A day without time is accepted, as in the
// example of D/api-reference/v1.0/api/contact-update.md; the service is seen to keep such
// a day at 11:59 UTC, as Outlook does.
func parseBirthday(raw json.RawMessage) (any, error) {
	var t *string
	if json.Unmarshal(raw, &t) != nil {
		return nil, wrongType("birthday", "a date and time")
	}
	if t == nil {
		return nil, nil
	}
	if d, err := time.Parse(time.DateOnly, *t); err == nil {
		return d.Add(11*time.Hour + 59*time.Minute).Format(time.RFC3339), nil
	}
	d, err := time.Parse(time.RFC3339Nano, *t)
	if err != nil {
		return nil, wrongType("birthday", "a date and time")
	}
	return d.UTC().Format(time.RFC3339), nil
}

var propertyForm = regexp.MustCompile(`^(?i:(String|Integer|Boolean|Double|SystemTime|CLSID|Binary|Long|Short|Float|Currency)) (?:(\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}) (?:(?i:Name) (.+)|(?i:Id) (0x[0-9A-Fa-f]+))|(0x[0-9A-Fa-f]+))$`)

// propertyID checks the id of an extended property and returns it with its set in lower
// case; its name keeps its case, which counts.
// D/api-reference/v1.0/resources/extended-properties-overview.md
func propertyID(id string) (string, error) {
	m := propertyForm.FindStringSubmatch(id)
	if m == nil {
		return "", refuse(http.StatusBadRequest, "ErrorInvalidExtendedProperty", "The extended property id is not valid.")
	}
	switch {
	case m[3] != "":
		return m[1] + " " + strings.ToLower(m[2]) + " Name " + m[3], nil
	case m[4] != "":
		return m[1] + " " + strings.ToLower(m[2]) + " Id " + strings.ToLower(m[4]), nil
	}
	return m[1] + " " + strings.ToLower(m[5]), nil
}

func parseProperties(raw json.RawMessage) (map[string]*string, error) {
	var in []json.RawMessage
	if json.Unmarshal(raw, &in) != nil || in == nil {
		return nil, wrongType("singleValueExtendedProperties", "a collection of singleValueLegacyExtendedProperty")
	}
	out := map[string]*string{}
	for _, raw := range in {
		o, err := object(raw)
		if err != nil {
			return nil, wrongType("singleValueExtendedProperties", "a collection of singleValueLegacyExtendedProperty")
		}
		var id string
		var value *string
		for part, raw := range o {
			switch {
			case strings.Contains(part, "@odata."):
			case part == "id" && json.Unmarshal(raw, &id) == nil:
			case part == "value" && json.Unmarshal(raw, &value) == nil:
			case part == "id" || part == "value":
				return nil, wrongType(part, "a string")
			default:
				return nil, unknownProperty(part, "microsoft.graph.singleValueLegacyExtendedProperty")
			}
		}
		if id, err = propertyID(id); err != nil {
			return nil, err
		}
		out[id] = value
	}
	return out, nil
}

// merge puts the extended properties of a request over those that there are.
func mergeProperties(have []property, want map[string]*string) []property {
	var out []property
	for _, p := range have {
		if _, named := want[p.ID]; !named {
			out = append(out, p)
		}
	}
	for id, v := range want {
		if v != nil {
			out = append(out, property{id, *v})
		}
	}
	slices.SortFunc(out, func(a, b property) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// settle works out the names that the service makes up. "Later updates to other
// properties may cause an automatically generated value to overwrite the displayName
// value you have specified. To preserve a pre-existing value, always include it."
// D/api-reference/v1.0/api/contact-update.md
func settle(fields, asked map[string]any) {
	text := func(name string) string { t, _ := fields[name].(string); return t }
	join := func(names ...string) string {
		var parts []string
		for _, n := range names {
			if t := text(n); t != "" {
				parts = append(parts, t)
			}
		}
		return strings.Join(parts, " ")
	}
	named := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { _, ok := asked[n]; return ok })
	}
	full := join("givenName", "middleName", "surname", "generation")
	if full == "" {
		full = text("companyName")
	}
	if !named("displayName") && (named("givenName", "middleName", "surname", "generation") || fields["displayName"] == nil) && full != "" {
		fields["displayName"] = full
	}
	if fields["fileAs"] == nil && !named("fileAs") {
		switch first, last := join("givenName", "middleName"), text("surname"); {
		case first != "" && last != "":
			fields["fileAs"] = last + ", " + first
		case full != "":
			fields["fileAs"] = full
		}
	}
}
