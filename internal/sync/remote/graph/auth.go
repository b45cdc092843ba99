package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/crmsync/crmsync/internal/sync/remote"
	"github.com/crmsync/crmsync/internal/sync/remote/transport"
)

// Auth is how we prove who we are.
type Auth string

// The kinds of authentication. There is no default that tries one after the other:
// the wrong one would be found by accident.
const (
	AuthSecret          Auth = "client-secret"
	AuthCertificate     Auth = "certificate"
	AuthManagedIdentity Auth = "managed-identity"
	// AuthDeviceCode signs a person in: only the mailbox of that person can be
	// reached.
	AuthDeviceCode Auth = "device-code"
)

// tokens is the transport's source of tokens. azidentity keeps them and renews them
// before they expire.
type tokens struct {
	scope string
	build func() (azcore.TokenCredential, error)
	// lasting: a new credential would ask a person again.
	lasting bool
	wire    *tokenWire
	flight  *transport.Flight[string]

	mu         sync.Mutex
	credential azcore.TokenCredential
}

func newTokens(cfg Config, base *url.URL) (*tokens, error) {
	wire := &tokenWire{handle: transport.New(transport.Config{
		Base: cfg.Transport, Log: cfg.Log, Now: cfg.Now, Sleep: cfg.Sleep, Jitter: cfg.Jitter,
	}).For("token").With(transport.Options{Safe: true})} // another token does no harm
	t := &tokens{scope: base.Scheme + "://" + base.Host + "/.default", wire: wire, flight: transport.NewFlight[string](cfg.Now)}
	options := azcore.ClientOptions{
		Cloud: authority(base.Hostname()), Transport: wire,
		Retry: policy.RetryOptions{MaxRetries: -1}, // the transport's is the only retry
	}
	if cfg.Auth == "" {
		cfg.Auth = AuthSecret
	}
	need := func(ok bool, what string) error {
		if !ok {
			return setup("the connection has no "+what, "")
		}
		return nil
	}
	switch {
	case cfg.TokenEndpoint != "":
		t.build = func() (azcore.TokenCredential, error) {
			secret, err := read(cfg.Secret)
			if err != nil {
				return nil, err
			}
			return &clientCredentials{
				config: clientcredentials.Config{
					ClientID: cfg.ClientID, ClientSecret: string(secret), TokenURL: cfg.TokenEndpoint,
					Scopes: []string{t.scope}, AuthStyle: oauth2.AuthStyleInParams,
				},
				http: &http.Client{Transport: wire}, now: cfg.Now, turn: make(chan struct{}, 1),
			}, nil
		}
		return t, first(need(cfg.ClientID != "", "client id"), need(cfg.Secret != nil, "client secret"))
	case cfg.Auth == AuthSecret:
		t.build = func() (azcore.TokenCredential, error) {
			secret, err := read(cfg.Secret)
			if err != nil {
				return nil, err
			}
			return credential(azidentity.NewClientSecretCredential(cfg.Tenant, cfg.ClientID, string(secret),
				&azidentity.ClientSecretCredentialOptions{ClientOptions: options}))
		}
		return t, first(need(cfg.Tenant != "", "tenant"), need(cfg.ClientID != "", "client id"), need(cfg.Secret != nil, "client secret"))
	case cfg.Auth == AuthCertificate:
		t.build = func() (azcore.TokenCredential, error) {
			data, err := read(cfg.Certificate)
			if err != nil {
				return nil, err
			}
			var password []byte
			if cfg.Password != nil {
				if password, err = read(cfg.Password); err != nil {
					return nil, err
				}
			}
			certs, key, err := azidentity.ParseCertificates(data, password)
			if err != nil {
				return nil, setup("the certificate cannot be read", "give a PEM or PKCS#12 file that holds the certificate and its key")
			}
			return credential(azidentity.NewClientCertificateCredential(cfg.Tenant, cfg.ClientID, certs, key,
				&azidentity.ClientCertificateCredentialOptions{ClientOptions: options}))
		}
		return t, first(need(cfg.Tenant != "", "tenant"), need(cfg.ClientID != "", "client id"), need(cfg.Certificate != nil, "certificate"))
	case cfg.Auth == AuthManagedIdentity:
		t.build = func() (azcore.TokenCredential, error) {
			o := azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
			if cfg.ClientID != "" {
				o.ID = azidentity.ClientID(cfg.ClientID)
			}
			return credential(azidentity.NewManagedIdentityCredential(&o))
		}
		return t, nil
	case cfg.Auth == AuthDeviceCode:
		t.lasting = true
		t.build = func() (azcore.TokenCredential, error) {
			return credential(azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
				ClientOptions: options, ClientID: cfg.ClientID, TenantID: cfg.Tenant,
				UserPrompt: func(ctx context.Context, m azidentity.DeviceCodeMessage) error { return cfg.Prompt(ctx, m.Message) },
			}))
		}
		return t, first(need(cfg.Tenant != "", "tenant"), need(cfg.ClientID != "", "client id"), need(cfg.Prompt != nil, "terminal to sign in at"))
	}
	return nil, setup("the kind of authentication is not known", "use client-secret, certificate, managed-identity or device-code")
}

// authority is the sign-in service that belongs to a Graph host
// (https://learn.microsoft.com/graph/deployments).
func authority(host string) cloud.Configuration {
	switch {
	case strings.HasSuffix(host, ".microsoft.us"):
		return cloud.AzureGovernment
	case strings.HasSuffix(host, ".chinacloudapi.cn"):
		return cloud.AzureChina
	}
	return cloud.AzurePublic
}

// read gets a secret from where it is kept. The cause stays out of the text: it may
// hold what was read.
func read(get func() ([]byte, error)) ([]byte, error) {
	data, err := get()
	if err != nil {
		return nil, &remote.Error{Class: remote.ClassSetup, Message: "the secret of the connection cannot be read", Err: err}
	}
	return data, nil
}

// credential keeps a nil pointer from becoming a credential, and azidentity's words
// from becoming ours.
func credential[C azcore.TokenCredential](c C, err error) (azcore.TokenCredential, error) {
	if err != nil {
		return nil, setup("the tenant, the client id or the secret is not in a form that Microsoft accepts", "")
	}
	return c, nil
}

// Token implements transport.TokenSource. A refused token is replaced as the
// service's challenge says; where it says nothing, or the credential does not
// understand it, by a credential that begins anew, with the secret as it is now.
func (t *tokens) Token(ctx context.Context, denied transport.Denied) (string, error) {
	token, err := t.flight.Do(ctx, denied.Token, func(ctx context.Context) (string, error) { return t.ask(ctx, denied) })
	if err != nil && ctx.Err() != nil {
		return "", t.fault(ctx, err)
	}
	return token, err
}

func (t *tokens) ask(ctx context.Context, denied transport.Denied) (string, error) {
	options := policy.TokenRequestOptions{Scopes: []string{t.scope}, EnableCAE: true}
	if denied.Token == "" {
		return t.get(ctx, options)
	}
	if options.Claims = claims(denied.Challenge); options.Claims != "" {
		token, err := t.get(ctx, options)
		if err != nil || token != denied.Token {
			return token, err
		}
		options.Claims = ""
	}
	if t.lasting {
		return "", &remote.Error{Class: remote.ClassConnection, Status: http.StatusUnauthorized, Message: "Microsoft 365 does not accept the sign-in any more", Hint: "sign in again"}
	}
	t.mu.Lock()
	t.credential = nil
	t.mu.Unlock()
	return t.get(ctx, options)
}

func (t *tokens) get(ctx context.Context, options policy.TokenRequestOptions) (string, error) {
	c, err := t.current()
	if err != nil {
		return "", err
	}
	token, err := c.GetToken(ctx, options)
	if err != nil {
		return "", t.fault(ctx, err)
	}
	return token.Token, nil
}

func (t *tokens) current() (azcore.TokenCredential, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.credential == nil {
		c, err := t.build()
		if err != nil {
			return nil, err
		}
		t.credential = c
	}
	return t.credential, nil
}

var claimsIn = regexp.MustCompile(`\bclaims="([^"]+)"`)

// claims reads a continuous access evaluation challenge
// (https://learn.microsoft.com/entra/identity-platform/claims-challenge).
func claims(challenge string) string {
	m := claimsIn.FindStringSubmatch(challenge)
	if m == nil {
		return ""
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := e.DecodeString(m[1]); err == nil {
			return string(b)
		}
	}
	return ""
}

// tokenWire carries token requests and remembers the last failure: azidentity keeps
// only its text.
type tokenWire struct {
	handle *transport.Handle
	mu     sync.Mutex
	last   error
}

// Do implements azidentity's transport.
func (w *tokenWire) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.handle.Do(req)
	w.mu.Lock()
	w.last = err
	w.mu.Unlock()
	return resp, err
}

// RoundTrip implements http.RoundTripper.
func (w *tokenWire) RoundTrip(req *http.Request) (*http.Response, error) { return w.Do(req) }

func (w *tokenWire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

var entraCode = regexp.MustCompile(`\bAADSTS\d+\b`)

// What the sign-in service says, by its code
// (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
var entraSays = map[string][2]string{
	"AADSTS7000215": {"the client secret is wrong", "store the secret's value, not its id"},
	"AADSTS7000222": {"the client secret has expired", "create a new one in Entra and store it"},
	"AADSTS700027":  {"the certificate is not the one of the app registration", "upload the certificate in Entra"},
	"AADSTS700016":  {"the tenant does not know this client id", "compare the client id with the app registration"},
	"AADSTS90002":   {"there is no such tenant", "compare the tenant with the directory's id in Entra"},
	"AADSTS900023":  {"there is no such tenant", "compare the tenant with the directory's id in Entra"},
	"AADSTS7000112": {"the app registration is disabled", "enable it in Entra"},
	"AADSTS65001":   {"an administrator has not consented to the app", "grant admin consent in Entra"},
	"AADSTS500011":  {"the tenant does not know the service", "compare the endpoint with the tenant's cloud"},
}

// fault says why there is no token. The library's text holds the whole answer and is
// only searched for a code.
func (t *tokens) fault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &remote.Error{Class: remote.ClassTransient, Message: "interrupted", Err: ctx.Err()}
	}
	var own *remote.Error
	if errors.As(err, &own) {
		return own
	}
	status, code, text := 0, "", ""
	var failed *azidentity.AuthenticationFailedError
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &failed):
		text = err.Error()
		if failed.RawResponse != nil {
			status = failed.RawResponse.StatusCode
		}
	case errors.As(err, &refused):
		text, code = refused.ErrorDescription, refused.ErrorCode
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
	}
	if status == 0 {
		if wire := t.wire.failure(); wire != nil {
			return network(wire, false)
		}
	}
	if c := entraCode.FindString(text); c != "" {
		code = c
	}
	e := &remote.Error{Class: remote.ClassConnection, Code: code, Status: status, Message: "Microsoft 365 gives us no access token"}
	if says, ok := entraSays[code]; ok {
		e.Message, e.Hint = says[0], says[1]
	}
	switch {
	case status == http.StatusTooManyRequests:
		e.Class = remote.ClassPressure
	case status >= 500:
		e.Class = remote.ClassTransient
	}
	return e
}

// clientCredentials is the OAuth 2 grant of that name as an azcore credential.
type clientCredentials struct {
	config clientcredentials.Config
	http   *http.Client
	now    func() time.Time
	turn   chan struct{} // held while a token is asked for
	token  azcore.AccessToken
}

func (c *clientCredentials) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return azcore.AccessToken{}, ctx.Err()
	}
	if c.token.Token != "" && c.now().Before(c.token.ExpiresOn) {
		return c.token, nil
	}
	// The library takes its client from the context and from nowhere else.
	got, err := c.config.Token(context.WithValue(ctx, oauth2.HTTPClient, c.http))
	if err != nil {
		return azcore.AccessToken{}, err
	}
	// A minute early, so that no token expires on its way.
	c.token = azcore.AccessToken{Token: got.AccessToken, ExpiresOn: c.now().Add(lifetime(got) - time.Minute)}
	return c.token, nil
}

// lifetime is how long a token may be used by our own clock; an hour if the server
// does not say.
func lifetime(t *oauth2.Token) time.Duration {
	var seconds float64
	switch v := t.Extra("expires_in").(type) {
	case float64:
		seconds = v
	case string:
		_ = json.Unmarshal([]byte(v), &seconds)
	}
	if seconds <= 0 {
		return time.Hour
	}
	return time.Duration(seconds * float64(time.Second))
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
