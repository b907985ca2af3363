package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"vbk/store"
)

// mended adds to the error of files below these directories the command that
// looks at what is wrong or mends it; one that has a hint keeps it.
func mended(err error, dirs ...string) error {
	if err == nil || hintOf(err) != "" {
		return err
	}
	return hint(err, "%s", mendFiles(err, dirs...))
}

func missing(dir string) bool {
	_, err := os.Stat(dir)
	return errors.Is(err, fs.ErrNotExist)
}

// mendFiles is that command, "" if none is known.
func mendFiles(err error, dirs ...string) string {
	all := strings.Join(dirs, " ")
	var locked *store.LockedError
	switch {
	case errors.As(err, &locked) && locked.Holder.PID > 0:
		return fmt.Sprintf("wait for it; on %s, ps -fp %d shows what it is", locked.Holder.Host, locked.Holder.PID)
	case errors.As(err, &locked):
		return "wait for it; fuser -v " + dirs[0] + "/" + locked.Folder + "/lock shows who has it, if it is on this machine"
	case errors.Is(err, fs.ErrNotExist) && len(dirs) > 0 && missing(dirs[0]):
		return "mkdir -p " + dirs[0]
	case errors.Is(err, syscall.ENOSPC):
		return "df -h " + all + " shows where space is missing; df -i, whether it is inodes"
	case errors.Is(err, syscall.EDQUOT):
		return "a quota is reached: repquota -a, or df -h " + all
	case errors.Is(err, syscall.EROFS):
		return "mount -o remount,rw $(findmnt -no TARGET -T " + dirs[0] + "), if it should be writable"
	case errors.Is(err, fs.ErrPermission):
		return "run vbk as root, or see whose it is: ls -ld " + all
	case errors.Is(err, syscall.ENOTDIR):
		return "ls -ld " + all + " shows what is in the way of a directory"
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN), errors.Is(err, syscall.EHOSTDOWN):
		return "dmesg | tail tells what the kernel knows; findmnt -T " + dirs[0] + " shows what is mounted there"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "ulimit -n 65536 allows more open files"
	}
	return ""
}
