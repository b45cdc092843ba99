package ui

import (
	"testing"
	"time"
)

// A table for a person has no JSON in its cells.
func TestMapsAreShownAsText(t *testing.T) {
	t.Parallel()
	if got := shown(map[string]string{"Title": "Owner", "Phone": "+1 555"}, now, time.UTC); got != "Phone=+1 555, Title=Owner" {
		t.Errorf("shown as %q", got)
	}
}
