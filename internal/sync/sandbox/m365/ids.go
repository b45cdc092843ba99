package m365

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// stream returns n bytes that follow from the parts and nothing else.
func stream(n int, parts ...any) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		sum := sha512.Sum512([]byte(fmt.Sprintln(append([]any{i}, parts...)...)))
		out = append(out, sum[:]...)
	}
	return out[:n]
}

// guid makes an id of a directory object, an app or a request.
func guid(parts ...any) string {
	b := stream(16, parts...)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// itemID makes an id of the length and alphabet of Exchange's: some 130 characters of
// base64, with at least one "/", one "+" and one "=", which must be escaped in a path.
// They are compared with case. D/concepts/outlook-immutable-id.md
func itemID(prefix string, mailbox string, parts ...any) string {
	text := []byte(base64.StdEncoding.EncodeToString(append(stream(33, "mailbox", mailbox), stream(57, append(parts, mailbox)...)...)))
	text[50], text[90] = '/', '+'
	return prefix + string(text) + "AAA="
}

const (
	regularPrefix   = "AAMkAG"
	immutablePrefix = "AAkALgAAAAAAHYQDEapmEc2byACq"
)

// changeKey makes the version of an item; an etag is W/"changeKey". No two changes in a
// mailbox have the same.
func changeKey(mailbox string, seq int64) string {
	b := append([]byte{0x11, 0, 0, 0, 0x16, 0, 0, 0}, stream(16, "changekey", mailbox)...)
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(b, uint64(seq)))
}
