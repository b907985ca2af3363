package executor_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vbk/executor"
	"vbk/plan"
)

// TestDiskThatLooksLikeAnImage: what a guest writes into its first sector, a qcow2
// header that names a file of the host, is restored as the bytes that it is, and
// no program takes it for an image.
func TestDiskThatLooksLikeAnImage(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, bytes.Repeat([]byte("secret of the host"), 1<<12), 0o600); err != nil {
		t.Fatal(err)
	}
	header := append([]byte("QFI\xfb"), make([]byte, 508)...)
	binary.BigEndian.PutUint32(header[4:], 2)
	binary.BigEndian.PutUint64(header[8:], 256)
	binary.BigEndian.PutUint32(header[16:], uint32(len(secret)))
	binary.BigEndian.PutUint32(header[20:], 16)
	binary.BigEndian.PutUint64(header[24:], 1<<20)
	copy(header[256:], secret)

	w := newWorld(t, t.TempDir(), 31)
	w.define(map[string]int64{"vda": 1 << 20})
	w.host.Write(uuid, "vda", 0, header)
	w.succeed(plan.Options{})
	l := w.points()[0]
	w.restored(t, l)
	want, err := w.read(l, "vda")
	if err != nil || !bytes.HasPrefix(want, header) {
		t.Fatalf("%x, %v", want[:32], err)
	}
	if _, err := exec.LookPath("qemu-img"); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	r := executor.Restoration{Dir: dir, Format: "qcow2"}
	if _, err := restore(t.Context(), w.store(), l, 0, r, func(string, int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	raw := filepath.Join(dir, "raw")
	if out, err := exec.Command("qemu-img", "convert", "-f", "qcow2", "-O", "raw", filepath.Join(dir, "vda.qcow2"), raw).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wantFile(t, raw, want)
}
