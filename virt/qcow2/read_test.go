package qcow2_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vbk/virt"
	"vbk/virt/qcow2"
)

func needQEMU(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: %v", err)
		}
		t.Skip(err)
	}
}

// qemu runs a program of QEMU.
func qemu(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// qemuImage makes an image with qemu-img and qemu-io.
func qemuImage(t *testing.T, commands ...[]string) []byte {
	t.Helper()
	needQEMU(t)
	path := filepath.Join(t.TempDir(), "image")
	for _, c := range commands {
		for n, a := range c {
			c[n] = strings.ReplaceAll(a, "IMAGE", path)
		}
		qemu(t, c[0], c[1:]...)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestRead reads what QEMU's own programs write: a bitmap with grains that are
// dirty, at the ragged end too, one that is dirty everywhere, an empty one, and one
// that does not record.
func TestRead(t *testing.T) {
	image := qemuImage(t,
		[]string{"qemu-img", "create", "-q", "-f", "qcow2", "IMAGE", "100000768"},
		[]string{"qemu-img", "bitmap", "--add", "-g", "4096", "-f", "qcow2", "IMAGE", "small"},
		[]string{"qemu-img", "bitmap", "--add", "-f", "qcow2", "IMAGE", "vbk-1"},
		[]string{"qemu-io", "-f", "qcow2", "-c", "write 0 64k", "-c", "write 650k 512", "-c", "write 100000000 512", "IMAGE"},
		[]string{"qemu-img", "bitmap", "--add", "-f", "qcow2", "IMAGE", "empty"},
		[]string{"qemu-img", "bitmap", "--add", "--disable", "-f", "qcow2", "IMAGE", "off"},
	)
	i, err := qcow2.Read(bytes.NewReader(image))
	if err != nil || i.Version != 3 || i.Size != 100000768 || i.DataFile || i.Encrypted || len(i.Bitmaps) != 4 {
		t.Fatalf("%+v: %v", i, err)
	}
	// A ragged last grain counts whole, unless the disk is smaller.
	for name, want := range map[string]qcow2.Bitmap{
		"small":   {Health: virt.Sound, Dirty: 64<<10 + 4096 + 4096},
		"vbk-1":   {Health: virt.Sound, Dirty: 3 * 64 << 10},
		"empty":   {Health: virt.Sound},
		"off":     {Health: virt.Broken},
		"unknown": {Health: virt.Broken},
	} {
		want.Name = name
		if b, there := i.Bitmap(name); b != want || there == (name == "unknown") {
			t.Errorf("%s is %+v, want %+v", name, b, want)
		}
	}
	for n := 0; n < len(image) && n < 1<<20; n += 97 { // cut off anywhere: an error or less, never a panic
		if cut, err := qcow2.Read(bytes.NewReader(image[:n])); err == nil && len(cut.Bitmaps) > 0 && n < 4096 {
			t.Fatalf("%d bytes hold %+v", n, cut)
		}
	}
	if _, err := qcow2.Read(bytes.NewReader(make([]byte, 512))); !errors.Is(err, qcow2.ErrNot) {
		t.Errorf("zeroes: %v", err)
	}
}

// TestReadKinds: an external data file, encryption, and the old version.
func TestReadKinds(t *testing.T) {
	create := []string{"qemu-img", "create", "-q", "-f", "qcow2"}
	for name, c := range map[string]struct {
		args []string
		want qcow2.Image
		then [][]string
	}{
		"data file": {[]string{"-o", "data_file=IMAGE.raw,data_file_raw=on"}, qcow2.Image{Version: 3, DataFile: true}, nil},
		"encrypted": {[]string{"--object", "secret,id=s,data=x", "-o", "encrypt.format=aes,encrypt.key-secret=s"}, qcow2.Image{Version: 3, Encrypted: true}, nil},
		"old":       {[]string{"-o", "compat=0.10"}, qcow2.Image{Version: 2}, nil},
		"snapshots": {nil, qcow2.Image{Version: 3, Snapshots: 2}, [][]string{
			{"qemu-img", "snapshot", "-c", "a", "IMAGE"}, {"qemu-img", "snapshot", "-c", "b", "IMAGE"}, {"qemu-img", "snapshot", "-c", "c", "IMAGE"}, {"qemu-img", "snapshot", "-d", "a", "IMAGE"}}},
	} {
		t.Run(name, func(t *testing.T) {
			image := qemuImage(t, append([][]string{append(append(create[:len(create):len(create)], c.args...), "IMAGE", "1M")}, c.then...)...)
			i, err := qcow2.Read(bytes.NewReader(image))
			if err != nil || i.Version != c.want.Version || i.DataFile != c.want.DataFile || i.Encrypted != c.want.Encrypted || i.Snapshots != c.want.Snapshots {
				t.Errorf("%+v: %v", i, err)
			}
		})
	}
}
