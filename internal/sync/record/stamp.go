package record

import (
	"encoding/hex"
	"errors"
	"io"
	"strings"
)

// OpID identifies one write: 128 random bits as 32 hexadecimal digits. An item
// bears the id of the operation that wrote it last, so that a write whose answer
// was lost can be recognised.
type OpID string

// NewOpID draws an operation id from a source of randomness.
func NewOpID(random io.Reader) (OpID, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return OpID(hex.EncodeToString(b[:])), nil
}

// Stamp is what every item that we write carries: who wrote it, what it is linked
// to and by which operation. A person who copies an item copies its stamp too, so a
// stamp is proof of a link only together with the id of the item.
type Stamp struct {
	// Install identifies the installation (state) that wrote the item.
	Install string
	Entity  Entity
	// Other is the id of the linked item on the other side; empty on an item that
	// was created before the other side's id was known.
	Other string
	Op    OpID
}

const stampVersion = "1"

// String returns the form that is stored in the item: five parts joined by "|".
func (s Stamp) String() string {
	return strings.Join([]string{stampVersion, s.Install, string(s.Entity), string(s.Op), s.Other}, "|")
}

var errStamp = errors.New("not a stamp of this program")

// ParseStamp reads what String wrote. It returns an error for anything else.
func ParseStamp(text string) (Stamp, error) {
	p := strings.SplitN(text, "|", 5)
	if len(p) != 5 || p[0] != stampVersion || p[1] == "" || p[2] == "" || len(p[3]) != 32 {
		return Stamp{}, errStamp
	}
	if _, err := hex.DecodeString(p[3]); err != nil {
		return Stamp{}, errStamp
	}
	return Stamp{Install: p[1], Entity: Entity(p[2]), Op: OpID(p[3]), Other: p[4]}, nil
}
