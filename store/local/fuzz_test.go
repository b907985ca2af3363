package local_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
)

// spoil edits texts by a script, which is short, so that the fuzzer learns what it
// is about: each 6 bytes are a text, what is done to it, and where.
func spoil(texts [][]byte, script []byte) {
	for ; len(script) >= 6; script = script[6:] {
		text := &texts[int(script[0])%len(texts)]
		at := int(binary.BigEndian.Uint16(script[2:]))
		if len(*text) == 0 {
			continue
		}
		front, back := at%len(*text), len(*text)-1-at%min(len(*text), 4096)
		switch script[1] % 7 {
		case 0:
			(*text)[front] = script[4]
		case 1: // the footer
			(*text)[back] = script[4]
		case 2:
			*text = (*text)[:front]
		case 3: // at a border of the format
			*text = (*text)[:front/4096*4096]
		case 4:
			*text = append(*text, slices.Repeat(script[4:5], int(script[5]))...)
		case 5:
			copy((*text)[front:], script[4:6])
		case 6: // the file of another point
			*text = slices.Clone(texts[int(script[4])%len(texts)])
		}
	}
}

// FuzzRebuild spoils and exchanges the files of a chain whose manifests are lost:
// whatever they are, what is listed has its files, builds on what is listed, and
// nothing is deleted.
func FuzzRebuild(f *testing.F) {
	w, disk := newWorld(1), storetest.NewDisk()
	s := w.init(f, disk)
	m := w.chainOf(f, s, 3)
	dir := path.Join(folder, m.Chain)
	var seeds [][]byte
	for _, p := range m.Points {
		seeds = append(seeds, read(f, disk, path.Join(dir, p.Disks[0].File)))
	}
	remove(f, disk, path.Join(dir, store.ManifestName(1)), path.Join(dir, store.ManifestName(2)), path.Join(dir, store.ManifestName(3)))
	f.Add([]byte(nil))
	f.Add([]byte{0, 6, 0, 0, 1, 0, 1, 6, 0, 0, 2, 0})
	f.Add([]byte{1, 0, 0, 60, '9', 0, 2, 1, 0, 5, 1, 0})
	f.Add([]byte{0, 2, 0, 5, 0, 0, 1, 3, 0x20, 0, 0, 0, 2, 4, 0, 0, 1, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		disk := disk.Crash(storetest.Keep)
		s, err := local.OpenOn(disk, "test")
		if err != nil {
			t.Fatal(err)
		}
		texts := [][]byte{slices.Clone(seeds[0]), slices.Clone(seeds[1]), slices.Clone(seeds[2])}
		spoil(texts, script)
		for n, text := range texts {
			replace(t, disk, path.Join(dir, m.Points[n].Disks[0].File), string(text))
		}
		before := len(names(t, disk, dir))
		l := lock(t, s)
		got, _, err := l.Rebuild(ctx, m.Chain, start, "test")
		unlock(t, l)
		added := 0
		if err == nil {
			added = 1
			for _, p := range domain(t, s).Chains[0].Problems {
				t.Errorf("problem: %+v", p)
			}
			if len(got.Points) == 0 {
				t.Error("it lists no point")
			}
		}
		if after := len(names(t, disk, dir)); after != before+added {
			t.Errorf("%d files, there were %d", after, before)
		}
	})
}

// FuzzRecord takes any bytes for what a run left in the lock file: the lock can be
// taken, whoever has it knows that there was something, and once that is dealt
// with nothing is left.
func FuzzRecord(f *testing.F) {
	disk := storetest.NewDisk()
	w := newWorld(1)
	s := w.init(f, disk)
	w.chainOf(f, s, 1)
	l := lock(f, s)
	if err := l.Record(rec(7)); err != nil {
		f.Fatal(err)
	}
	if err := l.Abandon(); err != nil {
		f.Fatal(err)
	}
	log := path.Join(folder, "lock")
	good := read(f, disk, log)
	f.Add(good)
	f.Add(good[:len(good)-9])
	f.Add([]byte("\n\n \n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		disk := disk.Crash(storetest.Keep)
		replace(t, disk, log, string(text))
		s, err := local.OpenOn(disk, "test")
		if err != nil {
			t.Fatal(err)
		}
		if d := domain(t, s); (d.Attempt != nil) != (len(text) > 0) {
			t.Errorf("%d bytes are the attempt %+v", len(text), d.Attempt)
		}
		l := lock(t, s)
		if (l.Previous() != nil) != (len(text) > 0) {
			t.Errorf("%d bytes are the attempt %+v", len(text), l.Previous())
		}
		if err := l.Record(rec(8)); err != nil {
			t.Fatal(err)
		}
		unlock(t, l)
		if d := domain(t, s); d.Attempt != nil {
			t.Errorf("left: %+v", d.Attempt)
		}
		clean(t, s)
	})
}

// FuzzTree takes any tree of files, folders and symbolic links, under the names that
// a store has, for a store, and does all that can be done to it. What lies outside
// is never read, changed or deleted.
func FuzzTree(f *testing.F) {
	w, disk := newWorld(1), storetest.NewDisk()
	m := w.chainOf(f, w.init(f, disk), 2)
	inChain := func(name string) string { return path.Join(folder, m.Chain, name) }
	places := []string{
		"vbk.json", folder, path.Join(folder, "lock"), path.Join(folder, m.Chain),
		inChain(store.ManifestName(1)), inChain(store.ManifestName(2)), inChain(store.ManifestName(3)), inChain(store.ManifestName(4) + ".tmp"),
		inChain(m.Points[0].Disks[0].File), inChain(m.Points[1].Disks[0].File), inChain(m.Points[0].Files[0].Name),
		inChain("vda.inc.2.0000000a.v3"), path.Join(folder, "20261123T013000Z-0001"), "other-00000001", "other-00000001/20261123T013000Z-0001",
	}
	f.Add([]byte{})
	f.Add([]byte{1, 2, 0})
	f.Add([]byte{3, 2, 1, 12, 1, 0})
	f.Add([]byte{8, 3, 0, 4, 3, 0, 6, 3, 2, 2, 3, 0})
	f.Add([]byte{11, 3, 0, 12, 2, 0, 14, 2, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		victim, dir := t.TempDir(), filepath.Join(t.TempDir(), "store")
		plant(t, victim)
		writeTree(t, disk, dir)
		for ; len(script) >= 3 && t.Context().Err() == nil; script = script[3:] {
			at := filepath.Join(dir, places[int(script[0])%len(places)])
			if real, err := filepath.EvalSymlinks(filepath.Dir(at)); err != nil || real != filepath.Dir(at) {
				continue
			}
			_ = os.RemoveAll(at) // each of these may fail: then the tree is another
			switch script[1] % 4 {
			case 0:
				_ = os.MkdirAll(at, 0o700)
			case 1:
				_ = os.WriteFile(at, read(t, disk, inChain(store.ManifestName(1+int(script[2])%2))), 0o600)
			case 2:
				_ = os.Symlink(victim, at)
			case 3:
				_ = os.Symlink(filepath.Join(victim, fmt.Sprint(script[2]%3)), at)
			}
		}
		doAll(dir)
		untouched(t, victim)
	})
}

// plant makes what nobody may touch.
func plant(t testing.TB, dir string) {
	t.Helper()
	for n := range 3 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), fmt.Append(nil, "precious ", n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func untouched(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("the canary has %v: %v", entries, err)
	}
	for n := range 3 {
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(n)))
		if err != nil || string(data) != fmt.Sprint("precious ", n) {
			t.Fatalf("canary %d is %q: %v", n, data, err)
		}
	}
}

// writeTree writes a disk into a directory.
func writeTree(t testing.TB, disk *storetest.Disk, dir string) {
	t.Helper()
	var walk func(name string)
	walk = func(name string) {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		entries, err := disk.List(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			below := path.Join(name, e.Name)
			if e.Mode.IsDir() {
				walk(below)
			} else if err := os.WriteFile(filepath.Join(dir, below), read(t, disk, below), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	walk(".")
}

// doAll does to a directory whatever a store can. All of it may fail.
func doAll(dir string) {
	if s, err := local.OpenPath(dir); err == nil {
		look(s)
	}
	s, err := local.Open(dir)
	if err != nil {
		return
	}
	look(s)
	_, _ = s.CheckRoot()
	for _, folder := range []string{folder, "other-00000001"} {
		l, err := s.Lock(ctx, folder, rec(1))
		if err != nil {
			continue
		}
		_ = l.Record(rec(2))
		d, _ := l.Look(ctx)
		_ = l.RemoveLeftovers(ctx, d.Leftovers)
		lost, _ := l.Lost()
		for _, chain := range lost {
			_, _, _ = l.Rebuild(ctx, chain, start, "test")
		}
		for _, c := range d.Chains {
			m := c.Manifest
			m.Number++
			_ = l.Commit(ctx, m)
			_ = l.Trim(ctx, c.Name)
			_ = l.Release(ctx, c.Name)
		}
		_ = l.Unlock()
	}
}

// look reads all that a store lists.
func look(s *local.Store) {
	found, _ := s.Domains(ctx)
	for _, d := range found {
		_, _ = s.Check(ctx, d.Folder, true)
		for _, c := range d.Chains {
			r, err := s.OpenChain(d.Folder, c.Name)
			if err != nil {
				continue
			}
			for _, p := range c.Manifest.Points {
				for _, f := range p.Files {
					data, err := r.ReadFile(f.Name)
					if err == nil && strings.HasPrefix(string(data), "precious") {
						panic("what lies outside is read: " + f.Name)
					}
				}
			}
			_ = r.Close()
		}
	}
}
