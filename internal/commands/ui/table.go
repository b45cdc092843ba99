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
	plain := func(v any) string { return printable(shown(v, o.Now, zone)) }
	styled := func(c Column, text string) string {
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
			if _, err := fmt.Fprintln(s.Out, st.faint.Render(head)+"  "+styled(c, plain(t.Rows[0][i]))); err != nil {
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
			rows[r][i] = plain(v)
		}
	}
	if o.Format != "wide" && s.Width > 0 {
		kept := fit(head, rows, s.Width, len(o.Fields) == 0)
		if left := len(head) - kept; left > 0 {
			s.Notice("%s left out; -o wide shows %s", columns(left), themOr(left))
			head = head[:kept]
		}
		for r := range rows {
			rows[r] = rows[r][:kept]
		}
	}
	for _, row := range rows {
		for i, text := range row {
			row[i] = styled(t.Columns[i], text)
		}
	}
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

// The least widths that a column is shortened to: the first one, which says what a row
// is about, and any other. A column is never shortened below what its header needs.
const (
	leastFirst = 30
	leastOther = 12
)

// fit makes a table as wide as a terminal: first by headers of two lines, then by
// shortening the longest columns, and if it may, by leaving columns out from the end.
// It returns how many columns are kept.
func fit(head []string, rows [][]string, width int, mayDrop bool) (kept int) {
	if wide(head, rows) > width {
		for i, h := range head {
			head[i] = strings.Replace(h, " ", "\n", 1)
		}
	}
	widths, least := make([]int, len(head)), make([]int, len(head))
	for i, h := range head {
		widths[i] = lipgloss.Width(h)
		least[i] = max(widths[i], leastOther)
		if i == 0 {
			least[i] = max(widths[i], leastFirst)
		}
		for _, row := range rows {
			widths[i] = max(widths[i], lipgloss.Width(row[i]))
		}
		least[i] = min(least[i], widths[i])
	}
	kept = len(head)
	for mayDrop && kept > 1 && together(least[:kept]) > width {
		kept--
	}
	for total := together(widths[:kept]); total > width; total-- {
		longest := -1
		for i, w := range widths[:kept] {
			if w > least[i] && (longest < 0 || w > widths[longest]) {
				longest = i
			}
		}
		if longest < 0 {
			break
		}
		widths[longest]--
	}
	for _, row := range rows {
		for i, c := range row[:kept] {
			if lipgloss.Width(c) > widths[i] {
				row[i] = shorten(c, widths[i])
			}
		}
	}
	return kept
}

// together is how wide columns are side by side, two spaces between them.
func together(widths []int) int {
	total := -2
	for _, w := range widths {
		total += w + 2
	}
	return total
}

// columns writes a number of columns, themOr what stands for them.
func columns(n int) string {
	if n == 1 {
		return "1 column"
	}
	return fmt.Sprintf("%d columns", n)
}

func themOr(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// wide is how wide a table is.
func wide(head []string, rows [][]string) int {
	widths := make([]int, len(head))
	for i, h := range head {
		widths[i] = lipgloss.Width(h)
		for _, row := range rows {
			widths[i] = max(widths[i], lipgloss.Width(row[i]))
		}
	}
	return together(widths)
}

// shorten cuts text to a width, the last column being an ellipsis.
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
