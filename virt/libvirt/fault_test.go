package libvirt_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vbk/virt"
	"vbk/virt/libvirt"
)

const mib = 1 << 20

// backup describes a full of the targets with a checkpoint.
func (w *world) backup(t *testing.T, checkpoint string, targets ...string) virt.Backup {
	t.Helper()
	dir := w.Folder(t)
	b := virt.Backup{Socket: filepath.Join(dir, "s"), Checkpoint: checkpoint}
	for _, target := range targets {
		b.Disks = append(b.Disks, virt.BackupDisk{Target: target, Scratch: filepath.Join(dir, target)})
	}
	return b
}

// run does a backup without reading it.
func (w *world) run(t *testing.T, uuid string, b virt.Backup) {
	t.Helper()
	if err := w.BeginBackup(t.Context(), uuid, b); err != nil {
		t.Fatal(err)
	}
	if err := w.EndBackup(t.Context(), uuid, b.Socket); err != nil {
		t.Fatal(err)
	}
}

// A checkpoint whose bitmap is gone from one disk is deleted with the bitmaps of
// the others, sound or inconsistent.
func TestDeleteCheckpointPartlyLost(t *testing.T) {
	for name, end := range map[string]func(*world, *testing.T, string){"others sound": (*world).Stop, "others inconsistent": (*world).Die} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			uuid := w.Make(t, "web", map[string]int64{"vda": mib, "vdb": mib, "vdc": mib})
			w.run(t, uuid, w.backup(t, "first", "vda", "vdb", "vdc"))
			w.run(t, uuid, w.backup(t, "gone", "vda", "vdb", "vdc"))
			w.Stop(t, uuid) // bitmaps are in the images now
			w.Start(t, uuid)
			end(w, t, uuid)
			image := w.root.Image(uuid, "vda")
			if out, err := exec.Command("qemu-img", "bitmap", "--remove", image, "gone").CombinedOutput(); err != nil {
				t.Fatalf("qemu-img: %v: %s", err, out)
			}
			w.Start(t, uuid)
			if err := w.DeleteCheckpoint(t.Context(), uuid, "gone"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.CheckpointXML(t.Context(), uuid, "gone"); !errors.Is(err, virt.ErrNoCheckpoint) {
				t.Fatalf("checkpoint gone is still there: %v", err)
			}
			if _, err := w.CheckpointXML(t.Context(), uuid, "first"); err != nil {
				t.Fatalf("checkpoint first: %v", err)
			}
			w.Stop(t, uuid)
			for _, target := range []string{"vda", "vdb", "vdc"} {
				out, err := exec.Command("qemu-img", "info", w.root.Image(uuid, target)).CombinedOutput()
				if err != nil || strings.Contains(string(out), "gone") || !strings.Contains(string(out), "first") {
					t.Fatalf("bitmaps of %s: %v: %s", target, err, out)
				}
			}
		})
	}
}

// A begin that cannot save its checkpoint leaves a job that libvirt does not
// know how to abort.
func TestZombie(t *testing.T) {
	clear := map[string]func(w *world, uuid string, b virt.Backup) error{
		"EndBackup": func(w *world, uuid string, b virt.Backup) error {
			return w.EndBackup(t.Context(), uuid, b.Socket)
		},
		"AbortZombie": func(w *world, uuid string, _ virt.Backup) error {
			return w.AbortZombie(t.Context(), uuid, []string{"vda", "vdb"})
		},
	}
	for name, f := range clear {
		t.Run(name, func(t *testing.T) { testZombie(t, f) })
	}
}

func testZombie(t *testing.T, clear func(*world, string, virt.Backup) error) {
	w := newWorld(t)
	uuid := w.Make(t, "zombie", map[string]int64{"vda": mib, "vdb": mib})
	checkpoints := filepath.Join(strings.TrimPrefix(w.root.URI(), "qemu:///embed?root="), "lib", "qemu", "checkpoint", "zombie")
	if err := os.RemoveAll(checkpoints); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(checkpoints, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := w.backup(t, "c1", "vda", "vdb")
	if err := w.BeginBackup(t.Context(), uuid, b); err == nil || errors.Is(err, virt.ErrBusy) {
		t.Fatalf("begin without a place for the checkpoint: %v", err)
	}
	if d, err := w.Domain(t.Context(), uuid); err != nil || d.Job == nil || d.Job.Socket != b.Socket {
		t.Fatalf("survey found job %+v: %v", d.Job, err)
	}
	other := w.backup(t, "c2", "vda")
	if err := w.BeginBackup(t.Context(), uuid, other); !errors.Is(err, virt.ErrBusy) {
		t.Fatalf("begin beside a zombie: %v", err)
	}
	if err := w.EndBackup(t.Context(), uuid, other.Socket); !errors.Is(err, virt.ErrBusy) {
		t.Fatalf("end of another's zombie: %v", err)
	}
	for range 2 {
		if err := clear(w, uuid, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(checkpoints); err != nil {
		t.Fatal(err)
	}
	if d, err := w.Domain(t.Context(), uuid); err != nil || d.Job != nil {
		t.Fatalf("survey found job %+v: %v", d.Job, err)
	}
	if err := w.DeleteCheckpoint(t.Context(), uuid, b.Checkpoint); err != nil {
		t.Fatal(err)
	}
	w.run(t, uuid, w.backup(t, "c3", "vda", "vdb"))
}

// An image in qcow2 version 2 has no room for bitmaps; the error says that it is
// this, and nothing is left.
func TestOldImage(t *testing.T) {
	w := newWorld(t)
	uuid := w.Make(t, "web", map[string]int64{"vda": mib})
	w.Stop(t, uuid)
	if out, err := exec.Command("qemu-img", "amend", "-f", "qcow2", "-o", "compat=0.10", w.root.Image(uuid, "vda")).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, out)
	}
	w.Start(t, uuid)
	if err := w.BeginBackup(t.Context(), uuid, w.backup(t, "first", "vda")); !errors.Is(err, virt.ErrOldImage) {
		t.Fatalf("begin: %v, want %v", err, virt.ErrOldImage)
	}
	d, err := w.Domain(t.Context(), uuid)
	if err != nil || d.Job != nil || len(d.Checkpoints) > 0 {
		t.Fatalf("left behind: %+v, %v", d, err)
	}
}

func TestReadOnlySurvey(t *testing.T) {
	w := newWorld(t)
	uuid := w.Make(t, "web", map[string]int64{"vda": mib})
	w.run(t, uuid, w.backup(t, "c1", "vda"))
	w.Fill(t, uuid, "vda", 0, 1, 1)
	b := w.backup(t, "c2", "vda")
	if err := w.BeginBackup(t.Context(), uuid, b); err != nil {
		t.Fatal(err)
	}
	h, err := libvirt.Connect(t.Context(), w.root.URI(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var traced sync.Map
	h.Trace = func(what, uuid string, _ time.Duration, err error) { traced.Store(what+" "+uuid, err) }
	all, err := h.Domains(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("survey found %+v: %v", all, err)
	}
	for _, call := range []string{"list domains ", "survey domain " + uuid} {
		if err, ok := traced.Load(call); !ok || err != nil {
			t.Errorf("the trace has %q: %v, %v", call, ok, err)
		}
	}
	d := all[0]
	if d.Job == nil || d.Job.Socket != b.Socket || len(d.Checkpoints) != 2 || d.Disks[0].Size != mib {
		t.Fatalf("survey found %+v", d)
	}
	if x, _ := d.Checkpoints[0].Disk("vda"); x.Health != virt.Sound || x.Dirty != 64<<10 {
		t.Fatalf("survey found bitmap %+v", x)
	}
	info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(w.root.PID(uuid))))
	if err != nil {
		t.Fatal(err)
	}
	// Only a libvirt that runs as root chooses QEMU's user and says so.
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); os.Geteuid() == 0 && d.ProcessUID != uid {
		t.Fatalf("survey says QEMU runs as %d, it runs as %d", d.ProcessUID, uid)
	}
	if err := h.EndBackup(t.Context(), uuid, b.Socket); err == nil {
		t.Fatal("a read-only connection ended a job")
	}
	if err := w.EndBackup(t.Context(), uuid, b.Socket); err != nil {
		t.Fatal(err)
	}
}

func TestConnectError(t *testing.T) {
	uri := "qemu+unix:///system?socket=" + filepath.Join(t.TempDir(), "none")
	_, err := libvirt.Connect(t.Context(), uri, true)
	if err == nil || !strings.Contains(err.Error(), uri) || !strings.Contains(err.Error(), "No such file or directory") {
		t.Fatalf("error is %v", err)
	}
}
