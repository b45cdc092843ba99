package store

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/crmsync/crmsync/internal/store/disk"
)

var attackEvery = flag.Int("attack-every", 19, "attack a migration at every so many of its writes; 1 is all of them")

// image is what lies on the disk at one moment.
type image struct{ db, wal []byte }

func imageOf(t *testing.T, path string) (i image) {
	t.Helper()
	var err error
	i.db, err = os.ReadFile(path)
	must(t, err)
	if i.wal, err = os.ReadFile(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		must(t, err)
	}
	return i
}

func (i image) at(t *testing.T, path string) {
	t.Helper()
	must(t, os.WriteFile(path, i.db, 0o600))
	if i.wal != nil {
		must(t, os.WriteFile(path+"-wal", i.wal, 0o600))
	}
}

// A program that is killed while it migrates an older state leaves one that the next
// program migrates, whatever had reached the disk; so does one whose disk fails.
func TestUpgradeGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	kept, err := filepath.Glob(filepath.Join(released, "v*.db"))
	must(t, err)
	for _, from := range kept[:len(kept)-1] {
		t.Run(filepath.Base(from), func(t *testing.T) {
			t.Parallel()
			old, err := os.ReadFile(from)
			must(t, err)
			var moments []image
			path := filepath.Join(t.TempDir(), "state.db")
			image{db: old}.at(t, path)
			stop := disk.Watch(path, func(c disk.Call) disk.Code {
				moments = append(moments, imageOf(t, path))
				return disk.OK
			})
			s, err := Open(t.Context(), path, key(1), Options{Random: noise(1)})
			must(t, err)
			stop()
			wantSchema, wantRows := schema(t, s), rows(t, s)
			must(t, s.Close())
			whole := func(t *testing.T, what, path string) {
				t.Helper()
				s, err := Open(t.Context(), path, key(1), Options{Random: noise(1)})
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				must(t, errors.Join(s.Check(t.Context()), s.VerifyActivities(t.Context())))
				same(t, what+": schema", schema(t, s), wantSchema)
				same(t, what+": rows", rows(t, s), wantRows)
				must(t, s.Close())
			}
			for n := 0; n < len(moments); n += *attackEvery {
				m, at := moments[n], filepath.Join(t.TempDir(), "state.db")
				m.at(t, at)
				whole(t, fmt.Sprint("killed at moment ", n), at)
			}
			failed := 0
			codes := []disk.Code{disk.Full, disk.Broken, disk.ReadOnly}
			for i, code := range codes {
				for n := 1 + i; ; n += len(codes) * *attackEvery { // each write fails in one of the ways
					at := filepath.Join(t.TempDir(), "state.db")
					image{db: old}.at(t, at)
					op := 0
					stop := disk.Watch(at, func(c disk.Call) disk.Code {
						if c.Op == disk.Write && !c.Done {
							if op++; op == n {
								return code
							}
						}
						return disk.OK
					})
					s, err := Open(t.Context(), at, key(1), Options{Random: noise(1)})
					if err == nil {
						must(t, s.Close())
					}
					stop()
					if op < n {
						break
					}
					if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrDisk) && !errors.Is(err, ErrReadOnly) {
						t.Errorf("code %d at write %d: %v", code, n, err)
					}
					failed++
					whole(t, fmt.Sprintf("code %d at write %d", code, n), at)
				}
			}
			t.Logf("killed at every %dth of %d moments, failed at %d writes", *attackEvery, len(moments), failed)
			if len(moments) < 50 || failed == 0 {
				t.Error("that is too few for a migration")
			}
		})
	}
}
