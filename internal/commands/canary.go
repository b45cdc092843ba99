package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crmsync/crmsync/internal/sync/engine"
)

// canaryOptions let a few users go first.
type canaryOptions struct {
	canary int
	// goOn is the command line that runs those who were not begun.
	goOn string
}

func (o *canaryOptions) addFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.canary, "canary", 0, "run the first `N` users, and the others only if all of those end well")
}

func (o *canaryOptions) check(cmd *cobra.Command, args []string) error {
	if o.canary < 0 {
		return usage(cmd, "--canary must not be negative")
	}
	o.goOn = typed(cmd, args, "canary")
	return nil
}

// stoppedByCanary tells whether users were not begun because of those who went first.
func stoppedByCanary(sessions []engine.Session) bool {
	return slices.ContainsFunc(sessions, func(s engine.Session) bool { return s.Code == engine.CodeCanary })
}

// tell says on standard error that the others were not begun, why, and how to go on.
func (o *canaryOptions) tell(app *App, sessions []engine.Session) {
	waiting, why := 0, ""
	for _, s := range sessions {
		if s.Code == engine.CodeCanary {
			waiting, why = waiting+1, s.Message
		}
	}
	if waiting > 0 {
		app.Notice("%s not started, because %s; to run the others as well: %s", count(waiting, "user"), why, o.goOn)
	}
}

// typed returns the command line as it was typed, without a flag.
func typed(cmd *cobra.Command, args []string, without string) string {
	words := append([]string{cmd.CommandPath()}, args...)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		switch {
		case f.Name == without:
		case f.Value.Type() == "bool" && value == "true":
			words = append(words, "--"+f.Name)
		default:
			words = append(words, "--"+f.Name, quoted(value))
		}
	})
	return strings.Join(words, " ")
}

// quoted makes a value one word of a command line.
func quoted(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n\"'`$&|;<>()*?[]{}~#!\\") {
		return s
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(s, "'", `'\''`))
}
