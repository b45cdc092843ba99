package graph

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/crmsync/crmsync/internal/sync/remote"
)

// BenchmarkDecodePage reads a delta page of 200 contacts into the contract's items.
func BenchmarkDecodePage(b *testing.B) {
	var items []string
	for i := range 200 {
		items = append(items, fmt.Sprintf(`{"@odata.etag":"W/\"EQAAABYAAAB%06d\"","id":"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A%06d","changeKey":"EQAAABYAAAB%06d",
			"parentFolderId":"AAMkAGI2THVSAAA=","createdDateTime":"2026-03-01T12:00:00Z","lastModifiedDateTime":"2026-03-01T12:00:00Z","title":null,"givenName":"Ada",
			"middleName":null,"surname":"Müller%d","generation":null,"nickName":null,"companyName":"Example Ltd","department":null,"jobTitle":"Engineer",
			"emailAddresses":[{"name":"Ada","address":"ada%d@example.com"}],"businessPhones":["+1 202 555 0100"],"homePhones":[],"mobilePhone":null,
			"businessAddress":{"street":"1 Main St","city":"Bern","state":null,"postalCode":"3000","countryOrRegion":"CH"},"otherAddress":{},"homeAddress":{},
			"birthday":null,"businessHomePage":null,"personalNotes":null}`, i, i, i, i, i))
	}
	raw := []byte(`{"value":[` + strings.Join(items, ",") + `],"@odata.deltaLink":"https://graph.microsoft.com/v1.0/x"}`)
	names := Table().Native()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		var p page[contact]
		if err := json.Unmarshal(raw, &p); err != nil {
			b.Fatal(err)
		}
		var f remote.Feed
		if partial := changes(p.Value, names, &f); len(f.Changes) != 200 || len(partial) != 0 {
			b.Fatalf("%d changes, %d partial", len(f.Changes), len(partial))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200, "ns/contact")
}
