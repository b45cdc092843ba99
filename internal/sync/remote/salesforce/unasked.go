package salesforce

import (
	"context"
	"errors"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// later reports whether an organization that could not be asked what it has may be
// asked again: because of this failure the connection is not closed for good.
func later(err error) bool {
	switch remote.ClassOf(err) {
	case remote.ClassTransient, remote.ClassPressure:
		return true
	case remote.ClassConnection:
		var e *remote.Error
		return errors.As(err, &e) && e.Status == 0 // it did not even answer
	}
	return false
}

// ready asks the organization what it has if Open could not. One asks for all, and a
// failure answers those who come soon after.
func (s *Salesforce) ready(ctx context.Context) error {
	s.mu.Lock()
	done := !s.unasked
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := s.spare(); err != nil {
		return err
	}
	_, err := s.asking.Do(ctx, "", func(ctx context.Context) (struct{}, error) { return struct{}{}, s.adapt(ctx) })
	if err != nil {
		return unanswered(err, false)
	}
	return nil
}

// unasked is the contacts of an organization that had not told what it has when they
// were opened. Whoever holds it has decided by a table that may be wrong, so that it
// neither reads nor writes; the next one to ask for the collection gets a true one.
type unasked struct {
	contacts
	s *Salesforce
}

func (u *unasked) fault(ctx context.Context) error {
	if err := u.s.ready(ctx); err != nil {
		return err
	}
	return &remote.Error{Class: remote.ClassTransient, Code: "late", Message: "Salesforce could be reached only now"}
}

func (u *unasked) Changes(ctx context.Context, _ remote.Query) (remote.Feed, error) {
	return remote.Feed{}, u.fault(ctx)
}

func (u *unasked) Get(ctx context.Context, ids []string) []remote.ItemResult {
	out := make([]remote.ItemResult, len(ids))
	if len(ids) > 0 {
		err := u.fault(ctx)
		for i := range out {
			out[i].Err = err
		}
	}
	return out
}

func (u *unasked) FindStamped(ctx context.Context, _ []record.Stamp) ([]remote.Item, error) {
	return nil, u.fault(ctx)
}

func (u *unasked) Apply(ctx context.Context, writes []remote.Write) []remote.WriteResult {
	out := make([]remote.WriteResult, len(writes))
	if len(writes) > 0 {
		err := u.fault(ctx)
		for i := range out {
			out[i].Err = err
		}
	}
	return out
}
