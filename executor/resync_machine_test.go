package executor_test

import (
	"os"
	"testing"

	"vbk/format"
)

// TestResyncMachine backs up a real machine that has a raw disk beside its qcow2
// one, whose bitmap is lost in every way there is.
func TestResyncMachine(t *testing.T) {
	m := newMachine(t, "resync", "raw")
	m.root.Stop(t, m.uuid)
	if err := os.Truncate(m.root.Image(m.uuid, "vdb"), m.sizes["vdb"]+100); err != nil { // no multiple of a sector
		t.Fatal(err)
	}
	m.root.Start(t, m.uuid)
	m.write(12)
	apply := func() {
		t.Helper()
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		m.write(2)
	}
	apply()
	apply() // vda by its bitmap, vdb by comparison
	m.root.RemoveBitmap(t, m.uuid, "vda", m.head().Checkpoint)
	apply()
	apply()
	m.root.Kill(t, m.uuid)
	m.root.Start(t, m.uuid)
	apply()
	if err := m.host.DeleteCheckpoint(t.Context(), m.uuid, m.head().Checkpoint); err != nil {
		t.Fatal(err)
	}
	if err := m.apply(); err != nil { // the guest has written a little since the last point
		t.Fatal(err)
	}
	for _, d := range m.head().Disks {
		if changes := int64(5 * 3000 * 512); d.Base || d.Data > changes+10*format.Grain {
			t.Errorf("disk %s: base %v, %d bytes stored, the guest wrote at most %d", d.Target, d.Base, d.Data, changes)
		}
	}
	m.restored(m.settled("full resync resync resync resync resync"))
}
