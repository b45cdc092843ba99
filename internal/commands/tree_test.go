package commands

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// walk calls visit for every command that a person can run.
func walk(t *testing.T, visit func(t *testing.T, cmd *cobra.Command)) {
	t.Helper()
	var descend func(cmd *cobra.Command)
	descend = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			descend(c)
		}
		if cmd.Name() != "help" && !slices.Contains(topicNames(), cmd.Name()) {
			t.Run(strings.ReplaceAll(cmd.CommandPath(), " ", "_"), func(t *testing.T) { visit(t, cmd) })
		}
	}
	descend(newRoot(newBench(nil).App))
}

func isVerb(cmd *cobra.Command) bool { return !cmd.HasSubCommands() }

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	walk(t, func(t *testing.T, cmd *cobra.Command) {
		switch {
		case cmd.Short == "":
			t.Error("no Short")
		case strings.HasSuffix(cmd.Short, "."):
			t.Errorf("Short ends in a full stop: %q", cmd.Short)
		case !isVerb(cmd):
			return
		case cmd.Example == "":
			t.Error("no Example")
		case !strings.Contains(cmd.Example, cmd.CommandPath()):
			t.Errorf("the Example does not show %q", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long) {
			if len([]rune(strings.TrimRight(line, "\n"))) > 100 {
				t.Errorf("a line of Long is too long: %q", line)
			}
		}
	})
}

// Every example line parses: its command exists and has its flags.
func TestExamplesParse(t *testing.T) {
	t.Parallel()
	root := newRoot(newBench(nil).App)
	walk(t, func(t *testing.T, cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			for part := range strings.SplitSeq(line, "|") {
				words := strings.Fields(part)
				if len(words) == 0 || words[0] != "crmsync" {
					continue
				}
				found, rest, err := root.Find(words[1:])
				if err != nil {
					t.Errorf("%q: %v", line, err)
					continue
				}
				for _, word := range rest {
					name, ok := strings.CutPrefix(word, "--")
					if !ok {
						continue
					}
					name, _, _ = strings.Cut(name, "=")
					if found.Flags().Lookup(name) == nil && found.InheritedFlags().Lookup(name) == nil {
						t.Errorf("%q: %s has no flag --%s", strings.TrimSpace(line), found.CommandPath(), name)
					}
				}
			}
		}
	})
}

// Parsing merges the flags of a command with the global ones and panics on a clash.
func TestNoFlagsClash(t *testing.T) {
	t.Parallel()
	walk(t, func(t *testing.T, cmd *cobra.Command) {
		if err := cmd.ParseFlags(nil); err != nil {
			t.Error(err)
		}
		inherited := cmd.InheritedFlags()
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if cmd.HasParent() && inherited.Lookup(f.Name) != nil {
				t.Errorf("--%s hides the global flag", f.Name)
			}
			if f.Usage == "" {
				t.Errorf("--%s has no usage", f.Name)
			}
		})
	})
}

// A noun can be typed in the singular and in the plural.
func TestNounsHaveBothNumbers(t *testing.T) {
	t.Parallel()
	root := newRoot(newBench(nil).App)
	for _, pair := range [][2]string{
		{"user", "users"}, {"org", "orgs"}, {"session", "sessions"}, {"issue", "issues"}, {"activity", "activities"},
		{"conflict", "conflicts"}, {"item", "items"}, {"setting", "settings"}, {"duplicate", "duplicates"}, {"connection", "connections"}, {"mailbox", "mailboxes"}, {"addin", "addins"}, {"check", "checks"},
	} {
		one, _, err := root.Find([]string{pair[0]})
		if err != nil {
			t.Error(err)
			continue
		}
		many, _, err := root.Find([]string{pair[1]})
		if err != nil || one != many {
			t.Errorf("%s and %s are not the same command", pair[0], pair[1])
		}
	}
}

// reads are the verbs that write nothing that --dry-run could spare.
var reads = []string{
	"list", "show", "log", "explain", "find", "status", "plan", "queue", "version", "completion", "demo", "start", "stop",
	"settings", "crm", "mailbox", "addin", "all", "scope",
}

func TestEveryWritingVerbHasADryRun(t *testing.T) {
	t.Parallel()
	walk(t, func(t *testing.T, cmd *cobra.Command) {
		if !isVerb(cmd) || slices.Contains(reads, cmd.Name()) {
			return
		}
		if cmd.Flags().Lookup("dry-run") == nil {
			t.Error("no --dry-run")
		}
	})
}

func TestUsageMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want string
	}{
		{"bogus", `there is no command "crmsync bogus"`},
		{"sync rum", "did you mean run?"},
		{"sync run --bad", "unknown flag: --bad"},
		{"sync run --parallel 0", "--parallel must be at least 1"},
		{"sync run --max-failures 0", "--max-failures"},
		{"sync run --max-failures 101%", "--max-failures"},
		{"sync run --stale 2", "--stale"},
		{"sync plan --all ann@example.com", "--all and named users exclude each other"},
		{"sync plan --all --sync suspended:hunger", "--sync"},
		{"sync plan --all --mailbox open", "--mailbox"},
		{"sync plan --column user", "--column needs --from"},
		{"sync plan --all --where email+", "--where"},
		{"sync plan --all --where emial=='x'", "emial"},
		{"sync plan --all -o jsno", `there is no format "jsno"`},
		{"sync plan --all --fields user,colour", `there is no field "colour"`},
		{"sync plan --all --jq .[", "--jq"},
		{"sync plan --all --template {{.user", "--template"},
		{"sync plan --all --jq . --template {{.user}}", "exclude each other"},
		{"sessions show x", `"x" is not a number`},
		{"sessions show", "accepts 1 arg"},
		{"completion tcsh", "tcsh"},
		{"sandbox edit --crm", "name the contact"},
		{"sandbox list", "crm"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			if status := b.run(t, strings.Fields(tt.args)...); status != exitUsage {
				t.Errorf("exit status %d, want %d", status, exitUsage)
			}
			if got := b.err.String(); !strings.Contains(got, tt.want) || !strings.HasPrefix(got, "error[CS1001]: ") {
				t.Errorf("stderr is:\n%s\nwant it to contain %q", got, tt.want)
			}
			if b.out.Len() > 0 {
				t.Errorf("stdout is not empty:\n%s", b.out)
			}
		})
	}
}
