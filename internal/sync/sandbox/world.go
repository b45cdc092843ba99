package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

// world is the data of a sandbox: both servers and the files that keep them. Each file
// is a snapshot, of one line or several, and then one line for each change.
type world struct {
	graph *m365.Server
	crm   *sfdc.Server
	files []*journal
}

// longJournal is how many changes a file may hold before it is rewritten at a start.
const longJournal = 4_000

// secrets are what the clients of both servers prove themselves with.
type secrets struct{ mail, crm string }

func newWorld(s settings, sec secrets, now func() time.Time) (*world, *lateJournal, error) {
	late := &lateJournal{}
	w := &world{graph: m365.New(m365.Options{
		Now: now, Seed: s.Seed, Tenant: s.Tenant, TenantName: "Sandbox", Domain: domain,
		ClientID: s.ClientID, ClientSecret: sec.mail, Journal: late,
	})}
	var err error
	w.crm, err = sfdc.New(sfdc.Options{
		Now: now, Seed: s.Seed, OrgName: "Sandbox", ClientID: s.ClientID, ClientSecret: sec.crm, RunAs: "integration@" + domain,
	})
	return w, late, err
}

// lateJournal is the journal of a server that is filled before it has a file.
type lateJournal struct{ to *journal }

func (l *lateJournal) Append(line json.RawMessage) error {
	if l.to == nil {
		return nil
	}
	return l.to.Append(line)
}

// makeWorld makes new data from the seed and writes it.
func makeWorld(dir string, s settings, sec secrets, now func() time.Time) (*world, error) {
	w, late, err := newWorld(s, sec, now)
	if err != nil {
		return nil, err
	}
	if _, err := w.graph.AddApp(m365.App{ExternalID: s.AppID, DisplayName: "crmsync"}); err != nil {
		return nil, err
	}
	if err := (&seeder{settings: s, graph: w.graph, crm: w.crm}).fill(); err != nil {
		return nil, err
	}
	return w, w.rewrite(dir, late)
}

// rewrite writes snapshots of both servers and goes on behind them.
func (w *world) rewrite(dir string, late *lateJournal) error {
	snapshot, err := w.graph.Snapshot()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fileGraphData)
	err = replaceFile(path, func(out io.Writer) error {
		_, err := out.Write(append(snapshot, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	if err := w.keepGraph(path, int64(len(snapshot)+1), late); err != nil {
		return err
	}
	path = filepath.Join(dir, fileCRMData)
	if err := replaceFile(path, w.crm.Snapshot); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return w.keepCRM(path, info.Size())
}

func (w *world) keepGraph(path string, size int64, late *lateJournal) error {
	j, err := openJournal(path, size)
	if err != nil {
		return err
	}
	late.to = j
	w.files = append(w.files, j)
	return nil
}

func (w *world) keepCRM(path string, size int64) error {
	j, err := openJournal(path, size)
	if err != nil {
		return err
	}
	w.crm.SetJournal(func(line []byte) error { return j.Append(line) })
	w.files = append(w.files, j)
	return nil
}

// loadWorld reads the data that is in the directory. It returns fs.ErrNotExist if
// there is none.
func loadWorld(dir string, s settings, sec secrets, now func() time.Time) (*world, error) {
	w, late, err := newWorld(s, sec, now)
	if err != nil {
		return nil, err
	}
	mailPath, crmPath := filepath.Join(dir, fileGraphData), filepath.Join(dir, fileCRMData)
	for _, p := range []string{mailPath, crmPath} { // half a sandbox is none: a first start was cut short
		if _, err := os.Stat(p); err != nil {
			return nil, err
		}
	}
	size, changes, err := restoreGraph(w.graph, mailPath)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mailPath, err)
	}
	f, err := os.Open(crmPath)
	if err != nil {
		return nil, err
	}
	read, err := w.crm.Restore(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", crmPath, err)
	}
	if changes > longJournal || read.Lines > longJournal+read.Rows/32 {
		return w, w.rewrite(dir, late)
	}
	if err := w.keepGraph(mailPath, size, late); err != nil {
		return nil, err
	}
	if err := w.keepCRM(crmPath, read.Size); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// restoreGraph returns the size of the part that was read and how many changes follow
// the snapshot.
func restoreGraph(s *m365.Server, path string) (size int64, changes int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }() // only read from
	r := bufio.NewReaderSize(f, 1<<16)
	for first := true; ; first = false {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if first {
				return 0, 0, fs.ErrNotExist
			}
			return size, changes, nil // a last line that was cut short was never acknowledged
		}
		if err != nil {
			return 0, 0, err
		}
		size += int64(len(line))
		if first {
			err = s.Restore(bytes.TrimSpace(line))
		} else {
			changes++
			err = s.Replay(bytes.TrimSpace(line))
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

func (w *world) close() error {
	var errs []error
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	w.files = nil
	return errors.Join(errs...)
}
