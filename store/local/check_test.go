package local_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"vbk/store"
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
