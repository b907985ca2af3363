//go:build cgo

package libvirt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vbk/virt"
	"vbk/virt/qcow2"
)

// identity tells an image from another at the same path: the file itself by its
// inode and time of birth (not by its device, whose number may change when the host
// boots), of a qcow2 image what QEMU leaves as it is in the header, and all files
// below it, which nobody changes who respects them. It is "" if the file cannot be
// seen. A disk's address on its bus is no part of it: the same image elsewhere holds
// the same data.
func identity(path string, image qcow2.Image) string {
	s, err := statx(path)
	if err != nil {
		return ""
	}
	var all []string
	if s.Mode&unix.S_IFMT == unix.S_IFREG { // a node of a device comes and goes
		all = append(all, inode(s))
	}
	if image.Version > 0 {
		all = append(all, fmt.Sprintf("qcow2 %d with clusters of %d and tables at %d", image.Version, image.Options.ClusterSize, image.L1))
	}
	return strings.Join(append(all, below(path, image.Backing)...), ", ")
}

// deepest bounds how many images lie on one another.
const deepest = 100

// below describes the images under one. What cannot be followed, as an address on
// the network, is known by its name.
func below(path, backing string) (all []string) {
	for range deepest {
		if backing == "" {
			return all
		}
		all = append(all, "on "+backing)
		path = beside(path, backing)
		s, err := statx(path)
		if err != nil || s.Mode&unix.S_IFMT != unix.S_IFREG {
			return all
		}
		all = append(all, fmt.Sprintf("%s of %d bytes written %s", inode(s), s.Size, stamp(s.Mtime)))
		image, err := openImage(path)
		if err != nil {
			return all
		}
		backing = image.Backing
	}
	return all
}

// beside is the path of a file that an image names.
func beside(image, name string) string {
	name = strings.TrimPrefix(name, "file:")
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(image), name)
}

// dataState describes the external data file of an image so that it stays the same
// as long as nobody but one QEMU can have written to it: by that QEMU where the
// domain runs, and otherwise by the time of the last change. It is "" if that cannot
// be told: an image's own name for the file counts from where QEMU runs.
func dataState(d virt.Domain, image qcow2.Image) string {
	if !filepath.IsAbs(image.DataPath) {
		return ""
	}
	s, err := statx(image.DataPath)
	if err != nil || s.Mode&unix.S_IFMT != unix.S_IFREG {
		return ""
	}
	if d.State == virt.ShutOff {
		return fmt.Sprintf("%s of %d bytes changed %s", inode(s), s.Size, stamp(s.Ctime))
	}
	qemu := process(d.UUID)
	if qemu == "" {
		return ""
	}
	return inode(s) + " in " + qemu
}

func statx(path string) (unix.Statx_t, error) {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &s)
	return s, err
}

func inode(s unix.Statx_t) string {
	text := fmt.Sprintf("inode %d", s.Ino)
	if s.Mask&unix.STATX_BTIME != 0 {
		text += " of " + stamp(s.Btime)
	}
	return text
}

func stamp(t unix.StatxTimestamp) string {
	return time.Unix(t.Sec, int64(t.Nsec)).UTC().Format("2006-01-02T15:04:05.999999999Z")
}

// process tells the QEMU of a domain from any other that ever was: its number and
// when it began, in ticks of this boot. libvirt names the domain's UUID on QEMU's
// command line.
func process(uuid string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return ""
	}
	for _, file := range all {
		command, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(command, []byte("\x00-uuid\x00"+uuid+"\x00")) {
			continue
		}
		if began, err := begun(filepath.Join(filepath.Dir(file), "stat")); err == nil {
			return fmt.Sprintf("process %s begun at %s of boot %s", filepath.Base(filepath.Dir(file)), began, bytes.TrimSpace(boot))
		}
	}
	return ""
}

// begun is the start time in /proc/PID/stat, whose second field is a name in
// brackets that may hold anything.
func begun(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return "", errors.New(path + " is cut off")
	}
	return fields[19], nil
}
