package local_test

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/format"
	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// rebuilt takes the lock, rebuilds, and says what was left out, a line each.
func rebuilt(t *testing.T, s *local.Store, chain string) (m store.Manifest, left []string, err error) {
	t.Helper()
	f := lock(t, s)
	defer unlock(t, f)
	m, out, err := f.Rebuild(ctx, chain, start.Add(time.Hour), "later")
	for _, l := range out {
		left = append(left, strings.Join(l.Files, " ")+": "+l.Why)
	}
	return m, left, err
}

// lose removes or damages manifests; the newest is number 4.
func lose(t *testing.T, fsys *storetest.Disk, m store.Manifest, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		remove(t, fsys, path.Join(folder, m.Chain, store.ManifestName(n)))
	}
}

// TestRebuild: the headers bring every point back, as it was but for what only a
// manifest knows.
func TestRebuild(t *testing.T) {
	_, fsys, s, m := damaged(t)
	lose(t, fsys, m, 2, 3, 4)
	got, left, err := rebuilt(t, s, m.Chain)
	if err != nil || len(left) > 0 {
		t.Fatalf("%v, left out %q", err, left)
	}
	want := m
	want.Number, want.Written, want.Version = 1, start.Add(time.Hour), "later"
	want.Points = slices.Clone(m.Points)
	for n := range want.Points {
		p := &want.Points[n]
		p.Checkpoint = store.CheckpointName(s.ID(), m.Chain, p.Attempt, p.Sequence)
		p.Reason = "rebuilt from the headers of its files"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c := domain(t, s).Chains[0]
	if diff := cmp.Diff(want, c.Manifest); diff != "" {
		t.Errorf("committed: %s", diff)
	}
	readAll(t, s, c)
	clean(t, s)
	if _, _, err := rebuilt(t, s, m.Chain); err == nil || !strings.Contains(err.Error(), "nothing to rebuild") {
		t.Errorf("a readable manifest: %v", err)
	}
}

// TestRebuildRemembers: an older manifest still knows what headers do not tell. The
// number of the damaged one is not used again.
func TestRebuildRemembers(t *testing.T) {
	w, fsys, s, m := damaged(t)
	m.Number++
	m.Points[1].Protected = &store.Protection{By: "root", Why: "the audit"}
	f := lock(t, s)
	if err := f.Commit(ctx, m); err != nil {
		t.Fatal(err)
	}
	m = w.grow(t, f, m, "vda", "vdb")
	unlock(t, f)
	name := path.Join(folder, m.Chain, store.ManifestName(m.Number))
	if err := fsys.Flip(name, 100); err != nil {
		t.Fatal(err)
	}
	f = lock(t, s)
	if lost, err := f.Lost(); err != nil || !slices.Equal(lost, []string{m.Chain}) {
		t.Errorf("lost %v, %v", lost, err)
	}
	unlock(t, f)
	got, left, err := rebuilt(t, s, m.Chain)
	if err != nil || len(left) > 0 {
		t.Fatalf("%v, left out %q", err, left)
	}
	if !slices.Equal(sequences(got), []int{0, 1, 2, 3, 4}) || got.Number != m.Number+1 || !cmp.Equal(got.Points[:4], m.Points[:4]) {
		t.Errorf("manifest %d lists %v: %s", got.Number, sequences(got), cmp.Diff(m.Points[:4], got.Points[:4]))
	}
	d := domain(t, s)
	if len(d.Chains[0].Problems) > 0 || len(d.Leftovers) > 0 {
		t.Errorf("problems %v, leftovers %v", d.Chains[0].Problems, d.Leftovers)
	}
	readAll(t, s, d.Chains[0])
}

// TestRebuildLeavesOut: what is not whole, or hangs in the air, is not listed, is
// named, and nobody's cleaning up can delete it.
func TestRebuildLeavesOut(t *testing.T) {
	file := func(m store.Manifest, point int, target string) string {
		d, _ := m.Points[point].Disk(target)
		return path.Join(folder, m.Chain, d.File)
	}
	for name, test := range map[string]struct {
		spoil func(w *world, fsys *storetest.Disk, m store.Manifest)
		want  []int
		left  []string // what the lines have to say
	}{
		"a file is gone": {
			func(_ *world, fsys *storetest.Disk, m store.Manifest) { remove(t, fsys, file(m, 2, "vdb")) },
			[]int{0, 1}, []string{"point 2, attempt .*: there is no whole file of disk vdb", "2.*.domain.xml: it is of an attempt", "it builds on point 2, which is not there", "3.*.domain.xml"},
		},
		"a footer is damaged": {
			func(_ *world, fsys *storetest.Disk, m store.Manifest) {
				if err := fsys.Flip(file(m, 3, "vda"), int(m.Points[3].Disks[0].FileSize)-1); err != nil {
					t.Fatal(err)
				}
			},
			[]int{0, 1, 2}, []string{"vda.inc.3.*footer hashes", "there is no whole file of disk vda", "3.*.domain.xml"},
		},
		"the full is damaged": {
			func(_ *world, fsys *storetest.Disk, m store.Manifest) {
				if err := fsys.Flip(file(m, 0, "vda"), 0); err != nil {
					t.Fatal(err)
				}
			},
			nil, nil,
		},
		"another attempt, not complete": {
			func(w *world, fsys *storetest.Disk, m store.Manifest) { again(t, w, fsys, m, "vda", "vdb missing") },
			[]int{0, 1, 2, 3}, []string{"there is no whole file of disk vdb"},
		},
		"another attempt, complete": {
			func(w *world, fsys *storetest.Disk, m store.Manifest) { again(t, w, fsys, m, "vda", "vdb") },
			[]int{0, 1, 2}, []string{"several complete attempts at point 3", "several complete attempts at point 3", "3.*.domain.xml"},
		},
		"a file under another name": {
			func(_ *world, fsys *storetest.Disk, m store.Manifest) {
				put(t, fsys, path.Join(folder, m.Chain, "vda.inc.4.00000001.v3"), string(read(t, fsys, file(m, 3, "vda"))))
			},
			[]int{0, 1, 2, 3}, []string{"vda.inc.4.00000001.v3: its header is of point 3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, fsys, s, m := damaged(t)
			lose(t, fsys, m, 2, 3, 4)
			test.spoil(w, fsys, m)
			before := names(t, fsys, path.Join(folder, m.Chain))
			got, left, err := rebuilt(t, s, m.Chain)
			if (err == nil) != (test.want != nil) || err == nil && !slices.Equal(sequences(got), test.want) {
				t.Fatalf("%v, %v, left out %q", sequences(got), err, left)
			}
			if err != nil {
				if after := names(t, fsys, path.Join(folder, m.Chain)); !slices.Equal(before, after) {
					t.Errorf("an error changed the folder: %v", after)
				}
				return
			}
			sameLines(t, left, test.left)
			d := domain(t, s)
			if len(d.Leftovers) > 0 || len(d.Chains[0].Problems) > 0 {
				t.Errorf("leftovers %v, problems %v", d.Leftovers, d.Chains[0].Problems)
			}
			if after := names(t, fsys, path.Join(folder, m.Chain)); len(after) != len(before)+1 {
				t.Errorf("%d names, there were %d and one manifest is new", len(after), len(before))
			}
			readAll(t, s, d.Chains[0])
			findings, err := s.Check(ctx, folder, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				if f.From != store.NoPoint || !strings.HasPrefix(f.Detail, "left out when the manifest was rebuilt") {
					t.Errorf("finding: %+v", f)
				}
			}
		})
	}
}

func sameLines(t *testing.T, found, patterns []string) {
	t.Helper()
	if len(found) != len(patterns) {
		t.Errorf("%d lines, expected %d: %q", len(found), len(patterns), found)
	}
	for _, pattern := range patterns {
		parts := strings.Split(pattern, ".*")
		n := slices.IndexFunc(found, func(line string) bool {
			return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
		})
		if n < 0 {
			t.Errorf("nothing says %q: %q", pattern, found)
			continue
		}
		found = slices.Delete(slices.Clone(found), n, n+1)
	}
}

func names(t testing.TB, fsys local.FS, dir string) (all []string) {
	t.Helper()
	entries, err := fsys.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

// again writes the files of another attempt at the newest point. A disk that is
// "missing" is in the headers alone.
func again(t *testing.T, w *world, fsys *storetest.Disk, m store.Manifest, targets ...string) {
	t.Helper()
	s, err := local.OpenOn(fsys, "test")
	if err != nil {
		t.Fatal(err)
	}
	f := lock(t, s)
	defer unlock(t, f)
	p := m.Points[len(m.Points)-1]
	p.Attempt = w.attempt()
	var all []string
	for _, target := range targets {
		all = append(all, strings.Fields(target)[0])
	}
	for _, target := range targets {
		if strings.HasSuffix(target, " missing") {
			continue
		}
		if _, err := writeDisk(f, m, p, target, all); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRebuildNumber: a chain without any manifest gets a number between those of
// its neighbours, so that the order of the chains stays.
func TestRebuildNumber(t *testing.T) {
	for lost := range 3 {
		w, fsys := newWorld(1), storetest.NewDisk()
		s := w.init(t, fsys)
		var chains []store.Manifest
		for n := range 3 {
			f := lock(t, s)
			m := w.newChain(s.ID(), n+1)
			m.Chain = fmt.Sprintf("2026112%dT013000Z-9f3c", n)
			chains = append(chains, w.grow(t, f, m))
			unlock(t, f)
		}
		lose(t, fsys, chains[lost], 1)
		m, left, err := rebuilt(t, s, chains[lost].Chain)
		if err != nil || len(left) > 0 || m.ChainNumber != lost+1 {
			t.Errorf("chain %d got number %d, %v, %q", lost+1, m.ChainNumber, err, left)
		}
		clean(t, s)
	}
}

// TestRebuildMerged: of a merged file and what it was merged from, both whole, each
// point gets what tells most; slot files stay.
func TestRebuildMerged(t *testing.T) {
	w, fsys := newWorld(1), storetest.NewDisk()
	s := w.init(t, fsys)
	f := lock(t, s)
	m := w.newChain(s.ID(), 1)
	for range 4 {
		m = w.grow(t, f, m)
	}
	// What a merge of 1 into 2 writes.
	p := m.Points[2]
	name := store.DataFileName("vda", false, 2, w.attempt())
	file, err := f.Create(m.Chain, name)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := format.NewWriter(file, format.Header{
		StoreID: m.StoreID, Chain: m.Chain, Sequence: 2, Attempt: p.Attempt, Domain: m.Domain, UUID: m.UUID, Disk: "vda",
		Size: 1 << 20, Covers: [2]int{1, 2}, Disks: []string{"vda"}, HashKey: m.HashKey, Time: start, Version: "test",
	}, format.Options{})
	if err == nil {
		_, err = writer.Close()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	unlock(t, f)
	lose(t, fsys, m, 2, 3, 4)
	got, left, err := rebuilt(t, s, m.Chain)
	if err != nil {
		t.Fatal(err)
	}
	sameLines(t, left, []string{m.Points[2].Disks[0].File + ": another file holds the same disk of that point"})
	if q := got.Points[2]; q.Parent != 0 || q.Merged != 1 || q.Disks[0].File != name || q.Attempt != p.Attempt || got.Points[3].Parent != 2 {
		t.Errorf("point 2 is %+v", q)
	}
}

// TestRebuildDies at every effect: no file is lost, and the next run gets to the
// same end.
func TestRebuildDies(t *testing.T) {
	_, _, _, m := damaged(t)
	want := []int{0, 1}
	for n := 1; ; n++ {
		_, disk, s, _ := damaged(t)
		lose(t, disk, m, 2, 3, 4)
		d, _ := m.Points[2].Disk("vdb")
		remove(t, disk, path.Join(folder, m.Chain, d.File))
		faults := &storetest.Faults{FS: disk, At: n, Die: true}
		o, err := local.OpenOn(faults, "test")
		if err != nil {
			t.Fatal(err)
		}
		if f, err := o.Lock(ctx, folder, rec(1)); err == nil {
			_, _, _ = f.Rebuild(ctx, m.Chain, start, "test")
		}
		if !faults.Fired() {
			break
		}
		disk.KillProcess()
		_, _, _ = rebuilt(t, s, m.Chain) // or it is done already
		c := domain(t, s).Chains[0]
		if !slices.Equal(sequences(c.Manifest), want) || len(c.Problems) > 0 {
			t.Fatalf("died at %d: %v, %v", n, sequences(c.Manifest), c.Problems)
		}
		for _, p := range m.Points {
			for _, x := range p.Disks {
				all := names(t, disk, path.Join(folder, m.Chain))
				if x.File != d.File && !slices.Contains(all, x.File) && !slices.Contains(all, "left-out~"+x.File) {
					t.Fatalf("died at %d: %s is gone: %v", n, x.File, all)
				}
			}
		}
	}
}
