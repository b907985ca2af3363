package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"vbk/store"
)

// Adopt gives a file of another folder a name in a chain's folder, which is made
// if absent, and makes it durable. Nothing is copied: the file has both names
// then. It answers the file's size in bytes. Errors: ErrOtherFileSystem; a file
// that is not a regular one, a name that another file has.
func (f *Folder) Adopt(chain string, from FS, file, name string) (int64, error) {
	size, err := f.adopt(chain, from, file, name)
	if err != nil {
		return 0, fmt.Errorf("adopt %s as %s/%s/%s: %w", file, f.name, chain, name, err)
	}
	return size, nil
}

func (f *Folder) adopt(chain string, from FS, file, name string) (int64, error) {
	if _, _, ours := store.ParseFileName(name); ours || !store.IsPlainFileName(name) || !store.IsChainName(chain) {
		return 0, errors.New("not a name that a foreign file may have")
	}
	if err := f.held(); err != nil {
		return 0, err
	}
	e, err := from.Stat(file)
	if err != nil {
		return 0, err
	}
	if !e.Mode.IsRegular() {
		return 0, errors.New("not a regular file")
	}
	dir := path.Join(f.name, chain)
	if err := f.s.fsys.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return 0, err
	}
	if err := f.s.fsys.LinkFrom(from, file, path.Join(dir, name)); err != nil {
		return 0, err
	}
	size, err := f.syncAdopted(dir, name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[path.Join(chain, name)] = err
	return size, err
}

// syncAdopted makes the content of a file durable that another program wrote.
func (f *Folder) syncAdopted(dir, name string) (int64, error) {
	src, err := openSource(f.s.fsys, dir, name)
	if err != nil {
		return 0, err
	}
	h := src.(source)
	return h.Size(), errors.Join(h.Sync(), h.Close())
}

// Describe reads a small file of a chain, and answers what a manifest records of
// it.
func (f *Folder) Describe(chain, name string) (store.File, error) {
	data, err := readFile(f.s.fsys, path.Join(f.name, chain, name), maxSmallFile)
	if err != nil {
		return store.File{}, fmt.Errorf("read %s/%s/%s: %w", f.name, chain, name, err)
	}
	return store.File{Name: name, Size: int64(len(data)), Hash: store.Hash(data)}, nil
}
