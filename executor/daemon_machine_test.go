//go:build cgo

package executor_test

import (
	"context"
	"testing"

	"vbk/virt/libvirt"
	"vbk/virt/libvirt/embedtest"
)

// TestDaemonRestarts: libvirtd is killed while a disk is read (S13), and started again at
// once, as a service manager does, or when the run has long failed. QEMU and its NBD server go on. The same
// connection serves: the run is completed, or what it left is cleaned up.
func TestDaemonRestarts(t *testing.T) {
	d := embedtest.NewDaemon(t)
	host, err := libvirt.Connect(context.Background(), d.URI(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	m := machineOn(t, d.Root, host, "daemon", embedtest.DiskSpec{Target: "vda", Size: 20<<20 + 512}, embedtest.DiskSpec{Target: "vdb", Size: 3 << 20})
	m.write(8)
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.write(4)
	m.inMidRead(func() { d.Kill(); d.Start(t) })
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.write(4)
	m.inMidRead(d.Kill)
	host.WaitFor(0)
	if err := m.apply(); err == nil {
		t.Fatal("no failure")
	}
	d.Start(t)
	m.dial = dialNBD
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.restored(m.settled("full inc inc"))
}
