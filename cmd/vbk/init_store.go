package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
)

// prepareStore marks a store that is not marked yet, and tries what it needs of
// its file system. elsewhere are stores that machines know of and nobody has opened.
func (env *environment) prepareStore(s config.Store, elsewhere []string) error {
	if s.Kind != "local" {
		fmt.Fprintf(env.stdout, "%s: left alone: %s\n", s.Address(), s.Pending[0])
		return nil
	}
	marked := "is new, marked"
	opened, err := local.Open(s.Path)
	switch {
	case err == nil:
		marked = "is a store already"
		if err = opened.Writable(); err == nil {
			err = opened.Try()
		}
	case errors.Is(err, store.ErrNotMarked), errors.Is(err, fs.ErrNotExist):
		if err := mayMark(s, elsewhere); err != nil {
			return err
		}
		opened, err = local.Init(s.Path, env.now(), env.random)
	}
	if err != nil {
		return hint(err, "%s", mendStore(s.Path, err))
	}
	free, err := opened.Free()
	if err != nil {
		return err
	}
	if free <= s.MinFree && s.MinFree > 0 {
		return hint(fmt.Errorf("%s has %s free, and min_free = %s is to stay", s.Path, plan.Bytes(free), plan.Bytes(s.MinFree)),
			"df -h %s; make room there, or lower min_free of the store block", s.Path)
	}
	env.fine(s.Address(), "%s %s (id %s), %s free", s.Path, marked, opened.ID(), plan.Bytes(free))
	return nil
}

// mayMark says why a directory is not to become a new store: it looks like the place
// of one that is somewhere else.
func mayMark(s config.Store, elsewhere []string) error {
	if holdsSomething(s.Path) { // which is refused anyway
		return nil
	}
	if at := unmounted(s.Path); at != "" {
		return hint(fmt.Errorf("%s is no store, and nothing is mounted at %s, as /etc/fstab says", s.Path, at), "mount %s", at)
	}
	if len(elsewhere) > 0 {
		return hint(fmt.Errorf("%s is no store, and machines have checkpoints of a store %s that is not here", s.Path, strings.Join(elsewhere, ", ")),
			"mount its file system; if that store is gone, or another configuration's: vbk init -new-store")
	}
	return nil
}

func holdsSomething(dir string) bool {
	found, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(found, func(e fs.DirEntry) bool { return e.Name() != "lost+found" })
}

// mendStore is the command that mends what keeps a directory from being a store.
func mendStore(dir string, err error) string {
	mounted := "findmnt -T " + dir + " shows what is mounted there"
	var unfit *local.UnfitError
	if errors.As(err, &unfit) {
		switch unfit.Lacks {
		case local.LacksLocks:
			return "systemctl start rpc-statd for NFS, mounted without nolock; " + mounted
		case local.LacksLinks:
			return "the file system of a store needs hard links (ext4, XFS, Btrfs, ZFS, NFS have them): " + mounted
		case local.LacksSync:
			return "what is written there may not survive a power failure: dmesg | tail shows errors of the device; " + mounted
		case local.LacksLongNames:
			return "the file system of a store needs names of 128 bytes (ext4, XFS, Btrfs, ZFS, NFS have 255): " + mounted
		}
	}
	switch {
	case errors.Is(err, syscall.EROFS):
		return "mount -o remount,rw $(findmnt -no TARGET -T " + dir + ")"
	case errors.Is(err, store.ErrOtherVersion):
		return "apt install --only-upgrade vbk, or the equivalent; vbk version shows what this is"
	case errors.Is(err, fs.ErrNotExist):
		return "mkdir -p " + filepath.Dir(dir)
	case errors.Is(err, fs.ErrPermission):
		return "run vbk as root, or as root: install -d -o $USER " + dir
	case errors.Is(err, syscall.ENOTDIR):
		return "path of the store names a file: let it name a directory"
	case errors.Is(err, syscall.EDQUOT):
		return "quota -s shows what this user may use there, and setquota changes it"
	case errors.Is(err, syscall.ENOSPC) && noInodes(dir):
		return "no more files can be made: df -i " + dir + "; delete some, or make the file system with more inodes"
	case errors.Is(err, syscall.ENOSPC):
		return "df -h " + dir + "; make room there, or let path of the store block name another directory"
	case errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENOTCONN), errors.Is(err, syscall.EHOSTDOWN):
		return "umount -l $(findmnt -no TARGET -T " + dir + ") and mount it again; dmesg | tail says what has happened"
	}
	return hintOf(err)
}

// noInodes says whether a file system has room for bytes and none for files.
func noInodes(dir string) bool {
	var s syscall.Statfs_t
	for ; ; dir = filepath.Dir(dir) { // the store's own directory may be what could not be made
		if err := syscall.Statfs(dir, &s); err == nil || dir == filepath.Dir(dir) {
			return err == nil && s.Files > 0 && s.Ffree == 0
		}
	}
}
