package graph

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// What a write says and what it leaves alone, as JSON.
func TestBody(t *testing.T) {
	t.Parallel()
	stamp := record.Stamp{Install: "i", Entity: record.Contacts, Op: "0123456789abcdef0123456789abcdef", Other: "003"}
	whole := mapping.Fields{"givenName": {"Ada"}, "surname": {"Byron"}, "homeAddress/street": {"1 Old Rd"}, "homeAddress/city": {"Kent"}, "otherAddress/city": {"Ely"}}
	for _, tt := range []struct {
		name     string
		w        remote.Write
		category string
		want     string
	}{
		{
			name: "a create has what there is, its names as one, the category and the stamp", category: "CRM",
			w: remote.Write{Kind: remote.Create, Stamp: stamp, Set: mapping.Fields{
				"givenName": {"Ada"}, "surname": {"King"}, "generation": {"Jr."}, "department": nil, "homeAddress/city": {"Kent"}, "homeAddress/street": nil,
				"otherAddress/city": nil, "birthday": {"1815-12-10"}, "emailAddresses": {"a@b.example", "c@d.example"}, "businessPhones": {"1"}, "homePhones": nil,
			}},
			want: `{"givenName":"Ada","surname":"King","generation":"Jr.","displayName":"Ada King Jr.","homeAddress":{"city":"Kent"},"birthday":"1815-12-10T11:59:00Z",
				"emailAddresses":[{"address":"a@b.example"},{"address":"c@d.example"}],"businessPhones":["1"],"categories":["CRM"],
				"singleValueExtendedProperties":[{"id":"` + stampProperty + `","value":"1|i|contacts|0123456789abcdef0123456789abcdef|003"}]}`,
		},
		{
			name: "a create of a company is shown as the company",
			w:    remote.Write{Kind: remote.Create, Set: mapping.Fields{"companyName": {"ACME"}}},
			want: `{"companyName":"ACME","displayName":"ACME"}`,
		},
		{
			name: "an update has its fields only", category: "CRM",
			w:    remote.Write{Kind: remote.Update, Set: mapping.Fields{"jobTitle": {"Boss"}}, Whole: whole},
			want: `{"jobTitle":"Boss"}`,
		},
		{
			name: "a change of the name changes what is shown",
			w:    remote.Write{Kind: remote.Update, Set: mapping.Fields{"surname": {"King"}}, Whole: whole},
			want: `{"surname":"King","displayName":"Ada King"}`,
		},
		{
			name: "without the rest of the name it is left to the server",
			w:    remote.Write{Kind: remote.Update, Set: mapping.Fields{"surname": {"King"}}},
			want: `{"surname":"King"}`,
		},
		{
			name: "an address travels whole, others stay",
			w:    remote.Write{Kind: remote.Update, Set: mapping.Fields{"homeAddress/city": {"Bath"}}, Whole: whole},
			want: `{"homeAddress":{"street":"1 Old Rd","city":"Bath"}}`,
		},
		{
			name: "empty values clear: null, the empty list, the part of an address",
			w: remote.Write{Kind: remote.Update, Whole: mapping.Fields{"homeAddress/street": {"1 Old Rd"}}, Set: mapping.Fields{
				"jobTitle": nil, "birthday": nil, "homePhones": nil, "emailAddresses": nil, "homeAddress/city": nil, "otherAddress/street": nil,
			}},
			want: `{"jobTitle":null,"birthday":null,"homePhones":[],"emailAddresses":[],"homeAddress":{"street":"1 Old Rd","city":null},"otherAddress":{"street":null}}`,
		},
	} {
		b, err := bodyOf(tt.w, tt.category)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if tt.w.Kind == remote.Update && tt.category != "" && b["categories"] != nil {
			t.Errorf("%s: an update sets the categories", tt.name)
		}
		raw, _ := json.Marshal(b)
		var got, want any
		_ = json.Unmarshal(raw, &got)
		if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
	_, err := bodyOf(remote.Write{Kind: remote.Update, Set: mapping.Fields{"shoeSize": {"44"}}}, "")
	if !remote.Is(err, remote.ClassMapping) || detail(err).Fields[0] != "shoeSize" {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestReadContact(t *testing.T) {
	t.Parallel()
	names := Table().Native()
	full := func(extra string) string {
		var b strings.Builder
		b.WriteString(`{"id":"x"`)
		done := map[string]bool{}
		for _, n := range names {
			group, _, _ := strings.Cut(n, "/")
			if done[group] || strings.Contains(extra, `"`+group+`"`) {
				continue
			}
			done[group] = true
			b.WriteString(`,"` + group + `":null`)
		}
		return b.String() + extra + "}"
	}
	for _, tt := range []struct {
		name     string
		in       string
		want     mapping.Fields
		complete bool
	}{
		{"nothing but nulls", full(``), mapping.Fields{}, true},
		{"a property that is not there", strings.Replace(full(``), `,"surname":null`, "", 1), mapping.Fields{}, false},
		{"an address that is not there", strings.Replace(full(``), `,"otherAddress":null`, "", 1), mapping.Fields{}, false},
		{"a list that is not there", strings.Replace(full(``), `,"homePhones":null`, "", 1), mapping.Fields{}, false},
		{"texts with escapes", full(`,"surname":"O\"N\u00e9il\\","givenName":"Zoë"`), mapping.Fields{"surname": {`O"Néil\`}, "givenName": {"Zoë"}}, true},
		{"a wrong type spoils its field alone", full(`,"surname":5,"givenName":"A"`), mapping.Fields{"givenName": {"A"}}, false},
		{"birthdays are days", full(`,"birthday":"1974-07-22T23:59:00Z"`), mapping.Fields{"birthday": {"1974-07-22"}}, true},
		{"the end of a calendar is no birthday", full(`,"birthday":"4501-01-01T00:00:00Z"`), mapping.Fields{}, true},
		{"addresses", full(`,"homeAddress":{"street":"1 A\r\nB","city":null},"otherAddress":{}`), mapping.Fields{"homeAddress/street": {"1 A\r\nB"}}, true},
		{"lists", full(`,"emailAddresses":[{"name":"n","address":"a@b"},{"name":"n"}],"businessPhones":["1","2"]`), mapping.Fields{"emailAddresses": {"a@b"}, "businessPhones": {"1", "2"}}, true},
	} {
		var c contact
		if err := json.Unmarshal([]byte(tt.in), &c); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		got, complete := c.fields(names)
		if d := cmp.Diff(tt.want, got); d != "" || complete != tt.complete {
			t.Errorf("%s: complete %v (-want +got):\n%s", tt.name, complete, d)
		}
	}
}

// Any bytes of a server are read without a panic.
func FuzzContact(f *testing.F) {
	f.Add([]byte(`{"id":"x","surname":"a\\u00","homeAddress":{"city":5},"birthday":"19"}`))
	f.Add([]byte(`{"@removed":{"reason":"deleted"},"id":"x","emailAddresses":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c contact
		if json.Unmarshal(data, &c) == nil {
			it, _ := c.item(Table().Native())
			Table().Read(it.Fields)
			stampOf(c.Properties)
			claimOf(c.Properties)
		}
	})
}

// Every field of the table can be read and written under its own name.
func TestTable(t *testing.T) {
	t.Parallel()
	if err := knownFields(Table()); err != nil {
		t.Error(err)
	}
	if err := knownFields(mapping.Table{Entries: []mapping.Entry{{Field: "x", Native: []string{"homeAddress/planet"}}}}); !remote.Is(err, remote.ClassMapping) {
		t.Errorf("an unknown part of an address: %v", err)
	}
	mapped := map[record.Field]bool{}
	for _, e := range Table().Entries {
		mapped[e.Field] = true
	}
	for _, s := range record.Specs(record.Contacts) {
		if !mapped[s.Field] && s.Field != record.Categories {
			t.Errorf("%s is not mapped", s.Field)
		}
	}
}
