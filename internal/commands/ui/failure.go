package ui

import (
	"fmt"
	"strings"
)

// Failure is an error as a person reads it: what, why, what to do, and one command.
type Failure struct {
	Code    string
	Text    string
	Why     string
	Do      string
	Command string
}

// Fail prints a failure on standard error: a line each, the empty ones left out.
func (s *Streams) Fail(f Failure) {
	st := s.errStyles()
	head := "error"
	if f.Code != "" {
		head += "[" + f.Code + "]"
	}
	s.Tell(st.bad.Bold(true).Render(head) + ": " + printable(oneLine(f.Text)))
	for _, line := range []struct{ head, text string }{
		{"why", f.Why}, {"do", f.Do}, {"try", f.Command},
	} {
		if line.text == "" {
			continue
		}
		text := printable(oneLine(line.text))
		if line.head == "try" {
			text = st.bold.Render(text)
		}
		s.Tell("  " + st.faint.Render(fmt.Sprintf("%-4s", line.head+":")) + " " + text)
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
