package reconcile

import (
	"time"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// Image is what an item held before a write of ours, and what the write left there: all
// that it takes to take the write back.
type Image struct {
	// Op is the write.
	Op   record.OpID
	Time time.Time
	Side record.Side
	Kind OpKind
	// CRMID and MailboxID are those of the record; the one of Side is the item's.
	CRMID     string
	MailboxID string
	// Before holds, for an update, the fields that it wrote as they were, where a field
	// that was empty is missing; for a delete, the whole item as far as it is mapped; and
	// nothing for a create.
	Before record.Record
	// Left is what the write left in the fields that it wrote, a key without elements
	// for one that it cleared. It is nil for a delete.
	Left record.Hashes
	// Label names the record for a person.
	Label string
	// Undone is the write that took this one back; empty if none did.
	Undone record.OpID
}

// ItemID returns the id of the item that was written.
func (i Image) ItemID() string {
	if i.Side == record.CRM {
		return i.CRMID
	}
	return i.MailboxID
}
