package executor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// deviceMedium is a block device, which is closed at the end.
type deviceMedium struct {
	fileMedium
	result *Overwritten
}

// openDevice opens a block device that has at least size bytes and that nobody
// else has open.
func openDevice(path string, size int64, result *Overwritten) (m deviceMedium, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0) // not if it is mounted, swapped to or held by another device
	if errors.Is(err, unix.EBUSY) {
		return m, &hintError{err, "unmount it, and stop what holds it (lsblk, fuser)"}
	}
	if err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	if err := lockDevice(f); err != nil {
		return m, err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil && end < size {
		err = fmt.Errorf("it has %d bytes, the disk has %d", end, size)
	}
	result.Behind = end - size
	return deviceMedium{fileMedium{file: f}, result}, err
}

func (m deviceMedium) finish() error {
	err := m.file.Sync()
	if err == nil {
		m.result.Partitions, m.result.Stale = rereadPartitions(m.file)
	}
	return errors.Join(err, m.file.Close())
}

func (m deviceMedium) abandon() { _ = m.file.Close() }

// rereadPartitions tells the kernel that the partition table is another one. A
// device that the kernel looks for no partitions in has none that are stale.
func rereadPartitions(f *os.File) (done bool, err error) {
	switch err := unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0); {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY):
		return false, nil
	default:
		return false, err
	}
}

// lockDevice finds out whether others use a device without the kernel's holding it
// for them, as QEMU and loop devices do.
func lockDevice(f *os.File) error {
	// A QEMU that is started meanwhile sees the lock, if it opens the same node.
	qemus := unix.Flock_t{Type: unix.F_WRLCK, Start: 100, Len: 200}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &qemus); errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return &hintError{errors.New("a QEMU has it open"), "shut the machine off"}
	}
	devices, err := relatedDevices(f)
	if err != nil {
		return err
	}
	user := deviceUser(devices)
	if user == "" {
		return nil
	}
	return &hintError{fmt.Errorf("%s has it open", user), "shut the machine off, or end what uses it (losetup, fuser)"}
}

// relatedDevices are the numbers of a device, its partitions, and the device that it
// is a partition of.
func relatedDevices(f *os.File) ([]uint64, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return nil, err
	}
	folder := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(s.Rdev), unix.Minor(s.Rdev))
	names, _ := filepath.Glob(filepath.Join(folder, "*/partition"))
	for i, name := range names {
		names[i] = filepath.Join(filepath.Dir(name), "dev")
	}
	if _, err := os.Stat(filepath.Join(folder, "partition")); err == nil {
		if whole, err := filepath.EvalSymlinks(folder); err == nil {
			names = append(names, filepath.Join(filepath.Dir(whole), "dev"))
		}
	}
	devices := []uint64{s.Rdev}
	for _, name := range names {
		var major, minor uint32
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it went meanwhile
		}
		if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err == nil {
			devices = append(devices, unix.Mkdev(major, minor))
		}
	}
	return devices, nil
}

// probers look at each device that was written to, for a moment.
var probers = []string{"systemd-udevd", "(udev-worker)", "udevd"}

// deviceUser names a loop device or another process that has one of the devices
// open, "" if none is seen. Processes of other users are seen by root only.
func deviceUser(devices []uint64) string {
	is := func(path string) bool {
		var s unix.Stat_t
		return unix.Stat(path, &s) == nil && s.Mode&unix.S_IFMT == unix.S_IFBLK && slices.Contains(devices, s.Rdev)
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range loops {
		if path, err := os.ReadFile(file); err == nil && is(strings.TrimSpace(string(path))) {
			return "/dev/" + strings.Split(file, "/")[3]
		}
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, fd := range fds {
		pid := strings.Split(fd, "/")[2]
		if pid == strconv.Itoa(os.Getpid()) || !is(fd) { // another mount namespace may have another node for it
			continue
		}
		name, _ := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		if comm := strings.TrimSpace(string(name)); !slices.Contains(probers, comm) {
			return fmt.Sprintf("process %s (%s)", pid, comm)
		}
	}
	return ""
}
