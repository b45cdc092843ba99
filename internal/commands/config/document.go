package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalars are the keys that hold one value; each may also come from the environment
// or a flag.
var scalars = []string{"state", "state_key", "output", "as", "profile"}

// The keys of the elements of the two lists.
var (
	connectionKeys = []string{
		"name", "kind", "endpoint", "token_endpoint", "auth", "tenant", "client_id", "username",
		"secret", "token", "certificate", "stamp_field", "app_id",
	}
	organizationKeys = []string{"name", "crm", "mail", "access", "region", "create_in_crm"}
)

// document is the file as written, to find lines in.
type document struct {
	root *yaml.Node
}

// parse reads the file and refuses what is no YAML and keys that do not exist.
func parse(file string, text []byte) (document, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return document{}, &Error{File: file, Line: lineIn(err.Error()), Problem: "is not YAML: " + withoutLine(plain(err)), Hint: "correct the line; indent with spaces, not with tabs"}
	}
	if len(node.Content) == 0 {
		return document{}, nil
	}
	doc := document{root: node.Content[0]}
	if doc.root.Kind == yaml.ScalarNode && doc.root.Tag == "!!null" {
		return document{}, nil
	}
	top := append(slices.Clone(scalars), "connections", "organizations", "profiles")
	return doc, checkMap(file, doc.root, top, "")
}

// checkMap refuses keys that are not allowed, and values of the wrong shape.
func checkMap(file string, node *yaml.Node, allowed []string, in string) error {
	if node.Kind != yaml.MappingNode {
		return &Error{File: file, Line: node.Line, Problem: "keys are expected here" + in, Hint: "write them as key: value"}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := key.Value
		if !slices.Contains(allowed, name) {
			e := &Error{File: file, Line: key.Line, Problem: fmt.Sprintf("there is no key %q%s", name, in)}
			if near := nearest(name, allowed); near != "" {
				e.Hint = fmt.Sprintf("did you mean %s?", near)
			} else {
				e.Hint = "the keys are " + strings.Join(allowed, ", ")
			}
			return e
		}
		var err error
		switch {
		case in == "" && name == "connections" || in == inProfile && name == "connections":
			err = checkList(file, value, connectionKeys, " of a connection")
		case in == "" && name == "organizations" || in == inProfile && name == "organizations":
			err = checkList(file, value, organizationKeys, " of an organization")
		case in == "" && name == "profiles":
			err = checkProfiles(file, value)
		case name == "create_in_crm":
			var b bool
			if value.Decode(&b) != nil {
				err = &Error{File: file, Line: value.Line, Problem: fmt.Sprintf("%s: %q is neither true nor false", name, value.Value)}
			}
		case value.Kind != yaml.ScalarNode:
			err = &Error{File: file, Line: value.Line, Problem: fmt.Sprintf("%s holds one value, not a list", name)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const inProfile = " of a profile"

func checkList(file string, node *yaml.Node, keys []string, in string) error {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		return &Error{File: file, Line: node.Line, Problem: "a list is expected here", Hint: "start each element with a dash"}
	}
	for _, element := range node.Content {
		if err := checkMap(file, element, keys, in); err != nil {
			return err
		}
	}
	return nil
}

func checkProfiles(file string, node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return &Error{File: file, Line: node.Line, Problem: "profiles holds profiles by name", Hint: "write profiles:, then a name, then its keys"}
	}
	allowed := append(slices.Clone(scalars[:len(scalars)-1]), "connections", "organizations")
	for i := 1; i < len(node.Content); i += 2 {
		if err := checkMap(file, node.Content[i], allowed, inProfile); err != nil {
			return err
		}
	}
	return nil
}

// line is where a top key stands; 0 if it does not.
func (d document) line(key string) int {
	if k, _ := find(d.root, key); k != nil {
		return k.Line
	}
	return 0
}

// scalar is the value of a top key, or "".
func (d document) scalar(key string) string {
	if _, v := find(d.root, key); v != nil {
		return v.Value
	}
	return ""
}

// entryLine is where a key of the i-th element of a list stands; that of the element
// if it has no such key.
func (d document) entryLine(list string, i int, key string) int {
	_, v := find(d.root, list)
	if v == nil || i >= len(v.Content) {
		return 0
	}
	if k, _ := find(v.Content[i], key); k != nil {
		return k.Line
	}
	return v.Content[i].Line
}

func find(m *yaml.Node, key string) (k, v *yaml.Node) {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// lineIn finds the number in "yaml: line 7: ...".
func lineIn(s string) int {
	_, after, ok := strings.Cut(s, "line ")
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(after, ":")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

func withoutLine(s string) string {
	if strings.HasPrefix(s, "line ") {
		_, after, _ := strings.Cut(s, ": ")
		return after
	}
	return s
}

// nearest returns the word that differs from a typed one by at most two letters.
func nearest(typed string, words []string) string {
	best, at := "", 3
	for _, w := range words {
		if d := distance(strings.ToLower(typed), w); d < at {
			best, at = w, d
		}
	}
	return best
}

// distance is the Levenshtein distance: insertions, deletions, substitutions.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := i
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, left+1, row[j]+1)
		}
	}
	return row[len(b)]
}
