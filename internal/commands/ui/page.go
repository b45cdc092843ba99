package ui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"
)

// Page is text for a person, on standard output: what is no table. It remembers the
// first error, so that only the end has to ask for it.
type Page struct {
	streams *Streams
	styles  styles
	err     error
}

// Page begins a page.
func (s *Streams) Page() *Page { return &Page{streams: s, styles: s.outStyles()} }

// Err returns the first error there was.
func (p *Page) Err() error { return p.err }

func (p *Page) line(text string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.streams.Out, text)
	}
}

// Heading begins a part.
func (p *Page) Heading(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		p.line(p.styles.heading.Render(strings.TrimRight(line, "\n")))
	}
}

// Text is a sentence.
func (p *Page) Text(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		p.line("  " + strings.TrimRight(line, "\n"))
	}
}

// Paragraph is a sentence that goes on over as many lines as it needs.
func (p *Page) Paragraph(format string, args ...any) {
	text, at := "", 0
	for _, w := range strings.Fields(printable(fmt.Sprintf(format, args...))) {
		width := lipgloss.Width(w)
		if at > 0 && p.streams.Width > 0 && at+1+width > p.streams.Width {
			p.line(text)
			text, at = "   ", 3
		} else if at == 0 {
			text, at = " ", 1
		}
		text, at = text+" "+w, at+1+width
	}
	p.line(text)
}

// Item is a number of things in some state.
func (p *Page) Item(n int, word string) {
	p.line(fmt.Sprintf("  %5d  %s", n, p.styles.word(word)))
}

// Next names a command and what it is for.
func (p *Page) Next(command, purpose string) {
	if purpose == "" {
		p.line("  " + p.styles.bold.Render(command))
		return
	}
	p.line(fmt.Sprintf("  %s  %s", p.styles.bold.Render(fmt.Sprintf("%-44s", command)), p.styles.faint.Render(purpose)))
}

// Command shows a command as a person types it.
func (p *Page) Command(command string) {
	p.line(p.styles.faint.Render("$") + " " + p.styles.bold.Render(command))
}

// Entry is a thing in some state, with the reason, and the command that helps. The
// reason goes on over as many lines as it needs. The command has a line of its own and
// is never cut or broken, so that it can be copied.
func (p *Page) Entry(name, word, reason, command string) {
	name, word = printable(name), printable(word)
	text := name + "  " + p.styles.word(word)
	at := lipgloss.Width(name) + 2 + lipgloss.Width(word)
	if reason != "" {
		text, at = text+":", at+1
	}
	for _, w := range strings.Fields(printable(reason)) {
		if width := lipgloss.Width(w); p.streams.Width > 0 && at+1+width > p.streams.Width {
			p.line(text)
			text, at = "  "+w, 2+width
		} else {
			text, at = text+" "+w, at+1+width
		}
	}
	p.line(text)
	if command != "" {
		p.line("    " + p.styles.bold.Render(printable(command)))
	}
}

// Blank is an empty line.
func (p *Page) Blank() { p.line("") }
