package commands

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

type completionOptions struct {
	shell string
	root  *cobra.Command
}

func newCompletion(app *App, run func(context.Context, *App, completionOptions) error) *cobra.Command {
	var opts completionOptions
	if run == nil {
		run = runCompletion
	}
	return &cobra.Command{
		Use:   "completion {bash | zsh | fish | powershell}",
		Short: "Print a script that completes commands, users and names in a shell",
		Example: `  source <(crmsync completion bash)
  crmsync completion zsh > "${fpath[1]}/_crmsync"
  crmsync completion fish > ~/.config/fish/completions/crmsync.fish`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !oneOf(args[0], shells...) {
				return usage(cmd, "there is no completion for %q; there is for %s", args[0], strings.Join(shells, ", "))
			}
			opts.shell, opts.root = args[0], cmd.Root()
			return run(cmd.Context(), app, opts)
		},
	}
}

// shells are those that there is completion for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func runCompletion(_ context.Context, app *App, opts completionOptions) error {
	switch opts.shell {
	case "zsh":
		return opts.root.GenZshCompletion(app.Out)
	case "fish":
		return opts.root.GenFishCompletion(app.Out, true)
	case "powershell":
		return opts.root.GenPowerShellCompletionWithDesc(app.Out)
	}
	return opts.root.GenBashCompletionV2(app.Out, true)
}

// completeUsers offers the addresses of users. Completion never fails: without a state
// there is nothing to offer.
func (app *App) completeUsers(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	st, err := app.reading(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	users, err := st.Users(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offers []string
	for _, u := range users {
		if strings.HasPrefix(strings.ToLower(u.Email), strings.ToLower(typed)) {
			offers = append(offers, cobra.CompletionWithDesc(u.Email, u.Name))
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// orgNames and connectionNames are for completion.
func (app *App) orgNames(ctx context.Context) []string {
	st, err := app.reading(ctx)
	if err != nil {
		return nil
	}
	orgs, err := st.Organizations(ctx)
	if err != nil {
		return nil
	}
	names := make([]string, len(orgs))
	for i, o := range orgs {
		names[i] = o.Name
	}
	return names
}

func (app *App) connectionNames(ctx context.Context) []string {
	st, err := app.reading(ctx)
	if err != nil {
		return nil
	}
	conns, err := st.Connections(ctx)
	if err != nil {
		return nil
	}
	names := make([]string, len(conns))
	for i, c := range conns {
		names[i] = c.Name
	}
	return names
}
