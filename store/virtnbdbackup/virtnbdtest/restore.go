package virtnbdtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrAbsent is what Restore returns where a program that it needs is not
// installed.
var ErrAbsent = errors.New("virtnbdrestore and qemu-img are not both installed")

// Restore lets virtnbdrestore write a disk of a folder, as it was at a checkpoint
// or, if that is "", in the end, and returns the disk's bytes. With raw it copies
// images of raw disks. (It is asked for one disk at a time: it starts a server for
// each on the same socket, and the end of one may remove the socket of the next.)
func Restore(dir, target, until string, raw bool) ([]byte, error) {
	for _, program := range []string{"virtnbdrestore", "qemu-img"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAbsent, err)
		}
	}
	work, err := os.MkdirTemp("", "virtnbdtest") // short: a socket lies in it
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	out := filepath.Join(work, "out")
	args := []string{"-U", "test:///default", "-a", "restore", "-n", "-i", dir, "-d", target, "-o", out,
		"-f", filepath.Join(work, "socket"), "-L", filepath.Join(work, "log")}
	if until != "" {
		args = append(args, "--until", until)
	}
	format := "qcow2"
	if raw {
		args, format = append(args, "--raw"), "raw"
	}
	restore := exec.Command("virtnbdrestore", args...)
	restore.Env = append(os.Environ(), "TMPDIR="+work) // it leaves files of its servers there
	said, _ := restore.CombinedOutput()                // its exit code says nothing
	disk, err := read(out, format)
	if err != nil || bytes.Contains(said, []byte("ERROR")) || bytes.Contains(said, []byte("Traceback")) {
		return disk, errors.Join(err, fmt.Errorf("virtnbdrestore said:\n%s", said))
	}
	return disk, nil
}

// read converts the only image of a folder.
func read(dir, format string) ([]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if filepath.Ext(name) == ".xml" {
			continue
		}
		return convert(name, format)
	}
	return nil, errors.New("virtnbdrestore wrote no image")
}

// convert reads an image. virtnbdrestore does not wait for the end of its server,
// which locks the image as long as it writes to it.
func convert(name, format string) ([]byte, error) {
	raw := name + ".raw"
	for try := 0; ; try++ {
		said, err := exec.Command("qemu-img", "convert", "-f", format, "-O", "raw", name, raw).CombinedOutput()
		switch {
		case err == nil:
			return os.ReadFile(raw)
		case try == 100 || !bytes.Contains(said, []byte("lock")):
			return nil, fmt.Errorf("qemu-img convert: %w: %s", err, said)
		}
	}
}
