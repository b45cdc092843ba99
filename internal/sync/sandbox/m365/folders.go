package m365

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

var folderProperties = []string{"id", "displayName", "parentFolderId"}

func (f *folder) view() map[string]any {
	return map[string]any{"id": f.ID, "displayName": f.Name, "parentFolderId": f.Parent}
}

// folderTarget finds the folder that a path names.
func folderTarget(rt *target) (*folder, error) {
	if f := rt.m.folder(rt.keys[1]); f != nil {
		return f, nil
	}
	return nil, folderNotFound()
}

// listFolders lists the folders below Contacts, or below the one that the path names;
// Contacts itself is in no list (contrib#6327).
func listFolders(_ *Server, c *call, rt *target) (*reply, error) {
	if err := c.query.only("$select", "$expand", "$filter", "$top", "$skip", "$count"); err != nil {
		return nil, err
	}
	parent := rt.m.defaultFolder()
	if len(rt.keys) > 1 {
		var err error
		if parent, err = folderTarget(rt); err != nil {
			return nil, err
		}
	}
	names, err := c.query.selected("microsoft.graph.contactFolder", folderProperties)
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
	found := rt.m.children(parent.ID)
	if text, ok := c.query["$filter"]; ok {
		filter, err := parseFilter(text)
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(f *folder) bool {
			o := f.view()
			o["singleValueExtendedProperties"] = f.Props
			return !filter.holds(o)
		})
	}
	out := []any{}
	for _, f := range found[min(skip, len(found)):min(skip+size, len(found))] {
		out = append(out, withProperties(pick(f.view(), names), f.Props, ids))
	}
	body := map[string]any{"@odata.context": c.base + "/$metadata#users('" + url.PathEscape(rt.m.user.ID) + "')/contactFolders", "value": out}
	if c.query["$count"] == "true" {
		body["@odata.count"] = len(found)
	}
	if skip+size < len(found) {
		v := url.Values{}
		for k, t := range c.query {
			v.Set(k, t)
		}
		v.Set("$skip", strconv.Itoa(skip+size))
		steps := []string{"users=" + rt.m.user.ID, "contactFolders"}
		if len(rt.keys) > 1 {
			steps = []string{"users=" + rt.m.user.ID, "contactFolders=" + parent.ID, "childFolders"}
		}
		body["@odata.nextLink"] = link(c.base, steps...) + "?" + strings.ReplaceAll(v.Encode(), "%24", "$")
	}
	return c.applied(okReply(http.StatusOK, body)), nil
}

func getFolder(_ *Server, c *call, rt *target) (*reply, error) {
	f, err := folderTarget(rt)
	if err != nil {
		return nil, err
	}
	if err := c.query.only("$select", "$expand"); err != nil {
		return nil, err
	}
	return c.showFolder(rt.m, f, http.StatusOK)
}

func (c *call) showFolder(m *mailbox, f *folder, status int) (*reply, error) {
	names, err := c.query.selected("microsoft.graph.contactFolder", folderProperties)
	if err != nil {
		return nil, err
	}
	ids, err := c.query.expanded()
	if err != nil {
		return nil, err
	}
	o := withProperties(pick(f.view(), names), f.Props, ids)
	o["@odata.context"] = c.base + "/$metadata#users('" + url.PathEscape(m.user.ID) + "')/contactFolders/$entity"
	return c.applied(okReply(status, o)), nil
}

// folderBody reads what a request wants of a folder; name is nil if it says nothing of it.
func folderBody(c *call) (name *string, props map[string]*string, err error) {
	o, err := c.object()
	if err != nil {
		return nil, nil, err
	}
	for k, raw := range o {
		switch {
		case strings.Contains(k, "@odata."):
		case k == "displayName":
			var t string
			if json.Unmarshal(raw, &t) != nil || strings.TrimSpace(t) == "" {
				return nil, nil, wrongType("displayName", "a string")
			}
			if err := checkText(k, t); err != nil {
				return nil, nil, err
			}
			name = &t
		case k == "singleValueExtendedProperties":
			if props, err = parseProperties(raw); err != nil {
				return nil, nil, err
			}
		case k == "id" || k == "parentFolderId":
			return nil, nil, refuse(http.StatusBadRequest, "ErrorInvalidPropertySet", "The property '%s' is read-only and can't be set.", k)
		default:
			return nil, nil, unknownProperty(k, "microsoft.graph.contactFolder")
		}
	}
	return name, props, nil
}

// folderExists refuses a name that a folder beside has already: 409 ErrorFolderExists, as
// alcionai/corso#3278 met it on contact folders.
func (m *mailbox) folderExists(parent, name, but string) error {
	for _, f := range m.children(parent) {
		if f.ID != but && strings.EqualFold(f.Name, name) {
			return refuse(http.StatusConflict, "ErrorFolderExists", "A folder with the specified name already exists.")
		}
	}
	return nil
}

func createFolder(s *Server, c *call, rt *target) (*reply, error) {
	parent := rt.m.defaultFolder()
	if len(rt.keys) > 1 {
		var err error
		if parent, err = folderTarget(rt); err != nil {
			return nil, err
		}
	}
	name, props, err := folderBody(c)
	if err != nil {
		return nil, err
	}
	if name == nil {
		return nil, refuse(http.StatusBadRequest, "ErrorInvalidProperty", "The property 'DisplayName' is required when creating the entity.")
	}
	if err := rt.m.roomFor(contactBody{props: props}); err != nil {
		return nil, err
	}
	f, err := s.newFolder(rt.m, parent, *name, props)
	if err != nil {
		return nil, err
	}
	return c.showFolder(rt.m, f, http.StatusCreated)
}

func (s *Server) newFolder(m *mailbox, parent *folder, name string, props map[string]*string) (*folder, error) {
	if err := m.folderExists(parent.ID, name, ""); err != nil {
		return nil, err
	}
	r := folderRec{Mailbox: m.user.ID, Parent: parent.ID, Name: name, Seq: m.user.Seq + 1, Props: mergeProperties(nil, props)}
	r.ID = itemID(regularPrefix, m.user.ID, s.opt.Seed, "folder", r.Seq)
	if err := s.commit(&change{Folders: []folderRec{r}}); err != nil {
		return nil, err
	}
	return m.folders[r.ID], nil
}

func updateFolder(s *Server, c *call, rt *target) (*reply, error) {
	f, err := folderTarget(rt)
	if err != nil {
		return nil, err
	}
	name, props, err := folderBody(c)
	if err != nil {
		return nil, err
	}
	if err := rt.m.roomFor(contactBody{props: props}); err != nil {
		return nil, err
	}
	if err := s.changeFolder(rt.m, f, name, props); err != nil {
		return nil, err
	}
	return c.showFolder(rt.m, f, http.StatusOK)
}

func (s *Server) changeFolder(m *mailbox, f *folder, name *string, props map[string]*string) error {
	r := f.folderRec
	if name != nil && *name != r.Name {
		if f.Default {
			return refuse(http.StatusBadRequest, "ErrorCannotRenameDistinguishedFolder", "Distinguished folders cannot be renamed.")
		}
		if err := m.folderExists(r.Parent, *name, r.ID); err != nil {
			return err
		}
		r.Name = *name
	}
	r.Props = mergeProperties(r.Props, props)
	return s.commit(&change{Folders: []folderRec{r}})
}

func deleteFolder(s *Server, _ *call, rt *target) (*reply, error) {
	f, err := folderTarget(rt)
	if err != nil {
		return nil, err
	}
	if err := s.dropFolder(rt.m, f); err != nil {
		return nil, err
	}
	return noContent(), nil
}

// dropFolder moves a folder with all that is in it to Deleted Items. From then on the
// folder is not found, nor its delta links.
func (s *Server) dropFolder(m *mailbox, f *folder) error {
	if f.Default {
		return refuse(http.StatusBadRequest, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
	}
	c := &change{}
	seq := m.user.Seq
	for _, g := range m.below(f) {
		r := g.folderRec
		r.Deleted = true
		c.Folders = append(c.Folders, r)
		for _, old := range g.items {
			seq++
			r := *old
			r.Deleted, r.Seq, r.Left = true, seq, 0
			c.Contacts = append(c.Contacts, &r)
			c.Tombs = append(c.Tombs, tombOf(old, seq))
		}
	}
	slices.SortFunc(c.Tombs, func(a, b tombRec) int { return cmp.Compare(a.Seq, b.Seq) })
	return s.commit(c)
}
