package embedtest

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
)

// archive writes a cpio archive of the kind that Linux takes for an initramfs
// ("newc", Documentation/driver-api/early-userspace/buffer-format.rst). The
// first failure stays.
type archive struct {
	w   *bufio.Writer
	n   int // bytes written
	ino int
	err error
}

// Types of files in a mode.
const (
	typeFolder    = 0o040000
	typeFile      = 0o100000
	typeCharacter = 0o020000
)

func (a *archive) add(name string, mode fs.FileMode, data []byte) {
	kind := uint32(typeFile)
	if mode.IsDir() {
		kind = typeFolder
	}
	a.entry(name, kind|uint32(mode.Perm()), 0, 0, data)
}

func (a *archive) device(name string, major, minor int) {
	a.entry(name, typeCharacter|0o600, major, minor, nil)
}

// copy adds a file of this machine, executable.
func (a *archive) copy(name, path string) {
	data, err := os.ReadFile(path)
	if err != nil && a.err == nil {
		a.err = err
	}
	a.add(name, 0o755, data)
}

func (a *archive) entry(name string, mode uint32, major, minor int, data []byte) {
	a.ino++
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name))
	a.write(data)
}

// write appends, up to a multiple of 4.
func (a *archive) write(p []byte) {
	if a.err != nil {
		return
	}
	padding := -(a.n + len(p)) & 3
	_, a.err = a.w.Write(append(p[:len(p):len(p)], make([]byte, padding)...))
	a.n += len(p) + padding
}

func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	if a.err != nil {
		return a.err
	}
	return a.w.Flush()
}
