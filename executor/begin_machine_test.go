package executor_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vbk/virt"
)

// TestBeginMachine: what a begin leaves on a real machine that fails, whose client
// dies, or whose outcome nobody knows. The next apply ends what is ours and nothing else, and the
// point that it makes is an increment with every change in it.
func TestBeginMachine(t *testing.T) {
	m := newMachine(t, "begins", "qcow2")
	m.quiet = true
	checkpoints := filepath.Join(strings.TrimPrefix(m.root.URI(), "qemu:///embed?root="), "lib", "qemu", "checkpoint", "begins")
	m.write(8)
	kinds := "full"
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	converges := func() {
		t.Helper()
		m.write(2)
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		kinds += " inc"
		m.settled(kinds)
		m.write(2)
	}
	fails := func(want string) {
		t.Helper()
		if err := m.apply(); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("want a failure with %q: %v", want, err)
		}
	}
	job := func() string {
		t.Helper()
		d, err := m.host.Domain(t.Context(), m.uuid)
		if err != nil || d.Job == nil {
			t.Fatalf("no job: %+v, %v", d, err)
		}
		return d.Job.Socket
	}
	checkpointsAre := func(count int) {
		t.Helper()
		if d, err := m.host.Domain(t.Context(), m.uuid); err != nil || len(d.Checkpoints) != count {
			t.Errorf("want %d checkpoints: %+v, %v", count, d.Checkpoints, err)
		}
	}

	t.Log("vbk is killed when the job has begun (S11)")
	m.dies = "BeginBackup"
	fails("killed")
	m.dies = ""
	if socket := job(); !strings.Contains(socket, "/vbk-"+m.store().ID()+"-") {
		t.Errorf("the job has socket %s", socket)
	}
	converges()

	t.Log("vbk is killed while QEMU does not answer, and the job begins later (S17)")
	m.late = make(chan error, 1)
	fails("killed")
	m.dies = ""
	if err := syscall.Kill(m.root.PID(m.uuid), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-m.late; err != nil {
		t.Fatal(err)
	}
	m.late = nil
	job()
	converges()

	t.Log("libvirt cannot save the checkpoint, and leaves a zombie (S19)")
	if err := os.Rename(checkpoints, checkpoints+".x"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(checkpoints, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fails("begin backup of domain")
	if err := os.Remove(checkpoints); err != nil {
		t.Fatal(err)
	}
	m.rename(checkpoints+".x", checkpoints)
	converges()

	t.Log("the job has its checkpoint, and its export fails (S18)")
	free := m.root.TakeExports(t, m.uuid)
	fails("is already in use")
	if len(m.left) != 2 {
		t.Errorf("the begin has left the checkpoints %+v", m.left)
	}
	checkpointsAre(1)
	m.dies = "BeginBackup"
	fails("killed")
	m.dies = ""
	checkpointsAre(2)
	free()
	converges()

	t.Log("somebody else's job is active (S12)")
	dir := filepath.Join(m.root.Dir(), "theirs")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	theirs := virt.Backup{Socket: filepath.Join(dir, "s"), Others: []string{"vdb"},
		Disks: []virt.BackupDisk{{Target: "vda", Scratch: filepath.Join(dir, "vda"), Untracked: true}}}
	if err := m.host.BeginBackup(t.Context(), m.uuid, theirs); err != nil {
		t.Fatal(err)
	}
	fails(theirs.Socket)
	if socket := job(); socket != theirs.Socket {
		t.Errorf("their job has become %s", socket)
	}
	if err := m.host.EndBackup(t.Context(), m.uuid, theirs.Socket); err != nil {
		t.Fatal(err)
	}
	converges()
	m.restored(m.settled(kinds))
}

// TestBeginCutShort: libvirt is killed in the middle of a begin, and its successor knows no
// job, but QEMU serves on. The next apply ends that, and its point is exact; where
// QEMU serves for somebody else, nothing is touched, and the error says what frees it.
func TestBeginCutShort(t *testing.T) {
	m := newMachine(t, "halves", "qcow2")
	m.write(8)
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	kinds := "full"
	for _, late := range []bool{false, true} {
		m.write(2)
		m.half = func(b virt.Backup) {
			scratch := map[string]string{}
			for _, d := range b.Disks {
				scratch[d.Target] = d.Scratch
			}
			m.root.LeaveBackup(t, m.uuid, b.Socket, scratch, late)
		}
		if err := m.apply(); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		m.half, m.dies = nil, ""
		m.write(2)
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		kinds += " inc"
		m.restored(m.settled(kinds))
	}
	dir := filepath.Join(m.root.Dir(), "other")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, "s")
	m.write(2)
	stop := m.root.LeaveBackup(t, m.uuid, theirs, nil, false)
	err := m.apply()
	var hinted interface{ Hint() string }
	if !errors.Is(err, virt.ErrServing) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), `qemu-monitor-command halves '{"execute":"nbd-server-stop"}'`) {
		t.Fatal(err)
	}
	if conn, err := net.Dial("unix", theirs); err != nil {
		t.Errorf("their server is gone: %v", err)
	} else {
		_ = conn.Close()
	}
	stop()
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.restored(m.settled(kinds + " inc"))
}

// beginsLate lets QEMU stop before a begin, of which nobody waits for the end: it
// goes on in libvirt, as it does when its client is killed.
func (h witness) beginsLate(uuid string, b virt.Backup) error {
	if err := syscall.Kill(h.m.root.PID(uuid), syscall.SIGSTOP); err != nil {
		return err
	}
	go func() { h.m.late <- h.Host.BeginBackup(context.Background(), uuid, b) }()
	h.m.dies = "everything"
	return errKilled
}
