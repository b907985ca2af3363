package local_test

import (
	"errors"
	"io/fs"
	"path"
	"testing"

	"vbk/store"
	"vbk/store/local"
)

// TestRelease: a reader keeps the files, not the points; what it has opened
// it can read to the end.
func TestRelease(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys local.FS) {
		w := newWorld(1)
		s := w.init(t, fsys)
		m := w.chainOf(t, s, 2)
		second := w.chainOf(t, s, 1)
		r, err := s.OpenChain(folder, m.Chain)
		if err != nil {
			t.Fatal(err)
		}
		f := lock(t, s)
		if err := f.Release(ctx, m.Chain); !errors.Is(err, store.ErrInUse) {
			t.Errorf("release: %v", err)
		}
		d, err := f.Look(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Chains) != 1 || d.Chains[0].Name != second.Chain || len(d.Leftovers) != 8 {
			t.Errorf("found %+v", d)
		}
		if _, err := s.OpenChain(folder, m.Chain); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open: %v", err)
		}
		if err := f.RemoveLeftovers(ctx, d.Leftovers); !errors.Is(err, store.ErrInUse) {
			t.Errorf("remove: %v", err)
		}
		for _, p := range r.Manifest().Points {
			src, err := r.Open(p.Disks[0].File)
			if err != nil {
				t.Fatal(err)
			}
			if src.Size() != p.Disks[0].FileSize {
				t.Errorf("size %d", src.Size())
			}
			if _, err := r.ReadFile(p.Files[0].Name); err != nil {
				t.Error(err)
			}
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		// One leftover of a released chain stands for all: alone it would
		// bring the chain back.
		if err := f.RemoveLeftovers(ctx, []string{path.Join(m.Chain, store.ManifestName(3))}); err != nil {
			t.Error(err)
		}
		if err := f.Release(ctx, m.Chain); err != nil {
			t.Errorf("release of what is gone: %v", err)
		}
		unlock(t, f)
		if d := domain(t, s); len(d.Chains) != 1 || len(d.Leftovers) > 0 {
			t.Errorf("then %+v", d)
		}
		clean(t, s)
	})
}

// TestReaderRefuses names that lead elsewhere and content that has changed.
func TestReaderRefuses(t *testing.T) {
	_, fsys, s, m := damaged(t)
	r, err := s.OpenChain(folder, m.Chain)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, name := range []string{"", "..", "../lock", "../../vbk.json", "/etc/passwd", "none"} {
		if _, err := r.Open(name); err == nil {
			t.Errorf("opened %q", name)
		}
		if _, err := r.ReadFile(name); err == nil {
			t.Errorf("read %q", name)
		}
	}
	xml := m.Points[1].Files[0].Name
	if err := fsys.Flip(path.Join(folder, m.Chain, xml), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadFile(xml); err == nil {
		t.Error("read a changed file")
	}
	for _, chain := range []string{"", "..", "20270101T000000Z-0000"} {
		if _, err := s.OpenChain(folder, chain); err == nil {
			t.Errorf("opened chain %q", chain)
		}
	}
}
