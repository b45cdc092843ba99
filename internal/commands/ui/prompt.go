package ui

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrNobody says that a question could not be asked because nobody is there to
// answer it.
var ErrNobody = errors.New("nobody is at the terminal to answer")

// CanAsk reports whether a question can be asked and answered.
func (s *Streams) CanAsk() bool { return s.InTTY && s.ErrTTY }

// Ask puts a question and returns the line that was typed, or the preset if the line
// is empty. It returns ErrNobody where there is no terminal.
func (s *Streams) Ask(question, preset string) (string, error) {
	if !s.CanAsk() {
		return "", ErrNobody
	}
	st := s.errStyles()
	s.tell(st.bold.Render(question))
	if preset != "" {
		s.tell(st.faint.Render(" [" + preset + "]"))
	}
	s.tell(" ")
	line, err := s.line()
	if err != nil {
		return "", err
	}
	if line == "" {
		line = preset
	}
	return line, nil
}

// Confirm asks a question that yes answers. Anything else is no.
func (s *Streams) Confirm(question string) (bool, error) {
	line, err := s.Ask(question+" Type yes to go on:", "")
	if err != nil {
		return false, err
	}
	line = strings.ToLower(line)
	return line == "yes" || line == "y", nil
}

// ConfirmCount asks a question that only the number answers.
func (s *Streams) ConfirmCount(question string, count int) (bool, error) {
	line, err := s.Ask(fmt.Sprintf("%s Type the number %d to go on:", question, count), "")
	if err != nil {
		return false, err
	}
	return line == strconv.Itoa(count), nil
}

// line reads one line. The reader is kept: it may hold the lines after it.
func (s *Streams) line() (string, error) {
	if s.reader == nil {
		s.reader = bufio.NewReader(s.In)
	}
	line, err := s.reader.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}
