package local_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vbk/store"
	"vbk/store/local"
)

// copies makes a store of one domain with two points in a chain and copies it
// away, with modes that vbk would not give.
func copies(t *testing.T) (root, folderName, chain string) {
	t.Helper()
	w, dir := newWorld(7), filepath.Join(t.TempDir(), "store")
	s, err := local.Init(dir, start, w.random)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Lock(ctx, folder, store.Attempt{Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	m := w.newChain(s.ID(), 1)
	for range 2 {
		if m, err = w.next(f, m); err == nil {
			err = f.Commit(ctx, m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Unlock(); err != nil {
		t.Fatal(err)
	}
	root = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(root, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o755))
	})
	if err != nil {
		t.Fatal(err)
	}
	return root, folder, m.Chain
}

// TestOpenPath: a store, a domain's folder and a chain's folder read the same,
// wherever they were copied to and whatever they are called there.
func TestOpenPath(t *testing.T) {
	root, folder, chain := copies(t)
	renamed := filepath.Join(t.TempDir(), "renamed")
	paths := []string{root, filepath.Join(root, folder), filepath.Join(root, folder, chain), renamed + "-domain", renamed + "-chain"}
	for i, from := range paths[1:3] {
		if err := os.CopyFS(paths[3+i], os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(paths[1], link); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, link) {
		s, err := local.OpenPath(path)
		if err != nil {
			t.Fatal(err)
		}
		domains, err := s.Domains(ctx)
		if err != nil || len(domains) != 1 || domains[0].UUID != uuid || domains[0].Folder != folder || len(domains[0].Chains) != 1 || len(domains[0].Chains[0].Problems) > 0 {
			t.Fatalf("%s: %+v %v", path, domains, err)
		}
		if findings, err := s.Check(ctx, folder, true); err != nil || len(findings) > 0 {
			t.Errorf("%s: %+v %v", path, findings, err)
		}
		r, err := s.OpenChain(folder, chain)
		if err != nil {
			t.Fatal(err)
		}
		p := r.Manifest().Points[1]
		text, err := r.ReadFile(p.Files[0].Name)
		if err != nil || !bytes.Equal(text, xmlOf(chain, 1)) || r.Unlocked() != nil {
			t.Errorf("%s: %q %v, lock %v", path, text, err, r.Unlocked())
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOpenPathWritesNothing: what is opened by its path is not changed, not even
// by a lock record.
func TestOpenPathWritesNothing(t *testing.T) {
	root, folder, chain := copies(t)
	list := func() (names []string) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if info, statErr := d.Info(); err == nil && statErr == nil {
				names = append(names, path+info.ModTime().String())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	before := list()
	for _, path := range []string{root, filepath.Join(root, folder), filepath.Join(root, folder, chain)} {
		s, err := local.OpenPath(path)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := s.Lock(context.Background(), folder, store.Attempt{Host: "h"}); err == nil {
			t.Errorf("%s: a folder is locked for writing: %v", path, f.Unlock())
		}
		if s.Writable() == nil {
			t.Errorf("%s is writable", path)
		}
	}
	if after := list(); !slices.Equal(before, after) {
		t.Errorf("it was changed:\n%v\n%v", before, after)
	}
}

// lockless is a file system without locks, as some network file systems are.
type lockless struct{ local.FS }

func (l lockless) Open(name string) (local.Handle, error) {
	h, err := l.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return locklessHandle{h}, nil
}

type locklessHandle struct{ local.Handle }

var errLockless = errors.New("no locks available")

func (locklessHandle) Lock(bool) error { return errLockless }

// TestOpenPathWithoutLocks: a chain is read all the same, and says so; by its
// store it is not.
func TestOpenPathWithoutLocks(t *testing.T) {
	root, folder, chain := copies(t)
	fsys, err := local.OpenFS(root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := local.OpenOn(lockless{fsys}, root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenChain(folder, chain); !errors.Is(err, errLockless) {
		t.Errorf("open by store: %v", err)
	}
	if s, err = local.OpenPathOn(lockless{fsys}, root); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Domain(ctx, folder); err != nil || d.Locked {
		t.Errorf("survey: %+v %v", d, err)
	}
	r, err := s.OpenChain(folder, chain)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(r.Unlocked(), errLockless) {
		t.Errorf("lock: %v", r.Unlocked())
	}
	if findings, err := s.Check(ctx, folder, true); err != nil || len(findings) > 0 {
		t.Errorf("%+v %v", findings, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenPathInUse: who deletes a chain holds its lock; then it is not read by
// its path either.
func TestOpenPathInUse(t *testing.T) {
	root, folder, chain := copies(t)
	fsys, err := local.OpenFS(root)
	if err != nil {
		t.Fatal(err)
	}
	h, err := fsys.Open(folder + "/" + chain)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Lock(true); err != nil {
		t.Fatal(err)
	}
	s, err := local.OpenPath(filepath.Join(root, folder, chain))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenChain(folder, chain); !errors.Is(err, store.ErrInUse) {
		t.Errorf("open: %v", err)
	}
}

// TestOpenPathRefuses what is not there or cannot be trusted.
func TestOpenPathRefuses(t *testing.T) {
	root, folder, chain := copies(t)
	inChain := filepath.Join(root, folder, chain)
	if _, err := local.OpenPath(t.TempDir()); !errors.Is(err, local.ErrNoManifest) {
		t.Errorf("empty directory: %v", err)
	}
	if _, err := local.OpenPath(filepath.Join(root, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	// An older manifest opens the chain; that the newest is damaged is a problem.
	spoil := func(name string) {
		if err := os.WriteFile(filepath.Join(inChain, name), []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil(store.ManifestName(2))
	s, err := local.OpenPath(inChain)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Domain(ctx, folder)
	if err != nil || len(d.Chains) != 1 || len(d.Chains[0].Problems) == 0 || !d.Chains[0].Sound(0) {
		t.Errorf("%+v %v", d, err)
	}
	spoil(store.ManifestName(1))
	for _, path := range []string{inChain, filepath.Dir(inChain)} {
		if _, err := local.OpenPath(path); !errors.Is(err, local.ErrBadManifests) || !strings.Contains(err.Error(), store.ManifestName(2)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "vbk.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := local.OpenPath(root); err == nil || errors.Is(err, local.ErrNoManifest) {
		t.Errorf("damaged mark: %v", err)
	}
}
