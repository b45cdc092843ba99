package m365

import (
	"context"
	"net/http"
	"strings"
)

// call is one logical request: one of its own or an item of a batch.
type call struct {
	ctx      context.Context
	method   string
	path     string // escaped, below /v1.0/
	query    query
	header   http.Header
	body     []byte
	base     string
	app      string
	batched  bool
	exchange *exchange
}

// handler answers a call under the server's lock.
type handler func(s *Server, c *call, rt *target) (*reply, error)

// route is what a path and a method stand for.
type route struct {
	// op names the operation for faults, counters and the log.
	op string
	// outlook: the request goes to a mailbox, whose state and limits count.
	outlook bool
	// writes: the request changes contacts.
	writes bool
	run    handler
}

// target is a route with what its path names.
type target struct {
	route
	m    *mailbox
	keys []string
}

func outlook(op string, run handler) route { return route{op: op, outlook: true, run: run} }

func writing(op string, run handler) route {
	return route{op: op, outlook: true, writes: true, run: run}
}

func elsewhere(op string, run handler) route { return route{op: op, run: run} }

// routes are the paths that the server knows, in the form of splitPath.
var routes = map[string]map[string]route{
	"organization":          {"GET": elsewhere("organization.list", getOrganization)},
	"users":                 {"GET": elsewhere("users.list", listUsers)},
	"users/*":               {"GET": elsewhere("user.get", getUser)},
	"appcatalogs/teamsapps": {"GET": elsewhere("apps.list", listApps)},

	"users/*/teamwork/installedapps":           {"GET": elsewhere("installs.list", listInstalls), "POST": elsewhere("install.create", createInstall)},
	"users/*/teamwork/installedapps/*":         {"GET": elsewhere("install.get", getInstall), "DELETE": elsewhere("install.delete", deleteInstall)},
	"users/*/teamwork/installedapps/*/upgrade": {"POST": elsewhere("install.upgrade", upgradeInstall)},

	"users/*/mailboxsettings":            {"GET": outlook("settings.get", getSettings)},
	"users/*/outlook/mastercategories":   {"GET": outlook("categories.list", listCategories), "POST": outlook("category.create", createCategory)},
	"users/*/outlook/mastercategories/*": {"GET": outlook("category.get", getCategory), "PATCH": outlook("category.update", updateCategory), "DELETE": outlook("category.delete", deleteCategory)},

	"users/*/contactfolders":                  {"GET": outlook("folders.list", listFolders), "POST": outlook("folder.create", createFolder)},
	"users/*/contactfolders/*/childfolders":   {"GET": outlook("folders.list", listFolders), "POST": outlook("folder.create", createFolder)},
	"users/*/contactfolders/*":                {"GET": outlook("folder.get", getFolder), "PATCH": outlook("folder.update", updateFolder), "DELETE": outlook("folder.delete", deleteFolder)},
	"users/*/contacts":                        {"GET": outlook("contacts.list", listContacts), "POST": writing("contact.create", createContact)},
	"users/*/contactfolders/*/contacts":       {"GET": outlook("contacts.list", listContacts), "POST": writing("contact.create", createContact)},
	"users/*/contacts/*":                      {"GET": outlook("contact.get", getContact), "PATCH": writing("contact.update", updateContact), "DELETE": writing("contact.delete", deleteContact)},
	"users/*/contactfolders/*/contacts/*":     {"GET": outlook("contact.get", getContact), "PATCH": writing("contact.update", updateContact), "DELETE": writing("contact.delete", deleteContact)},
	"users/*/contactfolders/*/contacts/delta": {"GET": outlook("contacts.delta", deltaContacts)},
}

// resolve finds what a call is for; the target is never nil, so that a refused call has a
// name too.
func (s *Server) resolve(c *call) (*target, *reply) {
	t := &target{route: route{op: "unknown"}}
	pattern, keys, err := splitPath(c.path)
	if err != nil {
		return t, errorReply(err)
	}
	if strings.HasPrefix(pattern, "me/") || pattern == "me" {
		return t, failed(http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.")
	}
	methods, ok := routes[pattern]
	if !ok {
		segs := strings.Split(pattern, "/")
		return t, failed(http.StatusBadRequest, "BadRequest", "Resource not found for the segment '%s'.", segs[len(segs)-1])
	}
	r, ok := methods[c.method]
	if !ok {
		return t, failed(http.StatusMethodNotAllowed, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
	}
	t.route, t.keys = r, keys
	if len(keys) == 0 {
		return t, nil
	}
	if t.m = s.users[key(keys[0])]; t.m == nil {
		t.m = s.byUPN[strings.ToLower(keys[0])]
	}
	switch {
	case t.m != nil:
		return t, nil
	case r.outlook:
		return t, failed(http.StatusNotFound, "ErrorInvalidUser", "The requested user '%s' is invalid.", keys[0])
	}
	return t, failed(http.StatusNotFound, "Request_ResourceNotFound", "Resource '%s' does not exist or one of its queried reference-property objects are not present.", keys[0])
}

func (t *target) user() string {
	if t.m == nil {
		return ""
	}
	return t.m.user.ID
}

// serve answers a request that is not in a batch.
func (s *Server) serve(c *call) *reply {
	t, refused := s.begin(c)
	s.mu.Lock()
	s.stats.roundTrip(t.m)
	crowded := false
	if t.m != nil && t.outlook {
		if crowded = t.m.pressed.inFlight >= s.opt.Concurrency; !crowded {
			s.enter(t.m, 1)
			defer s.leave(t.m, 1)
		}
	}
	s.mu.Unlock()
	return s.perform(c, t, refused, crowded)
}

// begin resolves a call and tells the hook of it.
func (s *Server) begin(c *call) (*target, *reply) {
	s.mu.Lock()
	t, refused := s.resolve(c)
	hook := s.onRequest
	s.mu.Unlock()
	if hook != nil {
		hook(t.op, t.user())
	}
	return t, refused
}

// perform does what a call asks for, under its limits and faults. refused is the answer
// if it is known already, crowded says that the mailbox is busy with others.
func (s *Server) perform(c *call, t *target, refused *reply, crowded bool) *reply {
	s.mu.Lock()
	s.served++
	s.runLate()
	rep := refused
	if limit := s.limit(c, t, crowded); rep == nil {
		rep = limit
	}
	f := faultPlan{}
	if rep == nil {
		f = s.plan(c, t)
	}
	s.mu.Unlock()
	if f.latency > 0 && !c.batched {
		s.opt.Wait(c.ctx, f.latency)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if rep == nil {
		rep = s.suffer(c, t, f)
	}
	rep.latency = f.latency
	s.stats.answer(c, t, rep, s.opt.Log)
	return rep
}

// execute runs a call's handler if the mailbox is fit for it.
func (s *Server) execute(c *call, t *target) *reply {
	if t.outlook {
		if e := t.m.unfit(); e != nil {
			return errorReply(e)
		}
	}
	rep, err := t.run(s, c, t)
	if err != nil {
		return errorReply(err)
	}
	return rep
}

// unfit says why a mailbox cannot be reached; nil if it can.
func (m *mailbox) unfit() error {
	switch m.state() {
	case MailboxUnlicensed:
		if m.asked++; m.asked%2 == 0 {
			return refuse(http.StatusNotFound, "ResourceNotFound", "Resource could not be discovered.")
		}
		return refuse(http.StatusNotFound, "MailboxNotEnabledForRESTAPI", "The mailbox is either inactive, soft-deleted, or is hosted on-premise.")
	case MailboxDenied:
		return refuse(http.StatusForbidden, "ErrorAccessDenied", "Access to OData is disabled.")
	case MailboxMoving:
		return refuse(http.StatusServiceUnavailable, "ErrorMailboxMoveInProgress", "The mailbox is being moved.")
	}
	return nil
}
