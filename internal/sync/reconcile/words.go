package reconcile

import (
	"fmt"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// place names a side within a sentence.
func place(s record.Side) string {
	if s == record.CRM {
		return "the CRM"
	}
	return "the mailbox"
}

// maxNamed is how many fields a reason names before it only counts the rest.
const maxNamed = 4

// fieldNames joins the names of fields as a person reads them.
func fieldNames(fields []record.Field) string {
	names := make([]string, 0, maxNamed)
	for _, f := range fields {
		if len(names) == maxNamed {
			break
		}
		if f == record.EmailAddresses {
			names = append(names, "e-mail addresses")
			continue
		}
		names = append(names, strings.ReplaceAll(string(f), "_", " "))
	}
	if rest := len(fields) - len(names); rest > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), rest)
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
