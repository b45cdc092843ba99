package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What lies in the directory of a sandbox.
const (
	fileSettings   = "sandbox.json"
	fileEndpoints  = "endpoints.json"
	fileConfig     = "crmsync.yaml"
	fileState      = "state.db"
	fileGraphData  = "m365.jsonl"
	fileCRMData    = "salesforce.jsonl"
	fileMailSecret = "m365.secret"
	fileCRMSecret  = "sf.secret"
)

// settings are what a sandbox was made with; they never change.
type settings struct {
	Seed     uint64 `json:"seed"`
	Users    int    `json:"users"`
	Contacts int    `json:"contacts"`
	Tenant   string `json:"tenant"`
	ClientID string `json:"clientId"`
	AppID    string `json:"appId"`
}

// Endpoints are where a sandbox can be reached.
type Endpoints struct {
	// Graph and Salesforce are base addresses without a path, GraphToken and
	// SalesforceToken those of the token endpoints.
	Graph           string `json:"graph"`
	GraphToken      string `json:"graphToken"`
	Salesforce      string `json:"salesforce"`
	SalesforceToken string `json:"salesforceToken"`
	Tenant          string `json:"tenant"`
	ClientID        string `json:"clientId"`
	// Control and ControlToken are for Open.
	Control      string `json:"control"`
	ControlToken string `json:"controlToken"`
	// PID is the process that runs the sandbox; 0 after it was stopped in order.
	PID int `json:"pid"`
	// Config is the configuration file that was written for crmsync.
	Config string `json:"config"`
}

// replaceFile writes a whole file or nothing of it.
func replaceFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // created with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails once the file is renamed
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func replaceText(path, text string) error {
	return replaceFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func writeJSON(path string, v any) error {
	return replaceFile(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// readJSON reports whether there was such a file.
func readJSON(path string, v any) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return true, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// journal is a file that lines are appended to. A line is with the operating system
// before Append returns, so it outlives the process, however that ends.
type journal struct {
	f    *os.File
	size int64
}

func openJournal(path string, size int64) (*journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// What stands behind the last whole line was cut short and never acknowledged.
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &journal{f: f, size: size}, nil
}

// Append writes one line; the line feed is added if it is missing.
func (j *journal) Append(line json.RawMessage) error {
	b := []byte(line)
	if !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b[:len(b):len(b)], '\n')
	}
	n, err := j.f.WriteAt(b, j.size)
	if err != nil {
		if n > 0 {
			_ = j.f.Truncate(j.size) // or the next line would stand behind half of this one
		}
		return err
	}
	j.size += int64(len(b))
	return nil
}

// Close makes the journal durable and closes it.
func (j *journal) Close() error {
	return errors.Join(j.f.Sync(), j.f.Close())
}

// configFor is the configuration that makes crmsync use the sandbox.
func configFor(dir string, e Endpoints, s settings) string {
	q := func(v string) string { // a JSON string is a YAML string
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // a string always has a JSON form
		}
		return string(b)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by \"crmsync sandbox start\" for the sandbox in this directory.\n")
	fmt.Fprintf(&b, "state: %s\n", q(filepath.Join(dir, fileState)))
	fmt.Fprintf(&b, "connections:\n")
	fmt.Fprintf(&b, "  - name: m365\n    kind: graph\n    endpoint: %s\n    token_endpoint: %s\n    tenant: %s\n    client_id: %s\n    auth: client-secret\n    secret: %s\n    app_id: %s\n",
		q(e.Graph), q(e.GraphToken), q(s.Tenant), q(s.ClientID), q("file:"+filepath.Join(dir, fileMailSecret)), q(s.AppID))
	fmt.Fprintf(&b, "  - name: sf\n    kind: salesforce\n    endpoint: %s\n    auth: client-secret\n    client_id: %s\n    secret: %s\n    stamp_field: CrmSync_Stamp__c\n",
		q(e.Salesforce), q(s.ClientID), q("file:"+filepath.Join(dir, fileCRMSecret)))
	fmt.Fprintf(&b, "organizations:\n  - name: Sandbox\n    crm: sf\n    mail: m365\n    access: application\n    region: US\n")
	return b.String()
}
