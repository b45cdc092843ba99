package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// printTable writes aligned columns under a header, or one field a line for a single
// thing. It is the only place that knows the table library.
func (s *Streams) printTable(t Table, o Output) error {
	zone := o.Zone
	if zone == nil {
		zone = time.UTC
	}
	st := s.outStyles()
	cell := func(c Column, v any) string {
		text := printable(shown(v, o.Now, zone))
		if c.Word {
			return st.word(text)
		}
		if text == "-" {
			return st.faint.Render(text)
		}
		return text
	}
	if t.Single {
		width := 0
		for _, c := range t.Columns {
			width = max(width, len(title(c.Name)))
		}
		for i, c := range t.Columns {
			head := fmt.Sprintf("%-*s", width, title(c.Name))
			if _, err := fmt.Fprintln(s.Out, st.faint.Render(head)+"  "+cell(c, t.Rows[0][i])); err != nil {
				return err
			}
		}
		return nil
	}
	head := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = strings.ToUpper(title(c.Name))
	}
	rows := make([][]string, len(t.Rows))
	for r, row := range t.Rows {
		rows[r] = make([]string, len(row))
		for i, v := range row {
			rows[r][i] = cell(t.Columns[i], v)
		}
	}
	s.fit(head, rows)
	for i, h := range head {
		head[i] = st.bold.Render(h)
	}
	left := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
		Padding:    tw.CellPadding{Global: tw.Padding{Left: tw.Empty, Right: "  ", Overwrite: true}},
	}
	var b strings.Builder
	table := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{
				Separators: tw.SeparatorsNone,
				Lines:      tw.LinesNone,
			},
		})),
		tablewriter.WithConfig(tablewriter.Config{Header: left, Row: left}),
	)
	table.Header(head)
	if err := table.Bulk(rows); err != nil {
		return err
	}
	if err := table.Render(); err != nil {
		return err
	}
	// The library ends each padded cell that has colour once more.
	text := strings.ReplaceAll(b.String(), " \x1b[0m", " ")
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(s.Out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// fit makes a table as wide as the terminal: first by headers of two lines, then by
// shortening the longest column. A column is never shortened below what its header
// needs, nor below twelve.
func (s *Streams) fit(head []string, rows [][]string) {
	if s.Width == 0 {
		return
	}
	if wide(head, rows) > s.Width {
		for i, h := range head {
			head[i] = strings.Replace(h, " ", "\n", 1)
		}
	}
	widths := make([]int, len(head))
	least := make([]int, len(head))
	total := 0
	for i, h := range head {
		widths[i] = lipgloss.Width(h)
		least[i] = max(widths[i], 12)
		for _, row := range rows {
			widths[i] = max(widths[i], lipgloss.Width(row[i]))
		}
		total += widths[i] + 2
	}
	total -= 2
	for total > s.Width {
		longest := -1
		for i, w := range widths {
			if w > least[i] && (longest < 0 || w > widths[longest]) {
				longest = i
			}
		}
		if longest < 0 {
			return
		}
		widths[longest]--
		total--
	}
	for _, row := range rows {
		for i, c := range row {
			if lipgloss.Width(c) > widths[i] {
				row[i] = shorten(c, widths[i])
			}
		}
	}
}

// wide is how wide a table is, two spaces between its columns.
func wide(head []string, rows [][]string) int {
	total := -2
	for i, h := range head {
		w := lipgloss.Width(h)
		for _, row := range rows {
			w = max(w, lipgloss.Width(row[i]))
		}
		total += w + 2
	}
	return total
}

// shorten cuts text to a width, the last column being an ellipsis. Text with colour
// is never so long.
func shorten(text string, width int) string {
	w := 0
	for i, r := range text {
		w += lipgloss.Width(string(r))
		if w > width-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// title makes the header of a field's name: "lastSuccess" becomes "last success". A
// table says the unit of a duration in each cell.
func title(name string) string {
	var b strings.Builder
	name = strings.TrimSuffix(name, "Ms")
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// printable replaces control characters, which a server may have sent, so that no
// record can move the cursor or change the colour of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '�'
		}
		return r
	}, s)
}
