package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/mapping"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
)

// The rules are what two records are compared by: which fields travel which way, under
// which names, what each side can hold of them, and the region of telephone numbers.
// Under other rules the bases mean something else, and what is not among the changes
// may have to be written or deleted all the same. So the first cycle after a change
// reads both sides in full, and the guard holds every delete until a person decides.
//
// What wins a conflict, what a delete in the mailbox means and the limits of the guard
// are no part of them: they only say what to do with what is found.

// rulesVersion changes when the program comes to hash, to match or to cut the same
// values differently.
const rulesVersion = 1

// rulesOf names the rules: the region, and a hash of the rest. The region is in clear
// because the bases can be moved from one to another.
func rulesOf(p reconcile.Policy, crm, mailbox mapping.Table, region string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", rulesVersion, p.Entity)
	for _, f := range p.Fields {
		fmt.Fprintf(&b, "%s %t %t", f.Field, f.ToCRM, f.ToMailbox)
		for _, t := range []mapping.Table{crm, mailbox} {
			e, _ := t.Entry(f.Field)
			fmt.Fprintf(&b, " %q %d %d", e.Native, e.Max, e.MaxLen)
		}
		b.WriteByte('\n')
	}
	sum := sha256.Sum256([]byte(b.String()))
	return region + ":" + hex.EncodeToString(sum[:8])
}

// newRules tells whether an entity was last reconciled by other rules. Where nothing is
// known of them, they are taken for the same.
func (r Replica) newRules(now string) bool { return r.FirstDone && r.Rules != "" && r.Rules != now }

// region is that of the bases: until they are moved, the one of the last cycle.
func (c *cycle) region() string {
	if region, _, ok := strings.Cut(c.replica.Rules, ":"); ok && c.replica.FirstDone {
		return region
	}
	return c.m.Org.Region
}

// rehash moves the bases to the organization's region and stores them before anything
// is written: whatever happens then, an edit is still told from what was there.
func (c *cycle) rehash(ctx context.Context, in *reconcile.Input) error {
	if c.region() == c.m.Org.Region {
		return nil
	}
	hasher, err := c.e.Hasher(c.m.Org.Region)
	if err != nil {
		return stateFault("reading the key", err)
	}
	var changed []reconcile.Link
	in.Links, changed = reconcile.Rehash(*in, hasher)
	c.hasher, in.Hasher = hasher, hasher
	for part := range slices.Chunk(changed, stateBatch) {
		if err := c.settle(ctx, Settlement{Links: part}); err != nil {
			return err
		}
	}
	c.log.add("%d links moved from region %q to %q", len(changed), c.region(), c.m.Org.Region)
	return nil
}

// ruled is what the session of a first cycle under other rules says.
func (c *cycle) ruled() string {
	text := "the rules have changed since the last cycle: both sides were compared in full"
	if n := len(c.holds.waiting); n > 0 {
		text += fmt.Sprintf("; %d deletes are held until somebody decides: crmsync deletes list %s", n, c.m.User.Email)
	}
	return text
}
