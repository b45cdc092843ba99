package commands

import (
	"context"
	"errors"
	"testing"

	"github.com/crmsync/crmsync/internal/commands/config"
	"github.com/crmsync/crmsync/internal/sync/admin"
	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/roster"
)

// shelf is a State of connections and organizations that counts what is written.
type shelf struct {
	fakeState
	conns  map[string]roster.Connection
	orgs   map[string]roster.Organization
	writes int
}

func (s *shelf) Connection(_ context.Context, name string) (roster.Connection, error) {
	c, ok := s.conns[name]
	if !ok {
		return c, admin.ErrNotFound
	}
	return c, nil
}

func (s *shelf) Connections(context.Context) ([]roster.Connection, error) {
	var list []roster.Connection
	for _, c := range s.conns {
		list = append(list, c)
	}
	return list, nil
}

func (s *shelf) Organization(_ context.Context, name string) (roster.Organization, error) {
	o, ok := s.orgs[name]
	if !ok {
		return o, admin.ErrNotFound
	}
	return o, nil
}

func (s *shelf) Organizations(context.Context) ([]roster.Organization, error) {
	var list []roster.Organization
	for _, o := range s.orgs {
		list = append(list, o)
	}
	return list, nil
}

func (s *shelf) put(c roster.Connection) error { s.writes++; s.conns[c.Name] = c; return nil }
func (s *shelf) file(o roster.Organization) error {
	s.writes++
	s.orgs[o.Name] = o
	return nil
}

func (s *shelf) AddConnection(_ context.Context, c roster.Connection, _ ...engine.Activity) error {
	return s.put(c)
}

func (s *shelf) UpdateConnection(_ context.Context, c roster.Connection, _ ...engine.Activity) error {
	return s.put(c)
}

func (s *shelf) AddOrganization(_ context.Context, o roster.Organization, _ ...engine.Activity) error {
	return s.file(o)
}

func (s *shelf) UpdateOrganization(_ context.Context, o roster.Organization, _ ...engine.Activity) error {
	return s.file(o)
}

func declaration() *config.Config {
	return &config.Config{
		File:          "c.yaml",
		Connections:   []roster.Connection{{Name: "m365", Kind: "graph", Endpoint: "http://new"}, {Name: "sf", Kind: "salesforce"}},
		Organizations: []roster.Organization{{Name: "EMEA", CRM: "sf", Mail: "m365", Access: roster.Application, Region: "DE"}},
	}
}

// What is declared is stored, once, and again only when it differs. What an
// administrator decides in the state stays.
func TestDeclaredIsStored(t *testing.T) {
	t.Parallel()
	st := &shelf{
		conns: map[string]roster.Connection{"m365": {Name: "m365", Kind: "graph", Endpoint: "http://old"}, "other": {Name: "other"}},
		orgs:  map[string]roster.Organization{"EMEA": {Name: "EMEA", CRM: "sf", Mail: "m365", Access: roster.Application, Enabled: false, Default: true}},
	}
	d := declare(st, declaration())
	if err := d.store(t.Context(), noon, "tester"); err != nil {
		t.Fatal(err)
	}
	if st.writes != 3 || st.conns["m365"].Endpoint != "http://new" || st.conns["sf"].Kind != "salesforce" {
		t.Errorf("%d writes, connections %+v", st.writes, st.conns)
	}
	if o := st.orgs["EMEA"]; o.Region != "DE" || o.Enabled || !o.Default {
		t.Errorf("the organization is %+v", o)
	}
	if err := d.store(t.Context(), noon, "tester"); err != nil || st.writes != 3 {
		t.Errorf("what is stored was stored again: %d writes, %v", st.writes, err)
	}
}

// What is declared counts also where nothing may be written.
func TestDeclaredIsSeen(t *testing.T) {
	t.Parallel()
	st := &shelf{
		conns: map[string]roster.Connection{"m365": {Name: "m365", Endpoint: "http://old"}, "other": {Name: "other"}},
		orgs:  map[string]roster.Organization{"Asia": {Name: "Asia", Enabled: true, Default: true}},
	}
	d := declare(st, declaration())
	if c, err := d.Connection(t.Context(), "m365"); err != nil || c.Endpoint != "http://new" {
		t.Errorf("%+v, %v", c, err)
	}
	conns, err := d.Connections(t.Context())
	if err != nil || len(conns) != 3 || conns[0].Name != "m365" || conns[1].Name != "other" || conns[2].Name != "sf" {
		t.Errorf("%+v, %v", conns, err)
	}
	orgs, err := d.Organizations(t.Context())
	if err != nil || len(orgs) != 2 || orgs[1].Name != "EMEA" || !orgs[1].Enabled || orgs[1].Default {
		t.Errorf("%+v, %v", orgs, err)
	}
	if o, err := d.Organization(t.Context(), ""); err != nil || o.Name != "Asia" {
		t.Errorf("the default is %+v, %v", o, err)
	}
	if st.writes > 0 {
		t.Error("something was written")
	}
}

func TestDeclaredNamesUnknownConnection(t *testing.T) {
	t.Parallel()
	cfg := declaration()
	cfg.Organizations[0].CRM = "nowhere"
	err := declare(&shelf{conns: map[string]roster.Connection{}}, cfg).store(t.Context(), noon, "tester")
	var e *Error
	if !errors.As(err, &e) || e.Code != codeNoConnection || e.Who != "c.yaml" {
		t.Errorf("%v", err)
	}
}
