package commands

import "testing"

// The limit of a list is one of rows.
func TestLimitOfAListIsOfRows(t *testing.T) {
	t.Parallel()
	h := newHouse(t).settle()
	h.run(exitOK, "sync", "enable", "--all")
	h.run(exitOK, "sync", "run")
	for _, args := range [][]string{{"--limit", "1"}, {"--all", "--limit", "1"}, {"--org", "EMEA", "--limit", "1"}} {
		out, _ := h.run(exitOK, append([]string{"sessions", "list", "--fields", "session"}, args...)...)
		if out != "session\n2\n" {
			t.Errorf("%v prints %q, want the newest session alone", args, out)
		}
	}
}
