package commands

import "github.com/spf13/cobra"

// administration returns the commands that are not a cycle: users, organizations,
// connections, mailboxes, checks, add-ins and init.
func administration(app *App) []*cobra.Command {
	return nil
}
