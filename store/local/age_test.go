package local_test

import (
	"fmt"
	"path"
	"testing"
	"time"

	"vbk/store"
	"vbk/store/local"
)

// TestAge: in a chain for virtnbdbackup files of later points are younger,
// whatever the clock says; files that vbk did not name stay as they are.
func TestAge(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys local.FS) {
		w := newWorld(1)
		s := w.init(t, fsys)
		m := w.newChain(s.ID(), 1)
		m.Stream = store.VirtNBDBackup
		f, err := s.Lock(ctx, folder, store.Attempt{Host: "here"})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for n := range 4 {
			p := store.Point{Sequence: n, Kind: store.Increment, Parent: n - 1, Attempt: w.attempt(), Start: start, End: start}
			kind := "inc"
			if n == 0 {
				p.Kind, kind = store.Full, "full"
			}
			name := store.StreamFileName("vda", kind, store.CheckpointName(m.StoreID, m.Chain, p.Attempt, n))
			file, err := f.Write(m.Chain, name, fmt.Appendf(nil, "%d", n))
			if err != nil {
				t.Fatal(err)
			}
			if err := fsys.Touch(path.Join(folder, m.Chain, name), start.Add(-time.Duration(n)*time.Hour)); err != nil { // the clock runs backwards
				t.Fatal(err)
			}
			names = append(names, name)
			p.Disks = []store.PointDisk{{Target: "vda", File: name, Base: n == 0, Size: 1, FileSize: file.Size}}
			m.Points = append(m.Points, p)
			m.Number++
			if err := f.Commit(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		var last time.Time
		for _, name := range names {
			e, err := fsys.Stat(path.Join(folder, m.Chain, name))
			if err != nil || !e.Time.After(last) {
				t.Errorf("%s is of %v, the one before it of %v: %v", name, e.Time, last, err)
			}
			last = e.Time
		}
		if first, err := fsys.Stat(path.Join(folder, m.Chain, names[0])); err != nil || !first.Time.Equal(start) {
			t.Errorf("the first is of %v, %v", first.Time, err)
		}
	})
}
