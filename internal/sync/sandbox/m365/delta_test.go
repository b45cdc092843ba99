package m365

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// round follows a delta from a path or link to its end. It returns what was told, an id
// alone or with "-" before it if it was removed, the size of each page, and the deltaLink.
func (b *bench) round(path string, headers ...string) (told []string, pages []int, deltaLink string) {
	b.t.Helper()
	headers = append(headers, "Prefer: "+immutablePrefer)
	for {
		out := b.want(200, "GET", path, nil, headers...)
		pages = append(pages, len(values(out)))
		for _, v := range values(out) {
			id := v["id"].(string)
			if r, ok := v["@removed"].(map[string]any); ok {
				if r["reason"] != "deleted" {
					b.t.Errorf("reason %v", r["reason"])
				}
				id = "-" + id
			}
			told = append(told, id)
		}
		if l, ok := out["@odata.deltaLink"].(string); ok {
			if out["@odata.nextLink"] != nil {
				b.t.Error("a page has both links")
			}
			return told, pages, l
		}
		path = out["@odata.nextLink"].(string)
	}
}

func TestDeltaPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	var ids []string
	for i := range 25 {
		ids = append(ids, b.create(f, name(i))["id"].(string))
	}
	for _, tc := range []struct {
		size string
		want []int
	}{
		{"", []int{10, 10, 5}}, // the service's default
		{"Prefer: odata.maxpagesize=1", nil},
		{"Prefer: odata.maxpagesize=25", []int{25}},
		{"Prefer: odata.maxpagesize=5000", []int{25}},
	} {
		var head []string
		if tc.size != "" {
			head = []string{tc.size}
		}
		told, pages, _ := b.round(f+"/contacts/delta", head...)
		if !reflect.DeepEqual(told, ids) || (tc.want != nil && !reflect.DeepEqual(pages, tc.want)) {
			t.Errorf("%q: pages %v with %d items", tc.size, pages, len(told))
		}
	}
}

func TestDeltaTellsWhatChanged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ada = "ada@contoso.example"
	f, g := b.folder("CRM"), b.folder("Other")
	a := b.create(f, name(1))["id"].(string)
	c := b.create(f, name(2))["id"].(string)
	d := b.create(f, name(3))["id"].(string)
	_, _, next := b.round(f + "/contacts/delta?$select=surname")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var e, n string
	for _, step := range []struct {
		what string
		act  func()
		want func() []string
	}{
		{"nothing", func() {}, func() []string { return nil }},
		{"an update", func() { b.want(200, "PATCH", b.root()+"/contacts/"+esc(c), map[string]any{"surname": "x"}) }, func() []string { return []string{c} }},
		{"two updates of one and one of another", func() {
			must(b.s.UpdateContact(ada, a, map[string]any{"surname": "x"}))
			must(b.s.UpdateContact(ada, c, map[string]any{"surname": "y"}))
			must(b.s.UpdateContact(ada, a, map[string]any{"surname": "z"}))
		}, func() []string { return []string{c, a} }},
		{"a creation", func() { e = b.create(f, name(4))["id"].(string) }, func() []string { return []string{e} }},
		{"nothing after a creation", func() {}, func() []string { return nil }},
		{"a creation elsewhere", func() { b.create(g, name(5)) }, func() []string { return nil }},
		{"a deletion", func() { b.want(204, "DELETE", b.root()+"/contacts/"+esc(a), nil) }, func() []string { return []string{"-" + a} }},
		{"a move out", func() { must(b.s.MoveContact(ada, c, "Other")) }, func() []string { return []string{"-" + c} }},
		{"an update of what moved out", func() { must(b.s.UpdateContact(ada, c, map[string]any{"surname": "o"})) }, func() []string { return nil }},
		{"a move back in", func() { must(b.s.MoveContact(ada, c, "CRM")) }, func() []string { return []string{c} }},
		{"a restored deletion", func() { must(b.s.RestoreContact(ada, a)) }, func() []string { return []string{a} }},
		{"a creation with its deletion, and an update", func() {
			n = b.create(f, name(6))["id"].(string)
			must(b.s.DeleteContact(ada, n))
			must(b.s.UpdateContact(ada, d, map[string]any{"surname": "last"}))
		}, func() []string { return []string{"-" + n, d} }},
	} {
		step.act()
		told, _, l := b.round(next)
		next = l
		if strings.Join(told, " ") != strings.Join(step.want(), " ") {
			t.Errorf("after %s the delta tells %v, want %v", step.what, told, step.want())
		}
	}
	told, _, _ := b.round(f + "/contacts/delta")
	if want := []string{e, c, a, d}; !reflect.DeepEqual(told, want) {
		t.Errorf("a new chain tells %d items in the order of their changes, want %d", len(told), len(want))
	}
}

func TestDeltaWhileChanging(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	state := map[string]string{} // what a client knows: id → surname
	apply := func(out map[string]any) {
		for _, v := range values(out) {
			if v["@removed"] != nil {
				delete(state, v["id"].(string))
			} else {
				state[v["id"].(string)] = fmt.Sprint(v["surname"])
			}
		}
	}
	var ids []string
	for i := range 12 {
		ids = append(ids, b.create(f, map[string]any{"surname": fmt.Sprint("v", i)})["id"].(string))
	}
	head := []string{"Prefer: odata.maxpagesize=3", "Prefer: " + immutablePrefer}
	path := f + "/contacts/delta"
	for page := range 30 { // more than enough for two rounds
		out := b.want(200, "GET", path, nil, head...)
		apply(out)
		// Between any two pages somebody changes what was told and what was not.
		if page < 4 {
			for _, i := range []int{page, 11 - page} {
				if err := b.s.UpdateContact("ada@contoso.example", ids[i], map[string]any{"surname": fmt.Sprint("w", page)}); err != nil {
					t.Fatal(err)
				}
			}
			if page == 1 {
				if err := b.s.DeleteContact("ada@contoso.example", ids[5]); err != nil {
					t.Fatal(err)
				}
			}
			b.create(f, map[string]any{"surname": fmt.Sprint("n", page)})
		}
		next, more := out["@odata.nextLink"].(string)
		if !more {
			next = out["@odata.deltaLink"].(string)
		}
		path = next
	}
	have, err := b.s.Contacts("ada@contoso.example", "CRM")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, c := range have {
		want[c["id"].(string)] = c["surname"].(string)
	}
	if !reflect.DeepEqual(state, want) {
		t.Errorf("a client that follows the links knows %d contacts, the mailbox holds %d: %v, %v", len(state), len(want), state, want)
	}
}

// docs#21752
func TestDeltaHoleOfImmutableIDs(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{false, true} {
		b := newBench(t, func(o *Options) { o.NoMoveHole = closed })
		f := b.folder("CRM")
		c := b.create(f, name(1))["id"].(string)
		_, _, next := b.round(f + "/contacts/delta")
		for _, to := range []string{"", "CRM"} {
			if err := b.s.MoveContact(b.user.ID, c, to); err != nil {
				t.Fatal(err)
			}
		}
		regular := values(b.want(200, "GET", next, nil))
		told, _, next := b.round(next)
		want := []string{"-" + c}
		if closed {
			want = append(want, c)
		}
		if !reflect.DeepEqual(told, want) {
			t.Errorf("closed=%v: there and back tells %d entries, want %d", closed, len(told), len(want))
		}
		if len(regular) != 2 || regular[0]["@removed"] == nil || regular[1]["@removed"] != nil || regular[0]["id"] == regular[1]["id"] {
			t.Errorf("with regular ids there and back tells %v", regular)
		}
		b.want(200, "GET", f+"/contacts/"+esc(c), nil) // it is there all the same
		if err := b.s.UpdateContact(b.user.ID, c, map[string]any{"surname": "x"}); err != nil {
			t.Fatal(err)
		}
		told, _, next = b.round(next)
		if !reflect.DeepEqual(told, []string{c}) {
			t.Errorf("closed=%v: the next change tells %v", closed, told)
		}
		for _, to := range []string{"", "CRM"} {
			if err := b.s.MoveContact(b.user.ID, c, to); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.s.UpdateContact(b.user.ID, c, map[string]any{"surname": "y"}); err != nil {
			t.Fatal(err)
		}
		if told, _, _ := b.round(next); !reflect.DeepEqual(told, []string{"-" + c, c}) {
			t.Errorf("closed=%v: there, back and changed tells %v", closed, told)
		}
		if told, _, _ := b.round(f + "/contacts/delta"); !reflect.DeepEqual(told, []string{c}) {
			t.Errorf("closed=%v: a new chain tells %v", closed, told)
		}
	}
}

func TestDeltaGenerations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	b.create(f, name(1))
	links := []string{}
	_, _, l := b.round(f + "/contacts/delta")
	for range 5 {
		links = append(links, l)
		_, _, l = b.round(l)
	}
	links = append(links, l)
	// The last answer is generation n; n, n-1 and n-2 can be continued from.
	for i, l := range links {
		if fresh := i >= len(links)-3; fresh {
			for range 4 {
				b.want(200, "GET", l, nil)
			}
		} else {
			res, err := b.try("GET", l, nil)
			if err != nil {
				t.Fatal(err)
			}
			status, h, out := b.read(res)
			if status != 410 || codeOf(out) != "SyncStateNotFound" || !strings.HasSuffix(h.Get("Location"), "delta()?$deltatoken=") {
				t.Errorf("link %d of %d: %d %v, Location %q", i, len(links), status, out, h.Get("Location"))
			}
			if told, _, _ := b.round(h.Get("Location")); len(told) != 1 {
				t.Errorf("starting anew tells %v", told)
			}
		}
	}
	other := b.folder("Other")
	b.refused(400, "SyncStateInvalid", "GET", other+"/contacts/delta"+l[strings.Index(l, "?"):], nil)
	b.refused(400, "SyncStateInvalid", "GET", f+"/contacts/delta?$deltatoken=abc", nil)

	if err := b.s.ExpireDeltaTokens("ada@contoso.example"); err != nil {
		t.Fatal(err)
	}
	b.refused(410, "SyncStateNotFound", "GET", l, nil)
	if told, _, l := b.round(f + "/contacts/delta"); len(told) != 1 {
		t.Errorf("after expiry a new chain tells %v", told)
	} else {
		b.want(200, "GET", l, nil)
	}
}

func TestReplayAdvances(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.ReplayAdvances = true })
	_, _, l := b.round(b.root() + "/contactFolders/contacts/contacts/delta")
	for range 3 {
		b.want(200, "GET", l, nil)
	}
	b.refused(410, "SyncStateNotFound", "GET", l, nil)
}

func TestOldChainsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.root() + "/contactFolders/contacts/contacts/delta"
	_, _, first := b.round(path)
	var second string
	for i := range keptChains {
		if _, _, l := b.round(path); i == 0 {
			second = l
		}
	}
	b.refused(410, "SyncStateNotFound", "GET", first, nil)
	b.want(200, "GET", second, nil)
}

func TestDeltaRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	expand := "$expand=" + url.QueryEscape("singleValueExtendedProperties($filter=id eq '"+stampID+"')")
	b.want(500, "GET", f+"/contacts/delta?"+expand, nil)
	for _, q := range []string{"$filter=surname+eq+'x'", "$orderby=surname", "$top=5", "$search=x", "$select=nothing"} {
		b.want(400, "GET", f+"/contacts/delta?"+q, nil)
	}
	b.create(f, name(1))
	_, _, l := b.round(f + "/contacts/delta")
	b.want(204, "DELETE", f, nil)
	b.refused(404, "ErrorFolderNotFound", "GET", l, nil)
	b.refused(404, "ErrorFolderNotFound", "GET", f+"/contacts/delta", nil)
	b.refused(404, "ErrorFolderNotFound", "GET", f+"/contacts", nil)
	if gone, _ := b.s.Deleted(b.user.ID); len(gone) != 1 {
		t.Errorf("the deleted folder's contact is not in Deleted Items: %v", gone)
	}
}

func TestDeltaDisturbances(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	var ids []string
	for i := range 9 {
		ids = append(ids, b.create(f, name(i))["id"].(string))
	}
	_, _, l := b.round(f + "/contacts/delta")
	for _, tc := range []struct {
		kind FaultKind
		path string
		ok   func(told []string, pages []int) bool
	}{
		{FaultDeltaDuplicates, f + "/contacts/delta", func(told []string, _ []int) bool { return len(told) == 18 && told[0] == told[9] }},
		{FaultDeltaShuffle, f + "/contacts/delta", func(told []string, _ []int) bool {
			return len(told) == 9 && !reflect.DeepEqual(told, ids)
		}},
		{FaultDeltaUnknown, f + "/contacts/delta", func(told []string, _ []int) bool { return len(told) == 10 && told[9][0] == '-' }},
		{FaultDeltaEmptyPages, f + "/contacts/delta", func(told []string, p []int) bool { return len(told) == 9 && p[0] == 0 && len(p) == 2 }},
		{FaultDeltaReplay, l, func(told []string, _ []int) bool { return len(told) > 0 }},
	} {
		b.s.SetFault(Fault{Name: "d", Kind: tc.kind})
		told, pages, _ := b.round(tc.path)
		if !tc.ok(told, pages) {
			t.Errorf("%s: pages %v, %d items", tc.kind, pages, len(told))
		}
	}
	b.s.SetFault(Fault{Name: "d"})
	if told, _, _ := b.round(f + "/contacts/delta"); !reflect.DeepEqual(told, ids) {
		t.Errorf("without the fault a delta tells %v", told)
	}
}

func TestLag(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := b.folder("CRM")
	_, _, l := b.round(f + "/contacts/delta")
	b.s.SetFault(Fault{Kind: FaultLag, After: 2, Count: 1})
	c := b.create(f, map[string]any{"surname": "S", "singleValueExtendedProperties": prop(stampID, "v")})["id"].(string)
	b.want(200, "GET", f+"/contacts/"+esc(c), nil) // by id it is there at once
	told, _, l := b.round(l)
	if len(told) != 0 {
		t.Errorf("the first delta tells %v of a write that lags behind", told)
	}
	q := f + "/contacts?$filter=" + url.QueryEscape("singleValueExtendedProperties/Any(ep: ep/id eq '"+stampID+"' and ep/value eq 'v')")
	if n := len(values(b.want(200, "GET", q, nil))); n != 0 {
		t.Errorf("the filter finds %d of a write that lags behind", n)
	}
	if told, _, _ = b.round(l); !reflect.DeepEqual(told, []string{c}) {
		t.Errorf("the delta never tells of the write: %v", told)
	}
	if n := len(values(b.want(200, "GET", q, nil))); n != 1 {
		t.Errorf("the filter finds %d", n)
	}
}
