package m365

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

type part = map[string]any

// batch sends items and returns the answers by id.
func (b *bench) batch(items ...part) (answers map[string]part, order []string) {
	b.t.Helper()
	out := b.want(200, "POST", "/$batch", part{"requests": items})
	answers = map[string]part{}
	for _, a := range out["responses"].([]any) {
		p := a.(part)
		id := p["id"].(string)
		answers[id] = p
		order = append(order, id)
	}
	return answers, order
}

func status(p part) int { n, _ := p["status"].(float64); return int(n) }

func TestBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	var items []part
	for i := range 20 {
		items = append(items, part{
			"id": fmt.Sprint(i), "method": "POST", "url": f + "/contacts", "dependsOn": []string{},
			"headers": part{"content-type": "application/json", "prefer": immutablePrefer}, "body": part{"surname": fmt.Sprint("S", i)},
		})
	}
	answers, order := b.batch(items...)
	if len(answers) != 20 {
		t.Fatalf("%d answers for 20 items", len(answers))
	}
	inOrder := true
	for i, id := range order {
		inOrder = inOrder && id == fmt.Sprint(i)
	}
	if inOrder {
		t.Error("the answers come in the order of the items")
	}
	for id, a := range answers {
		body := a["body"].(part)
		h := a["headers"].(part)
		if status(a) != 201 || body["surname"] != "S"+id || h["ETag"] != body["@odata.etag"] || !strings.HasPrefix(body["id"].(string), immutablePrefix) {
			t.Errorf("item %s: status %v, headers %v", id, status(a), h)
		}
		conforms(t, "POST", f+"/contacts", status(a), body)
	}
	if n := b.s.Stats().Mailboxes[b.user.ID]; n.Requests != 21 || n.RoundTrips != 2 || n.MostAtOnce != 4 {
		t.Errorf("a folder and a batch of 20 count as %+v", n)
	}

	id := answers["0"]["body"].(part)["id"].(string)
	tag := answers["0"]["body"].(part)["@odata.etag"].(string)
	one := b.root() + "/contacts/" + url.QueryEscape(id)
	answers, _ = b.batch(
		part{"id": "get", "method": "GET", "url": one[1:] + "?$select=surname&$expand=singleValueExtendedProperties($filter=id eq '" + stampID + "')"},
		part{"id": "stale", "method": "PATCH", "url": one, "headers": part{"If-Match": `W/"x"`, "Content-Type": "application/json"}, "body": part{"surname": "x"}},
		part{"id": "gone", "method": "DELETE", "url": one, "headers": part{"If-Match": tag}},
		part{"id": "again", "method": "DELETE", "url": one},
		part{"id": "none", "method": "GET", "url": "/nonsense"},
		part{"id": "untyped", "method": "POST", "url": f + "/contacts", "body": part{}},
		part{"id": "nested", "method": "POST", "url": "/$batch", "headers": part{"Content-Type": "application/json"}, "body": part{}},
		part{"id": "absolute", "method": "GET", "url": "https://graph.microsoft.com/v1.0/users"},
	)
	got := map[string]int{}
	for id, a := range answers {
		got[id] = status(a)
	}
	want := map[string]int{"get": 200, "stale": 412, "gone": 204, "again": 404, "none": 400, "untyped": 400, "nested": 400, "absolute": 400}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
	if _, has := answers["gone"]["body"]; has {
		t.Error("an answer of 204 has a body")
	}
	if codeOf(answers["stale"]["body"].(part)) != "ErrorIrresolvableConflict" {
		t.Errorf("stale: %v", answers["stale"])
	}
}

func TestBatchIsDeterministic(t *testing.T) {
	t.Parallel()
	run := func() string {
		b := newBench(t)
		var items []part
		for i := range 10 {
			items = append(items, part{"id": fmt.Sprint(i), "method": "POST", "url": b.root() + "/contacts", "headers": part{"Content-Type": "application/json"}, "body": name(i)})
		}
		_, order := b.batch(items...)
		out := strings.Join(order, " ")
		all, _ := b.s.Contacts(b.user.ID, "")
		return fmt.Sprint(out, all)
	}
	if first, second := run(), run(); first != second {
		t.Error("the same seed and requests gave different answers")
	}
}

func TestRefusedBatches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	get := func(id string) part { return part{"id": id, "method": "GET", "url": "/users"} }
	many := []part{}
	for i := range 21 {
		many = append(many, get(fmt.Sprint(i)))
	}
	for name, items := range map[string]any{
		"21 items":           many,
		"ids equal but case": []part{get("a"), get("A")},
		"no id":              []part{get("")},
		"no url":             []part{{"id": "1", "method": "GET"}},
		"unknown dependency": []part{{"id": "1", "method": "GET", "url": "/users", "dependsOn": []string{"2"}}},
		"no items":           []part{},
		"no list":            "x",
	} {
		if got, _, _ := b.do("POST", "/$batch", part{"requests": items}); got != 400 {
			t.Errorf("%s: status %d, want 400", name, got)
		}
	}
	b.want(400, "POST", "/$batch", "{")
	b.want(405, "GET", "/$batch", nil)
	b.want(200, "POST", "/$batch", part{"requests": many[:20]})
}

func TestBatchDependencies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	answers, _ := b.batch(
		part{"id": "1", "method": "GET", "url": "/users/nobody"},
		part{"id": "2", "method": "GET", "url": "/users", "dependsOn": []string{"1"}},
		part{"id": "3", "method": "GET", "url": "/users", "dependsOn": []string{"2"}},
		part{"id": "4", "method": "GET", "url": "/users"},
		part{"id": "5", "method": "GET", "url": "/users", "dependsOn": []string{"4"}},
	)
	for id, want := range map[string]int{"1": 404, "2": 424, "3": 424, "4": 200, "5": 200} {
		if got := status(answers[id]); got != want {
			t.Errorf("item %s: %d, want %d", id, got, want)
		}
	}
}

// A batch takes what places are left in a mailbox; the items that find none are throttled
// one by one, each of the others is done.
func TestBatchBesideOtherRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.s.mu.Lock()
	m := b.s.users[b.user.ID]
	b.s.enter(m, 3)
	b.s.mu.Unlock()
	var items []part
	for i := range 8 {
		items = append(items, part{"id": fmt.Sprint(i), "method": "POST", "url": b.root() + "/contacts", "headers": part{"Content-Type": "application/json"}, "body": name(i)})
	}
	answers, _ := b.batch(items...)
	count := map[int]int{}
	for _, a := range answers {
		count[status(a)]++
		if status(a) == 429 && (a["headers"].(part)["Retry-After"] != "1" || codeOf(a["body"].(part)) != "ApplicationThrottled") {
			t.Errorf("throttled item: %v", a)
		}
	}
	if count[201] != 2 || count[429] != 6 {
		t.Errorf("one free place of four lets %v through", count)
	}
	b.s.leave(m, 3)
	if n := m.pressed.inFlight; n != 0 {
		t.Errorf("%d places are still taken", n)
	}
}

func TestBatchFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	create := func(n int) (items []part) {
		for i := range n {
			items = append(items, part{"id": fmt.Sprint(i), "method": "POST", "url": b.root() + "/contacts", "headers": part{"Content-Type": "application/json"}, "body": name(i)})
		}
		return items
	}
	stored := func() int { c, _ := b.s.Contacts(b.user.ID, ""); return len(c) }
	for _, tc := range []struct {
		kind    FaultKind
		status  int // of the item that suffers; 0 if it is missing
		applied bool
	}{
		{FaultError, 503, false},
		{FaultHTML, 502, false},
		{FaultDrop, 504, false},
		{FaultLost, 504, true},
		{FaultApplied, 504, true},
		{FaultTruncate, 504, true},
		{FaultMalformed, 201, true},
		{FaultMissing, 0, true},
	} {
		before := stored()
		b.s.SetFault(Fault{Kind: tc.kind, Op: "contact.create", In: "batch", Skip: 2, Count: 1})
		answers, _ := b.batch(create(5)...)
		want := before + 5
		if !tc.applied {
			want--
		}
		if got := status(answers["2"]); got != tc.status || stored() != want || status(answers["3"]) != 201 {
			t.Errorf("%s: item answers %d and %d contacts are there, want %d and %d", tc.kind, got, stored(), tc.status, want)
		}
		switch tc.kind {
		case FaultHTML:
			text, err := base64.StdEncoding.DecodeString(answers["2"]["body"].(string))
			if err != nil || !strings.Contains(string(text), "<html>") {
				t.Errorf("body %v", answers["2"]["body"])
			}
		case FaultMalformed:
			if _, isText := answers["2"]["body"].(string); !isText {
				t.Errorf("body %v", answers["2"]["body"])
			}
		}
	}
	// The batch as a whole.
	for _, tc := range []struct {
		kind    FaultKind
		applied int
	}{{FaultDrop, 0}, {FaultLost, 3}, {FaultTruncate, 3}} {
		before := stored()
		b.s.SetFault(Fault{Kind: tc.kind, Op: "batch", Count: 1})
		res, err := b.try("POST", "/$batch", part{"requests": create(3)})
		if err == nil {
			err = res.broken
		}
		if err == nil || stored() != before+tc.applied {
			t.Errorf("%s of a whole batch: error %v, %d applied", tc.kind, err, stored()-before)
		}
	}
	b.s.SetFault(Fault{Kind: FaultError, Op: "batch", Status: 429, RetryAfter: "30", Count: 1})
	if got, h, _ := b.do("POST", "/$batch", part{"requests": create(1)}); got != 429 || h.Get("Retry-After") != "30" {
		t.Errorf("a throttled batch answers %d, %v", got, h)
	}
}
