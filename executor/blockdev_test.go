package executor_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vbk/executor"
)

// device is a block device full of something else, with the beginning of the disk in
// it.
func (r restoration) device(t *testing.T, disk string, size int, args ...string) string {
	t.Helper()
	return loopDevice(t, r.old(t, disk, "raw", size), args...)
}

// loopDevice attaches a file or device to a loop device.
func loopDevice(t *testing.T, path string, args ...string) string {
	t.Helper()
	out, err := exec.Command("losetup", append(args, "--find", "--show", path)...).CombinedOutput()
	if err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: losetup: %v: %s", err, out)
		}
		t.Skipf("losetup: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { run(t, "losetup", "--detach", device) })
	return device
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// wantDevice compares a whole device with the disk and what was behind its end.
func wantDevice(t *testing.T, path string, want []byte, behind int) {
	t.Helper()
	wantFile(t, path, append(bytes.Clone(want), bytes.Repeat([]byte{0xee}, behind)...))
}

func TestRestoreToDevice(t *testing.T) {
	r := newRestoration(t)
	p, want := r.point(), r.content["vda"]
	for _, behind := range []int{0, 1 << 20} {
		o := executor.Overwriting{Disk: "vda", Path: r.device(t, "vda", len(want)+behind), Format: "raw"}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := executor.RestoreTo(ctx, p, o, func(int64, int64) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		for range 2 {
			done, err := executor.RestoreTo(t.Context(), p, o, func(int64, int64) {})
			if err != nil || done != (executor.Overwritten{Size: int64(len(want)), Behind: int64(behind)}) {
				t.Fatalf("%+v %v", done, err)
			}
			wantDevice(t, o.Path, want, behind)
		}
	}
}

// TestRestoreToDevicePartitions: the kernel forgets those that were there.
func TestRestoreToDevicePartitions(t *testing.T) {
	r := newRestoration(t)
	p, want := r.point(), r.content["vda"]
	o := executor.Overwriting{Disk: "vda", Path: r.device(t, "vda", len(want), "--partscan"), Format: "raw"}
	run(t, "addpart", o.Path, "1", "2048", "2048")
	part := filepath.Join("/sys/block", filepath.Base(o.Path), filepath.Base(o.Path)+"p1")
	if _, err := os.Stat(part); err != nil {
		t.Fatal(err)
	}
	done, err := executor.RestoreTo(t.Context(), p, o, func(int64, int64) {})
	if err != nil || !done.Partitions || done.Stale != nil {
		t.Errorf("%+v %v", done, err)
	}
	if _, err := os.Stat(part); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the partition is still there: %v", err)
	}
	wantDevice(t, o.Path, want, 0)
}

// TestRestoreToDeviceRefuses what is smaller or used, and leaves it alone.
func TestRestoreToDeviceRefuses(t *testing.T) {
	needQEMU(t)
	r := newRestoration(t)
	p, want := r.point(), r.content["vda"]
	for name, c := range map[string]struct {
		size   int
		format string
		use    func(t *testing.T, device string)
		want   string
	}{
		"smaller": {size: len(want) - 512, want: "the disk has"},
		"qcow2":   {format: "qcow2", want: "a block device is raw"},
		"swap": {want: "busy", use: func(t *testing.T, device string) {
			run(t, "mkswap", device)
			run(t, "swapon", device)
			t.Cleanup(func() { run(t, "swapoff", device) })
		}},
		"mounted": {want: "busy", use: func(t *testing.T, device string) {
			dir := t.TempDir()
			run(t, "mkfs.ext4", "-q", device)
			run(t, "mount", "-o", "ro", device, dir)
			t.Cleanup(func() { run(t, "umount", dir) })
		}},
		"a loop device": {want: "/dev/loop", use: func(t *testing.T, device string) { loopDevice(t, device) }},
		"QEMU":          {want: "a QEMU has it open", use: func(t *testing.T, device string) { holdOpen(t, "raw", device) }},
		"QEMU elsewhere": {want: "(qemu-io) has it open", use: func(t *testing.T, device string) { // libvirt gives QEMU a /dev of its own
			node := filepath.Join(t.TempDir(), "node")
			run(t, "cp", "-a", device, node)
			holdOpen(t, "raw", node)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			device := r.device(t, "vda", cmp.Or(c.size, 8<<20))
			if c.use != nil {
				c.use(t, device)
			}
			before := readDevice(t, device)
			_, err := executor.RestoreTo(t.Context(), p, executor.Overwriting{Disk: "vda", Path: device, Format: cmp.Or(c.format, "raw")}, func(int64, int64) {})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v", err)
			}
			if !bytes.Equal(before, readDevice(t, device)) {
				t.Error("it was changed")
			}
		})
	}
}

func readDevice(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
