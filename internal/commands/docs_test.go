package commands

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crmsync/crmsync/internal/sync/settings"
)

var update = flag.Bool("update", false, "write the generated pages of the documentation")

// The pages that follow from the program are what the program says. Write them anew
// with: go test ./internal/commands -run TestDocs -update
func TestDocs(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"commands.md":   commandsPage(),
		"errors.md":     errorsPage(),
		"exit-codes.md": exitCodesPage(),
		"settings.md":   settingsPage(),
	} {
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ReplaceAll(string(have), "\r\n", "\n") != text {
			t.Errorf("docs/%s is not what the program says: run go test ./internal/commands -run TestDocs -update", name)
		}
	}
}

const generated = "<!-- Generated: go test ./internal/commands -run TestDocs -update -->\n\n"

func commandsPage() string {
	root := newRoot(newBench(nil).App)
	var b strings.Builder
	b.WriteString("# Commands\n\n" + generated)
	b.WriteString(root.Long + "\n\n")
	b.WriteString("These flags are of every command:\n\n```\n" + flagUsages(root.PersistentFlags()) + "```\n\n")
	var toc, body strings.Builder
	var descend func(cmd *cobra.Command)
	descend = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.Name() == "help" || slices.Contains(topicNames(), c.Name()) {
				continue
			}
			if c.HasSubCommands() {
				descend(c)
				continue
			}
			path := strings.TrimPrefix(c.CommandPath(), "crmsync ")
			fmt.Fprintf(&toc, "- [%s](#%s): %s\n", path, strings.ReplaceAll(path, " ", "-"), c.Short)
			fmt.Fprintf(&body, "## %s\n\n%s.\n\n", path, c.Short)
			if c.Long != "" {
				body.WriteString(c.Long + "\n\n")
			}
			body.WriteString("```\n" + c.UseLine() + "\n```\n\n```sh\n" + unindent(c.Example) + "\n```\n\n")
			if usages := flagUsages(c.LocalNonPersistentFlags()); usages != "" {
				body.WriteString("```\n" + usages + "```\n\n")
			}
		}
	}
	descend(root)
	b.WriteString(toc.String() + "\n" + body.String())
	for _, topic := range helpTopics() {
		fmt.Fprintf(&b, "## help %s\n\n%s.\n\n```\n%s\n```\n\n", topic.Name(), topic.Short, topic.Long)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// flagUsages are the flags but --help, which every command has.
func flagUsages(fs *pflag.FlagSet) string {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			shown.AddFlag(f)
		}
	})
	return shown.FlagUsages()
}

func unindent(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, "  ")
	}
	return strings.Join(lines, "\n")
}

func errorsPage() string {
	var b strings.Builder
	b.WriteString("# Errors\n\n" + generated)
	b.WriteString(`An error is a line that says what, followed by why, what to do, and a command:

` + "```" + `
error[CS2202]: ann@example.com: mailbox refused access (403 ErrorAccessDenied)
  why: the application has no permission for this user, or the user is gone or has no license
  do:  give the permission or the license; the user resumes by itself
  try: crmsync check all ann@example.com
` + "```" + `

A code never changes its meaning. CS1 are of the command line, CS2 of a cycle and its
records, CS3 of administration. The status is that of a command which ends with the error;
a command on many users prints a row for each instead (see [exit-codes.md](exit-codes.md)).

| code | meaning | status | why | what to do |
|---|---|---|---|---|
`)
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		c := codes[code]
		do := c.do
		if c.command != "" {
			if do != "" {
				do += ": "
			}
			do += "`" + c.command + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s |\n", code, c.title, c.exit, c.why, do)
	}
	return b.String()
}

func exitCodesPage() string {
	var b strings.Builder
	b.WriteString("# Exit codes\n\n" + generated)
	b.WriteString("| status | meaning |\n|---|---|\n")
	for _, m := range exitMeanings {
		fmt.Fprintf(&b, "| %d | %s |\n", m.status, m.meaning)
	}
	text := exitCodesText()
	b.WriteString("\n" + strings.TrimSpace(text[strings.Index(text, "A command on many"):]) + "\n")
	return b.String()
}

func settingsPage() string {
	var b strings.Builder
	b.WriteString("# Settings\n\n" + generated)
	b.WriteString("`crmsync settings set KEY VALUE` sets a value for everybody, with `--org NAME` for an organization,\n" +
		"or for the users that are selected. The narrowest counts: a user's own value, then his\n" +
		"organization's, then everybody's, then the built-in one. `crmsync settings show --origin` says which\n" +
		"that is. A change takes effect at the next cycle of each user.\n\n" +
		"| key | built in | allowed | meaning |\n|---|---|---|---|\n")
	fields := map[string][]string{}
	for _, k := range settings.Keys() {
		if k.Inherits == "" {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", k.Name, k.BuiltIn, k.Allowed, k.Meaning)
			continue
		}
		if fields[k.Inherits] == nil {
			fmt.Fprintf(&b, "| `%s.FIELD` | that of `%s` | %s | %s |\n", k.Inherits, k.Inherits, k.Allowed, k.Meaning)
		}
		fields[k.Inherits] = append(fields[k.Inherits], "`"+strings.TrimPrefix(k.Name, k.Inherits+".")+"`")
	}
	b.WriteString("\nA key of one field counts before that of the entity, at whatever levels the two are set.\n")
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		b.WriteString("The fields of `" + key + "`: " + strings.Join(fields[key], ", ") + ".\n")
	}
	return b.String()
}
