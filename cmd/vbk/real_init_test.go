//go:build cgo

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRealInit has a real vbk, as another user and as root, meet what keeps a store or a
// host from serving: it says what is wrong, and what it says mends it.
func TestRealInit(t *testing.T) {
	p := buildProgram(t, "1")
	dir := t.TempDir()
	open := func(path string) { // to everybody, up to the root
		for at := path; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
			if err := os.Chmod(at, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	open(dir)
	open(filepath.Dir(p.path))
	socket := filepath.Join(dir, "libvirt-sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(socket, 0o700); err != nil {
		t.Fatal(err)
	}
	configure := func(uri, store string) {
		text := fmt.Sprintf("host \"local\" {\n  uri = %q\n}\n\nstore \"local\" \"nas\" {\n  path = %q\n}\n\ndomain \"a\" {\n  match = [\"a\"]\n  store = store.local.nas\n}\n", uri, store)
		if err := os.WriteFile(filepath.Join(dir, "backup.vbk.hcl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	vbk := func(uid uint32, args ...string) string {
		cmd := exec.Command(p.path, append([]string{"-chdir", dir}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		cmd.Env = append(os.Environ(), "HOME="+dir)
		out, _ := cmd.CombinedOutput() // its code is wanted
		if code := cmd.ProcessState.ExitCode(); code != 1 && code != 3 {
			t.Fatalf("exit code %d\n%s", code, out)
		}
		return string(out)
	}
	const nobody = 65534
	store := filepath.Join(dir, "store")
	configure("qemu:///system?socket="+socket, store)
	out := vbk(nobody, "init")
	wantText(t, out, "libvirt-sock': Permission denied\n", "vbk: hint: run vbk as root, or: usermod -aG libvirt $USER",
		"mkdir "+store+": permission denied\n", "vbk: hint: run vbk as root, or as root: install -d -o $USER "+store)
	if out := vbk(nobody, "plan"); !strings.Contains(out, "usermod -aG libvirt") {
		t.Errorf("vbk plan has no such hint:\n%s", out)
	}
	if out, err := exec.Command("install", "-d", "-o", "nobody", store).CombinedOutput(); err != nil {
		t.Fatalf("install: %v: %s", err, out)
	}
	wantText(t, vbk(nobody, "init"), store+" is new, marked")
	configure("qemu:///system?socket="+filepath.Join(dir, "none"), store)
	wantText(t, vbk(0, "init"), "none': No such file or directory\n", "vbk: hint: systemctl start libvirtd")
	wantText(t, vbk(0, "init"), "is a store already")
	t.Run("no hard links", func(t *testing.T) {
		fat := exfat(t)
		configure("qemu:///system?socket=none", filepath.Join(fat, "store"))
		wantText(t, vbk(0, "init"), "link vbk.json: ", "operation not permitted\n", "vbk: hint: the file system of a store needs hard links (ext4, XFS, Btrfs, ZFS, NFS have them): findmnt -T "+fat)
		if left, err := os.ReadDir(filepath.Join(fat, "store")); err != nil || len(left) > 0 {
			t.Errorf("it leaves %v (%v)", left, err)
		}
	})
}

// exfat mounts a file system without hard links.
func exfat(t *testing.T) string {
	t.Helper()
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	run := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
				t.Fatalf("VBK_REQUIRE_PEERS=1: %s: %v: %s", name, err, out)
			}
			t.Skipf("%s: %v: %s", name, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	run("mkfs.exfat", image)
	device := run("losetup", "--find", "--show", image)
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() }) // nothing else uses it
	run("mount.exfat-fuse", device, dir)
	t.Cleanup(func() { run("umount", dir) })
	return dir
}
