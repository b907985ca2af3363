package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"vbk/store"
)

// maxSmallFile bounds what ReadFile takes into memory.
const maxSmallFile = 64 << 20

// Reader reads a chain. While it is open, no file of the chain is deleted.
type Reader struct {
	s        *Store
	dir      string
	lock     Handle
	unlocked error
	chain    store.Chain
}

// Source is an open file of a chain. It may be used by several goroutines.
type Source interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}

// OpenChain takes a shared lock on a chain and reads its manifest. Errors:
// store.ErrInUse while its files are being deleted, fs.ErrNotExist if the
// chain does not exist or has been released.
func (s *Store) OpenChain(folder, chain string) (*Reader, error) {
	r, err := s.openChain(folder, chain)
	if err != nil {
		return nil, fmt.Errorf("open chain %s/%s: %w", folder, chain, err)
	}
	return r, nil
}

func (s *Store) openChain(folder, chain string) (*Reader, error) {
	if !store.IsFolderName(folder) || !store.IsChainName(chain) {
		return nil, errors.New("not the name of a chain")
	}
	dir := path.Join(folder, chain)
	h, err := s.fsys.Open(dir)
	if err != nil {
		return nil, err
	}
	unlocked := h.Lock(false)
	if errors.Is(unlocked, ErrBusy) {
		return nil, errors.Join(store.ErrInUse, h.Close())
	}
	if unlocked != nil && !s.byPath {
		return nil, errors.Join(unlocked, h.Close())
	}
	v, err := s.view(folder, chain)
	if err == nil && !v.listed() {
		err = fs.ErrNotExist
	}
	var listed store.Chain
	if err == nil {
		listed, err = s.verified(v, v.listing())
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return &Reader{s: s, dir: dir, lock: h, unlocked: unlocked, chain: listed}, nil
}

// Unlocked says why nothing keeps the chain's files from being deleted, in a
// store opened by OpenPath on a file system that has no locks; nil if the lock
// is held.
func (r *Reader) Unlocked() error { return r.unlocked }

// Chain is the chain as a survey shows it, problems included.
func (r *Reader) Chain() store.Chain { return r.chain }

// Manifest is the newest valid manifest of the chain.
func (r *Reader) Manifest() store.Manifest { return r.chain.Manifest }

// Open opens a file of the chain.
func (r *Reader) Open(name string) (Source, error) {
	return openSource(r.s.fsys, r.dir, name)
}

type source struct {
	Handle
	size int64
}

func (s source) Size() int64 { return s.size }

func openSource(fsys FS, dir, name string) (Source, error) {
	if !store.IsPlainFileName(name) {
		return nil, fmt.Errorf("%q is not a plain file name", name)
	}
	e, err := fsys.Stat(path.Join(dir, name))
	if err != nil {
		return nil, err
	}
	if !e.Mode.IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	h, err := fsys.Open(path.Join(dir, name))
	if err != nil {
		return nil, err
	}
	size, err := h.Size()
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return source{h, size}, nil
}

// ReadFile reads a small file of the chain. If the manifest lists it among a
// point's other files, its size and hash are compared.
func (r *Reader) ReadFile(name string) ([]byte, error) {
	data, err := r.readFile(name)
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", r.dir, name, err)
	}
	return data, nil
}

func (r *Reader) readFile(name string) ([]byte, error) {
	if !store.IsPlainFileName(name) {
		return nil, errors.New("not a plain file name")
	}
	data, err := readFile(r.s.fsys, path.Join(r.dir, name), maxSmallFile)
	if err != nil {
		return nil, err
	}
	for _, p := range r.chain.Manifest.Points {
		for _, f := range p.Files {
			if f.Name == name && (f.Size != int64(len(data)) || f.Hash != store.Hash(data)) {
				return nil, fmt.Errorf("%d bytes with hash %s, recorded are %d with %s",
					len(data), store.Hash(data), f.Size, f.Hash)
			}
		}
	}
	return data, nil
}

// Close releases the chain.
func (r *Reader) Close() error { return r.lock.Close() }
