package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// mendConnection adds to the error of a connection the command that mends it.
func mendConnection(err error) error {
	text := strings.ToLower(err.Error())
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) })
	}
	switch {
	case hintOf(err) != "":
		return err
	case has("denied access"): // by its access control
		return hint(err, "%s", accessHint)
	case has("no polkit agent", "access denied by policy"):
		return hint(err, "run vbk as root, or: usermod -aG libvirt $USER, and log in again; or a rule in /etc/polkit-1/rules.d: docs/guarantees.md has one")
	case has("permission denied", "authentication", "access denied"):
		return hint(err, "run vbk as root, or: usermod -aG %s $USER, and log in again", socketGroup(err))
	case has("no connection driver"):
		return hint(err, "apt install libvirt-daemon-system qemu-system-x86, or the equivalent")
	case has("connection refused") && socketInfo(err) != nil:
		return hint(err, "nobody listens on the socket any more: systemctl restart libvirtd (or virtqemud.socket, where libvirt is split into daemons)")
	case has("acquire pid file"):
		return hint(err, "one process at a time has such a libvirt in itself: wait for the other to end")
	case has("no such file or directory", "connection refused"):
		return hint(err, "systemctl start libvirtd (or virtqemud.socket, where libvirt is split into daemons)")
	}
	return err
}

// socketNamed finds the path in libvirt's message that it cannot connect.
var socketNamed = regexp.MustCompile(`connect socket to '([^']+)'`)

// socketInfo is what the file of that socket tells, nil if there is none.
func socketInfo(err error) fs.FileInfo {
	m := socketNamed.FindStringSubmatch(err.Error())
	if m == nil {
		return nil
	}
	info, statErr := os.Stat(m[1])
	if statErr != nil {
		return nil
	}
	return info
}

// socketGroup is the group that may use libvirt: that of the socket, or what it is
// called nearly everywhere.
func socketGroup(err error) string {
	if info := socketInfo(err); info != nil && info.Mode().Perm()&0o060 == 0o060 {
		if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Gid != 0 {
			if g, err := user.LookupGroupId(strconv.Itoa(int(s.Gid))); err == nil {
				return g.Name
			}
		}
	}
	return "libvirt"
}

const accessHint = "run vbk as root, or allow it in /etc/polkit-1/rules.d: docs/guarantees.md has a rule"

// jobHint is what to do where libvirt or QEMU refuse a job for what they may or can
// not; "" for other errors.
func jobHint(text, scratch string) string {
	lower := strings.ToLower(text)
	denied := strings.Contains(text, "Permission denied")
	switch {
	case denied && strings.Contains(lower, ".scratch"): // libvirt has AppArmor allow these
		return "QEMU's user may not enter a directory on the way: vbk init says which"
	case denied && (strings.Contains(lower, "nbd") || strings.Contains(lower, "socket")):
		return fmt.Sprintf("where AppArmor confines QEMU: echo '%s/vbk-*/nbd rwk,' >>/etc/apparmor.d/local/abstractions/libvirt-qemu && systemctl reload apparmor", scratch)
	case strings.Contains(lower, "denied access"):
		return accessHint
	case strings.Contains(lower, "incremental backup is not supported"):
		return "restart the machine: it runs on a QEMU that was started before the host was upgraded"
	}
	return ""
}
