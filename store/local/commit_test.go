package local_test

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"vbk/store"
	"vbk/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// TestCommitRefuses: a manifest that does not follow what is there is refused
// and leaves the chain as it was.
func TestCommitRefuses(t *testing.T) {
	for name, spoil := range map[string]func(fsys *storetest.Disk, m *store.Manifest){
		"number again":  func(_ *storetest.Disk, m *store.Manifest) { m.Number-- },
		"number skips":  func(_ *storetest.Disk, m *store.Manifest) { m.Number++ },
		"other store":   func(_ *storetest.Disk, m *store.Manifest) { m.StoreID = "00000000" },
		"other domain":  func(_ *storetest.Disk, m *store.Manifest) { m.UUID = strings.Replace(m.UUID, "1", "2", 1) },
		"other number":  func(_ *storetest.Disk, m *store.Manifest) { m.ChainNumber++ },
		"other chain":   func(_ *storetest.Disk, m *store.Manifest) { m.Chain = "20270101T000000Z-0000" },
		"file unknown":  func(_ *storetest.Disk, m *store.Manifest) { m.Points[4].Files[0].Name = "4.00000001.x" },
		"size":          func(_ *storetest.Disk, m *store.Manifest) { m.Points[4].Files[0].Size++ },
		"contradictory": func(_ *storetest.Disk, m *store.Manifest) { m.Points[4].Parent = 9 },
		"file removed": func(fsys *storetest.Disk, m *store.Manifest) {
			_ = fsys.Remove(path.Join(folder, m.Chain, m.Points[4].Disks[0].File))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, fsys, s, m := damaged(t)
			f := lock(t, s)
			next, err := w.next(f, m)
			if err != nil {
				t.Fatal(err)
			}
			spoil(fsys, &next)
			if err := f.Commit(ctx, next); err == nil {
				t.Error("it is committed")
			}
			unlock(t, f)
			if d := domain(t, s); len(d.Chains) != 1 || !cmp.Equal(d.Chains[0].Manifest, m) {
				t.Errorf("found %+v", d)
			}
		})
	}
}

// TestCommitNeedsOwnFiles: a file of another session, or one that is still
// open, may not be durable.
func TestCommitNeedsOwnFiles(t *testing.T) {
	w, _, s, m := damaged(t)
	f := lock(t, s)
	next, err := w.next(f, m)
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, f)
	f = lock(t, s)
	defer unlock(t, f)
	if err := f.Commit(ctx, next); err == nil || !strings.Contains(err.Error(), "under this lock") {
		t.Errorf("commit: %v", err)
	}
	name := store.ExtraFileName(4, "00000001", "x")
	open, err := f.Create(m.Chain, name)
	if err != nil {
		t.Fatal(err)
	}
	m.Number++
	m.Points = append(m.Points, store.Point{Sequence: 4, Kind: store.Increment, Parent: 3, Attempt: "00000001",
		Files: []store.File{{Name: name, Hash: store.Hash(nil)}}})
	if err := f.Commit(ctx, m); err == nil || !strings.Contains(err.Error(), "not closed") {
		t.Errorf("commit: %v", err)
	}
	if err := errors.Join(open.Close(), f.Commit(ctx, m)); err != nil {
		t.Error(err)
	}
	if _, err := f.Create(m.Chain, name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create again: %v", err)
	}
	for _, name := range []string{"", "vda.v3", "lock", "chain.000009.json", "../4.00000001.x", ".4.00000001.x"} {
		if _, err := f.Create(m.Chain, name); err == nil {
			t.Errorf("created %q", name)
		}
	}
}

// TestKeptManifests: the last three stay.
func TestKeptManifests(t *testing.T) {
	_, fsys, _, m := damaged(t)
	entries, err := fsys.List(path.Join(folder, m.Chain))
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for _, e := range entries {
		if n, ok := store.ParseManifestName(e.Name); ok {
			numbers = append(numbers, n)
		}
	}
	if !slices.Equal(numbers, []int{2, 3, 4}) {
		t.Errorf("manifests %v", numbers)
	}
}
