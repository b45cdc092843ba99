package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote/memory"
)

// The share of a user's 400 links that vanishes at once, on either side, told by the
// feed or missing in a full read, under each policy: what the guard's limit allows is
// carried over, anything more is held, all of it. And where the policy is not to carry
// a delete over, nothing is deleted whatever vanishes.
func TestGuardByShare(t *testing.T) {
	t.Parallel()
	const links = 400
	for _, gone := range []int{0, 4, 20, 21, 200, 399, 400} { // 0, 1, 5, 5.25, 50, 99.75 and 100 %
		for _, side := range []record.Side{record.CRM, record.Mailbox} {
			for _, policy := range []string{"unlink", "propagate"} {
				for _, full := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d of %d in %s, %s, full read %t", gone, links, side, policy, full), func(t *testing.T) {
						t.Parallel()
						guardByShare(t, links, gone, side, policy, full)
					})
				}
			}
		}
	}
}

func guardByShare(t *testing.T, links, gone int, side record.Side, policy string, full bool) {
	w := newWorld(t, 1, memory.Options{}, memory.Options{})
	w.setAll("contacts.deletes.from_mailbox", policy)
	ids := w.seed(0, links)
	w.ok()
	copies := w.mail.Items(w.folder(0))
	for n := range gone {
		if side == record.CRM {
			w.crm.DeleteItem(ids[n])
		} else {
			w.mail.DeleteItem(copies[n].ID)
		}
	}
	if full {
		w.crm.ExpireCursors()
		w.mail.ExpireCursors()
	}
	s := w.run()[0]
	deletes := gone
	if side == record.Mailbox && policy == "unlink" {
		deletes = 0
	}
	want := engine.Counts{}
	switch {
	case full && gone == links:
		if s.Code != engine.CodeEmptyRead {
			t.Fatalf("an empty read is %s %s: %+v", s.Result, s.Code, s.Counts)
		}
	case deletes > links/20:
		want.Held = deletes
	case side == record.CRM:
		want.DeletedMailbox = deletes
	default:
		want.DeletedCRM = deletes
	}
	if s.DeletedCRM != want.DeletedCRM || s.DeletedMailbox != want.DeletedMailbox || s.Held != want.Held {
		t.Fatalf("%+v, want %+v\n%s", s.Counts, want, s.Log)
	}
	if n := len(w.crm.Items()); side == record.Mailbox && n != links-want.DeletedCRM {
		t.Fatalf("%d records are left in the CRM", n)
	}
	if n := len(w.mail.Items(w.folder(0))); side == record.CRM && n != links-want.DeletedMailbox {
		t.Fatalf("%d copies are left", n)
	}
}

// A CRM that suddenly shows too few of its records loses nobody his copies.
func TestShortListFromTheCRM(t *testing.T) {
	t.Parallel()
	for _, hidden := range []int{11, 99} {
		w := newWorld(t, 1, memory.Options{}, memory.Options{})
		ids := w.seed(0, 100)
		w.ok()
		for _, id := range ids[:hidden] {
			w.crm.Hide(id)
		}
		w.crm.ExpireCursors()
		s := w.ok()
		if s.DeletedMailbox != 0 || s.Held != hidden {
			t.Fatalf("%d hidden: %+v\n%s", hidden, s.Counts, s.Log)
		}
		for _, id := range ids[:hidden] {
			w.crm.Show(id)
		}
		w.clock.pass(25 * time.Hour) // nothing tells that they can be seen again
		w.ok()
		if n := len(w.held(0)); n != 0 {
			t.Fatalf("%d are still held\n%s", n, w.logs())
		}
		w.equal()
	}
}
