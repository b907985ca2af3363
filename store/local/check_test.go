package local_test

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// TestCheckFindsEveryFile: a bit flipped in any file of a chain is found, and
// blamed on that file.
func TestCheckFindsEveryFile(t *testing.T) {
	_, fsys, s, m := damaged(t)
	dir := path.Join(folder, m.Chain)
	entries, err := fsys.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		stride := max(1, int(e.Size)/7)
		for offset := 0; offset < int(e.Size); offset += stride {
			flip := func() {
				if err := fsys.Flip(path.Join(dir, e.Name), offset); err != nil {
					t.Fatal(err)
				}
			}
			flip()
			findings, err := s.Check(ctx, folder, true)
			if err != nil || !slices.ContainsFunc(findings, func(f store.Finding) bool { return f.File == e.Name }) {
				t.Errorf("%s, byte %d: %+v, %v", e.Name, offset, findings, err)
			}
			flip()
		}
	}
	clean(t, s)
}

// TestCheckTells: whoever asks is told of every byte of the data files, and the store
// itself tells nobody.
func TestCheckTells(t *testing.T) {
	_, _, s, m := damaged(t)
	var told atomic.Int64
	findings, err := s.Telling(func(bytes int64) { told.Add(bytes) }).Check(ctx, folder, true)
	if err != nil || len(findings) > 0 {
		t.Fatalf("%+v, %v", findings, err)
	}
	size := int64(0)
	for _, p := range m.Points {
		for _, d := range p.Disks {
			size += d.FileSize
		}
	}
	if n := told.Load(); n < size*9/10 || n > size*11/10 {
		t.Errorf("told of %d bytes, the files have %d", n, size)
	}
	told.Store(0)
	clean(t, s)
	if n := told.Load(); n != 0 {
		t.Errorf("told of %d bytes after that", n)
	}
}

// TestCheckFindsSwap: whole and valid files in each other's place.
func TestCheckFindsSwap(t *testing.T) {
	_, fsys, s, m := damaged(t)
	dir := path.Join(folder, m.Chain)
	a, _ := m.Points[1].Disk("vda")
	b, _ := m.Points[2].Disk("vda")
	if a.FileSize != b.FileSize {
		t.Fatalf("files have %d and %d bytes", a.FileSize, b.FileSize)
	}
	textA, textB := read(t, fsys, path.Join(dir, a.File)), read(t, fsys, path.Join(dir, b.File))
	replace(t, fsys, path.Join(dir, a.File), string(textB))
	replace(t, fsys, path.Join(dir, b.File), string(textA))
	findings, err := s.Check(ctx, folder, false)
	if err != nil {
		t.Fatal(err)
	}
	blamed := fmt.Sprint(findings)
	for _, want := range []string{a.File, b.File, "sequence is 2, the manifest says 1", "footer hash"} {
		if !strings.Contains(blamed, want) {
			t.Errorf("%q is not in %s", want, blamed)
		}
	}
}

// TestCheckFindsCutOffImport: files without a manifest, which nothing removes, are
// told, unless they are just being taken in.
func TestCheckFindsCutOffImport(t *testing.T) {
	from, to, w := storetest.NewDisk(), storetest.NewDisk(), newWorld(1)
	put(t, from, "vda.copy.data", strings.Repeat("x", 512))
	s := w.init(t, to)
	f := lock(t, s)
	m := adopted(w, s, 512)
	if _, err := f.Adopt(m.Chain, from, "vda.copy.data", "vda.copy.data"); err != nil {
		t.Fatal(err)
	}
	clean(t, s)
	unlock(t, f)
	findings, err := s.Check(ctx, folder, false)
	if err != nil || len(findings) != 1 || findings[0].File != "vda.copy.data" || findings[0].From != store.NoPoint {
		t.Errorf("found %+v, %v", findings, err)
	}
}

// TestCheckInUse: a chain whose lock is held by who removes leftovers of it is
// not sound unseen; one that is being deleted is not missed.
func TestCheckInUse(t *testing.T) {
	w, fsys, s, m := damaged(t)
	sound := w.chainOf(t, s, 1)
	hold := func(chain string) local.Handle {
		h, err := fsys.Open(path.Join(folder, chain))
		if err == nil {
			err = h.Lock(true)
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if err := fsys.Flip(path.Join(folder, sound.Chain, sound.Points[0].Disks[0].File), 100); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		h := hold(m.Chain)
		findings, err := s.Check(ctx, folder, true)
		if !errors.Is(err, store.ErrInUse) || !strings.Contains(fmt.Sprint(err), m.Chain+": could not be checked") {
			t.Errorf("check: %v", err)
		}
		if len(findings) == 0 { // the other chain
			t.Error("one chain in use hid the damage of another")
		}
		go func() {
			time.Sleep(20 * time.Millisecond)
			_ = h.Close()
		}()
		if _, err := s.Check(ctx, folder, true); err != nil {
			t.Errorf("check while the lock is let go: %v", err)
		}
	})

	gone := m
	gone.Number++
	gone.Points, gone.Deleted = nil, true
	data, err := gone.Encode()
	if err != nil {
		t.Fatal(err)
	}
	late := &releasing{FS: fsys, name: path.Join(folder, m.Chain), release: func() {
		put(t, fsys, path.Join(folder, m.Chain, store.ManifestName(gone.Number)), string(data))
	}}
	s, err = local.OpenOn(late, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer hold(m.Chain).Close()
	if _, err := s.Check(ctx, folder, true); err != nil || late.release != nil {
		t.Errorf("check while the chain is released: %v, released %t", err, late.release == nil)
	}
}

// releasing is an FS where somebody releases a chain right before its folder is
// opened.
type releasing struct {
	local.FS
	name    string
	release func()
}

func (r *releasing) Open(name string) (local.Handle, error) {
	if name == r.name && r.release != nil {
		r.release()
		r.release = nil
	}
	return r.FS.Open(name)
}

func TestCheckRoot(t *testing.T) {
	_, fsys, s, _ := damaged(t)
	roots := func() (all []string) {
		findings, err := s.CheckRoot()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.From != store.NoPoint || f.Chain != "" {
				t.Errorf("finding %+v", f)
			}
			all = append(all, f.File+": "+f.Detail)
		}
		return all
	}
	if all := roots(); len(all) > 0 {
		t.Errorf("in a new store: %q", all)
	}
	for _, dir := range []string{"lost+found", "photos", "db-00000001"} {
		if err := fsys.Mkdir(dir); err != nil {
			t.Fatal(err)
		}
	}
	put(t, fsys, "db-00000002", "a file")
	put(t, fsys, "vbk.json.0a1b2c3d", "")
	want := []string{"db-00000002: vbk did not make this", "photos: vbk did not make this", "vbk.json.0a1b2c3d: leftover: vbk init was cut off"}
	if d := cmp.Diff(want, roots()); d != "" {
		t.Errorf("findings: %s", d)
	}
}
