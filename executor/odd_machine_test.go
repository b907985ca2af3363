package executor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vbk/plan"
	"vbk/virt/libvirt/embedtest"
)

// TestOddMachine: a real machine with what machines have: disks in qcow2, in qcow2
// of version 2 and raw (S38), an empty CD-ROM, a floppy, a read-only and a shared disk (S40). A disk
// is added and one taken away (S34), disks grow, also the one without a bitmap (S32); each point is made in one job.
func TestOddMachine(t *testing.T) {
	m := machineOf(t, "odd-other", embedtest.DiskSpec{Target: "vda", Size: 1 << 20})
	vda := embedtest.DiskSpec{Target: "vda", Size: 3<<20 + 512}
	vdb := embedtest.DiskSpec{Target: "vdb", Size: 2 << 20, Compat: "0.10"}
	vdc := embedtest.DiskSpec{Target: "vdc", Size: 1 << 20, Format: "raw"}
	vdd := embedtest.DiskSpec{Target: "vdd", Size: 1 << 20}
	other := filepath.Join(m.root.Dir(), "other")
	for _, file := range []string{other + "x", other + "y"} {
		if err := os.WriteFile(file, make([]byte, 1<<20), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m.uuid = m.root.Define(t, embedtest.Machine{Name: "odd", Disks: []embedtest.DiskSpec{vda, vdb, vdc}, Devices: `
    <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>
    <disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='` + other + `x'/><target dev='vdx' bus='virtio'/><readonly/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='` + other + `y'/><target dev='vdy' bus='virtio'/><shareable/></disk>`})
	m.config.Domains[0].UUIDs = []string{m.uuid}
	m.sizes = map[string]int64{"vda": vda.Size, "vdb": vdb.Size, "vdc": vdc.Size}
	m.compat = map[string]string{"vdb": "0.10"}
	apply := func(kinds string, reasons ...string) {
		t.Helper()
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		m.settled(kinds)
		for _, r := range reasons {
			if !strings.Contains(m.head().Reason, r) {
				t.Errorf("made because %s", m.head().Reason)
			}
		}
	}
	m.write(4)
	apply("full")
	for _, left := range []string{"vdx is not backed up: it is read-only", "vdy is not backed up: it is shareable"} {
		if all := strings.Join(m.due().Warnings, "\n"); !strings.Contains(all, left) || strings.Contains(all, "hda") || strings.Contains(all, "fda") {
			t.Errorf("warned is %s", all)
		}
	}
	m.write(2)
	apply("full resync", "vdb has no bitmap (qcow2 version 2)", "vdc has no bitmap (raw)")

	m.root.Stop(t, m.uuid)
	m.root.SetDisks(t, m.uuid, vda, vdc, vdd) // vdb is gone, vdd is new
	delete(m.sizes, "vdb")
	m.sizes["vdd"] = vdd.Size
	m.sizes["vda"], m.sizes["vdc"] = 5<<20, 2<<20
	m.qemuImg("resize", "-q", "-f", "qcow2", m.root.Image(m.uuid, "vda"), "5M")
	m.qemuImg("resize", "-q", "-f", "raw", m.root.Image(m.uuid, "vdc"), "2M")
	m.root.Start(t, m.uuid)
	m.root.Write(t, m.uuid, "vda", 4<<20, 1<<20, 7)
	m.root.Write(t, m.uuid, "vdd", 0, 1<<20, 8)
	apply("full resync resync", "disk vdd is new", "disk vdb is gone", "vda was 3.00 MiB, is 5.00 MiB")
	m.write(2)
	apply("full resync resync resync", "vdc has no bitmap (raw)")
	if d, _ := m.head().Disk("vdd"); d.Base {
		t.Error("the disk that was new is read whole again")
	}
	m.restored(m.settled("full resync resync resync"))
}

// due is the plan of tomorrow.
func (m *machine) due() plan.Plan {
	m.Helper()
	was := m.now
	defer func() { m.now = was }()
	m.now = m.now.Add(25 * time.Hour)
	return m.plan()
}
