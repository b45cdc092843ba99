package record

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/crypto/blake2b"
)

// Hash is the keyed 64-bit hash of one element of a field. It tells whether a
// value changed and cannot be turned back into the value without the key.
type Hash uint64

// Hashes holds the hash of each element of each field that is not empty. In a
// partial set of hashes, a key without elements says that the field is empty.
type Hashes map[Field][]Hash

// KeySize is the length in bytes of a Hasher's key.
const KeySize = 32

// Hasher hashes values in their folded form, so that spellings that mean the same
// hash the same.
type Hasher struct {
	key    []byte
	region string
	memory *memory // nil unless it remembers
}

// memory is what a remembering hasher keeps.
type memory struct {
	digest hash.Hash
	input  []byte
	sum    [8]byte
	phones map[string]string
}

// NewHasher returns a hasher with a secret key of KeySize bytes. The region is an
// ISO 3166 country code in which telephone numbers without a country code are
// read, or "".
func NewHasher(key []byte, region string) (Hasher, error) {
	if len(key) != KeySize {
		return Hasher{}, fmt.Errorf("hash key has %d bytes instead of %d", len(key), KeySize)
	}
	return Hasher{key: slices.Clone(key), region: region}, nil
}

// Remembering returns a hasher that makes the same hashes faster: it reads each telephone
// number only once, which is by far the slowest part of hashing. It is for one
// goroutine and one piece of work: it keeps the numbers in memory.
func (h Hasher) Remembering() Hasher {
	h.memory = &memory{digest: h.newDigest(), phones: map[string]string{}}
	return h
}

// Value returns the hashes of the elements of a cleaned value. In a list,
// elements that fold alike count once.
func (h Hasher) Value(f Field, v Value) []Hash {
	if len(v) == 0 {
		return nil
	}
	k := SpecOf(f).Kind
	out := make([]Hash, 0, len(v))
	for _, e := range v {
		if x := h.text(f, h.fold(k, e)); !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// Record returns the hashes of all fields of a cleaned record.
func (h Hasher) Record(r Record) Hashes {
	if h.memory == nil {
		h = h.Remembering()
	}
	out := make(Hashes, len(r))
	for f, v := range r {
		if x := h.Value(f, v); len(x) > 0 {
			out[f] = x
		}
	}
	return out
}

// digestSize is the length in bytes of a digest: long enough that nobody finds another
// input for it.
const digestSize = 16

// Digest returns the keyed digest of texts, in hexadecimal. It tells whether anything in
// them changed, to the byte, and nothing of what they say.
func (h Hasher) Digest(texts ...[]byte) string {
	d, err := blake2b.New(digestSize, h.key)
	if err != nil {
		panic(err) // the key's length was checked in NewHasher
	}
	var n [8]byte
	for _, t := range texts {
		d.Write(binary.BigEndian.AppendUint64(n[:0], uint64(len(t))))
		d.Write(t)
	}
	return hex.EncodeToString(d.Sum(nil))
}

func (h Hasher) fold(k Kind, s string) string {
	if k != Phone || h.memory == nil {
		return fold(k, h.region, s)
	}
	folded, ok := h.memory.phones[s]
	if !ok {
		folded = fold(k, h.region, s)
		h.memory.phones[s] = folded
	}
	return folded
}

func (h Hasher) newDigest() hash.Hash {
	d, err := blake2b.New(8, h.key)
	if err != nil {
		panic(err) // the key's length was checked in NewHasher
	}
	return d
}

func (h Hasher) text(f Field, s string) Hash {
	m := h.memory
	if m == nil {
		m = &memory{digest: h.newDigest()}
	}
	m.input = append(append(append(m.input[:0], f...), 0), s...)
	m.digest.Reset()
	m.digest.Write(m.input)
	return Hash(binary.BigEndian.Uint64(m.digest.Sum(m.sum[:0])))
}
