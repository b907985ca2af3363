package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"vbk/config"
	"vbk/plan"
)

// prepareHost looks whether a host answers, is new enough, and has a scratch
// directory that serves.
func (env *environment) prepareHost(ctx context.Context, h config.Host) error {
	opened, err := env.openHost(ctx, h.URI, true)
	if err != nil {
		return mendConnection(err)
	}
	defer opened.Close()
	library, qemu, err := opened.Versions(ctx)
	if err == nil {
		err = newEnough(library, qemu)
	}
	if err != nil {
		return err
	}
	domains, err := opened.Domains(ctx)
	if err != nil {
		return err
	}
	info, err := os.Stat(h.ScratchDir)
	if err != nil || !info.IsDir() {
		return hint(fmt.Errorf("scratch_dir %s is no directory", h.ScratchDir), "mkdir -p %s", h.ScratchDir)
	}
	owners := map[[2]int]bool{}
	for _, d := range domains {
		if d.ProcessUID >= 0 {
			owners[[2]int{d.ProcessUID, d.ProcessGID}] = true
		}
	}
	if !env.root && strings.Contains(h.URI, "/system") {
		return hint(errors.New("not root, who alone can give run folders to QEMU's user"), "run vbk as root")
	}
	free, err := tryScratch(h.ScratchDir, owners)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "host.%s: %s answers, %s; scratch files go to %s, %s free\n", h.Name, h.URI, count(len(domains), "domain"), h.ScratchDir, plan.Bytes(free))
	return nil
}

// mendConnection adds to the error of a connection the command that mends it.
func mendConnection(err error) error {
	text := strings.ToLower(err.Error())
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) })
	}
	switch {
	case hintOf(err) != "":
		return err
	case has("permission denied", "authentication", "access denied"):
		return hint(err, "run vbk as root, or: usermod -aG libvirt $USER, and log in again")
	case has("no connection driver", "no polkit agent"):
		return hint(err, "apt install libvirt-daemon-system qemu-system-x86, or the equivalent")
	case has("acquire pid file"):
		return hint(err, "one process at a time has such a libvirt in itself: wait for the other to end")
	case has("no such file or directory", "connection refused"):
		return hint(err, "systemctl start libvirtd (or virtqemud.socket, where libvirt is split into daemons)")
	}
	return err
}

// The oldest versions whose backups are incremental without being told to: since
// 7.6.0 libvirt has them on, for a QEMU with a stable blockdev-reopen.
const (
	oldestLibvirt = 7_006_000
	oldestQEMU    = 6_001_000
)

func newEnough(library, qemu uint32) error {
	spell := func(v uint32) string { return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1000%1000, v%1000) }
	switch {
	case library < oldestLibvirt:
		return hint(fmt.Errorf("libvirt %s is too old: its backups are not incremental before %s", spell(library), spell(oldestLibvirt)),
			"upgrade the host; virsh version shows what runs")
	case qemu < oldestQEMU:
		return hint(fmt.Errorf("QEMU %s is too old: its backups are not incremental before %s", spell(qemu), spell(oldestQEMU)),
			"upgrade the host, then restart its machines; virsh version shows what runs")
	}
	return nil
}

// tryScratch does what a backup does there: it makes a run folder, gives it to each
// of QEMU's users (UID, GID) and removes it. It returns the bytes that are free.
func tryScratch(dir string, owners map[[2]int]bool) (free int64, err error) {
	run, err := os.MkdirTemp(dir, "vbk-init-") // with mode 0700
	switch {
	case errors.Is(err, fs.ErrPermission):
		return 0, hint(fmt.Errorf("scratch_dir: make a run folder: %w", err), "run vbk as root")
	case err != nil:
		return 0, hint(fmt.Errorf("scratch_dir: make a run folder: %w", err), "scratch_dir of the host block names a directory that can be written")
	}
	defer func() { err = errors.Join(err, os.Remove(run)) }()
	for o := range owners {
		if err := os.Chown(run, o[0], o[1]); err != nil {
			return 0, hint(fmt.Errorf("scratch_dir: give a run folder to QEMU's user: %w", err), "run vbk as root")
		}
		if closed := closedTo(dir, o[0], o[1]); closed != "" {
			return 0, hint(fmt.Errorf("scratch_dir: QEMU's user, uid %d, may not enter %s", o[0], closed),
				"chmod o+x %s, or let scratch_dir of the host block name another directory", closed)
		}
	}
	var space syscall.Statfs_t
	if err := syscall.Statfs(dir, &space); err != nil {
		return 0, fmt.Errorf("scratch_dir: free space of %s: %w", dir, err)
	}
	return int64(space.Bavail) * space.Bsize, nil
}

// closedTo is the first directory on the way to dir that a user may not enter by
// owner, groups and mode; "" if there is none. One with an access list is
// taken to be open: the list decides.
func closedTo(dir string, uid, gid int) string {
	if uid == 0 {
		return ""
	}
	groups := []int{gid}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		more, _ := u.GroupIds() // those of the process are in any case
		for _, g := range more {
			if n, err := strconv.Atoi(g); err == nil {
				groups = append(groups, n)
			}
		}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return dir
	}
	var way []string
	for at := real; ; at = filepath.Dir(at) {
		way = append(way, at)
		if at == filepath.Dir(at) {
			break
		}
	}
	for _, at := range slices.Backward(way) {
		if !mayEnter(at, uid, groups) {
			return at
		}
	}
	return ""
}

func mayEnter(dir string, uid int, groups []int) bool {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return false
	}
	if n, err := unix.Getxattr(dir, "system.posix_acl_access", nil); err == nil && n > 0 {
		return true
	}
	switch {
	case int(s.Uid) == uid:
		return s.Mode&0o100 != 0
	case slices.Contains(groups, int(s.Gid)):
		return s.Mode&0o010 != 0
	}
	return s.Mode&0o001 != 0
}
