package m365

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// slicePath is where Microsoft's published description of Graph v1.0 lies, cut to what is
// called here: beside the project, not in it.
var slicePath = filepath.Join("..", "..", "..", "..", "..", "shared", "data", "graph-openapi-slice.json")

var loadSlice = sync.OnceValues(func() (*openapi3.T, error) {
	if _, err := os.Stat(slicePath); err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromFile(slicePath)
})

// shapes says what an answer is made of, by the path; the first that fits counts.
var shapes = []struct {
	path   *regexp.Regexp
	schema string
	list   bool
}{
	{regexp.MustCompile(`/contactFolders/contacts$`), "contactFolder", false},
	{regexp.MustCompile(`/contacts(/|\('[^']*'\)/)?(microsoft\.graph\.)?delta(\(\))?$`), "contact", true},
	{regexp.MustCompile(`/contacts$`), "contact", true},
	{regexp.MustCompile(`/contacts(/[^/]+|\('[^']*'\))$`), "contact", false},
	{regexp.MustCompile(`/(contactFolders|childFolders)$`), "contactFolder", true},
	{regexp.MustCompile(`/(contactFolders|childFolders)(/[^/]+|\('[^']*'\))$`), "contactFolder", false},
	{regexp.MustCompile(`/masterCategories$`), "outlookCategory", true},
	{regexp.MustCompile(`/masterCategories/[^/]+$`), "outlookCategory", false},
	{regexp.MustCompile(`/mailboxSettings$`), "mailboxSettings", false},
	{regexp.MustCompile(`/installedApps$`), "userScopeTeamsAppInstallation", true},
	{regexp.MustCompile(`/installedApps/[^/]+$`), "userScopeTeamsAppInstallation", false},
	{regexp.MustCompile(`/teamsApps$`), "teamsApp", true},
	{regexp.MustCompile(`/organization$`), "organization", true},
	{regexp.MustCompile(`/users$`), "user", true},
	{regexp.MustCompile(`/users/[^/]+$`), "user", false},
}

// conforms checks an answer against Microsoft's description, closed: no property that it
// does not know, but for those that begin with "@" and the error's innerError.
func conforms(t *testing.T, method, path string, status int, body map[string]any) {
	t.Helper()
	doc, err := loadSlice()
	if err != nil || len(body) == 0 {
		return
	}
	path, _, _ = strings.Cut(path, "?")
	if status >= 400 {
		check(t, doc.Components.Schemas["error"].Value, body, "error")
		return
	}
	if strings.HasSuffix(path, "/$batch") {
		return // each item is checked where the test looks at it
	}
	for _, s := range shapes {
		if !s.path.MatchString(path) {
			continue
		}
		schema := doc.Components.Schemas["microsoft.graph."+s.schema].Value
		if !s.list || (method == "POST" && body["value"] == nil) {
			check(t, schema, body, s.schema)
			return
		}
		for _, v := range body["value"].([]any) {
			check(t, schema, v, s.schema)
		}
		return
	}
	t.Errorf("%s %s: the test does not know what the answer should look like", method, path)
}

func check(t *testing.T, schema *openapi3.Schema, v any, where string) {
	t.Helper()
	if err := schema.VisitJSON(v, openapi3.EnableFormatValidation()); err != nil {
		t.Errorf("%s does not fit the description: %v", where, err)
	}
	closed(t, schema, v, where)
}

func closed(t *testing.T, schema *openapi3.Schema, v any, where string) {
	t.Helper()
	for _, part := range schema.AllOf {
		closed(t, part.Value, v, where)
	}
	switch v := v.(type) {
	case []any:
		if schema.Items != nil {
			for _, x := range v {
				closed(t, schema.Items.Value, x, where)
			}
		}
	case map[string]any:
		if len(schema.Properties) == 0 {
			return
		}
		for k, x := range v {
			p, ok := schema.Properties[k]
			switch {
			case strings.HasPrefix(k, "@") || k == "innerError":
			case !ok:
				t.Errorf("%s: the description knows no property %q", where, k)
			default:
				closed(t, p.Value, x, where+"."+k)
			}
		}
	}
}

// The slice has to be there for the checks above to say anything.
func TestDescriptionIsAtHand(t *testing.T) {
	if _, err := loadSlice(); err != nil {
		t.Skipf("SKIPPED, ANSWERS ARE NOT CHECKED: Microsoft's description of Graph is not beside the repository: %v", err)
	}
}

// What the server accepts in a body is what the description knows, no more and no less.
func TestAcceptsWhatTheDescriptionKnows(t *testing.T) {
	doc, err := loadSlice()
	if err != nil {
		t.Skipf("SKIPPED: Microsoft's description of Graph is not beside the repository: %v", err)
	}
	update := doc.Components.Schemas["microsoft.graph.contact-update"].Value
	known := map[string]bool{}
	for _, n := range contactProperties {
		known[n] = true
		if _, ok := update.Properties[n]; !ok && n != "id" {
			t.Errorf("the server accepts %q, which the description does not know", n)
		}
	}
	for n := range update.Properties {
		if !known[n] && !strings.HasSuffix(n, "aryEmailAddress") {
			t.Errorf("the description knows %q, the server does not", n)
		}
	}
	// Examples of every property fit both.
	full := map[string]any{
		"businessAddress": map[string]any{"street": "1 Main St\nFloor 2", "city": "Bonn", "state": "NW", "postalCode": "53111", "countryOrRegion": "DE"},
		"birthday":        "1815-12-10T00:00:00Z", "emailAddresses": []any{map[string]any{"address": "a@b.example", "name": "A"}},
		"categories": []any{"CRM"}, "businessPhones": []any{"+49 228 1"},
	}
	for _, n := range textProperties {
		full[n] = "x"
	}
	check(t, update, roundTrip(t, full), "request")
	b := newBench(t)
	b.create(b.root(), full)
}

func roundTrip(t *testing.T, v any) (out any) {
	t.Helper()
	j, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(j, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
