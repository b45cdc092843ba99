package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// There may be millions of links, so a row is packed:
//
//	crm      version, operation id
//	mailbox  id and version, each as the number of its prefix and the rest; operation id
//	base     the CRM's hashes, and the mailbox's where they differ
//
// A mailbox id is found by a 64-bit hash of it. That two of one user's ids have the same
// hash is less likely than one in 10^11; the second of them would be refused.

var linkStates = []reconcile.LinkState{1: reconcile.Linked, 2: reconcile.Unlinked, 3: reconcile.Ended}

// Statements on the hot paths stand apart so that a test can ask SQLite how it would go
// about them. A CROSS JOIN keeps SQLite from turning the order round.
const (
	linkColumns = `
		l.crm_id,
		l.mailbox_key IS NOT NULL,
		l.state,
		l.since,
		l.crm,
		l.mailbox,
		l.base`

	selectLinks = `
	SELECT` + linkColumns + `
	FROM links l
	WHERE l.replica_id = ?`

	selectLinksByCRM = `
	SELECT` + linkColumns + `
	FROM json_each(?2) j
	CROSS JOIN links l ON l.crm_id = j.value AND l.replica_id = ?1`

	selectLinksByMailbox = `
	SELECT` + linkColumns + `
	FROM json_each(?2) j
	CROSS JOIN links l ON l.replica_id = ?1 AND l.mailbox_key = j.value`

	// selectLinksAfter goes through the index, so that it costs what it returns.
	selectLinksAfter = `
	SELECT` + linkColumns + `
	FROM links l
	WHERE l.replica_id = ?1
	AND l.mailbox_key > ?2
	AND l.state = 1
	ORDER BY l.mailbox_key
	LIMIT ?3`

	countLinks = `
	SELECT
		(SELECT count(*) FROM links WHERE replica_id = ?1)
		- (SELECT count(*) FROM links WHERE replica_id = ?1 AND state <> 1)`

	countAllLinks = `
	SELECT coalesce(sum(
		(SELECT count(*) FROM links WHERE replica_id = r.id)
		- (SELECT count(*) FROM links WHERE replica_id = r.id AND state <> 1)
	), 0)
	FROM json_each(?1) j
	CROSS JOIN organizations o ON o.crm = j.value
	CROSS JOIN users u ON u.org = o.name
	CROSS JOIN replicas r ON r.user_id = u.id
	WHERE r.entity = ?2`

	selectLinkedUsers = `
	SELECT
		l.crm_id,
		r.user_id
	FROM json_each(?1) j
	CROSS JOIN links l ON l.crm_id = j.value
	CROSS JOIN replicas r ON r.id = l.replica_id
	CROSS JOIN users u ON u.id = r.user_id
	CROSS JOIN organizations o ON o.name = u.org
	WHERE l.state <> 3
	AND r.entity = ?2
	AND o.crm = ?3
	ORDER BY l.crm_id, r.user_id`

	deleteLink = `
	DELETE FROM links
	WHERE crm_id = ?
	AND replica_id = ?`

	// freeMailboxIDs takes mailbox ids from links that are no longer linked.
	freeMailboxIDs = `
	UPDATE links
	SET mailbox_key = NULL
	WHERE id IN (
		SELECT l.id
		FROM json_each(?2) j
		CROSS JOIN links l ON l.replica_id = ?1 AND l.mailbox_key = j.value
		WHERE l.state <> 1
	)`

	// parkMovedLinks takes their mailbox ids from links that are about to be stored with
	// another, or not to be linked any more, so that links can swap them.
	parkMovedLinks = `
	UPDATE links
	SET
		mailbox_key = NULL,
		state = 3
	WHERE id IN (
		SELECT l.id
		FROM json_each(?2) j
		CROSS JOIN links l ON l.crm_id = j.key AND l.replica_id = ?1
		WHERE l.mailbox_key IS NOT j.value
	)`

	// putLink gives a link that is not linked its mailbox id only if nobody has it.
	putLink = `
	INSERT INTO links (
		replica_id,
		crm_id,
		mailbox_key,
		state,
		since,
		crm,
		mailbox,
		base
	)
	VALUES (
		?1,
		?2,
		CASE
			WHEN ?4 <> 1
			AND EXISTS (SELECT 1 FROM links x WHERE x.replica_id = ?1 AND x.mailbox_key = ?3 AND x.crm_id <> ?2)
			THEN NULL
			ELSE ?3
		END,
		?4,
		?5,
		?6,
		?7,
		?8
	)
	ON CONFLICT (crm_id, replica_id) DO UPDATE
	SET
		mailbox_key = excluded.mailbox_key,
		state = excluded.state,
		since = excluded.since,
		crm = excluded.crm,
		mailbox = excluded.mailbox,
		base = excluded.base`
)

// Links returns all links of a user's entity in the order of their CRM ids, those that
// have ended included.
func (s *Store) Links(ctx context.Context, user int64, entity record.Entity) (out []reconcile.Link, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		out, err = links(ctx, tx, user, entity, selectLinks)
		return err
	})
	return out, err
}

// LinksByID returns the links of items, by the id of one side, in the order of their CRM
// ids; unknown ids are left out.
func (s *Store) LinksByID(ctx context.Context, user int64, entity record.Entity, side record.Side, ids []string) (out []reconcile.Link, err error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) == 0 {
		return nil, nil
	}
	query, list := selectLinksByCRM, []byte(nil)
	if side == record.CRM {
		list, err = json.Marshal(ids)
	} else {
		query = selectLinksByMailbox
		list, err = json.Marshal(mailboxKeys(ids))
	}
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		out, err = links(ctx, tx, user, entity, query, string(list))
		return err
	})
	if side == record.Mailbox { // a hash alone is no proof
		out = slices.DeleteFunc(out, func(l reconcile.Link) bool {
			_, ok := slices.BinarySearch(ids, l.Mailbox.ID)
			return !ok
		})
	}
	return out, err
}

// LinksAfter returns up to n links in the state Linked, in the order of the hashes of
// their mailbox ids, and where the next call goes on. "" is the beginning, and is
// returned after the end.
func (s *Store) LinksAfter(ctx context.Context, user int64, entity record.Entity, after string, n int) (out []reconcile.Link, next string, err error) {
	from := int64(math.MinInt64)
	if after != "" {
		if from, err = strconv.ParseInt(after, 16, 64); err != nil {
			return nil, "", fmt.Errorf("%w: a place among the links is %q", ErrDamaged, after)
		}
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		out, err = links(ctx, tx, user, entity, selectLinksAfter, from, n)
		return err
	})
	if len(out) < n {
		return out, "", err
	}
	for _, l := range out {
		from = max(from, *mailboxKey(l.Mailbox.ID))
	}
	return out, strconv.FormatInt(from, 16), err
}

// links runs one of the queries for links.
func links(ctx context.Context, tx *sql.Tx, user int64, entity record.Entity, query string, args ...any) (out []reconcile.Link, err error) {
	replica, err := findReplica(ctx, tx, user, entity)
	if replica == 0 || err != nil {
		return nil, err
	}
	fields, err := loadFields(ctx, tx)
	if err != nil {
		return nil, err
	}
	known, err := loadPrefixes(ctx, tx, replica)
	if err != nil {
		return nil, err
	}
	err = each(ctx, tx, func(r *sql.Rows) error {
		l, err := scanLink(r, fields, known)
		out = append(out, l)
		return err
	}, query, append([]any{replica}, args...)...)
	slices.SortFunc(out, func(a, b reconcile.Link) int { return cmp.Compare(a.CRM.ID, b.CRM.ID) })
	return out, err
}

func scanLink(r *sql.Rows, fields *fieldNames, known *prefixes) (l reconcile.Link, err error) {
	var state int
	var hasMailbox bool
	// The bytes are SQLite's until the next row; nothing below keeps them.
	var crm, mailbox, base sql.RawBytes
	err = r.Scan(
		&l.CRM.ID,
		&hasMailbox,
		&state,
		instant{&l.Since},
		&crm,
		&mailbox,
		&base,
	)
	if err != nil {
		return l, err
	}
	l.State = linkStates[state]

	u := unpacker{b: crm}
	l.CRM.Version = u.text()
	l.CRM.Op = record.OpID(u.expand(u.b))
	m := unpacker{b: mailbox, err: u.err}
	l.Mailbox.ID = known.join(&m)
	l.Mailbox.Version = known.join(&m)
	l.Mailbox.Op = record.OpID(m.expand(m.b))
	if !hasMailbox {
		l.Mailbox.ID = ""
	}
	b := unpacker{b: base, err: m.err}
	l.CRM.Base = b.hashes(fields)
	l.Mailbox.Base = b.differing(fields, l.CRM.Base)
	if b.err != nil {
		return l, fmt.Errorf("link %s: %w", l.CRM.ID, b.err)
	}
	return l, nil
}

// CountLinks returns how many links are in the state Linked.
func (s *Store) CountLinks(ctx context.Context, user int64, entity record.Entity) (n int, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		replica, err := findReplica(ctx, tx, user, entity)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, countLinks, replica).Scan(&n)
	})
	return n, err
}

// CountAllLinks returns how many links in the state Linked the users of CRM connections
// have.
func (s *Store) CountAllLinks(ctx context.Context, connections []string, entity record.Entity) (n int, err error) {
	list, err := json.Marshal(connections)
	if err != nil {
		return 0, err
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, countAllLinks, string(list), entity).Scan(&n)
	})
	return n, err
}

// LinkedUsers tells which users of a CRM connection have links, ended ones left out, to
// which of these records.
func (s *Store) LinkedUsers(ctx context.Context, connection string, entity record.Entity, crmIDs []string) (map[string][]int64, error) {
	out := map[string][]int64{}
	if len(crmIDs) == 0 {
		return out, nil
	}
	list, err := json.Marshal(slices.Compact(slices.Sorted(slices.Values(crmIDs))))
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r *sql.Rows) error {
			var id string
			var user int64
			err := r.Scan(&id, &user)
			out[id] = append(out[id], user)
			return err
		}, selectLinkedUsers, string(list), entity, connection)
	})
	return out, err
}

// MailboxItems returns the mailbox ids of all links of a user's entity, whatever their
// state, without those that have none, in order.
func (s *Store) MailboxItems(ctx context.Context, user int64, entity record.Entity) ([]string, error) {
	all, err := s.Links(ctx, user, entity)
	var ids []string
	for _, l := range all {
		if l.Mailbox.ID != "" {
			ids = append(ids, l.Mailbox.ID)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// removeLinks removes links without a trace.
func removeLinks(ctx context.Context, tx *sql.Tx, replica int64, crmIDs []string) error {
	for _, id := range crmIDs {
		if _, err := run(ctx, tx, deleteLink, id, replica); err != nil {
			return err
		}
	}
	return nil
}

// putLinks stores links in place of those with the same CRM ids. A mailbox id belongs to
// one link: to the one that is linked, else to the one stored last.
func putLinks(ctx context.Context, tx *sql.Tx, replica int64, ls []reconcile.Link) (err error) {
	if len(ls) == 0 {
		return nil
	}
	if err := makeRoom(ctx, tx, replica, ls); err != nil {
		return err
	}
	fields, err := loadFields(ctx, tx)
	if err != nil {
		return err
	}
	known, err := loadPrefixes(ctx, tx, replica)
	if err != nil {
		return err
	}
	for _, linked := range []bool{true, false} {
		for _, l := range ls {
			if (l.State == reconcile.Linked) != linked {
				continue
			}
			if err := storeLink(ctx, tx, fields, known, l); err != nil {
				return fmt.Errorf("link %s: %w", l.CRM.ID, err)
			}
		}
	}
	return nil
}

// makeRoom frees the mailbox ids that links are about to take.
func makeRoom(ctx context.Context, tx *sql.Tx, replica int64, ls []reconcile.Link) error {
	keys := make([]int64, 0, len(ls))
	moved := make(map[string]*int64, len(ls))
	for _, l := range ls {
		k := mailboxKey(l.Mailbox.ID)
		if k != nil {
			keys = append(keys, *k)
		}
		if l.State == reconcile.Linked {
			moved[l.CRM.ID] = k
		} else {
			moved[l.CRM.ID] = nil
		}
	}
	for _, step := range []struct {
		query string
		list  any
	}{{freeMailboxIDs, keys}, {parkMovedLinks, moved}} {
		list, err := json.Marshal(step.list)
		if err != nil {
			return err
		}
		if _, err := run(ctx, tx, step.query, replica, string(list)); err != nil {
			return err
		}
	}
	return nil
}

func storeLink(ctx context.Context, tx *sql.Tx, fields *fieldNames, known *prefixes, l reconcile.Link) error {
	state := slices.Index(linkStates, l.State)
	if state < 1 {
		return fmt.Errorf("unknown state %q", l.State)
	}
	if err := fields.learn(ctx, tx, l.CRM.Base, l.Mailbox.Base); err != nil {
		return err
	}
	var crm, mailbox, base packed
	crm.text(l.CRM.Version)
	crm = append(crm, compact(string(l.CRM.Op))...)
	for _, part := range []struct {
		text string
		tail int
	}{{l.Mailbox.ID, idTail}, {l.Mailbox.Version, versionTail}} {
		n, rest, err := known.split(ctx, tx, compact(part.text), part.tail)
		if err != nil {
			return err
		}
		mailbox.uint(n)
		mailbox.bytes(rest)
	}
	mailbox = append(mailbox, compact(string(l.Mailbox.Op))...)
	base.hashes(fields, l.CRM.Base)
	base.differing(fields, l.CRM.Base, l.Mailbox.Base)
	_, err := run(ctx, tx, putLink,
		known.replica,
		l.CRM.ID,
		mailboxKey(l.Mailbox.ID),
		state,
		nanos(l.Since),
		[]byte(crm),
		[]byte(mailbox),
		[]byte(base),
	)
	return err
}

// mailboxKey returns what a mailbox id is found by; nil for no id.
func mailboxKey(id string) *int64 {
	if id == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(id))
	k := int64(binary.BigEndian.Uint64(sum[:]))
	return &k
}

func mailboxKeys(ids []string) []int64 {
	keys := make([]int64, 0, len(ids))
	for _, id := range ids {
		if k := mailboxKey(id); k != nil {
			keys = append(keys, *k)
		}
	}
	return keys
}
