package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
)

// description loads Microsoft's description of Graph v1.0, which lies beside the
// project, or skips the test.
func description(t *testing.T) *openapi3.T {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	file := filepath.Join(dir, "..", "shared", "data", "graph-openapi-slice.json")
	if _, err := os.Stat(file); err != nil {
		t.Skipf("SKIPPED: requests are not checked against Microsoft's description: %v", err)
	}
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// recorder keeps the requests that pass, batches taken apart.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen []recorded
}

type recorded struct {
	method, url string
	body        []byte
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	if rel, ok := strings.CutPrefix(req.URL.RequestURI(), "/v1.0"); ok {
		r.mu.Lock()
		if rel == "/$batch" {
			var b struct {
				Requests []struct {
					Method, URL string
					Body        json.RawMessage
				}
			}
			_ = json.Unmarshal(body, &b)
			for _, p := range b.Requests {
				r.seen = append(r.seen, recorded{p.Method, p.URL, p.Body})
			}
		} else {
			r.seen = append(r.seen, recorded{req.Method, rel, body})
		}
		r.mu.Unlock()
	}
	return r.next.RoundTrip(req)
}

// Every request of the connector is one that Microsoft describes: its path and
// method, its query options, the properties it selects, and each property it writes.
func TestRequestsFitTheDescription(t *testing.T) {
	t.Parallel()
	doc := description(t)
	rec := &recorder{next: http.DefaultTransport}
	b := newBench(t, func(_ *m365.Options, c *Config) { c.PageSize = 2 })
	cfg := b.g.cfg
	cfg.Transport = rec
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.g = g
	everything(t, b)

	used := map[string]bool{}
	for _, r := range rec.seen {
		if err := fits(doc, r, used); err != nil {
			t.Errorf("%s %s: %v", r.method, r.url, err)
		}
	}
	for _, want := range []string{
		"GET /users", "POST /users/{id}/contactFolders", "PATCH /users/{id}/contactFolders/{id_1}", "DELETE /users/{id}/contactFolders/{id_1}",
		"GET /users/{id}/contactFolders/{id_1}/contacts", "POST /users/{id}/contactFolders/{id_1}/contacts", "GET /users/{id}/contactFolders/{id_1}/contacts/delta()",
		"PATCH /users/{id}/contactFolders/{id_1}/contacts/{id_2}", "DELETE /users/{id}/contactFolders/{id_1}/contacts/{id_2}", "GET /users/{id}/contacts/{id_1}",
		"GET /users/{id}/outlook/masterCategories", "POST /users/{id}/outlook/masterCategories", "DELETE /users/{id}/outlook/masterCategories/{id_2}",
		"GET /appCatalogs/teamsApps", "POST /users/{id}/teamwork/installedApps", "DELETE /users/{id}/teamwork/installedApps/{id_2}",
	} {
		if !used[want] {
			t.Errorf("%s was never called", want)
		}
	}
}

// everything makes the connector do all that it can.
func everything(t *testing.T, b *bench) {
	t.Helper()
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(b.g.Check(ctx))
	ok(b.g.CheckUser(ctx, b.users[0]))
	_, err := b.g.People(ctx)
	ok(err)
	box, col := b.open(t)
	_, err = box.Prepare(ctx, customization)
	ok(err)
	whole := mapping.Fields{}
	for _, e := range Table().Entries {
		v := record.Value{"text of one line"}
		switch e.Native[0] {
		case birthday:
			v = record.Value{"1990-01-02"}
		case emails:
			v = record.Value{"a@b.example", "c@d.example", "e@f.example"}
		}
		whole[e.Native[0]] = v
	}
	stamp := creates(1)[0].Stamp
	var ids []string
	for range 3 {
		r := col.Apply(ctx, []remote.Write{{Kind: remote.Create, Set: whole, Whole: whole, Stamp: stamp}})[0]
		ok(r.Err)
		ids = append(ids, r.ID)
	}
	feed, err := col.Changes(ctx, remote.Query{Stamps: true})
	ok(err)
	for name := range whole {
		ok(col.Apply(ctx, []remote.Write{{Kind: remote.Update, ID: ids[0], Set: mapping.Fields{name: nil}, Whole: whole, Stamp: stamp}})[0].Err)
		ok(col.Apply(ctx, []remote.Write{{Kind: remote.Update, ID: ids[0], Set: mapping.Fields{name: whole[name]}, Whole: whole, Stamp: stamp}})[0].Err)
	}
	_, err = col.Changes(ctx, remote.Query{Cursor: feed.Cursor})
	ok(err)
	_, err = col.FindStamped(ctx, []record.Stamp{stamp})
	ok(err)
	ok(b.MoveContact(b.users[0], ids[2], ""))
	for _, r := range col.Get(ctx, ids) {
		ok(r.Err)
	}
	_, err = box.Inspect(ctx, customization)
	ok(err)
	ok(col.Apply(ctx, []remote.Write{{Kind: remote.Delete, ID: ids[0]}})[0].Err)
	_, err = b.CreateContact(b.users[0], "CRM", map[string]any{"surname": "Own"})
	ok(err)
	_, err = box.Remove(ctx, customization, ids[1:2])
	ok(err)
	b2 := b.g.Mailbox(b.users[1])
	_, err = b2.Prepare(ctx, customization)
	ok(err)
	_, err = b2.Remove(ctx, customization, nil)
	ok(err)
	in := b.g.AddIns()
	ok(in.Install(ctx, b.users[0]))
	ok(in.Install(ctx, b.users[0]))
	_, err = in.Status(ctx, b.users[0])
	ok(err)
	ok(in.Remove(ctx, b.users[0]))
}

// fits checks one request and notes which operation it was.
func fits(doc *openapi3.T, r recorded, used map[string]bool) error {
	u, err := url.Parse(r.url)
	if err != nil {
		return err
	}
	p := u.EscapedPath()
	if strings.HasSuffix(p, "/delta") {
		p += "()" // the documentation's spelling is without
	}
	if strings.Contains(p, "('") {
		return nil // a link of the service's own making
	}
	name := ""
	var item *openapi3.PathItem
	for template, i := range doc.Paths.Map() {
		if matches(template, p) && (item == nil || strings.Count(template, "{") < strings.Count(name, "{")) {
			name, item = template, i
		}
	}
	if item == nil {
		return fmt.Errorf("there is no such path")
	}
	op := item.GetOperation(r.method)
	if op == nil {
		return fmt.Errorf("%s has no such method", name)
	}
	used[r.method+" "+name] = true
	options, optionsOp := item, op
	if list, ok := strings.CutSuffix(name, "/delta()"); ok {
		// Functions have no options in the description; the page of this one has $select,
		// of what a list selects: D/api-reference/v1.0/api/contact-delta.md
		options, optionsOp = doc.Paths.Value(list), doc.Paths.Value(list).Get
	}
	if err := queryFits(options, optionsOp, u.Query()); err != nil {
		return err
	}
	if len(r.body) == 0 {
		if op.RequestBody != nil && op.RequestBody.Value.Required {
			return fmt.Errorf("it has no body")
		}
		return nil
	}
	if op.RequestBody == nil {
		return fmt.Errorf("it takes no body")
	}
	schema := op.RequestBody.Value.Content.Get("application/json").Schema
	var value any
	if err := json.Unmarshal(r.body, &value); err != nil {
		return err
	}
	body, _ := value.(map[string]any)
	if p := body["singleValueExtendedProperties"]; p != nil && r.method == http.MethodPatch {
		// The description leaves navigation properties out of updates; this one's page
		// has them in: D/api-reference/v1.0/api/singlevaluelegacyextendedproperty-post-singlevalueextendedproperties.md
		delete(body, "singleValueExtendedProperties")
		list := openapi3.NewArraySchema()
		list.Items = doc.Components.Schemas["microsoft.graph.singleValueLegacyExtendedProperty"]
		if err := errors.Join(closed(list.NewRef(), p, "/singleValueExtendedProperties"), list.VisitJSON(p)); err != nil {
			return err
		}
	}
	if err := closed(schema, value, ""); err != nil {
		return err
	}
	if r.method == http.MethodPost && body["id"] == nil {
		body["id"] = "made by the service" // it asks for the id of what does not exist yet
	}
	return schema.Value.VisitJSON(withoutAnnotations(value))
}

func matches(template, path string) bool {
	a, b := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, func(t, p string) bool { return t == p || strings.HasPrefix(t, "{") && p != "" })
}

func queryFits(item *openapi3.PathItem, op *openapi3.Operation, q url.Values) error {
	for name, values := range q {
		if name == "$skiptoken" || name == "$deltatoken" {
			continue // of links
		}
		var param *openapi3.Parameter
		for _, ref := range slices.Concat(item.Parameters, op.Parameters) {
			if ref.Value.In == "query" && ref.Value.Name == name {
				param = ref.Value
			}
		}
		if param == nil {
			return fmt.Errorf("it takes no %s", name)
		}
		if name != "$select" && name != "$expand" {
			continue
		}
		for _, v := range strings.Split(values[0], ",") {
			v, _, _ = strings.Cut(v, "(")
			if !slices.ContainsFunc(param.Schema.Value.Items.Value.Enum, func(e any) bool { return e == v }) {
				return fmt.Errorf("%s does not know %s", name, v)
			}
		}
	}
	return nil
}

// properties are all that a schema names, those it takes from others included.
func properties(s *openapi3.SchemaRef) openapi3.Schemas {
	all := openapi3.Schemas{}
	for _, part := range slices.Concat(s.Value.AllOf, s.Value.AnyOf, s.Value.OneOf) {
		for n, p := range properties(part) {
			all[n] = p
		}
	}
	for n, p := range s.Value.Properties {
		all[n] = p
	}
	return all
}

// closed refuses a property that the schema does not name.
func closed(s *openapi3.SchemaRef, value any, at string) error {
	switch v := value.(type) {
	case []any:
		if s.Value.Items == nil {
			return fmt.Errorf("%s is no list", at)
		}
		for _, e := range v {
			if err := closed(s.Value.Items, e, at+"[]"); err != nil {
				return err
			}
		}
	case map[string]any:
		known := properties(s)
		for name, e := range v {
			if strings.Contains(name, "@odata.") {
				continue
			}
			p := known[name]
			if p == nil {
				return fmt.Errorf("there is no property %s", at+"/"+name)
			}
			if err := closed(p, e, at+"/"+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func withoutAnnotations(value any) any {
	m, ok := value.(map[string]any)
	if !ok {
		return value
	}
	out := map[string]any{}
	for n, v := range m {
		if !strings.Contains(n, "@odata.") {
			out[n] = v
		}
	}
	return out
}
