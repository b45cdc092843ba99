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

// functions can follow a collection in the place of a key.
var functions = map[string]string{
	"delta": "delta", "delta()": "delta", "microsoft.graph.delta": "delta", "microsoft.graph.delta()": "delta",
	"childfolders": "childfolders",
}

// splitPath turns an escaped path into a pattern, in lower case with "*" for each key,
// and the keys. It must see the path as it was sent, since an id may hold an escaped "/".
// Keys may stand in a segment of their own or in brackets, contactFolders('id'), which is
// how the service writes links; functions may be spelled delta, delta() and
// microsoft.graph.delta(). Folders below folders are found by their own id.
func splitPath(escaped string) (pattern string, keys []string, err error) {
	var parts []string
	segs := strings.Split(strings.Trim(escaped, "/"), "/")
	for i := 0; i < len(segs); i++ {
		seg, e := url.PathUnescape(segs[i])
		if e != nil {
			return "", nil, refuse(http.StatusBadRequest, "BadRequest", "The path is not escaped as it should be.")
		}
		low := strings.ToLower(seg)
		if f, ok := functions[low]; ok {
			parts = append(parts, f)
			if f == "childfolders" && i+1 < len(segs) {
				// contactFolders/A/childFolders/B is contactFolders/B.
				parts = append(parts[:len(parts)-3], "contactfolders")
				keys = keys[:len(keys)-1]
				low = "contactfolders"
			} else {
				continue
			}
		} else {
			name, key, inBrackets := brackets(seg)
			low = strings.ToLower(name)
			parts = append(parts, low)
			if inBrackets {
				parts, keys = append(parts, "*"), append(keys, key)
				continue
			}
		}
		if !keyed[low] || i+1 == len(segs) {
			continue
		}
		key, e := url.PathUnescape(segs[i+1])
		if e != nil {
			return "", nil, refuse(http.StatusBadRequest, "BadRequest", "The path is not escaped as it should be.")
		}
		if _, isFunction := functions[strings.ToLower(key)]; !isFunction {
			parts, keys = append(parts, "*"), append(keys, key)
			i++
		}
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
