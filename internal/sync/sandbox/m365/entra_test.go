package m365

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const tenantID = "5a4db0c5-0000-4000-8000-000000000365"

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.TokenLifetime = 20 * time.Minute })
	good := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"},
		"scope": {"https://graph.microsoft.com/.default openid offline_access profile"},
	}
	for _, tc := range []struct {
		name, tenant, field, value string
		status                     int
		code                       string
	}{
		{"good", tenantID, "", "", 200, ""},
		{"by domain", "contoso.example", "", "", 200, ""},
		{"secret", tenantID, "client_secret", "x", 401, "invalid_client"},
		{"client", tenantID, "client_id", "x", 400, "unauthorized_client"},
		{"tenant", "other", "", "", 400, "invalid_request"},
		{"scope", tenantID, "scope", "Contacts.Read", 400, "invalid_scope"},
		{"grant", tenantID, "grant_type", "password", 400, "unsupported_grant_type"},
	} {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		if tc.field != "" {
			form.Set(tc.field, tc.value)
		}
		status, h, out := b.askToken(tc.tenant, form)
		code, _ := out["error"].(string)
		if status != tc.status || code != tc.code || !strings.HasPrefix(h.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %d %v", tc.name, status, out)
		}
		if tc.status == 200 && (out["token_type"] != "Bearer" || out["expires_in"] != 1200.0 || out["access_token"] == "") {
			t.Errorf("%s: %v", tc.name, out)
		}
		if text, _ := out["error_description"].(string); tc.status != 200 && !strings.HasPrefix(text, "AADSTS") {
			t.Errorf("%s: description %q", tc.name, text)
		}
		if strings.Contains(out2text(out), "sandbox-secret") {
			t.Errorf("%s: the secret is in the answer", tc.name)
		}
	}
	res, err := b.try("GET", b.srv.URL+"/"+tenantID+"/v2.0/.well-known/openid-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, out := b.read(res); out["token_endpoint"] != b.srv.URL+"/"+tenantID+"/oauth2/v2.0/token" {
		t.Errorf("configuration %v", out)
	}
	b.s.SetFault(Fault{Kind: FaultError, Op: "token", Count: 1})
	if status, _, _ := b.askToken(tenantID, good); status != 503 {
		t.Errorf("with a fault the token endpoint answers %d", status)
	}
	b.s.SetFault(Fault{Kind: FaultError}) // all operations, but the token endpoint only by its name
	b.login()
}

func out2text(out map[string]any) string {
	var s strings.Builder
	for _, v := range out {
		if t, ok := v.(string); ok {
			s.WriteString(t)
		}
	}
	return s.String()
}

func TestTokensAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	denied := func(header, contains string) http.Header {
		t.Helper()
		got, h, out := b.do("GET", "/users", nil, "Authorization: "+header)
		message := ""
		if e, ok := out["error"].(map[string]any); ok {
			message, _ = e["message"].(string)
		}
		if got != 401 || codeOf(out) != "InvalidAuthenticationToken" || !strings.Contains(message, contains) || !strings.HasPrefix(h.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%q: %d %v", header, got, out)
		}
		return h
	}
	denied("", "empty")
	denied("Bearer nonsense", "validation failure")
	b.want(200, "GET", "/users", nil)

	b.clock.pass(time.Hour - time.Second)
	b.want(200, "GET", "/users", nil)
	b.clock.pass(time.Second)
	b.refused(401, "InvalidAuthenticationToken", "GET", "/users", nil)
	b.login()
	b.want(200, "GET", "/users", nil)

	b.s.ExpireTokens()
	b.refused(401, "InvalidAuthenticationToken", "GET", "/users", nil)
	b.refused(401, "InvalidAuthenticationToken", "POST", "/$batch", part{"requests": []part{{"id": "1", "method": "GET", "url": "/users"}}})
	b.login()

	b.s.RevokeTokens()
	res, err := b.try("GET", "/users", nil)
	if err != nil {
		t.Fatal(err)
	}
	status, h, _ := b.read(res)
	_, claims, ok := strings.Cut(h.Get("WWW-Authenticate"), `claims="`)
	text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(claims, `"`))
	if status != 401 || !ok || err != nil || !strings.Contains(string(text), `"nbf"`) {
		t.Errorf("a revoked token: %d, challenge %q", status, h.Get("WWW-Authenticate"))
	}
	b.login()
	b.want(200, "GET", "/users", nil)

	b.s.SetClientSecret("new")
	b.want(200, "GET", "/users", nil)
	if status, _, _ := b.askToken(tenantID, url.Values{"grant_type": {"client_credentials"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"}, "scope": {"x/.default"}}); status != 401 {
		t.Errorf("the old secret is answered with %d", status)
	}
}
