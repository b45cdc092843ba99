package graph

import (
	"context"
	"net/http"
	"sync"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// addIns manages the installation of one app of the tenant's catalog for the users.
// This is the API of Teams personal apps
// (https://learn.microsoft.com/graph/api/userteamwork-post-installedapps): it serves
// apps with the unified manifest, and no source states that an add-in installed by it
// appears in Outlook. Classic add-ins have no Graph call at all.
type addIns struct {
	g *Graph

	mu  sync.Mutex
	app string // the catalog's own id, once known
}

// catalog returns the catalog's id of the app.
func (a *addIns) catalog(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.app != "" {
		return a.app, nil
	}
	var p page[struct {
		ID string `json:"id"`
	}]
	if err := a.g.send(ctx, a.g.tenant, call{
		method: http.MethodGet, path: "/appCatalogs/teamsApps", query: query{"$filter": "externalId eq " + quote(a.g.cfg.AppID)},
	}, &p); err != nil {
		return "", err
	}
	if len(p.Value) == 0 {
		return "", setup("the add-in is not in the tenant's app catalog", "upload it in the Teams admin center, with the id that is configured")
	}
	a.app = p.Value[0].ID
	return a.app, nil
}

// installations returns the ids of the app's installations for a user.
func (a *addIns) installations(ctx context.Context, mailbox string) ([]string, error) {
	var ids []string
	_, err := pages(ctx, a.g, a.g.tenant, call{
		method: http.MethodGet, path: path("users", mailbox, "teamwork", "installedApps"), scope: inMailbox,
		query: query{"$expand": "teamsApp", "$filter": "teamsApp/externalId eq " + quote(a.g.cfg.AppID)},
	}, func(apps []struct {
		ID  string `json:"id"`
		App *struct {
			External string `json:"externalId"`
		} `json:"teamsApp"`
	}) error {
		for _, app := range apps {
			if app.App == nil || app.App.External == a.g.cfg.AppID {
				ids = append(ids, app.ID)
			}
		}
		return nil
	})
	return ids, err
}

func (a *addIns) Status(ctx context.Context, mailbox string) (bool, error) {
	ids, err := a.installations(ctx, mailbox)
	return len(ids) > 0, err
}

func (a *addIns) Install(ctx context.Context, mailbox string) error {
	app, err := a.catalog(ctx)
	if err != nil {
		return err
	}
	err = a.g.send(ctx, a.g.tenant, call{
		method: http.MethodPost, path: path("users", mailbox, "teamwork", "installedApps"), scope: inMailbox,
		body: body{"teamsApp@odata.bind": a.g.base.String() + path("appCatalogs", "teamsApps", app)},
	}, nil)
	if detail(err).Status == http.StatusConflict { // it is installed
		return nil
	}
	return err
}

func (a *addIns) Remove(ctx context.Context, mailbox string) error {
	ids, err := a.installations(ctx, mailbox)
	if err != nil {
		return err
	}
	for _, id := range ids {
		err := a.g.send(ctx, a.g.tenant, call{
			method: http.MethodDelete, path: path("users", mailbox, "teamwork", "installedApps", id), scope: onItem,
		}, nil)
		if err != nil && !remote.Is(err, remote.ClassGone) {
			return err
		}
	}
	return nil
}
