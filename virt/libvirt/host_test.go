package libvirt_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"vbk/virt/libvirt"
	"vbk/virt/libvirt/embedtest"
	"vbk/virt/virttest"
)

func TestMain(m *testing.M) { os.Exit(embedtest.Main{M: m}.Run()) }

func TestContract(t *testing.T) {
	virttest.Contract(t, func(t *testing.T) virttest.World { return newWorld(t) })
}

// world is a libvirt with machines under software emulation.
type world struct {
	*libvirt.Host
	root *embedtest.Root
}

// connection is one for all tests: libvirt 9.0 lets a process open an embedded
// driver about twenty times.
var connection struct {
	sync.Once
	host *libvirt.Host
	err  error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	root := embedtest.New(t)
	connection.Do(func() { connection.host, connection.err = libvirt.Connect(context.Background(), root.URI(), false) })
	if connection.err != nil {
		t.Fatal(connection.err)
	}
	return &world{connection.host, root}
}

func (w *world) Make(t *testing.T, name string, disks map[string]int64) string {
	t.Helper()
	m := embedtest.Machine{Name: name}
	for _, target := range []string{"vda", "vdb", "vdc"} {
		if size, ok := disks[target]; ok {
			m.Disks = append(m.Disks, embedtest.DiskSpec{Target: target, Size: size})
		}
	}
	return w.root.Define(t, m)
}

func (w *world) Fill(t *testing.T, uuid, target string, off, n int64, pattern byte) {
	t.Helper()
	w.root.Write(t, uuid, target, off, n, pattern)
}

func (w *world) Clear(t *testing.T, uuid, target string, off, n int64) {
	t.Helper()
	w.root.WriteZero(t, uuid, target, off, n)
}

func (w *world) Start(t *testing.T, uuid string) { t.Helper(); w.root.Start(t, uuid) }
func (w *world) Stop(t *testing.T, uuid string)  { t.Helper(); w.root.Stop(t, uuid) }
func (w *world) Die(t *testing.T, uuid string)   { t.Helper(); w.root.Kill(t, uuid) }
func (w *world) DefineAgain(t *testing.T, uuid string) {
	t.Helper()
	w.root.DefineAgain(t, uuid)
}

// Folder is one that QEMU may write to, whoever it runs as.
func (w *world) Folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(w.root.Dir(), "f")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Read uses nbdcopy and nbdinfo, which share no code with vbk's client.
func (w *world) Read(t *testing.T, socket, export, bitmap string) (content, dirty []byte) {
	t.Helper()
	for _, name := range []string{"nbdcopy", "nbdinfo"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("the test needs %s: %v", name, err)
		}
	}
	uri := "nbd+unix:///" + export + "?socket=" + socket
	raw := filepath.Join(t.TempDir(), "raw")
	if out, err := exec.Command("nbdcopy", uri, raw).CombinedOutput(); err != nil {
		t.Fatalf("nbdcopy: %v: %s", err, out)
	}
	content, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if bitmap == "" {
		return content, nil
	}
	out, err := exec.Command("nbdinfo", "--json", "--map=qemu:dirty-bitmap:"+bitmap, uri).Output()
	if err != nil {
		t.Fatalf("nbdinfo: %v: %s", err, out)
	}
	var extents []struct{ Offset, Length, Type int64 }
	if err := json.Unmarshal(out, &extents); err != nil {
		t.Fatalf("nbdinfo said %s: %v", strconv.Quote(string(out)), err)
	}
	dirty = make([]byte, (len(content)+virttest.Grain-1)/virttest.Grain)
	for _, x := range extents {
		for g := x.Offset / virttest.Grain; x.Type == 1 && g*virttest.Grain < x.Offset+x.Length; g++ {
			dirty[g] = 1
		}
	}
	return content, dirty
}
