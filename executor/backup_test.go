package executor_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"vbk/executor"
	"vbk/plan"
)

var oddSizes = map[string]int64{"vda": 3<<20 + 777, "vdb": 64 << 10, "vdc": 64<<10 + 512, "vdd": 1, "vde": 1<<20 - 1}

// TestHistory: a full and increments of disks of all sizes, while the guest
// goes on writing, are what the disks held when each job began.
func TestHistory(t *testing.T) {
	for _, codec := range []string{"zstd", "none"} {
		t.Run(codec, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 1)
			w.policy().Compression.Codec = codec
			w.define(oddSizes)
			w.addForeign()
			w.begun = func() {
				for target := range oddSizes {
					w.scribble(target, 2)
				}
			}
			w.succeed(plan.Options{})
			for range 4 {
				w.nextDay()
				w.succeed(plan.Options{})
			}
			w.wantKinds("full inc inc inc inc")
			if !w.hasCheckpoint(foreign) {
				t.Error("the foreign checkpoint is gone")
			}
			for _, l := range w.points() {
				w.restored(t, l)
			}
		})
	}
}

// restored restores a point as raw files and compares them.
func (w *world) restored(t *testing.T, l located) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new")
	r := executor.Restoration{Dir: dir, Format: "raw"}
	files, err := restore(t.Context(), w.store(), l, l.point.Sequence, r, func(string, int64, int64) {})
	if err != nil || len(files) != len(l.point.Disks)+1 {
		t.Fatalf("restore %s.%d: %v %v", l.chain, l.point.Sequence, files, err)
	}
	for _, d := range l.point.Disks {
		want, err := w.read(l, d.Target)
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(dir, d.Target+".raw"), want)
	}
	wantNames(t, dir, len(l.point.Disks)+1)
}

// TestReasons: what makes a disk or a chain begin anew, and is exact.
func TestReasons(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		o      plan.Options
		kinds  string
		bases  string // of the newest point
	}{
		"nothing":   {func(*world) {}, plan.Options{}, "full inc inc", "false false"},
		"grown":     {func(w *world) { w.host.Resize(uuid, "vda", 5<<20) }, plan.Options{}, "full inc resync", "false false"},
		"shrunk":    {func(w *world) { w.host.Resize(uuid, "vdb", 100<<10) }, plan.Options{}, "full inc resync", "false false"},
		"added":     {func(w *world) { w.add(diskNamed("vdc"), 99<<10) }, plan.Options{}, "full inc inc", "false false true"},
		"raw":       {func(w *world) { w.add(rawDisk("vdc"), 99<<10) }, plan.Options{}, "full inc inc", "false false true"},
		"removed":   {func(w *world) { w.host.RemoveDisk(uuid, "vda") }, plan.Options{}, "full inc inc", "false"},
		"replaced":  {replaced, plan.Options{}, "full inc resync", "false false"},
		"broken":    {func(w *world) { w.host.BreakBitmap(uuid, "vdb", w.head().Checkpoint) }, plan.Options{}, "full inc resync", "false false"},
		"killed":    {func(w *world) { w.host.Kill(uuid); w.host.SetState(uuid, "running") }, plan.Options{}, "full inc resync", "false false"},
		"forgotten": {func(w *world) { w.deleteCheckpoint(w.head().Checkpoint) }, plan.Options{}, "full inc resync", "false false"},
		"all anew": {func(w *world) {
			w.policy().Chain.OnBroken = "full"
			w.host.BreakBitmap(uuid, "vdb", w.head().Checkpoint)
		}, plan.Options{}, "full inc full", "true true"},
		"no chain":     {func(w *world) { w.policy().Mode = "full" }, plan.Options{}, "full inc full", "true true"},
		"full":         {func(*world) {}, plan.Options{Full: []string{"domain.all"}}, "full inc full", "true true"},
		"full, closed": {func(w *world) { one := 1; w.policy().Retention.KeepLast = &one; w.policy().Retention.MaxPrune = 25 }, plan.Options{Full: []string{"domain.all"}}, "full", "true true"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 2)
			w.define(map[string]int64{"vda": 2<<20 + 512, "vdb": 300 << 10})
			w.addForeign()
			w.succeed(plan.Options{})
			w.nextDay()
			w.succeed(plan.Options{})
			c.change(w)
			w.nextDay()
			w.succeed(c.o)
			w.wantKinds(c.kinds)
			bases := ""
			for i, d := range w.head().Disks {
				if i > 0 {
					bases += " "
				}
				bases += fmt.Sprint(d.Base)
			}
			if bases != c.bases {
				t.Errorf("the newest point has bases %q, want %q", bases, c.bases)
			}
			w.nextDay()
			w.succeed(plan.Options{})
		})
	}
}
