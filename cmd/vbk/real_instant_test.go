//go:build cgo

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/virt/libvirt/embedtest"
)

// TestRealInstant takes a machine that runs from its point through what ends such a thing:
// Ctrl-C, its server killed, a full folder. Then its disks are its own, whole.
func TestRealInstant(t *testing.T) {
	root := embedtest.NewDaemon(t).Root
	r := real{program: buildProgram(t, "1"), root: root}
	r.uuid = root.Define(t, embedtest.Machine{Name: "web01", Disks: []embedtest.DiskSpec{{Target: "vda", Size: 24 << 20}, {Target: "vdb", Size: 2 << 20}}})
	root.Write(t, r.uuid, "vda", 1<<20, 16<<20, 0x11)
	root.Write(t, r.uuid, "vdb", 1<<20, 100, 0x22)
	r.configure(t, "24h")
	replaceIn(t, filepath.Join(r.dir, "backup.vbk.hcl"), root.URI(), "qemu:///system")
	r.run(t, 0, "init")
	r.run(t, 0, "apply", "-auto-approve")
	content := r.pictures(t)

	dir := filepath.Join(root.Dir(), "now")
	if err := errors.Join(os.Mkdir(dir, 0o711), syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=711,size=40m")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	args := []string{"restore", "web01@latest", "-o", dir, "-instant", "-name", "now"}
	t.Cleanup(func() { _ = r.virsh("destroy", "now") })
	server := r.instantInterrupted(t, append(args, "-rate", "512KiB/s"))
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
		t.Fatalf("the server has ended with the command: %v", err)
	}
	if err := r.virsh("destroy", "now"); err != nil { // as QEMU 7.2 may have by itself
		t.Logf("%v", err)
	}

	args = append(args, "-resume")
	r.instantInterrupted(t, append(args, "-rate", "512KiB/s"))
	filler := filepath.Join(dir, "filler")
	fillUp(t, filler)
	_, problem := r.run(t, exitFailed, args...)
	for range 5 {
		if !strings.Contains(problem, "domain is not running") {
			break
		}
		_, problem = r.run(t, exitFailed, args...) // QEMU 7.2 ends now and then when there is no space: then it is started again
	}
	wantText(t, problem, "QEMU has stopped copying disk vda before its end", "has only", "make room; then the same command with -resume goes on")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	out, _ := r.run(t, 0, args...)
	wantText(t, out, "Copied. now is defined on its own disks")
	out, _ = r.run(t, 0, args...)
	wantText(t, out, "Copied.")

	if err := r.virsh("suspend", "now"); err != nil {
		t.Fatal(err)
	}
	for target, picture := range content {
		out, err := exec.Command("qemu-img", "compare", "-U", "-f", "raw", "-F", "qcow2", picture, filepath.Join(dir, target+".qcow2")).CombinedOutput()
		if err != nil || string(out) != "Images are identical.\n" {
			t.Errorf("%s: %v: %s", target, err, out)
		}
	}
	r.guardPaused(t, "now")
	if err := errors.Join(r.virsh("destroy", "now"), r.virsh("undefine", "now")); err != nil {
		t.Error(err)
	}
}

// guardPaused: who guards a machine that is paused lets it run on if its pipe ends, and
// leaves it alone if it was sent home.
func (r real) guardPaused(t *testing.T, name string) {
	t.Helper()
	uuid, err := r.virshOutput("domuuid", name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, state string }{{"\n", "paused"}, {"", "running"}} {
		cmd := r.command(guardPaused, "qemu:///system", uuid)
		cmd.Stdin = strings.NewReader(c.line)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %s", err, out)
		}
		if state, err := r.virshOutput("domstate", name); err != nil || state != c.state {
			t.Errorf("after %q it is %s, want %s: %v", c.line, state, c.state, err)
		}
	}
}

// instantInterrupted presses Ctrl-C when the machine runs, and returns the process that
// serves its point.
func (r real) instantInterrupted(t *testing.T, args []string) (server int) {
	t.Helper()
	cmd := r.command(args...)
	out, err := cmd.StdoutPipe()
	var said bytes.Buffer
	cmd.Stderr = &said
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	told := readUntil(out, "the same command with -resume goes on.\n")
	_ = cmd.Process.Signal(os.Interrupt)
	rest, _ := io.ReadAll(out)
	_ = cmd.Wait()
	t.Logf("$ vbk %s\n%s%s%s", strings.Join(args, " "), told, rest, &said)
	serves := regexp.MustCompile(`process ([0-9]+), which serves it`).FindSubmatch(told)
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || serves == nil {
		t.Fatalf("exit code %d, or nobody serves", code)
	}
	if state, err := r.virshOutput("domstate", "now"); err != nil || state != "running" {
		t.Fatalf("the machine is %s: %v", state, err)
	}
	server, _ = strconv.Atoi(string(serves[1]))
	return server
}

func readUntil(r io.Reader, text string) (all []byte) {
	b := make([]byte, 1)
	for !bytes.HasSuffix(all, []byte(text)) {
		if _, err := r.Read(b); err != nil {
			return all
		}
		all = append(all, b[0])
	}
	return all
}

func replaceIn(t *testing.T, path, old, new string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.ReplaceAll(text, []byte(old), []byte(new)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fillUp writes a file until there is no space.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func (r real) virsh(args ...string) error {
	_, err := r.virshOutput(args...)
	return err
}

func (r real) virshOutput(args ...string) (string, error) {
	cmd := exec.Command("virsh", append([]string{"-q", "-c", r.root.URI()}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("virsh %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// killedDrill: what a drill that is killed has begun goes all the same.
func (r real) killedDrill(t *testing.T) {
	t.Helper()
	cmd := r.command("drill", "web01@latest", "-boot", "never said", "-timeout", "5m", "-scratch", r.root.Dir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	limit := time.After(2 * time.Minute)
	await := func(what string, is func() bool) {
		t.Helper()
		for !is() {
			select {
			case <-look.C:
			case <-limit:
				t.Fatal(what)
			}
		}
	}
	folder := filepath.Join(r.root.Dir(), "vbk-drill-*")
	await("the drill does not begin", func() bool {
		said, _ := filepath.Glob(filepath.Join(folder, "console"))
		if len(said) == 0 {
			return false
		}
		info, err := os.Stat(said[0])
		return err == nil && info.Size() > 0
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	await("the folder of the drill stays", func() bool {
		left, _ := filepath.Glob(folder)
		return len(left) == 0
	})
	// The folder goes before libvirt's driver, of which there is one at a time, has ended.
	var all string
	var err error
	await("virsh cannot look at what a killed drill has left", func() bool {
		all, err = r.virshOutput("list", "--all", "--name")
		return err == nil || !strings.Contains(all, "driver.pid")
	})
	if err != nil || strings.Contains(all, "vbk-drill") {
		t.Errorf("left are %q: %v", all, err)
	}
}
