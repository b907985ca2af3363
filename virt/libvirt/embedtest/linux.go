package embedtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Linux is a small real guest: Debian's cloud kernel, and an initramfs of
// busybox and QEMU's guest agent that mounts the ext4 file system on vda, writes
// the same number into its files first and second for ever, and answers the agent's
// channel. Paths of files.
type Linux struct{ Kernel, Initrd string }

//go:embed init.sh
var guestInit []byte

//go:embed hook.sh
var guestHook []byte

// guestModules are the drivers that the kernel does not have built in.
var guestModules = []string{"virtio_pci", "virtio_blk", "virtio_console", "ext4"}

// BuildLinux builds the guest from packages that apt downloads, and keeps it in
// the user's cache for the next time.
func BuildLinux(t testing.TB) Linux {
	t.Helper()
	needPrograms(t, "apt-get", "apt-cache", "dpkg-deb", "ldd")
	l, err := buildLinux(t.TempDir())
	if err != nil {
		need(t, "a Linux guest: "+err.Error())
	}
	return l
}

func buildLinux(work string) (Linux, error) {
	kernel, err := kernelPackage()
	if err != nil { // apt's lists may be old, or not there
		_ = exec.Command("apt-get", "-q", "update").Run()
		kernel, err = kernelPackage()
	}
	if err != nil {
		return Linux{}, err
	}
	packages := []string{kernel, "busybox-static", "qemu-guest-agent"}
	dir, err := guestCache(packages)
	if err != nil {
		return Linux{}, err
	}
	l := Linux{Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd.gz")}
	if _, err := os.Stat(l.Initrd); err == nil {
		return l, nil
	}
	if err := unpackPackages(work, packages); err != nil {
		return Linux{}, err
	}
	image, err := os.ReadFile(filepath.Join(work, "root", "boot", "vmlinuz-"+strings.TrimPrefix(kernel, "linux-image-")))
	if err != nil {
		return Linux{}, err
	}
	archive, err := guestArchive(filepath.Join(work, "root"))
	if err != nil {
		return Linux{}, err
	}
	return l, errors.Join(os.MkdirAll(dir, 0o755), place(l.Kernel, image), place(l.Initrd, archive))
}

// kernelPackage is what linux-image-cloud-amd64 depends on today.
func kernelPackage() (string, error) {
	out, err := exec.Command("apt-cache", "depends", "linux-image-cloud-amd64").Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends linux-image-cloud-amd64: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return "linux-image-" + name, nil
		}
	}
	return "", errors.New("apt knows no linux-image-cloud-amd64")
}

// guestCache is the folder of a guest made of these packages and scripts.
func guestCache(packages []string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.New()
	fmt.Fprintln(sum, packages, guestModules)
	sum.Write(guestInit)
	sum.Write(guestHook)
	return filepath.Join(cache, "vbk-test-guest", hex.EncodeToString(sum.Sum(nil))[:16]), nil
}

func unpackPackages(work string, packages []string) error {
	download := exec.Command("apt-get", append([]string{"-q", "download"}, packages...)...)
	download.Dir = work
	if out, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download %s: %w: %s", strings.Join(packages, " "), err, out)
	}
	files, err := filepath.Glob(filepath.Join(work, "*.deb"))
	for _, f := range files {
		if out, err := exec.Command("dpkg-deb", "-x", f, filepath.Join(work, "root")).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w: %s", f, err, out)
		}
	}
	return err
}

// guestArchive is the initramfs, compressed.
func guestArchive(root string) ([]byte, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	a := archive{w: bufio.NewWriter(z)}
	for _, dir := range []string{"bin", "dev", "lib", "lib64", "modules", "usr", "usr/sbin", "lib/x86_64-linux-gnu", "usr/lib", "usr/lib/x86_64-linux-gnu"} {
		a.add(dir, fs.ModeDir|0o755, nil)
	}
	a.device("dev/console", 5, 1)
	a.add("init", 0o755, guestInit)
	a.add("hook", 0o755, guestHook)
	a.copy("bin/busybox", filepath.Join(root, "bin", "busybox"))
	agent := filepath.Join(root, "usr", "sbin", "qemu-ga")
	a.copy("usr/sbin/qemu-ga", agent)
	libraries, err := librariesOf(agent)
	if err != nil {
		return nil, err
	}
	for _, path := range libraries {
		a.copy(strings.TrimPrefix(path, "/"), path)
	}
	modules, err := modulesOf(filepath.Join(root, "lib", "modules"), guestModules)
	if err != nil {
		return nil, err
	}
	var order strings.Builder
	for _, path := range modules {
		name := "modules/" + filepath.Base(path)
		a.copy(name, path)
		fmt.Fprintln(&order, "/"+name)
	}
	a.add("modules.order", 0o644, []byte(order.String()))
	err = errors.Join(a.close(), z.Close())
	return packed.Bytes(), err
}

// librariesOf lists the shared libraries of a program by where the program looks
// for them.
func librariesOf(program string) ([]string, error) {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", program, err)
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				all = append(all, word)
			}
		}
		if strings.Contains(line, "not found") {
			return nil, fmt.Errorf("ldd %s: %s", program, strings.TrimSpace(line))
		}
	}
	return all, nil
}

// modulesOf lists kernel modules and what they depend on, in the order in which
// they load.
func modulesOf(dir string, names []string) ([]string, error) {
	where := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			where[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	var order []string
	var load func(name string) error
	load = func(name string) error {
		path, separate := where[name]
		if !separate || slices.Contains(order, path) {
			return nil // built in, or there already
		}
		needed, err := dependenciesOf(path)
		for _, n := range needed {
			err = errors.Join(err, load(n))
		}
		order = append(order, path)
		return err
	}
	for _, n := range names {
		err = errors.Join(err, load(n))
	}
	return order, err
}

// dependenciesOf reads what a module says of itself.
func dependenciesOf(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s has no .modinfo", path)
	}
	text, err := section.Data()
	for line := range strings.SplitSeq(string(text), "\x00") {
		names, ok := strings.CutPrefix(line, "depends=")
		if ok && names != "" {
			return strings.Split(strings.ReplaceAll(names, "-", "_"), ","), err
		}
	}
	return nil, err
}

// place makes a file that is never seen half.
func place(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
