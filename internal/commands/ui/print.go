package ui

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/itchyny/gojq"
	"go.yaml.in/yaml/v3"
)

// Formats are the outputs that a person may ask for.
var Formats = []string{"table", "wide", "json", "jsonl", "csv", "tsv", "yaml", "name"}

// Output is how to print a Table.
type Output struct {
	// Format is one of Formats; empty is table on a terminal and tsv in a pipe.
	Format string
	// Fields picks fields and their order; empty for all.
	Fields []string
	// JQ is an expression that is given what the format json would print.
	JQ string
	// Template is a Go template that is given each row as a map by field name.
	Template string
	// Now and Zone are for times in tables.
	Now  time.Time
	Zone *time.Location
}

// ErrOutput says that an Output asks for something that does not exist.
var ErrOutput = errors.New("output")

// Check reports, as an ErrOutput, what is wrong with an Output before any work is
// done for it. fields are the names there are; nil if they are not known yet.
func (o Output) Check(fields []string) error {
	if o.Format != "" && !slices.Contains(Formats, o.Format) {
		return fmt.Errorf("%w: there is no format %q; there are %s", ErrOutput, o.Format, strings.Join(Formats, ", "))
	}
	if o.JQ != "" && o.Template != "" {
		return fmt.Errorf("%w: --jq and --template exclude each other", ErrOutput)
	}
	if o.JQ != "" {
		if _, err := gojq.Parse(o.JQ); err != nil {
			return fmt.Errorf("%w: --jq: %w", ErrOutput, err)
		}
	}
	if o.Template != "" {
		t, err := template.New("").Parse(o.Template)
		if err != nil {
			return fmt.Errorf("%w: --template: %w", ErrOutput, err)
		}
		for _, f := range fieldsOf(t) {
			if fields != nil && !slices.Contains(fields, f) {
				return fmt.Errorf("%w: --template: there is no field %q; there are %s", ErrOutput, f, strings.Join(fields, ", "))
			}
		}
	}
	for _, f := range o.Fields {
		if fields != nil && !slices.Contains(fields, f) {
			return fmt.Errorf("%w: there is no field %q; there are %s", ErrOutput, f, strings.Join(fields, ", "))
		}
	}
	return nil
}

// Print writes a table to standard output.
func (s *Streams) Print(t Table, o Output) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	if err := o.Check(names); err != nil {
		return err
	}
	format := o.Format
	switch {
	case o.JQ != "" || o.Template != "":
		format = "json"
	case format == "" && s.OutTTY:
		format = "table"
	case format == "":
		format = "tsv"
	}
	t = t.pick(o, format)
	switch {
	case o.JQ != "":
		return s.printJQ(t, o.JQ)
	case o.Template != "":
		return s.printTemplate(t, o.Template)
	}
	switch format {
	case "json":
		b, err := t.json("  ")
		if err != nil {
			return err
		}
		return write(s.Out, append(b, '\n'))
	case "jsonl":
		for _, row := range t.Rows {
			b, err := t.object(row, "", "")
			if err != nil {
				return err
			}
			if err := write(s.Out, append(b, '\n')); err != nil {
				return err
			}
		}
		return nil
	case "yaml":
		return s.printYAML(t)
	case "csv":
		return s.printCSV(t)
	case "tsv":
		return s.printTSV(t)
	case "name":
		for _, row := range t.Rows {
			if _, err := fmt.Fprintln(s.Out, flat(row[0])); err != nil {
				return err
			}
		}
		return nil
	}
	return s.printTable(t, o)
}

// pick returns the table with the fields that were asked for. A table for a person
// leaves out the wide fields and those that are empty, unless they were asked for by
// name.
func (t Table) pick(o Output, format string) Table {
	var keep []int
	for i, c := range t.Columns {
		person := format == "table" || format == "wide"
		switch {
		case len(o.Fields) > 0:
		case format == "table" && c.Wide && !t.Single:
		case person && c.Sparse && t.empty(i):
		default:
			keep = append(keep, i)
		}
	}
	for _, name := range o.Fields {
		keep = append(keep, slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name }))
	}
	p := Table{Single: t.Single, Rows: make([][]any, 0, len(t.Rows))}
	for _, i := range keep {
		p.Columns = append(p.Columns, t.Columns[i])
	}
	for _, row := range t.Rows {
		r := make([]any, len(keep))
		for j, i := range keep {
			r[j] = row[i]
		}
		p.Rows = append(p.Rows, r)
	}
	return p
}

// empty reports whether a column has nothing but empty and zero values.
func (t Table) empty(column int) bool {
	for _, row := range t.Rows {
		if s := flat(row[column]); s != "" && s != "0" {
			return false
		}
	}
	return true
}

// object writes one row as a JSON object with its fields in order.
func (t Table) object(row []any, prefix, indent string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(c.Name)
		if err != nil {
			return nil, err
		}
		var value bytes.Buffer
		enc := json.NewEncoder(&value)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(machine(row[i])); err != nil {
			return nil, fmt.Errorf("field %s: %w", c.Name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(value.Bytes()))
	}
	b.WriteByte('}')
	if indent == "" {
		return b.Bytes(), nil
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), prefix, indent); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// json writes the table as one JSON value.
func (t Table) json(indent string) ([]byte, error) {
	if t.Single {
		return t.object(t.Rows[0], "", indent)
	}
	if len(t.Rows) == 0 {
		return []byte("[]"), nil
	}
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, row := range t.Rows {
		obj, err := t.object(row, indent, indent)
		if err != nil {
			return nil, err
		}
		b.WriteString(indent)
		b.Write(obj)
		if i < len(t.Rows)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

// generic returns the table as jq and templates see it.
func (t Table) generic() (any, error) {
	b, err := t.json("")
	if err != nil {
		return nil, err
	}
	var v any
	err = json.Unmarshal(b, &v)
	return v, err
}

func (s *Streams) printJQ(t Table, expression string) error {
	query, err := gojq.Parse(expression)
	if err != nil {
		return fmt.Errorf("%w: --jq: %w", ErrOutput, err)
	}
	v, err := t.generic()
	if err != nil {
		return err
	}
	for it := query.Run(v); ; {
		v, ok := it.Next()
		if !ok {
			return nil
		}
		var halt *gojq.HaltError
		if err, ok := v.(error); ok {
			if errors.As(err, &halt) && halt.Value() == nil {
				return nil
			}
			return fmt.Errorf("%w: --jq: %w", ErrOutput, err)
		}
		if text, ok := v.(string); ok {
			if _, err := fmt.Fprintln(s.Out, text); err != nil {
				return err
			}
			continue
		}
		b, err := gojq.Marshal(v)
		if err != nil {
			return err
		}
		if err := write(s.Out, append(b, '\n')); err != nil {
			return err
		}
	}
}

// printTemplate runs the template for each row, each on a line of its own.
func (s *Streams) printTemplate(t Table, text string) error {
	tmpl, err := template.New("").Parse(text)
	if err != nil {
		return fmt.Errorf("%w: --template: %w", ErrOutput, err)
	}
	for _, row := range t.Rows {
		fields := make(map[string]any, len(row))
		for i, c := range t.Columns {
			fields[c.Name] = machine(row[i])
		}
		var b bytes.Buffer
		if err := tmpl.Execute(&b, fields); err != nil {
			return fmt.Errorf("%w: --template: %w", ErrOutput, err)
		}
		if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
			b.WriteByte('\n')
		}
		if err := write(s.Out, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Streams) printYAML(t Table) error {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, row := range t.Rows {
		m := &yaml.Node{Kind: yaml.MappingNode}
		for i, c := range t.Columns {
			var k, v yaml.Node
			k.SetString(c.Name)
			if err := v.Encode(machine(row[i])); err != nil {
				return err
			}
			m.Content = append(m.Content, &k, &v)
		}
		list.Content = append(list.Content, m)
	}
	doc := list
	if t.Single {
		doc = list.Content[0]
	}
	if len(list.Content) == 0 {
		return write(s.Out, []byte("[]\n"))
	}
	enc := yaml.NewEncoder(s.Out)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return err
	}
	return enc.Close()
}

func (s *Streams) printCSV(t Table) error {
	w := csv.NewWriter(s.Out)
	head := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = c.Name
	}
	if err := w.Write(head); err != nil {
		return err
	}
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = flat(v)
		}
		if err := w.Write(cells); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// printTSV writes one line a row, cells apart by tabs: for cut, awk and grep.
func (s *Streams) printTSV(t Table) error {
	var b strings.Builder
	line := func(cells []string) {
		for i, c := range cells {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(strings.NewReplacer("\t", " ", "\r", " ", "\n", " ").Replace(c))
		}
		b.WriteByte('\n')
	}
	head := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = c.Name
	}
	line(head)
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = flat(v)
		}
		line(cells)
	}
	return write(s.Out, []byte(b.String()))
}

func write(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}
