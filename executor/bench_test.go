package executor_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vbk/executor"
	"vbk/format"
	"vbk/nbd"
)

// onePoint is a point with one disk in one file.
type onePoint struct{ path string }

func (p onePoint) Targets() []string            { return []string{"vda"} }
func (p onePoint) XML() ([]byte, error)         { return nil, nil }
func (p onePoint) Extra(string) ([]byte, error) { return nil, nil }

func (p onePoint) OpenDisk(context.Context, string) (*executor.DiskImage, error) {
	f, err := os.Open(p.path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := format.Open(f, info.Size())
	if err != nil {
		return nil, err
	}
	image, err := format.NewImage(file)
	return &executor.DiskImage{Image: image, Closer: f}, err
}

// writePoint makes a file of a disk of this size, full of noise.
func writePoint(b *testing.B, size int64) (p onePoint, raw string) {
	b.Helper()
	p, raw = onePoint{filepath.Join(b.TempDir(), "vda.v3")}, filepath.Join(b.TempDir(), "vda.raw")
	f, err := os.Create(p.path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r, err := os.Create(raw)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	w, err := format.NewWriter(f, format.Header{StoreID: "d17a0813", Chain: "20261122T013000Z-9f3c", Attempt: "5d21ab90", Domain: "web01", UUID: uuid,
		Disk: "vda", Size: size, Base: true, Disks: []string{"vda"}, HashKey: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"}, format.Options{})
	chunk, noise := make([]byte, format.MaxChunk), rand.NewChaCha8([32]byte{1})
	for at := int64(0); at < size && err == nil; at += int64(len(chunk)) {
		_, _ = io.ReadFull(noise, chunk)
		if err = w.Data(at, chunk); err == nil {
			_, err = r.Write(chunk)
		}
	}
	if err == nil {
		_, err = w.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	return p, raw
}

// BenchmarkRestore restores a disk of 512 MiB, beside cp of the same bytes.
func BenchmarkRestore(b *testing.B) {
	const size = 512 << 20
	p, raw := writePoint(b, size)
	for _, format := range []string{"raw", "qcow2"} {
		b.Run(format, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				dir := b.TempDir()
				if _, err := executor.Restore(b.Context(), p, executor.Restoration{Dir: dir, Format: format}, func(string, int64, int64) {}); err != nil {
					b.Fatal(err)
				}
				_ = os.RemoveAll(dir)
			}
		})
	}
	b.Run("cp", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			to := filepath.Join(b.TempDir(), "copy")
			if err := exec.Command("cp", "--sparse=always", raw, to).Run(); err != nil {
				b.Fatal(err)
			}
			_ = os.Remove(to)
		}
	})
}

// BenchmarkServe reads a disk of 1 GiB with nbdcopy, beside cat of its file and
// qemu-nbd of its bytes.
func BenchmarkServe(b *testing.B) {
	const size = 1 << 30
	p, raw := writePoint(b, size)
	run := func(b *testing.B, name string, args ...string) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
	}
	b.Run("nbdcopy", func(b *testing.B) {
		socket := filepath.Join(b.TempDir(), "socket")
		l, err := net.Listen("unix", socket)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error)
		go func() {
			done <- executor.Serve(ctx, p, executor.Serving{Listener: l, Server: nbd.Server{Report: func(err error) { b.Error(err) }}})
		}()
		run(b, "nbdcopy", "nbd+unix:///vda?socket="+socket, "null:")
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	})
	b.Run("cat", func(b *testing.B) { run(b, "sh", "-c", `cat "$0" >/dev/null`, p.path) })
	b.Run("qemu-nbd", func(b *testing.B) {
		run(b, "nbdcopy", "--", "[", "qemu-nbd", "-r", "-e", "8", "-f", "raw", raw, "]", "null:")
	})
}
