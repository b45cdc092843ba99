package m365

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query is the options of a URL by their lower-case names. The names of OData's own
// options are accepted with and without "$".
// D/concepts/query-parameters.md
type query map[string]string

var systemOptions = []string{"select", "filter", "expand", "top", "skip", "count", "orderby", "search", "skiptoken", "deltatoken"}

// parseQuery splits on "&" alone: net/url drops a pair that holds ";", which separates
// the options inside $expand.
func parseQuery(raw string) query {
	q := query{}
	for pair := range strings.SplitSeq(raw, "&") {
		k, v, _ := strings.Cut(pair, "=")
		k, v = unescape(k), unescape(v)
		if k == "" {
			continue
		}
		k = strings.ToLower(k)
		if slices.Contains(systemOptions, k) {
			k = "$" + k
		}
		q[k] = v
	}
	return q
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// only refuses every option that is not named.
func (q query) only(names ...string) error {
	for k := range q {
		if !slices.Contains(names, k) {
			return refuse(http.StatusBadRequest, "ErrorInvalidUrlQuery", "The query parameter '%s' is not supported here.", k)
		}
	}
	return nil
}

func (q query) number(name string, def, most int) (int, error) {
	text, ok := q[name]
	if !ok {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || (name == "$top" && (n == 0 || n > most)) {
		return 0, refuse(http.StatusBadRequest, "ErrorInvalidUrlQueryParameter", "Invalid value '%s' for $%s query option found.", text, strings.TrimPrefix(name, "$"))
	}
	return n, nil
}

// selected returns the properties that $select names; nil for all.
func (q query) selected(typ string, known []string) ([]string, error) {
	text, ok := q["$select"]
	if !ok {
		return nil, nil
	}
	names := []string{}
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
		if i < 0 {
			return nil, refuse(http.StatusBadRequest, "RequestBroker--ParseUri", "Could not find a property named '%s' on type '%s'.", name, typ)
		}
		names = append(names, known[i])
	}
	return names, nil
}

// pick keeps the selected properties, the id and what begins with "@".
func pick(obj map[string]any, names []string) map[string]any {
	if names == nil {
		return obj
	}
	for k := range obj {
		if k != "id" && !strings.HasPrefix(k, "@") && !slices.Contains(names, k) {
			delete(obj, k)
		}
	}
	return obj
}

// expanded returns the ids that $expand=singleValueExtendedProperties($filter=...) asks
// for, in the form they are kept in. Without a $filter it is refused: "use a $filter and
// eq operator on the id property", D/api-reference/v1.0/api/singlevaluelegacyextendedproperty-get.md
func (q query) expanded() ([]string, error) {
	text, ok := q["$expand"]
	if !ok {
		return nil, nil
	}
	name, rest, _ := strings.Cut(text, "(")
	if !strings.EqualFold(strings.TrimSpace(name), "singleValueExtendedProperties") || !strings.HasSuffix(rest, ")") {
		return nil, refuse(http.StatusBadRequest, "BadRequest", "Parsing OData Select and Expand failed.")
	}
	option, filter, _ := strings.Cut(strings.TrimSuffix(rest, ")"), "=")
	if o := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(option)), "$"); o != "filter" {
		return nil, refuse(http.StatusBadRequest, "BadRequest", "Parsing OData Select and Expand failed.")
	}
	f, err := parseFilter(filter)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range disjuncts(f) {
		c, ok := e.(compare)
		if !ok || c.op != "eq" || !strings.EqualFold(c.path, "id") {
			return nil, refuse(http.StatusBadRequest, "ErrorInvalidUrlQueryFilter", "The filter of an extended property must compare its id with eq.")
		}
		id, err := propertyID(c.value.(string))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// prefer reads one preference from the Prefer headers, which may be several or one with
// commas.
func prefer(h http.Header, name string) string {
	for _, line := range h.Values("Prefer") {
		for part := range strings.SplitSeq(line, ",") {
			k, v, _ := strings.Cut(part, "=")
			if strings.EqualFold(strings.TrimSpace(k), name) {
				return strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
	}
	return ""
}
