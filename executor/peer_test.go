package executor_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vbk/executor/bind"
	"vbk/plan"
	"vbk/store/virtnbdbackup/virtnbdtest"
	"vbk/virt"
)

// TestPeerRestores: virtnbdrestore makes of a chain, at each of its points, the
// disks as they were: with zeroes over data, with nothing changed, with a disk
// that joined, with more data in one piece than it reads in one request.
func TestPeerRestores(t *testing.T) {
	for _, codec := range []string{"none", "lz4"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel() // virtnbdrestore sleeps a second before each disk
			w := newWorld(t, t.TempDir(), 5)
			w.useStream("virtnbdbackup", codec)
			w.define(map[string]int64{"vda": 44 << 20, "vdb": 3<<20 + 512})
			w.host.Write(uuid, "vda", 1<<20, bytes.Repeat([]byte("more than 32 MiB "), 40<<20/17))
			w.succeed(plan.Options{})
			w.nextDay()
			w.host.Zero(uuid, "vda", 5<<20+100, 34<<20)
			w.host.AddDisk(uuid, diskNamed("vdc"), bytes.Repeat([]byte("new"), 1<<19/3*3)[:1<<19])
			w.succeed(plan.Options{})
			w.now = w.now.Add(25 * 60 * 60e9)
			w.succeed(plan.Options{}) // nothing has changed
			w.nextDay()
			w.succeed(plan.Options{})
			w.wantKinds("full inc inc inc")
			folder := w.unload(t, w.points())
			for _, l := range w.points() {
				w.peerRestores(t, folder, l)
			}
		})
	}
}

// TestPeerRestoresRaw: an image of a raw disk is one for virtnbdrestore, too.
func TestPeerRestoresRaw(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), 6)
	w.useStream("raw", "none")
	w.policy().Mode = "full"
	def := virt.Domain{Name: "web01", UUID: uuid, ProcessUID: -1, ProcessGID: -1, Disks: []virt.Disk{diskNamed("vda")}}
	def.Disks[0].Format = "raw"
	w.host.Define(def, map[string][]byte{"vda": make([]byte, 1<<20+512)})
	w.scribble("vda", 5)
	w.succeed(plan.Options{})
	w.peerRestores(t, w.unload(t, w.points()), w.points()[0])
}

// unload copies the files of a chain to a folder of the operating system, those of
// older points first.
func (w *world) unload(t *testing.T, points []located) string {
	t.Helper()
	dir := t.TempDir()
	for i, l := range points {
		c, err := bind.Store{Store: w.store()}.OpenChain(l.folder, l.chain)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, name := range pointFiles(l.point) {
			f, err := c.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			at, path := time.Unix(int64(1795311000+i), 0), filepath.Join(dir, name)
			if err := errors.Join(err, f.Close(), os.WriteFile(path, text, 0o600), os.Chtimes(path, at, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// peerRestores compares the disks of a point with what virtnbdrestore makes of
// the chain's folder up to it.
func (w *world) peerRestores(t *testing.T, folder string, l located) {
	t.Helper()
	for target, want := range w.taken[l.point.Attempt] {
		d, _ := l.point.Disk(target)
		got, err := virtnbdtest.Restore(folder, target, l.point.Checkpoint, d.RawImage)
		if errors.Is(err, virtnbdtest.ErrAbsent) && os.Getenv("VBK_REQUIRE_PEERS") != "1" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s.%d: virtnbdrestore makes %d other bytes of disk %s, expected %d", l.chain, l.point.Sequence, len(got), target, len(want))
		}
	}
}
