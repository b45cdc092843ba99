package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Key is one thing that can be set.
type Key struct {
	Name string
	// BuiltIn is the value where nobody has set one; empty for a key that inherits.
	BuiltIn string
	// Inherits names the key whose value counts where this one is not set.
	Inherits string
	Meaning  string
	kind
}

// kind is a type of values.
type kind struct {
	// Allowed says in words what a value may be; Values lists them all where that can be
	// done.
	Allowed string
	Values  []string
	// canonical returns a value in the one form in which it is kept.
	canonical func(text string) (string, bool)
}

// oneOf is the kind of a word out of a few.
func oneOf[T ~string](words ...T) kind {
	k := kind{canonical: func(text string) (string, bool) { return text, slices.Contains(words, T(text)) }}
	for _, w := range words {
		k.Values = append(k.Values, string(w))
	}
	last := len(words) - 1
	k.Allowed = strings.Join(k.Values[:last], ", ") + " or " + k.Values[last]
	return k
}

var (
	truth     = oneOf("true", "false")
	direction = oneOf(mapping.Both, mapping.ToMailbox, mapping.ToCRM)
	winner    = oneOf(reconcile.CRMWins, reconcile.MailboxWins, reconcile.NewestWins, reconcile.Hold)
	deletes   = oneOf(reconcile.Unlink, reconcile.Propagate, reconcile.Recreate)
	amount    = kind{
		Allowed: fmt.Sprintf("a whole number from 1 to %d", maxAmount),
		canonical: func(text string) (string, bool) {
			n, ok := parseAmount(text)
			return strconv.Itoa(n), ok
		},
	}
	guard = kind{
		Allowed: `a floor, a percentage and a ceiling, such as "10 5% 250"`,
		canonical: func(text string) (string, bool) {
			l, ok := parseLimits(text)
			return limitsText(l), ok
		},
	}
)

const maxAmount = 1_000_000

func parseAmount(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= maxAmount
}

// parseLimits reads a floor, a percentage and a ceiling.
func parseLimits(text string) (l reconcile.Limits, ok bool) {
	parts := strings.Fields(strings.ReplaceAll(text, ",", " "))
	if len(parts) != 3 {
		return l, false
	}
	percent, marked := strings.CutSuffix(parts[1], "%")
	var errs [3]error
	l.Floor, errs[0] = strconv.Atoi(parts[0])
	l.Percent, errs[1] = strconv.ParseFloat(percent, 64)
	l.Ceiling, errs[2] = strconv.Atoi(parts[2])
	ok = marked && errs == [3]error{} && l.Floor >= 0 && l.Ceiling >= 0 &&
		l.Percent >= 0 && l.Percent <= 100 // which no NaN is
	return l, ok
}

func limitsText(l reconcile.Limits) string {
	return fmt.Sprintf("%d %s%% %d", l.Floor, strconv.FormatFloat(l.Percent, 'f', -1, 64), l.Ceiling)
}

// The names of the keys of an entity, after the entity and a dot.
const (
	enabled      = "enabled"
	way          = "direction"
	createInCRM  = "create_in_crm"
	initialLimit = "initial_limit"
	conflict     = "conflict"
	fromMailbox  = "deletes.from_mailbox"
	guardLimits  = "guard"
)

// Entities are those that have settings: the ones that are synchronized.
var Entities = []record.Entity{record.Contacts}

// later are entities that have no settings yet.
var later = []record.Entity{record.Events, record.Tasks, record.Emails}

// Enabled returns the key that switches an entity on and off.
func Enabled(e record.Entity) string { return of(e, enabled) }

// CreateInCRM returns the key that allows records born in a mailbox to be created in the
// CRM.
func CreateInCRM(e record.Entity) string { return of(e, createInCRM) }

func of(e record.Entity, name string) string { return string(e) + "." + name }

func ofField(e record.Entity, f record.Field) string { return of(e, conflict) + "." + string(f) }

// keys are all there are, in the order in which a person reads them.
var keys = func() []Key {
	var all []Key
	for _, e := range Entities {
		all = append(all,
			Key{Name: of(e, enabled), BuiltIn: "true", kind: truth,
				Meaning: string(e) + " are synchronized; switching them off removes nothing"},
			Key{Name: of(e, way), BuiltIn: string(mapping.Both), kind: direction,
				Meaning: "which side is written: both, only the mailbox or only the CRM"},
			Key{Name: of(e, createInCRM), BuiltIn: "false", kind: truth,
				Meaning: "records born in the mailbox may be created in the CRM"},
			Key{Name: of(e, initialLimit), BuiltIn: "10000", kind: amount,
				Meaning: "how many records of the CRM a first sync brings into the mailbox, the most recently modified first; it counts before the first sync"},
			Key{Name: of(e, fromMailbox), BuiltIn: string(reconcile.Unlink), kind: deletes,
				Meaning: "what a delete in the mailbox does: unlink keeps the CRM's record, propagate deletes it, recreate makes the mailbox's copy again"},
			Key{Name: of(e, guardLimits), BuiltIn: limitsText(reconcile.DefaultLimits(e)), kind: guard,
				Meaning: "how many deletes of a user's cycle are held: more than the floor, and more than the percentage of the links or the ceiling"},
			Key{Name: of(e, conflict), BuiltIn: string(reconcile.CRMWins), kind: winner,
				Meaning: "whose value stays where both sides changed a field differently; newest is the CRM's within a minute, hold writes neither"},
		)
		for _, s := range record.Specs(e) {
			all = append(all, Key{Name: ofField(e, s.Field), Inherits: of(e, conflict), kind: winner,
				Meaning: "the same for one field"})
		}
	}
	return all
}()

var byName = func() map[string]Key {
	m := make(map[string]Key, len(keys))
	for _, k := range keys {
		m[k.Name] = k
	}
	return m
}()

// Keys returns all keys, in the order in which a person reads them.
func Keys() []Key { return slices.Clone(keys) }

// Find returns the key of a name, or an error that says why there is none.
func Find(name string) (Key, error) {
	if k, ok := byName[name]; ok {
		return k, nil
	}
	for _, e := range later {
		if strings.HasPrefix(name, string(e)+".") {
			return Key{}, fmt.Errorf("%s cannot be set: %s are not synchronized yet", name, e)
		}
	}
	for _, e := range Entities {
		if field, ok := strings.CutPrefix(name, of(e, conflict)+"."); ok {
			return Key{}, fmt.Errorf("%s cannot be set: %s have no field %q; the fields are %s", name, e, field, fieldNames(e))
		}
	}
	return Key{}, fmt.Errorf("there is no setting %q", name)
}

func fieldNames(e record.Entity) string {
	var names []string
	for _, s := range record.Specs(e) {
		names = append(names, string(s.Field))
	}
	return strings.Join(names, ", ")
}

// Parse returns a value for the key of a name in the one form in which it is kept, or an
// error that says what is allowed.
func Parse(name, text string) (string, error) {
	k, err := Find(name)
	if err != nil {
		return "", err
	}
	value, ok := k.canonical(strings.TrimSpace(text))
	if !ok {
		return "", fmt.Errorf("%s cannot be %q: it is %s", name, text, k.Allowed)
	}
	return value, nil
}
