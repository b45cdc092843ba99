package salesforce

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Each code means one thing, for a whole request and for one record in it; what is
// unknown is guessed from the status.
func TestMeanings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code   string
		status int
		whole  remote.Class
		item   remote.Class
	}{
		{"INVALID_SESSION_ID", 401, remote.ClassConnection, remote.ClassConnection},
		{"REQUEST_LIMIT_EXCEEDED", 403, remote.ClassPressure, remote.ClassPressure},
		{"API_DISABLED_FOR_ORG", 403, remote.ClassConnection, remote.ClassConnection},
		{"API_CURRENTLY_DISABLED", 403, remote.ClassConnection, remote.ClassConnection},
		{"INSUFFICIENT_ACCESS", 403, remote.ClassConnection, remote.ClassItem},
		{"INSUFFICIENT_ACCESS_OR_READONLY", 403, remote.ClassConnection, remote.ClassItem},
		{"INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", 400, remote.ClassItem, remote.ClassItem},
		{"UNABLE_TO_LOCK_ROW", 400, remote.ClassTransient, remote.ClassTransient},
		{"SERVER_UNAVAILABLE", 503, remote.ClassTransient, remote.ClassTransient},
		{"QUERY_TIMEOUT", 400, remote.ClassTransient, remote.ClassTransient},
		{"", 500, remote.ClassTransient, remote.ClassTransient},
		{"", 502, remote.ClassTransient, remote.ClassTransient},
		{"ENTITY_IS_DELETED", 404, remote.ClassGone, remote.ClassGone},
		{"NOT_FOUND", 404, remote.ClassSetup, remote.ClassItem},
		{"INVALID_CROSS_REFERENCE_KEY", 400, remote.ClassItem, remote.ClassItem},
		{"DUPLICATES_DETECTED", 400, remote.ClassDuplicate, remote.ClassDuplicate},
		{"DUPLICATE_VALUE", 400, remote.ClassDuplicate, remote.ClassDuplicate},
		{"", 300, remote.ClassDuplicate, remote.ClassItem},
		{"FIELD_CUSTOM_VALIDATION_EXCEPTION", 400, remote.ClassItem, remote.ClassItem},
		{"REQUIRED_FIELD_MISSING", 400, remote.ClassItem, remote.ClassItem},
		{"STRING_TOO_LONG", 400, remote.ClassItem, remote.ClassItem},
		{"INVALID_EMAIL_ADDRESS", 400, remote.ClassItem, remote.ClassItem},
		{"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", 400, remote.ClassItem, remote.ClassItem},
		{"FIELD_INTEGRITY_EXCEPTION", 400, remote.ClassItem, remote.ClassItem},
		{"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", 400, remote.ClassItem, remote.ClassItem},
		{"MALFORMED_QUERY", 400, remote.ClassMapping, remote.ClassMapping},
		{"INVALID_FIELD", 400, remote.ClassMapping, remote.ClassMapping},
		{"INVALID_TYPE", 400, remote.ClassMapping, remote.ClassMapping},
		{"INVALID_QUERY_LOCATOR", 400, remote.ClassTransient, remote.ClassTransient},
		{"INVALID_REPLICATION_DATE", 400, remote.ClassCursorLost, remote.ClassCursorLost},
		{"UNSUPPORTED_API_VERSION", 410, remote.ClassSetup, remote.ClassSetup},
		{"", 410, remote.ClassSetup, remote.ClassSetup},
		{"", 412, remote.ClassConflict, remote.ClassConflict},
		{"ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE_CHECK", 400, remote.ClassConflict, remote.ClassConflict},
		{"", 429, remote.ClassPressure, remote.ClassPressure},
		{"NEVER_HEARD_OF", 400, remote.ClassMapping, remote.ClassItem},
		{"NEVER_HEARD_OF", 401, remote.ClassConnection, remote.ClassConnection},
		{"NEVER_HEARD_OF", 403, remote.ClassConnection, remote.ClassConnection},
		{"NEVER_HEARD_OF", 503, remote.ClassTransient, remote.ClassTransient},
	}
	for _, tt := range tests {
		body := []byte(`<html>`)
		if tt.code != "" {
			body = []byte(`[{"message":"Miller is wrong","errorCode":"` + tt.code + `","fields":["LastName"]}]`)
		}
		a := answer{status: tt.status, header: http.Header{}, body: body}
		for item, want := range map[bool]remote.Class{false: tt.whole, true: tt.item} {
			e := refused(a, true, item)
			if e.Class != want {
				t.Errorf("%s %d, one record %v: class %s, want %s", tt.code, tt.status, item, e.Class, want)
			}
			if unclear := tt.status >= 500 && tt.code != "SERVER_UNAVAILABLE"; e.Unclear != unclear {
				t.Errorf("%s %d: unclear %v, want %v", tt.code, tt.status, e.Unclear, unclear)
			}
			if e.Code != tt.code || strings.Contains(e.Error(), "Miller") || e.Message == "" {
				t.Errorf("%s %d: error %q", tt.code, tt.status, e.Error())
			}
		}
	}
}

// An error that the connector has classified stays what it is; the text of any other
// is not passed on.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	known := &remote.Error{Class: remote.ClassSetup}
	if err := unanswered(known, true); !errors.Is(err, known) {
		t.Errorf("a known error became %v", err)
	}
	err := unanswered(errors.New("Get https://acme/query?q=Miller: broken"), true)
	if !remote.Is(err, remote.ClassTransient) || !remote.IsUnclear(err) || strings.Contains(err.Error(), "Miller") {
		t.Errorf("error %v, unclear %v", err, remote.IsUnclear(err))
	}
}

// The ids of duplicates are found wherever the API puts them.
func TestDuplicateIDs(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`[{"errorCode":"DUPLICATES_DETECTED","duplicateResut":{"matchResults":[{"matchRecords":[{"record":{"Id":"001D000000IRFma"}}]}]}}]`:      {"001D000000IRFmaIAH"},
		`[{"statusCode":"DUPLICATES_DETECTED","duplicateResult":{"matchResults":[{"matchRecords":[{"record":{"Id":"001D000000IRFmaIAH"}}]}]}}]`: {"001D000000IRFmaIAH"},
		`[{"statusCode":"DUPLICATE_VALUE","message":"duplicate value found: A__c duplicates value on record with id: 001D000000IRFma"}]`:        {"001D000000IRFmaIAH"},
		`[{"statusCode":"DUPLICATES_DETECTED","message":"Use one of these records?"}]`:                                                          nil,
	} {
		var list []complaint
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		if got := list[0].duplicates(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// A token goes to the instance that the server names only if nobody can listen.
func TestInstanceURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoint, instance, want string }{
		{"https://acme.my.salesforce.com", "https://na1.salesforce.com", "https://na1.salesforce.com"},
		{"https://acme.my.salesforce.com", "http://na1.salesforce.com", "https://acme.my.salesforce.com"},
		{"https://acme.my.salesforce.com", "http://127.0.0.1:80", "https://acme.my.salesforce.com"},
		{"https://acme.my.salesforce.com", "", "https://acme.my.salesforce.com"},
		{"http://127.0.0.1:8080", "http://127.0.0.1:9090", "http://127.0.0.1:8080"},
		{"http://127.0.0.1:8080", "https://evil.example", "http://127.0.0.1:8080"},
	} {
		s := newTokenSource(Config{Endpoint: tt.endpoint}, nil, nil)
		s.keep(grant{AccessToken: "t", InstanceURL: tt.instance, ID: "https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P"})
		if s.base != tt.want {
			t.Errorf("%s, told %s: calls go to %s, want %s", tt.endpoint, tt.instance, s.base, tt.want)
		}
		if !isID(s.org, "00D") || len(s.org) != 18 {
			t.Errorf("organization %q", s.org)
		}
	}
}

// Lists are cut so that addresses stay short, and nothing is left out.
func TestLists(t *testing.T) {
	t.Parallel()
	var values []string
	for range 900 {
		values = append(values, "1|install|contacts|0123456789abcdef0123456789abcdef|"+strings.Repeat("ä", 100))
	}
	n := 0
	for _, l := range lists(values) {
		n += len(l)
		address := request{method: "GET", path: "/", query: map[string][]string{"q": {in("F", l)}}}
		req, err := address.build(t.Context(), "https://x")
		if err != nil {
			t.Fatal(err)
		}
		if len(req.URL.String()) > room+100 {
			t.Errorf("an address of %d characters", len(req.URL.String()))
		}
	}
	if n != len(values) {
		t.Errorf("%d of %d values", n, len(values))
	}
	if got := quote("a'b\\c\nd"); got != `'a\'b\\c\nd'` {
		t.Errorf("quoted as %s", got)
	}
}
