package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/crmsync/crmsync/internal/commands"
	"github.com/crmsync/crmsync/internal/store"
	"github.com/crmsync/crmsync/internal/sync/engine"
)

// state is the store as commands see it.
type state struct {
	store.Admin
}

func (s state) Engine() engine.State { return s.Store }

// openState opens the state, and makes it with a new key if it may be written and is
// not there.
func openState(ctx context.Context, o commands.StateOptions) (commands.State, error) {
	_, err := os.Stat(o.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing && !o.Create {
		return nil, err
	}
	key, err := o.Key(ctx, missing)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, o.Path, key, store.Options{Random: o.Random, ReadOnly: o.ReadOnly})
	if err != nil {
		return nil, err
	}
	return state{s.Admin()}, nil
}
