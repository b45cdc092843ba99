package sfdc

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The token endpoint: client credentials, JWT bearer and refresh token. Its reply has
// no expires_in: a client learns of the end of a session from a 401 (Salesforce
// Help, "OAuth 2.0 Client Credentials Flow" and "OAuth 2.0 JWT Bearer Flow").

// jwtLife is how far in the future the exp of an assertion may lie.
const jwtLife = 5 * time.Minute

func (s *Server) oauth(c *call) *reply {
	if len(c.path) != 3 || c.path[2] != "token" {
		return failed(notFound())
	}
	if c.method != http.MethodPost {
		return oauthError("invalid_request", "must use HTTP POST")
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return oauthError("invalid_request", "malformed request")
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if u, p, ok := basicAuth(c.header); ok {
		id, secret = u, p
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		if rep := s.client(id, secret); rep != nil {
			return rep
		}
		return s.grant(c, s.runAs)
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		user, rep := s.assertion(c, form.Get("assertion"))
		if rep != nil {
			return rep
		}
		return s.grant(c, user)
	case "refresh_token":
		if rep := s.client(id, secret); rep != nil {
			return rep
		}
		user := s.refresh[form.Get("refresh_token")]
		if user == "" {
			return oauthError("invalid_grant", "expired access/refresh token")
		}
		return s.grant(c, user)
	}
	return oauthError("unsupported_grant_type", "grant type not supported")
}

func oauthError(code, text string) *reply {
	return answer(http.StatusBadRequest, map[string]string{"error": code, "error_description": text})
}

func basicAuth(h http.Header) (user, password string, ok bool) {
	user, password, ok = (&http.Request{Header: h}).BasicAuth()
	if !ok {
		return "", "", false
	}
	// RFC 6749, 2.3.1: both parts are form-encoded.
	if u, err := url.QueryUnescape(user); err == nil {
		user = u
	}
	if p, err := url.QueryUnescape(password); err == nil {
		password = p
	}
	return user, password, true
}

func (s *Server) client(id, secret string) *reply {
	if id != s.opts.ClientID {
		return oauthError("invalid_client_id", "client identifier invalid")
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(s.opts.ClientSecret)) != 1 {
		return oauthError("invalid_client", "invalid client credentials")
	}
	return nil
}

// grant opens a session for a user.
func (s *Server) grant(c *call, user string) *reply {
	r := s.lookup(user)
	if r == nil || r.get("IsActive") != "true" {
		return oauthError("invalid_grant", "user is inactive or not allowed to use the app")
	}
	now := s.now()
	issued := strconv.FormatInt(now.UnixMilli(), 10)
	identity := c.base + "/id/" + s.org + "/" + user
	mac := hmac.New(sha256.New, s.key())
	mac.Write([]byte(identity + issued))
	return answer(http.StatusOK, map[string]string{
		"access_token": s.token(user, now),
		"signature":    base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		"scope":        "api",
		"instance_url": c.base,
		"id":           identity,
		"token_type":   "Bearer",
		"issued_at":    issued,
	})
}

// A session token carries its user, its time and its generation, and is signed: the
// server need not remember sessions, and they outlive its restart.

func (s *Server) key() []byte {
	k := sha256.Sum256([]byte(s.opts.ClientSecret + "\x00" + strconv.FormatUint(s.opts.Seed, 10)))
	return k[:]
}

func (s *Server) token(user string, at time.Time) string {
	claim := fmt.Sprintf("%s.%d.%d", user, at.Unix(), s.sessions)
	mac := hmac.New(sha256.New, s.key())
	mac.Write([]byte(claim))
	return s.org[:15] + "!" + claim + "." + hex.EncodeToString(mac.Sum(nil)[:16])
}

// session returns the user of an Authorization header, or "".
func (s *Server) session(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "OAuth") {
		return ""
	}
	_, claim, _ := strings.Cut(token, "!")
	parts := strings.Split(claim, ".")
	if len(parts) != 4 {
		return ""
	}
	issued, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return ""
	}
	at := time.Unix(issued, 0)
	if !hmac.Equal([]byte(token), []byte(s.token(parts[0], at))) || s.now().After(at.Add(s.opts.SessionLife)) {
		return ""
	}
	if r := s.lookup(parts[0]); r == nil || r.get("IsActive") != "true" {
		return ""
	}
	return parts[0]
}

// assertion checks a JWT and returns the id of its user. The audience must be this
// host or one of the login hosts; iss names the app, whose certificate must have
// signed it with RS256; sub is a user name.
func (s *Server) assertion(c *call, token string) (string, *reply) {
	invalid := oauthError("invalid_grant", "invalid assertion")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", invalid
	}
	var header struct {
		Alg string `json:"alg"`
	}
	var claims struct {
		Iss string          `json:"iss"`
		Sub string          `json:"sub"`
		Aud json.RawMessage `json:"aud"`
		Exp json.Number     `json:"exp"`
	}
	if !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) || header.Alg != "RS256" {
		return "", invalid
	}
	if claims.Iss != s.opts.ClientID {
		return "", oauthError("invalid_client_id", "client identifier invalid")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", invalid
	}
	cert := s.certificates[claims.Iss]
	if cert == nil {
		return "", oauthError("invalid_client", "no certificate configured")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(cert, crypto.SHA256, sum[:], signature) != nil {
		return "", invalid
	}
	if !s.audience(c, claims.Aud) {
		return "", oauthError("invalid_grant", "audience is invalid")
	}
	exp, err := claims.Exp.Int64()
	if now := s.now(); err != nil || !time.Unix(exp, 0).After(now) || time.Unix(exp, 0).After(now.Add(jwtLife)) {
		return "", oauthError("invalid_grant", "assertion expired or its lifetime too long")
	}
	id := s.tables["User"].unique[s.tables["User"].schema.byName["username"].idx][lower(claims.Sub)]
	if id == "" {
		return "", oauthError("invalid_grant", "user hasn't approved this consumer")
	}
	return id, nil
}

func decodePart(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}

func (s *Server) audience(c *call, raw json.RawMessage) bool {
	var one string
	var many []string
	if json.Unmarshal(raw, &one) == nil {
		many = []string{one}
	} else if json.Unmarshal(raw, &many) != nil {
		return false
	}
	for _, a := range many {
		switch strings.TrimSuffix(a, "/") {
		case c.base, "https://login.salesforce.com", "https://test.salesforce.com":
			return true
		}
	}
	return false
}
