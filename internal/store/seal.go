package store

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/crmsync/crmsync/internal/sync/record"
)

// keys are derived from the state's key and the id of the installation, one for each
// use (HKDF-SHA256, RFC 5869), so that none tells anything of another.
type keys struct {
	hash []byte
	aead cipher.AEAD // XChaCha20-Poly1305: its nonces may be random
	// check is stored, and tells a wrong key from the right one.
	check []byte
}

func deriveKeys(key []byte, install string) (keys, error) {
	derive := func(use string) ([]byte, error) {
		return hkdf.Key(sha256.New, key, []byte(install), "crmsync state "+use, KeySize)
	}
	hash, err := derive("hash")
	if err != nil {
		return keys{}, err
	}
	seal, err := derive("seal")
	if err != nil {
		return keys{}, err
	}
	check, err := derive("check")
	if err != nil {
		return keys{}, err
	}
	aead, err := chacha20poly1305.NewX(seal)
	return keys{hash: hash, aead: aead, check: check}, err
}

// unlock reads the installation's id and proves the key, or, in a new state, makes
// the one and notes the other.
func (s *Store) unlock(ctx context.Context, key []byte) error {
	do := s.write
	if s.readOnly {
		do = s.read
	}
	return do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var check []byte
		err := tx.QueryRowContext(ctx, `SELECT install, key_check FROM meta`).Scan(&s.install, &check)
		switch {
		case errors.Is(err, sql.ErrNoRows) && !s.readOnly:
			return s.found(ctx, tx, key)
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("%w: it was never finished", ErrDamaged)
		case err != nil:
			return err
		}
		if s.keys, err = deriveKeys(key, s.install); err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(check, s.keys.check) != 1 {
			return ErrKey
		}
		return nil
	})
}

// found makes the installation's id.
func (s *Store) found(ctx context.Context, tx *sql.Tx, key []byte) (err error) {
	var id [16]byte
	if _, err := io.ReadFull(s.random, id[:]); err != nil {
		return err
	}
	s.install = hex.EncodeToString(id[:])
	if s.keys, err = deriveKeys(key, s.install); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO meta (
			id,
			install,
			key_check
		)
		VALUES (1, ?, ?)`,
		s.install,
		s.keys.check,
	)
	return err
}

// Hasher returns the hasher of this state. The region is an ISO 3166 country code in
// which telephone numbers without a country code are read, or "".
func (s *Store) Hasher(region string) (record.Hasher, error) {
	return record.NewHasher(s.keys.hash, region)
}

// seal encrypts a text. What it is for, and for which user, is sealed with it, so that
// it cannot be put in another place.
func (s *Store) seal(text []byte, use string, user int64) ([]byte, error) {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(text)+chacha20poly1305.Overhead)
	s.mu.Lock()
	_, err := io.ReadFull(s.random, nonce)
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("drawing a nonce: %w", err)
	}
	return s.keys.aead.Seal(nonce, nonce, text, place(use, user)), nil
}

// unseal returns what seal was given.
func (s *Store) unseal(sealed []byte, use string, user int64) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, fmt.Errorf("%w: a sealed %s is cut short", ErrDamaged, use)
	}
	nonce, text := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	clear, err := s.keys.aead.Open(nil, nonce, text, place(use, user))
	if err != nil {
		return nil, fmt.Errorf("%w: a sealed %s was altered", ErrDamaged, use)
	}
	return clear, nil
}

func place(use string, user int64) []byte { return fmt.Appendf(nil, "%s of %d", use, user) }

// sealValue and unsealValue do the same for the value of a field.
func (s *Store) sealValue(v record.Value, use string, user int64) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.seal(text, use, user)
}

func (s *Store) unsealValue(sealed []byte, use string, user int64) (v record.Value, err error) {
	text, err := s.unseal(sealed, use, user)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &v)
	return v, err
}
