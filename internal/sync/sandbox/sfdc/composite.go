package sfdc

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// A composite request ("Composite") runs up to 25 requests in order and counts as one
// call; at most five of them may be queries or collections. A later one can use what
// an earlier one answered as @{referenceId.field}.

const maxSubrequests, maxHeavy = 25, 5

type subrequest struct {
	Method      string            `json:"method"`
	URL         string            `json:"url"`
	ReferenceID string            `json:"referenceId"`
	Body        json.RawMessage   `json:"body"`
	HTTPHeaders map[string]string `json:"httpHeaders"`
}

type subreply struct {
	Body        json.RawMessage   `json:"body"`
	HTTPHeaders map[string]string `json:"httpHeaders"`
	Status      int               `json:"httpStatusCode"`
	ReferenceID string            `json:"referenceId"`
}

func (s *Server) composite(c *call) *reply {
	s.stats.Composite++
	if c.nested {
		return failed(badRequest("INVALID_INPUT", "a composite request cannot hold another one"))
	}
	if c.method != http.MethodPost {
		return methodNotAllowed(c)
	}
	var in struct {
		AllOrNone bool         `json:"allOrNone"`
		Requests  []subrequest `json:"compositeRequest"`
	}
	if f := decode(c.body, &in); f != nil {
		return failed(f)
	}
	if f := checkSubrequests(in.Requests); f != nil {
		return failed(f)
	}
	replies := make([]subreply, 0, len(in.Requests))
	seen := make(map[string]json.RawMessage)
	broken := false
	for _, sub := range in.Requests {
		rep := s.subrequest(c, sub, seen)
		broken = broken || rep.status >= 400
		out := subreply{Body: rep.bytes(), HTTPHeaders: map[string]string{}, Status: rep.status, ReferenceID: sub.ReferenceID}
		for k := range rep.header {
			out.HTTPHeaders[k] = rep.header.Get(k)
		}
		if len(out.Body) == 0 {
			out.Body = json.RawMessage("null")
		} else if rep.status < 300 {
			seen[sub.ReferenceID] = out.Body
		}
		replies = append(replies, out)
	}
	if broken && in.AllOrNone {
		c.tx.undo(0)
		halted := failed(badRequest("PROCESSING_HALTED", "The transaction was rolled back since another operation in the same transaction failed."))
		for i := range replies {
			if replies[i].Status < 400 {
				replies[i].Body, replies[i].Status, replies[i].HTTPHeaders = halted.bytes(), halted.status, map[string]string{}
			}
		}
	}
	return answer(http.StatusOK, map[string]any{"compositeResponse": replies})
}

func checkSubrequests(subs []subrequest) *failure {
	if len(subs) == 0 || len(subs) > maxSubrequests {
		return badRequest("LIMIT_EXCEEDED", "a composite request has 1 to %d subrequests", maxSubrequests)
	}
	ids := make(map[string]bool)
	heavy := 0
	for _, sub := range subs {
		if sub.ReferenceID == "" || ids[sub.ReferenceID] {
			return badRequest("INVALID_INPUT", "each subrequest needs a referenceId of its own")
		}
		ids[sub.ReferenceID] = true
		if strings.Contains(sub.URL, "/query") || strings.Contains(sub.URL, "/composite/sobjects") {
			heavy++
		}
		for name := range sub.HTTPHeaders {
			switch lower(name) {
			case "accept", "authorization", "content-type":
				return badRequest("INVALID_INPUT", "the header %s is not allowed in a subrequest", name)
			}
		}
	}
	if heavy > maxHeavy {
		return badRequest("LIMIT_EXCEEDED", "at most %d queries and collections in a composite request", maxHeavy)
	}
	return nil
}

func (s *Server) subrequest(c *call, sub subrequest, seen map[string]json.RawMessage) *reply {
	target, f := fill(sub.URL, seen, url.QueryEscape)
	if f != nil {
		return failed(f)
	}
	body, f := fill(string(sub.Body), seen, func(v string) string {
		quoted, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(quoted[1 : len(quoted)-1])
	})
	if f != nil {
		return failed(f)
	}
	u, err := url.Parse(target)
	if err != nil {
		return failed(notFound())
	}
	path, ok := splitPath(u.EscapedPath())
	if !ok || len(path) < 4 || path[0] != "services" || path[1] != "data" {
		return failed(notFound())
	}
	if f := checkVersion(path[2]); f != nil {
		return failed(f)
	}
	header := http.Header{}
	for k, v := range sub.HTTPHeaders {
		header.Set(k, v)
	}
	return s.data(&call{
		method: strings.ToUpper(sub.Method), path: path[3:], version: path[2], query: u.Query(), header: header,
		body: []byte(body), base: c.base, user: c.user, tx: c.tx, nested: true,
	})
}

var referenceForm = regexp.MustCompile(`@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[[0-9]+\])*)\}`)

// fill replaces references to earlier replies.
func fill(text string, seen map[string]json.RawMessage, escape func(string) string) (string, *failure) {
	var f *failure
	out := referenceForm.ReplaceAllStringFunc(text, func(m string) string {
		parts := referenceForm.FindStringSubmatch(m)
		v, ok := dig(seen[parts[1]], parts[2])
		if !ok {
			f = badRequest("PROCESSING_HALTED", "Invalid reference specified. No value for %s found in %s", strings.TrimPrefix(parts[2], "."), parts[1])
			return m
		}
		return escape(v)
	})
	return out, f
}

// dig follows a way like .records[0].Id into a JSON value.
func dig(raw json.RawMessage, way string) (string, bool) {
	if raw == nil {
		return "", false
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return "", false
	}
	for _, step := range strings.FieldsFunc(way, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				return "", false
			}
			v = x[i]
		default:
			return "", false
		}
	}
	switch x := v.(type) {
	case string:
		return x, true
	case json.Number:
		return x.String(), true
	}
	return "", false
}
