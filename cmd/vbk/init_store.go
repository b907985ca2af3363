package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"vbk/config"
	"vbk/store"
	"vbk/store/local"
)

// prepareStore marks a store that is not marked yet, and tries what it needs of
// its file system.
func (env *environment) prepareStore(s config.Store) error {
	if s.Kind != "local" {
		fmt.Fprintf(env.stdout, "%s: left alone: %s\n", s.Address(), s.Pending[0])
		return nil
	}
	marked := "is new, marked"
	opened, err := local.Open(s.Path)
	switch {
	case err == nil:
		marked = "is a store already"
	case errors.Is(err, store.ErrNotMarked), errors.Is(err, fs.ErrNotExist):
		opened, err = local.Init(s.Path, env.now(), env.random)
	}
	if err == nil {
		err = opened.Writable()
	}
	if err == nil {
		err = tryStore(s.Path)
	}
	if err != nil {
		return hint(err, "%s", mendStore(s.Path, err))
	}
	fmt.Fprintf(env.stdout, "%s: %s %s (id %s)\n", s.Address(), s.Path, marked, opened.ID())
	return nil
}

// tryStore tries locks and hard links in a store, with files whose names say
// that an init was cut off, should it be.
func tryStore(dir string) (err error) {
	first, err := os.CreateTemp(dir, "vbk.json.*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, first.Close(), os.Remove(first.Name())) }()
	second, err := os.Open(first.Name())
	if err != nil {
		return err
	}
	defer second.Close() // only read from
	if err := flock(first); err != nil {
		return fmt.Errorf("try a lock: %w", err)
	}
	switch err := flock(second); {
	case err == nil:
		return fmt.Errorf("try a lock: %w", errLocksDoNotHold)
	case !errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("try a lock: %w", err)
	}
	linked := first.Name() + ".link"
	if err := os.Link(first.Name(), linked); err != nil {
		return fmt.Errorf("try a hard link: %w", err)
	}
	return os.Remove(linked)
}

var errLocksDoNotHold = errors.New("two files have the same lock: another vbk would not be kept out")

func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			return err
		}
	}
}

// mendStore is the command that mends what keeps a directory from being a store.
func mendStore(dir string, err error) string {
	var link *os.LinkError
	switch {
	case errors.Is(err, errLocksDoNotHold), errors.Is(err, syscall.ENOLCK), errors.Is(err, errors.ErrUnsupported) && !errors.As(err, &link):
		return "systemctl start rpc-statd for NFS, mounted without nolock; findmnt -T " + dir + " shows what is mounted there"
	case errors.As(err, &link), errors.Is(err, syscall.EPERM) && strings.Contains(err.Error(), "link "):
		return "the file system of a store needs hard links (ext4, XFS, Btrfs, ZFS, NFS have them): findmnt -T " + dir
	case errors.Is(err, syscall.EROFS):
		return "mount -o remount,rw $(findmnt -no TARGET -T " + dir + ")"
	case errors.Is(err, fs.ErrNotExist):
		return "mkdir -p " + filepath.Dir(dir)
	case errors.Is(err, fs.ErrPermission):
		return "run vbk as root, or as root: install -d -o $USER " + dir
	case errors.Is(err, syscall.ENOTDIR):
		return "path of the store names a file: let it name a directory"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "df -h " + dir
	}
	return hintOf(err)
}
