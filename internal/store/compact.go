package store

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Ids and versions are long texts of a few well-known kinds, and a link has five of
// them. compact writes a text as one byte for its kind and as few as it takes for the
// rest; expand is its inverse. A text that would not come back letter by letter is kept
// as it is, so the kinds are a matter of size alone.
type form byte

const (
	plain       form = iota
	hexadecimal      // operation ids
	base64Std        // Exchange change keys
	base64URL        // Exchange item ids
	weakETag         // W/"…" around a change key, as Graph has it
	sfTime           // 2006-01-02T15:04:05.000+0000, as Salesforce has it
	isoTime          // 2006-01-02T15:04:05.000Z
)

const (
	sfLayout  = "2006-01-02T15:04:05.000-0700"
	isoLayout = "2006-01-02T15:04:05.000Z07:00"
)

func compact(s string) []byte {
	if s == "" {
		return nil
	}
	for _, f := range []form{hexadecimal, sfTime, isoTime, weakETag, base64Std, base64URL} {
		b, ok := f.pack(s)
		if !ok {
			continue
		}
		b = append([]byte{byte(f)}, b...)
		if back, err := expand(b); err == nil && back == s {
			return b
		}
	}
	return append([]byte{byte(plain)}, s...)
}

func expand(b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	f, b := form(b[0]), b[1:]
	switch f {
	case plain:
		return string(b), nil
	case hexadecimal:
		return hex.EncodeToString(b), nil
	case base64Std:
		return base64.StdEncoding.EncodeToString(b), nil
	case base64URL:
		return base64.URLEncoding.EncodeToString(b), nil
	case weakETag:
		return `W/"` + base64.StdEncoding.EncodeToString(b) + `"`, nil
	case sfTime, isoTime:
		ms, n := binary.Varint(b)
		if n != len(b) {
			break
		}
		layout := sfLayout
		if f == isoTime {
			layout = isoLayout
		}
		return time.UnixMilli(ms).UTC().Format(layout), nil
	}
	return "", fmt.Errorf("%w: a packed text is of kind %d", ErrDamaged, f)
}

func (f form) pack(s string) ([]byte, bool) {
	var b []byte
	var err error
	switch f {
	case hexadecimal:
		b, err = hex.DecodeString(s)
	case base64Std:
		b, err = base64.StdEncoding.DecodeString(s)
	case base64URL:
		b, err = base64.URLEncoding.DecodeString(s)
	case weakETag:
		inner, ok := strings.CutPrefix(s, `W/"`)
		inner, closed := strings.CutSuffix(inner, `"`)
		if !ok || !closed {
			return nil, false
		}
		b, err = base64.StdEncoding.DecodeString(inner)
	case sfTime:
		return packTime(sfLayout, s)
	case isoTime:
		return packTime(isoLayout, s)
	}
	return b, err == nil
}

func packTime(layout, s string) ([]byte, bool) {
	if len(s) < len("2006-01-02T15:04:05.000Z") || len(s) > len(sfLayout) {
		return nil, false
	}
	t, err := time.Parse(layout, s)
	if err != nil {
		return nil, false
	}
	return binary.AppendVarint(nil, t.UnixMilli()), true
}
