package m365

import (
	"net/http"
	"net/url"
	"strings"
)

// keyed are the collections whose members are named by a key.
var keyed = map[string]bool{
	"users": true, "contactfolders": true, "childfolders": true, "contacts": true,
	"mastercategories": true, "installedapps": true, "teamsapps": true,
}

// delta is how the one function can be spelled; it can follow a collection in the place
// of a key.
var delta = map[string]bool{"delta": true, "delta()": true, "microsoft.graph.delta": true, "microsoft.graph.delta()": true}

// splitPath turns an escaped path into a pattern, in lower case with "*" for each key,
// and the keys. It must see the path as it was sent, since an id may hold an escaped "/".
// Keys may stand in a segment of their own or in brackets, contactFolders('id'), which is
// how the service writes links. Folders below folders are found by their own id, so
// contactFolders/A/childFolders/B is contactFolders/B.
func splitPath(escaped string) (pattern string, keys []string, err error) {
	var parts []string
	isKey := false
	for seg := range strings.SplitSeq(strings.Trim(escaped, "/"), "/") {
		text, err := url.PathUnescape(seg)
		if err != nil {
			return "", nil, refuse(http.StatusBadRequest, "BadRequest", "The path is not escaped as it should be.")
		}
		low := strings.ToLower(text)
		switch name, key, ok := brackets(text); {
		case delta[low]:
			parts, isKey = append(parts, "delta"), false
		case isKey:
			parts, keys, isKey = append(parts, "*"), append(keys, text), false
		case ok:
			parts, keys = append(parts, strings.ToLower(name), "*"), append(keys, key)
		default:
			parts, isKey = append(parts, low), keyed[low]
		}
	}
	for len(parts) > 5 && parts[2] == "contactfolders" && parts[4] == "childfolders" && parts[5] == "*" && len(keys) > 2 {
		parts = append(parts[:3], parts[5:]...)
		keys = append(keys[:1], keys[2:]...)
	}
	return strings.Join(parts, "/"), keys, nil
}

// brackets splits name('key').
func brackets(seg string) (name, key string, ok bool) {
	name, rest, found := strings.Cut(seg, "('")
	if !found || !strings.HasSuffix(rest, "')") {
		return seg, "", false
	}
	return name, strings.ReplaceAll(strings.TrimSuffix(rest, "')"), "''", "'"), true
}

// link writes a path the way the service does in nextLink and deltaLink.
func link(base string, steps ...string) string {
	var b strings.Builder
	b.WriteString(base)
	for _, s := range steps {
		name, key, ok := strings.Cut(s, "=")
		b.WriteString("/" + name)
		if ok {
			b.WriteString("('" + url.PathEscape(strings.ReplaceAll(key, "'", "''")) + "')")
		}
	}
	return b.String()
}
