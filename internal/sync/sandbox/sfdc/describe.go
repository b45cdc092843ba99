package sfdc

import (
	"maps"
	"net/http"
	"slices"
)

func objectInfo(c *call, sc *schema) map[string]any {
	base := "/services/data/" + c.version + "/sobjects/" + sc.name
	return map[string]any{
		"name": sc.name, "label": sc.label, "labelPlural": sc.plural, "keyPrefix": sc.prefix, "custom": false,
		"createable": !sc.readOnly, "updateable": !sc.readOnly, "deletable": !sc.readOnly, "undeletable": !sc.readOnly,
		"mergeable": !sc.readOnly, "queryable": true, "retrieveable": true, "replicateable": true, "searchable": true,
		"triggerable": !sc.readOnly,
		"urls":        map[string]string{"sobject": base, "describe": base + "/describe", "rowTemplate": base + "/{ID}"},
	}
}

func (s *Server) describeGlobal(c *call) *reply {
	if c.method != http.MethodGet {
		return methodNotAllowed(c)
	}
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		list = append(list, objectInfo(c, s.tables[name].schema))
	}
	return answer(http.StatusOK, map[string]any{"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list})
}

func (s *Server) describe(c *call, sc *schema) *reply {
	if c.method != http.MethodGet {
		return methodNotAllowed(c)
	}
	info := objectInfo(c, sc)
	list := []any{}
	for _, f := range sc.fields {
		if f.removed {
			continue
		}
		refTo := []string{}
		var rel any
		if f.refTo != "" {
			refTo, rel = []string{f.refTo}, f.rel
		}
		length := f.length
		writable := !f.readOnly && !sc.readOnly
		list = append(list, map[string]any{
			"name": f.name, "label": f.label, "type": string(f.kind), "length": length, "byteLength": 3 * length,
			"createable": writable, "updateable": writable,
			"nillable":          !f.required && f.kind != kBoolean && f.kind != kID && !f.readOnly,
			"defaultedOnCreate": f.kind == kBoolean || f.readOnly || f.name == "OwnerId",
			"filterable":        !f.unfilterable, "sortable": !f.unfilterable, "groupable": !f.unfilterable && f.kind != kDateTime,
			"unique": f.unique, "externalId": f.externalID, "caseSensitive": false,
			"idLookup": f.externalID || f.kind == kID || f.kind == kEmail, "custom": f.custom, "calculated": false,
			"referenceTo": refTo, "relationshipName": rel, "restrictedPicklist": false, "picklistValues": []any{},
		})
	}
	info["fields"] = list
	info["recordTypeInfos"] = []any{}
	info["childRelationships"] = []any{}
	return answer(http.StatusOK, info)
}
