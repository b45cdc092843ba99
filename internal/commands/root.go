package commands

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crmsync/crmsync/internal/commands/config"
)

// globalOptions are the flags that every command has.
type globalOptions struct {
	config  string
	profile string
	state   string
	as      string
	noColor bool
	quiet   bool
	verbose bool
	flags   *pflag.FlagSet
}

func (o *globalOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.config, "config", "", "configuration `FILE` (default $XDG_CONFIG_HOME/crmsync/config.yaml)")
	fs.StringVar(&o.profile, "profile", "", "`NAME` of the profile in the configuration to use")
	fs.StringVar(&o.state, "state", "", "state `FILE` (default $XDG_STATE_HOME/crmsync/state.db)")
	fs.StringVar(&o.as, "as", "", "`NAME` to write into the audit instead of the operating system's user")
	fs.BoolVar(&o.noColor, "no-color", false, "no colour")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "no notices and no progress")
	fs.BoolVarP(&o.verbose, "verbose", "v", false, "more detail on standard error")
	o.flags = fs
}

// source is where the configuration comes from, the flags that were given included.
func (o *globalOptions) source(getenv func(string) string) config.Source {
	set := map[string]string{}
	for _, name := range []string{"state", "as"} {
		if f := o.flags.Lookup(name); f != nil && f.Changed {
			set[name] = f.Value.String()
		}
	}
	return config.Source{File: o.config, Profile: o.profile, Flags: set, Getenv: getenv}
}

// The groups of commands in the help.
const (
	groupStart = "start"
	groupSync  = "sync"
	groupAdmin = "admin"
)

// newRoot makes the tree of commands.
func newRoot(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "crmsync",
		Short: "Keep a CRM and Microsoft 365 mailboxes in step",
		Long: `crmsync keeps the contacts of a CRM and of Microsoft 365 mailboxes in step, both ways.

New here? "crmsync demo" shows the whole product in ten seconds, with nothing to set up.`,
		Example: `  crmsync demo
  crmsync status
  crmsync sync plan ann@example.com
  crmsync sync run`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              cobra.ArbitraryArgs,
		RunE:              chooseVerb,
		PersistentPreRun: func(*cobra.Command, []string) {
			app.Quiet, app.Verbose = app.global.quiet, app.global.verbose
			if app.global.noColor {
				app.NoColor()
			}
		},
	}
	app.global.addFlags(cmd.PersistentFlags())
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(c, "%v", err)
	})
	cmd.AddGroup(
		&cobra.Group{ID: groupStart, Title: "To begin with:"},
		&cobra.Group{ID: groupSync, Title: "Synchronize and see:"},
		&cobra.Group{ID: groupAdmin, Title: "Administer:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			cmd.AddCommand(c)
		}
	}
	add(groupStart, newDemo(app, nil), newSandbox(app), newStatus(app, nil))
	add(groupSync, newSync(app), newSessions(app), newIssues(app), newItems(app), newDuplicates(app),
		newConflicts(app), newDeletes(app), newUndo(app, nil), newActivity(app))
	add(groupAdmin, administration(app)...)
	cmd.AddCommand(newVersion(app, nil), newCompletion(app, nil))
	cmd.AddCommand(helpTopics()...)
	cmd.CompletionOptions.DisableDefaultCmd = true
	return cmd
}

// newNoun makes a command that only holds verbs. use is the noun in its first
// spelling; alias the other number of it.
func newNoun(use, alias, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE:  chooseVerb,
	}
	if alias != "" {
		cmd.Aliases = []string{alias}
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// chooseVerb is what a noun does by itself: it shows its verbs, and refuses a verb that
// it does not have.
func chooseVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	cmd.SuggestionsMinimumDistance = 2
	e := usage(cmd, "there is no command %q", strings.TrimSpace(cmd.CommandPath()+" "+args[0]))
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		e.Do = "did you mean " + strings.Join(near, " or ") + "?"
		e.Command = fmt.Sprintf("%s %s --help", cmd.CommandPath(), near[0])
	}
	return e
}
