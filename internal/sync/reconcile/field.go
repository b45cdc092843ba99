package reconcile

import (
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// field is how one field travels, with what the record knows of it.
type field struct {
	FieldPolicy
	list bool
}

func fieldsOf(p Policy) []field {
	fs := make([]field, len(p.Fields))
	for i, f := range p.Fields {
		if f.Conflict == "" {
			f.Conflict = p.Conflict
		}
		fs[i] = field{FieldPolicy: f, list: record.SpecOf(f.Field).List}
	}
	return fs
}

// fit returns the part of v that a side can hold.
func (f field) fit(side int, v record.Value) record.Value {
	if len(v) == 0 {
		return nil
	}
	return f.Fit(sides[side], v)
}

// to reports whether the field may be written to a side.
func (f field) to(side int) bool { return f.To(sides[side]) }

// both reports whether the field travels both ways.
func (f field) both() bool { return f.ToCRM && f.ToMailbox }

// same reports whether two fields hold the same elements, in whatever order.
func same(a, b []record.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for _, h := range a {
		if !slices.Contains(b, h) {
			return false
		}
	}
	return true
}

// fitted returns what a side holds of another side's value, with its hashes.
func (p *planner) fitted(f field, side int, v record.Value, h []record.Hash) (record.Value, []record.Hash) {
	t := f.fit(side, v)
	if slices.Equal(t, v) {
		return t, h
	}
	return t, p.in.Hasher.Value(f.Field, t)
}

// Changed reports whether what an item holds now differs from a base in a field that
// travels.
func (p Policy) Changed(now, base record.Hashes) bool {
	return slices.ContainsFunc(p.Fields, func(f FieldPolicy) bool { return !same(now[f.Field], base[f.Field]) })
}

// overlay returns base with the moved fields in place; what moved to empty is left out.
func overlay(base, move record.Hashes) record.Hashes {
	out := make(record.Hashes, len(base)+len(move))
	for f, h := range base {
		out[f] = h
	}
	for f, h := range move {
		if len(h) == 0 {
			delete(out, f)
		} else {
			out[f] = h
		}
	}
	return out
}
