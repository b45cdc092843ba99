package sfdc

import "strings"

// Record ids are 15 case-sensitive characters: a prefix of three for the object,
// three for the instance, nine digits of base 62 that count up. The form of 18 adds
// three characters that encode which of the 15 are upper case, so that it survives
// being compared without case ("Record Identifiers" in the Object Reference).

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const suffixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

// newID returns the id of 18 characters for a prefix, an instance and a number.
func newID(prefix, instance string, n uint64) string {
	var digits [9]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base62[n%62]
		n /= 62
	}
	return long(prefix + instance + string(digits[:]))
}

// long returns the form of 18 characters of an id of 15.
func long(id15 string) string {
	var suffix [3]byte
	for block := range suffix {
		bits := 0
		for i := range 5 {
			if c := id15[block*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		suffix[block] = suffixAlphabet[bits]
	}
	return id15 + string(suffix[:])
}

// canonicalID returns the form of 18 characters of an id of 15 or 18. An id of 18
// whose case was lost is repaired from its suffix.
func canonicalID(s string) (string, bool) {
	for i := range len(s) {
		if strings.IndexByte(base62, s[i]) < 0 {
			return "", false
		}
	}
	switch len(s) {
	case 15:
		return long(s), true
	case 18:
		b := []byte(strings.ToLower(s[:15]))
		for block := range 3 {
			bits := strings.IndexByte(suffixAlphabet, upper(s[15+block]))
			if bits < 0 {
				return "", false
			}
			for i := range 5 {
				if bits&(1<<i) != 0 {
					b[block*5+i] = upper(b[block*5+i])
				}
			}
		}
		return long(string(b)), true
	}
	return "", false
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// number returns the counting part of an id.
func number(id string) uint64 {
	var n uint64
	for i := 6; i < 15; i++ {
		n = n*62 + uint64(strings.IndexByte(base62, id[i]))
	}
	return n
}
