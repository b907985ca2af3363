package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"vbk/config"
	"vbk/executor"
)

// tryScratch does what a backup does in a scratch directory: it makes a run folder,
// gives it to QEMU's user, and as that user writes a file and makes a socket
// in it. It returns the bytes that are free.
func (env *environment) tryScratch(h config.Host, users map[qemuUser]bool) (free int64, err error) {
	dir := h.ScratchDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, hint(fmt.Errorf("%s does not exist", dir), "mkdir -p %s", dir)
	case err != nil:
		return 0, hint(err, "run vbk as root")
	case !info.IsDir():
		return 0, hint(fmt.Errorf("%s is no directory", dir), "let scratch_dir of the host block name a directory, or: rm %s && mkdir %s", dir, dir)
	}
	if len(users) == 0 && isSystem(h.URI) && !env.root {
		return 0, hint(errNotRoot, "run vbk as root")
	}
	if err := executor.ScratchSpace(dir, h.MinFree); err != nil {
		return 0, err
	}
	if len(users) == 0 {
		users = map[qemuUser]bool{{os.Geteuid(), os.Getegid()}: true}
	}
	for u := range users {
		if err := env.tryRunFolder(dir, u); err != nil {
			return 0, err
		}
	}
	var space syscall.Statfs_t
	if err := syscall.Statfs(dir, &space); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(space.Bavail) * space.Bsize, nil
}

// tryRunFolder makes the run folder of one QEMU, tries it, and removes it.
func (env *environment) tryRunFolder(dir string, u qemuUser) (err error) {
	run, err := os.MkdirTemp(dir, "vbk-init-") // with mode 0700
	switch {
	case errors.Is(err, fs.ErrPermission):
		return hint(fmt.Errorf("make a run folder: %w", err), "run vbk as root")
	case errors.Is(err, syscall.EROFS):
		return hint(fmt.Errorf("make a run folder: %w", err), "mount -o remount,rw $(findmnt -no TARGET -T %s), or let scratch_dir of the host block name another directory", dir)
	case err != nil:
		return hint(fmt.Errorf("make a run folder: %w", err), "let scratch_dir of the host block name a directory that can be written")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(run)) }()
	if err := os.Chown(run, u.uid, u.gid); err != nil {
		if os.Geteuid() != 0 {
			return hint(fmt.Errorf("%w, uid %d: %w", errNotRoot, u.uid, err), "run vbk as root, or with CAP_CHOWN and CAP_DAC_OVERRIDE")
		}
		return hint(fmt.Errorf("give a run folder to QEMU's user, uid %d: %w", u.uid, err),
			"let scratch_dir of the host block name a directory of a local file system with owners: findmnt -T %s shows what is mounted there", dir)
	}
	way, err := filepath.EvalSymlinks(run)
	if err != nil {
		return err
	}
	var closed string
	var failed error
	err = env.asUser(u, func() {
		if closed = firstClosed(way); closed == "" {
			failed = tryFiles(run)
		}
	})
	switch {
	case errors.Is(err, errNotRoot): // who may not take its place has to believe
		return nil
	case err != nil:
		return err
	case closed != "":
		return hint(fmt.Errorf("QEMU's user, uid %d, may not enter %s", u.uid, closed),
			"chmod o+x %s, or let scratch_dir of the host block name another directory", closed)
	case failed != nil:
		return hint(fmt.Errorf("as QEMU's user, uid %d: %w", u.uid, failed),
			"let scratch_dir of the host block name a directory of a local file system: findmnt -T %s shows what is mounted there", dir)
	}
	return nil
}

// asUser runs f in a thread to which the kernel gives the access to files that
// another user has, and nothing of root's. errNotRoot: it may not.
func (env *environment) asUser(u qemuUser, f func()) error {
	done := make(chan error, 1)
	env.beside(func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		done <- func() error {
			if u.uid != os.Geteuid() {
				if err := unix.Setgroups(groupsOf(u)); err != nil { // of this thread
					return errNotRoot
				}
				_, _ = unix.SetfsgidRetGid(u.gid) // it never fails, but it may not happen
				_, _ = unix.SetfsuidRetUid(u.uid)
				if now, _ := unix.SetfsuidRetUid(-1); now != u.uid {
					return errNotRoot
				}
			}
			f()
			return nil
		}()
	})
	return <-done
}

// groupsOf are the group of a QEMU and those that its user is a member of: libvirt
// gives it both.
func groupsOf(u qemuUser) []int {
	groups := []int{u.gid}
	if account, err := user.LookupId(strconv.Itoa(u.uid)); err == nil {
		more, _ := account.GroupIds() // those of the process are in any case
		for _, g := range more {
			if n, err := strconv.Atoi(g); err == nil && !slices.Contains(groups, n) {
				groups = append(groups, n)
			}
		}
	}
	return groups
}

// firstClosed is the first directory on the way to dir that this thread may not
// enter; "" if there is none.
func firstClosed(dir string) string {
	var way []string
	for at := dir; ; at = filepath.Dir(at) {
		way = append(way, at)
		if at == filepath.Dir(at) {
			break
		}
	}
	for _, at := range slices.Backward(way) {
		fd, err := unix.Open(at+"/.", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return at
		}
		unix.Close(fd)
	}
	return ""
}

// tryFiles does in a run folder what QEMU does there.
func tryFiles(run string) error {
	if err := os.WriteFile(filepath.Join(run, "scratch"), make([]byte, 4096), 0o600); err != nil {
		return err
	}
	l, err := net.Listen("unix", filepath.Join(run, "nbd"))
	if err != nil {
		return err
	}
	return l.Close()
}
