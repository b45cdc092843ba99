package admin

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadUsers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		good     []string // key/name/org/plan@line
		bad      []string // parts of messages
	}{
		{"columns by name", "name,Email,plan,org\nAnn Lee,ann@example.com,gold,EMEA\n", []string{"ann@example.com/Ann Lee/EMEA/gold@2"}, nil},
		{"a spreadsheet's semicolons and mark", "\xef\xbb\xbfemail;name\r\nann@example.com;Ann\r\n", []string{"ann@example.com/Ann//@2"}, nil},
		{"tabs", "user\tresult\nann@example.com\tdone\n", []string{"ann@example.com///@2"}, nil},
		{"one column without a head", "ann@example.com\nbob@example.com\n", []string{"ann@example.com///@1", "bob@example.com///@2"}, nil},
		{"ids", "id,email\n005000000000001AAA,\n", []string{"005000000000001AAA///@2"}, nil},
		{"user before email before id", "id,email,user\n1,b@example.com,a@example.com\n", []string{"a@example.com///@2"}, nil},
		{"other columns are ignored", "email,sync,mailbox\nann@example.com,enabled,initialized\n", []string{"ann@example.com///@2"}, nil},
		{"a short row", "name,org,email\nAnn\nBob,EMEA,bob@example.com\n", []string{"bob@example.com/Bob/EMEA/@3"}, []string{"line 2: has no user"}},
		{"a row that repeats another", "email\nann@example.com\nANN@example.com\n", []string{"ann@example.com///@2"}, []string{"line 3: is in the list twice, first in line 2"}},
		{"what is no address", "email\nann@\n@example.com\na b@example.com\nann@@example.com\n", nil, []string{"line 2", "line 3", "line 4", "line 5"}},
		{"a broken quote", "email,name\n\"ann@example.com,Ann\"x\nbob@example.com,Bob\n", []string{"bob@example.com/Bob//@3"}, []string{"line 2: cannot be read"}},
		{"a quoted cell over two lines", "email,name\nann@example.com,\"Ann\nLee\"\nbob@example.com,Bob\n", []string{"ann@example.com/Ann\nLee//@2", "bob@example.com/Bob//@4"}, nil},
		{"what is no UTF-8", "email,name\nann@example.com,\xff\nbob@example.com,Bob\n", []string{"bob@example.com/Bob//@3"}, []string{"line 2: is not UTF-8"}},
		{"nothing", "", nil, nil},
		{"a head alone", "email\n", nil, nil},
	} {
		good, bad, err := ReadUsers(strings.NewReader(tc.in))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var got []string
		for _, n := range good {
			got = append(got, fmt.Sprintf("%s/%s/%s/%s@%d", n.Key, n.Name, n.Org, n.Plan, n.Line))
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.good) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.good)
		}
		if len(bad) != len(tc.bad) {
			t.Errorf("%s: bad rows %+v, want %q", tc.name, bad, tc.bad)
			continue
		}
		for i, b := range bad {
			if !strings.Contains(b.Message, tc.bad[i]) || CodeOf(b.Err) != CodeRowInvalid {
				t.Errorf("%s: %q (%v), want %q", tc.name, b.Message, b.Err, tc.bad[i])
			}
		}
	}
}

func TestReadUsersRefusesWhatIsNoList(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"no column of users": "name,org\nAnn,EMEA\n",
		"UTF-16":             "\xff\xfea\x00n\x00n\x00",
	} {
		if _, _, err := ReadUsers(strings.NewReader(in)); KindOf(err) != Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is in a file, reading it ends, and every row is accounted for once.
func FuzzReadUsers(f *testing.F) {
	f.Add("email,name\nann@example.com,Ann\n")
	f.Add("\"\n\"\"\"\nuser;\n")
	f.Add("\xef\xbb\xbfid\t\n\x00")
	f.Fuzz(func(t *testing.T, in string) {
		good, bad, err := ReadUsers(strings.NewReader(in))
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, n := range good {
			if n.Key == "" || n.Line < 1 || seen[address(n.Key)] {
				t.Errorf("row %+v of %q", n, in)
			}
			seen[address(n.Key)] = true
		}
		for _, b := range bad {
			if b.User == "" || b.Err == nil || !strings.HasPrefix(b.Message, "line ") {
				t.Errorf("bad row %+v of %q", b, in)
			}
		}
	})
}
