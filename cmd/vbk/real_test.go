//go:build cgo

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/virt/libvirt/embedtest"
)

const realConfiguration = `host "local" {
  uri         = %q
  scratch_dir = %q
}

store "local" "backup" {
  path = "backup"
}

domain "web" {
  match = ["web01"]
  store = store.local.backup
  every = %q
  compression { codec = "none" }
}
`

// real is a built vbk with a QEMU machine under a libvirt that runs in vbk's
// process.
type real struct {
	program
	root *embedtest.Root
	uuid string
}

// configure writes the configuration with every.
func (r real) configure(t *testing.T, every string) {
	t.Helper()
	text := fmt.Sprintf(realConfiguration, r.root.URI(), r.root.Dir(), every)
	if err := os.WriteFile(filepath.Join(r.dir, "backup.vbk.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRealMachine takes a machine through its days: backups, restores, a vbk
// that is killed in the middle of a transfer, and one that is interrupted.
func TestRealMachine(t *testing.T) {
	root := embedtest.Detached(t)
	r := real{program: buildProgram(t, "1"), root: root}
	r.uuid = root.Define(t, embedtest.Machine{Name: "web01", Disks: []embedtest.DiskSpec{{Target: "vda", Size: 96 << 20}, {Target: "vdb", Size: 4 << 20}}})
	root.Write(t, r.uuid, "vda", 1<<20, 5<<20, 0x11)
	root.Write(t, r.uuid, "vdb", 3<<20, 100, 0x22)
	r.configure(t, "24h")

	r.run(t, 0, "init")
	out, _ := r.run(t, 0, "plan")
	wantText(t, out, `domain.web["local/web01"] gets a full: its first chain begins`)
	r.run(t, 0, "apply", "-auto-approve")
	full := r.pictures(t)
	out, _ = r.run(t, 0, "plan")
	wantText(t, out, "No changes.")

	r.configure(t, "1s")
	root.Write(t, r.uuid, "vda", 4<<20, 5<<20, 0x33)
	root.WriteZero(t, r.uuid, "vda", 1<<20, 1<<20)
	root.Discard(t, r.uuid, "vda", 2<<20, 1<<20)
	root.Write(t, r.uuid, "vdb", 0, 1, 0x44)
	r.awaitDue(t)
	out, _ = r.run(t, 0, "apply", "-auto-approve")
	wantText(t, out, "gets an increment")
	increment := r.pictures(t)

	points := r.points(t)
	if len(points) != 2 {
		t.Fatalf("vbk list shows %v, want 2 points", points)
	}
	r.wantRestore(t, points[0], full)
	r.wantRestore(t, points[1], increment)
	t.Run("killed", func(t *testing.T) { r.testKilled(t, points[1], increment) })
	t.Run("interrupted", r.testInterrupted)
	r.run(t, 0, "verify", "-read-data")
	r.wantRestore(t, points[0], full)
}

// testKilled: nothing is lost, the plan says what is to be cleaned up, and
// apply does it.
func (r real) testKilled(t *testing.T, point string, content map[string]string) {
	if state := r.cut(t, syscall.SIGKILL); !state.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("vbk ended by itself: %v", state)
	}
	points := len(r.points(t))
	r.wantRestore(t, point, content)
	out, _ := r.run(t, 4, "status")
	wantText(t, out, " UTC, was cut off: pid ", "the next vbk apply cleans up and tries again")
	out, _ = r.run(t, 0, "plan")
	wantText(t, out, "ends backup job", "deletes checkpoint vbk-", "removes run folder", "that no point names", "gets an increment", "left by an interrupted run")
	if n := r.checkpoints(t); n != 2 {
		t.Fatalf("%d checkpoints, want that of the last point and the killed one", n)
	}
	now := r.pictures(t)
	out, _ = r.run(t, 0, "apply", "-auto-approve")
	wantText(t, out, "cleaned up what an interrupted run left")
	r.wantClean(t)
	all := r.points(t)
	if len(all) != points+1 {
		t.Fatalf("%d points, want %d", len(all), points+1)
	}
	r.wantRestore(t, all[len(all)-1], now)
}

// testInterrupted: the job has ended and its checkpoint is gone when vbk exits.
func (r real) testInterrupted(t *testing.T) {
	state := r.cut(t, syscall.SIGINT)
	if state.ExitCode() != exitInterrupted {
		t.Fatalf("vbk ended with %v, want exit code 130", state)
	}
	r.wantClean(t)
	points := len(r.points(t))
	out, _ := r.run(t, 4, "status")
	wantText(t, out, "the last attempt, at ", "failed: interrupted by signal: interrupt")
	out, _ = r.run(t, 0, "plan")
	wantText(t, out, "gets an increment", "0 to change")
	now := r.pictures(t)
	r.awaitDue(t)
	r.run(t, 0, "apply", "-auto-approve")
	all := r.points(t)
	if len(all) != points+1 {
		t.Fatalf("%d points, want %d", len(all), points+1)
	}
	r.wantRestore(t, all[len(all)-1], now)
}

// cut writes to the machine, starts an apply, and sends it a signal in the
// middle: after the first bytes of the new point, before its manifest.
func (r real) cut(t *testing.T, signal syscall.Signal) *os.ProcessState {
	t.Helper()
	for try := range 20 {
		r.root.Write(t, r.uuid, "vda", 0, 96<<20, byte(0x50+try))
		r.awaitDue(t)
		stored, manifest := r.stored(t), r.manifest(t)
		cmd := r.command("apply", "-auto-approve")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		look := time.NewTicker(time.Millisecond)
		running := true
		for running && r.stored(t) == stored {
			select {
			case <-look.C:
			case <-ended:
				running = false
			}
		}
		look.Stop()
		_ = cmd.Process.Signal(syscall.SIGSTOP) // an error: it has ended by itself
		early := running && r.manifest(t) == manifest
		if early {
			_ = cmd.Process.Signal(signal)
		}
		_ = cmd.Process.Signal(syscall.SIGCONT)
		<-ended
		t.Logf("$ vbk apply, %v\n%s", signal, &out)
		if early {
			return cmd.ProcessState
		}
	}
	t.Fatal("vbk was done each time before the signal came")
	return nil
}

// awaitDue plans until something is to be done.
func (r real) awaitDue(t *testing.T) {
	t.Helper()
	for range 1000 {
		cmd := r.command("plan", "-detailed-exitcode")
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() == exitChanges {
			return
		} else if err != nil {
			t.Fatalf("vbk plan: %v\n%s", err, out)
		}
	}
	t.Fatal("nothing becomes due")
}

// stored is the sum of the sizes of all data files.
func (r real) stored(t *testing.T) (sum int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "backup", "*", "*", "*.v3"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// manifest is the name of the newest manifest.
func (r real) manifest(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "backup", "*", "*", "chain.*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifest: %v", err)
	}
	return filepath.Base(files[len(files)-1])
}

// points are the addresses that vbk list prints.
func (r real) points(t *testing.T) (all []string) {
	t.Helper()
	out, _ := r.run(t, 0, "list")
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "web01@") {
			all = append(all, strings.Fields(line)[0])
		}
	}
	return all
}

// checkpoints counts those that libvirt knows.
func (r real) checkpoints(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("virsh", "-q", "-c", r.root.URI(), "checkpoint-list", "--name", r.uuid).CombinedOutput()
	if err != nil {
		t.Fatalf("virsh: %v: %s", err, out)
	}
	return len(strings.Fields(string(out)))
}

// wantClean wants nothing but the newest point's checkpoint, no job and no run
// folder.
func (r real) wantClean(t *testing.T) {
	t.Helper()
	if n := r.checkpoints(t); n != 1 {
		t.Fatalf("%d checkpoints, want 1", n)
	}
	if left, _ := filepath.Glob(filepath.Join(r.root.Dir(), "vbk-*")); len(left) > 0 {
		t.Fatalf("run folders are left: %v", left)
	}
	out, err := exec.Command("virsh", "-q", "-c", r.root.URI(), "backup-dumpxml", r.uuid).CombinedOutput()
	if err == nil {
		t.Fatalf("a backup job is left: %s", out)
	}
}

// pictures are raw copies of the disks by target.
func (r real) pictures(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"vda": r.root.Copy(t, r.uuid, "vda"), "vdb": r.root.Copy(t, r.uuid, "vdb")}
}

// wantRestore restores a point in both formats and has qemu-img compare.
func (r real) wantRestore(t *testing.T, point string, want map[string]string) {
	t.Helper()
	for _, format := range []string{"raw", "qcow2"} {
		dir := filepath.Join(t.TempDir(), "out")
		r.run(t, 0, "restore", point, "-o", dir, "-format", format)
		for target, picture := range want {
			restored := filepath.Join(dir, target+"."+format)
			out, err := exec.Command("qemu-img", "compare", "-f", "raw", "-F", format, picture, restored).CombinedOutput()
			if err != nil || string(out) != "Images are identical.\n" { // or their sizes differ
				t.Fatalf("%s %s %s: %v: %s", point, format, target, err, out)
			}
		}
	}
}
