package ui

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestFailureHasItsLines(t *testing.T) {
	t.Parallel()
	s, out, errs := pair()
	s.Fail(Failure{
		Code: "CS1", Text: "ann@example.com: mailbox refused\naccess (403)", Why: "no permission", Do: "give it", Command: "crmsync check all ann@example.com",
	})
	want := `error[CS1]: ann@example.com: mailbox refused access (403)
  why: no permission
  do:  give it
  try: crmsync check all ann@example.com
`
	if errs.String() != want || out.Len() > 0 {
		t.Errorf("stderr:\n%s\nwant:\n%s\nstdout: %q", errs, want, out)
	}
}

func TestQuietAndVerbose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		quiet, verbose bool
		want           string
	}{
		{false, false, "note: n\n"}, {false, true, "note: n\nd\n"}, {true, false, ""}, {true, true, ""},
	} {
		s, _, errs := pair()
		s.Quiet, s.Verbose = tt.quiet, tt.verbose
		s.Notice("n")
		s.Detail("d")
		if errs.String() != tt.want {
			t.Errorf("%+v: %q", tt, errs)
		}
	}
}

// NO_COLOR wins over CLICOLOR_FORCE; without a terminal there is no colour unless it
// is forced.
func TestColourByEnvironment(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false},
	} {
		s := System(file, file, file, func(name string) string { return tt.env[name] })
		if s.OutColor != tt.want || s.ErrColor != tt.want || s.OutTTY || s.InTTY {
			t.Errorf("%v: %+v", tt.env, s)
		}
	}
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	s, _, errs := pair()
	if _, err := s.Confirm("Go?"); !errors.Is(err, ErrNobody) || errs.Len() > 0 {
		t.Errorf("without a terminal: %v, %q", err, errs)
	}
	s.InTTY, s.ErrTTY = true, true
	s.In = strings.NewReader("YES\n3\n\nlast")
	if yes, err := s.Confirm("Go?"); !yes || err != nil {
		t.Error("YES is not yes", err)
	}
	if yes, err := s.ConfirmCount("Go?", 3); !yes || err != nil {
		t.Error("3 is not 3", err)
	}
	if answer, err := s.Ask("Name?", "preset"); answer != "preset" || err != nil {
		t.Error("an empty line is not the preset", answer, err)
	}
	if answer, err := s.Ask("Name?", ""); answer != "last" || err != nil {
		t.Error("a line without its end is lost", answer, err)
	}
	if answer, err := s.Ask("Name?", "preset"); answer != "preset" || err != nil {
		t.Error("the end of the input is not the preset", answer, err)
	}
}
