package commands

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

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
