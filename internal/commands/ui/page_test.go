package ui

import "testing"

// A reason goes on over lines; a command stays whole.
func TestPageEntry(t *testing.T) {
	t.Parallel()
	s, out, _ := pair()
	s.Width = 30
	p := s.Page()
	p.Entry("ann@example.com", "active", "the first cycle failed: CS2204 no answer", "crmsync check all ann@example.com")
	p.Entry("bob@example.com", "disabled", "", "crmsync sync enable bob@example.com")
	want := `ann@example.com  active: the
  first cycle failed: CS2204
  no answer
    crmsync check all ann@example.com
bob@example.com  disabled
    crmsync sync enable bob@example.com
`
	if p.Err() != nil || out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}
