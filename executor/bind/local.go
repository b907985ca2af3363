package bind

import (
	"context"
	"path"

	"vbk/executor"
	"vbk/store"
	"vbk/store/local"
)

// Store is a local store as an executor.Store.
type Store struct{ *local.Store }

// Lock is local.Store.Lock.
func (s Store) Lock(ctx context.Context, folder string, a store.Attempt) (executor.Folder, error) {
	f, err := s.Store.Lock(ctx, folder, a)
	if err != nil {
		return nil, err
	}
	return Folder{f}, nil
}

// OpenChain is local.Store.OpenChain.
func (s Store) OpenChain(folder, chain string) (executor.Chain, error) {
	r, err := s.Store.OpenChain(folder, chain)
	if err != nil {
		return nil, err
	}
	return Chain{r}, nil
}

// Folder is a locked folder as an executor.Folder.
type Folder struct{ *local.Folder }

// Create is local.Folder.Create.
func (f Folder) Create(chain, name string) (executor.NewFile, error) {
	return f.Folder.Create(chain, name)
}

// Adopting is a locked folder that takes in the files of a directory.
type Adopting struct {
	Folder
	From  local.FS
	Below string // folder of From; "" is From itself
}

// Adopt is local.Folder.Adopt.
func (f Adopting) Adopt(chain, file, name string) (int64, error) {
	return f.Folder.Adopt(chain, f.From, path.Join(f.Below, file), name)
}

// Chain is an open chain as an executor.Chain.
type Chain struct{ *local.Reader }

// Open is local.Reader.Open.
func (c Chain) Open(name string) (executor.ChainFile, error) { return c.Reader.Open(name) }
