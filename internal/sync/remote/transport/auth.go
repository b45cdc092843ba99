package transport

import (
	"context"
	"net/http"
)

// TokenSource supplies bearer tokens. It keeps them as long as they are valid, so
// that it can be asked before each request, from several goroutines.
type TokenSource interface {
	// Token returns a token. If the server refused one, it must return another or
	// an error. Its errors hold no secret.
	Token(ctx context.Context, denied Denied) (string, error)
}

// Denied is a token that the server did not take; the zero value if none.
type Denied struct {
	Token string
	// Challenge is the answer's WWW-Authenticate header.
	Challenge string
}

type auth struct {
	source TokenSource
	// turn is held by the one who renews the token.
	turn chan struct{}
}

func (a *auth) token(ctx context.Context) (string, error) {
	t, err := a.source.Token(ctx, Denied{})
	if err != nil {
		return "", &TokenError{Err: err}
	}
	return t, nil
}

// renew returns another token than the refused one. Of many who come with the same
// refused token, the first renews it and the others find it renewed.
func (a *auth) renew(ctx context.Context, denied Denied) (string, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", &unsentError{err: ctx.Err()}
	}
	if t, err := a.token(ctx); err != nil || t != denied.Token {
		return t, err
	}
	t, err := a.source.Token(ctx, denied)
	if err != nil {
		return "", &TokenError{Err: err}
	}
	return t, nil
}

// authorized sends a request with a token, and once more with a new one if the
// server refuses the first: a request that got a 401 was not applied.
func (h *Handle) authorized(req *http.Request) (*http.Response, error) {
	a := &h.c.auth
	if a.source == nil {
		return h.paced(req)
	}
	token, err := a.token(req.Context())
	if err != nil {
		return nil, err
	}
	resp, err := h.paced(withToken(req, token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	token, err = a.renew(req.Context(), Denied{Token: token, Challenge: resp.Header.Get("WWW-Authenticate")})
	if err != nil {
		return nil, err
	}
	return h.paced(withToken(req, token))
}

func withToken(req *http.Request, token string) *http.Request {
	r := req.WithContext(req.Context())
	r.Header = req.Header.Clone()
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}
