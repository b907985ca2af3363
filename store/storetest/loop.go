//go:build linux

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Loop is a real file system of its own, in a sparse file, mounted for a test.
type Loop struct {
	Dir   string // where it is mounted
	image string
}

// NewLoop makes an ext4, xfs or btrfs of so many bytes. Where nothing can be
// mounted the test is skipped with the reason; with VBK_REQUIRE_PEERS=1 it fails.
func NewLoop(t testing.TB, kind string, size int64) *Loop {
	t.Helper()
	image := filepath.Join(t.TempDir(), kind)
	err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, size))
	options := []string{"-q", image}
	if kind == "ext4" { // full is full, for root as well
		options = []string{"-q", "-m", "0", image}
	}
	if err == nil {
		err = command("mkfs."+kind, options...)
	}
	var l *Loop
	if err == nil {
		l, err = mount(t, image)
	}
	if err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("no %s: %v", kind, err)
		}
		t.Skipf("no %s: %v", kind, err)
	}
	return l
}

// PowerLoss mounts what a power failure at this moment would leave: a copy of what
// has reached the file under the file system. The old one stays mounted.
func (l *Loop) PowerLoss(t testing.TB) *Loop {
	t.Helper()
	return l.copied(t, func(string) error { return nil })
}

// Rot is PowerLoss with NUL where data is found first on the disk. A btrfs knows by its
// own sums, and answers EIO.
func (l *Loop) Rot(t testing.TB, data []byte) *Loop {
	t.Helper()
	return l.copied(t, func(image string) error {
		all, err := os.ReadFile(image)
		if err != nil {
			return err
		}
		at := bytes.Index(all, data)
		if at < 0 {
			return errors.New("the data is not on the disk")
		}
		f, err := os.OpenFile(image, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(make([]byte, len(data)), int64(at))
		return errors.Join(err, f.Close())
	})
}

// copied mounts a copy of the disk, changed before.
func (l *Loop) copied(t testing.TB, change func(image string) error) *Loop {
	t.Helper()
	after := filepath.Join(t.TempDir(), filepath.Base(l.image))
	err := command("cp", "--sparse=always", l.image, after)
	if err == nil {
		err = change(after)
	}
	var copied *Loop
	if err == nil {
		copied, err = mount(t, after)
	}
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

func mount(t testing.TB, image string) (*Loop, error) {
	dir, options := filepath.Join(filepath.Dir(image), "mounted"), "loop"
	if filepath.Base(image) == "xfs" {
		options += ",nouuid" // a copy has the same
	}
	if err := errors.Join(os.Mkdir(dir, 0o700), command("mount", "-o", options, image, dir)); err != nil {
		return nil, err
	}
	l := &Loop{Dir: dir, image: image}
	t.Cleanup(l.Unmount)
	return l, os.Chmod(dir, 0o700)
}

// Image is the file that the file system is in.
func (l *Loop) Image() string { return l.image }

// Unmount ends it before the test does. It may be done twice.
func (l *Loop) Unmount() { _ = syscall.Unmount(l.Dir, syscall.MNT_DETACH) }

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
