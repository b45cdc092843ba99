package graph

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// stub is a server that answers as a test tells it.
type stub struct {
	t      *testing.T
	g      *Graph
	clock  *clock
	srv    *httptest.Server
	mu     sync.Mutex
	seen   []string // method and path of each request
	tokens int
}

// newStub returns a connection to a server whose answers come from handle.
func newStub(t *testing.T, handle http.HandlerFunc) *stub {
	t.Helper()
	s := &stub{t: t, clock: newClock()}
	s.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			s.mu.Lock()
			s.tokens++
			n := s.tokens
			s.mu.Unlock()
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, n)
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		if !strings.Contains(r.Header.Get("Prefer"), `IdType="ImmutableId"`) {
			t.Errorf("%s %s does not ask for immutable ids", r.Method, r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		handle(w, r)
	}))
	t.Cleanup(s.srv.Close)
	g, err := New(Config{
		Endpoint: s.srv.URL, TokenEndpoint: s.srv.URL + "/token", ClientID: "id",
		Secret: func() ([]byte, error) { return []byte("secret"), nil }, Now: s.clock.now, Sleep: s.clock.sleep,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.g = g
	return s
}

func (s *stub) collection() *collection {
	return s.g.Mailbox("u1").Collection(record.Contacts, remote.Container{ID: "f1", Name: "CRM"}).(*collection)
}

func (s *stub) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// parts reads the parts of a batch.
func parts(t *testing.T, r *http.Request) []batchPart {
	t.Helper()
	var b batchRequest
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		t.Errorf("a batch that is no JSON: %v", err)
	}
	return b.Requests
}

// part is an answer to one part; the zero value is left out of the batch's answer.
type part struct {
	status int
	header string // "Name: value"
	body   string
}

func answerParts(w io.Writer, asked []batchPart, answer func(i int, p batchPart) part) {
	var out []map[string]any
	for i, p := range asked {
		a := answer(i, p)
		if a.status == 0 {
			continue
		}
		m := map[string]any{"id": p.ID, "status": a.status}
		if name, value, ok := strings.Cut(a.header, ": "); ok {
			m["headers"] = map[string]any{name: value}
		}
		if a.body != "" {
			m["body"] = json.RawMessage(a.body)
		}
		out = append(out, m)
	}
	slices.Reverse(out) // in any order
	_ = json.NewEncoder(w).Encode(map[string]any{"responses": out})
}

func refusal(code string) string { return `{"error":{"code":"` + code + `","message":"secret words"}}` }

func creates(n int) []remote.Write {
	out := make([]remote.Write, n)
	for i := range out {
		out[i] = remote.Write{Kind: remote.Create, Set: mapping.Fields{"surname": {fmt.Sprint("S", i)}}, Stamp: record.Stamp{Install: "i", Entity: record.Contacts, Op: record.OpID(fmt.Sprintf("%032x", i))}}
	}
	return out
}

const created = `{"id":"n","@odata.etag":"W/\"1\""}`

// Each part of a batch has its own end, and none of them is sent twice.
func TestApplyOutcomes(t *testing.T) {
	t.Parallel()
	outcomes := []struct {
		part    part
		class   remote.Class
		unclear bool
	}{
		{part{status: 201, body: created}, "", false},
		{part{status: 412, body: refusal("ErrorIrresolvableConflict")}, remote.ClassConflict, false},
		{part{status: 400, body: refusal("ErrorPropertyValidationFailure")}, remote.ClassItem, false},
		{part{status: 500, body: refusal("ErrorInternalServerError")}, remote.ClassTransient, true},
		{part{status: 504}, remote.ClassTransient, true},
		{part{}, remote.ClassTransient, true}, // missing
		{part{status: 424, body: refusal("FailedDependency")}, remote.ClassTransient, false},
		{part{status: 201, body: `{}`}, remote.ClassTransient, true},
		{part{status: 201}, remote.ClassTransient, true},
		{part{status: 201, body: `"aGFsZg=="`}, remote.ClassTransient, true},
	}
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		answerParts(w, parts(t, r), func(i int, _ batchPart) part { return outcomes[i].part })
	})
	res := s.collection().Apply(t.Context(), creates(len(outcomes)))
	for i, o := range outcomes {
		if o.class == "" {
			if res[i].Err != nil || res[i].ID != "n" || res[i].Version != `W/"1"` {
				t.Errorf("outcome %d: %+v", i, res[i])
			}
			continue
		}
		if !remote.Is(res[i].Err, o.class) || remote.IsUnclear(res[i].Err) != o.unclear {
			t.Errorf("outcome %d: %v (%s, unclear %v), want %s, %v", i, res[i].Err, remote.ClassOf(res[i].Err), remote.IsUnclear(res[i].Err), o.class, o.unclear)
		}
		if strings.Contains(fmt.Sprint(res[i].Err), "secret") {
			t.Errorf("outcome %d tells the server's words: %v", i, res[i].Err)
		}
	}
	if s.requests() != 1 {
		t.Errorf("%d requests: %v", s.requests(), s.seen)
	}
}

// At pressure or lost access no further batch goes out, and what was not sent is not
// unclear.
func TestApplyStops(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		part  part
		class remote.Class
	}{
		{"throttled", part{status: 429, header: "retry-AFTER: 77", body: refusal("ApplicationThrottled")}, remote.ClassPressure},
		{"full", part{status: 507, body: refusal("QuotaExceededException")}, remote.ClassPressure},
		{"denied", part{status: 403, body: refusal("ErrorAccessDenied")}, remote.ClassAuthorization},
		{"no mailbox", part{status: 404, body: refusal("MailboxNotEnabledForRESTAPI")}, remote.ClassAuthorization},
		{"no folder", part{status: 404, body: refusal("ErrorFolderNotFound")}, remote.ClassContainerGone},
		{"throttled, perhaps done", part{status: 503, header: "Retry-After: 77"}, remote.ClassPressure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
				answerParts(w, parts(t, r), func(i int, _ batchPart) part {
					if i == 3 {
						return tt.part
					}
					return part{status: 201, body: created}
				})
			})
			res := s.collection().Apply(t.Context(), creates(50))
			for i, r := range res {
				switch {
				case i < 20 && i != 3:
					if r.Err != nil {
						t.Errorf("write %d of the same batch: %v", i, r.Err)
					}
				case !remote.Is(r.Err, tt.class):
					t.Errorf("write %d: %v (%s), want %s", i, r.Err, remote.ClassOf(r.Err), tt.class)
				case i >= 20 && remote.IsUnclear(r.Err):
					t.Errorf("write %d was not sent, but is unclear", i)
				case strings.HasPrefix(tt.name, "throttled") && detail(r.Err).RetryAfter != 77*time.Second:
					t.Errorf("write %d: retry after %v", i, detail(r.Err).RetryAfter)
				}
			}
			if tt.part.header != "" {
				// Nobody else's request goes out before the time either.
				if err := s.g.CheckUser(t.Context(), "u1"); !remote.Is(err, remote.ClassPressure) {
					t.Errorf("the next request: %v", err)
				}
			}
			if s.requests() != 1 {
				t.Errorf("%d requests", s.requests())
			}
		})
	}
}

// A write whose answer is lost is unclear and is not sent again.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]http.HandlerFunc{
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"502": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<h1>502")
		},
		"malformed": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"responses":[{"id":"0","sta`) },
		"truncated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			_, _ = io.WriteString(w, `{"responses":[`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t, lose)
			res := s.collection().Apply(t.Context(), creates(25))
			for i, r := range res {
				if !remote.Is(r.Err, remote.ClassTransient) || remote.IsUnclear(r.Err) != (i < 20) {
					t.Errorf("write %d: %v, unclear %v", i, r.Err, remote.IsUnclear(r.Err))
				}
			}
			if s.requests() != 1 {
				t.Errorf("sent %d times", s.requests())
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		s := newStub(t, nil)
		resp, err := s.g.client.For("").Do(httptest.NewRequestWithContext(t.Context(), http.MethodGet, s.srv.URL+"/token", nil))
		if err != nil {
			t.Fatal(err) // the token is there, only the service is away
		}
		_ = resp.Body.Close()
		s.g.cfg.Transport.(*http.Transport).CloseIdleConnections()
		s.srv.Close()
		for i, r := range s.collection().Apply(t.Context(), creates(2)) {
			if !remote.Is(r.Err, remote.ClassConnection) || remote.IsUnclear(r.Err) {
				t.Errorf("write %d: %v, unclear %v; it never left", i, r.Err, remote.IsUnclear(r.Err))
			}
		}
	})
}

// Reads in a batch are tried again as others are; only those that failed.
func TestReadsInABatchAreTriedAgain(t *testing.T) {
	t.Parallel()
	round := 0
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		asked := parts(t, r)
		round++
		if want := []int{5, 3}[min(round, 2)-1]; len(asked) != want {
			t.Errorf("round %d asks for %d items, want %d", round, len(asked), want)
		}
		answerParts(w, asked, func(i int, p batchPart) part {
			if round == 1 {
				switch i {
				case 1:
					return part{status: 429, header: "Retry-After: 9", body: refusal("ApplicationThrottled")}
				case 2:
					return part{status: 503}
				case 3:
					return part{}
				}
			}
			id := strings.Split(p.URL, "?")[0]
			return part{status: 200, body: `{"id":"` + id[strings.LastIndex(id, "/")+1:] + `","parentFolderId":"f1"}`}
		})
	})
	before := s.clock.now()
	for i, r := range s.collection().Get(t.Context(), []string{"a", "b", "c", "d", "e"}) {
		if want := string(rune('a' + i)); r.Err != nil || r.Item.ID != want {
			t.Errorf("item %d: id %q, error %v", i, r.Item.ID, r.Err)
		}
	}
	if round != 2 || s.clock.now().Sub(before) < 9*time.Second {
		t.Errorf("%d rounds within %v", round, s.clock.now().Sub(before))
	}
}

func TestAPartThatAsksForALongWait(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"value":[]}`)
			return
		}
		answerParts(w, parts(t, r), func(i int, _ batchPart) part {
			if i == 0 {
				return part{status: 429, header: "Retry-After: 600", body: refusal("ApplicationThrottled")}
			}
			return part{status: 200, body: `{"id":"b","parentFolderId":"f1"}`}
		})
	})
	res := s.collection().Get(t.Context(), []string{"a", "b"})
	if !remote.Is(res[0].Err, remote.ClassPressure) || detail(res[0].Err).RetryAfter != 10*time.Minute || res[1].Err != nil {
		t.Errorf("results %+v", res)
	}
	if err := s.g.CheckUser(t.Context(), "u1"); !remote.Is(err, remote.ClassPressure) || s.requests() != 1 {
		t.Errorf("the next request: %v after %d", err, s.requests())
	}
	if err := s.g.CheckUser(t.Context(), "u2"); remote.Is(err, remote.ClassPressure) {
		t.Errorf("another mailbox is held up: %v", err)
	}
}

func TestAPartRefusedForItsToken(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		fresh := r.Header.Get("Authorization") == "Bearer token-2"
		if !strings.HasSuffix(r.URL.Path, "$batch") {
			if !fresh {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, created)
			return
		}
		answerParts(w, parts(t, r), func(i int, _ batchPart) part {
			if i >= 2 && !fresh {
				return part{status: 401, body: refusal("InvalidAuthenticationToken")}
			}
			return part{status: 201, body: created}
		})
	})
	for i, r := range s.collection().Apply(t.Context(), creates(6)) {
		if r.Err != nil {
			t.Errorf("write %d: %v", i, r.Err)
		}
	}
	// The batch, one part alone which is refused and repeated, and the rest.
	if s.requests() != 4 || s.tokens != 2 {
		t.Errorf("%d requests %v, %d tokens", s.requests(), s.seen, s.tokens)
	}
}

func TestBatchForm(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		asked := parts(t, r)
		if asked[0].URL != "/users/u1/contactFolders/f1/contacts" || asked[0].Headers["Content-Type"] != "application/json" {
			t.Errorf("create: %+v", asked[0])
		}
		if asked[1].URL != "/users/u1/contactFolders/f1/contacts/a%2Fb=" || asked[1].Headers["If-Match"] != `W/"7"` || asked[1].Method != http.MethodPatch {
			t.Errorf("update: %+v", asked[1])
		}
		if asked[2].Body != nil || asked[2].Headers["If-Match"] != `W/"8"` || asked[2].Method != http.MethodDelete || asked[2].Headers["Content-Type"] != "" {
			t.Errorf("delete: %+v", asked[2])
		}
		for _, p := range asked {
			if !strings.Contains(p.Headers["Prefer"], `IdType="ImmutableId"`) {
				t.Errorf("part %s does not ask for immutable ids", p.ID)
			}
		}
		answerParts(w, asked, func(i int, _ batchPart) part {
			return []part{{status: 201, body: created}, {status: 200, body: created}, {status: 204}}[i]
		})
	})
	for i, r := range s.collection().Apply(t.Context(), []remote.Write{
		creates(1)[0],
		{Kind: remote.Update, ID: "a/b=", Version: `W/"7"`, Set: mapping.Fields{"surname": {"x"}}},
		{Kind: remote.Delete, ID: "c", Version: `W/"8"`},
	}) {
		if r.Err != nil {
			t.Errorf("write %d: %v", i, r.Err)
		}
	}
}

// A request has a limit in bytes too: long notes make smaller batches.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 4<<20 {
			t.Errorf("a request of %d bytes", r.ContentLength)
		}
		answerParts(w, parts(t, r), func(int, batchPart) part { return part{status: 201, body: created} })
	})
	writes := creates(5)
	for i := range writes {
		writes[i].Set["personalNotes"] = record.Value{strings.Repeat("n", 1<<20)}
	}
	for i, r := range s.collection().Apply(t.Context(), writes) {
		if r.Err != nil {
			t.Errorf("write %d: %v", i, r.Err)
		}
	}
	if s.requests() != 3 {
		t.Errorf("%d batches for 5 MB, want 3", s.requests())
	}
}

// Nothing in an answer leads us, or our token, to another host.
func TestForeignLinks(t *testing.T) {
	t.Parallel()
	strangers := 0
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers++ }))
	defer stranger.Close()
	for _, link := range []string{
		stranger.URL + "/v1.0/users/u1/contactFolders/f1/contacts/delta?$skiptoken=1",
		"https://graph.microsoft.com/v1.0/users",
		"//" + strings.TrimPrefix(stranger.URL, "http://") + "/v1.0/users",
		"/v1.0/users", "file:///etc/passwd", "SELF/beta/users", "SELF/v1.0/../token", "https://SELFHOST/v1.0/users", "http://user:pw@SELFHOST/v1.0/users",
	} {
		var s *stub
		s = newStub(t, func(w http.ResponseWriter, _ *http.Request) {
			l := strings.ReplaceAll(strings.ReplaceAll(link, "SELFHOST", strings.TrimPrefix(s.srv.URL, "http://")), "SELF", s.srv.URL)
			_ = json.NewEncoder(w).Encode(map[string]any{"value": []any{}, "@odata.nextLink": l})
		})
		_, err := s.collection().Changes(t.Context(), remote.Query{})
		if !remote.Is(err, remote.ClassConnection) || s.requests() != 1 {
			t.Errorf("%s: %v after %d requests", link, err, s.requests())
		}
	}
	if strangers != 0 {
		t.Errorf("a stranger got %d requests", strangers)
	}
}

func TestTheGuardLetsNothingThrough(t *testing.T) {
	t.Parallel()
	s := newStub(t, nil)
	g := guard{g: s.g, next: tripper(func(*http.Request) (*http.Response, error) {
		t.Error("a request to another host went out")
		return nil, http.ErrNotSupported
	})}
	resp, err := g.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://elsewhere.example/v1.0/users", nil))
	if resp != nil {
		_ = resp.Body.Close()
	}
	if !remote.Is(err, remote.ClassConnection) {
		t.Errorf("error %v", err)
	}
}

// A redirect would carry the token away.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/v1.0/elsewhere", http.StatusFound) })
	if err := s.g.CheckUser(t.Context(), "u1"); err != nil {
		t.Logf("a redirect is %v", err)
	}
	if _, err := s.collection().Changes(t.Context(), remote.Query{}); err == nil || s.requests() != 2 {
		t.Errorf("error %v after %v", err, s.seen)
	}
}

func TestPagesThatGoInCircles(t *testing.T) {
	t.Parallel()
	var s *stub
	s = newStub(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"value": []any{}, "@odata.nextLink": s.srv.URL + "/v1.0/users/u1/contactFolders/f1/contacts/delta?$skiptoken=1"})
	})
	if _, err := s.collection().Changes(t.Context(), remote.Query{}); !remote.Is(err, remote.ClassTransient) {
		t.Errorf("error %v", err)
	}
}
