package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func (h *twin) Versions(context.Context) (library, hypervisor uint32, err error) {
	if h.old {
		return 6_009_000, 5_002_000, nil
	}
	return 9_000_000, 7_002_000, nil
}

func TestNewEnough(t *testing.T) {
	for _, c := range []struct {
		library, qemu uint32
		want          string
	}{
		{7_006_000, 6_001_000, ""},
		{11_010_003, 10_001_002, ""},
		{7_005_000, 8_000_000, "libvirt 7.5.0 is too old"},
		{9_000_000, 6_000_050, "QEMU 6.0.50 is too old"},
	} {
		if got := fmt.Sprint(newEnough(c.library, c.qemu)); c.want == "" && got != "<nil>" || !strings.HasPrefix(got, c.want) {
			t.Errorf("libvirt %d, QEMU %d: %s, want %q", c.library, c.qemu, got, c.want)
		}
	}
}

// TestMends: every failure that init knows has a command.
func TestMends(t *testing.T) {
	link := &os.LinkError{Op: "link", Old: "a", New: "b", Err: syscall.EPERM}
	for want, err := range map[string]error{
		"findmnt -T /s":          fmt.Errorf("init store: %w", link),
		"rpc-statd":              fmt.Errorf("try a lock: %w", syscall.ENOLCK),
		"without nolock":         fmt.Errorf("try a lock: %w", errLocksDoNotHold),
		"remount,rw":             &fs.PathError{Op: "mkdir", Path: "/s", Err: syscall.EROFS},
		"mkdir -p /":             &fs.PathError{Op: "mkdir", Path: "/s", Err: syscall.ENOENT},
		"install -d -o $USER /s": &fs.PathError{Op: "mkdir", Path: "/s", Err: syscall.EACCES},
		"names a file":           &fs.PathError{Op: "open", Path: "/s", Err: syscall.ENOTDIR},
		"df -h /s":               &fs.PathError{Op: "write", Path: "/s", Err: syscall.ENOSPC},
		"what it knew":           hint(errors.New("other"), "what it knew"),
		"hard links (ext":        fmt.Errorf("%w", &os.LinkError{Op: "link", Err: syscall.EOPNOTSUPP}),
	} {
		if got := mendStore("/s", err); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	for want, text := range map[string]string{
		"usermod -aG libvirt":      "connect to qemu:///system: Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied",
		"systemctl start libvirtd": "connect to qemu:///system: Failed to connect socket to '/var/run/libvirt/virtqemud-sock': No such file or directory",
		"run vbk as root":          "connect to qemu:///system: authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'",
		"apt install":              "connect to qemu:///system: no connection driver available for qemu:///system",
	} {
		if got := hintOf(mendConnection(errors.New(text))); !strings.Contains(got, want) {
			t.Errorf("%s: hint %q, want %q", text, got, want)
		}
	}
}

// TestTryStore: where a store is sound it leaves nothing.
func TestTryStore(t *testing.T) {
	dir := t.TempDir()
	if err := tryStore(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, error %v", left, err)
	}
	if err := tryStore(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: error %v", err)
	}
}

func TestClosedTo(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for dir := root; dir != "/"; dir = filepath.Dir(dir) {
		if mayEnter(dir, 54321, []int{54321}) {
			continue
		}
		if !strings.HasPrefix(dir, os.TempDir()+"/") {
			t.Skipf("%s is closed, and is not ours to open", dir)
		}
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	closed := filepath.Join(root, "closed")
	scratch := filepath.Join(closed, "scratch")
	if err := os.MkdirAll(scratch, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode     fs.FileMode
		uid, gid int
		want     string
	}{
		{0o700, 54321, 54321, closed},
		{0o711, 54321, 54321, ""},
		{0o710, 54321, os.Getgid(), ""},
		{0o701, 54321, os.Getgid(), closed}, // the group decides, not the others
		{0o600, 0, 0, ""},                   // root enters anyway
	} {
		if err := os.Chmod(closed, c.mode); err != nil {
			t.Fatal(err)
		}
		if got := closedTo(scratch, c.uid, c.gid); got != c.want {
			t.Errorf("mode %o, user %d:%d: %q is closed, want %q", c.mode, c.uid, c.gid, got, c.want)
		}
	}
}

func TestLiterally(t *testing.T) {
	for name, want := range map[string]string{"web01": "web01", "a*b": `a\*b`, "a[1]?": `a\[1]\?`, `a\b`: `a\\b`, "a/b": "a/b"} {
		if got := literally(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
