package settings

import (
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Rules are the settings of one entity, as the engine uses them.
type Rules struct {
	Enabled     bool
	Direction   mapping.Direction
	CreateInCRM bool
	// InitialLimit is how many records of the CRM a first sync brings into the mailbox.
	InitialLimit       int
	DeletesFromMailbox reconcile.DeletePolicy
	Guard              reconcile.Limits
	// Conflict is whose value stays; Fields has what is set for single fields.
	Conflict reconcile.Winner
	Fields   map[record.Field]reconcile.Winner
}

// Rules returns the settings of an entity. It is an error if a value that is set is none
// of those that its key allows: a state that something else has written.
func (v Values) Rules(e record.Entity) (Rules, error) {
	var err error
	get := func(name string) string {
		text, bad := v.valid(name)
		if err == nil {
			err = bad
		}
		return text
	}
	r := Rules{
		Enabled:            get(of(e, enabled)) == "true",
		Direction:          mapping.Direction(get(of(e, way))),
		CreateInCRM:        get(of(e, createInCRM)) == "true",
		DeletesFromMailbox: reconcile.DeletePolicy(get(of(e, fromMailbox))),
		Conflict:           reconcile.Winner(get(of(e, conflict))),
		Fields:             map[record.Field]reconcile.Winner{},
	}
	r.InitialLimit, _ = parseAmount(get(of(e, initialLimit)))
	r.Guard, _ = parseLimits(get(of(e, guardLimits)))
	for _, s := range record.Specs(e) {
		if name := ofField(e, s.Field); v.book.set[name] {
			r.Fields[s.Field] = reconcile.Winner(get(name))
		}
	}
	if err != nil {
		return Rules{}, err
	}
	return r, nil
}

// valid returns the value of a key as text that its kind can read.
func (v Values) valid(name string) (string, error) {
	got := v.Get(byName[name])
	text, err := Parse(name, got.Text)
	if err != nil {
		return "", fmt.Errorf("a setting (level %s) cannot be used: %w", got.Origin.Level, err)
	}
	return text, nil
}
