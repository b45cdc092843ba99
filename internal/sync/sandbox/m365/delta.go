package m365

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
)

// A chain is one client's way through a folder's changes: an initial round and the rounds
// that follow from its links. Each answer is a new generation of the chain, and only the
// last three can be continued from: "The sync state generation is not found;
// generation=149;[highest=157][157][155][156]" (docs#2350, #2162, #2877).
const usableGenerations = 3

// keptChains is how many chains a mailbox remembers; the oldest goes first. Outlook's
// tokens have no fixed lifetime, they are a cache. D/concepts/delta-query-overview.md
const keptChains = 64

// place is what a link holds: everything, so that a link outlives the server's restart.
type place struct {
	Folder string `json:"f"`
	Chain  int    `json:"c"`
	Gen    int    `json:"g"`
	Epoch  int    `json:"e"`
	// The round tells of the changes after From up to To; those up to Pos were told.
	From int64 `json:"a"`
	To   int64 `json:"b"`
	Pos  int64 `json:"p"`
	// Ended: the round was told to its end, the next begins after To.
	Ended bool `json:"d,omitempty"`
	// Empty: a page without items was just sent.
	Empty  bool     `json:"n,omitempty"`
	Select []string `json:"s,omitempty"`
}

// token writes a place so that nobody is tempted to read it.
func (m *mailbox) token(p place) string {
	b, _ := json.Marshal(p)
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(m.veil(append(sum[:6:6], b...)))
}

func (m *mailbox) place(token string) (p place, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 6 {
		return p, false
	}
	b = m.veil(b)
	sum := sha256.Sum256(b[6:])
	return p, string(sum[:6]) == string(b[:6]) && json.Unmarshal(b[6:], &p) == nil
}

func (m *mailbox) veil(b []byte) []byte {
	mask := stream(len(b), "delta", key(m.user.ID))
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ mask[i]
	}
	return out
}

// deltaContacts tells what changed in a folder.
//
//   - The options of the first request are kept in its links; $select is the one that is
//     documented. D/api-reference/v1.0/api/contact-delta.md
//   - $expand fails, as it does there: docs#2270, msgraph-sdk-dotnet#2678.
//   - Links serve both kinds of id; the Prefer headers count for their request alone.
//     D/concepts/outlook-immutable-id.md
//   - A contact that left the folder is @removed with the reason "deleted", whether it
//     was deleted or moved: within a folder Exchange knows no difference.
func deltaContacts(s *Server, c *call, rt *target) (*reply, error) {
	m := rt.m
	f, err := contactFolder(rt)
	if err != nil {
		return nil, err
	}
	if _, ok := c.query["$expand"]; ok {
		return nil, refuse(http.StatusInternalServerError, "InternalServerError", "Parsing OData Select and Expand failed: Value cannot be null. (Parameter 'initialState')")
	}
	if err := c.query.only("$select", "$deltatoken", "$skiptoken"); err != nil {
		return nil, err
	}
	base := link(c.base, "users="+m.user.ID, "contactFolders="+f.ID, "contacts") + "/delta()"
	p, refused := s.resume(c, m, f)
	if refused != nil {
		return nil, refused.with("Location", base+"?$deltatoken=")
	}
	size := c.deltaPage()
	o := s.deltaFaults(m, c)
	if o.emptyPages && !p.Empty && !p.Ended {
		p.Empty = true
		return c.deltaReply(m, base, p, []any{}, true), nil
	}
	p.Empty = false
	if o.replay && p.Pos > 0 && p.Pos == p.From {
		p.From, p.Pos = max(1, p.From-50), max(1, p.From-50)
	}
	immutable := c.immutable()
	page, more := f.after(p.Pos, p.To, size, func(e *entry) bool { return s.tells(e, p, immutable) })
	if m.state() == MailboxEmpty {
		page, more = nil, false
	}
	value := []any{}
	for _, e := range page {
		value = append(value, m.told(e, immutable, p.Select))
		p.Pos = e.seq
	}
	value = s.disturb(m, value, o)
	return c.deltaReply(m, base, p, value, more), nil
}

// tells says if an entry is part of a round.
func (s *Server) tells(e *entry, p place, immutable bool) bool {
	if e.contact == nil {
		return p.From > 0 // an initial round knows of nothing to take away
	}
	// docs#21752: an item that was moved away and back between two rounds is reported as
	// removed under its immutable id, and not again until it changes.
	hole := immutable && p.From > 0 && e.contact.Left > p.From
	return !hole || s.opt.NoMoveHole
}

func (m *mailbox) told(e *entry, immutable bool, names []string) map[string]any {
	if e.contact == nil {
		id := e.tomb.Regular
		if immutable {
			id = e.tomb.ID
		}
		return removed(id)
	}
	return pick(m.view(e.contact, immutable), names)
}

func removed(id string) map[string]any {
	return map[string]any{"@removed": map[string]any{"reason": "deleted"}, "id": id}
}

// deltaPage is how many items a page holds: odata.maxpagesize, which each request has to
// name again.
func (c *call) deltaPage() int {
	n, _ := (&call{query: query{}, header: c.header}).pageSize()
	return n
}

// resume works out where a request begins.
func (s *Server) resume(c *call, m *mailbox, f *folder) (place, *apiError) {
	text := c.query["$deltatoken"]
	if t := c.query["$skiptoken"]; t != "" {
		text = t
	}
	if text == "" {
		names, err := c.query.selected("microsoft.graph.contact", contactProperties)
		if e := (*apiError)(nil); errors.As(err, &e) {
			return place{}, e
		}
		u := m.user
		u.Chains++
		if s.commit(&change{Users: []userRec{u}}) != nil {
			return place{}, refuse(http.StatusServiceUnavailable, "ErrorMailboxStoreUnavailable", "The mailbox database is temporarily unavailable.")
		}
		m.chains[u.Chains] = 0
		if len(m.chains) > keptChains {
			for n := range m.chains {
				if n <= u.Chains-keptChains {
					delete(m.chains, n)
				}
			}
			m.evicted = u.Chains - keptChains
		}
		return place{Folder: f.ID, Chain: u.Chains, Epoch: u.Epoch, To: s.visible(m), Select: names}, nil
	}
	p, ok := m.place(text)
	if !ok || p.Folder != f.ID {
		return p, refuse(http.StatusBadRequest, "SyncStateInvalid", "The sync state is invalid.")
	}
	// A chain that is not known is from before a restart: its link is taken for the newest.
	newest, known := m.chains[p.Chain]
	if !known {
		newest = p.Gen
	}
	if p.Epoch != m.user.Epoch || p.Chain <= m.evicted || p.Gen <= newest-usableGenerations {
		return p, refuse(http.StatusGone, "SyncStateNotFound", "The sync state generation is not found; generation=%d;[highest=%d][%d][%d][%d].", p.Gen, newest, newest, newest-2, newest-1)
	}
	if p.Gen++; s.opt.ReplayAdvances {
		p.Gen = newest + 1
	}
	m.chains[p.Chain] = max(newest, p.Gen)
	if p.Ended {
		p.From, p.Pos, p.To, p.Ended = p.To, p.To, max(p.To, s.visible(m)), false
	}
	return p, nil
}

func (c *call) deltaReply(m *mailbox, base string, p place, value []any, more bool) *reply {
	body := map[string]any{"@odata.context": c.base + "/$metadata#Collection(contact)", "value": value}
	if more {
		body["@odata.nextLink"] = base + "?$skiptoken=" + m.token(p)
	} else {
		p.Ended = true
		body["@odata.deltaLink"] = base + "?$deltatoken=" + m.token(p)
	}
	return c.applied(okReply(http.StatusOK, body))
}

// deltaFaults are the disturbances that delta answers suffer at the moment. Clients must
// bear replays, duplicates, any order, unknown ids and empty pages.
// D/concepts/delta-query-overview.md
type deltaFaults struct{ replay, duplicates, shuffle, unknown, emptyPages bool }

func (s *Server) deltaFaults(m *mailbox, c *call) (o deltaFaults) {
	for _, f := range s.faults {
		if !f.applies("contacts.delta", m, c) {
			continue
		}
		switch f.Kind {
		case FaultDeltaReplay:
			o.replay = f.use(s)
		case FaultDeltaDuplicates:
			o.duplicates = f.use(s)
		case FaultDeltaShuffle:
			o.shuffle = f.use(s)
		case FaultDeltaUnknown:
			o.unknown = f.use(s)
		case FaultDeltaEmptyPages:
			o.emptyPages = f.use(s)
		}
	}
	return o
}

func (s *Server) disturb(m *mailbox, value []any, o deltaFaults) []any {
	if o.duplicates {
		value = append(value, value...)
	}
	if o.unknown {
		value = append(value, removed(itemID(immutablePrefix, m.user.ID, "never", s.rng.Uint64())))
	}
	if o.shuffle {
		s.rng.Shuffle(len(value), func(i, j int) { value[i], value[j] = value[j], value[i] })
	}
	return value
}

// lag is how far reads are behind writes for a while.
type lag struct {
	reads   int
	visible int64
}

// visible is the last change that delta and $filter know of: the last there is, but for
// the time that a FaultLag gives.
func (s *Server) visible(m *mailbox) int64 {
	if m.lag.reads > 0 {
		m.lag.reads--
		return m.lag.visible
	}
	return m.user.Seq
}

// ExpireDeltaTokens makes all delta links of a mailbox unusable: 410 SyncStateNotFound.
func (s *Server) ExpireDeltaTokens(user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.person(user)
	if err != nil {
		return err
	}
	u := m.user
	u.Epoch++
	return s.commit(&change{Users: []userRec{u}})
}
