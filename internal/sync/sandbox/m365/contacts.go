package m365

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultPage = 10   // D/concepts/paging.md: Outlook's default
	largestPage = 1000 // $top of Outlook items is at most 1000: D/concepts/query-parameters.md
)

// view writes a contact as the service shows it: every property, null or empty where it
// is not set, the etag even when it was not selected.
func (m *mailbox) view(r *contactRec, immutable bool) map[string]any {
	k := changeKey(m.user.ID, r.Seq)
	o := make(map[string]any, 48)
	for _, name := range textProperties {
		o[name] = nil
	}
	for _, name := range listProperties {
		o[name] = []any{}
	}
	for _, name := range addressProperties {
		o[name] = map[string]any{}
	}
	o["emailAddresses"], o["birthday"] = []any{}, nil
	maps.Copy(o, r.Fields)
	o["@odata.etag"] = etag(k)
	o["id"] = r.id(immutable)
	o["changeKey"] = k
	o["parentFolderId"] = r.Folder
	o["createdDateTime"] = r.Created.Format(time.RFC3339)
	o["lastModifiedDateTime"] = r.Modified.Format(time.RFC3339)
	return o
}

func etag(changeKey string) string { return `W/"` + changeKey + `"` }

func (r *contactRec) id(immutable bool) string {
	if immutable {
		return r.ID
	}
	return r.Regular
}

// withProperties adds the extended properties that were asked for; the property is left
// out where the item has none of them.
func withProperties(o map[string]any, have []property, ids []string) map[string]any {
	var out []any
	for _, p := range have {
		if slices.Contains(ids, p.ID) {
			out = append(out, map[string]any{"id": p.ID, "value": p.Value})
		}
	}
	if out != nil {
		o["singleValueExtendedProperties"] = out
	}
	return o
}

// immutable tells whether the request wants ids that a move does not change. It counts
// for this request alone. D/concepts/outlook-immutable-id.md
func (c *call) immutable() bool {
	return strings.EqualFold(prefer(c.header, "IdType"), "ImmutableId")
}

// applied says which preferences were honoured.
func (c *call) applied(r *reply) *reply {
	var names []string
	if c.immutable() {
		names = append(names, `IdType="ImmutableId"`)
	}
	if p := prefer(c.header, "odata.maxpagesize"); p != "" {
		names = append(names, "odata.maxpagesize="+p)
	}
	if names != nil {
		r.set("Preference-Applied", strings.Join(names, ", "))
	}
	return r
}

// pageSize is $top, else odata.maxpagesize, else the default.
func (c *call) pageSize() (int, error) {
	n := defaultPage
	if p, err := strconv.Atoi(prefer(c.header, "odata.maxpagesize")); err == nil && p > 0 {
		n = min(p, largestPage)
	}
	return c.query.number("$top", n, largestPage)
}

func itemNotFound() error {
	return refuse(http.StatusNotFound, "ErrorItemNotFound", "The specified object was not found in the store.")
}

func folderNotFound() error {
	return refuse(http.StatusNotFound, "ErrorFolderNotFound", "The specified folder could not be found in the store.")
}

// contactTarget finds the contact that a path names. Through a folder's path only what is
// in that folder is found; the service may be less strict there.
func contactTarget(rt *target) (*contactRec, error) {
	id := rt.keys[len(rt.keys)-1]
	if len(rt.keys) == 3 {
		f := rt.m.folder(rt.keys[1])
		if f == nil {
			return nil, folderNotFound()
		}
		c := rt.m.contact(id)
		if c == nil || c.Folder != f.ID {
			return nil, itemNotFound()
		}
		return c, nil
	}
	if c := rt.m.contact(id); c != nil {
		return c, nil
	}
	if !strings.HasPrefix(id, "AA") {
		return nil, refuse(http.StatusBadRequest, "ErrorInvalidIdMalformed", "Id is malformed.")
	}
	return nil, itemNotFound()
}

// contactFolder finds the folder that a path to contacts names: the default one if it
// names none.
func contactFolder(rt *target) (*folder, error) {
	f := rt.m.defaultFolder()
	if len(rt.keys) > 1 {
		f = rt.m.folder(rt.keys[1])
	}
	if f == nil {
		return nil, folderNotFound()
	}
	return f, nil
}

func getContact(_ *Server, c *call, rt *target) (*reply, error) {
	r, err := contactTarget(rt)
	if err != nil {
		return nil, err
	}
	if err := c.query.only("$select", "$expand"); err != nil {
		return nil, err
	}
	return c.showContact(rt.m, r, http.StatusOK)
}

func (c *call) showContact(m *mailbox, r *contactRec, status int) (*reply, error) {
	names, err := c.query.selected("microsoft.graph.contact", contactProperties)
	if err != nil {
		return nil, err
	}
	ids, err := c.query.expanded()
	if err != nil {
		return nil, err
	}
	o := withProperties(pick(m.view(r, c.immutable()), names), r.Props, ids)
	o["@odata.context"] = c.base + "/$metadata#users('" + url.PathEscape(m.user.ID) + "')/contacts/$entity"
	rep := okReply(status, o).set("ETag", o["@odata.etag"].(string))
	if status == http.StatusCreated {
		rep.set("Location", link(c.base, "users="+m.user.ID, "contacts="+r.id(c.immutable())))
	}
	return c.applied(rep), nil
}

// listContacts lists a folder, or with a $filter on an extended property through the
// mailbox path the whole mailbox: "the filter is applied to all instances of the resource
// in the user's mailbox". The answer does not hold the property that was filtered for.
// D/api-reference/v1.0/api/singlevaluelegacyextendedproperty-get.md
func listContacts(s *Server, c *call, rt *target) (*reply, error) {
	f, err := contactFolder(rt)
	if err != nil {
		return nil, err
	}
	if err := c.query.only("$select", "$expand", "$filter", "$top", "$skip", "$count"); err != nil {
		return nil, err
	}
	names, err := c.query.selected("microsoft.graph.contact", contactProperties)
	if err != nil {
		return nil, err
	}
	ids, err := c.query.expanded()
	if err != nil {
		return nil, err
	}
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	skip, err := c.query.number("$skip", 0, 0)
	if err != nil {
		return nil, err
	}
	items := f.items
	if text, ok := c.query["$filter"]; ok {
		filter, err := parseFilter(text)
		if err != nil {
			return nil, err
		}
		wide := f
		if len(rt.keys) == 1 && mentionsProperties(filter) {
			wide = nil
		}
		items = rt.m.search(filter, wide, s.visible(rt.m))
	}
	if rt.m.state() == MailboxEmpty {
		items = nil
	}
	out := []any{}
	for _, r := range items[min(skip, len(items)):min(skip+size, len(items))] {
		out = append(out, withProperties(pick(rt.m.view(r, c.immutable()), names), r.Props, ids))
	}
	body := map[string]any{"@odata.context": c.base + "/$metadata#users('" + url.PathEscape(rt.m.user.ID) + "')/contacts", "value": out}
	if c.query["$count"] == "true" {
		body["@odata.count"] = len(items)
	}
	if skip+size < len(items) {
		body["@odata.nextLink"] = c.nextLink(rt, skip+size)
	}
	return c.applied(okReply(http.StatusOK, body)), nil
}

// nextLink repeats the request with the place to go on, which Outlook writes as $skip.
func (c *call) nextLink(rt *target, skip int) string {
	v := url.Values{}
	for k, t := range c.query {
		v.Set(k, t)
	}
	v.Set("$skip", strconv.Itoa(skip))
	steps := []string{"users=" + rt.m.user.ID}
	if len(rt.keys) > 1 {
		steps = append(steps, "contactFolders="+rt.keys[1])
	}
	return link(c.base, append(steps, "contacts")...) + "?" + strings.ReplaceAll(v.Encode(), "%24", "$")
}

func mentionsProperties(e expr) bool {
	switch e := e.(type) {
	case both:
		return mentionsProperties(e.a) || mentionsProperties(e.b)
	case either:
		return mentionsProperties(e.a) || mentionsProperties(e.b)
	case negated:
		return mentionsProperties(e.e)
	case anyOf:
		return strings.EqualFold(e.path, "singleValueExtendedProperties")
	}
	return false
}

// search returns the contacts that a filter holds for, by age: in one folder, or in all
// if it is nil. A change after upTo is not in the index yet.
func (m *mailbox) search(e expr, in *folder, upTo int64) []*contactRec {
	var out []*contactRec
	take := func(r *contactRec) {
		if !r.Deleted && (in == nil || r.Folder == in.ID) && r.Seq <= upTo {
			out = append(out, r)
		}
	}
	if props, ok := exactProperties(e); ok {
		ids := map[string]bool{}
		for _, p := range props {
			maps.Copy(ids, m.byProperty[foldProperty(p)])
		}
		for id := range ids {
			take(m.contacts[id])
		}
	} else {
		for _, r := range m.contacts {
			o := maps.Clone(r.Fields)
			o["id"], o["singleValueExtendedProperties"] = r.ID, r.Props
			if e.holds(o) {
				take(r)
			}
		}
	}
	slices.SortFunc(out, byNum)
	return out
}

func byNum(a, b *contactRec) int { return cmp.Compare(a.Num, b.Num) }

func createContact(s *Server, c *call, rt *target) (*reply, error) {
	f, err := contactFolder(rt)
	if err != nil {
		return nil, err
	}
	o, err := c.object()
	if err != nil {
		return nil, err
	}
	b, err := parseContact(o)
	if err != nil {
		return nil, err
	}
	if err := rt.m.roomFor(b); err != nil {
		return nil, err
	}
	r, err := s.newContact(rt.m, f, b)
	if err != nil {
		return nil, err
	}
	return c.showContact(rt.m, r, http.StatusCreated)
}

// roomFor refuses what a mailbox has no room for.
func (m *mailbox) roomFor(b contactBody) error {
	switch {
	case m.state() == MailboxFull:
		return refuse(http.StatusInsufficientStorage, "QuotaExceededException", "The mailbox has reached its quota.")
	case m.state() == MailboxNamesFull && len(b.props) > 0:
		return refuse(http.StatusForbidden, "ErrorQuotaExceeded", "Cannot get ID from name.")
	}
	return nil
}

func (s *Server) newContact(m *mailbox, f *folder, b contactBody) (*contactRec, error) {
	seq := m.user.Seq + 1
	now := s.opt.Now().UTC().Truncate(time.Second)
	r := &contactRec{
		Mailbox: m.user.ID, Num: seq, Seq: seq, Folder: f.ID,
		ID:      itemID(immutablePrefix, m.user.ID, s.opt.Seed, "immutable", seq),
		Regular: itemID(regularPrefix, m.user.ID, s.opt.Seed, "regular", seq),
		Created: now, Modified: now, Fields: withoutEmpty(b.fields), Props: mergeProperties(nil, b.props),
	}
	settle(r.Fields, b.fields)
	return r, s.commit(&change{Contacts: []*contactRec{r}})
}

func withoutEmpty(fields map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range fields {
		if list, isList := v.([]any); v != nil && (!isList || len(list) > 0) {
			out[k] = v
		}
	}
	return out
}

// updateContact merges the properties that the body names; an address or a list is
// replaced as a whole.
func updateContact(s *Server, c *call, rt *target) (*reply, error) {
	r, err := contactTarget(rt)
	if err != nil {
		return nil, err
	}
	o, err := c.object()
	if err != nil {
		return nil, err
	}
	b, err := parseContact(o)
	if err != nil {
		return nil, err
	}
	if err := c.matches(rt.m, r); err != nil {
		return nil, err
	}
	if err := rt.m.roomFor(b); err != nil {
		return nil, err
	}
	if r, err = s.changeContact(rt.m, r, b); err != nil {
		return nil, err
	}
	return c.showContact(rt.m, r, http.StatusOK)
}

// matches checks If-Match. Exchange honours it with the item's etag, as davmail and
// others rely on, although no page on contacts mentions it.
func (c *call) matches(m *mailbox, r *contactRec) error {
	want := strings.TrimSpace(c.header.Get("If-Match"))
	if want == "" || want == "*" {
		return nil
	}
	if strings.Trim(strings.TrimPrefix(want, "W/"), `"`) != changeKey(m.user.ID, r.Seq) {
		return conflict()
	}
	return nil
}

func conflict() error {
	return refuse(http.StatusPreconditionFailed, "ErrorIrresolvableConflict", "The send or update operation could not be performed because the change key passed in the request does not match the current change key for the item.")
}

func (s *Server) changeContact(m *mailbox, old *contactRec, b contactBody) (*contactRec, error) {
	r := *old
	r.Seq, r.Left = m.user.Seq+1, 0
	r.Modified = s.opt.Now().UTC().Truncate(time.Second)
	fields := maps.Clone(old.Fields)
	maps.Copy(fields, b.fields)
	r.Fields = withoutEmpty(fields)
	settle(r.Fields, b.fields)
	r.Props = mergeProperties(old.Props, b.props)
	return &r, s.commit(&change{Contacts: []*contactRec{&r}})
}

// deleteContact moves a contact to Deleted Items, where Graph's contacts do not reach:
// its id is not found from then on. D/api-reference/v1.0/api/contact-delete.md
func deleteContact(s *Server, c *call, rt *target) (*reply, error) {
	r, err := contactTarget(rt)
	if err != nil {
		return nil, err
	}
	if err := c.matches(rt.m, r); err != nil {
		return nil, err
	}
	if err := s.dropContact(rt.m, r); err != nil {
		return nil, err
	}
	return noContent(), nil
}

func (s *Server) dropContact(m *mailbox, old *contactRec) error {
	r := *old
	r.Deleted, r.Seq, r.Left = true, m.user.Seq+1, 0
	return s.commit(&change{Contacts: []*contactRec{&r}, Tombs: []tombRec{tombOf(old, r.Seq)}})
}

func tombOf(r *contactRec, seq int64) tombRec {
	return tombRec{Mailbox: r.Mailbox, Folder: r.Folder, ID: r.ID, Regular: r.Regular, Seq: seq}
}

// moveContact puts a contact into another folder, or back from Deleted Items: its regular
// id changes, its immutable id does not.
func (s *Server) moveContact(m *mailbox, old *contactRec, to *folder) error {
	r := *old
	r.Seq = m.user.Seq + 1
	r.Regular = itemID(regularPrefix, m.user.ID, s.opt.Seed, "regular", r.Seq)
	r.Folder, r.Deleted = to.ID, false
	r.Modified = s.opt.Now().UTC().Truncate(time.Second)
	r.Left = to.left[r.ID]
	c := &change{Contacts: []*contactRec{&r}}
	if !old.Deleted {
		c.Tombs = []tombRec{tombOf(old, r.Seq)}
	}
	return s.commit(c)
}
