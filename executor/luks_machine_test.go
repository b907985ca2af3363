package executor_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vbk/executor"
	"vbk/store"
	"vbk/virt/libvirt"
	"vbk/virt/libvirt/embedtest"
)

// TestEncryptedMachine: disks with LUKS, in qcow2 and raw, are refused until the
// policy agrees; then they are backed up and restored, also with the machine shut off, and what the guest
// overwrites never lies in the clear in a scratch file (S39). libvirt forgets the
// keys of scratch files, also if vbk is killed before it tells so.
func TestEncryptedMachine(t *testing.T) {
	t.Parallel()
	d := embedtest.NewDaemon(t)
	host, err := libvirt.Connect(context.Background(), d.URI(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	secret := d.Secret(t)
	m := machineOn(t, d.Root, host, "luks", embedtest.DiskSpec{Target: "vda", Size: 8 << 20, Secret: secret},
		embedtest.DiskSpec{Target: "vdb", Size: 2 << 20, Format: "raw", Secret: secret}, embedtest.DiskSpec{Target: "vdc", Size: 2 << 20})
	policy := &m.config.Domains[0].Policy
	policy.Disks.Encrypted = "fail"
	if err := m.apply(); err == nil || !strings.Contains(err.Error(), "is encrypted (LUKS), and the store would hold it in the clear") {
		t.Fatalf("without consent: %v", err)
	}
	policy.Disks.Encrypted = "plaintext"
	m.write(5)
	for _, target := range []string{"vda", "vdb", "vdc"} {
		m.root.Write(t, m.uuid, target, 0, 1<<20, 0x5a)
	}
	m.dial = m.scratchIsSealed
	apply := func(kinds string) store.Domain {
		t.Helper()
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		if all := d.Secrets(t); !slices.Equal(all, []string{secret}) {
			t.Errorf("libvirt has the secrets %v, and the machine's is %s", all, secret)
		}
		return m.settled(kinds)
	}
	apply("full")
	if notes := strings.Join(m.head().Notes, "; "); !strings.Contains(notes, "disk vda is encrypted, and stored in the clear") || strings.Contains(notes, "vdc") {
		t.Errorf("noted is %q", notes)
	}
	m.dial = dialNBD
	policy.Disks.Exclude = []string{"vdb"} // keys take their time
	delete(m.sizes, "vdb")
	m.write(2)
	m.dies = "BeginBackup"
	if err := m.apply(); err == nil || len(d.Secrets(t)) != 2 {
		t.Fatalf("killed: %v, %v", err, d.Secrets(t))
	}
	m.dies = ""
	m.root.Stop(t, m.uuid)
	policy.Offline = "backup"
	if err := m.apply(); err == nil || !strings.Contains(err.Error(), "only libvirt has its key") {
		t.Fatalf("shut off: %v", err)
	}
	policy.Offline, m.quiet = "start_paused", true
	m.restored(apply("full inc"))
}

// scratchIsSealed lets the guest overwrite what it has when the first disk is read, and looks for
// it in the scratch files.
func (m *machine) scratchIsSealed(ctx context.Context, socket, export, bitmap string) (executor.Export, error) {
	if export == "vda" {
		old := bytes.Repeat([]byte{0x5a}, 512)
		for _, target := range []string{"vda", "vdb", "vdc"} {
			m.root.Write(m.T, m.uuid, target, 0, 1<<20, 0xa5)
			scratch, err := os.ReadFile(filepath.Join(filepath.Dir(socket), target+".scratch"))
			if err != nil || len(scratch) < 1<<20 {
				m.Errorf("scratch file of %s has %d bytes: %v", target, len(scratch), err)
			}
			if clear := bytes.Contains(scratch, old); clear != (target == "vdc") {
				m.Errorf("scratch file of %s holds what the guest had: %v", target, clear)
			}
		}
	}
	return dialNBD(ctx, socket, export, bitmap)
}

func (h witness) ForgetSecret(ctx context.Context, uuid string) error {
	if h.m.dead("ForgetSecret") {
		return errKilled
	}
	return h.Host.ForgetSecret(ctx, uuid)
}
