package local_test

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// damaged is a store with a chain of four points; vdb joins at point 1 and is
// a base again at point 3.
func damaged(t *testing.T) (*world, *storetest.Disk, *local.Store, store.Manifest) {
	t.Helper()
	w, disk := newWorld(1), storetest.NewDisk()
	s := w.init(t, disk)
	f := lock(t, s)
	m := w.newChain(s.ID(), 1)
	for _, targets := range [][]string{{"vda"}, {"vda", "+vdb"}, {"vda", "vdb"}, {"vda", "+vdb"}} {
		m = w.grow(t, f, m, targets...)
	}
	unlock(t, f)
	clean(t, s)
	return w, disk, s, m
}

func remove(t testing.TB, fsys local.FS, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := fsys.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

func replace(t testing.TB, fsys local.FS, name, text string) {
	t.Helper()
	remove(t, fsys, name)
	put(t, fsys, name, text)
}

// TestSurveyDamage: what is missing or has another size makes exactly those
// points unsound that need it.
func TestSurveyDamage(t *testing.T) {
	disk := func(m store.Manifest, point int, target string) string {
		d, ok := m.Points[point].Disk(target)
		if !ok {
			t.Fatalf("point %d has no %s", point, target)
		}
		return d.File
	}
	for name, c := range map[string]struct {
		victim func(m store.Manifest) string
		sound  []bool
	}{
		"base":            {func(m store.Manifest) string { return disk(m, 0, "vda") }, []bool{false, false, false, false}},
		"middle":          {func(m store.Manifest) string { return disk(m, 2, "vda") }, []bool{true, true, false, false}},
		"head":            {func(m store.Manifest) string { return disk(m, 3, "vda") }, []bool{true, true, true, false}},
		"until next base": {func(m store.Manifest) string { return disk(m, 1, "vdb") }, []bool{true, false, false, true}},
		"xml":             {func(m store.Manifest) string { return m.Points[1].Files[0].Name }, []bool{true, false, true, true}},
	} {
		for _, how := range []string{"missing", "shorter", "folder"} {
			t.Run(name+" "+how, func(t *testing.T) {
				_, fsys, s, m := damaged(t)
				victim := path.Join(folder, m.Chain, c.victim(m))
				remove(t, fsys, victim)
				switch how {
				case "shorter":
					put(t, fsys, victim, "x")
				case "folder":
					if err := fsys.Mkdir(victim); err != nil {
						t.Fatal(err)
					}
				}
				d := domain(t, s)
				if len(d.Chains) != 1 || len(d.Chains[0].Problems) != 1 || d.Chains[0].Problems[0].File != path.Base(victim) {
					t.Fatalf("found %+v", d)
				}
				for i, want := range c.sound {
					if got := d.Chains[0].Sound(i); got != want {
						t.Errorf("point %d sound: %t", i, got)
					}
				}
				if len(d.Leftovers) > 0 {
					t.Errorf("leftovers %v", d.Leftovers)
				}
			})
		}
	}
}

// TestSurveyLostTruth: where the newest manifest is damaged or missing, the
// points of an older one stay readable, and the chain is frozen: nothing is
// added, nothing is a leftover, nothing can be released.
func TestSurveyLostTruth(t *testing.T) {
	manifestPath := func(m store.Manifest, number int) string {
		return path.Join(folder, m.Chain, store.ManifestName(number))
	}
	for name, c := range map[string]struct {
		lose   func(t *testing.T, fsys *storetest.Disk, m store.Manifest)
		points int
	}{
		"newest torn": {func(t *testing.T, fsys *storetest.Disk, m store.Manifest) {
			name := manifestPath(m, 4)
			replace(t, fsys, name, string(read(t, fsys, name)[:1000]))
		}, 3},
		"newest empty": {func(t *testing.T, fsys *storetest.Disk, m store.Manifest) {
			replace(t, fsys, manifestPath(m, 4), "")
		}, 3},
		"newest is an older one": {func(t *testing.T, fsys *storetest.Disk, m store.Manifest) {
			replace(t, fsys, manifestPath(m, 4), string(read(t, fsys, manifestPath(m, 3))))
		}, 3},
		"two rotten": {func(t *testing.T, fsys *storetest.Disk, m store.Manifest) {
			for n := 3; n <= 4; n++ {
				if err := fsys.Flip(manifestPath(m, n), 100); err != nil {
					t.Fatal(err)
				}
			}
		}, 2},
		"all rotten": {func(t *testing.T, fsys *storetest.Disk, m store.Manifest) {
			for n := 2; n <= 4; n++ {
				if err := fsys.Flip(manifestPath(m, n), 100); err != nil {
					t.Fatal(err)
				}
			}
		}, 0},
		"two missing": {func(t *testing.T, fsys *storetest.Disk, m store.Manifest) {
			remove(t, fsys, manifestPath(m, 3), manifestPath(m, 4))
		}, 2},
		"all missing": {func(t *testing.T, fsys *storetest.Disk, m store.Manifest) {
			remove(t, fsys, manifestPath(m, 2), manifestPath(m, 3), manifestPath(m, 4))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, fsys, s, m := damaged(t)
			c.lose(t, fsys, m)
			d := domain(t, s)
			if len(d.Chains) != 1 || len(d.Leftovers) > 0 {
				t.Fatalf("found %+v", d)
			}
			chain := d.Chains[0]
			if len(chain.Manifest.Points) != c.points || chain.Manifest.Closed == "" || len(chain.Problems) == 0 {
				t.Errorf("found %+v", chain)
			}
			for i := range 4 {
				if got := chain.Sound(i); got != (i < c.points) {
					t.Errorf("point %d sound: %t", i, got)
				}
			}
			frozen(t, w, s, m, chain.Manifest)
			if d.Chains = domain(t, s).Chains; len(d.Chains) != 1 || !cmp.Equal(d.Chains[0], chain) {
				t.Errorf("then %+v", d.Chains)
			}
		})
	}
}

// frozen demands that nothing can be added to or removed from a chain, and
// that a new one can be opened.
func frozen(t *testing.T, w *world, s *local.Store, m, seen store.Manifest) {
	t.Helper()
	f := lock(t, s)
	defer unlock(t, f)
	if err := f.Release(ctx, m.Chain); err == nil {
		t.Error("a damaged chain is released")
	}
	for _, m := range []store.Manifest{m, seen} {
		next, err := w.next(f, m)
		if err != nil {
			continue // the files of the newest point are in the way
		}
		if err := f.Commit(ctx, next); err == nil {
			t.Error("a damaged chain grows")
		}
		for _, p := range next.Points {
			for _, d := range p.Disks {
				if err := f.RemoveLeftovers(ctx, []string{path.Join(m.Chain, d.File)}); err == nil {
					t.Errorf("%s is removed", d.File)
				}
			}
		}
	}
	w.grow(t, f, w.newChain(s.ID(), domain(t, s).NextChain()))
	d, err := f.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Release(ctx, d.Chains[len(d.Chains)-1].Name); err != nil {
		t.Error(err)
	}
}

// TestLeftovers: of what lies about, only files that an interrupted run can
// have left are leftovers. What others put there stays.
func TestLeftovers(t *testing.T) {
	w, fsys, s, m := damaged(t)
	for _, name := range []string{
		m.Chain + "/vda.inc.4.00000001.v3", m.Chain + "/2.00000001.domain.xml", m.Chain + "/chain.000005.json.tmp",
		m.Chain + "/notes.txt", m.Chain + "/.nfs0001", "README", "20270101T000000Z-0001/vda.base.0.00000001.v3~",
	} {
		if err := fsys.Mkdir(path.Join(folder, path.Dir(name))); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		put(t, fsys, path.Join(folder, name), "x")
	}
	want := []string{
		m.Chain + "/2.00000001.domain.xml", m.Chain + "/chain.000005.json.tmp", m.Chain + "/vda.inc.4.00000001.v3",
	}
	slices.Sort(want)
	d := domain(t, s)
	if diff := cmp.Diff(want, d.Leftovers); diff != "" {
		t.Error(diff)
	}
	f := lock(t, s)
	for _, not := range []string{
		"README", "lock", ".", "", "..", "../vbk.json", m.Chain, m.Chain + "/notes.txt", m.Chain + "/" + m.Points[3].Disks[0].File,
		m.Chain + "/" + store.ManifestName(3), "/etc/passwd", "20270101T000000Z-0001",
	} {
		if err := f.RemoveLeftovers(ctx, []string{not}); err == nil {
			t.Errorf("%q is removed", not)
		}
	}
	for range 2 { // gone already is no error
		if err := f.RemoveLeftovers(ctx, d.Leftovers); err != nil {
			t.Error(err)
		}
	}
	w.grow(t, f, m)
	unlock(t, f)
	if d := domain(t, s); len(d.Leftovers) > 0 || len(d.Chains) != 1 {
		t.Errorf("then %+v", d)
	}
	var foreign []string
	findings, err := s.Check(ctx, folder, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.From != store.NoPoint {
			t.Errorf("finding: %+v", f)
		}
		foreign = append(foreign, f.File)
	}
	slices.Sort(foreign)
	if diff := cmp.Diff([]string{".nfs0001", "README", "notes.txt", "vda.base.0.00000001.v3~"}, foreign); diff != "" {
		t.Error(diff)
	}
}

// TestTwins: one domain in two folders is reported on both.
func TestTwins(t *testing.T) {
	w, fsys, s, m := damaged(t)
	const other = "web02-4c1f9d2a"
	f, err := s.Lock(ctx, other, rec(1))
	if err != nil {
		t.Fatal(err)
	}
	w.grow(t, f, w.newChain(s.ID(), 1))
	unlock(t, f)
	domains, err := s.Domains(ctx)
	if err != nil || len(domains) != 2 {
		t.Fatalf("%+v, %v", domains, err)
	}
	for _, d := range domains {
		p := d.Chains[0].Problems
		if len(p) != 1 || !strings.Contains(p[0].Detail, folder) || !strings.Contains(p[0].Detail, other) || !d.Chains[0].Sound(0) {
			t.Errorf("%s: %+v", d.Folder, p)
		}
	}
	// A copied chain is not believed, wherever it lies.
	copied := path.Join(other, "20270101T000000Z-0000")
	if err := fsys.Mkdir(copied); err != nil {
		t.Fatal(err)
	}
	put(t, fsys, path.Join(copied, store.ManifestName(4)), string(read(t, fsys, path.Join(folder, m.Chain, store.ManifestName(4)))))
	d, err := s.Domain(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	if c := d.Chains[0]; c.Manifest.Number != 0 || c.Sound(0) || len(d.Chains) != 2 {
		t.Errorf("copy: %+v", c)
	}
}

// unreadable is an FS where one name cannot be opened or listed.
type unreadable struct {
	local.FS
	name string
}

func (u unreadable) Open(name string) (local.Handle, error) {
	if name == u.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EIO}
	}
	return u.FS.Open(name)
}

func (u unreadable) List(name string) ([]local.Entry, error) {
	if name == u.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EACCES}
	}
	return u.FS.List(name)
}

// TestSurveyUnreadableFolder: a folder that cannot be read keeps nobody from
// seeing the others, and is not taken for an empty one.
func TestSurveyUnreadableFolder(t *testing.T) {
	_, fsys, s, m := damaged(t)
	other, err := s.Lock(ctx, "zoo-00000001", rec(1))
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, other)
	for name, want := range map[string]store.Domain{
		folder:                     {Error: "open " + folder + ": permission denied"},
		path.Join(folder, m.Chain): {Error: "open " + folder + "/" + m.Chain + ": permission denied"},
		path.Join(folder, "lock"):  {Error: "open " + folder + "/lock: input/output error", Name: "web01", UUID: uuid},
		"no such name":             domain(t, s),
	} {
		want.Folder = folder
		s, err := local.OpenOn(unreadable{fsys, name}, "test")
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.Domains(ctx)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff([]store.Domain{want, {Folder: "zoo-00000001"}}, all); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Domains(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The only manifest of a chain can be lost. Then its files are all there is, and
// are no leftovers of an interrupted run.
func TestSurveyLostOnlyManifest(t *testing.T) {
	w, fsys := newWorld(1), storetest.NewDisk()
	s := w.init(t, fsys)
	m := w.chainOf(t, s, 1)
	remove(t, fsys, path.Join(folder, m.Chain, store.ManifestName(1)))
	d := domain(t, s)
	if len(d.Leftovers) > 0 || len(d.Chains) != 1 || d.Chains[0].Sound(0) {
		t.Fatalf("found %+v", d)
	}
	f := lock(t, s)
	defer unlock(t, f)
	if d, err := f.Look(ctx); err != nil || len(d.Leftovers) > 0 {
		t.Errorf("under the lock: %+v %v", d, err)
	}
}
