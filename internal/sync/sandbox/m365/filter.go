package m365

import (
	"net/http"
	"strings"
)

// The part of OData's $filter that the service is used with: comparisons, and, or, not,
// startswith, endswith, contains, and any over a collection.

// expr is a filter or a part of one. Text is compared without case, which is how Exchange
// and the directory do it; the id of an extended property is compared with case.
type expr interface {
	holds(obj any) bool
}

type both struct{ a, b expr }
type either struct{ a, b expr }
type negated struct{ e expr }

type compare struct {
	path  string
	op    string // eq, ne, startswith, endswith or contains
	value any    // string, bool or nil
	// exact says that case counts: in the id of an extended property, whose name is
	// case-sensitive while its value is not.
	// D/api-reference/v1.0/api/singlevaluelegacyextendedproperty-get.md
	exact bool
}

// anyOf holds if its condition does for one element of the collection at path. Paths in
// the condition are relative to the element.
type anyOf struct {
	path string
	cond expr
}

func (e both) holds(o any) bool    { return e.a.holds(o) && e.b.holds(o) }
func (e either) holds(o any) bool  { return e.a.holds(o) || e.b.holds(o) }
func (e negated) holds(o any) bool { return !e.e.holds(o) }

func (e compare) holds(o any) bool {
	have := at(o, e.path)
	h, isText := have.(string)
	v, wantsText := e.value.(string)
	if !isText || !wantsText {
		return (have == e.value) == (e.op == "eq")
	}
	if !e.exact {
		h, v = strings.ToLower(h), strings.ToLower(v)
	}
	switch e.op {
	case "ne":
		return h != v
	case "startswith":
		return strings.HasPrefix(h, v)
	case "endswith":
		return strings.HasSuffix(h, v)
	case "contains":
		return strings.Contains(h, v)
	}
	return h == v
}

func (e anyOf) holds(o any) bool {
	if strings.EqualFold(e.path, "singleValueExtendedProperties") {
		props, _ := at(o, "singleValueExtendedProperties").([]property)
		for _, p := range props {
			if e.cond.holds(p) {
				return true
			}
		}
		return false
	}
	list, _ := at(o, e.path).([]any)
	for _, x := range list {
		if e.cond.holds(x) {
			return true
		}
	}
	return false
}

// at follows a path such as teamsApp/externalId.
func at(o any, path string) any {
	if p, ok := o.(property); ok {
		if strings.EqualFold(path, "id") {
			return p.ID
		}
		return p.Value
	}
	if path == "" {
		return o
	}
	for part := range strings.SplitSeq(path, "/") {
		m, ok := o.(map[string]any)
		if !ok {
			return nil
		}
		o = nil
		for k, v := range m {
			if strings.EqualFold(k, part) {
				o = v
				break
			}
		}
	}
	return o
}

// disjuncts splits a filter at its outermost ors.
func disjuncts(e expr) []expr {
	if o, ok := e.(either); ok {
		return append(disjuncts(o.a), disjuncts(o.b)...)
	}
	return []expr{e}
}

// exactProperties returns the extended properties, id and value, of which an item must
// bear one, if the filter asks for nothing else; so they can be looked up.
func exactProperties(e expr) ([]property, bool) {
	var out []property
	for _, d := range disjuncts(e) {
		a, ok := d.(anyOf)
		if !ok || !strings.EqualFold(a.path, "singleValueExtendedProperties") {
			return nil, false
		}
		b, ok := a.cond.(both)
		if !ok {
			return nil, false
		}
		var p property
		for _, half := range []expr{b.a, b.b} {
			c, ok := half.(compare)
			v, isText := c.value.(string)
			if !ok || c.op != "eq" || !isText {
				return nil, false
			}
			if strings.EqualFold(c.path, "id") {
				p.ID = v
			} else {
				p.Value = v
			}
		}
		out = append(out, p)
	}
	return out, true
}

var errFilter = refuse(http.StatusBadRequest, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")

type parser struct {
	toks []string
	// vars are the names that stand for an element of a collection, with whether they
	// stand for an extended property.
	vars map[string]bool
	bad  error
}

func parseFilter(text string) (expr, error) {
	toks, ok := lex(text)
	if !ok {
		return nil, errFilter
	}
	p := &parser{toks: toks, vars: map[string]bool{}}
	e := p.or()
	if p.bad == nil && len(p.toks) > 0 {
		p.bad = errFilter
	}
	return e, p.bad
}

// lex splits into words, quoted texts (which keep a leading ') and signs.
func lex(s string) ([]string, bool) {
	var toks []string
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == '\t':
			i++
		case strings.IndexByte("():,", c) >= 0:
			toks = append(toks, string(c))
			i++
		case c == '\'':
			var b strings.Builder
			b.WriteByte('\'')
			for i++; ; i++ {
				if i >= len(s) {
					return nil, false
				}
				if s[i] == '\'' {
					if i+1 < len(s) && s[i+1] == '\'' {
						i++
					} else {
						break
					}
				}
				b.WriteByte(s[i])
			}
			i++
			toks = append(toks, b.String())
		default:
			j := i
			for j < len(s) && strings.IndexByte(" \t():,'", s[j]) < 0 {
				j++
			}
			toks = append(toks, s[i:j])
			i = j
		}
	}
	return toks, true
}

func (p *parser) peek() string {
	if len(p.toks) == 0 {
		return ""
	}
	return p.toks[0]
}

func (p *parser) next() string {
	t := p.peek()
	if len(p.toks) > 0 {
		p.toks = p.toks[1:]
	}
	return t
}

func (p *parser) expect(t string) {
	if p.next() != t {
		p.fail()
	}
}

func (p *parser) fail() {
	if p.bad == nil {
		p.bad = errFilter
	}
	p.toks = nil
}

func (p *parser) or() expr {
	e := p.and()
	for strings.EqualFold(p.peek(), "or") {
		p.next()
		e = either{e, p.and()}
	}
	return e
}

func (p *parser) and() expr {
	e := p.unary()
	for strings.EqualFold(p.peek(), "and") {
		p.next()
		e = both{e, p.unary()}
	}
	return e
}

func (p *parser) unary() expr {
	word := p.next()
	low := strings.ToLower(word)
	switch {
	case word == "" || word[0] == '\'':
		p.fail()
		return negated{}
	case low == "not":
		return negated{p.unary()}
	case word == "(":
		e := p.or()
		p.expect(")")
		return e
	case low == "startswith" || low == "endswith" || low == "contains":
		p.expect("(")
		path := p.next()
		p.expect(",")
		v := p.literal()
		p.expect(")")
		return p.comparison(path, low, v)
	case strings.HasSuffix(low, "/any"):
		p.expect("(")
		v := p.next()
		p.expect(":")
		path := word[:len(word)-len("/any")]
		p.vars[v] = strings.EqualFold(path, "singleValueExtendedProperties")
		e := p.or()
		p.expect(")")
		delete(p.vars, v)
		return anyOf{path, e}
	}
	op := strings.ToLower(p.next())
	if op != "eq" && op != "ne" {
		p.fail()
	}
	return p.comparison(word, op, p.literal())
}

func (p *parser) literal() any {
	t := p.next()
	switch {
	case t == "":
		p.fail()
		return nil
	case t[0] == '\'':
		return t[1:]
	case t == "null":
		return nil
	case t == "true" || t == "false":
		return t == "true"
	}
	p.fail()
	return nil
}

func (p *parser) comparison(path, op string, v any) expr {
	first, rest, _ := strings.Cut(path, "/")
	extended, isVar := p.vars[first]
	if isVar {
		path = rest
	}
	if text, ok := v.(string); ok && extended && strings.EqualFold(path, "id") {
		id, err := propertyID(text)
		if err != nil && p.bad == nil {
			p.bad = err
		}
		return compare{path: path, op: op, value: id, exact: true}
	}
	return compare{path: path, op: op, value: v}
}
