package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// Fields are the values of a contact by name. On the CRM's side the names are the API
// names of Salesforce; on the mailbox's side they are the properties of Microsoft Graph,
// with a dot for the parts of an address (businessAddress.city) and with "; " between
// the elements of a list (emailAddresses, businessPhones, homePhones, categories). An
// empty value clears a field.
type Fields map[string]string

// The properties of a Graph contact that hold lists and addresses
// (learn.microsoft.com/graph/api/resources/contact).
var (
	listProperties    = []string{"businessPhones", "homePhones", "imAddresses", "categories", "children"}
	addressProperties = []string{"businessAddress", "homeAddress", "otherAddress"}
	addressParts      = []string{"street", "city", "state", "postalCode", "countryOrRegion"}
)

// graph returns the properties as Graph takes them. A part of an address is laid over
// the address that the contact has now, because Graph replaces addresses whole.
func (f Fields) graph(now map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(f))
	for name, v := range f {
		head, part, dotted := strings.Cut(name, ".")
		switch {
		case dotted:
			if !slices.Contains(addressProperties, head) || !slices.Contains(addressParts, part) {
				return nil, fmt.Errorf("there is no field %q in a mailbox contact", name)
			}
			a, ok := out[head].(map[string]any)
			if !ok {
				a = map[string]any{}
				if old, ok := now[head].(map[string]any); ok {
					for k, x := range old {
						a[k] = x
					}
				}
				out[head] = a
			}
			if v == "" {
				delete(a, part)
			} else {
				a[part] = v
			}
		case slices.Contains(addressProperties, head):
			return nil, fmt.Errorf("%s is set by its parts, such as %s.city", name, name)
		case name == "emailAddresses":
			list := []any{}
			for _, e := range split(v) {
				list = append(list, map[string]any{"address": e, "name": e})
			}
			out[name] = list
		case slices.Contains(listProperties, name):
			list := []any{}
			for _, e := range split(v) {
				list = append(list, e)
			}
			out[name] = list
		case v == "":
			out[name] = nil
		case name == "birthday" && len(v) == len("2006-01-02"):
			out[name] = v + "T11:59:00Z" // as Outlook writes it
		default:
			out[name] = v
		}
	}
	return out, nil
}

// split reads the elements of a list.
func split(v string) []string {
	var out []string
	for e := range strings.SplitSeq(v, ";") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

// flatten is the way back: the properties of a Graph contact as Fields, without those
// that are empty or set by the server.
func flatten(props map[string]any) Fields {
	out := make(Fields)
	for name, v := range props {
		switch name {
		case "id", "changeKey", "createdDateTime", "lastModifiedDateTime", "parentFolderId":
			continue
		}
		switch v := v.(type) {
		case string:
			if name == "birthday" && len(v) > len("2006-01-02") {
				v = v[:len("2006-01-02")]
			}
			if v != "" {
				out[name] = v
			}
		case []string:
			if len(v) > 0 {
				out[name] = strings.Join(v, "; ")
			}
		case []any:
			var parts []string
			for _, e := range v {
				switch e := e.(type) {
				case string:
					parts = append(parts, e)
				case map[string]any:
					if a, ok := e["address"].(string); ok && a != "" {
						parts = append(parts, a)
					}
				}
			}
			if len(parts) > 0 {
				out[name] = strings.Join(parts, "; ")
			}
		case map[string]any:
			for part, x := range v {
				if t, ok := x.(string); ok && t != "" {
					out[name+"."+part] = t
				}
			}
		}
	}
	return out
}

// nameOf is what a person would call a mailbox contact.
func nameOf(f Fields) string {
	if n := f["displayName"]; n != "" {
		return n
	}
	var parts []string
	for _, p := range []string{"givenName", "middleName", "surname"} {
		if f[p] != "" {
			parts = append(parts, f[p])
		}
	}
	return strings.Join(parts, " ")
}
