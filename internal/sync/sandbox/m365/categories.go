package m365

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The categories of a mailbox: displayName is unique and cannot be changed, there are 25
// colours besides none. D/api-reference/v1.0/resources/outlookcategory.md

func (r categoryRec) view() map[string]any {
	return map[string]any{"id": r.ID, "displayName": r.Name, "color": r.Color}
}

func listCategories(_ *Server, c *call, rt *target) (*reply, error) {
	if err := c.query.only("$select", "$top", "$skip"); err != nil {
		return nil, err
	}
	names, err := c.query.selected("microsoft.graph.outlookCategory", []string{"id", "displayName", "color"})
	if err != nil {
		return nil, err
	}
	list := rt.m.categoryList()
	top, err := c.query.number("$top", len(list)+1, largestPage)
	if err != nil {
		return nil, err
	}
	skip, err := c.query.number("$skip", 0, 0)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, r := range list[min(skip, len(list)):min(skip+top, len(list))] {
		out = append(out, pick(r.view(), names))
	}
	return okReply(http.StatusOK, map[string]any{
		"@odata.context": c.base + "/$metadata#users('" + url.PathEscape(rt.m.user.ID) + "')/outlook/masterCategories", "value": out,
	}), nil
}

func categoryTarget(rt *target) (categoryRec, error) {
	r, ok := rt.m.categories[strings.ToLower(rt.keys[1])]
	if !ok {
		return r, itemNotFound()
	}
	return r, nil
}

func getCategory(_ *Server, c *call, rt *target) (*reply, error) {
	r, err := categoryTarget(rt)
	if err != nil {
		return nil, err
	}
	return c.showCategory(rt.m, r, http.StatusOK), nil
}

func (c *call) showCategory(m *mailbox, r categoryRec, status int) *reply {
	o := r.view()
	o["@odata.context"] = c.base + "/$metadata#users('" + url.PathEscape(m.user.ID) + "')/outlook/masterCategories/$entity"
	return okReply(status, o)
}

func categoryBody(c *call) (name, color string, err error) {
	o, err := c.object()
	if err != nil {
		return "", "", err
	}
	for k, raw := range o {
		switch {
		case strings.Contains(k, "@odata."):
		case k == "displayName" && json.Unmarshal(raw, &name) == nil && name != "":
			if err := checkText(k, name); err != nil {
				return "", "", err
			}
		case k == "color" && json.Unmarshal(raw, &color) == nil && validColor(color):
			color = strings.ToLower(color)
		case k == "displayName" || k == "color":
			return "", "", wrongType(k, "a name or a preset colour")
		default:
			return "", "", unknownProperty(k, "microsoft.graph.outlookCategory")
		}
	}
	return name, color, nil
}

func validColor(c string) bool {
	c = strings.ToLower(c)
	n, err := strconv.Atoi(strings.TrimPrefix(c, "preset"))
	return c == "none" || (err == nil && strings.HasPrefix(c, "preset") && c == "preset"+strconv.Itoa(n) && n >= 0 && n < 25)
}

// createCategory refuses a second category of a name, in any case, with 409; the status
// and the code of that refusal are assumed.
func createCategory(s *Server, c *call, rt *target) (*reply, error) {
	name, color, err := categoryBody(c)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, refuse(http.StatusBadRequest, "ErrorInvalidProperty", "The property 'DisplayName' is required when creating the entity.")
	}
	if color == "" {
		color = "none"
	}
	if slices.ContainsFunc(rt.m.categoryList(), func(r categoryRec) bool { return strings.EqualFold(r.Name, name) }) {
		return nil, refuse(http.StatusConflict, "ErrorItemSave", "A category with the specified name already exists.")
	}
	r := s.newCategory(rt.m, rt.m.user.Seq+1, name, color)
	if err := s.commit(&change{Categories: []categoryRec{r}}); err != nil {
		return nil, err
	}
	return c.showCategory(rt.m, r, http.StatusCreated), nil
}

func (s *Server) newCategory(m *mailbox, seq int64, name, color string) categoryRec {
	return categoryRec{Mailbox: m.user.ID, ID: guid(s.opt.Seed, "category", m.user.ID, seq), Name: name, Color: color, Seq: seq}
}

// updateCategory changes the colour, which is all that can be changed.
func updateCategory(s *Server, c *call, rt *target) (*reply, error) {
	r, err := categoryTarget(rt)
	if err != nil {
		return nil, err
	}
	name, color, err := categoryBody(c)
	if err != nil {
		return nil, err
	}
	if name != "" && name != r.Name {
		return nil, refuse(http.StatusBadRequest, "ErrorInvalidPropertySet", "The property 'displayName' is read-only and can't be set.")
	}
	if color != "" {
		r.Color = color
	}
	if err := s.commit(&change{Categories: []categoryRec{r}}); err != nil {
		return nil, err
	}
	return c.showCategory(rt.m, r, http.StatusOK), nil
}

// deleteCategory leaves the name on the items that bear it.
func deleteCategory(s *Server, _ *call, rt *target) (*reply, error) {
	r, err := categoryTarget(rt)
	if err != nil {
		return nil, err
	}
	r.Deleted, r.Seq = true, rt.m.user.Seq+1
	if err := s.commit(&change{Categories: []categoryRec{r}}); err != nil {
		return nil, err
	}
	return noContent(), nil
}
