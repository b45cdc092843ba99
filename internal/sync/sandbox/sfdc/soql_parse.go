package sfdc

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// The part of SOQL that a reader of changes sends:
//
//	SELECT field[, …] | COUNT() FROM Object [alias]
//	  [WHERE condition] [ORDER BY field [ASC|DESC] [NULLS FIRST|LAST][, …]] [LIMIT n] [OFFSET n]
//
// with = != < <= > >= LIKE IN, NOT IN, AND, OR, NOT and parentheses. As in
// Salesforce, AND and OR do not mix without parentheses.

// selectStatement is a parsed query.
type selectStatement struct {
	count  bool
	fields []path
	object string
	alias  string
	where  condition
	order  []ordering
	// limit is -1 for none.
	limit, offset int
}

// path is a field with the relationships that lead to it: Account.Name.
type path []string

func (p path) String() string { return strings.Join(p, ".") }

type ordering struct {
	field     path
	desc      bool
	nullsLast bool
}

// condition is a node of a WHERE clause: *both, *negated or *comparison.
type condition interface{}

// both joins two or more conditions by AND, or by OR.
type both struct {
	or    bool
	terms []condition
}

type negated struct{ term condition }

type comparison struct {
	field path
	// op is one of = != < <= > >= like in notin.
	op     string
	values []literal
}

// literal is a value as it was written.
type literal struct {
	kind literalKind
	text string
}

type literalKind int

const (
	litNull literalKind = iota
	litString
	litBool
	litNumber
	// litDate and litDateTime are told apart by their form: both are bare words.
	litDate
	litDateTime
)

const (
	maxQueryLength = 100_000
	maxNesting     = 200
)

func malformed(format string, args ...any) *failure {
	return badRequest("MALFORMED_QUERY", format, args...)
}

type token struct {
	// kind is 'w' for a word, 's' for a string, 'n' for a number or date, 'p' for
	// punctuation and 0 for the end.
	kind byte
	text string
}

type parser struct {
	tokens []token
	pos    int
	depth  int
}

// parseSOQL parses a query.
func parseSOQL(q string) (*selectStatement, *failure) {
	if len(q) > maxQueryLength {
		return nil, malformed("SOQL statements cannot be longer than %d characters.", maxQueryLength)
	}
	tokens, f := lex(q)
	if f != nil {
		return nil, f
	}
	p := &parser{tokens: tokens}
	st, f := p.statement()
	if f != nil {
		return nil, f
	}
	if t := p.peek(); t.kind != 0 {
		return nil, malformed("unexpected token: '%s'", t.text)
	}
	return st, nil
}

func lex(q string) ([]token, *failure) {
	var out []token
	for i := 0; i < len(q); {
		c := q[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '\'':
			s, n, f := lexString(q[i:])
			if f != nil {
				return nil, f
			}
			out = append(out, token{'s', s})
			i += n
		case isLetter(c) || c == '_':
			j := i
			for j < len(q) && (isLetter(q[j]) || isDigit(q[j]) || q[j] == '_' || q[j] == '.') {
				j++
			}
			out = append(out, token{'w', q[i:j]})
			i = j
		case isDigit(c) || (c == '-' || c == '+') && i+1 < len(q) && isDigit(q[i+1]):
			j := i + 1
			for j < len(q) && (isDigit(q[j]) || isLetter(q[j]) || strings.IndexByte("-+:.", q[j]) >= 0) {
				j++
			}
			out = append(out, token{'n', q[i:j]})
			i = j
		case strings.HasPrefix(q[i:], "!="), strings.HasPrefix(q[i:], "<="), strings.HasPrefix(q[i:], ">="), strings.HasPrefix(q[i:], "<>"):
			out = append(out, token{'p', q[i : i+2]})
			i += 2
		case strings.IndexByte("(),=<>", c) >= 0:
			out = append(out, token{'p', q[i : i+1]})
			i++
		default:
			return nil, malformed("line 1:%d no viable alternative at character '%c'", i, rune(c))
		}
	}
	return out, nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// lexString reads a quoted string and returns its value and its length in q. In the
// value the escapes \_ and \% keep their backslash: only LIKE knows what they mean.
func lexString(q string) (string, int, *failure) {
	var b strings.Builder
	for i := 1; i < len(q); i++ {
		switch c := q[i]; c {
		case '\'':
			if !utf8.ValidString(b.String()) {
				return "", 0, malformed("invalid character in string")
			}
			return b.String(), i + 1, nil
		case '\n', '\r':
			return "", 0, malformed("line breaks not allowed in string literals")
		case '\\':
			i++
			if i == len(q) {
				break
			}
			switch e := q[i]; e {
			case 'n', 'N':
				b.WriteByte('\n')
			case 'r', 'R':
				b.WriteByte('\r')
			case 't', 'T':
				b.WriteByte('\t')
			case 'b', 'B':
				b.WriteByte('\b')
			case 'f', 'F':
				b.WriteByte('\f')
			case '"', '\'', '\\':
				b.WriteByte(e)
			case '_', '%':
				b.WriteByte('\\')
				b.WriteByte(e)
			case 'u', 'U':
				if i+4 >= len(q) {
					return "", 0, malformed("Illegal string literal: invalid unicode escape")
				}
				n, err := strconv.ParseUint(q[i+1:i+5], 16, 32)
				if err != nil {
					return "", 0, malformed("Illegal string literal: invalid unicode escape")
				}
				b.WriteRune(rune(n))
				i += 4
			default:
				return "", 0, malformed("Invalid string literal. Illegal character sequence '\\%c' in string literal.", rune(e))
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, malformed("unclosed string literal")
}

func (p *parser) peek() token {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	return token{}
}

func (p *parser) next() token {
	t := p.peek()
	p.pos++
	return t
}

// word consumes a keyword if it is next.
func (p *parser) word(k string) bool {
	if t := p.peek(); t.kind == 'w' && strings.EqualFold(t.text, k) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) punct(c string) bool {
	if t := p.peek(); t.kind == 'p' && t.text == c {
		p.pos++
		return true
	}
	return false
}

func (p *parser) unexpected() *failure {
	t := p.peek()
	if t.kind == 0 {
		return malformed("unexpected token: '<EOF>'")
	}
	return malformed("unexpected token: '%s'", t.text)
}

func (p *parser) statement() (*selectStatement, *failure) {
	st := &selectStatement{limit: -1}
	if !p.word("SELECT") {
		return nil, p.unexpected()
	}
	for {
		t := p.peek()
		if t.kind != 'w' || strings.EqualFold(t.text, "FROM") {
			return nil, p.unexpected()
		}
		p.pos++
		if strings.EqualFold(t.text, "COUNT") && p.punct("(") {
			if !p.punct(")") || len(st.fields) > 0 {
				return nil, malformed("Only COUNT() on its own is supported")
			}
			st.count = true
			break
		}
		f, bad := newPath(t.text)
		if bad != nil {
			return nil, bad
		}
		st.fields = append(st.fields, f)
		if !p.punct(",") {
			break
		}
	}
	if !p.word("FROM") {
		return nil, p.unexpected()
	}
	t := p.next()
	if t.kind != 'w' || strings.Contains(t.text, ".") {
		p.pos--
		return nil, p.unexpected()
	}
	st.object = t.text
	if t := p.peek(); t.kind == 'w' && !isClause(t.text) {
		st.alias = t.text
		p.pos++
	}
	var f *failure
	if p.word("WHERE") {
		if st.where, f = p.conditions(); f != nil {
			return nil, f
		}
	}
	if p.word("ORDER") {
		if !p.word("BY") {
			return nil, p.unexpected()
		}
		if st.order, f = p.orderings(); f != nil {
			return nil, f
		}
	}
	if p.word("LIMIT") {
		if st.limit, f = p.count(); f != nil {
			return nil, f
		}
	}
	if p.word("OFFSET") {
		if st.offset, f = p.count(); f != nil {
			return nil, f
		}
		if st.offset > 2000 {
			return nil, badRequest("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
		}
	}
	return st, nil
}

func isClause(w string) bool {
	switch strings.ToUpper(w) {
	case "WHERE", "ORDER", "LIMIT", "OFFSET", "GROUP", "HAVING", "USING", "WITH", "FOR", "ALL", "UPDATE":
		return true
	}
	return false
}

func newPath(text string) (path, *failure) {
	p := path(strings.Split(text, "."))
	for _, part := range p {
		if part == "" {
			return nil, malformed("unexpected token: '.'")
		}
	}
	if len(p) > 6 {
		return nil, malformed("SOQL relationship path too deep: %s", text)
	}
	return p, nil
}

func (p *parser) count() (int, *failure) {
	t := p.next()
	n, err := strconv.Atoi(t.text)
	if t.kind != 'n' || err != nil || n < 0 {
		p.pos--
		return 0, p.unexpected()
	}
	return n, nil
}

func (p *parser) orderings() ([]ordering, *failure) {
	var out []ordering
	for {
		t := p.next()
		if t.kind != 'w' {
			p.pos--
			return nil, p.unexpected()
		}
		f, bad := newPath(t.text)
		if bad != nil {
			return nil, bad
		}
		o := ordering{field: f}
		if p.word("DESC") {
			o.desc = true
		} else {
			p.word("ASC")
		}
		if p.word("NULLS") {
			switch {
			case p.word("LAST"):
				o.nullsLast = true
			case !p.word("FIRST"):
				return nil, p.unexpected()
			}
		}
		out = append(out, o)
		if !p.punct(",") {
			return out, nil
		}
	}
}

// conditions parses terms that are joined by AND only or by OR only.
func (p *parser) conditions() (condition, *failure) {
	first, f := p.term()
	if f != nil {
		return nil, f
	}
	terms := []condition{first}
	joiner := ""
	for _, j := range []string{"AND", "OR"} {
		for p.word(j) {
			t, f := p.term()
			if f != nil {
				return nil, f
			}
			terms, joiner = append(terms, t), j
		}
		if joiner != "" {
			break
		}
	}
	if t := p.peek(); t.kind == 'w' && (strings.EqualFold(t.text, "AND") || strings.EqualFold(t.text, "OR")) {
		return nil, p.unexpected()
	}
	if joiner == "" {
		return first, nil
	}
	return &both{or: joiner == "OR", terms: terms}, nil
}

func (p *parser) term() (condition, *failure) {
	if p.depth++; p.depth > maxNesting {
		return nil, malformed("the query is nested too deeply")
	}
	defer func() { p.depth-- }()
	if p.word("NOT") {
		t, f := p.term()
		return &negated{t}, f
	}
	if p.punct("(") {
		c, f := p.conditions()
		if f != nil {
			return nil, f
		}
		if !p.punct(")") {
			return nil, p.unexpected()
		}
		return c, nil
	}
	return p.comparison()
}

func (p *parser) comparison() (condition, *failure) {
	t := p.next()
	if t.kind != 'w' {
		p.pos--
		return nil, p.unexpected()
	}
	field, f := newPath(t.text)
	if f != nil {
		return nil, f
	}
	c := &comparison{field: field}
	switch t := p.next(); {
	case t.kind == 'p' && t.text == "<>":
		c.op = "!="
	case t.kind == 'p' && strings.Contains("= != < <= > >=", t.text):
		c.op = t.text
	case t.kind == 'w' && strings.EqualFold(t.text, "LIKE"):
		c.op = "like"
	case t.kind == 'w' && strings.EqualFold(t.text, "IN"):
		c.op = "in"
	case t.kind == 'w' && strings.EqualFold(t.text, "NOT") && p.word("IN"):
		c.op = "notin"
	default:
		p.pos--
		return nil, p.unexpected()
	}
	if c.op != "in" && c.op != "notin" {
		l, f := p.literal()
		c.values = []literal{l}
		return c, f
	}
	if !p.punct("(") {
		return nil, p.unexpected()
	}
	for {
		l, f := p.literal()
		if f != nil {
			return nil, f
		}
		c.values = append(c.values, l)
		if p.punct(")") {
			return c, nil
		}
		if !p.punct(",") {
			return nil, p.unexpected()
		}
	}
}

func (p *parser) literal() (literal, *failure) {
	t := p.next()
	switch t.kind {
	case 's':
		return literal{litString, t.text}, nil
	case 'w':
		switch w := strings.ToLower(t.text); w {
		case "null":
			return literal{kind: litNull}, nil
		case "true", "false":
			return literal{litBool, w}, nil
		}
	case 'n':
		return bareLiteral(t.text)
	}
	p.pos--
	return literal{}, p.unexpected()
}

// bareLiteral reads a number, a date or a time. The only forms of a time are those
// of "Date Formats and Date Literals": a zone is required, a fraction is allowed.
func bareLiteral(s string) (literal, *failure) {
	if t, ok := parseDateTime(s); ok {
		return literal{litDateTime, t}, nil
	}
	if t, ok := parseDate(s); ok {
		return literal{litDate, t}, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return literal{litNumber, s}, nil
	}
	return literal{}, malformed("unexpected token: '%s'", s)
}
