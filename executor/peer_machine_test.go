package executor_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"vbk/executor"
	"vbk/executor/bind"
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
		if _, err := executor.Convert(t.Context(), bind.Store{Store: m.store()}, executor.Conversion{
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

// peerRestores compares whole disks at every point of the only chain, side by
// side: virtnbdrestore sleeps a second before each disk.
func (m *machine) peerRestores(d store.Domain) {
	m.Helper()
	c := d.Chains[0]
	folder := filepath.Join(m.store().Path(), d.Folder, c.Name)
	m.Run("virtnbdrestore", func(t *testing.T) {
		for _, p := range c.Manifest.Points {
			for target, want := range m.taken[p.Checkpoint] {
				t.Run(fmt.Sprint(p.Sequence, target), func(t *testing.T) {
					t.Parallel()
					got, err := virtnbdtest.Restore(folder, target, p.Checkpoint, false)
					if errors.Is(err, virtnbdtest.ErrAbsent) && os.Getenv("VBK_REQUIRE_PEERS") != "1" {
						t.Skip(err)
					}
					if err != nil {
						t.Fatal(err)
					}
					if sha256.Sum256(got) != want {
						t.Error("virtnbdrestore makes something else of the disk")
					}
				})
			}
		}
	})
}
