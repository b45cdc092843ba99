package m365

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// App is an app in the organization's catalogue, which users find in Outlook and Teams.
type App struct {
	// ID is the catalogue's, ExternalID the manifest's; an empty ID is made up.
	ID          string `json:"id"`
	ExternalID  string `json:"externalId"`
	DisplayName string `json:"displayName"`
	Version     string `json:"version,omitempty"`
}

type app = App

func (a app) view() map[string]any {
	return map[string]any{"id": a.ID, "externalId": a.ExternalID, "displayName": a.DisplayName, "distributionMethod": "organization"}
}

// definition names the version of an app. Its id is that of the app with the version.
func (a app) definition() map[string]any {
	return map[string]any{
		"id": guid("definition", a.ID, a.Version), "teamsAppId": a.ID, "displayName": a.DisplayName,
		"version": a.Version, "publishingState": "published",
	}
}

// AddApp puts an app into the catalogue and returns it with its id.
func (s *Server) AddApp(a App) (App, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.ID == "" {
		a.ID = guid(s.opt.Seed, "app", a.ExternalID)
	}
	set(&a.Version, "1.0.0")
	return a, s.commit(&change{Apps: []app{a}})
}

func (s *Server) app(id string) (app, bool) {
	for _, a := range s.apps {
		if strings.EqualFold(a.ID, id) {
			return a, true
		}
	}
	return app{}, false
}

// listApps answers GET /appCatalogs/teamsApps?$filter=externalId eq '...'.
// D/api-reference/v1.0/api/appcatalogs-list-teamsapps.md
func listApps(s *Server, c *call, _ *target) (*reply, error) {
	if err := c.query.only("$filter", "$select", "$expand"); err != nil {
		return nil, err
	}
	names, err := c.query.selected("microsoft.graph.teamsApp", []string{"id", "externalId", "displayName", "distributionMethod"})
	if err != nil {
		return nil, err
	}
	var filter expr
	if text, ok := c.query["$filter"]; ok {
		if filter, err = parseFilter(text); err != nil {
			return nil, err
		}
	}
	out := []any{}
	for _, a := range s.apps {
		if o := a.view(); filter == nil || filter.holds(o) {
			o = pick(o, names)
			if strings.EqualFold(c.query["$expand"], "appDefinitions") {
				o["appDefinitions"] = []any{a.definition()}
			}
			out = append(out, o)
		}
	}
	return okReply(http.StatusOK, map[string]any{"@odata.context": c.base + "/$metadata#appCatalogs/teamsApps", "value": out}), nil
}

func (s *Server) installView(r installRec, expand string) map[string]any {
	a, _ := s.app(r.App)
	o := map[string]any{"id": r.ID}
	for part := range strings.SplitSeq(strings.ToLower(expand), ",") {
		switch strings.TrimSpace(part) {
		case "teamsapp":
			o["teamsApp"] = a.view()
		case "teamsappdefinition":
			o["teamsAppDefinition"] = a.definition()
		}
	}
	return o
}

// listInstalls lists what is installed for a user; the id is the installation's, not the
// app's. D/api-reference/v1.0/api/userteamwork-list-installedapps.md
func listInstalls(s *Server, c *call, rt *target) (*reply, error) {
	if err := c.query.only("$filter", "$expand"); err != nil {
		return nil, err
	}
	var filter expr
	var err error
	if text, ok := c.query["$filter"]; ok {
		if filter, err = parseFilter(text); err != nil {
			return nil, err
		}
	}
	out := []any{}
	for _, r := range rt.m.installList() {
		if filter == nil || filter.holds(s.installView(r, "teamsApp,teamsAppDefinition")) {
			out = append(out, s.installView(r, c.query["$expand"]))
		}
	}
	return okReply(http.StatusOK, map[string]any{
		"@odata.context": c.base + "/$metadata#users('" + url.PathEscape(rt.m.user.ID) + "')/teamwork/installedApps", "value": out,
	}), nil
}

func installTarget(rt *target) (installRec, error) {
	r, ok := rt.m.installs[rt.keys[1]]
	if !ok {
		return r, refuse(http.StatusNotFound, "NotFound", "App installation not found.")
	}
	return r, nil
}

func getInstall(s *Server, c *call, rt *target) (*reply, error) {
	r, err := installTarget(rt)
	if err != nil {
		return nil, err
	}
	o := s.installView(r, c.query["$expand"])
	o["@odata.context"] = c.base + "/$metadata#users('" + url.PathEscape(rt.m.user.ID) + "')/teamwork/installedApps/$entity"
	return okReply(http.StatusOK, o), nil
}

// createInstall installs an app: 201 without a body, 409 where it is there already
// (contrib#3686). D/api-reference/v1.0/api/userteamwork-post-installedapps.md
func createInstall(s *Server, c *call, rt *target) (*reply, error) {
	o, err := c.object()
	if err != nil {
		return nil, err
	}
	var bind string
	for k, raw := range o {
		switch {
		case k == "teamsApp@odata.bind" && json.Unmarshal(raw, &bind) == nil:
		case k == "consentedPermissionSet" || k == "@odata.type":
		default:
			return nil, unknownProperty(k, "microsoft.graph.userScopeTeamsAppInstallation")
		}
	}
	_, path, ok := strings.Cut(bind, "/v1.0/")
	pattern, keys, err := splitPath(path)
	if !ok || err != nil || pattern != "appcatalogs/teamsapps/*" {
		return nil, refuse(http.StatusBadRequest, "BadRequest", "Bad Request. teamsApp@odata.bind must name an app of the catalogue.")
	}
	a, ok := s.app(keys[0])
	if !ok {
		return nil, refuse(http.StatusNotFound, "NotFound", "The app does not exist in the catalogue.")
	}
	for _, r := range rt.m.installs {
		if r.App == a.ID {
			return nil, refuse(http.StatusConflict, "Conflict", "The app is already installed.")
		}
	}
	seq := rt.m.user.Seq + 1
	r := installRec{Mailbox: rt.m.user.ID, ID: itemID("", rt.m.user.ID, s.opt.Seed, "install", seq)[:60], App: a.ID, Seq: seq}
	r.ID = strings.NewReplacer("/", "_", "+", "-").Replace(r.ID) + "=="
	if err := s.commit(&change{Installs: []installRec{r}}); err != nil {
		return nil, err
	}
	rep := &reply{status: http.StatusCreated}
	return rep.set("Location", link(c.base, "users="+rt.m.user.ID, "teamwork", "installedApps="+r.ID)), nil
}

func deleteInstall(s *Server, _ *call, rt *target) (*reply, error) {
	r, err := installTarget(rt)
	if err != nil {
		return nil, err
	}
	r.Deleted, r.Seq = true, rt.m.user.Seq+1
	if err := s.commit(&change{Installs: []installRec{r}}); err != nil {
		return nil, err
	}
	return noContent(), nil
}

func upgradeInstall(_ *Server, _ *call, rt *target) (*reply, error) {
	if _, err := installTarget(rt); err != nil {
		return nil, err
	}
	return noContent(), nil
}
