package m365

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody is how much a request may carry. Graph refuses more than 4 MB.
// https://learn.microsoft.com/graph/api/resources/largefileupload
const maxBody = 4 << 20

const jsonType = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

// ending is how an answer leaves the server.
type ending int

const (
	endWell      ending = iota
	endDropped          // the connection is closed without an answer
	endTruncated        // the connection is closed in the middle of the body
	endMissing          // the item is left out of the batch's answer
)

// reply is an answer before it is written.
type reply struct {
	status int
	header http.Header
	body   []byte
	// raw says that body is no JSON.
	raw    bool
	ending ending
	err    *apiError
	// latency is what the request has to wait for, where it is an item of a batch.
	latency time.Duration
}

// apiError is a refusal as Graph words it.
type apiError struct {
	status  int
	code    string
	message string
	header  http.Header
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d %s)", e.message, e.status, e.code) }

func refuse(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func (e *apiError) with(key, value string) *apiError {
	if e.header == nil {
		e.header = http.Header{}
	}
	e.header.Set(key, value)
	return e
}

func failed(status int, code, format string, args ...any) *reply {
	return errorReply(refuse(status, code, format, args...))
}

func errorReply(err error) *reply {
	var e *apiError
	if !errors.As(err, &e) {
		// The only other error that reaches here is the journal's.
		e = refuse(http.StatusServiceUnavailable, "ErrorMailboxStoreUnavailable", "The mailbox database is temporarily unavailable.")
	}
	return &reply{status: e.status, header: e.header, err: e}
}

func okReply(status int, body any) *reply {
	b, err := json.Marshal(body)
	if err != nil {
		return failed(http.StatusInternalServerError, "ErrorInternalServerError", "The answer cannot be written.")
	}
	return &reply{status: status, body: b}
}

func noContent() *reply { return &reply{status: http.StatusNoContent} }

func (r *reply) set(key, value string) *reply {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(key, value)
	return r
}

// exchange is what all answers to one HTTP request have in common.
type exchange struct {
	requestID string
	clientID  string
	now       time.Time
	base      string
}

func (s *Server) newExchange(r *http.Request) *exchange {
	s.mu.Lock()
	s.ids++
	id := guid(s.opt.Seed, "request", s.ids)
	s.mu.Unlock()
	x := &exchange{requestID: id, clientID: r.Header.Get("client-request-id"), now: s.opt.Now().UTC()}
	if x.clientID == "" {
		x.clientID = id
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	x.base = scheme + "://" + r.Host + "/v1.0"
	return x
}

// envelope writes an error the way Graph does. D/concepts/errors.md
func (x *exchange) envelope(e *apiError) []byte {
	b, _ := json.Marshal(map[string]any{"error": map[string]any{
		"code": e.code, "message": e.message,
		"innerError": map[string]any{
			"date": x.now.Format("2006-01-02T15:04:05"), "request-id": x.requestID, "client-request-id": x.clientID,
		},
	}})
	return b
}

// write sends a reply, with the headers that all have, compressed if the client wishes.
func (x *exchange) write(w http.ResponseWriter, r *http.Request, rep *reply) {
	if rep.ending == endDropped || rep.ending == endMissing {
		panic(http.ErrAbortHandler)
	}
	body := rep.body
	if rep.err != nil && body == nil {
		body = x.envelope(rep.err)
	}
	h := w.Header()
	h.Set("Date", x.now.Format(http.TimeFormat))
	h.Set("request-id", x.requestID)
	h.Set("client-request-id", x.clientID)
	h.Set("Cache-Control", "private")
	if len(body) > 0 && !rep.raw {
		h.Set("Content-Type", jsonType)
		h.Set("OData-Version", "4.0")
	}
	for k, v := range rep.header {
		h[k] = v
	}
	if len(body) > 0 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body = compress(body)
		h.Set("Content-Encoding", "gzip")
		h.Set("Vary", "Accept-Encoding")
	}
	if rep.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(rep.status)
	if rep.ending == endTruncated {
		_, _ = w.Write(body[:len(body)/2])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// readBody reads a body, of known length or in chunks, compressed or not: Microsoft's
// SDK for Go sends both.
func readBody(r *http.Request) ([]byte, *reply) {
	var in io.Reader = r.Body
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, failed(http.StatusBadRequest, "BadRequest", "The content is not compressed as Content-Encoding says.")
		}
		in = z
	default:
		return nil, failed(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The content encoding is not supported.")
	}
	b, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	if err != nil {
		return nil, failed(http.StatusBadRequest, "BadRequest", "The request body cannot be read.")
	}
	if len(b) > maxBody {
		return nil, failed(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The maximum request length is exceeded.")
	}
	return b, nil
}
