package m365

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// token is an access token that was given out.
type token struct {
	app     string
	until   time.Time
	revoked bool
}

// refuseToken answers the way Entra does; the description begins with a number by which
// people find help. https://learn.microsoft.com/entra/identity-platform/reference-error-codes
func (x *exchange) refuseToken(status int, code, number, text string) *reply {
	return entraReply(status, map[string]any{
		"error": code, "error_description": number + ": " + text + " Trace ID: " + x.requestID + " Timestamp: " + x.now.Format("2006-01-02 15:04:05Z"),
		"error_codes": []json.Number{json.Number(strings.TrimPrefix(number, "AADSTS"))}, "timestamp": x.now.Format("2006-01-02 15:04:05Z"),
		"trace_id": x.requestID, "correlation_id": x.clientID,
	})
}

func entraReply(status int, body map[string]any) *reply {
	b, _ := json.Marshal(body)
	rep := &reply{status: status, body: b, raw: true}
	return rep.set("Content-Type", "application/json; charset=utf-8").set("Cache-Control", "no-store, no-cache").set("Pragma", "no-cache")
}

// serveToken gives an access token for a client secret, sent in the form or as Basic.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	x := s.newExchange(r)
	s.mu.Lock()
	p := s.planOp(nil, "token", nil, false)
	s.mu.Unlock()
	if p.latency > 0 {
		s.opt.Wait(r.Context(), p.latency)
	}
	if f := p.strikes; f != nil {
		switch f.Kind {
		case FaultError:
			x.write(w, r, f.answer(http.StatusServiceUnavailable))
		case FaultHTML:
			x.write(w, r, f.page())
		default:
			x.write(w, r, &reply{ending: endDropped})
		}
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); r.Method != http.MethodPost || err != nil {
		x.write(w, r, x.refuseToken(http.StatusBadRequest, "invalid_request", "AADSTS900144", "The request body must contain the parameters of a token request."))
		return
	}
	x.write(w, r, s.giveToken(x, r))
}

func (s *Server) giveToken(x *exchange, r *http.Request) *reply {
	tenant, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if u, p, ok := r.BasicAuth(); ok && id == "" {
		id, secret = u, p
	}
	scope := r.PostForm.Get("scope")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !strings.EqualFold(tenant, s.opt.Tenant) && !strings.EqualFold(tenant, s.opt.Domain):
		return x.refuseToken(http.StatusBadRequest, "invalid_request", "AADSTS90002", "Tenant '"+tenant+"' not found.")
	case r.PostForm.Get("grant_type") != "client_credentials":
		return x.refuseToken(http.StatusBadRequest, "unsupported_grant_type", "AADSTS70003", "The app requested an unsupported grant type.")
	case id != s.opt.ClientID:
		return x.refuseToken(http.StatusBadRequest, "unauthorized_client", "AADSTS700016", "Application with identifier '"+id+"' was not found in the directory '"+s.opt.TenantName+"'.")
	case secret != s.secret:
		return x.refuseToken(http.StatusUnauthorized, "invalid_client", "AADSTS7000215", "Invalid client secret provided.")
	case !graphScope(scope):
		return x.refuseToken(http.StatusBadRequest, "invalid_scope", "AADSTS1002012", "The provided value for scope "+scope+" is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.")
	}
	s.ids++
	text := "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(stream(96, s.opt.Seed, "token", s.ids))
	s.tokens[text] = token{app: id, until: s.opt.Now().Add(s.opt.TokenLifetime)}
	s.stats.tokens++
	seconds := int(s.opt.TokenLifetime / time.Second)
	return entraReply(http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": text})
}

// graphScope accepts a scope that names all permissions of one resource; MSAL adds some
// of its own.
func graphScope(scope string) bool {
	for t := range strings.FieldsSeq(scope) {
		if strings.HasSuffix(t, "/.default") {
			return true
		}
	}
	return false
}

// serveOpenID tells where the endpoints are, which MSAL asks before its first token.
func (s *Server) serveOpenID(w http.ResponseWriter, r *http.Request) {
	x := s.newExchange(r)
	tenant, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	host := strings.TrimSuffix(x.base, "/v1.0") + "/" + tenant
	x.write(w, r, entraReply(http.StatusOK, map[string]any{
		"issuer": host + "/v2.0", "authorization_endpoint": host + "/oauth2/v2.0/authorize", "token_endpoint": host + "/oauth2/v2.0/token",
		"device_authorization_endpoint": host + "/oauth2/v2.0/devicecode", "jwks_uri": host + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"response_types_supported":              []string{"code"}, "subject_types_supported": []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "scopes_supported": []string{"openid"},
	}))
}

const challenge = `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`

// authorize returns the application behind a request, or why there is none.
func (s *Server) authorize(r *http.Request) (string, *reply) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || text == "" {
		return "", unauthorized("Access token is empty.", challenge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[text]
	switch {
	case !ok:
		return "", unauthorized("Access token validation failure. Invalid audience.", challenge)
	case t.revoked:
		// Continuous access evaluation: the client has to pass the claims on when it asks
		// for its next token. https://learn.microsoft.com/entra/identity-platform/claims-challenge
		claims := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"` + s.opt.Now().UTC().Format("20060102150405") + `"}}}`))
		return "", unauthorized("Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp",
			challenge+`, error="insufficient_claims", claims="`+claims+`"`)
	case !s.opt.Now().Before(t.until):
		return "", unauthorized("Lifetime validation failed, the token is expired.", challenge)
	}
	return t.app, nil
}

func unauthorized(message, challenge string) *reply {
	return failed(http.StatusUnauthorized, "InvalidAuthenticationToken", "%s", message).set("WWW-Authenticate", challenge)
}

// ExpireTokens ends the life of all access tokens. The next request of each client gets
// 401 and a new token works.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, t := range s.tokens {
		t.until = time.Time{}
		s.tokens[k] = t
	}
}

// RevokeTokens withdraws all access tokens: 401 with a claims challenge.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, t := range s.tokens {
		t.revoked = true
		s.tokens[k] = t
	}
}

// SetClientSecret replaces the application's secret; tokens that were given for the old
// one go on working until they expire.
func (s *Server) SetClientSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = secret
}
