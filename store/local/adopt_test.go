package local_test

import (
	"bytes"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
)

// adopted is the manifest of a chain with one adopted file.
func adopted(w *world, s *local.Store, size int64) store.Manifest {
	m := w.newChain(s.ID(), 1)
	m.Number, m.Stream, m.HashKey = 1, store.VirtNBDBackup, ""
	m.Points = []store.Point{{Kind: store.Full, Parent: -1, Attempt: w.attempt(), Start: start,
		Disks: []store.PointDisk{{Target: "vda", File: "vda.copy.data", Base: true, RawImage: true, Size: size, FileSize: size}}}}
	return m
}

// TestAdopt: a file gets a second name and nothing else happens to it; it can be
// done again; what is released or never listed is not lost in its own folder.
func TestAdopt(t *testing.T) {
	pairs := map[string]func(t *testing.T) (from, to local.FS){
		"memory": func(*testing.T) (from, to local.FS) { return storetest.NewDisk(), storetest.NewDisk() },
		"directory": func(t *testing.T) (from, to local.FS) {
			a, err := local.OpenFS(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			b, err := local.OpenFS(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return a, b
		},
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			from, to := pair(t)
			content := strings.Repeat("x", 512)
			put(t, from, "vda.copy.data", content)
			put(t, from, "other", "y")
			w := newWorld(1)
			s := w.init(t, to)
			f := lock(t, s)
			m := adopted(w, s, 512)
			for range 2 {
				if size, err := f.Adopt(m.Chain, from, "vda.copy.data", "vda.copy.data"); err != nil || size != 512 {
					t.Fatalf("%d, %v", size, err)
				}
			}
			for what, err := range map[string]error{
				"another file under that name": second(f.Adopt(m.Chain, from, "other", "vda.copy.data")),
				"no such file":                 second(f.Adopt(m.Chain, from, "nothing", "nothing")),
				"a name of the store":          second(f.Adopt(m.Chain, from, "other", "chain.000001.json")),
				"a path":                       second(f.Adopt(m.Chain, from, "other", "../other")),
				"a path in the source":         second(f.Adopt(m.Chain, from, "../other", "other")),
				"no chain":                     second(f.Adopt("x", from, "other", "other")),
			} {
				if err == nil {
					t.Errorf("adopted: %s", what)
				}
			}
			if d := domain(t, s); len(d.Leftovers) > 0 {
				t.Errorf("leftovers before the commit: %v", d.Leftovers)
			}
			if err := f.Commit(ctx, m); err != nil {
				t.Fatal(err)
			}
			described, err := f.Describe(m.Chain, "vda.copy.data")
			if err != nil || described.Size != 512 || described.Hash != store.Hash([]byte(content)) {
				t.Errorf("%+v, %v", described, err)
			}
			if d := domain(t, s); len(d.Chains) != 1 || len(d.Chains[0].Problems) > 0 {
				t.Errorf("%+v", d)
			}
			if err := f.Release(ctx, m.Chain); err != nil {
				t.Fatal(err)
			}
			unlock(t, f)
			if d := domain(t, s); len(d.Chains)+len(d.Leftovers) > 0 {
				t.Errorf("after its release: %+v", d)
			}
			if got := read(t, from, "vda.copy.data"); !bytes.Equal(got, []byte(content)) {
				t.Errorf("its own folder has %d bytes", len(got))
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// TestAdoptIsDurable: what is listed is there after a power failure, though no
// vbk has written it.
func TestAdoptIsDurable(t *testing.T) {
	from, to, w := storetest.NewDisk(), storetest.NewDisk(), newWorld(1)
	h, err := from.Create("vda.copy.data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Write(make([]byte, 512)); err != nil { // and nobody syncs it
		t.Fatal(err)
	}
	s := w.init(t, to)
	f := lock(t, s)
	m := adopted(w, s, 512)
	if _, err := f.Adopt(m.Chain, from, "vda.copy.data", "vda.copy.data"); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(ctx, m); err != nil {
		t.Fatal(err)
	}
	after := to.Crash(storetest.Lose)
	if got := read(t, after, path.Join(folder, m.Chain, "vda.copy.data")); len(got) != 512 {
		t.Errorf("%d bytes are left", len(got))
	}
}

// TestAdoptRefusesLinks: a symbolic link, in any part of a name, and what is no
// file.
func TestAdoptRefusesLinks(t *testing.T) {
	dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("s"), 0o600), os.Symlink(secret, filepath.Join(dir, "vda.full.data")),
		os.Symlink(filepath.Dir(secret), filepath.Join(dir, "checkpoints")), os.Mkdir(filepath.Join(dir, "folder"), 0o700)); err != nil {
		t.Fatal(err)
	}
	from, err := local.OpenFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(1)
	s, err := local.Init(filepath.Join(t.TempDir(), "s"), start, w.random)
	if err != nil {
		t.Fatal(err)
	}
	f := lock(t, s)
	defer unlock(t, f)
	for _, name := range []string{"vda.full.data", "checkpoints/secret", "folder"} {
		if _, err := f.Adopt(w.newChain(s.ID(), 1).Chain, from, name, "vda.full.data"); err == nil {
			t.Errorf("adopted %s", name)
		}
	}
}

// TestAdoptElsewhere: nothing is copied between file systems.
func TestAdoptElsewhere(t *testing.T) {
	from, err := local.OpenFS("/proc/self")
	if err != nil {
		t.Skip(err)
	}
	w := newWorld(1)
	s, err := local.Init(filepath.Join(t.TempDir(), "s"), start, w.random)
	if err != nil {
		t.Fatal(err)
	}
	f := lock(t, s)
	defer unlock(t, f)
	if _, err := f.Adopt(w.newChain(s.ID(), 1).Chain, from, "status", "vda.full.data"); !errors.Is(err, local.ErrOtherFileSystem) {
		t.Errorf("adopt: %v", err)
	}
}
