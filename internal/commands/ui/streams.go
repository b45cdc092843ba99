// Package ui is what a person sees. Its rules:
//
//   - Standard output carries the result of a command and nothing else. Progress,
//     notices, questions and errors go to standard error.
//   - A terminal and a pipe are two audiences. A terminal gets aligned columns,
//     colour, local and relative times; a pipe gets plain text, one line a row, and
//     RFC 3339 times in UTC.
//   - Colour never says anything that the text does not say as well.
//   - A bar is drawn only on a terminal. Without one there is silence until the end.
//   - A question is asked only where somebody can answer it. Where nobody can, the
//     command fails at once and names the flag that answers.
//   - A notice is one sentence, starts in lower case after "note:", and ends without
//     a full stop. A notice that calls for an action names the command.
//   - The names of fields are the same in every format and never change.
package ui

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"golang.org/x/term"
)

// Streams are a command's input and outputs, with what is known of who is at the
// other end.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// InTTY, OutTTY and ErrTTY tell whether a terminal is at the other end.
	InTTY  bool
	OutTTY bool
	ErrTTY bool
	// Width is that of the terminal in columns, or 0 if there is none.
	Width int
	// OutColor and ErrColor allow colour.
	OutColor bool
	ErrColor bool
	// Quiet leaves out notices and progress; Verbose adds detail.
	Quiet   bool
	Verbose bool

	reader *bufio.Reader

	mu sync.Mutex
	// above, if not nil, writes above the bars that are being drawn on standard error.
	above io.Writer
}

// System returns the streams of the process. getenv looks environment variables up:
// NO_COLOR forbids colour, CLICOLOR_FORCE demands it, COLUMNS gives the width where
// the terminal does not tell.
func System(in, out, errs *os.File, getenv func(string) string) *Streams {
	s := &Streams{
		In: in, Out: out, Err: errs,
		InTTY:  term.IsTerminal(int(in.Fd())),
		OutTTY: term.IsTerminal(int(out.Fd())),
		ErrTTY: term.IsTerminal(int(errs.Fd())),
	}
	if s.OutTTY {
		if w, _, err := term.GetSize(int(out.Fd())); err == nil {
			s.Width = w
		}
		if s.Width == 0 {
			s.Width, _ = strconv.Atoi(getenv("COLUMNS"))
		}
		if s.Width == 0 {
			s.Width = 80
		}
	}
	dumb := getenv("TERM") == "dumb"
	s.OutColor = s.OutTTY && !dumb
	s.ErrColor = s.ErrTTY && !dumb
	if force := getenv("CLICOLOR_FORCE"); force != "" && force != "0" {
		s.OutColor, s.ErrColor = true, true
	}
	if getenv("NO_COLOR") != "" {
		s.NoColor()
	}
	return s
}

// NoColor switches colour off.
func (s *Streams) NoColor() { s.OutColor, s.ErrColor = false, false }

// Notice tells the person something worth knowing, on standard error.
func (s *Streams) Notice(format string, args ...any) {
	if s.Quiet {
		return
	}
	st := s.errStyles()
	s.tell(st.faint.Render("note:") + " " + fmt.Sprintf(format, args...) + "\n")
}

// Detail tells the person something only the curious want to know: with --verbose.
func (s *Streams) Detail(format string, args ...any) {
	if !s.Verbose || s.Quiet {
		return
	}
	s.tell(s.errStyles().faint.Render(fmt.Sprintf(format, args...)) + "\n")
}

// tell writes to standard error, above the bars if there are any: what is written
// between them stays on the screen askew. Where it cannot be written nobody can be told.
func (s *Streams) tell(text string) {
	if above := s.aboveBars(); above != nil {
		if _, err := io.WriteString(above, text); err == nil {
			return
		}
	}
	_, _ = io.WriteString(s.Err, text)
}

func (s *Streams) aboveBars() io.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.above
}

func (s *Streams) setAbove(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.above = w
}

// Interrupted tells the person that his interrupt has arrived.
func (s *Streams) Interrupted() {
	text := "interrupted: finishing what was begun; once more to abort"
	switch {
	case !s.ErrTTY:
	case s.aboveBars() == nil:
		text = "\n" + text // the terminal has written ^C
	default:
		text = "\r" + text // and has moved the place where the bars are drawn anew
	}
	s.Tell(text)
}

// Tell writes a line to standard error that is shown whatever the flags: what a
// person must see before he is asked.
func (s *Streams) Tell(text string) { s.tell(text + "\n") }

// drawer returns what draws styles on one of the two outputs.
func drawer(w io.Writer, color bool) *lipgloss.Renderer {
	r := lipgloss.NewRenderer(w)
	r.SetColorProfile(termenv.Ascii)
	if color {
		r.SetColorProfile(termenv.ANSI)
	}
	r.SetHasDarkBackground(true) // Known, so that the terminal is never asked.
	return r
}

func (s *Streams) outStyles() styles { return newStyles(drawer(s.Out, s.OutColor)) }
func (s *Streams) errStyles() styles { return newStyles(drawer(s.Err, s.ErrColor)) }
