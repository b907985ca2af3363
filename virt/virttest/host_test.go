package virttest_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vbk/virt"
	"vbk/virt/virttest"
)

func TestContract(t *testing.T) {
	virttest.Contract(t, func(*testing.T) virttest.World { return &world{Host: virttest.New()} })
}

// world makes the twin a World.
type world struct {
	*virttest.Host
	made int
}

func (w *world) Make(_ *testing.T, name string, disks map[string]int64) string {
	w.made++
	def := virt.Domain{Name: name, UUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", w.made)}
	content := map[string][]byte{}
	for target, size := range disks {
		def.Disks = append(def.Disks, virt.Disk{Target: target, Type: "file", Source: "/images/" + target})
		content[target] = make([]byte, size)
	}
	slices.SortFunc(def.Disks, func(a, b virt.Disk) int { return bytes.Compare([]byte(a.Target), []byte(b.Target)) })
	w.Define(def, content)
	return def.UUID
}

func (w *world) Fill(_ *testing.T, uuid, target string, off, n int64, pattern byte) {
	w.Write(uuid, target, off, bytes.Repeat([]byte{pattern}, int(n)))
}

func (w *world) Clear(_ *testing.T, uuid, target string, off, n int64) { w.Zero(uuid, target, off, n) }
func (w *world) Start(_ *testing.T, uuid string)                       { w.SetState(uuid, virt.Running) }
func (w *world) Stop(_ *testing.T, uuid string)                        { w.SetState(uuid, virt.ShutOff) }
func (w *world) Die(_ *testing.T, uuid string)                         { w.Kill(uuid) }
func (w *world) Folder(*testing.T) string {
	w.made++
	return filepath.Join("/run", fmt.Sprint(w.made))
}

func (w *world) DefineAgain(t *testing.T, uuid string) {
	d, err := w.Domain(t.Context(), uuid)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range d.Checkpoints {
		w.Forget(uuid, c.Name)
	}
}

func (w *world) Read(t *testing.T, socket, export, bitmap string) (content, dirty []byte) {
	t.Helper()
	e, err := w.Open(socket, export, bitmap)
	if err != nil {
		t.Fatal(err)
	}
	content = make([]byte, e.Size())
	if _, err := e.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if bitmap == "" {
		return content, nil
	}
	extents, err := e.Extents(0, e.Size())
	if err != nil {
		t.Fatal(err)
	}
	dirty = make([]byte, (e.Size()+virttest.Grain-1)/virttest.Grain)
	for _, x := range extents {
		for g := x.Offset / virttest.Grain; x.Dirty && g*virttest.Grain < x.Offset+x.Length; g++ {
			dirty[g] = 1
		}
	}
	return content, dirty
}

const uuid = "4c1f9d2a-0000-4000-8000-000000000000"

// host has one machine with a disk of 1 MiB and two bytes.
func host() *virttest.Host {
	h := virttest.New()
	h.Define(virt.Domain{Name: "web", UUID: uuid, Disks: []virt.Disk{{Target: "vda"}, {Target: "hda", Device: "cdrom"}}},
		map[string][]byte{"vda": make([]byte, 1<<20+2)})
	return h
}

func job(since string) virt.Backup {
	d := virt.BackupDisk{Target: "vda", Incremental: since, Scratch: "/run/vda"}
	b := virt.Backup{Socket: "/run/s", Checkpoint: "c1", Others: []string{"hda"}}
	if since != "" {
		d.Bitmap, b.Checkpoint = "changes", ""
	}
	b.Disks = []virt.BackupDisk{d}
	return b
}

func TestHooks(t *testing.T) {
	failure := errors.New("provoked")
	ops := map[string]func(*virttest.Host) error{
		"BeginBackup":      func(h *virttest.Host) error { return h.BeginBackup(t.Context(), uuid, job("")) },
		"EndBackup":        func(h *virttest.Host) error { return h.EndBackup(t.Context(), uuid, "/run/s") },
		"DeleteCheckpoint": func(h *virttest.Host) error { return h.DeleteCheckpoint(t.Context(), uuid, "c1") },
		"AbortZombie":      func(h *virttest.Host) error { return h.AbortZombie(t.Context(), uuid, []string{"vda"}) },
	}
	for op, call := range ops {
		for _, after := range []bool{false, true} {
			h := host()
			switch op {
			case "EndBackup", "DeleteCheckpoint":
				if err := h.BeginBackup(t.Context(), uuid, job("")); err != nil {
					t.Fatal(err)
				}
			case "AbortZombie":
				h.Zombie(uuid, "vda")
			}
			was, err := h.Domain(t.Context(), uuid)
			if err != nil {
				t.Fatal(err)
			}
			hook := func(name, id string) error {
				if name != op || id != uuid {
					t.Errorf("hook of %s is called with %s, %s", op, name, id)
				}
				return failure
			}
			if after {
				h.After = hook
			} else {
				h.Before = hook
			}
			if err := call(h); !errors.Is(err, failure) {
				t.Fatalf("%s: error is %v", op, err)
			}
			is, err := h.Domain(t.Context(), uuid)
			if changed := !cmp.Equal(was, is); err != nil || changed != after {
				t.Fatalf("%s, after %t: changed %t: %v", op, after, changed, err)
			}
		}
	}
}

func TestExport(t *testing.T) {
	h := host()
	h.Write(uuid, "vda", 1<<20, []byte{1, 2})
	if err := h.BeginBackup(t.Context(), uuid, job("")); err != nil {
		t.Fatal(err)
	}
	if err := h.EndBackup(t.Context(), uuid, "/run/s"); err != nil {
		t.Fatal(err)
	}
	h.Zero(uuid, "vda", 65535, 2)
	if err := h.BeginBackup(t.Context(), uuid, job("c1")); err != nil {
		t.Fatal(err)
	}
	e, err := h.Open("/run/s", "vda", "changes")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		off, n int64
		want   []virttest.Extent
	}{
		{0, e.Size(), []virttest.Extent{{0, 128 << 10, true, true}, {128 << 10, 1<<20 - 128<<10, true, false}, {1 << 20, 2, false, false}}},
		{100, 65536, []virttest.Extent{{100, 65536, true, true}}},
		{1<<20 + 1, 1, []virttest.Extent{{1<<20 + 1, 1, false, false}}},
		{5, 0, nil},
	} {
		got, err := e.Extents(x.off, x.n)
		if diff := cmp.Diff(x.want, got); err != nil || diff != "" {
			t.Fatalf("extents of %d at %d: %v (-want +got):\n%s", x.n, x.off, err, diff)
		}
	}
	if _, err := e.Extents(1, e.Size()); err == nil {
		t.Fatal("extents beyond the end")
	}
	if all, err := h.Open("/run/s", "vda", ""); err != nil {
		t.Fatal(err)
	} else if x, err := all.Extents(0, 1<<20); err != nil || len(x) != 1 || !x[0].Dirty {
		t.Fatalf("without a bitmap: %+v, %v", x, err)
	}
	for _, bad := range [][3]string{{"/run/t", "vda", ""}, {"/run/s", "hda", ""}, {"/run/s", "vda", "c1"}} {
		if _, err := h.Open(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("opened %v", bad)
		}
	}
	h.Kill(uuid)
	if _, err := e.ReadAt(make([]byte, 1), 0); err == nil {
		t.Fatal("an export outlived its job")
	}
	if _, err := e.Extents(0, 1); err == nil {
		t.Fatal("an export outlived its job")
	}
}

func TestWhatATestDoes(t *testing.T) {
	h := host()
	if err := h.BeginBackup(t.Context(), uuid, job("")); err != nil {
		t.Fatal(err)
	}
	if err := h.EndBackup(t.Context(), uuid, "/run/s"); err != nil {
		t.Fatal(err)
	}
	survey := func() virt.Domain {
		t.Helper()
		d, err := h.Domain(t.Context(), uuid)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	h.Write(uuid, "vda", 1<<20, []byte{1, 2})
	if x, _ := survey().Checkpoints[0].Disk("vda"); x.Dirty != 2 {
		t.Fatalf("%d dirty bytes in the last grain, want 2", x.Dirty)
	}
	h.Resize(uuid, "vda", 1<<20)
	if d := survey(); d.Disks[0].Size != 1<<20 || d.Checkpoints[0].Disks[0].Dirty != 0 {
		t.Fatalf("after a shrink: %+v", d)
	}
	h.ForeignJob(uuid, virt.Job{Operation: "migration out"})
	if err := h.BeginBackup(t.Context(), uuid, job("c1")); !errors.Is(err, virt.ErrBusy) {
		t.Fatalf("begin beside a migration: %v", err)
	}
	h.ForeignJob(uuid, virt.Job{})
	h.BreakBitmap(uuid, "vda", "c1")
	if err := h.BeginBackup(t.Context(), uuid, job("c1")); !errors.Is(err, virt.ErrBrokenCheckpoint) {
		t.Fatalf("increment of a broken bitmap: %v", err)
	}
	h.AddDisk(uuid, virt.Disk{Target: "vdb", Format: "raw"}, make([]byte, 512))
	b := job("")
	b.Checkpoint = "c2"
	b.Disks = append(b.Disks, virt.BackupDisk{Target: "vdb", Scratch: "/run/vdb"})
	if err := h.BeginBackup(t.Context(), uuid, b); !errors.Is(err, virt.ErrUnsupported) {
		t.Fatalf("checkpoint of a raw disk: %v", err)
	}
	b.Disks[1].Untracked = true
	if err := h.BeginBackup(t.Context(), uuid, b); err != nil {
		t.Fatal(err)
	}
	h.RemoveDisk(uuid, "vdb")
	if d := survey(); len(d.Disks) != 2 || len(d.Checkpoints) != 2 || len(d.Checkpoints[1].Disks) != 1 {
		t.Fatalf("survey found %+v", d)
	}
	h.Undefine(uuid)
	if all, err := h.Domains(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("survey found %+v: %v", all, err)
	}
}
