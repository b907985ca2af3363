package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"vbk/store"
)

const temporarySuffix = ".tmp"

// isTemporary says whether name is that of a manifest being written.
func isTemporary(name string) bool {
	manifest, ok := strings.CutSuffix(name, temporarySuffix)
	_, ours := store.ParseManifestName(manifest)
	return ok && ours
}

// File is a new file of a chain. It becomes part of a point by Commit.
type File struct {
	h   Handle
	f   *Folder
	key string

	mu   sync.Mutex
	size int64
	err  error

	shared map[string]Handle // files of the chain that this one shares ranges with
}

// Create makes a file in a chain's folder, which is made if absent. The name
// is one of store.DataFileName or store.ExtraFileName and must be new.
func (f *Folder) Create(chain, name string) (*File, error) {
	file, err := f.create(chain, name)
	if err != nil {
		return nil, fmt.Errorf("create file in %s: %w", f.name, err)
	}
	return file, nil
}

func (f *Folder) create(chain, name string) (*File, error) {
	if _, _, ok := store.ParseFileName(name); !ok || !store.IsChainName(chain) {
		return nil, fmt.Errorf("%s/%s is not a name of a point's file", chain, name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.held(); err != nil {
		return nil, err
	}
	dir := path.Join(f.name, chain)
	if err := f.s.fsys.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	h, err := f.s.fsys.Create(path.Join(dir, name))
	if err != nil {
		return nil, err
	}
	key := path.Join(chain, name)
	f.files[key] = errOpen
	return &File{h: h, f: f, key: key}, nil
}

// Write appends to the file. After a failure the file is lost.
func (w *File) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.h.Write(p)
	w.size += int64(n)
	if err != nil {
		w.err = err // it names operation and file
	}
	return n, w.err
}

// WriteAt writes anywhere, from any number of goroutines; what is jumped over is a
// hole. A file is written by Write or by WriteAt, not by both. After a failure the
// file is lost.
func (w *File) WriteAt(p []byte, offset int64) (int, error) {
	if err := w.failure(); err != nil {
		return 0, err
	}
	n, err := w.h.WriteAt(p, offset)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.size = max(w.size, offset+int64(n))
	if err != nil {
		w.err = err // it names operation and file
	}
	return n, w.err
}

func (w *File) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Share appends a range of another file of the chain without moving its bytes,
// where CanShare says that this can be done. Offset, length and what was written
// so far are multiples of format.Align. After a failure the file is lost.
func (w *File) Share(name string, offset, length int64) error {
	if w.err == nil {
		if err := w.share(name, offset, length); err != nil {
			w.err = fmt.Errorf("share %d bytes at %d of %s: %w", length, offset, name, err)
		}
	}
	return w.err
}

func (w *File) share(name string, offset, length int64) error {
	src, ok := w.shared[name]
	if !ok {
		var err error
		if src, err = w.f.s.fsys.Open(path.Join(w.f.name, path.Dir(w.key), name)); err != nil {
			return err
		}
		if w.shared == nil {
			w.shared = map[string]Handle{}
		}
		w.shared[name] = src
	}
	if err := w.h.CloneFrom(src, offset, length); err != nil {
		return err
	}
	w.size += length
	return nil
}

// CanShare says whether new files of a chain can share ranges with this one.
func (f *Folder) CanShare(chain, name string) bool {
	return f.s.fsys.Clones(path.Join(f.name, chain, name))
}

// Size is the number of bytes up to the last one written.
func (w *File) Size() int64 { return w.size }

// Close makes the content durable. If that, or a Write before, has failed, no
// Commit accepts the file; closing again returns the same.
func (w *File) Close() error {
	if w.h == nil {
		return w.err
	}
	if w.err == nil {
		if err := w.h.Sync(); err != nil {
			w.err = err
		}
	}
	for _, src := range w.shared {
		_ = src.Close() // it was only read
	}
	if err := w.h.Close(); err != nil && w.err == nil {
		w.err = err
	}
	w.h = nil
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	w.f.files[w.key] = w.err
	return w.err
}

// Write creates a small file with this content and makes it durable.
func (f *Folder) Write(chain, name string, data []byte) (store.File, error) {
	w, err := f.Create(chain, name)
	if err != nil {
		return store.File{}, err
	}
	_, err = w.Write(data)
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return store.File{}, err
	}
	return store.File{Name: name, Size: int64(len(data)), Hash: store.Hash(data)}, nil
}

// Commit makes m the newest manifest of its chain: when it returns nil, the
// points that m lists exist. m.Number is one more than the newest there is; a
// new chain's number one more than the highest of the folder. Every file that
// m names is listed already or was closed under this lock. The last three
// manifests stay. store.ErrUncertain: see there; after any other error
// nothing has changed.
func (f *Folder) Commit(ctx context.Context, m store.Manifest) error {
	if err := f.commit(ctx, m); err != nil {
		return fmt.Errorf("commit manifest %d of %s/%s: %w", m.Number, f.name, m.Chain, err)
	}
	return nil
}

func (f *Folder) commit(ctx context.Context, m store.Manifest) error {
	v, err := f.s.view(f.name, m.Chain)
	if err != nil {
		return err
	}
	if err := f.accept(ctx, v, m); err != nil {
		return err
	}
	if err := f.age(v, m); err != nil {
		return err
	}
	return f.supersede(ctx, v, m)
}

// supersede makes m the newest manifest of the chain that v looked at.
func (f *Folder) supersede(ctx context.Context, v *view, m store.Manifest) error {
	data, err := m.Encode()
	if err != nil {
		return err
	}
	for _, dir := range []string{v.dir, f.name, "."} {
		if err := syncFolder(f.s.fsys, dir); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.publish(v.dir, m.Number, data); err != nil {
		return err
	}
	// The point exists. What is not removed now is a leftover.
	_ = f.s.fsys.Remove(path.Join(v.dir, store.ManifestName(m.Number)+temporarySuffix))
	for _, n := range v.numbers {
		if n <= m.Number-kept {
			_ = f.s.fsys.Remove(path.Join(v.dir, store.ManifestName(n)))
		}
	}
	return nil
}

// accept says why m cannot follow what is there.
func (f *Folder) accept(ctx context.Context, v *view, m store.Manifest) error {
	newest := 0
	if n := len(v.numbers); n > 0 {
		newest = v.numbers[n-1]
	}
	switch {
	case v.stuck:
		return fmt.Errorf("the chain is damaged: %s", v.manifest.Closed)
	case v.manifest.Deleted:
		return errors.New("the chain has been released")
	case m.StoreID != f.s.ID():
		return fmt.Errorf("it is for store %s, this is %s", m.StoreID, f.s.ID())
	case m.Number != newest+1:
		return fmt.Errorf("the newest is %d", newest)
	case newest > 0 && m.ChainNumber != v.manifest.ChainNumber:
		return fmt.Errorf("chain number %d, it was %d", m.ChainNumber, v.manifest.ChainNumber)
	}
	if err := f.acceptChain(ctx, m, newest == 0); err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, p := range v.manifest.Points {
		for _, file := range pointFiles(p) {
			listed[file.name] = true
		}
	}
	for _, p := range m.Points {
		for _, file := range pointFiles(p) {
			if err := f.acceptFile(v, file, listed[file.name]); err != nil {
				return fmt.Errorf("file %s: %w", file.name, err)
			}
		}
	}
	return nil
}

// acceptChain compares m with the other chains of the folder.
func (f *Folder) acceptChain(ctx context.Context, m store.Manifest, fresh bool) error {
	d, err := f.s.Domain(ctx, f.name)
	if err != nil {
		return err
	}
	for _, c := range d.Chains {
		if c.Manifest.UUID != "" && c.Manifest.UUID != m.UUID {
			return fmt.Errorf("the folder belongs to domain %s", c.Manifest.UUID)
		}
	}
	d.Chains = slices.DeleteFunc(d.Chains, func(c store.Chain) bool { return c.Name == m.Chain }) // its files may be there already
	if next := d.NextChain(); fresh && m.ChainNumber != next {
		return fmt.Errorf("chain number %d, the next of the folder is %d", m.ChainNumber, next)
	}
	return nil
}

// acceptFile wants a new file to be durable and of the recorded size. What is
// wrong with a file that is listed already is for plan and check to report.
func (f *Folder) acceptFile(v *view, file pointFile, listed bool) error {
	if listed {
		return nil
	}
	f.mu.Lock()
	state, ours := f.files[path.Join(path.Base(v.dir), file.name)]
	f.mu.Unlock()
	if !ours {
		return errors.New("not written under this lock")
	}
	if state != nil {
		return state
	}
	detail, err := v.wrong(file)
	if detail != "" {
		return errors.New(detail)
	}
	return err
}

// publish writes a manifest that must not exist, all of it or nothing.
func (f *Folder) publish(dir string, number int, data []byte) error {
	name := path.Join(dir, store.ManifestName(number))
	temporary := name + temporarySuffix
	if err := f.s.fsys.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createFile(f.s.fsys, temporary, data); err != nil {
		return err
	}
	if err := f.held(); err != nil {
		return err
	}
	linkErr := f.s.fsys.Link(temporary, name)
	if linkErr != nil { // on NFS a link can be made and its reply be lost
		there, err := readFile(f.s.fsys, name, store.MaxManifest)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Equal(there, data) {
			return linkErr
		}
		if err != nil {
			return fmt.Errorf("%w: %w", store.ErrUncertain, errors.Join(linkErr, err))
		}
	}
	if err := syncFolder(f.s.fsys, dir); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUncertain, err)
	}
	return nil
}
