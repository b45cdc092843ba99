package ui

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Field is one named value of a thing that is listed. The name is the same in every
// format and is part of the contract with scripts.
type Field[T any] struct {
	Name string
	// Of returns the value: a string, an integer, a bool, a time.Time, a
	// time.Duration, a list of strings, or a map for machine formats. A zero time is
	// null.
	Of func(T) any
	// Wide fields are in a table only with the output wide.
	Wide bool
	// Word marks a state or a result, which gets a colour.
	Word bool
	// Sparse fields are left out of a table if they are empty or zero in every row.
	Sparse bool
}

// Table is what a command prints, whatever the format.
type Table struct {
	Columns []Column
	Rows    [][]any
	// Single says that this is one thing and no list: machine formats print it
	// without the list around it, tables print one field a line.
	Single bool
}

// Column is the head of one column of a Table.
type Column struct {
	Name string
	Wide bool
	Word bool
	// Sparse columns are left out of a table if there is nothing in them.
	Sparse bool
}

// List makes the table of a list of things.
func List[T any](fields []Field[T], things []T) Table {
	t := Table{Rows: make([][]any, 0, len(things))}
	for _, f := range fields {
		t.Columns = append(t.Columns, Column{Name: f.Name, Wide: f.Wide, Word: f.Word, Sparse: f.Sparse})
	}
	for _, thing := range things {
		row := make([]any, len(fields))
		for i, f := range fields {
			row[i] = f.Of(thing)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// One makes the table of a single thing.
func One[T any](fields []Field[T], thing T) Table {
	t := List(fields, []T{thing})
	t.Single = true
	return t
}

// Names returns the names of fields in their order.
func Names[T any](fields []Field[T]) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// machine turns a value into what JSON and YAML hold.
func machine(v any) any {
	switch v := v.(type) {
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.UTC().Format(time.RFC3339)
	case time.Duration:
		return v.Milliseconds()
	case []string:
		if v == nil {
			return []string{}
		}
		return v
	case fmt.Stringer:
		return v.String()
	}
	// Named string types become plain strings, so that jq and templates know them.
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.String:
		return r.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int()
	}
	return v
}

// flat turns a value into one cell of CSV or of plain text.
func flat(v any) string {
	switch v := machine(v).(type) {
	case nil:
		return ""
	case string:
		return v
	case []string:
		return strings.Join(v, " ")
	case int64:
		return strconv.FormatInt(v, 10)
	case bool, int, float64, uint64:
		return fmt.Sprint(v)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(b)
	}
}

// shown turns a value into one cell of a table on a terminal.
func shown(v any, now time.Time, loc *time.Location) string {
	switch v := v.(type) {
	case time.Time:
		if v.IsZero() {
			return "-"
		}
		return v.In(loc).Format("2006-01-02 15:04") + " (" + Relative(v, now) + ")"
	case time.Duration:
		return Short(v)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case map[string]string:
		parts := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, key+"="+v[key])
		}
		return shown(strings.Join(parts, ", "), now, loc)
	}
	s := strings.Join(strings.Fields(flat(v)), " ")
	if s == "" {
		return "-"
	}
	return s
}

// Relative says how far a time is from now, in one unit: "5m ago", "in 2h", "now".
func Relative(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d >= time.Second:
		return Short(d) + " ago"
	case d <= -time.Second:
		return "in " + Short(-d)
	}
	return "now"
}

// Short says how long something took, in one unit: "340ms", "12s", "3m", "5h", "2d".
func Short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
