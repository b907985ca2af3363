package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vbk/executor"
	"vbk/executor/bind"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
)

// restoration is what a test restores: the newest of two points with two disks.
type restoration struct {
	*world
	t        *testing.T
	chain    string
	sequence int
	executor.Restoration
	content map[string][]byte
}

func newRestoration(t *testing.T) restoration {
	w := newWorld(t, t.TempDir(), 8)
	w.define(map[string]int64{"vda": 3<<20 + 512, "vdb": 100<<10 + 7})
	w.succeed(plan.Options{})
	w.nextDay()
	w.succeed(plan.Options{})
	l := w.points()[1]
	r := restoration{world: w, t: t, chain: l.chain, sequence: 1, content: map[string][]byte{}}
	for _, target := range []string{"vda", "vdb"} {
		content, err := w.read(l, target)
		if err != nil {
			t.Fatal(err)
		}
		r.content[target] = content
	}
	r.Restoration = executor.Restoration{Dir: t.TempDir(), Format: "raw"}
	return r
}

func (r restoration) run(ctx context.Context) ([]executor.Restored, error) {
	return r.observed(ctx, func(string, int64, int64) {})
}

func (r restoration) observed(ctx context.Context, progress func(string, int64, int64)) ([]executor.Restored, error) {
	return restore(ctx, r.store(), located{folder: r.points()[0].folder, chain: r.chain}, r.sequence, r.Restoration, progress)
}

// restore opens a chain and restores one of its points.
func restore(ctx context.Context, s *local.Store, l located, sequence int, r executor.Restoration, progress func(string, int64, int64)) ([]executor.Restored, error) {
	chain, err := bind.Store{Store: s}.OpenChain(l.folder, l.chain)
	if err != nil {
		return nil, err
	}
	defer chain.Close()
	p, err := executor.PointOf(chain, sequence)
	if err != nil {
		return nil, err
	}
	return executor.Restore(ctx, p, r, progress)
}

// TestRestoreNeverOverwrites: what is there stays as it is, whatever its name
// leads to, and is found before anything is written.
func TestRestoreNeverOverwrites(t *testing.T) {
	for _, name := range []string{"vda.raw", "vdb.raw", "domain.xml", "vda.raw.partial"} {
		for _, link := range []bool{false, true} {
			r := newRestoration(t)
			path := filepath.Join(r.Dir, name)
			precious := path
			if link {
				precious = filepath.Join(t.TempDir(), "precious")
				if err := os.Symlink(precious, path); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			files, err := r.run(t.Context())
			if err == nil || !strings.Contains(err.Error(), name) || len(files) > 0 {
				t.Errorf("restore over %s: %v %v", name, files, err)
			}
			wantFile(t, precious, []byte("precious"))
			wantNames(t, r.Dir, 1)
		}
	}
}

// TestRestoreLateFile: what appears during a restore is not overwritten either.
func TestRestoreLateFile(t *testing.T) {
	r := newRestoration(t)
	path := filepath.Join(r.Dir, "vda.raw")
	files, err := r.observed(t.Context(), func(string, int64, int64) {
		_ = os.WriteFile(path, []byte("precious"), 0o600)
	})
	if !errors.Is(err, os.ErrExist) || len(files) > 0 {
		t.Errorf("%v %v", files, err)
	}
	wantFile(t, path, []byte("precious"))
	wantNames(t, r.Dir, 1)
}

// TestRestoreAgain: disks one by one go into one folder; the same twice do not.
func TestRestoreAgain(t *testing.T) {
	r := newRestoration(t)
	for _, targets := range [][]string{{"vda", "vda"}, {"vdb"}} {
		r.Disks = targets
		if files, err := r.run(t.Context()); err != nil || len(files) != 2 {
			t.Fatalf("%v %v", files, err)
		}
	}
	if _, err := r.run(t.Context()); err == nil {
		t.Error("vdb was restored twice")
	}
	for target, want := range r.content {
		wantFile(t, filepath.Join(r.Dir, target+".raw"), want)
	}
	wantNames(t, r.Dir, 3)
}

// TestRestoreRefuses what is not there.
func TestRestoreRefuses(t *testing.T) {
	for want, change := range map[string]func(*restoration){
		"no disk vdz":    func(r *restoration) { r.Disks = []string{"vda", "vdz"} },
		"no point 7":     func(r *restoration) { r.sequence = 7 },
		"unknown format": func(r *restoration) { r.Format = "vmdk" },
		"not exist":      func(r *restoration) { r.chain = "20200101T000000Z-0000" },
	} {
		r := newRestoration(t)
		change(&r)
		if files, err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), want) || len(files) > 0 {
			t.Errorf("want %q, got %v %v", want, files, err)
		}
		wantNames(t, r.Dir, 0)
	}
}

// TestRestoreInterrupted: a restore that is cancelled or meets damage leaves no
// file that could be taken for a disk.
func TestRestoreInterrupted(t *testing.T) {
	r := newRestoration(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := r.observed(ctx, func(disk string, _, _ int64) {
		if _, err := os.Stat(filepath.Join(r.Dir, disk+".raw")); err == nil {
			t.Errorf("%s has its name before it is complete", disk)
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("restore ended with %v", err)
	}
	wantNames(t, r.Dir, 0)
}

// TestRestoreDamaged: one flipped bit anywhere in the files of a disk, and there
// is no such disk; the others are whole.
func TestRestoreDamaged(t *testing.T) {
	r := newRestoration(t)
	l := r.points()[0] // the base, under the increment
	d, _ := l.point.Disk("vdb")
	for offset := 0; offset < int(d.FileSize); offset += 997 {
		r.Dir = t.TempDir()
		if err := r.disk.Flip(l.folder+"/"+l.chain+"/"+d.File, offset); err != nil {
			t.Fatal(err)
		}
		files, err := r.run(t.Context())
		if err == nil { // a gap, or a chunk that the increment hides
			wantFile(t, filepath.Join(r.Dir, "vdb.raw"), r.content["vdb"])
		} else {
			if !executor.IsDamage(err) || len(files) != 1 {
				t.Errorf("byte %d: %v %v", offset, files, err)
			}
			wantNames(t, r.Dir, 1)
		}
		wantFile(t, filepath.Join(r.Dir, "vda.raw"), r.content["vda"])
		if err := r.disk.Flip(l.folder+"/"+l.chain+"/"+d.File, offset); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestoreWithoutXML: a definition that is damaged does not keep the disks
// from being restored.
func TestRestoreWithoutXML(t *testing.T) {
	r := newRestoration(t)
	l := r.points()[1]
	for _, f := range l.point.Files {
		if err := r.disk.Flip(l.folder+"/"+l.chain+"/"+f.Name, 9); err != nil {
			t.Fatal(err)
		}
	}
	files, err := r.run(t.Context())
	if !executor.IsDamage(err) || len(files) != 2 {
		t.Errorf("%v %v", files, err)
	}
	wantNames(t, r.Dir, 2)
}

// bare is a point without a definition of its domain.
type bare struct{ executor.RestorePoint }

func (bare) XML() ([]byte, error)         { return nil, nil }
func (bare) Extra(string) ([]byte, error) { return nil, nil }

// TestRestoreBare: no domain.xml is made up, and one that is there is left alone.
func TestRestoreBare(t *testing.T) {
	r := newRestoration(t)
	chain, err := bind.Store{Store: r.store()}.OpenChain(r.points()[0].folder, r.chain)
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	p, err := executor.PointOf(chain, 1)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(r.Dir, "domain.xml")
	if err := os.WriteFile(other, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := executor.Restore(t.Context(), bare{p}, r.Restoration, func(string, int64, int64) {})
	if err != nil || len(files) != 2 {
		t.Fatalf("%v %v", files, err)
	}
	for target, want := range r.content {
		wantFile(t, filepath.Join(r.Dir, target+".raw"), want)
	}
	wantFile(t, other, []byte("another"))
	wantNames(t, r.Dir, 3)
}

// TestDamagedChain: nothing is built on a chain with a damaged footer; it is
// closed, and the next plan opens a new one.
func TestDamagedChain(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	l := w.points()[0]
	d := l.point.Disks[0]
	if err := w.disk.Flip(l.folder+"/"+l.chain+"/"+d.File, int(d.FileSize)-100); err != nil {
		t.Fatal(err)
	}
	if r := w.apply(plan.Options{}); r.Failed != 1 || !executor.IsDamage(w.failure()) {
		t.Fatalf("%+v %v", r, w.failure())
	}
	w.clean()
	if hint := w.events[len(w.events)-1].Hint; !strings.Contains(hint, "vbk apply again") {
		t.Errorf("hint is %q", hint)
	}
	if r := w.apply(plan.Options{}); r.Failed > 0 {
		t.Fatalf("%+v %v", r, w.failure())
	}
	w.clean()
	w.wantKinds("full full")
}

// forged is a chain whose manifest names other files than there are.
type forged struct {
	executor.Chain
	m store.Manifest
}

func (c forged) Manifest() store.Manifest { return c.m }

// TestForgedFile: a file that is sound in itself, and not the one that the
// manifest names, is damage.
func TestForgedFile(t *testing.T) {
	r := newRestoration(t)
	chain, err := bind.Store{Store: r.store()}.OpenChain(r.points()[0].folder, r.chain)
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	m := chain.Manifest()
	m.Points[0].Disks[0].FooterHash = m.Points[0].Disks[1].FooterHash
	for sequence := range 2 {
		if _, err := executor.OpenDisk(forged{chain, m}, sequence, "vda"); !executor.IsDamage(err) {
			t.Errorf("point %d: %v", sequence, err)
		}
	}
}
