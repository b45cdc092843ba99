package sfdc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// The journal is a sequence of lines, each a JSON entry that holds whole row
// versions: the last version of a row wins, so that replaying a part twice does no
// harm. A snapshot is a journal that has each row once.

// entry is one line of the journal.
type entry struct {
	Rows   []saved         `json:"rows,omitempty"`
	Hidden map[string]bool `json:"hidden,omitempty"`
	// Sessions is the generation of sessions that are still valid.
	Sessions int `json:"sessions,omitempty"`
}

// saved is a row version without its empty fields.
type saved struct {
	Type      string            `json:"t"`
	Fields    map[string]string `json:"f"`
	DeletedAt string            `json:"d,omitempty"`
	Purged    bool              `json:"p,omitempty"`
}

func savedRow(r *row) saved {
	f := make(map[string]string, 16)
	for i, v := range r.vals {
		if v != "" && v != "false" {
			f[r.schema.fields[i].name] = v
		}
	}
	return saved{Type: r.schema.name, Fields: f, DeletedAt: r.deletedAt, Purged: r.purged}
}

// log hands one entry to the journal, if there is one.
func (s *Server) log(e entry) error {
	if s.journal == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return s.journal(append(line, '\n'))
}

// SetJournal sets what every later change is handed to, one line with its line feed
// at a time, before the change is acknowledged. An error refuses the change.
func (s *Server) SetJournal(journal func(line []byte) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = journal
}

// Snapshot writes the whole state in the form that Restore reads. Transactions that
// are still in flight are not part of it.
func (s *Server) Snapshot(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(b)
	if err := enc.Encode(entry{Hidden: s.hidden, Sessions: s.sessions}); err != nil {
		return err
	}
	const chunk = 64
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		t := s.tables[name]
		for ids := range slices.Chunk(t.ids, chunk) {
			var e entry
			for _, id := range ids {
				e.Rows = append(e.Rows, savedRow(t.rows[id]))
			}
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}

// Restored says what Restore read.
type Restored struct {
	// Lines is how many entries were read, Rows how many rows there are now.
	Lines, Rows int
	// Size is the length in bytes of the part that was read. A last line that was cut
	// short by a crash was never acknowledged and is not part of it.
	Size int64
}

// Restore replaces the state by a snapshot and the lines of the journal after it.
func (s *Server) Restore(r io.Reader) (Restored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	var out Restored
	br := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return out, err
		}
		if err := s.replay(bytes.TrimSpace(line)); err != nil {
			return out, fmt.Errorf("journal line %d: %w", out.Lines+1, err)
		}
		out.Lines++
		out.Size += int64(len(line))
	}
	for _, t := range s.tables {
		out.Rows += len(t.rows)
	}
	users := s.tables["User"]
	s.runAs = users.unique[users.schema.byName["username"].idx][lower(s.opts.RunAs)]
	if s.org == "" || s.runAs == "" {
		return out, errors.New("the journal holds no organization, or not the user of the integration")
	}
	return out, nil
}

func (s *Server) replay(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	for _, sv := range e.Rows {
		t := s.tables[sv.Type]
		if t == nil {
			return fmt.Errorf("unknown object %q", sv.Type)
		}
		id, ok := canonicalID(sv.Fields["Id"])
		if !ok || id[:3] != t.schema.prefix {
			return fmt.Errorf("row of %s without a valid id", sv.Type)
		}
		r := &row{schema: t.schema, vals: blank(t.schema), deletedAt: sv.DeletedAt, purged: sv.Purged}
		for name, v := range sv.Fields {
			if t.schema.byName[lower(name)] != nil { // a custom field may have been taken away since
				r.set(name, v)
			}
		}
		t.put(r)
		s.bump(id)
		if sv.Type == "Organization" {
			s.org, s.instance = id, id[3:6]
		}
	}
	for id, hidden := range e.Hidden {
		if hidden {
			s.hidden[id] = true
		} else {
			delete(s.hidden, id)
		}
	}
	s.sessions = max(s.sessions, e.Sessions)
	return nil
}

// blank returns the values of a row without any: booleans are false, not null.
func blank(sc *schema) []string {
	vals := make([]string, len(sc.fields))
	for i, f := range sc.fields {
		if f.kind == kBoolean {
			vals[i] = "false"
		}
	}
	return vals
}
