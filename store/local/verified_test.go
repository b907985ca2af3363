package local_test

import (
	"path"
	"strings"
	"testing"
	"time"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// record verifies points and records what was found.
func record(t *testing.T, s *local.Store, m store.Manifest, at time.Time, sequences ...int) {
	t.Helper()
	var all []store.Verified
	for _, n := range sequences {
		found, err := s.VerifyPoint(ctx, folder, m.Chain, n, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		found.Read = at
		all = append(all, found)
	}
	if err := s.RecordVerified(ctx, folder, m.Chain, "test", all); err != nil {
		t.Fatal(err)
	}
}

// TestVerified: damage that names and sizes do not show is found by reading the files
// of one point, remembered, and costs the points that need the file, also those that
// come later; nothing else. When the file is sound again, reading it says so.
func TestVerified(t *testing.T) {
	w, fsys, s, m := damaged(t)
	bad, _ := m.Points[2].Disk("vda")
	file := path.Join(folder, m.Chain, bad.File)
	if err := fsys.Flip(file, 4096+5); err != nil { // in the first chunk
		t.Fatal(err)
	}
	if d := domain(t, s); len(d.Chains[0].Problems) > 0 {
		t.Fatalf("a survey sees %+v", d.Chains[0].Problems)
	}
	first := start.Add(time.Hour)
	record(t, s, m, first, 0, 1, 2)
	c := domain(t, s).Chains[0]
	if len(c.Problems) != 1 || c.Problems[0].File != bad.File || !strings.Contains(c.Problems[0].Detail, "65536 bytes at 0 are lost") || !strings.Contains(c.Problems[0].Detail, "as read on 2026-11-22 02:30 UTC") {
		t.Fatalf("problems are %+v", c.Problems)
	}
	for n, sound := range []bool{true, true, false, false} {
		if c.Sound(n) != sound {
			t.Errorf("point %d is sound: %v", n, !sound)
		}
	}
	for n, want := range []time.Time{first, first, first, m.Points[3].End} {
		if got := c.LastRead(m.Points[n]); !got.Equal(want) {
			t.Errorf("point %d was read %s, want %s", n, got, want)
		}
	}
	f := lock(t, s)
	m = w.grow(t, f, m, "vda", "vdb")
	unlock(t, f)
	if c := domain(t, s).Chains[0]; c.Sound(4) || len(c.Verifications) != 3 {
		t.Errorf("point 4 builds on what is damaged: %+v", c.Problems)
	}
	if err := fsys.Flip(file, 4096+5); err != nil {
		t.Fatal(err)
	}
	record(t, s, m, first.Add(time.Hour), 2)
	if c := domain(t, s).Chains[0]; len(c.Problems) > 0 {
		t.Errorf("problems are %+v", c.Problems)
	}
	clean(t, s)
}

// TestVerifyPointReadsItsOwn: as many bytes are read as the point's own files have,
// a little more for their ends.
func TestVerifyPointReadsItsOwn(t *testing.T) {
	_, _, s, m := damaged(t)
	for _, p := range m.Points {
		var read, size int64
		if _, err := s.VerifyPoint(ctx, folder, m.Chain, p.Sequence, func(n int64) { read += n }); err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Disks {
			size += d.FileSize
		}
		if read < size || read > size*3/2 {
			t.Errorf("of %d bytes of point %d %d were read", size, p.Sequence, read)
		}
	}
	if _, err := s.VerifyPoint(ctx, folder, m.Chain, 17, func(int64) {}); err == nil {
		t.Error("a point that is not there was verified")
	}
}

// TestVerifiedCrash: whenever the power fails, what was known before is known, or what
// was to be recorded; and the chain is as it was.
func TestVerifiedCrash(t *testing.T) {
	_, disk, s, m := damaged(t)
	record(t, s, m, start.Add(time.Hour), 0)
	before := domain(t, s).Chains[0]
	after := store.Verified{Sequence: 1, Attempt: m.Points[1].Attempt, Read: start.Add(2 * time.Hour)}
	for steps := 1; ; steps++ {
		for _, fate := range []storetest.Fate{storetest.Keep, storetest.Lose} {
			crashed := disk.Crash(storetest.Keep)
			faults := &storetest.Faults{FS: crashed, At: steps, Die: true}
			o, err := local.OpenOn(faults, "test")
			if err == nil {
				err = o.RecordVerified(ctx, folder, m.Chain, "test", []store.Verified{after})
			}
			if faults.Fired() == (err == nil) {
				t.Fatalf("step %d: fired %v: %v", steps, faults.Fired(), err)
			}
			rebooted := crashed.Crash(fate)
			if s, err = local.OpenOn(rebooted, "test"); err != nil {
				t.Fatal(err)
			}
			clean(t, s)
			c := domain(t, s).Chains[0]
			if n := len(c.Verifications); n != 1 && n != 2 || !faults.Fired() && n != 2 {
				t.Errorf("step %d: %d points are known", steps, n)
			}
			if diff := cmp.Diff(before.Manifest, c.Manifest); diff != "" {
				t.Error(diff)
			}
			record(t, s, m, start.Add(3*time.Hour), 1, 2)
			if c := domain(t, s).Chains[0]; len(c.Verifications) != 3 {
				t.Errorf("step %d: afterwards %+v", steps, c.Verifications)
			}
			if !faults.Fired() {
				return
			}
		}
	}
}

// TestVerifiedGoes with its chain, and hides nothing that is not vbk's.
func TestVerifiedGoes(t *testing.T) {
	_, fsys, s, m := damaged(t)
	record(t, s, m, start, 0, 1, 2, 3)
	dir := path.Join(folder, m.Chain, store.VerifiedFolder)
	put(t, fsys, dir+"/notes.txt", "mine")
	findings, err := s.Check(ctx, folder, true)
	if err != nil || len(findings) != 1 || findings[0].File != "verified/notes.txt" || findings[0].From != store.NoPoint {
		t.Errorf("found %+v, %v", findings, err)
	}
	f := lock(t, s)
	for range 2 { // what is somebody else's stays, with the folders that hold it, and is told; nothing waits for it
		if err := f.Release(ctx, m.Chain); err != nil {
			t.Fatal(err)
		}
		if d := domain(t, s); len(d.Chains) > 0 || len(d.Leftovers) > 0 {
			t.Errorf("left are %+v", d)
		}
		if text := read(t, fsys, dir+"/notes.txt"); string(text) != "mine" {
			t.Errorf("the note holds %q", text)
		}
		if all := names(t, fsys, path.Join(folder, m.Chain)); len(all) != 1 {
			t.Errorf("left are %q", all)
		}
	}
	unlock(t, f)
	if findings, err = s.Check(ctx, folder, true); err != nil || len(findings) != 1 || findings[0].File != "verified/notes.txt" || findings[0].From != store.NoPoint {
		t.Errorf("found %+v, %v", findings, err)
	}
	remove(t, fsys, dir+"/notes.txt")
	if d := domain(t, s); len(d.Leftovers) != 2 { // both folders are empty now
		t.Errorf("left are %+v", d)
	}
	f = lock(t, s)
	defer unlock(t, f)
	if err := f.RemoveLeftovers(ctx, domain(t, s).Leftovers); err != nil {
		t.Fatal(err)
	}
	if entries, err := fsys.List(folder); err != nil || len(entries) != 1 {
		t.Errorf("left are %+v, %v", entries, err)
	}
}
