package graph

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	abstractions "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// What goes wrong is classified here and nowhere else. The service's own message is
// never shown: it may hold the content of a record.

// envelope is the form of an error in an answer
// (https://learn.microsoft.com/graph/errors).
type envelope struct {
	Error struct {
		Code    string     `json:"code"`
		Message string     `json:"message"`
		Inner   innerError `json:"innerError"`
	} `json:"error"`
}

type innerError struct {
	Code string `json:"code"`
}

// code returns the most telling code: the inner one where the outer one only names
// the kind of the status.
func (e envelope) code() string {
	switch strings.ToLower(e.Error.Code) {
	case "", "badrequest", "notfound", "invalidrequest", "generalexception", "unknownerror":
		if e.Error.Inner.Code != "" {
			return e.Error.Inner.Code
		}
	}
	return e.Error.Code
}

var quoted = regexp.MustCompile(`'([A-Za-z]+)'`)

// fields returns the native fields that the message names. It is all that is taken
// from a message: these names are ours.
func (e envelope) fields() []string {
	var names []string
	for _, m := range quoted.FindAllStringSubmatch(e.Error.Message, -1) {
		if (known(m[1]) || slices.Contains(addresses, m[1])) && !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// answer is what is known of a request that was refused.
type answer struct {
	status     int
	code       string
	fields     []string
	retryAfter time.Duration
	// told: the answer said how long to wait.
	told bool
}

// rule ties codes, or statuses where no code tells, to what they mean.
type rule struct {
	codes    []string
	statuses []int
	class    remote.Class
	message  string
	hint     string
}

// rules are tried in order: first all of their codes, then their statuses. Codes
// are compared without case.
var rules = []rule{
	{
		codes:    []string{"applicationthrottled", "toomanyrequests", "activitylimitreached", "mailboxconcurrency", "errorserverbusy"},
		statuses: []int{429, 509}, class: remote.ClassPressure, message: "Microsoft 365 asks us to slow down",
	},
	{
		codes:    []string{"errorquotaexceeded", "quotaexceededexception", "quotalimitreached", "quotaexceeded"},
		statuses: []int{507}, class: remote.ClassPressure, message: "the mailbox is full, or has no room for named properties",
		hint: "make room in the mailbox; it is tried again by itself",
	},
	{
		// https://github.com/microsoftgraph/microsoft-graph-docs/issues/2350
		codes:    []string{"syncstatenotfound", "syncstateinvalid", "resyncrequired", "errorinvalidsyncstatedata"},
		statuses: []int{410}, class: remote.ClassCursorLost, message: "the change feed of the folder has begun anew",
	},
	{
		codes: []string{"invalidauthenticationtoken", "unauthenticated"}, statuses: []int{401}, class: remote.ClassConnection,
		message: "Microsoft 365 does not accept our token", hint: "compare the tenant and the client id with the app registration",
	},
	{
		// The first two alternate for one and the same mailbox.
		codes: []string{"mailboxnotenabledforrestapi", "resourcenotfound", "mailboxnotsupportedforrestapi", "errornonexistentmailbox", "errorinvaliduser", "request_resourcenotfound"},
		class: remote.ClassAuthorization, message: "there is no mailbox that can be reached: no licence, a guest, on-premises, or deleted",
		hint: "give the person an Exchange Online licence, or disable the user",
	},
	{
		codes: []string{"erroraccessdenied", "accessdenied", "authorization_requestdenied", "forbidden"}, statuses: []int{403}, class: remote.ClassAuthorization,
		message: "Microsoft 365 does not let us in",
		hint:    "grant the app Contacts.ReadWrite and MailboxSettings.ReadWrite, and take the mailbox into the scope of its access policy",
	},
	{
		codes: []string{"errorirresolvableconflict", "resourcemodified", "preconditionfailed"}, statuses: []int{409, 412}, class: remote.ClassConflict,
		message: "the item has changed since it was read",
	},
	{codes: []string{"errorfoldernotfound"}, class: remote.ClassContainerGone, message: "the folder does not exist any more"},
	// An id of another mailbox, as a change of owner leaves it in a stamp.
	{codes: []string{"errorinvalidmailboxitemid"}, class: remote.ClassGone, message: "this mailbox has no such item"},
	{codes: []string{"erroritemnotfound", "itemnotfound"}, statuses: []int{404}, class: remote.ClassGone, message: "the item does not exist any more"},
	{
		codes: []string{"errormailboxstoreunavailable", "errormailboxmoveinprogress", "servicenotavailable", "locked"}, statuses: []int{423, 503}, class: remote.ClassTransient,
		message: "the mailbox is busy with something else",
	},
	{
		codes:    []string{"errorinternalserverexception", "errorinternalservererror", "errorinternalservertransienterror", "generalexception"},
		statuses: []int{408, 500, 502, 504}, class: remote.ClassTransient, message: "Microsoft 365 had a fault of its own",
	},
	{statuses: []int{424}, class: remote.ClassTransient, message: "the write was not tried because another one failed"},
	{
		codes:    []string{"errorinvalididmalformed", "errorinvalidrequest", "requestbodyread", "erroroccurrencecrossingboundary", "errorpropertyvalidationfailure", "errorinvalidpropertyset"},
		statuses: []int{400, 405, 413, 415, 422}, class: remote.ClassItem, message: "Microsoft 365 refuses the item as it is",
	},
}

func ruleFor(a answer) rule {
	code := strings.ToLower(a.code)
	for _, r := range rules {
		for _, c := range r.codes {
			if c == code {
				return r
			}
		}
	}
	for _, r := range rules {
		for _, s := range r.statuses {
			if s == a.status {
				return r
			}
		}
	}
	return rule{class: remote.ClassTransient, message: "Microsoft 365 answered in a way that we do not know"}
}

// classify says what a refusal means for a call.
func classify(a answer, c call) *remote.Error {
	r := ruleFor(a)
	e := &remote.Error{Class: r.class, Code: a.code, Status: a.status, Message: r.message, Hint: r.hint, RetryAfter: a.retryAfter, Fields: a.fields}
	switch {
	case r.class == remote.ClassAuthorization && c.scope == inTenant:
		e.Class, e.Message = remote.ClassConnection, "Microsoft 365 does not let us list what belongs to the tenant"
		e.Hint = "grant the app User.Read.All, and for add-ins TeamsAppInstallation.ReadWriteForUser.All and AppCatalog.Read.All"
	case r.class == remote.ClassGone && c.scope == inContainer:
		// A folder that is not there is reported as an item that is not.
		e.Class, e.Message = remote.ClassContainerGone, "the folder does not exist any more"
	case r.class == remote.ClassGone && c.scope == inMailbox:
		e.Class, e.Message = remote.ClassAuthorization, "there is no mailbox that can be reached"
	case r.class == remote.ClassGone && c.scope == inTenant:
		e.Class, e.Message = remote.ClassConnection, "the service does not know what we ask for"
	case r.class == remote.ClassContainerGone && c.scope <= inMailbox:
		e.Class = remote.ClassTransient
	case r.class == remote.ClassItem && c.scope != onItem && !c.write():
		e.Class, e.Message = remote.ClassMapping, "Microsoft 365 does not know a field that we ask for"
	case a.status == http.StatusServiceUnavailable && a.told:
		e.Class, e.Message = remote.ClassPressure, "Microsoft 365 asks us to slow down"
	}
	// What a server refuses it has not done; what it fails at it may have.
	e.Unclear = c.write() && (a.status >= 500 && a.status != http.StatusInsufficientStorage && a.status != 509 || a.status == http.StatusRequestTimeout)
	return e
}

// sdkFault turns what the SDK returns into what it means.
func (g *Graph) sdkFault(err error, c call) error {
	var own *remote.Error
	if errors.As(err, &own) { // from the token source, or from the guard
		return own
	}
	var refused *odataerrors.ODataError
	var bare *abstractions.ApiError
	var a answer
	switch {
	case errors.As(err, &refused):
		a = g.answerOf(refused.ResponseStatusCode, refused.ResponseHeaders)
		if main := refused.GetErrorEscaped(); main != nil && main.GetCode() != nil {
			a.code = *main.GetCode()
			if m := main.GetMessage(); m != nil && *m != "" {
				a.fields = strings.Split(*m, ",")
			}
		}
	case errors.As(err, &bare):
		a = g.answerOf(bare.ResponseStatusCode, bare.ResponseHeaders)
	default:
		return network(err, c.write())
	}
	return classify(a, c)
}

func (g *Graph) answerOf(status int, headers *abstractions.ResponseHeaders) answer {
	a := answer{status: status}
	if headers == nil {
		return a
	}
	h := http.Header{}
	for _, name := range []string{"Retry-After", "Date"} {
		if v := headers.Get(name); len(v) > 0 {
			h.Set(name, v[0])
		}
	}
	a.retryAfter, a.told = transport.RetryAfter(h, g.cfg.Now())
	return a
}

// network says why there is no answer.
func network(err error, write bool) error {
	f := transport.Classify(err)
	e := &remote.Error{Class: remote.ClassTransient, Code: string(f.Kind), RetryAfter: f.RetryAfter, Unclear: write && f.Sent}
	switch f.Kind {
	case transport.Canceled:
		e.Message, e.Code, e.Err = "interrupted", "", err
	case transport.Pressure:
		e.Class, e.Message = remote.ClassPressure, "Microsoft 365 asks us to slow down"
	case transport.Refused:
		e.Message, e.Hint = "nobody answers at the address of Microsoft 365", "check the network, the proxy and the endpoint"
	case transport.DNS:
		e.Message, e.Hint = "the name of the service cannot be resolved", "check the network and the endpoint"
	case transport.TLS:
		e.Class, e.Message, e.Hint = remote.ClassConnection, "the certificate of the service is not trusted", "check the proxy, and the certificates this machine trusts"
	case transport.Timeout:
		e.Message = "Microsoft 365 did not answer in time"
	case transport.TooLarge:
		e.Message = "the answer of Microsoft 365 is too large"
	case transport.Token:
		e.Class, e.Message = remote.ClassConnection, "there is no access token"
	default:
		e.Message = "the connection to Microsoft 365 broke"
	}
	if f.Down {
		e.Class, e.Message = remote.ClassConnection, "Microsoft 365 cannot be reached: "+e.Message
	}
	return e
}

// malformed is an answer that cannot be read. After a write it leaves open what
// happened.
func malformed(write bool) error {
	return &remote.Error{Class: remote.ClassTransient, Code: "malformed", Message: "the answer of Microsoft 365 cannot be read", Unclear: write}
}

// stops reports whether an error is reason to send no more writes to the mailbox.
func stops(err error) bool {
	switch remote.ClassOf(err) {
	case remote.ClassPressure, remote.ClassAuthorization, remote.ClassConnection, remote.ClassContainerGone, remote.ClassSetup:
		return true
	}
	return false
}

// unsent is the error of a write that was not sent because of another's.
func unsent(err error) error {
	e := detail(err)
	if !e.Unclear {
		return err
	}
	e.Unclear = false
	return &e
}

// detail returns a copy of what we said of an error; the zero value of none.
func detail(err error) remote.Error {
	var e *remote.Error
	if errors.As(err, &e) {
		return *e
	}
	return remote.Error{}
}

func (e *envelope) decode(raw json.RawMessage) { _ = json.Unmarshal(raw, e) }
