package sfdc

import (
	"fmt"
	"net/http"
)

// failure is an error as the API reports it: alone in an array, or inside the
// result of one item of a collection.
type failure struct {
	status  int
	code    string
	message string
	fields  []string
	// duplicates are the ids of the rows that a duplicate rule found.
	duplicates []string
}

func (f *failure) Error() string { return f.code + ": " + f.message }

func fail(status int, code, format string, args ...any) *failure {
	return &failure{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func badRequest(code, format string, args ...any) *failure {
	return fail(http.StatusBadRequest, code, format, args...)
}

func (f *failure) on(fields ...string) *failure {
	f.fields = fields
	return f
}

func notFound() *failure {
	return fail(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
}

func isDeleted() *failure {
	return fail(http.StatusNotFound, "ENTITY_IS_DELETED", "entity is deleted")
}

func noAccess() *failure {
	return fail(http.StatusForbidden, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
}

func noColumn(name, object string) *failure {
	return badRequest("INVALID_FIELD", "No such column '%s' on sobject of type %s", name, object)
}

// body is the array that a whole request fails with. Rows found by a duplicate rule
// are listed under the key that the REST API really uses, misspelt as it is.
func (f *failure) body() any {
	m := map[string]any{"message": f.message, "errorCode": f.code}
	if len(f.fields) > 0 {
		m["fields"] = f.fields
	} else if f.code == "REQUIRED_FIELD_MISSING" || f.code == "DUPLICATES_DETECTED" {
		m["fields"] = []string{}
	}
	if len(f.duplicates) > 0 {
		m["duplicateResut"] = f.duplicateResult()
	}
	return []any{m}
}

// item is the entry of the errors of one record in the reply of a collection.
func (f *failure) item() any {
	fields := f.fields
	if fields == nil {
		fields = []string{}
	}
	m := map[string]any{"message": f.message, "statusCode": f.code, "fields": fields}
	if len(f.duplicates) > 0 {
		m["duplicateResult"] = f.duplicateResult()
	}
	return m
}

func (f *failure) duplicateResult() any {
	records := make([]any, 0, len(f.duplicates))
	for _, id := range f.duplicates {
		records = append(records, map[string]any{
			"additionalInformation": []any{}, "fieldDiffs": []any{}, "matchConfidence": 100.0,
			"record": map[string]any{
				"attributes": map[string]any{"type": "Contact", "url": rowURL("", "Contact", id)},
				"Id":         id,
			},
		})
	}
	return map[string]any{
		"allowSave":               true,
		"duplicateRule":           "Standard_Contact_Duplicate_Rule",
		"duplicateRuleEntityType": "Contact",
		"errorMessage":            f.message,
		"matchResults": []any{map[string]any{
			"entityType": "Contact", "errors": []any{}, "matchEngine": "ExactMatchEngine",
			"matchRecords": records, "rule": "Standard_Contact_Match_Rule", "size": len(records), "success": true,
		}},
	}
}
