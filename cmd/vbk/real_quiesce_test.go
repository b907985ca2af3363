//go:build cgo

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/virt/libvirt/embedtest"
)

// TestRealGuest backs up a Linux that writes all the time: a quiesced point holds
// a file system that is whole and files that belong together. A vbk that is killed
// while the guest is frozen leaves somebody who thaws it.
func TestRealGuest(t *testing.T) {
	root := embedtest.Detached(t)
	r := real{program: buildProgram(t, "1"), root: root}
	linux := embedtest.BuildLinux(t)
	r.uuid = root.Define(t, embedtest.Machine{Name: "web01", Linux: &linux, Disks: []embedtest.DiskSpec{{Target: "vda", Size: 64 << 20, Ext4: true}}})
	r.configure(t, "1s")
	config := filepath.Join(r.dir, "backup.vbk.hcl")
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, bytes.Replace(text, []byte("compression {"), []byte("quiesce {\n    mode    = \"require\"\n    timeout = \"60s\"\n  }\n  compression {"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.run(t, 0, "init")
	r.run(t, 0, "apply", "-auto-approve")
	r.awaitDue(t)
	r.run(t, 0, "apply", "-auto-approve")
	thaws := bytes.Count(root.Console(r.uuid), []byte("guest: thaw"))
	if thaws != 2 {
		t.Fatalf("the guest was thawed %d times, not twice:\n%s", thaws, root.Console(r.uuid))
	}
	var numbers []string
	for _, point := range r.points(t) {
		dir := filepath.Join(t.TempDir(), "out")
		r.run(t, 0, "restore", point, "-o", dir, "-format", "raw")
		numbers = append(numbers, root.CheckPair(t, filepath.Join(dir, "vda.raw")))
	}
	if len(numbers) != 2 || numbers[0] == numbers[1] {
		t.Errorf("the guest wrote %v at its two points", numbers)
	}

	r.awaitDue(t)
	r.killFrozen(t)
	root.WaitConsoleCount(t, r.uuid, "guest: thaw", thaws+1)
	out, _ := r.run(t, 0, "plan")
	wantText(t, out, "left by an interrupted run")
	r.run(t, 0, "apply", "-auto-approve")
	r.wantClean(t)
	r.testDrill(t)
}

// killFrozen kills an apply when its record says that the guest is frozen, and the
// guest says so too.
func (r real) killFrozen(t *testing.T) {
	t.Helper()
	freezes := bytes.Count(r.root.Console(r.uuid), []byte("guest: freeze"))
	cmd := r.command("apply", "-auto-approve")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for limit := time.After(time.Minute); ; {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("the guest was not frozen:\n%s", &out)
		}
		if bytes.Count(r.root.Console(r.uuid), []byte("guest: freeze")) > freezes {
			break
		}
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	records, _ := filepath.Glob(filepath.Join(r.dir, "backup", "*", "lock"))
	record, err := os.ReadFile(records[0])
	if err != nil || !strings.Contains(string(record), `"frozen":true`) {
		t.Logf("it had thawed the guest already: %s", record)
	}
}
