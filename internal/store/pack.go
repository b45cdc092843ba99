package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// A set of hashes is packed as
//
//	length of a bit mask, the mask, 8 bytes for each bit set
//	number of other fields, and for each its id, number of hashes, 8 bytes for each
//
// where bit i of the mask says that the field with id i+1 has exactly one hash, as
// nearly all have. The numbers are varints.
//
// What a second set has that is different is packed as the number of fields that
// differ, and for each its id, 0 if the set has not got it, else the number of its
// hashes and one more, and the hashes.

// fieldNames are the small numbers that stand for fields in this state.
type fieldNames struct {
	id   map[record.Field]int
	name []record.Field // by id; the first is empty
}

// loadFields reads the names. There are a few dozen.
func loadFields(ctx context.Context, tx *sql.Tx) (*fieldNames, error) {
	n := &fieldNames{id: map[record.Field]int{}, name: []record.Field{""}}
	err := each(ctx, tx, func(r *sql.Rows) error {
		var id int
		var f record.Field
		if err := r.Scan(&id, &f); err != nil {
			return err
		}
		n.note(id, f)
		return nil
	}, `SELECT id, name FROM fields ORDER BY id`)
	return n, err
}

func (n *fieldNames) note(id int, f record.Field) {
	for len(n.name) <= id {
		n.name = append(n.name, "")
	}
	n.name[id], n.id[f] = f, id
}

// learn gives numbers to fields that have none.
func (n *fieldNames) learn(ctx context.Context, tx *sql.Tx, sets ...record.Hashes) error {
	for _, h := range sets {
		for _, f := range slices.Sorted(maps.Keys(h)) {
			if n.id[f] != 0 {
				continue
			}
			var id int
			err := tx.QueryRowContext(ctx, `INSERT INTO fields (name) VALUES (?) RETURNING id`, f).Scan(&id)
			if err != nil {
				return err
			}
			n.note(id, f)
		}
	}
	return nil
}

// packed is a value being packed.
type packed []byte

func (p *packed) uint(n int)     { *p = binary.AppendUvarint(*p, uint64(n)) }
func (p *packed) int64(n int64)  { *p = binary.AppendVarint(*p, n) }
func (p *packed) bytes(b []byte) { p.uint(len(b)); *p = append(*p, b...) }
func (p *packed) text(s string)  { p.bytes(compact(s)) }
func (p *packed) raw(hs []record.Hash) {
	for _, h := range hs {
		*p = binary.BigEndian.AppendUint64(*p, uint64(h))
	}
}

// hashes packs a set; all its fields have been learned.
func (p *packed) hashes(n *fieldNames, h record.Hashes) {
	var mask []byte
	others := 0
	for id := 1; id < len(n.name); id++ {
		hs, ok := h[n.name[id]]
		if !ok {
			continue
		}
		if len(hs) != 1 {
			others++
			continue
		}
		for len(mask) <= (id-1)/8 {
			mask = append(mask, 0)
		}
		mask[(id-1)/8] |= 1 << ((id - 1) % 8)
	}
	p.bytes(mask)
	for id := 1; id < len(n.name); id++ {
		if hs := h[n.name[id]]; len(hs) == 1 {
			p.raw(hs)
		}
	}
	p.uint(others)
	for id := 1; id < len(n.name); id++ {
		if hs, ok := h[n.name[id]]; ok && len(hs) != 1 {
			p.uint(id)
			p.uint(len(hs))
			p.raw(hs)
		}
	}
}

// differing packs what another set has that is different.
func (p *packed) differing(n *fieldNames, from, to record.Hashes) {
	var ids []int
	for id := 1; id < len(n.name); id++ {
		a, inA := from[n.name[id]]
		b, inB := to[n.name[id]]
		if inA != inB || !slices.Equal(a, b) {
			ids = append(ids, id)
		}
	}
	p.uint(len(ids))
	for _, id := range ids {
		p.uint(id)
		hs, ok := to[n.name[id]]
		if !ok {
			p.uint(0)
			continue
		}
		p.uint(len(hs) + 1)
		p.raw(hs)
	}
}

// unpacker reads what packed wrote. After an error it returns zero values.
type unpacker struct {
	b   []byte
	err error
}

func (u *unpacker) fail() {
	if u.err == nil {
		u.err = fmt.Errorf("%w: a packed value is cut short", ErrDamaged)
	}
	u.b = nil
}

func (u *unpacker) uint() int {
	v, n := binary.Uvarint(u.b)
	if n <= 0 || v > 1<<28 {
		u.fail()
		return 0
	}
	u.b = u.b[n:]
	return int(v)
}

func (u *unpacker) int64() int64 {
	v, n := binary.Varint(u.b)
	if n <= 0 {
		u.fail()
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) take(n int) []byte {
	if n > len(u.b) {
		u.fail()
		return nil
	}
	b := u.b[:n:n]
	u.b = u.b[n:]
	return b
}

func (u *unpacker) text() string { return u.expand(u.take(u.uint())) }

func (u *unpacker) expand(b []byte) string {
	s, err := expand(b)
	if err != nil && u.err == nil {
		u.err = err
	}
	return s
}

// list reads n hashes.
func (u *unpacker) list(n int) []record.Hash {
	b := u.take(8 * n)
	hs := make([]record.Hash, len(b)/8)
	for i := range hs {
		hs[i] = record.Hash(binary.BigEndian.Uint64(b[8*i:]))
	}
	return hs
}

func (u *unpacker) field(n *fieldNames, id int) record.Field {
	if id <= 0 || id >= len(n.name) || n.name[id] == "" {
		if u.err == nil {
			u.err = fmt.Errorf("%w: no field has the number %d", ErrDamaged, id)
		}
		return ""
	}
	return n.name[id]
}

// hashes returns a set that may be changed.
func (u *unpacker) hashes(n *fieldNames) record.Hashes {
	mask := u.take(u.uint())
	count := 0
	for _, m := range mask {
		count += bits.OnesCount8(m)
	}
	out := make(record.Hashes, count)
	all := u.list(count)
	if len(all) < count {
		return out
	}
	for i, m := range mask {
		for ; m != 0; m &= m - 1 {
			out[u.field(n, 8*i+bits.TrailingZeros8(m)+1)] = all[:1:1]
			all = all[1:]
		}
	}
	for left := u.uint(); left > 0 && u.err == nil; left-- {
		f := u.field(n, u.uint())
		out[f] = u.list(u.uint())
	}
	return out
}

// differing returns the set that differs from another by what is read.
func (u *unpacker) differing(n *fieldNames, from record.Hashes) record.Hashes {
	out := make(record.Hashes, len(from))
	all := make([]record.Hash, 0, len(from)+8)
	for f, hs := range from {
		start := len(all)
		all = append(all, hs...)
		out[f] = all[start:len(all):len(all)]
	}
	for left := u.uint(); left > 0 && u.err == nil; left-- {
		f := u.field(n, u.uint())
		count := u.uint()
		if count == 0 {
			delete(out, f)
			continue
		}
		out[f] = u.list(count - 1)
	}
	return out
}
