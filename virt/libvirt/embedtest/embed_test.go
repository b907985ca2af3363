package embedtest_test

import (
	"bytes"
	"os"
	"testing"

	"vbk/virt/libvirt/embedtest"
)

func TestMain(m *testing.M) { os.Exit(embedtest.Main{M: m}.Run()) }

func TestMachines(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *embedtest.Root{"New": embedtest.New, "Detached": embedtest.Detached} {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			const size = 1 << 20
			uuid := r.Define(t, embedtest.Machine{Name: "web", Disks: []embedtest.DiskSpec{
				{Target: "vda", Size: size}, {Target: "vdb", Size: size, Format: "raw"},
			}})
			for _, target := range []string{"vda", "vdb"} {
				r.Write(t, uuid, target, 0, 192<<10, 0xaa)
				r.WriteZero(t, uuid, target, 64<<10, 64<<10)
				r.Discard(t, uuid, target, 128<<10, 64<<10)
				want := make([]byte, size)
				copy(want, bytes.Repeat([]byte{0xaa}, 64<<10))
				got, err := os.ReadFile(r.Copy(t, uuid, target))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("copy of %s differs from what was written: %v", target, err)
				}
			}
			r.Kill(t, uuid)
			r.Start(t, uuid)
			r.Stop(t, uuid)
		})
	}
}
