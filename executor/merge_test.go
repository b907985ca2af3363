package executor_test

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"testing"

	"vbk/executor"
	"vbk/executor/bind"
	"vbk/plan"
	"vbk/store/local"
)

// merges makes a world that keeps the newest points and merges the others away.
func merges(t reporter, scratch string, seed uint64, keep int) *world {
	w := newWorld(t, scratch, seed)
	w.policy().Compression.Codec = "none"
	w.policy().Retention.Prune = "merge"
	w.policy().Retention.KeepLast = &keep
	return w
}

// ways are file systems on which merges differ.
var ways = map[string]func(t *testing.T, w *world){
	"slots":   func(*testing.T, *world) {},
	"reflink": func(_ *testing.T, w *world) { w.disk.Reflink = true },
	"directory": func(t *testing.T, w *world) {
		fsys, err := local.OpenFS(t.TempDir())
		if err == nil {
			_, err = local.InitOn(fsys, "store", w.now, w.random())
		}
		if err != nil {
			t.Fatal(err)
		}
		w.fs = fsys
	},
}

// TestMergeForever: one full, then increments for ever; what is left restores to
// what it was. (settled, in succeed, looks at every byte.)
func TestMergeForever(t *testing.T) {
	for name, prepare := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := merges(t, t.TempDir(), 5, 3)
			prepare(t, w)
			w.define(map[string]int64{"vda": 3<<20 + 512, "vdb": 200 << 10})
			var shares int
			for day := range 12 {
				switch day {
				case 4:
					w.host.Resize(uuid, "vda", 1<<20+100)
				case 6:
					w.host.AddDisk(uuid, diskNamed("vdc"), bytes.Repeat([]byte{7}, 300<<10))
				case 8:
					w.host.Resize(uuid, "vda", 4<<20)
					w.host.RemoveDisk(uuid, "vdb")
				}
				w.succeed(plan.Options{})
				w.nextDay()
				for _, l := range w.points() {
					for _, d := range l.point.Disks {
						shares += len(d.Shares)
					}
				}
			}
			w.wantKinds("full inc inc")
			if p := w.points()[0].point; p.Merged != 9 || p.Sequence != 9 || p.Parent != -1 {
				t.Errorf("oldest point: %+v", p)
			}
			if len(w.points()) != 3 || w.disk.Reflink && shares > 0 || name == "slots" && shares == 0 {
				t.Errorf("%d points, %d files hold chunks of others", len(w.points()), shares)
			}
		})
	}
}

// TestMergeRefuses: nothing is merged that is protected, or that is not what the
// plan named; and nothing changes.
func TestMergeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, m *plan.Merge)
		want   string
	}{
		"another attempt": {func(_ *world, m *plan.Merge) { m.Attempts[0] = "00000000" }, "is stale"},
		"no such point":   {func(_ *world, m *plan.Merge) { m.Into = 7 }, "is stale"},
		"damaged": {func(w *world, m *plan.Merge) {
			l := w.points()[0]
			if err := w.disk.Flip(path.Join(l.folder, l.chain, l.point.Disks[0].File), int(l.point.Disks[0].FileSize)-70000); err != nil {
				w.t.Fatalf("%v", err)
			}
		}, "is not NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			w := merges(t, t.TempDir(), 6, 2)
			w.define(map[string]int64{"vda": 400 << 10})
			for range 2 {
				w.succeed(plan.Options{})
				w.nextDay()
			}
			p := w.plan(plan.Options{})
			actions := p.Instances[0].Actions
			last := actions[len(actions)-1]
			if last.Kind != plan.KindMerge {
				t.Fatalf("planned %+v", actions)
			}
			c.change(w, last.Merge)
			r := w.run(t.Context(), p)
			if err := w.failure(); r.Failed != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v, expected %q", r, err, c.want)
			}
			w.wantKinds("full inc inc")
			w.clean()
		})
	}
}

// TestMergeUnderAReader: who reads the old points goes on; the old files go with
// the next run.
func TestMergeUnderAReader(t *testing.T) {
	w := merges(t, t.TempDir(), 7, 2)
	w.define(map[string]int64{"vda": 400 << 10})
	for range 2 {
		w.succeed(plan.Options{})
		w.nextDay()
	}
	old := w.points()[0]
	c, err := bind.Store{Store: w.store()}.OpenChain(old.folder, old.chain)
	if err != nil {
		t.Fatal(err)
	}
	if r := w.apply(plan.Options{}); r.Failed > 0 {
		t.Fatal(w.failure())
	}
	w.wantKinds("full inc")
	image, err := executor.OpenDisk(c, old.point.Sequence, "vda")
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, image.Size())
	if _, err := image.ReadAt(content, 0); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(content, w.taken[old.point.Attempt]["vda"]) {
		t.Error("the old point is not what it was")
	}
	if err := errors.Join(image.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	w.succeed(plan.Options{})
}

// TestMergedDamage flips a bit in every part of every file of a merged chain. It
// is found, and no restore ends well with other bytes.
func TestMergedDamage(t *testing.T) {
	w := merges(t, t.TempDir(), 8, 1)
	w.define(map[string]int64{"vda": 700 << 10})
	for range 4 {
		w.succeed(plan.Options{})
		w.nextDay()
	}
	l := w.points()[0]
	d := l.point.Disks[0]
	if len(d.Shares) == 0 {
		t.Fatal("no file holds chunks of another")
	}
	before, err := w.read(l, "vda")
	if err != nil {
		t.Fatal(err)
	}
	dir := path.Join(l.folder, l.chain)
	for _, name := range append([]string{d.File}, d.Shares...) {
		e, err := w.disk.Stat(path.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for offset := 0; offset < int(e.Size); offset += 1021 {
			if err := w.disk.Flip(path.Join(dir, name), offset); err != nil {
				t.Fatal(err)
			}
			if findings, err := w.store().Check(t.Context(), l.folder, true); err != nil || len(findings) == 0 {
				t.Fatalf("%s: a flipped bit at %d of %d is not found: %v", name, offset, e.Size, err)
			}
			if after, err := w.read(l, "vda"); err == nil && !bytes.Equal(after, before) {
				t.Fatalf("%s: with a flipped bit at %d of %d other bytes are restored", name, offset, e.Size)
			}
			if err := w.disk.Flip(path.Join(dir, name), offset); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.exact()
}
