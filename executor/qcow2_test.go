package executor_test

import (
	"os"
	"path/filepath"
	"testing"

	"vbk/executor"
	"vbk/plan"
	"vbk/virt"
	"vbk/virt/qcow2"
)

// TestRestoreAsItWas: a restored image has the options that the original had, which
// the point records; one of which nothing is known has QEMU's defaults. Both hold the
// disk, also where a restore was cut off.
func TestRestoreAsItWas(t *testing.T) {
	needQEMU(t)
	w := newWorld(t, t.TempDir(), 8)
	unusual := virt.ImageOptions{ClusterSize: 16 << 10, Compat: "1.1", RefcountBits: 8, ExtendedL2: true, LazyRefcounts: true, CompressionType: "zstd"}
	vda, vdb := diskNamed("vda"), diskNamed("vdb")
	vda.Image = unusual
	w.define(nil)
	w.add(vda, 3<<20+512)
	w.add(vdb, 1<<20)
	w.succeed(plan.Options{})
	w.nextDay()
	w.scribble("vda", 5)
	w.succeed(plan.Options{})
	l := w.points()[1]
	for _, resume := range []bool{false, true} {
		r := executor.Restoration{Dir: t.TempDir(), Format: "qcow2", Resume: resume}
		if resume { // what a killed restore of another point left
			if _, err := restore(t.Context(), w.store(), l, 0, executor.Restoration{Dir: r.Dir, Format: "qcow2", Disks: []string{"vda"}}, func(string, int64, int64) {}); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(r.Dir, "vda.qcow2")
			if err := os.Truncate(path, 1<<20+77); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path, path+".partial"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := restore(t.Context(), w.store(), l, 1, r, func(string, int64, int64) {}); err != nil {
			t.Fatal(err)
		}
		for target, want := range map[string]virt.ImageOptions{"vda": unusual, "vdb": qcow2.DefaultOptions} {
			path := filepath.Join(r.Dir, target+".qcow2")
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			found, err := qcow2.Read(f)
			f.Close()
			if err != nil || found.Options != want {
				t.Errorf("%s has %+v (%v), want %+v", target, found.Options, err, want)
			}
			wantFile(t, asRaw(t, path), w.host.Content(uuid, target))
		}
	}
}
