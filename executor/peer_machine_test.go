package executor_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"vbk/executor"
	"vbk/format"
	"vbk/store"
	"vbk/store/virtnbdbackup/virtnbdtest"
)

// TestPeerRestoresMachine: what vbk reads from a real QEMU, zeroed and discarded
// ranges included, virtnbdrestore restores; and the same after a conversion.
func TestPeerRestoresMachine(t *testing.T) {
	m := newMachine(t, "peer", "qcow2")
	policy := &m.config.Domains[0].Policy
	policy.Stream, policy.Compression.Codec = "virtnbdbackup", "lz4"
	for range 2 {
		m.write(5)
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
	}
	d := m.settled("full inc")
	m.peerRestores(d)
	convert := func(stream store.Stream, o format.Options) {
		if _, err := executor.Convert(t.Context(), localStore{m.store()}, executor.Conversion{
			Folder: d.Folder, Chain: d.Chains[0].Name, Stream: stream, Options: o, Now: m.now, Random: rand.Reader, Version: "test",
			Self: store.Attempt{Host: "here"}, Progress: func(string, int64, int64) {},
		}); err != nil {
			t.Fatal(err)
		}
	}
	convert(store.V3, format.Options{Codec: format.Zstd})
	policy.Stream, policy.Compression.Codec = "v3", "zstd"
	m.write(3)
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.settled("full inc inc")
	convert(store.VirtNBDBackup, format.Options{})
	policy.Stream, policy.Compression.Codec = "virtnbdbackup", "none"
	m.peerRestores(m.settled("full inc inc"))
}

// peerRestores compares whole disks at every point of the only chain.
func (m *machine) peerRestores(d store.Domain) {
	m.Helper()
	c := d.Chains[0]
	for _, p := range c.Manifest.Points {
		for target, want := range m.taken[p.Checkpoint] {
			got, err := virtnbdtest.Restore(filepath.Join(m.store().Path(), d.Folder, c.Name), target, p.Checkpoint, false)
			if errors.Is(err, virtnbdtest.ErrAbsent) && os.Getenv("VBK_REQUIRE_PEERS") != "1" {
				m.Skip(err)
			}
			if err != nil {
				m.Fatal(err)
			}
			if sha256.Sum256(got) != want {
				m.Errorf("virtnbdrestore makes something else of disk %s at point %d", target, p.Sequence)
			}
		}
	}
}
