package salesforce

import (
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// row is a contact as a query shows it.
type row map[string]any

// systemFields are read with every contact.
var systemFields = []string{"Id", "IsDeleted", "MasterRecordId", "OwnerId", "CreatedDate", "LastModifiedDate", "SystemModstamp"}

// columns are the fields of a query for whole contacts.
func (c *contacts) columns() string {
	names := append([]string{}, systemFields...)
	names = append(names, c.table.Native()...)
	if c.stampField != "" {
		names = append(names, c.stampField)
	}
	return strings.Join(names, ",")
}

// text returns a field as a text, following relationships; "" for null.
func (r row) text(name string) string {
	first, rest, nested := strings.Cut(name, ".")
	if nested {
		m, ok := r[first].(map[string]any)
		if !ok {
			return ""
		}
		return row(m).text(rest)
	}
	s, _ := r[name].(string)
	return s
}

func (r row) id() string { return r.text("Id") }

func (r row) deleted() bool {
	d, _ := r["IsDeleted"].(bool)
	return d
}

// instant reads a time as the API writes it, 2026-05-04T03:02:01.000+0000.
func (r row) instant(name string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05.999-0700", time.RFC3339} {
		if t, err := time.Parse(layout, r.text(name)); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// item returns the contact in a row. Salesforce does not tell how a record came to
// be, so Imported is never set.
func (c *contacts) item(r row) remote.Item {
	it := remote.Item{
		ID: r.id(), Version: r.text("SystemModstamp"), Owner: r.text("OwnerId"),
		Created: r.instant("CreatedDate"), Modified: r.instant("LastModifiedDate"),
		Fields: make(mapping.Fields),
	}
	for _, n := range c.table.Native() {
		if t := r.text(n); t != "" {
			it.Fields[n] = record.Text(t)
		}
	}
	if c.stampField != "" {
		it.HasStamp = true
		if s, err := record.ParseStamp(r.text(c.stampField)); err == nil {
			it.Stamp = &s
		}
	}
	return it
}

// stampText is a stamp as it is kept: without the other side's id where the field is
// too short for it. The operation alone is unique.
func (c *contacts) stampText(s record.Stamp) string {
	t := s.String()
	if len([]rune(t)) > c.stampSize {
		s.Other = ""
		t = s.String()
	}
	return t
}
