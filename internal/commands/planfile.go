package commands

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/crmsync/crmsync/internal/sync/engine"
	"github.com/crmsync/crmsync/internal/sync/planfile"
)

// free refuses a file that exists.
func (app *App) free(name string) error {
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fail(codeFile, name, "the file exists already").do("name another one, or replace it with --force")
}

// keepPlan writes plans into the file that --out names.
func (app *App) keepPlan(st State, opts syncPlanOptions, made time.Time, plans []engine.UserPlan) error {
	hasher, err := st.Hasher("")
	if err != nil {
		return err
	}
	f := planfile.File{
		Program: app.Version.Version, Install: st.Install(), Schema: st.Schema(), Created: made,
		Options: planfile.Options{AllowCreateInCRM: opts.allowCreate},
	}
	for _, p := range plans {
		f.Users = append(f.Users, planfile.UserOf(p))
	}
	text, err := planfile.Encode(f, hasher)
	if err != nil {
		return err
	}
	if err := replaceFile(opts.out, text); err != nil {
		return fail(codeFile, opts.out, reason(err)).from(err)
	}
	return nil
}

// readPlan reads a file that keepPlan wrote.
func (app *App) readPlan(st State, name string) (planfile.File, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return planfile.File{}, fail(codeFile, name, reason(err)).from(err)
	}
	hasher, err := st.Hasher("")
	if err != nil {
		return planfile.File{}, err
	}
	f, err := planfile.Decode(text, st.Install(), hasher)
	if err != nil {
		return f, fail(codePlanFile, name, err.Error()).from(err)
	}
	return f, nil
}

// replaceFile writes a whole file, which only its owner can read, or nothing of it.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // created with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails once the file is renamed
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
