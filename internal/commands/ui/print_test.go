package ui

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pair returns streams that write into buffers.
func pair() (s *Streams, out, errs *bytes.Buffer) {
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	return &Streams{In: strings.NewReader(""), Out: out, Err: errs}, out, errs
}

type thing struct {
	name  string
	state string
	count int
	at    time.Time
	took  time.Duration
	tags  []string
	note  string
}

var thingFields = []Field[thing]{
	{Name: "name", Of: func(t thing) any { return t.name }},
	{Name: "state", Of: func(t thing) any { return t.state }, Word: true},
	{Name: "count", Of: func(t thing) any { return t.count }, Sparse: true},
	{Name: "lastSeen", Of: func(t thing) any { return t.at }},
	{Name: "tookMs", Of: func(t thing) any { return t.took }, Wide: true},
	{Name: "tags", Of: func(t thing) any { return t.tags }},
	{Name: "note", Of: func(t thing) any { return t.note }, Sparse: true},
}

var things = []thing{
	{"Ann, A.", "done", 0, now.Add(-5 * time.Minute), 1500 * time.Millisecond, []string{"a", "b"}, ""},
	{"Żółć\t\"x\"", "failed", 0, time.Time{}, 0, nil, ""},
}

func TestPrint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		tty  bool
		out  Output
		want string
	}{
		{"terminal", true, Output{}, "" +
			"NAME      STATE   LAST SEEN                  TAGS\n" +
			"Ann, A.   done    2026-03-01 12:55 (5m ago)  a b\n" +
			"Żółć \"x\"  failed  -                          -\n"},
		{"wide", true, Output{Format: "wide"}, "" +
			"NAME      STATE   LAST SEEN                  TOOK  TAGS\n" +
			"Ann, A.   done    2026-03-01 12:55 (5m ago)  1s    a b\n" +
			"Żółć \"x\"  failed  -                          0ms   -\n"},
		{"pipe", false, Output{}, "" +
			"name\tstate\tcount\tlastSeen\ttookMs\ttags\tnote\n" +
			"Ann, A.\tdone\t0\t2026-03-01T11:55:00Z\t1500\ta b\t\n" +
			"Żółć \"x\"\tfailed\t0\t\t0\t\t\n"},
		{"csv", true, Output{Format: "csv"}, "" +
			"name,state,count,lastSeen,tookMs,tags,note\n" +
			"\"Ann, A.\",done,0,2026-03-01T11:55:00Z,1500,a b,\n" +
			"\"Żółć\t\"\"x\"\"\",failed,0,,0,,\n"},
		{"json", true, Output{Format: "json", Fields: []string{"tags", "lastSeen", "count"}}, `[
  {
    "tags": [
      "a",
      "b"
    ],
    "lastSeen": "2026-03-01T11:55:00Z",
    "count": 0
  },
  {
    "tags": [],
    "lastSeen": null,
    "count": 0
  }
]
`},
		{"jsonl", false, Output{Format: "jsonl", Fields: []string{"name", "tookMs"}}, `{"name":"Ann, A.","tookMs":1500}
{"name":"Żółć\t\"x\"","tookMs":0}
`},
		{"yaml", false, Output{Format: "yaml", Fields: []string{"state", "tags", "lastSeen"}}, "" +
			"- state: done\n  tags:\n    - a\n    - b\n  lastSeen: \"2026-03-01T11:55:00Z\"\n" +
			"- state: failed\n  tags: []\n  lastSeen: null\n"},
		{"name", false, Output{Format: "name", Fields: []string{"state"}}, "done\nfailed\n"},
		{"jq", true, Output{JQ: `.[] | select(.state == "done") | .name`}, "Ann, A.\n"},
		{"jq of a number", true, Output{JQ: `length`}, "2\n"},
		{"template", false, Output{Template: `{{.state}}/{{len .tags}}`}, "done/2\nfailed/0\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, out, _ := pair()
			s.OutTTY = tt.tty
			tt.out.Now, tt.out.Zone = now, time.FixedZone("CET", 3600)
			if err := s.Print(List(thingFields, things), tt.out); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// What jq and a shell read is not written for a browser.
func TestJSONIsNotEscapedForHTML(t *testing.T) {
	t.Parallel()
	s, out, _ := pair()
	if err := s.Print(List(thingFields, []thing{{name: "a<b> & c"}}), Output{Format: "jsonl", Fields: []string{"name"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "{\"name\":\"a<b> & c\"}\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// An empty list is an empty list in every format, never an absent one.
func TestPrintNothing(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"json": "[]\n", "jsonl": "", "yaml": "[]\n", "name": "", "csv": "name,state,count,lastSeen,tookMs,tags,note\n",
	} {
		s, out, _ := pair()
		if err := s.Print(List[thing](thingFields, nil), Output{Format: format}); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s: %q, want %q", format, out, want)
		}
	}
}

func TestPrintOne(t *testing.T) {
	t.Parallel()
	s, out, _ := pair()
	if err := s.Print(One(thingFields, things[0]), Output{Format: "json", Fields: []string{"name", "count"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "{\n  \"name\": \"Ann, A.\",\n  \"count\": 0\n}\n"; got != want {
		t.Errorf("json: %q, want %q", got, want)
	}
	s, out, _ = pair()
	if err := s.Print(One(thingFields, things[0]), Output{Format: "table", Now: now, Fields: []string{"name", "lastSeen"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "name       Ann, A.\nlast seen  2026-03-01 11:55 (5m ago)\n"; got != want {
		t.Errorf("table: %q, want %q", got, want)
	}
}

func TestCheckRefusesBeforeAnyWork(t *testing.T) {
	t.Parallel()
	for _, o := range []Output{
		{Format: "xml"}, {Fields: []string{"title"}}, {JQ: ".["}, {Template: "{{"}, {JQ: ".", Template: "x"},
		{Template: "{{.title}}"}, {Template: "{{if .name}}{{.title}}{{end}}"}, {Template: "{{range .tags}}{{$.title}}{{end}}"},
		{Template: "{{printf \"%s\" .title}}"}, {Template: "{{with .name}}{{else}}{{.title}}{{end}}"},
	} {
		if err := o.Check(Names(thingFields)); !errors.Is(err, ErrOutput) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, text := range []string{
		"{{.name}} {{len .tags}}", "{{range .tags}}{{.}} {{$.name}}{{end}}", "{{with .state}}{{.other}}{{end}}",
		"{{range $i, $t := .tags}}{{$t}}{{end}}", "{{define \"x\"}}{{.other}}{{end}}", "plain",
	} {
		if err := (Output{Template: text}).Check(Names(thingFields)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Colour says nothing that the text does not.
func TestColourOnlyColours(t *testing.T) {
	t.Parallel()
	plain, plainOut, _ := pair()
	colour, colourOut, _ := pair()
	plain.OutTTY, colour.OutTTY, colour.OutColor = true, true, true
	for _, s := range []*Streams{plain, colour} {
		if err := s.Print(List(thingFields, things), Output{Now: now}); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(colourOut.String(), "\x1b[32mdone\x1b[0m") {
		t.Errorf("done is not green:\n%q", colourOut)
	}
	if got := stripped(colourOut.String()); got != plainOut.String() {
		t.Errorf("without its colour the text is\n%s\nwant\n%s", got, plainOut)
	}
}

// stripped takes the escape sequences for colour out.
func stripped(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, s, _ = strings.Cut(after, "m")
	}
}

// What a server sent can neither move the cursor nor change the colour.
func TestControlCharactersAreShown(t *testing.T) {
	t.Parallel()
	s, out, errs := pair()
	s.OutTTY = true
	evil := []thing{{name: "a\x1b[2Jb\u009b1m", note: "x\ry"}}
	if err := s.Print(List(thingFields, evil), Output{Now: now}); err != nil {
		t.Fatal(err)
	}
	s.Fail(Failure{Text: "bad \x1b]0;title\x07 name"})
	if got := out.String() + errs.String(); strings.ContainsAny(got, "\x1b\u009b\x07\r") {
		t.Errorf("control characters went through: %q", got)
	}
}

// A table is not wider than its terminal; the longest column gives way.
func TestTableFits(t *testing.T) {
	t.Parallel()
	s, out, _ := pair()
	s.OutTTY, s.Width = true, 60
	long := []thing{{name: "ann", state: "done", note: strings.Repeat("long ", 30), tags: []string{"a"}}}
	if err := s.Print(List(thingFields, long), Output{Now: now}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 60 {
			t.Errorf("a line has %d columns: %q", n, line)
		}
	}
	if !strings.Contains(out.String(), "…") || !strings.Contains(out.String(), "ann") {
		t.Errorf("the table is\n%s", out)
	}
}

func TestTimesAreRelative(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at   time.Duration
		want string
	}{
		{0, "now"}, {-time.Second, "1s ago"}, {-90 * time.Second, "1m ago"}, {-47 * time.Hour, "47h ago"},
		{-72 * time.Hour, "3d ago"}, {30 * time.Minute, "in 30m"},
	} {
		if got := Relative(now.Add(tt.at), now); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.at, got, tt.want)
		}
	}
}

// Where shortening is not enough, columns are left out from the end, and said so; wide
// leaves nothing out, and neither do columns that were asked for by name.
func TestTableLeavesColumnsOut(t *testing.T) {
	t.Parallel()
	many := []thing{{name: "ann@example.com", state: "done", count: 3, at: now, tags: []string{"a"}, note: strings.Repeat("long ", 10)}}
	print := func(o Output) (string, string) {
		s, out, errs := pair()
		s.OutTTY, s.Width = true, 50
		o.Now = now
		if err := s.Print(List(thingFields, many), o); err != nil {
			t.Fatal(err)
		}
		return out.String(), errs.String()
	}
	out, errs := print(Output{})
	if strings.Contains(out, "NOTE") || !strings.Contains(out, "ann@example.com  done") {
		t.Errorf("printed\n%s", out)
	}
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 50 {
			t.Errorf("a line has %d columns: %q", n, line)
		}
	}
	if want := "note: 1 column left out; -o wide shows it\n"; errs != want {
		t.Errorf("said %q, want %q", errs, want)
	}
	for _, o := range []Output{{Format: "wide"}, {Fields: Names(thingFields)}} {
		if out, errs := print(o); !strings.Contains(out, "NOTE") || errs != "" {
			t.Errorf("%+v: printed\n%ssaid %q", o, out, errs)
		}
	}
	if out, _ := print(Output{Format: "wide"}); strings.Contains(out, "…") || !strings.Contains(out, many[0].note[:49]) {
		t.Errorf("wide shortens:\n%s", out)
	}
}
