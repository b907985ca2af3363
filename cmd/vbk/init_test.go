package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"vbk/store"
	"vbk/store/local"
	"vbk/virt"
)

func (h *twin) Abilities(context.Context) (virt.Abilities, error) {
	if h.old {
		return virt.Abilities{Libvirt: 6_009_000, QEMU: 5_002_000, UID: -1, GID: -1}, nil
	}
	return virt.Abilities{Libvirt: 9_000_000, QEMU: 7_002_000, UID: -1, GID: -1}, nil
}

func TestAbleEnough(t *testing.T) {
	for _, c := range []struct {
		can  virt.Abilities
		want string
	}{
		{virt.Abilities{Libvirt: 7_006_000, QEMU: 6_001_000}, ""},
		{virt.Abilities{Libvirt: 11_010_003, QEMU: 10_001_002}, ""},
		{virt.Abilities{Libvirt: 7_005_000, QEMU: 8_000_000}, "libvirt 7.5.0 is too old"},
		{virt.Abilities{Libvirt: 9_000_000, QEMU: 6_000_050}, "QEMU 6.0.50 is too old"},
		{virt.Abilities{Libvirt: 9_000_000, QEMU: 8_000_000, NoBackup: true}, "libvirt 9.0.0 has no backup jobs with this QEMU 8.0.0"},
	} {
		if got := fmt.Sprint(ableEnough(c.can)); c.want == "" && got != "<nil>" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %s, want %q", c.can, got, c.want)
		}
	}
}

// TestMends: every failure that init knows has a command.
func TestMends(t *testing.T) {
	unfit := func(lacks string, err error) error {
		return fmt.Errorf("init store: %w", &local.UnfitError{Lacks: lacks, Err: err})
	}
	for want, err := range map[string]error{
		"needs hard links":         unfit(local.LacksLinks, syscall.EPERM),
		"rpc-statd":                unfit(local.LacksLocks, syscall.ENOLCK),
		"survive a power failure":  unfit(local.LacksSync, syscall.EINVAL),
		"needs names of 128 bytes": unfit(local.LacksLongNames, syscall.ENAMETOOLONG),
		"df -h /s":                 unfit(local.LacksWriting, syscall.ENOSPC),
		"quota -s":                 unfit(local.LacksWriting, syscall.EDQUOT),
		"umount -l":                unfit(local.LacksWriting, syscall.ESTALE),
		"--only-upgrade":           fmt.Errorf("open store: %w", store.ErrOtherVersion),
		"remount,rw":               &fs.PathError{Op: "mkdir", Path: "/s", Err: syscall.EROFS},
		"mkdir -p /":               &fs.PathError{Op: "mkdir", Path: "/s", Err: syscall.ENOENT},
		"install -d -o $USER /s":   &fs.PathError{Op: "mkdir", Path: "/s", Err: syscall.EACCES},
		"names a file":             &fs.PathError{Op: "open", Path: "/s", Err: syscall.ENOTDIR},
		"what it knew":             hint(errors.New("other"), "what it knew"),
	} {
		if got := mendStore("/s", err); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	for want, text := range map[string]string{
		"usermod -aG libvirt":           "connect to qemu:///system: Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied",
		"systemctl start libvirtd":      "connect to qemu:///system: Failed to connect socket to '/var/run/libvirt/virtqemud-sock': No such file or directory",
		"run vbk as root":               "connect to qemu:///system: authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'",
		"docs/guarantees.md has a rule": "survey: access denied: 'QEMU' denied access",
		"apt install":                   "connect to qemu:///system: no connection driver available for qemu:///system",
	} {
		if got := hintOf(mendConnection(errors.New(text))); !strings.Contains(got, want) {
			t.Errorf("%s: hint %q, want %q", text, got, want)
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

// TestJobHints: what libvirt and QEMU say when a job cannot begin; the last one is
// libvirt's before 9.0.
func TestJobHints(t *testing.T) {
	for text, want := range map[string]string{
		"unable to execute QEMU command 'nbd-server-start': Failed to bind socket to /var/tmp/vbk-1-2/nbd: Permission denied": "echo '/var/tmp/vbk-*/nbd rwk,' >>",
		"unable to execute QEMU command 'blockdev-add': Could not open '/var/tmp/vbk-1-2/vda.scratch': Permission denied":     "vbk init says which",
		"begin backup of domain 856f35c0: access denied: 'QEMU' denied access":                                                "docs/guarantees.md has a rule",
		"begin backup of domain 856f35c0: Operation not supported: incremental backup is not supported yet":                   "restart the machine",
		"another error": "",
	} {
		if got := jobHint(text, "/var/tmp"); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestUnmounted(t *testing.T) {
	const table = "# <file system> <mount point>\n/dev/sda1 / ext4 defaults 0 1\nnas:/b /srv/backup nfs noauto 0 0\n/dev/sdb1 /mnt/my\\040disk xfs defaults 0 2\n/dev/sdc none swap sw 0 0\n"
	const now = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 8:2 / /mnt/my\\040disk rw - xfs /dev/sdb1 rw\n"
	for path, want := range map[string]string{
		"/srv/backup": "/srv/backup", "/srv/backup/vbk": "/srv/backup", "/srv/backups": "", "/srv": "",
		"/mnt/my disk/vbk": "", "/elsewhere": "",
	} {
		if got := unmountedOf(path, table, now); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
