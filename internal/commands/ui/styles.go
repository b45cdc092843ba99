package ui

import "github.com/charmbracelet/lipgloss"

// styles are the few ways in which text may look: the sixteen colours that every
// terminal theme has made readable.
type styles struct {
	bold, faint, good, warn, bad, heading lipgloss.Style
}

func newStyles(r *lipgloss.Renderer) styles {
	plain := r.NewStyle().TabWidth(lipgloss.NoTabConversion)
	return styles{
		bold:    plain.Bold(true),
		faint:   plain.Faint(true),
		good:    plain.Foreground(lipgloss.Color("2")),
		warn:    plain.Foreground(lipgloss.Color("3")),
		bad:     plain.Foreground(lipgloss.Color("1")),
		heading: plain.Bold(true).Foreground(lipgloss.Color("6")),
	}
}

// word colours the words that states and results are named by. A word that is not
// here stays as it is.
func (s styles) word(w string) string {
	switch w {
	case "done", "active", "enabled", "initialized", "installed", "pass", "ok", "yes", "create", "in-sync":
		return s.good.Render(w)
	case "failed", "refused", "suspended", "delete", "parked", "fail", "failing", "disabled org":
		return s.bad.Render(w)
	case "skipped", "interrupted", "requested", "resetting", "update", "open", "warn", "hold", "held":
		return s.warn.Render(w)
	case "unchanged", "disabled", "not started", "not-initialized", "unknown", "removed", "info", "no", "never", "settle", "excluded", "ended":
		return s.faint.Render(w)
	}
	return w
}
