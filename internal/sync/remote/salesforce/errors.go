package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// What the server's errors mean, all in one place. The codes are those of the SOAP API
// Developer Guide, "StatusCode" and "ExceptionCode", which REST uses too ("Status
// Codes and Error Responses"). Their messages are never passed on: they quote the
// record.

// meaning is what a code stands for.
type meaning struct {
	class   remote.Class
	message string
	hint    string
}

// codes tell what an error code means, whether it concerns a whole request or one
// record in it.
var codes = map[string]meaning{
	"INVALID_SESSION_ID":                           {remote.ClassConnection, "Salesforce does not accept our session, not even a new one", "look at the session policies of the external client app and of its user"},
	"REQUEST_LIMIT_EXCEEDED":                       {remote.ClassPressure, "the organization's daily API calls are used up", "it goes on by itself when the rolling 24 hours allow it"},
	"API_DISABLED_FOR_ORG":                         {remote.ClassConnection, "the organization has no access to the API", "the edition must include API access"},
	"API_CURRENTLY_DISABLED":                       {remote.ClassConnection, "the organization's access to the API is disabled at the moment", "ask Salesforce support"},
	"API_DISABLED":                                 {remote.ClassConnection, "our user may not use the API", "give the user the permission API Enabled"},
	"UNSUPPORTED_API_VERSION":                      {remote.ClassSetup, "the API version is retired", "use a newer one"},
	"UNABLE_TO_LOCK_ROW":                           {remote.ClassTransient, "the record is locked by somebody else's change", ""},
	"SERVER_UNAVAILABLE":                           {remote.ClassTransient, "Salesforce is not available at the moment", ""},
	"QUERY_TIMEOUT":                                {remote.ClassTransient, "the query took too long", ""},
	"INVALID_QUERY_LOCATOR":                        {remote.ClassTransient, "the query has expired while it was being read", ""},
	"UNKNOWN_EXCEPTION":                            {remote.ClassTransient, "Salesforce had a fault of its own", ""},
	"ENTITY_IS_DELETED":                            {remote.ClassGone, "the record was deleted", ""},
	"INVALID_REPLICATION_DATE":                     {remote.ClassCursorLost, "Salesforce does not remember deletions from so long ago", ""},
	"DUPLICATES_DETECTED":                          {remote.ClassDuplicate, "a duplicate rule refuses the record", "link it to the record that exists, or change the duplicate rule"},
	"DUPLICATE_VALUE":                              {remote.ClassDuplicate, "another record holds the same value in a unique field", ""},
	"DUPLICATE_EXTERNAL_ID":                        {remote.ClassDuplicate, "several records bear the same stamp", "make the stamp field unique"},
	"ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE_CHECK": {remote.ClassConflict, "the record has changed since it was read", ""},

	"MALFORMED_QUERY":                 {remote.ClassMapping, "Salesforce does not understand the query", ""},
	"INVALID_FIELD":                   {remote.ClassMapping, "the organization has no such field, or our user may not see it", "check field-level security for the integration user"},
	"INVALID_FIELD_FOR_INSERT_UPDATE": {remote.ClassMapping, "our user may not write a field", "check field-level security for the integration user"},
	"INVALID_TYPE":                    {remote.ClassMapping, "the organization has no such object, or our user may not see it", "check the object permissions of the integration user"},

	"FIELD_CUSTOM_VALIDATION_EXCEPTION":             {remote.ClassItem, "a validation rule refuses the record", "change the record so that the rule allows it"},
	"REQUIRED_FIELD_MISSING":                        {remote.ClassItem, "a required field is empty", "fill the field"},
	"STRING_TOO_LONG":                               {remote.ClassItem, "a value is too long", "shorten it"},
	"INVALID_EMAIL_ADDRESS":                         {remote.ClassItem, "Salesforce does not take an e-mail address as valid", "correct it"},
	"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST":       {remote.ClassItem, "a value is not in its picklist", "choose one of the list, or add the value to it"},
	"FIELD_INTEGRITY_EXCEPTION":                     {remote.ClassItem, "a value does not fit its field", "state and country must be in the organization's lists, if it has them"},
	"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY":          {remote.ClassItem, "automation in Salesforce refuses the record", "look at the triggers and flows of the contact"},
	"INACTIVE_OWNER_OR_USER":                        {remote.ClassItem, "the owner is not an active user", "give the record to an active user"},
	"STORAGE_LIMIT_EXCEEDED":                        {remote.ClassItem, "the organization's data storage is full", "make room in Salesforce"},
	"INVALID_CROSS_REFERENCE_KEY":                   {remote.ClassItem, "the record, or one that it refers to, cannot be reached", ""},
	"NOT_FOUND":                                     {remote.ClassItem, "the record cannot be reached", ""},
	"INSUFFICIENT_ACCESS_OR_READONLY":               {remote.ClassItem, "our user may not change the record", "give the integration user access to it"},
	"INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": {remote.ClassItem, "our user may not use a record that it refers to", "give the integration user access to it"},
	"INSUFFICIENT_ACCESS":                           {remote.ClassItem, "our user may not change the record", "give the integration user access to it"},
}

// wholes are codes that mean something else when a whole request is refused.
var wholes = map[string]meaning{
	"NOT_FOUND":                       {remote.ClassSetup, "Salesforce does not know the address", ""},
	"INSUFFICIENT_ACCESS_OR_READONLY": {remote.ClassConnection, "our user may not do this in Salesforce", "check the permissions of the integration user"},
	"INSUFFICIENT_ACCESS":             {remote.ClassConnection, "our user may not do this in Salesforce", "check the permissions of the integration user"},
}

// statuses tell what an answer means whose code says nothing.
var statuses = map[int]meaning{
	http.StatusMultipleChoices:    {remote.ClassDuplicate, "several records bear the same stamp", "make the stamp field unique"},
	http.StatusUnauthorized:       {remote.ClassConnection, "Salesforce does not let us in", "check the external client app"},
	http.StatusForbidden:          {remote.ClassConnection, "Salesforce does not let us do this", "check the permissions of the integration user"},
	http.StatusPreconditionFailed: {remote.ClassConflict, "the record has changed since it was read", ""},
	http.StatusGone:               {remote.ClassSetup, "the API version is retired", "use a newer one"},
	http.StatusTooManyRequests:    {remote.ClassPressure, "Salesforce asks us to slow down", ""},
	http.StatusNotFound:           {remote.ClassSetup, "Salesforce does not know the address", ""},
	http.StatusRequestURITooLong:  {remote.ClassMapping, "the query is too long", ""},
	http.StatusRequestTimeout:     {remote.ClassTransient, "Salesforce did not answer in time", ""},
}

// untouched are codes that prove that nothing was written, whatever the status.
var untouched = map[string]bool{"UNABLE_TO_LOCK_ROW": true, "SERVER_UNAVAILABLE": true, "QUERY_TIMEOUT": true, "REQUEST_LIMIT_EXCEEDED": true}

// complaint is an error as the server writes it: in an array for a whole request, with
// statusCode in place of errorCode in the result of one record.
type complaint struct {
	ErrorCode  string   `json:"errorCode"`
	StatusCode string   `json:"statusCode"`
	Message    string   `json:"message"`
	Fields     []string `json:"fields"`
	// The REST API writes the second as it stands here.
	Duplicates  duplicateResult `json:"duplicateResult"`
	Duplicates2 duplicateResult `json:"duplicateResut"`
}

type duplicateResult struct {
	MatchResults []struct {
		MatchRecords []struct {
			Record struct {
				ID string `json:"Id"`
			} `json:"record"`
		} `json:"matchRecords"`
	} `json:"matchResults"`
}

func (c complaint) code() string {
	if c.ErrorCode != "" {
		return c.ErrorCode
	}
	return c.StatusCode
}

var idAtEnd = regexp.MustCompile(`\b[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?$`)

// duplicates are the ids of the records that a create was refused for.
func (c complaint) duplicates() []string {
	var ids []string
	for _, d := range []duplicateResult{c.Duplicates, c.Duplicates2} {
		for _, m := range d.MatchResults {
			for _, r := range m.MatchRecords {
				if isID(r.Record.ID, "") {
					ids = append(ids, long(r.Record.ID))
				}
			}
		}
	}
	// "duplicate value found: X duplicates value on record with id: 003…"
	if id := idAtEnd.FindString(strings.TrimRight(c.Message, ". ")); len(ids) == 0 && c.code() == "DUPLICATE_VALUE" && isID(id, "") {
		ids = append(ids, long(id))
	}
	return ids
}

// meaningOf finds what a code and a status mean.
func meaningOf(code string, status int, item bool) meaning {
	if m, ok := wholes[code]; ok && !item {
		return m
	}
	if m, ok := codes[code]; ok {
		return m
	}
	if strings.HasPrefix(code, "INSUFFICIENT_ACCESS") {
		return codes["INSUFFICIENT_ACCESS"]
	}
	if status >= 500 {
		return meaning{class: remote.ClassTransient, message: "Salesforce had a fault of its own"}
	}
	if item && status < 400 || item && status == http.StatusBadRequest {
		return meaning{class: remote.ClassItem, message: "Salesforce refuses the record"}
	}
	if item && status == http.StatusNotFound {
		return codes["NOT_FOUND"]
	}
	if m, ok := statuses[status]; ok {
		return m
	}
	if item {
		return meaning{class: remote.ClassItem, message: "Salesforce refuses the record"}
	}
	return meaning{class: remote.ClassMapping, message: "Salesforce does not understand the request"}
}

// refused is the error of an answer that is not a good one.
func refused(a answer, writes, item bool) *remote.Error {
	var list []complaint
	var c complaint
	if json.Unmarshal(a.body, &list) == nil && len(list) > 0 {
		c = list[0]
	}
	e := c.error(a.status, item)
	e.Unclear = writes && a.status >= 500 && !untouched[c.code()]
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		e.RetryAfter, _ = transport.RetryAfter(a.header, a.at)
	}
	return e
}

// error is a complaint in our own words.
func (c complaint) error(status int, item bool) *remote.Error {
	m := meaningOf(c.code(), status, item)
	return &remote.Error{Class: m.class, Code: c.code(), Status: status, Message: m.message, Hint: m.hint, Fields: c.Fields, Whole: c.code() == "REQUEST_LIMIT_EXCEEDED"}
}

// unanswered is the error of a request without an answer. The cause is not wrapped,
// except for the end of a context: its text may hold the address, and that the query.
func unanswered(err error, writes bool) error {
	var known *remote.Error
	if errors.As(err, &known) {
		return known
	}
	f := transport.Classify(err)
	e := &remote.Error{Class: remote.ClassTransient, Code: string(f.Kind), Unclear: writes && f.Sent, RetryAfter: f.RetryAfter}
	switch f.Kind {
	case transport.Canceled:
		e.Message = "the call was cancelled"
		if e.Err = context.Canceled; errors.Is(err, context.DeadlineExceeded) {
			e.Err = context.DeadlineExceeded
		}
	case transport.Pressure:
		e.Class, e.Message = remote.ClassPressure, "Salesforce asks us to wait"
	case transport.Refused:
		e.Message, e.Hint = "nobody answers at the Salesforce endpoint", "check the endpoint of the connection and the network"
	case transport.DNS:
		e.Message, e.Hint = "the host of the Salesforce endpoint is not known", "check the endpoint of the connection"
	case transport.TLS:
		e.Class, e.Message, e.Hint = remote.ClassSetup, "the Salesforce endpoint cannot be trusted", "check the endpoint and the certificates of this machine"
	case transport.Timeout:
		e.Message = "Salesforce did not answer in time"
	case transport.TooLarge:
		e.Message = "the answer is too large"
	default:
		e.Message = "the connection to Salesforce broke"
	}
	if f.Down {
		e.Class, e.Message = remote.ClassConnection, "Salesforce cannot be reached: "+e.Message
	}
	return e
}

// unreadable is the error of a good answer that cannot be read.
func unreadable(writes bool) *remote.Error {
	return &remote.Error{Class: remote.ClassTransient, Code: "unreadable", Status: http.StatusOK, Message: "the answer of Salesforce cannot be read", Unclear: writes}
}

// noToken is the error of the token endpoint (RFC 6749, 5.2, and Salesforce Help,
// "OAuth 2.0 Authorization Errors").
func noToken(status int, code string) *remote.Error {
	e := &remote.Error{Class: remote.ClassConnection, Status: status, Code: code, Message: "Salesforce gives us no token"}
	switch code {
	case "invalid_client_id", "invalid_client", "invalid_client_credentials":
		e.Message, e.Hint = "Salesforce does not accept the client id or its secret", "compare them with the external client app"
	case "app_not_found":
		e.Message, e.Hint = "Salesforce does not find the app for this audience", "use the My Domain address as endpoint and audience"
	case "invalid_grant":
		e.Message, e.Hint = "Salesforce does not accept the user or the assertion", "authorize the app for the user in advance, and check the user name, the certificate and the clock"
	case "inactive_user", "inactive_org":
		e.Message = "the user or the organization is not active"
	case "unsupported_grant_type", "unauthorized_client":
		e.Message, e.Hint = "the external client app does not allow this flow", "enable the flow in the app's settings"
	case "":
		if status >= 500 || status == http.StatusTooManyRequests {
			e.Class, e.Message = remote.ClassTransient, "the token endpoint is not available"
		}
	}
	return e
}
