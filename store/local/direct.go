package local

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"vbk/format"
)

// Data of a new file goes past the page cache where the file system does that
// well: the hypervisor keeps its cache, nothing is copied, and the final fsync has
// nothing left to wait for.

// goesDirect says whether the file system is one of those. Others either take
// O_DIRECT and gain nothing (tmpfs), or make each write wait for a server (NFS),
// or for a checksum of what must not change meanwhile (btrfs).
func goesDirect(fd int) bool {
	var st unix.Statfs_t
	if again(func() error { return unix.Fstatfs(fd, &st) }) != nil {
		return false
	}
	return st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC
}

// openDirect opens the file behind fd once more, for O_DIRECT. nil: not here.
func openDirect(dir int, name string, fd int) *os.File {
	if !goesDirect(fd) {
		return nil
	}
	direct, err := openat(dir, name, unix.O_WRONLY|unix.O_DIRECT)
	if err != nil {
		return nil
	}
	var a, b unix.Stat_t
	if unix.Fstat(fd, &a) != nil || unix.Fstat(direct, &b) != nil || a.Dev != b.Dev || a.Ino != b.Ino {
		unix.Close(direct)
		return nil
	}
	return os.NewFile(uintptr(direct), name)
}

// directLeast is the length from which a write does not go through the page cache.
const directLeast = 64 << 10

// fitsDirect says whether memory, place and length are aligned as O_DIRECT wants.
func fitsDirect(p []byte, offset int64) bool {
	if len(p) < directLeast {
		return false
	}
	address := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return (address|uintptr(offset)|uintptr(len(p)))%format.Align == 0
}
