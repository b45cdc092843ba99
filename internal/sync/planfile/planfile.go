// Package planfile is a plan as a file: a JSON document that a person can read, jq can
// query, and sync apply carries out or refuses. docs/plan-file.md describes it. It is
// pure: bytes in, bytes out.
package planfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/reconcile"
	"github.com/crmsync/crmsync/internal/sync/record"
)

// Kind says in the file what it is. Format is the version of the document: it goes up
// when a program that knows only the one before would misread it.
const (
	Kind   = "crmsync plan"
	Format = 1
)

// The reasons why a file is not taken for a plan of this state.
var (
	ErrNotAPlan = errors.New("this is no plan of crmsync, or it is cut short")
	ErrNewer    = errors.New("the plan is of a newer format")
	ErrForeign  = errors.New("the plan was made by another installation")
	ErrDamaged  = errors.New("the plan was changed or damaged after it was written, or belongs to a state with another key")
)

// File is the document.
type File struct {
	Kind   string `json:"kind"`
	Format int    `json:"format"`
	// Program is the version of the program that made the plan, Install the
	// installation that it was made by, Schema the version of its state.
	Program string    `json:"program"`
	Install string    `json:"install"`
	Schema  int       `json:"stateSchema"`
	Created time.Time `json:"created"`
	Options Options   `json:"options"`
	Users   []User    `json:"users"`
	Totals  Totals    `json:"totals"`
	// Digest is a keyed digest of everything above.
	Digest string `json:"digest"`
}

// Options are those of sync plan that shaped the plan.
type Options struct {
	AllowCreateInCRM bool `json:"allowCreateInCrm"`
}

// User is the plan of one user. First says that it is his first sync, Prepare that his
// mailbox is prepared before it, and Unsettled how many earlier writes had no clear
// answer when it was made.
type User struct {
	User       string        `json:"user"`
	Entity     record.Entity `json:"entity"`
	First      bool          `json:"first"`
	Prepare    bool          `json:"prepare"`
	Unsettled  int           `json:"unsettled"`
	Accounts   string        `json:"accounts"`
	Operations []engine.Step `json:"operations"`
}

// Kept returns the plan as the engine compares it.
func (u User) Kept() engine.Kept { return engine.Kept{Accounts: u.Accounts, Steps: u.Operations} }

// Totals are what the plan comes to, over all users.
type Totals struct {
	Users int `json:"users"`
	// Creates, Updates and Deletes are by the side that is written to.
	Creates Sides `json:"creates"`
	Updates Sides `json:"updates"`
	Deletes Sides `json:"deletes"`
	// Linked pairs are new; Ended ones are no longer kept in step.
	Linked    int `json:"linked"`
	Ended     int `json:"ended"`
	Conflicts int `json:"conflicts"`
	Held      int `json:"held"`
	Issues    int `json:"issues"`
	Mails     int `json:"mails"`
}

// Sides is a number for each side.
type Sides struct {
	CRM     int `json:"crm"`
	Mailbox int `json:"mailbox"`
}

// UserOf returns a user's plan as it is kept.
func UserOf(p engine.UserPlan) User {
	steps := p.Steps()
	if steps == nil {
		steps = []engine.Step{}
	}
	return User{
		User: p.User, Entity: p.Entity, First: p.First, Prepare: p.Prepare, Unsettled: p.Unsettled,
		Accounts: p.Accounts, Operations: steps,
	}
}

// totals sums the users' plans up.
func totals(users []User) Totals {
	t := Totals{Users: len(users)}
	for _, u := range users {
		for _, s := range u.Operations {
			t.add(s)
		}
	}
	return t
}

func (t *Totals) add(s engine.Step) {
	count := func(n *Sides) {
		if s.Side == record.CRM {
			n.CRM++
		} else {
			n.Mailbox++
		}
	}
	t.Mails += s.Mails
	switch s.Action {
	case string(reconcile.Create):
		count(&t.Creates)
	case string(reconcile.Update):
		count(&t.Updates)
	case string(reconcile.Delete):
		count(&t.Deletes)
	case string(reconcile.LinkUp):
		t.Linked++
	case string(reconcile.End):
		t.Ended++
	case engine.ActionConflict:
		t.Conflicts++
	case engine.ActionHeld:
		t.Held++
	case engine.ActionIssue:
		t.Issues++
	}
}

// Encode returns the document with its totals and its digest.
func Encode(f File, h record.Hasher) ([]byte, error) {
	f.Kind, f.Format, f.Created, f.Totals = Kind, Format, f.Created.UTC().Truncate(time.Second), totals(f.Users)
	// What is not text in UTF-8 is replaced when it is written: the digest is of what
	// stands in the file.
	text, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	var stands File
	if err := json.Unmarshal(text, &stands); err != nil {
		return nil, err
	}
	stands.Digest = stands.digest(h)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(stands)
	return b.Bytes(), err
}

// digest returns the digest of everything but the digest.
func (f File) digest(h record.Hasher) string {
	f.Digest = ""
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return h.Digest([]byte(Kind), text)
}

// Decode reads a document that Encode wrote with the same key, for the same
// installation. How it is laid out does not count; every other change does.
func Decode(text []byte, install string, h record.Hasher) (File, error) {
	// What it is and of which format is read first: another format may have other fields.
	var head struct {
		Kind   string `json:"kind"`
		Format int    `json:"format"`
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Kind != Kind || head.Format < 1 {
		return File{}, ErrNotAPlan
	}
	if head.Format > Format {
		return File{}, fmt.Errorf("%w: %d, and this program knows %d", ErrNewer, head.Format, Format)
	}
	var f File
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return File{}, ErrDamaged
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return File{}, ErrDamaged
	}
	switch {
	case f.Install != install:
		return File{}, ErrForeign
	case f.Digest != f.digest(h):
		return File{}, ErrDamaged
	}
	return f, nil
}
