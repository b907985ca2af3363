package executor_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vbk/executor"
	"vbk/executor/bind"
)

// point opens what a restoration restores.
func (r restoration) point() executor.ChainPoint {
	r.t.Helper()
	chain, err := bind.Store{Store: r.store()}.OpenChain(r.points()[0].folder, r.chain)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { chain.Close() })
	p, err := executor.PointOf(chain, r.sequence)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// old is an image full of something else, with the beginning of the disk in it.
func (r restoration) old(t *testing.T, disk, format string, size int) string {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "old.raw")
	content := bytes.Repeat([]byte{0xee}, size)
	copy(content, r.content[disk][:len(r.content[disk])/2])
	if err := os.WriteFile(raw, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if format == "raw" {
		return raw
	}
	qemuImg(t, "convert", "-f", "raw", "-O", format, raw, raw+"."+format)
	return raw + "." + format
}

func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %s: %v: %s", args[0], err, out)
	}
}

// TestRestoreTo: what was there before is gone, zeroes included, and what lies
// behind the disk's end is as it was.
func TestRestoreTo(t *testing.T) {
	needQEMU(t)
	r := newRestoration(t)
	p, want := r.point(), r.content["vda"]
	for _, format := range []string{"raw", "qcow2"} {
		for _, more := range []int{0, 1 << 20} {
			path := r.old(t, "vda", format, len(want)+more)
			o := executor.Overwriting{Disk: "vda", Path: path, Format: format}
			for range 2 {
				done, err := executor.RestoreTo(t.Context(), p, o, func(int64, int64) {})
				if err != nil || done.Size != int64(len(want)) {
					t.Fatal(done, err)
				}
				if format == "qcow2" {
					path = asRaw(t, o.Path)
				}
				wantFile(t, path, append(bytes.Clone(want), bytes.Repeat([]byte{0xee}, more)...))
			}
		}
	}
}

// TestRestoreToRefuses what is smaller, in use, or no disk, and leaves it alone.
func TestRestoreToRefuses(t *testing.T) {
	needQEMU(t)
	r := newRestoration(t)
	p, want := r.point(), r.content["vda"]
	for name, c := range map[string]struct {
		path, format, disk, want string
	}{
		"smaller":   {path: r.old(t, "vda", "raw", len(want)-512), format: "raw", want: "the disk has"},
		"no qcow2":  {path: r.old(t, "vda", "raw", len(want)), format: "qcow2", want: "qemu-nbd: "},
		"no disk":   {path: r.old(t, "vda", "raw", len(want)), format: "raw", disk: "vdz", want: "no disk vdz"},
		"in use":    {path: r.busy(t, len(want)), format: "qcow2", want: "lock"},
		"a device":  {path: "/dev/null", format: "raw", want: "neither a block device nor a file"},
		"a folder":  {path: t.TempDir(), format: "raw", want: "neither a block device nor a file"},
		"not there": {path: filepath.Join(t.TempDir(), "no"), format: "raw", want: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := os.ReadFile(c.path)
			disk := c.disk
			if disk == "" {
				disk = "vda"
			}
			_, err := executor.RestoreTo(t.Context(), p, executor.Overwriting{Disk: disk, Path: c.path, Format: c.format}, func(int64, int64) {})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v", err)
			}
			if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
				t.Error("it was changed")
			}
		})
	}
}

// busy is an image that a QEMU has open.
func (r restoration) busy(t *testing.T, size int) string {
	t.Helper()
	path := r.old(t, "vda", "qcow2", size)
	holdOpen(t, "qcow2", path)
	return path
}

// holdOpen has a QEMU open an image.
func holdOpen(t *testing.T, format, path string) {
	t.Helper()
	holder := exec.Command("qemu-io", "-f", format, path)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = holder.Wait() })
	if _, err := in.Write([]byte("length\n")); err != nil {
		t.Fatal(err)
	}
	for buf, said := make([]byte, 100), ""; !strings.Contains(said, "MiB"); { // it has opened the image
		n, err := out.Read(buf)
		if err != nil {
			t.Fatalf("qemu-io: %v", err)
		}
		said += string(buf[:n])
	}
}

// TestRestoreResumed: what another restore left is completed, whatever it holds.
func TestRestoreResumed(t *testing.T) {
	needQEMU(t)
	r := newRestoration(t)
	p := r.point()
	for _, format := range []string{"raw", "qcow2"} {
		r.Restoration = executor.Restoration{Dir: t.TempDir(), Format: format, Resume: true, Disks: []string{"vda"}}
		final := filepath.Join(r.Dir, "vda."+format)
		if err := os.Rename(r.old(t, "vda", format, len(r.content["vda"])), final+".partial"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := executor.Restore(ctx, p, r.Restoration, func(string, int64, int64) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err := os.Stat(final + ".partial"); err != nil {
			t.Errorf("the next one cannot go on: %v", err)
		}
		if _, err := executor.Restore(t.Context(), p, r.Restoration, func(string, int64, int64) {}); err != nil {
			t.Fatal(err)
		}
		if format == "qcow2" {
			final = asRaw(t, final)
		}
		wantFile(t, final, r.content["vda"])
		if _, err := executor.Restore(t.Context(), p, r.Restoration, func(string, int64, int64) {}); err == nil {
			t.Error("what is complete was overwritten")
		}
	}
}

// TestRestorePreallocated: the same bytes, in files that have all their space.
func TestRestorePreallocated(t *testing.T) {
	needQEMU(t)
	r := newRestoration(t)
	for _, format := range []string{"raw", "qcow2"} {
		r.Restoration = executor.Restoration{Dir: t.TempDir(), Format: format, Preallocate: true}
		if _, err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(r.Dir, "vda."+format)
		if n := allocated(t, path); n < int64(len(r.content["vda"])) {
			t.Errorf("%s occupies %d bytes", path, n)
		}
		if format == "qcow2" {
			path = asRaw(t, path)
		}
		wantFile(t, path, r.content["vda"])
	}
}

func needQEMU(t *testing.T) {
	t.Helper()
	for _, name := range []string{"qemu-img", "qemu-nbd", "qemu-io"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
				t.Fatalf("VBK_REQUIRE_PEERS=1: %s is not installed", name)
			}
			t.Skip(name + " is not installed")
		}
	}
}

func allocated(t *testing.T, path string) int64 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		t.Fatal(err)
	}
	return s.Blocks * 512
}
