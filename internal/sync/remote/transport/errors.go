package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// Kind says why there is no answer.
type Kind string

// The kinds of a failure.
const (
	// Canceled: the caller gave up.
	Canceled Kind = "canceled"
	// Pressure: the server asked for a longer wait than we have patience for.
	Pressure Kind = "pressure"
	// Token: there is no token to send.
	Token Kind = "token"
	// Refused: nobody listens at the address.
	Refused Kind = "refused"
	// DNS: the host name does not resolve.
	DNS Kind = "dns"
	// TLS: the server could not be trusted.
	TLS Kind = "tls"
	// Timeout: the answer did not come in time.
	Timeout Kind = "timeout"
	// Reset: the connection broke, perhaps in the middle of the answer.
	Reset Kind = "reset"
	// TooLarge: the answer is longer than the limit.
	TooLarge Kind = "too large"
)

// Failure is what is known of a request that got no answer.
type Failure struct {
	Kind Kind
	// Sent: the request may have reached the server. A write that was sent and not
	// answered is unclear.
	Sent bool
	// Down: the host as a whole cannot be reached, whoever asks. Nothing was sent, and
	// for a short while nothing will be.
	Down bool
	// RetryAfter is how long the server asked us to wait.
	RetryAfter time.Duration
}

// Classify tells what an error of a Handle means. Where an error does not prove
// that nothing was sent, Sent is true.
func Classify(err error) Failure {
	f := Failure{Sent: true, Kind: Reset}
	var unsent *unsentError
	var down *DownError
	if errors.As(err, &down) {
		f = Classify(down.Err)
		f.Sent, f.Down = false, true
		return f
	}
	if errors.As(err, &unsent) {
		f.Sent = false
	}
	var (
		pressure *PressureError
		token    *TokenError
		timeout  *timeoutError
		dns      *net.DNSError
		op       *net.OpError
		cert     *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		record   tls.RecordHeaderError
		netErr   net.Error
	)
	switch {
	case errors.As(err, &pressure):
		f.Kind, f.Sent, f.RetryAfter = Pressure, false, pressure.RetryAfter
	case errors.As(err, &token):
		f.Kind, f.Sent = Token, false
		if errors.Is(err, context.Canceled) {
			f.Kind = Canceled
		}
	case errors.Is(err, errTooLarge):
		f.Kind = TooLarge
	case errors.As(err, &timeout):
		f.Kind = Timeout
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		f.Kind = Canceled
	case errors.As(err, &dns):
		f.Kind, f.Sent = DNS, false
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &record):
		f.Kind, f.Sent = TLS, false
	case errors.As(err, &op) && dials(op):
		f.Kind, f.Sent = Refused, false
		if op.Timeout() {
			f.Kind = Timeout
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Kind, f.Sent = Refused, false
	case errors.As(err, &netErr) && netErr.Timeout():
		f.Kind = Timeout
	}
	return f
}

// dials reports whether a failure is one of getting connected at all.
func dials(op *net.OpError) bool { return op.Op == "dial" || op.Op == "proxyconnect" }

// PressureError says that the key may not be used for longer than we wait.
type PressureError struct{ RetryAfter time.Duration }

func (e *PressureError) Error() string {
	return fmt.Sprintf("the server asks to wait for %s", e.RetryAfter.Round(time.Second))
}

// TokenError says that the token source failed; Err is what it said.
type TokenError struct{ Err error }

func (e *TokenError) Error() string { return "no access token" }
func (e *TokenError) Unwrap() error { return e.Err }

// DownError says that a host cannot be reached; Err is how it was found out.
type DownError struct{ Err error }

func (e *DownError) Error() string { return "the server cannot be reached" }
func (e *DownError) Unwrap() error { return e.Err }

// unsentError marks a failure before anything was sent.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// timeoutError marks our own limit on a round trip, which is not the caller's.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("no answer within %s", e.after) }

var errTooLarge = errors.New("the answer is too large")

// RetryAfter reads how long an answer asks us to wait, in seconds or as a date. A
// date is compared with the server's own clock where the answer shows it, else with
// now. What is out of reason is cut to a day.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if text == "" {
		return 0, false
	}
	const most = 24 * time.Hour
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		if s < 0 || s != s {
			return 0, true
		}
		return time.Duration(min(s, most.Seconds()) * float64(time.Second)), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if server, err := http.ParseTime(h.Get("Date")); err == nil {
		now = server
	}
	return min(max(0, at.Sub(now)), most), true
}
