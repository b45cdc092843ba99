package engine

import (
	"fmt"
	"slices"
	"strings"
)

// Kept is a user's plan that somebody has kept, to be carried out as it is or not at
// all.
type Kept struct {
	// Accounts is UserPlan.Accounts as it was.
	Accounts string
	Steps    []Step
}

// How a plan differs from one that was kept.
const (
	DiffNew     = "new"
	DiffChanged = "changed"
	DiffGone    = "no longer wanted"
)

// Difference is one thing in which a plan differs from the one that was kept.
type Difference struct {
	// What is one of the words above.
	What string
	// Step is the one of now; for DiffGone, the one that was kept.
	Step Step
}

func (d Difference) String() string { return d.What + ": " + d.Step.String() }

// Differences tells in what a plan differs from one that was kept: first what is no
// longer wanted or has changed, in the order of the plan that was kept, then what is
// new. The order of the steps alone is no difference.
func Differences(kept, now []Step) []Difference {
	left := map[subject][]Step{} // of now, what nothing was matched with yet
	for _, s := range now {
		left[s.subject()] = append(left[s.subject()], s)
	}
	// take matches a step with one of now about the same thing: the same one if it is
	// there.
	take := func(s Step) (Step, bool) {
		rest := left[s.subject()]
		if len(rest) == 0 {
			return Step{}, false
		}
		i := max(slices.IndexFunc(rest, func(n Step) bool { return n.Digest == s.Digest }), 0)
		n := rest[i]
		left[s.subject()] = slices.Delete(rest, i, i+1)
		return n, true
	}
	var out []Difference
	for _, s := range kept {
		switch n, ok := take(s); {
		case !ok:
			out = append(out, Difference{DiffGone, s})
		case n.Digest != s.Digest:
			out = append(out, Difference{DiffChanged, n})
		}
	}
	for _, s := range now {
		if rest := left[s.subject()]; len(rest) > 0 {
			out = append(out, Difference{DiffNew, rest[0]})
			left[s.subject()] = rest[1:]
		}
	}
	return out
}

// since compares the plan with one that was kept. The fault says in short what is
// different, without the names of records; it is nil if nothing is.
func (p UserPlan) since(k Kept) ([]Difference, *Fault) {
	if p.Accounts != k.Accounts {
		return nil, &Fault{Code: CodePlanChanged, Doing: "the user has other accounts, or is in another organization, than when the plan was made"}
	}
	steps := p.Steps()
	diffs := Differences(k.Steps, steps)
	switch {
	case len(diffs) == 0:
		return nil, nil
	case len(steps) == 0:
		return diffs, &Fault{Code: CodePlanChanged, Doing: "nothing is left to do of this plan: it was carried out, or is no longer wanted"}
	}
	n := map[string]int{}
	for _, d := range diffs {
		n[d.What]++
	}
	var parts []string
	for _, what := range []string{DiffNew, DiffChanged, DiffGone} {
		if n[what] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[what], what))
		}
	}
	doing := "the world has changed since the plan was made: " + strings.Join(parts, ", ")
	if p.Unsettled > 0 {
		doing += fmt.Sprintf("; %d writes of an earlier cycle had no clear answer", p.Unsettled)
	}
	return diffs, &Fault{Code: CodePlanChanged, Doing: doing}
}
