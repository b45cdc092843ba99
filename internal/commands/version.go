package commands

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/crmsync/crmsync/internal/commands/ui"
)

// versionFields are the fields of version.
var versionFields = []ui.Field[Version]{
	{Name: "version", Of: func(v Version) any { return v.Version }},
	{Name: "commit", Of: func(v Version) any { return v.Commit }},
	{Name: "date", Of: func(v Version) any { return v.Date }},
	{Name: "go", Of: func(Version) any { return runtime.Version() }},
	{Name: "platform", Of: func(Version) any { return runtime.GOOS + "/" + runtime.GOARCH }},
}

type versionOptions struct{ outputOptions }

func newVersion(app *App, run func(context.Context, *App, versionOptions) error) *cobra.Command {
	var opts versionOptions
	if run == nil {
		run = runVersion
	}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Example: `  crmsync version
  crmsync version -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), app, opts)
		},
	}
	opts.addFlags(cmd, ui.Names(versionFields))
	return cmd
}

func runVersion(_ context.Context, app *App, opts versionOptions) error {
	if opts.format == "" && len(opts.fields) == 0 && opts.jq == "" && opts.template == "" {
		v := app.Version
		_, err := fmt.Fprintf(app.Out, "crmsync %s (%s, %s, %s/%s)\n", v.Version, or(v.Commit, "no commit"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	}
	return app.print(&opts.outputOptions, ui.One(versionFields, app.Version))
}
