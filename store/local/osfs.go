package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vbk/format"
)

// writeBehind is how many bytes of a file may wait in the page cache before
// they are sent to the disk and dropped: the final fsync stays short and the
// hypervisor keeps its cache.
const writeBehind = 32 << 20

// osFS is a directory of the operating system. Every operation walks from its
// descriptor, one component at a time, and follows no link.
type osFS struct{ root *os.File }

// OpenFS opens an existing directory as the FS that Init and Open use.
func OpenFS(dir string) (FS, error) { return openOS(dir) }

func openOS(dir string) (*osFS, error) {
	root, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &osFS{root}, nil
}

// at calls do with a descriptor of the folder that holds name.
func (o *osFS) at(op, name string, do func(dir int, base string) error) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	dir := int(o.root.Fd())
	parts := strings.Split(name, "/")
	for _, part := range parts[:len(parts)-1] {
		next, err := openat(dir, part, unix.O_RDONLY|unix.O_DIRECTORY)
		if dir != int(o.root.Fd()) {
			unix.Close(dir)
		}
		if err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
		dir = next
	}
	err := do(dir, parts[len(parts)-1])
	if dir != int(o.root.Fd()) {
		unix.Close(dir)
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func openat(dir int, name string, flags int) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
		return err
	})
	return fd, err
}

// again repeats a system call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func (o *osFS) open(op, name string, flags int) (h *osHandle, err error) {
	err = o.at(op, name, func(dir int, base string) error {
		fd, err := openat(dir, base, flags)
		if err != nil {
			return err
		}
		h = &osHandle{File: os.NewFile(uintptr(fd), name), fsys: o}
		if flags&unix.O_EXCL != 0 {
			h.direct = openDirect(dir, base, fd)
		}
		return nil
	})
	return h, err
}

func (o *osFS) Open(name string) (Handle, error) {
	h, err := o.open("open", name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	info, err := h.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("not a file or folder")}
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (o *osFS) Create(name string) (Handle, error) {
	return o.openWrite("create", name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
}

func (o *osFS) Append(name string) (Handle, error) {
	return o.openWrite("open", name, unix.O_RDWR|unix.O_CREAT|unix.O_APPEND)
}

func (o *osFS) openWrite(op, name string, flags int) (Handle, error) {
	h, err := o.open(op, name, flags)
	if err != nil {
		return nil, err
	}
	if err := h.Chmod(0o600); err != nil { // whatever the umask
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (o *osFS) Mkdir(name string) error {
	return o.at("mkdir", name, func(dir int, base string) error {
		if err := again(func() error { return unix.Mkdirat(dir, base, 0o700) }); err != nil {
			return err
		}
		return unix.Fchmodat(dir, base, 0o700, 0)
	})
}

func (o *osFS) List(name string) ([]Entry, error) {
	h, err := o.open("list", name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	names, err := h.Readdirnames(-1)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	sort.Strings(names)
	entries := make([]Entry, 0, len(names))
	for _, n := range names {
		e, err := statat(int(h.Fd()), n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, errors.Join(&fs.PathError{Op: "stat", Path: name + "/" + n, Err: err}, h.Close())
		}
		entries = append(entries, e)
	}
	return entries, h.Close()
}

func (o *osFS) Stat(name string) (e Entry, err error) {
	err = o.at("stat", name, func(dir int, base string) error {
		e, err = statat(dir, base)
		return err
	})
	return e, err
}

func statat(dir int, name string) (Entry, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return Entry{}, err
	}
	mode := fs.FileMode(st.Mode & 0o777)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular
	}
	return Entry{Name: name, Mode: mode, Size: st.Size, Time: time.Unix(st.Mtim.Unix())}, nil
}

func (o *osFS) Link(old, new string) error {
	return o.at("link", old, func(oldDir int, oldBase string) error {
		return o.at("link", new, func(newDir int, newBase string) error {
			return again(func() error { return unix.Linkat(oldDir, oldBase, newDir, newBase, 0) })
		})
	})
}

func (o *osFS) LinkFrom(from FS, old, new string) error {
	other, ok := from.(*osFS)
	if !ok {
		return &fs.PathError{Op: "link", Path: old, Err: ErrOtherFileSystem}
	}
	return other.at("link", old, func(oldDir int, oldBase string) error {
		return o.at("link", new, func(newDir int, newBase string) error {
			err := again(func() error { return unix.Linkat(oldDir, oldBase, newDir, newBase, 0) })
			switch {
			case err == unix.EXDEV:
				return ErrOtherFileSystem
			case err == unix.EEXIST && sameFile(oldDir, oldBase, newDir, newBase):
				return nil
			}
			return err
		})
	})
}

// sameFile says whether two names are of one file.
func sameFile(dirA int, nameA string, dirB int, nameB string) bool {
	var a, b unix.Stat_t
	return unix.Fstatat(dirA, nameA, &a, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstatat(dirB, nameB, &b, unix.AT_SYMLINK_NOFOLLOW) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

func (o *osFS) Touch(name string, at time.Time) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(at.UnixNano())}
	return o.at("touch", name, func(dir int, base string) error {
		return again(func() error { return unix.UtimesNanoAt(dir, base, times, unix.AT_SYMLINK_NOFOLLOW) })
	})
}

func (o *osFS) Remove(name string) error {
	return o.at("remove", name, func(dir int, base string) error {
		e, err := statat(dir, base)
		if err != nil {
			return err
		}
		flags := 0
		if e.Mode.IsDir() {
			flags = unix.AT_REMOVEDIR
		}
		return again(func() error { return unix.Unlinkat(dir, base, flags) })
	})
}

// Clones tries it with a file that never gets a name.
func (o *osFS) Clones(name string) bool {
	return o.at("clone", name, func(dir int, base string) error {
		src, err := openat(dir, base, unix.O_RDONLY)
		if err != nil {
			return err
		}
		defer unix.Close(src)
		dst, err := openat(dir, ".", unix.O_TMPFILE|unix.O_RDWR)
		if err != nil {
			return err
		}
		defer unix.Close(dst)
		return clone(dst, src, 0, 0, format.Align)
	}) == nil
}

// clone is FICLONERANGE, see ioctl_ficlonerange(2).
func clone(dst, src int, to, offset, length int64) error {
	r := unix.FileCloneRange{Src_fd: int64(src), Src_offset: uint64(offset), Src_length: uint64(length), Dest_offset: uint64(to)}
	return again(func() error { return unix.IoctlFileCloneRange(dst, &r) })
}

func (o *osFS) Punch(name string, ranges []format.Range) error {
	return o.at("punch", name, func(dir int, base string) error {
		fd, err := openat(dir, base, unix.O_WRONLY)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Nlink > 1 {
			return err
		}
		for _, r := range ranges {
			err := again(func() error {
				return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, r.Offset, r.Length)
			})
			if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
				return errors.ErrUnsupported
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *osFS) Free() (int64, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(int(o.root.Fd()), &st) }); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func (o *osFS) Size() (int64, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(int(o.root.Fd()), &st) }); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	return int64(st.Blocks) * st.Bsize, nil
}

func (o *osFS) Writable() error {
	return unix.Faccessat(int(o.root.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// osHandle is an open file; written bytes are pushed to the disk as they come.
type osHandle struct {
	*os.File
	fsys   *osFS
	locked bool     // by Lock
	direct *os.File // past the page cache; nil where that cannot be

	cached sync.Mutex // held by the one write that goes through the page cache: the kernel lets no other in, and has it spin
	mu     sync.Mutex
	length int64 // behind the last byte written through this handle
	pushed int64 // of these, sent to the disk
	landed int64 // of these, waited for
}

func (h *osHandle) Write(p []byte) (int, error) {
	if h.direct != nil {
		return h.WriteAt(p, h.length)
	}
	n, err := h.File.Write(p)
	return n, h.wrote(h.length, int64(n), err)
}

func (h *osHandle) WriteAt(p []byte, offset int64) (int, error) {
	n, err := h.put(p, offset)
	return n, h.wrote(offset, int64(n), err)
}

// put writes directly where that goes; a disk may want larger blocks than ours.
func (h *osHandle) put(p []byte, offset int64) (int, error) {
	if h.direct == nil || !fitsDirect(p, offset) {
		return h.writeCached(p, offset)
	}
	n, err := h.direct.WriteAt(p, offset)
	if n == 0 && errors.Is(err, unix.EINVAL) {
		return h.writeCached(p, offset)
	}
	return n, err
}

func (h *osHandle) writeCached(p []byte, offset int64) (int, error) {
	h.cached.Lock()
	defer h.cached.Unlock()
	return h.File.WriteAt(p, offset)
}

// wrote notes how far the file reaches, and pushes what has gathered.
func (h *osHandle) wrote(offset, n int64, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.length = max(h.length, offset+n)
	if err == nil && h.length-h.pushed >= writeBehind {
		err = h.push()
	}
	return err
}

// push starts writing the last window, and waits for and drops the one before.
func (h *osHandle) push() error {
	const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	fd := int(h.Fd())
	err := again(func() error {
		return unix.SyncFileRange(fd, h.pushed, h.length-h.pushed, unix.SYNC_FILE_RANGE_WRITE)
	})
	if err == nil && h.landed < h.pushed {
		err = again(func() error { return unix.SyncFileRange(fd, h.landed, h.pushed-h.landed, wait) })
		_ = unix.Fadvise(fd, h.landed, h.pushed-h.landed, unix.FADV_DONTNEED) // only a hint
	}
	h.landed, h.pushed = h.pushed, h.length
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESPIPE) || errors.Is(err, unix.EPERM) {
		return nil // not supported here; Sync does the work
	}
	return err // an I/O error is reported once, so it must not be lost
}

func (h *osHandle) Size() (int64, error) {
	info, err := h.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (h *osHandle) Truncate() error { return h.File.Truncate(0) }

func (h *osHandle) Close() error {
	// A process that is being started has a copy of the descriptor until it is, which
	// would hold the lock.
	var lockErr error
	if h.locked {
		lockErr = again(func() error { return unix.Flock(int(h.Fd()), unix.LOCK_UN) })
	}
	return errors.Join(lockErr, h.close())
}

func (h *osHandle) close() error {
	if h.direct == nil {
		return h.File.Close()
	}
	return errors.Join(h.direct.Close(), h.File.Close())
}

func (h *osHandle) CloneFrom(src Handle, offset, length int64) error {
	from, ok := src.(*osHandle)
	if !ok {
		return errors.ErrUnsupported
	}
	if err := clone(int(h.Fd()), int(from.Fd()), h.length, offset, length); err != nil {
		return &fs.PathError{Op: "clone", Path: from.Name(), Err: err}
	}
	h.length += length
	_, err := h.Seek(h.length, io.SeekStart)
	return err
}

func (h *osHandle) Lock(exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	err := again(func() error { return unix.Flock(int(h.Fd()), how|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrBusy
	}
	if err != nil {
		return &fs.PathError{Op: "flock", Path: h.Name(), Err: err}
	}
	h.locked = true
	return nil
}

func (h *osHandle) Is(name string) bool {
	var have, want unix.Stat_t
	if unix.Fstat(int(h.Fd()), &have) != nil {
		return false
	}
	err := h.fsys.at("stat", name, func(dir int, base string) error {
		return unix.Fstatat(dir, base, &want, unix.AT_SYMLINK_NOFOLLOW)
	})
	return err == nil && have.Dev == want.Dev && have.Ino == want.Ino
}
