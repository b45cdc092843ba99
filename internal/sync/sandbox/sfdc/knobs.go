package sfdc

import (
	"crypto/rsa"
	"time"
)

// The knobs that make the organization behave as an unlucky one. None of them
// outlives a restart but Hide and ExpireSessions.

// Hide makes a contact invisible to the integration, as a change of sharing rules
// does, or visible again. Nothing is stamped and nothing deleted.
func (s *Server) Hide(id string, hidden bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cid, ok := canonicalID(id)
	if !ok || s.lookup(cid) == nil {
		return notFound()
	}
	if hidden {
		s.hidden[cid] = true
	} else {
		delete(s.hidden, cid)
	}
	return s.log(entry{Hidden: map[string]bool{cid: hidden}})
}

// ExpireSessions ends all sessions: their tokens answer 401 from now on.
func (s *Server) ExpireSessions() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return s.log(entry{Sessions: s.sessions})
}

// SetAPIUsage sets how many calls are used up and how many a day allows.
func (s *Server) SetAPIUsage(used, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used, s.limit = used, limit
}

// SetDuplicateRule turns the duplicate rule (same e-mail address and last name) on or
// off. It is on at first.
func (s *Server) SetDuplicateRule(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.duplicateRule = on
}

// SetLowercaseEmail makes the server rewrite e-mail addresses in lower case.
func (s *Server) SetLowercaseEmail(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lowerEmail = on
}

// SetValidationRules replaces the validation rules.
func (s *Server) SetValidationRules(rules ...ValidationRule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = rules
}

// SetLatency delays every call.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// SetClockSkew moves the server's clock against the one it was given.
func (s *Server) SetClockSkew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// SetLateCommit makes each person's edit visible only d after its stamp. Zero makes
// later edits visible at once.
func (s *Server) SetLateCommit(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lateCommit = d
}

// FailLocks makes the next n writes of a row through the API fail with
// UNABLE_TO_LOCK_ROW.
func (s *Server) FailLocks(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lockFailures = n
}

// RemoveField takes a field of an object away from the integration, as an
// administrator does who deletes it or withdraws the permission, or gives it back.
func (s *Server) RemoveField(object, name string, removed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.byName[lower(object)]
	if t == nil || t.schema.byName[lower(name)] == nil {
		return noColumn(name, object)
	}
	t.schema.byName[lower(name)].removed = removed
	return nil
}

// RegisterCertificate lets the external client app sign assertions with the private
// key that belongs to this public one.
func (s *Server) RegisterCertificate(clientID string, key *rsa.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificates[clientID] = key
}

// RegisterRefreshToken makes a refresh token of a user valid; an empty user revokes it.
func (s *Server) RegisterRefreshToken(token, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user == "" {
		delete(s.refresh, token)
		return
	}
	s.refresh[token] = user
}
