package store

import (
	"context"
	"database/sql"
	"fmt"
)

// The items of one mailbox have ids that differ in their last bytes alone, and so do
// their versions. What they begin with is kept once.

const (
	// idTail and versionTail are how many bytes of an id and of a version differ from
	// item to item. https://learn.microsoft.com/openspecs/exchange_server_protocols:
	// an Exchange id ends with the counters of folder and message.
	idTail      = 24
	versionTail = 8
	// maxPrefixes is how many are kept for one replica. Where ids do not begin alike,
	// no more than this is wasted.
	maxPrefixes = 100
)

// prefixes are those of one replica.
type prefixes struct {
	replica int64
	n       map[string]int
	bytes   [][]byte // by number; the first is empty
}

func loadPrefixes(ctx context.Context, tx *sql.Tx, replica int64) (*prefixes, error) {
	p := &prefixes{replica: replica, n: map[string]int{"": 0}, bytes: [][]byte{nil}}
	err := each(ctx, tx, func(r *sql.Rows) error {
		var n int
		var b []byte
		if err := r.Scan(&n, &b); err != nil {
			return err
		}
		if n != len(p.bytes) {
			return fmt.Errorf("%w: prefix %d is missing", ErrDamaged, len(p.bytes))
		}
		p.n[string(b)], p.bytes = n, append(p.bytes, b)
		return nil
	}, `SELECT n, bytes FROM prefixes WHERE replica_id = ? ORDER BY n`, replica)
	return p, err
}

// split returns the number of what a compact text begins with and its last bytes. A
// prefix that is new is kept.
func (p *prefixes) split(ctx context.Context, tx *sql.Tx, text []byte, tail int) (int, []byte, error) {
	cut := len(text) - tail
	if cut < 8 {
		return 0, text, nil
	}
	n, ok := p.n[string(text[:cut])]
	switch {
	case ok:
		return n, text[cut:], nil
	case len(p.bytes) > maxPrefixes:
		return 0, text, nil
	}
	n = len(p.bytes)
	_, err := run(ctx, tx, `INSERT INTO prefixes (replica_id, n, bytes) VALUES (?, ?, ?)`, p.replica, n, text[:cut])
	if err != nil {
		return 0, nil, err
	}
	p.n[string(text[:cut])], p.bytes = n, append(p.bytes, text[:cut:cut])
	return n, text[cut:], nil
}

// join is the inverse of split.
func (p *prefixes) join(u *unpacker) string {
	n := u.uint()
	tail := u.take(u.uint())
	if n >= len(p.bytes) {
		u.fail()
		return ""
	}
	if n == 0 {
		return u.expand(tail)
	}
	whole := make([]byte, 0, len(p.bytes[n])+len(tail))
	return u.expand(append(append(whole, p.bytes[n]...), tail...))
}
