package sandbox

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

// operation is one thing that a Client can ask for.
type operation func(ctx context.Context, in json.RawMessage) (any, error)

// with makes an operation of a function with a typed argument.
func with[In any](f func(ctx context.Context, in In) (any, error)) operation {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var in In
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &in); err != nil {
				return nil, err
			}
		}
		return f(ctx, in)
	}
}

// operations are all that a Client can ask for, by name.
func (s *Sandbox) operations() map[string]operation {
	type none = struct{}
	return map[string]operation{
		"ping":          with(func(context.Context, none) (any, error) { return nil, nil }),
		"status":        with(func(context.Context, none) (any, error) { return s.status(), nil }),
		"stats":         with(func(context.Context, none) (any, error) { return s.stats(), nil }),
		"reset-stats":   with(s.resetStats),
		"people":        with(func(context.Context, none) (any, error) { return s.world.Load().people(), nil }),
		"contacts":      with(s.contacts),
		"create":        with(s.create),
		"edit":          with(s.edit),
		"delete":        with(s.delete),
		"undelete":      with(s.undelete),
		"purge":         with(s.purge),
		"merge":         with(s.merge),
		"owner":         with(s.owner),
		"hide":          with(s.hide),
		"move":          with(s.move),
		"copy":          with(s.copy),
		"folders":       with(s.folders),
		"rename-folder": with(s.renameFolder),
		"delete-folder": with(s.deleteFolder),
		"load":          with(s.load),
		"fault-crm":     with(s.faultCRM),
		"fault-mailbox": with(s.faultMailbox),
		"clear-faults":  with(s.clearFaults),
		"knobs":         with(s.turn),
		"reset":         with(func(context.Context, none) (any, error) { return nil, s.reset() }),
		"stop":          with(func(context.Context, none) (any, error) { s.askToStop(); return nil, nil }), //nolint:contextcheck // ending a sandbox outlives the request for it
	}
}

// local runs an operation in this process.
func (s *Sandbox) local(ctx context.Context, op string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	v, err := s.run(ctx, op, raw)
	if err != nil || out == nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, out)
}

func (s *Sandbox) run(ctx context.Context, op string, in json.RawMessage) (any, error) {
	f := s.ops[op]
	if f == nil {
		return nil, fmt.Errorf("the sandbox knows no operation %q", op)
	}
	return f(ctx, in)
}

// serveControl answers a Client in another process.
func (s *Sandbox) serveControl(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	reply := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // a client that went away needs no answer
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.endpoints.ControlToken)) != 1 {
		reply(http.StatusUnauthorized, problem{Error: "the control token is wrong"})
		return
	}
	var in json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		reply(http.StatusBadRequest, problem{Error: "the request is not JSON"})
		return
	}
	v, err := s.run(r.Context(), strings.TrimPrefix(r.URL.Path, "/"), in)
	if err != nil {
		p := problem{Error: err.Error()}
		for name, kind := range kinds {
			if errors.Is(err, kind) {
				p.Kind = name
			}
		}
		reply(http.StatusUnprocessableEntity, p)
		return
	}
	reply(http.StatusOK, v)
}

func (s *Sandbox) status() Status {
	w := s.world.Load()
	st := Status{Endpoints: s.endpoints, Dir: s.dir, Seed: s.settings.Seed, Started: s.started}
	st.ControlToken = ""
	for _, c := range w.crm.Contacts() {
		if !c.Deleted {
			st.CRM++
		}
	}
	for _, u := range w.graph.Users() {
		st.Users++
		folders, err := w.graph.Folders(u.ID)
		if err != nil {
			continue // the user went away meanwhile
		}
		for _, f := range folders {
			st.Mailbox += f.Contacts
		}
	}
	return st
}

func (s *Sandbox) stats() Stats {
	w := s.world.Load()
	return Stats{Graph: w.graph.Stats(), Salesforce: w.crm.Stats()}
}

func (s *Sandbox) resetStats(context.Context, struct{}) (any, error) {
	w := s.world.Load()
	w.graph.ResetStats()
	w.crm.ResetStats()
	return nil, nil
}

// people joins the users of both sides by their addresses.
func (w *world) people() []Person {
	var out []Person
	at := make(map[string]int)
	for _, u := range w.graph.Users() {
		email := u.Mail
		if email == "" {
			email = u.UserPrincipalName
		}
		at[strings.ToLower(email)] = len(out)
		out = append(out, Person{Email: email, Name: u.DisplayName, MailboxID: u.ID})
	}
	for _, u := range w.crm.Users() {
		if i, ok := at[strings.ToLower(u.Email)]; ok {
			out[i].CRMUser = u.ID
			continue
		}
		out = append(out, Person{Email: u.Email, Name: strings.TrimSpace(u.FirstName + " " + u.LastName), CRMUser: u.ID})
	}
	return out
}

// crmUser finds a CRM user by address, user name or id.
func (w *world) crmUser(name string) (string, error) {
	for _, u := range w.crm.Users() {
		if u.ID == name || strings.EqualFold(u.Email, name) || strings.EqualFold(u.Username, name) {
			return u.ID, nil
		}
	}
	return "", fmt.Errorf("CRM user %s: %w", name, ErrNotFound)
}

func (w *world) crmContacts(owner string) []Contact {
	emails := make(map[string]string)
	for _, u := range w.crm.Users() {
		emails[u.ID] = u.Email
	}
	out := []Contact{}
	for _, c := range w.crm.Contacts() {
		if owner == "" || c.Owner == owner {
			out = append(out, fromCRM(c, emails[c.Owner]))
		}
	}
	return out
}

func fromCRM(c sfdc.Contact, owner string) Contact {
	f := make(Fields, len(c.Fields)+1)
	for k, v := range c.Fields {
		f[k] = v
	}
	if c.Account != "" {
		f["Account"] = c.Account
	}
	return Contact{
		ID: c.ID, Name: c.Name, Owner: owner, Fields: f, Deleted: c.Deleted, MergedInto: c.MergedInto, Hidden: c.Hidden, Modified: c.Modified,
	}
}

func (w *world) mailboxContacts(user string) ([]Contact, error) {
	items, err := mailboxItems(w.graph, user)
	if err != nil {
		return nil, known(err)
	}
	out := []Contact{}
	for _, i := range items {
		f := flatten(i.props)
		c := Contact{ID: i.id, Name: nameOf(f), Folder: i.folder, Fields: f}
		if t, ok := i.props["lastModifiedDateTime"].(string); ok {
			_ = c.Modified.UnmarshalText([]byte(t)) // stays zero if the form should change
		}
		out = append(out, c)
	}
	return out, nil
}

// known gives an error of the mail server its place among ours.
func known(err error) error {
	if errors.Is(err, m365.ErrNotFound) {
		return &knownError{text: err.Error(), kind: ErrNotFound}
	}
	return err
}

// find returns the id of the one contact that is meant.
func find(list []Contact, name string) (string, error) {
	var ids []string
	for _, c := range list {
		if c.ID == name {
			return c.ID, nil
		}
		if !c.Deleted && c.matches(name) {
			ids = append(ids, c.ID)
		}
	}
	switch len(ids) {
	case 0:
		return "", fmt.Errorf("contact %q: %w", name, ErrNotFound)
	case 1:
		return ids[0], nil
	}
	return "", fmt.Errorf("contact %q: %w: %d contacts have this name or address; use the id", name, ErrAmbiguous, len(ids))
}

func (w *world) findCRM(name string) (string, error) {
	if c, ok := w.crm.Contact(name); ok {
		return c.ID, nil
	}
	return find(w.crmContacts(""), name)
}

func (w *world) findMailbox(user, name string) (string, error) {
	list, err := w.mailboxContacts(user)
	if err != nil {
		return "", err
	}
	return find(list, name)
}

func (s *Sandbox) contacts(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	if t.Side == Mailbox {
		return w.mailboxContacts(t.User)
	}
	owner := ""
	if t.User != "" {
		var err error
		if owner, err = w.crmUser(t.User); err != nil {
			return nil, err
		}
	}
	return w.crmContacts(owner), nil
}

// crmFields puts the id of an account in the place of its name.
func (w *world) crmFields(f Fields) (sfdc.Fields, error) {
	out := make(sfdc.Fields, len(f))
	for k, v := range f {
		if k != "Account" {
			out[k] = v
			continue
		}
		id := ""
		if v != "" {
			if id = w.crm.Account(v); id == "" {
				var err error
				if id, err = w.crm.CreateAccount(v); err != nil {
					return nil, err
				}
			}
		}
		out["AccountId"] = id
	}
	return out, nil
}

func (s *Sandbox) create(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	if t.Side == Mailbox {
		props, err := t.Fields.graph(nil)
		if err != nil {
			return nil, err
		}
		id, err := createInMailbox(w.graph, t.User, t.Folder, props)
		return id, known(err)
	}
	owner, err := w.crmUser(t.User)
	if err != nil {
		return nil, err
	}
	f, err := w.crmFields(t.Fields)
	if err != nil {
		return nil, err
	}
	return w.crm.CreateContact(owner, f)
}

func (s *Sandbox) edit(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	if t.Side == CRM {
		id, err := w.findCRM(t.Contact)
		if err != nil {
			return nil, err
		}
		f, err := w.crmFields(t.Fields)
		if err != nil {
			return nil, err
		}
		return nil, w.crm.UpdateContact(id, f)
	}
	id, err := w.findMailbox(t.User, t.Contact)
	if err != nil {
		return nil, err
	}
	items, err := mailboxItems(w.graph, t.User)
	if err != nil {
		return nil, known(err)
	}
	var now map[string]any
	if i := slices.IndexFunc(items, func(i mailboxItem) bool { return i.id == id }); i >= 0 {
		now = items[i].props
	}
	props, err := t.Fields.graph(now)
	if err != nil {
		return nil, err
	}
	return nil, known(w.graph.UpdateContact(t.User, id, props))
}

func (s *Sandbox) delete(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	if t.Side == CRM {
		id, err := w.findCRM(t.Contact)
		if err != nil {
			return nil, err
		}
		return nil, w.crm.DeleteContact(id)
	}
	id, err := w.findMailbox(t.User, t.Contact)
	if err != nil {
		return nil, err
	}
	return nil, known(w.graph.DeleteContact(t.User, id))
}

func (s *Sandbox) undelete(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	if t.Side == CRM {
		return nil, w.crm.UndeleteContact(t.Contact)
	}
	return nil, known(w.graph.RestoreContact(t.User, t.Contact))
}

func (s *Sandbox) purge(_ context.Context, t target) (any, error) {
	return nil, s.world.Load().crm.PurgeContact(t.Contact)
}

func (s *Sandbox) merge(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	winner, err := w.findCRM(t.Contact)
	if err != nil {
		return nil, err
	}
	losers := make([]string, 0, len(t.Others))
	for _, name := range t.Others {
		id, err := w.findCRM(name)
		if err != nil {
			return nil, err
		}
		losers = append(losers, id)
	}
	return nil, w.crm.Merge(winner, losers...)
}

func (s *Sandbox) owner(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	id, err := w.findCRM(t.Contact)
	if err != nil {
		return nil, err
	}
	owner, err := w.crmUser(t.To)
	if err != nil {
		return nil, err
	}
	return nil, w.crm.ChangeOwner(id, owner)
}

func (s *Sandbox) hide(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	id, err := w.findCRM(t.Contact)
	if err != nil {
		return nil, err
	}
	return nil, w.crm.Hide(id, t.On)
}

func (s *Sandbox) move(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	id, err := w.findMailbox(t.User, t.Contact)
	if err != nil {
		return nil, err
	}
	return nil, known(w.graph.MoveContact(t.User, id, t.To))
}

func (s *Sandbox) copy(_ context.Context, t target) (any, error) {
	w := s.world.Load()
	id, err := w.findMailbox(t.User, t.Contact)
	if err != nil {
		return nil, err
	}
	copied, err := w.graph.CopyContact(t.User, id, t.To)
	return copied, known(err)
}

func (s *Sandbox) folders(_ context.Context, t target) (any, error) {
	list, err := s.world.Load().graph.Folders(t.User)
	return list, known(err)
}

func (s *Sandbox) renameFolder(_ context.Context, t target) (any, error) {
	return nil, known(s.world.Load().graph.RenameFolder(t.User, t.Folder, t.To))
}

func (s *Sandbox) deleteFolder(_ context.Context, t target) (any, error) {
	return nil, known(s.world.Load().graph.DeleteFolder(t.User, t.Folder))
}

func (s *Sandbox) faultCRM(_ context.Context, f sfdc.Fault) (any, error) {
	s.world.Load().crm.AddFault(f)
	return nil, nil
}

func (s *Sandbox) faultMailbox(_ context.Context, f m365.Fault) (any, error) {
	s.world.Load().graph.SetFault(f)
	return nil, nil
}

func (s *Sandbox) clearFaults(context.Context, struct{}) (any, error) {
	w := s.world.Load()
	w.crm.ClearFaults()
	w.graph.ClearFaults()
	return nil, nil
}

// latencyFault is the name of the fault that delays Graph.
const latencyFault = "latency of the sandbox"

func (s *Sandbox) turn(_ context.Context, k Knobs) (any, error) {
	w := s.world.Load()
	if k.CRMLatency != nil {
		w.crm.SetLatency(*k.CRMLatency)
	}
	if k.MailboxLatency != nil {
		f := m365.Fault{Name: latencyFault}
		if *k.MailboxLatency > 0 {
			f.Kind, f.Latency = m365.FaultLatency, *k.MailboxLatency
		}
		w.graph.SetFault(f)
	}
	if k.CRMClockSkew != nil {
		w.crm.SetClockSkew(*k.CRMClockSkew)
	}
	if k.LateCommit != nil {
		w.crm.SetLateCommit(*k.LateCommit)
	}
	if k.DuplicateRule != nil {
		w.crm.SetDuplicateRule(*k.DuplicateRule)
	}
	if k.LowercaseEmail != nil {
		w.crm.SetLowercaseEmail(*k.LowercaseEmail)
	}
	if k.APIUsed != nil && k.APILimit != nil {
		w.crm.SetAPIUsage(*k.APIUsed, *k.APILimit)
	} else if k.APIUsed != nil || k.APILimit != nil {
		return nil, errors.New("apiUsed and apiLimit go together")
	}
	if k.FailLocks != nil {
		w.crm.FailLocks(*k.FailLocks)
	}
	if k.ValidationRules != nil {
		w.crm.SetValidationRules(*k.ValidationRules...)
	}
	for _, f := range k.RemoveFields {
		if err := w.crm.RemoveField("Contact", f, true); err != nil {
			return nil, err
		}
	}
	for _, f := range k.GiveFields {
		if err := w.crm.RemoveField("Contact", f, false); err != nil {
			return nil, err
		}
	}
	if k.ExpireSessions {
		if err := w.crm.ExpireSessions(); err != nil {
			return nil, err
		}
	}
	if k.ExpireTokens {
		w.graph.ExpireTokens()
	}
	for _, u := range k.ExpireDeltaTokens {
		if err := w.graph.ExpireDeltaTokens(u); err != nil {
			return nil, known(err)
		}
	}
	for u, state := range k.MailboxStates {
		if err := w.graph.SetMailboxState(u, state); err != nil {
			return nil, known(err)
		}
	}
	for u, active := range k.CRMUsersActive {
		id, err := w.crmUser(u)
		if err != nil {
			return nil, err
		}
		if err := w.crm.SetUserActive(id, active); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
