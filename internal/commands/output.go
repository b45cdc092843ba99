package commands

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
)

// outputOptions say how a command prints its result.
type outputOptions struct {
	format   string
	fields   []string
	jq       string
	template string
	names    []string
}

// addFlags declares the flags. names are the fields that the command prints, for
// --fields and its completion.
func (o *outputOptions) addFlags(cmd *cobra.Command, names []string) {
	o.names = names
	fs := cmd.Flags()
	fs.StringVarP(&o.format, "output", "o", "", "`FORMAT`: "+strings.Join(ui.Formats, ", ")+" (default table, in a pipe tsv)")
	fs.StringSliceVar(&o.fields, "fields", nil, "print only these `FIELDS`, in this order")
	fs.StringVar(&o.jq, "jq", "", "filter the JSON output by a jq `EXPRESSION`")
	fs.StringVar(&o.template, "template", "", "print each row by a Go `TEMPLATE`, for example '{{.user}}'")
	mustComplete(cmd, "output", func(string) []string { return ui.Formats })
	mustComplete(cmd, "fields", func(typed string) []string {
		// The fields before the last comma stay, and are not offered again.
		before := ""
		if i := strings.LastIndexByte(typed, ','); i >= 0 {
			before = typed[:i+1]
		}
		var offers []string
		for _, n := range names {
			if !slices.Contains(strings.Split(before, ","), n) {
				offers = append(offers, before+n)
			}
		}
		return offers
	})
}

// check reports what was typed wrong, before anything is done.
func (o *outputOptions) check(cmd *cobra.Command) error {
	if err := o.output().Check(o.names); err != nil {
		return usage(cmd, "%s", strings.TrimPrefix(err.Error(), ui.ErrOutput.Error()+": "))
	}
	return nil
}

func (o *outputOptions) output() ui.Output {
	return ui.Output{Format: o.format, Fields: o.fields, JQ: o.jq, Template: o.template}
}

// print prints the result of a command. The configuration may name another format
// than the usual one.
func (app *App) print(o *outputOptions, t ui.Table) error {
	out := o.output()
	out.Now, out.Zone = app.Now(), app.Zone
	if out.Format == "" && app.cfg != nil {
		out.Format = app.cfg.Output
	}
	if len(t.Rows) == 0 && app.OutTTY && oneOf(out.Format, "", "table", "wide") && out.JQ == "" && out.Template == "" {
		app.Notice("there is nothing to list")
		return nil
	}
	return app.Print(t, out)
}

// mustComplete registers what a flag can be completed to. It panics if there is no such
// flag, which a test that builds the tree finds.
func mustComplete(cmd *cobra.Command, flag string, offers func(typed string) []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return offers(typed), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err)
	}
}
