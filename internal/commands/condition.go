package commands

import (
	"fmt"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/crmsync/crmsync/internal/commands/ui"
)

// condition is an expression over the fields of what is listed, under their names.
type condition[T any] struct {
	program *vm.Program
	fields  []ui.Field[T]
}

// compile compiles an expression. ago("48h") is the time so long before now.
func compile[T any](text string, now time.Time, fields []ui.Field[T]) (*condition[T], error) {
	c := &condition[T]{fields: fields}
	var none T
	var err error
	c.program, err = expr.Compile(text,
		expr.Env(c.values(none)),
		expr.AsBool(),
		expr.Function("ago", func(args ...any) (any, error) {
			d, err := time.ParseDuration(args[0].(string))
			if err != nil {
				return nil, fmt.Errorf("ago: %w", err)
			}
			return now.Add(-d), nil
		}, new(func(string) time.Time)),
	)
	return c, err
}

// holds tells whether a thing meets the condition.
func (c *condition[T]) holds(thing T) (bool, error) {
	yes, err := expr.Run(c.program, c.values(thing))
	return yes == true, err
}

func (c *condition[T]) values(thing T) map[string]any {
	values := make(map[string]any, len(c.fields))
	for _, f := range c.fields {
		values[f.Name] = f.Of(thing)
	}
	return values
}
