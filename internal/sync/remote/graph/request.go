package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	abstractions "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoft/kiota-abstractions-go/authentication"
	khttp "github.com/microsoft/kiota-http-go"
	jsonserialization "github.com/microsoft/kiota-serialization-json-go"
	core "github.com/microsoftgraph/msgraph-sdk-go-core"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// call is one request, in a form that can travel alone or as a part of a batch.
type call struct {
	method string
	// path lies below the version and is escaped; path() makes it.
	path  string
	query query
	// link, if not empty, replaces path and query: a link that the service gave us.
	link string
	body any
	// ifMatch is the version that the item must still have.
	ifMatch string
	// page is how many items to ask for; 0 does not ask.
	page  int
	scope scope
}

// scope is what a call is about: it decides what a 404 means.
type scope int

const (
	inTenant scope = iota
	inMailbox
	inContainer
	onItem
)

// query is the part after the question mark.
type query map[string]string

func (q query) encode() string {
	if len(q) == 0 {
		return ""
	}
	v := make(url.Values, len(q))
	for name, value := range q {
		v.Set(name, value)
	}
	// In an OData address a plus sign is a plus sign.
	return "?" + strings.ReplaceAll(v.Encode(), "+", "%20")
}

// path joins segments, each of them escaped.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// quote makes a string literal of OData.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// relative is the address of a call below the version, as a batch wants it.
func (g *Graph) relative(c call) (string, error) {
	if c.link == "" {
		return c.path + c.query.encode(), nil
	}
	u, err := url.Parse(c.link)
	if err != nil || !g.ours(u) {
		return "", errForeignLink
	}
	return strings.TrimPrefix(u.EscapedPath(), g.base.EscapedPath()) + "?" + u.RawQuery, nil
}

// ours reports whether an address belongs to the service we were told to use. What
// does not gets neither our token nor a request.
func (g *Graph) ours(u *url.URL) bool {
	return u.Scheme == g.base.Scheme && strings.EqualFold(u.Host, g.base.Host) && u.User == nil &&
		strings.HasPrefix(u.EscapedPath(), g.base.EscapedPath()+"/") && !strings.Contains(u.Path, "/../")
}

var errForeignLink = &remote.Error{
	Class: remote.ClassConnection, Code: "foreign-link",
	Message: "an answer of the service leads to another host",
	Hint:    "compare the endpoint with the address of the service",
}

func (c call) prefer() string {
	p := `IdType="ImmutableId"`
	if c.page > 0 {
		p += ", odata.maxpagesize=" + strconv.Itoa(c.page)
	}
	if c.method == http.MethodPost || c.method == http.MethodPatch {
		p += ", return=representation"
	}
	return p
}

// write reports whether the call changes something.
func (c call) write() bool { return c.method != http.MethodGet }

var errorForm = abstractions.ErrorMappings{"XXX": odataerrors.CreateODataErrorFromDiscriminatorValue}

var methods = map[string]abstractions.HttpMethod{
	http.MethodGet: abstractions.GET, http.MethodPost: abstractions.POST,
	http.MethodPatch: abstractions.PATCH, http.MethodDelete: abstractions.DELETE,
}

// send makes one call and decodes the answer into out, which may be nil.
func (g *Graph) send(ctx context.Context, h *transport.Handle, c call, out any) error {
	rel, err := g.relative(c)
	if err != nil {
		return err
	}
	u, err := url.Parse(g.base.String() + rel)
	if err != nil {
		return setup("the address of a request cannot be formed", "")
	}
	ri := abstractions.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(methods[c.method], "{+baseurl}", map[string]string{})
	ri.SetUri(*u)
	ri.Headers.Add("Accept", "application/json")
	ri.Headers.Add("Prefer", c.prefer())
	if c.ifMatch != "" {
		ri.Headers.Add("If-Match", c.ifMatch)
	}
	if c.body != nil {
		if ri.Content, err = json.Marshal(c.body); err != nil {
			return setup("a request cannot be written as JSON", "")
		}
		ri.Headers.Add("Content-Type", "application/json")
	}
	adapter, err := g.adapter(h)
	if err != nil {
		return setup("the SDK cannot be used: "+err.Error(), "")
	}
	answer, err := adapter.SendPrimitive(ctx, ri, "[]byte", errorForm)
	if err != nil {
		return g.sdkFault(err, c)
	}
	raw, _ := answer.([]byte) // no content is no bytes
	switch out := out.(type) {
	case nil:
		return nil
	case *json.RawMessage: // whoever takes it as it is takes nothing too
		*out = raw
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return malformed(c.write())
	}
	return nil
}

// adapter is the SDK's runtime over one handle. It is cheap: it has no connections
// of its own.
func (g *Graph) adapter(h *transport.Handle) (*core.GraphRequestAdapterBase, error) {
	options := core.GraphClientOptions{}
	client := &http.Client{ // without a timeout: it would count the waits for the service
		Transport:     khttp.NewCustomTransportWithParentTransport(guard{g: g, next: h}, core.NewGraphTelemetryHandler(&options)),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a, err := core.NewGraphRequestAdapterBaseWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		&authentication.AnonymousAuthenticationProvider{}, // the transport adds the token
		options, jsonserialization.NewJsonParseNodeFactory(), jsonserialization.NewJsonSerializationWriterFactory(), client)
	if err != nil {
		return nil, err
	}
	a.SetBaseUrl(g.base.String())
	return a, nil
}

// guard is the last to see a request before the transport and the first to see the
// answer. It keeps requests to our host, and brings every error into the one form
// that the SDK understands: it loses the status of an error that is not JSON, and
// panics at some of those that are.
type guard struct {
	g    *Graph
	next http.RoundTripper
}

func (t guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.g.ours(req.URL) {
		return nil, errForeignLink
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil || resp.StatusCode < 400 {
		return resp, err
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	var form envelope
	_ = json.Unmarshal(raw, &form) // what is not an error in Graph's form has no code
	text, err := json.Marshal(map[string]any{"error": map[string]string{"code": form.code(), "message": strings.Join(form.fields(), ",")}})
	if err != nil {
		return nil, fmt.Errorf("writing an error: %w", err)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	resp.Header.Set("Content-Type", "application/json")
	resp.Header.Set("Content-Length", strconv.Itoa(len(text)))
	resp.Header.Del("WWW-Authenticate") // the transport has already answered the challenge
	return resp, nil
}

// pages makes a call and those that its answers lead on to, and hands each page's
// raw items on. It returns the delta link of the last page, if there is one.
func pages[T any](ctx context.Context, g *Graph, h *transport.Handle, c call, each func([]T) error) (delta string, err error) {
	last := ""
	for {
		var p page[T]
		if err := g.send(ctx, h, c, &p); err != nil {
			return "", err
		}
		if err := each(p.Value); err != nil {
			return "", err
		}
		if p.Next == "" {
			return p.Delta, nil
		}
		if p.Next == last {
			return "", malformed(false)
		}
		last = p.Next
		c = call{method: c.method, link: p.Next, page: c.page, scope: c.scope}
	}
}

type page[T any] struct {
	Value []T    `json:"value"`
	Next  string `json:"@odata.nextLink"`
	Delta string `json:"@odata.deltaLink"`
}
