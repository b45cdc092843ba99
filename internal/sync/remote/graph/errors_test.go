package graph

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Each row says what a refusal means where it is met. The statuses and codes are
// those of Graph's error list and of the Exchange response codes behind it.
func TestClassify(t *testing.T) {
	t.Parallel()
	read := func(s scope) call { return call{method: "GET", scope: s} }
	create, update := call{method: "POST", scope: inContainer}, call{method: "PATCH", scope: onItem}
	for _, tt := range []struct {
		status  int
		code    string
		c       call
		want    remote.Class
		unclear bool
	}{
		{401, "InvalidAuthenticationToken", read(inMailbox), remote.ClassConnection, false},
		{401, "", update, remote.ClassConnection, false},
		{403, "ErrorAccessDenied", read(inMailbox), remote.ClassAuthorization, false},
		{403, "ErrorAccessDenied", update, remote.ClassAuthorization, false},
		{403, "Authorization_RequestDenied", read(inTenant), remote.ClassConnection, false},
		{403, "SomethingNew", read(inContainer), remote.ClassAuthorization, false},
		{404, "MailboxNotEnabledForRESTAPI", read(inMailbox), remote.ClassAuthorization, false},
		{404, "ResourceNotFound", read(inContainer), remote.ClassAuthorization, false},
		{404, "ResourceNotFound", read(onItem), remote.ClassAuthorization, false},
		{404, "ErrorInvalidUser", read(onItem), remote.ClassAuthorization, false},
		{404, "Request_ResourceNotFound", read(inMailbox), remote.ClassAuthorization, false},
		{404, "ErrorItemNotFound", read(onItem), remote.ClassGone, false},
		{404, "errorItemNotFound", update, remote.ClassGone, false},
		{404, "ErrorItemNotFound", read(inContainer), remote.ClassContainerGone, false},
		{404, "ErrorFolderNotFound", read(inContainer), remote.ClassContainerGone, false},
		{404, "ErrorFolderNotFound", create, remote.ClassContainerGone, false},
		{404, "ErrorFolderNotFound", update, remote.ClassContainerGone, false},
		{404, "", read(inMailbox), remote.ClassAuthorization, false},
		{404, "", read(inTenant), remote.ClassConnection, false},
		{400, "ErrorInvalidIdMalformed", read(onItem), remote.ClassItem, false},
		{400, "RequestBodyRead", update, remote.ClassItem, false},
		{400, "ErrorPropertyValidationFailure", create, remote.ClassItem, false},
		{400, "RequestBroker--ParseUri", read(inContainer), remote.ClassMapping, false},
		{413, "", create, remote.ClassItem, false},
		{409, "ErrorIrresolvableConflict", update, remote.ClassConflict, false},
		{412, "", update, remote.ClassConflict, false},
		{412, "resourceModified", call{method: "DELETE", scope: onItem}, remote.ClassConflict, false},
		{410, "SyncStateNotFound", read(inContainer), remote.ClassCursorLost, false},
		{410, "", read(inContainer), remote.ClassCursorLost, false},
		{404, "syncStateNotFound", read(inContainer), remote.ClassCursorLost, false},
		{400, "SYNCSTATEINVALID", read(inContainer), remote.ClassCursorLost, false},
		{403, "resyncRequired", read(inContainer), remote.ClassCursorLost, false},
		{423, "Locked", update, remote.ClassTransient, false},
		{503, "ErrorMailboxMoveInProgress", read(inContainer), remote.ClassTransient, false},
		{503, "ErrorMailboxStoreUnavailable", create, remote.ClassTransient, true},
		{429, "ApplicationThrottled", create, remote.ClassPressure, false},
		{429, "", read(inContainer), remote.ClassPressure, false},
		{509, "", create, remote.ClassPressure, false},
		{403, "ErrorQuotaExceeded", create, remote.ClassPressure, false},
		{507, "QuotaExceededException", create, remote.ClassPressure, false},
		{507, "QuotaExceededException", read(inContainer), remote.ClassPressure, false},
		{500, "ErrorInternalServerError", create, remote.ClassTransient, true},
		{500, "generalException", read(inContainer), remote.ClassTransient, false},
		{502, "", update, remote.ClassTransient, true},
		{504, "", call{method: "DELETE", scope: onItem}, remote.ClassTransient, true},
		{424, "FailedDependency", create, remote.ClassTransient, false},
		{418, "teapot", update, remote.ClassTransient, false},
	} {
		e := classify(answer{status: tt.status, code: tt.code}, tt.c)
		if e.Class != tt.want || e.Unclear != tt.unclear {
			t.Errorf("%d %s on %s/%d: %s, unclear %v; want %s, %v", tt.status, tt.code, tt.c.method, tt.c.scope, e.Class, e.Unclear, tt.want, tt.unclear)
		}
		if e.Message == "" || e.Message != strings.TrimSuffix(e.Message, ".") {
			t.Errorf("%d %s: message %q", tt.status, tt.code, e.Message)
		}
	}
	throttled := classify(answer{status: 503, told: true, retryAfter: time.Minute}, read(inContainer))
	if throttled.Class != remote.ClassPressure || throttled.RetryAfter != time.Minute {
		t.Errorf("503 with Retry-After: %s for %v", throttled.Class, throttled.RetryAfter)
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"error":{"code":"ErrorItemNotFound","message":"m"}}`:                                 "ErrorItemNotFound",
		`{"error":{"code":"UnknownError","innerError":{"code":"ErrorMailboxMoveInProgress"}}}`: "ErrorMailboxMoveInProgress",
		`{"error":{"code":"BadRequest","innerError":{"date":"d"}}}`:                            "BadRequest",
		`<html>bad gateway</html>`:                                                             "",
		`[]`:                                                                                   "",
		``:                                                                                     "",
		`{"error":"invalid_client"}`:                                                           "",
		`{"error":{"code":"X","message":"'surname' of 'Miller' and 'homeAddress', 'surname'"}}`: "X",
	} {
		var e envelope
		e.decode([]byte(body))
		if e.code() != want {
			t.Errorf("%s: code %q, want %q", body, e.code(), want)
		}
		for _, f := range e.fields() {
			if f == "Miller" {
				t.Error("a value was taken for a field")
			}
		}
	}
	var e envelope
	e.decode([]byte(`{"error":{"code":"X","message":"'surname' of 'Miller' and 'homeAddress', 'surname'"}}`))
	if got := strings.Join(e.fields(), " "); got != "surname homeAddress" {
		t.Errorf("fields %q", got)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, tt := range []struct {
		err     error
		write   bool
		class   remote.Class
		unclear bool
	}{
		{reset, true, remote.ClassTransient, true},
		{reset, false, remote.ClassTransient, false},
		{dial, true, remote.ClassTransient, false},
		{io.ErrUnexpectedEOF, true, remote.ClassTransient, true},
		{&net.DNSError{Name: "secret.example"}, true, remote.ClassTransient, false},
	} {
		err := network(tt.err, tt.write)
		if remote.ClassOf(err) != tt.class || remote.IsUnclear(err) != tt.unclear {
			t.Errorf("%v (write %v): %s, unclear %v", tt.err, tt.write, remote.ClassOf(err), remote.IsUnclear(err))
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v tells too much", err)
		}
	}
	if !remote.IsUnclear(malformed(true)) || remote.IsUnclear(malformed(false)) {
		t.Error("an answer to a write that cannot be read leaves open what happened, one to a read does not")
	}
	if err := unsent(malformed(true)); remote.IsUnclear(err) || !remote.Is(err, remote.ClassTransient) {
		t.Errorf("unsent: %v", err)
	}
	if !errors.Is(network(context.Canceled, true), context.Canceled) {
		t.Error("a cancelled call cannot be told from others")
	}
}
