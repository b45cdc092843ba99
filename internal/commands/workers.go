package commands

import (
	"fmt"

	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

// engine returns what runs cycles over a state.
func (app *App) engine(st State, r engine.Reporter) *engine.Engine {
	return engine.New(engine.Config{
		State:    st.Engine(),
		Systems:  app.systems(st),
		Reporter: r,
		Install:  st.Install(),
		Hasher:   st.Hasher,
		Now:      app.Now,
		Random:   app.Random,
		Holder:   app.holder(),
		Alive:    app.alive,
		Tick:     app.Tick,
	})
}

// admin returns what administers a state.
func (app *App) admin(st State) *admin.Admin {
	return &admin.Admin{
		Store:   st,
		Leases:  st.Engine(),
		Systems: app.systems(st),
		Now:     app.Now,
		Tick:    app.Tick,
		Actor:   app.actor(),
		Holder:  app.holder(),
		Random:  app.Random,
		Alive:   app.alive,
		Install: st.Install(),
	}
}

// holder names this process in leases.
func (app *App) holder() string { return fmt.Sprintf("process %d on %s", app.PID, app.Host) }

// alive tells whether the process that a holder names still runs. Of another machine
// nothing is known.
func (app *App) alive(holder string) bool {
	var pid int
	var host string
	if _, err := fmt.Sscanf(holder, "process %d on %s", &pid, &host); err != nil || host != app.Host {
		return true
	}
	return app.Alive(pid)
}
