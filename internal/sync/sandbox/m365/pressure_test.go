package m365

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestConcurrency(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	b := newBench(t, func(o *Options) {
		o.Wait = func(context.Context, time.Duration) { entered <- struct{}{}; <-leave }
	})
	other, err := b.s.AddUser(User{DisplayName: "Bob", Mail: "bob@contoso.example"})
	if err != nil {
		t.Fatal(err)
	}
	b.s.SetFault(Fault{Kind: FaultLatency, Latency: time.Hour, User: b.user.ID, Count: 4})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if res, err := b.try("GET", b.root()+"/contacts", nil); err != nil || res.status != 200 {
				t.Errorf("one of four at once: %v, %v", res, err)
			}
		})
	}
	for range 4 {
		<-entered
	}
	got, h, out := b.do("GET", b.root()+"/contacts", nil)
	if got != 429 || codeOf(out) != "ApplicationThrottled" || h.Get("Retry-After") != "1" {
		t.Errorf("the fifth at once: %d %v", got, out)
	}
	b.want(200, "GET", "/users/"+other.ID+"/contacts", nil) // each mailbox has places of its own
	b.want(200, "GET", b.root(), nil)                       // the directory is no mailbox
	close(leave)
	wg.Wait()
	b.want(200, "GET", b.root()+"/contacts", nil)
	if n := b.s.Stats(); n.Mailboxes[b.user.ID].MostAtOnce != 4 || n.Mailboxes[b.user.ID].Throttled != 1 || n.Total.Throttled != 1 {
		t.Errorf("counted %+v", n)
	}
}

func TestRequestsInAWindow(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.Requests = 3 })
	for range 3 {
		b.want(200, "GET", b.root()+"/contacts", nil)
	}
	b.clock.pass(4 * time.Minute)
	got, h, _ := b.do("GET", b.root()+"/contacts", nil)
	if got != 429 || h.Get("Retry-After") != strconv.Itoa(6*60) {
		t.Errorf("the fourth: %d, Retry-After %s", got, h.Get("Retry-After"))
	}
	answers, _ := b.batch(part{"id": "1", "method": "GET", "url": b.root() + "/contacts"}, part{"id": "2", "method": "GET", "url": "/users"})
	if status(answers["1"]) != 429 || status(answers["2"]) != 200 {
		t.Errorf("items of a batch count alone: %v", answers)
	}
	b.clock.pass(6 * time.Minute)
	for range 3 {
		b.want(200, "GET", b.root()+"/contacts", nil)
	}
	b.refused(429, "ApplicationThrottled", "GET", b.root()+"/contacts", nil)
}

func TestUploadInAWindow(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.Upload = 100 })
	b.want(201, "POST", b.root()+"/contacts", map[string]any{"personalNotes": "0123456789012345678901234567890123456789"})
	b.refused(429, "ApplicationThrottled", "POST", b.root()+"/contacts", map[string]any{"personalNotes": "0123456789012345678901234567890123456789"})
	b.clock.pass(5 * time.Minute)
	b.want(201, "POST", b.root()+"/contacts", map[string]any{})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stored := func() int { c, _ := b.s.Contacts(b.user.ID, ""); return len(c) }
	for _, tc := range []struct {
		fault   Fault
		status  int // 0: no whole answer
		code    string
		applied bool
	}{
		{Fault{Kind: FaultError}, 503, "serviceNotAvailable", false},
		{Fault{Kind: FaultError, Status: 429, RetryAfter: "Wed, 04 Mar 2026 05:07:00 GMT"}, 429, "ApplicationThrottled", false},
		{Fault{Kind: FaultError, Status: 412}, 412, "ErrorIrresolvableConflict", false},
		{Fault{Kind: FaultError, Status: 500, Code: "generalException"}, 500, "generalException", false},
		{Fault{Kind: FaultApplied}, 504, "UnknownError", true},
		{Fault{Kind: FaultDrop}, 0, "", false},
		{Fault{Kind: FaultLost}, 0, "", true},
		{Fault{Kind: FaultMissing}, 0, "", true},
		{Fault{Kind: FaultTruncate}, 0, "", true},
	} {
		before := stored()
		tc.fault.Op, tc.fault.Count = "contact.create", 1
		b.s.SetFault(tc.fault)
		res, err := b.try("POST", b.root()+"/contacts", map[string]any{"surname": "S"})
		var got int
		var code string
		if err == nil && res.broken == nil {
			got = res.status
			code = codeOf(roundTrip(t, rawJSON(res.text)).(map[string]any))
		}
		if got != tc.status || code != tc.code || (stored() > before) != tc.applied {
			t.Errorf("%+v: answer %d %s, applied %v", tc.fault, got, code, stored() > before)
		}
		if got != 0 && res.header.Get("Retry-After") != tc.fault.RetryAfter {
			t.Errorf("Retry-After %q, want %q", res.header.Get("Retry-After"), tc.fault.RetryAfter)
		}
		if len(b.s.Faults()) != 0 {
			t.Errorf("%+v is not used up", tc.fault)
		}
	}
	b.s.SetFault(Fault{Kind: FaultHTML, Count: 1})
	res, err := b.try("GET", b.root()+"/contacts", nil)
	if err != nil || res.status != 502 || res.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("html: %v %v", res, err)
	}
	b.s.SetFault(Fault{Kind: FaultMalformed, Count: 1})
	res, err = b.try("GET", b.root()+"/contacts", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.broken != nil || res.status != 200 || res.text[len(res.text)-1] == '}' {
		t.Errorf("malformed: %d %q %v", res.status, res.text, res.broken)
	}
}

type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

func TestFaultsChoose(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bob, err := b.s.AddUser(User{DisplayName: "Bob", Mail: "bob@contoso.example"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) int { s, _, _ := b.do("GET", path, nil); return s }
	b.s.SetFault(Fault{Name: "a", Kind: FaultError, User: "bob@contoso.example", Op: "contacts."})
	for path, want := range map[string]int{
		b.root() + "/contacts": 200, "/users/" + bob.ID + "/contacts": 503, "/users/" + bob.ID + "/contactFolders": 200, "/users": 200,
	} {
		if got := get(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	b.s.SetFault(Fault{Name: "a", Kind: FaultError, Skip: 1, Count: 2})
	var got []int
	for range 5 {
		got = append(got, get("/users"))
	}
	if want := []int{200, 503, 503, 200, 200}; !reflect.DeepEqual(got, want) {
		t.Errorf("skip 1, count 2: %v", got)
	}
	b.s.SetFault(Fault{Name: "a", Kind: FaultError, Rate: 0.5})
	n := 0
	for range 100 {
		if get("/users") == 503 {
			n++
		}
	}
	if n < 30 || n > 70 {
		t.Errorf("a rate of one half struck %d of 100", n)
	}
	b.s.ClearFaults()
	if s := get("/users"); s != 200 {
		t.Errorf("after ClearFaults: %d", s)
	}
}

func TestLateLanding(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stored := func() int { c, _ := b.s.Contacts(b.user.ID, ""); return len(c) }
	b.s.SetFault(Fault{Kind: FaultLate, Op: "contact.create", After: 2, Count: 1})
	b.want(504, "POST", b.root()+"/contacts", map[string]any{"surname": "late"})
	for i, want := range []int{0, 1} {
		b.want(200, "GET", "/users", nil)
		if stored() != want {
			t.Errorf("after %d requests %d contacts are there, want %d", i+1, stored(), want)
		}
	}
	b.want(200, "GET", "/users", nil)
	if stored() != 1 {
		t.Errorf("it landed %d times", stored())
	}
}

func TestMailboxStates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(b.root(), name(1))
	stamped := map[string]any{"singleValueExtendedProperties": prop(stampID, "v")}
	set := func(st MailboxState) {
		t.Helper()
		if err := b.s.SetMailboxState("ada@contoso.example", st); err != nil {
			t.Fatal(err)
		}
	}
	set(MailboxUnlicensed)
	b.refused(404, "MailboxNotEnabledForRESTAPI", "GET", b.root()+"/mailboxSettings", nil)
	b.refused(404, "ResourceNotFound", "GET", b.root()+"/mailboxSettings", nil)
	b.refused(404, "MailboxNotEnabledForRESTAPI", "GET", b.root()+"/contactFolders", nil)
	if l := b.want(200, "GET", b.root()+"?$select=assignedLicenses", nil)["assignedLicenses"].([]any); len(l) != 0 {
		t.Errorf("an unlicensed user has licences %v", l)
	}
	set(MailboxDenied)
	b.refused(403, "ErrorAccessDenied", "GET", b.root()+"/contacts", nil)
	set(MailboxMoving)
	b.refused(503, "ErrorMailboxMoveInProgress", "GET", b.root()+"/contacts", nil)
	set(MailboxFull)
	b.refused(507, "QuotaExceededException", "POST", b.root()+"/contacts", name(2))
	b.want(200, "GET", b.root()+"/contacts", nil)
	set(MailboxNamesFull)
	b.refused(403, "ErrorQuotaExceeded", "POST", b.root()+"/contacts", stamped)
	b.want(201, "POST", b.root()+"/contacts", name(2))
	set(MailboxEmpty)
	def := b.root() + "/contactFolders/contacts"
	if v := values(b.want(200, "GET", b.root()+"/contacts", nil)); len(v) != 0 {
		t.Errorf("an empty mailbox lists %v", v)
	}
	if told, _, _ := b.round(def + "/contacts/delta"); len(told) != 0 {
		t.Errorf("an empty mailbox tells %v", told)
	}
	set(MailboxReady)
	if told, _, _ := b.round(def + "/contacts/delta"); len(told) != 2 {
		t.Errorf("%d contacts are left", len(told))
	}
	if err := b.s.SetMailboxState("ada@contoso.example", "odd"); err == nil {
		t.Error("an unknown state is accepted")
	}
	if err := b.s.SetMailboxState("nobody", MailboxFull); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown user: %v", err)
	}
}

func TestOnRequestSeesEachRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.create(b.root(), map[string]any{"surname": "S"})
	var ops []string
	b.s.OnRequest(func(op, user string) {
		ops = append(ops, op)
		if op == "contact.update" && user == b.user.ID {
			// A person is faster.
			if err := b.s.UpdateContact(user, c["id"].(string), map[string]any{"surname": "T"}); err != nil {
				t.Error(err)
			}
		}
	})
	path := b.root() + "/contacts/" + esc(c["id"])
	b.refused(412, "ErrorIrresolvableConflict", "PATCH", path, map[string]any{"surname": "U"}, "If-Match: "+c["@odata.etag"].(string))
	b.batch(part{"id": "1", "method": "GET", "url": path}, part{"id": "2", "method": "GET", "url": "/users"})
	if want := []string{"contact.update", "contact.get", "users.list", "batch"}; len(ops) != len(want) {
		t.Errorf("the hook saw %v", ops)
	}
	log := b.s.Requests()
	if last := log[len(log)-1]; last.Op != "users.list" || !last.Batch || last.Status != 200 || last.ID == "" {
		t.Errorf("the log ends with %+v", last)
	}
	b.s.ResetStats()
	if n := b.s.Stats(); n.Total.Requests != 0 || len(b.s.Requests()) != 0 {
		t.Errorf("after a reset: %+v", n)
	}
}
