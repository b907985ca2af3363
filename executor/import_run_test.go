package executor_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vbk/plan"
	"vbk/virt"
)

// peerBackup makes a checkpoint and a full of vda as virtnbdbackup does, and
// returns its folder.
func (w *world) peerBackup(name string) fstest.MapFS {
	w.t.Helper()
	socket := filepath.Join(w.scratch, "peer")
	err := w.host.BeginBackup(w.ctx(), uuid, virt.Backup{Socket: socket, Checkpoint: name,
		Disks: []virt.BackupDisk{{Target: "vda", Scratch: filepath.Join(w.scratch, "peer.scratch")}}})
	if err == nil {
		err = w.host.EndBackup(w.ctx(), uuid, socket)
	}
	if err != nil {
		w.t.Fatalf("the peer's backup: %v", err)
	}
	content := w.host.Content(uuid, "vda")
	head := fmt.Sprintf(`{"virtualSize": %d, "dataSize": %[1]d, "date": "2026-11-22T02:30:00", "diskName": "vda", "diskFormat": "qcow2",
		"checkpointName": %q, "compressed": false, "parentCheckpoint": "", "incremental": false, "streamVersion": 2}`, len(content), name)
	var b bytes.Buffer
	fmt.Fprintf(&b, "meta %016x %016x\r\n%s\r\ndata %016x %016x\r\n%s\r\nstop %016x %016x\r\n", 0, len(head), head, 0, len(content), content, 0, 0)
	xml := strings.ReplaceAll(string(vmconfig(uuid, "vda").Data), "/images/vda.qcow2", "/images/vda")
	return fstest.MapFS{
		"vda.full.data":                {Data: b.Bytes()},
		"vmconfig." + name + ".xml":    {Data: []byte(xml)},
		"checkpoints/" + name + ".xml": checkpointXML(name, int(w.now.Unix())),
	}
}

// TestImportGoesOn: the apply after an import goes on with an increment by the
// checkpoint of virtnbdbackup if it still is the same one, and the policy writes
// that stream; else it begins a new chain.
func TestImportGoesOn(t *testing.T) {
	for name, test := range map[string]struct {
		stream string
		later  func(w *world) // between the import and the next backup
		want   string
	}{
		"the same checkpoint": {"virtnbdbackup", func(*world) {}, "full inc"},
		"another stream":      {"v3", func(*world) {}, "full full"},
		"another checkpoint of that name": {"virtnbdbackup", func(w *world) {
			if err := w.host.DeleteCheckpoint(w.ctx(), uuid, "virtnbdbackup.0"); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(time.Hour)
			w.peerBackup("virtnbdbackup.0")
		}, "full full"},
		"the checkpoint is gone": {"virtnbdbackup", func(w *world) {
			if err := w.host.DeleteCheckpoint(w.ctx(), uuid, "virtnbdbackup.0"); err != nil {
				t.Fatal(err)
			}
		}, "full full"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 3)
			w.define(map[string]int64{"vda": 1 << 20})
			w.policy().Stream = test.stream
			if test.stream == "virtnbdbackup" {
				w.policy().Compression.Codec = "lz4"
			}
			before := w.host.Content(uuid, "vda")
			a := newAdopting(t, nil)
			a.disk, a.store = w.disk, w.store()
			if err := w.disk.Mkdir("peer"); err != nil {
				t.Fatal(err)
			}
			if err := w.disk.Mkdir("peer/checkpoints"); err != nil {
				t.Fatal(err)
			}
			a.add(w.peerBackup("virtnbdbackup.0"))
			w.disk, w.fs = a.disk, a.disk
			if lines, left, err := a.run(); err != nil || len(left) > 0 || len(lines) != 1 {
				t.Fatalf("%q, %v, %v", lines, left, err)
			}
			w.now = w.now.Add(25 * time.Hour)
			w.scribble("vda", 1)
			test.later(w)
			if r := w.apply(plan.Options{}); r.Failed > 0 {
				t.Fatalf("apply: %+v: %v", r, w.failure())
			}
			if got := w.kinds(); got != test.want {
				t.Errorf("points are %s, expected %s", got, test.want)
			}
			for n, want := range [][]byte{before, w.host.Content(uuid, "vda")} {
				if got, err := w.read(w.points()[n], "vda"); err != nil || !bytes.Equal(got, want) {
					t.Errorf("point %d differs: %v", n, err)
				}
			}
			a.sound()
		})
	}
}
