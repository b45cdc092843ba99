package planfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/planfile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

func hasher(t testing.TB, key byte) record.Hasher {
	t.Helper()
	h, err := record.NewHasher(bytes.Repeat([]byte{key}, record.KeySize), "")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sample is a plan with one step of each kind.
func sample() planfile.File {
	step := func(action string, side record.Side) engine.Step {
		return engine.Step{Action: action, Side: side, CRMID: "c1", Label: "Jane <Doe> & Søn\u2028", Reason: "why", Digest: "d"}
	}
	return planfile.File{
		Program: "1.2.3", Install: "here", Schema: 2,
		Created: time.Date(2026, 3, 1, 13, 0, 0, 7, time.FixedZone("", 3600)),
		Options: planfile.Options{AllowCreateInCRM: true},
		Users: []planfile.User{
			{User: "ann@example.com", Entity: record.Contacts, First: true, Prepare: true, Unsettled: 1, Accounts: "a", Operations: []engine.Step{
				step("prepare", record.Mailbox), step("create", record.CRM), step("create", record.Mailbox), step("update", record.CRM),
				step("update", record.Mailbox), step("delete", record.CRM), step("delete", record.Mailbox), step("link", ""), step("settle", ""),
				step("end", ""), step("held", record.CRM), step("conflict", ""), step("issue", record.CRM),
			}},
			{User: "bob@example.com", Entity: record.Contacts, Operations: []engine.Step{{Action: "create", Side: record.Mailbox, Label: "not \xff text", Mails: 2}}},
		},
	}
}

func encode(t testing.TB, f planfile.File, key byte) []byte {
	t.Helper()
	text, err := planfile.Encode(f, hasher(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	text := encode(t, sample(), 1)
	got, err := planfile.Decode(text, "here", hasher(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Kind, want.Format, want.Digest = planfile.Kind, planfile.Format, got.Digest
	want.Created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want.Users[1].Operations[0].Label = "not \ufffd text"
	want.Totals = planfile.Totals{
		Users: 2, Creates: planfile.Sides{CRM: 1, Mailbox: 2}, Updates: planfile.Sides{CRM: 1, Mailbox: 1}, Deletes: planfile.Sides{CRM: 1, Mailbox: 1},
		Linked: 1, Ended: 1, Conflicts: 1, Held: 1, Issues: 1, Mails: 2,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if again := encode(t, sample(), 1); !bytes.Equal(text, again) {
		t.Error("the same plan is written differently")
	}
	if !strings.Contains(string(text), "Jane <Doe> & Søn") {
		t.Error("a label is not written as a person reads it")
	}
}

// Its layout may change, as by jq; nothing else may.
func TestChangedFilesAreRefused(t *testing.T) {
	t.Parallel()
	text := string(encode(t, sample(), 1))
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("no %s in\n%s", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"as it was", text, nil},
		{"without spaces", compact.String(), nil},
		{"an operation less", replace(`"unsettled": 1`, `"unsettled": 0`), planfile.ErrDamaged},
		{"another user", replace("bob@", "eve@"), planfile.ErrDamaged},
		{"another option", replace(`"allowCreateInCrm": true`, `"allowCreateInCrm": false`), planfile.ErrDamaged},
		{"another reason", replace(`"reason": "why"`, `"reason": "because"`), planfile.ErrDamaged},
		{"other totals", replace(`"held": 1`, `"held": 0`), planfile.ErrDamaged},
		{"another time", replace("T12:00:00Z", "T12:00:01Z"), planfile.ErrDamaged},
		{"a field more", replace(`"format": 1,`, `"format": 1, "note": "x",`), planfile.ErrDamaged},
		{"something behind it", text + "{}", planfile.ErrNotAPlan},
		{"a digest of another key", string(encode(t, sample(), 2)), planfile.ErrDamaged},
		{"another installation", replace(`"install": "here"`, `"install": "there"`), planfile.ErrForeign},
		{"a newer format", replace(`"format": 1`, `"format": 2`), planfile.ErrNewer},
		{"a newer format with other fields", `{"kind": "crmsync plan", "format": 9, "chapters": []}`, planfile.ErrNewer},
		{"format 0", replace(`"format": 1`, `"format": 0`), planfile.ErrNotAPlan},
		{"another kind", replace(planfile.Kind, "shopping list"), planfile.ErrNotAPlan},
		{"cut short", text[:len(text)/2], planfile.ErrNotAPlan},
		{"empty", "", planfile.ErrNotAPlan},
		{"not JSON", "user,action\n", planfile.ErrNotAPlan},
		{"a list", "[]", planfile.ErrNotAPlan},
		{"users of another shape", `{"kind": "crmsync plan", "format": 1, "users": 7}`, planfile.ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := planfile.Decode([]byte(tt.text), "here", hasher(t, 1)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// Whatever is read is refused or is a plan that is written as it was read.
func FuzzDecode(f *testing.F) {
	h := hasher(f, 1)
	text := encode(f, sample(), 1)
	f.Add(text)
	f.Add([]byte(`{"kind": "crmsync plan", "format": 1}`))
	f.Add([]byte(`{"kind": "crmsync plan", "format": 1, "users": [{"operations": [{}]}], "digest": ""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := planfile.Decode(text, "here", h)
		if err != nil {
			return
		}
		again, err := planfile.Encode(got, h)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := planfile.Decode(again, "here", h); err != nil || !cmp.Equal(got, same) {
			t.Errorf("read back as %+v, %v; was %+v", same, err, got)
		}
	})
}

// Whatever a plan holds, what is written can be read.
func FuzzEncode(f *testing.F) {
	h := hasher(f, 1)
	f.Add("ann@example.com", "create", "Jane \xff\u2028</script>", "job_title", int64(1_800_000_000))
	f.Fuzz(func(t *testing.T, user, action, label, field string, created int64) {
		text, err := planfile.Encode(planfile.File{
			Install: "here", Created: time.Unix(created%100_000_000_000, 0),
			Users: []planfile.User{{User: user, Operations: []engine.Step{{Action: action, Label: label, Fields: []string{field}}}}},
		}, h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := planfile.Decode(text, "here", h); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	})
}
