package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// graphToken signs in to Microsoft 365 and leaves no connection behind.
func graphToken(t *testing.T, base http.RoundTripper, dir string, e Endpoints) string {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(dir, fileMailSecret))
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: base}).PostForm(e.GraphToken, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {e.ClientID}, "client_secret": {strings.TrimSpace(string(secret))},
		"scope": {"https://graph.microsoft.com/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	err = json.NewDecoder(res.Body).Decode(&token)
	_ = res.Body.Close()
	if err != nil || token.AccessToken == "" {
		t.Fatalf("no token: %v", err)
	}
	return token.AccessToken
}

// What somebody asked for who went away is still being done; only then is a sandbox
// deserted.
func TestDeserted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, 1, 1)
	client := &http.Transport{DisableKeepAlives: true}
	if err := s.Deserted(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	s.Graph().OnRequest(func(string, string) {
		close(asked)
		<-answer
	})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoints().Graph+"/v1.0/users", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+graphToken(t, client, dir, s.Endpoints()))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		res, err := client.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
			t.Error("it was answered")
		}
	}()
	<-asked
	leave()
	<-gone
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Deserted(late); !errors.Is(err, context.Canceled) {
		t.Errorf("while it is at work: %v", err)
	}
	deserted := make(chan error)
	go func() { deserted <- s.Deserted(t.Context()) }()
	select {
	case err := <-deserted:
		t.Errorf("deserted while it is at work: %v", err)
	case answer <- struct{}{}:
	}
	if err := <-deserted; err != nil {
		t.Error(err)
	}
}
