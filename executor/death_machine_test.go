package executor_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vbk/executor"
	"vbk/nbd"
	"vbk/virt/libvirt/embedtest"
)

// inMidRead lets something happen once, while the first data of a job is read.
func (m *machine) inMidRead(happens func()) {
	var once sync.Once
	m.dial = func(ctx context.Context, socket, export, bitmap string) (executor.Export, error) {
		e, err := dialNBD(ctx, socket, export, bitmap)
		if err != nil {
			return nil, err
		}
		return strange{Export: e, read: func(ctx context.Context, reads []nbd.Read) error {
			once.Do(happens)
			return e.ReadBatch(ctx, reads)
		}}, nil
	}
}

// TestMachineEndsInMidRead: QEMU is killed (S15), quits (S16), is destroyed through
// libvirt (S14), and the guest itself powers off, each while the first disk is read. No point is made, plan and apply clean
// up whatever state the machine is in then, the next point is exact, and it is an
// increment where the bitmaps were saved.
func TestMachineEndsInMidRead(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*machine)
		next string
	}{
		"killed": {func(m *machine) { m.root.Kill(m.T, m.uuid) }, "resync"},
		"quits":  {func(m *machine) { m.root.Stop(m.T, m.uuid) }, "inc"},
		"destroyed": {func(m *machine) {
			if err := m.host.Destroy(m.Context(), m.uuid); err != nil {
				m.Error(err)
			}
		}, "inc"},
		"powers off": {func(m *machine) {
			m.root.Resume(m.T, m.uuid)
			m.root.WaitInactive(m.T, m.uuid)
		}, "inc"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "ends", "qcow2")
			m.quiet = true
			m.write(8)
			if name == "powers off" {
				m.root.Stop(t, m.uuid)
				m.bootToPowerOff()
				m.root.Start(t, m.uuid)
			}
			if err := m.apply(); err != nil {
				t.Fatal(err)
			}
			m.root.Write(t, m.uuid, "vda", 1<<20, 4<<20, 77)
			m.root.Write(t, m.uuid, "vdb", 1<<20, 1<<20, 78)
			m.inMidRead(func() { c.end(m) })
			if err := m.apply(); err == nil {
				t.Fatal("no failure")
			}
			m.wantFailure("disk vda: ")
			m.dial = dialNBD
			if err := m.apply(); err != nil { // the machine is shut off, and offline = "skip"
				t.Fatal(err)
			}
			m.root.Start(t, m.uuid)
			m.root.Write(t, m.uuid, "vda", 2<<20, 1<<20, 79)
			if err := m.apply(); err != nil {
				t.Fatal(err)
			}
			m.restored(m.settled("full " + c.next))
			m.wantFailure("")
		})
	}
}

// wantFailure wants the store to tell that the last attempt failed, and why; "": that
// it did not.
func (m *machine) wantFailure(why string) {
	m.Helper()
	domains, err := m.store().Domains(m.Context())
	if err != nil || len(domains) != 1 {
		m.Fatalf("%d domains, %v", len(domains), err)
	}
	if f := domains[0].LastFailure(); (f == nil) != (why == "") || f != nil && !strings.Contains(f.Error, why) {
		m.Errorf("the last failure is %+v, want %q", f, why)
	}
}

// bootToPowerOff gives vda a boot sector that writes to the power management of a
// PIIX4, as a guest does that has shut down.
func (m *machine) bootToPowerOff() {
	m.Helper()
	sector := make([]byte, 512)
	copy(sector, []byte{
		0xba, 0x04, 0x06, // mov $0x604, %dx
		0xb8, 0x00, 0x20, // mov $0x2000, %ax
		0xef,       // out %ax, %dx
		0xf4,       // hlt
		0xeb, 0xfd, // jmp back to hlt
	})
	sector[510], sector[511] = 0x55, 0xaa
	file := filepath.Join(m.TempDir(), "sector")
	if err := os.WriteFile(file, sector, 0o600); err != nil {
		m.Fatal(err)
	}
	m.shell("qemu-io", "-f", "qcow2", "-c", "write -s "+file+" 0 512", m.root.Image(m.uuid, "vda"))
}

// TestScratchFills: scratch files are on a small file system, and the guest
// overwrites all it has while the job is read slowly (S24). The job ends before the file system is full: no write of
// the guest fails.
func TestScratchFills(t *testing.T) {
	m := machineOf(t, "scratch", embedtest.DiskSpec{Target: "vda", Size: 256 << 20})
	m.quiet = true
	small := m.smallScratch("128m")
	m.root.Write(t, m.uuid, "vda", 0, 192<<20, 1)
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.root.Write(t, m.uuid, "vda", 0, 192<<20, 2)
	scratch := m.config.Hosts[0].ScratchDir
	m.config.Hosts[0].ScratchDir = small
	wrote := 0
	m.dial = func(ctx context.Context, socket, export, bitmap string) (executor.Export, error) {
		e, err := dialNBD(ctx, socket, export, bitmap)
		if err != nil {
			return nil, err
		}
		return strange{Export: e, read: func(ctx context.Context, _ []nbd.Read) error {
			for ; ctx.Err() == nil && wrote < 192; wrote++ {
				m.root.Write(t, m.uuid, "vda", int64(wrote)<<20, 1<<20, 3)
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}}, nil
	}
	err := m.apply()
	if err == nil || !strings.Contains(err.Error(), "the guest's writes would fail while a backup job runs") {
		t.Fatalf("the job ended by %v", err)
	}
	for ; wrote < 192; wrote++ {
		m.root.Write(t, m.uuid, "vda", int64(wrote)<<20, 1<<20, 3)
	}
	if log := m.root.Log(m.uuid); strings.Contains(log, "failed") {
		t.Errorf("writes of the guest failed:\n%s", log)
	}
	if left, _ := filepath.Glob(filepath.Join(small, "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	m.dial, m.config.Hosts[0].ScratchDir = dialNBD, scratch
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.restored(m.settled("full inc"))
}

// smallScratch mounts a file system of its own for scratch files.
func (m *machine) smallScratch(size string) string {
	m.Helper()
	dir := filepath.Join(m.root.Dir(), "small")
	if err := os.Mkdir(dir, 0o711); err != nil {
		m.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=711,size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			m.Fatalf("VBK_REQUIRE_PEERS=1: mount: %s", out)
		}
		m.Skipf("mount: %s", out)
	}
	m.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return dir
}
